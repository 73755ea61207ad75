/** What a hand does to the objects of one picture: select, move, resize, draw, nudge. Knows neither the page nor the kernel. */
import { between, type Handle, moved, type Point, resized, type Size } from "./geometry.js";
import type { Box } from "./shapes.js";

/** What people decided; boxes in px of the upright picture. */
export type Decision =
  | { verb: "add"; box: Box }
  | { verb: "region"; box: Box } // pointed out, and no object
  | { verb: "move"; object: number; box: Box }
  | { verb: "delete"; objects: readonly number[] };

/** What lies under the pointer when it is pressed. */
export interface Hit {
  /** Objects under it, the smallest first. */
  objects: readonly number[];
  /** A handle of the selected object. */
  handle: Handle | null;
  /** With Shift: what is clicked comes to what is selected, or leaves it. */
  more?: boolean;
}

type Drag =
  | { kind: "press"; from: Point; objects: readonly number[]; more: boolean }
  | { kind: "draw"; what: "box" | "region"; from: Point; box: Box | null }
  | {
      kind: "change";
      object: number;
      handle: Handle | null;
      from: Point;
      start: Box;
      box: Box;
      objects: readonly number[];
    };

// In px of the screen: less is a click.
const CLICK_PX = 4;
// In px of the screen: no smaller box is drawn by intent.
const SMALLEST_PX = 3;
const NUDGED_AFTER_MS = 500;

const same = (a: Box, b: Box): boolean =>
  a.left === b.left && a.top === b.top && a.width === b.width && a.height === b.height;

export class Editor {
  /** What is selected, the latest last. */
  chosen: readonly number[] = [];
  /** What a press draws: a new box, or a region that is only pointed out. */
  drawing: "box" | "region" | null = null;
  #drag: Drag | null = null;
  // By how much each was nudged, in px. Not to where: what undo brings meanwhile is what is moved.
  readonly #nudged = new Map<number, Point>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #due = false;
  readonly #picture: () => Size;
  readonly #boxOf: (object: number) => Box | null;
  readonly #decide: (decision: Decision) => void;
  readonly #waits: () => boolean;

  /**
   * `picture` is its size in px, `boxOf` the box of an object in px, or null where it has none or is gone; `decide` is told what
   * is to be done, once for each gesture. While `waits` is true, boxes on the screen are older than what holds: what was nudged is
   * decided once `arrived` is called.
   */
  constructor(
    picture: () => Size,
    boxOf: (object: number) => Box | null,
    decide: (decision: Decision) => void,
    waits: () => boolean = () => false,
  ) {
    this.#picture = picture;
    this.#boxOf = boxOf;
    this.#decide = decide;
    this.#waits = waits;
  }

  /** The one object that is selected; null where there is none, or several. */
  get selected(): number | null {
    return this.chosen.length === 1 ? (this.chosen[0] ?? null) : null;
  }

  /** The box that is being drawn, in px. */
  get fresh(): Box | null {
    return this.#drag?.kind === "draw" ? this.#drag.box : null;
  }

  /** Where objects are being moved to, in px. */
  get changed(): ReadonlyMap<number, Box> {
    if (this.#drag?.kind === "change") return new Map([[this.#drag.object, this.#drag.box]]);
    const boxes = new Map<number, Box>();
    for (const [object, { x, y }] of this.#nudged) {
      const box = this.#boxOf(object);
      if (box !== null) boxes.set(object, moved(box, x, y, this.#picture()));
    }
    return boxes;
  }

  get busy(): boolean {
    return this.#drag !== null && this.#drag.kind !== "press";
  }

  select(object: number | null): void {
    if (object !== this.selected) this.settle();
    this.chosen = object === null ? [] : [object];
  }

  /** One more is selected, or, if it was, one fewer. */
  toggle(object: number): void {
    this.settle();
    this.chosen = this.chosen.includes(object) ? this.chosen.filter((one) => one !== object) : [...this.chosen, object];
  }

  /** The button goes down at a place of the picture, in px. True when the drag is ours, and does not move the picture. */
  press(at: Point, { objects, handle, more = false }: Hit): boolean {
    this.settle();
    if (this.drawing !== null) {
      this.#drag = { kind: "draw", what: this.drawing, from: at, box: null };
      return true;
    }
    const selected = this.selected;
    const start = selected === null ? null : this.#boxOf(selected);
    if (!more && selected !== null && start !== null && (handle !== null || objects.includes(selected))) {
      this.#drag = { kind: "change", object: selected, handle, from: at, start, box: start, objects };
      return true;
    }
    this.#drag = { kind: "press", from: at, objects, more };
    return false;
  }

  /** The pointer moves on, `scale` px of the screen for each px of the picture. */
  move(at: Point, scale: number): void {
    const drag = this.#drag;
    if (drag === null) return;
    const [dx, dy] = [at.x - drag.from.x, at.y - drag.from.y];
    const far = Math.hypot(dx, dy) * scale >= CLICK_PX;
    if (drag.kind === "draw") drag.box = between(drag.from, at, this.#picture());
    else if (drag.kind === "press") {
      if (far) this.#drag = null; // the picture is moved, nothing is chosen
    } else if (far || !same(drag.box, drag.start)) {
      drag.box =
        drag.handle === null
          ? moved(drag.start, dx, dy, this.#picture())
          : resized(drag.start, drag.handle, dx, dy, this.#picture());
    }
  }

  /** The button is let go. */
  release(scale: number): void {
    const drag = this.#drag;
    this.#drag = null;
    if (drag === null) return;
    const large = (box: Box): boolean => Math.min(box.width, box.height) * scale >= SMALLEST_PX;
    if (drag.kind === "draw") {
      if (drag.box === null || !large(drag.box)) return; // a click, or a slip: draw again
      this.drawing = null;
      this.#decide({ verb: drag.what === "box" ? "add" : "region", box: drag.box });
    } else if (drag.kind === "change" && !same(drag.box, drag.start)) {
      if (drag.box.width > 0 && drag.box.height > 0) {
        this.#decide({ verb: "move", object: drag.object, box: drag.box });
      }
    } else this.#clicked(drag.objects, drag.kind === "press" && drag.more);
  }

  /** A click chooses the smallest object under it; another one there, the next larger. */
  #clicked(objects: readonly number[], more: boolean): void {
    if (more) {
      if (objects[0] !== undefined) this.toggle(objects[0]);
      return;
    }
    const at = this.selected === null ? -1 : objects.indexOf(this.selected);
    this.select(objects[(at + 1) % Math.max(objects.length, 1)] ?? null);
  }

  /** The button went up elsewhere, or the picture changed: what was begun is forgotten. */
  cancel(): void {
    this.#drag = null;
  }

  /** By so many px of the picture; several in a row are one decision. */
  nudge(dx: number, dy: number): boolean {
    const object = this.selected;
    const box = object === null ? null : this.#boxOf(object);
    if (object === null || box === null) return false;
    const by = this.#nudged.get(object) ?? { x: 0, y: 0 };
    // At the edge it stops, and comes back with the first step back.
    const next = moved(box, by.x + dx, by.y + dy, this.#picture());
    this.#nudged.set(object, { x: next.left - box.left, y: next.top - box.top });
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.settle(), NUDGED_AFTER_MS);
    return true;
  }

  /** Decides what was nudged; once the boxes are those that hold, unless it must be `now`. */
  settle(now = false): void {
    clearTimeout(this.#timer);
    if (this.#nudged.size === 0) return;
    this.#due = !now && this.#waits();
    if (this.#due) return;
    const boxes = this.changed;
    this.#nudged.clear();
    for (const [object, box] of boxes) {
      const before = this.#boxOf(object);
      if (before !== null && !same(before, box)) this.#decide({ verb: "move", object, box });
    }
  }

  /** The boxes are those that hold. */
  arrived(): void {
    if (this.#due) this.settle();
  }

  remove(): boolean {
    const objects = this.chosen;
    if (objects.length === 0) return false;
    this.settle();
    this.chosen = [];
    this.#decide({ verb: "delete", objects });
    return true;
  }

  /** Leaves one thing: a drag, drawing, what is selected. False where there was nothing to leave. */
  escape(): boolean {
    if (this.busy) this.cancel();
    else if (this.drawing !== null) this.drawing = null;
    else if (this.chosen.length > 0) this.select(null);
    else return false;
    return true;
  }

  /** The next object of a list, or the one before; null beyond its ends. */
  step(objects: readonly number[], by: 1 | -1): number | null {
    const latest = this.chosen.at(-1);
    const at = latest === undefined ? -1 : objects.indexOf(latest);
    const next = at < 0 ? (by > 0 ? 0 : objects.length - 1) : at + by;
    this.select(objects[next] ?? null);
    return this.selected;
  }
}
