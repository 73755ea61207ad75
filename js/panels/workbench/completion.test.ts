import { describe, expect, test } from "vitest";
import { accepted, deedOf, moved, type Popup, popupOf } from "./completion.js";

const item = (text: string) => ({ text, kind: "column", detail: null });
const popup: Popup = { from: 0, to: 2, items: [item("label"), item("label_source")], active: -1 };
const key = (name: string, more: Partial<KeyboardEvent> = {}) => ({
  key: name,
  ctrlKey: false,
  metaKey: false,
  altKey: false,
  shiftKey: false,
  isComposing: false,
  ...more,
});

describe("keys", () => {
  test("Enter applies the filter while nothing of the list is chosen", () => {
    expect(deedOf(key("Enter"), popup)).toEqual({ do: "apply" });
    expect(deedOf(key("Enter"), null)).toEqual({ do: "apply" });
  });

  test("Enter takes what was chosen with the arrows, Tab takes the first", () => {
    expect(deedOf(key("Enter"), moved(popup, 1))).toEqual({ do: "accept", index: 0 });
    expect(deedOf(key("Tab"), popup)).toEqual({ do: "accept", index: 0 });
    expect(deedOf(key("Tab"), null)).toEqual({ do: "pass" });
    expect(deedOf(key("Tab", { shiftKey: true }), popup)).toEqual({ do: "pass" });
  });

  test("Esc first closes the list, then takes back what was typed", () => {
    expect(deedOf(key("Escape"), popup)).toEqual({ do: "close" });
    expect(deedOf(key("Escape"), null)).toEqual({ do: "revert" });
    expect(deedOf(key("Escape"), null, true)).toEqual({ do: "close" });
  });

  test("Ctrl+Space and arrow down open the list", () => {
    expect(deedOf(key(" ", { ctrlKey: true }), null)).toEqual({ do: "open" });
    expect(deedOf(key("ArrowDown"), null)).toEqual({ do: "open" });
  });

  test("an input method that is composing a word keeps its keys", () => {
    expect(deedOf(key("Enter", { isComposing: true }), popup)).toEqual({ do: "pass" });
  });

  test("arrows go round through the text itself", () => {
    expect(moved(popup, -1).active).toBe(1);
    expect(moved(moved(moved(popup, 1), 1), 1).active).toBe(-1);
  });
});

describe("text", () => {
  test("an accepted word takes the place of what was typed of it, with a space to go on", () => {
    expect(accepted("la", popup, 0)).toEqual({ text: "label ", cursor: 6 });
  });

  test("in the middle of a filter no second space appears", () => {
    const middle = { ...popup, from: 4, to: 6 };
    expect(accepted("not la = 'x'", middle, 0)).toEqual({ text: "not label = 'x'", cursor: 10 });
  });

  test("after an open parenthesis the cursor stands inside", () => {
    const call = { ...popup, items: [item("in (")] };
    expect(accepted("i", { ...call, to: 1 }, 0)).toEqual({ text: "in (", cursor: 4 });
  });

  test("a word already written out is not proposed again", () => {
    expect(popupOf({ from: 0, to: 5, items: [item("label")] }, "label")).toBeNull();
    expect(popupOf({ from: 0, to: 2, items: [item("label")] }, "la")?.items.length).toBe(1);
  });
});
