/** The row over the tiles: order, caption, size. */
import { captionable, sortable } from "../../core/columns.js";
import type { HubExports } from "../../core/contract.js";
import type { SessionState, Sort } from "../../core/protocol.js";
import { LEAST_TILE_PX, MOST_TILE_PX } from "./geometry.js";

export interface ToolbarModel {
  /** Inside a workbench, whose top bar has the order. */
  embedded: boolean;
  tilePx: number;
  caption: string | null;
  total: number | null;
  resize(px: number): void;
  setCaption(column: string | null): void;
  sort(sort: Sort): void;
}

// Column names stand in option values behind a letter, so that a column called "added" is not taken for the order of arrival.
const valueOfSort = (sort: Sort): string =>
  sort.by === "column" ? `c${sort.column}` : sort.by === "similar" ? "s" : "a";

function sortOf(value: string, now: Sort): Sort {
  if (value === "s") return now;
  if (value === "a") return { by: "added", descending: false };
  return { by: "column", column: value.slice(1), descending: false };
}

export function drawToolbar(
  place: HTMLElement,
  hub: HubExports,
  state: SessionState | null,
  model: ToolbarModel,
): void {
  const { html, render, nothing } = hub.lit;
  const sort: Sort = state?.sort ?? { by: "added", descending: false };
  const columns = state?.columns ?? [];
  const selected = valueOfSort(sort);
  const target = (event: Event): HTMLSelectElement & HTMLInputElement =>
    event.target as HTMLSelectElement & HTMLInputElement;
  const direction = sort.descending ? "Descending" : "Ascending";
  render(
    html`${
      model.embedded
        ? nothing
        : html`<label>Sort
        <select class="dataide-select" aria-label="Sort" @change=${(event: Event) => model.sort(sortOf(target(event).value, sort))}>
          <option value="a" .selected=${selected === "a"}>order of arrival</option>
          ${sort.by === "similar" ? html`<option value="s" .selected=${true}>similar to ${sort.label}</option>` : nothing}
          ${sortable(columns).map((c) => html`<option value=${`c${c.name}`} .selected=${selected === `c${c.name}`}>${c.name}</option>`)}
        </select></label>
      <button class="dataide-button dataide-icon" aria-label=${`Sort direction: ${direction.toLowerCase()}`} title=${`${direction}: click to turn`}
        @click=${() => model.sort({ ...sort, descending: !sort.descending })}>${sort.descending ? "↓" : "↑"}</button>`
    }
      <label>Caption
        <select class="dataide-select" aria-label="Caption" @change=${(event: Event) => model.setCaption(target(event).value.slice(1) || null)}>
          <option value="" .selected=${model.caption === null}>none</option>
          ${captionable(columns).map((c) => html`<option value=${`c${c.name}`} .selected=${model.caption === c.name}>${c.name}</option>`)}
        </select></label>
      <span class="dataide-spacer"></span>
      <span class="dataide-dim dataide-grid-total">${totalSentence(hub, state, model.total)}</span>
      <input class="dataide-range" type="range" aria-label="Tile size" title="Tile size (+ and −)" min=${LEAST_TILE_PX} max=${MOST_TILE_PX} step="8"
        .value=${String(model.tilePx)} @input=${(event: Event) => model.resize(Number(target(event).value))} />`,
    place,
  );
}

function totalSentence(hub: HubExports, state: SessionState | null, total: number | null): string {
  if (state === null || total === null) return "";
  const { formatCount } = hub.dom;
  if (state.filter.clauses.length === 0) return `${formatCount(total)} samples`;
  return `${formatCount(total)} of ${formatCount(state.sampleCount)} pass the filter`;
}
