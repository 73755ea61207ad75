/** The scatter: the map of a projection, to look at and to select on. Twin of dataide/widgets/scatter.py. */
import type { RenderProps } from "@anywidget/types";
import { borrowHub } from "../../core/borrow.js";
import type { PanelModel } from "../../core/contract.js";
import { getReady } from "./engine_start.js";
import type { Boot } from "./feed.js";
import { type ScatterConfig, ScatterPanel } from "./panel.js";

interface ScatterModel extends PanelModel {
  boot: Boot;
  config: ScatterConfig;
}

async function render(props: RenderProps<ScatterModel>): Promise<void> {
  const hub = await borrowHub(props);
  if (!hub) return;
  const { model, el, signal } = props;
  const panel = new ScatterPanel(hub, el, model.get("panel_id"), signal);
  const configure = () => panel.configure(model.get("config"));
  panel.start(model.get("config"), model.get("boot"));
  model.on("change:config", configure);
  signal.addEventListener("abort", () => model.off("change:config", configure));
}

getReady();

export default { render };
