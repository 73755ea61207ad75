/** The objects of the inspected picture: drawn over it, edited there, and what rules say about them. */
import type { HubExports } from "../contract.js";
import type { ZoomedPicture } from "../inspector/zoom.js";
import type { ShownFinding, ShownRepair } from "../protocol_objects.js";
import type { SimilarMode } from "../protocol_similar.js";
import { type Ahead, Decisions } from "./decisions.js";
import { drawNew, drawShapes, sheet } from "./draw.js";
import { type Decision, Editor } from "./editor.js";
import { type Place, placed, rounded, type Size, scaled } from "./geometry.js";
import { Hand } from "./hand.js";
import type { Objects } from "./layer.js";
import { drawLegend } from "./legend.js";
import { type Box, decoded, type SampleObjects, type Shape, shapeColor } from "./shapes.js";

const LEARNING_MS = 1_000; // then rules are asked again, each time after twice as long
// A region is no object, and has no colour of a class.
const REGION = "#ffffff";
const NEW = -1; // the number of an object that the kernel has not numbered yet
const ARROWS: Record<string, readonly [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

export interface InspectedOptions {
  root: HTMLElement;
  frame: HTMLElement;
  /** Where legend and findings stand. */
  below: HTMLElement;
  panelId: string;
  signal: AbortSignal;
}

export class InspectedObjects {
  readonly #hub: HubExports;
  readonly #layer: Objects;
  readonly #options: InspectedOptions;
  readonly #picture: ZoomedPicture;
  readonly #canvas: HTMLCanvasElement;
  readonly #said: HTMLElement;
  readonly #editor: Editor;
  readonly #hand: Hand;
  readonly #decisions: Decisions;
  #no: number | null = null;
  #size: Size | null = null;
  #sample: SampleObjects | null = null;
  #findings: readonly ShownFinding[] = [];
  #again: ReturnType<typeof setTimeout> | undefined;
  #marked: ReadonlySet<number> = new Set();
  #pending: Box | null = null; // drawn, and waiting for its label
  #selectNew = false;
  #asked: { sample: number; object: number } | null = null; // what another panel asked for, once it is selected
  #mode: SimilarMode = "replace"; // of the region that is being pointed out
  #held: number | null = null; // the version of which the objects are
  #version: number | null = null;
  #frameId = 0;

  constructor(hub: HubExports, layer: Objects, picture: ZoomedPicture, options: InspectedOptions) {
    this.#hub = hub;
    this.#layer = layer;
    this.#picture = picture;
    this.#options = options;
    const { frame, signal } = options;
    this.#canvas = frame.appendChild(document.createElement("canvas"));
    this.#canvas.className = "dataide-objects-sheet";
    this.#canvas.setAttribute("aria-hidden", "true");
    this.#said = frame.appendChild(document.createElement("div"));
    this.#said.className = "dataide-unseen";
    this.#said.setAttribute("aria-live", "polite");
    frame.tabIndex = 0;
    frame.setAttribute("role", "group");
    frame.setAttribute("aria-label", "Picture and objects");
    this.#editor = new Editor(
      () => this.#size ?? { width: 1, height: 1 },
      (object) => this.#boxOf(object),
      (decision) => this.#decide(decision),
      () => this.#outdated(),
    );
    this.#decisions = new Decisions(hub, (news) => {
      if (news === "done") void this.#ask();
      else if (news === "refused") this.#choose();
      this.#render();
    });
    picture.viewed = () => this.draw();
    this.#hand = new Hand(frame, this.#editor, signal, {
      place: () => this.#place(),
      size: () => (this.#pending === null ? this.#size : null),
      shapes: () => this.#visible(),
      draw: () => this.draw(),
      acted: () => {
        this.#announce();
        this.#render();
      },
    });
    signal.addEventListener("abort", () => {
      this.#editor.settle(true);
      cancelAnimationFrame(this.#frameId);
    });
    hub.dom.effectUntil(signal, () => {
      const version = hub.store.state.value?.objects?.version ?? null;
      const changed = version !== this.#version;
      this.#version = version;
      if (changed) void this.#ask();
      this.#render();
    });
    hub.dom.effectUntil(signal, () => {
      if (!hub.store.stepping.value) this.#settled();
    });
    hub.dom.effectUntil(signal, () => {
      if (hub.store.inspectedObject.value === null) return;
      this.#choose();
      this.#render();
    });
    hub.dom.effectUntil(signal, () => {
      layer.toggles.value;
      layer.hidden.value;
      this.#render();
    });
  }

  /** Another picture is inspected, or the same one with its size known by now. */
  show(no: number | null, size: Size | null): void {
    const other = no !== this.#no;
    if (other) {
      this.#editor.settle(true);
      this.#editor.cancel();
      this.#editor.select(null);
      this.#editor.drawing = null;
      this.#no = no;
      this.#sample = null;
      this.#findings = [];
      this.#decisions.forget();
      this.#marked = new Set();
      this.#hand.over = null;
      this.#pending = null;
    }
    const sized = size !== null && (this.#size?.width !== size.width || this.#size.height !== size.height);
    if (size !== null || other) this.#size = size;
    if (other) void this.#ask();
    if (other || sized) this.#render();
  }

  /** True when the key was ours. */
  key(event: KeyboardEvent): boolean {
    if (event.ctrlKey || event.metaKey || event.altKey || this.#no === null) return false;
    const editor = this.#editor;
    const step = event.shiftKey ? 10 : 1;
    const arrow = ARROWS[event.key];
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    let ours = true;
    if (arrow !== undefined) ours = editor.nudge(arrow[0] * step, arrow[1] * step);
    else if (key === "o") this.toggle("on");
    else if (key === "b") this.draft();
    else if (key === "g") this.#point(event.shiftKey ? "like" : "replace");
    else if (key === "z" && !event.shiftKey) {
      // What was nudged and is not decided yet is what is taken back.
      editor.settle();
      ours = false;
    } else if (key === "Delete" || key === "Backspace") ours = editor.remove();
    else if (key === "l") ours = this.#relabel();
    else if (key === "s" || key === "u")
      ours = this.#alike(key === "u" ? "unlike" : event.shiftKey ? "like" : "replace");
    else if (key === "Escape") ours = this.#dialog() ? false : editor.escape();
    else ours = false;
    if (ours) this.#render();
    return ours;
  }

  /** Sorts every grid by similarity to the crop of the selected object. */
  #alike(mode: SimilarMode): boolean {
    const object = this.#editor.selected;
    if (object === null || object === NEW) return false;
    void this.#hub.store.similar({ type: "object", no: object }, mode);
    return true;
  }

  /** Begins or leaves drawing a new box. */
  draft(): void {
    this.#draft("box", "Drag over the picture to draw a box.");
  }

  /** Begins or leaves pointing out a region, to which others are compared. */
  #point(mode: SimilarMode): void {
    this.#mode = mode;
    this.#draft("region", "Drag over what others are to be similar to.");
  }

  #draft(what: "box" | "region", said: string): void {
    if (this.#size === null) return;
    const editor = this.#editor;
    editor.cancel();
    editor.drawing = editor.drawing === what ? null : what;
    if (editor.drawing !== null) {
      editor.select(null);
      this.#say(said);
    }
    this.#render();
  }

  toggle(name: "on" | "boxes" | "masks" | "keypoints" | "labels"): void {
    const { toggles } = this.#layer;
    toggles.value = { ...toggles.value, [name]: !toggles.value[name] };
  }

  /** With the next frame, once. A frame that was asked for is never put off: whoever asks again in one would never see it. */
  draw(): void {
    if (this.#frameId !== 0) return;
    this.#frameId = requestAnimationFrame(() => {
      this.#frameId = 0;
      this.#paint();
    });
  }

  // What is there ----------------------------------------------------------------------------------------------

  /** As the screen shows them: as the kernel said, with what is under way done. */
  #shapes(): Shape[] {
    return this.#decisions.apply(this.#sample?.shapes ?? []);
  }

  #visible(): Shape[] {
    const { on } = this.#layer.toggles.value;
    const hidden = this.#layer.hidden.value;
    const shapes = on ? this.#shapes().filter(({ label }) => !hidden.has(label)) : [];
    const { changed } = this.#editor;
    if (changed.size === 0) return shapes;
    return shapes.map((shape) => {
      const box = changed.get(shape.object);
      return box === undefined ? shape : placed(shape, this.#toShares(box));
    });
  }

  #boxOf(object: number): Box | null {
    const box = this.#shapes().find((shape) => shape.object === object)?.box ?? null;
    const size = this.#size;
    return box === null || size === null ? null : scaled(box, size.width, size.height);
  }

  #toShares(box: Box): Box {
    const { width, height } = this.#size ?? { width: 1, height: 1 };
    return scaled(box, 1 / width, 1 / height);
  }

  async #ask(): Promise<void> {
    const no = this.#no;
    const { panelId, signal } = this.#options;
    const { client } = this.#hub;
    if (no === null || this.#version === null) {
      this.#sample = null;
      this.#findings = [];
      this.#render();
      return;
    }
    const answered = this.#decisions.asking();
    const version = this.#version;
    try {
      const reply = await client.ask("objects", { nos: [no], px: null }, { panel: `${panelId}-objects`, signal });
      if (no !== this.#no) return;
      this.#sample = decoded(reply)[0] ?? null;
      answered();
      this.#held = version;
      if (this.#size === null && this.#sample?.width && this.#sample.height)
        this.#size = { width: this.#sample.width, height: this.#sample.height };
      this.#choose();
      this.#settled();
      this.#render();
      await this.#lint(no, LEARNING_MS);
    } catch {
      // Replaced by a newer question, or the frame of the panel says that the kernel is gone.
    }
  }

  /** What rules say, and once more when the kernel has learned what is usual, if it has not yet. */
  async #lint(no: number, wait: number): Promise<void> {
    const { panelId, signal } = this.#options;
    const { body } = await this.#hub.client.ask("lintObjects", { no }, { panel: `${panelId}-objects`, signal });
    if (no !== this.#no || signal.aborted) return;
    this.#findings = body.findings;
    this.#render();
    clearTimeout(this.#again);
    if (!body.learning) return;
    this.#again = setTimeout(() => {
      if (no === this.#no && !signal.aborted) void this.#lint(no, 2 * wait).catch(() => undefined);
    }, wait);
  }

  /** Undo or redo is under way, or what it did is not here yet. */
  #outdated(): boolean {
    return this.#hub.store.stepping.peek() || (this.#version !== null && this.#held !== this.#version);
  }

  #settled(): void {
    if (!this.#outdated()) this.#editor.arrived();
  }

  /** Keeps what is selected as long as it is there; what was just drawn is selected. */
  #choose(): void {
    const editor = this.#editor;
    const there = this.#shapes().map(({ object }) => object);
    const asked = this.#hub.store.inspectedObject.peek();
    if (asked !== null && asked !== this.#asked && asked.sample === this.#no && there.includes(asked.object)) {
      this.#asked = asked;
      editor.select(asked.object);
    }
    if (this.#selectNew && editor.selected === NEW) {
      this.#selectNew = false;
      editor.chosen = there.length > 0 ? [Math.max(...there)] : [];
    }
    if (!editor.chosen.every((one) => there.includes(one)))
      editor.chosen = editor.chosen.filter((one) => there.includes(one));
  }

  // Deciding ---------------------------------------------------------------------------------------------------

  #decide(decision: Decision): void {
    if (decision.verb === "add") this.#add(decision.box);
    else if (decision.verb === "region") this.#compare(decision.box);
    else if (decision.verb === "move") this.#move(decision.object, decision.box);
    else this.#remove(decision.objects);
  }

  /** Sorts every grid by similarity to a region of this picture. */
  #compare(box: Box): void {
    const { left, top, width, height } = this.#toShares(box);
    if (this.#no === null) return;
    void this.#hub.store.similar({ type: "region", no: this.#no, box: [left, top, width, height] }, this.#mode);
  }

  #move(object: number, box: Box): void {
    const shares = this.#toShares(box);
    const ahead: Ahead = (shapes) => shapes.map((one) => (one.object === object ? placed(one, shares) : one));
    void this.#decisions.act({ verb: "move", objects: [object], box: rounded(box) }, ahead);
  }

  #remove(objects: readonly number[]): void {
    void this.#decisions.act({ verb: "delete", objects: [...objects] }, (shapes) =>
      shapes.filter(({ object }) => !objects.includes(object)),
    );
  }

  #name(objects: readonly number[], label: string): void {
    this.#layer.lastLabel = label;
    const color = this.#colorOf(label);
    const ahead: Ahead = (shapes) =>
      shapes.map((one) => (objects.includes(one.object) ? { ...one, label, color } : one));
    void this.#decisions.act({ verb: "relabel", objects: [...objects], label }, ahead);
  }

  #add(box: Box): void {
    const label = this.#layer.lastLabel;
    if (label !== null) {
      this.#put(box, label);
      return;
    }
    this.#pending = box;
    this.#hub.ui.prompt(this.#options.root, {
      what: "label",
      title: "What is in the box?",
      names: this.#hub.store.state.peek()?.objects?.labels ?? [],
      confirm: (text) => {
        this.#pending = null;
        this.#put(box, text);
      },
      cancel: () => {
        this.#pending = null;
        this.#render();
      },
    });
  }

  #put(box: Box, label: string): void {
    const no = this.#no;
    if (no === null) return;
    this.#layer.lastLabel = label;
    const fresh: Shape = {
      object: NEW,
      id: "",
      label,
      color: this.#colorOf(label),
      box: this.#toShares(box),
      crowd: false,
      track: null,
      rings: [],
      keypoints: [],
      limbs: [],
    };
    this.#editor.select(NEW);
    this.#selectNew = true;
    void this.#decisions.act({ verb: "add", no, label, box: rounded(box) }, (shapes) => [...shapes, fresh]);
  }

  #relabel(): boolean {
    const objects = this.#editor.chosen;
    const [object] = objects;
    if (object === undefined || objects.includes(NEW)) return false;
    this.#hub.ui.prompt(this.#options.root, {
      what: "label",
      title: objects.length === 1 ? `Relabel ${this.#spoken(object)}` : `Relabel ${objects.length} objects`,
      names: this.#hub.store.state.peek()?.objects?.labels ?? [],
      confirm: (text) => this.#name(objects, text),
    });
    return true;
  }

  repair({ act, object, box, label }: ShownRepair): void {
    if (act === "delete") this.#remove([object]);
    else if (act === "relabel" && label !== undefined) this.#name([object], label);
    else if (act === "move" && box !== undefined) {
      const [left = 0, top = 0, width = 0, height = 0] = box;
      this.#move(object, { left, top, width, height });
    }
  }

  #colorOf(label: string): string {
    const known = this.#hub.store.state.peek()?.objects?.labels.find(({ name }) => name === label);
    return shapeColor(known?.color ?? this.#hub.store.state.peek()?.objects?.labels.length ?? 0);
  }

  #place(): Place | null {
    return this.#picture.place();
  }

  #dialog(): boolean {
    return this.#options.root.querySelector("[role=dialog]") !== null;
  }

  // Showing ----------------------------------------------------------------------------------------------------

  mark(objects: readonly number[]): void {
    this.#marked = new Set(objects);
    this.draw();
  }

  pick(object: number): void {
    this.#editor.select(object);
    this.#announce();
    this.#render();
  }

  #spoken(object: number): string {
    return this.#shapes().find((shape) => shape.object === object)?.label ?? "an object without a label";
  }

  #announce(): void {
    const object = this.#editor.selected;
    const box = object === null ? null : this.#boxOf(object);
    if (object === null || box === null) {
      const many = this.#editor.chosen.length;
      this.#say(many > 1 ? `${many} objects selected` : "");
      return;
    }
    const [left, top, width, height] = rounded(box).map(Math.round);
    const shapes = this.#visible();
    const at = shapes.findIndex((shape) => shape.object === object) + 1;
    this.#say(`${this.#spoken(object)}, ${at} of ${shapes.length}: ${width} × ${height} px at ${left}, ${top}`);
  }

  #say(text: string): void {
    if (this.#said.textContent !== text) this.#said.textContent = text;
  }

  #render(): void {
    const { below, frame } = this.#options;
    frame.toggleAttribute("data-drawing", this.#editor.drawing !== null);
    drawLegend(below, this.#hub, {
      objects: this,
      there: this.#no !== null && (this.#version !== null || this.#editor.drawing !== null),
      shapes: this.#shapes(),
      more: this.#sample?.more ?? 0,
      findings: this.#findings,
      toggles: this.#layer.toggles.value,
      hidden: this.#layer.hidden,
      drawing: this.#editor.drawing,
      selected: this.#shapes().filter(({ object }) => this.#editor.chosen.includes(object)),
      box: this.#editor.selected === null ? null : this.#boxOf(this.#editor.selected),
    });
    // At once: what was hidden is gone when the legend says so, whether or not the browser has frames to give.
    this.#paint();
  }

  #paint(): void {
    const { frame } = this.#options;
    // Hidden for a moment, as by a change of theme: nothing would draw it again when it comes back.
    if (frame.clientWidth === 0 || frame.clientHeight === 0) return;
    const context = sheet(this.#canvas, { width: frame.clientWidth, height: frame.clientHeight });
    const place = this.#place();
    if (context === null || place === null) return;
    const toggles = this.#layer.toggles.value;
    const marked = new Set(this.#marked);
    const { over } = this.#hand;
    if (over !== null && !this.#editor.busy) marked.add(over);
    drawShapes(context, this.#visible(), place, { ...toggles, selected: new Set(this.#editor.chosen), marked });
    const fresh = this.#editor.fresh ?? this.#pending;
    if (fresh === null) return;
    const color = this.#editor.drawing === "region" ? REGION : this.#colorOf(this.#layer.lastLabel ?? "");
    drawNew(context, this.#toShares(fresh), place, color);
  }
}
