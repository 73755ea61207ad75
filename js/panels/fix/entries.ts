/** The entries of a list as far as they were looked at. What was answered keeps its place until the list is made anew. */
import type { HubExports, KernelError, Reply } from "../../core/contract.js";
import { isAbort } from "../../core/panel.js";
import type { Ask } from "../../core/protocol.js";
import type { IssueOrder, IssueRow, IssueState } from "../../core/protocol_issues.js";
import type { Span } from "./geometry.js";

const BLOCK = 10;
const MOST_ASKED = 60;

export interface Entry {
  rows: IssueRow[];
  more: number;
  stamp: string; // of the session's state that it was read in
}

/** Of an issue about objects: the one that its picture is cut around, and where in it the thing lies. */
export interface Crop {
  object: number | null; // null: the picture is the whole one
  box: readonly number[] | null;
  label: string | null; // of the object
  version: number | null; // of the session's objects
}

export interface Wanted {
  kind: string;
  state: IssueState;
  order: IssueOrder;
}

export class Entries {
  /** Entries there were when the list was made, and how many of them it holds; null before the first answer. */
  total: number | null = null;
  held = 0;
  answered = 0;
  failure: { message: string; hint: string | null } | null = null;
  wanted: Wanted | null = null;
  readonly #entries = new Map<number, Entry>();
  readonly #crops = new Map<number, Crop>(); // by sample
  readonly #problems = new Map<number, string>();
  readonly #hub: HubExports;
  readonly #panel: string;
  readonly #px: number;
  readonly #changed: () => void;
  readonly #ending: AbortSignal;
  #name: string | null = null;
  #asked = "";

  constructor(hub: HubExports, panel: string, px: number, changed: () => void, ending: AbortSignal) {
    this.#hub = hub;
    this.#panel = panel;
    this.#px = px;
    this.#changed = changed;
    this.#ending = ending;
  }

  get(index: number): Entry | null {
    return this.#entries.get(index) ?? null;
  }

  problem(no: number): string | null {
    return this.#problems.get(this.keyOf(no)) ?? null;
  }

  crop(no: number): Crop | null {
    return this.#crops.get(no) ?? null;
  }

  /** Under which number the picture of a sample's issue is kept: crops apart from whole pictures. */
  keyOf(no: number): number {
    return picturedAs(no, this.#crops.get(no)?.object ?? null);
  }

  find(no: number): number {
    for (const [index, { rows }] of this.#entries) if (rows.some((row) => row.no === no)) return index;
    return -1;
  }

  /** The next entry after this one that is still to be answered; null when none is known. Those not looked at yet count as open. */
  nextOpen(index: number, state: IssueState): number | null {
    for (let next = index + 1; next < this.held; next++) {
      const entry = this.#entries.get(next);
      if (entry === undefined || entry.rows.some((row) => row.state === state && !row.excluded)) return next;
    }
    return null;
  }

  /** Another list, or the same one made anew. */
  begin(wanted: Wanted): void {
    this.wanted = wanted;
    this.total = null;
    this.held = 0;
    this.answered = 0;
    this.failure = null;
    this.#name = null;
    this.#asked = "";
    this.#entries.clear();
    this.#crops.clear();
  }

  /** Takes what came with the widget, where it is what is wanted. */
  boot(ask: Ask<"issuePage">, reply: Reply<"issuePage">, stamp: string): void {
    const { wanted } = this;
    if (wanted === null || ask.offset !== 0) return;
    if (ask.kind === wanted.kind && ask.state === wanted.state && ask.order === wanted.order)
      this.#take(reply, ask.px, stamp);
  }

  /** Asks for what is missing or old among these entries; what is on screen stays there until then. */
  want(span: Span, stamp: string): void {
    const { wanted } = this;
    if (wanted === null || this.#ending.aborted) return;
    const last = this.total === null ? BLOCK : this.held - 1;
    const missing: number[] = [];
    for (let index = span.from; index <= Math.min(span.to, last); index++)
      if (this.#entries.get(index)?.stamp !== stamp) missing.push(index);
    const [first] = missing;
    if (this.total !== null && first === undefined) return;
    const offset = Math.floor((first ?? 0) / BLOCK) * BLOCK;
    const end = Math.ceil(((missing.at(-1) ?? 0) + 1) / BLOCK) * BLOCK;
    const limit = Math.min(Math.max(end - offset, BLOCK), MOST_ASKED);
    const ask = { ...wanted, offset, limit, thumbs: !this.#pictured(offset, limit), px: this.#px, list: this.#name };
    const key = JSON.stringify([ask, stamp]);
    if (key === this.#asked) return;
    this.#asked = key;
    void this.#ask(ask, stamp, key);
  }

  #pictured(offset: number, limit: number): boolean {
    for (let index = offset; index < Math.min(offset + limit, this.held); index++) {
      const rows = this.#entries.get(index)?.rows;
      if (rows === undefined) return false;
      if (rows.some(({ no }) => !this.#hasPicture(no))) return false;
    }
    return this.total !== null;
  }

  #hasPicture(no: number): boolean {
    const crop = this.#crops.get(no);
    if (crop !== undefined && crop.version !== this.#version()) return false; // its box may have been moved
    return this.#hub.images.get(this.keyOf(no), this.#px) !== null || this.problem(no) !== null;
  }

  #version(): number | null {
    return this.#hub.store.state.peek()?.objects?.version ?? null;
  }

  async #ask(ask: Ask<"issuePage">, stamp: string, key: string): Promise<void> {
    try {
      const reply = await this.#hub.client.ask("issuePage", ask, { panel: this.#panel, signal: this.#ending });
      if (this.wanted?.kind !== ask.kind || this.wanted.state !== ask.state || this.wanted.order !== ask.order) return;
      this.failure = null;
      const before = this.#entries.size;
      this.#take(reply, ask.px, stamp);
      // A page may end early for its bytes: then what follows is asked for as soon as this is drawn.
      if (this.#asked === key && (reply.body.starts.length > 1 || this.#entries.size > before)) this.#asked = "";
    } catch (error) {
      if (isAbort(error) || this.#ending.aborted) {
        if (this.#asked === key) this.#asked = "";
        return;
      }
      const { message, failure } = error as KernelError;
      this.failure = { message, hint: failure?.hint ?? null };
    }
    this.#changed();
  }

  #take({ body, buffers }: Reply<"issuePage">, px: number, stamp: string): void {
    if (body.list !== this.#name) this.#entries.clear();
    this.#name = body.list;
    this.total = body.total;
    this.held = body.held;
    this.answered = body.answered;
    const { starts, more, rows, thumbs, objects } = body;
    more.forEach((hidden, i) => {
      this.#entries.set(body.offset + i, { rows: rows.slice(starts[i], starts[i + 1]), more: hidden, stamp });
    });
    if (thumbs === null) return;
    const version = this.#version();
    rows.forEach(({ no, state }, i) => {
      const crop = this.#crops.get(no);
      const came = {
        object: objects?.nos[i] ?? null,
        box: objects?.boxes[i] ?? null,
        label: objects?.labels[i] ?? null,
        version,
      };
      // What was answered keeps the picture that it was answered by, though its object may be gone.
      if (crop !== undefined && state !== this.wanted?.state) this.#crops.set(no, { ...crop, version });
      else if (came.object !== null || came.box !== null) this.#crops.set(no, came);
      else this.#crops.delete(no);
    });
    const pictured = rows.map(({ no }, i) => ({ no: picturedAs(no, objects?.nos[i] ?? null) }));
    putThumbs(this.#hub, pictured, thumbs, buffers[0], px, this.#problems);
  }
}

/** Under which number a picture is kept: that of a sample, or a crop of an object. */
export const picturedAs = (no: number, object: number | null): number => (object === null ? no : -1 - object);

/** Puts pictures into the cache that all panels share, and notes which could not be read. */
export function putThumbs(
  hub: HubExports,
  rows: readonly { no: number }[],
  thumbs: { mime: string[]; starts: number[]; problems: (string | null)[] },
  buffer: DataView | undefined,
  px: number,
  problems: Map<number, string>,
): void {
  rows.forEach(({ no }, i) => {
    const problem = thumbs.problems[i];
    const [start, end] = [thumbs.starts[i], thumbs.starts[i + 1]];
    if (problem != null) problems.set(no, problem);
    else if (buffer !== undefined && start !== undefined && end !== undefined && end > start)
      hub.images.put(no, px, thumbs.mime[i] ?? "", new DataView(buffer.buffer, buffer.byteOffset + start, end - start));
  });
}
