/**
 * Where the points live and are drawn: in a worker where there is no GPU, on the page where there is one. The page itself keeps
 * no point. Calls return at once and take effect in order; questions answer with promises. All places are in data coordinates.
 */
import type { Box, Legend, Mode } from "../../core/protocol.js";
import type { Bounds, Size } from "./camera.js";
import type { ClassName } from "./names.js";
import type { Palette } from "./palette.js";

/** Bits as the kernel sends them, or what stands for all of them; null leaves the present ones. */
export type Bits = "none" | "all" | Uint8Array<ArrayBuffer> | null;

/** Arrays go over to the engine and must not be used after the call. */
export interface Part {
  offset: number;
  count: number;
  xy: Uint16Array<ArrayBuffer>; // pairs scaled to the bounds
  colors: Uint8Array<ArrayBuffer>;
}

/** The points inside a box with places scaled to the box: drawn in place of the others while the view lies inside it. */
export interface Detail {
  box: Box;
  positions: Uint32Array<ArrayBuffer>; // in the order of the points
  xy: Uint16Array<ArrayBuffer>;
  colors: Uint8Array<ArrayBuffer>;
  flags: Uint8Array<ArrayBuffer>; // 1 selected, 2 visible
}

/** Counts in cells, for more points than a page holds: drawn in place of the points while no detail fits. Row 0 is the low y. */
export interface Density {
  box: Box;
  width: number;
  height: number;
  visible: Uint8Array<ArrayBuffer>; // levels
  gone: Uint8Array<ArrayBuffer>;
  selected: Uint8Array<ArrayBuffer>;
  colors: Uint8Array<ArrayBuffer>;
}

/** Data to CSS pixels: screen = value * a + b. */
export interface Projected {
  ax: number;
  bx: number;
  ay: number;
  by: number;
}

export interface Frame {
  size: Size; // CSS pixels; nothing is drawn while a side is 0
  ratio: number; // device pixels for one of them
  transform: Projected;
  /** CSS pixels of one world unit: the longer side of the whole is 1. What sizes and opacity of points follow. */
  scale: number;
  world: Size;
  palette: Palette;
  /** The view moves: as many points as the frame has time for. At rest all are drawn, in as many frames as it takes. */
  moving: boolean;
}

/** What the page shows of the points beside the picture; sent after they changed and after a frame. */
export interface Facts {
  loaded: number;
  total: number;
  selected: number; // among the loaded
  visible: number;
  radius: number; // of a point, CSS pixels
  names: readonly ClassName[]; // empty without a legend of few categories
  few: readonly { x: number; y: number }[]; // the selected ones where they are too few to be found by their colour
  complete: boolean; // the picture at rest shows all points
}

export interface Hit {
  index: number; // position in the order of the points
  x: number;
  y: number;
}

export interface EngineEvents {
  facts(facts: Facts): void;
  /** Another renderer took over: no GPU after all, or the browser took the context away. */
  renderer(name: "webgl" | "canvas"): void;
}

export type RendererChoice = "auto" | "webgl" | "canvas";

export interface Engine {
  readonly name: "webgl" | "canvas";
  /** Makes room for other points; all are unselected and visible until the marks come. */
  begin(total: number, bounds: Bounds): void;
  add(part: Part): void;
  setColors(offset: number, colors: Uint8Array<ArrayBuffer>): void;
  setLegend(legend: Legend): void; // for the names of the classes
  setMarks(selected: Bits, visible: Bits): void;
  /** Resolves a lasso or box against the selection: even-odd test of the rounded places of visible points, on detail as well. */
  combine(ring: Float64Array<ArrayBuffer>, mode: Mode): void;
  /** The same of single points; an empty list with "replace" selects nothing. */
  pick(indices: readonly number[], mode: Mode): void;
  /** Points that are selected, or not, whatever a test said. */
  correct(on: readonly number[], off: readonly number[]): void;
  /** Remembers the selection, or goes back to it. */
  keep(): void;
  restore(): void;
  setDetail(detail: Detail | null): void;
  setDensity(density: Density | null): void;
  /** The visible point nearest to a place, at most `reach` CSS pixels away at this transform; the upper one of several. */
  nearest(x: number, y: number, reach: number, transform: Projected): Promise<Hit | null>;
  place(index: number): Promise<{ x: number; y: number } | null>;
  selectedBox(): Promise<Box | null>;
  /** Resolves when the picture, or a newer one, is on the canvas. */
  draw(frame: Frame): Promise<void>;
  /** The canvas is put into this element, as its first child, with the class "points". */
  dispose(): void;
}

export interface EngineOptions {
  stage: HTMLElement;
  choice: RendererChoice;
  events: EngineEvents;
}
