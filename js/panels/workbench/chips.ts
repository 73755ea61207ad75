/** The active clauses of the filter as chips, each with a × that takes it back. */
import type { TemplateResult } from "lit-html";
import type { HubExports } from "../../core/contract.js";
import { valueName } from "../../core/issues/words.js";
import type { Clause, SessionState } from "../../core/protocol.js";

/** The text of the filter box comes first, then the legend, then facets and code in the order they were set. */
export function orderedClauses(clauses: readonly Clause[]): Clause[] {
  const rank = (clause: Clause) => (clause.source === "text" ? 0 : clause.source === "legend" ? 1 : 2);
  return clauses
    .map((clause, place) => ({ clause, place }))
    .sort((a, b) => rank(a.clause) - rank(b.clause) || a.place - b.place)
    .map(({ clause }) => clause);
}

/**
 * In front of the chips; without a filter, what one can do next. How many pass stands in the count beside the filter box; what was
 * excluded stands nowhere else.
 */
export function lead(state: SessionState, formatCount: (n: number) => string): string {
  const { filter, sampleCount } = state;
  if (filter.clauses.length > 0) return "Filter";
  if (sampleCount === 0) return "";
  const excluded = sampleCount - filter.count;
  const next =
    state.selection.count > 0
      ? "T tags them, a digit labels them, ? shows every key"
      : "Draw around points, or drag over pictures, to select them";
  return excluded > 0 ? `${formatCount(excluded)} excluded` : next;
}

export function chips(hub: HubExports, state: SessionState, clear: (sources: string[]) => void): TemplateResult {
  const { html, nothing } = hub.lit;
  const clauses = orderedClauses(state.filter.clauses);
  return html`<span class="di-lead" title=${lead(state, hub.dom.formatCount)}>${lead(state, hub.dom.formatCount)}</span>
    <div class="di-chips" role="group" aria-label="Active filters">
      ${clauses.map(
        (clause) => html`<span class="di-chip" title=${clause.sentence}
          ><span class="di-chip-text">${valueName(clause.column ?? "", clause.sentence)}</span
          ><button
            type="button"
            class="di-chip-x"
            aria-label="Remove filter: ${clause.sentence}"
            @click=${() => clear([clause.source])}
          >
            ×
          </button></span
        >`,
      )}
    </div>
    ${
      clauses.length > 1
        ? html`<button type="button" class="di-quiet" @click=${() => clear(clauses.map((clause) => clause.source))}>
            clear all
          </button>`
        : nothing
    }`;
}
