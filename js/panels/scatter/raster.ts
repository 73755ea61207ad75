/**
 * Points into pixels with nothing but typed arrays. Each disc is a stamp made beforehand for sixteen positions inside a pixel,
 * so that a slow pan does not jitter, and is blended into the buffer with integer arithmetic, red and blue in one multiplication.
 */
import type { Affine } from "./camera.js";

/** Pixels around the picture, so that a disc at the border needs no clipping. */
export const MARGIN = 28;
export const LARGEST_RADIUS = 12;

/** Offsets and alphas (1…256) of the pixels that a disc touches, for each of the sixteen positions. */
export interface Stamp {
  starts: Int32Array; // seventeen entries
  offsets: Int32Array;
  alphas: Int32Array;
}

/** Share of the pixel at (dx, dy) that a disc of this radius covers, whose centre stands at (fx, fy) inside the pixel (0, 0). */
function coverage(radius: number, dx: number, dy: number, fx: number, fy: number): number {
  const distance = Math.hypot(dx + 0.5 - fx, dy + 0.5 - fy);
  return Math.min(1, Math.max(0, radius + 0.5 - distance));
}

export function makeStamp(radius: number, opacity: number, stride: number): Stamp {
  const r = Math.min(radius, LARGEST_RADIUS);
  const reach = Math.ceil(r + 1);
  const starts = new Int32Array(17);
  const offsets: number[] = [];
  const alphas: number[] = [];
  for (let phase = 0; phase < 16; phase++) {
    const fx = ((phase & 3) + 0.5) / 4;
    const fy = ((phase >> 2) + 0.5) / 4;
    let sum = 0;
    for (let dy = -reach; dy <= reach; dy++)
      for (let dx = -reach; dx <= reach; dx++) sum += coverage(r, dx, dy, fx, fy);
    // For small discs the linear edge is too generous: the covered area must stay that of the disc.
    const correction = r < 1.5 && sum > 0 ? Math.min(1.2, (Math.PI * r * r) / sum) : 1;
    for (let dy = -reach; dy <= reach; dy++) {
      for (let dx = -reach; dx <= reach; dx++) {
        const alpha = Math.round(256 * opacity * Math.min(1, coverage(r, dx, dy, fx, fy) * correction));
        if (alpha < 3) continue;
        offsets.push(dy * stride + dx);
        alphas.push(alpha);
      }
    }
    starts[phase + 1] = offsets.length;
  }
  return { starts, offsets: Int32Array.from(offsets), alphas: Int32Array.from(alphas) };
}

export class Raster {
  readonly stride: number;
  readonly rows: number;
  readonly bytes: Uint8ClampedArray<ArrayBuffer>;
  readonly pixels: Uint32Array;

  constructor(
    readonly width: number,
    readonly height: number,
  ) {
    this.stride = width + 2 * MARGIN;
    this.rows = height + 2 * MARGIN;
    this.bytes = new Uint8ClampedArray(4 * this.stride * this.rows);
    this.pixels = new Uint32Array(this.bytes.buffer);
  }

  clear(color: number): void {
    this.pixels.fill(color);
  }

  /** The pixel at (x, y) of the picture, as 0xAABBGGRR. */
  at(x: number, y: number): number {
    return this.pixels[(y + MARGIN) * this.stride + x + MARGIN] as number;
  }

  /**
   * Blends points `from`…`to` of `order` (of the points themselves when it is null). `transform` leads from steps to pixels,
   * `table` holds 256 colours from `row` on.
   */
  draw(
    xy: Uint16Array,
    colors: Uint8Array,
    order: Uint32Array | null,
    from: number,
    to: number,
    transform: Affine,
    stamp: Stamp,
    table: Uint32Array,
    row: number,
  ): void {
    const { pixels, stride } = this;
    const { starts, offsets, alphas } = stamp;
    // Quarter pixels, counted from the corner of half the margin: there a stamp still lies inside the buffer.
    const shift = MARGIN >> 1;
    const ax = transform.ax * 4;
    const bx = (transform.bx + shift) * 4;
    const ay = transform.ay * 4;
    const by = (transform.by + shift) * 4;
    const endX = (this.width + MARGIN) * 4;
    const endY = (this.height + MARGIN) * 4;
    const corner = shift * stride + shift;
    for (let k = from; k < to; k++) {
      const i = order === null ? k : (order[k] as number);
      const x = (xy[2 * i] as number) * ax + bx;
      const y = (xy[2 * i + 1] as number) * ay + by;
      if (!(x >= 0 && x < endX && y >= 0 && y < endY)) continue;
      const x4 = x | 0;
      const y4 = y | 0;
      const phase = ((y4 & 3) << 2) | (x4 & 3);
      const base = corner + (y4 >> 2) * stride + (x4 >> 2);
      const color = table[row + (colors[i] as number)] as number;
      const redBlue = color & 0xff00ff;
      const green = (color >>> 8) & 0xff;
      const end = starts[phase + 1] as number;
      for (let s = starts[phase] as number; s < end; s++) {
        const at = base + (offsets[s] as number);
        const alpha = alphas[s] as number;
        const rest = 256 - alpha;
        const under = pixels[at] as number;
        const rb = (((Math.imul(under & 0xff00ff, rest) + Math.imul(redBlue, alpha)) | 0) + 0x800080) >>> 8;
        const g = Math.imul((under >>> 8) & 0xff, rest) + Math.imul(green, alpha) + 128;
        pixels[at] = 0xff000000 | (rb & 0xff00ff) | (g & 0xff00);
      }
    }
  }
}
