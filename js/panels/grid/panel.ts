/** The grid: every sample that passes the filter as a tile, in the session's order. */
import type { KernelError } from "../../core/contract.js";
import { mountDrawer } from "../../core/drawer.js";
import { isAbort, type Panel } from "../../core/panel.js";
import type { Mode, SessionState, Sort } from "../../core/protocol.js";
import { element } from "./element.js";
import { drawEmpty } from "./empty.js";
import * as geo from "./geometry.js";
import { Headings, sectionUnder } from "./headings.js";
import { gridKeys, KEYS } from "./keys.js";
import { bucketPx, type Groups, Pages } from "./pages.js";
import { listen } from "./pointer.js";
import { mountRanking } from "./ranking.js";
import { Selecting, selectedAfter, within } from "./selecting.js";
import { Tiles } from "./tiles.js";
import { drawToolbar } from "./toolbar.js";

export interface GridConfig {
  tilePx: number;
  caption: string | null;
  heightPx: number;
  objects?: boolean;
}

const DEFAULT_TILE_PX = 96;
const EXTRA_ROWS = 2;
const SETTLE_MS = 150;
const KEEP_AFTER_MS = 400;
// A jump that follows another so soon is one of a scroll bar being dragged: what it passes is asked for where it rests.
const DRAGGED_MS = 150;
const RESTS_AFTER_MS = 40;

const clampTile = (px: number): number => Math.min(Math.max(Math.round(px), geo.LEAST_TILE_PX), geo.MOST_TILE_PX);

export class Grid {
  focused = 0;
  geometry: geo.Geometry;
  readonly pages: Pages;
  readonly selecting: Selecting;
  readonly scroller: HTMLElement;
  readonly panel: Panel<GridConfig>;
  readonly #tiles: Tiles;
  readonly #headings: Headings;
  readonly #spacer: HTMLElement;
  readonly #toolbar: HTMLElement;
  readonly #empty: HTMLElement;
  readonly #band: HTMLElement;
  #tilePx: number;
  #caption: string | null;
  #objects: boolean;
  #top = 0;
  #scrollBefore = 0;
  #preview: { spans: geo.Span[]; mode: Mode } | null = null;
  #frame = 0;
  #settling: ReturnType<typeof setTimeout> | undefined;
  #keeping: ReturnType<typeof setTimeout> | undefined;
  #jumpedAt = 0;
  #resting: ReturnType<typeof setTimeout> | undefined;
  #drawn: unknown[] = [];
  #laid: Groups | null = null; // the groups for which the geometry was made
  #order = "";
  #inspectWhenLoaded: number | null = null;

  constructor(panel: Panel<GridConfig>) {
    this.panel = panel;
    const { root, hub, signal, config } = panel;
    this.#tilePx = clampTile(config.tilePx ?? DEFAULT_TILE_PX);
    this.#caption = config.caption ?? null;
    this.#objects = config.objects ?? true;
    this.geometry = geo.geometry(0, 0, this.#tilePx, 0);

    const part = (name: string, parent = root): HTMLElement => element(name, parent);
    this.#toolbar = part("dataide-toolbar");
    mountRanking(part("dataide-toolbar dataide-ranking"), panel);
    this.scroller = part("dataide-grid-scroller");
    const staying = part("dataide-grid-staying", this.scroller);
    this.#spacer = part("dataide-grid-spacer", this.scroller);
    const place = part("dataide-grid-tiles", this.#spacer);
    this.#band = part("dataide-grid-band", this.scroller);
    this.#band.hidden = true;
    // Between a listbox and its options nothing may stand but what says that it is nothing.
    for (const element of [staying, this.#spacer, place, this.#band]) element.setAttribute("role", "presentation");
    this.#empty = part("dataide-grid-empty", this.scroller);
    this.#empty.hidden = true;
    if (!panel.embedded)
      hub.ui.actionBar(part(""), { root, panel: panel.panelId, compact: true, target: this.#target }, signal);
    Object.assign(this.scroller, { tabIndex: 0, role: "listbox", ariaLabel: "Samples", ariaMultiSelectable: "true" });

    const redraw = (): void => this.redraw();
    this.pages = new Pages(hub, panel.panelId, redraw, signal);
    this.selecting = new Selecting(hub, panel.panelId, this.pages, redraw);
    this.#tiles = new Tiles(place, `${panel.panelId}-tile`);
    this.#headings = new Headings(place, staying, hub.dom.formatCount);
    this.#start();
  }

  redraw(): void {
    if (this.#frame === 0) this.#frame = requestAnimationFrame(() => this.#draw());
  }

  /** Moves the focus, and the tiles until it is in sight. */
  focus(position: number): void {
    this.focused = position;
    this.#scrollTo(geo.topShowing(this.geometry, this.#top, position));
    this.panel.hub.store.hovered.value = this.pages.tile(position)?.no ?? null;
    this.redraw();
  }

  resize(px: number): void {
    const next = clampTile(px);
    clearTimeout(this.#keeping);
    this.#keeping = setTimeout(() => {
      this.#keeping = undefined;
      this.panel.configure("tile_px", next);
    }, KEEP_AFTER_MS);
    this.#setTile(next);
  }

  #setTile(px: number): void {
    if (px === this.#tilePx) return;
    this.#tilePx = px;
    this.#measure();
  }

  grow(steps: number): void {
    const { columns } = this.geometry;
    // One column fewer or more: a step of a few px would often change nothing.
    const width = this.scroller.clientWidth - 2 * geo.PADDING_PX + geo.GAP_PX;
    const wanted = Math.max(columns - steps, 1);
    const px = Math.floor(width / wanted) - geo.GAP_PX;
    this.resize(steps > 0 ? Math.max(px, this.#tilePx + 8) : Math.min(px, this.#tilePx - 8));
  }

  inspect(position: number): void {
    const tile = this.pages.tile(position);
    this.#inspectWhenLoaded = tile === null ? position : null;
    if (tile === null) return;
    const { store } = this.panel.hub;
    // Asked for again, of the same sample: the inspector that showed it may be out of sight by now.
    if (store.inspected.peek() === tile.no && store.inspectors.peek() === 0 && !this.panel.embedded)
      store.inspected.value = null;
    store.inspected.value = tile.no;
  }

  /** To the neighbour of what is inspected, in the order of the tiles. */
  #step = (by: number): void => {
    const from = this.pages.find(this.panel.hub.store.inspected.peek() ?? -1);
    const next = (from < 0 ? this.focused : from) + by;
    if (next < 0 || next >= this.geometry.total) return;
    this.focus(next);
    this.inspect(next);
  };

  /** Ids of what is selected among the tiles at hand, as the keyboard's copy takes them. */
  selectedIds(most: number): string[] {
    const found = [...this.pages.loaded()].filter(([, tile]) => tile.selected).sort(([a], [b]) => a - b);
    return found.slice(0, most).map(([, tile]) => tile.id);
  }

  /**
   * The focused sample while the keyboard is in the grid and at most one sample is selected: a click selects what it focuses, and
   * whoever goes on from tile to tile, answering issues, means the tile they are at.
   */
  focusedAlone(): number | null {
    const selected = this.panel.hub.store.state.value?.selection.count ?? 0;
    if (selected > 1 || document.activeElement !== this.scroller) return null;
    return this.pages.tile(this.focused)?.no ?? null;
  }

  /** With nothing selected, keys act on the focused tile while the keyboard is in the grid. */
  #target = (): { type: "samples"; nos: number[] } | null => {
    const { store } = this.panel.hub;
    if ((store.state.value?.selection.count ?? 0) > 0 || document.activeElement !== this.scroller) return null;
    const tile = this.pages.tile(this.focused);
    return tile === null ? null : { type: "samples", nos: [tile.no] };
  };

  #start(): void {
    const { hub, root, signal, boot } = this.panel;
    const { effectUntil, onResize } = hub.dom;
    this.scroller.addEventListener("scroll", () => this.#scrolled(), { signal, passive: true });
    signal.addEventListener("abort", () => {
      cancelAnimationFrame(this.#frame);
      clearTimeout(this.#settling);
      clearTimeout(this.#keeping);
      clearTimeout(this.#resting);
    });
    this.#listen();
    hub.keyboard.attach(root, gridKeys(this), signal, { keys: KEYS, target: this.#target });
    signal.addEventListener("abort", () => hub.objects.want(this.panel.panelId, [], 0));
    hub.ui.frame(root, signal);
    hub.store.step.value = this.#step;
    signal.addEventListener("abort", () => {
      if (hub.store.step.peek() === this.#step) hub.store.step.value = null;
    });
    mountDrawer(this.panel, this.scroller);
    this.panel.onConfig(({ tilePx, caption, objects }) => {
      this.#caption = caption ?? null;
      this.#objects = objects ?? true;
      // While the slider moves, an older choice on its way back must not pull at it.
      if (tilePx !== undefined && this.#keeping === undefined) this.#setTile(clampTile(tilePx));
      this.redraw();
    });
    onResize(this.scroller, () => this.#measure(), signal);
    this.#measure();
    const first = boot("page");
    if (first !== null) {
      this.pages.want({ from: 0, to: -1 }, { ...this.#wanted(hub.store.state.value), px: first.ask.px });
      this.pages.boot(first.ask, first.reply);
      this.#draw();
    }
    effectUntil(signal, () => {
      const state = hub.store.state.value;
      const order = this.#orderOf(state);
      if (order !== this.#order) {
        // Another order is another place to be: what was at this height is elsewhere now.
        if (this.#order !== "") this.#scrollTo(0);
        this.#order = order;
        this.pages.problems.clear();
        this.selecting.anchor = 0;
        this.focused = 0;
      }
      this.redraw();
    });
  }

  #listen(): void {
    const { panel, scroller, pages, selecting } = this;
    const { store } = panel.hub;
    const positionOf = (target: EventTarget | null): number | null => {
      const tile = target instanceof Element ? target.closest<HTMLElement>(".dataide-tile") : null;
      return tile === null ? null : Number(tile.getAttribute("aria-posinset")) - 1;
    };
    const after = (done: Promise<void>): void => {
      void done;
      // Messages arrive in order, so the armed action meets the selection just sent.
      void store.gestureEnded();
    };
    listen(
      scroller,
      {
        positionOf,
        top: () => this.#top,
        scrollBy: (px) => this.#scrollTo(this.#top + px),
        hover: (position) => {
          store.hovered.value = position === null ? null : (pages.tile(position)?.no ?? null);
        },
        open: (position) => this.inspect(position),
        click: (position, event) => {
          scroller.focus({ preventScroll: true });
          const section = sectionUnder(event.target);
          if (section !== null) return after(this.#selectGroup(section, event));
          if (position === null) {
            if (!event.shiftKey && !event.ctrlKey && !event.metaKey) void selecting.none();
            return;
          }
          this.focused = position;
          const control = event.ctrlKey || event.metaKey;
          if (event.shiftKey) after(selecting.rangeTo(position, control ? "add" : "replace"));
          else after(control ? selecting.toggle(position) : selecting.only(position));
        },
        drag: (box, mode) => {
          this.#preview = { spans: geo.spansInBox(this.geometry, box), mode };
          this.#drawBand(box);
          this.redraw();
        },
        drop: (box, mode) => {
          const spans = geo.spansInBox(this.geometry, box);
          this.#endDrag();
          scroller.focus({ preventScroll: true });
          const [first] = spans;
          if (first !== undefined) {
            selecting.anchor = first.from;
            this.focused = first.from;
          }
          after(selecting.spans(spans, mode));
        },
        cancel: () => this.#endDrag(),
      },
      panel.signal,
    );
  }

  /** All tiles under a heading, in sight or not: the kernel knows which samples stand there. */
  #selectGroup(section: number, event: PointerEvent): Promise<void> {
    const { from, count } = geo.headingOf(this.geometry, section);
    this.selecting.anchor = from;
    this.focused = from;
    const more = event.shiftKey || event.ctrlKey || event.metaKey;
    return this.selecting.spans([{ from, to: from + count - 1 }], more ? "add" : "replace");
  }

  #endDrag(): void {
    this.#preview = null;
    this.#band.hidden = true;
    this.redraw();
  }

  #drawBand(box: geo.Box): void {
    const offset = this.scroller.scrollTop - this.#top;
    const [left, top] = [Math.min(box.x0, box.x1), Math.min(box.y0, box.y1) + offset];
    const [width, height] = [Math.abs(box.x1 - box.x0), Math.abs(box.y1 - box.y0)];
    this.#band.hidden = false;
    this.#band.style.cssText = `left:${left}px;top:${top}px;width:${width}px;height:${height}px`;
  }

  #orderOf(state: SessionState | null): string {
    return state === null
      ? ""
      : JSON.stringify([
          state.filter.version,
          state.sort,
          state.group,
          state.sampleCount,
          state.selection.lead,
          state.mediaVersion,
        ]);
  }

  #wanted(state: SessionState | null) {
    return {
      order: this.#orderOf(state),
      marks: state === null ? "" : `${state.rev}/${state.selection.version}`,
      px: bucketPx(this.geometry.tileWidth, window.devicePixelRatio || 1),
      caption: this.#caption,
    };
  }

  #measure(): void {
    const { clientWidth, clientHeight } = this.scroller;
    // Hidden for a moment, as by another tab or a change of theme: it must come back as it was left.
    if (clientWidth === 0 || clientHeight === 0) return;
    const before = this.geometry;
    const first = geo.visibleSpan(before, this.#top).from;
    const inSight = this.focused >= first && this.focused <= geo.visibleSpan(before, this.#top).to;
    const stays = inSight ? this.focused : first;
    const shift = before.total > 0 ? geo.placeOf(before, stays).top - this.#top : 0;
    this.#lay();
    // Whatever the size, what one looked at stays in sight.
    if (before.total > 0 && this.geometry.columns !== before.columns) {
      this.#scrollTo(geo.placeOf(this.geometry, stays).top - Math.min(Math.max(shift, 0), clientHeight / 2));
    }
    this.redraw();
  }

  /** Lays the tiles out for the size of the panel and for the groups there are. */
  #lay(): void {
    const { clientWidth, clientHeight } = this.scroller;
    this.#laid = this.pages.groups;
    this.geometry = geo.geometry(
      clientWidth,
      clientHeight,
      this.#tilePx,
      this.pages.total ?? 0,
      startsOf(this.pages.groups),
    );
    this.#spacer.style.height = `${this.geometry.scrollHeight}px`;
  }

  #scrollTo(top: number): void {
    const next = Math.min(Math.max(top, 0), geo.lastTop(this.geometry));
    this.#top = next;
    this.scroller.scrollTop = geo.scrollOfTop(this.geometry, next);
    this.#scrollBefore = this.scroller.scrollTop;
    this.redraw();
  }

  #scrolled(): void {
    const now = this.scroller.scrollTop;
    if (now === this.#scrollBefore) return;
    const next = geo.scrolled(this.geometry, this.#top, this.#scrollBefore, now);
    if (Math.abs(next - this.#top) > this.geometry.viewHeight) this.#jumped();
    this.#top = next;
    this.#scrollBefore = now;
    this.#draw();
    if (!geo.isScaled(this.geometry)) return;
    // Small steps moved further than the scroll bar shows: at rest it is put right.
    clearTimeout(this.#settling);
    this.#settling = setTimeout(() => this.#scrollTo(this.#top), SETTLE_MS);
  }

  /** The first jump is answered at once. */
  #jumped(): void {
    const now = performance.now();
    const dragged = now - this.#jumpedAt < DRAGGED_MS;
    this.#jumpedAt = now;
    if (!dragged) return;
    clearTimeout(this.#resting);
    this.#resting = setTimeout(() => {
      this.#resting = undefined;
      this.redraw();
    }, RESTS_AFTER_MS);
  }

  #draw(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const { pages, scroller, panel } = this;
    const state = panel.hub.store.state.peek();
    if ((pages.total ?? 0) !== this.geometry.total || pages.groups !== this.#laid) {
      this.#lay();
      this.#scrollTo(this.#top);
      this.focused = Math.min(this.focused, Math.max(this.geometry.total - 1, 0));
    }
    const g = this.geometry;
    const span = geo.visibleSpan(g, this.#top, EXTRA_ROWS);
    const preview = this.#preview;
    const { objects } = panel.hub;
    const over = this.#objects && state?.objects != null;
    const frame = { width: g.tileWidth, height: g.tileWidth };
    const nos: number[] = [];
    this.#tiles.draw(g, span, this.#top, scroller.scrollTop, pages, {
      focused: this.focused,
      paint: (image, no) => {
        objects.paint(image, over ? no : null, frame);
        if (over && no !== null) nos.push(no);
      },
      previewed: (position) =>
        preview === null
          ? null
          : selectedAfter(pages.tile(position)?.selected === true, within(preview.spans, position), preview.mode),
    });
    if (over) objects.want(panel.panelId, nos, bucketPx(g.tileWidth, window.devicePixelRatio || 1));
    this.#headings.draw(g, this.#top, this.#tiles.anchor(g, span), pages.groups);
    if (this.#inspectWhenLoaded !== null) this.inspect(this.#inspectWhenLoaded);
    scroller.setAttribute("aria-activedescendant", this.#tiles.elementId(this.focused));
    this.#drawAround(state);
    if (state !== null && g.viewHeight > 0) {
      const inSight = pages.total === null ? { from: 0, to: 0 } : geo.visibleSpan(g, this.#top);
      pages.want(inSight, this.#wanted(state), this.#resting === undefined);
    }
  }

  /** The toolbar and what stands where no tile is; while scrolling nothing of it changes. */
  #drawAround(state: SessionState | null): void {
    const { pages, panel } = this;
    const shown = [state, this.#objects, this.#tilePx, this.#caption, pages.total, pages.failure];
    if (shown.every((value, i) => value === this.#drawn[i]) && this.#drawn.length > 0) return;
    this.#drawn = shown;
    drawEmpty(this.#empty, panel.hub, state, pages);
    drawToolbar(this.#toolbar, panel.hub, state, {
      embedded: panel.embedded,
      tilePx: this.#tilePx,
      caption: this.#caption,
      total: pages.total,
      resize: (px) => this.resize(px),
      setCaption: (column) => this.#setCaption(column),
      objects: this.#objects,
      toggleObjects: () => this.toggleObjects(),
      sort: (sort) => this.#sort(sort),
      group: (column) => this.#group(column),
    });
  }

  /** False where there are none, so that the key is not taken. */
  toggleObjects(): boolean {
    if (this.panel.hub.store.state.peek()?.objects == null) return false;
    this.#objects = !this.#objects;
    this.panel.configure("objects", this.#objects);
    this.redraw();
    return true;
  }

  #setCaption(column: string | null): void {
    this.#caption = column;
    this.panel.configure("caption", column);
    this.redraw();
  }

  #sort(sort: Sort): void {
    const { client } = this.panel.hub;
    client.ask("sort", { sort }, { panel: this.panel.panelId }).catch((error: KernelError) => this.#refused(error));
  }

  #group(column: string | null): void {
    const { client } = this.panel.hub;
    client.ask("group", { column }, { panel: this.panel.panelId }).catch((error: KernelError) => this.#refused(error));
  }

  #refused(error: KernelError): void {
    if (isAbort(error)) return;
    const hint = error.failure?.hint ?? null;
    this.panel.hub.store.toast({ sentence: error.message, kind: "error", undoable: false, python: null, hint });
    this.#drawn = []; // the list shows again what holds
    this.redraw();
  }
}

/** Where groups start; those beyond the named ones are the last of them. */
function startsOf(groups: Groups | null): number[] | null {
  if (groups === null) return null;
  const last = groups.entries.at(-1);
  const starts = groups.entries.map(({ start }) => start);
  if (last !== undefined && groups.more > 0) starts.push(last.start + last.count);
  return starts;
}
