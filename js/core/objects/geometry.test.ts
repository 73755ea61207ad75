import { describe, expect, it } from "vitest";
import {
  between,
  contained,
  handleAt,
  handlesOf,
  moved,
  onScreen,
  placed,
  resized,
  under,
  upright,
} from "./geometry.js";
import type { Box, Shape } from "./shapes.js";

const box = (left: number, top: number, width: number, height: number): Box => ({ left, top, width, height });
const shape = (object: number, place: Box | null, more: Partial<Shape> = {}): Shape => ({
  object,
  id: `o${object}`,
  label: null,
  color: "#000000",
  box: place,
  crowd: false,
  track: null,
  rings: [],
  keypoints: [],
  limbs: [],
  ...more,
});

describe("the place of a picture", () => {
  it("is that of object-fit: contain, with bars above and below or beside it", () => {
    expect(contained({ width: 640, height: 480 }, { width: 128, height: 128 })).toEqual({
      x: 0,
      y: 16,
      width: 128,
      height: 96,
    });
    expect(contained({ width: 50, height: 100 }, { width: 80, height: 80 })).toEqual({
      x: 20,
      y: 0,
      width: 40,
      height: 80,
    });
  });

  it("carries boxes, also those that were drawn inside out", () => {
    const place = { x: 10, y: 20, width: 200, height: 100 };
    expect(onScreen(box(0.5, 0.5, 0.25, 0.5), place)).toEqual(box(110, 70, 50, 50));
    expect(onScreen(box(0.75, 1, -0.25, -0.5), place)).toEqual(box(110, 70, 50, 50));
    expect(upright(box(5, 5, -2, 3))).toEqual(box(3, 5, 2, 3));
  });
});

describe("what lies under the pointer", () => {
  const place = { x: 0, y: 0, width: 100, height: 100 };
  const person = shape(1, box(0.1, 0.1, 0.8, 0.8));
  const hat = shape(2, box(0.4, 0.1, 0.2, 0.1));

  it("is the smallest object first, and none without a box", () => {
    const found = under([person, hat, shape(3, null)], { x: 50, y: 15 }, place);
    expect(found.map(({ object }) => object)).toEqual([2, 1]);
    expect(under([person, hat], { x: 2, y: 2 }, place)).toEqual([]);
  });

  it("is a handle near a corner, and on long sides one in the middle", () => {
    expect(handleAt(box(10, 10, 80, 60), { x: 12, y: 13 })).toEqual({ x: -1, y: -1 });
    expect(handleAt(box(10, 10, 80, 60), { x: 90, y: 41 })).toEqual({ x: 1, y: 0 });
    expect(handleAt(box(10, 10, 80, 60), { x: 50, y: 40 })).toBeNull();
    expect(handlesOf(box(0, 0, 80, 60)).length).toBe(8);
    expect(handlesOf(box(0, 0, 10, 10)).length).toBe(4);
  });
});

describe("a drag", () => {
  const picture = { width: 100, height: 50 };

  it("moves a box as it is, up to the edge of the picture", () => {
    expect(moved(box(10, 10, 20, 20), 5, -3, picture)).toEqual(box(15, 7, 20, 20));
    expect(moved(box(10, 10, 20, 20), 500, 500, picture)).toEqual(box(80, 30, 20, 20));
    // One that reaches out already is not pushed about.
    expect(moved(box(-5, 10, 20, 20), 0, 1, picture)).toEqual(box(-5, 11, 20, 20));
    expect(moved(box(-5, 10, 20, 20), -9, 0, picture).left).toBe(-5);
  });

  it("moves the sides of its handle only, and turns a box that is drawn over itself", () => {
    expect(resized(box(10, 10, 20, 20), { x: 1, y: 0 }, 7, 99, picture)).toEqual(box(10, 10, 27, 20));
    expect(resized(box(10, 10, 20, 20), { x: -1, y: -1 }, -50, 5, picture)).toEqual(box(0, 15, 30, 15));
    expect(resized(box(10, 10, 20, 20), { x: 1, y: 0 }, -25, 0, picture)).toEqual(box(5, 10, 5, 20));
  });

  it("draws a new box from any corner, inside of the picture", () => {
    expect(between({ x: 60, y: 40 }, { x: 20, y: 90 }, picture)).toEqual(box(20, 40, 40, 10));
  });

  it("takes outlines and keypoints along", () => {
    const ring = new Float32Array([0, 0, 0.5, 0, 0.5, 0.5]);
    const after = placed(
      shape(1, box(0, 0, 0.5, 0.5), { rings: [ring], keypoints: [0.25, 0.5, 2] }),
      box(0.5, 0, 0.25, 1),
    );
    expect([...(after.rings[0] ?? [])]).toEqual([0.5, 0, 0.75, 0, 0.75, 1]);
    expect(after.keypoints).toEqual([0.625, 1, 2]);
  });
});
