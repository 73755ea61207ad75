/** Facets: one mini histogram or bar list per column, crossfiltered. Twin of dataide/widgets/facets.py. */
import type { RenderProps } from "@anywidget/types";
import { borrowHub } from "../../core/borrow.js";
import type { PanelModel } from "../../core/contract.js";
import { fromWire } from "../../core/wire.js";
import { type BootReply, type FacetsConfig, FacetsPanel } from "./panel.js";

interface FacetsModel extends PanelModel {
  config: FacetsConfig & Record<string, unknown>;
  boot: unknown[] | null;
}

async function render(props: RenderProps<FacetsModel>): Promise<void> {
  const hub = await borrowHub(props);
  if (!hub) return;
  const { model, el, signal } = props;
  const panel = new FacetsPanel(hub, el, model.get("panel_id"), signal);
  panel.boot((model.get("boot") ?? []).map((reply) => fromWire(reply) as BootReply));
  const configure = () => panel.configure(model.get("config"));
  model.on("change:config", configure);
  signal.addEventListener("abort", () => model.off("change:config", configure));
  configure();
}

export default { render };
