import { afterEach, describe, expect, it, vi } from "vitest";
import type { Legend } from "../../core/protocol.js";
import { random } from "../../dev/fake_data.js";
import { Core } from "./core.js";
import type { Density, Facts } from "./engine.js";
import { RingTest } from "./lasso.js";
import type { Picture, Reply, Shot } from "./messages.js";
import { paintCells } from "./mosaic.js";
import { CpuPainter, type Pace } from "./painter.js";
import type { Palette } from "./palette.js";

const N = 2000;
const BOUNDS = [-10, 0, 10, 5] as const;
const WHITE = 0xffffffff;
const RED = 0xff0000ff; // 0xAABBGGRR
const GREY = 0xffcccccc;
const PINK = 0xffbbbbff;

const palette: Palette = { table: new Uint32Array(768), background: WHITE };
palette.table.fill(GREY, 0, 256).fill(PINK, 256, 512).fill(RED, 512);
const legend: Legend = {
  kind: "category",
  column: "c",
  more: 0,
  entries: [
    { value: "a", count: 3, color: 0 },
    { value: "b", count: 9, color: 1 },
  ],
};

/** The whole of the bounds on 200 × 100 pixels, and `zoom` times that around the middle of the data. */
const shot = (zoom = 1, moving = false, width = 200, height = 100): Shot => {
  const ax = (zoom * width) / 20;
  const ay = (-zoom * height) / 5;
  return {
    size: { width, height },
    ratio: 1,
    transform: { ax, bx: width / 2, ay, by: height / 2 - 2.5 * ay },
    scale: 20 * ax,
    world: { width: 1, height: 0.5 },
    moving,
  };
};

function started(n = N, there = n) {
  const replies: Reply[] = [];
  const core = new Core((reply) => replies.push(reply));
  core.palette = palette;
  const next = random(2);
  const xy = Uint16Array.from({ length: 2 * n }, () => next() * 65536);
  core.take({ op: "begin", total: n, bounds: BOUNDS });
  const colors = Uint8Array.from({ length: there }, (_, i) => i & 1);
  core.take({ op: "add", part: { offset: 0, count: there, xy: xy.slice(0, 2 * there), colors } });
  const facts = (): Facts => {
    const last = replies.filter((reply) => reply.re === "facts").at(-1);
    if (!last) throw new Error("no facts");
    return last.facts;
  };
  let asked = 0;
  const ask = (question: Extract<Parameters<Core["take"]>[0], { op: "ask" }>["question"]) => {
    core.take({ op: "ask", id: ++asked, question });
    const last = replies.at(-1);
    return last?.re === "answer" && last.id === asked ? last.value : undefined;
  };
  return { core, replies, facts, ask, xy };
}

const detailOf = (positions: number[], xy: number[], flags?: number[]) => ({
  op: "detail" as const,
  detail: {
    box: [-1, 2, 1, 3] as [number, number, number, number],
    positions: Uint32Array.from(positions),
    xy: Uint16Array.from(xy),
    colors: new Uint8Array(positions.length),
    flags: Uint8Array.from(flags ?? positions.map(() => 2)),
  },
});

describe("the core", () => {
  it("tests a ring of data coordinates on rounded places, and corrects what the kernel says", () => {
    const { core, facts, xy } = started();
    const ring = Float64Array.of(-5, 1, 5, 1, 5, 4, -5, 4);
    core.take({ op: "combine", ring, mode: "replace" });
    const steps = Float64Array.from(ring, (value, i) => (i & 1 ? (value / 5) * 65535 : ((value + 10) / 20) * 65535));
    const test = new RingTest(steps);
    const expected = Array.from({ length: N }, (_, i) => i).filter((i) =>
      test.has(xy[2 * i] as number, xy[2 * i + 1] as number),
    );
    expect(expected.length).toBeGreaterThan(300);
    expect(facts().selected).toBe(expected.length);
    const [first = 0, second = 0] = expected;
    core.take({ op: "correct", on: [], off: [first, second] });
    expect(facts().selected).toBe(expected.length - 2);
  });

  it("goes back to the selection it was told to keep", () => {
    const { core, facts } = started();
    core.take({ op: "pick", indices: [4, 9, 12], mode: "replace" });
    core.take({ op: "keep" });
    core.take({ op: "pick", indices: [], mode: "replace" });
    expect(facts().selected).toBe(0);
    core.take({ op: "restore" });
    expect(facts().selected).toBe(3);
    expect(facts().few).toHaveLength(3);
  });

  it("names classes in data coordinates, and the few selected ones", () => {
    const { core, facts } = started();
    expect(facts().names).toEqual([]);
    core.take({ op: "legend", legend });
    expect(facts().names.map((name) => name.text)).toEqual(["b", "a"]);
    for (const { x, y, low, high } of facts().names) {
      expect(Math.abs(x)).toBeLessThan(4);
      expect(low < y && y < high && low >= 0 && high <= 5).toBe(true);
    }
    const before = facts().names;
    core.take({ op: "pick", indices: [7], mode: "replace" });
    expect(facts().names).toBe(before);
    expect(facts().few).toHaveLength(1);
    core.take({ op: "marks", selected: "all", visible: null });
    expect(facts().few).toEqual([]);
  });

  it("draws a detail while the view lies inside its box, finds its points, and lets it follow the base", () => {
    const { core, facts, ask } = started();
    core.take(detailOf([70, 3, 5000], [32768, 32768, 100, 100, 65000, 65000]));
    expect(core.compose(shot(1), 1)?.cloud).toBe(core.base);
    const near = shot(20);
    expect(core.compose(near, 1)?.cloud).toBe(core.detail);
    const hit = ask({ what: "nearest", x: 0, y: 2.5, reach: 9, transform: near.transform });
    expect(hit).toMatchObject({ index: 70 });
    expect(ask({ what: "place", index: 5000 })).toMatchObject({ x: -1 + (2 * 65000) / 65535 });
    expect(ask({ what: "place", index: 4999 })).toBeNull();
    core.take({ op: "combine", ring: Float64Array.of(-0.2, 2.3, 0.2, 2.3, 0, 2.8), mode: "replace" });
    expect(core.detail?.selected).toBe(1);
    // The kernel decides by the base's places; 5000 is none of its points.
    core.take({ op: "correct", on: [3, 5000], off: [70] });
    expect([...(core.detail?.flags ?? [])].map((flag) => flag & 1)).toEqual([0, 1, 1]);
    core.take({ op: "marks", selected: "none", visible: "all" });
    core.take({ op: "detail", detail: null });
    expect(core.compose(near, 1)?.cloud).toBe(core.base);
    expect(facts().selected).toBe(0);
  });

  it("fades the points of a detail when only others are selected", () => {
    const { core } = started();
    core.take(detailOf([70, 3], [1, 1, 100, 100]));
    core.take({ op: "pick", indices: [1999], mode: "replace" });
    expect(core.detail?.size(1)).toBe(2);
    expect(core.detail?.size(2)).toBe(0);
  });

  it("takes arrays of unequal lengths, and strange flags, without harm", () => {
    const { core } = started();
    core.take(detailOf([1, 2, 3], [5, 5], [255]));
    expect(core.detail?.loaded).toBe(1);
    expect(core.detail?.tally).toEqual([0, 0, 0, 1]);
  });

  it("draws counts of cells where there is no detail", () => {
    const { core } = started();
    const density: Density = {
      box: [...BOUNDS],
      width: 2,
      height: 1,
      visible: Uint8Array.of(255, 0),
      gone: Uint8Array.of(0, 40),
      selected: new Uint8Array(2),
      colors: Uint8Array.of(0, 0),
    };
    core.take({ op: "density", density });
    const scene = core.compose(shot(1), 1);
    expect(scene?.mosaic).toMatchObject({ width: 2, height: 1 });
    expect(scene?.mosaic?.cells).toBe(core.compose(shot(2), 1)?.mosaic?.cells);
    const [many = 0, gone = 0] = paintCells(density, palette, false);
    expect(many & 255).toBe(255);
    expect((many >> 8) & 255).toBeLessThan(40);
    expect((gone & 255) === ((gone >> 8) & 255)).toBe(true);
    expect(gone >>> 0).not.toBe(WHITE);
    const selected = paintCells({ ...density, selected: Uint8Array.of(90, 0) }, palette, true)[0] as number;
    const faded = paintCells(density, palette, true)[0] as number;
    expect((selected >> 8) & 255).toBeLessThan((faded >> 8) & 255);
    core.take(detailOf([70], [1, 1]));
    expect(core.compose(shot(20), 1)?.mosaic).toBeNull();
    core.take({ op: "density", density: null });
    expect(core.compose(shot(1), 1)?.mosaic).toBeNull();
  });

  it("hands everything over to another core", () => {
    const { core } = started();
    core.take({ op: "legend", legend });
    core.take({ op: "pick", indices: [4, 9], mode: "replace" });
    core.take(detailOf([4, 3], [1, 1, 100, 100]));
    const other = started(1);
    other.core.take({ op: "adopt", estate: structuredClone(core.release()) });
    expect(other.facts()).toMatchObject({ loaded: N, selected: 2, visible: N });
    expect(other.facts().names).toHaveLength(2);
    other.core.take({ op: "pick", indices: [3], mode: "add" });
    expect(other.facts().selected).toBe(3);
    expect(other.core.detail?.selected).toBe(1);
    expect(core.base).toBeNull();
  });

  it("has answers without points, for one point and for points that are all alike", () => {
    const replies: Reply[] = [];
    const empty = new Core((reply) => replies.push(reply));
    for (const question of [{ what: "selectedBox" }, { what: "place", index: 0 }] as const)
      empty.take({ op: "ask", id: 1, question });
    expect(replies).toEqual([1, 1].map((id) => ({ re: "answer", id, value: null })));
    empty.take({ op: "combine", ring: Float64Array.of(0, 0, 1, 0, 1, 1), mode: "replace" });
    for (const n of [0, 1, 50]) {
      const { core, ask } = started(0);
      core.take({ op: "begin", total: n, bounds: [1, 1, 1, 1] });
      const part = { offset: 0, count: n, xy: new Uint16Array(2 * n), colors: new Uint8Array(n) };
      core.take({ op: "add", part });
      core.take({ op: "marks", selected: "all", visible: "all" });
      const scene = core.compose(shot(), 1);
      expect(scene?.radius.every((radius) => radius > 0 && radius <= 12)).toBe(true);
      expect(ask({ what: "selectedBox" })).toEqual(n === 0 ? null : [1, 1, 1, 1]);
    }
  });
});

const painters: CpuPainter[] = [];
afterEach(() => {
  for (const painter of painters.splice(0)) painter.dispose();
});

function painting(pace: Pace, n: number, there = n) {
  const { core, replies, facts } = started(n, there);
  const painter = new CpuPainter(
    core,
    (reply) => {
      replies.push(reply);
      for (const listener of waiting.splice(0)) listener();
    },
    pace,
  );
  const waiting: (() => void)[] = [];
  painters.push(painter);
  const drawn = () => replies.filter((reply) => reply.re === "drawn");
  const until = async (enough: () => boolean) => {
    while (!enough()) await new Promise<void>((resolve) => waiting.push(resolve));
  };
  return { core, painter, facts, drawn, until };
}

const colored = ({ buffer }: Picture) => new Uint32Array(buffer).filter((pixel) => pixel !== WHITE).length;
const PATIENT: Pace = { frame: 1e9, slice: 1e9, whole: 1e9 };

describe("the painter", () => {
  it("draws once, and nothing where all is on the canvas already", async () => {
    const { core, painter, drawn, until, facts } = painting(PATIENT, N);
    painter.draw(1, shot());
    painter.draw(2, shot());
    await until(() => drawn().length === 2);
    expect(drawn()[0]).toMatchObject({ id: 1, fresh: true, points: N });
    expect(drawn()[1]).toMatchObject({ id: 2, fresh: false, picture: null });
    expect(colored(drawn()[0]?.picture as Picture)).toBeGreaterThan(1000);
    expect(facts().complete).toBe(true);
    core.take({ op: "pick", indices: [1], mode: "replace" });
    expect(facts().complete).toBe(false);
    painter.draw(4, shot());
    await until(() => drawn().length === 3);
    expect(drawn()[2]).toMatchObject({ id: 4, fresh: true });
  });

  it("shows the first points before it hears of more, and a picture although parts keep coming", async () => {
    const n = 60_000;
    const { core, painter, drawn, until, facts } = painting({ frame: 0, slice: 0, whole: 1e9 }, n, 20_000);
    const add = (offset: number) => {
      const part = { offset, count: 10_000, xy: new Uint16Array(20_000), colors: new Uint8Array(10_000) };
      core.take({ op: "add", part });
    };
    painter.draw(1, shot());
    for (let offset = 20_000; offset < n; offset += 10_000) {
      add(offset);
      await until(() => drawn().length > 0);
    }
    expect(drawn()[0]?.id).toBe(1);
    expect(drawn()[0]?.points).toBeGreaterThanOrEqual(20_000);
    expect(drawn()[0]?.points).toBeLessThan(n);
    await until(() => drawn().at(-1)?.points === n);
    await vi.waitFor(() => expect(facts().complete).toBe(true));
  });

  it("shows fewer points first where all of them take long, and then all", async () => {
    const n = 100_000;
    const { painter, drawn, until, facts } = painting({ frame: 0, slice: 0, whole: 0 }, n);
    painter.draw(1, shot());
    await until(() => drawn().length === 1);
    expect(drawn()[0]).toMatchObject({ id: 1, points: 20_000 });
    expect(facts().complete).toBe(false);
    await until(() => drawn().length === 2);
    expect(drawn()[1]).toMatchObject({ id: 1, points: n });
    expect(facts().complete).toBe(true);
  });

  it("thins while the view moves, but never a small selection", async () => {
    const n = 100_000;
    const { core, painter, drawn, until } = painting({ ...PATIENT, frame: 0 }, n);
    core.take({ op: "marks", selected: "none", visible: "all" });
    core.take({ op: "pick", indices: [n - 1, n - 2, 7], mode: "replace" });
    painter.draw(1, shot(1, true));
    await until(() => drawn().length === 1);
    expect(drawn()[0]?.points).toBe(20_003);
  });

  it("leaves a picture that another view has made idle", async () => {
    const n = 200_000;
    const { core, painter, drawn, until } = painting({ frame: 0, slice: 0, whole: 1e9 }, n);
    painter.draw(0, shot(3));
    await until(() => drawn().length === 1);
    const compose = core.compose.bind(core);
    let begun = 0;
    core.compose = (...of) => {
      if (++begun === 1) painter.draw(2, shot(2, true)); // the view moves before the first slice is drawn
      return compose(...of);
    };
    painter.draw(1, shot());
    await until(() => drawn().length > 1);
    expect(drawn()[1]).toMatchObject({ id: 2, points: 20_000 });
    expect(begun).toBe(2);
  });

  it("answers a frame without room or without points, and takes buffers back", async () => {
    const { core, painter, drawn, until } = painting(PATIENT, N);
    painter.draw(1, shot(1, false, 0, 0));
    expect(drawn()[0]).toMatchObject({ id: 1, fresh: false });
    painter.draw(2, shot());
    await until(() => drawn().length === 2);
    const picture = drawn()[1]?.picture as Picture;
    const { buffer } = picture;
    painter.back(buffer);
    painter.draw(3, shot(2));
    await until(() => drawn().length === 3);
    expect(drawn()[2]?.picture?.buffer).toBe(buffer);
    core.release();
    painter.draw(4, shot());
    await until(() => drawn().length === 4);
    expect(drawn()[3]).toMatchObject({ id: 4, fresh: false });
  });
});
