/** The scatter: the map of a projection, to look at and to select on. Twin of dataide/widgets/scatter.py. */
import type { RenderProps } from "@anywidget/types";
import type { HubExports, PanelModel } from "../../core/contract.js";
import type { Boot } from "./feed.js";
import { type ScatterConfig, ScatterPanel } from "./panel.js";

interface ScatterModel extends PanelModel {
  boot: Boot;
  config: ScatterConfig;
}

async function render({ model, el, host, signal }: RenderProps<ScatterModel>): Promise<void> {
  const hub = (await host.getWidget<HubExports>(model.get("hub"))).exports;
  if (signal.aborted) return;
  const panel = new ScatterPanel(hub, el, model.get("panel_id"), signal);
  const configure = () => panel.configure(model.get("config"));
  panel.start(model.get("config"), model.get("boot"));
  model.on("change:config", configure);
  signal.addEventListener("abort", () => model.off("change:config", configure));
}

export default { render };
