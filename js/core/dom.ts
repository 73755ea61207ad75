/** Small pieces every panel needs: sizes, effects with an end, numbers for people. */
import { effect } from "@preact/signals-core";
import { categoryColor, numberColor } from "./colors.js";
import type { Dom } from "./contract.js";

// The digits and separators of the page's language would differ from what Python prints beside them, so English it is.
const counts = new Intl.NumberFormat("en-US");

export function formatCount(n: number): string {
  return counts.format(n);
}

export function formatNumber(x: number): string {
  if (!Number.isFinite(x)) return String(x);
  if (Number.isInteger(x) && Math.abs(x) < 1e15) return counts.format(x);
  const size = Math.abs(x);
  if (size !== 0 && (size >= 1e7 || size < 1e-3)) return x.toExponential(2);
  return new Intl.NumberFormat("en-US", { maximumSignificantDigits: size >= 1000 ? 6 : 4 }).format(x);
}

const MOST_FRAMES = 60; // that something may be hidden without its observer hearing of it

export function onResize(
  element: HTMLElement,
  callback: (width: number, height: number) => void,
  signal: AbortSignal,
): void {
  if (signal.aborted) return;
  let frame = 0;
  let size: [number, number] = [0, 0];
  let patience = 0;
  const tell = (): void => {
    frame = 0;
    // A theme that is changed hides everything for some frames, and no observer hears of it: whoever measures now sees nothing.
    const hidden = size[0] > 0 && size[1] > 0 && element.checkVisibility?.() === false;
    if (hidden && patience-- > 0) frame = requestAnimationFrame(tell);
    else callback(...size);
  };
  const observer = new ResizeObserver((entries) => {
    const box = entries.at(-1)?.contentRect;
    if (box === undefined) return;
    size = [box.width, box.height];
    patience = MOST_FRAMES;
    // Calling back inside the observer may resize again, which browsers report as an error.
    if (frame === 0) frame = requestAnimationFrame(tell);
  });
  observer.observe(element);
  signal.addEventListener("abort", () => {
    observer.disconnect();
    cancelAnimationFrame(frame);
  });
}

export function effectUntil(signal: AbortSignal, run: () => void): void {
  if (signal.aborted) return;
  const stop = effect(run);
  signal.addEventListener("abort", stop, { once: true });
}

/** True where the user is typing: keys belong to it. */
export function isEditable(element: EventTarget | null): boolean {
  if (!(element instanceof HTMLElement)) return false;
  if (element.isContentEditable || element.closest(".cm-editor, [contenteditable='true']")) return true;
  if (element instanceof HTMLInputElement) {
    return !["button", "checkbox", "radio", "range", "color", "submit", "reset"].includes(element.type);
  }
  return element instanceof HTMLTextAreaElement || element instanceof HTMLSelectElement;
}

export const dom: Dom = { onResize, effectUntil, formatCount, formatNumber, categoryColor, numberColor };
