/** Click, Ctrl-click, Shift-click, and the box that a drag draws; it scrolls when the pointer leaves at an edge. */
import type { Mode } from "../../core/protocol.js";
import type { Box } from "./geometry.js";

const DRAG_FROM_PX = 5;
const EDGE_PX = 28;
const MOST_SPEED_PX = 40; // a frame

export interface PointerActions {
  /** Position of the tile under an element, null for empty space. */
  positionOf(target: EventTarget | null): number | null;
  /** The place in the full height of all rows. */
  top(): number;
  scrollBy(px: number): void;
  click(position: number | null, event: PointerEvent): void;
  open(position: number): void;
  hover(position: number | null): void;
  drag(box: Box, mode: Mode): void;
  drop(box: Box, mode: Mode): void;
  cancel(): void;
}

export const modeOf = (event: { shiftKey: boolean; ctrlKey: boolean; metaKey: boolean; altKey: boolean }): Mode => {
  if (event.altKey) return "subtract";
  return event.shiftKey || event.ctrlKey || event.metaKey ? "add" : "replace";
};

export function listen(scroller: HTMLElement, actions: PointerActions, signal: AbortSignal): void {
  let press: { id: number; x: number; y: number; position: number | null; dragging: boolean } | null = null;
  let pointer = { x: 0, y: 0 };
  let mode: Mode = "replace";
  let frame = 0;

  const place = (event: PointerEvent): { x: number; y: number } => {
    const bounds = scroller.getBoundingClientRect();
    return { x: event.clientX - bounds.left, y: event.clientY - bounds.top };
  };
  const box = (): Box => ({
    x0: press?.x ?? 0,
    y0: press?.y ?? 0,
    x1: Math.min(Math.max(pointer.x, 0), scroller.clientWidth),
    y1: Math.min(Math.max(pointer.y, 0), scroller.clientHeight) + actions.top(),
  });
  const stop = (): void => {
    cancelAnimationFrame(frame);
    frame = 0;
    press = null;
  };
  const autoscroll = (): void => {
    const over = pointer.y < EDGE_PX ? pointer.y - EDGE_PX : Math.max(pointer.y - scroller.clientHeight + EDGE_PX, 0);
    if (over !== 0) {
      actions.scrollBy(Math.sign(over) * Math.min(Math.abs(over) / 2, MOST_SPEED_PX));
      actions.drag(box(), mode);
    }
    frame = requestAnimationFrame(autoscroll);
  };

  scroller.addEventListener(
    "pointerdown",
    (event) => {
      if (event.button !== 0 || event.offsetX >= scroller.clientWidth) return;
      // A finger scrolls; a tap still arrives as a click below.
      const start = place(event);
      pointer = start;
      mode = modeOf(event);
      press = {
        id: event.pointerId,
        x: start.x,
        y: start.y + actions.top(),
        position: actions.positionOf(event.target),
        dragging: false,
      };
    },
    { signal },
  );
  scroller.addEventListener(
    "pointermove",
    (event) => {
      if (press === null) return actions.hover(actions.positionOf(event.target));
      if (press.id !== event.pointerId || event.pointerType === "touch") return;
      pointer = place(event);
      const far = Math.hypot(pointer.x - press.x, pointer.y + actions.top() - press.y) >= DRAG_FROM_PX;
      if (!press.dragging && far) {
        press.dragging = true;
        scroller.setPointerCapture(press.id);
        frame = requestAnimationFrame(autoscroll);
      }
      if (press.dragging) actions.drag(box(), mode);
    },
    { signal },
  );
  scroller.addEventListener(
    "pointerup",
    (event) => {
      if (press === null || press.id !== event.pointerId) return;
      const { dragging, position } = press;
      pointer = place(event);
      const last = box();
      stop();
      if (dragging) actions.drop(last, mode);
      else actions.click(position, event);
    },
    { signal },
  );
  scroller.addEventListener("pointerleave", () => press === null && actions.hover(null), { signal });
  const cancel = (): void => {
    if (press === null) return;
    stop();
    actions.cancel();
  };
  scroller.addEventListener("pointercancel", cancel, { signal });
  scroller.addEventListener(
    "keydown",
    (event) => {
      if (event.key !== "Escape" || !press?.dragging) return;
      event.stopPropagation();
      cancel();
    },
    { signal },
  );
  scroller.addEventListener(
    "dblclick",
    (event) => {
      const position = actions.positionOf(event.target);
      if (position !== null) actions.open(position);
    },
    { signal },
  );
  signal.addEventListener("abort", stop);
}
