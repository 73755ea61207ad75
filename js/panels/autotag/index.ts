/** Autotag: tiles to mark, what a threshold would give, and the commit. Twin of dataide/widgets/autotag.py. */
import type { RenderProps } from "@anywidget/types";
import { openPanel } from "../../core/panel.js";
import { Autotag, type AutotagConfig } from "./panel.js";

async function render(props: RenderProps): Promise<void> {
  const panel = await openPanel<AutotagConfig>(props, "autotag");
  if (panel !== null) new Autotag(panel);
}

export default { render };
