/** Facets: one mini histogram or bar list per column, crossfiltered. Twin of dataide/widgets/facets.py. */
import type { RenderProps } from "@anywidget/types";
import type { HubExports, PanelModel } from "../../core/contract.js";
import { FacetsPanel } from "./panel.js";

interface FacetsModel extends PanelModel {
  config: { embedded?: boolean; columns?: string[] | null; open?: string | null };
}

async function render({ model, el, host, signal }: RenderProps<FacetsModel>): Promise<void> {
  const hub = (await host.getWidget<HubExports>(model.get("hub"))).exports;
  if (signal.aborted) return;
  const panel = new FacetsPanel(hub, el, model.get("panel_id"), signal);
  const configure = () => panel.configure(model.get("config"));
  model.on("change:config", configure);
  signal.addEventListener("abort", () => model.off("change:config", configure));
  configure();
}

export default { render };
