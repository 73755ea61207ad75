/** The scatter's own page of interface: toolbar, stage, legend, card, and what each gesture means. */
import { colorable } from "../../core/columns.js";
import type { HubExports } from "../../core/contract.js";
import type { Legend, Mode, SessionState, Shape } from "../../core/protocol.js";
import { dataToSteps, pixelInData, stepsToData } from "./camera.js";
import { type Boot, Feed } from "./feed.js";
import { Gestures, type Tool } from "./gestures.js";
import { Hover } from "./hover.js";
import { polygonOf, RingTest } from "./lasso.js";
import { LegendView } from "./legend.js";
import { nameable } from "./names.js";
import type { Drawing } from "./overlay.js";
import { makePalette, parseColor, type Theme } from "./palette.js";
import { Plot } from "./plot.js";
import type { RendererChoice } from "./renderer.js";
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

const NEAR_PX = 8;
/** Below, the legend goes without counts; below the second, it is folded unless it was opened. */
const NARROW_PX = 520;
const FOLDED_PX = 320;
const DEFAULT_HEIGHT_PX = 480;
export class ScatterPanel {
  private readonly toolbar = document.createElement("div");
  private readonly stage = document.createElement("div");
  private readonly side = document.createElement("div");
  private readonly note = document.createElement("div");
  private readonly empty = document.createElement("div");
  private config: ScatterConfig = {};
  private tool: Tool = "lasso";
  private plot!: Plot;
  private feed!: Feed;
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
    this.note.className = "stale";
    this.empty.className = "dataide-empty";
    this.stage.append(this.side, this.note, this.empty);
    this.root.append(this.toolbar, this.stage);
    signal.addEventListener("abort", () => this.root.replaceChildren());
  }

  start(config: ScatterConfig, boot: Boot | undefined): void {
    const { hub, signal, stage } = this;
    this.config = config;
    this.tool = toolNamed(config.tool);
    this.root.classList.toggle("embedded", config.embedded === true);
    this.setHeight(config);
    this.plot = new Plot(stage, config.renderer ?? "auto", signal);
    this.plot.showNames = config.names !== false;
    this.feed = new Feed(hub, this.panelId, signal, {
      replaced: (points, legend) => {
        this.hover.show(null);
        this.hover.forget();
        this.plot.setPoints(points);
        this.recolored(legend);
      },
      grown: () => this.plot.pointsChanged(),
      recolored: (legend) => this.recolored(legend),
      marked: (filtered) => {
        if (filtered) this.plot.namesChanged();
        else this.plot.changed();
        this.plot.frame();
      },
    });
    this.hover = new Hover(hub, {
      stage,
      panel: this.panelId,
      signal,
      projection: () => this.feed.points?.projection ?? null,
      placeOf: (index) => this.placeOf(index),
      ring: (index) => this.ring(index),
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
          this.hover.show(null);
          this.plot.zoom(factor, x, y);
        },
        reset: () => this.resetByDoubleClick(),
        drawing: (drawing) => {
          this.plot.drawing = drawing;
          this.plot.overChanged();
        },
        drawn: (drawing) => this.select(drawing),
        clicked: (x, y, mode) => this.click(x, y, mode),
        hovered: (x, y) => this.hover.show(this.plot.pointAt(x, y, NEAR_PX)),
        left: () => this.hover.show(null),
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
      accent: getComputedStyle(this.note).color,
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
    this.plot.setColors({ palette: makePalette(legend, this.hub.dom, theme), theme, accent }, legend);
    this.draw(this.hub.store.state.peek());
  }

  private resized(width: number, height: number): void {
    this.hover.show(null);
    this.root.classList.toggle("narrow", width < NARROW_PX);
    this.legendView.squeeze(width < FOLDED_PX);
    this.plot.resize(width, height);
    this.plot.setInsets(this.legendView.width);
  }

  // Gestures

  private select(drawing: Drawing): void {
    const { points } = this.feed;
    if (!points) return;
    const toData = (x: number, y: number) => stepsToData(points.bounds, ...this.plot.steps(x, y));
    const { path, mode } = drawing;
    const { projection, bounds } = points;
    let shape: Shape;
    let ring: number[];
    if (drawing.kind === "box") {
      const pixel = pixelInData(this.plot.transform, bounds);
      const corners = polygonOf(
        [path[0] as number, path[1] as number, path[2] as number, path[3] as number],
        toData,
        pixel,
      );
      if (corners.length < 4) return;
      const [xa, ya, xb, yb] = corners as [number, number, number, number];
      const box = { x0: Math.min(xa, xb), y0: Math.min(ya, yb), x1: Math.max(xa, xb), y1: Math.max(ya, yb) };
      shape = { type: "box", projection, ...box };
      ring = [box.x0, box.y0, box.x1, box.y0, box.x1, box.y1, box.x0, box.y1];
    } else {
      ring = polygonOf(path, toData, pixelInData(this.plot.transform, bounds));
      if (ring.length < 6) return;
      shape = { type: "polygon", projection, points: ring };
    }
    const steps = new Float64Array(ring.length);
    for (let i = 0; i < ring.length; i += 2)
      steps.set(dataToSteps(bounds, ring[i] as number, ring[i + 1] as number), i);
    const test = new RingTest(steps);
    const { xy } = points;
    void this.feed.select(shape, mode, (i) => test.has(xy[2 * i] as number, xy[2 * i + 1] as number));
  }

  private beforeClear: Uint8Array | null = null;
  private clearing: ReturnType<typeof setTimeout> | undefined;

  private click(x: number, y: number, mode: Mode): void {
    const { points } = this.feed;
    if (!points) return;
    const index = this.plot.pointAt(x, y, NEAR_PX);
    if (index !== null) {
      void this.feed.select(
        { type: "points", projection: points.projection, indices: [index] },
        mode,
        (i) => i === index,
      );
      return;
    }
    const selected = this.hub.store.state.peek()?.selection.count ?? 0;
    if (mode !== "replace" || (selected === 0 && points.selectedCount === 0)) return;
    // It may be the first half of a double click, which must not cost the selection: shown at once, told a little later.
    this.beforeClear = points.flags.slice();
    points.combine(() => false, "replace");
    this.plot.changed();
    clearTimeout(this.clearing);
    this.clearing = setTimeout(() => {
      this.beforeClear = null;
      if (!this.signal.aborted) void this.feed.select({ type: "none" }, "replace", () => false);
    }, 260);
  }

  private resetByDoubleClick(): void {
    clearTimeout(this.clearing);
    const { points } = this.feed;
    if (this.beforeClear && points?.flags.length === this.beforeClear.length) {
      points.flags.set(this.beforeClear);
      points.classify();
    }
    this.beforeClear = null;
    this.hover.show(null);
    this.plot.reset();
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
    c: () => this.centre(),
  };

  private setTool(tool: Tool, keep = true): void {
    this.tool = tool;
    if (keep) this.keep("tool", tool);
    this.draw(this.hub.store.state.peek());
  }

  private setNames(on: boolean): void {
    this.plot.showNames = on;
    this.plot.namesChanged();
    this.draw(this.hub.store.state.peek());
  }

  /** On the ringed point, else on the selection. */
  private centre(): void {
    const { ring } = this.plot;
    const box = this.feed.points?.selectedBox();
    if (ring) this.plot.centre(ring.stepX, ring.stepY);
    else if (box) this.plot.centre((box[0] + box[2]) / 2, (box[1] + box[3]) / 2);
  }

  // Hovering, here and elsewhere

  private placeOf(index: number): { x: number; y: number } | null {
    const { points } = this.feed;
    if (!points || index >= points.loaded) return null;
    const { ax, bx, ay, by } = this.plot.transform;
    return { x: (points.xy[2 * index] as number) * ax + bx, y: (points.xy[2 * index + 1] as number) * ay + by };
  }

  private ring(index: number | null): void {
    const xy = this.feed.points?.xy;
    this.plot.ring =
      index === null || !xy ? null : { stepX: xy[2 * index] as number, stepY: xy[2 * index + 1] as number };
    this.plot.overChanged();
  }

  /** Rings the sample that another panel has under its pointer. */
  private async follow(no: number | null): Promise<void> {
    const { points } = this.feed;
    if (no !== null && no === this.hover.ours) return;
    if (this.hover.index !== null) return;
    if (no === null || !points) return this.ring(null);
    try {
      const body = { projection: points.projection, nos: [no] };
      const reply = await this.hub.client.ask("locate", body, { panel: this.panelId, signal: this.signal });
      if (this.hub.store.hovered.peek() !== no || this.hover.index !== null) return;
      const place = reply.body.places[0];
      if (!place) return this.ring(null);
      const [stepX, stepY] = dataToSteps(points.bounds, place[0], place[1]);
      this.plot.ring = { stepX, stepY };
      this.plot.overChanged();
    } catch {
      // A newer one is on its way.
    }
  }

  // Interface

  private draw(state: SessionState | null): void {
    if (this.signal.aborted) return;
    const { points, legend, wanted } = this.feed;
    this.stage.dataset.tool = this.tool;
    const many = points ? `Scatter of ${this.hub.dom.formatCount(points.total)} points` : "Scatter without points";
    this.root.setAttribute("aria-label", `${many}${points && wanted.color ? `, colour by ${wanted.color}` : ""}`);
    drawToolbar(this.toolbar, this.hub, {
      embedded: this.config.embedded === true,
      columns: colorable(state?.columns ?? []),
      color: wanted.color,
      projections: state?.projections ?? [],
      projection: points?.projection ?? wanted.projection,
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
    this.drawNotes(state);
  }

  private drawNotes(state: SessionState | null): void {
    const { html, render, nothing } = this.hub.lit;
    const { formatCount } = this.hub.dom;
    const info = state ? this.feed.info(state) : null;
    const stale = info && this.feed.points ? info.stale : 0;
    render(
      stale > 0
        ? html`<span>${formatCount(stale)} ${stale === 1 ? "sample has" : "samples have"} no place yet or changed since: <code>session.embed(); session.project()</code></span>`
        : nothing,
      this.note,
    );
    const none = state !== null && state.projections.length === 0;
    this.empty.hidden = !none && this.feed.points !== null;
    render(
      none
        ? state.sampleCount === 0
          ? html`<div>No samples yet.</div><div><code>session.add_folder("pictures")</code></div>`
          : html`<div>No map of the ${formatCount(state.sampleCount)} samples yet. Make one:</div><div><code>session.embed(); session.project()</code></div>`
        : this.feed.points
          ? nothing
          : html`<div>Loading…</div>`,
      this.empty,
    );
  }
}
