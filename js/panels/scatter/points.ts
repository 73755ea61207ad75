/**
 * The points of one projection: places, colour bytes and, for each point, whether it is selected and passes the filter.
 * They stand in random order, so any prefix is a fair sample of all.
 */
import type { Mode } from "../../core/protocol.js";
import { type Bounds, LAST_STEP, type Size } from "./camera.js";

export const SELECTED = 1;
export const VISIBLE = 2;

/** How a point is drawn; a higher class lies above a lower one. */
export const GONE = 0; // does not pass the filter
export const FADED = 1; // passes, but others are selected
export const FULL = 2;

/** Cells along one side of the grid on which density is measured. */
const GRID = 128;

export class Points {
  readonly xy: Uint16Array;
  readonly colors: Uint8Array;
  readonly flags: Uint8Array;
  /** Point numbers class by class (gone, faded, full), in random order inside each; meaningless while `uniform` is set. */
  readonly order: Uint32Array;
  /** Where the classes end in `order`. */
  ends: [number, number, number] = [0, 0, 0];
  /** The one class that all points have, or null when `order` is needed. */
  uniform: number | null = FULL;
  loaded = 0;
  /** Counters that tell a renderer what it has to upload again. */
  colorVersion = 0;
  classVersion = 0;

  constructor(
    readonly projection: string,
    readonly total: number,
    readonly bounds: Bounds,
  ) {
    this.xy = new Uint16Array(2 * total);
    this.colors = new Uint8Array(total);
    this.flags = new Uint8Array(total).fill(VISIBLE);
    this.order = new Uint32Array(total);
  }

  /** Adds one part of the answer to `points`. */
  add(offset: number, count: number, xy: DataView, colors: DataView): void {
    const room = Math.max(0, Math.min(count, this.total - offset, xy.byteLength >> 2));
    // A buffer may start at an odd address inside its message; a copy never does.
    this.xy.set(new Uint16Array(xy.buffer.slice(xy.byteOffset, xy.byteOffset + 4 * room)), 2 * offset);
    this.setColors(offset, Math.min(room, colors.byteLength), colors);
    this.loaded = Math.max(this.loaded, offset + room);
    this.classify();
  }

  setColors(offset: number, count: number, colors: DataView): void {
    const room = Math.max(0, Math.min(count, this.total - offset, colors.byteLength));
    this.colors.set(new Uint8Array(colors.buffer, colors.byteOffset, room), offset);
    this.colorVersion++;
  }

  /** Takes the kernel's bitsets; null leaves that half as it is. */
  setMarks(selected: DataView | null, visible: DataView | null): void {
    const flags = this.flags;
    if (selected) spread(selected, flags, SELECTED);
    if (visible) spread(visible, flags, VISIBLE);
    this.classify();
  }

  /** The panel's own guess of a selection, until the kernel's answer is here. Only points that pass the filter take part. */
  combine(hit: (index: number) => boolean, mode: Mode): void {
    const flags = this.flags;
    for (let i = 0; i < this.loaded; i++) {
      const flag = flags[i] as number;
      const was = (flag & SELECTED) !== 0;
      const now = (flag & VISIBLE) !== 0 && hit(i);
      const is =
        mode === "replace" ? now : mode === "add" ? was || now : mode === "subtract" ? was && !now : was && now;
      flags[i] = is ? flag | SELECTED : flag & ~SELECTED;
    }
    this.classify();
  }

  /** Sorts the points into classes by counting; inside a class the order stays, so a prefix of each stays a fair sample. */
  classify(): void {
    const { flags, order, loaded } = this;
    let selected = 0;
    let visible = 0;
    let both = 0;
    for (let i = 0; i < loaded; i++) {
      const flag = flags[i] as number;
      selected += flag & SELECTED;
      visible += (flag & VISIBLE) >> 1;
      both += flag === (SELECTED | VISIBLE) ? 1 : 0;
    }
    const gone = loaded - visible;
    const full = selected > 0 ? both : visible;
    this.classVersion++;
    this.ends = [gone, loaded - full, loaded];
    this.uniform = full === loaded ? FULL : gone === loaded ? GONE : gone + full === 0 ? FADED : null;
    if (this.uniform !== null) return;
    let atGone = 0;
    let atFaded = gone;
    let atFull = loaded - full;
    for (let i = 0; i < loaded; i++) {
      const flag = flags[i] as number;
      if ((flag & VISIBLE) === 0) order[atGone++] = i;
      else if (selected > 0 && (flag & SELECTED) === 0) order[atFaded++] = i;
      else order[atFull++] = i;
    }
  }

  get selectedCount(): number {
    let count = 0;
    for (let i = 0; i < this.loaded; i++) count += (this.flags[i] as number) & SELECTED;
    return count;
  }

  isVisible(index: number): boolean {
    return ((this.flags[index] ?? 0) & VISIBLE) !== 0;
  }

  /**
   * Points per square world unit at the place of a typical point. Unlike count over area it does not call a plot with two
   * tight clusters sparse. The sum of c (c - 1) leaves out that each point finds itself.
   */
  density(world: Size): number {
    const n = Math.min(this.loaded, 1 << 17);
    if (n < 2) return 0;
    const counts = new Uint32Array(GRID * GRID);
    for (let i = 0; i < n; i++) {
      const column = ((this.xy[2 * i] as number) * GRID) >> 16;
      const row = ((this.xy[2 * i + 1] as number) * GRID) >> 16;
      const cell = row * GRID + column;
      counts[cell] = (counts[cell] as number) + 1;
    }
    let pairs = 0;
    for (const c of counts) pairs += c * (c - 1);
    const share = pairs / (n * (n - 1)); // of all points, in the cell of a typical one
    return (this.loaded * share) / ((world.width * world.height) / (GRID * GRID));
  }

  /** The visible point nearest to a place, at most `reach` away; scales are screen pixels for one step. */
  nearest(stepX: number, stepY: number, scaleX: number, scaleY: number, reach: number): number | null {
    const { xy, flags, loaded } = this;
    const reachX = reach / Math.abs(scaleX);
    const reachY = reach / Math.abs(scaleY);
    const lowX = stepX - reachX;
    const highX = stepX + reachX;
    const lowY = stepY - reachY;
    const highY = stepY + reachY;
    let best = reach * reach;
    let found: number | null = null;
    for (let i = 0; i < loaded; i++) {
      const x = xy[2 * i] as number;
      if (x < lowX || x > highX) continue;
      const y = xy[2 * i + 1] as number;
      if (y < lowY || y > highY) continue;
      const flag = flags[i] as number;
      if ((flag & VISIBLE) === 0) continue;
      const d = ((x - stepX) * scaleX) ** 2 + ((y - stepY) * scaleY) ** 2;
      // Later points lie above earlier ones: at the same place the upper one is meant.
      if (d <= best) {
        best = d;
        found = i;
      }
    }
    return found;
  }

  /** The selected points where they are few among others: `most` at most, else none. */
  few(most: number): readonly number[] {
    const [gone, faded, full] = this.ends;
    if (this.uniform !== null || faded === gone || full - faded > most) return [];
    return [...this.order.subarray(faded, full)];
  }

  /** The box that holds the selected points, in steps; null when there are none. */
  selectedBox(): [number, number, number, number] | null {
    let [x0, y0, x1, y1] = [LAST_STEP, LAST_STEP, -1, -1];
    for (let i = 0; i < this.loaded; i++) {
      if (((this.flags[i] as number) & SELECTED) === 0) continue;
      const x = this.xy[2 * i] as number;
      const y = this.xy[2 * i + 1] as number;
      x0 = Math.min(x0, x);
      x1 = Math.max(x1, x);
      y0 = Math.min(y0, y);
      y1 = Math.max(y1, y);
    }
    return x1 < 0 ? null : [x0, y0, x1, y1];
  }
}

/** Bit i % 8 of byte i >> 3 becomes the given flag of point i. */
function spread(bits: DataView, flags: Uint8Array, flag: number): void {
  const bytes = new Uint8Array(bits.buffer, bits.byteOffset, bits.byteLength);
  const count = Math.min(flags.length, 8 * bytes.length);
  for (let i = 0; i < count; i++) {
    const on = ((bytes[i >> 3] as number) >> (i & 7)) & 1;
    flags[i] = on ? (flags[i] as number) | flag : (flags[i] as number) & ~flag;
  }
}
