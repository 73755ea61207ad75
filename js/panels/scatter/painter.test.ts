// @vitest-environment node
import { afterEach, describe, expect, it, vi } from "vitest";
import { Core } from "./core.js";
import type { Reply, Shot } from "./messages.js";
import { CpuPainter } from "./painter.js";
import { Raster } from "./raster.js";

const TOTAL = 400_000;
const PART = 80_000;
const random = (seed: number) => () => {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
  return seed / 2 ** 32;
};
const next = random(7);
const xy = Uint16Array.from({ length: 2 * TOTAL }, () => 65_535 * (0.5 + 0.5 * (next() - 0.5) * next()));
const colors = Uint8Array.from({ length: TOTAL }, (_, i) => i % 7);
const table = Uint32Array.from({ length: 768 }, (_, i) => (0xff000000 | Math.imul(i + 1, 2_654_435)) >>> 0);

const shot: Shot = {
  size: { width: 160, height: 120 },
  ratio: 1,
  transform: { ax: 160, bx: 0, ay: -120, by: 120 },
  scale: 160,
  world: { width: 1, height: 0.75 },
  moving: false,
};

const painters: CpuPainter[] = [];
afterEach(() => {
  for (const painter of painters.splice(0)) painter.dispose();
  vi.restoreAllMocks();
});

function made() {
  const pictures: { points: number; pixels: Uint32Array }[] = [];
  const core = new Core(() => undefined);
  core.palette = { table, background: 0xffffffff };
  const post = (reply: Reply): void => {
    if (reply.re !== "drawn") return;
    if (reply.picture) pictures.push({ points: reply.points, pixels: new Uint32Array(reply.picture.buffer.slice(0)) });
  };
  const painter = new CpuPainter(core, post, { frame: 2, slice: 2, whole: 0 });
  painters.push(painter);
  core.take({ op: "begin", total: TOTAL, bounds: [0, 0, 1, 1] });
  let frames = 0;
  const add = (from: number, to: number): void => {
    const part = { offset: from, count: to - from, xy: xy.slice(2 * from, 2 * to), colors: colors.slice(from, to) };
    core.take({ op: "add", part });
    painter.draw(++frames, shot);
  };
  return { core, painter, pictures, add };
}

const whole = (pictures: { points: number }[]) => pictures.some(({ points }) => points === TOTAL);

describe("while points come", () => {
  it("the picture of all is drawn along, and is the one that would be drawn at the end", async () => {
    const atOnce = made();
    atOnce.add(0, TOTAL);
    await vi.waitFor(() => expect(whole(atOnce.pictures)).toBe(true), 10_000);

    const drawn = vi.spyOn(Raster.prototype, "draw");
    const points = (): number => drawn.mock.calls.reduce((sum, [, , , from, to]) => sum + to - from, 0);
    const { add, pictures } = made();
    for (let from = 0; from < TOTAL; from += PART) {
      add(from, from + PART);
      await vi.waitFor(() => expect(points()).toBeGreaterThanOrEqual(from), 10_000);
    }
    await vi.waitFor(() => expect(whole(pictures)).toBe(true), 10_000);
    const last = pictures.at(-1);
    expect(last?.points).toBe(TOTAL);
    expect(last?.pixels).toEqual(atOnce.pictures.at(-1)?.pixels);
    // No point goes into the last picture twice, and those between are few.
    expect(points()).toBeLessThan(2 * TOTAL);
    expect(pictures.length).toBeGreaterThan(1);
  });

  it("those that are there are all shown when no more come", async () => {
    const { add, pictures } = made();
    add(0, PART);
    await vi.waitFor(() => expect(pictures.length).toBeGreaterThan(0));
    add(PART, 3 * PART);
    await vi.waitFor(() => expect(pictures.some(({ points }) => points === 3 * PART)).toBe(true), 10_000);
  });

  it("a selection begins it anew, and the last picture shows it", async () => {
    const selected = new Uint8Array(TOTAL / 8).fill(0x0f);
    const atOnce = made();
    atOnce.core.take({ op: "marks", selected, visible: "all" });
    atOnce.add(0, TOTAL);
    await vi.waitFor(() => expect(whole(atOnce.pictures)).toBe(true), 10_000);

    const { add, core, pictures } = made();
    add(0, 2 * PART);
    await vi.waitFor(() => expect(pictures.length).toBeGreaterThan(0));
    core.take({ op: "marks", selected, visible: "all" });
    for (let from = 2 * PART; from < TOTAL; from += PART) add(from, from + PART);
    await vi.waitFor(() => expect(whole(pictures)).toBe(true), 10_000);
    expect(pictures.at(-1)?.pixels).toEqual(atOnce.pictures.at(-1)?.pixels);
  });
});
