/** The keys of the panel; what it leaves, Z for one, goes on to the keys shared by all panels. */
import type { Sign } from "../../core/protocol_autotag.js";
import type { Autotag } from "./panel.js";
import type { Of } from "./words.js";

const KEYS: readonly (readonly [string, string])[] = [
  ["+ or =", "It has the tag"],
  ["−", "It has not"],
  ["0, Backspace", "Take the mark away"],
  ["← → ↑ ↓", "Move"],
  ["Space", "Pick several, to mark at once"],
  ["R", "A round now, by all marks so far"],
  ["Page Up, Page Down", "Leaf"],
];

export const keysOf = (of: Of): typeof KEYS =>
  of === "samples"
    ? KEYS
    : [
        ...KEYS,
        ["W", "Whole pictures, or crops"],
        ["Enter", "Inspect, with the object chosen"],
        ["L", "Relabel the objects…"],
        ["S, U", "Grids by similarity to the crop: like it, less like it"],
        ["T, Q, X", "Tag, queue, exclude their samples"],
      ];

const SIGNS: Record<string, Sign> = {
  "+": "positive",
  "=": "positive",
  "-": "negative",
  "−": "negative",
  "0": "none",
  Backspace: "none",
  Delete: "none",
};

export function autotagKeys(autotag: Autotag): (event: KeyboardEvent) => boolean {
  return (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    const sign = SIGNS[event.key];
    if (sign !== undefined) {
      void autotag.mark(sign);
      return true;
    }
    // A focused handle or button has these keys for itself.
    if (event.target instanceof HTMLInputElement) return false;
    const { focused, columns, tiles } = autotag;
    const steps: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
    const step = steps[event.key];
    if (step !== undefined) {
      const next = focused + step;
      if (next < 0 || next >= tiles.length) return true;
      if (event.shiftKey) autotag.pick(next, true, true);
      else autotag.focus(next);
      return true;
    }
    if (autotag.of === "objects") {
      const key = event.key.toLowerCase();
      if (key === "w") autotag.toggleWhole();
      else if (key === "l") autotag.relabel();
      else if (key === "s" || key === "u")
        autotag.similar(key === "u" ? "unlike" : event.shiftKey ? "like" : "replace");
      // Digits label samples, which nobody means who looks at their objects.
      if (/^[wlsu1-9]$/.test(key)) return true;
    }
    const run: Record<string, () => void> = {
      " ": () => autotag.pick(focused, true),
      Home: () => autotag.focus(0),
      End: () => autotag.focus(tiles.length - 1),
      PageDown: () => void autotag.leaf(1),
      PageUp: () => void autotag.leaf(-1),
      Enter: () => autotag.inspect(focused),
      r: () => void autotag.round(),
      R: () => void autotag.round(),
    };
    const does = run[event.key];
    if (event.key === "Escape" && autotag.picked.size > 0) {
      autotag.picked.clear();
      autotag.redraw();
      return true;
    }
    does?.();
    return does !== undefined;
  };
}
