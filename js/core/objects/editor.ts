/** What a hand does to the objects of one picture: select, move, resize, draw, nudge. Knows neither the page nor the kernel. */
import { between, type Handle, moved, type Point, resized, type Size } from "./geometry.js";
import type { Box } from "./shapes.js";

/** What people decided; boxes in px of the upright picture. */
export type Decision =
  | { verb: "add"; box: Box }
  | { verb: "move"; object: number; box: Box }
  | { verb: "delete"; object: number };

/** What lies under the pointer when it is pressed. */
export interface Hit {
  /** Objects under it, the smallest first. */
  objects: readonly number[];
  /** A handle of the selected object. */
  handle: Handle | null;
}

type Drag =
  | { kind: "press"; from: Point; objects: readonly number[] }
  | { kind: "draw"; from: Point; box: Box | null }
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
  selected: number | null = null;
  /** A press draws a new box. */
  drawing = false;
  #drag: Drag | null = null;
  #nudged: { object: number; box: Box; timer: ReturnType<typeof setTimeout> } | null = null;
  readonly #picture: () => Size;
  readonly #boxOf: (object: number) => Box | null;
  readonly #decide: (decision: Decision) => void;

  /**
   * `picture` is its size in px, `boxOf` the box of an object in px, or null where it has none or is gone; `decide` is told what
   * is to be done, once for each gesture.
   */
  constructor(picture: () => Size, boxOf: (object: number) => Box | null, decide: (decision: Decision) => void) {
    this.#picture = picture;
    this.#boxOf = boxOf;
    this.#decide = decide;
  }

  /** The box that is being drawn, in px. */
  get fresh(): Box | null {
    return this.#drag?.kind === "draw" ? this.#drag.box : null;
  }

  /** Where the selected object is being moved to, in px. */
  get changed(): { object: number; box: Box } | null {
    if (this.#drag?.kind === "change") return { object: this.#drag.object, box: this.#drag.box };
    return this.#nudged;
  }

  get busy(): boolean {
    return this.#drag !== null && this.#drag.kind !== "press";
  }

  select(object: number | null): void {
    if (object !== this.selected) this.settle();
    this.selected = object;
  }

  /** The button goes down at a place of the picture, in px. True when the drag is ours, and does not move the picture. */
  press(at: Point, { objects, handle }: Hit): boolean {
    this.settle();
    if (this.drawing) {
      this.#drag = { kind: "draw", from: at, box: null };
      return true;
    }
    const selected = this.selected;
    const start = selected === null ? null : this.#boxOf(selected);
    if (selected !== null && start !== null && (handle !== null || objects.includes(selected))) {
      this.#drag = { kind: "change", object: selected, handle, from: at, start, box: start, objects };
      return true;
    }
    this.#drag = { kind: "press", from: at, objects };
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
      this.drawing = false;
      this.#decide({ verb: "add", box: drag.box });
    } else if (drag.kind === "change" && !same(drag.box, drag.start)) {
      if (drag.box.width > 0 && drag.box.height > 0) {
        this.#decide({ verb: "move", object: drag.object, box: drag.box });
      }
    } else this.#clicked(drag);
  }

  /** A click chooses the smallest object under it; another one there, the next larger. */
  #clicked({ objects }: { objects: readonly number[] }): void {
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
    const box = object === null ? null : (this.#nudged?.box ?? this.#boxOf(object));
    if (object === null || box === null) return false;
    clearTimeout(this.#nudged?.timer);
    const timer = setTimeout(() => this.settle(), NUDGED_AFTER_MS);
    this.#nudged = { object, box: moved(box, dx, dy, this.#picture()), timer };
    return true;
  }

  /** Decides what was nudged. */
  settle(): void {
    const nudged = this.#nudged;
    if (nudged === null) return;
    clearTimeout(nudged.timer);
    const before = this.#boxOf(nudged.object);
    this.#nudged = null;
    if (before !== null && !same(before, nudged.box))
      this.#decide({ verb: "move", object: nudged.object, box: nudged.box });
  }

  remove(): boolean {
    const object = this.selected;
    if (object === null) return false;
    this.settle();
    this.selected = null;
    this.#decide({ verb: "delete", object });
    return true;
  }

  /** Leaves one thing: a drag, drawing, what is selected. False where there was nothing to leave. */
  escape(): boolean {
    if (this.busy) this.cancel();
    else if (this.drawing) this.drawing = false;
    else if (this.selected !== null) this.select(null);
    else return false;
    return true;
  }

  /** The next object of a list, or the one before; null beyond its ends. */
  step(objects: readonly number[], by: 1 | -1): number | null {
    const at = this.selected === null ? -1 : objects.indexOf(this.selected);
    const next = at < 0 ? (by > 0 ? 0 : objects.length - 1) : at + by;
    this.select(objects[next] ?? null);
    return this.selected;
  }
}
