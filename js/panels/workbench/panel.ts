/** The workbench itself: its bars, its children, its keys, and what it says when there is nothing to show. */
import type { AnyModel, Host } from "@anywidget/types";
import type { Signal } from "@preact/signals-core";
import type { TemplateResult } from "lit-html";
import type { HubExports, PanelModel } from "../../core/contract.js";
import { countWhileInSight } from "../../core/panel.js";
import type { EndedJob, SessionState, Sort } from "../../core/protocol.js";
import { armedControl } from "./armed.js";
import { chips } from "./chips.js";
import { Compute } from "./compute.js";
import { colorControl, sortControl } from "./controls.js";
import { FilterBox } from "./filterbox.js";
import { FixDrawer } from "./fix.js";
import { Frame } from "./frame.js";
import { IssuesPane } from "./issues.js";
import { endedStrip, jobStrip } from "./jobs.js";
import { PARTS, type Part } from "./layout.js";
import { Left, type Tab, tabOf } from "./left.js";

export interface WorkbenchModel extends PanelModel {
  facets: string;
  scatter: string;
  grid: string;
  inspector: string;
  fix?: string | null; // once somebody has opened it
}

const KEYS = [
  ["/", "Filter box"],
  ["M", "Compute: vectors, maps, attributes, issues"],
  ["I", "Issues by kind; again: facets"],
  ["Drag", "Lasso in the plot, box in the pictures, range in a histogram"],
  ["Shift, Alt", "With a lasso: add, take away"],
  ["Wheel", "Zoom the plot; Space + drag moves it"],
  ["B, P, C", "In the plot: box, pan, centre"],
  ["Arrows", "Move in the pictures; Shift extends"],
  ["Space", "Toggle the picture or the value"],
  ["+ −", "Larger and smaller pictures"],
  ["Alt click", "Leave a value of a facet out"],
] as const;

export class Workbench {
  readonly #panel: string;
  readonly #frame: Frame;
  readonly #color: Signal<string | null>;
  readonly #top = division("di-top");
  readonly #drawer = Object.assign(division("di-drawer"), { hidden: true });
  readonly #jobs = Object.assign(division("di-jobs"), { hidden: true });
  readonly #ended = Object.assign(division("di-jobs"), { hidden: true });
  readonly #extra = division("di-extra");
  readonly #left: Left;
  readonly #fix: FixDrawer;
  #issues: IssuesPane | null = null;
  #compute: Compute | null = null;
  #filterBox: FilterBox | null = null;
  #scatterId = "";

  constructor(
    readonly hub: HubExports,
    readonly host: Host,
    readonly model: AnyModel<WorkbenchModel>,
    readonly root: HTMLElement,
    readonly signal: AbortSignal,
  ) {
    this.#panel = model.get("panel_id");
    this.#color = hub.signals.signal<string | null>(null);
    this.#frame = new Frame(hub, root, (name, value) => this.#keep(this.#panel, name, value), signal);
    const keepTab = (tab: Tab) => this.#keep(this.#panel, "left_tab", tab);
    this.#left = new Left(hub, this.#frame.slots.facets, this.#panel, keepTab, signal);
    this.#fix = new FixDrawer(hub, host, model, this.#panel, (error) => this.#report(error), signal);
  }

  async start(): Promise<void> {
    const { hub, root, signal, model } = this;
    root.classList.add("dataide", "dataide-workbench");
    root.dataset.dataidePanel = "workbench";
    root.setAttribute("role", "region");
    root.setAttribute("aria-label", "Workbench");
    const bottom = division("di-bottom");
    const strips = division("di-strips");
    strips.append(this.#jobs, this.#ended);
    this.#frame.body.append(this.#fix.place, this.#drawer, strips);
    root.append(this.#top, this.#frame.body, bottom, this.#frame.edge);
    const configure = () => {
      const config = model.get("config");
      this.#frame.configure(config);
      this.#left.tab.value = tabOf(config.left_tab);
    };
    model.on("change:config", configure);
    signal.addEventListener("abort", () => model.off("change:config", configure));
    configure();
    this.#fillTop();
    hub.ui.actionBar(bottom, { root, panel: this.#panel, extra: this.#extra, parts: ["decide", "keys"] }, signal);
    hub.dom.effectUntil(signal, () => this.#fillExtra());
    hub.dom.effectUntil(signal, () => this.#emptiness());
    hub.dom.effectUntil(signal, () => this.#fillJobs());
    hub.dom.effectUntil(signal, () => this.#fillEnded());
    hub.ui.frame(root, signal);
    hub.keyboard.attach(root, (event) => this.#key(event), signal, { keys: KEYS });
    const actions = {
      fix: (kind: string) => this.#fix.open(kind),
      choose: () => void this.#compute?.show("issues"),
      report: (error: unknown) => this.#report(error),
    };
    this.#issues = new IssuesPane(hub, this.#panel, this.#left.places.issues, actions, signal);
    this.#inspector();
    this.#placeToasts(bottom);
    await Promise.all([this.#followColor(), ...PARTS.map((part) => this.#child(part))]);
  }

  #fillTop(): void {
    const { hub, signal, root } = this;
    const first = division("di-line");
    const second = division("di-line di-second");
    const box = division("di-filter-place");
    const history = division("di-history");
    const left = division("di-active-filters");
    const right = division("di-controls");
    const compute = division("di-compute-button");
    first.append(box, history, compute);
    second.append(left, right);
    this.#top.append(first, second);
    this.#filterBox = new FilterBox(hub, this.#panel, box, signal);
    this.#compute = new Compute(hub, this.#panel, compute, this.#top, signal);
    hub.ui.actionBar(history, { root, panel: this.#panel, parts: ["count", "history"] }, signal);
    hub.dom.effectUntil(signal, () => {
      const state = hub.store.state.value;
      hub.lit.render(state ? chips(hub, state, (sources) => this.#clear(sources)) : hub.lit.nothing, left);
    });
    hub.dom.effectUntil(signal, () => {
      const state = hub.store.state.value;
      hub.lit.render(state ? this.#controls(state) : hub.lit.nothing, right);
    });
  }

  #controls(state: SessionState): TemplateResult {
    const { hub } = this;
    return hub.lit.html`${colorControl(hub, state, this.#color.value, (column) => {
      this.#color.value = column;
      this.#keep(this.#scatterId, "color", column);
    })}${sortControl(hub, state, (sort) => this.#sort(sort))}`;
  }

  #sort(sort: Sort): void {
    this.hub.client.ask("sort", { sort }, { panel: this.#panel }).catch((error) => this.#report(error));
  }

  #clear(sources: string[]): void {
    for (const source of sources) {
      this.hub.client
        .ask("filter", { source, clause: null }, { panel: this.#panel })
        .catch((error) => this.#report(error));
    }
  }

  #report(error: unknown): void {
    if (error instanceof DOMException && error.name === "AbortError") return;
    const failure = (error as { failure?: { message: string; hint: string | null } }).failure;
    const sentence = failure?.message ?? String(error);
    this.hub.store.toast({ sentence, kind: "error", undoable: false, python: null, hint: failure?.hint ?? null });
  }

  #keep(panel: string, name: string, value: string | number | boolean | null): void {
    // What cannot be kept (a lost kernel) still holds on this page; that is no reason for a message.
    this.hub.client.ask("configure", { panel, name, value }, { panel: this.#panel }).catch(() => {});
  }

  /** The digits with their labels, and the armed control, behind the buttons of the action bar. */
  #fillExtra(): void {
    const { hub } = this;
    const state = hub.store.state.value;
    if (!state) return;
    const { html } = hub.lit;
    const digit = ([key, label]: readonly [string, string]) => html`<button
      type="button"
      class="di-digit"
      aria-label="Label as ${label}"
      title="Label what is selected as ${label} (${key})"
      @click=${() => this.#label(label)}
    >
      <kbd aria-hidden="true">${key}</kbd>${key === label ? hub.lit.nothing : html`<span>${label}</span>`}
    </button>`;
    const digits = hub.ui.digits();
    hub.lit.render(
      html`<div class="di-digits" role="group" aria-label="Label by digit">
          ${
            digits[0]
              ? html`<span class="di-digits-first"
                  ><span class="di-digits-title" aria-hidden="true">label</span>${digit(digits[0])}</span
                >`
              : hub.lit.nothing
          }
          ${digits.slice(1).map(digit)}
        </div>
        ${armedControl(hub, this.root, state)}`,
      this.#extra,
    );
  }

  #fillJobs(): void {
    const { hub } = this;
    const jobs = hub.store.connection.value === "lost" ? [] : hub.store.jobs.value;
    const strip = this.#jobs;
    strip.setAttribute("role", "group");
    strip.setAttribute("aria-label", "Jobs under way");
    strip.hidden = jobs.length === 0;
    const cancel = (id: string) =>
      void hub.client.ask("cancelJob", { id }, { panel: this.#panel }).catch((error) => this.#report(error));
    this.#strip(strip, jobStrip(hub, jobs, cancel));
  }

  /** A button that is gone, or can no longer be pressed, leaves the keyboard to the workbench. */
  #strip(strip: HTMLElement, rows: TemplateResult): void {
    const before = strip.contains(document.activeElement);
    this.hub.lit.render(rows, strip);
    const now = document.activeElement;
    if (before && (strip.hidden || !strip.contains(now) || now?.matches(":disabled")))
      this.root.focus({ preventScroll: true });
  }

  #fillEnded(): void {
    const { hub } = this;
    const ended = hub.store.connection.value === "lost" ? [] : hub.store.ended.value;
    const strip = this.#ended;
    strip.setAttribute("role", "group");
    strip.setAttribute("aria-label", "Jobs that ended");
    strip.hidden = ended.length === 0;
    const panel = this.#panel;
    const actions = {
      makeMap: ({ id, embedding }: EndedJob) => {
        const ask = {
          kind: "map",
          target: "all",
          options: { embedding: embedding ?? "" },
          uuid: `map-of-${id}`, // a second click is the same map
          panel,
        } as const;
        void hub.client.ask("startJob", ask, { panel }).catch((error) => this.#report(error));
      },
      show: ({ id }: EndedJob) => {
        this.#showIssues();
        actions.dismiss(id);
      },
      dismiss: (id: string) =>
        void hub.client.ask("dismissJob", { id }, { panel }).catch((error) => this.#report(error)),
    };
    this.#strip(strip, endedStrip(hub, ended, actions));
  }

  #showIssues(): void {
    this.#frame.open("facets");
    this.#left.open("issues");
    this.#issues?.focus();
  }

  #label(label: string): void {
    const { store } = this.hub;
    if ((store.state.value?.selection.count ?? 0) > 0) {
      void store.act("relabel", { label }, { type: "selection" });
      return;
    }
    const hint = "Draw a lasso in the plot or click pictures, then press the digit.";
    store.toast({ sentence: "Nothing is selected.", kind: "info", undoable: false, python: null, hint });
  }

  #key(event: KeyboardEvent): boolean {
    const { store, ui } = this.hub;
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    if (event.key === "/") {
      this.#filterBox?.focus();
      return true;
    }
    if (event.key.toLowerCase() === "m") {
      this.#compute?.toggle();
      return true;
    }
    if (event.key.toLowerCase() === "i") {
      const there = this.#left.tab.value === "issues" && !this.#frame.slots.facets.hidden;
      if (!there) this.#showIssues();
      else {
        this.#left.open("facets");
        this.#left.focus();
      }
      return true;
    }
    if (event.key === "?") {
      // From a child: the table belongs over the whole workbench, not into one of its columns.
      ui.help(this.root, this.#inner(event));
      return true;
    }
    if (event.key === "Escape" && store.inspected.value !== null && !this.root.querySelector(".dataide-help-shade")) {
      store.inspected.value = null;
      return true;
    }
    if (
      event.key === "Escape" &&
      this.#fix.isOpen &&
      !this.root.querySelector(".dataide-help-shade, .dataide-prompt")
    ) {
      this.#fix.close();
      return true;
    }
    return false;
  }

  /** The panel in the workbench whose keys are meant: where the focus is, else the drawer that lies over the others. */
  #inner(event: KeyboardEvent): HTMLElement | null {
    const focused = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-dataide-panel]") : null;
    if (focused !== null && focused !== this.root && this.root.contains(focused)) return focused;
    return this.#fix.isOpen ? this.#fix.place.querySelector<HTMLElement>("[data-dataide-panel]") : null;
  }

  async #child(part: Part): Promise<void> {
    await this.#render(part, part === "facets" ? this.#left.places.facets : this.#frame.slots[part]);
  }

  async #render(name: Part | "inspector", place: HTMLElement): Promise<void> {
    try {
      const child = await this.host.getWidget(this.model.get(name));
      const el = division("di-child");
      place.replaceChildren(el);
      await child.render({ el, signal: this.signal });
    } catch (error) {
      if (this.signal.aborted) return;
      const note = division("dataide-empty");
      note.setAttribute("role", "alert");
      note.textContent = `The ${name} could not be shown: ${error instanceof Error ? error.message : String(error)}`;
      place.replaceChildren(note);
    }
  }

  async #followColor(): Promise<void> {
    const scatter = await this.host.getModel<PanelModel>(this.model.get("scatter"));
    this.#scatterId = scatter.get("panel_id");
    const follow = () => {
      const color = scatter.get("config").color;
      this.#color.value = typeof color === "string" && color !== "" ? color : null;
    };
    scatter.on("change:config", follow);
    this.signal.addEventListener("abort", () => scatter.off("change:config", follow));
    follow();
  }

  /**
   * A drawer over one side, open while a sample is inspected: the left one for somebody who comes from the pictures, so that they
   * stay in sight. The focus stays where it is, so arrows go on to the next one.
   */
  #inspector(): void {
    const { store, dom } = this.hub;
    const drawer = this.#drawer;
    countWhileInSight(this.root, store.inspectors, this.signal);
    let drawn = false;
    dom.effectUntil(this.signal, () => {
      const open = store.inspected.value !== null;
      if (open && drawer.hidden) drawer.classList.toggle("di-left", this.#isIn("grid"));
      // What has the focus is about to vanish: keys go on in the workbench.
      if (!open && drawer.contains(document.activeElement)) this.root.focus({ preventScroll: true });
      drawer.hidden = !open;
      if (!open || drawn) return;
      drawn = true;
      queueMicrotask(() => void this.#render("inspector", drawer));
    });
  }

  #isIn(part: Part): boolean {
    const slot = this.#frame.slots[part];
    return slot.contains(document.activeElement) || slot.matches(":hover");
  }

  /** Toasts rise over the bar of decisions and not over its buttons: the next decision may follow at once. */
  #placeToasts(bottom: HTMLElement): void {
    this.hub.dom.effectUntil(this.signal, () => {
      if (this.hub.store.toasts.value.length === 0) return;
      const { top, left, width } = bottom.getBoundingClientRect();
      const inSight = width > 0 && top > 120 && top < window.innerHeight;
      const { style } = document.documentElement;
      style.setProperty("--dataide-toast-bottom", inSight ? `${Math.round(window.innerHeight - top + 8)}px` : "");
      style.setProperty("--dataide-toast-middle", inSight ? `${Math.round(left + width / 2)}px` : "");
    });
  }

  /** A session without samples says how to get some. */
  #emptiness(): void {
    const { hub } = this;
    const state = hub.store.state.value;
    const empty = state !== null && state.sampleCount === 0;
    let place = this.#frame.body.querySelector<HTMLElement>(".di-nothing");
    this.root.classList.toggle("di-empty-session", empty);
    if (!empty) {
      place?.remove();
      return;
    }
    if (!place) {
      place = division("di-nothing");
      this.#frame.body.append(place);
    }
    hub.lit.render(
      hub.lit.html`<div class="dataide-empty">
        <strong>This session is empty.</strong>
        <span>Add pictures in a cell, and they appear here:</span>
        <code>session.add_folder("photos")</code>
      </div>`,
      place,
    );
  }
}

function division(name: string): HTMLElement {
  const made = document.createElement("div");
  made.className = name;
  return made;
}
