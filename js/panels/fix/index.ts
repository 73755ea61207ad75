/** Fix: issues beside what they propose, to accept or reject. Twin of dataide/widgets/fix.py. */
import type { RenderProps } from "@anywidget/types";
import { openPanel } from "../../core/panel.js";
import { Fix, type FixConfig } from "./panel.js";

async function render(props: RenderProps): Promise<void> {
  const panel = await openPanel<FixConfig>(props, "fix");
  if (panel !== null) new Fix(panel);
}

export default { render };
