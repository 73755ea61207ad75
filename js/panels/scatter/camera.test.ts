import { describe, expect, it } from "vitest";
import {
  affine,
  type Bounds,
  between,
  dataToSteps,
  fitted,
  LAST_STEP,
  panBy,
  pixelInData,
  stepsAt,
  stepsToData,
  worldOf,
  zoomAt,
  zoomLimits,
} from "./camera.js";

const bounds: Bounds = [-4, 10, 6, 15];
const screen = { width: 800, height: 500 };
const insets = { left: 10, right: 110, top: 20, bottom: 20 };
const world = worldOf(bounds);
const home = fitted(world, screen, insets);

const onScreen = (view: typeof home, stepX: number, stepY: number) => {
  const t = affine(view, world, screen);
  return [stepX * t.ax + t.bx, stepY * t.ay + t.by] as const;
};

describe("camera", () => {
  it("shows every point inside the insets, with y upwards", () => {
    const [left, bottom] = onScreen(home, 0, 0);
    const [right, top] = onScreen(home, LAST_STEP, LAST_STEP);
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
  });

  it("keeps what is under the pointer there while it zooms", () => {
    const at = { x: 123, y: 345 };
    const before = stepsAt(affine(home, world, screen), at.x, at.y);
    const zoomed = zoomAt(home, 3.7, at, screen, zoomLimits(home));
    const after = stepsAt(affine(zoomed, world, screen), at.x, at.y);
    expect(after[0]).toBeCloseTo(before[0], 4);
    expect(after[1]).toBeCloseTo(before[1], 4);
  });

  it("stops zooming at its limits", () => {
    const limits = zoomLimits(home);
    expect(zoomAt(home, 1e12, { x: 0, y: 0 }, screen, limits).scale).toBe(limits[1]);
    expect(zoomAt(home, 1e-12, { x: 0, y: 0 }, screen, limits).scale).toBe(limits[0]);
  });

  it("moves the points with the hand", () => {
    const [x, y] = onScreen(home, 1000, 2000);
    const [nextX, nextY] = onScreen(panBy(home, 30, -12), 1000, 2000);
    expect(nextX - x).toBeCloseTo(30);
    expect(nextY - y).toBeCloseTo(-12);
  });

  it("brings data coordinates to the screen and back", () => {
    const [stepX, stepY] = dataToSteps(bounds, 1.25, 12.5);
    const [x, y] = stepsToData(bounds, stepX, stepY);
    expect(x).toBeCloseTo(1.25);
    expect(y).toBeCloseTo(12.5);
    const [pixelX] = pixelInData(affine(home, world, screen), bounds);
    const [ax] = onScreen(home, ...dataToSteps(bounds, 0, 12));
    const [bx] = onScreen(home, ...dataToSteps(bounds, pixelX, 12));
    expect(bx - ax).toBeCloseTo(1);
  });

  it("glides from one view to another and arrives", () => {
    const far = zoomAt(panBy(home, 200, 50), 6, { x: 5, y: 5 }, screen, zoomLimits(home));
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
