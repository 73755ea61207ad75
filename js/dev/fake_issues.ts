/** Issues of the made-up session: what was looked for, what was found, and how it was answered. */
import type { IssueCount, ShownIssue, Verb } from "../core/protocol.js";
import type { IssuesTarget, IssueVerb } from "../core/protocol_issues.js";
import type { FakeSample } from "./fake_data.js";
import { groupOf } from "./fake_fix.js";

const CURES: Record<string, string> = {
  label: "label",
  near_duplicate: "excluded",
  leak: "excluded",
  linter: "objects",
};
const DONE: Record<string, string> = { label: "Relabelled", excluded: "Excluded", objects: "Repaired the objects of" };

export class FakeIssues {
  /** Kinds that were looked for; empty as long as nothing was. */
  searched: string[] = [];
  readonly #of = new Map<number, ShownIssue[]>();

  found(no: number, issue: Partial<ShownIssue> & { kind: string }): void {
    if (!this.searched.includes(issue.kind)) this.searched.push(issue.kind);
    const { kind } = issue;
    const cure = issue.proposal == null || issue.proposal === "keep" ? undefined : CURES[kind];
    const whole: ShownIssue = { state: "open", score: 0.5, proposal: null, confidence: null, reason: null, ...issue };
    this.#of.set(no, [...this.of(no), cure === undefined ? whole : { ...whole, cure }]);
  }

  of(no: number): ShownIssue[] {
    return this.#of.get(no) ?? [];
  }

  open(no: number): ShownIssue[] {
    return this.of(no)
      .filter(({ state }) => state === "open")
      .sort((a, b) => a.score - b.score);
  }

  /** The score by which a sample is sorted; above 1 where it has no such issue. */
  score(no: number, kind: string | null): number {
    return Math.min(2, ...this.open(no).flatMap((one) => (kind === null || one.kind === kind ? [one.score] : [])));
  }

  /** The samples with issues of one kind that are severe and sure enough. */
  within(
    { kind, states = ["open"], maxScore, minConfidence, group }: IssuesTarget,
    samples: readonly FakeSample[],
  ): number[] {
    const fits = (one: ShownIssue): boolean =>
      one.kind === kind &&
      states.includes(one.state) &&
      one.score <= maxScore &&
      (one.confidence ?? 1) >= minConfidence;
    const inside = (no: number): boolean => group === undefined || groupOf(no) === group;
    return samples.flatMap(({ no }) => (inside(no) && this.of(no).some(fits) ? [no] : []));
  }

  counts(): IssueCount[] {
    const all = [...this.#of.keys()].flatMap((no) => this.open(no));
    const counts = this.searched.map((name) => {
      const scores = all.flatMap(({ kind, score }) => (kind === name ? [score] : []));
      const worst = scores.length > 0 ? Math.min(...scores) : null;
      return { name, count: scores.length, worst, ...(CURES[name] ? { cure: CURES[name] } : {}) };
    });
    return counts.sort((a, b) => b.count - a.count);
  }

  /** What an answer changes: a function that does it, and undoes it when called again; null where nothing changes. */
  answer(
    verb: Verb,
    kind: string,
    nos: readonly number[],
    samples: readonly FakeSample[],
  ): { swap: () => void; count: number; sentence: string } | null {
    const was = verb === "reopen_issues" ? "rejected" : "open";
    const swaps = nos.flatMap((no) => {
      const issue = this.of(no).find((one) => one.kind === kind && one.state === was);
      const sample = samples[no];
      if (issue === undefined || sample === undefined) return [];
      if (verb === "accept_proposals" && issue.cure === undefined) return [];
      let state: ShownIssue["state"] =
        verb === "accept_proposals" ? "accepted" : verb === "reject_issues" ? "rejected" : "open";
      let label = verb === "accept_proposals" && issue.cure === "label" ? issue.proposal : sample.label;
      let excluded = verb === "accept_proposals" && issue.cure === "excluded" ? true : sample.excluded;
      return () => {
        [issue.state, state] = [state, issue.state];
        [sample.label, label] = [label, sample.label];
        [sample.excluded, excluded] = [excluded, sample.excluded];
      };
    });
    if (swaps.length === 0) return null;
    const many = swaps.length === 1 ? "1 sample" : `${swaps.length} samples`;
    const sentence =
      verb === "accept_proposals"
        ? `${DONE[CURES[kind] ?? "label"]} ${many} as proposed (${kind})`
        : verb === "reject_issues"
          ? `Left ${many} as they are: no issue (${kind})`
          : `Asking again about ${many} (${kind})`;
    const swap = (): void => {
      for (const one of swaps) one();
    };
    swap();
    return { swap, count: swaps.length, sentence };
  }
}

export const isIssueVerb = (verb: Verb): verb is IssueVerb =>
  ["accept_proposals", "reject_issues", "reopen_issues"].includes(verb);
