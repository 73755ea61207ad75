import { describe, expect, test } from "vitest";
import {
  type Choice,
  choiceOf,
  DEFAULT_CHOICE,
  DEFAULT_HEIGHT_PX,
  dragged,
  fittedHeight,
  folded,
  heightOf,
  layout,
  movable,
  RAIL_PX,
  SPLITTER_PX,
} from "./layout.js";

const shown = (part: Partial<Choice["shown"]>): Choice => ({
  ...DEFAULT_CHOICE,
  shown: { ...DEFAULT_CHOICE.shown, ...part },
});
const sum = (size: Record<string, number>) => Object.values(size).reduce((a, b) => a + b, 0);

describe("widths", () => {
  test.each([1400, 1000, 899, 700])("the parts fill %i px exactly", (width) => {
    expect(sum(layout(DEFAULT_CHOICE, width, 500).size)).toBe(width - 2 * SPLITTER_PX);
  });

  test("below 900 px the facets become a rail, unless the user opened them", () => {
    expect(layout(DEFAULT_CHOICE, 850, 500).size.facets).toBe(RAIL_PX);
    expect(layout(shown({ facets: true }), 850, 500).size.facets).toBeGreaterThan(RAIL_PX);
  });

  test("below 700 px the parts stand one above the other and fill the height", () => {
    const { kind, size } = layout(DEFAULT_CHOICE, 640, 500);
    expect(kind).toBe("stack");
    expect(sum(size)).toBeGreaterThan(495);
    expect(sum(size)).toBeLessThanOrEqual(500);
  });

  test("a folded grid gives its room to the plot", () => {
    const { size } = layout(shown({ grid: false }), 1400, 500);
    expect(size.grid).toBe(RAIL_PX);
    expect(size.scatter).toBe(1400 - 2 * SPLITTER_PX - RAIL_PX - size.facets);
  });

  test("not everything can be folded", () => {
    expect(folded(shown({ facets: false, scatter: false, grid: false }), 1400)).toMatchObject({ scatter: false });
  });

  test("a splitter between folded parts cannot be moved", () => {
    expect(movable({ facets: true, scatter: false, grid: false })).toEqual({ facets: false, grid: true });
    expect(movable({ facets: false, scatter: true, grid: false })).toEqual({ facets: true, grid: false });
  });
});

describe("dragging", () => {
  test("the facets follow the pointer, but neither they nor the others vanish", () => {
    expect(layout(dragged(DEFAULT_CHOICE, 1400, "facets", 300), 1400, 500).size.facets).toBe(300);
    expect(layout(dragged(DEFAULT_CHOICE, 1400, "facets", 5), 1400, 500).size.facets).toBeGreaterThan(100);
    const far = layout(dragged(DEFAULT_CHOICE, 1400, "facets", 1390), 1400, 500).size;
    expect(Math.min(far.scatter, far.grid)).toBeGreaterThan(150);
  });

  test("the grid's edge follows the pointer", () => {
    const { size } = layout(dragged(DEFAULT_CHOICE, 1400, "grid", 1000), 1400, 500);
    expect(Math.abs(size.grid - 400)).toBeLessThanOrEqual(2);
  });
});

describe("what was kept", () => {
  test("a kept layout comes back, and nonsense does not break it", () => {
    const choice = choiceOf({ facets_px: 300, grid_share: 0.3, show_grid: false });
    expect(choice).toMatchObject({ facetsPx: 300, gridShare: 0.3, shown: { facets: null, grid: false } });
    expect(choiceOf({ facets_px: "wide", grid_share: Number.NaN })).toEqual(DEFAULT_CHOICE);
    expect(heightOf({ height_px: 900 })).toBe(900);
    expect(heightOf({ height_px: -4 })).toBe(DEFAULT_HEIGHT_PX);
  });
});

describe("the height nobody chose", () => {
  test("in a low window the bar of decisions is in sight without scrolling", () => {
    expect(fittedHeight(580)).toBeLessThan(580);
    expect(fittedHeight(2000)).toBe(DEFAULT_HEIGHT_PX);
    expect(fittedHeight(100)).toBeGreaterThan(400);
  });
});
