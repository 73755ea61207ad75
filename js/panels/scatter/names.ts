/** The names of classes on the map: where each stands, and which fit beside each other. */
import type { Legend } from "../../core/protocol.js";
import type { Affine, Size } from "./camera.js";
import { nameOf } from "./legend.js";
import { NO_VALUE } from "./palette.js";
import { type Points, VISIBLE } from "./points.js";

const MOST_NAMED = 20;
const SAMPLE = 30_000;
const LONGEST = 28;

export interface ClassName {
  text: string;
  color: number;
  count: number;
  stepX: number;
  stepY: number;
  /** Between these lie nine tenths of the class; y of the data, upwards. */
  stepLow: number;
  stepHigh: number;
}

/** More names than this would cover the points they name. */
export function nameable(legend: Legend): legend is Extract<Legend, { kind: "category" }> {
  return legend.kind === "category" && legend.entries.length <= MOST_NAMED && legend.more === 0;
}

/** The median place of each class, moved to the nearest point of the class: half-moons keep their name on themselves. */
export function classNames(points: Points, legend: Legend): ClassName[] {
  if (!nameable(legend)) return [];
  const members = new Map<number, number[]>();
  const n = Math.min(points.loaded, SAMPLE);
  for (let i = 0; i < n; i++) {
    if (((points.flags[i] as number) & VISIBLE) === 0) continue;
    const color = points.colors[i] as number;
    const list = members.get(color);
    if (list) list.push(i);
    else members.set(color, [i]);
  }
  const names: ClassName[] = [];
  for (const entry of legend.entries) {
    const list = members.get(entry.color);
    if (!list || entry.color === NO_VALUE || entry.value === null) continue;
    const x = quantiles(list, points.xy, 0, [0.5])[0] as number;
    const [stepLow, y, stepHigh] = quantiles(list, points.xy, 1, [0.05, 0.5, 0.95]) as [number, number, number];
    let best = Infinity;
    let at = list[0] as number;
    for (const i of list) {
      const d = ((points.xy[2 * i] as number) - x) ** 2 + ((points.xy[2 * i + 1] as number) - y) ** 2;
      if (d < best) {
        best = d;
        at = i;
      }
    }
    const name = nameOf(entry.value);
    const text = name.length > LONGEST ? `${name.slice(0, LONGEST - 1)}…` : name;
    names.push({
      text,
      color: entry.color,
      count: entry.count,
      stepX: points.xy[2 * at] as number,
      stepY: points.xy[2 * at + 1] as number,
      stepLow,
      stepHigh,
    });
  }
  return names.sort((a, b) => b.count - a.count);
}

function quantiles(list: readonly number[], xy: Uint16Array, axis: 0 | 1, shares: readonly number[]): number[] {
  const values = Uint16Array.from(list, (i) => xy[2 * i + axis] as number).sort();
  return shares.map((share) => values[Math.min(values.length - 1, Math.floor(share * values.length))] as number);
}

export interface PlacedName extends ClassName {
  x: number; // the middle of the text, on the screen
  y: number;
}

/** The larger class first; a name in the way of another moves up or down a line, or stays away. */
export function placeNames(
  names: readonly ClassName[],
  transform: Affine,
  screen: Size,
  width: (text: string) => number,
  line: number,
): PlacedName[] {
  const taken: [number, number, number, number][] = [];
  const placed: PlacedName[] = [];
  for (const name of names) {
    const x = name.stepX * transform.ax + transform.bx;
    // On a cluster that is not much higher than the text, the name would hide what it names: then it stands above.
    const low = name.stepLow * transform.ay + transform.by;
    const high = name.stepHigh * transform.ay + transform.by;
    const small = low - high < 4 * line;
    const y = small ? Math.max(line / 2, high - 0.8 * line) : name.stepY * transform.ay + transform.by;
    if (x < 0 || y < 0 || x > screen.width || y > screen.height) continue;
    const half = width(name.text) / 2 + 3;
    for (const shift of [0, -1, 1, -2, 2]) {
      const middle = y + shift * line * 0.9;
      const box: [number, number, number, number] = [x - half, middle - line / 2, x + half, middle + line / 2];
      if (taken.some((other) => box[0] < other[2] && box[2] > other[0] && box[1] < other[3] && box[3] > other[1]))
        continue;
      taken.push(box);
      placed.push({ ...name, x, y: middle });
      break;
    }
  }
  return placed;
}
