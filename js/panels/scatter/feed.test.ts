import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Mode, Shape } from "../../core/protocol.js";
import { random } from "../../dev/fake_data.js";
import { FakeEngine } from "../../dev/fake_engine.js";
import { type FakeHub, fakeHub } from "../../dev/fake_hub.js";
import type { FakeOptions } from "../../dev/fake_kernel.js";
import { Feed, type Wanted } from "./feed.js";

const LABEL: Wanted = { projection: null, color: "label" };
const LEFT: Shape = { type: "box", projection: "auto/pca", x0: -100, y0: -100, x1: 0, y1: 100 };
const TOP: Shape = { type: "polygon", projection: "auto/pca", points: [-9, 0.5, 9, 0.7, 8, 9, -8, 9] };

let fake: FakeHub;
let ending: AbortController;
let feed: Feed;
let engine: FakeEngine;
let seen: string[];

const ops = () => fake.kernel.heard.map((one) => one.op).filter((op) => op !== "hello");
const count = (op: string) => ops().filter((one) => one === op).length;
/** The fake kernel answers in order: when these answers are here, so are all before them, and what they led to. */
const settled = async () => {
  for (let i = 0; i < 4; i++) await fake.hub.client.ask("hello", {}, { panel: `test-${i}` });
};
const half = (flag: number) => [...engine.flags].map((bits) => (bits & flag ? 1 : 0));
const selectedHere = () => half(1).reduce<number>((sum, bit) => sum + bit, 0);
/** The picture says just what the kernel holds. */
const agrees = () => {
  const { selected, passes } = fake.kernel.session;
  const held = engine.flags.length;
  expect(half(1)).toEqual([...selected.subarray(0, held)]);
  expect(half(2)).toEqual([...passes.subarray(0, held)]);
};

function begin(options: FakeOptions): void {
  fake?.end();
  fake = fakeHub({ ...options, signal: ending.signal });
}

function start(wanted: Wanted = LABEL, boot: unknown[] | null = null): void {
  engine = new FakeEngine({ stage: document.createElement("div"), events: { facts() {}, renderer() {} } }); // biome-ignore format: empty
  feed = new Feed(fake.hub, engine, "scatter-1", ending.signal, {
    replaced: (placed) => seen.push(placed ? `replaced ${placed.loaded}` : "empty"),
    grown: () => seen.push(`grown ${feed.placed?.loaded}`),
    recolored: (legend) => seen.push(`recolored ${legend.kind}`),
    marked: () => seen.push("marked"),
    synced: () => {},
    guessed: () => seen.push("guessed"),
  });
  feed.boot(boot as never, wanted);
  fake.hub.dom.effectUntil(ending.signal, () => {
    const state = fake.hub.store.state.value;
    if (state) feed.sync(state);
  });
}

const elsewhere = (shape: Shape, mode: Mode = "replace", token?: string) =>
  fake.hub.client.ask("select", { shape, mode, source: "grid", ...(token ? { token } : {}) }, { panel: "grid" });

beforeEach(() => {
  ending = new AbortController();
  seen = [];
  begin({ count: 3_000 });
});
afterEach(() => {
  ending.abort();
  vi.restoreAllMocks();
});

describe("the points", () => {
  beforeEach(() => begin({ count: 90_000 }));

  it("are drawn after the first part and filled up with the next ones", async () => {
    start();
    await vi.waitFor(() => expect(feed.placed?.loaded).toBe(90_000));
    expect(seen.filter((one) => /replaced|grown/.test(one))).toEqual(["replaced 20000", "grown 85536", "grown 90000"]);
    await settled();
    expect(ops()).toEqual(["points"]); // nothing is selected or filtered: that needs no marks
    expect([...engine.xy]).toEqual([...fake.kernel.session.steps]);
  });

  it("go on behind what came with the panel, and nothing comes twice", async () => {
    start(LABEL, fake.kernel.boot({ op: "points", ask: LABEL }, { op: "marks", ask: { projection: "auto/pca" } }));
    expect(seen).toContain("replaced 20000");
    await vi.waitFor(() => expect(feed.placed?.loaded).toBe(90_000));
    expect(fake.kernel.heard.find((one) => one.op === "points")?.body).toMatchObject({ offset: 20_000 });
    expect(engine.done.filter((one) => /begin|add/.test(one))).toEqual([
      "begin 90000",
      "add 0 20000",
      "add 20000 65536",
      "add 85536 4464",
    ]);
  });

  it("are asked for from the first on when the places are others by now", async () => {
    const boot = fake.kernel.boot({ op: "points", ask: LABEL });
    fake.kernel.session.places = "places-2";
    start(LABEL, boot);
    await vi.waitFor(() => expect(feed.placed).toMatchObject({ places: "places-2", loaded: 90_000 }));
    expect(fake.kernel.heard.filter((one) => one.op === "points").map((one) => one.body)).toMatchObject([
      { offset: 20_000 },
      {},
    ]);
    expect([...engine.xy]).toEqual([...fake.kernel.session.steps]);
  });

  it("go on where they stopped when the connection is lost in the middle of the parts", async () => {
    const parts: { message: { part: number; id: number; k: string; last: boolean }; buffers: DataView[] }[] = [];
    const trigger = fake.model.trigger.bind(fake.model);
    let lost = true;
    fake.model.trigger = (name: string, ...args: unknown[]) => {
      const message = args[0] as (typeof parts)[0]["message"];
      if (lost && name === "msg:custom" && message.k === "res" && message.part > 0) return;
      trigger(name, ...args);
    };
    start();
    await vi.waitFor(() => expect(feed.placed?.loaded).toBe(20_000));
    await settled();
    expect(feed.placed?.loaded).toBe(20_000);
    lost = false;
    (fake.hub.client as unknown as { resume(): void }).resume();
    await vi.waitFor(() => expect(feed.placed?.loaded).toBe(90_000));
    expect(fake.kernel.heard.filter((one) => one.op === "points").at(-1)?.body).toMatchObject({ offset: 20_000 });
    expect(engine.done.filter((one) => one.startsWith("add 0 "))).toHaveLength(1);
    expect([...engine.xy]).toEqual([...fake.kernel.session.steps]);
  });

  it("are asked for again from a gap on when a part is lost", async () => {
    const trigger = fake.model.trigger.bind(fake.model);
    let drops = 1;
    fake.model.trigger = (name: string, ...args: unknown[]) => {
      const message = args[0] as { k: string; part: number };
      if (name === "msg:custom" && message.k === "res" && message.part === 1 && drops-- > 0) return;
      trigger(name, ...args);
    };
    start();
    await vi.waitFor(() => expect(feed.placed?.loaded).toBe(90_000));
    expect([...engine.xy]).toEqual([...fake.kernel.session.steps]);
  });

  it("that are more than a page holds come as a sample", async () => {
    begin({ count: 5_000, most: 2_000 });
    start();
    await vi.waitFor(() => expect(feed.complete).toBe(true));
    expect(feed.placed).toMatchObject({ held: 2_000, total: 5_000, loaded: 2_000 });
    await feed.select(TOP, "replace");
    await settled();
    agrees();
  });
});

describe("colours", () => {
  it("come without the places", async () => {
    start();
    await vi.waitFor(() => expect(feed.complete).toBe(true));
    feed.wanted = { projection: null, color: "brightness" };
    feed.sync(fake.hub.store.state.value as never);
    await vi.waitFor(() => expect(feed.legend.kind).toBe("number"));
    feed.wanted = { projection: null, color: null };
    feed.sync(fake.hub.store.state.value as never);
    expect(feed.legend.kind).toBe("none");
    expect(ops()).toEqual(["points", "colors"]);
  });

  it("are not fetched again after a decision about something else, and are after one about their column", async () => {
    start();
    await vi.waitFor(() => expect(feed.complete).toBe(true));
    await fake.hub.store.act("tag", { tag: "x" }, { type: "samples", nos: [1, 2, 3] });
    await settled();
    expect(ops()).toEqual(["points", "act"]);
    await fake.hub.store.act("relabel", { label: "owl" }, { type: "samples", nos: [1, 2, 3] });
    await settled();
    expect(ops()).toEqual(["points", "act", "act", "colors"]);
  });

  it("of a panel's own answer are not used when another colour is wanted", async () => {
    start({ projection: null, color: "split" }, fake.kernel.boot({ op: "points", ask: LABEL }));
    expect(feed.placed).toBeNull();
    await vi.waitFor(() => expect(feed.legend).toMatchObject({ column: "split" }));
  });

  it("are all of one column when it changes between the first part and the rest", async () => {
    begin({ count: 30_000 });
    start(LABEL, fake.kernel.boot({ op: "points", ask: LABEL }));
    feed.wanted = { projection: null, color: "brightness" };
    feed.sync(fake.hub.store.state.value as never);
    await vi.waitFor(() => expect(feed.complete).toBe(true));
    await settled();
    const [part] = fake.kernel.boot({ op: "colors", ask: { projection: "auto/pca", color: "brightness" } }) as [
      { buffers: DataView[] },
    ];
    expect([...engine.colors]).toEqual([...new Uint8Array((part.buffers[0] as DataView).buffer)]);
  });
});

describe("the selection on the page", () => {
  const loaded = async () => {
    start();
    await vi.waitFor(() => expect(feed.complete).toBe(true));
    await settled();
  };

  it("is drawn at once, corrected by the kernel's state, and costs no marks", async () => {
    await loaded();
    const { session } = fake.kernel;
    // Two samples on the border, which rounding moves to the other side of it.
    const done = feed.select(LEFT, "replace");
    expect(selectedHere()).toBeGreaterThan(1000);
    await done;
    await settled();
    agrees();
    expect(session.gesture?.token).toBeTruthy();
    expect(count("marks")).toBe(0);
    for (const mode of ["add", "subtract", "intersect"] as const) {
      await feed.select(mode === "add" ? TOP : LEFT, mode);
      await settled();
      agrees();
    }
    expect(count("marks")).toBe(0);
  });

  it("is exact where rounding says otherwise", async () => {
    await loaded();
    const { session } = fake.kernel;
    const [x0, , x1] = session.bounds;
    // A border between the place of a sample and its rounded place.
    const wrong = session.samples.filter((sample) => {
      const rounded = x0 + ((session.steps[2 * sample.no] as number) / 65535) * (x1 - x0);
      return Math.abs(rounded - sample.x) > 1e-5;
    });
    const sample = wrong[0] as (typeof wrong)[0];
    const rounded = x0 + ((session.steps[2 * sample.no] as number) / 65535) * (x1 - x0);
    const border = (rounded + sample.x) / 2;
    await feed.select({ ...LEFT, x1: border } as Shape, "replace");
    await settled();
    expect((session.gesture?.on.length ?? 0) + (session.gesture?.off.length ?? 0)).toBeGreaterThan(0);
    agrees();
    expect(count("marks")).toBe(0);
  });

  it("follows a lasso of another panel without marks", async () => {
    await loaded();
    await elsewhere(TOP, "replace", "theirs-1");
    await settled();
    agrees();
    await elsewhere(LEFT, "subtract", "theirs-2");
    await settled();
    agrees();
    expect(count("marks")).toBe(0);
  });

  it("asks for the bits after what is no lasso, once", async () => {
    await loaded();
    await elsewhere({ type: "samples", nos: [5, 6, 7] });
    await settled();
    agrees();
    expect(count("marks")).toBe(1);
    await elsewhere({ type: "none" });
    await settled();
    agrees();
    await fake.hub.store.act("tag", { tag: "x" }, { type: "samples", nos: [1] });
    await settled();
    expect(count("marks")).toBe(1);
  });

  it("takes the few points by their places, those that are meant and those that are not", async () => {
    const boot = fake.kernel.boot({ op: "points", ask: LABEL }, { op: "marks", ask: { projection: "auto/pca" } });
    const marks = boot.find((one) => (one as { op: string }).op === "marks") as { body: object; buffers: DataView[] };
    Object.assign(marks.body, { selected: "only", visible: "except" });
    const padded = Uint8Array.of(9, 9, 5, 0x80, 1, 7); // a buffer is a window on the whole message
    marks.buffers = [new DataView(padded.buffer, 2, 3), new DataView(padded.buffer, 5, 1)];
    start(LABEL, boot);
    expect(half(1).flatMap((bit, i) => (bit ? [i] : []))).toEqual([5, 134]);
    expect(half(2).flatMap((bit, i) => (bit ? [] : [i]))).toEqual([7]);
  });

  it("follows filters, and what is decided about the columns that they look at", async () => {
    await loaded();
    const clause = { type: "in", column: "label", values: ["cat", "dog"] } as const;
    const filter = { source: "text", clause: { ...clause, values: [...clause.values] } };
    await fake.hub.client.ask("filter", filter, { panel: "grid" });
    await settled();
    agrees();
    const cat = fake.kernel.session.samples.find((sample) => sample.label === "cat");
    await fake.hub.store.act("relabel", { label: "fox" }, { type: "samples", nos: [cat?.no ?? 0] });
    await settled();
    agrees();
    const asked = count("marks");
    await fake.hub.store.act("tag", { tag: "x" }, { type: "samples", nos: [1] });
    await settled();
    expect(count("marks")).toBe(asked);
  });

  it("is what it was when the kernel refuses", async () => {
    await loaded();
    await feed.select(TOP, "replace");
    await settled();
    await feed.select({ ...LEFT, projection: "auto/pca", type: "predicate", text: "colour = 3" } as never, "replace");
    await settled();
    agrees();
    expect(fake.hub.store.toasts.value.at(-1)?.sentence).toContain("colour");
    expect(count("marks")).toBe(0);
  });

  it("does not change by a gesture that selects what is selected", async () => {
    await loaded();
    for (const mode of ["replace", "replace", "add", "intersect"] as const) await feed.select(TOP, mode);
    await settled();
    agrees();
    await feed.select({ type: "points", projection: "auto/pca", indices: [3] }, "replace");
    await feed.select({ type: "points", projection: "auto/pca", indices: [3] }, "add");
    await settled();
    agrees();
    expect(count("marks")).toBe(0);
  });

  it("loses no gesture of several made faster than the kernel answers", async () => {
    await loaded();
    const pick = (i: number) =>
      feed.select({ type: "points", projection: "auto/pca", indices: [i] }, i ? "add" : "replace");
    await Promise.all([0, 1, 2, 3, 4].map(pick));
    await settled();
    expect(selectedHere()).toBe(5);
    agrees();
  });

  it("does not take for its own what somebody else selected just before", async () => {
    await loaded();
    void elsewhere({ type: "samples", nos: [5, 6, 7] });
    await feed.select(TOP, "add");
    await settled();
    agrees();
    const { samples } = fake.kernel.session;
    const left = samples.filter((sample) => sample.x < -7).map((sample) => sample.no);
    void elsewhere({ type: "samples", nos: left.length ? left : [9] }, "subtract");
    await feed.select({ type: "points", projection: "auto/pca", indices: [11] }, "add");
    await settled();
    agrees();
  });

  it("is right for the points that come after a lasso was drawn", async () => {
    begin({ count: 60_000 });
    start();
    await vi.waitFor(() => expect(feed.placed?.loaded).toBeGreaterThan(0));
    fake.kernel.paused = true;
    void feed.select(LEFT, "replace");
    fake.kernel.resume();
    await vi.waitFor(() => expect(feed.complete).toBe(true));
    await settled();
    agrees();
  });

  it("comes back when a click on nothing was half of a double click", async () => {
    await loaded();
    await feed.select(TOP, "replace");
    await settled();
    feed.selecting.clear();
    expect(selectedHere()).toBe(0);
    await elsewhere(LEFT, "add", "theirs");
    await settled();
    expect(selectedHere()).toBe(0);
    feed.restore();
    await settled();
    agrees();
    feed.selecting.clear();
    await feed.confirmClear();
    await settled();
    agrees();
    expect(selectedHere()).toBe(0);
  });

  it("leaves nothing waiting when the kernel is gone", async () => {
    await loaded();
    fake.kernel.paused = true;
    const done = feed.select(TOP, "replace");
    fake.model.trigger("comm_live_update");
    await done;
    expect(feed.selecting.busy).toBe(false);
    expect(fake.hub.store.toasts.value).toHaveLength(1);
  });

  it.each(Array.from({ length: 24 }, (_, i) => i + 1))(
    "ends as the kernel has it, whatever happens: %i",
    async (seed) => {
      const next = random(seed);
      const any = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)] as T;
      begin({ count: 400, delayMs: seed % 3 === 0 ? () => Math.floor(3 * next()) : 0 });
      start(LABEL, seed % 2 ? fake.kernel.boot({ op: "points", ask: LABEL }) : null);
      if (seed % 4) await settled();
      const area = (): Shape => {
        const [x, y, r] = [next() * 12 - 6, next() * 12 - 6, 1 + next() * 5];
        if (next() < 0.4) return { type: "box", projection: "auto/pca", x0: x - r, y0: y - r, x1: x + r, y1: y + r };
        const points = Array.from({ length: 7 }, (_, i) => [
          x + r * Math.cos(i * any([1, 2])),
          y + r * Math.sin(i),
        ]).flat();
        return { type: "polygon", projection: "auto/pca", points };
      };
      const mode = (): Mode => any(["replace", "add", "add", "subtract", "intersect"]);
      const click = (): Shape => ({ type: "points", projection: "auto/pca", indices: [Math.floor(next() * 400)] });
      const quiet = (promise: Promise<unknown>): void => void promise.catch(() => undefined);
      for (let step = 0; step < 40; step++) {
        const what = next();
        if (what < 0.45) quiet(feed.select(area(), mode()));
        else if (what < 0.5) quiet(feed.select(click(), "replace"));
        else if (what < 0.6) quiet(elsewhere(area(), mode(), `theirs-${step}`));
        else if (what < 0.66) quiet(elsewhere({ type: "samples", nos: [step, 2 * step] }, mode()));
        else if (what < 0.72) {
          const clause = next() < 0.4 ? null : { type: "sql" as const, text: `brightness < ${0.3 + 0.4 * next()}` };
          quiet(fake.hub.client.ask("filter", { source: "text", clause }, { panel: "grid" }));
        } else if (what < 0.78) quiet(fake.hub.store.act("exclude", {}, { type: "samples", nos: [step * 3] }));
        else if (what < 0.82) quiet(fake.hub.store.undo());
        else if (what < 0.86)
          quiet(fake.hub.store.arm(next() < 0.5 ? null : { verb: "tag", arguments: { tag: `t${step}` } }));
        else if (what < 0.9) quiet(feed.select({ type: "predicate", text: "colour = 3" }, "replace"));
        else if (what < 0.94) {
          feed.selecting.clear();
          if (next() < 0.5) feed.restore();
          else quiet(feed.confirmClear());
        }
        if (next() < 0.6) continue; // faster than the kernel answers
        await settled();
        await vi.waitFor(() => agrees());
      }
      await settled();
      await vi.waitFor(() => agrees());
    },
  );
});
