import { describe, expect, it } from "vitest";
import { random } from "../../dev/fake_data.js";
import { Cloud, FADED, FULL, GONE, type Row, SELECTED } from "./cloud.js";
import { inside } from "./lasso.js";

const MODES = ["replace", "add", "subtract", "intersect"] as const;
const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

const bits = (n: number, on: Iterable<number>): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array((n + 7) >> 3);
  for (const i of on) bytes[i >> 3] = (bytes[i >> 3] as number) | (1 << (i & 7));
  return bytes;
};

function grid(n = 20): Cloud {
  const cloud = new Cloud(n, [0, 0, 1, 1]);
  const xy = new Uint16Array(2 * n);
  for (let i = 0; i < n; i++) xy.set([i * 1000, i * 500], 2 * i);
  cloud.add(0, n, xy, Uint8Array.from(range(n)));
  return cloud;
}

function scattered(n: number, seed = 1): { xy: Uint16Array<ArrayBuffer>; colors: Uint8Array<ArrayBuffer> } {
  const next = random(seed);
  return {
    xy: Uint16Array.from({ length: 2 * n }, () => next() * 65536),
    colors: Uint8Array.from({ length: n }, () => next() * 10),
  };
}

const selectedOf = (cloud: Cloud): number[] =>
  range(cloud.loaded).filter((i) => ((cloud.flags[i] as number) & SELECTED) !== 0);

const membersOf = (cloud: Cloud, row: Row): number[] => {
  const found = new Uint32Array(cloud.loaded + 1);
  return [...found.subarray(0, cloud.gather(row, cloud.rows, 0, cloud.loaded, found))];
};

describe("a cloud of points", () => {
  it("takes parts in any order and counts only those without a gap before them", () => {
    const { xy, colors } = scattered(10);
    const cloud = new Cloud(10, [0, 0, 1, 1]);
    const part = (from: number, to: number) =>
      cloud.add(from, to - from, xy.slice(2 * from, 2 * to), colors.slice(from, to));
    part(4, 7);
    expect(cloud.loaded).toBe(0);
    part(0, 4);
    expect(cloud.loaded).toBe(7);
    part(7, 10);
    expect([cloud.loaded, cloud.visible]).toEqual([10, 10]);
    expect(cloud.xy).toEqual(xy);
    expect(cloud.colors).toEqual(colors);
  });

  it("does not overflow when more or less comes than was said", () => {
    const cloud = new Cloud(2, [0, 0, 1, 1]);
    cloud.add(1, 5, new Uint16Array(10), new Uint8Array(5));
    cloud.add(-3, 2, new Uint16Array(4), new Uint8Array(2));
    cloud.add(7, 2, new Uint16Array(4), new Uint8Array(2));
    cloud.add(0, 1, new Uint16Array(3), new Uint8Array(0)); // one and a half places
    cloud.setColors(1, new Uint8Array(9));
    expect(cloud.loaded).toBe(2);
    expect(new Cloud(0, [0, 0, 1, 1]).selectedBox()).toBeNull();
  });

  it("reads the bitsets bit by bit, and words for all of them", () => {
    const cloud = grid();
    cloud.setMarks(bits(20, [0, 7, 8, 19]), bits(20, [0, 1, 2, 7, 8]));
    expect(selectedOf(cloud)).toEqual([0, 7, 8, 19]);
    expect([cloud.selected, cloud.visible]).toEqual([4, 5]);
    cloud.setMarks("all", null);
    expect([cloud.selected, cloud.visible]).toEqual([20, 5]);
    cloud.setMarks("none", "all");
    expect([cloud.selected, cloud.visible]).toEqual([0, 20]);
  });

  it("sorts points into gone, faded and full ones, each in its random order", () => {
    const cloud = grid();
    cloud.selecting = true;
    cloud.setMarks(
      bits(20, [3, 5, 12]),
      bits(
        20,
        range(20).filter((i) => i % 4 !== 0),
      ),
    );
    expect(membersOf(cloud, GONE)).toEqual([0, 4, 8, 12, 16]);
    expect(membersOf(cloud, FULL)).toEqual([3, 5]);
    expect(membersOf(cloud, FADED)).toHaveLength(13);
    for (const row of [GONE, FADED, FULL] as const) {
      expect(cloud.size(row)).toBe(membersOf(cloud, row).length);
      expect([...(cloud.list(row) ?? [])]).toEqual(membersOf(cloud, row));
    }
    cloud.selecting = false;
    expect([cloud.size(FADED), cloud.size(FULL)]).toEqual([0, 15]);
    expect(cloud.list(FULL)).toHaveLength(15);
  });

  it("works out a lasso exactly like the plain test of every point, in all modes", () => {
    const n = 4000;
    const next = random(4);
    for (const mode of MODES) {
      const { xy, colors } = scattered(n, 9);
      for (let i = 0; i < 400; i++) xy[i] = Math.round((xy[i] as number) / 2048) * 2048; // on the ring's corners and edges
      const cloud = new Cloud(n, [0, 0, 1, 1]);
      cloud.add(0, n, xy, colors);
      const was = range(n).filter(() => next() < 0.5);
      const visible = new Set(range(n).filter(() => next() < 0.7));
      cloud.setMarks(bits(n, was), bits(n, visible));
      const before = new Set(was);
      const ring = Float64Array.from({ length: 24 }, () => Math.round(next() * 32) * 2048);
      cloud.change({ kind: "ring", ring, mode });
      const expected = range(n).filter((i) => {
        const hit = visible.has(i) && inside(ring, xy[2 * i] as number, xy[2 * i + 1] as number);
        if (mode === "replace") return hit;
        if (mode === "add") return before.has(i) || hit;
        return before.has(i) && (mode === "subtract" ? !hit : hit);
      });
      expect(selectedOf(cloud)).toEqual(expected);
      expect(cloud.selected).toBe(expected.length);
    }
  });

  it("picks single visible points, in all modes", () => {
    const cloud = grid();
    cloud.setMarks(bits(20, [1, 2, 3]), bits(20, range(10)));
    cloud.change({ kind: "pick", indices: [3, 4, 15, -1, 99], mode: "add" });
    expect(selectedOf(cloud)).toEqual([1, 2, 3, 4]);
    cloud.change({ kind: "pick", indices: [2], mode: "subtract" });
    expect(selectedOf(cloud)).toEqual([1, 3, 4]);
    cloud.change({ kind: "pick", indices: [4, 5], mode: "intersect" });
    expect(selectedOf(cloud)).toEqual([4]);
    cloud.change({ kind: "pick", indices: [], mode: "replace" });
    expect(cloud.selected).toBe(0);
  });

  it("does to points that come later what was done before they came", () => {
    const n = 3000;
    const { xy, colors } = scattered(n);
    const whole = new Cloud(n, [0, 0, 1, 1]);
    const late = new Cloud(n, [0, 0, 1, 1]);
    const half = 1000;
    whole.add(0, n, xy, colors);
    late.add(0, half, xy.slice(0, 2 * half), colors.slice(0, half));
    const ring = Float64Array.of(9000, 9000, 50000, 12000, 30000, 60000);
    const other = Float64Array.of(0, 0, 40000, 0, 0, 40000);
    for (const cloud of [whole, late]) {
      cloud.setMarks(
        bits(
          n,
          range(n).filter((i) => i % 3 === 0),
        ),
        bits(
          n,
          range(n).filter((i) => i % 7 !== 0),
        ),
      );
      cloud.change({ kind: "ring", ring, mode: "add" });
      cloud.keep();
      cloud.change({ kind: "pick", indices: [], mode: "replace" });
    }
    late.add(half, 500, xy.slice(2 * half, 2 * (half + 500)), colors.slice(half, half + 500));
    for (const cloud of [whole, late]) {
      cloud.restore();
      cloud.change({ kind: "ring", ring: other, mode: "subtract" });
      cloud.change({ kind: "correct", on: [5, 2900], off: [6, 2901] });
    }
    late.add(1500, 1500, xy.slice(3000), colors.slice(1500));
    expect(selectedOf(late)).toEqual(selectedOf(whole));
    expect(late.tally).toEqual(whole.tally);
  });

  it("finds the nearest visible point, the upper one of several, and none out of reach", () => {
    const cloud = grid();
    const transform = { ax: 0.01, bx: 3, ay: -0.01, by: 700 };
    const at = (stepX: number, stepY: number) => cloud.nearest(stepX * 0.01 + 3, stepY * -0.01 + 700, transform, 8);
    expect(at(5010, 2490)).toBe(5);
    cloud.add(19, 1, Uint16Array.of(5000, 2500), Uint8Array.of(1));
    expect(at(5010, 2490)).toBe(19);
    cloud.setMarks(null, bits(20, [0, 1]));
    expect(at(5010, 2490)).toBeNull();
  });

  it("measures density where the points are, not over the empty plot", () => {
    const n = 4000;
    const tight = new Cloud(n, [0, 0, 1, 1]);
    const xy = new Uint16Array(2 * n);
    for (let i = 0; i < n; i++) xy.set([1000 + (i % 60), 1000 + (i % 47)], 2 * i);
    tight.add(0, n, xy, new Uint8Array(n));
    expect(tight.density({ width: 1, height: 1 })).toBeGreaterThan(n * 1000);
    expect(grid().density({ width: 1, height: 1 })).toBeLessThan(20 * 5000);
  });

  it("takes at most ten bytes a point, also with half of them selected and a selection kept", () => {
    const n = 1_000_000;
    const { xy, colors } = scattered(n);
    const cloud = new Cloud(n, [0, 0, 1, 1]);
    cloud.add(0, n, xy, colors);
    cloud.selecting = true;
    cloud.change({ kind: "ring", ring: Float64Array.of(0, 0, 65536, 0, 0, 65536), mode: "replace" });
    cloud.setMarks(null, bits(n, range(n - 50_000)));
    cloud.keep();
    expect(cloud.selected).toBeGreaterThan(400_000);
    for (const row of [GONE, FADED, FULL] as const) cloud.list(row);
    expect(cloud.bytes / n).toBeLessThan(10);
    expect(cloud.bytes / n).toBeGreaterThan(6);
  });
});
