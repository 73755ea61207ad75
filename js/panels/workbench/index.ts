/** The workbench: filter, facets, scatter, grid, inspector and the bar of decisions in one frame. Twin of dataide/widgets/workbench.py. */
import type { RenderProps } from "@anywidget/types";
import { borrowHub } from "../../core/borrow.js";
import { Workbench, type WorkbenchModel } from "./panel.js";

async function render(props: RenderProps<WorkbenchModel>): Promise<void> {
  const hub = await borrowHub(props);
  if (!hub) return;
  const { model, el, host, signal } = props;
  await new Workbench(hub, host, model, el, signal).start();
}

export default { render };
