import { describe, expect, it } from "vitest";
import {
  geometry,
  headingOf,
  headingsAt,
  isScaled,
  lastTop,
  MOST_HEIGHT_PX,
  moved,
  placeOf,
  scrolled,
  scrollOfTop,
  sectionAt,
  sectionOf,
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

describe("groups", () => {
  const starts = [0, 7, 8, 60];
  const grouped = geometry(600, 500, 96, 100, starts);
  const { columns, rowHeight, headingHeight } = grouped;

  it("begin on a row of their own, under a heading", () => {
    for (const [section, start] of starts.entries()) {
      const place = placeOf(grouped, start);
      expect(place.left).toBe(placeOf(grouped, 0).left);
      expect(place.top).toBe(headingOf(grouped, section).top + headingHeight);
      expect(sectionOf(grouped, start)).toBe(section);
    }
    expect(placeOf(grouped, 8).top - placeOf(grouped, 7).top).toBe(rowHeight + headingHeight);
    expect(starts.map((_, section) => headingOf(grouped, section).count)).toEqual([7, 1, 52, 40]);
  });

  it("are in sight exactly with the tiles and headings that have a pixel there", () => {
    for (let top = 0; top <= lastTop(grouped); top += 13) {
      const shown = Array.from({ length: 100 }, (_, position) => position).filter((position) => {
        const place = placeOf(grouped, position).top;
        return place + grouped.tileHeight > top && place <= top + 500;
      });
      expect(visibleSpan(grouped, top)).toEqual({ from: shown[0], to: shown.at(-1) });
      const { lying, staying } = headingsAt(grouped, top);
      const under = starts
        .map((_, section) => headingOf(grouped, section))
        .filter((one) => one.top + headingHeight > top);
      for (const heading of under.filter((one) => one.top < top + 500)) expect(lying).toContainEqual(heading);
      if (staying !== null) expect(staying.section).toBe(sectionAt(grouped, top));
    }
  });

  it("keep their heading at the top until the next one pushes it out", () => {
    const next = headingOf(grouped, 3).top;
    expect(headingsAt(grouped, 0).staying).toBeNull();
    expect(headingsAt(grouped, next - 200).staying).toMatchObject({ section: 2, push: 0 });
    expect(headingsAt(grouped, next - 10).staying).toMatchObject({ section: 2, push: 10 - headingHeight });
    expect(headingsAt(grouped, next + 1).staying).toMatchObject({ section: 3, push: 0 });
  });

  it("are crossed by the keys in the same column, and no row is left out", () => {
    expect(moved(grouped, 6, "ArrowRight")).toBe(7);
    expect(moved(grouped, 7, "ArrowDown")).toBe(8);
    expect(moved(grouped, 9, "ArrowUp")).toBe(7);
    expect(moved(grouped, 8 + columns + 1, "ArrowUp")).toBe(9);
    expect(moved(grouped, 59, "ArrowDown")).toBe(60 + ((59 - 8) % columns));
    for (const key of ["ArrowDown", "PageDown"]) {
      let [position, steps] = [0, 0];
      for (let next = moved(grouped, 0, key); next !== null && next > position && steps < 200; steps++) {
        position = next;
        next = moved(grouped, position, key);
      }
      expect(position).toBeGreaterThanOrEqual(100 - columns);
    }
    expect(moved(grouped, 99, "PageUp")).toBeLessThan(99);
  });

  it("give a tile the keyboard reaches its place below the heading that stays", () => {
    const top = topShowing(grouped, lastTop(grouped), 30);
    expect(placeOf(grouped, 30).top - top).toBeGreaterThanOrEqual(headingHeight);
  });

  it("are taken by a box across them, each with its own rows", () => {
    const second = placeOf(grouped, 7);
    const box = { x0: second.left, y0: 0, x1: second.left + 2, y1: placeOf(grouped, 8).top + 5 };
    const column = Array.from({ length: Math.ceil(7 / columns) }, (_, row) => ({
      from: row * columns,
      to: row * columns,
    }));
    expect(spansInBox(grouped, box)).toEqual([
      ...column.slice(0, -1),
      ...joined([...column.slice(-1), { from: 7, to: 8 }]),
    ]);
    expect(spansInBox(grouped, { x0: 0, y0: 0, x1: 600, y1: placeOf(grouped, 60).top + 5 })).toEqual([
      { from: 0, to: 59 + columns },
    ]);
  });

  it("by the thousand, of a million tiles, are found without walking through them", () => {
    const many = Array.from({ length: 1001 }, (_, i) => i * 999);
    const large = geometry(600, 500, 256, MILLION, many);
    expect(isScaled(large)).toBe(true);
    for (const top of [0, 1e6, 5e7, lastTop(large)]) {
      const { from, to } = visibleSpan(large, top);
      expect(to - from).toBeLessThan(40);
      expect(Math.abs(placeOf(large, from).top - top)).toBeLessThan(400);
    }
    expect(visibleSpan(large, lastTop(large)).to).toBe(MILLION - 1);
  });

  it("that begin behind the last tile are none", () => {
    expect(geometry(600, 500, 96, 0, [0]).headingHeight).toBe(0);
    expect(geometry(600, 500, 96, 5, [0, 5, 9]).starts).toEqual(Float64Array.from([0, 5]));
  });
});

/** Spans that touch, as one. */
function joined(spans: { from: number; to: number }[]): { from: number; to: number }[] {
  const found: { from: number; to: number }[] = [];
  for (const span of spans) {
    const last = found.at(-1);
    if (last !== undefined && last.to + 1 === span.from) last.to = span.to;
    else found.push({ ...span });
  }
  return found;
}
