/** Where tiles lie, and how a scroll bar of limited height reaches a million of them. */

export const GAP_PX = 6;
export const PADDING_PX = 8;
export const LEAST_TILE_PX = 48;
export const MOST_TILE_PX = 256;
const CAPTION_PX = 18;
const CAPTION_FROM_PX = 64;
export const HEADING_PX = 28;

// Firefox ends an element at about 17.9 million px, Chromium at 33.5 million; both draw wrongly a little before.
export const MOST_HEIGHT_PX = 12_000_000;

export interface Geometry {
  columns: number;
  tileWidth: number;
  tileHeight: number;
  rowHeight: number;
  caption: boolean;
  total: number;
  viewHeight: number;
  /** Height of a heading; 0 when the tiles stand under none. */
  headingHeight: number;
  /** Position of the first tile of each section, and behind the last one the total. Each section begins on a row of its own. */
  starts: Float64Array;
  /** Where each section begins in the full height, its heading included, and where the last one ends. */
  tops: Float64Array;
  /** The height all rows would need. */
  fullHeight: number;
  /** The height the scrolled element gets. */
  scrollHeight: number;
}

export interface Span {
  from: number;
  to: number; // included; less than `from` when empty
}

/**
 * Lays tiles of about a width out in rows.
 * `groups` are the positions where groups start, the first of them 0; null for one run of tiles without headings.
 */
export function geometry(
  width: number,
  viewHeight: number,
  tilePx: number,
  total: number,
  groups: readonly number[] | null = null,
): Geometry {
  const inner = Math.max(width - 2 * PADDING_PX, LEAST_TILE_PX);
  const columns = Math.max(Math.floor((inner + GAP_PX) / (tilePx + GAP_PX)), 1);
  // Tiles share what is left of the row, so that both edges are straight.
  const tileWidth = Math.floor((inner + GAP_PX) / columns) - GAP_PX;
  const caption = tileWidth >= CAPTION_FROM_PX;
  const tileHeight = tileWidth + (caption ? CAPTION_PX : 0);
  const rowHeight = tileHeight + GAP_PX;
  const headed = groups !== null && groups.length > 0 && total > 0;
  const headingHeight = headed ? HEADING_PX : 0;
  const starts = Float64Array.from(headed ? [...groups.filter((start) => start < total), total] : [0, total]);
  const tops = new Float64Array(starts.length);
  tops[0] = PADDING_PX;
  for (let section = 0; section + 1 < starts.length; section++) {
    const rows = Math.ceil((at(starts, section + 1) - at(starts, section)) / columns);
    tops[section + 1] = at(tops, section) + headingHeight + rows * rowHeight;
  }
  const fullHeight = total === 0 ? viewHeight : at(tops, tops.length - 1) - GAP_PX + PADDING_PX;
  const scrollHeight = Math.min(fullHeight, MOST_HEIGHT_PX);
  const tile = { columns, tileWidth, tileHeight, rowHeight, caption };
  return { ...tile, total, viewHeight, headingHeight, starts, tops, fullHeight, scrollHeight };
}

const at = (values: Float64Array, index: number): number => values[index] ?? 0;
const sections = (g: Geometry): number => g.starts.length - 1;

/** The last index whose value is not above the wanted one, and not that of the end mark. */
function lastNotAbove(values: Float64Array, wanted: number): number {
  let [low, high] = [0, values.length - 2];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (at(values, middle) <= wanted) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** The section that a position lies in. */
export const sectionOf = (g: Geometry, position: number): number => lastNotAbove(g.starts, position);
/** The section at a place in the full height. */
export const sectionAt = (g: Geometry, top: number): number => lastNotAbove(g.tops, top);

const rowsOf = (g: Geometry, section: number): number =>
  Math.ceil((at(g.starts, section + 1) - at(g.starts, section)) / g.columns);
const firstRowTop = (g: Geometry, section: number): number => at(g.tops, section) + g.headingHeight;

export const isScaled = (g: Geometry): boolean => g.fullHeight > g.scrollHeight;
export const lastTop = (g: Geometry): number => Math.max(g.fullHeight - g.viewHeight, 0);
const lastScroll = (g: Geometry): number => Math.max(g.scrollHeight - g.viewHeight, 0);

/** From the scroll bar's place to the place in the full height. */
export function topOfScroll(g: Geometry, scrollTop: number): number {
  return isScaled(g) ? (scrollTop / lastScroll(g)) * lastTop(g) : scrollTop;
}

/** And back. */
export function scrollOfTop(g: Geometry, top: number): number {
  return isScaled(g) ? (top / lastTop(g)) * lastScroll(g) : top;
}

/** The new place in the full height after the scroll bar moved. Small steps (a wheel, a finger) move by what the hand moved, at any scale. */
export function scrolled(g: Geometry, top: number, scrollBefore: number, scrollNow: number): number {
  const step = scrollNow - scrollBefore;
  const atEnd = scrollNow <= 0 || scrollNow >= lastScroll(g) - 0.5;
  const next = isScaled(g) && !atEnd && Math.abs(step) <= g.viewHeight ? top + step : topOfScroll(g, scrollNow);
  return Math.min(Math.max(next, 0), lastTop(g));
}

/** Positions with at least a pixel in sight, and those in `extraRows` before and after. */
export function visibleSpan(g: Geometry, top: number, extraRows = 0): Span {
  if (g.total === 0) return { from: 0, to: -1 };
  const [high, low] = [top - extraRows * g.rowHeight, top + g.viewHeight + extraRows * g.rowHeight];
  return { from: firstBelow(g, high), to: lastAbove(g, low) };
}

/** The first position whose tile ends below a place in the full height; of the last row when none does. */
function firstBelow(g: Geometry, top: number): number {
  const section = sectionAt(g, top);
  const row = Math.max(Math.floor((top - firstRowTop(g, section) + GAP_PX) / g.rowHeight), 0);
  const rows = rowsOf(g, section);
  if (row >= rows && section + 1 < sections(g)) return at(g.starts, section + 1);
  return at(g.starts, section) + Math.min(row, rows - 1) * g.columns;
}

/** The last position whose tile begins above it. */
function lastAbove(g: Geometry, top: number): number {
  const section = sectionAt(g, top);
  const row = Math.floor((top - firstRowTop(g, section)) / g.rowHeight);
  if (row < 0 && section > 0) return at(g.starts, section) - 1;
  return Math.min(at(g.starts, section) + (Math.max(row, 0) + 1) * g.columns, at(g.starts, section + 1)) - 1;
}

export interface Place {
  left: number;
  top: number; // in the full height
}

export function placeOf(g: Geometry, position: number): Place {
  const section = sectionOf(g, position);
  const inside = position - at(g.starts, section);
  const row = Math.floor(inside / g.columns);
  return {
    left: PADDING_PX + (inside - row * g.columns) * (g.tileWidth + GAP_PX),
    top: firstRowTop(g, section) + row * g.rowHeight,
  };
}

/** The place to scroll to so that the position is in sight, below the heading that stays at the top; `top` itself when it is. */
export function topShowing(g: Geometry, top: number, position: number): number {
  const place = placeOf(g, position).top;
  const above = place - PADDING_PX - g.headingHeight;
  if (above < top) return Math.max(above, 0);
  const bottom = place + g.tileHeight + PADDING_PX - g.viewHeight;
  return bottom > top ? Math.min(bottom, lastTop(g)) : top;
}

export interface Heading {
  section: number;
  top: number; // in the full height
  from: number; // the first position under it
  count: number;
}

export function headingOf(g: Geometry, section: number): Heading {
  const from = at(g.starts, section);
  return { section, top: at(g.tops, section), from, count: at(g.starts, section + 1) - from };
}

/** The headings in sight where they lie, and the one that stays at the top, pushed up by the one that follows it. */
export function headingsAt(
  g: Geometry,
  top: number,
): { lying: Heading[]; staying: (Heading & { push: number }) | null } {
  if (g.headingHeight === 0) return { lying: [], staying: null };
  const first = sectionAt(g, top);
  const lying: Heading[] = [];
  for (let section = first; section < sections(g) && at(g.tops, section) < top + g.viewHeight; section++) {
    lying.push(headingOf(g, section));
  }
  if (at(g.tops, first) >= top) return { lying, staying: null };
  const next = first + 1 < sections(g) ? at(g.tops, first + 1) - top - g.headingHeight : 0;
  return { lying, staying: { ...headingOf(g, first), push: Math.min(next, 0) } };
}

export interface Box {
  x0: number;
  y0: number;
  x1: number;
  y1: number;
}

/** The runs of positions that a box (in the full height) touches: one a row, and rows that join are one. */
export function spansInBox(g: Geometry, box: Box): Span[] {
  const [left, right] = [Math.min(box.x0, box.x1), Math.max(box.x0, box.x1)];
  const [top, bottom] = [Math.min(box.y0, box.y1), Math.max(box.y0, box.y1)];
  const pitch = g.tileWidth + GAP_PX;
  const firstColumn = Math.max(Math.ceil((left - PADDING_PX - g.tileWidth) / pitch), 0);
  const lastColumn = Math.min(Math.floor((right - PADDING_PX) / pitch), g.columns - 1);
  if (firstColumn > lastColumn || g.total === 0) return [];
  const whole = firstColumn === 0 && lastColumn === g.columns - 1;
  const spans: Span[] = [];
  const add = (from: number, to: number): void => {
    const before = spans.at(-1);
    if (from > to) return;
    if (before !== undefined && before.to === from - 1) before.to = to;
    else spans.push({ from, to });
  };
  for (let section = sectionAt(g, top); section < sections(g) && at(g.tops, section) <= bottom; section++) {
    const [start, end] = [at(g.starts, section), at(g.starts, section + 1) - 1];
    const base = firstRowTop(g, section);
    const firstRow = Math.max(Math.ceil((top - base - g.tileHeight) / g.rowHeight), 0);
    const lastRow = Math.min(Math.floor((bottom - base) / g.rowHeight), rowsOf(g, section) - 1);
    if (firstRow > lastRow) continue;
    if (whole) add(start + firstRow * g.columns, Math.min(start + (lastRow + 1) * g.columns - 1, end));
    else
      for (let row = firstRow; row <= lastRow; row++) {
        const rowStart = start + row * g.columns;
        add(rowStart + firstColumn, Math.min(rowStart + lastColumn, end));
      }
  }
  return spans;
}

/** Where a key moves the focus. Up and down keep the column, across headings too. */
export function moved(g: Geometry, position: number, key: string): number | null {
  if (g.total === 0) return null;
  const rows = Math.max(Math.floor(g.viewHeight / g.rowHeight), 1);
  const steps: Record<string, () => number> = {
    ArrowLeft: () => position - 1,
    ArrowRight: () => position + 1,
    ArrowUp: () => rowAway(g, position, -1),
    ArrowDown: () => rowAway(g, position, 1),
    PageUp: () => screenAway(g, position, -rows),
    PageDown: () => screenAway(g, position, rows),
    Home: () => 0,
    End: () => g.total - 1,
  };
  const next = steps[key]?.();
  return next === undefined ? null : Math.min(Math.max(next, 0), g.total - 1);
}

function rowAway(g: Geometry, position: number, by: 1 | -1): number {
  const section = sectionOf(g, position);
  const inside = position - at(g.starts, section);
  const column = inside % g.columns;
  const row = Math.floor(inside / g.columns) + by;
  if (row >= 0 && row < rowsOf(g, section)) return inRow(g, section, row, column);
  const beside = section + by;
  if (beside < 0 || beside >= sections(g)) return position;
  return inRow(g, beside, by > 0 ? 0 : rowsOf(g, beside) - 1, column);
}

function screenAway(g: Geometry, position: number, rows: number): number {
  const top = placeOf(g, position).top + rows * g.rowHeight;
  if (top < firstRowTop(g, 0)) return 0;
  if (top >= at(g.tops, sections(g))) return g.total - 1;
  const section = sectionAt(g, top);
  const row = Math.max(Math.floor((top - firstRowTop(g, section)) / g.rowHeight), 0);
  const column = (position - at(g.starts, sectionOf(g, position))) % g.columns;
  return inRow(g, section, Math.min(row, rowsOf(g, section) - 1), column);
}

/** The tile in this row and column; the last one of a row that is shorter. */
function inRow(g: Geometry, section: number, row: number, column: number): number {
  return Math.min(at(g.starts, section) + row * g.columns + column, at(g.starts, section + 1) - 1);
}
