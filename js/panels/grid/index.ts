/** Grid: tiles of all that passes the filter, up to a million. Twin of dataide/widgets/grid.py. */
import type { RenderProps } from "@anywidget/types";
import { openPanel } from "../../core/panel.js";
import { Grid, type GridConfig } from "./panel.js";

async function render(props: RenderProps): Promise<void> {
  const panel = await openPanel<GridConfig>(props, "grid");
  if (panel !== null) new Grid(panel);
}

export default { render };
