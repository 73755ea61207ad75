/** The filter box: one boolean SQL expression, with completion, and under it what the kernel says is wrong with it. */
import type { Signal } from "@preact/signals-core";
import type { TemplateResult } from "lit-html";
import type { HubExports, KernelError } from "../../core/contract.js";
import { accepted, deedOf, moved, type Popup, popupOf } from "./completion.js";

const TEXT = "text"; // the source of this clause

export class FilterBox {
  readonly #text: Signal<string>;
  readonly #popup: Signal<Popup | null>;
  readonly #error: Signal<{ message: string; hint: string | null } | null>;
  /** What the kernel last had; a box that says something else is being edited. */
  #applied = "";
  #input: HTMLInputElement | null = null;
  #asking = 0;
  #due = false; // completions are on their way
  readonly #listId: string;

  constructor(
    readonly hub: HubExports,
    readonly panel: string,
    readonly place: HTMLElement,
    readonly signal: AbortSignal,
  ) {
    this.#text = hub.signals.signal("");
    this.#popup = hub.signals.signal<Popup | null>(null);
    this.#error = hub.signals.signal<{ message: string; hint: string | null } | null>(null);
    this.#listId = `${panel}-completions`;
    hub.dom.effectUntil(signal, () => this.#follow(hub.store.state.value?.filter.text ?? ""));
    hub.dom.effectUntil(signal, () => {
      hub.lit.render(this.#template(), place);
      this.#input = place.querySelector("input");
      place.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: "nearest" });
    });
  }

  focus(): void {
    this.#input?.focus();
    this.#input?.select();
  }

  /** A filter set from Python or another workbench appears here, unless somebody is in the middle of writing. */
  #follow(text: string): void {
    if (this.#text.peek() === this.#applied) this.#text.value = text;
    this.#applied = text;
  }

  #template(): TemplateResult {
    const { html, nothing } = this.hub.lit;
    const text = this.#text.value;
    const popup = this.#popup.value;
    const error = this.#error.value;
    const state = this.hub.store.state.value;
    const dirty = text.trim() !== (state?.filter.text ?? "").trim();
    const active = popup && popup.active >= 0 ? `${this.#listId}-${popup.active}` : nothing;
    return html`<div class="di-filter">
      <input
        class="dataide-input"
        type="text"
        role="combobox"
        aria-label="Filter"
        aria-autocomplete="list"
        aria-expanded=${popup !== null}
        aria-controls=${this.#listId}
        aria-activedescendant=${active}
        aria-invalid=${error !== null}
        aria-describedby=${error ? `${this.#listId}-error` : nothing}
        autocomplete="off"
        autocapitalize="off"
        spellcheck="false"
        placeholder=${placeholder(state?.columns.map((column) => column.name) ?? [])}
        .value=${text}
        @input=${(event: InputEvent) => this.#typed(event.target as HTMLInputElement)}
        @keydown=${(event: KeyboardEvent) => this.#key(event)}
        @blur=${() => this.#noMore()}
      />
      ${
        dirty && text.trim() !== ""
          ? html`<span class="di-filter-hint" aria-hidden="true"><kbd>Enter</kbd></span>`
          : text !== ""
            ? html`<button
                type="button"
                class="di-x di-filter-clear"
                aria-label="Clear the filter box"
                title="Clear"
                @click=${() => this.#clear()}
              >
                ×
              </button>`
            : nothing
      }
      ${popup ? this.#list(popup) : html`<ul id=${this.#listId} role="listbox" aria-label="Completions" hidden></ul>`}
      ${
        error
          ? html`<div class="dataide-popover di-filter-error" id="${this.#listId}-error" role="alert">
              <div class="dataide-error">${error.message}</div>
              ${error.hint ? html`<div class="dataide-dim">${error.hint}</div>` : nothing}
            </div>`
          : nothing
      }
    </div>`;
  }

  #list(popup: Popup): TemplateResult {
    const { html, nothing } = this.hub.lit;
    return html`<ul id=${this.#listId} class="dataide-popover di-completions" role="listbox" aria-label="Completions">
      ${popup.items.map(
        (item, i) => html`<li
          id="${this.#listId}-${i}"
          role="option"
          aria-selected=${i === popup.active}
          @pointerdown=${(event: PointerEvent) => event.preventDefault()}
          @click=${() => this.#accept(popup, i)}
        >
          <span class="di-item">${item.text}</span
          ><span class="di-item-kind">${item.detail ?? item.kind}</span>${nothing}
        </li>`,
      )}
    </ul>`;
  }

  #typed(input: HTMLInputElement): void {
    this.#text.value = input.value;
    this.#error.value = null;
    void this.#complete();
  }

  #key(event: KeyboardEvent): void {
    const popup = this.#popup.value;
    const deed = deedOf(event, popup, this.#due);
    event.stopPropagation();
    if (deed.do === "pass") return;
    event.preventDefault();
    switch (deed.do) {
      case "move":
        if (popup) this.#popup.value = moved(popup, deed.by);
        break;
      case "open":
        void this.#complete();
        break;
      case "accept":
        if (popup) this.#accept(popup, deed.index);
        break;
      case "apply":
        void this.#apply();
        break;
      case "close":
        this.#noMore();
        break;
      case "revert":
        this.#revert();
        break;
    }
  }

  /** The first Esc takes back what is not applied, the next leaves the box. */
  #revert(): void {
    const same = this.#text.value === this.#applied && this.#error.value === null;
    this.#noMore();
    this.#error.value = null;
    this.#text.value = this.#applied;
    if (same) this.#input?.closest<HTMLElement>("[data-dataide-panel]")?.focus({ preventScroll: true });
  }

  #clear(): void {
    this.#text.value = "";
    void this.#apply();
    this.#input?.focus();
  }

  #accept(popup: Popup, index: number): void {
    const next = accepted(this.#text.value, popup, index);
    this.#text.value = next.text;
    this.#popup.value = null;
    this.#input?.setSelectionRange(next.cursor, next.cursor);
    void this.#complete();
  }

  /** Completions that are still on their way come too late once the filter is applied or taken back. */
  #noMore(): void {
    this.#asking++;
    this.#due = false;
    this.#popup.value = null;
  }

  async #complete(): Promise<void> {
    const input = this.#input;
    if (!input) return;
    const asking = ++this.#asking;
    this.#due = true;
    const text = this.#text.value;
    const cursor = input.selectionStart ?? text.length;
    try {
      const ask = { what: "filter" as const, text, cursor };
      const { body } = await this.hub.client.ask("complete", ask, { panel: this.panel, signal: this.signal });
      if (asking === this.#asking && document.activeElement === input) this.#popup.value = popupOf(body, text);
    } catch {
      if (asking === this.#asking) this.#popup.value = null; // a box without completion is still a filter box
    } finally {
      if (asking === this.#asking) this.#due = false;
    }
  }

  async #apply(): Promise<void> {
    const text = this.#text.value.trim();
    this.#noMore();
    const clause = text === "" ? null : { type: "sql" as const, text };
    try {
      await this.hub.client.ask("filter", { source: TEXT, clause }, { panel: this.panel });
      this.#applied = text;
      this.#text.value = text;
      this.#error.value = null;
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") return;
      const failure = (error as Partial<KernelError>).failure;
      this.#error.value = { message: failure?.message ?? String(error), hint: failure?.hint ?? null };
    }
  }
}

/** An example made of this session's own columns teaches more than a made-up one. */
export function placeholder(columns: readonly string[]): string {
  const has = (name: string) => columns.includes(name);
  if (has("label") && has("brightness")) return "filter: label = 'cat' and brightness < 0.2";
  return columns[0] ? `filter: ${columns[0]} is not null` : "filter: one SQL expression";
}
