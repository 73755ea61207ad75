/** When to draw how much: at rest all points, while the view moves as many as there is time for. */
import { MEASURED } from "./cloud.js";
import type { Core } from "./core.js";
import type { Gpu } from "./gpu.js";
import type { Post, Shot } from "./messages.js";
import { Picture, Stamps } from "./picture.js";
import { MARGIN } from "./raster.js";

export interface Painter {
  draw(id: number, shot: Shot): void;
  /** A picture is on the canvas; its memory is free again. */
  back(buffer: ArrayBuffer): void;
  dispose(): void;
}

/** How long drawing may take, in milliseconds. */
export interface Pace {
  frame: number; // while the view moves
  slice: number; // without looking whether something else is to be done
  whole: number; // of a picture with all points; a longer one is shown with fewer points first
}

export const WORKER_PACE: Pace = { frame: 20, slice: 20, whole: 32 };
/** On the page the rest of the frame's 16 ms belongs to the browser. */
export const PAGE_PACE: Pace = { frame: 9, slice: 8, whole: 24 };

const LEAST_POINTS = 20_000;
/** While points come, so often a picture of those that are there; the rest of the time goes into the one of all. */
const PROGRESS_MS = 400;
const BUFFERS = 2;

const empty = (shot: Shot) => !(shot.size.width > 0 && shot.size.height > 0);

const keyOf = ({ size, ratio, transform: { ax, bx, ay, by } }: Shot, version: number) =>
  `${size.width} ${size.height} ${ratio} ${ax} ${bx} ${ay} ${by} ${version}`;

interface Job {
  id: number;
  shot: Shot;
  version: number;
  share: number;
  picture: Picture;
  spent: number;
  /** Gives way when the points change; a short one is shown first, or parts that keep coming would leave the canvas empty. */
  long: boolean;
}

export class CpuPainter implements Painter {
  private readonly stamps = new Stamps();
  private readonly free: ArrayBuffer[] = [];
  private wanted: { id: number; shot: Shot } | null = null;
  private job: Job | null = null;
  private shown = { key: "", share: 0, view: "", at: -Infinity };
  /** All points that have come so far, as they will look in the end; who has it need not begin when the last one is there. */
  private ahead: { view: string; picture: Picture; spent: number } | null = null;
  private awaited: Shot | null = null; // what it shows
  private overdue: ReturnType<typeof setTimeout> | undefined;
  private perPoint = 3e-5; // milliseconds; measured with each frame
  private readonly channel = new MessageChannel();
  private due = false;

  constructor(
    private readonly core: Core,
    private readonly post: Post,
    private readonly pace: Pace,
  ) {
    this.channel.port1.onmessage = () => {
      this.due = false;
      this.run();
    };
  }

  draw(id: number, shot: Shot): void {
    if (empty(shot)) this.idle(id);
    else {
      this.wanted = { id, shot };
      // The first picture does not wait for more points.
      if (this.shown.key === "" && !this.job) this.run();
      else this.later();
    }
  }

  /** What is on the canvas is right, or there is nothing to be shown. */
  private idle(id: number): void {
    this.post({ re: "drawn", id, fresh: false, points: 0, picture: null });
  }

  /** After what else came in: a newer view makes this one idle. */
  private later(): void {
    if (this.due) return;
    this.due = true;
    this.channel.port2.postMessage(null);
  }

  back(buffer: ArrayBuffer): void {
    if (this.free.length < BUFFERS) this.free.push(buffer);
  }

  private run(): void {
    const { core, wanted, shown } = this;
    if (wanted) {
      this.wanted = null;
      const key = keyOf(wanted.shot, core.version);
      const same = this.job && keyOf(this.job.shot, this.job.version) === key;
      if (shown.key === key && (shown.share >= 1 || wanted.shot.moving)) {
        this.drop();
        this.idle(wanted.id);
      } else if (this.job && same && (this.job.share >= 1 || wanted.shot.moving)) this.job.id = wanted.id;
      else if (this.canWait(wanted.shot)) this.idle(wanted.id);
      else this.begin(wanted.id, wanted.shot);
    } else if (this.job?.long && this.job.version !== core.version) this.begin(this.job.id, this.job.shot);
    if (this.job) this.go(this.job);
    else this.goAhead();
  }

  /** More points are under way, and the picture of this view is a young one. */
  private canWait(shot: Shot): boolean {
    const { core, pace, shown } = this;
    const grows = !shot.moving && core.growing && this.perPoint * (core.base?.total ?? 0) > pace.whole;
    this.awaited = grows ? shot : null;
    clearTimeout(this.overdue);
    const waits = grows && shown.view === keyOf(shot, core.edition) && performance.now() - shown.at < PROGRESS_MS;
    // Points that stop coming, on a line that broke, are shown all the same.
    if (waits) this.overdue = setTimeout(() => !this.wanted && !this.job && this.draw(0, shot), PROGRESS_MS);
    return waits;
  }

  /** Draws what has come since. */
  private goAhead(): void {
    const { core, awaited } = this;
    if (!awaited || !core.growing || (core.base?.loaded ?? 0) < MEASURED) return;
    const view = keyOf(awaited, core.edition);
    if (this.ahead?.view !== view) {
      this.forget();
      const scene = core.compose(awaited, 1, true);
      if (!scene || scene.cloud !== core.base) return;
      this.ahead = { view, picture: new Picture(scene, this.stamps, (bytes) => this.buffer(bytes)), spent: 0 };
    }
    const { ahead } = this;
    const started = performance.now();
    const done = ahead.picture.go(this.pace.slice);
    ahead.spent += performance.now() - started;
    if (!done) this.later();
  }

  private forget(): void {
    if (this.ahead) this.back(this.ahead.picture.raster.bytes.buffer);
    this.ahead = null;
  }

  private begin(id: number, shot: Shot, whole = false): void {
    this.drop();
    const { core, pace, ahead } = this;
    if (ahead && !core.growing) {
      if (!shot.moving && core.alike && ahead.view === keyOf(shot, core.edition)) {
        this.ahead = null;
        this.job = {
          id,
          shot,
          version: core.version,
          share: 1,
          picture: ahead.picture,
          spent: ahead.spent,
          long: true,
        };
        return;
      }
      this.forget();
    }
    const all = this.perPoint * (core.base?.loaded ?? 0);
    const quick = (budget: number) =>
      Math.min(1, Math.max(budget / Math.max(all, 1e-9), LEAST_POINTS / Math.max(1, core.base?.loaded ?? 1)));
    // With the same view on screen already, thinned, only the whole picture is worth something.
    const known = this.shown.key === keyOf(shot, core.version);
    const share = shot.moving ? quick(pace.frame) : whole || known || all <= pace.whole ? 1 : quick(pace.frame);
    const long = share >= 1 && all > pace.whole;
    const scene = core.compose(shot, share);
    if (!scene) {
      this.idle(id);
      return;
    }
    const picture = new Picture(scene, this.stamps, (bytes) => this.buffer(bytes));
    this.job = { id, shot, version: core.version, share: scene.mosaic ? 1 : share, picture, spent: 0, long };
  }

  private drop(): void {
    if (this.job) this.back(this.job.picture.raster.bytes.buffer);
    this.job = null;
  }

  private go(job: Job): void {
    const started = performance.now();
    const done = job.picture.go(this.pace.slice);
    job.spent += performance.now() - started;
    if (!done) {
      this.later();
      return;
    }
    const { raster, points } = job.picture;
    this.job = null;
    if (points >= LEAST_POINTS) this.perPoint += 0.5 * (job.spent / points - this.perPoint);
    const view = keyOf(job.shot, this.core.edition);
    this.shown = { key: keyOf(job.shot, job.version), share: job.share, view, at: performance.now() };
    const stale = job.version !== this.core.version;
    const { buffer } = raster.bytes;
    const picture = { buffer, stride: raster.stride, rows: raster.rows, margin: MARGIN, size: job.shot.size };
    this.post({ re: "drawn", id: job.id, fresh: true, points, picture }, [buffer]);
    this.core.complete = job.share >= 1 && !stale;
    this.core.tell();
    if (this.wanted || job.shot.moving || (job.share >= 1 && !stale)) return;
    if (!this.canWait(job.shot)) this.begin(job.id, job.shot, !stale);
    this.later();
  }

  private buffer(bytes: number): ArrayBuffer | undefined {
    const { free } = this;
    const at = free.findIndex((buffer) => buffer.byteLength === bytes);
    if (at < 0) free.length = 0; // of another size
    return at < 0 ? undefined : free.splice(at, 1)[0];
  }

  dispose(): void {
    this.channel.port1.close();
    clearTimeout(this.overdue);
    this.job = null;
    this.ahead = null;
    this.wanted = null;
  }
}

/** A GPU does not tell how long it works; frames that come later than this mean that it has too much to do. */
const LATE_MS = 26;
const TEST_POINTS = 5_000;
const TEST_MS = 60;

export class GpuPainter implements Painter {
  private share = 1;
  private lastAt = 0;
  private tested = false;

  constructor(
    private readonly core: Core,
    private readonly post: Post,
    private readonly gpu: Gpu,
    /** False: it was asked for, however slow it is. */
    private readonly mayLeave: boolean,
  ) {}

  draw(id: number, shot: Shot): void {
    const { core, gpu } = this;
    if (shot.moving) this.adapt(core.base?.loaded ?? 0);
    const share = shot.moving ? this.share : 1;
    const scene = empty(shot) ? null : core.compose(shot, share);
    const points = scene ? gpu.draw(scene) : 0;
    this.post({ re: "drawn", id, fresh: scene !== null, points, picture: null });
    if (!scene) return;
    core.complete = share >= 1;
    core.tell();
    if (!shot.moving) this.test(scene.cloud?.loaded ?? 0);
  }

  /** A driver may hide that it is software: the first whole frame is timed once, and a slow one is the last of its kind. */
  private test(loaded: number): void {
    if (this.tested || !this.mayLeave || loaded < TEST_POINTS) return;
    this.tested = true;
    if (this.gpu.timed() > TEST_MS) this.post({ re: "lost" });
  }

  /** How many points the next moving frame may draw. */
  private adapt(count: number): void {
    const now = performance.now();
    const late = now - this.lastAt;
    this.lastAt = now;
    const ratio = late < 200 && late > LATE_MS ? 0.7 : 1.25;
    const least = Math.min(1, LEAST_POINTS / Math.max(1, count));
    this.share = Math.min(1, Math.max(least, this.share * ratio));
  }

  back(): void {}

  dispose(): void {
    this.gpu.dispose();
  }
}
