/** The scatter's own page of interface: toolbar, stage, legend, card, and what each gesture means. */
import { colorable } from "../../core/columns.js";
import type { HubExports } from "../../core/contract.js";
import type { Legend, SessionState } from "../../core/protocol.js";
import { Closeup } from "./closeup.js";
import type { Facts, RendererChoice } from "./engine.js";
import { type Boot, Feed } from "./feed.js";
import { Gestures, type Tool } from "./gestures.js";
import { Hover } from "./hover.js";
import { LegendView } from "./legend.js";
import { nameable } from "./names.js";
import { Notes } from "./notes.js";
import { makePalette, parseColor, type Theme } from "./palette.js";
import { NEAR_PX, Picking } from "./picking.js";
import { Plot } from "./plot.js";
import { drawToolbar, toolNamed } from "./toolbar.js";

export type ScatterConfig = {
  color?: string | null;
  projection?: string | null;
  height_px?: number;
  embedded?: boolean;
  renderer?: RendererChoice;
  tool?: string;
  names?: boolean;
};

/** Below, the legend goes without counts; below the second, it is folded unless it was opened. */
const NARROW_PX = 520;
const FOLDED_PX = 320;
const DEFAULT_HEIGHT_PX = 480;

export class ScatterPanel {
  private readonly toolbar = document.createElement("div");
  private readonly stage = document.createElement("div");
  private readonly side = document.createElement("div");
  private readonly notes: Notes;
  private config: ScatterConfig = {};
  private tool: Tool = "lasso";
  private chosen: number | null = null; // points that are selected, once all are here
  private plot!: Plot;
  private feed!: Feed;
  private closeup!: Closeup;
  private picking!: Picking;
  private hover!: Hover;
  private legendView!: LegendView;
  private gestures!: Gestures;

  constructor(
    private readonly hub: HubExports,
    private readonly root: HTMLElement,
    private readonly panelId: string,
    private readonly signal: AbortSignal,
  ) {
    this.root.classList.add("dataide", "dataide-scatter");
    this.root.dataset.dataidePanel = "scatter";
    this.root.setAttribute("role", "application");
    this.root.setAttribute("aria-label", "Scatter");
    this.root.tabIndex = 0;
    this.toolbar.className = "dataide-toolbar";
    this.stage.className = "stage";
    this.side.className = "legend";
    this.side.hidden = true;
    this.stage.append(this.side);
    this.notes = new Notes(this.stage, hub);
    this.root.append(this.toolbar, this.stage);
    signal.addEventListener("abort", () => this.root.replaceChildren());
  }

  start(config: ScatterConfig, boot: Boot | undefined): void {
    const { hub, signal, stage } = this;
    this.config = config;
    this.tool = toolNamed(config.tool);
    this.root.classList.toggle("embedded", config.embedded === true);
    this.setHeight(config);
    this.plot = new Plot(stage, config.renderer ?? "auto", signal, {
      facts: (facts) => this.told(facts),
      rested: (transform, size) => this.closeup.rested({ transform, size }),
    });
    this.plot.showNames = config.names !== false;
    this.feed = new Feed(hub, this.plot.engine, this.panelId, signal, {
      replaced: (placed, legend) => {
        this.hover.leave();
        this.hover.forget();
        this.closeup.begin();
        this.plot.setBounds(placed?.bounds ?? null);
        this.recolored(legend);
        this.progressed();
      },
      grown: () => {
        this.plot.changed();
        this.progressed();
      },
      recolored: (legend) => this.recolored(legend),
      marked: (anew) => {
        if (anew) this.closeup.stale();
        this.plot.changed();
        this.plot.frame();
      },
      guessed: () => {
        this.plot.changed();
        this.plot.frame();
      },
      synced: () => {
        this.closeup.look();
        this.note();
      },
    });
    this.closeup = new Closeup(hub, this.plot.engine, this.feed, this.panelId, signal, {
      changed: () => this.plot.changed(),
    });
    this.picking = new Picking(hub, this.plot, this.feed, signal);
    this.hover = new Hover(hub, {
      stage,
      panel: this.panelId,
      signal,
      projection: () => this.feed.placed?.projection ?? null,
      pointAt: (x, y) => this.plot.pointAt(x, y, NEAR_PX),
      placeOf: ({ x, y }) => {
        const { ax, bx, ay, by } = this.plot.transform;
        return { x: x * ax + bx, y: y * ay + by };
      },
      ring: (at) => this.ring(at),
    });
    this.legendView = new LegendView(this.side, hub, {
      folded: () => this.plot.setInsets(this.legendView.width),
      filter: (clause) => {
        hub.client
          .ask("filter", { source: "legend", clause }, { panel: this.panelId, signal })
          .catch((error: Error) => {
            if (error.name === "AbortError") return;
            hub.store.toast({ sentence: error.message, kind: "error", undoable: false, python: null, hint: null });
          });
      },
    });
    this.gestures = new Gestures(
      stage,
      {
        tool: () => this.tool,
        pan: (dx, dy) => this.plot.pan(dx, dy),
        zoom: (factor, x, y) => {
          this.hover.leave();
          this.plot.zoom(factor, x, y);
        },
        reset: () => {
          this.picking.keepSelection();
          this.hover.leave();
          this.plot.reset();
        },
        drawing: (drawing) => {
          this.plot.drawing = drawing;
          this.plot.overChanged();
        },
        drawn: (drawing) => this.picking.select(drawing),
        clicked: (x, y, mode) => void this.picking.click(x, y, mode),
        hovered: (x, y) => this.hover.point(x, y),
        left: () => this.hover.leave(),
      },
      signal,
    );
    if (!config.embedded) {
      const bar = document.createElement("div");
      this.root.append(bar);
      hub.ui.actionBar(bar, { root: this.root, panel: this.panelId }, signal);
    }
    hub.ui.frame(this.root, signal);
    hub.keyboard.attach(this.root, (event) => this.key(event), signal, {
      keys: [
        ["drag", "Lasso"],
        ["Shift / Alt + drag", "Add / take away"],
        ["Space + drag", "Pan"],
        ["wheel", "Zoom"],
        ["B", "Box or lasso"],
        ["P", "Pan or lasso"],
        ["C", "Centre on the selection"],
        ["arrows", "Pan"],
        ["+ −", "Zoom"],
        ["0 or Home", "See all"],
      ],
    });
    hub.dom.onResize(stage, (width, height) => this.resized(width, height), signal);
    this.watchTheme();
    this.resized(stage.clientWidth, stage.clientHeight);
    this.feed.boot(boot, this.wanted(config));
    hub.dom.effectUntil(signal, () => {
      const state = hub.store.state.value;
      if (state) this.feed.sync(state);
      this.draw(state);
    });
    hub.dom.effectUntil(signal, () => void this.follow(hub.store.hovered.value));
  }

  /** After the kernel changed what it keeps for this panel. */
  configure(config: ScatterConfig): void {
    const before = this.config;
    this.config = config;
    if (config.names !== before.names) this.setNames(config.names !== false);
    if (config.tool !== before.tool) this.setTool(toolNamed(config.tool), false);
    this.setHeight(config);
    if (config.color !== before.color || config.projection !== before.projection) this.want(this.wanted(config));
  }

  /** Not `height` itself: ipywidgets' layout belongs to this element and takes that away when it arrives. */
  private setHeight({ embedded, height_px }: ScatterConfig): void {
    const height = embedded ? "100%" : `${height_px ?? DEFAULT_HEIGHT_PX}px`;
    this.root.style.setProperty("--dataide-height", height);
  }

  private wanted(config: ScatterConfig) {
    return { projection: config.projection ?? null, color: config.color ?? null };
  }

  private want(wanted: { projection: string | null; color: string | null }): void {
    this.feed.wanted = wanted;
    const state = this.hub.store.state.peek();
    if (state) this.feed.sync(state);
    this.draw(state);
  }

  /** Takes effect here at once, and is kept in the kernel for the next page load. */
  private keep(name: "color" | "projection" | "tool" | "names", value: string | boolean | null): void {
    this.config = { ...this.config, [name]: value };
    const { client } = this.hub;
    client
      .ask("configure", { panel: this.panelId, name, value }, { panel: this.panelId, signal: this.signal })
      .catch(() => undefined);
  }

  // Looks

  private theme(): { theme: Theme; accent: string } {
    const style = getComputedStyle(this.stage);
    return {
      theme: { background: parseColor(style.backgroundColor), ink: parseColor(style.color) },
      accent: getComputedStyle(this.notes.note).color,
    };
  }

  private watchTheme(): void {
    const again = () => this.recolored(this.feed.legend);
    const observer = new MutationObserver(again);
    observer.observe(document.body, {
      attributes: true,
      attributeFilter: ["data-jp-theme-light", "data-jp-theme-name", "class"],
    });
    observer.observe(document.documentElement, {
      attributes: true,
      attributeFilter: ["data-jp-theme-light", "data-theme", "class"],
    });
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", again, { signal: this.signal });
    // JupyterLab sets the attribute first and loads the theme's style sheet after it.
    document.head.addEventListener("load", again, { capture: true, signal: this.signal });
    this.signal.addEventListener("abort", () => observer.disconnect());
  }

  private recolored(legend: Legend): void {
    const { theme, accent } = this.theme();
    this.plot.setColors({ palette: makePalette(legend, this.hub.dom, theme), theme, accent });
    this.draw(this.hub.store.state.peek());
  }

  private resized(width: number, height: number): void {
    this.hover.leave();
    this.root.classList.toggle("narrow", width < NARROW_PX);
    this.legendView.squeeze(width < FOLDED_PX);
    this.plot.resize(width, height);
    this.plot.setInsets(this.legendView.width);
  }

  // Keys

  private key(event: KeyboardEvent): boolean {
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (key === "Escape") return this.gestures.cancel();
    // Where the classes are digits, 0 is a label.
    if (key === "0" && this.hub.ui.digits().some(([digit]) => digit === "0")) return false;
    const act = this.keys[key];
    act?.(event.shiftKey ? 160 : 60);
    return act !== undefined;
  }

  private readonly keys: Record<string, (step: number) => void> = {
    ArrowLeft: (step) => this.plot.glideBy(1, step, 0),
    ArrowRight: (step) => this.plot.glideBy(1, -step, 0),
    ArrowUp: (step) => this.plot.glideBy(1, 0, step),
    ArrowDown: (step) => this.plot.glideBy(1, 0, -step),
    "+": () => this.plot.glideBy(1.5),
    "=": () => this.plot.glideBy(1.5),
    "-": () => this.plot.glideBy(1 / 1.5),
    "0": () => this.plot.reset(),
    Home: () => this.plot.reset(),
    " ": () => this.gestures.space(true),
    b: () => this.setTool(this.tool === "box" ? "lasso" : "box"),
    p: () => this.setTool(this.tool === "pan" ? "lasso" : "pan"),
    c: () => void this.centre(),
  };

  private setTool(tool: Tool, keep = true): void {
    this.tool = tool;
    if (keep) this.keep("tool", tool);
    this.draw(this.hub.store.state.peek());
  }

  private setNames(on: boolean): void {
    this.plot.showNames = on;
    this.plot.overChanged();
    this.draw(this.hub.store.state.peek());
  }

  /** On the ringed point, else on the selection. */
  private async centre(): Promise<void> {
    const { ring, engine } = this.plot;
    const box = ring ? ([ring.x, ring.y, ring.x, ring.y] as const) : await engine.selectedBox().catch(() => null);
    if (box && !this.signal.aborted) this.plot.centre([...box]);
  }

  // Hovering, here and elsewhere

  private ring(at: { x: number; y: number } | null): void {
    this.plot.ring = at;
    this.plot.overChanged();
  }

  /** Rings the sample that another panel has under its pointer. */
  private async follow(no: number | null): Promise<void> {
    const { placed } = this.feed;
    if (no !== null && no === this.hover.ours) return;
    if (this.hover.at !== null) return;
    if (no === null || !placed) return this.ring(null);
    try {
      const body = { projection: placed.projection, nos: [no] };
      const reply = await this.hub.client.ask("locate", body, { panel: this.panelId, signal: this.signal });
      if (this.hub.store.hovered.peek() !== no || this.hover.at !== null) return;
      const place = reply.body.places[0];
      this.ring(place ? { x: place[0], y: place[1] } : null);
    } catch {
      // A newer one is on its way.
    }
  }

  // Interface

  private told(facts: Facts): void {
    this.chosen = facts.loaded === facts.total ? facts.selected : null;
    this.note();
    this.stage.dataset.loaded = String(facts.loaded);
    this.stage.dataset.total = String(facts.total);
  }

  private note(): void {
    const state = this.hub.store.state.peek();
    this.notes.draw(state, this.feed, state && this.feed.settled(state) ? this.chosen : null);
  }

  private progressed(): void {
    const { placed } = this.feed;
    this.notes.loaded(placed?.loaded ?? 0, placed?.held ?? 0);
  }

  private draw(state: SessionState | null): void {
    if (this.signal.aborted) return;
    const { placed, legend, wanted } = this.feed;
    this.stage.dataset.tool = this.tool;
    const many = placed ? `Scatter of ${this.hub.dom.formatCount(placed.total)} points` : "Scatter without points";
    this.root.setAttribute("aria-label", `${many}${placed && wanted.color ? `, colour by ${wanted.color}` : ""}`);
    drawToolbar(this.toolbar, this.hub, {
      embedded: this.config.embedded === true,
      columns: colorable(state?.columns ?? []),
      color: wanted.color,
      projections: state?.projections ?? [],
      projection: placed?.projection ?? wanted.projection,
      tool: this.tool,
      names: nameable(legend) ? this.plot.showNames : null,
      setColor: (color) => {
        this.keep("color", color);
        this.want({ ...this.feed.wanted, color });
      },
      setProjection: (projection) => {
        this.keep("projection", projection);
        this.want({ ...this.feed.wanted, projection });
      },
      setTool: (tool) => this.setTool(tool),
      setNames: (on) => {
        this.keep("names", on);
        this.setNames(on);
      },
      reset: () => this.plot.reset(),
    });
    this.legendView.update(legend, state?.filter.clauses ?? [], state?.columns ?? []);
    this.plot.setInsets(this.legendView.width);
    this.note();
  }
}
