/** Headings of groups: where they lie between the tiles, and the one of the group in sight, which stays at the top. */
import { element } from "./element.js";
import { type Geometry, type Heading, headingsAt } from "./geometry.js";
import type { Groups } from "./pages.js";

interface Element {
  root: HTMLElement;
  value: HTMLElement;
  count: HTMLElement;
  drawn: string;
}

export class Headings {
  readonly #place: HTMLElement;
  readonly #staying: Element;
  readonly #lying = new Map<number, Element>(); // by section
  readonly #spare: Element[] = [];
  readonly #formatCount: (n: number) => string;

  /** `place` holds the tiles; `top` lies over them and does not scroll. */
  constructor(place: HTMLElement, top: HTMLElement, formatCount: (n: number) => string) {
    this.#place = place;
    this.#formatCount = formatCount;
    this.#staying = make();
    // The same words lie between the tiles already; reading them twice helps nobody.
    this.#staying.root.setAttribute("aria-hidden", "true");
    this.#staying.root.removeAttribute("role");
    this.#staying.root.hidden = true;
    top.append(this.#staying.root);
  }

  /** `anchor` is where `place` stands in the full height. */
  draw(g: Geometry, top: number, anchor: number, groups: Groups | null): void {
    const { lying, staying } = headingsAt(g, top);
    const wanted = new Set(lying.map(({ section }) => section));
    for (const [section, drawn] of [...this.#lying]) {
      if (wanted.has(section)) continue;
      this.#lying.delete(section);
      this.#spare.push(drawn);
    }
    for (const heading of lying) {
      const drawn = this.#lying.get(heading.section) ?? this.#spare.pop() ?? make();
      if (!drawn.root.isConnected) this.#place.append(drawn.root);
      this.#lying.set(heading.section, drawn);
      drawn.root.style.transform = `translateY(${heading.top - anchor}px)`;
      this.#fill(drawn, heading, groups);
    }
    for (const { root } of this.#spare) root.remove();
    this.#staying.root.hidden = staying === null;
    if (staying === null) return;
    this.#staying.root.style.transform = `translateY(${staying.push}px)`;
    this.#fill(this.#staying, staying, groups);
  }

  #fill(shown: Element, heading: Heading, groups: Groups | null): void {
    const group = groups?.entries[heading.section];
    const value =
      group === undefined ? moreSentence(groups?.more ?? 0, this.#formatCount) : (group.value ?? "no value");
    const count = this.#formatCount(heading.count);
    const drawn = `${heading.section}\0${value}\0${count}\0${group?.value === null}`;
    if (drawn === shown.drawn) return;
    shown.drawn = drawn;
    shown.root.dataset.section = String(heading.section);
    shown.root.title = `${groups?.column ?? ""}: ${value}\nClick selects the group, Shift-click adds it.`;
    if (shown.root.hasAttribute("role")) shown.root.setAttribute("aria-label", `${value}, ${count}`);
    shown.value.textContent = value;
    shown.value.classList.toggle("dataide-dim", group === undefined || group.value === null);
    shown.count.textContent = count;
  }
}

/** The section whose heading an element belongs to, null for any other. */
export function sectionUnder(target: EventTarget | null): number | null {
  const heading = target instanceof Element ? target.closest<HTMLElement>(".dataide-grid-heading") : null;
  return heading?.dataset.section === undefined ? null : Number(heading.dataset.section);
}

const moreSentence = (more: number, formatCount: (n: number) => string): string =>
  more === 1 ? "1 more group" : `${formatCount(more)} more groups`;

function make(): Element {
  const root = element("dataide-grid-heading");
  // A listbox may hold groups, and nothing else beside its options.
  root.setAttribute("role", "group");
  const value = element("dataide-grid-heading-value", root, "span");
  const count = element("dataide-grid-heading-count dataide-dim", root, "span");
  return { root, value, count, drawn: "" };
}
