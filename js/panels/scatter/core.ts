/** Holds the points and their layers, answers what the page asks about them and says how a frame is to be drawn. */
import type { Box, Legend } from "../../core/protocol.js";
import { type Affine, type Bounds, dataToSteps, LAST_STEP } from "./camera.js";
import { type Change, Cloud, FADED, FULL } from "./cloud.js";
import type { Density, Facts, Hit, Projected } from "./engine.js";
import type { Answer, Command, Estate, Post, Question, Shot } from "./messages.js";
import { anySelected, paintCells } from "./mosaic.js";
import { type ClassName, classNames, SAMPLE } from "./names.js";
import { look, type Palette, standing } from "./palette.js";
import type { Mosaic, Scene } from "./scene.js";

/** So few selected points get a ring each, or nobody finds them among thousands. */
const FEW = 24;
/** A thinner picture than this gets no stronger points: they would be few and loud. */
const THINNEST = 0.05;

const inBox = (box: Box | Bounds, inner: Box): boolean =>
  inner[0] >= box[0] && inner[1] >= box[1] && inner[2] <= box[2] && inner[3] <= box[3];

/** From steps (or cells) of a box to CSS pixels. */
function within(box: Box | Bounds, { ax, bx, ay, by }: Projected, stepsX = LAST_STEP, stepsY = LAST_STEP): Affine {
  const width = box[2] - box[0];
  const height = box[3] - box[1];
  return {
    ax: (ax * width) / stepsX,
    bx: ax * box[0] + bx,
    ay: (ay * height) / stepsY,
    by: ay * box[1] + by,
  };
}

/** What of the data the screen shows. */
function shown({ transform: { ax, bx, ay, by }, size }: Pick<Shot, "transform" | "size">): Box {
  const [xa, xb] = [-bx / ax, (size.width - bx) / ax];
  const [ya, yb] = [-by / ay, (size.height - by) / ay];
  return [Math.min(xa, xb), Math.min(ya, yb), Math.max(xa, xb), Math.max(ya, yb)];
}

export class Core {
  base: Cloud | null = null;
  detail: Cloud | null = null;
  density: Density | null = null;
  palette: Palette | null = null;
  /** Goes up with every change that a picture shows. */
  version = 0;
  /** Likewise, but not with points that have only come. */
  edition = 0;
  /** What the picture on the canvas shows; set by the painter. */
  complete = false;
  private legend: Legend = { kind: "none" };
  private radius = 0;
  private crowd = { cloud: null as Cloud | null, count: -1, world: "", value: 0 };
  private names = { key: "", legend: null as Legend | null, list: [] as readonly ClassName[] };
  private few = { key: "", list: [] as Facts["few"] };
  private mosaic = { density: null as Density | null, key: "", palette: null as Palette | null };
  private cells: Uint32Array<ArrayBuffer> | null = null;
  private layer: Cloud | null = null; // what is drawn now: base or detail
  private told = "";
  private toldOf: unknown[] = [];

  constructor(private readonly post: Post) {}

  /** Carries out what changes the points or asks about them. */
  take(command: Command): void {
    if (command.op === "ask") {
      this.post({ re: "answer", id: command.id, value: this.answer(command.question) });
      return;
    }
    this.change(command);
    if (command.op === "keep") return;
    const selecting =
      (this.base?.selected ?? 0) + (this.detail?.selected ?? 0) > 0 ||
      (this.density !== null && anySelected(this.density));
    for (const cloud of [this.base, this.detail]) if (cloud) cloud.selecting = selecting;
    if (command.op !== "legend") {
      this.version++;
      if (command.op !== "add") this.edition++;
      this.complete = false;
    }
    this.tell();
  }

  private change(command: Exclude<Command, { op: "ask" }>): void {
    const { base, detail } = this;
    switch (command.op) {
      case "begin":
        this.base = new Cloud(command.total, command.bounds);
        this.detail = null;
        this.density = null;
        this.layer = this.base;
        break;
      case "add": {
        const { offset, count, xy, colors } = command.part;
        base?.add(offset, count, xy, colors);
        break;
      }
      case "colors":
        base?.setColors(command.offset, command.colors);
        this.recolorDetail();
        break;
      case "legend":
        this.legend = command.legend;
        break;
      case "marks":
        base?.setMarks(command.selected, command.visible);
        if (base) detail?.follow(base);
        break;
      case "combine":
        for (const cloud of this.clouds) {
          const ring = new Float64Array(command.ring.length & ~1);
          for (let i = 0; i < ring.length; i += 2)
            ring.set(dataToSteps(cloud.bounds, command.ring[i] as number, command.ring[i + 1] as number), i);
          cloud.change({ kind: "ring", ring, mode: command.mode });
        }
        break;
      case "pick":
        this.both({ kind: "pick", indices: command.indices, mode: command.mode });
        break;
      case "correct":
        this.both({ kind: "correct", on: command.on, off: command.off });
        // The kernel speaks of rounded places, so what the detail guessed with finer ones does not count.
        if (base) detail?.follow(base);
        break;
      case "keep":
        for (const cloud of this.clouds) cloud.keep();
        break;
      case "restore":
        for (const cloud of this.clouds) cloud.restore();
        break;
      case "detail": {
        const given = command.detail;
        this.detail = given && Cloud.of(given.box, given.positions, given.xy, given.colors, given.flags);
        break;
      }
      case "density":
        this.density = command.density;
        break;
      case "release": // the host does that
        break;
      case "adopt":
        this.adopt(command.estate);
        break;
    }
  }

  private get clouds(): Cloud[] {
    return [this.base, this.detail].filter((cloud) => cloud !== null);
  }

  private both(change: Change): void {
    for (const cloud of this.clouds) cloud.change(change);
  }

  private recolorDetail(): void {
    const { base, detail } = this;
    if (!base || !detail?.positions) return;
    for (let i = 0; i < detail.loaded; i++) {
      const at = detail.positions[i] as number;
      if (at < base.loaded) detail.colors[i] = base.colors[at] as number;
    }
    detail.colorVersion++;
  }

  /** Hands everything over; this core is empty then. */
  release(): Estate {
    const { base, detail, density, legend } = this;
    this.base = null;
    this.detail = null;
    this.density = null;
    this.layer = null;
    return { base, detail, density, legend };
  }

  private adopt(estate: Estate): void {
    this.base = estate.base && Cloud.from(estate.base);
    this.detail = estate.detail && Cloud.from(estate.detail);
    this.density = estate.density;
    this.legend = estate.legend;
    this.layer = this.base;
  }

  // Questions

  private answer(question: Question): Answer {
    const layer = this.layer ?? this.base;
    if (!layer) return null;
    if (question.what === "selectedBox") return this.selectedBox();
    if (question.what === "place") return this.place(question.index);
    const { transform, reach } = question;
    const x = question.x * transform.ax + transform.bx;
    const y = question.y * transform.ay + transform.by;
    const i = layer.nearest(x, y, within(layer.bounds, transform), reach);
    if (i === null) return null;
    const hit: Hit = { index: layer.positions?.[i] ?? i, ...layer.place(i) };
    return hit;
  }

  private place(index: number): Answer {
    const { base, detail } = this;
    const at = detail?.positions?.indexOf(index) ?? -1;
    if (detail && at >= 0) return detail.place(at);
    return base && index >= 0 && index < base.loaded ? base.place(index) : null;
  }

  private selectedBox(): Box | null {
    const box = this.base?.selectedBox();
    if (!box || !this.base) return null;
    const [x0, y0, x1, y1] = this.base.bounds;
    const at = (step: number, low: number, high: number) => low + (step / LAST_STEP) * (high - low);
    return [at(box[0], x0, x1), at(box[1], y0, y1), at(box[2], x0, x1), at(box[3], y0, y1)];
  }

  // Drawing

  /** More points are under way, and so far all of them are drawn alike: then those that come belong on top of the others. */
  get growing(): boolean {
    const { base } = this;
    return base !== null && !this.density && base.loaded < base.total && this.alike;
  }

  /** No point is hidden, and none is faded. */
  get alike(): boolean {
    return this.base !== null && this.base.size(FULL) === this.base.loaded;
  }

  /**
   * How the points look at this view when a share of them is drawn; null without points. With `ahead` as they will look when all of
   * them are there.
   */
  compose(shot: Shot, share: number, ahead = false): Scene | null {
    const { base, palette } = this;
    if (!base || !palette) return null;
    const view = shown(shot);
    const near = this.detail && inBox(this.detail.bounds, view) ? this.detail : null;
    this.layer = near ?? base;
    const cloud = this.layer;
    // Points of a sample say little about how dense all of them are, so a detail among densities is measured by itself.
    const measured = this.density && near ? near : base;
    const count = ahead ? measured.total : measured.loaded;
    const { radius, opacity } = look(this.crowdOf(measured, shot, count) / shot.scale ** 2, count);
    this.radius = radius;
    // Fewer points, each a little stronger: the picture keeps its weight while it moves.
    const full = Math.min(0.95, opacity / Math.sqrt(Math.max(THINNEST, share)));
    const others = cloud.size(FADED) > 0; // some are faded, so the selected ones stand out
    return {
      size: shot.size,
      ratio: shot.ratio,
      palette,
      mosaic: this.density && !near ? this.pave(this.density, palette, shot) : null,
      cloud,
      transform: within(cloud.bounds, shot.transform),
      radius: [radius, radius, others ? standing(radius, cloud.size(FULL)) : radius],
      opacity: [full * 0.5, others ? full * 0.55 : full, others ? Math.min(1, full * 1.25) : full],
      share,
    };
  }

  private pave(density: Density, palette: Palette, shot: Shot): Mosaic {
    const selecting = this.base?.selecting ?? false;
    const now = { density, key: String(selecting), palette };
    const { mosaic } = this;
    if (!this.cells || mosaic.density !== now.density || mosaic.key !== now.key || mosaic.palette !== now.palette) {
      this.mosaic = now;
      this.cells = paintCells(density, palette, selecting);
    }
    const { width, height, box } = density;
    return { cells: this.cells, width, height, transform: within(box, shot.transform, width, height) };
  }

  private crowdOf(cloud: Cloud, { world, transform, scale }: Shot, count: number): number {
    // World units of this cloud's box: of the base the whole world.
    const [x0, y0, x1, y1] = cloud.bounds;
    const width = cloud === this.base ? world.width : Math.abs((x1 - x0) * transform.ax) / scale;
    const height = cloud === this.base ? world.height : Math.abs((y1 - y0) * transform.ay) / scale;
    const key = cloud === this.base ? `${width} ${height}` : "";
    const { crowd } = this;
    if (crowd.cloud !== cloud || crowd.count !== count || crowd.world !== key)
      this.crowd = { cloud, count, world: key, value: cloud.density({ width, height }, count) };
    return this.crowd.value;
  }

  // Facts

  /** Tells the page what is new; of a frame too, hence also called by the painter. */
  tell(): void {
    const { base } = this;
    const names = this.named();
    const few = this.fewOf();
    const facts: Facts = {
      loaded: base?.loaded ?? 0,
      total: base?.total ?? 0,
      selected: base?.selected ?? 0,
      visible: base?.visible ?? 0,
      radius: this.radius,
      names,
      few,
      complete: this.complete && (base === null || base.loaded === base.total),
    };
    const { loaded, total, selected, visible, radius, complete } = facts;
    const key = `${loaded} ${total} ${selected} ${visible} ${radius} ${complete}`;
    if (key === this.told && names === this.toldOf[0] && few === this.toldOf[1]) return;
    this.told = key;
    this.toldOf = [names, few];
    this.post({ re: "facts", facts });
  }

  private named(): readonly ClassName[] {
    const { base, legend } = this;
    const loaded = Math.min(SAMPLE, base?.loaded ?? 0);
    const key = base ? `${loaded} ${base.colorVersion} ${base.visibleVersion}` : "";
    if (key !== this.names.key || legend !== this.names.legend) {
      const list = base ? classNames(base, legend) : [];
      this.names = { key, legend, list };
    }
    return this.names.list;
  }

  private fewOf(): Facts["few"] {
    const { base } = this;
    const layer = this.layer ?? base;
    const selected = base?.selected ?? 0;
    if (!base || !layer || selected === 0 || selected > FEW || layer.size(FADED) === 0) {
      if (this.few.list.length > 0) this.few = { key: "", list: [] };
      return this.few.list;
    }
    const key = `${layer === base} ${base.markVersion} ${this.detail?.markVersion} ${layer.bounds}`;
    if (key !== this.few.key) {
      const list = layer.size(FULL) > FEW ? [] : [...(layer.list(FULL) ?? [])].map((i) => layer.place(i));
      this.few = { key, list };
    }
    return this.few.list;
  }
}
