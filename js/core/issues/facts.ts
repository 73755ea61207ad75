/** The issues of one sample in the inspector: what is suspicious and why, with the two answers as buttons. */
import type { TemplateResult } from "lit-html";
import type { HubExports } from "../contract.js";
import type { Answer, ShownIssue } from "../protocol.js";
import type { IssueVerb } from "../protocol_issues.js";
import { badgeText, cureSentence, issueSentence, kindName } from "./words.js";

const ANSWERED = { accepted: "accepted", rejected: "no issue", open: "" };

/** Nothing where the sample has no issues. */
export function issueFacts(hub: HubExports, sample: Answer<"inspect">): TemplateResult | symbol {
  const { html, nothing } = hub.lit;
  const { issues = [] } = sample;
  if (issues.length === 0) return nothing;
  const answer = (verb: IssueVerb, kind: string) => (event: Event) => {
    // The button goes with its question; keys are still meant for the panel it stands in.
    (event.currentTarget as HTMLElement).closest<HTMLElement>("[data-dataide-panel]")?.focus({ preventScroll: true });
    void hub.ui.answerIssues(verb, { type: "samples", nos: [sample.no] }, kind);
  };
  const button = (text: string, { kind }: ShownIssue, title: string, verb: IssueVerb) =>
    html`<button type="button" class="dataide-button" aria-label=${`${text}: ${kindName(kind)}`} title=${title}
      @click=${answer(verb, kind)}>${text}</button>`;
  const buttons = (issue: ShownIssue) =>
    issue.state === "open"
      ? html`${issue.cure === undefined ? nothing : button("Accept", issue, `${cureSentence(issue)} (Y)`, "accept_proposals")}
          ${button("Not an issue", issue, "It is all right as it is; not asked again (N)", "reject_issues")}`
      : issue.state === "rejected"
        ? button("Ask again", issue, "Take “not an issue” back", "reopen_issues")
        : nothing;
  return html`<ul class="dataide-issues" aria-label="Issues">
    ${issues.map(
      (issue) => html`<li data-kind=${issue.kind} data-state=${issue.state}>
        <span class="dataide-issue">${badgeText(issue)}</span>
        <span class="dataide-issue-state">${ANSWERED[issue.state]}</span>
        <span class="dataide-issue-reason" title=${`${kindName(issue.kind)}, score ${issue.score.toFixed(2)}; 0 is the most severe`}
          >${issueSentence(issue)}</span>
        <span class="dataide-issue-answers">${buttons(issue)}</span>
      </li>`,
    )}
  </ul>`;
}
