/** Brings the points from the kernel to the engine: places, colours and marks, each asked for again only when it has changed. */
import type { HubExports, KernelError, Reply } from "../../core/contract.js";
import type { Legend, Mode, SessionState, Shape, Share } from "../../core/protocol.js";
import { fromWire } from "../../core/wire.js";
import type { Bits, Engine } from "./engine.js";
import { type Own, ofObjects, type Placed, Selecting } from "./selecting.js";
import { unfolded } from "./shares.js";

const OTHERS = "other places";

export type Boot = readonly { op: string; ask: unknown; rev: number; body: unknown; buffers: DataView[] }[] | null;

export interface FeedActions {
  /** Other points, or the first part of them. */
  replaced(placed: Placed | null, legend: Legend): void;
  /** Another part of the same points. */
  grown(): void;
  recolored(legend: Legend): void;
  /** The flags of the points changed, and with `anew` by more than what the engine has worked out on all it shows. */
  marked(anew: boolean): void;
  /** All that the state says has been taken in or asked for. */
  synced(): void;
  /** A gesture: the highlight is to be drawn at once. */
  guessed(): void;
}

export interface Wanted {
  projection: string | null; // null: the newest
  color: string | null;
}

export class Feed {
  placed: Placed | null = null;
  legend: Legend = { kind: "none" };
  wanted: Wanted = { projection: null, color: null };
  loading = false;
  readonly selecting: Selecting;
  private loadedFor = ""; // what made us ask for the points
  private coloredFor = "";
  private markedFor = "";
  private staleBefore = 0;
  private loads = 0;

  constructor(
    private readonly hub: Pick<HubExports, "client" | "store">,
    private readonly engine: Engine,
    private readonly panel: string,
    private readonly signal: AbortSignal,
    private readonly actions: FeedActions,
  ) {
    this.selecting = new Selecting(engine);
  }

  /** Takes the answers that came with the panel itself. */
  boot(boot: Boot | undefined, wanted: Wanted): void {
    this.wanted = wanted;
    const replies = (boot ?? []).map((reply) => ({
      ...(fromWire({ ...reply, buffers: null }) as object),
      buffers: reply.buffers,
    }));
    const find = (op: string) => replies.find((reply) => (reply as { op?: string }).op === op) as unknown;
    const points = find("points") as (Reply<"points"> & { ask: Wanted }) | undefined;
    if (!points || points.ask.color !== wanted.color || points.ask.projection !== wanted.projection) return;
    this.take(points);
    const marks = find("marks") as Reply<"marks"> | undefined;
    if (marks && marks.body.places === this.placed?.places) this.takeMarks(marks);
    const state = this.hub.store.state.peek();
    if (!state || state.rev !== points.rev) return;
    if (this.complete) this.loadedFor = this.placesKey(state);
    this.coloredFor = this.colorsKey(wanted.color, state, state.rev);
  }

  /** Other words whenever the colour bytes are others. */
  get colors(): string {
    return this.coloredFor;
  }

  /** Nothing of the points is still to come. */
  get complete(): boolean {
    return this.placed !== null && this.placed.loaded >= this.placed.held;
  }

  /** Whether the points that stand out are those of the session's selection, and no gesture is under way. */
  settled({ selection }: SessionState): boolean {
    return !this.selecting.busy && this.selecting.version === selection.version;
  }

  /** After each change of the session's state or of what is wanted: asks for what is out of date, and for nothing else. */
  sync(state: SessionState): void {
    if (state.projections.length === 0) {
      this.loadedFor = "";
      if (this.placed === null) return;
      this.placed = null;
      this.engine.begin(0, [0, 0, 0, 0]);
      this.selecting.begin();
      this.actions.replaced(null, this.legend);
      return;
    }
    const stale = this.info(state)?.stale ?? 0;
    if (stale < this.staleBefore) this.loadedFor = OTHERS; // samples got new places
    this.staleBefore = stale;
    if (this.loadedFor !== this.placesKey(state)) void this.load(state);
    if (!this.placed) return;
    const { selecting } = this;
    const bits = selecting.settle(state, this.placed);
    const changed = selecting.changes();
    if (changed !== null) this.actions.marked(changed === "anew");
    if (bits) void this.mark(state);
    if (!this.loading && this.coloredFor !== this.colorsKey(this.wanted.color, state, state.rev))
      void this.recolor(state);
    this.actions.synced();
  }

  /** The projection on screen, else the one that is wanted. */
  info(state: SessionState) {
    const name = this.placed?.projection ?? this.wanted.projection;
    return state.projections.find((one) => one.name === name) ?? null;
  }

  /** Selects by a gesture: the engine's own answer is on screen at once, and the kernel's follows. */
  select(shape: Shape, mode: Mode): Promise<void> {
    const { placed } = this;
    if (!placed) return Promise.resolve();
    const own = this.selecting.guess(placed, shape, mode);
    this.actions.guessed();
    return this.tell(own, shape, mode);
  }

  /** Selects nothing; the engine shows that already. */
  confirmClear(): Promise<void> {
    if (!this.placed) return Promise.resolve();
    return this.tell(this.selecting.confirm(this.placed), { type: "none" }, "replace");
  }

  /** It was a double click. */
  restore(): void {
    this.selecting.restore();
    this.again();
  }

  private async tell(own: Own, shape: Shape, mode: Mode): Promise<void> {
    const ask = { shape, mode, source: "scatter", token: own.token };
    try {
      const answer = await this.hub.store.gesture(ask, { panel: this.panel, signal: this.signal });
      this.selecting.answered(own, answer);
    } catch (error) {
      this.selecting.failed(own);
      this.complain(error);
    }
    this.again();
  }

  private placesKey(state: SessionState): string {
    const { projection } = this.wanted;
    // Without a wish the newest is shown, which another list of projections may change.
    const names = projection ?? state.projections.map((one) => one.name).join("\n");
    const shown = state.projections.find((one) => one.name === (projection ?? this.placed?.projection));
    return JSON.stringify([names, shown?.count ?? null, shown?.version ?? null]);
  }

  private async load(state: SessionState): Promise<void> {
    const { client, store } = this.hub;
    const { projection, color } = this.wanted;
    // What came with the panel, or what an answer that broke off has brought, is not asked for again.
    const goesOn = this.loadedFor === "" && this.placed !== null && this.placed.projection === (projection ?? this.placed.projection); // biome-ignore format: one line
    const sameColors = this.coloredFor === this.colorsKey(color, state, state.rev);
    const before = this.placed?.loaded;
    this.loadedFor = this.placesKey(state);
    this.loading = true;
    const turn = ++this.loads;
    const rest = () => ({ ...wish, ...(this.placed ? { offset: this.placed.loaded } : {}) });
    const gone = projection !== null && !state.projections.some((one) => one.name === projection);
    const wish = { projection: gone ? null : projection, color };
    let others = false;
    let first = true;
    const took = (reply: Reply<"points">) => {
      if (turn !== this.loads || others) return;
      others = !this.take(reply);
      if (others) return;
      if (!first) return;
      first = false;
      if (this.wanted.projection === projection) this.loadedFor = this.placesKey(state); // now it is known which one is shown
      this.coloredFor = goesOn && !sameColors ? "" : this.colorsKey(color, state, reply.rev);
      this.again();
    };
    try {
      const options = { panel: this.panel, signal: this.signal, onPart: took, rest };
      await client.ask("points", goesOn ? rest() : wish, options);
    } catch (error) {
      if (turn === this.loads) this.loading = false;
      if (isAbort(error)) return; // a newer wish is on its way
      this.complain(error);
      return;
    }
    if (turn !== this.loads) return;
    this.loading = false;
    const now = store.state.peek();
    if (!now || this.signal.aborted) return;
    this.loadedFor = this.wanted.projection === projection ? this.placesKey(now) : "";
    if (others) this.placed = null;
    // A part was lost on the way; an answer that brings nothing new is not asked for for ever.
    if (others || (!this.complete && this.placed?.loaded !== before)) this.loadedFor = "";
    this.sync(now);
  }

  /** Hands a part over to the engine; false when it goes on with other points than ours. */
  private take(reply: Reply<"points">): boolean {
    const { body } = reply;
    const [xy, colors] = reply.buffers;
    if (!xy || !colors) return true;
    const { projection, places, held, total, bounds, offset } = body;
    let placed = this.placed;
    const same =
      placed !== null &&
      placed.projection === projection &&
      placed.places === places &&
      placed.held === held &&
      placed.bounds.every((value, i) => value === bounds[i]);
    if (!same && offset > 0) return false;
    if (!same || !placed) {
      placed = { projection, places, held, total, bounds, loaded: 0 };
      this.placed = placed;
      this.selecting.begin();
      this.engine.begin(held, bounds);
    }
    // After a gap the rest is asked for again, from the gap on.
    if (offset <= placed.loaded) {
      const count = Math.max(0, Math.min(body.count, held - offset, xy.byteLength >> 2, colors.byteLength));
      if (count > 0) this.engine.add({ offset, count, xy: words(xy, 2 * count), colors: bytes(colors, count) });
      placed.loaded = Math.max(placed.loaded, offset + count);
    }
    this.legend = body.legend;
    this.engine.setLegend(body.legend);
    if (same) {
      this.actions.recolored(body.legend);
      this.actions.grown();
    } else this.actions.replaced(placed, body.legend);
    return true;
  }

  private async recolor(state: SessionState): Promise<void> {
    const { placed } = this;
    const { color } = this.wanted;
    if (!placed) return;
    this.coloredFor = this.colorsKey(color, state, state.rev);
    if (color === null) {
      this.legend = { kind: "none" };
      this.engine.setLegend(this.legend);
      return this.actions.recolored(this.legend);
    }
    try {
      const body = { projection: placed.projection, color };
      const onPart = (reply: Reply<"colors">) => {
        const [buffer] = reply.buffers;
        if (this.placed !== placed || !buffer) return;
        if (reply.body.places !== placed.places) {
          this.loadedFor = OTHERS;
          return;
        }
        const count = Math.max(0, Math.min(reply.body.count, placed.held - reply.body.offset, buffer.byteLength));
        this.engine.setColors(reply.body.offset, bytes(buffer, count));
        this.legend = reply.body.legend;
        this.engine.setLegend(this.legend);
        this.actions.recolored(this.legend);
      };
      await this.hub.client.ask("colors", body, { panel: this.panel, signal: this.signal, onPart });
    } catch (error) {
      if (!isAbort(error)) this.complain(error);
    }
    this.again();
  }

  private async mark(state: SessionState): Promise<void> {
    const { placed, selecting } = this;
    // The bits are asked for once, not again with each state that comes while the answer is due.
    const key = `${state.selection.version} ${state.filter.passing} ${selecting.forgotten}`;
    if (!placed || this.markedFor === key || this.hub.store.connection.peek() === "lost") return;
    this.markedFor = key;
    try {
      const body = { projection: placed.projection };
      const reply = await this.hub.client.ask("marks", body, { panel: this.panel, signal: this.signal });
      if (this.placed !== placed) return;
      if (reply.body.places !== placed.places) this.loadedFor = OTHERS;
      else this.takeMarks(reply);
    } catch (error) {
      if (isAbort(error)) return;
      this.complain(error);
      return;
    }
    // A gesture made meanwhile has its own answer, and asks again when that is here.
    if (!selecting.busy) this.again();
  }

  private takeMarks(reply: Reply<"marks">): void {
    const { body } = reply;
    const buffers = [...reply.buffers];
    const half = (share: Share): Bits => {
      const buffer = share === "none" || share === "all" ? undefined : buffers.shift();
      return unfolded(share, buffer && bytes(buffer, buffer.byteLength), this.placed?.held ?? 0);
    };
    const selected = half(body.selected);
    const visible = half(body.visible);
    this.selecting.marks(body, selected, visible);
    this.selecting.changes();
    this.actions.marked(true);
  }

  /** A column that says which version of its values it has is not fetched again after every decision; objects have labels of their own. */
  private colorsKey(color: string | null, state: SessionState, rev: number): string {
    if (color === null) return "";
    const version = state.columns.find((column) => column.name === color)?.version;
    const objects = ofObjects(this.placed) ? ` ${state.objects?.version}` : "";
    return `${version === undefined ? `${color} of ${rev}` : `${color} ${version}`}${objects}`;
  }

  private again(): void {
    const state = this.hub.store.state.peek();
    if (state && !this.signal.aborted) this.sync(state);
  }

  private complain(error: unknown): void {
    if (isAbort(error) || this.signal.aborted) return;
    const failure = (error as Partial<KernelError>).failure;
    const sentence = failure?.message ?? String(error);
    this.hub.store.toast({ sentence, kind: "error", undoable: false, python: null, hint: failure?.hint ?? null });
  }
}

/** A buffer is a window on the whole message and may start at an odd address; a copy of its own does neither. */
export function words(view: DataView, count: number): Uint16Array<ArrayBuffer> {
  return new Uint16Array((view.buffer as ArrayBuffer).slice(view.byteOffset, view.byteOffset + 2 * count));
}

export function bytes(view: DataView, count: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array((view.buffer as ArrayBuffer).slice(view.byteOffset, view.byteOffset + count));
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === "AbortError";
}
