/** The names of classes on the map: where each stands. */
import type { Legend } from "../../core/protocol.js";
import { LAST_STEP } from "./camera.js";
import { type Cloud, VISIBLE } from "./cloud.js";
import { nameOf } from "./legend.js";
import { NO_VALUE } from "./palette.js";

const MOST_NAMED = 20;
/** From so many points on the medians no longer move visibly. */
export const SAMPLE = 30_000;
const LONGEST = 28;

/** In data coordinates. */
export interface ClassName {
  text: string;
  color: number;
  count: number;
  x: number;
  y: number;
  /** Between these lie nine tenths of the class; y of the data, upwards. */
  low: number;
  high: number;
}

/** More names than this would cover the points they name. */
export function nameable(legend: Legend): legend is Extract<Legend, { kind: "category" }> {
  return legend.kind === "category" && legend.entries.length <= MOST_NAMED && legend.more === 0;
}

/** The median place of each class, moved to the nearest point of the class: half-moons keep their name on themselves. */
export function classNames(points: Cloud, legend: Legend): ClassName[] {
  if (!nameable(legend)) return [];
  const { xy, colors, flags, bounds } = points;
  const members = new Map<number, number[]>();
  const n = Math.min(points.loaded, SAMPLE);
  for (let i = 0; i < n; i++) {
    if (((flags[i] as number) & VISIBLE) === 0) continue;
    const color = colors[i] as number;
    const list = members.get(color);
    if (list) list.push(i);
    else members.set(color, [i]);
  }
  const upwards = (step: number) => bounds[1] + (step / LAST_STEP) * (bounds[3] - bounds[1]);
  const names: ClassName[] = [];
  for (const entry of legend.entries) {
    const list = members.get(entry.color);
    if (!list || entry.color === NO_VALUE || entry.value === null) continue;
    const x = quantiles(list, xy, 0, [0.5])[0] as number;
    const [low, y, high] = quantiles(list, xy, 1, [0.05, 0.5, 0.95]) as [number, number, number];
    let best = Infinity;
    let at = list[0] as number;
    for (const i of list) {
      const d = ((xy[2 * i] as number) - x) ** 2 + ((xy[2 * i + 1] as number) - y) ** 2;
      if (d < best) {
        best = d;
        at = i;
      }
    }
    const name = nameOf(entry.value);
    const text = name.length > LONGEST ? `${name.slice(0, LONGEST - 1)}…` : name;
    const { color, count } = entry;
    names.push({ text, color, count, ...points.place(at), low: upwards(low), high: upwards(high) });
  }
  return names.sort((a, b) => b.count - a.count);
}

function quantiles(list: readonly number[], xy: Uint16Array, axis: 0 | 1, shares: readonly number[]): number[] {
  const values = Uint16Array.from(list, (i) => xy[2 * i + axis] as number).sort();
  return shares.map((share) => values[Math.min(values.length - 1, Math.floor(share * values.length))] as number);
}
