import { describe, expect, it } from "vitest";
import { barsOf, stepOf, thresholdAt } from "./ranking.js";

describe("the handle", () => {
  it("stands at either end for the least and the most similar", () => {
    expect(thresholdAt(0, -0.25, 0.75)).toBe(-0.25);
    expect(thresholdAt(200, -0.25, 0.75)).toBe(0.75);
    expect(stepOf(-0.25, -0.25, 0.75)).toBe(0);
    expect(stepOf(0.75, -0.25, 0.75)).toBe(200);
  });

  it("says no more than what lies above it: three digits, rounded down", () => {
    expect(thresholdAt(133, 0, 1)).toBe(0.665);
    expect(thresholdAt(200, 0, 0.99999)).toBe(0.999);
    expect(thresholdAt(1, 0, 0.1)).toBe(0);
  });

  it("comes back to its step, and stays on the scale beyond its ends", () => {
    for (const step of [0, 1, 57, 133, 199, 200]) expect(stepOf(thresholdAt(step, -0.3, 1), -0.3, 1)).toBe(step);
    expect(stepOf(2, 0, 1)).toBe(200);
    expect(stepOf(-2, 0, 1)).toBe(0);
    expect(stepOf(0.5, 1, 1)).toBe(0); // all equally similar
  });
});

describe("the bars", () => {
  it("show the few beside the many, and nothing where there is nothing", () => {
    const [many, few, none] = barsOf([10_000, 1, 0], 20);
    expect(many).toBe(20);
    expect(few).toBe(1);
    expect(none).toBe(0);
    expect(barsOf([0, 0], 20)).toEqual([0, 0]);
    expect(barsOf([100, 25], 20)).toEqual([20, 10]);
  });
});
