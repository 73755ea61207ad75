/** Keeps the points as the kernel knows them: places, colours and marks, each asked for again only when it has changed. */
import type { HubExports, KernelError, Reply } from "../../core/contract.js";
import type { Legend, Mode, SessionState, Shape } from "../../core/protocol.js";
import { fromWire } from "../../core/wire.js";
import { Points } from "./points.js";

export type Boot = readonly { op: string; ask: unknown; rev: number; body: unknown; buffers: DataView[] }[] | null;

export interface FeedActions {
  /** Other points, or the first part of them. */
  replaced(points: Points | null, legend: Legend): void;
  /** Another part of the same points. */
  grown(): void;
  recolored(legend: Legend): void;
  /** Selection or filter changed; `filtered` says that the filter did. */
  marked(filtered: boolean): void;
}

export interface Wanted {
  projection: string | null; // null: the newest
  color: string | null;
}

export class Feed {
  points: Points | null = null;
  legend: Legend = { kind: "none" };
  wanted: Wanted = { projection: null, color: null };
  loading = false;
  private loadedFor = ""; // what made us ask for the points
  private coloredFor = "";
  private markedFor = "";
  private filteredFor = "";
  private staleBefore = 0;
  private loads = 0;
  private selecting = 0; // selections whose answer is due
  private guessed = false; // the selection on screen is our own guess

  constructor(
    private readonly hub: Pick<HubExports, "client" | "store">,
    private readonly panel: string,
    private readonly signal: AbortSignal,
    private readonly actions: FeedActions,
  ) {}

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
    if (marks) this.takeMarks(marks);
    const state = this.hub.store.state.peek();
    if (!state || state.rev !== points.rev) return;
    if (this.points?.loaded === this.points?.total) this.loadedFor = this.placesKey(state);
    this.coloredFor = this.colorsKey(state);
    if (marks) this.markedFor = marksKey(state);
  }

  /** After each change of the session's state or of what is wanted: asks for what is out of date, and for nothing else. */
  sync(state: SessionState): void {
    if (state.projections.length === 0) {
      this.loadedFor = "";
      if (this.points === null) return;
      this.points = null;
      this.actions.replaced(null, this.legend);
      return;
    }
    const stale = this.info(state)?.stale ?? 0;
    if (stale < this.staleBefore) this.loadedFor = ""; // samples got new places
    this.staleBefore = stale;
    if (this.loadedFor !== this.placesKey(state)) return void this.load(state);
    if (this.loading || !this.points) return;
    if (this.coloredFor !== this.colorsKey(state)) void this.recolor(state);
    if (this.selecting === 0 && this.markedFor !== marksKey(state)) void this.mark(state);
  }

  /** The projection on screen, else the one that is wanted. */
  info(state: SessionState) {
    const name = this.points?.projection ?? this.wanted.projection;
    return state.projections.find((one) => one.name === name) ?? null;
  }

  /** Selects by a gesture; `hit` is our own guess of it, which stays on screen until the kernel's marks replace it. */
  async select(shape: Shape, mode: Mode, hit: (index: number) => boolean): Promise<void> {
    this.selecting++;
    this.guessed = true;
    this.points?.combine(hit, mode);
    this.actions.marked(false);
    const { store } = this.hub;
    try {
      await store.gesture({ shape, mode, source: "scatter" }, { panel: this.panel, signal: this.signal });
    } catch (error) {
      this.complain(error);
    } finally {
      this.selecting--;
      const state = store.state.peek();
      if (this.selecting === 0 && this.guessed && state && !this.signal.aborted) void this.mark(state);
    }
  }

  private placesKey(state: SessionState): string {
    const { projection } = this.wanted;
    // Without a wish the newest is shown, which another list of projections may change.
    const names = projection ?? state.projections.map((one) => one.name).join("\n");
    const shown = state.projections.find((one) => one.name === (projection ?? this.points?.projection));
    return JSON.stringify([names, shown?.count ?? null, shown?.version ?? null]);
  }

  private colorsKey(state: SessionState): string {
    return this.wanted.color === null ? "" : `${state.rev} ${this.wanted.color}`;
  }

  private async load(state: SessionState): Promise<void> {
    const { client, store } = this.hub;
    const { projection, color } = this.wanted;
    this.loadedFor = this.placesKey(state);
    this.loading = true;
    const turn = ++this.loads;
    let fresh = true;
    const took = (reply: Reply<"points">) => {
      this.take(reply, fresh);
      fresh = false;
      this.coloredFor = color === null ? "" : `${reply.rev} ${color}`;
    };
    try {
      const known = projection !== null && !state.projections.some((one) => one.name === projection);
      await client.ask(
        "points",
        { projection: known ? null : projection, color },
        { panel: this.panel, signal: this.signal, onPart: took },
      );
    } catch (error) {
      if (turn === this.loads) this.loading = false;
      if (isAbort(error)) return; // a newer wish is on its way
      this.complain(error);
    }
    if (turn !== this.loads) return;
    this.loading = false;
    const now = store.state.peek();
    if (!now || this.signal.aborted) return;
    this.loadedFor = this.wanted.projection === projection ? this.placesKey(now) : "";
    this.markedFor = "";
    this.sync(now);
  }

  private take(reply: Reply<"points">, fresh = true): void {
    const { body } = reply;
    const [xy, colors] = reply.buffers;
    if (!xy || !colors) return;
    const now = this.points;
    const same =
      now &&
      now.projection === body.projection &&
      now.total === body.total &&
      now.bounds.every((value, i) => value === body.bounds[i]);
    // The rest of what the boot began with, or the next part: fills up what is there.
    const fills = same && (!fresh || now.loaded < now.total);
    const points = fills ? now : new Points(body.projection, body.total, body.bounds);
    if (!fills && now?.total === points.total) points.flags.set(now.flags); // better than nothing until the marks are here
    points.add(body.offset, body.count, xy, colors);
    this.legend = body.legend;
    this.points = points;
    if (fills) {
      this.actions.recolored(body.legend);
      this.actions.grown();
    } else this.actions.replaced(points, body.legend);
  }

  private async recolor(state: SessionState): Promise<void> {
    const { points } = this;
    const { color } = this.wanted;
    if (!points) return;
    this.coloredFor = this.colorsKey(state);
    if (color === null) {
      this.legend = { kind: "none" };
      return this.actions.recolored(this.legend);
    }
    try {
      const body = { projection: points.projection, color };
      const onPart = (reply: Reply<"colors">) => {
        const [bytes] = reply.buffers;
        if (this.points !== points || !bytes) return;
        if (reply.body.total !== points.total) {
          this.loadedFor = "";
          return;
        }
        points.setColors(reply.body.offset, reply.body.count, bytes);
        this.legend = reply.body.legend;
        this.actions.recolored(this.legend);
      };
      await this.hub.client.ask("colors", body, { panel: this.panel, signal: this.signal, onPart });
    } catch (error) {
      if (!isAbort(error)) this.complain(error);
    }
    this.again();
  }

  private async mark(state: SessionState): Promise<void> {
    const { points } = this;
    if (!points) return;
    this.markedFor = marksKey(state);
    this.guessed = false;
    try {
      const reply = await this.hub.client.ask(
        "marks",
        { projection: points.projection },
        { panel: this.panel, signal: this.signal },
      );
      if (this.points !== points) return;
      if (reply.body.total !== points.total) this.loadedFor = "";
      else this.takeMarks(reply);
    } catch (error) {
      if (!isAbort(error)) this.complain(error);
    }
    this.again();
  }

  private takeMarks(reply: Reply<"marks">): void {
    const [selected, visible] = reply.buffers;
    // While a selection is under way its guess is newer than these marks.
    this.points?.setMarks(this.selecting > 0 || this.guessed ? null : (selected ?? null), visible ?? null);
    const filter = `${reply.rev} ${reply.body.filterVersion}`;
    this.actions.marked(filter !== this.filteredFor);
    this.filteredFor = filter;
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

function marksKey(state: SessionState): string {
  return `${state.rev} ${state.selection.version} ${state.filter.version}`;
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === "AbortError";
}
