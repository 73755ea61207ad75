/** What the panel says, in words. */
import { kindName } from "../../core/issues/words.js";
import type { IssueKind, IssueRow, IssueState } from "../../core/protocol_issues.js";
import type { Crop } from "./entries.js";

export { kindName };

export const STATES: readonly (readonly [IssueState, string])[] = [
  ["open", "open"],
  ["accepted", "accepted"],
  ["rejected", "rejected"],
  ["stale", "out of date"],
];

export const nameOf = (label: string | null): string => label ?? "no label";

/** What accepting does to this sample. */
export function cureOf(row: IssueRow, cure: IssueKind["cure"]): string | null {
  if (row.proposal === null || cure === null) return null;
  if (cure === "excluded") return row.proposal === "keep" ? "keep" : "leave out";
  return row.proposal;
}

/** What became of a row since the list was made; null while nothing has. */
export function markOf(row: IssueRow, listed: IssueState): string | null {
  if (row.state === "stale" && row.label !== row.given && listed !== "stale") return `relabelled ${nameOf(row.label)}`;
  if (row.excluded && row.state !== "accepted") return "left out";
  if (row.state === listed) return null;
  return { open: "open again", accepted: "accepted", rejected: "no issue", stale: "out of date" }[row.state];
}

/** Whether accepting would still change something. */
export const canAccept = (rows: readonly IssueRow[], cure: IssueKind["cure"]): boolean =>
  cure !== null &&
  rows.some(
    (row) =>
      row.state === "open" &&
      row.proposal !== null &&
      (cure !== "excluded" || (row.proposal !== "keep" && !row.excluded)),
  );

/** A row for those who hear it. */
export function spoken(row: IssueRow, cure: IssueKind["cure"], listed: IssueState, crop: Crop | null = null): string {
  const wanted = cureOf(row, cure);
  const parts =
    cure === "objects" ? [row.id] : [row.id, nameOf(crop !== null && crop.object !== null ? crop.label : row.given)];
  if (wanted !== null) parts.push(cure === "excluded" ? wanted : `proposed ${wanted}`);
  if (row.confidence !== null) parts.push(`confidence ${row.confidence.toFixed(2)}`);
  if (row.reason !== null) parts.push(row.reason);
  parts.push(markOf(row, listed) ?? row.state);
  return parts.join(", ");
}

/** What a list without entries is about. */
export function emptySentence(kind: IssueKind, state: IssueState): string {
  const name = kindName(kind.kind);
  if (state !== "open") return `No ${name} issue is ${STATES.find(([known]) => known === state)?.[1] ?? state}.`;
  const answered = [
    kind.accepted > 0 ? `${kind.accepted.toLocaleString("en-US")} accepted` : null,
    kind.rejected > 0 ? `${kind.rejected.toLocaleString("en-US")} rejected` : null,
  ].filter((part) => part !== null);
  if (answered.length > 0) return `All ${name} issues are answered: ${answered.join(", ")}.`;
  return `No ${name} issue among ${kind.samples.toLocaleString("en-US")} samples.`;
}
