/** Autotag in the made-up session: scores by the distance to where the positive marks lie on the map. */
import type { Ask } from "../core/protocol.js";
import type { AutotagState, AutotagSteps, Sign } from "../core/protocol_autotag.js";
import { type FakeSample, picture, random, UNREADABLE } from "./fake_data.js";
import type { Part } from "./fake_points.js";

const STEPS = 128;
const ENOUGH = 30;

interface Round {
  number: number;
  marks: Map<number, Sign>;
  scores: Float32Array;
  best: number[]; // sample numbers, the likeliest first
}

export class FakeAutotag {
  readonly #samples: readonly FakeSample[];
  readonly #marks = new Map<string, Map<number, Sign>>();
  readonly #rounds = new Map<string, Round[]>();
  readonly #committed = new Map<string, number>();
  /** Marks of pictures that were replaced since: here no picture ever is. */
  outdated = 0;

  constructor(samples: readonly FakeSample[]) {
    this.#samples = samples;
  }

  state({ tag, round, nos = [] }: Ask<"autotag">): Part<"autotag"> {
    const marks = this.#of(tag);
    const since = this.#since(tag);
    if (round && count(marks, "positive") > 0 && since > 0) this.#learn(tag);
    const latest = this.#latest(tag);
    const steps = latest === undefined ? null : this.#steps(latest);
    const body: AutotagState = {
      tag,
      embedding: "auto",
      round: latest?.number ?? 0,
      since: this.#since(tag),
      stale: this.#since(tag) > 0,
      positives: count(marks, "positive"),
      negatives: count(marks, "negative"),
      outdated: this.outdated,
      tagged: this.#samples.filter((sample) => sample.tags.has(tag)).length,
      total: latest?.best.length ?? 0,
      threshold: 0.5,
      committed: this.#committed.get(tag) ?? null,
      sentence: "",
      steps,
      marks: nos.map((no) => marks.get(no) ?? "none"),
    };
    return { body, buffers: [] };
  }

  page(ask: Ask<"autotagPage">): Part<"autotagPage"> {
    const round = this.#rounds.get(ask.tag)?.find(({ number }) => number === ask.round) ?? this.#latest(ask.tag);
    const marks = this.#of(ask.tag);
    let order: number[];
    if (round === undefined) {
      const next = random(1);
      order = this.#samples.map(({ no }) => no).sort(() => next() - 0.5);
    } else if (ask.show === "best") order = round.best;
    else {
      const line = ask.show === "near" ? ask.threshold : 0.5;
      const away = (no: number): number => Math.abs((round.scores[no] ?? 0) - line);
      order = round.best.filter((no) => ask.show === "near" || !round.marks.has(no)).sort((a, b) => away(a) - away(b));
    }
    const shown = order.slice(ask.offset, ask.offset + ask.limit).flatMap((no) => this.#samples[no] ?? []);
    const pictures = shown.map((sample) => (sample.no === UNREADABLE ? new Uint8Array(0) : picture(sample, 32)));
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
        tagged: shown.map(({ tags }) => tags.has(ask.tag)),
        scores: shown.map(({ no }) => (round === undefined ? null : (round.scores[no] ?? 0))),
        why: shown.map(() => (ask.show === "ask" && round !== undefined ? "near" : null)),
        marks: shown.map(({ no }) => marks.get(no) ?? "none"),
        thumbs: ask.thumbs
          ? {
              mime: shown.map(() => "image/bmp"),
              starts,
              problems: shown.map(({ no }) => (no === UNREADABLE ? "cannot identify image file" : null)),
            }
          : null,
      },
      buffers: ask.thumbs ? [whole] : [],
    };
  }

  mark({ tag, sign }: Ask<"autotagMark">, nos: readonly number[]): Part<"autotagMark"> {
    const marks = this.#of(tag);
    const changed = nos.filter((no) => (marks.get(no) ?? "none") !== sign);
    for (const no of changed) sign === "none" ? marks.delete(no) : marks.set(no, sign);
    const sentence = `Marked ${changed.length} samples ${sign} for “${tag}”`;
    return {
      body: {
        event: changed.length > 0 ? 1 : null,
        count: changed.length,
        sentence,
        positives: count(marks, "positive"),
        negatives: count(marks, "negative"),
        since: this.#since(tag),
      },
      buffers: [],
    };
  }

  commit({ tag, round, threshold }: Ask<"autotagCommit">): Part<"autotagCommit"> {
    const of = this.#rounds.get(tag)?.find(({ number }) => number === round);
    const marks = this.#of(tag);
    const taken = this.#samples.filter(({ no }) => {
      const mark = marks.get(no);
      return mark === "positive" || (mark !== "negative" && (of?.scores[no] ?? 0) >= threshold);
    });
    for (const sample of this.#samples) sample.tags.delete(tag);
    for (const sample of taken) sample.tags.add(tag);
    this.#committed.set(tag, threshold);
    const sentence = `Autotagged ${taken.length} samples “${tag}”`;
    const python = `session.autotag("${tag}").commit(${threshold})`;
    return { body: { event: 2, count: taken.length, sentence, python }, buffers: [] };
  }

  #of(tag: string): Map<number, Sign> {
    const known = this.#marks.get(tag) ?? new Map<number, Sign>();
    this.#marks.set(tag, known);
    return known;
  }

  #latest(tag: string): Round | undefined {
    return this.#rounds.get(tag)?.at(-1);
  }

  #since(tag: string): number {
    const [now, then] = [this.#of(tag), this.#latest(tag)?.marks ?? new Map<number, Sign>()];
    const nos = new Set([...now.keys(), ...then.keys()]);
    return [...nos].filter((no) => now.get(no) !== then.get(no)).length;
  }

  #learn(tag: string): void {
    const marks = new Map(this.#of(tag));
    const yes = this.#samples.filter(({ no }) => marks.get(no) === "positive");
    const [x, y] = (["x", "y"] as const).map((axis) => yes.reduce((sum, one) => sum + one[axis], 0) / yes.length);
    const scores = Float32Array.from(this.#samples, (one) => {
      const away = Math.hypot(one.x - (x ?? 0), one.y - (y ?? 0));
      return 1 / (1 + Math.exp(3 * (away - 1.6)));
    });
    const best = this.#samples.map(({ no }) => no).sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0));
    const rounds = this.#rounds.get(tag) ?? [];
    this.#rounds.set(tag, [...rounds.slice(-2), { number: (rounds.at(-1)?.number ?? 0) + 1, marks, scores, best }]);
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

function count(marks: ReadonlyMap<number, Sign>, sign: Sign): number {
  return [...marks.values()].filter((mark) => mark === sign).length;
}
