/** The tiles known to the browser, page by page, and which page is asked next. */
import type { HubExports, KernelError, Reply } from "../../core/contract.js";
import { isAbort } from "../../core/panel.js";
import type { Ask, Failure } from "../../core/protocol.js";
import type { Span } from "./geometry.js";

export const PAGE = 120;
const KEPT_PAGES = 80;
const BUCKETS_PX = [64, 128, 256, 512];

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
  tiles: Tile[];
  stamp: string; // the state it was asked in
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
  #flying: { index: number; control: AbortController } | null = null;

  constructor(hub: HubExports, panel: string, changed: () => void, ending: AbortSignal) {
    this.#hub = hub;
    this.#panel = panel;
    this.#changed = changed;
    this.#ending = ending;
  }

  tile(position: number): Tile | null {
    return this.#pages.get(Math.floor(position / PAGE))?.tiles[position % PAGE] ?? null;
  }

  /** Position of a sample among the tiles known, −1 when it is not there. */
  find(no: number): number {
    for (const [index, page] of this.#pages) {
      const place = page.tiles.findIndex((tile) => tile.no === no);
      if (place >= 0) return index * PAGE + place;
    }
    return -1;
  }

  *loaded(): Iterable<[number, Tile]> {
    for (const [index, page] of this.#pages) {
      for (const [i, tile] of page.tiles.entries()) yield [index * PAGE + i, tile];
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

  /** The first page that came with the widget, when it still fits what is wanted. It may hold fewer tiles than a page: then the rest is asked. */
  boot(ask: Ask<"page">, reply: Reply<"page">): void {
    if (ask.offset !== 0 || ask.caption !== this.#wanted.caption) return;
    const whole = reply.body.nos.length >= Math.min(PAGE, reply.body.total);
    this.#take(0, reply, ask.px, whole ? this.#stamp() : "");
  }

  /** Says what is in sight and in which state; asks for what is missing. */
  want(span: Span, wanted: Wanted): void {
    if (span.from !== this.#span.from) this.#direction = span.from < this.#span.from ? -1 : 1;
    this.#span = span;
    this.#wanted = wanted;
    const flying = this.#flying;
    // Scrolled away: the kernel need not read pictures nobody will see.
    if (flying !== null && !this.#near(flying.index)) flying.control.abort();
    void this.#next();
  }

  #stamp(): string {
    const { order, marks, px, caption } = this.#wanted;
    return `${order}\n${marks}\n${px}\n${caption}`;
  }

  #near(index: number): boolean {
    return index >= Math.floor(this.#span.from / PAGE) - 1 && index <= Math.floor(this.#span.to / PAGE) + 1;
  }

  /** What is in sight first, missing before stale, then the page ahead, then the one behind. */
  #choose(): number | null {
    const first = Math.max(Math.floor(this.#span.from / PAGE), 0);
    const last = Math.max(Math.floor(this.#span.to / PAGE), first);
    const stamp = this.#stamp();
    const exists = (index: number): boolean =>
      index >= 0 && (index === 0 || this.total === null || index * PAGE < this.total);
    const inSight: number[] = [];
    for (let index = first; index <= last; index++) inSight.push(index);
    // Pictures of a page seen long ago may have left the cache meanwhile.
    const fresh = (index: number): boolean => {
      const page = this.#pages.get(index);
      return page?.stamp === stamp && this.#complete(page.tiles);
    };
    const missing = inSight.find((index) => exists(index) && !this.#pages.has(index));
    if (missing !== undefined) return missing;
    const around = this.#direction > 0 ? [last + 1, first - 1] : [first - 1, last + 1];
    return [...inSight, ...around].find((index) => exists(index) && !fresh(index)) ?? null;
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
    const stamp = this.#stamp();
    const ask = { offset: index * PAGE, limit: PAGE, thumbs: this.#needsThumbs(index), px, caption };
    try {
      const reply = await this.#hub.client.ask("page", ask, { panel: this.#panel, signal: control.signal });
      this.failure = null;
      this.#take(index, reply, px, stamp);
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
    if (page === undefined || page.tiles.length < PAGE || !page.stamp.startsWith(`${this.#wanted.order}\n`))
      return true;
    return !this.#complete(page.tiles);
  }

  #complete(tiles: readonly Tile[]): boolean {
    const { images } = this.#hub;
    return tiles.every((tile) => this.problems.has(tile.no) || images.get(tile.no, this.#wanted.px) !== null);
  }

  #take(index: number, { body, buffers }: Reply<"page">, px: number, stamp: string): void {
    const before = new Map(this.#pages.get(index)?.tiles.map((tile) => [tile.no, tile.selected]));
    this.orderId = body.orderId;
    this.total = body.total;
    const bytes = buffers[0];
    if (body.thumbs !== null && bytes !== undefined) this.#takeThumbs(body, bytes, px);
    const tiles = body.nos.map((no, i) => ({
      no,
      id: body.ids[i] ?? "",
      label: body.labels[i] ?? null,
      tags: body.tags[i] ?? [],
      queued: body.queued[i] === true,
      excluded: body.excluded[i] === true,
      selected: (this.holdSelection > 0 ? before.get(no) : undefined) ?? body.selected[i] === true,
      caption: body.captions[i] ?? null,
    }));
    // Without thumbs an answer may name samples never seen before: then it is not done yet.
    const done = body.thumbs !== null || this.#complete(tiles);
    this.#pages.delete(index);
    this.#pages.set(index, { tiles, stamp: done ? stamp : "" });
    for (const known of [...this.#pages.keys()]) {
      const gone = known * PAGE >= body.total && known !== 0;
      if (gone || (this.#pages.size > KEPT_PAGES && !this.#near(known))) this.#pages.delete(known);
    }
    this.#changed();
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
