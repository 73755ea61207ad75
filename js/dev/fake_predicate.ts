/** As much of SQL as a page without a database needs, and how the made-up kernel says no. */
import type { ColumnInfo } from "../core/protocol.js";
import type { FakeSample } from "./fake_data.js";

export class Refusal extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly hint: string | null = null,
    readonly field?: string,
  ) {
    super(message);
  }
}

export type Value = string | number | boolean | null;

interface Values {
  value(sample: FakeSample, column: string): Value;
}

export function compare(a: Value, b: Value): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null);
  return a < b ? -1 : Number(a > b);
}

/** `column = 'value'`, `column < number` and the like, joined by `and`: as much SQL as a page without a database needs. */
export function parseText(
  text: string,
  columns: readonly ColumnInfo[],
): (sample: FakeSample, session: Values) => boolean {
  const tests = text.split(/\s+and\s+/i).map((part) => {
    const match = /^\s*(\w+)\s*(=|<>|<=|>=|<|>)\s*('([^']*)'|-?[\d.]+)\s*$/.exec(part);
    if (match === null)
      throw new Refusal("filter", `“${part.trim()}” is no condition.`, "Try label = 'cat' and brightness < 0.2");
    const [, column = "", operator = "=", raw = "", quoted] = match;
    if (!columns.some((known) => known.name === column)) {
      throw new Refusal(
        "filter",
        `There is no column “${column}”.`,
        `Columns: ${columns.map((c) => c.name).join(", ")}`,
      );
    }
    const wanted: Value = quoted ?? Number(raw);
    return (sample: FakeSample, session: Values): boolean => {
      const order = compare(session.value(sample, column), wanted);
      return (
        { "=": order === 0, "<>": order !== 0, "<": order < 0, ">": order > 0, "<=": order <= 0, ">=": order >= 0 }[
          operator
        ] ?? false
      );
    };
  });
  return (sample, session) => tests.every((test) => test(sample, session));
}
