/** The renderer without a GPU: our rasteriser into an ImageData. */

import type { Points } from "./points.js";
import { GONE } from "./points.js";
import { LARGEST_RADIUS, MARGIN, makeStamp, Raster, type Stamp } from "./raster.js";
import { type Frame, type Renderer, thinned } from "./renderer.js";

/** A frame at rest is put together in slices this long, so that a pan that starts meanwhile does not wait for it. */
const SLICE_MS = 24;
const SLICE_POINTS = 65_536;
/** Above two device pixels for one of CSS the eye gains nothing and the CPU pays. */
const LARGEST_RATIO = 2;

export class CanvasRenderer implements Renderer {
  readonly name = "canvas";
  private readonly context: CanvasRenderingContext2D | null;
  private raster: Raster | null = null;
  private image: ImageData | null = null;
  private frame: Frame | null = null;
  private stamps: Stamp[] = [];
  private stampKey = "";
  private phase = 0; // class that is being drawn
  private done = 0; // points of it that are drawn

  constructor(readonly canvas: HTMLCanvasElement) {
    this.context = canvas.getContext("2d", { alpha: false });
  }

  draw(points: Points, frame: Frame): boolean {
    const ratio = Math.min(frame.ratio, LARGEST_RATIO);
    const raster = this.sized(
      Math.max(1, Math.round(frame.size.width * ratio)),
      Math.max(1, Math.round(frame.size.height * ratio)),
    );
    if (frame !== this.frame) {
      this.frame = frame;
      this.phase = GONE;
      this.done = 0;
      raster.clear(frame.palette.background);
      this.cut(frame, ratio, raster.stride);
    }
    const { ax, bx, ay, by } = frame.transform;
    const transform = { ax: ax * ratio, bx: bx * ratio, ay: ay * ratio, by: by * ratio };
    const started = performance.now();
    for (; this.phase <= 2; this.phase++, this.done = 0) {
      const first = this.phase === 0 ? 0 : (points.ends[this.phase - 1] as number);
      const count = thinned((points.ends[this.phase] as number) - first, frame.share);
      while (this.done < count) {
        if (frame.share >= 1 && this.done + this.phase > 0 && performance.now() - started > SLICE_MS) return false;
        const next = Math.min(count, this.done + SLICE_POINTS);
        const order = points.uniform === null ? points.order : null;
        const stamp = this.stamps[this.phase] as Stamp;
        raster.draw(
          points.xy,
          points.colors,
          order,
          first + this.done,
          first + next,
          transform,
          stamp,
          frame.palette.table,
          256 * this.phase,
        );
        this.done = next;
      }
    }
    if (this.image) this.context?.putImageData(this.image, -MARGIN, -MARGIN);
    return true;
  }

  private sized(width: number, height: number): Raster {
    if (this.raster?.width === width && this.raster.height === height) return this.raster;
    this.canvas.width = width;
    this.canvas.height = height;
    this.raster = new Raster(width, height);
    this.image = this.context && new ImageData(this.raster.bytes, this.raster.stride, this.raster.rows);
    this.frame = null;
    this.stampKey = "";
    return this.raster;
  }

  private cut(frame: Frame, ratio: number, stride: number): void {
    const key = `${frame.radius.join(" ")} ${frame.opacity.join(" ")} ${ratio} ${stride}`;
    if (key === this.stampKey) return;
    this.stampKey = key;
    this.stamps = frame.opacity.map((opacity, row) => {
      const radius = (frame.radius[row] as number) * ratio;
      return makeStamp(Math.min(LARGEST_RADIUS, radius), opacity, stride);
    });
  }

  dispose(): void {
    this.canvas.width = 0;
    this.canvas.height = 0;
    this.canvas.remove();
    this.raster = null;
    this.image = null;
  }
}
