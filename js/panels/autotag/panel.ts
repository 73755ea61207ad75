/**
 * The panel of one tag: a page of tiles to mark, the histogram with its threshold, and the commit. Of objects, tiles are crops.
 *
 * A page stays as it is while one marks: another round is made in the background after some marks, said as “new order ready”, and
 * taken up with the next page or with R. So nothing moves under the pointer.
 */
import type { KernelError } from "../../core/contract.js";
import { mountDrawer } from "../../core/drawer.js";
import { isAbort, type Panel } from "../../core/panel.js";
import type { Ask, Op, Target } from "../../core/protocol.js";
import type { AutotagNamed, AutotagState, MarkTarget, Shown, Sign } from "../../core/protocol_autotag.js";
import type { SimilarMode } from "../../core/protocol_similar.js";
import { newUuid } from "../../core/uuid.js";
import { autotagKeys, keysOf } from "./keys.js";
import { drawHead, drawTiles } from "./view.js";
import { nextUnmarked, type Of, ONE, SHOWN, type Tile, things } from "./words.js";

export interface AutotagConfig {
  tag: string;
  of: Of;
  /** Of objects: the token of those that are ranked, which these are in words, and whether tiles show whole pictures. */
  view: string;
  among: string;
  whole: boolean;
  show: Shown;
  tilePx: number;
  heightPx: number;
}

const DEFAULT_TILE_PX = 96;
const GAP_PX = 6;
const CAPTION_PX = 18;
const MOST_TILES = 60;
const ROUND_AFTER_MARKS = 10;
const THUMBS_PX = [64, 96, 128, 256, 512];

export class Autotag {
  readonly panel: Panel<AutotagConfig>;
  readonly tag: string;
  readonly of: Of;
  /** Of objects: whether tiles show the whole pictures. */
  whole: boolean;
  state: AutotagState | null = null;
  show: Shown;
  /** What the user chose on the handle; null follows the best of each round. */
  chosen: number | null = null;
  tiles: Tile[] = [];
  total = 0;
  offset = 0;
  focused = 0;
  readonly picked = new Set<number>();
  learning = false;
  loading = true;
  failure: { message: string; hint: string | null } | null = null;
  columns = 1;
  readonly scroller: HTMLElement;
  readonly #head: HTMLElement;
  #perPage = 12;
  #shownRound = 0;
  #marking = 0;
  #sent: Promise<void> = Promise.resolve();
  #rev = -1;
  #wholeShown = false; // until the other pictures have come
  #objects: number | null = null; // the version of which tiles of objects are
  #selection = 0; // its version
  #frame = 0;

  constructor(panel: Panel<AutotagConfig>) {
    this.panel = panel;
    const { root, hub, signal, config } = panel;
    this.tag = config.tag ?? "";
    this.of = config.of === "objects" ? "objects" : "samples";
    this.whole = config.whole === true;
    this.show = SHOWN.some(([show]) => show === config.show) ? (config.show as Shown) : "ask";
    root.setAttribute("aria-label", `dataide autotag ${this.tag}`);
    this.#head = document.createElement("div");
    this.#head.className = "dataide-autotag-head";
    this.scroller = document.createElement("div");
    this.scroller.className = "dataide-autotag-tiles";
    Object.assign(this.scroller, { tabIndex: 0, role: "listbox", ariaMultiSelectable: "true" });
    this.scroller.setAttribute(
      "aria-label",
      `${this.of === "objects" ? "Objects" : "Samples"} to mark as ${this.tag} or not`,
    );
    root.append(this.#head, this.scroller);
    hub.keyboard.attach(root, autotagKeys(this), signal, { keys: keysOf(this.of), target: () => this.target() });
    hub.ui.frame(root, signal);
    signal.addEventListener("abort", () => {
      cancelAnimationFrame(this.#frame);
      if (this.marking) hub.store.marking.value = null;
    });
    hub.dom.onResize(this.scroller, (width, height) => this.#fit(width, height), signal);
    hub.dom.effectUntil(signal, () => {
      const rev = hub.store.state.value?.rev ?? -1;
      hub.store.marking.value; // the switch shows what holds
      const before = this.#rev;
      this.#rev = rev;
      const objects = this.of === "objects" ? (hub.store.state.value?.objects?.version ?? null) : null;
      const others = this.#objects !== null && objects !== this.#objects;
      this.#objects = objects;
      const selection = hub.store.state.value?.selection.version ?? 0;
      // Before the first round it is said how many objects are selected, which only the kernel can count.
      const counted = this.of === "objects" && this.state?.steps === null && selection !== this.#selection;
      this.#selection = selection;
      if (before >= 0 && (rev !== before || counted)) void this.#refresh(); // undo, or a decision in another panel
      if (others && this.tiles.length > 0) void this.#again(); // boxes were moved, or objects are called otherwise
      this.redraw();
    });
    mountDrawer(this.panel, this.scroller);
    this.redraw();
    void this.#begin();
  }

  get threshold(): number {
    return this.chosen ?? this.state?.threshold ?? 0.5;
  }

  /** Another round than the one that is shown has been made. */
  get ready(): boolean {
    return this.state !== null && this.state.round !== this.#shownRound && !this.loading;
  }

  /** + and − in grids mark for this tag. */
  get marking(): boolean {
    return this.of === "samples" && this.panel.hub.store.marking.value?.tag === this.tag;
  }

  get tilePx(): number {
    return Math.min(Math.max(this.panel.config.tilePx ?? DEFAULT_TILE_PX, 48), 320);
  }

  get pages(): { at: number; of: number } {
    const size = Math.max(this.#perPage, 1);
    return { at: Math.floor(this.offset / size) + 1, of: Math.max(Math.ceil(this.total / size), 1) };
  }

  redraw(): void {
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      drawHead(this.#head, this);
      drawTiles(this.scroller, this);
    });
  }

  /** The samples that shared keys are about: of what is picked, else of the focused tile. */
  target(): Target | null {
    const nos = [...new Set(this.#targets().flatMap((i) => this.tiles[i]?.sample ?? []))];
    return nos.length > 0 ? { type: "samples", nos } : null;
  }

  /** Under which number the picture of a tile is kept: crops of objects apart from pictures of samples. */
  pictureOf({ no, sample }: Pick<Tile, "no" | "sample">): number {
    return this.of === "objects" && !this.#wholeShown ? -1 - no : sample;
  }

  focus(position: number): void {
    this.focused = Math.min(Math.max(position, 0), Math.max(this.tiles.length - 1, 0));
    this.panel.hub.store.hovered.value = this.tiles[this.focused]?.sample ?? null;
    this.redraw();
  }

  pick(position: number, more: boolean, range = false): void {
    if (range)
      for (let i = Math.min(this.focused, position); i <= Math.max(this.focused, position); i++) this.picked.add(i);
    else if (!more) this.picked.clear();
    else if (!this.picked.delete(position)) this.picked.add(position);
    this.focus(position);
  }

  /** Shows the sample in the inspector; of an object with that one chosen. */
  inspect(position: number): void {
    const { store } = this.panel.hub;
    const tile = this.tiles[position];
    if (tile !== undefined && this.of === "objects")
      store.inspectedObject.value = { sample: tile.sample, object: tile.no };
    store.inspected.value = tile?.sample ?? null;
  }

  /** Crops, or the whole pictures with the same boxes. */
  toggleWhole(): void {
    this.whole = !this.whole;
    this.panel.configure("whole", this.whole);
    void this.#again();
  }

  /** Asks for another label of the objects themselves. */
  relabel(): void {
    const { hub, root } = this.panel;
    const objects = this.#targets().flatMap((i) => this.tiles[i]?.no ?? []);
    if (objects.length === 0) return;
    hub.ui.prompt(root, {
      what: "label",
      title: `Relabel ${things("objects", objects.length, hub.dom.formatCount(objects.length))}`,
      names: hub.store.state.peek()?.objects?.labels ?? [],
      confirm: (label) =>
        void this.#ask("actObjects", { verb: "relabel", uuid: newUuid(), objects, label }).then((done) => {
          if (done === null) return;
          const { sentence, python, event } = done;
          hub.store.toast({ sentence, kind: "info", undoable: event !== null, python, hint: null });
        }),
    });
  }

  /** Sorts every grid by similarity to the crop of the focused object. */
  similar(mode: SimilarMode): void {
    const tile = this.tiles[this.focused];
    if (tile !== undefined) void this.panel.hub.store.similar({ type: "object", no: tile.no }, mode);
  }

  /** Marks the picked tiles, or the focused one, and goes on to the next without a mark. */
  async mark(sign: Sign, positions = this.#targets()): Promise<void> {
    const meant = positions.filter((i) => this.tiles[i] !== undefined);
    if (meant.length === 0) return;
    const nos = meant.map((i) => (this.tiles[i] as Tile).no);
    for (const i of meant) (this.tiles[i] as Tile).mark = sign;
    this.picked.clear();
    const next =
      sign === "none" ? Math.min(Math.max(...meant) + 1, this.tiles.length - 1) : nextUnmarked(this.tiles, meant);
    if (next >= 0) this.focus(next);
    this.redraw();
    await this.send(sign, { type: this.of, nos });
    const examples = (this.state?.positives ?? 0) > 0;
    if (next < 0 && (this.state?.round ?? 0) === 0 && !examples) await this.leaf(1);
    else if (next < 0 && this.show === "ask") await this.round();
    else if (examples && (this.state?.since ?? 0) >= ROUND_AFTER_MARKS && !this.ready) await this.#learn();
  }

  /** Marks in the kernel; tiles here follow. Used by grids as well. */
  send(sign: Sign, target: MarkTarget, tagged = false): Promise<void> {
    this.#sent = this.#send(sign, target, tagged);
    return this.#sent;
  }

  async #send(sign: Sign, target: MarkTarget, tagged: boolean): Promise<void> {
    this.#marking++;
    const answer = await this.#ask("autotagMark", { ...this.#named, sign, target, uuid: newUuid(), tagged });
    this.#marking--;
    if (answer === null) return this.#refresh();
    const { positives, negatives, since, sentence, event } = answer;
    if (this.state !== null) this.state = { ...this.state, positives, negatives, since, stale: since > 0 };
    if (target.type === "selection") this.#say(sentence, event !== null);
    this.redraw();
  }

  /** Begins with what are examples already: those that have the tag, or the selection. */
  async begin(from: "tagged" | "selection"): Promise<void> {
    await this.send("positive", { type: "selection" }, from === "tagged");
    await this.round();
  }

  /** Learns where marks have changed, and shows the new order from its beginning. */
  async round(): Promise<void> {
    await this.#sent; // a round counts the marks before it
    if ((this.state?.positives ?? 0) === 0 && (this.state?.round ?? 0) === 0) {
      this.#say(`No ${ONE[this.of]} is marked as “${this.tag}” yet.`, false, "Press + on one that is.");
      return;
    }
    if (this.state === null || this.state.stale || this.state.round === 0) await this.#learn();
    await this.turn(0);
  }

  async turn(offset: number, round = this.state?.round ?? 0): Promise<void> {
    const { hub } = this.panel;
    const ask = this.show === "ask" && (this.state?.round ?? 0) > 0;
    const px = THUMBS_PX.find((size) => size >= this.tilePx * (window.devicePixelRatio || 1)) ?? 512;
    const [show, threshold] = [this.show, this.threshold];
    this.loading = true;
    const body = {
      ...{ ...this.#named, show, threshold, round },
      ...{ offset: ask ? 0 : Math.max(offset, 0), limit: this.#perPage, px, thumbs: true },
      ...(this.of === "objects" ? { whole: this.whole } : {}),
    };
    const reply = await this.#reply("autotagPage", body);
    if (reply === null) return;
    if ((body.whole ?? false) !== this.whole) return; // switched meanwhile: the other pictures are on their way
    this.#wholeShown = this.whole;
    const page = reply.body;
    const [pictures] = reply.buffers;
    this.tiles = page.nos.map((no, i) => {
      const problem = page.thumbs?.problems[i] ?? null;
      const sample = page.objects?.samples[i] ?? no;
      const [start, end] = [page.thumbs?.starts[i] ?? 0, page.thumbs?.starts[i + 1] ?? 0];
      if (pictures !== undefined && problem === null && end > start) {
        const bytes = new DataView(pictures.buffer, pictures.byteOffset + start, end - start);
        hub.images.put(this.pictureOf({ no, sample }), px, page.thumbs?.mime[i] ?? "image/png", bytes);
      }
      return {
        ...{ no, sample, on: page.objects?.sampleIds[i] ?? null, box: page.objects?.boxes[i] ?? null },
        ...{ problem, id: page.ids[i] ?? "", label: page.labels[i] ?? null, tagged: page.tagged[i] === true },
        ...{ score: page.scores[i] ?? null, why: page.why[i] ?? null, mark: page.marks[i] ?? "none" },
      };
    });
    this.px = px;
    this.total = page.total;
    this.offset = page.offset;
    this.loading = false;
    this.#shownRound = page.round;
    this.picked.clear();
    const first = nextUnmarked(this.tiles, []);
    this.focus(first < 0 ? 0 : first);
    this.redraw();
    // The panel got its size while this page was on its way.
    if (body.limit < this.#perPage && page.total > page.nos.length) await this.turn(this.offset);
  }
  px = DEFAULT_TILE_PX;

  /** The page behind or before this one; in the order of questions that is a new round. */
  async leaf(by: 1 | -1): Promise<void> {
    if (this.show === "ask" && (this.state?.round ?? 0) > 0) return by > 0 ? this.round() : undefined;
    const next = this.offset + by * this.#perPage;
    if (this.ready) return this.turn(0);
    if (next >= 0 && next < this.total) await this.turn(next);
    else if (by < 0 && this.offset > 0) await this.turn(0);
  }

  choose(show: Shown): void {
    this.show = show;
    this.panel.configure("show", show);
    void this.turn(0);
  }

  setThreshold(value: number, settled: boolean): void {
    this.chosen = value;
    this.redraw();
    if (settled && this.show === "near") void this.turn(0);
  }

  async commit(): Promise<void> {
    const { state } = this;
    if (state === null || state.round === 0) return;
    const body = { ...this.#named, round: state.round, threshold: this.threshold, uuid: newUuid() };
    const answer = await this.#ask("autotagCommit", body);
    if (answer === null) return;
    const { store } = this.panel.hub;
    const { sentence, python, event } = answer;
    store.toast({ sentence, kind: "info", undoable: event !== null, python, hint: null });
    await this.#refresh();
  }

  /** + and − of grids mark for this tag, or size tiles again. */
  toggleMarking(): void {
    const { store } = this.panel.hub;
    if (store.marking.value?.tag === this.tag) store.marking.value = null;
    else
      store.marking.value = {
        tag: this.tag,
        mark: (sign, target) => void this.send(sign, target).then(() => this.#refresh()),
      };
  }

  // Inside ----------------------------------------------------------------------------------------------------

  get #named(): AutotagNamed {
    const { view } = this.panel.config;
    return this.of === "samples" ? { tag: this.tag } : { tag: this.tag, of: this.of, view: view ?? "" };
  }

  #targets(): number[] {
    return this.picked.size > 0 ? [...this.picked].sort((a, b) => a - b) : this.tiles.length > 0 ? [this.focused] : [];
  }

  async #begin(): Promise<void> {
    this.state = await this.#ask("autotag", { ...this.#named, round: false });
    if ((this.state?.positives ?? 0) > 0) await this.#learn();
    await this.turn(0);
  }

  async #learn(): Promise<void> {
    this.learning = true;
    this.redraw();
    // In a lane of its own, or what is asked after a mark would take the place of a round that waits.
    const lane = `${this.panel.panelId}-round`;
    const answer = (await this.#reply("autotag", { ...this.#named, round: true, nos: [] }, lane))?.body ?? null;
    this.learning = false;
    if (answer !== null) this.state = answer;
    this.redraw();
  }

  /** What others did: marks of these tiles, counts, tags. */
  async #refresh(): Promise<void> {
    if (this.#marking > 0) return;
    const nos = this.tiles.map(({ no }) => no);
    const answer = await this.#ask("autotag", { ...this.#named, round: false, nos });
    // A round may have come meanwhile, of which this answer does not know.
    if (answer === null || this.#marking > 0 || answer.round < (this.state?.round ?? 0)) return;
    this.state = answer;
    const marks = new Map(nos.map((no, i) => [no, answer.marks[i] ?? "none"]));
    for (const tile of this.tiles) tile.mark = marks.get(tile.no) ?? tile.mark;
    this.redraw();
  }

  /** The same tiles of the same round once more, as they are now. */
  async #again(): Promise<void> {
    const at = this.tiles[this.focused]?.no;
    await this.turn(this.offset, this.#shownRound);
    const place = this.tiles.findIndex(({ no }) => no === at);
    if (place >= 0) this.focus(place);
  }

  #fit(width: number, height: number): void {
    this.columns = Math.max(Math.floor((width + GAP_PX) / (this.tilePx + GAP_PX)), 1);
    const rows = Math.max(Math.floor((height + GAP_PX) / (this.tilePx + CAPTION_PX + GAP_PX)), 1);
    const size = Math.min(this.columns * rows, MOST_TILES);
    if (size === this.#perPage) return;
    const grown = size > this.#perPage;
    this.#perPage = size;
    // A page that got room is filled up; marks on one that lost some stay in sight by scrolling.
    if (grown && !this.loading && this.tiles.every(({ mark }) => mark === "none")) void this.turn(this.offset);
  }

  async #ask<O extends Op>(op: O, body: Ask<O>) {
    return (await this.#reply(op, body))?.body ?? null;
  }

  async #reply<O extends Op>(op: O, body: Ask<O>, lane = this.panel.panelId) {
    try {
      const reply = await this.panel.hub.client.ask(op, body, { panel: lane, signal: this.panel.signal });
      this.failure = null;
      return reply;
    } catch (error) {
      if (isAbort(error)) return null;
      const { message, failure } = error as KernelError;
      this.loading = false;
      this.failure = { message, hint: failure?.hint ?? null };
      if (this.tiles.length > 0) this.#say(message, false, failure?.hint ?? null, "error");
      this.redraw();
      return null;
    }
  }

  #say(sentence: string, undoable: boolean, hint: string | null = null, kind: "info" | "error" = "info"): void {
    this.panel.hub.store.toast({ sentence, kind, undoable, python: null, hint });
  }
}
