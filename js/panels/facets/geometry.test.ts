import { describe, expect, test } from "vitest";
import { axisOf, barsPath, drag, ends, formatTime, gripAt, heights, span, step, tidy, typedBound } from "./geometry.js";

const unit = axisOf([0, 0.25, 0.5, 0.75, 1], 200, "DOUBLE");
const stars = axisOf([0.5, 1.5, 2.5, 3.5, 4.5, 5.5], 200, "INTEGER"); // 1 … 5, 40 px each

describe("drawing", () => {
  test("a bin with few samples is still seen, an empty one is not", () => {
    expect(heights([0, 1, 1000], 1000, 40)).toEqual([0, 1.5, 40]);
  });

  test("an empty histogram draws nothing", () => {
    expect(barsPath(unit, [0, 0.5, 1], heights([0, 0], 0, 40), 40)).toBe("");
  });

  test("bars fill the width from edge to edge", () => {
    const path = barsPath(unit, [0, 0.5, 1], [10, 20], 40);
    expect(path).toBe("M0 40V30H99V40ZM100 40V20H199V40Z");
  });

  test("a column with one single value gives an axis with a width", () => {
    expect(axisOf([3, 3], 100, "DOUBLE").high).toBeGreaterThan(3);
  });

  test("the ends of a whole-number axis are numbers that occur", () => {
    expect(ends(stars)).toEqual([1, 5]);
    expect(ends(unit)).toEqual([0, 1]);
  });
});

describe("brush", () => {
  test("a drag over the middle makes a range with as many decimals as a pixel tells apart", () => {
    expect(drag(unit, "new", null, 40, 101)).toEqual({ low: 0.2, high: 0.505 });
  });

  test("a drag to the left gives the same range as one to the right", () => {
    expect(drag(unit, "new", null, 101, 40)).toEqual(drag(unit, "new", null, 40, 101));
  });

  test("a drag past an end of the axis leaves that side open", () => {
    expect(drag(unit, "new", null, 100, 260)).toEqual({ low: 0.5, high: null });
    expect(drag(unit, "new", null, -30, 100)).toEqual({ low: null, high: 0.5 });
  });

  test("a drag over everything is no filter", () => {
    expect(drag(unit, "new", null, -5, 300)).toBeNull();
  });

  test("moving one handle leaves the other bound exactly as typed", () => {
    const typed = { low: 0.123456, high: 0.5 };
    expect(drag(unit, "high", typed, 100, 150)).toEqual({ low: 0.123456, high: 0.75 });
    expect(drag(unit, "low", { low: 0.2, high: 0.987654 }, 40, 60)).toEqual({ low: 0.3, high: 0.987654 });
  });

  test("a handle dragged over the other turns the brush round", () => {
    expect(drag(unit, "low", { low: 0.2, high: 0.5 }, 40, 150)).toEqual({ low: 0.5, high: 0.75 });
  });

  test("moving the brush keeps its width at the ends of the axis", () => {
    expect(drag(unit, "move", { low: 0.25, high: 0.5 }, 60, 500)).toEqual({ low: 0.75, high: null });
  });

  test("a brush on whole numbers covers whole bins", () => {
    expect(drag(stars, "new", null, 45, 118)).toEqual({ low: 2, high: 3 });
    expect(span(stars, { low: 2, high: 3 })).toEqual([40, 120]);
  });

  test("a short drag inside one whole number chooses that number", () => {
    expect(drag(stars, "new", null, 90, 110)).toEqual({ low: 3, high: 3 });
  });

  test("the pointer takes hold of the nearer handle, the inside, or nothing", () => {
    const brush = { low: 0.25, high: 0.75 };
    expect(gripAt(unit, brush, 52)).toBe("low");
    expect(gripAt(unit, brush, 147)).toBe("high");
    expect(gripAt(unit, brush, 100)).toBe("move");
    expect(gripAt(unit, brush, 10)).toBe("new");
    expect(gripAt(unit, null, 100)).toBe("new");
  });

  test("arrow keys move a handle by a bin, and past the end they lift the bound", () => {
    expect(step(unit, 4, null, "low", 1, false)).toEqual({ low: 0.25, high: null });
    expect(step(unit, 4, { low: 0.25, high: 0.5 }, "low", -1, false)).toEqual({ low: null, high: 0.5 });
    expect(step(unit, 4, { low: 0.25, high: null }, "low", -1, false)).toBeNull();
    expect(step(stars, 5, null, "high", -1, true)).toEqual({ low: null, high: 4 });
  });

  test("a handle moved by keys stops at the other one", () => {
    expect(step(unit, 4, { low: 0.5, high: 0.6 }, "low", 1, false)).toEqual({ low: 0.6, high: 0.6 });
  });

  test("a brush over times ends on whole days, and holds the last of them", () => {
    const day = 86_400_000;
    const start = Date.UTC(2024, 0, 1);
    const days = axisOf([start, start + 50 * day, start + 100 * day], 200, "TIMESTAMP", true);
    const brush = drag(days, "new", null, 41, 80);
    expect(brush?.low).toBe(Date.UTC(2024, 0, 22));
    expect(brush?.high).toBe(start + 40 * day - 1);
    expect(formatTime(brush?.high ?? 0, 100 * day)).toBe("2024-02-09");
    expect(drag(days, "new", null, 40.2, 40.9)).toEqual({ low: start + 20 * day, high: start + 21 * day - 1 });
  });

  test("rounding never writes minus zero", () => {
    expect(Object.is(tidy(axisOf([-1, 1], 100, "DOUBLE"), -0.0001), 0)).toBe(true);
  });
});

describe("typed bounds", () => {
  test("numbers, nothing, and what is neither", () => {
    expect(typedBound("1e6", false)).toBe(1_000_000);
    expect(typedBound(" 0.25 ", false)).toBe(0.25);
    expect(typedBound("", false)).toBeNull();
    expect(typedBound("blue", false)).toBeUndefined();
  });

  test("dates, to the day or to the minute, in the time of the session", () => {
    expect(typedBound("2024-05-31", true)).toBe(Date.UTC(2024, 4, 31));
    expect(typedBound("2024-05-31 14:00", true)).toBe(Date.UTC(2024, 4, 31, 14));
    expect(typedBound("2024-05-31", true, "high")).toBe(Date.UTC(2024, 5, 1) - 1);
    expect(typedBound("soon", true)).toBeUndefined();
  });

  test("times are shown as finely as the axis needs", () => {
    const at = Date.UTC(2024, 4, 31, 14, 5, 6);
    expect(formatTime(at, 400 * 86_400_000)).toBe("2024-05-31");
    expect(formatTime(at, 7_200_000)).toBe("2024-05-31 14:05");
    expect(formatTime(at, 60_000)).toBe("2024-05-31 14:05:06");
  });
});
