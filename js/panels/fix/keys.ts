/** What the keys do in the fix panel. */
import type { Fix } from "./panel.js";
import { relabelObject } from "./relabel.js";

export const KEYS: readonly (readonly [string, string])[] = [
  ["↑ ↓", "Move; Home, End, Page Up, Page Down"],
  ["← →", "Among duplicates of a group"],
  ["Y, Enter", "Accept what is proposed"],
  ["N", "It is no issue"],
  ["R", "Ask again about what was rejected"],
  ["V", "Neighbours, or none"],
  ["I", "Inspect"],
  ["Space", "Add to the selection, or take away"],
  ["Digits, L, T, Q, X", "Relabel (L: the object of an issue about one), tag, queue or exclude it"],
];

export function fixKeys(fix: Fix): (event: KeyboardEvent) => boolean {
  return (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return false;
    if (fix.threshold.isOpen) {
      if (event.key === "Escape") fix.threshold.close();
      // Under the preview nothing is answered.
      return event.key === "Escape" || event.key.length === 1;
    }
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const page = Math.max(fix.entriesInSight - 1, 1);
    const keys: Record<string, () => void> = {
      ArrowDown: () => fix.focus(fix.focused + 1),
      ArrowUp: () => fix.focus(fix.focused - 1),
      ArrowRight: () => fix.focusMember(1),
      ArrowLeft: () => fix.focusMember(-1),
      PageDown: () => fix.focus(fix.focused + page),
      PageUp: () => fix.focus(fix.focused - page),
      Home: () => fix.focus(0),
      End: () => fix.focus(Number.POSITIVE_INFINITY),
      y: () => fix.answer("accept_proposals"),
      Enter: () => fix.answer("accept_proposals"),
      n: () => fix.answer("reject_issues"),
      r: () => fix.answer("reopen_issues"),
      v: () => fix.toggleNeighbours(),
      i: () => fix.inspect(),
      " ": () => fix.toggleSelected(),
    };
    // Of an issue about an object labels are the object's; digits label samples, which nobody means then.
    if (/^[l1-9]$/.test(key) && fix.focusedRow !== null) {
      const object = fix.entries.crop(fix.focusedRow.no)?.object ?? null;
      return object !== null && (key !== "l" || relabelObject(fix));
    }
    const run = keys[key];
    run?.();
    return run !== undefined;
  };
}
