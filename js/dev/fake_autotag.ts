/** Autotag in the made-up session, of samples and of objects: scores by the distance to where the positive marks lie on the map. */
import type { Ask } from "../core/protocol.js";
import type { AutotagNamed, AutotagState, AutotagSteps, Sign } from "../core/protocol_autotag.js";
import { type FakeSample, picture, random, UNREADABLE } from "./fake_data.js";
import type { FakeObjects } from "./fake_objects.js";
import type { Part } from "./fake_points.js";

const STEPS = 128;
const ENOUGH = 30;

const OBJECT_PX = 96; // the pictures that boxes of objects are of
const AROUND = 0.25;

/** A sample, or an object on one. */
interface Thing {
  no: number;
  id: string;
  label: string | null;
  x: number;
  y: number;
  sample: FakeSample;
  box: readonly number[] | null; // shares
  has: boolean;
}

interface Round {
  number: number;
  marks: Map<number, Sign>;
  scores: Float32Array;
  best: number[]; // numbers, the likeliest first
}

export class FakeAutotag {
  readonly #samples: readonly FakeSample[];
  readonly #objects: FakeObjects;
  readonly #marks = new Map<string, Map<number, Sign>>();
  readonly #rounds = new Map<string, Round[]>();
  readonly #committed = new Map<string, number>();
  /** Marks of pictures that were replaced since: here no picture ever is. */
  outdated = 0;

  constructor(samples: readonly FakeSample[], objects: FakeObjects) {
    this.#samples = samples;
    this.#objects = objects;
  }

  /** What a tag is of: by number. An object lies beside its sample on the map, apart by its kind. */
  #things({ tag, of }: AutotagNamed): Map<number, Thing> {
    const samples = this.#samples.map((one): [number, Thing] => [
      one.no,
      { ...one, sample: one, box: null, has: one.tags.has(tag) },
    ]);
    if (of !== "objects") return new Map(samples);
    const there = this.#objects.all.filter(({ gone }) => !gone);
    return new Map(
      there.flatMap(({ object, no, label, box }): [number, Thing][] => {
        const sample = this.#samples[no];
        if (sample === undefined) return [];
        const [x, y] = [((label?.length ?? 0) % 4) * 2 + sample.x / 20, sample.y / 20];
        const shares = box.map((side) => side / OBJECT_PX);
        return [[object, { no: object, id: `o${object}`, label, x, y, sample, box: shares, has: label === tag }]];
      }),
    );
  }

  state(ask: Ask<"autotag">): Part<"autotag"> {
    const { tag, round, nos = [] } = ask;
    const key = keyOf(ask);
    const marks = this.#of(key);
    const things = this.#things(ask);
    if (round && count(marks, "positive") > 0 && this.#since(key) > 0) this.#learn(key, things);
    const latest = this.#latest(key);
    const steps = latest === undefined ? null : this.#steps(latest);
    const body: AutotagState = {
      tag,
      embedding: "auto",
      round: latest?.number ?? 0,
      since: this.#since(key),
      stale: this.#since(key) > 0,
      positives: count(marks, "positive"),
      negatives: count(marks, "negative"),
      outdated: this.outdated,
      tagged: [...things.values()].filter(({ has }) => has).length,
      total: latest?.best.length ?? 0,
      threshold: 0.5,
      committed: this.#committed.get(key) ?? null,
      sentence: "",
      steps,
      marks: nos.map((no) => marks.get(no) ?? "none"),
      ...(ask.of === "objects" ? { label: tag } : {}),
    };
    return { body, buffers: [] };
  }

  page(ask: Ask<"autotagPage">): Part<"autotagPage"> {
    const key = keyOf(ask);
    const things = this.#things(ask);
    const round = this.#rounds.get(key)?.find(({ number }) => number === ask.round) ?? this.#latest(key);
    const marks = this.#of(key);
    let order: number[];
    if (round === undefined) {
      const next = random(1);
      order = [...things.keys()].sort(() => next() - 0.5);
    } else if (ask.show === "best") order = round.best;
    else {
      const line = ask.show === "near" ? ask.threshold : 0.5;
      const away = (no: number): number => Math.abs((round.scores[no] ?? 0) - line);
      order = round.best.filter((no) => ask.show === "near" || !round.marks.has(no)).sort((a, b) => away(a) - away(b));
    }
    const shown = order.slice(ask.offset, ask.offset + ask.limit).flatMap((no) => things.get(no) ?? []);
    const unread = ({ sample }: Thing): boolean => sample.no === UNREADABLE;
    const cuts = shown.map(({ box }) => (box === null || ask.whole ? [0, 0, 1, 1] : around(box)));
    const pictures = shown.map((one, i) =>
      unread(one) ? new Uint8Array(0) : picture(one.sample, one.box === null ? 32 : 64, cuts[i]),
    );
    const starts = [0];
    for (const one of pictures) starts.push((starts.at(-1) ?? 0) + one.length);
    const whole = new Uint8Array(starts.at(-1) ?? 0);
    pictures.forEach((one, i) => void whole.set(one, starts[i]));
    return {
      body: {
        round: round?.number ?? 0,
        total: ask.show === "ask" && round !== undefined ? shown.length : order.length,
        offset: ask.offset,
        nos: shown.map(({ no }) => no),
        ids: shown.map(({ id }) => id),
        labels: shown.map(({ label }) => label),
        tagged: shown.map(({ has }) => has),
        scores: shown.map(({ no }) => (round === undefined ? null : (round.scores[no] ?? 0))),
        why: shown.map(() => (ask.show === "ask" && round !== undefined ? "near" : null)),
        marks: shown.map(({ no }) => marks.get(no) ?? "none"),
        thumbs: ask.thumbs
          ? {
              mime: shown.map(() => "image/bmp"),
              starts,
              problems: shown.map((one) => (unread(one) ? "cannot identify image file" : null)),
            }
          : null,
        ...(ask.of === "objects"
          ? {
              objects: {
                samples: shown.map(({ sample }) => sample.no),
                sampleIds: shown.map(({ sample }) => sample.id),
                boxes: shown.map(({ box }, i) => (box === null ? null : within(box, cuts[i] ?? []))),
              },
            }
          : {}),
      },
      buffers: ask.thumbs ? [whole] : [],
    };
  }

  mark(ask: Ask<"autotagMark">, nos: readonly number[]): Part<"autotagMark"> {
    const { tag, sign, of = "samples" } = ask;
    const key = keyOf(ask);
    const marks = this.#of(key);
    const changed = nos.filter((no) => (marks.get(no) ?? "none") !== sign);
    for (const no of changed) sign === "none" ? marks.delete(no) : marks.set(no, sign);
    const sentence = `Marked ${changed.length} ${of} ${sign} for “${tag}”`;
    return {
      body: {
        event: changed.length > 0 ? 1 : null,
        count: changed.length,
        sentence,
        positives: count(marks, "positive"),
        negatives: count(marks, "negative"),
        since: this.#since(key),
      },
      buffers: [],
    };
  }

  commit(ask: Ask<"autotagCommit">): Part<"autotagCommit"> {
    const { tag, round, threshold, of: kind = "samples" } = ask;
    const key = keyOf(ask);
    const of = this.#rounds.get(key)?.find(({ number }) => number === round);
    const marks = this.#of(key);
    const taken = [...this.#things(ask).values()].filter(({ no }) => {
      const mark = marks.get(no);
      return mark === "positive" || (mark !== "negative" && (of?.scores[no] ?? 0) >= threshold);
    });
    const python = `session${kind === "objects" ? ".objects" : ""}.autotag("${tag}").commit(${threshold})`;
    if (kind === "objects") this.#objects.call(new Set(taken.map(({ no }) => no)), tag);
    else {
      for (const sample of this.#samples) sample.tags.delete(tag);
      for (const { sample } of taken) sample.tags.add(tag);
    }
    this.#committed.set(key, threshold);
    const sentence = `Autotagged ${taken.length} ${kind} “${tag}”`;
    return { body: { event: 2, count: taken.length, sentence, python }, buffers: [] };
  }

  #of(key: string): Map<number, Sign> {
    const known = this.#marks.get(key) ?? new Map<number, Sign>();
    this.#marks.set(key, known);
    return known;
  }

  #latest(key: string): Round | undefined {
    return this.#rounds.get(key)?.at(-1);
  }

  #since(key: string): number {
    const [now, then] = [this.#of(key), this.#latest(key)?.marks ?? new Map<number, Sign>()];
    const nos = new Set([...now.keys(), ...then.keys()]);
    return [...nos].filter((no) => now.get(no) !== then.get(no)).length;
  }

  #learn(key: string, things: ReadonlyMap<number, Thing>): void {
    const marks = new Map(this.#of(key));
    const yes = [...things.values()].filter(({ no }) => marks.get(no) === "positive");
    const [x, y] = (["x", "y"] as const).map((axis) => yes.reduce((sum, one) => sum + one[axis], 0) / yes.length);
    const scores = new Float32Array(([...things.keys()].at(-1) ?? -1) + 1);
    for (const one of things.values()) {
      const away = Math.hypot(one.x - (x ?? 0), one.y - (y ?? 0));
      scores[one.no] = 1 / (1 + Math.exp(3 * (away - 1.6)));
    }
    const best = [...things.keys()].sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0));
    const rounds = this.#rounds.get(key) ?? [];
    this.#rounds.set(key, [...rounds.slice(-2), { number: (rounds.at(-1)?.number ?? 0) + 1, marks, scores, best }]);
  }

  #steps({ scores, marks }: Round): AutotagSteps {
    const bins = new Array<number>(STEPS).fill(0);
    const [yes, no] = [[...bins], [...bins]];
    scores.forEach((score, sample) => {
      const bin = Math.min(Math.floor(score * STEPS), STEPS - 1);
      bins[bin] = (bins[bin] ?? 0) + 1;
      const into = { positive: yes, negative: no, none: null }[marks.get(sample) ?? "none"];
      if (into) into[bin] = (into[bin] ?? 0) + 1;
    });
    const taken = new Array<number>(STEPS + 1).fill(0);
    for (let i = STEPS - 1; i >= 0; i--) taken[i] = (taken[i + 1] ?? 0) + (bins[i] ?? 0);
    const enough = marks.size >= ENOUGH;
    const line = (low: number, high: number, off: number): number[] | null =>
      enough ? taken.map((_, i) => Math.min(Math.max(low + ((high - low) * i) / STEPS + off, 0), 1)) : null;
    return {
      ...{ taken, bins, yes, no },
      ...{ precision: line(0.1, 1, 0), precisionLow: line(0.1, 1, -0.08), precisionHigh: line(0.1, 1, 0.06) },
      ...{ recall: line(1, 0, 0), recallLow: line(1, 0, -0.1), recallHigh: line(1, 0, 0.07) },
    };
  }
}

const keyOf = ({ tag, of = "samples" }: AutotagNamed): string => `${of}/${tag}`;

/** What a crop shows: the box, and a quarter of its longer side on each side of it. */
function around([left = 0, top = 0, width = 0, height = 0]: readonly number[]): number[] {
  const more = AROUND * Math.max(width, height);
  const [x0, y0] = [Math.max(left - more, 0), Math.max(top - more, 0)];
  return [x0, y0, Math.min(left + width + more, 1) - x0, Math.min(top + height + more, 1) - y0];
}

/** A box in what is shown of its picture. */
function within(box: readonly number[], cut: readonly number[]): number[] {
  const [left = 0, top = 0, width = 0, height = 0] = box;
  const [x0 = 0, y0 = 0, across = 1, down = 1] = cut;
  return [(left - x0) / across, (top - y0) / down, width / across, height / down];
}

function count(marks: ReadonlyMap<number, Sign>, sign: Sign): number {
  return [...marks.values()].filter((mark) => mark === sign).length;
}
