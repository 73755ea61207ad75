/**
 * Points in steps of a box: places, colour bytes and two flags each, six bytes a point and nothing else that grows with them.
 * They stand in random order, so any prefix is a fair sample of all, and so is any prefix of those of one class.
 */
import type { Mode } from "../../core/protocol.js";
import { type Affine, type Bounds, LAST_STEP, type Size } from "./camera.js";
import type { Bits } from "./engine.js";
import { RingTest } from "./lasso.js";

export const SELECTED = 1;
export const VISIBLE = 2;

/** How a point is drawn; a higher class lies above a lower one. */
export const GONE = 0; // does not pass the filter
export const FADED = 1; // passes, but others are selected
export const FULL = 2;
export type Row = 0 | 1 | 2;

/** A class of at most so many points gets a list of them, or each frame would look for a few among millions. */
const LISTED = 65_536;
/** So many points tell how dense all of them are. */
export const MEASURED = 1 << 17;
/** Cells along one side of the grid on which density is measured. */
const GRID = 128;

/** Bit 2 * was + hit says whether the point is selected then. */
const OUTCOMES: Record<Mode, number> = { replace: 0b1010, add: 0b1110, subtract: 0b0100, intersect: 0b1000 };

/** A change of the selection, kept while points are still to come: it holds for them as well. */
export type Change =
  | { kind: "ring"; ring: Float64Array; mode: Mode } // in steps
  | { kind: "pick"; indices: readonly number[]; mode: Mode }
  | { kind: "correct"; on: readonly number[]; off: readonly number[] };

interface Kept {
  bits: Uint8Array<ArrayBuffer>;
  loaded: number;
  changes: readonly Change[];
}

export class Cloud {
  xy: Uint16Array<ArrayBuffer>;
  colors: Uint8Array<ArrayBuffer>;
  flags: Uint8Array<ArrayBuffer>;
  /** The points from the first one on without a gap; later parts that came early wait beyond it. */
  loaded = 0;
  /** How many loaded points have flags 0, 1, 2 and 3. */
  tally: [number, number, number, number] = [0, 0, 0, 0];
  /** Some points are selected, here or in another layer: the others fade. */
  selecting = false;
  /** Counters that tell what looks at the points that they have changed. */
  colorVersion = 0;
  markVersion = 0;
  visibleVersion = 0;
  /** All flags are as they were at the beginning: unselected and visible. */
  private fresh = true;
  private early: [number, number][] = [];
  private changes: Change[] = [];
  private kept: Kept | null = null;
  private lists: (Uint32Array | null)[] = [null, null, null];
  private listsFor = "";

  constructor(
    readonly total: number,
    readonly bounds: Bounds,
    /** Of points that are a part of others: which ones, in the order of those. */
    readonly positions: Uint32Array<ArrayBuffer> | null = null,
  ) {
    this.xy = new Uint16Array(2 * total);
    this.colors = new Uint8Array(total);
    this.flags = new Uint8Array(total).fill(VISIBLE);
  }

  /** All at once: the arrays are kept, not copied. Of unequal lengths the shortest counts. */
  static of(
    bounds: Bounds,
    positions: Uint32Array<ArrayBuffer>,
    xy: Uint16Array<ArrayBuffer>,
    colors: Uint8Array<ArrayBuffer>,
    flags: Uint8Array<ArrayBuffer>,
  ): Cloud {
    const total = Math.min(positions.length, xy.length >> 1, colors.length, flags.length);
    const cloud = new Cloud(0, bounds, positions);
    Object.assign(cloud, { total, xy, colors, flags, loaded: total, fresh: false });
    for (let i = 0; i < total; i++) flags[i] = (flags[i] as number) & (SELECTED | VISIBLE);
    cloud.recount();
    return cloud;
  }

  /** What `postMessage` made of a cloud becomes one again. */
  static from(plain: Cloud): Cloud {
    return Object.assign(new Cloud(0, plain.bounds), plain);
  }

  /** Takes as many as arrays and room hold; parts may come in any order. */
  add(offset: number, count: number, xy: Uint16Array, colors: Uint8Array): void {
    const room = Math.floor(Math.max(0, Math.min(count, this.total - offset, xy.length >> 1)));
    if (offset < 0 || room === 0) return;
    this.xy.set(xy.subarray(0, 2 * room), 2 * offset);
    this.setColors(offset, colors.subarray(0, room));
    this.early.push([offset, offset + room]);
    this.early.sort((a, b) => a[0] - b[0]);
    const before = this.loaded;
    while (this.early.length > 0 && (this.early[0] as [number, number])[0] <= this.loaded)
      this.loaded = Math.max(this.loaded, (this.early.shift() as [number, number])[1]);
    for (const change of this.changes) this.apply(change, before, this.loaded);
    if (this.loaded === this.total) this.changes = [];
    this.count(before, this.loaded);
    this.markVersion++;
  }

  setColors(offset: number, colors: Uint8Array): void {
    const room = Math.min(colors.length, this.total - offset);
    if (offset < 0 || room <= 0) return;
    this.colors.set(colors.subarray(0, room), offset);
    this.colorVersion++;
  }

  /** Bits are in the order of the points, for all of them, also for those still to come. */
  setMarks(selected: Bits, visible: Bits): void {
    const asBefore = (selected === null || selected === "none") && (visible === null || visible === "all");
    if (!this.fresh || !asBefore) {
      spread(selected, this.flags, SELECTED);
      spread(visible, this.flags, VISIBLE);
      this.fresh = false;
    }
    if (selected !== null) this.changes = [];
    if (visible !== null) this.visibleVersion++;
    this.recount();
  }

  change(change: Change): void {
    if (this.loaded < this.total) this.changes.push(change);
    this.apply(change, 0, this.loaded);
    this.recount();
  }

  /** Takes the flags of the same points from `others`, as far as those are loaded. */
  follow(others: Cloud): void {
    const { positions, flags } = this;
    if (!positions) return;
    this.fresh = false;
    for (let i = 0; i < this.loaded; i++) {
      const at = positions[i] as number;
      if (at < others.loaded) flags[i] = others.flags[at] as number;
    }
    this.visibleVersion++;
    this.recount();
  }

  keep(): void {
    const bits = new Uint8Array((this.total + 7) >> 3);
    for (let i = 0; i < this.total; i++)
      bits[i >> 3] = (bits[i >> 3] as number) | (((this.flags[i] as number) & SELECTED) << (i & 7));
    this.kept = { bits, loaded: this.loaded, changes: [...this.changes] };
  }

  restore(): void {
    const { kept } = this;
    if (!kept) return;
    this.fresh = false;
    spread(kept.bits, this.flags, SELECTED);
    // What came meanwhile was not there to be kept.
    for (const change of kept.changes) this.apply(change, kept.loaded, this.loaded);
    this.changes = this.loaded < this.total ? [...kept.changes] : [];
    this.kept = null;
    this.recount();
  }

  private apply(change: Change, from: number, to: number): void {
    const { flags } = this;
    if (from >= to) return;
    this.fresh = false;
    if (change.kind === "ring") {
      this.ring(new RingTest(change.ring), change.mode, from, to);
      return;
    }
    if (change.kind === "correct") {
      for (const i of this.among(change.on, from, to)) flags[i] = (flags[i] as number) | SELECTED;
      for (const i of this.among(change.off, from, to)) flags[i] = (flags[i] as number) & ~SELECTED;
      return;
    }
    const { mode } = change;
    // Only points that pass the filter can be hit.
    const visible = this.among(change.indices, from, to).filter((i) => ((flags[i] as number) & VISIBLE) !== 0);
    const hit = mode === "intersect" ? visible.filter((i) => ((flags[i] as number) & SELECTED) !== 0) : visible;
    if (mode === "replace" || mode === "intersect")
      for (let i = from; i < to; i++) flags[i] = (flags[i] as number) & VISIBLE;
    for (const i of hit) flags[i] = mode === "subtract" ? VISIBLE : SELECTED | VISIBLE;
  }

  /** Which of the points `from`…`to` have these positions in the order of all. */
  private among(indices: readonly number[], from: number, to: number): number[] {
    const { positions } = this;
    if (!positions || indices.length === 0) return indices.filter((index) => index >= from && index < to);
    const wanted = new Set(indices);
    const found: number[] = [];
    for (let i = from; i < to; i++) if (wanted.has(positions[i] as number)) found.push(i);
    return found;
  }

  private ring(test: RingTest, mode: Mode, from: number, to: number): void {
    const { xy, flags } = this;
    const { columns, rows, cells } = test.table();
    const outcomes = OUTCOMES[mode];
    for (let i = from; i < to; i++) {
      const x = xy[2 * i] as number;
      const y = xy[2 * i + 1] as number;
      const flag = flags[i] as number;
      let hit = cells[(rows[y] as number) + (columns[x] as number)] as number;
      if (hit === 2) hit = test.has(x, y) ? 1 : 0;
      // Only points that pass the filter can be hit.
      hit &= flag >> 1;
      flags[i] = (flag & VISIBLE) | ((outcomes >> (2 * (flag & SELECTED) + hit)) & 1);
    }
  }

  private recount(): void {
    this.tally = [0, 0, 0, 0];
    this.count(0, this.loaded);
    this.markVersion++;
  }

  private count(from: number, to: number): void {
    const { flags, tally } = this;
    let selected = 0;
    let visible = 0;
    let both = 0;
    for (let i = from; i < to; i++) {
      const flag = flags[i] as number;
      selected += flag & SELECTED;
      visible += flag >> 1;
      both += flag & (flag >> 1);
    }
    tally[0] += to - from - selected - visible + both;
    tally[1] += selected - both;
    tally[2] += visible - both;
    tally[3] += both;
  }

  get selected(): number {
    return this.tally[1] + this.tally[3];
  }

  get visible(): number {
    return this.tally[2] + this.tally[3];
  }

  /** How many points are of a class. */
  size(row: Row): number {
    const [gone, hidden, plain, full] = this.tally;
    if (row === GONE) return gone + hidden;
    if (row === FADED) return this.selecting ? plain : 0;
    return this.selecting ? full : plain + full;
  }

  /** The class of each value of the flags. */
  get rows(): Uint8Array {
    return Uint8Array.of(GONE, GONE, this.selecting ? FADED : FULL, FULL);
  }

  /** The points of a class where they are few; null for many and where all are of it. */
  list(row: Row): Uint32Array | null {
    const size = this.size(row);
    if (size > LISTED || size === this.loaded) return null;
    const key = `${this.markVersion} ${this.selecting}`;
    if (key !== this.listsFor) {
      this.listsFor = key;
      this.lists = [null, null, null];
    }
    let list = this.lists[row] ?? null;
    if (list === null) {
      list = new Uint32Array(size + 1); // one more: `gather` writes before it decides
      this.gather(row, this.rows, 0, this.loaded, list);
      list = list.subarray(0, size);
      this.lists[row] = list;
    }
    return list;
  }

  /** Writes which of the points `from`…`to` are of a class; returns how many. Without a branch, as their order is random. */
  gather(row: Row, rows: Uint8Array, from: number, to: number, found: Uint32Array): number {
    const { flags } = this;
    const wanted = [0, 1, 2, 3].map((flag) => (rows[flag] === row ? 1 : 0));
    const [none, hidden, plain, full] = wanted as [number, number, number, number];
    let n = 0;
    for (let i = from; i < to; i++) {
      const flag = flags[i] as number;
      found[n] = i;
      n += flag === 0 ? none : flag === 1 ? hidden : flag === 2 ? plain : full;
    }
    return n;
  }

  /**
   * Points per square world unit at the place of a typical point. Unlike count over area it does not call a plot with two
   * tight clusters sparse. The sum of c (c - 1) leaves out that each point finds itself. `count` is how many points there will
   * be: from MEASURED loaded ones on it is then what it will come to.
   */
  density(world: Size, count = this.loaded): number {
    const n = Math.min(this.loaded, MEASURED);
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
    return (count * share) / ((world.width * world.height) / (GRID * GRID));
  }

  /** The visible point nearest to a place on the screen, at most `reach` pixels away; `transform` leads from steps to pixels. */
  nearest(x: number, y: number, transform: Affine, reach: number): number | null {
    const { xy, flags, loaded } = this;
    const { ax, bx, ay, by } = transform;
    const [lowX, highX] = span((x - reach - bx) / ax, (x + reach - bx) / ax);
    const [lowY, highY] = span((y - reach - by) / ay, (y + reach - by) / ay);
    let best = reach * reach;
    let found: number | null = null;
    for (let i = 0; i < loaded; i++) {
      const stepX = xy[2 * i] as number;
      if (stepX < lowX || stepX > highX) continue;
      const stepY = xy[2 * i + 1] as number;
      if (stepY < lowY || stepY > highY) continue;
      if (((flags[i] as number) & VISIBLE) === 0) continue;
      const d = (stepX * ax + bx - x) ** 2 + (stepY * ay + by - y) ** 2;
      // Later points lie above earlier ones: at the same place the upper one is meant.
      if (d <= best) {
        best = d;
        found = i;
      }
    }
    return found;
  }

  /** In data coordinates. */
  place(i: number): { x: number; y: number } {
    const [x0, y0, x1, y1] = this.bounds;
    return {
      x: x0 + ((this.xy[2 * i] as number) / LAST_STEP) * (x1 - x0),
      y: y0 + ((this.xy[2 * i + 1] as number) / LAST_STEP) * (y1 - y0),
    };
  }

  /** Two loaded points at the corners of the box around the selected ones, in steps; null when there are none. */
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

  /** Bytes of all arrays that stand for points. */
  get bytes(): number {
    const arrays = [this.xy, this.colors, this.flags, this.positions, this.kept?.bits, ...this.lists];
    return arrays.reduce((sum, array) => sum + (array?.byteLength ?? 0), 0);
  }

  /** What can be handed over with `postMessage` instead of being copied. */
  get buffers(): ArrayBuffer[] {
    return [this.xy, this.colors, this.flags, this.positions].flatMap((array) => (array ? [array.buffer] : []));
  }
}

function span(a: number, b: number): [number, number] {
  return a < b ? [a, b] : [b, a];
}

/** Bit i % 8 of byte i >> 3 becomes the given flag of point i. */
function spread(bits: Bits, flags: Uint8Array, flag: number): void {
  if (bits === null) return;
  const others = ~flag & 255;
  if (typeof bits === "string") {
    const on = bits === "all" ? flag : 0;
    for (let i = 0; i < flags.length; i++) flags[i] = ((flags[i] as number) & others) | on;
    return;
  }
  const shift = flag >> 1; // flag 1 or 2 out of bit 0
  const count = Math.min(flags.length, 8 * bits.length);
  for (let i = 0; i < count; i++) {
    const on = ((bits[i >> 3] as number) >> (i & 7)) & 1;
    flags[i] = ((flags[i] as number) & others) | (on << shift);
  }
}
