/** Inspector: one sample with everything known about it. Twin of dataide/widgets/inspector.py. */
import type { RenderProps } from "@anywidget/types";
import { countWhileInSight, openPanel } from "../../core/panel.js";

interface InspectorConfig {
  no: number | null;
  heightPx: number;
}

async function render(props: RenderProps): Promise<void> {
  const panel = await openPanel<InspectorConfig>(props, "inspector");
  if (panel === null) return;
  const { hub, root, panelId, embedded, signal } = panel;
  const boot = panel.boot("inspect")?.reply ?? null;
  const close = (): void => {
    hub.store.inspected.value = null;
  };
  const inspector = hub.inspector(root, {
    panelId,
    signal,
    no: panel.config.no ?? null,
    boot,
    ...(embedded ? { close } : {}),
  });
  if (!embedded) {
    const bar = document.createElement("div");
    root.append(bar);
    hub.ui.actionBar(bar, { root, panel: panelId, compact: true, target: inspector.target }, signal);
  }
  hub.ui.frame(root, signal);
  countWhileInSight(root, hub.store.inspectors, signal);
}

export default { render };
