/** Where entries stand: all of one height, with room for the neighbours beneath one of them. */

export const SINGLE_PX = 92;
export const GROUP_PX = 176;
export const STRIP_PX = 136;

export interface Layout {
  count: number;
  rowPx: number;
  /** The entry that has its neighbours beneath it; −1 for none. */
  open: number;
}

export interface Span {
  from: number;
  to: number; // included
}

const strip = ({ open, count }: Layout): number => (open >= 0 && open < count ? STRIP_PX : 0);

export const heightOf = (layout: Layout): number => layout.count * layout.rowPx + strip(layout);

export const topOf = (layout: Layout, index: number): number =>
  index * layout.rowPx + (index > layout.open ? strip(layout) : 0);

/** Which entries a window shows, with some more on either side. */
export function spanOf(layout: Layout, top: number, height: number, extra = 0): Span {
  const at = (y: number): number => {
    const after = topOf(layout, layout.open + 1);
    const inside = strip(layout) > 0 && y >= after ? y - STRIP_PX : y;
    const index = Math.floor(inside / layout.rowPx);
    return strip(layout) > 0 && y < after ? Math.min(index, layout.open) : index;
  };
  return {
    from: Math.max(at(top) - extra, 0),
    to: Math.min(at(top + Math.max(height, 1) - 1) + extra, layout.count - 1),
  };
}

/** The least scrolling after which an entry, with what is beneath it, is in sight. */
export function topShowing(layout: Layout, top: number, height: number, index: number): number {
  const first = topOf(layout, index);
  const last = first + layout.rowPx + (index === layout.open ? strip(layout) : 0);
  if (first < top || last - first > height) return first;
  return last > top + height ? last - height : top;
}
