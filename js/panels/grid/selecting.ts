/** Selecting by position: shown at once on the tiles at hand, sent to the kernel, confirmed or taken back by its answer. */
import type { HubExports, KernelError } from "../../core/contract.js";
import { isAbort } from "../../core/panel.js";
import type { Mode, Shape } from "../../core/protocol.js";
import type { Span } from "./geometry.js";
import type { Pages } from "./pages.js";

const MOST_POSITIONS = 1000;

export class Selecting {
  /** Where a range with Shift starts. */
  anchor = 0;
  readonly #hub: HubExports;
  readonly #panel: string;
  readonly #pages: Pages;
  readonly #changed: () => void;

  constructor(hub: HubExports, panel: string, pages: Pages, changed: () => void) {
    this.#hub = hub;
    this.#panel = panel;
    this.#pages = pages;
    this.#changed = changed;
  }

  only(position: number): Promise<void> {
    this.anchor = position;
    return this.spans([{ from: position, to: position }], "replace");
  }

  toggle(position: number): Promise<void> {
    this.anchor = position;
    const selected = this.#pages.tile(position)?.selected === true;
    return this.spans([{ from: position, to: position }], selected ? "subtract" : "add");
  }

  rangeTo(position: number, mode: Mode = "replace"): Promise<void> {
    const span = { from: Math.min(this.anchor, position), to: Math.max(this.anchor, position) };
    return this.spans([span], mode);
  }

  none(): Promise<void> {
    return this.spans([], "replace");
  }

  /** Resolves when the kernel has answered; never rejects. */
  async spans(spans: readonly Span[], mode: Mode): Promise<void> {
    this.#show(spans, mode);
    const shapes = shapesOf(spans, this.#pages.orderId);
    this.#pages.holdSelection++;
    try {
      await Promise.all(shapes.map((shape, i) => this.#send(shape, i === 0 ? mode : laterMode(mode))));
    } catch (error) {
      if (!isAbort(error)) this.#refused(error as KernelError);
    } finally {
      this.#pages.holdSelection--;
      this.#changed();
    }
  }

  #send(shape: Shape, mode: Mode): Promise<unknown> {
    return this.#hub.client.ask("select", { shape, mode, source: "grid" }, { panel: this.#panel });
  }

  #show(spans: readonly Span[], mode: Mode): void {
    for (const [position, tile] of this.#pages.loaded()) {
      tile.selected = selectedAfter(tile.selected, within(spans, position), mode);
    }
    this.#changed();
  }

  #refused(error: KernelError): void {
    // What was shown did not come about: ask what is true.
    this.#pages.invalidate();
    const hint = error.failure?.hint ?? null;
    this.#hub.store.toast({ sentence: error.message, kind: "error", undoable: false, python: null, hint });
  }
}

export const within = (spans: readonly Span[], position: number): boolean =>
  spans.some((span) => position >= span.from && position <= span.to);

export function selectedAfter(before: boolean, hit: boolean, mode: Mode): boolean {
  if (mode === "add") return before || hit;
  if (mode === "subtract") return before && !hit;
  if (mode === "intersect") return before && hit;
  return hit;
}

/** A box of many rows goes up as a range when it is one, else as positions, at most a thousand a message. */
export function shapesOf(spans: readonly Span[], orderId: string): Shape[] {
  const [first] = spans;
  if (first === undefined) return [{ type: "none" }];
  if (spans.length === 1) return [{ type: "range", orderId, from: first.from, to: first.to }];
  const positions = spans.flatMap(({ from, to }) => Array.from({ length: to - from + 1 }, (_, i) => from + i));
  const shapes: Shape[] = [];
  for (let i = 0; i < positions.length; i += MOST_POSITIONS) {
    shapes.push({ type: "positions", orderId, positions: positions.slice(i, i + MOST_POSITIONS) });
  }
  return shapes;
}

const laterMode = (mode: Mode): Mode => (mode === "replace" ? "add" : mode);
