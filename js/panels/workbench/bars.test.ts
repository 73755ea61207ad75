import { describe, expect, test } from "vitest";
import { captionable, colorable, sortable } from "../../core/columns.js";
import type { SessionState } from "../../core/protocol.js";
import { armChoices, armedOf, armedSentence } from "./armed.js";
import { lead, orderedClauses } from "./chips.js";
import { sortKey, sortOf } from "./controls.js";
import { placeholder } from "./filterbox.js";

const count = (n: number) => n.toLocaleString("en-US");
const state: SessionState = {
  rev: 1,
  name: "pets",
  sampleCount: 60_000,
  columns: [
    { name: "sample_id", type: "VARCHAR", kind: "text" },
    { name: "label", type: "VARCHAR", kind: "category" },
    { name: "box", type: "STRUCT(x INTEGER)", kind: "other" },
  ],
  labels: [{ name: "cat", count: 3 }],
  tags: [{ name: "glare", count: 2 }],
  queues: [],
  projections: [],
  selection: { count: 0, version: 1 },
  filter: { count: 60_000, version: 1, passing: 1, text: "", clauses: [] },
  history: { undo: null, redo: null },
  sort: { by: "added", descending: false },
  group: null,
  armed: null,
};
const clause = (source: string) => ({ source, sentence: source, column: null });

describe("arming", () => {
  test("words in use can be armed at once, new ones are asked for", () => {
    const texts = armChoices(state).map((choice) => choice.text);
    expect(texts).toEqual(["tag “glare”", "a new tag…", "label “cat”", "another label…", "a new queue…", "exclude"]);
  });

  test("what is armed is said in full", () => {
    expect(armedSentence(armedOf("tag", "glare"))).toBe("tag “glare”");
    expect(armedSentence(armedOf("label", "cat"))).toBe("label “cat”");
    expect(armedSentence(armedOf("queue", "review"))).toBe("queue “review”");
    expect(armedSentence({ verb: "relabel", arguments: { label: null } })).toBe("remove the label");
    expect(armedSentence({ verb: "exclude", arguments: {} })).toBe("exclude");
  });
});

describe("chips", () => {
  test("the filter box comes first, the legend next, then facets as they were set", () => {
    const sources = orderedClauses([clause("facet:b"), clause("facet:a"), clause("legend"), clause("text")]).map(
      (c) => c.source,
    );
    expect(sources).toEqual(["text", "legend", "facet:b", "facet:a"]);
  });

  test("a newcomer reads what to do next", () => {
    expect(lead(state, count)).toContain("select");
    expect(lead({ ...state, selection: { ...state.selection, count: 3 } }, count)).toContain("T tags");
  });

  test("without a filter the missing samples are explained", () => {
    expect(lead({ ...state, filter: { ...state.filter, count: 58_990 } }, count)).toBe("1,010 excluded");
    const filtered = { ...state, filter: { ...state.filter, count: 12, clauses: [clause("text")] } };
    expect(lead(filtered, count)).toBe("Filter");
  });
});

describe("lists of the top bar", () => {
  test("a column called like a sort of its own is still a column", () => {
    expect(sortOf(sortKey({ by: "column", column: "added", descending: true }), state.sort)).toEqual({
      by: "column",
      column: "added",
      descending: false,
    });
    expect(sortOf("added", { by: "column", column: "x", descending: true })).toEqual({
      by: "added",
      descending: false,
    });
  });

  test("names of single samples and structures are no colours", () => {
    expect(colorable(state.columns).map(({ name }) => name)).toEqual(["label"]);
  });

  test("numbers that only the house needs are offered in no list", () => {
    const columns = [...state.columns, { name: "media_revision", type: "UINTEGER", kind: "number" } as const];
    for (const offered of [colorable, sortable, captionable]) {
      expect(offered(columns).map(({ name }) => name)).not.toContain("media_revision");
    }
  });

  test("the example in the empty filter box names columns that exist", () => {
    expect(placeholder(["label", "brightness"])).toContain("brightness");
    expect(placeholder(["price"])).toBe("filter: price is not null");
    expect(placeholder([])).toBe("filter: one SQL expression");
  });
});
