/** Answers the protocol over a made-up session, one message at a time and in order, as the real kernel does over its comm. */
import type { Answer, Ask, Facet, Failure, Op, Upward } from "../core/protocol.js";
import { fromWire, toWire } from "../core/wire.js";
import { FakeAutotag } from "./fake_autotag.js";
import { picture, UNREADABLE } from "./fake_data.js";
import { FakeFix } from "./fake_fix.js";
import { startable, startJob } from "./fake_jobs.js";
import { FakePoints, type Part } from "./fake_points.js";
import { Refusal } from "./fake_predicate.js";
import { FakeSession } from "./fake_session.js";

type Send = (message: unknown, buffers: DataView[]) => void;

const CHANGING: ReadonlySet<Op> = new Set([
  "select",
  "filter",
  "sort",
  "arm",
  "act",
  "undo",
  "redo",
  "similar",
  "group",
  "actObjects",
]);

export interface FakeOptions {
  count?: number;
  labels?: readonly string[];
  /** More points than this are seen as density. */
  most?: number;
  /** Milliseconds until an answer; a function is asked anew for each request. */
  delayMs?: number | (() => number);
}

export class FakeKernel {
  readonly session: FakeSession;
  /** Every request as it came over the wire, for tests. */
  readonly heard: { op: string; panel: string; body: unknown; bytes: number }[] = [];
  /** What a panel wants kept; the real kernel puts it into the panel's trait `config`. */
  onConfigure: (ask: Ask<"configure">) => void = () => {};
  paused = false;
  /** A page ends before its pictures weigh more, as in the real kernel. */
  mostThumbBytes = 4 << 20;
  readonly #points: FakePoints;
  readonly autotag: FakeAutotag;
  readonly #fix: FakeFix;
  readonly #delay: () => number;
  readonly #held: (() => void)[] = [];
  readonly #cancelled = new Set<number>();
  #listeners: Send[] = [];
  #seq = 0;

  constructor({ count = 10_000, labels, most = 20_000_000, delayMs = 0 }: FakeOptions = {}) {
    this.session = new FakeSession(count, labels);
    this.#points = new FakePoints(this.session, most);
    this.autotag = new FakeAutotag(this.session.samples, this.session.objects);
    this.#fix = new FakeFix(this.session);
    this.#delay = typeof delayMs === "function" ? delayMs : () => delayMs;
  }

  connect(send: Send): void {
    this.#listeners.push(send);
  }

  /** Takes what the browser sent over the comm. */
  receive(wire: unknown): void {
    const message = fromWire(structuredClone(wire)) as Upward;
    if (message.k === "cancel") this.#cancelled.add(message.id);
    if (message.k !== "req") return;
    this.heard.push({ op: message.op, panel: message.panel, body: message.body, bytes: JSON.stringify(wire).length });
    const run = (): void => this.#answer(message.id, camelOp(message.op), message.body);
    if (this.paused) this.#held.push(run);
    else this.#later(run);
  }

  /** Ends a pause: answers what was held, in order. */
  resume(): void {
    this.paused = false;
    for (const run of this.#held.splice(0)) this.#later(run);
  }

  event(topic: "state" | "toast" | "jobs", body: unknown): void {
    this.#send({ v: 1, k: "evt", seq: ++this.#seq, rev: this.session.rev, topic, body }, []);
  }

  /** What a widget's trait `boot` holds for these requests. */
  boot(...asks: { [O in Op]: { op: O; ask: Ask<O> } }[Op][]): unknown[] {
    return asks.map(({ op, ask }) => {
      const [first] = this.#do(op, ask);
      if (first === undefined) throw new Error(`Nothing answers ${op}.`);
      const reply = { op: snakeOp(op), ask, rev: this.session.rev, body: first.body };
      return { ...(toWire(reply) as object), buffers: views(first.buffers) };
    });
  }

  #later(run: () => void): void {
    const delay = this.#delay();
    if (delay > 0) setTimeout(run, delay);
    else queueMicrotask(run);
  }

  #answer(id: number, op: Op, body: unknown): void {
    const { session } = this;
    const fail = (error: Failure): void =>
      this.#send({ v: 1, k: "res", id, ok: false, rev: session.rev, part: 0, last: true, error }, []);
    if (this.#cancelled.delete(id)) {
      fail({ code: "cancelled", message: "Cancelled.", hint: null });
      return;
    }
    try {
      const parts = this.#do(op, body as Ask<Op>);
      parts.forEach((part, i) => {
        const head = { v: 1, k: "res", id, ok: true, rev: session.rev, part: i, last: i === parts.length - 1 };
        this.#send({ ...head, body: part.body }, views(part.buffers));
      });
      if (CHANGING.has(op)) this.event("state", session.state());
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const { code, message, hint, field } = error;
      fail({ code, message, hint, ...(field === undefined ? {} : { field }) });
    }
  }

  #send(message: unknown, buffers: DataView[]): void {
    const wire = toWire(message);
    for (const send of this.#listeners) send(structuredClone(wire), buffers);
  }

  #do(op: Op, body: unknown): Part<Op>[] {
    const { session } = this;
    const python = "session.selection";
    const doers: { [O in Op]: (ask: Ask<O>) => Part<O> | Part<O>[] } = {
      hello: () => ({ body: { protocol: 1, state: session.state() } }),
      points: (ask) => {
        this.#points.known(ask.projection);
        return this.#points.points(ask);
      },
      colors: (ask) => this.#points.colors(ask),
      marks: () => this.#points.marks(),
      detail: (ask) => this.#points.detail(ask),
      density: (ask) => this.#points.density(ask),
      peek: (ask) => {
        const sample = session.samples[ask.no ?? ask.index ?? 0];
        if (sample === undefined) throw new Refusal("unknown_sample", "There is no such sample.");
        const { no, id, label } = sample;
        const problem = no === UNREADABLE ? "cannot identify image file" : null;
        const caption = `brightness ${sample.brightness.toFixed(2)}`;
        const buffers = problem === null ? [picture(sample, 32)] : [];
        const issues = session.issues.open(no);
        return {
          body: { no, id, label, caption, mime: problem === null ? "image/bmp" : null, problem, issues },
          buffers,
        };
      },
      locate: (ask) => ({
        body: {
          places: ask.nos.map((no) => [session.samples[no]?.x ?? 0, session.samples[no]?.y ?? 0] as [number, number]),
        },
      }),
      page: (ask) => this.#page(ask),
      inspect: (ask) => this.#inspect(ask.no),
      facets: (ask) => ({
        body: {
          facets: (ask.columns ?? ["label", "split", "stars", "street", "taken_at", "price", "brightness"]).map((c) =>
            this.#facet(c, ask.bars),
          ),
        },
      }),
      facetValues: (ask) => {
        const bars = session.bars(ask.column, ask.search);
        return { body: { bars: bars.slice(0, ask.limit), more: Math.max(bars.length - ask.limit, 0) } };
      },
      select: (ask) => {
        session.select(ask.shape, ask.mode, ask.token);
        const { armed } = session;
        const decision =
          armed && ask.uuid ? session.act(armed.verb, armed.arguments, { type: "selection" }, ask.uuid) : null;
        const { count, version } = session.state().selection;
        return { body: { count, version, python, decision } };
      },
      filter: (ask) => {
        session.filter(ask.source, ask.clause);
        const { count, version } = session.state().filter;
        return { body: { count, version, python: "session.where(…)" } };
      },
      sort: (ask) => {
        session.setSort(ask.sort);
        return { body: { sort: session.sort } };
      },
      group: (ask) => {
        session.setGroup(ask.column);
        return { body: { column: session.group } };
      },
      arm: (ask) => {
        session.armed = ask.armed;
        return { body: { armed: ask.armed } };
      },
      act: (ask) => ({ body: session.act(ask.verb, ask.arguments, ask.target, ask.uuid) }),
      undo: () => ({ body: session.step("undo") }),
      redo: () => ({ body: session.step("redo") }),
      similar: (ask) => ({
        body: { count: session.similar(ask.target, ask.mode), sort: session.sort, embedding: "auto" },
      }),
      ranked: (ask) => ({ body: session.ranked(ask.threshold) }),
      complete: (ask) => ({ body: this.#complete(ask) }),
      autotag: (ask) => this.autotag.state(ask),
      autotagPage: (ask) => this.autotag.page(ask),
      autotagMark: (ask) => {
        const chosen = session.samples.flatMap(({ no }) => (session.selected[no] === 1 ? [no] : []));
        return this.autotag.mark(ask, "nos" in ask.target ? ask.target.nos : chosen);
      },
      autotagCommit: (ask) => this.autotag.commit(ask),
      configure: (ask) => {
        this.onConfigure(ask);
        return { body: {} };
      },
      cancelJob: (ask) => {
        const job = session.jobs.find(({ id }) => id === ask.id);
        if (job) job.state = "cancelling";
        this.event("jobs", session.jobsState());
        return { body: { found: job !== undefined } };
      },
      startable: () => ({ body: startable(session) }),
      startJob: (ask) => {
        const body = startJob(session, ask);
        this.event("jobs", session.jobsState());
        return { body };
      },
      objects: (ask) => session.objects.objects(ask),
      actObjects: (ask) => ({ body: session.actObjects(ask) }),
      lintObjects: (ask) => session.objects.lint(ask.no),
      issueKinds: () => this.#fix.kinds(),
      issuePage: (ask) => this.#fix.page(ask),
      issuePreview: (ask) => this.#fix.preview(ask),
      issueNeighbours: (ask) => this.#fix.neighbours(ask),
      dismissJob: (ask) => {
        const found = session.ended.some(({ id }) => id === ask.id);
        session.ended = session.ended.filter(({ id }) => id !== ask.id);
        this.event("jobs", session.jobsState());
        return { body: { found } };
      },
    };
    const answer = (doers[op] as (ask: unknown) => Part<Op> | Part<Op>[])(body);
    return Array.isArray(answer) ? answer : [answer];
  }

  #page(ask: Ask<"page">): Part<"page"> {
    const { session } = this;
    const order = session.order();
    let page = order.slice(ask.offset, ask.offset + ask.limit).flatMap((no) => session.samples[no] ?? []);
    const pictures = ask.thumbs
      ? page.map((s) => (s.no === UNREADABLE ? new Uint8Array() : picture(s, Math.min(ask.px, 32))))
      : [];
    const starts = [0];
    for (const bytes of pictures) {
      const end = (starts.at(-1) ?? 0) + bytes.length;
      if (end > this.mostThumbBytes) break;
      starts.push(end);
    }
    if (ask.thumbs) page = page.slice(0, starts.length - 1);
    const joined = new Uint8Array(starts.at(-1) ?? 0);
    page.forEach((_, i) => void joined.set(pictures[i] ?? new Uint8Array(), starts[i]));
    return {
      body: {
        orderId: session.orderId,
        total: order.length,
        ...(ask.known === session.orderId ? {} : { groups: session.groups() }),
        offset: ask.offset,
        nos: page.map((sample) => sample.no),
        ids: page.map((sample) => sample.id),
        labels: page.map((sample) => sample.label),
        tags: page.map((sample) => [...sample.tags]),
        queued: page.map((sample) => sample.queues.size > 0),
        excluded: page.map((sample) => sample.excluded),
        selected: page.map((sample) => session.selected[sample.no] === 1),
        issues: page.map(({ no }) => session.issues.open(no)),
        captions: page.map((sample) => {
          const value = ask.caption === null ? session.similarity(sample.no) : session.value(sample, ask.caption);
          return value === null ? null : typeof value === "number" ? value.toPrecision(3) : String(value);
        }),
        thumbs: ask.thumbs
          ? {
              mime: page.map(() => "image/bmp"),
              starts,
              problems: page.map((s) => (s.no === UNREADABLE ? "cannot identify image file" : null)),
            }
          : null,
      },
      buffers: ask.thumbs ? [joined] : [],
    };
  }

  #inspect(no: number): Part<"inspect"> {
    const sample = this.session.samples[no];
    if (sample === undefined) throw new Refusal("unknown_sample", `There is no sample number ${no}.`);
    const broken = no === UNREADABLE;
    const field = (name: string, type: string, value: unknown) => ({
      name,
      type,
      value: value === null ? null : String(value),
    });
    return {
      body: {
        no,
        id: sample.id,
        label: sample.label,
        tags: [...sample.tags],
        queues: [...sample.queues].map(([queue, reason]) => ({ queue, state: "pending", reason: reason || null })),
        excluded: sample.excluded,
        fields: [
          field("split", "VARCHAR", sample.split),
          field("width_px", "UINTEGER", 96),
          field("height_px", "UINTEGER", 96),
          field("brightness", "FLOAT", sample.brightness.toFixed(4)),
          field("price", "DOUBLE", sample.price),
          field("media", "VARCHAR", sample.id),
        ],
        history: sample.history,
        picture: broken ? null : { mime: "image/bmp", widthPx: 96, heightPx: 96 },
        problem: broken ? "cannot identify image file" : null,
        issues: this.session.issues.of(no),
      },
      buffers: broken ? [] : [picture(sample, 96)],
    };
  }

  #facet(column: string, bars: number): Facet {
    const { session } = this;
    if (["label", "split", "tags", "queues", "issues", "street", "excluded"].includes(column)) {
      const all = session.bars(column);
      const type = ["tags", "queues", "issues"].includes(column) ? "VARCHAR[]" : "VARCHAR";
      return { kind: "bars", column, type, bars: all.slice(0, bars), more: Math.max(all.length - bars, 0) };
    }
    const values = session.samples
      .map((sample) => session.value(sample, column))
      .map((v) => (typeof v === "number" ? v : Number.NaN));
    const known = values.filter((value) => !Number.isNaN(value));
    const low = known.reduce((a, b) => Math.min(a, b), Infinity);
    const high = known.reduce((a, b) => Math.max(a, b), -Infinity);
    // Whole numbers stand in the middle of their bins, as in the kernel.
    const whole = column === "stars";
    const steps = whole ? high - low + 1 : 24;
    const [first, width] = whole ? [low - 0.5, 1] : [low, (high - low) / steps];
    const edges = Array.from({ length: steps + 1 }, (_, i) => first + width * i);
    const [total, visible, selected] = [0, 1, 2].map(() => new Array<number>(steps).fill(0)) as [
      number[],
      number[],
      number[],
    ];
    session.samples.forEach((sample, i) => {
      const value = values[i] ?? Number.NaN;
      if (Number.isNaN(value)) return;
      const bin = Math.min(Math.floor((value - first) / width), steps - 1);
      total[bin] = (total[bin] ?? 0) + 1;
      if (session.visible(sample, `facet:${column}`)) visible[bin] = (visible[bin] ?? 0) + 1;
      if (session.selected[sample.no]) selected[bin] = (selected[bin] ?? 0) + 1;
    });
    const type = whole ? "INTEGER" : column === "taken_at" ? "TIMESTAMP" : "DOUBLE";
    return { kind: "histogram", column, type, edges, total, visible, selected, missing: values.length - known.length };
  }

  #complete(ask: Ask<"complete">): Answer<"complete"> {
    const state = this.session.state();
    const [word = ""] = /[\w]*$/.exec(ask.text.slice(0, ask.cursor)) ?? [];
    const names = { filter: state.columns, tag: state.tags, label: state.labels, queue: state.queues }[ask.what];
    const start = ask.what === "filter" ? ask.cursor - word.length : 0;
    const wanted = (ask.what === "filter" ? word : ask.text).toLowerCase();
    const items = names
      .filter((item) => item.name.toLowerCase().startsWith(wanted))
      .map((item) => ({
        text: item.name,
        kind: ask.what === "filter" ? "column" : ask.what,
        detail: "count" in item ? String(item.count) : item.type,
      }));
    return { from: start, to: ask.cursor, items };
  }
}

const snakeOp = (op: Op): string => op.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
const camelOp = (op: string): Op => op.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()) as Op;
const views = (buffers: readonly Uint8Array[] = []): DataView[] =>
  buffers.map((bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
