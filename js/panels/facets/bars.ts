/** The values of one column as a list of bars; each row is a button. */
import type { TemplateResult } from "lit-html";
import type { HubExports } from "../../core/contract.js";
import { valueName } from "../../core/issues/words.js";
import type { Bar } from "../../core/protocol.js";
import { barState, type Stand, type Value } from "./clauses.js";

export const SHOWN_BARS = 8;

export interface BarsProps {
  column: string;
  bars: readonly Bar[];
  /** Values that the answer did not carry. */
  more: number;
  stand: Stand;
  expanded: boolean;
  search: string;
  /** The list is long enough to be searched. */
  searchable: boolean;
  onToggle(value: Value, exclude: boolean): void;
  onExpand(on: boolean): void;
  onSearch(text: string): void;
}

/**
 * What to show of a list: all when it is short or was asked for, else the first few, and always those that are chosen, because
 * a filter that cannot be seen cannot be taken back.
 */
export function shownBars(props: Pick<BarsProps, "bars" | "more" | "stand" | "expanded">): {
  rows: Bar[];
  rest: number;
} {
  const all = [...props.bars];
  const short = props.expanded || all.length + props.more <= SHOWN_BARS + 2;
  const named = props.stand.kind === "in" || props.stand.kind === "not_in" ? props.stand.values : [];
  const rows = short ? all : all.filter((bar, i) => i < SHOWN_BARS || named.includes(bar.value));
  for (const value of named) {
    if (!all.some((bar) => bar.value === value)) rows.push({ value, total: 0, visible: 0, selected: 0 });
  }
  return { rows, rest: Math.max(0, all.length + props.more - rows.length) };
}

export function bars(hub: HubExports, props: BarsProps): TemplateResult {
  const { html, nothing } = hub.lit;
  const { rows, rest } = shownBars(props);
  const peak = Math.max(1, ...props.bars.map((bar) => bar.total));
  return html`${props.searchable ? searchBox(hub, props) : nothing}
    <div class="di-bars ${props.expanded ? "di-expanded" : ""}" role="group" aria-label="Values of ${props.column}">
      ${rows.map((bar) => row(hub, props, bar, peak))}
      ${rows.length === 0 ? html`<div class="di-none">${props.search ? "no value found" : "no values"}</div>` : nothing}
    </div>
    ${
      rest > 0
        ? html`<button type="button" class="di-quiet di-more" @click=${() => props.onExpand(true)}>
            … ${hub.dom.formatCount(rest)} more
          </button>`
        : props.expanded && !props.search
          ? html`<button type="button" class="di-quiet di-more" @click=${() => props.onExpand(false)}>show fewer</button>`
          : nothing
    }`;
}

function searchBox(hub: HubExports, props: BarsProps): TemplateResult {
  return hub.lit.html`<input
    type="search"
    class="dataide-input di-search"
    placeholder="search ${props.column}"
    aria-label="Search values of ${props.column}"
    autocomplete="off"
    spellcheck="false"
    .value=${props.search}
    @input=${(event: Event) => props.onSearch((event.target as HTMLInputElement).value)}
    @keydown=${(event: KeyboardEvent) => {
      event.stopPropagation();
      if (event.key === "Escape") props.onSearch("");
    }}
  />`;
}

function row(hub: HubExports, props: BarsProps, bar: Bar, peak: number): TemplateResult {
  const { html, nothing } = hub.lit;
  const { formatCount } = hub.dom;
  const state = barState(props.stand, bar.value);
  const name = bar.value === null ? "no value" : valueName(props.column, bar.value);
  const counts =
    bar.visible === bar.total ? formatCount(bar.total) : `${formatCount(bar.visible)} of ${formatCount(bar.total)}`;
  const selected = bar.selected > 0 ? `, ${formatCount(bar.selected)} selected` : "";
  const percent = (count: number) => `width:${count > 0 ? Math.max(0.8, (count / peak) * 100) : 0}%`;
  return html`<button
    type="button"
    class="di-bar di-${state}"
    aria-pressed=${state === "chosen"}
    aria-label="${name}: ${counts}${selected}${state === "left-out" ? ", left out" : ""}"
    title="${name} — ${counts}${selected}
Click: only these. Alt-click: leave these out."
    @click=${(event: MouseEvent) => props.onToggle(bar.value, event.altKey)}
  >
    <span class="di-name ${bar.value === null ? "di-null" : ""}">${name}</span>
    <span class="di-count"
      >${bar.selected > 0 ? html`<span class="di-count-chosen">${formatCount(bar.selected)}</span>` : nothing}${formatCount(
        bar.visible,
      )}</span
    >
    <span class="di-track" aria-hidden="true"
      ><i class="di-total" style=${percent(bar.total)}></i><i class="di-visible" style=${percent(bar.visible)}></i
      ><i class="di-chosen" style=${percent(bar.selected)}></i
    ></span>
  </button>`;
}
