/** The keys of the grid; what it leaves goes on to the keys shared by all panels. */

import type { IssueVerb } from "../../core/protocol_issues.js";
import { moved } from "./geometry.js";
import type { Grid } from "./panel.js";

const MOST_COPIED = 1000;
const EXTEND_AFTER_MS = 40;

export const KEYS: readonly (readonly [string, string])[] = [
  ["← → ↑ ↓", "Move"],
  ["Shift + ← → ↑ ↓", "Extend the selection"],
  ["Space", "Select or unselect"],
  ["Home, End, Page Up, Page Down", "Move far"],
  ["O", "Show or hide objects"],
  ["+ −", "Tile size; mark while an autotag marks in grids"],
  ["Y, N", "Issue of the focused picture: accept, it is none"],
  ["Ctrl + C", "Copy the ids in sight that are selected"],
  ["Click, Ctrl, Shift, drag", "Select one, more, a range, a box"],
];

const SIGNS: Record<string, "positive" | "negative"> = {
  ...{ "+": "positive", "=": "positive" },
  ...{ "-": "negative", "−": "negative" },
};

/** A chip that says what + and − do, as long as they do not size tiles. */
function showMarking({ panel: { hub, root, signal } }: Grid): void {
  const chip = document.createElement("div");
  chip.className = "dataide-chip dataide-marking";
  root.append(chip);
  signal.addEventListener("abort", () => chip.remove());
  hub.dom.effectUntil(signal, () => {
    const marking = hub.store.marking.value;
    chip.hidden = marking === null;
    chip.textContent = marking === null ? "" : `+ and − mark “${marking.tag}”`;
  });
}

export function gridKeys(grid: Grid): (event: KeyboardEvent) => boolean {
  let extending: ReturnType<typeof setTimeout> | undefined;
  let extension: (() => void) | null = null;

  const extendNow = (): void => {
    clearTimeout(extending);
    extension?.();
    extension = null;
  };

  const move = (event: KeyboardEvent): boolean => {
    const next = moved(grid.geometry, grid.focused, event.key);
    if (next === null || event.altKey) return false;
    if (event.shiftKey) {
      // A held key moves faster than anyone needs the count.
      clearTimeout(extending);
      extension = () => void grid.selecting.rangeTo(next);
      extending = setTimeout(extendNow, EXTEND_AFTER_MS);
    } else {
      extendNow();
      grid.selecting.anchor = next;
    }
    grid.focus(next);
    return true;
  };

  const copy = (): boolean => {
    if (String(window.getSelection() ?? "") !== "") return false;
    const { store, dom } = grid.panel.hub;
    const ids = grid.selectedIds(MOST_COPIED);
    const say = (sentence: string, hint: string | null = null): void =>
      store.toast({ sentence, kind: "info", undoable: false, python: null, hint });
    if (ids.length === 0)
      say("No selected sample is near what is in sight.", "session.selection.ids() gives them all.");
    else {
      const all = store.state.value?.selection.count ?? ids.length;
      const hint = all > ids.length ? "session.selection.ids() gives them all." : null;
      void copyText(ids.join("\n")).then(() =>
        say(`Copied ${dom.formatCount(ids.length)} of ${dom.formatCount(all)} selected ids.`, hint),
      );
    }
    return true;
  };

  /** While an autotag marks in grids, + and − are about several that are selected, else about the tile one is at. */
  const marks = (sign: "positive" | "negative"): boolean => {
    const { store } = grid.panel.hub;
    const marking = store.marking.value;
    if (marking === null) return false;
    const alone = grid.focusedAlone();
    const focused = grid.pages.tile(grid.focused)?.no;
    if (alone !== null) marking.mark(sign, { type: "samples", nos: [alone] });
    else if ((store.state.value?.selection.count ?? 0) > 0) marking.mark(sign, { type: "selection" });
    else if (focused !== undefined) marking.mark(sign, { type: "samples", nos: [focused] });
    return true;
  };
  showMarking(grid);

  return (event) => {
    const control = event.ctrlKey || event.metaKey;
    if (!event.shiftKey) extendNow();
    if (control) return event.key.toLowerCase() === "c" && copy();
    const answer = { y: "accept_proposals", n: "reject_issues" }[event.key.toLowerCase()] as IssueVerb | undefined;
    const one = answer === undefined || event.altKey ? null : grid.focusedAlone();
    if (answer !== undefined && one !== null) {
      void grid.panel.hub.ui.answerIssues(answer, { type: "samples", nos: [one] });
      return true;
    }
    if (event.key === " ") {
      void grid.selecting.toggle(grid.focused);
      return true;
    }
    if (SIGNS[event.key] !== undefined && marks(SIGNS[event.key] as "positive" | "negative")) return true;
    if (event.key === "+" || event.key === "=") {
      grid.grow(1);
      return true;
    }
    if (event.key === "-" || event.key === "−") {
      grid.grow(-1);
      return true;
    }
    if (event.key.toLowerCase() === "o" && !event.altKey) return grid.toggleObjects();
    if (event.key === "Enter") {
      grid.inspect(grid.focused);
      return true;
    }
    return move(event);
  };
}

/** The clipboard interface is missing where a notebook is served over plain http from another machine. */
async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  area.style.position = "fixed";
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
