/** The panel of all facets: which columns are open, what the kernel counted, and the requests that keep it right. */
import type { Signal } from "@preact/signals-core";
import type { TemplateResult } from "lit-html";
import type { HubExports, KernelError } from "../../core/contract.js";
import type { Answer, Ask, Bar, Facet, SessionState } from "../../core/protocol.js";
import { bars, SHOWN_BARS } from "./bars.js";
import {
  type FacetColumn,
  type Folds,
  facetColumns,
  foldsOf,
  openColumns,
  rangeClause,
  standOf,
  sums,
  toggledFold,
  toggleIn,
  toggleOut,
  type Value,
} from "./clauses.js";
import { Filtering, isAbort } from "./filtering.js";
import type { Range } from "./geometry.js";
import { histogram } from "./histogram.js";

const ASKED_BARS = 24;
const EXPANDED_VALUES = 200;
const SEARCH_COLUMNS_FROM = 10;
const SEARCH_VALUES_FROM = 20;
const DEFAULT_HEIGHT_PX = 560;

export interface FacetsConfig {
  embedded?: boolean;
  columns?: string[] | null;
  open?: string | null; // see foldsOf
  height_px?: number;
}

export interface BootReply {
  op: string;
  ask: unknown;
  body: unknown;
}

/** What the user did inside one column that the kernel need not know. */
interface Local {
  expanded: boolean;
  search: string;
  values: { bars: Bar[]; more: number } | null; // answer of facetValues
  typing: boolean;
  error: { message: string; hint: string | null } | null;
}

const PLAIN: Local = { expanded: false, search: "", values: null, typing: false, error: null };

export class FacetsPanel {
  readonly #filtering: Filtering;
  readonly #facets: Signal<ReadonlyMap<string, Facet>>;
  readonly #local: Signal<ReadonlyMap<string, Local>>;
  readonly #folds: Signal<Folds>;
  /** Columns the kernel finds worth a facet; null until it was asked. */
  readonly #telling: Signal<readonly string[] | null>;
  readonly #config: Signal<FacetsConfig>;
  readonly #columnSearch: Signal<string>;
  readonly #draft: Signal<{ column: string; range: Range | null } | null>;
  readonly #width: Signal<number>;
  readonly #error: Signal<Local["error"]>;
  #asked = "";

  constructor(
    readonly hub: HubExports,
    readonly root: HTMLElement,
    readonly panel: string,
    readonly signal: AbortSignal,
  ) {
    const { signal: make } = hub.signals;
    this.#facets = make<ReadonlyMap<string, Facet>>(new Map());
    this.#local = make<ReadonlyMap<string, Local>>(new Map());
    this.#folds = make<Folds>({ open: [], folded: [] });
    this.#telling = make<readonly string[] | null>(null);
    this.#config = make<FacetsConfig>({});
    this.#columnSearch = make("");
    this.#draft = make<{ column: string; range: Range | null } | null>(null);
    this.#width = make(200);
    this.#error = make<Local["error"]>(null);
    this.#filtering = new Filtering(hub, panel, (column, error) => this.#change(column, { error: failureOf(error) }));
  }

  /** Draws what travelled with the widget, before the kernel is asked for anything. */
  boot(replies: readonly BootReply[]): void {
    const first = replies.find((reply) => reply.op === "facets");
    if (!first) return;
    const { facets } = first.body as Answer<"facets">;
    this.#facets.value = new Map(facets.map((facet) => [facet.column, facet]));
    if ((first.ask as Ask<"facets">).columns === null) this.#telling.value = facets.map((facet) => facet.column);
  }

  configure(config: FacetsConfig): void {
    const first = this.#config.value.embedded === undefined;
    this.#config.value = { embedded: false, ...config };
    this.#folds.value = foldsOf(config.open);
    if (first) this.#start();
  }

  #start(): void {
    const { hub, root, signal } = this;
    root.classList.add("dataide", "dataide-facets");
    root.dataset.dataidePanel = "facets";
    const embedded =
      this.#config.value.embedded === true || root.parentElement?.closest("[data-dataide-panel]") != null;
    root.classList.toggle("dataide-embedded", embedded);
    // Not `max-height` itself: ipywidgets' layout belongs to this element and takes that away when it arrives.
    const most = this.#config.value.height_px ?? DEFAULT_HEIGHT_PX;
    if (!embedded) root.style.setProperty("--dataide-height", `${most}px`);
    root.setAttribute("role", "region");
    root.setAttribute("aria-label", "Facets");
    hub.dom.effectUntil(signal, () => hub.lit.render(this.#template(), root));
    hub.dom.effectUntil(signal, () => this.#refresh());
    const list = root.querySelector<HTMLElement>(".di-facet-list");
    if (list) hub.dom.onResize(list, () => this.#measure(list), signal);
    if (!embedded) hub.ui.frame(root, signal);
    hub.keyboard.attach(root, () => false, signal, {
      keys: [
        ["Space", "Toggle the focused value"],
        ["Alt click", "Leave a value out"],
        ["← →", "Move a handle of the range (Shift: finer)"],
        ["Delete", "Clear the range"],
      ],
    });
  }

  #measure(list: HTMLElement): void {
    const box = list.querySelector<HTMLElement>(".di-facet-body");
    if (!box) return;
    const style = getComputedStyle(box);
    const inner = box.clientWidth - Number.parseFloat(style.paddingLeft) - Number.parseFloat(style.paddingRight);
    if (inner > 0) this.#width.value = Math.round(inner);
  }

  #columns(state: SessionState): FacetColumn[] {
    return facetColumns(state, this.#config.value.columns ?? null);
  }

  #openNames(state: SessionState, columns: readonly FacetColumn[]): string[] {
    const chosen = (this.#config.value.columns ?? null) !== null;
    return openColumns(columns, this.#telling.value, chosen, state, this.#folds.value);
  }

  /** Asks for the counts again when the data, the filter, the selection or the open columns are others than those shown. */
  #refresh(): void {
    const state = this.hub.store.state.value;
    if (!state) return;
    const columns = this.#columns(state);
    const names = this.#openNames(state, columns);
    // The first question is about all of them: the answer tells which columns have something to tell.
    const all = this.#telling.value === null && !this.#config.value.columns && state.sampleCount > 0;
    const key = JSON.stringify([state.rev, state.filter.version, state.selection.version, all ? null : names]);
    if (key === this.#asked || (names.length === 0 && !all)) return;
    this.#asked = key;
    // Outside of the effect: what the client reads while it sends is no reason to ask again.
    queueMicrotask(() => {
      void this.#ask(all ? null : names, key);
      const local = this.#local.peek();
      for (const name of names) if (local.get(name)?.values) void this.#askValues(name);
    });
  }

  async #ask(columns: string[] | null, key: string): Promise<void> {
    const { client } = this.hub;
    try {
      const options = { panel: this.panel, signal: this.signal };
      const { body } = await client.ask("facets", { columns, bars: ASKED_BARS }, options);
      const facets = new Map(this.#facets.peek());
      for (const facet of body.facets) facets.set(facet.column, facet);
      this.hub.signals.batch(() => {
        if (columns === null) this.#telling.value = body.facets.map((facet) => facet.column);
        this.#facets.value = facets;
        this.#error.value = null;
      });
      const list = this.root.querySelector<HTMLElement>(".di-facet-list");
      if (list) this.#measure(list);
    } catch (error) {
      if (isAbort(error)) return;
      if (this.#asked === key) this.#asked = "";
      this.#error.value = failureOf(error);
    }
  }

  async #askValues(column: string): Promise<void> {
    const { client } = this.hub;
    const search = this.#local.peek().get(column)?.search ?? "";
    try {
      const ask = { column, search, limit: EXPANDED_VALUES };
      const { body } = await client.ask("facetValues", ask, { panel: `${this.panel}/${column}`, signal: this.signal });
      if ((this.#local.peek().get(column)?.search ?? "") === search) this.#change(column, { values: body });
    } catch (error) {
      if (!isAbort(error)) this.#change(column, { error: failureOf(error) });
    }
  }

  #change(column: string, change: Partial<Local>): void {
    const local = new Map(this.#local.peek());
    local.set(column, { ...(local.get(column) ?? PLAIN), ...change });
    this.#local.value = local;
  }

  #toggleOpen(name: string, state: SessionState): void {
    const open = this.#openNames(state, this.#columns(state)).includes(name);
    this.#folds.value = toggledFold(this.#folds.value, name, !open);
    const value = JSON.stringify(this.#folds.value);
    // Where the kernel cannot keep it, the panel still has it until the page is closed.
    this.hub.client.ask("configure", { panel: this.panel, name: "open", value }, { panel: this.panel }).catch(() => {});
  }

  #template(): TemplateResult {
    const { html, nothing } = this.hub.lit;
    const state = this.hub.store.state.value;
    this.#filtering.changed.value;
    if (!state) return html`<div class="di-facet-list" aria-busy="true"></div>`;
    const columns = this.#columns(state);
    const open = this.#openNames(state, columns);
    const search = this.#columnSearch.value.trim().toLowerCase();
    const shown = search ? columns.filter((column) => column.name.toLowerCase().includes(search)) : columns;
    const error = this.#error.value;
    const empty = state.sampleCount === 0;
    return html`${columns.length > SEARCH_COLUMNS_FROM && !empty ? this.#searchColumns() : nothing}
      ${error ? this.#alert(error) : nothing}
      <div class="di-facet-list"><div class="di-columns">
        ${
          empty
            ? html`<p class="dataide-empty">Nothing to count yet. Add pictures: <code>session.add_folder("photos")</code></p>`
            : shown.map((column) => this.#column(state, column, open.includes(column.name)))
        }
        ${!empty && shown.length === 0 ? html`<p class="dataide-empty">No column is called like that.</p>` : nothing}
      </div></div>`;
  }

  #searchColumns(): TemplateResult {
    return this.hub.lit.html`<div class="di-facet-top"><input
      type="search"
      class="dataide-input"
      placeholder="Find a column"
      aria-label="Find a column"
      autocomplete="off"
      spellcheck="false"
      .value=${this.#columnSearch.value}
      @input=${(event: Event) => {
        this.#columnSearch.value = (event.target as HTMLInputElement).value;
      }}
      @keydown=${(event: KeyboardEvent) => {
        event.stopPropagation();
        if (event.key === "Escape") this.#columnSearch.value = "";
      }}
    /></div>`;
  }

  #alert(error: NonNullable<Local["error"]>): TemplateResult {
    const { html, nothing } = this.hub.lit;
    return html`<div class="di-error" role="alert">
      ${error.message}${error.hint ? html`<div class="di-hint">${error.hint}</div>` : nothing}
    </div>`;
  }

  #column(state: SessionState, column: FacetColumn, open: boolean): TemplateResult {
    const { html, nothing } = this.hub.lit;
    const { active } = this.#filtering.clause(state, column.name);
    const facet = this.#facets.value.get(column.name);
    const local = this.#local.value.get(column.name) ?? PLAIN;
    return html`<section class="di-facet ${active ? "di-active" : ""}" data-column=${column.name}>
      <header>
        <button
          type="button"
          class="di-fold"
          aria-expanded=${open}
          title=${column.type}
          @click=${() => this.#toggleOpen(column.name, state)}
        >
          <span class="di-chevron" aria-hidden="true"></span><span class="di-column">${column.name}</span>
        </button>
        ${open && facet ? this.#sum(state, facet, active) : nothing}
        ${
          active
            ? html`<button
                type="button"
                class="di-clear"
                aria-label="Clear the filter on ${column.name}"
                title="Clear"
                @click=${() => this.#set(column.name, null)}
              >
                ×
              </button>`
            : nothing
        }
      </header>
      ${
        open
          ? html`<div class="di-facet-body">
              ${facet ? this.#body(state, column, facet, local) : html`<div class="di-waiting" aria-busy="true"></div>`}
              ${local.error ? this.#alert(local.error) : nothing}
            </div>`
          : nothing
      }
    </section>`;
  }

  #sum(state: SessionState, facet: Facet, active: boolean): TemplateResult {
    const { formatCount } = this.hub.dom;
    // A list of tags counts one sample several times, and a list cut off counts too few: then the whole session is the honest sum.
    const whole = facet.kind === "histogram" || (facet.more === 0 && !facet.type.endsWith("[]"));
    const counted = sums(facet);
    const visible = active || !whole ? state.filter.count : counted.visible;
    const total = whole ? counted.total : state.sampleCount;
    return this.hub.lit.html`<span class="di-sum" title="visible / total">${
      visible === total ? formatCount(total) : `${formatCount(Math.min(visible, total))} / ${formatCount(total)}`
    }</span>`;
  }

  #body(state: SessionState, column: FacetColumn, facet: Facet, local: Local): TemplateResult {
    const name = column.name;
    const stand = standOf(this.#filtering.clause(state, name).clause);
    if (facet.kind === "histogram") {
      const draft = this.#draft.value;
      const standing = stand.kind === "range" ? { low: stand.low, high: stand.high } : null;
      const missingOnly = stand.kind === "in" && stand.values.includes(null);
      return histogram(this.hub, {
        facet,
        time: column.kind === "time",
        width: this.#width.value,
        brush: draft?.column === name ? draft.range : standing,
        typing: local.typing,
        missingOnly,
        onBrush: (range, live) => this.#brush(name, range, live),
        onTyping: (typing) => this.#type(name, typing),
        onTypedWrong: () => this.#change(name, { error: wrongBounds(column) }),
        onMissing: () => this.#set(name, missingOnly ? null : { type: "in", column: name, values: [null] }),
      });
    }
    const listed = local.values ?? facet;
    return bars(this.hub, {
      column: name,
      bars: listed.bars,
      more: listed.more,
      stand,
      expanded: local.expanded || local.search !== "",
      search: local.search,
      searchable: local.expanded || facet.bars.length + facet.more > SEARCH_VALUES_FROM,
      onToggle: (value, exclude) => this.#toggle(state, name, value, exclude),
      onExpand: (on) => this.#expand(name, on, facet),
      onSearch: (text) => this.#searchValues(name, text),
    });
  }

  #brush(column: string, range: Range | null, live: boolean): void {
    this.#draft.value = live ? { column, range } : null;
    this.#set(column, rangeClause(column, range));
  }

  #toggle(state: SessionState, column: string, value: Value, exclude: boolean): void {
    const stand = standOf(this.#filtering.clause(this.hub.store.state.peek() ?? state, column).clause);
    this.#set(column, (exclude ? toggleOut : toggleIn)(column, stand, value));
  }

  #set(column: string, clause: Parameters<Filtering["set"]>[1]): void {
    if (this.#local.peek().get(column)?.error) this.#change(column, { error: null });
    void this.#filtering.set(column, clause);
  }

  #type(column: string, typing: boolean): void {
    this.#change(column, { typing, error: null });
    const place = [...this.root.querySelectorAll<HTMLElement>(".di-facet")].find(
      (box) => box.dataset.column === column,
    );
    place?.querySelector<HTMLElement>(typing ? ".di-typed input" : ".di-range")?.focus();
  }

  #expand(column: string, on: boolean, facet: Extract<Facet, { kind: "bars" }>): void {
    const needsMore = on && (facet.more > 0 || facet.bars.length < SHOWN_BARS);
    this.#change(column, { expanded: on, search: "", values: null });
    if (needsMore) void this.#askValues(column);
  }

  #searchValues(column: string, search: string): void {
    this.#change(column, { search });
    if (search !== "" || this.#local.peek().get(column)?.expanded) void this.#askValues(column);
    else this.#change(column, { values: null });
  }
}

function wrongBounds(column: FacetColumn): Local["error"] {
  return column.kind === "time"
    ? {
        message: "These are not two dates in order.",
        hint: "Type 2024-05-31 or 2024-05-31 14:00; leave one empty for no bound.",
      }
    : { message: "These are not two numbers in order.", hint: "Type 0.25 or 1e6; leave one empty for no bound." };
}

function failureOf(error: unknown): NonNullable<Local["error"]> {
  const failure = (error as Partial<KernelError>)?.failure;
  if (failure) return { message: failure.message, hint: failure.hint };
  return { message: error instanceof Error ? error.message : String(error), hint: null };
}
