/** The left column: facets and issues as two tabs. */
import type { Signal } from "@preact/signals-core";
import type { HubExports } from "../../core/contract.js";

export const TABS = ["facets", "issues"] as const;
export type Tab = (typeof TABS)[number];

export const tabOf = (value: unknown): Tab => (value === "issues" ? "issues" : "facets");

export class Left {
  readonly places: Record<Tab, HTMLElement>;
  readonly tab: Signal<Tab>;
  readonly #tabs: Record<Tab, HTMLButtonElement>;

  constructor(
    readonly hub: HubExports,
    place: HTMLElement,
    panel: string,
    /** Keeps the choice. */
    readonly keep: (tab: Tab) => void,
    signal: AbortSignal,
  ) {
    this.tab = hub.signals.signal<Tab>("facets");
    const list = division("di-tabs");
    list.setAttribute("role", "tablist");
    list.setAttribute("aria-label", "Facets or issues");
    this.#tabs = { facets: this.#tab("facets", panel, "Facets"), issues: this.#tab("issues", panel, "Issues") };
    this.#tabs.issues.setAttribute("aria-keyshortcuts", "I");
    this.#tabs.issues.title = "What is suspicious, kind by kind (I)";
    this.places = { facets: this.#panel("facets", panel), issues: this.#panel("issues", panel) };
    list.append(this.#tabs.facets, this.#tabs.issues);
    place.classList.add("di-left-column");
    place.replaceChildren(list, this.places.facets, this.places.issues);
    list.addEventListener("keydown", (event) => this.#key(event), { signal });
    for (const tab of TABS) this.#tabs[tab].addEventListener("click", () => this.open(tab), { signal });
    hub.dom.effectUntil(signal, () => {
      const now = this.tab.value;
      for (const tab of TABS) {
        this.#tabs[tab].setAttribute("aria-selected", String(tab === now));
        this.#tabs[tab].tabIndex = tab === now ? 0 : -1;
        this.places[tab].hidden = tab !== now;
      }
    });
    hub.dom.effectUntil(signal, () => {
      const open = (hub.store.state.value?.issues ?? []).reduce((sum, { count }) => sum + count, 0);
      this.#tabs.issues.textContent = open > 0 ? `Issues (${hub.dom.formatCount(open)})` : "Issues";
    });
  }

  open(tab: Tab): void {
    if (tab === this.tab.peek()) return;
    this.tab.value = tab;
    this.keep(tab);
  }

  focus(): void {
    this.#tabs[this.tab.peek()].focus({ preventScroll: true });
  }

  #key(event: KeyboardEvent): void {
    const other = { ArrowRight: 1, ArrowLeft: -1, Home: -9, End: 9 }[event.key];
    if (other === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    const at = TABS.indexOf(this.tab.peek()) + other;
    this.open(TABS[Math.max(0, Math.min(TABS.length - 1, at))] as Tab);
    this.focus();
  }

  #tab(tab: Tab, panel: string, text: string): HTMLButtonElement {
    const made = document.createElement("button");
    made.type = "button";
    made.className = "di-tab";
    made.id = `${panel}-tab-${tab}`;
    made.textContent = text;
    made.setAttribute("role", "tab");
    made.setAttribute("aria-controls", `${panel}-left-${tab}`);
    return made;
  }

  #panel(tab: Tab, panel: string): HTMLElement {
    const made = division("di-left-panel");
    made.id = `${panel}-left-${tab}`;
    made.setAttribute("role", "tabpanel");
    made.setAttribute("aria-labelledby", `${panel}-tab-${tab}`);
    return made;
  }
}

function division(name: string): HTMLElement {
  const made = document.createElement("div");
  made.className = name;
  return made;
}
