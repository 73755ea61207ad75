/** Tiles as elements. Made by hand and kept by position: while scrolling, hundreds change in one frame. */
import { badgeText, issueSentence } from "../../core/issues/words.js";
import type { ShownIssue } from "../../core/protocol.js";
import { element } from "./element.js";
import { type Geometry, placeOf, type Span } from "./geometry.js";
import type { Pages, Tile } from "./pages.js";

// Tiles stand relative to a place near them: far down, a million rows from the top, browsers round positions to whole steps of several px.
const ANCHOR_PX = 8192;
// A picture much smaller than its tile shows its pixels instead of a blur.
const PIXELATED_FROM = 2;

interface Look {
  focused: number;
  previewed: (position: number) => boolean | null;
  /** Draws what is known of the objects in a picture over it; null where there is no picture. */
  paint: (image: HTMLImageElement, no: number | null) => void;
}

interface Element {
  root: HTMLElement;
  image: HTMLImageElement;
  problem: HTMLElement;
  badges: HTMLElement;
  label: HTMLElement;
  value: HTMLElement;
  drawn: string;
  marks: string;
  badged: string;
  place: string;
  url: string | null;
}

export class Tiles {
  readonly #place: HTMLElement;
  readonly #shown = new Map<number, Element>();
  readonly #spare: Element[] = [];
  readonly #id: string;

  constructor(place: HTMLElement, id: string) {
    this.#place = place;
    this.#id = id;
  }

  elementId(position: number): string {
    return `${this.#id}-${position}`;
  }

  /** Where the tiles' element stands in the full height. */
  anchor(g: Geometry, span: Span): number {
    return span.to < span.from ? 0 : Math.floor(placeOf(g, span.from).top / ANCHOR_PX) * ANCHOR_PX;
  }

  draw(g: Geometry, span: Span, top: number, scrollTop: number, pages: Pages, look: Look): void {
    const anchor = this.anchor(g, span);
    this.#place.style.transform = `translateY(${Math.round(anchor - top + scrollTop)}px)`;
    // What has left is used for what comes, where it stands in the document: nothing is made or moved while scrolling.
    for (const [position, left] of [...this.#shown]) {
      if (position >= span.from && position <= span.to) continue;
      this.#shown.delete(position);
      this.#spare.push(left);
    }
    for (let position = span.from; position <= span.to; position++) {
      let element = this.#shown.get(position);
      if (element === undefined) {
        element = this.#spare.pop() ?? make();
        element.drawn = "";
        element.root.id = this.elementId(position);
        this.#shown.set(position, element);
        if (!element.root.isConnected) this.#place.append(element.root);
      }
      const place = placeOf(g, position);
      const style = `left:${place.left}px;top:${place.top - anchor}px;width:${g.tileWidth}px;height:${g.tileHeight}px`;
      if (element.place !== style) element.root.style.cssText = element.place = style;
      this.#fill(element, position, g, pages, look);
    }
    for (const { root } of this.#spare) root.remove();
  }

  #fill(element: Element, position: number, g: Geometry, pages: Pages, look: Look): void {
    const tile = pages.tile(position);
    const selected = look.previewed(position) ?? tile?.selected === true;
    const { root } = element;
    const marks = `${position === look.focused} ${selected}`;
    if (marks !== element.marks) {
      element.marks = marks;
      root.toggleAttribute("data-focused", position === look.focused);
      root.setAttribute("aria-selected", selected ? "true" : "false");
    }
    const url = tile === null ? null : pages.url(tile.no);
    const problem = tile === null || url !== null ? null : (pages.problems.get(tile.no) ?? null);
    if (url !== element.url) {
      element.url = url;
      const { image } = element;
      if (url === null) image.removeAttribute("src");
      else {
        image.src = url;
        const size = pages.sizePx(url);
        image.style.imageRendering = size > 0 && size * PIXELATED_FROM <= g.tileWidth ? "pixelated" : "auto";
      }
    }
    look.paint(element.image, url === null ? null : (tile?.no ?? null));
    const drawn =
      tile === null
        ? "empty"
        : [
            tile.no,
            tile.label,
            tile.caption,
            tile.tags.join("\n"),
            tile.queued,
            tile.excluded,
            ...tile.issues.map(issueText),
            problem,
            position,
            g.total,
            g.caption,
          ].join("\0");
    if (drawn === element.drawn) return;
    element.drawn = drawn;
    root.setAttribute("aria-posinset", String(position + 1));
    root.setAttribute("aria-setsize", String(g.total));
    root.toggleAttribute("data-excluded", tile?.excluded === true);
    element.problem.textContent = problem;
    element.problem.hidden = problem === null;
    if (tile === null) {
      delete root.dataset.sampleId;
      root.dataset.no = "";
      root.setAttribute("aria-label", "loading");
      root.title = "";
      badge(element, null);
      caption(element, null);
      return;
    }
    root.dataset.sampleId = tile.id;
    root.dataset.no = String(tile.no);
    root.setAttribute("aria-label", spoken(tile, problem));
    const lines = [tile.id, ...tile.issues.map(issueSentence)];
    if (tile.tags.length > 0) lines.push(`tags: ${tile.tags.join(", ")}`);
    if (problem !== null) lines.push(problem);
    root.title = lines.join("\n");
    badge(element, tile);
    caption(element, g.caption ? tile : null);
  }
}

const issueText = (issue: ShownIssue): string => `${badgeText(issue)} ${issue.reason}`;

function make(): Element {
  const part = (name: string, parent?: HTMLElement, tag?: string): HTMLElement =>
    element(`dataide-tile-${name}`, parent, tag);
  const root = element("dataide-tile");
  root.setAttribute("role", "option");
  const picture = part("picture", root);
  const image = document.createElement("img");
  picture.append(image);
  image.alt = "";
  image.draggable = false;
  image.decoding = "async";
  const problem = part("problem", picture);
  const badges = part("badges", picture);
  const words = part("caption", root);
  const [label, value] = [part("label", words, "span"), part("value", words, "span")];
  return { root, image, problem, badges, label, value, drawn: "", marks: "", badged: "", place: "", url: null };
}

function spoken(tile: Tile, problem: string | null): string {
  const parts = [tile.id, tile.label ?? "no label", ...tile.tags.map((tag) => `tag ${tag}`)];
  for (const issue of tile.issues) parts.push(`issue ${badgeText(issue)}`);
  if (tile.queued) parts.push("queued");
  if (tile.excluded) parts.push("excluded");
  if (problem !== null) parts.push(`cannot be shown: ${problem}`);
  return parts.join(", ");
}

/** Most tiles have no badges, and keep having none. */
function badge(element: Element, tile: Tile | null): void {
  const badged =
    tile === null
      ? ""
      : [tile.excluded || "", tile.queued || "", ...tile.issues.map(badgeText), "", ...tile.tags].join("\0");
  if (badged === element.badged) return;
  element.badged = badged;
  element.badges.replaceChildren(...(tile === null ? [] : badgesOf(tile)));
}

function badgesOf(tile: Tile): HTMLElement[] {
  const badge = (text: string, kind: string): HTMLElement => {
    const made = element("dataide-badge", undefined, "span");
    made.dataset.kind = kind;
    made.textContent = text;
    return made;
  };
  const [first, ...more] = tile.tags;
  const [worst, ...others] = tile.issues;
  return [
    ...(worst === undefined
      ? []
      : [badge(badgeText(worst) + (others.length === 0 ? "" : ` +${others.length}`), "issue")]),
    ...(tile.excluded ? [badge("excluded", "excluded")] : []),
    ...(tile.queued ? [badge("queued", "queued")] : []),
    ...(first === undefined ? [] : [badge(more.length === 0 ? first : `${first} +${more.length}`, "tag")]),
  ];
}

function caption({ label, value }: Element, tile: Tile | null): void {
  label.textContent = tile === null ? "" : (tile.label ?? "–");
  label.classList.toggle("dataide-dim", tile?.label === null);
  value.textContent = tile?.caption ?? "";
  value.hidden = tile === null || tile.caption === null;
}
