import { describe, expect, test } from "vitest";
import type { ColumnInfo, SessionState } from "../../core/protocol.js";
import { shownBars } from "./bars.js";
import {
  barState,
  clauseOf,
  facetColumns,
  foldsOf,
  openColumns,
  rangeClause,
  standOf,
  toggledFold,
  toggleIn,
  toggleOut,
} from "./clauses.js";

const none = standOf(null);

function stateWith(columns: ColumnInfo[], more: Partial<SessionState> = {}): SessionState {
  return {
    rev: 1,
    name: "pets",
    sampleCount: 10,
    columns,
    labels: [],
    tags: [],
    queues: [],
    projections: [],
    selection: { count: 0, version: 1 },
    filter: { count: 10, version: 1, passing: 1, text: "", clauses: [] },
    history: { undo: null, redo: null },
    sort: { by: "added", descending: false },
    group: null,
    armed: null,
    ...more,
  };
}
const column = (name: string, kind: ColumnInfo["kind"] = "number"): ColumnInfo => ({ name, kind, type: "DOUBLE" });

describe("bars", () => {
  test("clicks on two values ask for either of them, and clicking both again lifts the filter", () => {
    const cat = toggleIn("label", none, "cat");
    const both = toggleIn("label", standOf(cat), null);
    expect(both).toEqual({ type: "in", column: "label", values: ["cat", null] });
    expect(toggleIn("label", standOf(toggleIn("label", standOf(both), "cat")), null)).toBeNull();
  });

  test("an alt-click leaves a value out, and again takes it back", () => {
    const out = toggleOut("label", none, "cat");
    expect(out).toEqual({ type: "not_in", column: "label", values: ["cat"] });
    expect(toggleOut("label", standOf(out), "cat")).toBeNull();
    expect(toggleIn("label", standOf(out), "cat")).toBeNull();
  });

  test("an alt-click on a chosen value only lets it go", () => {
    const two = standOf({ type: "in", column: "label", values: ["cat", "dog"] });
    expect(toggleOut("label", two, "cat")).toEqual({ type: "in", column: "label", values: ["dog"] });
  });

  test("what is chosen, left out, or neither looks different", () => {
    const chosen = standOf({ type: "in", column: "label", values: ["cat"] });
    expect(barState(chosen, "cat")).toBe("chosen");
    expect(barState(chosen, "dog")).toBe("faded");
    expect(barState(standOf({ type: "not_in", column: "label", values: ["cat"] }), "cat")).toBe("left-out");
  });

  const bars = Array.from({ length: 24 }, (_, i) => ({ value: `v${i}`, total: 24 - i, visible: 1, selected: 0 }));

  test("a long list is cut off and says how many more there are", () => {
    const { rows, rest } = shownBars({ bars, more: 18, stand: none, expanded: false });
    expect(rows.length).toBe(8);
    expect(rest).toBe(34);
  });

  test("a chosen value stays in sight even when it is beyond the cut", () => {
    const stand = standOf({ type: "in", column: "street", values: ["v20", "far away"] });
    const shown = shownBars({ bars, more: 18, stand, expanded: false }).rows.map((bar) => bar.value);
    expect(shown).toContain("v20");
    expect(shown).toContain("far away");
  });
});

describe("what the kernel says", () => {
  test("a range without bounds is no clause", () => {
    expect(rangeClause("price", null)).toBeNull();
  });

  test("a brush is drawn again from the state after a reload", () => {
    const clause = { type: "range", column: "price", low: 1, high: null } as const;
    const state = stateWith([], {
      filter: {
        count: 1,
        version: 2,
        passing: 2,
        text: "",
        clauses: [{ source: "facet:price", sentence: "", column: "price", clause }],
      },
    });
    expect(clauseOf(state, "price", new Map())).toEqual({ active: true, clause });
    expect(clauseOf(state, "label", new Map())).toEqual({ active: false, clause: null });
  });
});

describe("columns", () => {
  const state = stateWith([
    column("sample_id", "text"),
    column("media", "text"),
    column("brightness"),
    column("price"),
    column("note", "text"),
    column("split", "category"),
    column("label", "category"),
    column("content_hash", "text"),
  ]);

  test("what people decide by comes first, then their columns, then statistics; names of one sample never", () => {
    const names = facetColumns(state, null).map((one) => one.name);
    expect(names).toEqual(["label", "split", "tags", "queues", "price", "note", "brightness"]);
  });

  test("columns asked for in Python are shown in that order, all open", () => {
    const columns = facetColumns(state, ["price", "label", "gone"]);
    expect(columns.map((one) => one.name)).toEqual(["price", "label"]);
    expect(openColumns(columns, null, true, state, foldsOf(null))).toEqual(["price", "label"]);
  });

  test("the tags open with the first tag, unless they were folded by hand", () => {
    const columns = facetColumns(state, null);
    const tagged = { ...state, tags: [{ name: "glare", count: 3 }] };
    expect(openColumns(columns, ["label"], false, state, foldsOf(null))).toEqual(["label"]);
    expect(openColumns(columns, ["label"], false, tagged, foldsOf(null))).toEqual(["label", "tags"]);
    const folded = toggledFold(foldsOf(null), "tags", false);
    expect(openColumns(columns, ["label"], false, tagged, folded)).toEqual(["label"]);
  });

  test("a column folded and opened by hand is so after a reload", () => {
    const kept = JSON.stringify(toggledFold(toggledFold(foldsOf(null), "price", true), "label", false));
    expect(foldsOf(kept)).toEqual({ open: ["price"], folded: ["label"] });
    expect(foldsOf("not json")).toEqual({ open: [], folded: [] });
  });
});
