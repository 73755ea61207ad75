/** One sample: the picture, what is known about it, and what was decided. The panel and the grid's drawer both show it. */
import type { HubExports, KernelError, Reply } from "../contract.js";
import { InspectedObjects } from "../objects/inspected.js";
import type { Objects } from "../objects/layer.js";
import { OBJECT_KEYS } from "../objects/object_keys.js";
import { isAbort } from "../panel.js";
import type { Answer } from "../protocol.js";
import { drawFacts } from "./facts.js";
import { ZoomedPicture } from "./zoom.js";

const PICTURE_PX = 2048;
// After a decision only the facts are new. There is no way to ask without the picture, so the smallest one is asked and thrown away.
const FACTS_ONLY_PX = 32;

export interface InspectorOptions {
  panelId: string;
  signal: AbortSignal;
  /** What to show at first, and its answer when that came with the widget. */
  no?: number | null;
  boot?: Reply<"inspect"> | null;
  /** Present where the inspector can be closed. */
  close?: () => void;
}

type Sample = Answer<"inspect">;

export class Inspector {
  readonly #root: HTMLElement;
  readonly #hub: HubExports;
  readonly #options: InspectorOptions;
  readonly #header: HTMLElement;
  readonly #message: HTMLElement;
  readonly #facts: HTMLElement;
  readonly #picture: ZoomedPicture;
  readonly #objects: InspectedObjects;
  #no: number | null;
  #sample: Sample | null = null;
  #error: { message: string; hint: string | null } | null = null;
  #url: string | null = null;
  #search = "";
  #rev = 0;

  constructor(root: HTMLElement, hub: HubExports, layer: Objects, options: InspectorOptions) {
    this.#root = root;
    this.#hub = hub;
    this.#options = options;
    this.#no = options.no ?? hub.store.inspected.peek();
    const { signal } = options;
    const part = (name: string, parent: HTMLElement): HTMLElement => {
      const element = document.createElement("div");
      element.className = name;
      parent.append(element);
      return element;
    };
    root.tabIndex = -1;
    this.#header = part("dataide-toolbar dataide-inspector-head", root);
    const body = part("dataide-inspector-body", root);
    const left = part("dataide-inspector-left", body);
    const frame = part("dataide-inspector-frame", left);
    const below = part("dataide-objects", left);
    this.#facts = part("dataide-inspector-facts", body);
    this.#picture = new ZoomedPicture(frame, signal);
    this.#message = part("dataide-inspector-message", frame);
    this.#objects = new InspectedObjects(hub, layer, this.#picture, {
      root,
      frame,
      below,
      panelId: options.panelId,
      signal,
    });
    hub.dom.onResize(frame, () => this.#picture.resized(), signal);
    hub.keyboard.attach(root, (event) => this.#key(event), signal, { keys: KEYS, target: this.target });
    signal.addEventListener("abort", () => this.#setUrl(null));
    this.#follow(signal);
  }

  target = (): { type: "samples"; nos: number[] } | null =>
    this.#no === null ? null : { type: "samples", nos: [this.#no] };

  #follow(signal: AbortSignal): void {
    const { store, dom } = this.#hub;
    const boot = this.#options.boot ?? null;
    if (boot !== null) this.#take(boot, true);
    this.#draw();
    let first = true;
    dom.effectUntil(signal, () => {
      const inspected = store.inspected.value;
      const rev = store.state.value?.rev ?? 0;
      const next = first && this.#no !== null ? this.#no : inspected;
      first = false;
      // A panel of its own goes on showing its sample when an inspector elsewhere is closed.
      const no = next ?? (this.#options.close === undefined ? this.#no : null);
      const moved = no !== this.#no || (this.#sample === null && no !== null);
      this.#no = no;
      if (no === null) {
        this.#sample = null;
        this.#setUrl(null);
        this.#draw();
      } else if (moved || rev > this.#rev) {
        this.#rev = Math.max(rev, this.#rev);
        void this.#ask(no, moved);
      }
    });
    dom.effectUntil(signal, () => {
      // Names that completion and digits offer, and whether there is a grid to step through.
      store.step.value;
      this.#draw();
    });
  }

  async #ask(no: number, picture: boolean): Promise<void> {
    const { client } = this.#hub;
    const { panelId: panel, signal } = this.#options;
    try {
      const px = picture ? PICTURE_PX : FACTS_ONLY_PX;
      // Facts and pictures go in lanes of their own, or a refresh would replace the picture still on its way.
      const lane = picture ? panel : `${panel}-facts`;
      const reply = await client.ask("inspect", { no, px }, { panel: lane, signal });
      if (reply.body.no === this.#no) this.#take(reply, picture);
    } catch (error) {
      if (isAbort(error) || signal.aborted) return;
      const { message, failure } = error as KernelError;
      this.#error = { message, hint: failure?.hint ?? null };
    }
    this.#draw();
  }

  #take({ body, buffers, rev }: Reply<"inspect">, picture: boolean): void {
    this.#sample = body;
    this.#error = null;
    this.#rev = Math.max(this.#rev, rev);
    const bytes = buffers[0];
    if (!picture) return;
    const { mime } = body.picture ?? { mime: "" };
    const blob = (view: DataView): Blob =>
      new Blob([new Uint8Array(view.buffer as ArrayBuffer, view.byteOffset, view.byteLength)], { type: mime });
    this.#setUrl(body.picture === null || bytes === undefined ? null : URL.createObjectURL(blob(bytes)));
  }

  #setUrl(url: string | null): void {
    if (this.#url !== null) URL.revokeObjectURL(this.#url);
    this.#url = url;
    this.#picture.show(url, this.#sample?.id ?? "");
  }

  #step(by: number): void {
    const { store } = this.#hub;
    const step = store.step.peek();
    if (step !== null) {
      if (store.inspected.peek() === null) store.inspected.value = this.#no;
      step(by);
      return;
    }
    const next = (this.#no ?? 0) + by;
    if (next >= 0 && next < (store.state.peek()?.sampleCount ?? 0)) store.inspected.value = next;
  }

  #key(event: KeyboardEvent): boolean {
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    if (this.#objects.key(event)) return true;
    const { close } = this.#options;
    const keys: Record<string, (() => void) | undefined> = {
      ArrowLeft: () => this.#step(-1),
      ArrowRight: () => this.#step(1),
      "+": () => this.#picture.zoom(1.5),
      "=": () => this.#picture.zoom(1.5),
      "-": () => this.#picture.zoom(1 / 1.5),
      f: () => this.#picture.fit(),
      Escape: this.#root.querySelector("[role=dialog]") === null ? close : undefined,
    };
    const run = keys[event.key];
    run?.();
    return run !== undefined;
  }

  #draw(): void {
    const { lit, store } = this.#hub;
    const { html, render, nothing } = lit;
    const sample = this.#sample;
    const { close } = this.#options;
    const none = this.#no === null;
    const arrow = (name: string, sign: string, by: number) => html`
      <button class="dataide-button dataide-icon dataide-quiet" aria-label=${name} title=${`${name} (${by < 0 ? "←" : "→"})`}
        ?disabled=${none} @click=${() => this.#step(by)}>${sign}</button>`;
    render(
      html`${arrow("Previous sample", "‹", -1)}${arrow("Next sample", "›", 1)}
        <span class="dataide-inspector-id" title=${sample?.id ?? ""}>${sample?.id ?? ""}</span>
        ${sample?.picture ? html`<span class="dataide-dim">${sample.picture.widthPx} × ${sample.picture.heightPx}</span>` : nothing}
        <button class="dataide-button dataide-quiet" ?disabled=${this.#url === null} title="Whole picture (F)" @click=${() => this.#picture.fit()}>Fit</button>
        ${close ? html`<button class="dataide-button dataide-icon dataide-quiet" aria-label="Close inspector" title="Close (Esc)" @click=${close}>×</button>` : nothing}`,
      this.#header,
    );
    const problem = this.#error?.message ?? sample?.problem ?? null;
    this.#message.hidden = problem === null && !none;
    render(
      none
        ? html`<div>Nothing to inspect: focus a tile and press <kbd>Enter</kbd>.</div>`
        : html`<div class="dataide-error">${problem}</div>${this.#error?.hint ? html`<div>${this.#error.hint}</div>` : nothing}`,
      this.#message,
    );
    const { picture } = sample ?? { picture: null };
    this.#objects.show(
      this.#no,
      picture && sample?.no === this.#no ? { width: picture.widthPx, height: picture.heightPx } : null,
    );
    this.#facts.hidden = sample === null;
    drawFacts(this.#facts, this.#hub, sample, this.#search, {
      search: (text) => {
        this.#search = text;
        this.#draw();
      },
      untag: (tag) => {
        if (this.#no !== null) void store.act("untag", { tag }, { type: "samples", nos: [this.#no] });
      },
    });
  }
}

export const KEYS: readonly (readonly [string, string])[] = [
  ["← →", "Previous, next sample"],
  ["+ −", "Zoom"],
  ["F", "Whole picture"],
  ...OBJECT_KEYS,
];
