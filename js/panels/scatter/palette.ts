/** Colour bytes into colours: one row of 256 for each class of points, and how large and how opaque points are. */
import type { Dom } from "../../core/contract.js";
import type { Legend } from "../../core/protocol.js";

export type Rgb = readonly [number, number, number];

export interface Theme {
  background: Rgb;
  ink: Rgb; // of the text
}

export interface Palette {
  /** Three rows (gone, faded, full) of 256 colours as 0xAABBGGRR. */
  table: Uint32Array;
  background: number;
}

export const NO_VALUE = 255;

export function parseColor(css: string): Rgb {
  const short = /^#([0-9a-f])([0-9a-f])([0-9a-f])$/i.exec(css);
  if (short) return [1, 2, 3].map((i) => Number.parseInt(`${short[i]}${short[i]}`, 16)) as unknown as Rgb;
  const long = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})/i.exec(css);
  if (long) return [1, 2, 3].map((i) => Number.parseInt(long[i] as string, 16)) as unknown as Rgb;
  const parts = /^color\(srgb ([\d.e+-]+) ([\d.e+-]+) ([\d.e+-]+)/i.exec(css);
  if (parts) return [1, 2, 3].map((i) => 255 * Number(parts[i])) as unknown as Rgb;
  const numbers =
    /^rgba?\(([^)]*)\)/i
      .exec(css)?.[1]
      ?.match(/[\d.]+/g)
      ?.map(Number) ?? [];
  return [numbers[0] ?? 128, numbers[1] ?? 128, numbers[2] ?? 128];
}

export function mix(a: Rgb, b: Rgb, share: number): Rgb {
  return [a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share];
}

export function pack(color: Rgb): number {
  return ((255 << 24) | (Math.round(color[2]) << 16) | (Math.round(color[1]) << 8) | Math.round(color[0])) >>> 0;
}

export function luminance(color: Rgb): number {
  return (0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]) / 255;
}

/** How many classes `categoryColor` has to tell apart. */
export function classCount(legend: Extract<Legend, { kind: "category" }>): number {
  return legend.entries.filter((entry) => entry.color !== NO_VALUE).length + legend.more;
}

export function colorOf(legend: Legend, byte: number, dom: Pick<Dom, "categoryColor" | "numberColor">): string {
  if (legend.kind === "category") return dom.categoryColor(byte, classCount(legend));
  if (byte === NO_VALUE) return dom.categoryColor(NO_VALUE, 1);
  return dom.numberColor(Math.min(1, byte / 254));
}

export function makePalette(legend: Legend, dom: Pick<Dom, "categoryColor" | "numberColor">, theme: Theme): Palette {
  const table = new Uint32Array(3 * 256);
  const dark = luminance(theme.background) < 0.5;
  const grey = mix(theme.background, theme.ink, dark ? 0.38 : 0.3);
  const gone = pack(mix(theme.background, theme.ink, dark ? 0.3 : 0.26));
  const plain = parseColor(dom.categoryColor(dark ? 4 : 0, 10));
  for (let byte = 0; byte < 256; byte++) {
    const full = legend.kind === "none" ? plain : parseColor(colorOf(legend, byte, dom));
    table[byte] = gone;
    table[256 + byte] = pack(mix(full, grey, 0.78));
    table[512 + byte] = pack(full);
  }
  return { table, background: pack(theme.background) };
}

/**
 * The sums are tuned by eye between 200 and 5 million points. `density` is points per square CSS pixel where a typical one lies;
 * it shrinks while one zooms in. Few points stay well visible even where they all lie in tight clusters.
 */
export function look(density: number, count: number): { radius: number; opacity: number } {
  const crowd = Math.max(1e-6, density);
  const size = Math.log10(Math.max(1, count));
  const radius = Math.min(5, Math.max(0.7, 5.8 - size, 1.35 * crowd ** -0.28));
  const overlap = Math.max(0.05, crowd * Math.PI * radius * radius);
  return { radius, opacity: Math.min(0.92, Math.max(0.1, 1.35 - 0.2 * size, 1.15 * overlap ** -0.45)) };
}

/** One selected point among a million must be seen, a thousand of them need no help. */
export function standing(radius: number, count: number): number {
  const few = Math.max(0, 1 - Math.log10(Math.max(1, count)) / 3);
  return Math.max(radius, radius * (1 + 0.5 * few), 4 * few);
}
