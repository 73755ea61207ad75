/** What hand and wheel do on the plot. Knows nothing of points: it tells what was drawn, moved or clicked. */
import type { Mode } from "../../core/protocol.js";
import type { Drawing } from "./overlay.js";

export type Tool = "lasso" | "box" | "pan";

export interface GestureActions {
  tool(): Tool;
  pan(dx: number, dy: number): void;
  zoom(factor: number, x: number, y: number): void;
  reset(): void;
  /** The shape so far; null when it is done or given up. */
  drawing(drawing: Drawing | null): void;
  drawn(drawing: Drawing): void;
  clicked(x: number, y: number, mode: Mode): void;
  hovered(x: number, y: number): void;
  left(): void;
}

/** A hand trembles this much while it clicks. */
const CLICK_PX = 4;
/** Lasso points closer together than this say nothing. */
const STEP_PX = 1.5;
/** A wheel turned to scroll the page must not begin to zoom when the plot slides under the pointer. */
const SCROLL_PAUSE_MS = 250;

type Keys = Pick<MouseEvent, "shiftKey" | "altKey">;

export function modeOf(event: Keys): Mode {
  return event.shiftKey ? (event.altKey ? "intersect" : "add") : event.altKey ? "subtract" : "replace";
}

export class Gestures {
  private spaceHeld = false;
  private drag: { id: number; kind: Tool; path: number[]; far: boolean; control: boolean; mode: Mode } | null = null;
  private scrolledAt = -Infinity;
  private clickAt = { time: -Infinity, x: 0, y: 0 };

  constructor(
    private readonly stage: HTMLElement,
    private readonly actions: GestureActions,
    signal: AbortSignal,
  ) {
    const on = <K extends keyof HTMLElementEventMap>(type: K, listener: (event: HTMLElementEventMap[K]) => void) =>
      stage.addEventListener(type, listener, { signal });
    on("pointerdown", (event) => this.down(event));
    on("pointermove", (event) => this.move(event));
    on("pointerup", (event) => this.up(event));
    on("pointercancel", () => this.cancel());
    on("pointerleave", () => {
      if (!this.drag) actions.left();
    });
    // The middle button would start the browser's own scrolling, and paste on Linux.
    on("mousedown", (event) => {
      if (event.button === 1) event.preventDefault();
    });
    on("auxclick", (event) => {
      if (event.button === 1) event.preventDefault();
    });
    stage.addEventListener("wheel", (event) => this.wheel(event), { signal, passive: false });
    window.addEventListener(
      "wheel",
      (event) => {
        if (!event.ctrlKey && !(event.target instanceof Node && stage.contains(event.target)))
          this.scrolledAt = event.timeStamp;
      },
      { signal, passive: true, capture: true },
    );
    window.addEventListener("keyup", (event) => event.key === " " && this.space(false), { signal });
    window.addEventListener("blur", () => this.space(false), { signal });
  }

  space(held: boolean): void {
    if (this.spaceHeld === held) return;
    this.spaceHeld = held;
    this.stage.classList.toggle("panning", held || this.drag?.kind === "pan");
  }

  /** True when there was something to give up. */
  cancel(): boolean {
    if (!this.drag) return false;
    const { id } = this.drag;
    this.drag = null;
    if (this.stage.hasPointerCapture(id)) this.stage.releasePointerCapture(id);
    this.stage.classList.toggle("panning", this.spaceHeld);
    this.actions.drawing(null);
    return true;
  }

  private at(event: MouseEvent): [number, number] {
    const box = this.stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  private down(event: PointerEvent): void {
    const on = event.target instanceof Element ? event.target : null;
    // Where the user types or slides, and on the scroll bar of a list, the hand means that.
    if (on?.closest("input, select, a, .ramp") || on?.matches(".legend-list")) return;
    if (this.drag || event.button > 1) return;
    const kind = event.button === 1 || this.spaceHeld ? "pan" : this.actions.tool();
    // A lasso may begin on the legend as well: only when the hand does not move away, its button is meant.
    const control = on?.closest("button, .legend") != null;
    this.drag = { id: event.pointerId, kind, path: this.at(event), far: false, control, mode: modeOf(event) };
    if (!control) this.stage.setPointerCapture(event.pointerId);
    this.stage.classList.toggle("panning", kind === "pan");
    this.actions.left();
  }

  private move(event: PointerEvent): void {
    const drag = this.drag;
    if (!drag) {
      if (event.buttons === 0) {
        if (event.target instanceof Element && event.target.closest("button, .legend")) this.actions.left();
        else this.actions.hovered(...this.at(event));
      }
      return;
    }
    if (event.pointerId !== drag.id) return;
    const { path } = drag;
    const [x, y] = this.at(event);
    if (!drag.far && Math.hypot(x - (path[0] as number), y - (path[1] as number)) < CLICK_PX) return;
    if (!drag.far && drag.control) this.stage.setPointerCapture(event.pointerId);
    drag.far = true;
    if (drag.kind === "pan") {
      this.actions.pan(x - (path.at(-2) as number), y - (path.at(-1) as number));
      drag.path = [x, y];
      return;
    }
    if (drag.kind === "box") drag.path = [path[0] as number, path[1] as number, x, y];
    else {
      // One event stands for several places of a fast mouse.
      const events = event.getCoalescedEvents?.() ?? [];
      for (const one of events.length > 0 ? events : [event]) {
        const [px, py] = this.at(one);
        if (Math.hypot(px - (path.at(-2) as number), py - (path.at(-1) as number)) >= STEP_PX) path.push(px, py);
      }
    }
    this.actions.drawing({ kind: drag.kind, path: drag.path, mode: drag.mode });
  }

  private up(event: PointerEvent): void {
    const drag = this.drag;
    if (!drag || event.pointerId !== drag.id) return;
    this.drag = null;
    this.stage.classList.toggle("panning", this.spaceHeld);
    const [x, y] = this.at(event);
    if (drag.far) {
      if (drag.kind === "pan") return;
      const path = drag.kind === "box" ? [drag.path[0] as number, drag.path[1] as number, x, y] : [...drag.path, x, y];
      this.actions.drawing(null);
      this.actions.drawn({ kind: drag.kind, path, mode: drag.mode });
      return;
    }
    if (event.button !== 0 || this.spaceHeld || drag.control) return;
    const second =
      event.timeStamp - this.clickAt.time < 400 && Math.hypot(x - this.clickAt.x, y - this.clickAt.y) < 2 * CLICK_PX;
    this.clickAt = { time: second ? -Infinity : event.timeStamp, x, y };
    if (second) this.actions.reset();
    else this.actions.clicked(x, y, drag.mode);
  }

  private wheel(event: WheelEvent): void {
    if (event.target instanceof Element && event.target.closest(".legend")) return;
    if (!event.ctrlKey && event.timeStamp - this.scrolledAt < SCROLL_PAUSE_MS) {
      this.scrolledAt = event.timeStamp;
      return;
    }
    event.preventDefault();
    const lines =
      event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 33 : event.deltaMode === WheelEvent.DOM_DELTA_PAGE ? 400 : 1;
    // Browsers report a pinch on a touchpad as a wheel with Ctrl, in much smaller numbers.
    const speed = event.ctrlKey ? 0.01 : 0.0018;
    const turn = Math.max(-1, Math.min(1, -event.deltaY * lines * speed));
    this.actions.zoom(Math.exp(turn), ...this.at(event));
  }
}
