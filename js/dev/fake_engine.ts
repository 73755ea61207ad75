/** An engine without a picture, in plain loops: what tests of the panel look at instead of a canvas. */
import type { Box, Legend, Mode } from "../core/protocol.js";
import { type Bounds, dataToSteps, stepsToData } from "../panels/scatter/camera.js";
import type {
  Bits,
  Density,
  Detail,
  Engine,
  EngineOptions,
  Facts,
  Frame,
  Hit,
  Part,
} from "../panels/scatter/engine.js";
import { inside } from "../panels/scatter/lasso.js";

const SELECTED = 1;
const VISIBLE = 2;

export class FakeEngine implements Engine {
  readonly name = "canvas";
  readonly canvas = document.createElement("canvas");
  readonly frames: Frame[] = [];
  bounds: Bounds = [0, 0, 1, 1];
  xy = new Uint16Array();
  colors = new Uint8Array();
  flags = new Uint8Array();
  loaded = 0;
  legend: Legend = { kind: "none" };
  detail: Detail | null = null;
  density: Density | null = null;
  disposed = false;
  /** Begun, loaded … in order: what a test counts. */
  readonly done: string[] = [];
  private kept = new Uint8Array();

  constructor(private readonly options: Pick<EngineOptions, "stage" | "events">) {
    this.canvas.className = "points";
    options.stage.prepend(this.canvas);
  }

  begin(total: number, bounds: Bounds): void {
    this.done.push(`begin ${total}`);
    this.bounds = bounds;
    this.xy = new Uint16Array(2 * total);
    this.colors = new Uint8Array(total);
    this.flags = new Uint8Array(total).fill(VISIBLE);
    this.loaded = 0;
    this.detail = null;
    this.density = null;
    this.told();
  }

  add({ offset, count, xy, colors }: Part): void {
    this.done.push(`add ${offset} ${count}`);
    this.xy.set(xy.subarray(0, 2 * count), 2 * offset);
    this.colors.set(colors.subarray(0, count), offset);
    this.loaded = Math.max(this.loaded, offset + count);
    this.told();
  }

  setColors(offset: number, colors: Uint8Array): void {
    this.done.push("colors");
    this.colors.set(colors, offset);
  }

  setLegend(legend: Legend): void {
    this.legend = legend;
  }

  setMarks(selected: Bits, visible: Bits): void {
    this.done.push("marks");
    const set = (bits: Bits, flag: number): void => {
      if (bits === null) return;
      this.flags.forEach((old, i) => {
        const on = typeof bits === "string" ? bits === "all" : ((bits[i >> 3] ?? 0) >> (i & 7)) & 1;
        this.flags[i] = on ? old | flag : old & ~flag;
      });
    };
    set(selected, SELECTED);
    set(visible, VISIBLE);
    this.told();
  }

  combine(ring: Float64Array, mode: Mode): void {
    const steps = new Float64Array(ring.length);
    for (let i = 0; i < ring.length; i += 2)
      steps.set(dataToSteps(this.bounds, ring[i] as number, ring[i + 1] as number), i);
    this.resolve((i) => inside(steps, this.xy[2 * i] as number, this.xy[2 * i + 1] as number), mode);
  }

  pick(indices: readonly number[], mode: Mode): void {
    const picked = new Set(indices);
    this.resolve((i) => picked.has(i), mode);
  }

  private resolve(hit: (i: number) => boolean, mode: Mode): void {
    const all = mode === "replace" ? this.flags.length : this.loaded;
    for (let i = 0; i < all; i++) {
      const flag = this.flags[i] as number;
      const was = (flag & SELECTED) !== 0;
      const now = i < this.loaded && (flag & VISIBLE) !== 0 && hit(i);
      const is = { replace: now, add: was || now, subtract: was && !now, intersect: was && now }[mode];
      this.flags[i] = is ? flag | SELECTED : flag & ~SELECTED;
    }
    this.told();
  }

  correct(on: readonly number[], off: readonly number[]): void {
    this.done.push(`correct ${on.length + off.length}`);
    for (const i of on) this.flags[i] = (this.flags[i] as number) | SELECTED;
    for (const i of off) this.flags[i] = (this.flags[i] as number) & ~SELECTED;
    this.told();
  }

  keep(): void {
    this.kept = this.flags.slice();
  }

  restore(): void {
    this.flags.forEach((flag, i) => {
      this.flags[i] = (flag & ~SELECTED) | ((this.kept[i] ?? 0) & SELECTED);
    });
    this.told();
  }

  setDetail(detail: Detail | null): void {
    this.done.push(detail ? `detail ${detail.positions.length}` : "no detail");
    this.detail = detail;
  }

  setDensity(density: Density | null): void {
    this.done.push(density ? `density ${density.width}x${density.height}` : "no density");
    this.density = density;
  }

  async nearest(x: number, y: number, reach: number, { ax, ay }: { ax: number; ay: number }): Promise<Hit | null> {
    let best = reach;
    let found: Hit | null = null;
    for (let i = 0; i < this.loaded; i++) {
      const [px, py] = this.at(i);
      const far = Math.hypot((px - x) * ax, (py - y) * ay);
      if (far > best || ((this.flags[i] as number) & VISIBLE) === 0) continue;
      best = far;
      found = { index: i, x: px, y: py };
    }
    return found;
  }

  private at(i: number): [number, number] {
    return stepsToData(this.bounds, this.xy[2 * i] as number, this.xy[2 * i + 1] as number);
  }

  async place(index: number): Promise<{ x: number; y: number } | null> {
    const [x, y] = this.at(index);
    return index < this.loaded ? { x, y } : null;
  }

  async selectedBox(): Promise<Box | null> {
    const box: Box = [Infinity, Infinity, -Infinity, -Infinity];
    for (let i = 0; i < this.loaded; i++) {
      if (((this.flags[i] as number) & SELECTED) === 0) continue;
      const [x, y] = this.at(i);
      box[0] = Math.min(box[0], x);
      box[1] = Math.min(box[1], y);
      box[2] = Math.max(box[2], x);
      box[3] = Math.max(box[3], y);
    }
    return box[0] <= box[2] ? box : null;
  }

  async draw(frame: Frame): Promise<void> {
    this.frames.push(frame);
  }

  dispose(): void {
    this.disposed = true;
    this.canvas.remove();
  }

  get facts(): Facts {
    const count = (flag: number): number => this.flags.subarray(0, this.loaded).filter((bits) => bits & flag).length;
    return {
      loaded: this.loaded,
      total: this.flags.length,
      selected: count(SELECTED),
      visible: count(VISIBLE),
      radius: 2,
      names: [],
      few: [],
      complete: true,
    };
  }

  private told(): void {
    this.options.events.facts(this.facts);
  }
}
