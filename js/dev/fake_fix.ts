/** Lists of the made-up session's issues: pages, previews and neighbours, as the kernel answers them. */
import type { Answer, Ask, ShownIssue } from "../core/protocol.js";
import type { IssueKind, IssueObjects, IssueRow, IssueState, ObjectRepair } from "../core/protocol_issues.js";
import { type FakeSample, picture, UNREADABLE } from "./fake_data.js";
import type { Part } from "./fake_points.js";
import { Refusal } from "./fake_predicate.js";
import type { FakeSession } from "./fake_session.js";

const GROUPED = new Set(["near_duplicate", "leak"]);
const CURES: Record<string, IssueKind["cure"]> = {
  label: "label",
  near_duplicate: "excluded",
  leak: "excluded",
  linter: "objects",
};

export class FakeFix {
  readonly #session: FakeSession;
  /** The labels that the search saw. */
  readonly #given = new Map<number, string | null>();
  readonly #lists = new Map<string, number[][]>();

  constructor(session: FakeSession) {
    this.#session = session;
  }

  /** Another search: with the labels as they are now. */
  searched(): void {
    this.#given.clear();
    for (const { no, label } of this.#session.samples) this.#given.set(no, label);
  }

  kinds(): Part<"issueKinds"> {
    const kinds = this.#session.issues.searched.map((kind) => {
      const states = this.#all(kind).map(({ no, issue }) => this.#state(no, issue));
      const count = (wanted: IssueState): number => states.filter((state) => state === wanted).length;
      return {
        kind,
        open: count("open"),
        accepted: count("accepted"),
        rejected: count("rejected"),
        stale: count("stale"),
        cure: CURES[kind] ?? null,
        grouped: GROUPED.has(kind),
        samples: this.#session.samples.length,
        searchedAt: "2026-01-02T10:00:00+00:00",
        note: null,
      };
    });
    return { body: { kinds: kinds.sort((a, b) => b.open - a.open) } };
  }

  page(ask: Ask<"issuePage">): Part<"issuePage"> {
    const known = ask.list == null ? undefined : this.#lists.get(ask.list);
    const entries = known ?? this.#entries(ask);
    const list = known === undefined ? `list-${this.#lists.size + 1}` : (ask.list as string);
    this.#lists.set(list, entries);
    const some = entries.slice(ask.offset, ask.offset + ask.limit);
    const starts = [0];
    for (const nos of some) starts.push((starts.at(-1) ?? 0) + nos.length);
    const samples = some.flat().flatMap((no) => this.#session.samples[no] ?? []);
    const thumbs = pictures(samples, ask.px);
    const ofObjects = ask.thumbs && ask.kind.startsWith("object_");
    const answered = entries.filter((nos) => nos.every((no) => this.#stateOf(no, ask.kind) !== ask.state)).length;
    return {
      body: {
        list,
        total: entries.length,
        held: entries.length,
        answered,
        offset: ask.offset,
        starts,
        more: some.map(() => 0),
        rows: samples.map((sample) => this.#row(sample, ask.kind)),
        thumbs: ask.thumbs ? thumbs.thumbs : null,
        ...(ofObjects ? { objects: this.#objectsOn(samples) } : {}),
      },
      buffers: ask.thumbs ? [thumbs.bytes] : [],
    };
  }

  preview(ask: Ask<"issuePreview">): Part<"issuePreview"> {
    const bins = new Array<number>(20).fill(0);
    const counted = new Map<string, Answer<"issuePreview">["changes"][0]>();
    const repairs: Record<ObjectRepair["act"], number> = { delete: 0, move: 0, relabel: 0 };
    let mended = 0;
    const by = this.#all(ask.kind).some(({ issue }) => issue.confidence !== null) ? "confidence" : "severity";
    for (const { no, issue } of this.#all(ask.kind)) {
      if (this.#state(no, issue) !== "open" || issue.cure === undefined) continue;
      const value = by === "confidence" ? (issue.confidence ?? 1) : 1 - issue.score;
      const bin = Math.min(Math.floor(value * 20), 19);
      bins[bin] = (bins[bin] ?? 0) + 1;
      if ((issue.confidence ?? 1) < ask.minConfidence || issue.score > ask.maxScore) continue;
      if (CURES[ask.kind] === "objects") {
        mended += 1;
        for (const act of ["delete", "move", "relabel"] as const)
          repairs[act] += Number(new RegExp(`${act} (\\d+)`).exec(issue.proposal ?? "")?.[1] ?? 0);
        continue;
      }
      const from = this.#session.samples[no]?.label ?? null;
      const to = issue.cure === "label" ? issue.proposal : null;
      const change = counted.get(`${from} ${to}`) ?? { from, to, count: 0 };
      counted.set(`${from} ${to}`, { ...change, count: change.count + 1 });
    }
    const changes = [...counted.values()].sort((a, b) => b.count - a.count);
    const count = mended + changes.reduce((sum, one) => sum + one.count, 0);
    const listed = Object.entries(repairs) as [ObjectRepair["act"], number][];
    const body = { count, changes: changes.slice(0, 20), more: Math.max(changes.length - 20, 0), by, bins } as const;
    return { body: { ...body, repairs: listed.flatMap(([act, n]) => (n > 0 ? [{ act, count: n }] : [])) } };
  }

  neighbours(ask: Ask<"issueNeighbours">): Part<"issueNeighbours"> {
    const here = this.#session.samples[ask.no];
    if (here === undefined) throw new Refusal("unknown_sample", `There is no sample number ${ask.no}.`);
    const grouped = GROUPED.has(ask.kind);
    const far = ({ x, y }: FakeSample): number => Math.hypot(x - here.x, y - here.y);
    const others = grouped
      ? this.#all(ask.kind).flatMap(({ no }) =>
          groupOf(no) === groupOf(ask.no) ? (this.#session.samples[no] ?? []) : [],
        )
      : [...this.#session.samples].sort((a, b) => far(a) - far(b));
    const found = others.filter(({ no }) => no !== ask.no).slice(0, ask.limit);
    const { thumbs, bytes } = pictures(found, ask.px);
    const neighbours = found.map((sample) => ({
      no: sample.no,
      id: sample.id,
      label: sample.label,
      similarity: grouped ? null : 1 / (1 + far(sample)),
      excluded: sample.excluded,
    }));
    const about = {
      object: { label: this.#objectsOn([here]).labels[0] ?? null, proposal: null },
      objects: this.#objectsOn(found),
    };
    const ofObjects = ask.kind.startsWith("object_");
    return {
      body: {
        ...{ no: ask.no, neighbours, embedding: grouped ? null : "auto", note: null, thumbs },
        ...(ofObjects ? about : {}),
      },
      buffers: [bytes],
    };
  }

  /** The first object of each, as if the pictures were cut around them. */
  #objectsOn(samples: readonly FakeSample[]): IssueObjects {
    const found = samples.map(({ no }) => this.#session.objects.all.find((one) => one.no === no && !one.gone));
    return {
      nos: found.map((one) => one?.object ?? null),
      boxes: found.map((one) => (one === undefined ? null : [0.25, 0.25, 0.5, 0.5])),
      labels: found.map((one) => one?.label ?? null),
    };
  }

  #all(kind: string): { no: number; issue: ShownIssue }[] {
    const { issues, samples } = this.#session;
    return samples.flatMap(({ no }) => issues.of(no).flatMap((issue) => (issue.kind === kind ? [{ no, issue }] : [])));
  }

  #state(no: number, issue: ShownIssue): IssueState {
    const label = this.#session.samples[no]?.label ?? null;
    return issue.kind === "label" && issue.state === "open" && label !== this.#givenOf(no) ? "stale" : issue.state;
  }

  #stateOf(no: number, kind: string): IssueState {
    const issue = this.#session.issues.of(no).find((one) => one.kind === kind);
    return issue === undefined ? "stale" : this.#state(no, issue);
  }

  #givenOf(no: number): string | null {
    if (this.#given.size === 0) this.searched();
    return this.#given.get(no) ?? null;
  }

  #entries(ask: Ask<"issuePage">): number[][] {
    const rows = this.#all(ask.kind).filter(({ no, issue }) => this.#state(no, issue) === ask.state);
    const severe = (one: { issue: ShownIssue }): number =>
      ask.order === "confidence" ? -(one.issue.confidence ?? 0) : one.issue.score;
    rows.sort((a, b) => severe(a) - severe(b) || a.no - b.no);
    if (!GROUPED.has(ask.kind)) return rows.map(({ no }) => [no]);
    const groups = new Map<number, number[]>();
    for (const { no } of rows) groups.set(groupOf(no), [...(groups.get(groupOf(no)) ?? []), no]);
    return [...groups.values()];
  }

  #row(sample: FakeSample, kind: string): IssueRow {
    const { no, id, label } = sample;
    const issue = this.#session.issues.of(no).find((one) => one.kind === kind);
    return {
      no,
      id,
      label,
      given: this.#givenOf(no),
      proposal: issue?.proposal ?? null,
      confidence: issue?.confidence ?? null,
      score: issue?.score ?? 1,
      reason: issue?.reason ?? null,
      group: GROUPED.has(kind) ? groupOf(no) : null,
      state: this.#stateOf(no, kind),
      excluded: sample.excluded,
      queued: sample.queues.size > 0,
      selected: this.#session.selected[no] === 1,
    };
  }
}

export const groupOf = (no: number): number => Math.floor(no / 200);

function pictures(samples: readonly FakeSample[], px: number) {
  const made = samples.map((one) => (one.no === UNREADABLE ? new Uint8Array() : picture(one, Math.min(px, 32))));
  const starts = [0];
  for (const bytes of made) starts.push((starts.at(-1) ?? 0) + bytes.length);
  const bytes = new Uint8Array(starts.at(-1) ?? 0);
  made.forEach((one, i) => void bytes.set(one, starts[i]));
  const problems = samples.map(({ no }) => (no === UNREADABLE ? "cannot identify image file" : null));
  return { thumbs: { mime: samples.map(() => "image/bmp"), starts, problems }, bytes };
}
