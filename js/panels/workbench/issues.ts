/** The Issues pane: what is suspicious, kind by kind, and the way from there to the pictures and to the cure. */
import type { TemplateResult } from "lit-html";
import type { HubExports } from "../../core/contract.js";
import { filteredKind, ISSUES_SOURCE, kindName } from "../../core/issues/words.js";
import type { IssueCount, SessionState, Sort } from "../../core/protocol.js";
import { newUuid } from "../../core/uuid.js";

const ARRIVAL: Sort = { by: "added", descending: false };

export interface IssueActions {
  fix(kind: string): void;
  /** The form with all choices. */
  choose(): void;
  report(error: unknown): void;
}

/** How bad the worst of a kind is: scores are low where it is severe. */
export function severityOf(worst: number | null): "severe" | "notable" | "slight" {
  if (worst === null) return "slight";
  return worst < 0.2 ? "severe" : worst < 0.5 ? "notable" : "slight";
}

/** Samples with one kind, the most severe first: what a click on the kind asks for. */
export async function showKind(hub: HubExports, panel: string, kind: string): Promise<void> {
  const clause = { type: "in" as const, column: "issues", values: [kind] };
  await Promise.all([
    hub.client.ask("filter", { source: ISSUES_SOURCE, clause }, { panel }),
    hub.client.ask("sort", { sort: { by: "issue", kind, descending: false } }, { panel }),
  ]);
}

export class IssuesPane {
  /** The order before the first kind was clicked: it comes back when the kind is left. */
  #before: Sort | null = null;
  /** Where each kind stands: the most frequent above when it was looked for, and then where it was, whatever is answered meanwhile. */
  #places = new Map<string, number>();
  readonly #started;
  readonly #asking;

  constructor(
    readonly hub: HubExports,
    readonly panel: string,
    readonly place: HTMLElement,
    readonly actions: IssueActions,
    signal: AbortSignal,
  ) {
    this.#started = hub.signals.signal<string | null>(null);
    this.#asking = hub.signals.signal(false);
    hub.dom.effectUntil(signal, () => {
      const state = hub.store.state.value;
      hub.lit.render(state ? this.#template(state) : hub.lit.nothing, place);
    });
    place.addEventListener("keydown", (event) => this.#key(event), { signal });
  }

  /** To the first kind, or to the button that looks for some. */
  focus(): void {
    const rows = this.place.querySelectorAll<HTMLElement>(".di-issue-kind");
    const pressed = [...rows].find((row) => row.getAttribute("aria-pressed") === "true");
    (pressed ?? rows[0] ?? this.place.querySelector<HTMLElement>(".di-find"))?.focus({ preventScroll: true });
  }

  #template(state: SessionState): TemplateResult {
    const { html, nothing, repeat } = this.hub.lit;
    const searched = state.issues ?? [];
    if (searched.length !== this.#places.size || searched.some(({ name }) => !this.#places.has(name)))
      this.#places = new Map(searched.map(({ name }, i) => [name, i]));
    const place = ({ name }: IssueCount): number => this.#places.get(name) ?? 0;
    const open = searched.filter(({ count }) => count > 0).sort((a, b) => place(a) - place(b));
    const clear = searched.filter(({ count }) => count === 0);
    const most = Math.max(1, ...open.map(({ count }) => count));
    return html`<div class="di-issues-scroll">
        ${searched.length === 0 ? this.#nothingYet(state) : nothing}
        ${searched.length > 0 && open.length === 0 ? html`<p class="di-issues-note">No issue is open.</p>` : nothing}
        ${
          open.length > 0
            ? html`<ul class="di-issue-kinds" aria-label="Open issues by kind">
                ${repeat(
                  open,
                  ({ name }) => name,
                  (kind) => this.#row(state, kind, most),
                )}
              </ul>`
            : nothing
        }
        ${
          clear.length > 0
            ? html`<p class="di-issues-note" title="Looked for, and none is open">
                None open: ${clear.map(({ name }) => kindName(name)).join(", ")}
              </p>`
            : nothing
        }
      </div>
      <div class="di-issues-foot">${this.#find()}</div>`;
  }

  #nothingYet(state: SessionState): TemplateResult {
    return this.hub.lit.html`<p class="di-issues-note">
      Nothing was looked for yet.
      ${
        state.sampleCount === 0
          ? "First the session needs samples."
          : "Find issues looks for wrong labels, near duplicates, leaks, outliers and bad pictures, and says why of each. It changes nothing."
      }
    </p>`;
  }

  #row(state: SessionState, { name, count, worst, cure }: IssueCount, most: number): TemplateResult {
    const { lit, dom } = this.hub;
    const pressed = filteredKind(state) === name;
    const said = kindName(name);
    const severity = severityOf(worst);
    const score = worst === null ? "" : `, worst score ${worst.toFixed(2)} (0 is the most severe)`;
    const counted = dom.formatCount(count);
    return lit.html`<li>
      <button
        type="button"
        class="di-issue-kind"
        data-kind=${name}
        data-severity=${severity}
        aria-pressed=${pressed}
        aria-label="${said}: ${counted} open${score}"
        title="${said}: ${counted} open${score}
${pressed ? "Click: show everything again." : "Click: only these, the most severe first."}"
        @click=${() => void this.#toggle(state, name, pressed)}
      >
        <span class="di-issue-name">${said}</span>
        <span class="di-issue-count">${counted}</span>
        <span class="di-issue-bar" aria-hidden="true"><i style="width:${Math.max(2, (100 * count) / most)}%"></i></span>
      </button>
      <button
        type="button"
        class="dataide-button di-issue-fix"
        aria-label="Fix: ${said}"
        title=${cure === undefined ? "One after the other, with reasons" : "One after the other, with what is proposed; or all that are sure enough"}
        @click=${() => this.actions.fix(name)}
      >
        Fix
      </button>
      ${
        pressed
          ? lit.html`<p class="di-issue-hint">${cure === undefined ? "" : "Y accepts the proposal, "}N: not an issue</p>`
          : lit.nothing
      }
    </li>`;
  }

  #find(): TemplateResult {
    const { store, lit } = this.hub;
    const started = this.#started.value;
    const running = this.#asking.value || store.jobs.value.some(({ id }) => id === started);
    const state = store.state.value;
    const off = state === null || state.sampleCount === 0 || store.connection.value === "lost";
    return lit.html`<button
        type="button"
        class="dataide-button di-find"
        title="Look for all kinds of issues among all samples; kinds for which nothing has changed are not computed again"
        ?disabled=${off}
        aria-disabled=${running}
        @click=${() => running || void this.#start()}
      >
        ${running ? "Looking…" : "Find issues"}</button
      ><button
        type="button"
        class="dataide-button dataide-quiet"
        title="Choose kinds, vectors and samples"
        ?disabled=${off}
        @click=${() => this.actions.choose()}
      >
        Choose…
      </button>`;
  }

  async #toggle(state: SessionState, kind: string, pressed: boolean): Promise<void> {
    const { hub, panel } = this;
    try {
      if (!pressed) {
        if (state.sort.by !== "issue") this.#before = state.sort;
        await showKind(hub, panel, kind);
        return;
      }
      const done: Promise<unknown>[] = [hub.client.ask("filter", { source: ISSUES_SOURCE, clause: null }, { panel })];
      // An order chosen meanwhile stays.
      if (state.sort.by === "issue") done.push(hub.client.ask("sort", { sort: this.#before ?? ARRIVAL }, { panel }));
      this.#before = null;
      await Promise.all(done);
    } catch (error) {
      this.actions.report(error);
    }
  }

  async #start(): Promise<void> {
    if (this.#asking.peek()) return;
    this.#asking.value = true;
    const { panel } = this;
    const ask = { kind: "issues", target: "all" as const, options: {}, uuid: newUuid(), panel };
    try {
      this.#started.value = (await this.hub.client.ask("startJob", ask, { panel })).body.job;
    } catch (error) {
      this.actions.report(error);
    } finally {
      this.#asking.value = false;
    }
  }

  /** Up and down go from kind to kind. */
  #key(event: KeyboardEvent): void {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (by === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    const rows = [...this.place.querySelectorAll<HTMLElement>(".di-issue-kind")];
    const at = rows.findIndex((row) => row.parentElement?.contains(document.activeElement));
    const next = rows[at < 0 ? 0 : Math.max(0, Math.min(rows.length - 1, at + by))];
    if (next === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    next.focus();
  }
}
