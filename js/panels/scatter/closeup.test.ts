import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { FakeEngine } from "../../dev/fake_engine.js";
import { type FakeHub, fakeHub } from "../../dev/fake_hub.js";
import { affine, fitted, type Size, type View, worldOf } from "./camera.js";
import { Closeup, enlarged, within } from "./closeup.js";
import { Feed } from "./feed.js";

const SIZE: Size = { width: 600, height: 400 };
const INSETS = { left: 0, right: 0, top: 0, bottom: 0 };

describe("boxes", () => {
  it("hold each other or not, and grow on all sides", () => {
    expect(enlarged([0, 0, 2, 4], 0.5)).toEqual([-1, -2, 3, 6]);
    expect(within([0, 0, 1, 1], [0, 0, 1, 1])).toBe(true);
    expect(within([0, 0, 1, 1.1], [0, 0, 1, 1])).toBe(false);
  });
});

describe("what is asked for when the view rests", () => {
  let fake: FakeHub;
  let ending: AbortController;
  let feed: Feed;
  let engine: FakeEngine;
  let closeup: Closeup;

  const asked = (op: string) => fake.kernel.heard.filter((one) => one.op === op);
  const settled = async () => {
    for (let i = 0; i < 4; i++) await fake.hub.client.ask("hello", {}, { panel: `test-${i}` });
  };
  /** Rests with the middle of the screen on a sample, so many times nearer than the whole. */
  const rest = (nearer: number, no = 0, dx = 0) => {
    const { bounds, samples } = fake.kernel.session;
    const world = worldOf(bounds);
    const home = fitted(world, SIZE, INSETS);
    const sample = samples[no] ?? { x: 0, y: 0 };
    const view: View = {
      x: ((sample.x - bounds[0]) / (bounds[2] - bounds[0])) * world.width,
      y: ((sample.y - bounds[1]) / (bounds[3] - bounds[1])) * world.height,
      scale: home.scale * nearer,
    };
    view.x += dx / view.scale;
    closeup.rested({ transform: affine(view, world, SIZE, bounds), size: SIZE });
  };
  /** What the detail says about its samples is what the kernel holds. */
  const detailAgrees = () => {
    const { detail } = engine;
    const { session } = fake.kernel;
    expect(detail?.positions.length).toBeGreaterThan(0);
    const flags = [...(detail?.positions ?? [])].map((no) => (session.selected[no] as number) | ((session.passes[no] as number) << 1)); // biome-ignore format: one line
    expect([...(detail?.flags ?? [])]).toEqual(flags);
  };

  const start = async (options: { count: number; most?: number }) => {
    fake = fakeHub({ ...options, signal: ending.signal });
    engine = new FakeEngine({ stage: document.createElement("div"), events: { facts() {}, renderer() {} } });
    feed = new Feed(fake.hub, engine, "scatter-1", ending.signal, {
      replaced: () => closeup?.begin(),
      grown: () => {},
      recolored: () => {},
      marked: (anew) => void (anew && closeup.stale()),
      synced: () => closeup?.look(),
      guessed: () => {},
    });
    closeup = new Closeup(fake.hub, engine, feed, "scatter-1", ending.signal, { changed: () => {} });
    feed.wanted = { projection: null, color: "label" };
    fake.hub.dom.effectUntil(ending.signal, () => {
      const state = fake.hub.store.state.value;
      if (state) feed.sync(state);
    });
    await vi.waitFor(() => expect(feed.complete).toBe(true));
    await settled();
  };

  beforeEach(() => {
    ending = new AbortController();
  });
  afterEach(() => ending.abort());

  it("is nothing while the steps of the points are finer than the screen", async () => {
    await start({ count: 2_000 });
    rest(1);
    rest(60);
    await settled();
    expect(asked("detail")).toHaveLength(0);
  });

  it("are exact places when they are not, once for a place and again after it is left", async () => {
    await start({ count: 2_000 });
    rest(2_000);
    await settled();
    expect(asked("detail")).toHaveLength(1);
    detailAgrees();
    const { detail } = engine;
    const [x0, , x1] = detail?.box ?? [0, 0, 0, 0];
    const i = [...(detail?.positions ?? [])].indexOf(0);
    const exact = x0 + ((detail?.xy[2 * i] ?? 0) / 65535) * (x1 - x0);
    expect(Math.abs(exact - (fake.kernel.session.samples[0]?.x ?? 0))).toBeLessThan(((x1 - x0) / 65535) * 0.51);
    rest(2_000, 0, 100); // a small step
    rest(2_500);
    await settled();
    expect(asked("detail")).toHaveLength(1);
    rest(2_000, 0, 900);
    await settled();
    expect(asked("detail")).toHaveLength(2);
    rest(1);
    expect(engine.detail).toBeNull();
  });

  it("is fresh after selections, filters and colours", async () => {
    await start({ count: 2_000 });
    rest(2_000);
    await settled();
    await fake.hub.client.ask(
      "select",
      { shape: { type: "samples", nos: [0, 1, 2] }, mode: "replace", source: "grid" },
      { panel: "grid" },
    );
    await settled();
    detailAgrees();
    const clause = { type: "in" as const, column: "split", values: ["val"] };
    await fake.hub.client.ask("filter", { source: "text", clause }, { panel: "grid" });
    await settled();
    detailAgrees();
    feed.wanted = { projection: null, color: "brightness" };
    feed.sync(fake.hub.store.state.value as never);
    await settled();
    expect(asked("detail").at(-1)?.body).toMatchObject({ color: "brightness" });
  });

  it("costs nothing more after a lasso, which the engine works out on the detail too", async () => {
    await start({ count: 2_000 });
    rest(2_000);
    await settled();
    const { x, y } = fake.kernel.session.samples[0] ?? { x: 0, y: 0 };
    await feed.select({ type: "box", projection: "auto/pca", x0: x - 1, y0: y - 1, x1: x + 1, y1: y + 1 }, "replace");
    await settled();
    expect(asked("detail")).toHaveLength(1);
  });

  it("are counts in cells where there are more points than a page holds, and points where few are in view", async () => {
    await start({ count: 3_000, most: 500 });
    rest(1);
    await settled();
    expect(engine.density).toMatchObject({ width: 450, height: 300 });
    expect(engine.density?.visible.some((level) => level > 0)).toBe(true);
    const before = asked("density").length;
    await feed.select({ type: "box", projection: "auto/pca", x0: -9, y0: -9, x1: 0, y1: 9 }, "replace");
    await settled();
    expect(asked("density").length).toBeGreaterThan(before);
    expect(engine.density?.selected.some((level) => level > 0)).toBe(true);
    await vi.waitFor(() => expect(engine.detail?.positions.length).toBe(3_000));
    detailAgrees();
  });
});
