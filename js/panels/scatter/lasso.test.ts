import { describe, expect, it } from "vitest";
import { random } from "../../dev/fake_data.js";
import { inside, MOST_VERTICES, polygonOf, RingTest, roundTo, simplify } from "./lasso.js";

const circle = (n: number, r = 200): number[] => {
  const path: number[] = [];
  for (let i = 0; i < n; i++)
    path.push(400 + r * Math.cos((2 * Math.PI * i) / n), 300 + r * Math.sin((2 * Math.PI * i) / n));
  return path;
};

/** What a nervous hand draws in twenty seconds. */
const scribble = (n: number): number[] => {
  const next = random(3);
  const path: number[] = [];
  for (let i = 0; i < n; i++)
    path.push(400 + 380 * Math.sin(i * 0.37) + 40 * next(), 300 + 280 * Math.cos(i * 0.23) + 40 * next());
  return path;
};

const toData = (x: number, y: number): [number, number] => [(x - 400) * 0.0123, (300 - y) * 0.0123];
const pixel: [number, number] = [0.0123, 0.0123];

const requestBytes = (points: number[], projection = "auto/umap"): number => {
  const body = { shape: { type: "polygon", projection, points }, mode: "intersect", source: "scatter" };
  const panel = "0123456789abcdef0123456789abcdef";
  return new TextEncoder().encode(JSON.stringify({ v: 1, k: "req", id: 281474976710655, op: "select", panel, body }))
    .length;
};

describe("lasso", () => {
  it("fits into one kilobyte, however wild and however far zoomed in", () => {
    for (const path of [circle(2000), scribble(3000), circle(40, 5), scribble(50)]) {
      for (const scale of [1e-6, 0.0123, 1, 1e5]) {
        const ring = polygonOf(path, (x, y) => [17.123456789 + x * scale, -3.987654321 - y * scale], [scale, scale]);
        expect(ring.length).toBeGreaterThanOrEqual(6);
        expect(ring.length).toBeLessThanOrEqual(2 * MOST_VERTICES);
        expect(requestBytes(ring)).toBeLessThan(1024);
      }
    }
  });

  it("keeps a calm lasso within a pixel of what was drawn", () => {
    const path = circle(1500);
    const ring = polygonOf(path, toData, pixel);
    const drawn = path.flatMap((_, i) => (i % 2 ? [] : toData(path[i] as number, path[i + 1] as number)));
    const next = random(5);
    let wrong = 0;
    for (let i = 0; i < 20_000; i++) {
      const x = 150 + 500 * next();
      const y = 50 + 500 * next();
      const off = Math.abs(Math.hypot(x - 400, y - 300) - 200);
      if (off > 1.6 && inside(ring, ...toData(x, y)) !== inside(drawn, ...toData(x, y))) wrong++;
    }
    expect(wrong).toBe(0);
  });

  it("leaves out what lies on a straight line", () => {
    expect(simplify([0, 0, 5, 0, 10, 0, 10, 5, 10, 10, 5, 10, 0, 10, 0, 5], 0.1, 60)).toEqual([
      0, 0, 10, 0, 10, 10, 0, 10,
    ]);
  });

  it("rounds to what the screen resolves, without digits of noise", () => {
    expect(roundTo(1.23456789, 0.02)).toBe(1.23);
    expect(roundTo(-1234567, 300)).toBe(-1234600);
    expect(roundTo(0.1 + 0.2, 0.001)).toBe(0.3);
  });

  it("does not select the hole of a ring drawn twice around, nor anything with a ring of no area", () => {
    const bow = [0, 0, 10, 10, 10, 0, 0, 10];
    expect(inside(bow, 2, 5)).toBe(true);
    expect(inside(bow, 5, 2)).toBe(false);
    expect(new RingTest(Float64Array.from([0, 0, 5, 5, 9, 9])).has(5, 5)).toBe(inside([0, 0, 5, 5, 9, 9], 5, 5));
    expect(new RingTest(Float64Array.from([3, 0, 3, 9, 3, 4])).has(3, 4)).toBe(false);
  });

  it("finds the same points with cells as with the plain test", () => {
    const next = random(11);
    for (const path of [circle(60, 150), scribble(40), scribble(9), [0, 0, 800, 3, 3, 600]]) {
      const ring = Float64Array.from(path);
      const test = new RingTest(ring);
      const { columns, rows, cells } = test.table();
      const wrong: [number, number][] = [];
      for (let i = 0; i < 30_000; i++) {
        const x = 820 * next() - 10;
        const y = 620 * next() - 10;
        if (test.has(x, y) !== inside(ring, x, y)) wrong.push([x, y]);
      }
      // Whole numbers, as steps are: corners and edges of cells and ring.
      for (let x = 0; x < 800; x += 7) {
        for (let y = 0; y < 600; y += 11) {
          const cell = cells[(rows[y] as number) + (columns[x] as number)] as number;
          const quick = cell === 2 ? test.has(x, y) : cell === 1;
          if (test.has(x, y) !== inside(ring, x, y) || quick !== test.has(x, y)) wrong.push([x, y]);
        }
      }
      expect(wrong).toEqual([]);
    }
  });
});
