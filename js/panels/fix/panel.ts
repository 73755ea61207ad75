/** The fix panel: a list of issues, one focus, one key for each answer. */
import type { KernelError } from "../../core/contract.js";
import { mountDrawer } from "../../core/drawer.js";
import { isAbort, type Panel } from "../../core/panel.js";
import type { Answer, Target } from "../../core/protocol.js";
import type { IssueKind, IssueOrder, IssueRow, IssueState, IssueVerb } from "../../core/protocol_issues.js";
import { Entries, picturedAs, putThumbs } from "./entries.js";
import { drawBoxes, entryView, neighboursView } from "./entry.js";
import * as geo from "./geometry.js";
import { drawHead } from "./head.js";
import { fixKeys, KEYS } from "./keys.js";
import { drawEmpty } from "./start.js";
import { Threshold } from "./threshold.js";
import { canAccept } from "./words.js";

export interface FixConfig {
  kind: string | null;
  state: IssueState;
  order: IssueOrder;
  heightPx: number;
  neighbours: boolean;
  threshold: number;
}

const THUMB_PX = 128;
const NEIGHBOUR_PX = 96;
const NEIGHBOURS = 12;
const EXTRA = 3;

export class Fix {
  focused = 0;
  member = 0;
  readonly panel: Panel<FixConfig>;
  readonly scroller: HTMLElement;
  readonly entries: Entries;
  readonly threshold: Threshold;
  kinds: readonly IssueKind[] | null = null;
  chosen: string | null; // as configured; null: the kind with most open issues when the panel was opened
  state: IssueState;
  order: IssueOrder;
  failure: { message: string; hint: string | null } | null = null;
  readonly #head: HTMLElement;
  readonly #list: HTMLElement;
  readonly #rows: HTMLElement;
  readonly #strip: HTMLElement;
  readonly #empty: HTMLElement;
  readonly #neighbourProblems = new Map<number, string>();
  readonly #pictures = new Map<string, string>(); // on screen
  #frame = 0;
  #rev = -1;
  #neighbours: boolean;
  #around: { no: number; answer: Answer<"issueNeighbours"> | null; failure: string | null; stamp: string } | null =
    null;

  constructor(panel: Panel<FixConfig>) {
    this.panel = panel;
    const { root, hub, signal, config, panelId } = panel;
    this.chosen = config.kind ?? null;
    this.state = config.state ?? "open";
    this.order = config.order ?? "severity";
    this.#neighbours = config.neighbours === true;
    const part = (name: string, parent = root): HTMLElement => {
      const made = document.createElement("div");
      made.className = name;
      parent.append(made);
      return made;
    };
    this.#head = part("dataide-toolbar dataide-fix-head");
    const handle = part("dataide-toolbar dataide-fix-threshold");
    this.scroller = part("dataide-fix-scroller");
    this.#list = part("dataide-fix-list", this.scroller);
    this.#rows = part("dataide-fix-rows", this.#list);
    this.#strip = part("dataide-fix-strips", this.#list);
    this.#empty = part("dataide-fix-empty", this.scroller);
    for (const element of [this.#list, this.#rows, this.#strip]) element.setAttribute("role", "presentation");
    Object.assign(this.scroller, { tabIndex: 0, role: "listbox", ariaLabel: "Issues", ariaMultiSelectable: "true" });
    if (!panel.embedded) {
      const parts = ["count", "history", "keys"] as const;
      hub.ui.actionBar(part(""), { root, panel: panelId, compact: true, target: this.target, parts }, signal);
    }
    const redraw = (): void => this.redraw();
    this.entries = new Entries(hub, panelId, THUMB_PX, redraw, signal);
    this.threshold = new Threshold(handle, hub, {
      panel: panelId,
      signal,
      root,
      value: config.threshold ?? null,
      keep: (value) => panel.configure("threshold", value),
      done: () => this.scroller.focus({ preventScroll: true }),
    });
    this.#start();
  }

  /** The kind that is shown. */
  get kind(): IssueKind | null {
    const { kinds, chosen } = this;
    return kinds?.find(({ kind }) => kind === chosen) ?? null;
  }

  get entriesInSight(): number {
    return Math.floor(this.scroller.clientHeight / this.#layout().rowPx);
  }

  /** The rows of the entry that has the focus, and the one among them. */
  get focusedRows(): readonly IssueRow[] {
    return this.entries.get(this.focused)?.rows ?? [];
  }

  get focusedRow(): IssueRow | null {
    return this.focusedRows[this.member] ?? null;
  }

  /** What T, L, Q, X and digits act on: what has the focus here, whatever is selected elsewhere. */
  target = (): Target | null => {
    const row = this.focusedRow;
    return row === null ? null : { type: "samples", nos: [row.no] };
  };

  redraw(): void {
    if (this.#frame === 0) this.#frame = requestAnimationFrame(() => this.#draw());
  }

  focus(index: number): void {
    this.focused = Math.max(0, Math.min(index, this.entries.held - 1));
    this.member = 0;
    this.#follow();
  }

  focusMember(by: number): void {
    this.member = Math.max(0, Math.min(this.member + by, this.focusedRows.length - 1));
    this.#follow();
  }

  #follow(): void {
    const layout = this.#layout();
    const { scroller } = this;
    scroller.scrollTop = geo.topShowing(layout, scroller.scrollTop, scroller.clientHeight, this.focused);
    this.panel.hub.store.hovered.value = this.focusedRow?.no ?? null;
    this.redraw();
  }

  /** One answer about the entry, and on to the next that is still to be answered. A group is answered as a whole. */
  answer(verb: IssueVerb, index = this.focused): void {
    const kind = this.kind;
    const rows = this.entries.get(index)?.rows ?? [];
    const [first] = rows;
    if (kind === null || first === undefined) return;
    const { store } = this.panel.hub;
    const say = (sentence: string, hint: string): void =>
      store.toast({ sentence, kind: "info", undoable: false, python: null, hint });
    if (verb === "accept_proposals" && kind.cure === null) {
      say("There is nothing to accept: this kind proposes nothing.", "N: it is no issue; X leaves it out.");
      return;
    }
    if (verb === "reopen_issues" && !rows.some(({ state }) => state === "rejected")) {
      say("Nothing was rejected here.", "R asks again about what N rejected.");
      return;
    }
    const open = rows.some(({ state }) => state === "open");
    if (verb !== "reopen_issues" && !open) {
      this.#goOn(index);
      return;
    }
    // Where all but one of a group were left out by hand, nothing is left to do but to say so.
    const sent = verb === "accept_proposals" && !canAccept(rows, kind.cure) ? "reject_issues" : verb;
    const group: Target = {
      type: "issues",
      kind: kind.kind,
      maxScore: 1,
      minConfidence: 0,
      ...(sent === "reopen_issues" ? { states: ["rejected"] as IssueState[] } : {}),
      ...(first.group === null ? {} : { group: first.group }),
    };
    const one: Target = { type: "samples", nos: [first.no] };
    // Who answers one after the other needs the latest sentence only; the earlier ones would lie over the list.
    for (const toast of store.toasts.peek()) if (toast.kind === "info") store.dismiss(toast.id);
    void store.act(sent, { kind: kind.kind }, kind.grouped && first.group !== null ? group : one);
    if (verb === "reopen_issues" && this.state === "open") this.focus(index);
    else this.#goOn(index);
  }

  #goOn(from: number): void {
    const before = this.entries.get(from)?.rows ?? [];
    this.focus(this.entries.nextOpen(from, this.state) ?? from);
    // Who answers in front of the inspector wants to see the next one there.
    if (before.some(({ no }) => no === this.panel.hub.store.inspected.peek())) this.inspect();
    if (!this.panel.root.contains(document.activeElement)) this.scroller.focus({ preventScroll: true });
  }

  exclude(row: IssueRow): void {
    void this.panel.hub.store.act(row.excluded ? "include" : "exclude", {}, { type: "samples", nos: [row.no] });
  }

  toggleSelected(): void {
    const { hub, panelId: panel } = this.panel;
    const nos = this.focusedRows.map(({ no }) => no);
    if (nos.length === 0) return;
    const mode = this.focusedRows.every(({ selected }) => selected) ? "subtract" : "add";
    const asked = hub.store.gesture({ shape: { type: "samples", nos }, mode, source: "fix" }, { panel });
    asked.catch((error: Error) => {
      if (!isAbort(error)) this.#say(error as KernelError);
    });
  }

  toggleNeighbours(): void {
    this.#neighbours = !this.#neighbours;
    this.panel.configure("neighbours", this.#neighbours);
    this.#follow();
  }

  get neighboursShown(): boolean {
    return this.#neighbours;
  }

  inspect(no = this.focusedRow?.no, object = this.entries.crop(no ?? -1)?.object ?? null): void {
    if (no === undefined) return;
    const { store } = this.panel.hub;
    // Asked for again, of the same sample: the inspector that showed it may be out of sight by now.
    if (store.inspected.peek() === no && store.inspectors.peek() === 0) store.inspected.value = null;
    if (object !== null) store.inspectedObject.value = { sample: no, object };
    store.inspected.value = no;
  }

  choose(name: "kind" | "state" | "order", value: string): void {
    if (name === "kind") this.chosen = value;
    else if (name === "state") this.state = value as IssueState;
    else this.order = value as IssueOrder;
    this.panel.configure(name, value);
    this.begin();
  }

  /** The list as it is now: what was answered leaves it. */
  begin(): void {
    if (this.chosen === null) return;
    this.entries.begin({ kind: this.chosen, state: this.state, order: this.order });
    this.focused = this.member = 0;
    this.#around = null;
    this.scroller.scrollTop = 0;
    this.#draw();
  }

  #start(): void {
    const { hub, root, signal, boot } = this.panel;
    const { effectUntil, onResize } = hub.dom;
    signal.addEventListener("abort", () => cancelAnimationFrame(this.#frame));
    hub.keyboard.attach(root, fixKeys(this), signal, { keys: KEYS, target: this.target });
    hub.ui.frame(root, signal);
    this.#listen();
    mountDrawer(this.panel, this.scroller);
    const step = (by: number): void => {
      const at = this.entries.find(hub.store.inspected.peek() ?? -1);
      this.focus((at < 0 ? this.focused : at) + by);
      this.inspect();
    };
    // A grid on the page steps in its own order; without one this list does.
    if (hub.store.step.peek() === null) hub.store.step.value = step;
    signal.addEventListener("abort", () => {
      if (hub.store.step.peek() === step) hub.store.step.value = null;
    });
    const kinds = boot("issueKinds");
    if (kinds !== null) this.#take(kinds.reply.body.kinds);
    const first = boot("issuePage");
    if (first !== null) this.entries.boot(first.ask, first.reply, this.#stamp());
    this.panel.onConfig(({ kind, state, order }) => {
      const next = { kind: kind ?? this.chosen, state: state ?? this.state, order: order ?? this.order };
      if (next.kind === this.chosen && next.state === this.state && next.order === this.order) return;
      this.chosen = next.kind;
      this.state = next.state;
      this.order = next.order;
      this.begin();
    });
    this.scroller.addEventListener("scroll", () => this.redraw(), { signal, passive: true });
    onResize(this.scroller, () => this.redraw(), signal);
    if (first !== null) this.#rev = hub.store.state.peek()?.rev === first.reply.rev ? first.reply.rev : -1;
    effectUntil(signal, () => {
      const rev = hub.store.state.value?.rev ?? -1;
      if (rev > this.#rev) {
        this.#rev = rev;
        void this.#askKinds();
      }
      this.redraw();
    });
    this.#draw();
  }

  #listen(): void {
    const { scroller } = this;
    const { hub, signal } = this.panel;
    const at = (event: Event): { index: number; no: number | null; member: number; object?: number } | null => {
      const element = event.target instanceof Element ? event.target : null;
      const no = element?.closest<HTMLElement>("[data-no]")?.dataset.no;
      const entry = element?.closest<HTMLElement>(".dataide-fix-entry");
      const member = element?.closest<HTMLElement>("[data-member]")?.dataset.member;
      const object = element?.closest<HTMLElement>("[data-object]")?.dataset.object;
      if (entry == null && no === undefined) return null;
      return {
        index: entry == null ? -1 : Number(entry.dataset.index),
        no: no === undefined || no === "" ? null : Number(no),
        member: Number(member ?? 0),
        ...(object === undefined ? {} : { object: Number(object) }),
      };
    };
    scroller.addEventListener(
      "click",
      (event) => {
        const hit = at(event);
        scroller.focus({ preventScroll: true });
        if (hit === null || hit.index < 0 || (event.target as Element).closest("button") !== null) return;
        this.focused = hit.index;
        this.member = hit.member;
        this.#follow();
        if (event.ctrlKey || event.metaKey) this.toggleSelected();
      },
      { signal },
    );
    scroller.addEventListener(
      "dblclick",
      (event) => {
        const hit = at(event);
        if (hit?.no != null) this.inspect(hit.no, hit.object);
      },
      { signal },
    );
    scroller.addEventListener(
      "pointerover",
      (event) => {
        hub.store.hovered.value = at(event)?.no ?? null;
      },
      { signal },
    );
    scroller.addEventListener(
      "pointerleave",
      () => {
        hub.store.hovered.value = null;
      },
      { signal },
    );
  }

  #stamp(): string {
    const state = this.panel.hub.store.state.peek();
    return state === null ? "" : `${state.rev}/${state.selection.version}/${state.mediaVersion ?? 0}`;
  }

  async #askKinds(): Promise<void> {
    const { hub, panelId: panel, signal } = this.panel;
    try {
      this.#take((await hub.client.ask("issueKinds", {}, { panel, signal })).body.kinds);
      this.failure = null;
    } catch (error) {
      if (isAbort(error) || signal.aborted) return;
      const { message, failure } = error as KernelError;
      this.failure = { message, hint: failure?.hint ?? null };
    }
    this.redraw();
  }

  #take(kinds: readonly IssueKind[]): void {
    const before = this.kind;
    this.kinds = kinds;
    // The choice is made once: it must not change under the hands of who answers the last open one.
    this.chosen ??= kinds[0]?.kind ?? null;
    const searchedAnew = before !== null && this.kind !== null && before.searchedAt !== this.kind.searchedAt;
    if (this.kind !== null && (this.entries.wanted === null || searchedAnew)) this.begin();
  }

  #layout(): geo.Layout {
    const grouped = this.kind?.grouped === true;
    return {
      count: this.entries.held,
      rowPx: grouped ? geo.GROUP_PX : geo.SINGLE_PX,
      open: this.#neighbours && this.entries.held > 0 ? this.focused : -1,
    };
  }

  #draw(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const { panel, scroller, entries } = this;
    const { hub } = panel;
    const { render, repeat, nothing } = hub.lit;
    const kind = this.kind;
    const stamp = this.#stamp();
    const layout = this.#layout();
    const span = geo.spanOf(layout, scroller.scrollTop, scroller.clientHeight || 400, EXTRA);
    if (kind !== null) entries.want(span, stamp);
    drawHead(this.#head, this);
    this.threshold.show(this.state === "open" ? kind : null, `${hub.store.state.peek()?.rev ?? 0}`);
    drawEmpty(this.#empty, this);
    this.#list.style.height = `${geo.heightOf(layout)}px`;
    const indices = Array.from({ length: Math.max(span.to - span.from + 1, 0) }, (_, i) => span.from + i);
    const id = (index: number): string => `${panel.panelId}-entry-${index}`;
    // A session that ends takes its pictures along; those on screen stay there.
    const lost = hub.store.connection.peek() === "lost";
    if (!lost) this.#pictures.clear();
    const url = (no: number, px = THUMB_PX): string | null => {
      const found = hub.images.get(no, px) ?? (lost ? this.#pictures.get(`${no}/${px}`) : null) ?? null;
      if (found !== null) this.#pictures.set(`${no}/${px}`, found);
      return found;
    };
    render(
      repeat(
        indices,
        (index) => index,
        (index) =>
          entryView(hub, {
            id: id(index),
            index,
            total: entries.held,
            topPx: geo.topOf(layout, index),
            heightPx: layout.rowPx,
            entry: entries.get(index),
            cure: kind?.cure ?? null,
            grouped: kind?.grouped === true,
            listed: this.state,
            focused: index === this.focused,
            member: this.member,
            url: (no) => url(entries.keyOf(no)),
            crop: (no) => entries.crop(no),
            problem: (no) => entries.problem(no),
            answer: (verb, at) => {
              this.focused = at;
              this.answer(verb, at);
            },
            exclude: (row) => this.exclude(row),
          }),
      ),
      this.#rows,
    );
    drawBoxes(this.#rows, (no) => entries.crop(no)?.box ?? null);
    if (entries.held > 0) scroller.setAttribute("aria-activedescendant", id(this.focused));
    else scroller.removeAttribute("aria-activedescendant");
    const row = this.focusedRow;
    if (layout.open >= 0 && row !== null && kind !== null) void this.#askAround(row, kind.kind, stamp);
    const around = this.#around?.no === row?.no ? this.#around : null;
    render(
      layout.open < 0
        ? nothing
        : neighboursView(hub, {
            row,
            cure: kind?.cure ?? null,
            kind: kind?.kind ?? "",
            answer: around?.answer ?? null,
            failure: around?.failure ?? null,
            topPx: geo.topOf(layout, layout.open) + layout.rowPx,
            heightPx: geo.STRIP_PX,
            url: (no) => url(no, NEIGHBOUR_PX) ?? url(no),
          }),
      this.#strip,
    );
  }

  async #askAround(row: IssueRow, kind: string, stamp: string): Promise<void> {
    const { hub, panelId: panel, signal } = this.panel;
    if (this.#around?.no === row.no && this.#around.stamp === stamp) return;
    // What is on screen stays there until the answer has come.
    const answer = this.#around?.no === row.no ? this.#around.answer : null;
    const asked = { no: row.no, answer, failure: null as string | null, stamp };
    this.#around = asked;
    try {
      const ask = { kind, no: row.no, limit: NEIGHBOURS, px: NEIGHBOUR_PX };
      const { body, buffers } = await hub.client.ask("issueNeighbours", ask, { panel, signal });
      const pictured = body.neighbours.map(({ no: of }, i) => ({ no: picturedAs(of, body.objects?.nos[i] ?? null) }));
      putThumbs(hub, pictured, body.thumbs, buffers[0], NEIGHBOUR_PX, this.#neighbourProblems);
      asked.answer = body;
    } catch (error) {
      if (isAbort(error) || signal.aborted) {
        // Another was asked meanwhile: this one is asked again when it has the focus again.
        if (this.#around === asked) this.#around = null;
        return;
      }
      asked.failure = (error as Error).message;
    }
    this.redraw();
  }

  #say(error: KernelError): void {
    const hint = error.failure?.hint ?? null;
    this.panel.hub.store.toast({ sentence: error.message, kind: "error", undoable: false, python: null, hint });
  }
}
