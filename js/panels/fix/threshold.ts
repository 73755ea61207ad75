/** Accepting all that is sure enough: a handle over the histogram, what would become what, and then doing it. */
import type { TemplateResult } from "lit-html";
import type { HubExports, KernelError } from "../../core/contract.js";
import { isAbort } from "../../core/panel.js";
import type { Answer, Target } from "../../core/protocol.js";
import type { IssueKind } from "../../core/protocol_issues.js";
import { kindName, nameOf } from "./words.js";

const FIRST = { confidence: 0.9, severity: 0.5 };
const KEEP_AFTER_MS = 400;
const STEP = 0.01;
const REPAIRS = { delete: "Objects deleted", move: "Objects moved", relabel: "Objects relabelled" };

type Preview = Answer<"issuePreview">;

export interface ThresholdOptions {
  panel: string;
  signal: AbortSignal;
  /** Where the preview opens. */
  root: HTMLElement;
  value: number | null;
  keep(value: number): void;
  done(): void;
}

export class Threshold {
  readonly #place: HTMLElement;
  readonly #dialog: HTMLElement;
  readonly #hub: HubExports;
  readonly #options: ThresholdOptions;
  #kind: IssueKind | null = null;
  #value: number | null;
  #preview: Preview | null = null;
  #previewed = ""; // kind, version and threshold that the preview is of
  #open = false;
  #before: Element | null = null;
  #keeping: ReturnType<typeof setTimeout> | undefined;

  constructor(place: HTMLElement, hub: HubExports, options: ThresholdOptions) {
    this.#place = place;
    this.#hub = hub;
    this.#options = options;
    this.#value = options.value;
    this.#dialog = document.createElement("div");
    this.#dialog.className = "dataide-fix-shade";
    this.#dialog.hidden = true;
    this.#dialog.addEventListener("click", (event) => event.target === this.#dialog && this.close());
    options.root.append(this.#dialog);
    options.signal.addEventListener("abort", () => clearTimeout(this.#keeping));
  }

  get isOpen(): boolean {
    return this.#open;
  }

  /** Another kind, or other data. */
  show(kind: IssueKind | null, stamp: string): void {
    if (kind?.kind !== this.#kind?.kind) {
      // A threshold is one of its kind: the choice that was kept is that of the first.
      if (this.#kind !== null) this.#value = null;
      this.#preview = null;
      this.close();
    }
    this.#kind = kind;
    if (kind !== null && kind.cure !== null && kind.open > 0) void this.#ask(stamp);
    this.draw();
  }

  #threshold(): number {
    return this.#value ?? FIRST[this.#preview?.by ?? "confidence"];
  }

  #bounds(): { minConfidence: number; maxScore: number } {
    const value = this.#threshold();
    return this.#preview?.by === "severity"
      ? { minConfidence: 0, maxScore: Number((1 - value).toFixed(4)) }
      : { minConfidence: value, maxScore: 1 };
  }

  async #ask(stamp: string): Promise<void> {
    const { panel, signal } = this.#options;
    const kind = this.#kind?.kind ?? "";
    const key = JSON.stringify([kind, stamp, this.#threshold()]);
    if (key === this.#previewed) return;
    this.#previewed = key;
    this.#stamp = stamp;
    try {
      const ask = { kind, ...this.#bounds() };
      const { body } = await this.#hub.client.ask("issuePreview", ask, { panel, signal });
      if (kind !== this.#kind?.kind) return;
      const first = this.#preview === null && body.by === "severity";
      this.#preview = body;
      // Which way the handle goes is known with the first answer only.
      if (first) void this.#ask(stamp);
    } catch (error) {
      if (isAbort(error) || signal.aborted) return;
      const { message, failure } = error as KernelError;
      const hint = failure?.hint ?? null;
      this.#hub.store.toast({ sentence: message, kind: "error", undoable: false, python: null, hint });
    }
    this.draw();
  }

  #stamp = "";

  #move(value: number): void {
    this.#value = value;
    clearTimeout(this.#keeping);
    this.#keeping = setTimeout(() => this.#options.keep(value), KEEP_AFTER_MS);
    void this.#ask(this.#stamp);
    this.draw();
  }

  /** Shows what accepting would change, before anything is done. */
  open(): void {
    if (this.#preview === null || this.#preview.count === 0) return;
    this.#open = true;
    this.#before = document.activeElement;
    this.draw();
    this.#dialog.querySelector<HTMLElement>("[data-confirm]")?.focus({ preventScroll: true });
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.draw();
    if (this.#before instanceof HTMLElement && this.#before.isConnected) this.#before.focus({ preventScroll: true });
  }

  #confirm(): void {
    const kind = this.#kind;
    if (kind === null) return;
    const target: Target = { type: "issues", kind: kind.kind, ...this.#bounds() };
    this.close();
    this.#options.done();
    void this.#hub.store.act("accept_proposals", { kind: kind.kind }, target);
  }

  draw(): void {
    const { render, nothing } = this.#hub.lit;
    const shown = this.#kind !== null && this.#kind.cure !== null && this.#kind.open > 0 && this.#preview !== null;
    this.#place.hidden = !shown;
    this.#dialog.hidden = !shown || !this.#open;
    render(shown ? this.#bar(this.#preview as Preview) : nothing, this.#place);
    render(
      shown && this.#open ? this.#asked(this.#preview as Preview, this.#kind as IssueKind) : nothing,
      this.#dialog,
    );
  }

  #bar(preview: Preview): TemplateResult {
    const { html } = this.#hub.lit;
    const { formatCount } = this.#hub.dom;
    const value = this.#threshold();
    const most = Math.max(...preview.bins, 1);
    const what = preview.by === "confidence" ? "Confidence" : "Severity";
    return html`<span class="dataide-fix-threshold-name">${what} from</span>
      <span class="dataide-fix-handle">
        <span class="dataide-fix-bins" aria-hidden="true">${preview.bins.map(
          (count, i) => html`<span ?data-inside=${(i + 0.5) / preview.bins.length >= value} title=${formatCount(count)}
              style=${`height:${count === 0 ? 0 : Math.max(6, 100 * Math.sqrt(count / most))}%`}></span>`,
        )}</span>
        <input class="dataide-range" type="range" min="0" max="1" step=${STEP} .value=${String(value)}
          aria-label=${`${what} at least`} aria-valuetext=${`${value.toFixed(2)}: ${formatCount(preview.count)} proposals`}
          @input=${(event: Event) => this.#move(Number((event.target as HTMLInputElement).value))} />
      </span>
      <output class="dataide-fix-value">${value.toFixed(2)}</output>
      <button type="button" class="dataide-button" ?disabled=${preview.count === 0} title="First shows what becomes what" @click=${() => this.open()}>
        Accept ${formatCount(preview.count)}…</button>`;
  }

  #asked(preview: Preview, kind: IssueKind): TemplateResult {
    const { html, nothing } = this.#hub.lit;
    const { formatCount } = this.#hub.dom;
    const value = this.#threshold().toFixed(2);
    const samples = preview.count === 1 ? "1 sample" : `${formatCount(preview.count)} samples`;
    const does = {
      label: `Relabels ${samples}`,
      excluded: `Leaves ${samples} out`,
      objects: `Repairs objects of ${samples}`,
    }[kind.cure ?? "label"];
    const rest = preview.count - preview.changes.reduce((sum, { count }) => sum + count, 0);
    return html`<div class="dataide-popover dataide-fix-preview" role="dialog" aria-modal="true" aria-label="What accepting changes">
      <h4>Accept ${kindName(kind.kind)} proposals with a ${preview.by} of ${value} or more?</h4>
      <p>${does}. It is one decision: Z takes it back.</p>
      <div class="dataide-fix-changes"><table><tbody>
        ${preview.repairs.map(
          ({ act, count }) =>
            html`<tr><td colspan="3">${REPAIRS[act]}</td><td class="dataide-fix-number">${formatCount(count)}</td></tr>`,
        )}
        ${preview.changes.map(
          ({ from, to, count }) => html`<tr><td>${nameOf(from)}</td><td aria-hidden="true">→</td>
            <td>${to === null && kind.cure === "excluded" ? "left out" : nameOf(to)}</td><td class="dataide-fix-number">${formatCount(count)}</td></tr>`,
        )}
        ${
          preview.more > 0
            ? html`<tr class="dataide-dim"><td colspan="3">${formatCount(preview.more)} other changes</td><td class="dataide-fix-number">${formatCount(rest)}</td></tr>`
            : nothing
        }
      </tbody></table></div>
      <div class="dataide-fix-preview-foot">
        <button type="button" class="dataide-button dataide-fix-confirm" data-confirm @click=${() => this.#confirm()}>Accept ${formatCount(preview.count)}</button>
        <button type="button" class="dataide-button" @click=${() => this.close()}>Cancel</button>
      </div>
    </div>`;
  }
}
