/** What the panel says in words and numbers, and where a mark leads: no elements here. */
import type { AutotagState, AutotagSteps, Shown, Sign } from "../../core/protocol_autotag.js";

export interface Tile {
  /** Of the sample, or of the object. */
  no: number;
  /** The sample that it is, or that the object is on. */
  sample: number;
  on: string | null; // of an object: the id of its sample
  box: readonly number[] | null; // of an object: where it lies in its picture, in shares
  id: string;
  label: string | null;
  tagged: boolean;
  score: number | null;
  why: string | null;
  mark: Sign;
  problem: string | null;
}

/** What is learned: tags of samples, or labels of objects. */
export type Of = "samples" | "objects";
export const ONE = { samples: "sample", objects: "object" };

/** 1 object, 10,000 objects; `said` is the number as people read it. */
export const things = (of: Of, many: number, said: string): string => `${said} ${many === 1 ? ONE[of] : of}`;

export const SHOWN: readonly (readonly [Shown, string, string])[] = [
  ["ask", "Ask", "What teaches most: the doubtful ones mixed with the best"],
  ["best", "Best first", "The likeliest first"],
  ["near", "Around the threshold", "The ones nearest to the threshold"],
];

/** Why one is asked about. */
export const WHY: Record<string, string> = {
  best: "one of the likeliest",
  near: "near the threshold, and unlike the others here",
  spread: "drawn from further away, so that the estimate rests on more than one place",
};

/** The step of a threshold: thresholds lie at 0, 1 / n … 1. */
export function stepOf(steps: AutotagSteps, threshold: number): number {
  const last = steps.taken.length - 1;
  return Math.min(Math.max(Math.round(threshold * last), 0), last);
}

/** How many a commit would tag: what scores enough and every positive mark, but no negative one. */
export function toTag(steps: AutotagSteps, threshold: number): number {
  const at = stepOf(steps, threshold);
  const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0);
  return (steps.taken[at] ?? 0) - sum(steps.no.slice(at)) + sum(steps.yes.slice(0, at));
}

const percent = (share: number): string => `${Math.round(share * 100)} %`;

/** Precision and recall with their ranges; null with too few marks. */
export function estimate(
  steps: AutotagSteps,
  threshold: number,
): { precise: string; preciseRange: string; finds: string; findsRange: string } | null {
  const at = stepOf(steps, threshold);
  const { precision, precisionLow, precisionHigh, recall, recallLow, recallHigh } = steps;
  const value = (of: number[] | null): number => of?.[at] ?? 0;
  if (precision === null || recall === null) return null;
  const range = (low: number[] | null, high: number[] | null): string =>
    `${Math.round(value(low) * 100)}–${percent(value(high))}`;
  return {
    precise: percent(value(precision)),
    preciseRange: range(precisionLow, precisionHigh),
    finds: percent(value(recall)),
    findsRange: range(recallLow, recallHigh),
  };
}

/** What is still missing for an estimate. */
export function missing({ positives, negatives }: AutotagState): string {
  const [more, yes, no] = [30 - positives - negatives, 8 - positives, 8 - negatives].map((n) => Math.max(n, 0));
  const kinds = [yes ? `${yes} + ` : "", no ? `${no} − ` : ""].filter(Boolean).join("and ").trim();
  const all = Math.max(more ?? 0, (yes ?? 0) + (no ?? 0));
  if (all === 0) return "An estimate comes with the next round.";
  return `${all} more ${all === 1 ? "mark" : "marks"}${kinds ? ` (at least ${kinds})` : ""} until precision can be estimated.`;
}

/** The tile to go on with after those at `marked`: the next without a mark, first behind them, then before; -1 for none. */
export function nextUnmarked(tiles: readonly Tile[], marked: readonly number[]): number {
  const last = Math.max(-1, ...marked);
  const free = (i: number): boolean => tiles[i]?.mark === "none";
  for (let i = last + 1; i < tiles.length; i++) if (free(i)) return i;
  for (let i = 0; i <= last; i++) if (free(i)) return i;
  return -1;
}

/** Heights of bars, 0 to 1: by the logarithm, as a rare tag's bars would not be seen beside those of all others. */
export function heights(bins: readonly number[]): number[] {
  const most = Math.log1p(Math.max(1, ...bins));
  return bins.map((count) => Math.log1p(count) / most);
}
