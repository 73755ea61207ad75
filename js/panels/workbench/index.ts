/** The workbench: filter, facets, scatter, grid, inspector and the bar of decisions in one frame. Twin of dataide/widgets/workbench.py. */
import type { RenderProps } from "@anywidget/types";
import type { HubExports } from "../../core/contract.js";
import { Workbench, type WorkbenchModel } from "./panel.js";

async function render({ model, el, host, signal }: RenderProps<WorkbenchModel>): Promise<void> {
  const hub = (await host.getWidget<HubExports>(model.get("hub"))).exports;
  if (signal.aborted) return;
  await new Workbench(hub, host, model, el, signal).start();
}

export default { render };
