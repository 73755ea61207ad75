/** The tiles known to the browser, page by page, and which page is asked next. */
import type { HubExports, KernelError, Reply } from "../../core/contract.js";
import { isAbort } from "../../core/panel.js";
import type { Ask, Failure } from "../../core/protocol.js";
import type { Span } from "./geometry.js";

const KEPT_TILES = 10_000;
const BUCKETS_PX = [64, 128, 256, 512]; // as the kernel makes them

export interface Tile {
  no: number;
  id: string;
  label: string | null;
  tags: string[];
  queued: boolean;
  excluded: boolean;
  selected: boolean;
  caption: string | null;
}

interface Page {
  tiles: (Tile | undefined)[];
  stamp: string; // the state in which all of it was asked; empty when something is missing
  /** An answer ends early when its pictures weigh too much: so many tiles are there, of this order and state. */
  part: { got: number; orderId: string; stamp: string } | null;
}

/** What a page depends on: `order` says which samples lie where, `marks` what is drawn on them. */
export interface Wanted {
  order: string;
  marks: string;
  px: number;
  caption: string | null;
}

/** The size to ask thumbnails in: few sizes, so that zooming finds most of them in the cache. */
export function bucketPx(tilePx: number, pixelRatio: number): number {
  const wanted = tilePx * Math.min(pixelRatio, 2);
  return BUCKETS_PX.find((px) => px >= wanted * 0.9) ?? 512;
}

/** Tiles a page: about a screenful, so that large pictures nobody sees are not read. */
export function pageSize(px: number): number {
  if (px <= 128) return 120;
  return px <= 256 ? 60 : 30;
}

export class Pages {
  total: number | null = null;
  orderId = "";
  failure: Failure | null = null;
  readonly problems = new Map<number, string>();
  /** While a selection is under way, answers may have been made before it: what the user sees stays. */
  holdSelection = 0;
  readonly #pages = new Map<number, Page>();
  readonly #changed: () => void;
  readonly #hub: HubExports;
  readonly #panel: string;
  readonly #ending: AbortSignal;
  #wanted: Wanted = { order: "", marks: "", px: 128, caption: null };
  #span: Span = { from: 0, to: -1 };
  #direction = 1;
  #size = pageSize(128);
  #flying: { index: number; control: AbortController } | null = null;

  constructor(hub: HubExports, panel: string, changed: () => void, ending: AbortSignal) {
    this.#hub = hub;
    this.#panel = panel;
    this.#changed = changed;
    this.#ending = ending;
  }

  tile(position: number): Tile | null {
    return this.#pages.get(Math.floor(position / this.#size))?.tiles[position % this.#size] ?? null;
  }

  /** Position of a sample among the tiles known, −1 when it is not there. */
  find(no: number): number {
    for (const [position, tile] of this.loaded()) if (tile.no === no) return position;
    return -1;
  }

  *loaded(): Iterable<[number, Tile]> {
    for (const [index, page] of this.#pages) {
      for (const [i, tile] of page.tiles.entries()) if (tile !== undefined) yield [index * this.#size + i, tile];
    }
  }

  /** The best picture at hand: in the wanted size, else in any other while that one is on its way. */
  url(no: number): string | null {
    const { images } = this.#hub;
    const exact = images.get(no, this.#wanted.px);
    if (exact !== null) return exact;
    for (const px of [...BUCKETS_PX].reverse()) {
      const other = images.get(no, px);
      if (other !== null) return other;
    }
    return null;
  }

  /** The first page that came with the widget, when it fits what is wanted. It may hold fewer tiles than a page: then the rest is asked. */
  boot(ask: Ask<"page">, reply: Reply<"page">): void {
    if (ask.offset !== 0 || ask.caption !== this.#wanted.caption || pageSize(ask.px) !== this.#size) return;
    this.#take(0, reply, ask.px, this.#stamp());
  }

  /** Asks everything again, with what is on screen staying there until then. */
  invalidate(): void {
    for (const page of this.#pages.values()) Object.assign(page, { stamp: "", part: null });
  }

  /** Says what is in sight and in which state; asks for what is missing. */
  want(span: Span, wanted: Wanted): void {
    if (span.from !== this.#span.from) this.#direction = span.from < this.#span.from ? -1 : 1;
    this.#span = span;
    this.#wanted = wanted;
    this.#resize(pageSize(wanted.px));
    const flying = this.#flying;
    // Scrolled away: the kernel need not read pictures nobody will see.
    if (flying !== null && !this.#near(flying.index)) flying.control.abort();
    void this.#next();
  }

  /** Cuts what is there into pages of another size, so that nothing leaves the screen while larger pictures are on their way. */
  #resize(size: number): void {
    if (size === this.#size) return;
    const loaded = [...this.loaded()];
    this.#flying?.control.abort();
    this.#pages.clear();
    this.#size = size;
    for (const [position, tile] of loaded) {
      const index = Math.floor(position / size);
      const page = this.#pages.get(index) ?? { tiles: [], stamp: "", part: null };
      page.tiles[position % size] = tile;
      this.#pages.set(index, page);
    }
  }

  #stamp(): string {
    const { order, marks, px, caption } = this.#wanted;
    return `${order}\n${marks}\n${px}\n${caption}`;
  }

  #inSight(): Span {
    const from = Math.max(Math.floor(this.#span.from / this.#size), 0);
    return { from, to: Math.max(Math.floor(this.#span.to / this.#size), from) };
  }

  #near(index: number): boolean {
    const { from, to } = this.#inSight();
    return index >= from - 1 && index <= to + 1;
  }

  /** What is in sight first, missing before stale, then the page ahead, then the one behind. */
  #choose(): number | null {
    const { from, to } = this.#inSight();
    const stamp = this.#stamp();
    const last = this.total === null ? to : Math.max(Math.ceil(this.total / this.#size) - 1, 0);
    const inSight: number[] = [];
    for (let index = from; index <= Math.min(to, last); index++) inSight.push(index);
    const missing = inSight.find((index) => !this.#pages.has(index));
    if (missing !== undefined) return missing;
    // Pictures of a page seen long ago may have left the cache meanwhile.
    const fresh = (index: number): boolean => {
      const page = this.#pages.get(index);
      return page?.stamp === stamp && this.#complete(page.tiles);
    };
    const around = (this.#direction > 0 ? [to + 1, from - 1] : [from - 1, to + 1]).filter((i) => i >= 0 && i <= last);
    return [...inSight, ...around].find((index) => !fresh(index)) ?? null;
  }

  async #next(): Promise<void> {
    if (this.#flying !== null || this.#ending.aborted) return;
    const index = this.#choose();
    if (index === null) return;
    const control = new AbortController();
    const end = (): void => control.abort();
    this.#ending.addEventListener("abort", end, { once: true });
    this.#flying = { index, control };
    const { px, caption } = this.#wanted;
    const [stamp, size] = [this.#stamp(), this.#size];
    const part = this.#pages.get(index)?.part ?? null;
    const got = part?.stamp === stamp ? part.got : 0;
    const ask = { offset: index * size + got, limit: size - got, thumbs: this.#needsThumbs(index), px, caption };
    try {
      const reply = await this.#hub.client.ask("page", ask, { panel: this.#panel, signal: control.signal });
      this.failure = null;
      if (size === this.#size) this.#take(index, reply, px, stamp);
    } catch (error) {
      if (!isAbort(error)) this.#fail(error as KernelError);
    } finally {
      this.#ending.removeEventListener("abort", end);
      this.#flying = null;
    }
    if (this.failure === null) void this.#next();
  }

  #fail(error: KernelError): void {
    this.failure = error.failure ?? { code: "unknown", message: error.message, hint: null };
    this.#changed();
  }

  /** Only when marks changed can all pictures be at hand already; a new order brings others. */
  #needsThumbs(index: number): boolean {
    const page = this.#pages.get(index);
    return !page?.stamp.startsWith(`${this.#wanted.order}\n`) || !this.#complete(page.tiles);
  }

  #complete(tiles: readonly (Tile | undefined)[]): boolean {
    const { images } = this.#hub;
    // Not `every`, which skips the holes.
    for (const tile of tiles) {
      if (tile === undefined) return false;
      if (!this.problems.has(tile.no) && images.get(tile.no, this.#wanted.px) === null) return false;
    }
    return true;
  }

  #take(index: number, { body, buffers }: Reply<"page">, px: number, stamp: string): void {
    const size = this.#size;
    const old = this.#pages.get(index);
    this.orderId = body.orderId;
    this.total = body.total;
    const bytes = buffers[0];
    if (body.thumbs !== null && bytes !== undefined) this.#takeThumbs(body, bytes, px);
    const came = this.#tilesOf(body, old);
    const from = body.offset - index * size;
    const got = from + came.length;
    const expected = Math.max(Math.min(size, body.total - index * size), 0);
    const continues = from === 0 || (old?.part?.got === from && old.part.orderId === body.orderId);
    const whole = continues && (got >= expected || came.length === 0);
    // What was there stays behind the part that came, until it is replaced too.
    const tiles = [...(old?.tiles.slice(0, from) ?? []), ...came, ...(old?.tiles.slice(got) ?? [])].slice(0, expected);
    // Without thumbs an answer may name samples never seen before: then it is not done yet.
    const done = whole && (body.thumbs !== null || this.#complete(tiles));
    const part = continues && !whole ? { got, orderId: body.orderId, stamp } : null;
    this.#pages.delete(index);
    this.#pages.set(index, { tiles, stamp: done ? stamp : "", part });
    this.#forget(body.total);
    this.#changed();
  }

  #tilesOf(body: Reply<"page">["body"], old: Page | undefined): Tile[] {
    const before = new Map(old?.tiles.map((tile) => [tile?.no, tile?.selected]));
    return body.nos.map((no, i) => ({
      no,
      id: body.ids[i] ?? "",
      label: body.labels[i] ?? null,
      tags: body.tags[i] ?? [],
      queued: body.queued[i] === true,
      excluded: body.excluded[i] === true,
      selected: (this.holdSelection > 0 ? before.get(no) : undefined) ?? body.selected[i] === true,
      caption: body.captions[i] ?? null,
    }));
  }

  #forget(total: number): void {
    for (const known of [...this.#pages.keys()]) {
      const gone = known > 0 && known * this.#size >= total;
      const tooMany = this.#pages.size * this.#size > KEPT_TILES && !this.#near(known);
      if (gone || tooMany) this.#pages.delete(known);
    }
  }

  #takeThumbs({ nos, thumbs }: Reply<"page">["body"], bytes: DataView, px: number): void {
    for (const [i, no] of nos.entries()) {
      const [start = 0, end = 0] = [thumbs?.starts[i], thumbs?.starts[i + 1]];
      const problem = thumbs?.problems[i] ?? null;
      if (problem !== null) this.problems.set(no, problem);
      else if (end > start) this.problems.delete(no);
      else this.problems.set(no, "no picture");
      if (end > start) {
        const view = new DataView(bytes.buffer, bytes.byteOffset + start, end - start);
        this.#hub.images.put(no, px, thumbs?.mime[i] ?? "", view);
      }
    }
  }
}
