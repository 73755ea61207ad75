import { describe, expect, test } from "vitest";
import type { AutotagState, AutotagSteps, Sign } from "../../core/protocol_autotag.js";
import { estimate, heights, missing, nextUnmarked, stepOf, type Tile, toTag } from "./words.js";

const STEPS: AutotagSteps = {
  taken: [10, 6, 3, 0],
  bins: [4, 3, 3],
  yes: [1, 0, 2],
  no: [1, 1, 0],
  ...{ precision: [0.3, 0.5, 0.9, 1], precisionLow: [0.2, 0.4, 0.8, 1], precisionHigh: [0.4, 0.6, 0.95, 1] },
  ...{ recall: [1, 0.9, 0.7, 0], recallLow: [1, 0.8, 0.6, 0], recallHigh: [1, 1, 0.8, 0] },
};

const tiles = (...marks: Sign[]): Tile[] =>
  marks.map((mark, no) => ({
    ...{ no, sample: no, on: null, box: null, id: "", label: null, tagged: false },
    ...{ score: null, why: null, mark, problem: null },
  }));

describe("what the button says", () => {
  test("all above the threshold, every positive mark, no negative one", () => {
    expect(toTag(STEPS, 2 / 3)).toBe(3 - 0 + 1);
    expect(toTag(STEPS, 1 / 3)).toBe(6 - 1 + 1);
    expect(toTag(STEPS, 0)).toBe(10 - 2);
    expect(toTag(STEPS, 1)).toBe(3);
  });

  test("thresholds lie on steps", () => {
    expect([0, 0.1, 0.3, 0.7, 1, 7].map((at) => stepOf(STEPS, at))).toEqual([0, 0, 1, 2, 3, 3]);
  });
});

describe("estimates", () => {
  test("are said with their ranges", () => {
    expect(estimate(STEPS, 2 / 3)).toEqual({
      precise: "90 %",
      preciseRange: "80–95 %",
      finds: "70 %",
      findsRange: "60–80 %",
    });
    expect(estimate({ ...STEPS, precision: null }, 0.5)).toBeNull();
  });

  test("say what is missing for them", () => {
    const of = (positives: number, negatives: number): string => missing({ positives, negatives } as AutotagState);
    expect(of(2, 28)).toBe("6 more marks (at least 6 +) until precision can be estimated.");
    expect(of(3, 2)).toBe("25 more marks (at least 5 + and 6 −) until precision can be estimated.");
    expect(of(20, 9)).toBe("1 more mark until precision can be estimated.");
    expect(of(20, 20)).toBe("An estimate comes with the next round.");
  });
});

test("after a mark the next tile without one comes, behind it first", () => {
  expect(nextUnmarked(tiles("none", "positive", "none", "none"), [1])).toBe(2);
  expect(nextUnmarked(tiles("none", "positive", "negative", "positive"), [2, 3])).toBe(0);
  expect(nextUnmarked(tiles("none", "none"), [])).toBe(0);
  expect(nextUnmarked(tiles("positive", "negative"), [0, 1])).toBe(-1);
});

test("bars keep their order and the highest fills the height", () => {
  const [low, high, none] = heights([1, 10_000, 0]);
  expect([high, none]).toEqual([1, 0]);
  expect(low).toBeGreaterThan(0.05);
});
