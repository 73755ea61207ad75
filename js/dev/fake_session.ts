/** The made-up session's state and decisions, in plain loops over all samples: what the real kernel does with DuckDB and numpy. */
import { formatCount } from "../core/dom.js";
import type {
  Ask,
  Bar,
  ColumnInfo,
  EndedJob,
  FilterClause,
  Gesture,
  Group,
  JobState,
  JobsState,
  Mode,
  SessionState,
  Shape,
  Sort,
  Target,
  Verb,
} from "../core/protocol.js";
import type { SimilarMode, SimilarTarget } from "../core/protocol_similar.js";
import { type FakeSample, makeSamples } from "./fake_data.js";
import { FakeIssues, isIssueVerb } from "./fake_issues.js";
import { FakeObjects } from "./fake_objects.js";
import { compare, parseText, Refusal, type Value } from "./fake_predicate.js";
import { among, combined, inside, quote, sentenceOf, swapOf } from "./fake_rules.js";

interface Event {
  uuid: string;
  verb: Verb;
  sentence: string;
  count: number;
  swap: () => void; // does it again when undone, undoes it when done
}

const COLUMNS: ColumnInfo[] = [
  { name: "sample_id", type: "VARCHAR", kind: "text" },
  { name: "label", type: "VARCHAR", kind: "category" },
  { name: "split", type: "VARCHAR", kind: "category" },
  { name: "brightness", type: "FLOAT", kind: "number" },
  { name: "price", type: "DOUBLE", kind: "number" },
  { name: "stars", type: "INTEGER", kind: "number" },
  { name: "street", type: "VARCHAR", kind: "category" },
  { name: "taken_at", type: "TIMESTAMP", kind: "time" },
  { name: "excluded", type: "BOOLEAN", kind: "bool" },
];

const DAY_MS = 86_400_000;

/** Columns that need no memory: a whole number, a time, and a category with more values than a list can show. */
const MADE: Record<string, (no: number) => Value> = {
  stars: (no) => 1 + (((no * 7 + (no >> 3)) % 11) % 5),
  taken_at: (no) => Date.UTC(2024, 0, 1) + Math.floor((((no * 37) % 1000) / 1000) ** 2 * 700) * DAY_MS,
  street: (no) => `${["Oak", "Elm", "Birch", "Maple", "Cedar", "Ash"][no % 6]} Street ${1 + (no % 13)}`,
};

export const PROJECTION = "auto/pca";

export class FakeSession {
  readonly samples: FakeSample[];
  readonly selected: Uint8Array;
  rev = 1;
  selectionVersion = 1;
  filterVersion = 1;
  passing = 1;
  /** Which samples pass the filter, by number. */
  passes: Uint8Array;
  gesture: Gesture | null = null;
  /** Names the order of the points; another one, and their places are others. */
  places = "places-1";
  readonly bounds: [number, number, number, number];
  /** The points as they are sent: pairs of 65,535 steps of the bounds. */
  readonly steps: Uint16Array;
  group: string | null = null;
  orderId = "order-1";
  sort: Sort = { by: "added", descending: false };
  armed: SessionState["armed"] = null;
  /** Long works, for tests to put there and take away; `event("jobs", jobsState())` tells the page. */
  jobs: JobState[] = [];
  ended: EndedJob[] = [];
  readonly issues = new FakeIssues();
  readonly objects = new FakeObjects();
  #jobsVersion = 0;
  readonly clauses = new Map<string, FilterClause>();
  readonly #done: Event[] = [];
  readonly #undone: Event[] = [];
  readonly #known = new Map<string, Event | null>();
  readonly #versions = new Map<string, number>();
  #order: number[] | null = null;
  #rankings = 0;
  #examples: { like: number[]; unlike: number[] } = { like: [], unlike: [] };
  #likeness: { token: string; nos: number[]; scores: number[] } | null = null;

  constructor(count: number, labels?: readonly string[]) {
    this.samples = makeSamples(count, labels);
    this.selected = new Uint8Array(count);
    this.passes = new Uint8Array(count).fill(1);
    this.bounds = [0, 0, 1, 1];
    for (const { x, y } of this.samples) {
      this.bounds[0] = Math.min(this.bounds[0], x);
      this.bounds[1] = Math.min(this.bounds[1], y);
      this.bounds[2] = Math.max(this.bounds[2], x);
      this.bounds[3] = Math.max(this.bounds[3], y);
    }
    this.steps = new Uint16Array(2 * count);
    this.samples.forEach(({ x, y }, i) => {
      this.steps[2 * i] = Math.round(this.#steps(x, 0));
      this.steps[2 * i + 1] = Math.round(this.#steps(y, 1));
    });
  }

  #steps(value: number, axis: 0 | 1): number {
    const low = this.bounds[axis];
    return ((value - low) / ((this.bounds[axis + 2] as number) - low)) * 65535;
  }

  state(): SessionState {
    const counted = (lists: (sample: FakeSample) => Iterable<string>) => {
      const counts = new Map<string, number>();
      for (const sample of this.samples)
        for (const name of lists(sample)) counts.set(name, (counts.get(name) ?? 0) + 1);
      return [...counts].map(([name, count]) => ({ name, count })).sort((a, b) => b.count - a.count);
    };
    const count = this.selected.reduce((sum, bit) => sum + bit, 0);
    return {
      rev: this.rev,
      name: "pets.duckdb",
      sampleCount: this.samples.length,
      columns: COLUMNS.map((column) => ({ ...column, version: this.#versions.get(column.name) ?? 0 })),
      labels: counted((sample) => (sample.label === null ? [] : [sample.label])),
      tags: counted((sample) => sample.tags),
      queues: counted((sample) => sample.queues.keys()),
      issues: this.issues.counts(),
      objects: this.objects.state(),
      projections: [{ name: PROJECTION, method: "pca", embedding: "auto", count: this.samples.length, stale: 0 }],
      selection: { count, version: this.selectionVersion, gesture: this.gesture },
      filter: {
        count: this.order().length,
        version: this.filterVersion,
        passing: this.passing,
        text: [...this.clauses.values()].map((clause) => (clause.type === "sql" ? clause.text : "")).join(""),
        clauses: [...this.clauses].map(([source, clause]) => ({
          source,
          sentence: sentenceOf(clause),
          column: "column" in clause ? clause.column : null,
          clause,
        })),
      },
      history: { undo: this.#done.at(-1)?.sentence ?? null, redo: this.#undone.at(-1)?.sentence ?? null },
      sort: this.sort,
      group: this.group,
      armed: this.armed,
      jobs: this.jobsState(),
    };
  }

  jobsState(): JobsState {
    this.#jobsVersion += 1;
    return { version: this.#jobsVersion, running: structuredClone(this.jobs), ended: structuredClone(this.ended) };
  }

  value(sample: FakeSample, column: string): Value {
    const made = MADE[column];
    if (made !== undefined) return made(sample.no);
    const value = (sample as unknown as Record<string, Value>)[column === "sample_id" ? "id" : column];
    if (value === undefined)
      throw new Refusal("unknown_column", `There is no column “${column}”.`, "Did you mean “label”?");
    return value;
  }

  /** All values of a list; the one value of any other column. */
  values(sample: FakeSample, column: string): Value[] {
    if (column === "tags") return [...sample.tags];
    if (column === "queues") return [...sample.queues.keys()];
    if (column === "issues") return this.issues.open(sample.no).map(({ kind }) => kind);
    return [this.value(sample, column)];
  }

  visible(sample: FakeSample, without?: string): boolean {
    if (sample.excluded) return false;
    for (const [source, clause] of this.clauses) {
      if (source !== without && !this.#passes(sample, clause)) return false;
    }
    return true;
  }

  /** The numbers of the samples that pass the filter, sorted. */
  order(): number[] {
    if (this.#order !== null) return this.#order;
    const nos = this.samples.filter((sample) => this.visible(sample)).map((sample) => sample.no);
    const { sort } = this;
    if (sort.by === "similar" && this.#likeness?.token === sort.token) {
      const places = new Map(this.#likeness.nos.map((no, i) => [no, i]));
      nos.sort((a, b) => (places.get(a) ?? 0) - (places.get(b) ?? 0));
    } else if (sort.by === "issue") {
      nos.sort((a, b) => this.issues.score(a, sort.kind) - this.issues.score(b, sort.kind) || a - b);
    } else if (sort.by === "column") {
      const values = this.samples.map((sample) => this.value(sample, sort.column));
      nos.sort((a, b) => compare(values[a] ?? null, values[b] ?? null) || a - b);
    }
    if (sort.descending) nos.reverse();
    if (this.group !== null) {
      const { group } = this;
      const values = this.samples.map((sample) => this.value(sample, group));
      nos.sort((a, b) => compare(values[a] ?? null, values[b] ?? null)); // stable: inside a group the sort holds
    }
    this.#order = nos;
    return nos;
  }

  /** The values by which the order is grouped, and where each begins. */
  groups(): { column: string; entries: Group[]; more: number } | null {
    const { group } = this;
    if (group === null) return null;
    const entries: Group[] = [];
    this.order().forEach((no, i) => {
      const value = this.value(this.samples[no] as FakeSample, group);
      const text = value === null ? null : String(value);
      const last = entries.at(-1);
      if (last && last.value === text) last.count++;
      else entries.push({ value: text, start: i, count: 1 });
    });
    return { column: group, entries: entries.slice(0, 1000), more: Math.max(0, entries.length - 1000) };
  }

  setGroup(column: string | null): void {
    if (column !== null) this.value(this.samples[0] as FakeSample, column);
    this.group = column;
    this.#newOrder();
  }

  /** As the kernel does it: what changes nothing makes no version, and a lasso says where rounded places are wrong. */
  select(shape: Shape, mode: Mode, token?: string): void {
    const hit = this.#hit(shape);
    const before = this.selected.slice();
    for (const { no } of this.samples) {
      this.selected[no] = combined(before[no] === 1, hit(this.samples[no] as FakeSample), mode) ? 1 : 0;
    }
    if (before.every((bit, no) => bit === this.selected[no])) return;
    const from = this.selectionVersion++;
    this.gesture = null;
    if (shape.type !== "polygon" && shape.type !== "box") return;
    const { x0, y0, x1, y1 } = shape.type === "box" ? shape : { x0: 0, y0: 0, x1: 0, y1: 0 };
    const ring = (shape.type === "box" ? [x0, y0, x1, y0, x1, y1, x0, y1] : shape.points).map((value, i) =>
      this.#steps(value, (i % 2) as 0 | 1),
    );
    const [on, off]: [number[], number[]] = [[], []];
    for (const { no } of this.samples) {
      const guess =
        inside(ring, this.steps[2 * no] as number, this.steps[2 * no + 1] as number) && this.passes[no] === 1;
      const guessed = combined(before[no] === 1, guess, mode);
      if (guessed !== (this.selected[no] === 1)) (guessed ? off : on).push(no);
    }
    this.gesture = { token: token ?? null, from, passing: this.passing, mode, shape, places: this.places, on, off };
  }

  filter(source: string, clause: FilterClause | null): void {
    if (clause === null) this.clauses.delete(source);
    else {
      if (clause.type === "sql") parseText(clause.text, COLUMNS);
      this.clauses.set(source, clause);
    }
    this.filterVersion++;
    this.#newOrder();
    this.#passing();
  }

  #passing(): void {
    const passes = Uint8Array.from(this.samples, (sample) => (this.visible(sample) ? 1 : 0));
    if (passes.some((bit, no) => bit !== this.passes[no])) this.passing++;
    this.passes = passes;
  }

  setSort(sort: Sort): void {
    if (sort.by === "column") this.value(this.samples[0] as FakeSample, sort.column);
    this.sort = sort;
    this.#newOrder();
  }

  /** In this made-up session the nearest on the map are the most similar; what is unlike pushes away. */
  similar(target: SimilarTarget, mode: SimilarMode = "replace"): number {
    const came = target.type === "region" || target.type === "object" ? [0] : this.#targetNos(target);
    const before = mode === "replace" ? { like: [], unlike: [] } : this.#examples;
    const rest = (nos: readonly number[]): number[] => nos.filter((no) => !came.includes(no));
    this.#examples = { like: rest(before.like), unlike: rest(before.unlike) };
    this.#examples[mode === "unlike" ? "unlike" : "like"].push(...came);
    const nos = this.#examples.like;
    const [x, y] = [0, 1].map((axis) => nos.reduce((sum, no) => sum + this.#place(no)[axis as 0 | 1], 0) / nos.length);
    const far = (no: number): number => Math.hypot(this.#place(no)[0] - (x ?? 0), this.#place(no)[1] - (y ?? 0));
    const token = `like-${this.rev}-${++this.#rankings}`;
    const away = (no: number): number => {
      const from = this.#examples.unlike.map((other) => this.#place(other));
      const [ax, ay] = [0, 1].map((axis) => this.#place(no)[axis as 0 | 1]) as [number, number];
      return from.reduce((sum, [bx, by]) => sum + 0.5 / (0.1 + Math.hypot(ax - bx, ay - by)), 0);
    };
    const score = (no: number): number => 1 / (1 + far(no) + away(no));
    const scores = this.samples.map(({ no }) => score(no));
    const ranked = this.samples.map(({ no }) => no).sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0));
    this.#likeness = { token, nos: ranked, scores };
    this.setSort({ by: "similar", token, label: `${formatCount(nos.length)} selected`, descending: false });
    return this.samples.length;
  }

  /** How similar a sample is, while the order goes by it. */
  similarity(no: number): number | null {
    return this.sort.by === "similar" ? (this.#likeness?.scores[no] ?? null) : null;
  }

  ranked(threshold: number | null) {
    const scores = this.order().map((no) => this.#likeness?.scores[no] ?? 0);
    const [low, high] = [Math.min(...scores, 1), Math.max(...scores, 0)];
    const counts = new Array<number>(64).fill(0);
    for (const score of scores) {
      const bin = Math.min(Math.floor(((score - low) / (high - low || 1)) * 64), 63);
      counts[bin] = (counts[bin] ?? 0) + 1;
    }
    const at = threshold ?? Math.round((low + 0.7 * (high - low)) * 1000) / 1000;
    const above = scores.filter((score) => score >= at).length;
    const [like, unlike] = [this.#examples.like.length, this.#examples.unlike.length];
    return {
      token: this.#likeness?.token ?? "",
      like,
      unlike,
      low,
      high,
      counts,
      threshold: at,
      above,
      total: scores.length,
    };
  }

  act(verb: Verb, args: Ask<"act">["arguments"], target: Target, uuid: string) {
    if (!this.#known.has(uuid)) this.#known.set(uuid, this.#decide(verb, args, this.#targetNos(target), uuid));
    const event = this.#known.get(uuid) ?? null;
    const python = `session.selection.${verb}(${Object.values(args)
      .map((value) => JSON.stringify(value))
      .join(", ")})`;
    return event === null
      ? { event: null, count: 0, sentence: "Nothing changed.", python }
      : { event: this.rev, count: event.count, sentence: event.sentence, python };
  }

  /** One decision about objects. */
  actObjects(ask: Ask<"actObjects">) {
    const { change, objects } = this.objects.decide(ask);
    const python = `session.objects.${ask.verb}(…)`;
    if (change === null) return { event: null, count: 0, sentence: "Nothing changed.", python, objects };
    change.swap();
    this.#noted({ uuid: ask.uuid, verb: "tag", ...change });
    return { event: this.rev, count: change.count, sentence: change.sentence, python, objects };
  }

  step(direction: "undo" | "redo") {
    const [from, to] = direction === "undo" ? [this.#done, this.#undone] : [this.#undone, this.#done];
    const event = from.pop();
    if (event === undefined) return { event: null, count: 0, sentence: `Nothing to ${direction}.` };
    event.swap();
    to.push(event);
    this.#changed(event.verb);
    const did = direction === "undo" ? "Undone" : "Redone";
    return { event: this.rev, count: event.count, sentence: `${did}: ${event.sentence}` };
  }

  bars(column: string, search = ""): Bar[] {
    const bars = new Map<Value, Bar>();
    for (const sample of this.samples) {
      const visible = this.visible(sample, `facet:${column}`);
      for (const value of this.values(sample, column)) {
        let bar = bars.get(value);
        if (bar === undefined) {
          bar = { value: value === null ? null : String(value), total: 0, visible: 0, selected: 0 };
          bars.set(value, bar);
        }
        bar.total++;
        if (visible) bar.visible++;
        if (this.selected[sample.no]) bar.selected++;
      }
    }
    return [...bars.values()]
      .filter((bar) => (bar.value ?? "").toLowerCase().includes(search.toLowerCase()))
      .sort((a, b) => b.total - a.total);
  }

  #decide(verb: Verb, args: Ask<"act">["arguments"], nos: number[], uuid: string): Event | null {
    if (isIssueVerb(verb)) {
      const answer = this.issues.answer(verb, args.kind ?? "", nos, this.samples);
      return answer && this.#noted({ uuid, verb, ...answer });
    }
    const swaps: (() => void)[] = [];
    let sentence = "";
    for (const no of nos) {
      const sample = this.samples[no] as FakeSample;
      const swap = swapOf(sample, verb, args);
      if (swap !== null) swaps.push(swap);
    }
    const what = {
      tag: `Tagged % ${quote(args.tag)}`,
      untag: `Removed the tag ${quote(args.tag)} from %`,
      relabel: `Relabelled % as ${quote(args.label)}`,
      enqueue: `Queued % in ${quote(args.queue)}`,
      exclude: "Excluded %",
      include: "Took % back in",
    }[verb];
    if (swaps.length === 0) return null;
    sentence = `${what.replace("%", swaps.length === 1 ? "1 sample" : `${formatCount(swaps.length)} samples`)}.`;
    const swap = (): void => {
      for (const one of swaps) one();
    };
    swap();
    for (const no of nos) {
      this.samples[no]?.history.push({ at: "2026-01-02T10:00:00Z", author: "you", sentence, undone: false });
    }
    return this.#noted({ uuid, verb, sentence, count: swaps.length, swap });
  }

  #noted(event: Event): Event {
    const { verb } = event;
    this.#done.push(event);
    this.#undone.length = 0;
    this.#changed(verb);
    return event;
  }

  #changed(verb: Verb): void {
    this.rev++;
    const column = verb === "exclude" || verb === "include" ? "excluded" : "label";
    if (["relabel", "exclude", "include", "accept_proposals"].includes(verb))
      this.#versions.set(column, (this.#versions.get(column) ?? 0) + 1);
    this.#newOrder();
    this.#passing();
  }

  #newOrder(): void {
    this.#order = null;
    this.orderId = `order-${this.rev}-${this.filterVersion}-${JSON.stringify([this.sort, this.group])}`;
  }

  #place(no: number): [number, number] {
    const sample = this.samples[no];
    return [sample?.x ?? 0, sample?.y ?? 0];
  }

  #targetNos(target: Target): number[] {
    if (target.type === "samples") return target.nos;
    if (target.type === "issues") return this.issues.within(target, this.samples);
    return this.samples.filter((sample) => this.selected[sample.no]).map((sample) => sample.no);
  }

  #hit(shape: Shape): (sample: FakeSample) => boolean {
    switch (shape.type) {
      case "polygon":
        return (sample) => inside(shape.points, sample.x, sample.y) && this.visible(sample);
      case "box":
        return (s) => s.x >= shape.x0 && s.x <= shape.x1 && s.y >= shape.y0 && s.y <= shape.y1 && this.visible(s);
      case "points": {
        const picked = among(shape.indices);
        return (sample) => picked(sample) && this.visible(sample);
      }
      case "samples":
        return among(shape.nos);
      case "range":
        this.#fresh(shape.orderId);
        return among(this.order().slice(shape.from, shape.to + 1));
      case "positions": {
        this.#fresh(shape.orderId);
        const order = this.order();
        return among(shape.positions.map((position) => order[position] ?? -1));
      }
      case "predicate": {
        const test = parseText(shape.text, COLUMNS);
        return (sample) => test(sample, this);
      }
      case "above":
        return (sample) => (this.similarity(sample.no) ?? -1) >= shape.threshold && this.visible(sample);
      case "all":
        return (sample) => this.visible(sample);
      case "invert":
        return (sample) => !this.selected[sample.no] && this.visible(sample);
      case "none":
        return () => false;
    }
  }

  #fresh(orderId: string): void {
    if (orderId !== this.orderId) throw new Refusal("stale_order", "The order changed meanwhile.", "Select again.");
  }

  #passes(sample: FakeSample, clause: FilterClause): boolean {
    if (clause.type === "sql") return parseText(clause.text, COLUMNS)(sample, this);
    const values = this.values(sample, clause.column);
    if (clause.type === "range") {
      const [value] = values;
      return typeof value === "number" && value >= (clause.low ?? -Infinity) && value <= (clause.high ?? Infinity);
    }
    const named = values.some((value) => clause.values.includes(value === null ? null : String(value)));
    return named === (clause.type === "in");
  }
}
