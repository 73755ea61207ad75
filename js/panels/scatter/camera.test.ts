import { describe, expect, it } from "vitest";
import {
  affine,
  type Bounds,
  between,
  dataAt,
  dataToSteps,
  fitted,
  panBy,
  pixelInData,
  stepOnScreen,
  stepsToData,
  visibleBox,
  worldAt,
  worldOf,
  zoomAt,
  zoomLimits,
} from "./camera.js";

const bounds: Bounds = [-4, 10, 6, 15];
const screen = { width: 800, height: 500 };
const insets = { left: 10, right: 110, top: 20, bottom: 20 };
const world = worldOf(bounds);
const home = fitted(world, screen, insets);

const limits = zoomLimits(home, world, bounds);

const onScreen = (view: typeof home, x: number, y: number) => {
  const t = affine(view, world, screen, bounds);
  return [x * t.ax + t.bx, y * t.ay + t.by] as const;
};

describe("camera", () => {
  it("shows every point inside the insets, with y upwards", () => {
    const [left, bottom] = onScreen(home, -4, 10);
    const [right, top] = onScreen(home, 6, 15);
    expect(left).toBeGreaterThanOrEqual(10 - 1e-6);
    expect(right).toBeLessThanOrEqual(690 + 1e-6);
    expect(top).toBeGreaterThanOrEqual(20 - 1e-6);
    expect(bottom).toBeLessThanOrEqual(480 + 1e-6);
    expect(top).toBeLessThan(bottom);
  });

  it("does not squeeze a very flat map into a line", () => {
    expect(worldOf([0, 0, 100, 1]).height).toBeGreaterThan(0.5);
    expect(worldOf([0, 0, 1, 100]).width).toBeGreaterThan(0.5);
  });

  it("survives a map whose points all lie in one place", () => {
    const one: Bounds = [3, 3, 3, 3];
    expect(worldOf(one)).toEqual({ width: 1, height: 1 });
    expect(dataToSteps(one, 3, 3).every(Number.isFinite)).toBe(true);
    const view = fitted(worldOf(one), screen, insets);
    const t = affine(view, worldOf(one), screen, one);
    expect([3 * t.ax + t.bx, 3 * t.ay + t.by]).toEqual([350, 250]); // in the middle of what the insets leave
    expect(zoomLimits(view, worldOf(one), one).every((scale) => scale > 0 && Number.isFinite(scale))).toBe(true);
  });

  it("keeps what is under the pointer there while it zooms", () => {
    const at = { x: 123, y: 345 };
    const before = dataAt(affine(home, world, screen, bounds), at.x, at.y);
    const zoomed = zoomAt(home, 3.7, at, screen, limits);
    const after = dataAt(affine(zoomed, world, screen, bounds), at.x, at.y);
    expect(after[0]).toBeCloseTo(before[0], 4);
    expect(after[1]).toBeCloseTo(before[1], 4);
  });

  it("stops zooming at its limits", () => {
    expect(zoomAt(home, 1e12, { x: 0, y: 0 }, screen, limits).scale).toBe(limits[1]);
    expect(zoomAt(home, 1e-12, { x: 0, y: 0 }, screen, limits).scale).toBe(limits[0]);
  });

  it("moves the points with the hand", () => {
    const [x, y] = onScreen(home, 1, 12);
    const [nextX, nextY] = onScreen(panBy(home, 30, -12), 1, 12);
    expect(nextX - x).toBeCloseTo(30);
    expect(nextY - y).toBeCloseTo(-12);
  });

  it("brings data coordinates to the screen and back", () => {
    const [stepX, stepY] = dataToSteps(bounds, 1.25, 12.5);
    const [x, y] = stepsToData(bounds, stepX, stepY);
    expect(x).toBeCloseTo(1.25);
    expect(y).toBeCloseTo(12.5);
    const [pixelX] = pixelInData(affine(home, world, screen, bounds));
    const [ax] = onScreen(home, 0, 12);
    const [bx] = onScreen(home, pixelX, 12);
    expect(bx - ax).toBeCloseTo(1);
    const [left, low, right, high] = visibleBox(affine(home, world, screen, bounds), screen);
    expect(onScreen(home, left, low)).toEqual([expect.closeTo(0), expect.closeTo(500)]);
    expect(onScreen(home, right, high)).toEqual([expect.closeTo(800), expect.closeTo(0)]);
    const middle = { ...home, ...worldAt(world, bounds, 1.25, 12.5) };
    expect(onScreen(middle, 1.25, 12.5)).toEqual([expect.closeTo(400), expect.closeTo(250)]);
  });

  it("goes nearer than the steps of the points, down to where neighbouring numbers stand apart, and no further", () => {
    const nearest = { ...home, scale: limits[1] };
    expect(stepOnScreen(affine(nearest, world, screen, bounds), bounds)).toBeGreaterThan(100);
    const [x] = onScreen(nearest, 6, 12);
    const [next] = onScreen(nearest, 6 + 2 ** -22, 12); // float32 between 4 and 8
    expect(next - x).toBeGreaterThan(1);
    expect(next - x).toBeLessThan(50);
    // Numbers far from nought leave no room between two steps.
    const far: Bounds = [1e6, 1e6, 1e6 + 1, 1e6 + 1];
    const there = { ...home, scale: zoomLimits(home, worldOf(far), far)[1] };
    expect(stepOnScreen(affine(there, worldOf(far), screen, far), far)).toBeCloseTo(4);
  });

  it("glides from one view to another and arrives", () => {
    const far = zoomAt(panBy(home, 200, 50), 6, { x: 5, y: 5 }, screen, limits);
    const start = between(home, far, 0);
    const end = between(home, far, 1);
    expect(start.x).toBeCloseTo(home.x);
    expect(start.scale).toBeCloseTo(home.scale);
    expect(end.x).toBeCloseTo(far.x);
    expect(end.y).toBeCloseTo(far.y);
    expect(end.scale).toBeCloseTo(far.scale);
    expect(between(home, panBy(home, 50, 0), 0.5).x).toBeCloseTo(panBy(home, 25, 0).x);
  });
});
