/** What is known about the sample, beside its picture. */
import type { HubExports } from "../contract.js";
import { issueFacts } from "../issues/facts.js";
import type { Answer } from "../protocol.js";

const SEARCH_FROM = 14;

export interface FactActions {
  search(text: string): void;
  untag(tag: string): void;
}

export function drawFacts(
  place: HTMLElement,
  hub: HubExports,
  sample: Answer<"inspect"> | null,
  search: string,
  actions: FactActions,
): void {
  const { html, render, nothing } = hub.lit;
  if (sample === null) {
    render(nothing, place);
    return;
  }
  const wanted = search.trim().toLowerCase();
  // Label and exclusion stand above, among what people decide.
  const others = sample.fields.filter(({ name }) => name !== "label" && name !== "excluded");
  const fields = others.filter(({ name, value }) => `${name} ${value ?? ""}`.toLowerCase().includes(wanted));

  const tags = sample.tags.map(
    (
      tag,
    ) => html`<span class="dataide-chip">${tag}<button class="dataide-button dataide-quiet dataide-icon" aria-label=${`Take off ${tag}`}
      title="Take this tag off" @click=${() => actions.untag(tag)}>×</button></span>`,
  );
  const queues = sample.queues.map(
    ({ queue, state, reason }) => html`<span class="dataide-chip" title=${reason ?? ""}>${queue}: ${state}</span>`,
  );
  const fact = (name: string, value: unknown) => html`<tr><th scope="row">${name}</th><td>${value}</td></tr>`;
  const dim = (text: string) => html`<span class="dataide-dim">${text}</span>`;

  render(
    html`<table class="dataide-facts"><tbody>
        ${fact("label", sample.label === null ? dim("none") : html`<strong>${sample.label}</strong>`)}
        ${tags.length > 0 ? fact("tags", tags) : nothing}
        ${queues.length > 0 ? fact("queues", queues) : nothing}
        ${sample.excluded ? fact("excluded", html`<span class="dataide-error">yes</span>`) : nothing}
      </tbody></table>
      ${issueFacts(hub, sample)}
      ${
        sample.fields.length >= SEARCH_FROM
          ? html`<input class="dataide-input dataide-facts-search" type="search" placeholder="Find a field" aria-label="Search fields"
              .value=${search} @input=${(event: Event) => actions.search((event.target as HTMLInputElement).value)} />`
          : nothing
      }
      <table class="dataide-facts" aria-label="Fields"><tbody>
        ${fields.map(({ name, type, value }) => html`<tr><th scope="row" title=${type}>${name}</th><td>${value ?? dim("none")}</td></tr>`)}
      </tbody></table>
      ${sample.fields.length > 0 && fields.length === 0 ? html`<div class="dataide-dim">No field holds “${search}”.</div>` : nothing}
      <h4 class="dataide-facts-title">History</h4>
      ${sample.history.length === 0 ? html`<div class="dataide-dim dataide-facts-none">Nothing was decided yet.</div>` : nothing}
      <ol class="dataide-history">
        ${sample.history.map(
          ({ at, author, sentence, undone }) => html`<li ?data-undone=${undone}>
            <span>${sentence}</span>${undone ? html` <span class="dataide-dim">(undone)</span>` : nothing}
            <div class="dataide-dim" title=${at}>${author}, ${when(at)}</div></li>`,
        )}
      </ol>`,
    place,
  );
}

function when(at: string): string {
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? at : date.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}
