/** The pieces of interface that panels borrow from the hub, and which of them is open over which panel. */
import { html, nothing, render } from "lit-html";
import { mountActionBar } from "./actionbar.js";
import type { ActionBarOptions, Client, KeyboardOptions, PromptOptions, Store, Ui } from "./contract.js";
import { effectUntil, formatCount } from "./dom.js";
import { answerIssues } from "./issues/answer.js";
import { digitLabels, SHARED_KEYS } from "./keys.js";
import { openPrompt } from "./prompt.js";
import type { Target } from "./protocol.js";
import type { IssueVerb } from "./protocol_issues.js";

export class SharedUi implements Ui {
  readonly #store: Store;
  readonly #client: Client;
  readonly #keysOf: (root: HTMLElement) => KeyboardOptions;
  readonly #bars = new Map<HTMLElement, HTMLElement>();
  #closePrompt: (() => void) | null = null;
  #closeHelp: (() => void) | null = null;

  constructor(client: Client, store: Store, keysOf: (root: HTMLElement) => KeyboardOptions) {
    this.#client = client;
    this.#store = store;
    this.#keysOf = keysOf;
  }

  digits(): readonly (readonly [string, string])[] {
    return digitLabels(this.#store.state.value);
  }

  actionBar(place: HTMLElement, options: ActionBarOptions, signal: AbortSignal): void {
    // A panel may spread its bar over two places; prompts belong over the buttons that open them.
    if (options.parts?.includes("decide") ?? true) {
      this.#bars.set(options.root, place);
      signal.addEventListener("abort", () => this.#bars.delete(options.root));
    }
    mountActionBar(place, options, { store: this.#store, ui: this }, signal);
  }

  prompt(root: HTMLElement, options: PromptOptions): void {
    this.#closePrompt?.();
    this.#closePrompt = openPrompt(
      this.#barOf(root) ?? root,
      options,
      { client: this.#client, store: this.#store },
      () => {
        this.#closePrompt = null;
      },
    );
  }

  answerIssues(verb: IssueVerb, target: Target, kind?: string): Promise<void> {
    return answerIssues({ client: this.#client, store: this.#store }, verb, target, kind);
  }

  help(root: HTMLElement, inner: HTMLElement | null = null): void {
    if (this.#closeHelp !== null) {
      this.#closeHelp();
      return;
    }
    const place = document.createElement("div");
    const before = document.activeElement;
    const close = (): void => {
      this.#closeHelp = null;
      place.remove();
      if (before instanceof HTMLElement && before.isConnected) before.focus({ preventScroll: true });
    };
    this.#closeHelp = close;
    place.className = "dataide-help-shade";
    place.addEventListener("click", (event) => event.target === place && close());
    const own = this.#keysOf(root).keys ?? [];
    const within = inner === null || inner === root ? [] : (this.#keysOf(inner).keys ?? []);
    // Where a label is a digit, its key needs no explanation.
    const digits = this.digits().filter(([key, label]) => key !== label);
    const row = ([keys, what]: readonly [string, string]) =>
      html`<tr><th scope="row"><kbd>${keys}</kbd></th><td>${what}</td></tr>`;
    const table = (title: string, rows: readonly (readonly [string, string])[]) =>
      rows.length === 0 ? nothing : html`<table><caption>${title}</caption><tbody>${rows.map(row)}</tbody></table>`;
    render(
      html`<div class="dataide-popover dataide-help" role="dialog" aria-label="All keys" tabindex="-1">
        ${table("Everywhere", SHARED_KEYS)}${table("Here", within)}${table(within.length > 0 ? "Around it" : "Here", own)}${table("Labels", digits)}
        <button class="dataide-button dataide-quiet dataide-icon" aria-label="Close" @click=${close}>×</button>
      </div>`,
      place,
    );
    root.append(place);
    place.querySelector<HTMLElement>(".dataide-help")?.focus({ preventScroll: true });
  }

  /** Closes what lies over the panel; false when nothing did. */
  escape(_root: HTMLElement): boolean {
    const close = this.#closePrompt ?? this.#closeHelp;
    close?.();
    return close !== null;
  }

  frame(root: HTMLElement, signal: AbortSignal): void {
    // A panel inside a workbench need not say again what the workbench says.
    if (root.parentElement?.closest("[data-dataide-panel]")) return;
    const place = document.createElement("div");
    place.className = "dataide-frame";
    root.append(place);
    signal.addEventListener("abort", () => place.remove());
    effectUntil(signal, () => {
      const lost = this.#store.lostBecause.value;
      const busy = this.#store.busy.value && lost === null;
      // The workbench has a strip for jobs, with a button to cancel them.
      const job = root.dataset.dataidePanel === "workbench" ? undefined : this.#store.jobs.value.at(-1);
      render(
        html`${
          lost !== null
            ? html`<div class="dataide-lost" role="alert"><strong>${lost.message}</strong>
                ${lost.hint} What you decided is saved.</div>`
            : nothing
        }
        ${busy ? html`<div class="dataide-note">kernel busy…</div>` : nothing}
        ${
          job !== undefined && lost === null
            ? html`<div class="dataide-note">${job.verb}
                <progress max=${job.total || 1} value=${job.done} aria-label=${job.verb}></progress>
                ${job.rate > 0 ? `${formatCount(job.done)} of ${formatCount(job.total)}` : job.sentence}</div>`
            : nothing
        }`,
        place,
      );
    });
  }

  #barOf(root: HTMLElement): HTMLElement | undefined {
    for (let at: HTMLElement | null = root; at !== null; at = at.parentElement) {
      const bar = this.#bars.get(at);
      if (bar !== undefined) return bar;
    }
    return undefined;
  }
}
