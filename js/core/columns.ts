/** Which columns the lists of panels offer. What the house keeps for itself is there for SQL and the filter box only. */
import type { ColumnInfo } from "./protocol.js";

const BOOKKEEPING: ReadonlySet<string> = new Set(["sample_no", "media_revision", "content_hash"]);
// A colour for each of thousands of texts says nothing.
const COLORABLE: ReadonlySet<ColumnInfo["kind"]> = new Set(["category", "number", "bool", "time"]);

export function isBookkeeping(name: string): boolean {
  return BOOKKEEPING.has(name);
}

/** The columns that make sense as colours; the label first. */
export function colorable(columns: readonly ColumnInfo[]): ColumnInfo[] {
  const fit = columns.filter(({ name, kind }) => COLORABLE.has(kind) && !BOOKKEEPING.has(name));
  return [...fit.filter(({ name }) => name === "label"), ...fit.filter(({ name }) => name !== "label")];
}

/** The columns that have an order. */
export function sortable(columns: readonly ColumnInfo[]): ColumnInfo[] {
  return columns.filter(({ name, kind }) => kind !== "other" && !BOOKKEEPING.has(name));
}

/** What may stand under a tile beside the label, which stands there anyway. */
export function captionable(columns: readonly ColumnInfo[]): ColumnInfo[] {
  return columns.filter(({ name }) => name !== "label" && !BOOKKEEPING.has(name));
}
