import { describe, expect, it } from "vitest";
import golden from "../../../tests/protocol/marks.json";
import type { Share } from "../../core/protocol.js";
import { random } from "../../dev/fake_data.js";
import type { Bits } from "./engine.js";
import { unfolded } from "./shares.js";

interface Written {
  total: number;
  points?: number[];
  but?: number[];
  share: string;
  bytes: string;
}

const bytesOf = (hex: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(hex.match(/../g) ?? [], (two) => Number.parseInt(two, 16));

const pointsOf = (bits: Bits, total: number): number[] => {
  if (bits === null) throw new Error("nothing is said");
  const on = (i: number): boolean =>
    typeof bits === "string" ? bits === "all" : (((bits[i >> 3] ?? 0) >> (i & 7)) & 1) === 1;
  const found: number[] = [];
  for (let i = 0; i < total; i++) if (on(i)) found.push(i);
  return found;
};

/** As the kernel writes positions. */
const gapsOf = (positions: readonly number[]): Uint8Array<ArrayBuffer> => {
  const written: number[] = [];
  let before = -1;
  for (const position of positions) {
    let gap = position - before - 1;
    for (; gap > 127; gap >>= 7) written.push((gap & 127) | 128);
    written.push(gap);
    before = position;
  }
  return Uint8Array.from(written);
};

describe("which points are meant", () => {
  it.each(golden.shares as Written[])(
    "is what the kernel wrote: $share of $total",
    ({ total, points, but, ...said }) => {
      const bits = unfolded(said.share as Share, bytesOf(said.bytes), total);
      const others = new Set(but);
      const expected = points ?? Array.from({ length: total }, (_, i) => i).filter((i) => !others.has(i));
      expect(pointsOf(bits, total)).toEqual(expected);
    },
  );

  it("is exact for any points, named or left out", () => {
    const next = random(3);
    for (const total of [1, 8, 9, 70_001]) {
      const some = Array.from({ length: total }, (_, i) => i).filter(() => next() < 0.01);
      expect(pointsOf(unfolded("only", gapsOf(some), total), total)).toEqual(some);
      const others = new Set(some);
      const rest = pointsOf(unfolded("except", gapsOf(some), total), total);
      expect(rest).toHaveLength(total - some.length);
      expect(rest.some((i) => others.has(i))).toBe(false);
    }
  });

  it("leaves what is there when the buffer is missing", () => {
    for (const share of ["only", "except", "some"] as const) expect(unfolded(share, undefined, 9)).toBeNull();
    expect(unfolded("none", undefined, 9)).toBe("none");
  });

  it("counts no point beyond the last, whatever comes", () => {
    const points = (share: Share, ...buffer: number[]) => {
      const bits = unfolded(share, Uint8Array.from(buffer), 20);
      expect(bits).toHaveLength(3); // never more room than the points need
      return pointsOf(bits, 20);
    };
    expect(points("only", 3, 15, 0, 0)).toEqual([3, 19]);
    expect(points("only", 3, 200)).toEqual([3]); // it breaks off
    expect(points("only", 3, 128, 128, 128, 128, 0, 1)).toEqual([3]); // longer than any number of points
    expect(points("only", 255, 255, 255, 127, 0)).toEqual([]);
    expect(points("except", 255, 255, 255, 255, 255)).toHaveLength(20);
    expect(points("only", ...Array.from({ length: 500 }, () => 0))).toHaveLength(20);
    expect(unfolded("only", Uint8Array.of(0), 0)).toEqual(new Uint8Array(0));
  });
});
