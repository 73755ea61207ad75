/** The arithmetic of one mini histogram: values to pixels and back, bars as one path, and what a drag makes of a brush. */

/** Both ends in data units; `null` means "no bound on this side". A brush with two nulls is no brush. */
export interface Range {
  low: number | null;
  high: number | null;
}

export interface Axis {
  low: number;
  high: number;
  width: number; // px
  /** Whole numbers only: a brush then ends on whole numbers as well. */
  whole: boolean;
  /** 0.5 where each whole number has a bin of its own and stands in its middle: a brush then covers whole bins. */
  pad: number;
  /** What a bound is rounded to, where the values are times; 0 where they are numbers. */
  unitMs: number;
}

export type Grip = "low" | "high" | "move" | "new";

const GRIP_PX = 6;

/** The values of a histogram whose column has one single value still need an axis with a width. */
export function axisOf(edges: readonly number[], width: number, type: string, time = false): Axis {
  const low = edges[0] ?? 0;
  const last = edges[edges.length - 1] ?? low;
  const high = last > low ? last : low + 1;
  const whole = isWhole(type);
  const pad = whole && !Number.isInteger(low) ? 0.5 : 0;
  return { low, high, width: Math.max(1, width), whole, pad, unitMs: time ? unitOf(high - low) : 0 };
}

const SECOND_MS = 1000;
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

/** As fine as the times of this span are shown, so that a brush holds what its numbers say. */
function unitOf(span: number): number {
  if (span > 2 * DAY_MS) return DAY_MS;
  return span > 10 * MINUTE_MS ? MINUTE_MS : SECOND_MS;
}

export function isWhole(type: string): boolean {
  return /^(U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|U?INT\d*)$/i.test(type.trim());
}

export function toPixel(axis: Axis, value: number): number {
  const t = (value - axis.low) / (axis.high - axis.low);
  return Math.min(1, Math.max(0, t)) * axis.width;
}

/** Where the brush ends in px: at the outer edge of a bin that belongs to one whole number. */
export function span(axis: Axis, brush: Range | null): [number, number] {
  return [
    brush?.low == null ? 0 : toPixel(axis, brush.low - axis.pad),
    brush?.high == null ? axis.width : toPixel(axis, brush.high + axis.pad),
  ];
}

function valueAt(axis: Axis, x: number): number {
  return axis.low + Math.min(1, Math.max(0, x / axis.width)) * (axis.high - axis.low);
}

/** The lowest and the highest value of the axis that a person would name. */
export function ends(axis: Axis): [number, number] {
  return [axis.low + axis.pad, axis.high - axis.pad];
}

/** Rounds to the decimals that one pixel can tell apart, so that a filter reads "brightness >= 0.42" and not 0.4193548. */
export function tidy(axis: Axis, value: number, side: "low" | "high" = "low"): number {
  if (axis.unitMs > 0) {
    // "to 2024-05-31" holds the whole of that day.
    return Math.round((value + (side === "high" ? 1 : 0)) / axis.unitMs) * axis.unitMs - (side === "high" ? 1 : 0);
  }
  if (axis.whole) return Math.round(value);
  const perPixel = (axis.high - axis.low) / axis.width;
  const decimals = Math.min(12, Math.max(0, Math.ceil(-Math.log10(perPixel))));
  const rounded = Number(value.toFixed(decimals));
  return Object.is(rounded, -0) ? 0 : rounded;
}

/** Heights in px. A bin that is not empty is never drawn flatter than `least`, because "a few" and "none" are different answers. */
export function heights(counts: readonly number[], peak: number, height: number, least = 1.5): number[] {
  return counts.map((count) => (count <= 0 || peak <= 0 ? 0 : Math.max(least, (count / peak) * height)));
}

/**
 * All bars of one colour as one SVG path: thirty columns of thirty bars stay thirty elements and not nine hundred. `narrow` draws
 * them at half their width, so that what lies behind stays in sight even where it is the smaller one.
 */
export function barsPath(
  axis: Axis,
  edges: readonly number[],
  tall: readonly number[],
  height: number,
  narrow = false,
): string {
  let path = "";
  for (let i = 0; i < tall.length; i++) {
    const bar = tall[i] ?? 0;
    if (bar <= 0) continue;
    const left = i === 0 ? 0 : toPixel(axis, edges[i] ?? axis.low);
    const right = i === tall.length - 1 ? axis.width : toPixel(axis, edges[i + 1] ?? axis.high);
    const gap = right - left > 3 ? 1 : 0;
    const inset = narrow && right - left > 4 ? (right - gap - left) / 4 : 0;
    const end = Math.max(left + 0.5, right - gap - inset);
    path += `M${px(left + inset)} ${px(height)}V${px(height - bar)}H${px(end)}V${px(height)}Z`;
  }
  return path;
}

function px(value: number): string {
  return String(Math.round(value * 100) / 100);
}

/** What the pointer takes hold of at `x`. */
export function gripAt(axis: Axis, brush: Range | null, x: number): Grip {
  if (!brush) return "new";
  const [left, right] = span(axis, brush);
  const toLow = Math.abs(x - left);
  const toHigh = Math.abs(x - right);
  if (Math.min(toLow, toHigh) <= GRIP_PX) return toLow <= toHigh && !(toLow === toHigh && x > left) ? "low" : "high";
  return x > left && x < right ? "move" : "new";
}

/** The brush after the pointer went from `from` to `to` holding `grip`; `start` is the brush at the beginning of the drag. */
export function drag(axis: Axis, grip: Grip, start: Range | null, from: number, to: number): Range | null {
  const [left, right] = span(axis, start);
  if (grip === "new" || !start) return between(axis, from, to);
  if (grip === "low") return between(axis, to, right, undefined, start.high);
  if (grip === "high") return between(axis, left, to, start.low, undefined);
  const shift = Math.min(axis.width - right, Math.max(-left, to - from));
  return between(axis, left + shift, right + shift);
}

/** `low` and `high`, when given, are the exact bounds of an end that did not move. An end that crosses the other one turns the brush round. */
function between(axis: Axis, a: number, b: number, low?: number | null, high?: number | null): Range | null {
  const crossed = a > b;
  const [left, right] = crossed ? [b, a] : [a, b];
  const kept = { low: crossed ? high : low, high: crossed ? low : high };
  const { pad, unitMs } = axis;
  const range: Range = {
    low: kept.low !== undefined ? kept.low : left <= 0.5 ? null : tidy(axis, valueAt(axis, left) + pad),
    high:
      kept.high !== undefined
        ? kept.high
        : right >= axis.width - 0.5
          ? null
          : tidy(axis, valueAt(axis, right) - pad, "high"),
  };
  // Less than half a bin: the one number under the pointer.
  if (pad > 0 && range.low !== null && range.high !== null && range.low > range.high) {
    range.low = range.high = tidy(axis, valueAt(axis, (left + right) / 2));
  }
  if (unitMs > 0 && range.low !== null && range.high !== null && range.low > range.high) {
    range.low = Math.floor(valueAt(axis, (left + right) / 2) / unitMs) * unitMs;
    range.high = range.low + unitMs - 1;
  }
  return open(range);
}

/** A range without bounds is no range. */
export function open(range: Range): Range | null {
  return range.low === null && range.high === null ? null : range;
}

/** One step of a handle by keyboard: a bin, or with `fine` a tenth of it. Stepping past an end of the axis lifts the bound. */
export function step(
  axis: Axis,
  bins: number,
  brush: Range | null,
  side: "low" | "high",
  by: number,
  fine: boolean,
): Range | null {
  const bin = (axis.high - axis.low) / Math.max(1, bins);
  if (axis.unitMs > 0) fine = false;
  const size = axis.whole ? Math.max(1, Math.round(fine ? bin / 10 : bin)) : fine ? bin / 10 : bin;
  const [least, most] = ends(axis);
  const now = { low: brush?.low ?? least, high: brush?.high ?? most };
  const next = tidy(axis, now[side] + by * size, side);
  const range: Range = { low: brush?.low ?? null, high: brush?.high ?? null };
  if (side === "low") range.low = next <= least ? null : Math.min(next, now.high);
  else range.high = next >= most ? null : Math.max(next, now.low);
  return open(range);
}

/** Reads what a person typed as a bound: a number, a date, or nothing for "no bound". `undefined` when it is none of these. */
export function typedBound(text: string, time: boolean, side: "low" | "high" = "low"): number | null | undefined {
  const trimmed = text.trim();
  if (trimmed === "") return null;
  if (time) {
    const day = /^\d{4}(-\d{2}){0,2}$/.test(trimmed);
    const at = Date.parse(day ? trimmed : `${trimmed.replace(" ", "T")}Z`);
    if (Number.isNaN(at)) return undefined;
    const wholeDay = /^\d{4}-\d{2}-\d{2}$/.test(trimmed);
    return side === "high" && wholeDay ? at + DAY_MS - 1 : at;
  }
  const value = Number(trimmed.replace(/_/g, "").replace("−", "-"));
  return Number.isFinite(value) ? value : undefined;
}

/** Epoch milliseconds as a date, as fine as the axis needs it. UTC: the session's timestamps carry no zone. */
export function formatTime(ms: number, span: number): string {
  const iso = new Date(ms).toISOString();
  if (span > 2 * DAY_MS) return iso.slice(0, 10);
  return `${iso.slice(0, 10)} ${iso.slice(11, span > 10 * MINUTE_MS ? 16 : 19)}`;
}
