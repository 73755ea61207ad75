/** Tiles as elements. Made by hand and kept by position: while scrolling, hundreds change in one frame. */
import { type Geometry, placeOf, type Span } from "./geometry.js";
import type { Pages, Tile } from "./pages.js";

// Tiles stand relative to a row near them: far down, a million rows from the top, browsers round positions to whole steps of several px.
const ANCHOR_ROWS = 64;
// A picture much smaller than its tile shows its pixels instead of a blur.
const PIXELATED_FROM = 2;

interface Element {
  root: HTMLElement;
  image: HTMLImageElement;
  problem: HTMLElement;
  badges: HTMLElement;
  caption: HTMLElement;
  drawn: string;
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

  draw(
    g: Geometry,
    span: Span,
    top: number,
    scrollTop: number,
    pages: Pages,
    look: { focused: number; previewed: (position: number) => boolean | null },
  ): void {
    const anchor = Math.floor(span.from / g.columns / ANCHOR_ROWS) * ANCHOR_ROWS * g.rowHeight;
    this.#place.style.transform = `translateY(${Math.round(anchor - top + scrollTop)}px)`;
    for (const [position, element] of [...this.#shown]) {
      if (position >= span.from && position <= span.to) continue;
      element.root.remove();
      this.#shown.delete(position);
      this.#spare.push(element);
    }
    for (let position = span.from; position <= span.to; position++) {
      let element = this.#shown.get(position);
      if (element === undefined) {
        element = this.#spare.pop() ?? make();
        element.drawn = "";
        element.root.id = this.elementId(position);
        this.#shown.set(position, element);
        this.#place.append(element.root);
      }
      const place = placeOf(g, position);
      const style = `left:${place.left}px;top:${place.top - anchor}px;width:${g.tileWidth}px;height:${g.tileHeight}px`;
      if (element.root.style.cssText !== style) element.root.style.cssText = style;
      this.#fill(element, position, g, pages, look);
    }
  }

  #fill(
    element: Element,
    position: number,
    g: Geometry,
    pages: Pages,
    look: { focused: number; previewed: (position: number) => boolean | null },
  ): void {
    const tile = pages.tile(position);
    const selected = look.previewed(position) ?? tile?.selected === true;
    const { root } = element;
    root.toggleAttribute("data-focused", position === look.focused);
    root.setAttribute("aria-selected", selected ? "true" : "false");
    const url = tile === null ? null : pages.url(tile.no);
    const problem = tile === null || url !== null ? null : (pages.problems.get(tile.no) ?? null);
    if (url !== element.url) {
      element.url = url;
      if (url === null) element.image.removeAttribute("src");
      else element.image.src = url;
    }
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
      element.badges.replaceChildren();
      element.caption.replaceChildren();
      return;
    }
    root.dataset.sampleId = tile.id;
    root.dataset.no = String(tile.no);
    root.setAttribute("aria-label", spoken(tile, problem));
    root.title = `${tile.id}${tile.tags.length > 0 ? `\ntags: ${tile.tags.join(", ")}` : ""}${problem === null ? "" : `\n${problem}`}`;
    element.badges.replaceChildren(...badgesOf(tile));
    element.caption.replaceChildren(...(g.caption ? captionOf(tile) : []));
  }
}

function make(): Element {
  const part = (name: string, tag = "div"): HTMLElement => {
    const element = document.createElement(tag);
    element.className = `dataide-tile-${name}`;
    return element;
  };
  const root = document.createElement("div");
  root.className = "dataide-tile";
  root.setAttribute("role", "option");
  const picture = part("picture");
  const image = document.createElement("img");
  image.alt = "";
  image.draggable = false;
  image.decoding = "async";
  image.addEventListener("load", () => {
    const shown = Math.max(image.clientWidth, image.clientHeight);
    const small = Math.max(image.naturalWidth, image.naturalHeight) * PIXELATED_FROM <= shown;
    image.style.imageRendering = small ? "pixelated" : "auto";
  });
  const problem = part("problem");
  const badges = part("badges");
  const caption = part("caption");
  picture.append(image, problem, badges);
  root.append(picture, caption);
  return { root, image, problem, badges, caption, drawn: "", url: null };
}

function spoken(tile: Tile, problem: string | null): string {
  const parts = [tile.id, tile.label ?? "no label", ...tile.tags.map((tag) => `tag ${tag}`)];
  if (tile.queued) parts.push("queued");
  if (tile.excluded) parts.push("excluded");
  if (problem !== null) parts.push(`cannot be shown: ${problem}`);
  return parts.join(", ");
}

function badgesOf(tile: Tile): HTMLElement[] {
  const badge = (text: string, kind: string): HTMLElement => {
    const element = document.createElement("span");
    element.className = "dataide-badge";
    element.dataset.kind = kind;
    element.textContent = text;
    return element;
  };
  const [first, ...more] = tile.tags;
  return [
    ...(tile.excluded ? [badge("excluded", "excluded")] : []),
    ...(tile.queued ? [badge("queued", "queued")] : []),
    ...(first === undefined ? [] : [badge(more.length === 0 ? first : `${first} +${more.length}`, "tag")]),
  ];
}

function captionOf(tile: Tile): HTMLElement[] {
  const label = document.createElement("span");
  label.className = tile.label === null ? "dataide-tile-label dataide-dim" : "dataide-tile-label";
  label.textContent = tile.label ?? "–";
  if (tile.caption === null) return [label];
  const caption = document.createElement("span");
  caption.className = "dataide-tile-value";
  caption.textContent = tile.caption;
  return [label, caption];
}
