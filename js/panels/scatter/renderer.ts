/** What draws the points: WebGL2 where there is a GPU, typed arrays on the CPU where there is none. Both look alike. */
import type { Affine, Size } from "./camera.js";
import { CanvasRenderer } from "./canvas.js";
import type { Palette } from "./palette.js";
import type { Points } from "./points.js";
import { softwareRendered, WebglRenderer } from "./webgl.js";

export interface Frame {
  size: Size; // CSS pixels
  ratio: number; // device pixels for one of them
  transform: Affine; // steps to CSS pixels
  radius: readonly [number, number, number]; // CSS pixels; of gone, faded and full points
  opacity: readonly [number, number, number];
  palette: Palette;
  /** The share of the points that this frame has time for; 1 at rest. */
  share: number;
}

export interface Renderer {
  readonly name: "webgl" | "canvas";
  readonly canvas: HTMLCanvasElement;
  /** Draws, or goes on drawing the same frame object; false when there is more to do. */
  draw(points: Points, frame: Frame): boolean;
  /** Milliseconds that the last frame takes when it is drawn again and waited for; only where the CPU does not know. */
  timed?(): number;
  dispose(): void;
}

export type RendererChoice = "auto" | "webgl" | "canvas";

/** A class is never thinned below this many points: a small selection stays whole while the view moves. */
const LEAST_OF_A_CLASS = 20_000;

/** How many points of a class of this size a frame draws. */
export function thinned(count: number, share: number): number {
  return share >= 1 ? count : Math.min(count, Math.max(LEAST_OF_A_CLASS, Math.ceil(count * share)));
}

/**
 * Software GL costs a hundred times more for a point than our own rasteriser, so it is never taken unless asked for.
 * `lost` is called when the browser takes the GL context away; the panel then asks again, for "canvas".
 */
export function createRenderer(choice: RendererChoice, lost: () => void): Renderer {
  if (choice !== "canvas") {
    const canvas = document.createElement("canvas");
    const gl = canvas.getContext("webgl2", {
      alpha: false,
      antialias: false,
      depth: false,
      stencil: false,
      powerPreference: "high-performance",
      failIfMajorPerformanceCaveat: choice === "auto",
    });
    if (gl && (choice === "webgl" || !softwareRendered(gl))) {
      try {
        return new WebglRenderer(canvas, gl, lost);
      } catch (error) {
        console.warn("dataide: WebGL2 does not draw here, the CPU does instead.", error);
      }
    }
    gl?.getExtension("WEBGL_lose_context")?.loseContext();
  }
  return new CanvasRenderer(document.createElement("canvas"));
}
