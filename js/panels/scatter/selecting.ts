/**
 * Keeps the highlight on the page equal to the selection in the kernel, without a bit for each point on the wire.
 *
 * A gesture is worked out here at once; the kernel's state then says where its exact test disagrees. What somebody else's lasso did
 * is worked out here as well. Only where the chain of versions breaks the bits themselves (`marks`) have to be asked for.
 */
import type { Answer, Gesture, Mode, SessionState, Shape } from "../../core/protocol.js";
import type { Bits, Engine } from "./engine.js";

/** What the page knows of the points of one projection; they themselves are with the engine. */
export interface Placed {
  readonly projection: string;
  readonly places: string;
  readonly bounds: readonly [number, number, number, number];
  readonly held: number; // points that are sent
  readonly total: number;
  loaded: number; // from the first on, without a gap
}

/** Whether each point is an object, and a sample has several. */
export const ofObjects = (placed: Placed | null): boolean => placed?.places.startsWith("objects-") === true;

export type Area = Gesture["shape"];

/** A selection of this panel that the kernel has not confirmed yet. */
export interface Own {
  readonly token: string;
  readonly mode: Mode;
  readonly exact: number | null; // how many single points, or none: there is nothing to round
  readonly places: string;
  readonly passing: number | null;
  readonly whole: boolean; // all points were here, so that each was tested
  kept: boolean; // the engine remembers what was selected before
  answer: { count: number; version: number } | null;
  failed: boolean;
  told: { gesture: Gesture; version: number } | null;
}

interface Known {
  version: number;
  count: number | null;
}

type Highlighter = Pick<Engine, "combine" | "pick" | "correct" | "keep" | "restore" | "setMarks">;

/** The corners of a lasso or box, in the order in which the kernel repeats the test. */
export function ringOf(shape: Area): Float64Array<ArrayBuffer> {
  if (shape.type === "polygon") return Float64Array.from(shape.points);
  const { x0, y0, x1, y1 } = shape;
  return Float64Array.from([x0, y0, x1, y0, x1, y1, x0, y1]);
}

export class Selecting {
  /** The version of the selection that the flags show once the pending gestures are confirmed; null: nobody knows. */
  version: number | null = null;
  passing: number | null = null; // of the filter that the flags show
  forgotten = 0; // how often nobody knew any more what the flags show
  private count: number | null = null; // of the selected, at this version
  private readonly pending: Own[] = [];
  private cleared = false;
  private changed: "here" | "anew" | null = null;
  private turn = 0;
  private readonly name = Math.floor(Math.random() * 2 ** 40).toString(36);

  constructor(private readonly engine: Highlighter) {}

  /** Other points: none of them has its marks yet. */
  begin(): void {
    for (const own of this.pending) own.kept = false;
    this.forget();
    this.passing = null;
  }

  /** The flags show what nobody knows: only marks help, or a gesture that replaces them all. */
  forget(): void {
    this.forgotten++;
    this.version = null;
    this.count = null;
  }

  /** What happened to the flags since it was last asked: worked out by the engine, or set from outside. */
  changes(): "here" | "anew" | null {
    const { changed } = this;
    this.changed = null;
    return changed;
  }

  private touch(how: "here" | "anew"): void {
    if (this.changed !== "anew") this.changed = how;
  }

  /** Selections under way, or a click on nothing that may still turn out to be half a double click. */
  get busy(): boolean {
    return this.pending.length > 0 || this.cleared;
  }

  /** Shows at once what a gesture selects. The answer of the kernel goes to `answered` or `failed`. */
  guess(placed: Placed, shape: Shape, mode: Mode): Own {
    const kept = this.pending.length === 0;
    if (kept) this.engine.keep();
    if (shape.type === "polygon" || shape.type === "box") this.engine.combine(ringOf(shape), mode);
    else this.engine.pick(shape.type === "points" ? shape.indices : [], mode);
    const exact = shape.type === "points" ? shape.indices.length : shape.type === "none" ? 0 : null;
    return this.push(placed, mode, exact, kept);
  }

  /** A click on nothing: the selection is gone from the screen, and comes back with `restore`. */
  clear(): void {
    if (this.cleared) return;
    for (const own of this.pending) own.kept = false;
    this.engine.keep();
    this.engine.pick([], "replace");
    this.cleared = true;
  }

  /** It was no double click: now the kernel is told. */
  confirm(placed: Placed): Own {
    this.cleared = false;
    return this.push(placed, "replace", 0, this.pending.length === 0);
  }

  restore(): void {
    if (this.cleared) this.back();
    this.cleared = false;
  }

  private back(): void {
    this.engine.restore();
    this.touch("anew");
  }

  private push(placed: Placed, mode: Mode, exact: number | null, kept: boolean): Own {
    const own: Own = {
      token: `${this.name}-${++this.turn}`,
      mode,
      exact,
      places: placed.places,
      passing: this.passing,
      whole: placed.loaded >= placed.held && placed.held === placed.total,
      kept,
      answer: null,
      failed: false,
      told: null,
    };
    this.pending.push(own);
    return own;
  }

  answered(own: Own, { count, version }: Pick<Answer<"select">, "count" | "version">): void {
    own.answer = { count, version };
  }

  failed(own: Own): void {
    own.failed = true;
  }

  /** Takes in what the state says. True when the flags are out of date, and only the bits themselves help. */
  settle(state: SessionState, placed: Placed): boolean {
    const { gesture, version } = state.selection;
    const mine = gesture && this.pending.find((own) => own.token === gesture.token);
    if (mine) mine.told = { gesture, version };
    if (this.cleared) return false;
    for (let own = this.pending[0]; own; own = this.pending[0]) {
      const plainly = own.exact !== null && own.mode === "replace";
      const due = !plainly && own.answer?.version === version && gesture === undefined;
      if (!own.failed && !own.told && (own.answer === null || due)) return false;
      this.confirmed(own, placed, gesture ?? null);
      this.pending.shift();
    }
    if (this.version !== null && version > this.version) {
      if (gesture === undefined) return false; // how it came about is on its way
      this.follow(gesture ?? null, version, placed);
    }
    if (this.version === version) this.count = state.selection.count;
    return !this.shortcut(state, placed);
  }

  /** The oldest gesture under way, now that the kernel has spoken. */
  private confirmed(own: Own, placed: Placed, latest: Gesture | null): void {
    const known = own.told && !own.failed ? this.corrected(own, own.told, placed) : this.untold(own, placed, latest);
    if (known) this.now(known.version, known.count);
    else this.forget();
  }

  /** The state said where the test of rounded places is wrong. Null: nobody knows what the flags show. */
  private corrected(own: Own, told: { gesture: Gesture; version: number }, placed: Placed): Known | null {
    const { gesture, version } = told;
    const here = own.places === placed.places && gesture.places === own.places;
    if (!own.whole || !here || gesture.passing !== own.passing) return null;
    if (own.mode !== "replace" && gesture.from !== this.version) return null;
    if (gesture.on.length + gesture.off.length > 0) {
      const later = this.pending.slice(1);
      if (later.length === 0) this.correct(gesture);
      // A later gesture that replaces everything makes it of no account where the rounding was wrong.
      else if (!later.some((one) => one.mode === "replace")) return null;
    }
    return { version, count: own.answer?.count ?? null };
  }

  /** There is no such word of the kernel: it refused, or nothing changed, or it was a click, or others came in between. */
  private untold(own: Own, placed: Placed, latest: Gesture | null): Known | null {
    const { answer } = own;
    const before = this.version === null ? null : { version: this.version, count: this.count };
    const later = this.pending.slice(1);
    if (own.places !== placed.places) return null;
    const revocable = own.kept && later.length === 0 && before !== null;
    if (own.failed || answer === null) {
      if (revocable) this.back();
      return revocable ? before : null;
    }
    if (own.exact !== null && this.plain(own, answer, latest)) return answer;
    if (answer.count === 0 && later.every((one) => one.mode === "replace")) {
      if (later.length === 0) {
        this.engine.pick([], "replace");
        this.touch("here");
      }
      return answer;
    }
    // A gesture that changes nothing makes no version: what was selected before still is.
    if (!revocable || answer.version !== this.version) return null;
    this.back();
    return before;
  }

  /** A click did just what it looks like, and nobody else changed the selection in between. */
  private plain(own: Own, answer: { count: number; version: number }, latest: Gesture | null): boolean {
    if (own.mode === "replace") return answer.count === own.exact;
    if (latest !== null && answer.version !== this.version) return false;
    if (this.version === null || this.count === null || own.passing === null) return false;
    if (answer.version === this.version) return answer.count === this.count;
    if (answer.version !== this.version + 1) return false;
    if (own.mode === "intersect") return answer.count <= 1;
    return answer.count === this.count + (own.mode === "add" ? 1 : -1);
  }

  /** A selection made elsewhere: another panel's lasso is repeated here. */
  private follow(gesture: Gesture | null, version: number, placed: Placed): void {
    const fits =
      gesture !== null &&
      gesture.places === placed.places &&
      gesture.shape.projection === placed.projection &&
      gesture.passing === this.passing &&
      placed.loaded >= placed.held &&
      placed.held === placed.total &&
      (gesture.mode === "replace" || gesture.from === this.version);
    if (!fits) {
      this.forget();
      return;
    }
    this.engine.combine(ringOf(gesture.shape), gesture.mode);
    this.correct(gesture);
    this.now(version, null);
  }

  private correct({ on, off }: Gesture): void {
    if (on.length + off.length > 0) this.engine.correct(on, off);
    this.touch("here");
  }

  /** All or none of the samples: that needs no bits. True when the flags are up to date. */
  private shortcut(state: SessionState, placed: Placed): boolean {
    const { sampleCount, selection, filter } = state;
    // Where points are objects, all samples may be selected by some of their objects.
    const share = (count: number): Bits => (count === 0 ? "none" : count === sampleCount ? "all" : null);
    const freshSelection = this.version !== null && this.version >= selection.version;
    const freshFilter = this.passing !== null && this.passing >= filter.passing;
    if (freshSelection && freshFilter) return true;
    const whole = ofObjects(placed) && selection.count > 0;
    const selected = freshSelection || whole ? null : share(selection.count);
    const visible = freshFilter ? null : share(filter.count);
    if ((!freshSelection && selected === null) || (!freshFilter && visible === null)) return false;
    this.engine.setMarks(selected, visible);
    this.touch("anew");
    if (!freshSelection) this.now(selection.version, selection.count);
    if (!freshFilter) this.passing = filter.passing;
    return true;
  }

  /** Takes the bits of the kernel. While a gesture is under way its guess is newer: then only the filter's half. */
  marks(body: Pick<Answer<"marks">, "selectionVersion" | "passing">, selected: Bits, visible: Bits): void {
    this.engine.setMarks(this.busy ? null : selected, visible);
    this.passing = body.passing;
    if (this.busy) this.forget();
    else this.now(body.selectionVersion, null);
  }

  private now(version: number, count: number | null): void {
    this.version = version;
    this.count = count;
  }
}
