/** One frame as a renderer draws it. */
import type { Affine, Size } from "./camera.js";
import type { Cloud } from "./cloud.js";
import type { Palette } from "./palette.js";

/** Opaque pixels, row 0 at the low y, drawn smoothly; `transform` leads from cells to CSS pixels. */
export interface Mosaic {
  cells: Uint32Array<ArrayBuffer>;
  width: number;
  height: number;
  transform: Affine;
}

export interface Scene {
  size: Size; // CSS pixels
  ratio: number; // device pixels for one of them
  palette: Palette;
  mosaic: Mosaic | null; // in place of points
  cloud: Cloud | null;
  transform: Affine; // steps to CSS pixels
  radius: readonly [number, number, number]; // CSS pixels; of gone, faded and full points
  opacity: readonly [number, number, number];
  /** The share of the points that this frame has time for; 1 at rest. */
  share: number;
}

/** A class is never thinned below this many points: a small selection stays whole while the view moves. */
export const LEAST_OF_A_CLASS = 20_000;

/** How many points of a class of this size a frame draws. */
export function thinned(count: number, share: number): number {
  return share >= 1 ? count : Math.min(count, Math.max(LEAST_OF_A_CLASS, Math.ceil(count * share)));
}
