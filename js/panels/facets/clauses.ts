/** What a facet asks of the filter, and what it reads back from the session's state. */
import { isBookkeeping } from "../../core/columns.js";
import type { ColumnInfo, Facet, FilterClause, SessionState } from "../../core/protocol.js";
import type { Range } from "./geometry.js";

export type Value = string | null;

export function sourceOf(column: string): string {
  return `facet:${column}`;
}

/** How the bars of one column stand in the filter. */
export type Stand =
  | { kind: "none" }
  | { kind: "in"; values: readonly Value[] }
  | { kind: "not_in"; values: readonly Value[] }
  | { kind: "range"; low: number | null; high: number | null }
  | { kind: "unknown" }; // set from Python: active, but not ours to draw

export function standOf(clause: FilterClause | null | undefined): Stand {
  if (!clause) return { kind: "none" };
  switch (clause.type) {
    case "in":
      return { kind: "in", values: clause.values };
    case "not_in":
      return { kind: "not_in", values: clause.values };
    case "range":
      return { kind: "range", low: clause.low, high: clause.high };
    default:
      return { kind: "unknown" };
  }
}

/**
 * The clause of a column as the kernel last told it. A kernel that tells only that there is a clause leaves what this panel
 * itself asked for (`own`) standing.
 */
export function clauseOf(
  state: SessionState,
  column: string,
  own: ReadonlyMap<string, FilterClause>,
): { active: boolean; clause: FilterClause | null } {
  const found = state.filter.clauses.find((clause) => clause.source === sourceOf(column));
  if (!found) return { active: false, clause: null };
  return { active: true, clause: found.clause ?? own.get(sourceOf(column)) ?? null };
}

/** A click on a bar: in or out of "is one of". From "is none of" a click on an excluded value takes it back in. */
export function toggleIn(column: string, stand: Stand, value: Value): FilterClause | null {
  if (stand.kind === "not_in" && stand.values.includes(value)) return toggleOut(column, stand, value);
  const before = stand.kind === "in" ? stand.values : [];
  const values = before.includes(value) ? before.filter((v) => v !== value) : [...before, value];
  return values.length === 0 ? null : { type: "in", column, values };
}

/** An alt-click on a bar: in or out of "is none of". Excluding a value that "is one of" names takes it out of there. */
export function toggleOut(column: string, stand: Stand, value: Value): FilterClause | null {
  if (stand.kind === "in" && stand.values.includes(value)) return toggleIn(column, stand, value);
  const before = stand.kind === "not_in" ? stand.values : [];
  const values = before.includes(value) ? before.filter((v) => v !== value) : [...before, value];
  return values.length === 0 ? null : { type: "not_in", column, values };
}

export function rangeClause(column: string, range: Range | null): FilterClause | null {
  return range ? { type: "range", column, low: range.low, high: range.high } : null;
}

/** Whether a bar counts as chosen (pressed), left out, or neither. */
export function barState(stand: Stand, value: Value): "chosen" | "left-out" | "plain" | "faded" {
  if (stand.kind === "in") return stand.values.includes(value) ? "chosen" : "faded";
  if (stand.kind === "not_in") return stand.values.includes(value) ? "left-out" : "plain";
  if (stand.kind === "range") return "faded";
  return "plain";
}

const STATISTICS = [
  "brightness",
  "contrast",
  "sharpness",
  "mean_red",
  "mean_green",
  "mean_blue",
  "width_px",
  "height_px",
  "bytes",
  "format",
  "added_at",
  "excluded",
];
const FIRST = ["label", "issues", "split", "tags", "queues"];
// Names of one sample each: a list of counts of one says nothing.
const NAMES = new Set(["sample_id", "media"]);

export interface FacetColumn {
  name: string;
  kind: ColumnInfo["kind"];
  type: string;
}

/** The columns a facet can be made of, the ones people decide by first: label, issues, split, tags, queues, their own, then statistics. */
export function facetColumns(state: SessionState, only: readonly string[] | null): FacetColumn[] {
  const known = new Map<string, FacetColumn>(state.columns.map((column) => [column.name, column]));
  if (!known.has("tags")) known.set("tags", { name: "tags", kind: "category", type: "VARCHAR[]" });
  if (!known.has("queues")) known.set("queues", { name: "queues", kind: "category", type: "VARCHAR[]" });
  // Most sessions have no issues, and no empty facet of them.
  const issues = state.issues?.some(({ count }) => count > 0) || clauseOf(state, "issues", new Map()).active;
  if ((issues || only?.includes("issues")) && !known.has("issues"))
    known.set("issues", { name: "issues", kind: "category", type: "VARCHAR[]" });
  if (only) return only.flatMap((name) => known.get(name) ?? []);
  const rank = (column: FacetColumn): number => {
    const first = FIRST.indexOf(column.name);
    if (first >= 0) return first;
    const statistic = STATISTICS.indexOf(column.name);
    if (statistic >= 0) return 2000 + statistic;
    return column.kind === "text" ? 1500 : 1000;
  };
  return [...known.values()]
    .filter(
      (column) =>
        !NAMES.has(column.name) &&
        !isBookkeeping(column.name) &&
        (column.kind !== "other" || FIRST.includes(column.name)),
    )
    .map((column, place) => ({ column, key: rank(column), place }))
    .sort((a, b) => a.key - b.key || a.place - b.place)
    .map(({ column }) => column);
}

/** What a person opened or folded; the rest opens and folds by itself. */
export interface Folds {
  open: readonly string[];
  folded: readonly string[];
}

const OPEN_AT_FIRST = 7;

/**
 * Which columns stand open. `telling` are those the kernel found worth a facet (more than one value); a dozen histograms at once
 * is a wall, so only the first of them open by themselves. Tags and queues open with the first decision that makes one.
 */
export function openColumns(
  columns: readonly FacetColumn[],
  telling: readonly string[] | null,
  chosen: boolean,
  state: SessionState,
  folds: Folds,
): string[] {
  let left = OPEN_AT_FIRST;
  const byItself = (name: string): boolean => {
    if (chosen) return true;
    if (name === "issues") return true; // there only while some are open
    if (name === "tags") return state.tags.length > 0;
    if (name === "queues") return state.queues.length > 0;
    return (telling?.includes(name) ?? false) && left-- > 0;
  };
  return columns
    .map((column) => ({ name: column.name, auto: byItself(column.name) }))
    .filter(({ name, auto }) => folds.open.includes(name) || (auto && !folds.folded.includes(name)))
    .map(({ name }) => name);
}

export function toggledFold(folds: Folds, name: string, open: boolean): Folds {
  const without = (names: readonly string[]) => names.filter((other) => other !== name);
  return open
    ? { open: [...without(folds.open), name], folded: without(folds.folded) }
    : { open: without(folds.open), folded: [...without(folds.folded), name] };
}

/** As kept by `configure`: a JSON text, because a configuration value is a text, a number or a yes or no. */
export function foldsOf(text: unknown): Folds {
  const none: Folds = { open: [], folded: [] };
  if (typeof text !== "string" || text === "") return none;
  try {
    const kept = JSON.parse(text) as Partial<Folds> | null;
    const names = (list: unknown) => (Array.isArray(list) ? list.map(String) : []);
    return { open: names(kept?.open), folded: names(kept?.folded) };
  } catch {
    return none;
  }
}

/** "visible / total" of a facet; a sample with three tags counts in three bars, so lists of tags have no such sum. */
export function sums(facet: Facet): { visible: number; total: number; selected: number } {
  if (facet.kind === "histogram") {
    return { visible: sum(facet.visible), total: sum(facet.total), selected: sum(facet.selected) };
  }
  return {
    visible: sum(facet.bars.map((bar) => bar.visible)),
    total: sum(facet.bars.map((bar) => bar.total)),
    selected: sum(facet.bars.map((bar) => bar.selected)),
  };
}

function sum(numbers: readonly number[]): number {
  let total = 0;
  for (const n of numbers) total += n;
  return total;
}
