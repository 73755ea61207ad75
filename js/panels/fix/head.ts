/** The row over the list: which kind, which state, in which order, and what was answered since. */
import type { IssueState } from "../../core/protocol_issues.js";
import type { Fix } from "./panel.js";
import { kindName, STATES } from "./words.js";

export function drawHead(place: HTMLElement, fix: Fix): void {
  const { lit, dom } = fix.panel.hub;
  const { html, render, nothing } = lit;
  const { kinds, kind, entries } = fix;
  const chosen = (event: Event): string => (event.target as HTMLSelectElement).value;
  place.hidden = kinds === null || kinds.length === 0;
  const option = (value: string, text: string, now: string | null) =>
    html`<option value=${value} .selected=${value === now}>${text}</option>`;
  // A kind that was asked for and not looked for is among the choices, or the box would show another.
  const missing = fix.chosen !== null && kind === null ? [fix.chosen] : [];
  const count = (state: IssueState): number => kind?.[state] ?? 0;
  const states = STATES.filter(([state]) => state !== "stale" || count("stale") > 0 || fix.state === "stale");
  const { answered, held, total } = entries;
  const note = [
    answered > 0 ? `${dom.formatCount(answered)} of ${dom.formatCount(held)} answered` : null,
    total !== null && total > held ? `the first ${dom.formatCount(held)} of ${dom.formatCount(total)}` : null,
  ].filter((part) => part !== null);
  render(
    html`<label>Issue <select class="dataide-select" aria-label="Kind of issue" @change=${(event: Event) => fix.choose("kind", chosen(event))}>
        ${(kinds ?? []).map((one) => option(one.kind, `${kindName(one.kind)} (${dom.formatCount(one.open)})`, fix.chosen))}
        ${missing.map((one) => option(one, `${kindName(one)} (not looked for)`, fix.chosen))}
      </select></label>
      <span class="dataide-fix-states" role="group" aria-label="State">${states.map(
        ([
          state,
          text,
        ]) => html`<button type="button" class="dataide-button" aria-pressed=${state === fix.state ? "true" : "false"}
            @click=${() => fix.choose("state", state)}>${text} <span class="dataide-dim">${dom.formatCount(count(state))}</span></button>`,
      )}</span>
      ${
        kind?.cure === "label"
          ? html`<label>Order <select class="dataide-select" aria-label="Order" @change=${(event: Event) => fix.choose("order", chosen(event))}>
        ${option("severity", "severity", fix.order)}${option("confidence", "confidence", fix.order)}</select></label>`
          : nothing
      }
      <button type="button" class="dataide-button" aria-pressed=${fix.neighboursShown ? "true" : "false"} title="Neighbours of the one that has the focus (V)"
        @click=${() => fix.toggleNeighbours()}>Neighbours</button>
      <span class="dataide-spacer"></span>
      <span class="dataide-dim dataide-fix-answered" aria-live="polite">${note.join(", ")}</span>
      <button type="button" class="dataide-button dataide-icon" aria-label="List anew" title="List anew: what was answered leaves the list" ?disabled=${answered === 0}
        @click=${() => fix.begin()}>↻</button>`,
    place,
  );
}
