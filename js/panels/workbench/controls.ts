/** The two lists of the top bar: colour of the plot, order of the grid. */
import type { TemplateResult } from "lit-html";
import { colorable, sortable } from "../../core/columns.js";
import type { HubExports } from "../../core/contract.js";
import { severities } from "../../core/issues/words.js";
import type { SessionState, Sort } from "../../core/protocol.js";

/** Which entry of the list a sort is; columns carry a prefix, so that a column may be called "added". */
export function sortKey(sort: Sort): string {
  if (sort.by === "issue") return `issue:${sort.kind ?? ""}`;
  return sort.by === "column" ? `column:${sort.column}` : sort.by;
}

export function sortOf(key: string, now: Sort): Sort {
  if (key.startsWith("column:")) return { by: "column", column: key.slice("column:".length), descending: false };
  if (key.startsWith("issue:")) return { by: "issue", kind: key.slice("issue:".length) || null, descending: false };
  if (key === "similar" && now.by === "similar") return now;
  return { by: "added", descending: false };
}

export function colorControl(
  hub: HubExports,
  state: SessionState,
  color: string | null,
  choose: (column: string | null) => void,
): TemplateResult {
  const { html, nothing } = hub.lit;
  const columns = colorable(state.columns).map(({ name }) => name);
  // A list like tags; the most frequent kind of a sample gives its colour.
  if ((state.issues ?? []).some(({ count }) => count > 0)) columns.push("issues");
  if (color !== null && !columns.includes(color)) columns.push(color);
  return html`<label class="di-control"
    ><span>Colour</span
    ><select
      class="dataide-select"
      aria-label="Colour by"
      @change=${(event: Event) => choose((event.target as HTMLSelectElement).value || null)}
    >
      <option value="" .selected=${color === null}>none</option>
      ${columns.map((name) => html`<option value=${name} .selected=${name === color}>${name}</option>${nothing}`)}
    </select></label
  >`;
}

export function sortControl(hub: HubExports, state: SessionState, choose: (sort: Sort) => void): TemplateResult {
  const { html, nothing } = hub.lit;
  const { sort } = state;
  const key = sortKey(sort);
  const columns = sortable(state.columns);
  const entry = (value: string, text: string) =>
    html`<option value=${value} .selected=${value === key}>${text}</option>`;
  const turn = sort.descending ? "Descending; click for ascending" : "Ascending; click for descending";
  return html`<label class="di-control"
      ><span>Sort</span
      ><select
        class="dataide-select"
        aria-label="Sort by"
        @change=${(event: Event) => choose(sortOf((event.target as HTMLSelectElement).value, sort))}
      >
        ${sort.by === "similar" ? entry("similar", `similar to ${sort.label}`) : nothing} ${entry("added", "order of arrival")}
        ${severities(state).map(([kind, text]) => entry(`issue:${kind ?? ""}`, text))}
        ${columns.map(({ name }) => entry(`column:${name}`, name))}
      </select></label
    ><button
      type="button"
      class="dataide-button dataide-icon"
      aria-label=${turn}
      title=${turn}
      @click=${() => choose({ ...sort, descending: !sort.descending })}
    >
      ${sort.descending ? "↓" : "↑"}
    </button>`;
}
