/** Where tiles lie, and how a scroll bar of limited height reaches a million of them. */

export const GAP_PX = 6;
export const PADDING_PX = 8;
export const LEAST_TILE_PX = 48;
export const MOST_TILE_PX = 256;
const CAPTION_PX = 18;
const CAPTION_FROM_PX = 64;

// Firefox ends an element at about 17.9 million px, Chromium at 33.5 million; both draw wrongly a little before.
export const MOST_HEIGHT_PX = 12_000_000;

export interface Geometry {
  columns: number;
  rows: number;
  tileWidth: number;
  tileHeight: number;
  rowHeight: number;
  caption: boolean;
  total: number;
  viewHeight: number;
  /** The height all rows would need. */
  fullHeight: number;
  /** The height the scrolled element gets. */
  scrollHeight: number;
}

export interface Span {
  from: number;
  to: number; // included; less than `from` when empty
}

export function geometry(width: number, viewHeight: number, tilePx: number, total: number): Geometry {
  const inner = Math.max(width - 2 * PADDING_PX, LEAST_TILE_PX);
  const columns = Math.max(Math.floor((inner + GAP_PX) / (tilePx + GAP_PX)), 1);
  // Tiles share what is left of the row, so that both edges are straight.
  const tileWidth = Math.floor((inner + GAP_PX) / columns) - GAP_PX;
  const caption = tileWidth >= CAPTION_FROM_PX;
  const tileHeight = tileWidth + (caption ? CAPTION_PX : 0);
  const rowHeight = tileHeight + GAP_PX;
  const rows = Math.ceil(total / columns);
  const fullHeight = rows === 0 ? viewHeight : rows * rowHeight - GAP_PX + 2 * PADDING_PX;
  const scrollHeight = Math.min(fullHeight, MOST_HEIGHT_PX);
  return { columns, rows, tileWidth, tileHeight, rowHeight, caption, total, viewHeight, fullHeight, scrollHeight };
}

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

/** Positions with at least a pixel in sight, and `extraRows` before and after. */
export function visibleSpan(g: Geometry, top: number, extraRows = 0): Span {
  if (g.total === 0) return { from: 0, to: -1 };
  const first = Math.floor((top - PADDING_PX + GAP_PX) / g.rowHeight) - extraRows;
  const last = Math.floor((top + g.viewHeight - PADDING_PX) / g.rowHeight) + extraRows;
  const from = Math.min(Math.max(first, 0), g.rows - 1) * g.columns;
  const to = (Math.min(Math.max(last, 0), g.rows - 1) + 1) * g.columns - 1;
  return { from, to: Math.min(to, g.total - 1) };
}

export interface Place {
  left: number;
  top: number; // in the full height
}

export function placeOf(g: Geometry, position: number): Place {
  const row = Math.floor(position / g.columns);
  return {
    left: PADDING_PX + (position - row * g.columns) * (g.tileWidth + GAP_PX),
    top: PADDING_PX + row * g.rowHeight,
  };
}

/** The place to scroll to so that the position is in sight; `top` itself when it is. */
export function topShowing(g: Geometry, top: number, position: number): number {
  const place = placeOf(g, position).top;
  if (place - PADDING_PX < top) return Math.max(place - PADDING_PX, 0);
  const bottom = place + g.tileHeight + PADDING_PX - g.viewHeight;
  return bottom > top ? Math.min(bottom, lastTop(g)) : top;
}

export interface Box {
  x0: number;
  y0: number;
  x1: number;
  y1: number;
}

/** The runs of positions that a box (in the full height) touches, one run a row; one run in all when it spans every column. */
export function spansInBox(g: Geometry, box: Box): Span[] {
  const [left, right] = [Math.min(box.x0, box.x1), Math.max(box.x0, box.x1)];
  const [top, bottom] = [Math.min(box.y0, box.y1), Math.max(box.y0, box.y1)];
  const pitch = g.tileWidth + GAP_PX;
  const firstColumn = Math.max(Math.ceil((left - PADDING_PX - g.tileWidth) / pitch), 0);
  const lastColumn = Math.min(Math.floor((right - PADDING_PX) / pitch), g.columns - 1);
  const firstRow = Math.max(Math.ceil((top - PADDING_PX - g.tileHeight) / g.rowHeight), 0);
  const lastRow = Math.min(Math.floor((bottom - PADDING_PX) / g.rowHeight), g.rows - 1);
  if (firstColumn > lastColumn || firstRow > lastRow) return [];
  if (firstColumn === 0 && lastColumn === g.columns - 1) {
    const to = Math.min((lastRow + 1) * g.columns - 1, g.total - 1);
    return [{ from: firstRow * g.columns, to }];
  }
  const spans: Span[] = [];
  for (let row = firstRow; row <= lastRow; row++) {
    const from = row * g.columns + firstColumn;
    const to = Math.min(row * g.columns + lastColumn, g.total - 1);
    if (from <= to) spans.push({ from, to });
  }
  return spans;
}

/** Where a key moves the focus. */
export function moved(g: Geometry, position: number, key: string): number | null {
  const page = Math.max(Math.floor(g.viewHeight / g.rowHeight), 1) * g.columns;
  const steps: Record<string, number> = {
    ArrowLeft: position - 1,
    ArrowRight: position + 1,
    ArrowUp: position < g.columns ? position : position - g.columns,
    ArrowDown: position + g.columns < g.total ? position + g.columns : position,
    PageUp: position - page,
    PageDown: position + page,
    Home: 0,
    End: g.total - 1,
  };
  const next = steps[key];
  return next === undefined || g.total === 0 ? null : Math.min(Math.max(next, 0), g.total - 1);
}
