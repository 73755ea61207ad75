import { html, nothing, render, svg } from "lit-html";
import { repeat } from "lit-html/directives/repeat.js";
import { beforeEach, describe, expect, it } from "vitest";
import { dom } from "../../core/dom.js";
import type { FilterClause, Legend } from "../../core/protocol.js";
import {
  clauseOf,
  EVERYTHING,
  formatTime,
  isolated,
  isShown,
  LegendView,
  rangeBy,
  shareOf,
  shownBy,
  toggled,
  valueAt,
} from "./legend.js";

const entries = (...names: (string | null)[]) =>
  names.map((value, color) => ({ value, count: 10 * (color + 1), color }));
const category = (names: (string | null)[], more = 0): Legend => ({
  kind: "category",
  column: "label",
  entries: entries(...names),
  more,
});

describe("legend logic", () => {
  it("takes a class out with one click and back with the next", () => {
    const known = ["cat", "dog", null];
    const without = toggled(EVERYTHING, "dog", known, 0);
    expect(clauseOf("label", without)).toEqual({ type: "not_in", column: "label", values: ["dog"] });
    expect(isShown(without, "dog")).toBe(false);
    expect(isShown(without, null)).toBe(true);
    expect(clauseOf("label", toggled(without, "dog", known, 0))).toBeNull();
  });

  it("never ends with every class out", () => {
    const known = ["cat", "dog"];
    const one = toggled(EVERYTHING, "cat", known, 0);
    expect(toggled(one, "dog", known, 0)).toEqual(EVERYTHING);
    expect(clauseOf("label", toggled(one, "dog", known, 5))).toEqual({
      type: "not_in",
      column: "label",
      values: ["cat", "dog"],
    });
  });

  it("isolates a class, adds others to it, and lets all pass again", () => {
    const only = isolated(EVERYTHING, "cat");
    expect(clauseOf("label", only)).toEqual({ type: "in", column: "label", values: ["cat"] });
    expect(clauseOf("label", toggled(only, "dog", ["cat", "dog", "owl"], 0))).toEqual({
      type: "in",
      column: "label",
      values: ["cat", "dog"],
    });
    expect(isolated(only, "cat")).toEqual(EVERYTHING);
  });

  it("comes back from the session's filter, for its own column only", () => {
    const clause: FilterClause = { type: "in", column: "label", values: ["cat", null] };
    const clauses = [{ source: "legend", sentence: "", column: "label", clause }];
    expect(isShown(shownBy(clauses, "label"), "cat")).toBe(true);
    expect(isShown(shownBy(clauses, "label"), "dog")).toBe(false);
    expect(shownBy(clauses, "split")).toEqual(EVERYTHING);
    expect(shownBy([{ source: "legend", sentence: "made in Python", column: "label" }], "label")).toEqual(EVERYTHING);
    const range: FilterClause = { type: "range", column: "price", low: null, high: 5 };
    expect(rangeBy([{ source: "legend", sentence: "", column: "price", clause: range }], "price")).toEqual([
      -Infinity,
      5,
    ]);
  });

  it("turns a place on the colour bar into a number and back", () => {
    const bar = { kind: "number", column: "x", low: 10, high: 30 } as const;
    expect(valueAt(bar, 0.25)).toBe(15);
    expect(shareOf(bar, 15)).toBe(0.25);
    expect(shareOf(bar, -Infinity)).toBe(0);
    expect(shareOf({ ...bar, high: 10 }, 10)).toBe(0.5);
    expect(formatTime(Date.UTC(2024, 4, 17, 8, 30), 1e12)).toBe("2024-05-17");
  });
});

describe("legend on screen", () => {
  let place: HTMLElement;
  let asked: (FilterClause | null)[];
  let view: LegendView;

  beforeEach(() => {
    place = document.createElement("div");
    asked = [];
    view = new LegendView(
      place,
      { lit: { html, svg, render, nothing, repeat }, dom },
      { folded: () => {}, filter: (clause) => asked.push(clause) },
    );
  });

  const buttons = () => [...place.querySelectorAll<HTMLButtonElement>(".legend-entry")];

  it("shows names and counts as text, whatever is in them", () => {
    view.update(category([`<img src=x onerror="alert(1)">`, null]), [], []);
    expect(place.querySelector("img")).toBeNull();
    expect(buttons().map((button) => button.querySelector(".name")?.textContent)).toEqual([
      `<img src=x onerror="alert(1)">`,
      "no value",
    ]);
    expect(buttons()[1]?.getAttribute("aria-label")).toBe("no value, 20");
  });

  it("filters by click, isolates by double and Alt click", () => {
    view.update(category(["cat", "dog", "owl"]), [], []);
    buttons()[1]?.click();
    expect(asked).toEqual([{ type: "not_in", column: "label", values: ["dog"] }]);
    expect(buttons()[1]?.getAttribute("aria-pressed")).toBe("false");
    buttons()[1]?.click(); // the second half of a double click
    expect(asked[1]).toEqual({ type: "in", column: "label", values: ["dog"] });
    buttons()[0]?.dispatchEvent(new MouseEvent("click", { altKey: true }));
    expect(asked[2]).toEqual({ type: "in", column: "label", values: ["cat"] });
    place.querySelector<HTMLButtonElement>(".legend-all")?.click();
    expect(asked[3]).toBeNull();
  });

  it("has a search box from thirteen classes on, and only then", () => {
    const names = Array.from({ length: 30 }, (_, i) => `class ${i}`);
    view.update(category(names.slice(0, 12)), [], []);
    expect(place.querySelector("input")).toBeNull();
    view.update(category(names, 7), [], []);
    const search = place.querySelector("input") as HTMLInputElement;
    search.value = "CLASS 2";
    search.dispatchEvent(new Event("input"));
    expect(buttons()).toHaveLength(11);
    search.value = "";
    search.dispatchEvent(new Event("input"));
    expect(place.textContent).toContain("and 7 rarer classes");
  });

  it("names the ends of the colour bar", () => {
    view.update(
      { kind: "number", column: "price", low: 1, high: 12_500 },
      [],
      [{ name: "price", type: "DOUBLE", kind: "number" }],
    );
    expect(place.querySelector(".ramp")?.getAttribute("aria-label")).toContain("from 1 to 12,500");
  });
});

describe("the room a legend takes", () => {
  it("stays what it was while the plot is hidden", () => {
    const stage = document.createElement("div");
    const place = document.createElement("div");
    stage.append(place);
    const hub = { lit: { html, render, svg, nothing, repeat }, dom } as never;
    const view = new LegendView(place, hub, { filter: () => {}, folded: () => {} });
    const sized = (element: HTMLElement, name: string, px: number): void =>
      void Object.defineProperty(element, name, { configurable: true, value: px });
    sized(stage, "clientWidth", 500);
    sized(place, "offsetWidth", 96);
    expect(view.width).toBe(0);
    view.update(category(["cat", "dog"]), [], []);
    expect(view.width).toBe(96);
    sized(stage, "clientWidth", 0);
    sized(place, "offsetWidth", 0);
    expect(view.width).toBe(96);
    view.update({ kind: "none" }, [], []);
    expect(view.width).toBe(0);
  });
});
