/** What the completion popup of the filter box does, without the DOM: which item is active, and what each key means. */
import type { Answer } from "../../core/protocol.js";

export type Item = Answer<"complete">["items"][number];

export interface Popup {
  from: number;
  to: number;
  items: readonly Item[];
  /** -1: none. Enter then applies the filter, so that finishing a filter never swallows the Enter for a word nobody chose. */
  active: number;
}

export function popupOf(answer: Answer<"complete">, text: string): Popup | null {
  // The one item that is already written out in full would only stand in the way.
  const written = text.slice(answer.from, answer.to);
  const items = answer.items.filter((item) => item.text !== written);
  return items.length === 0 ? null : { from: answer.from, to: answer.to, items, active: -1 };
}

export function moved(popup: Popup, by: number): Popup {
  const count = popup.items.length;
  // One more place than items: above the first and below the last is the text itself.
  const active = ((popup.active + 1 + by + (count + 1)) % (count + 1)) - 1;
  return { ...popup, active };
}

export type Deed =
  | { do: "pass" }
  | { do: "move"; by: number }
  | { do: "open" }
  | { do: "accept"; index: number }
  | { do: "apply" }
  | { do: "close" }
  | { do: "revert" };

export function deedOf(
  event: Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "altKey" | "shiftKey" | "isComposing">,
  popup: Popup | null,
  due = false,
): Deed {
  if (event.isComposing) return { do: "pass" };
  if (event.key === " " && event.ctrlKey) return { do: "open" };
  if (event.ctrlKey || event.metaKey || event.altKey) return { do: "pass" };
  switch (event.key) {
    case "ArrowDown":
      return popup ? { do: "move", by: 1 } : { do: "open" };
    case "ArrowUp":
      return popup ? { do: "move", by: -1 } : { do: "pass" };
    case "Tab":
      return popup && !event.shiftKey ? { do: "accept", index: Math.max(0, popup.active) } : { do: "pass" };
    case "Enter":
      return popup && popup.active >= 0 ? { do: "accept", index: popup.active } : { do: "apply" };
    case "Escape":
      // Whoever presses Esc against a list that is about to appear does not mean the text.
      return popup || due ? { do: "close" } : { do: "revert" };
    default:
      return { do: "pass" };
  }
}

/** The text with an item put in, and where the cursor then stands. A space follows, so that typing goes on with the next word. */
export function accepted(text: string, popup: Popup, index: number): { text: string; cursor: number } {
  const item = popup.items[index];
  if (!item) return { text, cursor: popup.to };
  const after = text.slice(popup.to);
  const open = item.text.endsWith("(");
  const space = open || after.startsWith(" ") ? "" : " ";
  const put = item.text + space;
  const skip = !open && after.startsWith(" ") ? 1 : 0;
  return { text: text.slice(0, popup.from) + put + after, cursor: popup.from + put.length + skip };
}
