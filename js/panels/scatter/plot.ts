/** The stage: camera, renderer, overlay, and when to draw how much. */
import type { Legend } from "../../core/protocol.js";
import {
  type Affine,
  affine,
  between,
  fitted,
  type Insets,
  panBy,
  type Size,
  stepsAt,
  type View,
  worldOf,
  zoomAt,
  zoomLimits,
} from "./camera.js";
import { type ClassName, classNames } from "./names.js";
import { type Drawing, type Over, Overlay } from "./overlay.js";
import { look, type Palette, standing, type Theme } from "./palette.js";
import type { Points } from "./points.js";
import { createRenderer, type Frame, type Renderer, type RendererChoice } from "./renderer.js";

const REST_MS = 140;
const GLIDE_MS = 180;
/** What a frame may cost while the view moves: the rest of its 16 ms belongs to the browser. */
const FRAME_MS = 9;
/** A GPU does not tell how long it works; frames that come later than this mean that it has too much to do. */
const LATE_MS = 26;
const TEST_POINTS = 5_000;
const TEST_MS = 60;
/** So few selected points get a ring each, or nobody finds them among thousands. */
const FEW = 24;
/** From the legend to the plot's right side and to the nearest point. */
const LEGEND_GAP_PX = 26;
/** Names are for the overview: zoomed in further than this, they would stand alone on one class. */
const NAMES_UP_TO = 5;

export interface PlotColors {
  palette: Palette;
  theme: Theme;
  accent: string;
}

export class Plot {
  points: Points | null = null;
  drawing: Drawing | null = null;
  ring: { stepX: number; stepY: number } | null = null;
  showNames = true;
  renderer: Renderer;
  private readonly overlay = new Overlay();
  private size: Size = { width: 0, height: 0 };
  private world: Size = { width: 1, height: 1 };
  private fitted: View = { x: 0.5, y: 0.5, scale: 1 };
  private view: View = this.fitted;
  private atHome = true;
  private insets: Insets = { left: 18, right: 18, top: 18, bottom: 18 };
  private colors: PlotColors | null = null;
  private legend: Legend = { kind: "none" };
  private density = 0;
  private names: ClassName[] = [];
  private request = 0;
  private stale = { points: true, over: true };
  private pending: Frame | null = null; // the frame that is being put together
  private thin = false; // what is on screen does not show all points
  private tested = false;
  private movedAt = -Infinity;
  private share = 1;
  private lastFrameAt = 0;
  private glide: { from: View; to: View; started: number } | null = null;

  constructor(
    private readonly stage: HTMLElement,
    private readonly choice: RendererChoice,
    private readonly signal: AbortSignal,
  ) {
    this.renderer = this.start(choice);
    stage.append(this.overlay.canvas);
    signal.addEventListener("abort", () => {
      cancelAnimationFrame(this.request);
      this.renderer.dispose();
      this.points = null;
    });
  }

  private start(choice: RendererChoice): Renderer {
    const renderer = createRenderer(choice, () => this.replace());
    renderer.canvas.className = "points";
    renderer.canvas.setAttribute("aria-hidden", "true");
    this.stage.prepend(renderer.canvas);
    this.stage.dataset.renderer = renderer.name;
    return renderer;
  }

  /** The browser took the GL context away (too many of them, or the driver restarted): the CPU goes on. */
  private replace(): void {
    if (this.signal.aborted) return;
    const old = this.renderer;
    this.renderer = this.start("canvas");
    old.dispose();
    this.share = 1;
    this.changed();
  }

  resize(width: number, height: number): void {
    if (width === this.size.width && height === this.size.height) return;
    this.size = { width, height };
    this.fitAgain();
    // A stage that changes its size must not show a stretched picture for a frame.
    if (width > 0 && height > 0 && this.points) this.frame();
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

  setPoints(points: Points | null): void {
    const before = this.points;
    this.points = points;
    if (points && (!before || before.bounds.some((value, i) => value !== points.bounds[i]))) {
      this.world = worldOf(points.bounds);
      this.atHome = true;
      this.fitAgain();
    }
    this.pointsChanged();
  }

  /** After another part of the points. */
  pointsChanged(): void {
    this.density = this.points?.density(this.world) ?? 0;
    this.namesChanged();
  }

  setColors(colors: PlotColors, legend: Legend): void {
    this.colors = colors;
    this.legend = legend;
    this.namesChanged();
  }

  /** After marks: which points count for the names may have changed. */
  namesChanged(): void {
    this.names = this.points && this.showNames ? classNames(this.points, this.legend) : [];
    this.changed();
  }

  get transform(): Affine {
    return affine(this.view, this.world, this.size);
  }

  get radius(): number {
    return this.look().radius;
  }

  get home(): boolean {
    return this.atHome;
  }

  /** Steps under a screen point. */
  steps(x: number, y: number): [number, number] {
    return stepsAt(this.transform, x, y);
  }

  pointAt(x: number, y: number, reach: number): number | null {
    const transform = this.transform;
    const [stepX, stepY] = stepsAt(transform, x, y);
    return this.points?.nearest(stepX, stepY, transform.ax, transform.ay, reach) ?? null;
  }

  pan(dx: number, dy: number): void {
    this.glide = null;
    this.lookAt(panBy(this.view, dx, dy));
  }

  zoom(factor: number, x: number, y: number): void {
    this.glide = null;
    this.lookAt(zoomAt(this.view, factor, { x, y }, this.size, zoomLimits(this.fitted)));
  }

  /** Of keys and buttons: glides, unless the user asked the system for less motion. */
  glideBy(factor: number, dx = 0, dy = 0): void {
    const from = this.glide?.to ?? this.view;
    const middle = { x: this.size.width / 2, y: this.size.height / 2 };
    this.glideTo(zoomAt(panBy(from, dx, dy), factor, middle, this.size, zoomLimits(this.fitted)), false);
  }

  reset(): void {
    this.glideTo(this.fitted, true);
  }

  /** Brings a place into the middle, a little nearer than the whole. */
  centre(stepX: number, stepY: number): void {
    const scale = Math.max(this.view.scale, this.fitted.scale * 2.5);
    this.glideTo({ x: (stepX / 65535) * this.world.width, y: (stepY / 65535) * this.world.height, scale }, false);
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

  /** Draws now; what a mouse-up changed is then on screen with this very frame. */
  frame(): void {
    cancelAnimationFrame(this.request);
    this.request = 0;
    const { points, colors, size } = this;
    // A canvas that was never drawn is black.
    const nothing = points === null || colors === null;
    this.renderer.canvas.hidden = nothing;
    this.overlay.canvas.hidden = nothing;
    if (this.signal.aborted || nothing || size.width === 0 || size.height === 0) return;
    const now = performance.now();
    this.step(now);
    const moving = this.glide !== null || now - this.movedAt < REST_MS;
    const again = this.stale.points || (this.thin && !moving);
    if (again) this.pending = this.compose(points, colors, moving ? this.share : 1);
    if (this.pending && this.renderer.draw(points, this.pending)) {
      this.pending = null;
      if (!moving) this.test(points);
    }
    if (moving && again) this.adapt(performance.now() - now, now, points.loaded);
    this.lastFrameAt = now;
    if (again || this.stale.over) this.paintOver(colors);
    if (this.glide || this.pending || this.thin) this.ask();
  }

  private paintOver(colors: PlotColors): void {
    this.stale.over = false;
    this.overlay.paint(this.size, this.ratio, {
      transform: this.transform,
      theme: colors.theme,
      accent: colors.accent,
      names: this.view.scale <= this.fitted.scale * NAMES_UP_TO ? this.names : [],
      ring: this.ring,
      radius: this.radius,
      few: this.few(),
      drawing: this.drawing,
    });
  }

  private few(): Over["few"] {
    const { points } = this;
    if (!points) return [];
    const { xy } = points;
    return points.few(FEW).map((i) => ({ stepX: xy[2 * i] as number, stepY: xy[2 * i + 1] as number }));
  }

  private step(now: number): void {
    if (!this.glide) return;
    const t = Math.min(1, (now - this.glide.started) / GLIDE_MS);
    this.view = between(this.glide.from, this.glide.to, 1 - (1 - t) ** 3);
    this.movedAt = now;
    this.stale.points = true;
    if (t === 1) this.glide = null;
  }

  private compose(points: Points, colors: PlotColors, share: number): Frame {
    // Fewer points, each a little stronger: the picture keeps its weight while it moves.
    const { radius, opacity } = this.look();
    const full = Math.min(0.95, opacity / Math.sqrt(Math.max(0.15, share)));
    const others = points.ends[1] > points.ends[0]; // some are faded, so the selected ones stand out
    this.stale.points = false;
    this.thin = share < 1;
    return {
      size: this.size,
      ratio: this.ratio,
      transform: this.transform,
      radius: [radius, radius, others ? standing(radius, points.ends[2] - points.ends[1]) : radius],
      opacity: [full * 0.5, others ? full * 0.55 : full, others ? Math.min(1, full * 1.25) : full],
      palette: colors.palette,
      share,
    };
  }

  /** A driver may hide that it is software: the first whole frame is timed once, and a slow one is the last of its kind. */
  private test(points: Points): void {
    if (this.tested || this.choice !== "auto" || points.loaded < TEST_POINTS) return;
    this.tested = true;
    if ((this.renderer.timed?.() ?? 0) > TEST_MS) this.replace();
  }

  /** How many points the next moving frame may draw. */
  private adapt(spent: number, now: number, count: number): void {
    const late = now - this.lastFrameAt;
    const ratio =
      this.renderer.name === "canvas" ? FRAME_MS / Math.max(0.5, spent) : late < 200 && late > LATE_MS ? 0.7 : 1.25;
    const least = Math.min(1, 20_000 / Math.max(1, count));
    this.share = Math.min(1, Math.max(least, this.share * Math.min(1.3, Math.max(0.4, ratio))));
  }

  private get ratio(): number {
    return Math.max(1, window.devicePixelRatio || 1);
  }

  private look(): { radius: number; opacity: number } {
    return look(this.density / (this.view.scale * this.view.scale), this.points?.loaded ?? 0);
  }
}
