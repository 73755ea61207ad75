/** What stands where no tile is: how to fill the session, or which filter lets nothing through. */
import type { HubExports } from "../../core/contract.js";
import type { SessionState } from "../../core/protocol.js";
import type { Pages } from "./pages.js";

export function drawEmpty(place: HTMLElement, hub: HubExports, state: SessionState | null, pages: Pages): void {
  const { html, render, nothing } = hub.lit;
  const message = (): unknown => {
    if (pages.failure !== null && pages.total === null) {
      const { message, hint } = pages.failure;
      return html`<div class="dataide-error">${message}</div>${hint ? html`<div>${hint}</div>` : nothing}`;
    }
    if (pages.total !== 0) return null;
    if (state !== null && state.filter.clauses.length > 0) {
      const clear = (): void => {
        for (const { source } of state.filter.clauses) {
          hub.client.ask("filter", { source, clause: null }, { panel: "grid" }).catch(() => undefined);
        }
      };
      return html`<div>No sample passes the filter:</div>
        <div>${state.filter.clauses.map((clause) => clause.sentence).join(" and ")}</div>
        <div><button class="dataide-button" @click=${clear}>Clear the filter</button></div>`;
    }
    if (state !== null && state.sampleCount > 0) {
      return html`<div>All samples are excluded.</div><div><code>session.where("excluded").include()</code> takes them back in.</div>`;
    }
    return html`<div>There are no samples yet. Add some in a cell:</div>
      <div><code>session.add_folder("path/to/pictures")</code></div>`;
  };
  const shown = message();
  place.hidden = shown === null;
  render(shown === null ? nothing : html`<div class="dataide-empty">${shown}</div>`, place);
}
