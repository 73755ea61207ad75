// @vitest-environment jsdom
import { signal } from "@preact/signals-core";
import { beforeEach, expect, test, vi } from "vitest";
import { gridKeys } from "./keys.js";
import type { Grid } from "./panel.js";

const mark = vi.fn();
const grow = vi.fn();
const toggleObjects = vi.fn(() => true);
const marking = signal<{ tag: string; mark: typeof mark } | null>(null);
let alone: number | null;
let selected: number;

/** What the keys see of a grid: tile 8 has the focus. */
function grid(): Grid {
  const store = { marking, state: signal({ selection: { count: selected } }) };
  const dom = { effectUntil: (_: AbortSignal, run: () => void) => run() };
  return {
    panel: { hub: { store, dom }, root: document.createElement("div"), signal: new AbortController().signal },
    focused: 8,
    pages: { tile: () => ({ no: 8 }) },
    focusedAlone: () => alone,
    selecting: {},
    grow,
    toggleObjects,
  } as unknown as Grid;
}

const press = (key: string): boolean => gridKeys(grid())(new KeyboardEvent("keydown", { key }));

beforeEach(() => {
  vi.clearAllMocks();
  marking.value = { tag: "seven", mark };
  [alone, selected] = [null, 0];
});

test("+ and − mark the tile one is at, even while the one before it is still selected", () => {
  [alone, selected] = [8, 1];
  expect(press("+")).toBe(true);
  expect(mark).toHaveBeenLastCalledWith("positive", { type: "samples", nos: [8] });
  expect(press("-")).toBe(true);
  expect(mark).toHaveBeenLastCalledWith("negative", { type: "samples", nos: [8] });
});

test("of several that are selected they mark all, and with nothing selected the tile under the focus", () => {
  selected = 5;
  press("-");
  expect(mark).toHaveBeenLastCalledWith("negative", { type: "selection" });
  selected = 0;
  press("=");
  expect(mark).toHaveBeenLastCalledWith("positive", { type: "samples", nos: [8] });
  expect(grow).not.toHaveBeenCalled();
});

test("when nothing is being marked they size the tiles; O is about objects", () => {
  marking.value = null;
  press("+");
  press("-");
  expect(grow.mock.calls).toEqual([[1], [-1]]);
  expect(mark).not.toHaveBeenCalled();
  expect(press("o")).toBe(true);
  expect(toggleObjects).toHaveBeenCalledTimes(1);
});
