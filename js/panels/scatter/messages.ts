/** What page and points say to each other: the calls of `Engine` as plain values, so that they reach a worker as well. */
import type { Box, Legend, Mode } from "../../core/protocol.js";
import type { Bounds, Size } from "./camera.js";
import type { Cloud } from "./cloud.js";
import type { Bits, Density, Detail, Facts, Frame, Part, Projected } from "./engine.js";
import type { Palette } from "./palette.js";

export type Shot = Omit<Frame, "palette">;

export type Question =
  | { what: "nearest"; x: number; y: number; reach: number; transform: Projected }
  | { what: "place"; index: number }
  | { what: "selectedBox" };

/** All that a core holds, for another one that goes on with it. */
export interface Estate {
  base: Cloud | null;
  detail: Cloud | null;
  density: Density | null;
  legend: Legend;
}

/** What goes over with it instead of being copied. */
export function belongings({ base, detail }: Estate): Transferable[] {
  return [...new Set([base, detail].flatMap((cloud) => (cloud ? cloud.buffers : [])))];
}

export type Command =
  | { op: "begin"; total: number; bounds: Bounds }
  | { op: "add"; part: Part }
  | { op: "colors"; offset: number; colors: Uint8Array<ArrayBuffer> }
  | { op: "legend"; legend: Legend }
  | { op: "marks"; selected: Bits; visible: Bits }
  | { op: "combine"; ring: Float64Array<ArrayBuffer>; mode: Mode }
  | { op: "pick"; indices: readonly number[]; mode: Mode }
  | { op: "correct"; on: readonly number[]; off: readonly number[] }
  | { op: "keep" }
  | { op: "restore" }
  | { op: "detail"; detail: Detail | null }
  | { op: "density"; density: Density | null }
  | { op: "adopt"; estate: Estate }
  | { op: "release" } // a worker hands over all that it holds, and is of no use then
  | { op: "ask"; id: number; question: Question }
  | { op: "draw"; id: number; shot: Shot; palette: Palette | null } // null: as before
  | { op: "back"; buffer: ArrayBuffer }; // of a picture that is on the canvas now

/** Pixels with a margin around the picture, whose upper left corner stands at (margin, margin). */
export interface Picture {
  buffer: ArrayBuffer;
  stride: number;
  rows: number;
  margin: number;
  size: Size; // CSS pixels
}

export type Answer = { index: number; x: number; y: number } | { x: number; y: number } | Box | null;

export type Reply =
  | { re: "ready" }
  | { re: "facts"; facts: Facts }
  | { re: "answer"; id: number; value: Answer }
  /** Frame `id` is there: `fresh` when the canvas shows something new, of so many points; a GPU has drawn it there already. */
  | { re: "drawn"; id: number; fresh: boolean; points: number; picture: Picture | null }
  | { re: "estate"; estate: Estate }
  /** The GPU is none, or is gone. */
  | { re: "lost" };

export type Post = (reply: Reply, transfer?: Transferable[]) => void;
