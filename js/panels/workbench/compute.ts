/** The form behind Compute: what to compute, with which choices, on what. The kernel says what is possible, and checks all of it. */
import type { Signal } from "@preact/signals-core";
import type { TemplateResult } from "lit-html";
import type { HubExports, KernelError } from "../../core/contract.js";
import type { Answer, Failure, JobTarget, StartField, StartKind, StartOptions } from "../../core/protocol.js";
import { newUuid } from "../../core/uuid.js";

type Startable = Answer<"startable">;

const TARGETS: Record<JobTarget, string> = {
  all: "everything",
  filter: "what passes the filter",
  selection: "the selection",
};

/** What a form begins with: the selection is what somebody has in mind, else what is in sight. Maps and issues are of everything. */
export function firstTarget(targets: Startable["targets"], kind: string | null): JobTarget {
  return (kind === "map" || kind === "issues" ? null : targets.at(-1)?.target) ?? "all";
}

/** What was filled in, as the kernel reads it; or what is wrong with a number that is none. */
export function optionsOf(kind: StartKind, values: ReadonlyMap<string, string>): StartOptions | Failure {
  const options: Record<string, string | number> = {};
  for (const { name, label, kind: type, value: first } of kind.fields) {
    const value = (values.get(name) ?? first).trim();
    options[name] = value;
    if (type !== "number") continue;
    // Half the world writes 0,5.
    const number = value === "" ? Number.NaN : Number(value.replace(",", "."));
    if (!Number.isFinite(number)) {
      const message = value === "" ? `${label} is empty.` : `${label}: '${value}' is no number.`;
      return { code: "wrong_field", message, hint: "Type a number, such as 2 or 0.5.", field: name };
    }
    options[name] = number;
  }
  return options;
}

interface Form {
  startable: Startable;
  kind: string | null;
  target: JobTarget | null; // null: nobody has chosen yet
  values: Map<string, string>;
  failure: Failure | null;
  starting: boolean;
}

const targetOf = ({ target, startable, kind }: Form): JobTarget => target ?? firstTarget(startable.targets, kind);

export class Compute {
  readonly #form: Signal<Form | null>;
  readonly #place = document.createElement("div");
  /** Another one with each attempt that changes something, so that an attempt which is sent twice starts one job. */
  #uuid = "";
  #asking = false;
  #before: Element | null = null;

  constructor(
    readonly hub: HubExports,
    readonly panel: string,
    readonly button: HTMLElement,
    readonly over: HTMLElement,
    readonly signal: AbortSignal,
  ) {
    this.#form = hub.signals.signal<Form | null>(null);
    this.#place.className = "di-compute-place";
    over.append(this.#place);
    hub.dom.effectUntil(signal, () => this.#drawButton());
    hub.dom.effectUntil(signal, () => {
      const form = this.#form.value;
      hub.lit.render(form ? this.#template(form) : hub.lit.nothing, this.#place);
    });
    const outside = (event: Event) => {
      const target = event.target as Node;
      if (this.open && !this.#place.contains(target) && !this.button.contains(target)) this.close(false);
    };
    document.addEventListener("pointerdown", outside, { capture: true, signal });
  }

  get open(): boolean {
    return this.#form.value !== null;
  }

  toggle(): void {
    if (this.open) this.close();
    else void this.show();
  }

  /** Asks what is possible, and opens with the answer, so that nothing moves once it is there. */
  async show(kind?: string): Promise<void> {
    if (this.#asking || this.open) return;
    this.#asking = true;
    this.#before = document.activeElement;
    try {
      const { body } = await this.hub.client.ask("startable", {}, { panel: this.panel, signal: this.signal });
      this.#uuid = newUuid();
      this.#form.value = {
        startable: body,
        kind: body.kinds.find((one) => one.kind === kind)?.kind ?? body.suggested ?? body.kinds[0]?.kind ?? null,
        target: null,
        values: new Map(),
        failure: null,
        starting: false,
      };
      // A kernel may be slow to answer: whoever types elsewhere by now is left alone.
      const now = document.activeElement;
      if (now !== this.#before && now !== document.body) return;
      const form = this.#place.querySelector<HTMLElement>(".di-compute");
      (form?.querySelector<HTMLElement>("input:checked") ?? form)?.focus({ preventScroll: true });
    } catch (error) {
      const failure = failureOf(error);
      if (failure) this.#toast(failure);
    } finally {
      this.#asking = false;
    }
  }

  /** The focus goes back to where it was, unless it is somewhere else already. */
  close(focus = true): void {
    if (!this.open) return;
    this.#form.value = null;
    if (!focus) return;
    const before = this.#before;
    const back = before instanceof HTMLElement && before.isConnected && before !== document.body ? before : null;
    (back ?? this.button.querySelector("button"))?.focus({ preventScroll: true });
  }

  #drawButton(): void {
    const { hub } = this;
    const off = hub.store.state.value === null || hub.store.connection.value === "lost";
    hub.lit.render(
      hub.lit.html`<button
        type="button"
        class="dataide-button di-compute-open"
        aria-haspopup="dialog"
        aria-expanded=${this.open}
        aria-keyshortcuts="M"
        title="Compute vectors, maps, attributes and predictions (M)"
        ?disabled=${off}
        @click=${() => this.toggle()}
      >
        Compute<kbd aria-hidden="true">M</kbd>
      </button>`,
      this.button,
    );
  }

  #change(part: Partial<Form>): void {
    const form = this.#form.value;
    if (!form) return;
    this.#uuid = newUuid();
    this.#form.value = { ...form, failure: null, ...part };
  }

  #template(form: Form): TemplateResult {
    const { html, nothing } = this.hub.lit;
    const { startable, failure } = form;
    const kind = startable.kinds.find((one) => one.kind === form.kind);
    const target = targetOf(form);
    const general = failure && !failure.field ? failure : null;
    return html`<div
      class="dataide-popover di-compute"
      role="dialog"
      aria-label="Compute"
      tabindex="-1"
      @keydown=${(event: KeyboardEvent) => this.#key(event)}
      @focusout=${(event: FocusEvent) => this.#left(event)}
    >
      <form
        @submit=${(event: Event) => {
          event.preventDefault();
          void this.#start();
        }}
      >
        ${
          kind
            ? html`<fieldset>
                <legend>Compute</legend>
                ${startable.kinds.map((one) => this.#kind(one, one === kind))}
                ${this.#failed(failure, "kind")}
              </fieldset>
              <div class="di-compute-fields">${kind.fields.map((field) => this.#field(form, field))}</div>
              <fieldset class="di-compute-on">
                <legend>On</legend>
                ${startable.targets.map((one) => this.#target(one, one.target === target))}
                ${this.#failed(failure, "target")}
              </fieldset>`
            : html`<p class="di-compute-note">${startable.note ?? "Nothing can be computed here."}</p>`
        }
        ${general ? this.#said(general) : nothing}
        <div class="di-compute-foot">
          <button type="button" class="dataide-button" @click=${() => this.close()}>${kind ? "Cancel" : "Close"}</button>
          ${
            kind
              ? html`<button type="submit" class="dataide-button di-compute-go" aria-disabled=${form.starting}>Start</button>`
              : nothing
          }
        </div>
      </form>
    </div>`;
  }

  #kind(one: StartKind, chosen: boolean): TemplateResult {
    return this.hub.lit.html`<label class="di-compute-kind"
      ><input
        type="radio"
        name="${this.panel}-kind"
        .checked=${chosen}
        @change=${() => this.#change({ kind: one.kind, values: new Map() })}
      /><span class="di-compute-title">${one.title}</span><span class="di-compute-about">${one.about}</span></label
    >`;
  }

  #target({ target, count }: Startable["targets"][number], chosen: boolean): TemplateResult {
    const { lit, dom } = this.hub;
    return lit.html`<label class="di-compute-target"
      ><input
        type="radio"
        name="${this.panel}-target"
        .checked=${chosen}
        @change=${() => this.#change({ target })}
      /><span>${TARGETS[target]}</span><span class="di-compute-about">${dom.formatCount(count)}</span></label
    >`;
  }

  #field(form: Form, field: StartField): TemplateResult {
    const { html, nothing } = this.hub.lit;
    const id = this.#id(field.name);
    const wrong = form.failure?.field === field.name;
    const value = form.values.get(field.name) ?? field.value;
    const set = (event: Event) => {
      const { value } = event.target as HTMLInputElement | HTMLSelectElement;
      this.#change({ values: new Map(form.values).set(field.name, value) });
    };
    const about = `${id}-about${wrong ? ` ${id}-error` : ""}`;
    const control =
      field.kind === "choice"
        ? html`<select class="dataide-select" id=${id} aria-invalid=${wrong} aria-describedby=${about} @change=${set}>
            ${field.choices.map(
              // The property: an option that was chosen once by hand does not follow its attribute any more.
              (one) => html`<option value=${one.value} .selected=${one.value === value}>${one.text}</option>`,
            )}
          </select>`
        : html`<input
              class="dataide-input"
              id=${id}
              type="text"
              inputmode=${field.kind === "number" ? "decimal" : "text"}
              autocomplete="off"
              autocapitalize="off"
              spellcheck="false"
              list=${field.choices.length > 0 ? `${id}-list` : nothing}
              aria-invalid=${wrong}
              aria-describedby=${about}
              .value=${value}
              @input=${set}
              @focus=${(event: Event) => (event.target as HTMLInputElement).select() /* completion begins with nothing */}
            />${
              field.choices.length > 0
                ? html`<datalist id="${id}-list">${field.choices.map((one) => html`<option value=${one.value}></option>`)}</datalist>`
                : nothing
            }`;
    return html`<label for=${id}>${field.label}</label>
      <div class="di-compute-control">${control}<span class="di-compute-about" id="${id}-about">${field.hint ?? ""}</span></div>
      ${this.#failed(form.failure, field.name)}`;
  }

  #failed(failure: Failure | null, field: string): TemplateResult | typeof this.hub.lit.nothing {
    return failure?.field === field ? this.#said(failure) : this.hub.lit.nothing;
  }

  #said({ message, hint, field }: Failure): TemplateResult {
    return this.hub.lit.html`<p class="di-compute-error" role="alert" id="${this.#id(field ?? "form")}-error">
      ${message}${hint ? ` ${hint}` : ""}
    </p>`;
  }

  #id(name: string): string {
    return `${this.panel}-compute-${name}`;
  }

  #key(event: KeyboardEvent): void {
    // Letters in here are no keys of the workbench.
    event.stopPropagation();
    if (event.key !== "Escape") return;
    event.preventDefault();
    this.close();
  }

  /** Whoever tabs out of the form has left it; a press of the mouse elsewhere is told by the document. */
  #left({ relatedTarget }: FocusEvent): void {
    if (!(relatedTarget instanceof Node)) return;
    if (!this.#place.contains(relatedTarget) && !this.button.contains(relatedTarget)) this.close(false);
  }

  async #start(): Promise<void> {
    const form = this.#form.value;
    const kind = form?.startable.kinds.find((one) => one.kind === form.kind);
    if (!form || !kind || form.starting) return;
    const options = optionsOf(kind, form.values);
    if ("code" in options) return this.#refused(form, options);
    this.#form.value = { ...form, starting: true, failure: null };
    // It may be closed meanwhile, and opened again: then what stands there now is another one.
    const now = () => (this.#form.value?.startable === form.startable ? this.#form.value : null);
    try {
      const ask = { kind: kind.kind, target: targetOf(form), options, uuid: this.#uuid, panel: this.panel };
      await this.hub.client.ask("startJob", ask, { panel: this.panel });
      if (now()) this.close();
    } catch (error) {
      const [failure, open] = [failureOf(error), now()];
      if (open) this.#refused(open, failure);
      else if (failure) this.#toast(failure);
    }
  }

  #refused(form: Form, failure: Failure | null): void {
    this.#form.value = { ...form, starting: false, failure };
    if (failure?.field) document.getElementById(this.#id(failure.field))?.focus();
  }

  #toast({ message: sentence, hint }: Failure): void {
    this.hub.store.toast({ sentence, kind: "error", undoable: false, python: null, hint });
  }
}

function failureOf(error: unknown): Failure | null {
  if (error instanceof DOMException && error.name === "AbortError") return null;
  return (error as Partial<KernelError>).failure ?? { code: "internal", message: String(error), hint: null };
}
