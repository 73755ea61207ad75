/** The row over the tiles: order, caption, size. */
import { captionable, sortable } from "../../core/columns.js";
import type { HubExports } from "../../core/contract.js";
import { severities } from "../../core/issues/words.js";
import type { ColumnInfo, SessionState, Sort } from "../../core/protocol.js";
import { LEAST_TILE_PX, MOST_TILE_PX } from "./geometry.js";

export interface ToolbarModel {
  /** Inside a workbench, whose top bar has the order. */
  embedded: boolean;
  tilePx: number;
  caption: string | null;
  total: number | null;
  resize(px: number): void;
  setCaption(column: string | null): void;
  /** Whether boxes and masks are drawn over the pictures. */
  objects: boolean;
  toggleObjects(): void;
  sort(sort: Sort): void;
  group(column: string | null): void;
}

// Column names stand in option values behind a letter, so that a column called "added" is not taken for the order of arrival.
const valueOfSort = (sort: Sort): string =>
  sort.by === "column"
    ? `c${sort.column}`
    : sort.by === "issue"
      ? `i${sort.kind ?? ""}`
      : sort.by === "similar"
        ? "s"
        : "a";

type Option = readonly [value: string, text: string];
const ARRIVAL: Option = ["a", "order of arrival"];
const named = (names: readonly string[]): Option[] => names.map((name) => [`c${name}`, name]);
const optionOf = (column: string | null): string => (column === null ? "" : `c${column}`);

function sortOf(value: string, now: Sort): Sort {
  if (value === "s") return now;
  if (value === "a") return { by: "added", descending: false };
  if (value.startsWith("i")) return { by: "issue", kind: value.slice(1) || null, descending: false };
  return { by: "column", column: value.slice(1), descending: false };
}

/** What the kernel groups by: columns of categories. What holds is always among them. */
const groupable = (columns: readonly ColumnInfo[], now: string | null): string[] =>
  columns.filter(({ kind, name }) => kind === "category" || kind === "bool" || name === now).map(({ name }) => name);

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
  const group = state?.group ?? null;
  const chosen = (event: Event): string => (event.target as HTMLSelectElement | HTMLInputElement).value;
  const direction = sort.descending ? "Descending" : "Ascending";
  const choice = (name: string, options: readonly Option[], now: string, change: (value: string) => void): unknown =>
    html`<label>${name} <select class="dataide-select" aria-label=${name} @change=${(event: Event) => change(chosen(event))}>
      ${options.map(([value, text]) => html`<option value=${value} .selected=${value === now}>${text}</option>`)}
    </select></label>`;
  const similar: Option[] = sort.by === "similar" ? [["s", `similar to ${sort.label}`]] : [];
  const severe: Option[] = severities(state).map(([kind, text]) => [`i${kind ?? ""}`, text]);
  const sorts = [ARRIVAL, ...similar, ...severe, ...named(sortable(columns).map(({ name }) => name))];
  const none = (names: readonly string[]): Option[] => [["", "none"], ...named(names)];
  const captions = none(captionable(columns).map(({ name }) => name));
  render(
    html`${
      model.embedded
        ? nothing
        : html`${choice("Sort", sorts, selected, (value) => model.sort(sortOf(value, sort)))}
      <button class="dataide-button dataide-icon" aria-label=${`Sort direction: ${direction.toLowerCase()}`} title=${`${direction}: click to turn`}
        @click=${() => model.sort({ ...sort, descending: !sort.descending })}>${sort.descending ? "↓" : "↑"}</button>`
    }
      ${choice("Group", none(groupable(columns, group)), optionOf(group), (value) => model.group(value.slice(1) || null))}
      ${choice("Caption", captions, optionOf(model.caption), (value) => model.setCaption(value.slice(1) || null))}
      ${
        state?.objects == null
          ? nothing
          : html`<button class="dataide-button dataide-quiet" aria-pressed=${model.objects ? "true" : "false"} title="Show or hide objects (O)"
              @click=${() => model.toggleObjects()}>Objects</button>`
      }
      <span class="dataide-spacer"></span>
      <span class="dataide-dim dataide-grid-total">${totalSentence(hub, state, model.total)}</span>
      <input class="dataide-range" type="range" aria-label="Tile size" title="Tile size (+ and −)" min=${LEAST_TILE_PX} max=${MOST_TILE_PX} step="8"
        .value=${String(model.tilePx)} @input=${(event: Event) => model.resize(Number(chosen(event)))} />`,
    place,
  );
}

function totalSentence(hub: HubExports, state: SessionState | null, total: number | null): string {
  if (state === null || total === null) return "";
  const { formatCount } = hub.dom;
  if (state.filter.clauses.length === 0) return `${formatCount(total)} samples`;
  return `${formatCount(total)} of ${formatCount(state.sampleCount)} pass the filter`;
}
