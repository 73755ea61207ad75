import { describe, expect, it } from "vitest";
import { LARGEST_RADIUS, makeStamp, Raster } from "./raster.js";

const WHITE = 0xffffffff;
const RED = 0xff0000ff; // 0xAABBGGRR
const table = new Uint32Array(256).fill(RED);
const identity = { ax: 1, bx: 0, ay: 1, by: 0 };
const red = (pixel: number) => pixel & 255;
const green = (pixel: number) => (pixel >>> 8) & 255;

function drawn(places: number[], radius: number, opacity: number, transform = identity, colors = table): Raster {
  const raster = new Raster(40, 30);
  raster.clear(WHITE);
  const n = places.length / 2;
  const stamp = makeStamp(radius, opacity, raster.stride);
  raster.draw(Uint16Array.from(places), new Uint8Array(n), null, 0, n, transform, stamp, colors, 0);
  return raster;
}

describe("the rasteriser without a GPU", () => {
  it("draws a full disc with a soft edge and leaves the rest alone", () => {
    const raster = drawn([20, 15], 4, 1);
    expect(raster.at(20, 15)).toBe(RED);
    expect(raster.at(17, 15)).toBe(RED);
    expect(green(raster.at(23, 17))).toBeGreaterThan(0);
    expect(green(raster.at(23, 17))).toBeLessThan(255);
    expect(raster.at(28, 15)).toBe(WHITE);
  });

  it("covers the area of the disc, for points of less than a pixel too", () => {
    for (const radius of [0.6, 0.8, 1, 2, 3.5]) {
      const raster = drawn([20, 15], radius, 1);
      let covered = 0;
      for (let y = 0; y < 30; y++) for (let x = 0; x < 40; x++) covered += 1 - green(raster.at(x, y)) / 255;
      expect(Math.abs(covered / (Math.PI * radius * radius) - 1)).toBeLessThan(0.15);
    }
  });

  it("mixes what lies over each other and never drifts past the colour", () => {
    const places: number[] = [];
    for (let i = 0; i < 200; i++) places.push(20, 15);
    const once = drawn([20, 15], 3, 0.3);
    const often = drawn(places, 3, 0.3);
    expect(green(once.at(20, 15))).toBeGreaterThan(170);
    expect(green(often.at(20, 15))).toBeLessThan(4);
    expect(red(often.at(20, 15))).toBe(255);
    expect(often.at(20, 15) >>> 24).toBe(255);
  });

  it("draws half discs at the border and nothing of points far outside", () => {
    const raster = drawn([0, 15], 5, 1);
    expect(raster.at(0, 15)).toBe(RED);
    const far = drawn([65535, 15, 20, 65535], LARGEST_RADIUS, 1);
    for (let y = 0; y < 30; y++) for (let x = 0; x < 40; x++) expect(far.at(x, y)).toBe(WHITE);
    const flipped = drawn([0, 0], 6, 1, { ax: 1, bx: -2, ay: -1, by: -3 });
    expect(flipped.at(0, 0)).toBe(RED);
  });

  it("moves a disc by quarters of a pixel", () => {
    const at = (shift: number) => drawn([20, 15], 2, 1, { ...identity, bx: shift });
    const edge = [0, 0.25, 0.5, 0.75].map((shift) => green(at(shift).at(22, 15)));
    expect(edge).toEqual([...edge].sort((a, b) => b - a));
    expect(new Set(edge).size).toBeGreaterThan(2);
  });

  it("takes the colour of each point and the order it is given", () => {
    const raster = new Raster(40, 30);
    raster.clear(WHITE);
    const two = new Uint32Array(768);
    two[512] = RED;
    two[513] = 0xff00ff00;
    const xy = Uint16Array.from([20, 15, 20, 15]);
    const stamp = makeStamp(3, 1, raster.stride);
    raster.draw(xy, Uint8Array.from([0, 1]), Uint32Array.from([1, 0]), 0, 2, identity, stamp, two, 512);
    expect(raster.at(20, 15)).toBe(RED);
    raster.draw(xy, Uint8Array.from([0, 1]), null, 0, 2, identity, stamp, two, 512);
    expect(raster.at(20, 15)).toBe(0xff00ff00);
  });
});

describe("cells", () => {
  const cells = Uint32Array.of(RED, WHITE, WHITE, RED); // row 0 is the low one: y of the screen goes down

  it("fill their box, flow into each other and leave the rest alone", () => {
    const raster = new Raster(40, 30);
    raster.clear(0xff00ff00);
    raster.mosaic({ cells, width: 2, height: 2, transform: { ax: 10, bx: 10, ay: -10, by: 25 } }, 1);
    expect(raster.at(12, 23)).toBe(RED);
    expect(raster.at(27, 7)).toBe(RED);
    expect(raster.at(12, 7)).toBe(WHITE);
    expect(green(raster.at(19, 23))).toBeGreaterThan(100);
    expect(green(raster.at(19, 23))).toBeLessThan(150);
    for (const [x, y] of [
      [9, 15],
      [30, 15],
      [20, 4],
      [20, 25],
    ] as const)
      expect(raster.at(x, y)).toBe(0xff00ff00);
  });

  it("hold while the view lies within one of them", () => {
    const raster = new Raster(40, 30);
    raster.clear(WHITE);
    raster.mosaic({ cells, width: 2, height: 2, transform: { ax: 9000, bx: -100, ay: -9000, by: 100 } }, 1);
    for (let y = 0; y < 30; y++) for (let x = 0; x < 40; x++) expect(raster.at(x, y)).toBe(RED);
  });
});
