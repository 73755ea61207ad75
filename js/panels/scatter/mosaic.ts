/** Counts in cells as a picture: how points look that are too many to be drawn one by one. */
import type { Density } from "./engine.js";
import type { Palette } from "./palette.js";

/** A cell with a single point can be seen; the fullest one is not a flat patch of paint. */
const FAINTEST = 0.14;
const STRONGEST = 0.96;

const strength = (level: number) => (level === 0 ? 0 : FAINTEST + (STRONGEST - FAINTEST) * (level / 255) ** 1.3);

function over(under: number, color: number, share: number): number {
  const alpha = Math.round(256 * share);
  const rest = 256 - alpha;
  const rb = (((Math.imul(under & 0xff00ff, rest) + Math.imul(color & 0xff00ff, alpha)) | 0) + 0x800080) >>> 8;
  const g = Math.imul((under >>> 8) & 0xff, rest) + Math.imul((color >>> 8) & 0xff, alpha) + 128;
  return (0xff000000 | (rb & 0xff00ff) | (g & 0xff00)) >>> 0;
}

export function anySelected({ selected }: Density): boolean {
  return selected.some((level) => level > 0);
}

/**
 * Opaque colours, 0xAABBGGRR, one a cell: what the filter takes away lies lowest, in grey, then the rest, which fades where
 * points are selected anywhere, then those.
 */
export function paintCells(density: Density, palette: Palette, selecting: boolean): Uint32Array<ArrayBuffer> {
  const { table, background } = palette;
  const cells = new Uint32Array(density.width * density.height).fill(background);
  const row = selecting ? 256 : 512;
  for (let i = 0; i < cells.length; i++) {
    const gone = density.gone[i] ?? 0;
    const visible = density.visible[i] ?? 0;
    const selected = density.selected[i] ?? 0;
    if (gone + visible + selected === 0) continue;
    const hue = density.colors[i] ?? 0;
    let color = background;
    if (gone > 0) color = over(color, table[hue] as number, 0.6 * strength(gone));
    if (visible > 0) color = over(color, table[row + hue] as number, (selecting ? 0.6 : 1) * strength(visible));
    if (selected > 0) color = over(color, table[512 + hue] as number, Math.min(1, 0.3 + strength(selected)));
    cells[i] = color;
  }
  return cells;
}
