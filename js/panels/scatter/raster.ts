/**
 * Points into pixels with nothing but typed arrays. Each disc is a stamp made beforehand for sixteen positions inside a pixel,
 * so that a slow pan does not jitter, and is blended into the buffer with integer arithmetic, red and blue in one multiplication.
 */
import type { Affine } from "./camera.js";
import type { Mosaic } from "./scene.js";

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

  /** `take` may give a buffer of just so many bytes that is no longer needed elsewhere. */
  constructor(
    readonly width: number,
    readonly height: number,
    take?: (bytes: number) => ArrayBuffer | undefined,
  ) {
    this.stride = width + 2 * MARGIN;
    this.rows = height + 2 * MARGIN;
    const size = 4 * this.stride * this.rows;
    this.bytes = new Uint8ClampedArray(take?.(size) ?? new ArrayBuffer(size));
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
  /** Lays cells over the picture, their colours flowing into each other. `ratio` is device pixels for one of CSS. */
  mosaic({ cells, width, height, transform }: Mosaic, ratio: number): void {
    const across = steps(transform.ax * ratio, transform.bx * ratio, this.width, width);
    const down = steps(transform.ay * ratio, transform.by * ratio, this.height, height);
    for (let y = 0; y < this.height; y++) {
      const low = down[3 * y] as number;
      if (low < 0) continue;
      const row0 = low * width;
      const row1 = (down[3 * y + 1] as number) * width;
      const v = down[3 * y + 2] as number;
      let at = (y + MARGIN) * this.stride + MARGIN;
      for (let x = 0; x < 3 * this.width; x += 3, at++) {
        const left = across[x] as number;
        if (left < 0) continue;
        const right = across[x + 1] as number;
        const u = across[x + 2] as number;
        const a = cells[row0 + left] as number;
        const b = cells[row0 + right] as number;
        const c = cells[row1 + left] as number;
        const d = cells[row1 + right] as number;
        this.pixels[at] = a === b && b === c && c === d ? a : between(between(a, b, u), between(c, d, u), v);
      }
    }
  }
}

/** For each pixel: the two cells whose middles it lies between, and how near to the second (of 256); -1 outside. */
function steps(scale: number, origin: number, pixels: number, cells: number): Int32Array {
  const found = new Int32Array(3 * pixels);
  for (let i = 0; i < pixels; i++) {
    const place = (i + 0.5 - origin) / scale;
    if (!(place >= 0 && place <= cells)) {
      found[3 * i] = -1;
      continue;
    }
    const low = Math.floor(place - 0.5);
    found[3 * i] = Math.max(0, low);
    found[3 * i + 1] = Math.min(cells - 1, low + 1);
    found[3 * i + 2] = Math.round(256 * (place - 0.5 - low));
  }
  return found;
}

function between(a: number, b: number, share: number): number {
  const rest = 256 - share;
  const rb = (((Math.imul(a & 0xff00ff, rest) + Math.imul(b & 0xff00ff, share)) | 0) + 0x800080) >>> 8;
  const g = Math.imul((a >>> 8) & 0xff, rest) + Math.imul((b >>> 8) & 0xff, share) + 128;
  return (0xff000000 | (rb & 0xff00ff) | (g & 0xff00)) >>> 0;
}
