import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Engine, Facts, Frame } from "./engine.js";
import { createEngine } from "./engine_start.js";

/** Takes what a worker is sent, and answers nothing by itself. */
class SilentWorker {
  static made: SilentWorker[] = [];
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onerror: ((event: { message: string }) => void) | null = null;
  sent: { op: string; id?: number }[] = [];
  transferred: unknown[][] = [];
  ended = false;

  constructor() {
    SilentWorker.made.push(this);
  }

  postMessage(message: { op: string }, transfer: unknown[]): void {
    this.sent.push(message);
    this.transferred.push(transfer);
  }

  terminate(): void {
    this.ended = true;
  }

  says(data: unknown): void {
    this.onmessage?.({ data });
  }
}

const engines: Engine[] = [];
const palette = { table: new Uint32Array(768).fill(0xff0000ff), background: 0xffffffff };
const frame = (moving = false): Frame => ({
  size: { width: 100, height: 50 },
  ratio: 1,
  transform: { ax: 100, bx: 0, ay: -50, by: 50 },
  scale: 100,
  world: { width: 1, height: 0.5 },
  palette,
  moving,
});

function made() {
  const stage = document.createElement("div");
  const heard: Facts[] = [];
  const engine = createEngine({
    stage,
    choice: "auto",
    events: { facts: (facts) => heard.push(facts), renderer: () => undefined },
  });
  engines.push(engine);
  return { engine, stage, heard };
}

beforeEach(() => {
  vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue(null);
  vi.spyOn(console, "error").mockImplementation(() => undefined);
});

afterEach(() => {
  for (const engine of engines.splice(0)) engine.dispose();
  SilentWorker.made = [];
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

async function withWorker() {
  vi.stubGlobal("Worker", SilentWorker);
  const all = made();
  await vi.waitFor(() => expect(SilentWorker.made).toHaveLength(1));
  return { ...all, worker: SilentWorker.made[0] as SilentWorker };
}

/** The page hears of it a moment later. */
async function ready(worker: SilentWorker) {
  const { onmessage } = worker;
  worker.says({ re: "ready" });
  await vi.waitFor(() => expect(worker.onmessage).not.toBe(onmessage));
}

describe("the engine on the page", () => {
  it("works where no worker can be made", async () => {
    const { engine, stage, heard } = made();
    expect(stage.dataset.renderer).toBe("canvas");
    expect(stage.firstElementChild?.className).toBe("points");
    engine.begin(3, [0, 0, 1, 1]);
    const message = new Uint8Array([9, 0, 0, 255, 255, 0, 128, 0, 128, 0, 0, 0, 0, 7]); // a window on a larger buffer
    const xy = new Uint16Array(message.slice(1, 13).buffer);
    engine.add({ offset: 0, count: 3, xy, colors: message.subarray(11) });
    engine.combine(Float64Array.of(-1, -1, 0.9, -1, 0.9, 2, -1, 2), "replace");
    const place = await engine.place(1);
    expect(place?.x).toBeCloseTo(32768 / 65535, 9);
    await engine.draw(frame());
    await vi.waitFor(() => expect(heard.at(-1)?.complete).toBe(true));
    expect(heard.at(-1)).toMatchObject({ loaded: 3, total: 3, selected: 3 });
    expect(message).toHaveLength(14); // what the client holds is still there
  });

  it("hands arrays over, but never a window on a larger message", async () => {
    const { engine, worker } = await withWorker();
    engine.begin(4, [0, 0, 1, 1]);
    const large = new Uint8Array(100);
    const whole = new Uint16Array(8);
    engine.add({ offset: 0, count: 4, xy: whole, colors: large.subarray(3, 7) });
    expect(worker.sent).toEqual([]);
    await ready(worker);
    expect(worker.sent.map(({ op }) => op)).toEqual(["begin", "add"]);
    const [first, second] = worker.transferred[1] as ArrayBuffer[];
    expect(first).toBe(whole.buffer);
    expect(second?.byteLength).toBe(4);
    void engine.draw(frame());
    expect(palette.table.byteLength).toBe(3072);
    expect(worker.transferred.at(-1)).not.toContain(palette.table.buffer);
  });

  it("has one moving frame under way and the newest waiting; one at rest gives way at once", async () => {
    const { engine, worker } = await withWorker();
    await ready(worker);
    const done: number[] = [];
    const draw = (n: number, moving: boolean) => void engine.draw(frame(moving)).then(() => done.push(n));
    for (const n of [1, 2, 3]) draw(n, true);
    expect(worker.sent.map(({ id }) => id)).toEqual([1]);
    worker.says({ re: "drawn", id: 1, fresh: true, points: 1, picture: null });
    expect(worker.sent.map(({ id }) => id)).toEqual([1, 3]);
    worker.says({ re: "drawn", id: 3, fresh: true, points: 1, picture: null });
    await Promise.resolve();
    expect(done).toEqual([1, 2, 3]);
    draw(4, false);
    draw(5, true);
    expect(worker.sent.map(({ id }) => id)).toEqual([1, 3, 4, 5]);
  });

  it("goes on upon the page when the worker is refused, with all it was told", async () => {
    const { engine, worker, heard } = await withWorker();
    engine.begin(1, [0, 0, 1, 1]);
    engine.add({ offset: 0, count: 1, xy: new Uint16Array(2), colors: new Uint8Array(1) });
    worker.onerror?.({ message: "refused" });
    expect(await engine.selectedBox()).toBeNull();
    expect(worker.ended).toBe(true);
    await vi.waitFor(() => expect(heard.at(-1)?.loaded).toBe(1));
  });

  it("ends at any time: nobody waits, nothing that comes late does harm", async () => {
    const { engine, worker, stage, heard } = await withWorker();
    await ready(worker);
    const waits = [engine.draw(frame()), engine.nearest(0, 0, 5, frame().transform), engine.place(0)];
    engine.dispose();
    expect(await Promise.all(waits)).toEqual([undefined, null, null]);
    expect(worker.ended).toBe(true);
    expect(stage.childElementCount).toBe(0);
    const before = worker.sent.length;
    worker.says({ re: "drawn", id: 1, fresh: true, points: 1, picture: null });
    worker.says({ re: "facts", facts: {} });
    engine.begin(3, [0, 0, 1, 1]);
    expect(await engine.draw(frame())).toBeUndefined();
    expect(await engine.selectedBox()).toBeNull();
    engine.dispose();
    expect([worker.sent.length, heard.length]).toEqual([before, 0]);
    const early = made();
    early.engine.dispose();
    await Promise.resolve();
    expect(early.stage.childElementCount).toBe(0);
  });
});
