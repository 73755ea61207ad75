/**
 * The page's side of the points: a canvas, and calls that go as messages to where the points are. That is a worker, unless a GPU
 * draws or no worker can be made; then the same module works on the page.
 */
import source from "virtual:scatter-engine";
import type { Box, Legend, Mode } from "../../core/protocol.js";
import type { Bounds } from "./camera.js";
import type { Bits, Density, Detail, Engine, EngineOptions, Frame, Hit, Part, Projected } from "./engine.js";
import {
  type Answer,
  belongings,
  type Command,
  type Picture,
  type Post,
  type Question,
  type Reply,
} from "./messages.js";
import type { Palette } from "./palette.js";
import type * as module from "./worker.js";

type OnPage = typeof module;

const SOFTWARE = /swiftshader|llvmpipe|lavapipe|softpipe|software|basic render|swrast/i;

export function softwareRendered(gl: WebGL2RenderingContext): boolean {
  const info = gl.getExtension("WEBGL_debug_renderer_info");
  const name = gl.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER);
  return SOFTWARE.test(String(name));
}

/** Software GL costs a hundred times more for a point than our own rasteriser, so it is never taken unless asked for. */
function contextOf(canvas: HTMLCanvasElement, choice: EngineOptions["choice"]): WebGL2RenderingContext | null {
  if (choice === "canvas") return null;
  const gl = canvas.getContext("webgl2", {
    alpha: false,
    antialias: false,
    depth: false,
    stencil: false,
    powerPreference: "high-performance",
    failIfMajorPerformanceCaveat: choice === "auto",
  });
  if (!gl || choice === "webgl" || !softwareRendered(gl)) return gl;
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return null;
}

/** The address of the module; one of data where there are no blobs, as in tests. */
async function unpacked(): Promise<string> {
  const bytes = Uint8Array.from(atob(source), (letter) => letter.charCodeAt(0));
  const { body } = new Response(bytes);
  if (!body) throw new Error("the browser has no streams");
  const text = await new Response(body.pipeThrough(new DecompressionStream("deflate-raw"))).text();
  return URL.createObjectURL
    ? URL.createObjectURL(new Blob([text], { type: "text/javascript" }))
    : `data:text/javascript,${encodeURIComponent(text)}`;
}

/**
 * Looking for a GPU takes a tenth of a second where there is none. So the CPU draws the first picture ever, a GPU is looked for
 * when that is there, and what was found is remembered for the next time.
 */
const FOUND = "dataide.renderer";
const PROBE_AFTER_MS = 1_000;

function remembered(): string | null {
  try {
    const [name, browser] = (localStorage.getItem(FOUND) ?? "").split("\n");
    return browser === navigator.userAgent ? (name ?? null) : null;
  } catch {
    return null; // a page without storage
  }
}

function remember(name: "webgl" | "canvas"): void {
  try {
    localStorage.setItem(FOUND, `${name}\n${navigator.userAgent}`);
  } catch {
    // Then it is looked for again.
  }
}

/** Whether a plot of this page has looked already; each has code of its own, so the page remembers. */
function pageProbed(): boolean {
  const page = globalThis as { dataideProbed?: boolean };
  const before = page.dataideProbed === true;
  page.dataideProbed = true;
  return before;
}

/** A worker that starts while the page is still putting the panel together; the first plot takes it. */
let spare: Promise<Worker> | null = null;
const SPARE_MS = 20_000;

function startWorker(): Promise<Worker> {
  return unpacked().then((address) => {
    const worker = new Worker(address, { type: "module" });
    return new Promise((resolve, reject) => {
      worker.onmessage = () => {
        URL.revokeObjectURL?.(address);
        resolve(worker); // its first word is that it is ready
      };
      worker.onerror = (event) => {
        worker.terminate();
        reject(new Error(event.message));
      };
    });
  });
}

/** Called when the module is loaded, which is well before the panel is shown. */
export function getReady(): void {
  if (typeof Worker === "undefined" || remembered() === "webgl") return;
  const mine = startWorker();
  spare = mine;
  mine.catch(() => undefined);
  setTimeout(() => {
    if (spare !== mine) return;
    spare = null;
    mine.then(
      (worker) => worker.terminate(),
      () => undefined,
    );
  }, SPARE_MS);
}

export function createEngine(options: EngineOptions): Engine {
  return new PageEngine(options);
}

/** A command, and what goes over with it. */
type Parcel = [Command, Transferable[]];

class PageEngine implements Engine {
  name: "webgl" | "canvas" = "canvas";
  private canvas: HTMLCanvasElement;
  private context: CanvasRenderingContext2D | null = null;
  private host: module.Host | null = null; // where it is on this page
  /** Leads to where the points are. */
  private home: ((...parcel: Parcel) => void) | null = null;
  private waiting: Parcel[] = []; // until there is a home
  private address: Promise<string> | null = null; // of the module, once the page needs it
  private worker: Worker | null = null;
  private probed = false;
  private ended = new AbortController();
  private palette: Palette | null = null;
  // Frames
  private frames = 0;
  private flying: { id: number; moving: boolean } | null = null;
  private next: { id: number; frame: Frame } | null = null;
  private latest: Frame | null = null;
  private shots: { id: number; resolve: () => void }[] = [];
  // Questions
  private questions = 0;
  private readonly asked = new Map<number, (answer: Answer) => void>();

  constructor(private readonly options: EngineOptions) {
    this.canvas = this.hang();
    const { choice } = options;
    const gl = choice === "webgl" || remembered() === "webgl" ? contextOf(this.canvas, choice) : null;
    if (gl) void this.drawWith(gl);
    else {
      // One that was asked for WebGL gives no other context.
      this.canvas = this.hang();
      void this.drawWithout();
    }
    options.stage.dataset.renderer = this.name;
  }

  /** A canvas that was never drawn is black, so it stays hidden until then. */
  private hang(): HTMLCanvasElement {
    const canvas = document.createElement("canvas");
    canvas.className = "points";
    canvas.setAttribute("aria-hidden", "true");
    canvas.hidden = true;
    this.canvas?.remove();
    this.options.stage.prepend(canvas);
    return canvas;
  }

  private async drawWith(gl: WebGL2RenderingContext): Promise<void> {
    this.name = "webgl";
    const { signal } = this.ended;
    this.watch();
    try {
      const { onGpu } = await this.module();
      if (signal.aborted || this.name !== "webgl") return;
      this.settle(this.beside(onGpu(gl, this.heard, this.options.choice === "auto")));
    } catch (error) {
      if (signal.aborted) return;
      console.warn("dataide: WebGL2 does not draw here, the CPU does instead.", error);
      this.fall();
    }
  }

  private watch(): void {
    this.canvas.addEventListener("webglcontextlost", () => this.fall(), { signal: this.ended.signal });
  }

  /** No GPU after all, or the browser took its context away (too many of them, or the driver restarted): the CPU goes on. */
  private fall(): void {
    if (this.name !== "webgl" || this.ended.signal.aborted) return;
    this.name = "canvas";
    this.probed = true;
    remember("canvas");
    const { host } = this;
    this.host = null;
    this.home = null;
    if (host) {
      const estate = host.release();
      this.waiting.unshift([{ op: "adopt", estate }, belongings(estate)]);
      host.dispose();
    }
    const { hidden } = this.canvas;
    this.canvas = this.hang();
    void this.drawWithout();
    this.moved(hidden);
  }

  /** Draws again what was on the canvas before this one. */
  private moved(hidden: boolean): void {
    this.palette = null;
    this.flying = null;
    const last = this.next ?? (this.latest && { id: ++this.frames, frame: this.latest });
    this.next = null;
    if (last && !hidden) this.order(last.id, last.frame);
    this.options.stage.dataset.renderer = this.name;
    const { name } = this;
    queueMicrotask(() => this.options.events.renderer(name));
  }

  private async drawWithout(): Promise<void> {
    this.context = this.canvas.getContext("2d", { alpha: false });
    const { signal } = this.ended;
    const started = spare ?? (typeof Worker === "undefined" ? Promise.reject() : startWorker());
    spare = null;
    let worker: Worker;
    try {
      worker = await started;
    } catch {
      return this.stay(); // no workers here, or the page's rules forbid this one
    }
    if (signal.aborted) return worker.terminate();
    this.worker = worker;
    worker.onmessage = (event: MessageEvent<Reply>) => {
      if (!signal.aborted) this.heard(event.data);
    };
    worker.onerror = (event) => console.error("dataide: the plot's worker failed:", event.message);
    signal.addEventListener("abort", () => worker.terminate());
    this.settle((...parcel) => worker.postMessage(...parcel));
  }

  /** Once all is drawn there is time to look for a GPU. */
  private probe(): void {
    if (this.probed || this.options.choice !== "auto" || this.name !== "canvas") return;
    this.probed = true;
    if (remembered() === "canvas" && pageProbed()) return;
    setTimeout(() => {
      if (this.ended.signal.aborted || !this.worker) return;
      const canvas = document.createElement("canvas");
      const gl = contextOf(canvas, "auto");
      remember(gl ? "webgl" : "canvas");
      if (gl) void this.climb(canvas, gl);
    }, PROBE_AFTER_MS);
  }

  /** There is a GPU: it takes over with all that the worker holds. */
  private async climb(canvas: HTMLCanvasElement, gl: WebGL2RenderingContext): Promise<void> {
    const { signal } = this.ended;
    try {
      const { onGpu } = await this.module();
      if (signal.aborted || !this.worker) return;
      const host = onGpu(gl, this.heard, true);
      const { worker } = this;
      this.worker = null;
      this.home = null;
      this.inherit = (estate) => {
        worker.terminate();
        const { hidden } = this.canvas;
        const fresh = this.hang();
        canvas.className = fresh.className;
        canvas.setAttribute("aria-hidden", "true");
        canvas.hidden = true;
        fresh.replaceWith(canvas);
        this.canvas = canvas;
        this.context = null;
        this.name = "webgl";
        this.watch();
        host.send({ op: "adopt", estate });
        this.settle(this.beside(host));
        this.moved(hidden);
      };
      worker.postMessage({ op: "release" } satisfies Command);
    } catch (error) {
      console.warn("dataide: WebGL2 does not draw here, the CPU goes on.", error);
      remember("canvas");
    }
  }

  private inherit: ((estate: Extract<Reply, { re: "estate" }>["estate"]) => void) | null = null;

  private async stay(): Promise<void> {
    try {
      const { onPage } = await this.module();
      if (this.ended.signal.aborted) return;
      this.settle(this.beside(onPage(this.heard)));
    } catch (error) {
      console.error("dataide: the plot cannot draw, as this page lets no code start from a blob.", error);
    }
  }

  private async module(): Promise<OnPage> {
    this.address ??= unpacked();
    return import(/* @vite-ignore */ await this.address);
  }

  /** A host on this page. */
  private beside(host: module.Host): NonNullable<typeof this.home> {
    this.host = host;
    return (command) => host.send(command);
  }

  private settle(home: NonNullable<typeof this.home>): void {
    this.home = home;
    const { waiting } = this;
    this.waiting = [];
    for (const parcel of waiting) home(...parcel);
  }

  private send(command: Command): void {
    if (this.ended.signal.aborted) return;
    const transfer = new Set<ArrayBuffer>();
    const parcel: Parcel = [packed(command, transfer) as Command, [...transfer]];
    if (this.home) this.home(...parcel);
    else this.waiting.push(parcel);
  }

  // Answers

  private readonly heard: Post = (reply) => {
    // Never inside the call that caused it, wherever the points are.
    if (reply.re === "drawn") this.drawn(reply);
    else queueMicrotask(() => this.told(reply));
  };

  private told(reply: Exclude<Reply, { re: "drawn" }>): void {
    if (this.ended.signal.aborted) return;
    if (reply.re === "facts") {
      this.options.events.facts(reply.facts);
      if (reply.facts.complete) this.probe();
    } else if (reply.re === "estate") this.inherit?.(reply.estate);
    else if (reply.re === "lost") this.fall();
    else if (reply.re === "answer") {
      this.asked.get(reply.id)?.(reply.value);
      this.asked.delete(reply.id);
    }
  }

  private drawn({ id, fresh, points, picture }: Extract<Reply, { re: "drawn" }>): void {
    if (this.ended.signal.aborted) return;
    if (picture) this.show(picture);
    if (fresh) {
      this.canvas.hidden = false;
      // A benchmark counts the pictures by this.
      (globalThis as { __bench?: { mark?(points: number): void } }).__bench?.mark?.(points);
    }
    const there = this.shots.filter((shot) => shot.id <= id);
    this.shots = this.shots.filter((shot) => shot.id > id);
    for (const shot of there) shot.resolve();
    if (this.flying && this.flying.id <= id) this.flying = null;
    const { next } = this;
    if (this.flying || !next) return;
    this.next = null;
    this.order(next.id, next.frame);
  }

  /** Size and picture change together: no frame shows a stretched one. */
  private show({ buffer, stride, rows, margin, size }: Picture): void {
    const { canvas, context } = this;
    // Not the stage's size: that may be another one already.
    canvas.style.width = `${size.width}px`;
    canvas.style.height = `${size.height}px`;
    const width = stride - 2 * margin;
    const height = rows - 2 * margin;
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    if (context) {
      const image = new ImageData(new Uint8ClampedArray(buffer), stride, rows);
      context.putImageData(image, -margin, -margin, margin, margin, width, height);
    }
    this.send({ op: "back", buffer });
  }

  // Frames

  draw(frame: Frame): Promise<void> {
    const id = ++this.frames;
    this.latest = frame;
    return new Promise((resolve) => {
      if (this.ended.signal.aborted) return resolve();
      this.shots.push({ id, resolve });
      // A picture at rest may take long and gives way; one of a moving view is soon there.
      if (this.flying?.moving) this.next = { id, frame };
      else this.order(id, frame);
    });
  }

  private order(id: number, frame: Frame): void {
    const { palette, ...shot } = frame;
    this.flying = { id, moving: frame.moving };
    const known = palette === this.palette;
    this.palette = palette;
    this.send({ op: "draw", id, shot, palette: known ? null : { ...palette, table: palette.table.slice() } });
  }

  // Points

  begin(total: number, bounds: Bounds): void {
    this.send({ op: "begin", total, bounds });
  }

  add(part: Part): void {
    this.send({ op: "add", part });
  }

  setColors(offset: number, colors: Uint8Array<ArrayBuffer>): void {
    this.send({ op: "colors", offset, colors });
  }

  setLegend(legend: Legend): void {
    this.send({ op: "legend", legend });
  }

  setMarks(selected: Bits, visible: Bits): void {
    this.send({ op: "marks", selected, visible });
  }

  combine(ring: Float64Array<ArrayBuffer>, mode: Mode): void {
    this.send({ op: "combine", ring: ring.slice(), mode });
  }

  pick(indices: readonly number[], mode: Mode): void {
    this.send({ op: "pick", indices, mode });
  }

  correct(on: readonly number[], off: readonly number[]): void {
    this.send({ op: "correct", on, off });
  }

  keep(): void {
    this.send({ op: "keep" });
  }

  restore(): void {
    this.send({ op: "restore" });
  }

  setDetail(detail: Detail | null): void {
    this.send({ op: "detail", detail });
  }

  setDensity(density: Density | null): void {
    this.send({ op: "density", density });
  }

  // Questions

  nearest(x: number, y: number, reach: number, transform: Projected): Promise<Hit | null> {
    return this.ask({ what: "nearest", x, y, reach, transform }) as Promise<Hit | null>;
  }

  place(index: number): Promise<{ x: number; y: number } | null> {
    return this.ask({ what: "place", index }) as Promise<{ x: number; y: number } | null>;
  }

  selectedBox(): Promise<Box | null> {
    return this.ask({ what: "selectedBox" }) as Promise<Box | null>;
  }

  private ask(question: Question): Promise<Answer> {
    return new Promise((resolve) => {
      if (this.ended.signal.aborted) return resolve(null);
      const id = ++this.questions;
      this.asked.set(id, resolve);
      this.send({ op: "ask", id, question });
    });
  }

  dispose(): void {
    if (this.ended.signal.aborted) return;
    this.ended.abort();
    this.host?.dispose();
    this.waiting = [];
    this.address?.then(
      (address) => URL.revokeObjectURL?.(address),
      () => undefined,
    );
    // Nobody waits for ever.
    for (const resolve of this.asked.values()) resolve(null);
    this.asked.clear();
    for (const shot of this.shots) shot.resolve();
    this.shots = [];
    this.canvas.width = 0;
    this.canvas.height = 0;
    this.canvas.remove();
  }
}

/**
 * A message with arrays that may be handed over: a window on a larger message would take the rest of that along.
 */
function packed(value: unknown, transfer: Set<ArrayBuffer>): unknown {
  if (value instanceof ArrayBuffer) transfer.add(value);
  if (typeof value !== "object" || value === null || value instanceof ArrayBuffer) return value;
  if (ArrayBuffer.isView(value)) {
    const array = value as Uint8Array<ArrayBuffer>;
    const whole = array.byteLength === array.buffer.byteLength ? array : array.slice();
    transfer.add(whole.buffer);
    return whole;
  }
  return Array.isArray(value)
    ? value
    : Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, packed(inner, transfer)]));
}
