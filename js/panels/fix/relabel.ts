/** Another label for the object that a row is about, by hand. */
import type { KernelError } from "../../core/contract.js";
import { isAbort } from "../../core/panel.js";
import { newUuid } from "../../core/uuid.js";
import type { Fix } from "./panel.js";

/** Asks for the label; false where the row that has the focus is about no object. */
export function relabelObject(fix: Fix): boolean {
  const row = fix.focusedRow;
  const object = row === null ? null : (fix.entries.crop(row.no)?.object ?? null);
  if (object === null) return false;
  const { hub, panelId: panel, root, signal } = fix.panel;
  hub.ui.prompt(root, {
    what: "label",
    title: "Relabel 1 object",
    names: hub.store.state.peek()?.objects?.labels ?? [],
    confirm: (label) => {
      const ask = { verb: "relabel" as const, uuid: newUuid(), objects: [object], label };
      hub.client.ask("actObjects", ask, { panel, signal }).then(
        ({ body: { sentence, python, event } }) =>
          hub.store.toast({ sentence, kind: "info", undoable: event !== null, python, hint: null }),
        (error: KernelError) => {
          if (isAbort(error)) return;
          const hint = error.failure?.hint ?? null;
          hub.store.toast({ sentence: error.message, kind: "error", undoable: false, python: null, hint });
        },
      );
    },
  });
  return true;
}
