/** Objects over the pictures of all panels: asked for in lots, kept, and drawn again when they change. */
import { type Signal, signal } from "@preact/signals-core";
import type { Client, PictureFrame as Frame, ObjectsLayer, Store } from "../contract.js";
import { effectUntil } from "../dom.js";
import { WORDS_FROM_PX } from "./draw.js";
import { contained } from "./geometry.js";
import { decoded, type SampleObjects } from "./shapes.js";
import { drawVectors, svgAfter } from "./vector.js";

const PANEL = "objects";
const MOST_ASKED = 200;
const KEPT = 4_000;

interface Held {
  sample: SampleObjects;
  px: number;
  version: number;
}

interface Painted {
  svg: SVGSVGElement | null;
  no: number | null;
  frame: Frame;
  sample: SampleObjects | null;
  drawn: string;
}

/** What an inspector shows of objects; kept while one steps from sample to sample. */
export interface Toggles {
  on: boolean;
  boxes: boolean;
  masks: boolean;
  keypoints: boolean;
  labels: boolean;
}

export class Objects implements ObjectsLayer {
  readonly toggles: Signal<Toggles> = signal({ on: true, boxes: true, masks: true, keypoints: true, labels: true });
  /** Classes that are not shown. */
  readonly hidden: Signal<ReadonlySet<string | null>> = signal(new Set());
  /** What a new box is called. */
  lastLabel: string | null = null;
  readonly #client: Client;
  readonly #store: Store;
  readonly #held = new Map<number, Held>(); // the longest ago used first
  readonly #wanted = new Map<string, { nos: readonly number[]; px: number }>();
  // A picture that left the page may come back with what was drawn over it, so that is never made twice.
  readonly #painted = new WeakMap<HTMLImageElement, Painted>();
  readonly #shown = new Set<HTMLImageElement>();
  #asking = false;

  constructor(client: Client, store: Store, signal: AbortSignal) {
    this.#client = client;
    this.#store = store;
    let before: number | null = null;
    effectUntil(signal, () => {
      const version = store.state.value?.objects?.version ?? null;
      if (version === before) return;
      before = version;
      if (version === null) {
        this.#held.clear();
        this.#repaint();
      } else void this.#next();
    });
  }

  want(source: string, nos: readonly number[], px: number): void {
    if (nos.length === 0) this.#wanted.delete(source);
    else this.#wanted.set(source, { nos, px });
    void this.#next();
  }

  paint(image: HTMLImageElement, no: number | null, frame: Frame): void {
    let painted = this.#painted.get(image);
    if (painted === undefined) {
      if (no === null || this.#version() === null) return;
      painted = { svg: null, no, frame, sample: null, drawn: "" };
      this.#painted.set(image, painted);
      // Until its picture is there, only its columns tell its shape.
      image.addEventListener("load", () => this.#draw(image));
    }
    painted.no = no;
    painted.frame = frame;
    this.#shown.add(image);
    this.#draw(image);
  }

  #version(): number | null {
    return this.#store.state.peek()?.objects?.version ?? null;
  }

  #repaint(): void {
    for (const image of this.#shown) {
      if (image.isConnected) this.#draw(image);
      else this.#shown.delete(image);
    }
  }

  #draw(image: HTMLImageElement): void {
    const painted = this.#painted.get(image);
    if (painted === undefined) return;
    const { no, frame } = painted;
    const sample = no === null ? null : (this.#held.get(no)?.sample ?? null);
    if (sample === null || sample.shapes.length === 0 || frame.width <= 0) {
      painted.svg?.toggleAttribute("hidden", true);
      painted.drawn = "";
      return;
    }
    // The thumbnail itself says where it stands: rounded to whole px it is not quite as wide as the picture is.
    const natural = image.complete && image.naturalWidth > 0;
    const picture = natural
      ? { width: image.naturalWidth, height: image.naturalHeight }
      : { width: sample.width ?? 1, height: sample.height ?? 1 };
    const drawn = `${picture.width}/${picture.height}/${frame.width}/${frame.height}/${frame.left}/${frame.top}`;
    if (painted.sample === sample && painted.drawn === drawn) return;
    painted.sample = sample;
    painted.drawn = drawn;
    painted.svg ??= svgAfter(image);
    const { svg } = painted;
    svg.toggleAttribute("hidden", false);
    svg.style.cssText = `left:${frame.left ?? 0}px;top:${frame.top ?? 0}px;width:${frame.width}px;height:${frame.height}px`;
    const labels = Math.min(frame.width, frame.height) >= WORDS_FROM_PX;
    drawVectors(svg, frame, sample.shapes, contained(picture, frame), { labels });
  }

  /** What is in sight and not at hand as it is now. */
  #missing(): { nos: number[]; px: number } | null {
    const version = this.#version();
    if (version === null) return null;
    for (const { nos, px } of this.#wanted.values()) {
      const missing = nos.filter((no) => {
        const held = this.#held.get(no);
        return held === undefined || held.version !== version || held.px < px;
      });
      if (missing.length > 0) return { nos: missing.slice(0, MOST_ASKED), px };
    }
    return null;
  }

  async #next(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    try {
      for (let lot = this.#missing(); lot !== null; lot = this.#missing()) {
        const version = this.#version() ?? 0;
        const reply = await this.#client.ask("objects", lot, { panel: PANEL });
        this.#take(decoded(reply), lot.nos, lot.px, version);
        this.#repaint();
      }
    } catch {
      // Whoever scrolls on asks again; that the kernel does not answer is said by the frame of the panel.
    } finally {
      this.#asking = false;
    }
  }

  #take(samples: readonly SampleObjects[], asked: readonly number[], px: number, version: number): void {
    const came = new Map(samples.map((sample) => [sample.no, sample]));
    // An answer ends early when it grows large; what it passed over does not exist.
    const last = samples.at(-1);
    const until = last === undefined ? asked.length : asked.indexOf(last.no) + 1;
    for (const no of asked.slice(0, until)) {
      const sample = came.get(no) ?? { no, width: null, height: null, more: 0, shapes: [] };
      this.#held.delete(no);
      this.#held.set(no, { sample, px, version });
    }
    for (const oldest of this.#held.keys()) {
      if (this.#held.size <= KEPT) break;
      this.#held.delete(oldest);
    }
  }
}
