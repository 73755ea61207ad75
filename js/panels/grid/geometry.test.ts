import { describe, expect, it } from "vitest";
import {
  geometry,
  isScaled,
  lastTop,
  MOST_HEIGHT_PX,
  moved,
  placeOf,
  scrolled,
  scrollOfTop,
  spansInBox,
  topOfScroll,
  topShowing,
  visibleSpan,
} from "./geometry.js";

const MILLION = 1_000_000;
const huge = geometry(600, 500, 256, MILLION);
const small = geometry(600, 500, 96, 1000);

describe("a grid of a million large tiles", () => {
  it("keeps the scrolled element below what browsers can draw", () => {
    expect(huge.fullHeight).toBeGreaterThan(100_000_000);
    expect(huge.scrollHeight).toBe(MOST_HEIGHT_PX);
    expect(isScaled(huge)).toBe(true);
  });

  it("reaches the first and the last tile with the scroll bar", () => {
    expect(visibleSpan(huge, topOfScroll(huge, 0)).from).toBe(0);
    expect(visibleSpan(huge, topOfScroll(huge, MOST_HEIGHT_PX - 500)).to).toBe(MILLION - 1);
  });

  it("moves by what the wheel moved, not by a multiple of it", () => {
    expect(scrolled(huge, 50_000_000, 5_000_000, 5_000_100)).toBe(50_000_100);
  });

  it("follows the scroll bar when it is dragged far", () => {
    const top = scrolled(huge, 0, 0, MOST_HEIGHT_PX / 2);
    expect(top / lastTop(huge)).toBeCloseTo(0.5, 3);
  });

  it("ends where the scroll bar ends", () => {
    expect(scrolled(huge, 90_000_000, MOST_HEIGHT_PX - 550, MOST_HEIGHT_PX - 500)).toBe(lastTop(huge));
    expect(scrolled(huge, 5000, 40, 0)).toBe(0);
  });

  it("goes there and back", () => {
    expect(topOfScroll(huge, scrollOfTop(huge, 77_000_000))).toBeCloseTo(77_000_000, 3);
  });
});

describe("tiles", () => {
  it("fill the row to both edges", () => {
    const last = placeOf(small, small.columns - 1);
    expect(600 - 8 - (last.left + small.tileWidth)).toBeLessThan(small.columns);
  });

  it("in sight are those with a pixel in sight", () => {
    const { from, to } = visibleSpan(small, 0);
    expect(from).toBe(0);
    expect(placeOf(small, to).top).toBeLessThan(500);
    expect(placeOf(small, to + 1).top).toBeGreaterThanOrEqual(500);
  });

  it("never run past the last one, and there are none in an empty session", () => {
    expect(visibleSpan(geometry(600, 500, 96, 3), 0).to).toBe(2);
    expect(visibleSpan(geometry(600, 500, 96, 0), 0)).toEqual({ from: 0, to: -1 });
  });

  it("stand in a single column when the panel is narrower than a tile", () => {
    expect(geometry(40, 300, 256, 10).columns).toBe(1);
  });

  it("scroll into sight by as little as needed", () => {
    expect(topShowing(small, 0, 0)).toBe(0);
    const position = 40;
    const top = topShowing(small, 0, position);
    expect(placeOf(small, position).top + small.tileHeight).toBeLessThanOrEqual(top + 500);
    expect(topShowing(small, top, position)).toBe(top);
  });
});

describe("a box drawn with the mouse", () => {
  it("takes the tiles it touches, row by row", () => {
    const a = placeOf(small, 0);
    const b = placeOf(small, small.columns + 2);
    const box = { x0: b.left + 1, y0: b.top + 1, x1: a.left + 1, y1: a.top + 1 };
    expect(spansInBox(small, box)).toEqual([
      { from: 0, to: 2 },
      { from: small.columns, to: small.columns + 2 },
    ]);
  });

  it("is one run when it spans every column", () => {
    const box = { x0: 0, y0: 0, x1: 600, y1: placeOf(small, small.columns * 3).top - 20 };
    expect(spansInBox(small, box)).toEqual([{ from: 0, to: small.columns * 3 - 1 }]);
  });

  it("takes nothing between tiles or below the last one", () => {
    const gap = placeOf(small, 0).left + small.tileWidth + 2;
    expect(spansInBox(small, { x0: gap, y0: 20, x1: gap + 2, y1: 30 })).toEqual([]);
    expect(spansInBox(geometry(600, 500, 96, 2), { x0: 300, y0: 300, x1: 500, y1: 400 })).toEqual([]);
  });
});

describe("keys", () => {
  it("move by one, by a row, by a screen, to the ends, and not out of the grid", () => {
    expect(moved(small, 7, "ArrowRight")).toBe(8);
    expect(moved(small, 7, "ArrowDown")).toBe(7 + small.columns);
    expect(moved(small, 0, "ArrowLeft")).toBe(0);
    expect(moved(small, 1, "ArrowUp")).toBe(1);
    expect(moved(small, 0, "End")).toBe(999);
    expect(moved(small, 0, "PageDown")).toBeGreaterThan(small.columns);
    expect(moved(small, 0, "q")).toBeNull();
    expect(moved(geometry(600, 500, 96, 0), 0, "End")).toBeNull();
  });
});
