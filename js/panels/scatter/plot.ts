/** The stage: camera, overlay, and when the engine is asked to draw. */
import type { Box } from "../../core/protocol.js";
import {
  type Affine,
  affine,
  type Bounds,
  between,
  dataAt,
  fitted,
  type Insets,
  panBy,
  type Size,
  type View,
  worldAt,
  worldOf,
  zoomAt,
  zoomLimits,
} from "./camera.js";
import type { Engine, Facts, Hit, RendererChoice } from "./engine.js";
import { createEngine } from "./engine_start.js";
import { type Drawing, Overlay } from "./overlay.js";
import type { Palette, Theme } from "./palette.js";

const REST_MS = 140;
const GLIDE_MS = 180;
/** From the legend to the plot's right side and to the nearest point. */
const LEGEND_GAP_PX = 26;
/** Names are for the overview: zoomed in further than this, they would stand alone on one class. */
const NAMES_UP_TO = 5;
const NOTHING: Facts = {
  loaded: 0,
  total: 0,
  selected: 0,
  visible: 0,
  radius: 1,
  names: [],
  few: [],
  complete: false,
};

export interface PlotColors {
  palette: Palette;
  theme: Theme;
  accent: string;
}

export interface PlotActions {
  /** The engine says something new about the points. */
  facts(facts: Facts): void;
  /** The view stands still, and is being drawn. */
  rested(transform: Affine, size: Size): void;
}

export class Plot {
  readonly engine: Engine;
  drawing: Drawing | null = null;
  ring: { x: number; y: number } | null = null;
  showNames = true;
  facts: Facts = NOTHING;
  private readonly overlay = new Overlay();
  private size: Size = { width: 0, height: 0 };
  private world: Size = { width: 1, height: 1 };
  private bounds: Bounds | null = null;
  private fitted: View = { x: 0.5, y: 0.5, scale: 1 };
  private view: View = this.fitted;
  private atHome = true;
  private insets: Insets = { left: 18, right: 18, top: 18, bottom: 18 };
  private colors: PlotColors | null = null;
  private request = 0;
  private stale = { points: true, over: true };
  private thin = false; // the last frame that was asked for was one of a moving view
  private movedAt = -Infinity;
  private glide: { from: View; to: View; started: number } | null = null;
  private shown: { transform: Affine; scale: number } | null = null; // of the picture on the canvas

  constructor(
    private readonly stage: HTMLElement,
    choice: RendererChoice,
    private readonly signal: AbortSignal,
    private readonly actions: PlotActions,
  ) {
    const { dataset } = stage;
    this.engine = createEngine({
      stage,
      choice,
      events: {
        facts: (facts) => this.told(facts),
        renderer: (name) => {
          dataset.renderer = name;
          this.changed();
        },
      },
    });
    dataset.renderer = this.engine.name;
    stage.append(this.overlay.canvas);
    stage.classList.add("bare");
    signal.addEventListener("abort", () => {
      cancelAnimationFrame(this.request);
      this.engine.dispose();
    });
  }

  private told(facts: Facts): void {
    if (this.signal.aborted) return;
    this.facts = facts;
    this.overChanged();
    this.actions.facts(facts);
  }

  resize(width: number, height: number): void {
    if (width === this.size.width && height === this.size.height) return;
    this.size = { width, height };
    this.fitAgain();
    // A stage that changes its size must not show an old picture for longer than it takes to draw the new one.
    if (width > 0 && height > 0 && this.bounds) this.frame();
  }

  setInsets(right: number): void {
    // On a narrow plot the legend may cover points rather than squeeze all of them.
    const room = right > 0 && right < 0.35 * this.size.width ? right + LEGEND_GAP_PX : 18;
    if (room === this.insets.right) return;
    this.insets = { ...this.insets, right: room };
    this.fitAgain();
  }

  private fitAgain(): void {
    const { width, height } = this.size;
    if (width === 0 || height === 0) return;
    const next = fitted(this.world, this.size, this.insets);
    // Keeps what the user looks at: the same centre, the same zoom relative to the whole.
    this.view = this.atHome ? next : { ...this.view, scale: (this.view.scale * next.scale) / this.fitted.scale };
    this.fitted = next;
    this.changed();
  }

  /** Other points: the view stays if they fill the same bounds. Null: there are none. */
  setBounds(bounds: Bounds | null): void {
    const before = this.bounds;
    this.bounds = bounds;
    if (bounds && (!before || before.some((value, i) => value !== bounds[i]))) {
      this.world = worldOf(bounds);
      this.atHome = true;
      this.glide = null;
      this.shown = null;
      this.fitAgain();
    }
    this.changed();
  }

  setColors(colors: PlotColors): void {
    this.colors = colors;
    this.changed();
  }

  get transform(): Affine {
    return affine(this.view, this.world, this.size, this.bounds ?? [0, 0, 1, 1]);
  }

  get home(): boolean {
    return this.atHome;
  }

  /** Data coordinates under a screen point. */
  dataAt(x: number, y: number): [number, number] {
    return dataAt(this.transform, x, y);
  }

  pointAt(x: number, y: number, reach: number): Promise<Hit | null> {
    const transform = this.transform;
    return this.bounds ? this.engine.nearest(...dataAt(transform, x, y), reach, transform) : Promise.resolve(null);
  }

  pan(dx: number, dy: number): void {
    this.glide = null;
    this.lookAt(panBy(this.view, dx, dy));
  }

  zoom(factor: number, x: number, y: number): void {
    this.glide = null;
    this.lookAt(zoomAt(this.view, factor, { x, y }, this.size, this.limits));
  }

  /** Of keys and buttons: glides, unless the user asked the system for less motion. */
  glideBy(factor: number, dx = 0, dy = 0): void {
    const from = this.glide?.to ?? this.view;
    const middle = { x: this.size.width / 2, y: this.size.height / 2 };
    this.glideTo(zoomAt(panBy(from, dx, dy), factor, middle, this.size, this.limits), false);
  }

  reset(): void {
    this.glideTo(this.fitted, true);
  }

  /** Brings a box into the middle, a little nearer than the whole. */
  centre([x0, y0, x1, y1]: Box): void {
    if (!this.bounds) return;
    const scale = Math.max(this.view.scale, this.fitted.scale * 2.5);
    this.glideTo({ ...worldAt(this.world, this.bounds, (x0 + x1) / 2, (y0 + y1) / 2), scale }, false);
  }

  private get limits(): readonly [number, number] {
    return zoomLimits(this.fitted, this.world, this.bounds ?? [0, 0, 1, 1]);
  }

  private glideTo(to: View, home: boolean): void {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) this.lookAt(to);
    else this.glide = { from: this.view, to, started: performance.now() };
    this.atHome = home;
    this.movedAt = performance.now();
    this.changed();
  }

  private lookAt(view: View): void {
    this.view = view;
    this.atHome = false;
    this.movedAt = performance.now();
    this.changed();
  }

  changed(): void {
    this.stale.points = true;
    this.ask();
  }

  overChanged(): void {
    this.stale.over = true;
    this.ask();
  }

  private ask(): void {
    if (this.request === 0 && !this.signal.aborted) this.request = requestAnimationFrame(() => this.frame());
  }

  /** Draws now; what a mouse-up changed is then on screen as soon as the engine has drawn it. */
  frame(): void {
    cancelAnimationFrame(this.request);
    this.request = 0;
    const { bounds, colors, size } = this;
    // A canvas that was never drawn is black.
    const nothing = bounds === null || colors === null;
    this.stage.classList.toggle("bare", nothing);
    if (this.signal.aborted || nothing || size.width === 0 || size.height === 0) return;
    const now = performance.now();
    this.step(now);
    const moving = this.glide !== null || now - this.movedAt < REST_MS;
    if (this.stale.points || (this.thin && !moving)) this.draw(colors, moving);
    if (this.stale.over) this.paintOver(colors);
    if (this.glide || this.thin) this.ask();
  }

  private draw(colors: PlotColors, moving: boolean): void {
    this.stale.points = false;
    this.thin = moving;
    const { size, transform, world } = this;
    const { scale } = this.view;
    // Names and rings follow the picture they belong to, which a worker may finish a little later.
    const done = this.engine.draw({
      size,
      ratio: this.ratio,
      transform,
      scale,
      world,
      palette: colors.palette,
      moving,
    });
    done.then(
      () => {
        this.shown = { transform, scale };
        if (!this.signal.aborted && this.colors) this.paintOver(this.colors);
      },
      () => undefined,
    );
    if (!moving) this.actions.rested(transform, size);
  }

  private paintOver(colors: PlotColors): void {
    const { shown, facts } = this;
    if (!shown || this.bounds === null) return;
    this.stale.over = false;
    this.overlay.paint(this.size, this.ratio, {
      transform: shown.transform,
      theme: colors.theme,
      accent: colors.accent,
      names: this.showNames && shown.scale <= this.fitted.scale * NAMES_UP_TO ? facts.names : [],
      ring: this.ring,
      radius: facts.radius,
      few: facts.few,
      drawing: this.drawing,
    });
  }

  private step(now: number): void {
    if (!this.glide) return;
    const t = Math.min(1, (now - this.glide.started) / GLIDE_MS);
    this.view = between(this.glide.from, this.glide.to, 1 - (1 - t) ** 3);
    this.movedAt = now;
    this.stale.points = true;
    if (t === 1) this.glide = null;
  }

  private get ratio(): number {
    return Math.max(1, window.devicePixelRatio || 1);
  }
}
