/** The tiles known to the browser, page by page, and which page is asked next. */
import type { HubExports, KernelError, Reply } from "../../core/contract.js";
import { isAbort } from "../../core/panel.js";
import type { Answer, Ask, Failure, ShownIssue } from "../../core/protocol.js";
import { Decoded } from "./decoded.js";
import type { Span } from "./geometry.js";

const KEPT_TILES = 10_000;
// In one request: what is in sight comes in a single answer, what may come into sight in smaller ones, so that it never stands in the way.
const MOST_IN_SIGHT = 24;
const MOST_PAGES = 6;
const MOST_AHEAD = 24;
// Once a page ahead is missing, so many beyond it come along: else a steady scroll would ask for each page by itself.
const BEYOND = 3;
// Between asking and seeing; what will have left the screen by then is not asked.
const UNDERWAY_MS = 100;
// Longer ago than this, tiles no longer move.
const AT_REST_MS = 60;
// What may come into sight waits until what is in sight has been painted, but no longer than this.
const PAINTED_WITHIN_MS = 250;
const BUCKETS_PX = [64, 96, 128, 256, 512]; // as the kernel makes them
const NONE: readonly ShownIssue[] = [];
const LARGEST_FIRST = [...BUCKETS_PX].reverse();

export interface Tile {
  no: number;
  id: string;
  label: string | null;
  tags: string[];
  queued: boolean;
  excluded: boolean;
  selected: boolean;
  caption: string | null;
  issues: readonly ShownIssue[]; // open ones, the most severe first
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

/** Tiles a page. A request brings the neighbouring pages that are missing, so a screenful comes in one answer and little beside it. */
export function pageSize(px: number): number {
  if (px <= 128) return 20;
  return px <= 256 ? 10 : 5;
}

export type Groups = NonNullable<Answer<"page">["groups"]>;

export class Pages {
  total: number | null = null;
  orderId = "";
  failure: Failure | null = null;
  groups: Groups | null = null;
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
  #speed = 0; // positions in a millisecond, below 0 upwards
  #movedAt = 0;
  #paused = false;
  #rest: ReturnType<typeof setTimeout> | undefined;
  #size = pageSize(128);
  #knownOrder: string | null = null; // whose groups these are
  #flying: { index: number; count: number; control: AbortController } | null = null;
  #painting = 0; // answers whose pictures are in sight and not painted yet
  readonly #decoded: Decoded;

  constructor(hub: HubExports, panel: string, changed: () => void, ending: AbortSignal) {
    this.#hub = hub;
    this.#panel = panel;
    this.#changed = changed;
    this.#ending = ending;
    this.#decoded = new Decoded(changed);
    const end = (): void => {
      clearTimeout(this.#rest);
      this.#decoded.stop();
    };
    ending.addEventListener("abort", end, { once: true });
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

  /** The best picture that can be drawn at once: in the wanted size, else in any other while that one is on its way. */
  url(no: number): string | null {
    const exact = this.#shown(no, this.#wanted.px);
    if (exact !== null) return exact;
    for (const px of LARGEST_FIRST) {
      const other = px === this.#wanted.px ? null : this.#shown(no, px);
      if (other !== null) return other;
    }
    return null;
  }

  /** Its width or height, whichever is more; 0 when the browser cannot tell. */
  sizePx(url: string): number {
    return this.#decoded.sizePx(url);
  }

  #shown(no: number, px: number): string | null {
    const url = this.#hub.images.get(no, px);
    return url !== null && this.#decoded.ready(url) ? url : null;
  }

  /** The first page that came with the widget, when it fits what is wanted. It may hold fewer tiles than a page: then the rest is asked. */
  boot(ask: Ask<"page">, reply: Reply<"page">): void {
    if (ask.offset !== 0 || ask.caption !== this.#wanted.caption || pageSize(ask.px) !== this.#size) return;
    this.#take(reply, ask.px, this.#stamp());
  }

  /** Asks everything again, with what is on screen staying there until then. */
  invalidate(): void {
    for (const page of this.#pages.values()) Object.assign(page, { stamp: "", part: null });
  }

  /**
   * Says what is in sight and in which state; asks for what is missing. While `asking` is false the scroll bar is being dragged
   * far: what it passes is not asked for.
   */
  want(span: Span, wanted: Wanted, asking = true): void {
    this.#note(span);
    this.#span = span;
    this.#wanted = wanted;
    this.#paused = !asking;
    this.#resize(pageSize(wanted.px));
    const flying = this.#flying;
    // Scrolled away: the kernel need not read pictures nobody will see.
    if (flying !== null && !this.#near(flying.index, flying.count)) flying.control.abort();
    void this.#next();
  }

  /** How fast tiles pass, from one call to the next. */
  #note(span: Span): void {
    const now = performance.now();
    const passed = now - this.#movedAt;
    const moved = span.from - this.#span.from;
    if (moved === 0) return;
    this.#direction = moved < 0 ? -1 : 1;
    const jumped = Math.abs(moved) > 4 * (span.to - span.from + 1);
    this.#speed = passed > AT_REST_MS || jumped ? 0 : 0.6 * this.#speed + (0.4 * moved) / Math.max(passed, 1);
    this.#movedAt = now;
    // At rest everything in sight counts again, though nobody calls.
    clearTimeout(this.#rest);
    this.#rest = setTimeout(() => void this.#next(), AT_REST_MS + 10);
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

  /** How many tiles will have passed when an answer asked now is seen. */
  #passing(): number {
    return performance.now() - this.#movedAt > AT_REST_MS ? 0 : this.#speed * UNDERWAY_MS;
  }

  /** How many pages are fetched before they are in sight: a screenful, more when tiles pass quickly. */
  #ahead(): number {
    const { from, to } = this.#inSight();
    const passing = Math.ceil((3 * Math.abs(this.#passing())) / this.#size);
    return Math.min(Math.max(to - from + 1, passing), MOST_AHEAD);
  }

  #near(index: number, count = 1): boolean {
    const { from, to } = this.#inSight();
    const ahead = this.#ahead();
    return index + count - 1 >= from - ahead && index <= to + ahead;
  }

  /** The pages to ask next, neighbours of each other: in sight first, missing before stale, then those ahead, then those behind. */
  #choose(): { index: number; count: number } | null {
    const { from, to } = this.#inSight();
    const last = this.total === null ? to : Math.max(Math.ceil(this.total / this.#size) - 1, 0);
    const down = this.#direction > 0;
    const [ahead, passing] = [this.#ahead(), this.#passing()];
    const gone = (index: number): boolean =>
      passing > 0
        ? (index + 1) * this.#size <= this.#span.from + passing
        : index * this.#size > this.#span.to + passing;
    const there = (low: number, high: number, downwards: boolean): number[] => {
      const [first, end] = [Math.max(low, 0), Math.min(high, last)];
      const pages = Array.from({ length: Math.max(end - first + 1, 0) }, (_, i) => first + i);
      return (downwards ? pages : pages.reverse()).filter((index) => passing === 0 || !gone(index));
    };
    const inSight = there(from, to, down);
    const below = there(to + 1, to + ahead + BEYOND, true);
    const above = there(from - ahead - BEYOND, from - 1, false);
    const stamp = this.#stamp();
    // Pictures of a page seen long ago may have left the cache meanwhile.
    const fresh = (index: number): boolean => {
      const page = this.#pages.get(index);
      return page?.stamp === stamp && this.#complete(page.tiles);
    };
    const missing = (index: number): boolean =>
      (this.#pages.get(index)?.part ?? null) !== null || !this.#pages.has(index);
    const stale = (index: number): boolean => !fresh(index);
    const wanted = firstRun(inSight, missing, MOST_IN_SIGHT) ?? firstRun(inSight, stale, MOST_IN_SIGHT);
    if (wanted !== null || this.#painting > 0) return wanted;
    const runs = [below, above].map((pages) => {
      const first = pages.find(stale);
      return first !== undefined && this.#near(first) ? firstRun(pages, stale, MOST_PAGES) : null;
    });
    return (down ? runs : runs.reverse()).find((run) => run !== null) ?? null;
  }

  async #next(): Promise<void> {
    if (this.#flying !== null || this.#paused || this.#ending.aborted) return;
    const run = this.#choose();
    if (run === null) return;
    const { index, count } = run;
    const control = new AbortController();
    const end = (): void => control.abort();
    this.#ending.addEventListener("abort", end, { once: true });
    this.#flying = { index, count, control };
    const { px, caption } = this.#wanted;
    const [stamp, size] = [this.#stamp(), this.#size];
    const part = this.#pages.get(index)?.part ?? null;
    const got = part?.stamp === stamp ? part.got : 0;
    const thumbs = Array.from({ length: count }, (_, i) => index + i).some((one) => this.#needsThumbs(one));
    const range = { offset: index * size + got, limit: count * size - got };
    const ask = { ...range, thumbs, px, caption, known: this.#knownOrder };
    try {
      const reply = await this.#hub.client.ask("page", ask, { panel: this.#panel, signal: control.signal });
      this.failure = null;
      if (size === this.#size) this.#take(reply, px, stamp);
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

  #take({ body, buffers }: Reply<"page">, px: number, stamp: string): void {
    const size = this.#size;
    this.orderId = body.orderId;
    this.total = body.total;
    if (body.groups !== undefined) {
      this.groups = body.groups;
      this.#knownOrder = body.orderId;
    }
    const bytes = buffers[0];
    if (body.thumbs !== null && bytes !== undefined) this.#takeThumbs(body, bytes, px);
    const came = this.#tilesOf(body);
    const end = body.offset + came.length;
    const first = Math.floor(body.offset / size);
    const last = Math.max(Math.ceil(end / size) - 1, first);
    for (let index = first; index <= last; index++) {
      const from = Math.max(body.offset, index * size);
      this.#put(
        index,
        from - index * size,
        came.slice(from - body.offset, (index + 1) * size - body.offset),
        body,
        stamp,
      );
    }
    this.#forget(body.total);
    this.#changed();
  }

  /** Puts tiles into one page, from its tile number `from` on. */
  #put(index: number, from: number, came: readonly Tile[], body: Reply<"page">["body"], stamp: string): void {
    const old = this.#pages.get(index);
    const got = from + came.length;
    const expected = Math.max(Math.min(this.#size, body.total - index * this.#size), 0);
    const continues = from === 0 || (old?.part?.got === from && old.part.orderId === body.orderId);
    const whole = continues && (got >= expected || came.length === 0);
    // What was there stays behind the part that came, until it is replaced too.
    const tiles = [...(old?.tiles.slice(0, from) ?? []), ...came, ...(old?.tiles.slice(got) ?? [])].slice(0, expected);
    // Without thumbs an answer may name samples never seen before: then it is not done yet.
    const done = whole && (body.thumbs !== null || this.#complete(tiles));
    const part = continues && !whole ? { got, orderId: body.orderId, stamp } : null;
    this.#pages.delete(index);
    this.#pages.set(index, { tiles, stamp: done ? stamp : "", part });
  }

  #tilesOf(body: Reply<"page">["body"]): Tile[] {
    const before = new Map<number, boolean>();
    if (this.holdSelection > 0) for (const [, tile] of this.loaded()) before.set(tile.no, tile.selected);
    return body.nos.map((no, i) => ({
      no,
      id: body.ids[i] ?? "",
      label: body.labels[i] ?? null,
      tags: body.tags[i] ?? [],
      queued: body.queued[i] === true,
      excluded: body.excluded[i] === true,
      selected: before.get(no) ?? body.selected[i] === true,
      caption: body.captions[i] ?? null,
      issues: body.issues?.[i] ?? NONE,
    }));
  }

  #forget(total: number): void {
    for (const known of [...this.#pages.keys()]) {
      const gone = known > 0 && known * this.#size >= total;
      const tooMany = this.#pages.size * this.#size > KEPT_TILES && !this.#near(known);
      if (gone || tooMany) this.#pages.delete(known);
    }
  }

  #takeThumbs({ nos, offset, thumbs }: Reply<"page">["body"], bytes: DataView, px: number): void {
    const inSight: string[] = [];
    const others: string[] = [];
    for (const [i, no] of nos.entries()) {
      const [start = 0, end = 0] = [thumbs?.starts[i], thumbs?.starts[i + 1]];
      const problem = thumbs?.problems[i] ?? null;
      if (problem !== null) this.problems.set(no, problem);
      else if (end > start) this.problems.delete(no);
      else this.problems.set(no, "no picture");
      if (end > start) {
        const view = new DataView(bytes.buffer, bytes.byteOffset + start, end - start);
        const url = this.#hub.images.put(no, px, thumbs?.mime[i] ?? "", view);
        const position = offset + i;
        (position >= this.#span.from && position <= this.#span.to ? inSight : others).push(url);
      }
    }
    if (!this.#decoded.prepare(inSight)) void this.#painted(inSight);
    this.#decoded.prepareLater(others);
  }

  /** Nothing else is asked for until people see what they look at: the browser has only so many hands. */
  async #painted(urls: readonly string[]): Promise<void> {
    this.#painting++;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, PAINTED_WITHIN_MS);
      const done = (): void => {
        clearTimeout(timer);
        resolve();
      };
      // A task after the frame in which they are drawn.
      void this.#decoded.decoded(urls).then(() => requestAnimationFrame(() => setTimeout(done)));
    });
    this.#painting--;
    void this.#next();
  }
}

/** The first page for which it holds, with the neighbours that follow it in the list and for which it holds too; `most` at the most. */
function firstRun(
  pages: readonly number[],
  holds: (index: number) => boolean,
  most: number,
): { index: number; count: number } | null {
  const start = pages.findIndex(holds);
  const first = pages[start];
  if (first === undefined) return null;
  let count = 1;
  while (count < most) {
    const next = pages[start + count];
    if (next === undefined || Math.abs(next - first) !== count || !holds(next)) break;
    count++;
  }
  return { index: Math.min(first, pages[start + count - 1] ?? first), count };
}
