import { describe, expect, it } from "vitest";
import { FADED, FULL, GONE, Points, SELECTED, VISIBLE } from "./points.js";

const bits = (...on: number[]): DataView => {
  const bytes = new Uint8Array(3);
  for (const i of on) bytes[i >> 3] = (bytes[i >> 3] as number) | (1 << (i & 7));
  return new DataView(bytes.buffer);
};

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

function grid(n = 20): Points {
  const points = new Points("auto/pca", n, [0, 0, 1, 1]);
  const xy = new Uint16Array(2 * n);
  for (let i = 0; i < n; i++) xy.set([i * 1000, i * 500], 2 * i);
  points.add(0, n, new DataView(xy.buffer), new DataView(Uint8Array.from(range(n)).buffer));
  return points;
}

const selectedOf = (points: Points): number[] =>
  range(points.loaded).filter((i) => ((points.flags[i] as number) & SELECTED) !== 0);

describe("points", () => {
  it("take a part from any address of a message", () => {
    const points = new Points("p", 4, [0, 0, 1, 1]);
    const bytes = new Uint8Array(13);
    new DataView(bytes.buffer).setUint16(1, 1234, true);
    new DataView(bytes.buffer).setUint16(3, 65535, true);
    points.add(2, 1, new DataView(bytes.buffer, 1, 4), new DataView(bytes.buffer, 12, 1));
    expect([...points.xy.slice(4, 6)]).toEqual([1234, 65535]);
    expect(points.loaded).toBe(3);
  });

  it("do not overflow when the kernel sends more than it said", () => {
    const points = new Points("p", 2, [0, 0, 1, 1]);
    expect(() => points.add(1, 5, new DataView(new ArrayBuffer(20)), new DataView(new ArrayBuffer(5)))).not.toThrow();
    expect(points.loaded).toBe(2);
  });

  it("name the selected ones where they are few among others", () => {
    const points = grid();
    expect(points.few(3)).toEqual([]);
    points.setMarks(bits(4, 7), null);
    expect([...points.few(3)].sort()).toEqual([4, 7]);
    expect(points.few(1)).toEqual([]);
    points.setMarks(bits(4, 7), bits(4, 7));
    expect(points.few(3)).toEqual([]); // they are all there is
  });

  it("read the bitsets bit by bit", () => {
    const points = grid();
    points.setMarks(bits(0, 7, 8, 19), bits(0, 1, 2, 7, 8));
    expect(selectedOf(points)).toEqual([0, 7, 8, 19]);
    expect(range(20).filter((i) => points.isVisible(i))).toEqual([0, 1, 2, 7, 8]);
  });

  it("draw filtered points lowest, then faded, then selected, each in its random order", () => {
    const points = grid();
    points.setMarks(bits(3, 5, 12), bits(...range(20).filter((i) => i % 4 !== 0)));
    expect(points.uniform).toBeNull();
    const [gone, faded, all] = points.ends;
    expect([...points.order.slice(0, gone)]).toEqual([0, 4, 8, 12, 16]);
    expect([...points.order.slice(faded, all)]).toEqual([3, 5]);
    expect(faded - gone).toBe(13);
  });

  it("fade nothing while nothing is selected", () => {
    const points = grid();
    expect(points.uniform).toBe(FULL);
    points.setMarks(bits(), bits());
    expect(points.uniform).toBe(GONE);
    points.setMarks(bits(4), bits(...range(20)));
    expect(points.ends).toEqual([0, 19, 20]);
    points.flags.fill(VISIBLE);
    points.flags[0] = SELECTED; // selected, but filtered out: all others fade
    points.classify();
    expect(points.ends).toEqual([1, 20, 20]);
    expect(FADED).toBe(1);
  });

  it("guess add, subtract and intersect as the kernel answers them, among visible points only", () => {
    const points = grid();
    points.setMarks(bits(1, 2, 3), bits(...range(10)));
    const hit = (i: number) => i >= 3;
    points.combine(hit, "add");
    expect(selectedOf(points)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    points.combine((i) => i > 6, "subtract");
    expect(selectedOf(points)).toEqual([1, 2, 3, 4, 5, 6]);
    points.combine(hit, "intersect");
    expect(selectedOf(points)).toEqual([3, 4, 5, 6]);
    points.combine((i) => i === 15 || i === 5, "replace");
    expect(selectedOf(points)).toEqual([5]);
  });

  it("find the nearest visible point, and none out of reach", () => {
    const points = grid();
    expect(points.nearest(5010, 2490, 0.01, -0.01, 8)).toBe(5);
    points.setMarks(null, bits(0, 1));
    expect(points.nearest(5010, 2490, 0.01, -0.01, 8)).toBeNull();
  });

  it("measure density where the points are, not over the empty plot", () => {
    const n = 4000;
    const tight = new Points("p", n, [0, 0, 1, 1]);
    const xy = new Uint16Array(2 * n);
    for (let i = 0; i < n; i++) xy.set([1000 + (i % 60), 1000 + (i % 47)], 2 * i);
    tight.add(0, n, new DataView(xy.buffer), new DataView(new ArrayBuffer(n)));
    expect(tight.density({ width: 1, height: 1 })).toBeGreaterThan(n * 1000);
    expect(grid().density({ width: 1, height: 1 })).toBeLessThan(20 * 5000);
  });
});
