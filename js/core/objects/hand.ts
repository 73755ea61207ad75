/** The pointer and the Tab key over the inspected picture: what they touch is told to the editor. */
import type { Editor } from "./editor.js";
import { cursorOf, handleAt, onScreen, type Place, type Point, type Size, under } from "./geometry.js";
import type { Shape } from "./shapes.js";

export interface HandOptions {
  /** Where the picture stands in the frame; null as long as there is none. */
  place(): Place | null;
  /** The size of the picture in its own px; null while nothing may be touched. */
  size(): Size | null;
  /** The objects that are shown. */
  shapes(): readonly Shape[];
  draw(): void;
  /** Something was chosen or done. */
  acted(): void;
}

export class Hand {
  /** The object under the pointer. */
  over: number | null = null;
  readonly #frame: HTMLElement;
  readonly #editor: Editor;
  readonly #options: HandOptions;

  constructor(frame: HTMLElement, editor: Editor, signal: AbortSignal, options: HandOptions) {
    this.#frame = frame;
    this.#editor = editor;
    this.#options = options;
    // Before the picture hears of it: a drag of an object does not move the picture.
    const early = { signal, capture: true };
    frame.addEventListener("pointerdown", (event) => this.#press(event), early);
    frame.addEventListener("pointermove", (event) => this.#move(event), early);
    frame.addEventListener(
      "pointerup",
      () => {
        editor.release(this.#scale());
        options.acted();
      },
      early,
    );
    frame.addEventListener("pointercancel", () => editor.cancel(), early);
    frame.addEventListener("pointerleave", () => this.#hover(null), { signal });
    frame.addEventListener("keydown", (event) => this.#tab(event), { signal });
  }

  #press(event: PointerEvent): void {
    const at = this.#at(event);
    if (event.button !== 0 || at === null) return;
    const objects = under(this.#options.shapes(), at.screen, at.place).map(({ object }) => object);
    if (this.#editor.press(at.picture, { objects, handle: this.#handle(at.screen, at.place), more: event.shiftKey })) {
      event.stopPropagation();
      this.#frame.setPointerCapture(event.pointerId);
      this.#frame.focus({ preventScroll: true });
    }
    this.#options.acted();
  }

  #move(event: PointerEvent): void {
    const at = this.#at(event);
    if (at === null) return;
    this.#editor.move(at.picture, this.#scale());
    if (this.#editor.busy) {
      event.stopPropagation();
      this.#options.draw();
    } else this.#hover(at);
  }

  /** Tab goes from object to object, and leaves the picture after the last. */
  #tab(event: KeyboardEvent): void {
    if (event.key !== "Tab" || event.altKey || event.ctrlKey || event.metaKey) return;
    const objects = this.#options.shapes().map(({ object }) => object);
    if (this.#editor.step(objects, event.shiftKey ? -1 : 1) !== null) event.preventDefault();
    this.#options.acted();
  }

  #hover(at: { screen: Point; place: Place } | null): void {
    const { selected } = this.#editor;
    const drawing = this.#editor.drawing !== null;
    const found = at === null || drawing ? [] : under(this.#options.shapes(), at.screen, at.place);
    const handle = at === null || drawing ? null : this.#handle(at.screen, at.place);
    const { dataset } = this.#frame;
    if (handle !== null) dataset.cursor = cursorOf(handle);
    else if (found.some(({ object }) => object === selected)) dataset.cursor = "move";
    else if (found.length > 0) dataset.cursor = "pick";
    else delete dataset.cursor;
    const next = found[0]?.object ?? null;
    if (next === this.over) return;
    this.over = next;
    this.#options.draw();
  }

  /** A handle of what is selected. */
  #handle(at: Point, place: Place) {
    const box = this.#options.shapes().find(({ object }) => object === this.#editor.selected)?.box ?? null;
    return box === null ? null : handleAt(onScreen(box, place), at);
  }

  /** A place of the pointer in the frame, and in the picture in its px. */
  #at(event: PointerEvent): { screen: Point; picture: Point; place: Place } | null {
    const place = this.#options.place();
    const size = this.#options.size();
    if (place === null || size === null) return null;
    const bounds = this.#frame.getBoundingClientRect();
    const screen = { x: event.clientX - bounds.left, y: event.clientY - bounds.top };
    const picture = {
      x: ((screen.x - place.x) / place.width) * size.width,
      y: ((screen.y - place.y) / place.height) * size.height,
    };
    return { screen, picture, place };
  }

  #scale(): number {
    return (this.#options.place()?.width ?? 1) / (this.#options.size()?.width ?? 1);
  }
}
