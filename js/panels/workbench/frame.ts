/** The frame of a workbench: three parts side by side, splitters between them, rails for folded ones, an edge to pull at. */
import type { Signal } from "@preact/signals-core";
import type { HubExports } from "../../core/contract.js";
import {
  type Choice,
  choiceOf,
  DEFAULT_CHOICE,
  DEFAULT_HEIGHT_PX,
  dragged,
  fittedHeight,
  folded,
  heightOf,
  LEAST_HEIGHT_PX,
  layout,
  movable,
  PARTS,
  type Part,
} from "./layout.js";

const KEY_STEP_PX = 16;
const TITLES: Record<Part, string> = { facets: "Facets", scatter: "Plot", grid: "Pictures" };
/** JupyterLab's "Create New View for Output": a tab of its own, which the workbench then fills. */
const OWN_TAB = ".jp-LinkedOutputView";
/** What scrolls in JupyterLab and in the classic notebook. */
const NOTEBOOK = ".jp-WindowedPanel-outer, .jp-Notebook";

export type Keep = (name: string, value: string | number | boolean | null) => void;

export class Frame {
  readonly body = element("div", "di-body");
  readonly edge = element("div", "di-edge");
  readonly slots: Record<Part, HTMLElement>;
  readonly #sections: Record<Part, HTMLElement>;
  readonly #rails: Record<Part, HTMLButtonElement>;
  readonly #splitters: Record<"facets" | "grid", HTMLElement>;
  readonly #choice: Signal<Choice>;
  readonly #size: Signal<{ width: number; height: number }>;
  readonly #height: Signal<number>;
  #notebook: HTMLElement | null = null;
  #fitted = false; // nobody chose a height

  constructor(
    readonly hub: HubExports,
    readonly root: HTMLElement,
    readonly keep: Keep,
    readonly signal: AbortSignal,
  ) {
    this.#choice = hub.signals.signal(DEFAULT_CHOICE);
    this.#size = hub.signals.signal({ width: root.clientWidth || 1100, height: 500 });
    this.#height = hub.signals.signal(heightOf({}));
    this.#sections = each((part) => this.#section(part));
    this.slots = each((part) => this.#sections[part].querySelector<HTMLElement>(".di-slot") as HTMLElement);
    this.#rails = each(
      (part) => this.#sections[part].querySelector<HTMLButtonElement>(".di-rail") as HTMLButtonElement,
    );
    this.#splitters = { facets: this.#splitter("facets"), grid: this.#splitter("grid") };
    const { facets, scatter, grid } = this.#sections;
    this.body.append(facets, this.#splitters.facets, scatter, this.#splitters.grid, grid);
    this.#pullable();
    hub.dom.onResize(this.body, (width, height) => this.#measured(width, height), signal);
    hub.dom.effectUntil(signal, () => this.#apply());
    // Not `height` itself: ipywidgets' layout belongs to this element and takes that away when it arrives.
    hub.dom.effectUntil(signal, () => root.style.setProperty("--dataide-frame-height", `${this.#height.value}px`));
  }

  configure(config: Record<string, unknown>): void {
    this.#choice.value = choiceOf(config);
    // A workbench in a tab of its own has the tab's height, whatever was chosen in the notebook.
    if (this.root.classList.contains("di-fills")) return;
    this.#height.value = heightOf(config);
    this.#fitted = this.#height.value === DEFAULT_HEIGHT_PX;
    this.#fit();
  }

  #fit(): void {
    const seen = this.#notebook?.clientHeight ?? 0;
    if (this.#fitted && seen > 0) this.#height.value = fittedHeight(seen);
  }

  #measured(width: number, height: number): void {
    if (width > 0) this.#size.value = { width, height };
    // Only now is it in the page.
    if (!this.#notebook) {
      this.#notebook = this.root.closest<HTMLElement>(NOTEBOOK);
      if (this.#notebook) this.hub.dom.onResize(this.#notebook, () => this.#fit(), this.signal);
      this.#fit();
    }
    const tab = this.root.closest<HTMLElement>(OWN_TAB);
    if (!tab || this.root.classList.contains("di-fills")) return;
    this.root.classList.add("di-fills");
    this.#fitted = false;
    const fill = () => {
      // What stands above the workbench in its tab, and as much below it.
      const above = this.root.getBoundingClientRect().top - tab.getBoundingClientRect().top + tab.scrollTop;
      const height = tab.clientHeight - 2 * Math.max(0, Math.min(above, 24));
      if (height > LEAST_HEIGHT_PX) this.#height.value = height;
    };
    this.hub.dom.onResize(tab, fill, this.signal);
  }

  #apply(): void {
    const { width, height } = this.#size.value;
    const now = layout(this.#choice.value, width, height);
    const can = movable(now.folded);
    this.root.classList.toggle("di-stacked", now.kind === "stack");
    this.root.style.setProperty("--di-facets", now.kind === "row" ? `${now.size.facets}px` : "0px");
    // What stands over the lower corner of the plot is above the pictures then.
    this.root.style.setProperty("--di-below", now.kind === "stack" ? `${now.size.grid}px` : "0px");
    for (const part of PARTS) {
      this.#sections[part].style.flexBasis = `${now.size[part]}px`;
      this.#sections[part].classList.toggle("di-folded", now.folded[part]);
      this.#rails[part].hidden = !now.folded[part];
      this.slots[part].hidden = now.folded[part];
    }
    for (const name of ["facets", "grid"] as const) {
      const splitter = this.#splitters[name];
      splitter.classList.toggle("di-fixed", !can[name] || now.kind === "stack");
      splitter.tabIndex = can[name] && now.kind === "row" ? 0 : -1;
      splitter.setAttribute("aria-valuenow", String(Math.round((now.size[name] / Math.max(1, width)) * 100)));
    }
    for (const button of this.body.querySelectorAll<HTMLElement>(".di-fold-part")) {
      button.hidden = now.folded[button.dataset.part as Part];
    }
  }

  #section(part: Part): HTMLElement {
    const section = element("section", "di-part");
    section.dataset.part = part;
    const rail = element("button", "di-rail") as HTMLButtonElement;
    rail.type = "button";
    rail.hidden = true;
    rail.setAttribute("aria-expanded", "false");
    rail.setAttribute("aria-label", `Show ${TITLES[part].toLowerCase()}`);
    const title = element("span", "di-rail-title");
    title.textContent = TITLES[part];
    rail.append(title);
    rail.addEventListener("click", () => this.#show(part, true), { signal: this.signal });
    section.append(rail, element("div", "di-slot"));
    return section;
  }

  #splitter(name: "facets" | "grid"): HTMLElement {
    const { signal } = this;
    const splitter = element("div", "di-splitter");
    splitter.setAttribute("role", "separator");
    splitter.setAttribute("aria-orientation", "vertical");
    splitter.setAttribute("aria-label", `Width of ${TITLES[name].toLowerCase()}`);
    splitter.setAttribute("aria-valuemin", "0");
    splitter.setAttribute("aria-valuemax", "100");
    const beside: readonly (readonly [Part, string])[] =
      name === "facets"
        ? [["facets", "‹"]]
        : [
            ["scatter", "‹"],
            ["grid", "›"],
          ];
    const folds = element("span", "di-folds");
    for (const [part, arrow] of beside) folds.append(this.#foldButton(part, arrow));
    splitter.append(folds);
    splitter.addEventListener("pointerdown", (event) => this.#drag(event, name, splitter), { signal });
    splitter.addEventListener("dblclick", () => this.#reset(name), { signal });
    splitter.addEventListener("keydown", (event) => this.#nudge(event, name, splitter), { signal });
    return splitter;
  }

  #foldButton(part: Part, arrow: string): HTMLElement {
    const button = element("button", "di-fold-part") as HTMLButtonElement;
    button.type = "button";
    button.dataset.part = part;
    button.textContent = arrow;
    button.title = `Fold ${TITLES[part].toLowerCase()}`;
    button.setAttribute("aria-label", button.title);
    button.addEventListener("pointerdown", (event) => event.stopPropagation(), { signal: this.signal });
    button.addEventListener("click", () => this.#show(part, false), { signal: this.signal });
    return button;
  }

  /** Opens a part that is folded. */
  open(part: Part): void {
    if (this.slots[part].hidden) this.#show(part, true);
  }

  #show(part: Part, on: boolean): void {
    const choice = this.#choice.value;
    const next = { ...choice, shown: { ...choice.shown, [part]: on } };
    const { width } = this.#size.value;
    // The last open part stays open.
    if (!on && PARTS.every((other) => other === part || folded(choice, width)[other])) return;
    this.#choice.value = next;
    this.keep(`show_${part}`, on);
    (on ? this.slots[part] : this.#rails[part]).focus?.({ preventScroll: true });
  }

  #drag(event: PointerEvent, name: "facets" | "grid", splitter: HTMLElement): void {
    if (event.button !== 0 || splitter.classList.contains("di-fixed")) return;
    event.preventDefault();
    splitter.focus({ preventScroll: true });
    splitter.setPointerCapture(event.pointerId);
    splitter.classList.add("di-dragging");
    const over = new AbortController();
    const until = { signal: AbortSignal.any([over.signal, this.signal]) };
    const end = () => {
      over.abort();
      splitter.classList.remove("di-dragging");
      this.#keepWidths(name);
    };
    splitter.addEventListener("pointermove", (move) => this.#moveTo(name, move.clientX), until);
    splitter.addEventListener("pointerup", end, until);
    splitter.addEventListener("pointercancel", end, until);
  }

  #moveTo(name: "facets" | "grid", clientX: number): void {
    const x = clientX - this.body.getBoundingClientRect().left;
    this.#choice.value = dragged(this.#choice.value, this.#size.value.width, name, x);
  }

  #nudge(event: KeyboardEvent, name: "facets" | "grid", splitter: HTMLElement): void {
    const by = { ArrowLeft: -KEY_STEP_PX, ArrowRight: KEY_STEP_PX }[event.key];
    if (by === undefined || event.target !== splitter) return;
    event.preventDefault();
    event.stopPropagation();
    this.#moveTo(name, splitter.getBoundingClientRect().left + by);
    this.#keepWidths(name);
  }

  #reset(name: "facets" | "grid"): void {
    const { facetsPx, gridShare } = DEFAULT_CHOICE;
    this.#choice.value = { ...this.#choice.value, ...(name === "facets" ? { facetsPx } : { gridShare }) };
    this.#keepWidths(name);
  }

  #keepWidths(name: "facets" | "grid"): void {
    const choice = this.#choice.value;
    if (name === "facets") this.keep("facets_px", choice.facetsPx);
    else this.keep("grid_share", choice.gridShare);
  }

  /** The lower edge: pull for a higher workbench, or arrow keys. */
  #pullable(): void {
    const { edge, signal } = this;
    edge.tabIndex = 0;
    edge.setAttribute("role", "separator");
    edge.setAttribute("aria-orientation", "horizontal");
    edge.setAttribute("aria-label", "Height of the workbench");
    const set = (height: number) => {
      this.#fitted = false;
      this.#height.value = Math.round(Math.max(LEAST_HEIGHT_PX, height));
    };
    const down = (event: PointerEvent) => {
      if (event.button !== 0) return;
      event.preventDefault();
      edge.setPointerCapture(event.pointerId);
      const over = new AbortController();
      const from = event.clientY - this.root.getBoundingClientRect().height;
      const until = { signal: AbortSignal.any([over.signal, signal]) };
      const end = () => {
        over.abort();
        this.keep("height_px", this.#height.value);
      };
      edge.addEventListener("pointermove", (move) => set(move.clientY - from), until);
      edge.addEventListener("pointerup", end, until);
      edge.addEventListener("pointercancel", end, until);
    };
    const key = (event: KeyboardEvent) => {
      const by = { ArrowUp: -KEY_STEP_PX, ArrowDown: KEY_STEP_PX }[event.key];
      if (by === undefined) return;
      event.preventDefault();
      event.stopPropagation();
      set(this.#height.value + by);
      this.keep("height_px", this.#height.value);
    };
    edge.addEventListener("pointerdown", down, { signal });
    edge.addEventListener("keydown", key, { signal });
  }
}

function element(tag: string, name: string): HTMLElement {
  const made = document.createElement(tag);
  made.className = name;
  return made;
}

function each<T>(make: (part: Part) => T): Record<Part, T> {
  return { facets: make("facets"), scatter: make("scatter"), grid: make("grid") };
}
