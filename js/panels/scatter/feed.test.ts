import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type FakeHub, fakeHub } from "../../dev/fake_hub.js";
import { Feed, type Wanted } from "./feed.js";
import { SELECTED } from "./points.js";

const LABEL: Wanted = { projection: null, color: "label" };

describe("what the scatter asks the kernel for", () => {
  let fake: FakeHub;
  let ending: AbortController;
  let feed: Feed;
  let seen: string[];

  const ops = () => fake.kernel.heard.map((one) => one.op).filter((op) => op !== "hello");
  /** The fake kernel answers in order: when these answers are here, so are all before them, and what they led to. */
  const settled = async () => {
    for (let i = 0; i < 3; i++) await fake.hub.client.ask("hello", {}, { panel: `test-${i}` });
  };
  const selectedHere = () => feed.points?.flags.reduce((sum, flag) => sum + (flag & SELECTED), 0) ?? 0;

  function start(wanted: Wanted = LABEL, boot: unknown[] | null = null): void {
    feed = new Feed(fake.hub, "scatter-1", ending.signal, {
      replaced: (points) => seen.push(points ? `replaced ${points.loaded}` : "empty"),
      grown: () => seen.push(`grown ${feed.points?.loaded}`),
      recolored: (legend) => seen.push(`recolored ${legend.kind}`),
      marked: () => seen.push("marked"),
    });
    feed.boot(boot as never, wanted);
    fake.hub.dom.effectUntil(ending.signal, () => {
      const state = fake.hub.store.state.value;
      if (state) feed.sync(state);
    });
  }

  beforeEach(() => {
    ending = new AbortController();
    seen = [];
    fake = fakeHub({ count: 70_000, signal: ending.signal });
  });
  afterEach(() => ending.abort());

  it("draws after the first part and fills up with the next", async () => {
    start();
    await vi.waitFor(() => expect(feed.points?.loaded).toBe(70_000));
    expect(seen.filter((one) => /replaced|grown/.test(one))).toEqual(["replaced 65536", "grown 70000"]);
    await vi.waitFor(() => expect(ops()).toEqual(["points", "marks"]));
  });

  it("draws from its boot without asking, and only fetches what is missing", async () => {
    const boot = fake.kernel.boot({ op: "points", ask: LABEL }, { op: "marks", ask: { projection: "auto/pca" } });
    start(LABEL, boot);
    expect(seen).toContain("replaced 65536"); // a part of the points came with the panel
    await vi.waitFor(() => expect(feed.points?.loaded).toBe(70_000));
    expect(seen.filter((one) => one.startsWith("replaced"))).toHaveLength(1);
  });

  it("asks for nothing at all when the boot holds everything", async () => {
    fake = fakeHub({ count: 900, signal: ending.signal });
    start(LABEL, fake.kernel.boot({ op: "points", ask: LABEL }, { op: "marks", ask: { projection: "auto/pca" } }));
    await settled();
    expect(ops()).toEqual([]);
  });

  it("does not use a boot that shows another colour", async () => {
    start({ projection: null, color: "split" }, fake.kernel.boot({ op: "points", ask: LABEL }));
    expect(feed.points).toBeNull();
    await vi.waitFor(() => expect(feed.legend).toMatchObject({ column: "split" }));
  });

  it("recolours without fetching the places again", async () => {
    start();
    await vi.waitFor(() => expect(ops()).toEqual(["points", "marks"]));
    await settled();
    const { points } = feed;
    feed.wanted = { projection: null, color: "brightness" };
    feed.sync(fake.hub.store.state.value as never);
    await vi.waitFor(() => expect(feed.legend.kind).toBe("number"));
    feed.wanted = { projection: null, color: null };
    feed.sync(fake.hub.store.state.value as never);
    expect(feed.legend.kind).toBe("none");
    expect(feed.points).toBe(points);
    expect(ops().filter((op) => op === "points")).toHaveLength(1);
  });

  it("shows its own guess at once and then what the kernel says", async () => {
    start();
    await vi.waitFor(() => expect(ops()).toEqual(["points", "marks"]));
    await settled();
    const guess = (index: number) => index < 10; // wrong on purpose
    const shape = { type: "box", projection: "auto/pca", x0: -100, y0: -100, x1: 0, y1: 100 } as const;
    const done = feed.select(shape, "replace", guess);
    expect(selectedHere()).toBe(10);
    await done;
    const exact = fake.kernel.session.samples.filter((sample) => sample.x <= 0).length;
    await vi.waitFor(() => expect(selectedHere()).toBe(exact));
    await settled();
    expect(ops().filter((op) => op === "marks")).toHaveLength(2); // one for the points, one for the selection
  });

  it("takes the guess back when the kernel refuses the selection", async () => {
    start();
    await vi.waitFor(() => expect(ops()).toEqual(["points", "marks"]));
    await settled();
    vi.spyOn(fake.hub.client, "ask").mockRejectedValueOnce(
      Object.assign(new Error("no"), { failure: { code: "x", message: "No such projection.", hint: null } }),
    );
    await feed.select({ type: "none" }, "replace", (index) => index < 5);
    await vi.waitFor(() => expect(selectedHere()).toBe(0));
    expect(fake.hub.store.toasts.value.at(-1)?.sentence).toBe("No such projection.");
  });

  it("loses no gesture of several made faster than the kernel answers", async () => {
    start();
    await vi.waitFor(() => expect(ops()).toEqual(["points", "marks"]));
    await settled();
    const pick = (i: number) =>
      feed.select({ type: "points", projection: "auto/pca", indices: [i] }, i ? "add" : "replace", (k) => k === i);
    await Promise.all([0, 1, 2, 3, 4].map(pick));
    await vi.waitFor(() => expect(selectedHere()).toBe(5));
    expect(fake.hub.store.state.value?.selection.count).toBe(5);
  });

  it("follows selections and filters made elsewhere", async () => {
    start();
    await vi.waitFor(() => expect(ops()).toEqual(["points", "marks"]));
    await settled();
    await fake.hub.client.ask("select", { shape: { type: "all" }, mode: "replace", source: "grid" }, { panel: "grid" });
    await vi.waitFor(() => expect(selectedHere()).toBe(70_000));
    const clause = { type: "in", column: "label", values: ["cat"] } as const;
    await fake.hub.client.ask("filter", { source: "text", clause: { ...clause, values: ["cat"] } }, { panel: "grid" });
    await vi.waitFor(() => expect(feed.points?.isVisible(0)).toBe(fake.kernel.session.samples[0]?.label === "cat"));
  });
});
