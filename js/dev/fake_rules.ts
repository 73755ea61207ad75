/** What a decision changes and what a shape holds, in the made-up session: small functions without a state of their own. */
import type { Ask, FilterClause, Mode, Verb } from "../core/protocol.js";
import type { FakeSample } from "./fake_data.js";

export const quote = (name: string | null | undefined): string => (name == null ? "nothing" : `“${name}”`);

export function among(nos: readonly number[]): (sample: FakeSample) => boolean {
  const set = new Set(nos);
  return (sample) => set.has(sample.no);
}

/** A function that makes the change when called, and takes it back when called again; null when there is nothing to change. */
export function swapOf(sample: FakeSample, verb: Verb, args: Ask<"act">["arguments"]): (() => void) | null {
  if (verb === "tag" || verb === "untag") {
    const tag = args.tag ?? "";
    if (sample.tags.has(tag) === (verb === "tag")) return null;
    return () => void (sample.tags.delete(tag) || sample.tags.add(tag));
  }
  if (verb === "relabel") {
    let other = args.label ?? null;
    if (sample.label === other) return null;
    return () => {
      [sample.label, other] = [other, sample.label];
    };
  }
  if (verb === "enqueue") {
    const queue = args.queue ?? "";
    if (sample.queues.has(queue)) return null;
    return () => void (sample.queues.delete(queue) || sample.queues.set(queue, args.reason ?? ""));
  }
  if (sample.excluded === (verb === "exclude")) return null;
  return () => {
    sample.excluded = !sample.excluded;
  };
}

export function combined(before: boolean, hit: boolean, mode: Mode): boolean {
  return { replace: hit, add: before || hit, subtract: before && !hit, intersect: before && hit }[mode];
}

export function inside(points: readonly number[], x: number, y: number): boolean {
  let odd = false;
  for (let i = 0, j = points.length - 2; i < points.length; j = i, i += 2) {
    const [x0 = 0, y0 = 0, x1 = 0, y1 = 0] = [points[i], points[i + 1], points[j], points[j + 1]];
    if (y0 > y !== y1 > y && x < ((x1 - x0) * (y - y0)) / (y1 - y0) + x0) odd = !odd;
  }
  return odd;
}

export function sentenceOf(clause: FilterClause): string {
  if (clause.type === "sql") return clause.text;
  if (clause.type === "range") return `${clause.column} from ${clause.low ?? "lowest"} to ${clause.high ?? "highest"}`;
  return `${clause.column} is ${clause.type === "in" ? "" : "not "}${clause.values.join(" or ")}`;
}
