/** Colours of categories and numbers that stay apart for colour-blind eyes, on white and on black. */

// Okabe and Ito's set (https://jfly.uni-koeln.de/color/) without black and with its yellow darkened for white paper, and four more
// from Paul Tol's "muted" (https://personal.sron.nl/~pault/) that stay apart from it under deuteranopia and protanopia.
const FEW = [
  "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9",
  "#d55e00", "#8f6bd1", "#a89f00", "#aa4466", "#44b7a8",
]; // biome-ignore format: five a line

// Viridis (Smith and van der Walt, 2015), without its darkest end, which vanishes on a dark page.
const NUMBERS = ["#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"];

export const NO_VALUE = "#9aa0a6";

const GOLDEN_ANGLE_DEG = 137.508;

/** Hex colour of category `index` out of `total`; indices outside 0…254 mean "no value". */
export function categoryColor(index: number, total: number): string {
  if (index < 0 || index >= 255) return NO_VALUE;
  const few = FEW[index];
  if (total <= FEW.length && few !== undefined) return few;
  // More classes than anyone can tell apart by colour: neighbours at least differ in hue and in lightness.
  const lightness = [0.5, 0.62, 0.42][index % 3] ?? 0.5;
  return hex(hsl((index * GOLDEN_ANGLE_DEG + 205) % 360, 0.62, lightness));
}

/** Hex colour of `t` in [0, 1]. */
export function numberColor(t: number): string {
  if (!Number.isFinite(t)) return NO_VALUE;
  const place = Math.min(Math.max(t, 0), 1) * (NUMBERS.length - 1);
  const low = Math.min(Math.floor(place), NUMBERS.length - 2);
  const from = rgb(NUMBERS[low] ?? NO_VALUE);
  const to = rgb(NUMBERS[low + 1] ?? NO_VALUE);
  return hex(from.map((value, i) => value + ((to[i] ?? 0) - value) * (place - low)));
}

const rgb = (color: string): number[] => [1, 3, 5].map((start) => Number.parseInt(color.slice(start, start + 2), 16));
const hex = (values: readonly number[]): string =>
  `#${values.map((value) => Math.round(value).toString(16).padStart(2, "0")).join("")}`;

function hsl(hue: number, saturation: number, lightness: number): number[] {
  const spread = saturation * Math.min(lightness, 1 - lightness);
  return [0, 8, 4].map((n) => {
    const k = (n + hue / 30) % 12;
    return 255 * (lightness - spread * Math.max(-1, Math.min(k - 3, 9 - k, 1)));
  });
}
