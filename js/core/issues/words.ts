/** Issues in words: on a badge, in a tooltip, in a list. What is shown comes from data, so it is set as text only. */
import type { FilterClause, SessionState, ShownIssue } from "../protocol.js";

/** Where the Issues pane and the facet of issues put their clause. */
export const ISSUES_SOURCE = "facet:issues";

/** What every panel calls a kind: near_duplicate → near duplicate. Whoever names one does it by this. */
export const kindName = (kind: string): string => kind.replaceAll("_", " ");

/** A value of a column as people read it: kinds of issues have words, all other values are the data's own. */
export const valueName = (column: string, value: string): string => (column === "issues" ? kindName(value) : value);

/** What stands on a tile: the proposal where there is one, → shirt 0.93, else the kind. */
export function badgeText({ kind, proposal, confidence, cure }: ShownIssue): string {
  if (cure === "label") return `→ ${proposal}${confidence === null ? "" : ` ${confidence.toFixed(2)}`}`;
  const name = kind === "near_duplicate" ? "duplicate" : kindName(kind);
  return proposal === "keep" ? `${name}, keep` : name;
}

/** Why, in a sentence: wrong label: 9 of 10 nearest neighbours are labelled shirt. */
export function issueSentence({ kind, reason, score }: ShownIssue): string {
  return `${kindName(kind)}: ${reason ?? `score ${score.toFixed(2)}, 0 is the most severe`}`;
}

/** What accepting does: Relabel as “shirt”, Leave it out. */
export function cureSentence({ cure, proposal }: ShownIssue): string {
  if (cure === "label") return `Relabel as “${proposal}”`;
  if (cure === "excluded") return "Leave it out";
  return cure === "objects" ? "Repair its objects" : "Accept what is proposed";
}

/** The orders by severity that a list offers: of all kinds, where there are several, and of each that has open issues. */
export function severities(state: SessionState | null): (readonly [kind: string | null, text: string])[] {
  const now = state?.sort.by === "issue" ? state.sort.kind : undefined;
  const kinds = (state?.issues ?? []).filter(({ name, count }) => count > 0 || name === now).map(({ name }) => name);
  const each = kinds.map((kind) => [kind, `severity: ${kindName(kind)}`] as const);
  return kinds.length > 1 || now === null ? [[null, "severity: all issues"], ...each] : each;
}

/** The kind that the filter is about, when it is about just one. */
export function filteredKind(state: SessionState | null): string | null {
  const kinds = (clause: FilterClause | null | undefined): (string | null)[] =>
    clause?.type === "in" && clause.column === "issues" ? clause.values : [];
  for (const { clause } of state?.filter.clauses ?? []) {
    const [kind, ...more] = kinds(clause);
    if (kind != null && more.length === 0) return kind;
  }
  return null;
}

/** The kind that people are at: the one they filter by, else the one they sort by; null for none or all of them. */
export function kindInForce(state: SessionState | null): string | null {
  return filteredKind(state) ?? (state?.sort.by === "issue" ? state.sort.kind : null);
}
