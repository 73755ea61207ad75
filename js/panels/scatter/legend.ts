/** The legend: what each colour means, which classes the filter lets through, and the colour bar of numbers. */
import type { HubExports } from "../../core/contract.js";
import type { Clause, ColumnInfo, FilterClause, Legend } from "../../core/protocol.js";
import { classCount, NO_VALUE } from "./palette.js";

export type Value = string | null;
type Category = Extract<Legend, { kind: "category" }>;
type Numbers = Extract<Legend, { kind: "number" }>;

/** With more classes than this the list gets a search box. */
export const SEARCH_FROM = 13;
/** A longer list would cost more to draw than anyone reads; the search box finds the rest. */
const ROWS = 200;

/** Which classes pass: all but `values`, or only `values`. */
export interface Shown {
  all: boolean;
  values: readonly Value[];
}

export const EVERYTHING: Shown = { all: true, values: [] };

export function isShown(shown: Shown, value: Value): boolean {
  return shown.values.includes(value) !== shown.all;
}

/** A click on a class. Taking the last one away would leave an empty plot, so then everything comes back. */
export function toggled(shown: Shown, value: Value, known: readonly Value[], more: number): Shown {
  const has = shown.values.includes(value);
  const values = has ? shown.values.filter((other) => other !== value) : [...shown.values, value];
  if (values.length === 0) return EVERYTHING;
  if (more === 0 && known.every((other) => values.includes(other))) return EVERYTHING;
  return { all: shown.all, values };
}

/** A double click on a class: only this one; on the only one: everything. */
export function isolated(shown: Shown, value: Value): Shown {
  return !shown.all && shown.values.length === 1 && shown.values[0] === value
    ? EVERYTHING
    : { all: false, values: [value] };
}

export function clauseOf(column: string, shown: Shown): FilterClause | null {
  if (shown.values.length === 0) return null;
  return { type: shown.all ? "not_in" : "in", column, values: [...shown.values] };
}

/** What the session's filter says about the legend's column: its own clause comes back after a reload, or from a second scatter. */
export function shownBy(clauses: readonly Clause[], column: string): Shown {
  const clause = clauses.find((one) => one.source === "legend")?.clause;
  if (!clause || clause.type === "sql" || clause.type === "range" || clause.column !== column) return EVERYTHING;
  return { all: clause.type === "not_in", values: clause.values };
}

export function rangeBy(clauses: readonly Clause[], column: string): [number, number] | null {
  const clause = clauses.find((one) => one.source === "legend")?.clause;
  if (clause?.type !== "range" || clause.column !== column) return null;
  return [clause.low ?? -Infinity, clause.high ?? Infinity];
}

/** The value at a share of the colour bar, and back. */
export function valueAt(legend: Numbers, share: number): number {
  return legend.low + (legend.high - legend.low) * Math.min(1, Math.max(0, share));
}

export function shareOf(legend: Numbers, value: number): number {
  return legend.high > legend.low ? Math.min(1, Math.max(0, (value - legend.low) / (legend.high - legend.low))) : 0.5;
}

export function formatTime(ms: number, span: number): string {
  const iso = new Date(ms).toISOString();
  return span > 5 * 86_400_000
    ? iso.slice(0, 10)
    : span > 3_600_000
      ? iso.slice(5, 16).replace("T", " ")
      : iso.slice(11, 19);
}

const NAMES_FOR_NULL = "no value";

export function nameOf(value: Value): string {
  return value === null ? NAMES_FOR_NULL : value === "" ? "(empty)" : value;
}

export interface LegendActions {
  filter(clause: FilterClause | null): void;
  /** Folded or opened: it takes another room now. */
  folded(): void;
}

/** Draws itself into `place`; `update` after each change of legend, columns or filter. */
export class LegendView {
  private legend: Legend = { kind: "none" };
  private clauses: readonly Clause[] = [];
  private columns: readonly ColumnInfo[] = [];
  private search = "";
  private chosen: boolean | null = null; // folded or not, once somebody clicked
  private squeezed = false;
  private taken = 0; // px
  private dragged: [number, number] | null = null; // shares of the colour bar
  private lastClick: { value: Value; at: number } | null = null;
  private beforeClick: Shown = EVERYTHING;

  constructor(
    private readonly place: HTMLElement,
    private readonly hub: Pick<HubExports, "lit" | "dom">,
    private readonly actions: LegendActions,
  ) {}

  update(legend: Legend, clauses: readonly Clause[], columns: readonly ColumnInfo[]): void {
    if (legend.kind === "none" || this.legend.kind === "none" || legend.column !== this.legend.column) this.search = "";
    this.legend = legend;
    this.clauses = clauses;
    this.columns = columns;
    this.draw();
  }

  /** On a very narrow plot the legend stays folded until somebody opens it. */
  squeeze(on: boolean): void {
    if (on === this.squeezed) return;
    this.squeezed = on;
    this.draw();
  }

  private get folded(): boolean {
    return this.chosen ?? this.squeezed;
  }

  /** Room the legend takes from the right side of the plot; a plot that is hidden for a moment, as by a change of theme, keeps what it had. */
  get width(): number {
    if (this.legend.kind === "none" || this.folded) this.taken = 0;
    else if ((this.place.parentElement?.clientWidth ?? 0) > 0) this.taken = this.place.offsetWidth;
    return this.taken;
  }

  private draw(): void {
    const { html, render, nothing } = this.hub.lit;
    const { legend } = this;
    this.place.hidden = legend.kind === "none";
    if (legend.kind === "none") {
      render(nothing, this.place);
      return;
    }
    const filtered = this.clauses.some((clause) => clause.source === "legend" && clause.column === legend.column);
    render(
      html`
        <div class="legend-head">
          <button
            class="legend-title"
            aria-expanded=${!this.folded}
            title=${this.folded ? "Show the legend" : "Fold the legend"}
            @click=${() => {
              this.chosen = !this.folded;
              this.draw();
              this.actions.folded();
            }}
          ><span class="caret" aria-hidden="true"></span><span class="legend-column">${legend.column}</span></button>
          ${filtered ? html`<button class="legend-all" title="Let all pass again" @click=${() => this.filter(legend.column, null)}>all</button>` : nothing}
        </div>
        ${this.folded ? nothing : legend.kind === "category" ? this.classes(legend) : this.bar(legend)}
      `,
      this.place,
    );
  }

  private classes(legend: Category) {
    const { html, nothing } = this.hub.lit;
    const { formatCount, categoryColor } = this.hub.dom;
    const shown = shownBy(this.clauses, legend.column);
    const total = classCount(legend);
    const wanted = this.search.toLowerCase();
    const found = wanted
      ? legend.entries.filter((entry) => nameOf(entry.value).toLowerCase().includes(wanted))
      : legend.entries;
    return html`
      ${
        legend.entries.length >= SEARCH_FROM
          ? html`<input
              class="legend-search" type="search" placeholder="Find a class" aria-label="Find a class" .value=${this.search}
              @input=${(event: InputEvent) => {
                this.search = (event.target as HTMLInputElement).value;
                this.draw();
              }} />`
          : nothing
      }
      <div class="legend-list" role="group" aria-label="Classes of ${legend.column}">
        ${found.slice(0, ROWS).map((entry) => {
          const name = nameOf(entry.value);
          const on = isShown(shown, entry.value);
          const count = formatCount(entry.count);
          return html`<button
            class="legend-entry" aria-pressed=${on} title="${name}: ${count}. Click: in or out of the filter. Double click: only this."
            aria-label="${name}, ${count}"
            @click=${(event: MouseEvent) => this.click(legend, entry.value, event)}
          ><span class="chip" style="--chip:${categoryColor(entry.color, total)}"></span><span class="name">${name}</span><span class="count">${count}</span></button>`;
        })}
      </div>
      ${found.length > ROWS ? html`<div class="legend-more">${formatCount(found.length - ROWS)} more: use the search</div>` : nothing}
      ${legend.more > 0 && !wanted ? html`<div class="legend-more">and ${formatCount(legend.more)} rarer classes</div>` : nothing}
    `;
  }

  /** A double click is two clicks for the browser: the second one undoes what the first did, and isolates. */
  private click(legend: Category, value: Value, event: MouseEvent): void {
    const before = shownBy(this.clauses, legend.column);
    const again = this.lastClick && this.lastClick.value === value && event.timeStamp - this.lastClick.at < 400;
    this.lastClick = again ? null : { value, at: event.timeStamp };
    const known = legend.entries.map((entry) => entry.value);
    const isolate = again || event.altKey;
    const shown = isolate
      ? isolated(again ? this.beforeClick : before, value)
      : toggled(before, value, known, legend.more);
    if (!again) this.beforeClick = before;
    this.filter(legend.column, clauseOf(legend.column, shown));
  }

  /** Shows the new clause at once; the session's state, which comes with the answer, replaces it. */
  private filter(column: string, clause: FilterClause | null): void {
    const others = this.clauses.filter((one) => one.source !== "legend");
    this.clauses = clause ? [...others, { source: "legend", sentence: "", column, clause }] : others;
    this.draw();
    this.actions.filter(clause);
  }

  private bar(legend: Numbers) {
    const { html, nothing } = this.hub.lit;
    const { numberColor, categoryColor } = this.hub.dom;
    const stops = Array.from({ length: 17 }, (_, i) => numberColor(i / 16)).join(",");
    const range = rangeBy(this.clauses, legend.column);
    const kept = this.dragged ?? (range ? [shareOf(legend, range[0]), shareOf(legend, range[1])] : null);
    const said = kept
      ? `${this.text(legend, valueAt(legend, kept[0] as number))} to ${this.text(legend, valueAt(legend, kept[1] as number))}`
      : "all";
    return html`
      <div
        class="ramp" style="--ramp:linear-gradient(to right,${stops})" title="Drag: only this range. Click: all."
        role="img" aria-label="Colours of ${legend.column} from ${this.text(legend, legend.low)} to ${this.text(legend, legend.high)}; shown: ${said}"
        @pointerdown=${(event: PointerEvent) => this.drag(legend, event)}
      >
        ${
          kept
            ? html`<span class="out" style="left:0;width:${100 * (kept[0] as number)}%"></span>
              <span class="out" style="left:${100 * (kept[1] as number)}%;right:0"></span>`
            : nothing
        }
      </div>
      <div class="ramp-ends"><span>${this.text(legend, legend.low)}</span><span>${this.text(legend, legend.high)}</span></div>
      ${kept ? html`<div class="legend-more">${said}</div>` : nothing}
      <div class="legend-more"><span class="chip" style="--chip:${categoryColor(NO_VALUE, 1)}"></span>no value</div>
    `;
  }

  private text(legend: Numbers, value: number): string {
    const kind = this.columns.find((column) => column.name === legend.column)?.kind;
    return kind === "time" ? formatTime(value, legend.high - legend.low) : this.hub.dom.formatNumber(value);
  }

  private drag(legend: Numbers, down: PointerEvent): void {
    if (down.button !== 0) return;
    const ramp = down.currentTarget as HTMLElement;
    const box = ramp.getBoundingClientRect();
    const at = (event: PointerEvent) => Math.min(1, Math.max(0, (event.clientX - box.left) / Math.max(1, box.width)));
    const start = at(down);
    const ended = new AbortController();
    const { signal } = ended;
    ramp.setPointerCapture(down.pointerId);
    ramp.addEventListener(
      "pointermove",
      (event) => {
        this.dragged = [Math.min(start, at(event)), Math.max(start, at(event))];
        this.draw();
      },
      { signal },
    );
    const end = (keep: boolean) => {
      ended.abort();
      const range = this.dragged;
      this.dragged = null;
      if (keep && range && range[1] - range[0] > 0.015) {
        // The ends of the bar are open: a value at the very end must not fall out by a rounding.
        const low = range[0] <= 0 ? null : valueAt(legend, range[0]);
        const high = range[1] >= 1 ? null : valueAt(legend, range[1]);
        const whole = low === null && high === null;
        this.filter(legend.column, whole ? null : { type: "range", column: legend.column, low, high });
      } else if (keep && rangeBy(this.clauses, legend.column)) this.filter(legend.column, null);
      else this.draw();
    };
    ramp.addEventListener("pointerup", () => end(true), { signal });
    ramp.addEventListener("pointercancel", () => end(false), { signal });
  }
}
