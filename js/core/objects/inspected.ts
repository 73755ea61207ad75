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

export const OBJECT_KEYS: readonly (readonly [string, string])[] = [
  ["O", "Show or hide objects"],
  ["B", "Draw a box"],
  ["Tab, click", "Select an object"],
  ["← → ↑ ↓ , Shift", "Move it by 1 px, by 10 px"],
  ["L, Delete", "Relabel it, delete it"],
  ["S, Shift + S, U", "With an object selected: most similar to it first; more like it, less like it"],
];

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
  #marked: ReadonlySet<number> = new Set();
  #pending: Box | null = null; // drawn, and waiting for its label
  #selectNew = false;
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
      this.#editor.settle();
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
      layer.toggles.value;
      layer.hidden.value;
      this.#render();
    });
  }

  /** Another picture is inspected, or the same one with its size known by now. */
  show(no: number | null, size: Size | null): void {
    const other = no !== this.#no;
    if (other) {
      this.#editor.settle();
      this.#editor.cancel();
      this.#editor.selected = null;
      this.#editor.drawing = false;
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
    else if (key === "Delete" || key === "Backspace") ours = editor.remove();
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
    if (this.#size === null) return;
    this.#editor.drawing = !this.#editor.drawing;
    if (this.#editor.drawing) {
      this.#editor.select(null);
      this.#say("Drag over the picture to draw a box.");
    }
    this.#render();
  }

  toggle(name: "on" | "boxes" | "masks" | "keypoints" | "labels"): void {
    const { toggles } = this.#layer;
    toggles.value = { ...toggles.value, [name]: !toggles.value[name] };
  }

  draw(): void {
    // Asked for anew each time: a browser may drop a frame of a page that it put to sleep.
    cancelAnimationFrame(this.#frameId);
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
    const changed = this.#editor.changed;
    if (changed === null) return shapes;
    return shapes.map((shape) =>
      shape.object === changed.object ? placed(shape, this.#toShares(changed.box)) : shape,
    );
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
    try {
      const reply = await client.ask("objects", { nos: [no], px: null }, { panel: `${panelId}-objects`, signal });
      if (no !== this.#no) return;
      this.#sample = decoded(reply)[0] ?? null;
      answered();
      if (this.#size === null && this.#sample?.width && this.#sample.height)
        this.#size = { width: this.#sample.width, height: this.#sample.height };
      this.#choose();
      this.#render();
      const { body } = await client.ask("lintObjects", { no }, { panel: `${panelId}-objects`, signal });
      if (no !== this.#no) return;
      this.#findings = body.findings;
      this.#render();
    } catch {
      // Replaced by a newer question, or the frame of the panel says that the kernel is gone.
    }
  }

  /** Keeps what is selected as long as it is there; what was just drawn is selected. */
  #choose(): void {
    const there = this.#shapes().map(({ object }) => object);
    if (this.#selectNew && this.#editor.selected === NEW) {
      this.#selectNew = false;
      this.#editor.selected = there.length > 0 ? Math.max(...there) : null;
    }
    if (this.#editor.selected !== null && !there.includes(this.#editor.selected)) this.#editor.selected = null;
  }

  // Deciding ---------------------------------------------------------------------------------------------------

  #decide(decision: Decision): void {
    if (decision.verb === "add") this.#add(decision.box);
    else if (decision.verb === "move") this.#move(decision.object, decision.box);
    else this.#remove(decision.object);
  }

  #move(object: number, box: Box): void {
    const shares = this.#toShares(box);
    const ahead: Ahead = (shapes) => shapes.map((one) => (one.object === object ? placed(one, shares) : one));
    void this.#decisions.act({ verb: "move", objects: [object], box: rounded(box) }, ahead);
  }

  #remove(object: number): void {
    void this.#decisions.act({ verb: "delete", objects: [object] }, (shapes) =>
      shapes.filter((one) => one.object !== object),
    );
  }

  #name(object: number, label: string): void {
    this.#layer.lastLabel = label;
    const color = this.#colorOf(label);
    const ahead: Ahead = (shapes) => shapes.map((one) => (one.object === object ? { ...one, label, color } : one));
    void this.#decisions.act({ verb: "relabel", objects: [object], label }, ahead);
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
    };
    this.#editor.selected = NEW;
    this.#selectNew = true;
    void this.#decisions.act({ verb: "add", no, label, box: rounded(box) }, (shapes) => [...shapes, fresh]);
  }

  #relabel(): boolean {
    const object = this.#editor.selected;
    if (object === null || object === NEW) return false;
    this.#hub.ui.prompt(this.#options.root, {
      what: "label",
      title: `Relabel ${this.#spoken(object)}`,
      names: this.#hub.store.state.peek()?.objects?.labels ?? [],
      confirm: (text) => this.#name(object, text),
    });
    return true;
  }

  repair({ act, object, box, label }: ShownRepair): void {
    if (act === "delete") this.#remove(object);
    else if (act === "relabel" && label !== undefined) this.#name(object, label);
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
      this.#say("");
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
    frame.toggleAttribute("data-drawing", this.#editor.drawing);
    drawLegend(below, this.#hub, {
      objects: this,
      there: this.#no !== null && (this.#version !== null || this.#editor.drawing),
      shapes: this.#shapes(),
      more: this.#sample?.more ?? 0,
      findings: this.#findings,
      toggles: this.#layer.toggles.value,
      hidden: this.#layer.hidden,
      drawing: this.#editor.drawing,
      selected: this.#shapes().find(({ object }) => object === this.#editor.selected) ?? null,
      box: this.#editor.selected === null ? null : this.#boxOf(this.#editor.selected),
    });
    this.draw();
  }

  #paint(): void {
    const { frame } = this.#options;
    const context = sheet(this.#canvas, { width: frame.clientWidth || 1, height: frame.clientHeight || 1 });
    const place = this.#place();
    if (context === null || place === null) return;
    const toggles = this.#layer.toggles.value;
    const marked = new Set(this.#marked);
    const { over } = this.#hand;
    if (over !== null && !this.#editor.busy) marked.add(over);
    drawShapes(context, this.#visible(), place, { ...toggles, selected: this.#editor.selected, marked });
    const fresh = this.#editor.fresh ?? this.#pending;
    if (fresh !== null) drawNew(context, this.#toShares(fresh), place, this.#colorOf(this.#layer.lastLabel ?? ""));
  }
}
