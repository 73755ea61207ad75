/** One mini histogram with its brush: drawing, dragging, and the two handles for the keyboard. */
import type { TemplateResult } from "lit-html";
import type { HubExports } from "../../core/contract.js";
import type { Facet } from "../../core/protocol.js";
import {
  type Axis,
  axisOf,
  barsPath,
  drag,
  ends,
  formatTime,
  type Grip,
  gripAt,
  heights,
  type Range,
  span,
  step,
  typedBound,
} from "./geometry.js";

export const HEIGHT_PX = 44;
const CLICK_PX = 3;

export type Histogram = Extract<Facet, { kind: "histogram" }>;

export interface HistogramProps {
  facet: Histogram;
  time: boolean;
  width: number;
  brush: Range | null;
  typing: boolean;
  missingOnly: boolean;
  /** `live` while the pointer is still down. */
  onBrush(range: Range | null, live: boolean): void;
  onTyping(on: boolean): void;
  onTypedWrong(): void;
  onMissing(): void;
}

export function histogram(hub: HubExports, props: HistogramProps): TemplateResult {
  const { html, svg, nothing } = hub.lit;
  const { facet, brush } = props;
  const axis = axisOf(facet.edges, props.width, facet.type, props.time);
  const format = formatter(hub, axis, props.time);
  const peak = Math.max(1, ...facet.total);
  const bars = (counts: number[], name: string, narrow = false) =>
    svg`<path class=${name} d=${barsPath(axis, facet.edges, heights(counts, peak, HEIGHT_PX), HEIGHT_PX, narrow)}></path>`;
  const [left, right] = span(axis, brush);
  return html`<div
      class="di-hist ${brush ? "di-brushed" : ""}"
      @pointerdown=${(event: PointerEvent) => beginDrag(event, axis, props)}
      @pointermove=${(event: PointerEvent) => showGrip(event, axis, brush)}
      @dblclick=${() => props.onBrush(null, false)}
    >
      <svg
        viewBox="0 0 ${axis.width} ${HEIGHT_PX}"
        width="100%"
        height=${HEIGHT_PX}
        preserveAspectRatio="none"
        role="img"
        aria-label=${describe(hub, facet, axis, format)}
      >
        ${bars(facet.total, "di-total")} ${bars(facet.visible, "di-visible")} ${bars(facet.selected, "di-chosen", true)}
        ${
          brush
            ? svg`<rect class="di-veil" x="0" y="0" width=${left} height=${HEIGHT_PX}></rect>
              <rect class="di-veil" x=${right} y="0" width=${Math.max(0, axis.width - right)} height=${HEIGHT_PX}></rect>`
            : nothing
        }
      </svg>
      ${handle(hub, axis, props, "low", left, format)} ${handle(hub, axis, props, "high", right, format)}
    </div>
    ${props.typing ? typed(hub, axis, props, format) : numbers(hub, axis, props, format)}
    ${
      facet.missing > 0
        ? html`<button
            type="button"
            class="di-quiet di-missing"
            aria-pressed=${props.missingOnly}
            title="Show only the samples without a value"
            @click=${props.onMissing}
          >
            ${hub.dom.formatCount(facet.missing)} missing
          </button>`
        : nothing
    }`;
}

type Format = (value: number) => string;

function formatter(hub: HubExports, axis: Axis, time: boolean): Format {
  if (time) return (value) => formatTime(value, axis.high - axis.low);
  return (value) => hub.dom.formatNumber(value);
}

function describe(hub: HubExports, facet: Histogram, axis: Axis, format: Format): string {
  const total = facet.total.reduce((a, b) => a + b, 0);
  const [low, high] = ends(axis);
  return `Histogram of ${facet.column}: ${hub.dom.formatCount(total)} values from ${format(low)} to ${format(high)}`;
}

function handle(
  hub: HubExports,
  axis: Axis,
  props: HistogramProps,
  side: "low" | "high",
  x: number,
  format: Format,
): TemplateResult {
  const [least, most] = ends(axis);
  const now = props.brush?.[side] ?? (side === "low" ? least : most);
  const onKey = (event: KeyboardEvent) => {
    const by = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -5, PageUp: 5 }[event.key];
    const bins = props.facet.total.length;
    let next: Range | null;
    if (by !== undefined) next = step(axis, bins, props.brush, side, by, event.shiftKey);
    else if (event.key === "Home" || event.key === "End") {
      next = step(axis, bins, props.brush, side, event.key === "Home" ? -bins : bins, false);
    } else if (event.key === "Delete" || event.key === "Backspace") next = null;
    else return;
    event.preventDefault();
    event.stopPropagation();
    props.onBrush(next, false);
  };
  return hub.lit.html`<span
    class="di-handle di-handle-${side}"
    role="slider"
    tabindex="0"
    style="left:${(x / axis.width) * 100}%"
    aria-label="${side === "low" ? "Lowest" : "Highest"} ${props.facet.column}"
    aria-valuemin=${least}
    aria-valuemax=${most}
    aria-valuenow=${now}
    aria-valuetext=${format(now)}
    @keydown=${onKey}
  ></span>`;
}

function numbers(hub: HubExports, axis: Axis, props: HistogramProps, format: Format): TemplateResult {
  const { html } = hub.lit;
  const { brush } = props;
  const [low, high] = ends(axis);
  const text = brush
    ? brush.low === null
      ? `≤ ${format(brush.high ?? high)}`
      : brush.high === null
        ? `≥ ${format(brush.low)}`
        : `${format(brush.low)} – ${format(brush.high)}`
    : "range…";
  return html`<div class="di-ends">
    <span>${format(low)}</span>
    <button
      type="button"
      class="di-quiet di-range ${brush ? "di-set" : ""}"
      aria-label="Type a range of ${props.facet.column}${brush ? `, now ${text}` : ""}"
      title="Type the bounds exactly"
      @click=${() => props.onTyping(true)}
    >
      ${text}
    </button>
    <span>${format(high)}</span>
  </div>`;
}

/** Two fields instead of the numbers; Enter applies, Escape leaves. */
function typed(hub: HubExports, axis: Axis, props: HistogramProps, format: Format): TemplateResult {
  const { brush } = props;
  const spell = (value: number | null | undefined) =>
    value == null ? "" : props.time ? format(value) : String(Math.round(value * 1e12) / 1e12);
  const submit = (event: Event) => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const [low, high] = (["low", "high"] as const).map((side) =>
      typedBound((form.elements.namedItem(side) as HTMLInputElement).value, props.time, side),
    );
    if (low === undefined || high === undefined || (low !== null && high !== null && low > high)) {
      props.onTypedWrong();
      return;
    }
    props.onBrush(low === null && high === null ? null : { low, high }, false);
    props.onTyping(false);
  };
  const onKey = (event: KeyboardEvent) => {
    event.stopPropagation();
    if (event.key === "Escape") props.onTyping(false);
  };
  const field = (name: "low" | "high", label: string, value: string, placeholder: string) => hub.lit.html`<input
    class="dataide-input"
    name=${name}
    aria-label="${label} ${props.facet.column}"
    autocomplete="off"
    spellcheck="false"
    .value=${value}
    placeholder=${placeholder}
  />`;
  return hub.lit.html`<form class="di-typed" @submit=${submit} @keydown=${onKey}>
    ${field("low", "Lowest", spell(brush?.low), format(ends(axis)[0]))}
    <span aria-hidden="true">–</span>
    ${field("high", "Highest", spell(brush?.high), format(ends(axis)[1]))}
    <button type="submit" class="dataide-button">Set</button>
  </form>`;
}

function xOf(event: PointerEvent, box: HTMLElement, axis: Axis): number {
  const place = box.getBoundingClientRect();
  return ((event.clientX - place.left) / Math.max(1, place.width)) * axis.width;
}

const CURSOR: Record<Grip, string> = { low: "ew-resize", high: "ew-resize", move: "grab", new: "crosshair" };

function showGrip(event: PointerEvent, axis: Axis, brush: Range | null): void {
  if (event.buttons !== 0) return;
  const box = event.currentTarget as HTMLElement;
  box.style.cursor = CURSOR[gripAt(axis, brush, xOf(event, box, axis))];
}

function beginDrag(event: PointerEvent, axis: Axis, props: HistogramProps): void {
  if (event.button !== 0) return;
  const box = event.currentTarget as HTMLElement;
  const start = props.brush;
  const from = xOf(event, box, axis);
  const grip = gripAt(axis, start, from);
  const over = new AbortController();
  let moved = false;
  let last: Range | null = start;
  box.setPointerCapture(event.pointerId);
  box.style.cursor = grip === "move" ? "grabbing" : CURSOR[grip];
  const move = (next: PointerEvent) => {
    const to = xOf(next, box, axis);
    if (!moved && Math.abs(to - from) < CLICK_PX) return;
    moved = true;
    last = drag(axis, grip, start, from, to);
    props.onBrush(last, true);
  };
  const end = () => {
    over.abort();
    box.style.cursor = "";
    if (moved) props.onBrush(last, false);
    else if (start && grip === "new") props.onBrush(null, false);
  };
  const cancel = () => {
    over.abort();
    box.style.cursor = "";
    if (moved) props.onBrush(start, false);
  };
  box.addEventListener("pointermove", move, { signal: over.signal });
  box.addEventListener("pointerup", end, { signal: over.signal });
  box.addEventListener("pointercancel", cancel, { signal: over.signal });
}
