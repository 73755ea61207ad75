import { describe, expect, it } from "vitest";
import { placeNames } from "./place_names.js";

const screen = { width: 600, height: 600 };
const transform = { ax: 600, bx: 0, ay: -600, by: 600 };
const dot = { text: "dot", color: 1, count: 300, x: 0.9, y: 0.9, low: 0.899, high: 0.901 };
const ring = { text: "ring", color: 0, count: 100, x: 0.5, y: 0.2, low: 0.1, high: 0.8 };

describe("names on the screen", () => {
  it("stand on what is high, and above what is not much higher than a line", () => {
    const [small, large] = placeNames([dot, ring], transform, screen, () => 40, 15);
    expect(small?.y).toBeLessThan(600 - 0.901 * 600);
    expect(large).toEqual({ text: "ring", x: 300, y: 480 });
  });

  it("do not stand over each other, nor outside the picture", () => {
    const ys = placeNames([dot, dot, dot], transform, screen, () => 40, 15).map((name) => name.y);
    expect(ys).toHaveLength(3);
    expect(new Set(ys).size).toBe(3);
    expect(placeNames([{ ...ring, x: 1.2 }], transform, screen, () => 40, 15)).toEqual([]);
  });
});
