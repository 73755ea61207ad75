import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import type { Ask } from "../../core/protocol.js";
import { type FakeHub, fakeHub } from "../../dev/fake_hub.js";
import { bucketPx, Pages, pageSize, type Wanted } from "./pages.js";
import { Selecting, shapesOf } from "./selecting.js";

beforeAll(() => {
  let made = 0;
  // jsdom has no Blob URLs.
  URL.createObjectURL = () => `blob:${++made}`;
  URL.revokeObjectURL = () => {};
});

const wanted = (order: string, marks: string): Wanted => ({ order, marks, px: 128, caption: null });
const asked = ({ kernel }: FakeHub): Ask<"page">[] =>
  kernel.heard.filter(({ op }) => op === "page").map(({ body }) => body as Ask<"page">);

let ending = new AbortController();
afterEach(() => {
  ending.abort();
  ending = new AbortController();
});

function setup(count = 1000) {
  const fake = fakeHub({ count });
  const pages = new Pages(fake.hub, "grid", () => {}, ending.signal);
  const selecting = new Selecting(fake.hub, "grid", pages, () => {});
  return { fake, pages, selecting };
}

const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

describe("pages", () => {
  const ranges = (fake: FakeHub): number[][] =>
    asked(fake).map(({ offset, limit }) => [offset / pageSize(128), limit / pageSize(128)]);

  it("in sight come first and in one request, then a screenful ahead and one behind; nothing else is asked", async () => {
    const { fake, pages } = setup();
    pages.want({ from: 250, to: 330 }, wanted("o", "1"));
    await settled();
    expect(ranges(fake)).toEqual([
      [12, 5],
      [17, 6],
      [6, 6],
    ]);
  });

  it("that may come into sight are asked once those in sight can be seen", async () => {
    const decoded: (() => void)[] = [];
    HTMLImageElement.prototype.decode = () => new Promise((resolve) => void decoded.push(resolve));
    try {
      const { fake, pages } = setup();
      pages.want({ from: 0, to: 50 }, wanted("o", "1"));
      await settled();
      expect(ranges(fake)).toEqual([[0, 3]]);
      // A scroll meanwhile does not wait.
      pages.want({ from: 600, to: 650 }, wanted("o", "1"));
      await settled();
      expect(ranges(fake).slice(1)).toEqual([[30, 3]]);
      for (const one of decoded.splice(0)) one();
      await vi.waitFor(() =>
        expect(ranges(fake).slice(2)).toEqual([
          [33, 6],
          [24, 6],
        ]),
      );
    } finally {
      Reflect.deleteProperty(HTMLImageElement.prototype, "decode");
    }
  });

  it("ahead are asked some at a time while one scrolls steadily, not each by itself", async () => {
    const { fake, pages } = setup(9000);
    for (let from = 0; from <= 1200; from += 10) {
      pages.want({ from, to: from + 50 }, wanted("o", "1"));
      await settled();
    }
    const later = asked(fake).slice(3);
    expect(later.length).toBeGreaterThan(3);
    expect(Math.min(...later.map(({ limit }) => limit))).toBeGreaterThanOrEqual(3 * pageSize(128));
  });

  it("behind come first when one scrolls up", async () => {
    const { fake, pages } = setup();
    pages.want({ from: 700, to: 750 }, wanted("o", "1"));
    await settled();
    const count = asked(fake).length;
    pages.want({ from: 400, to: 450 }, wanted("o", "1"));
    await settled();
    expect(ranges(fake).slice(count)[0]).toEqual([20, 3]);
    expect(ranges(fake).slice(count)[1]).toEqual([14, 6]);
  });

  it("left behind by a scroll are cancelled, and what is in sight is asked next", async () => {
    const { fake, pages } = setup(9000);
    fake.kernel.paused = true;
    pages.want({ from: 0, to: 50 }, wanted("o", "1"));
    await settled();
    pages.want({ from: 5000, to: 5050 }, wanted("o", "1"));
    await settled();
    fake.kernel.resume();
    await settled();
    expect(pages.tile(0)).toBeNull();
    expect(pages.tile(5000)?.no).toBe(5000);
  });

  it("that a dragged scroll bar passes are not asked for, only those where it rests", async () => {
    const { fake, pages } = setup(9000);
    for (const from of [1000, 3000, 6000]) pages.want({ from, to: from + 50 }, wanted("o", "1"), false);
    await settled();
    expect(asked(fake)).toEqual([]);
    pages.want({ from: 6000, to: 6050 }, wanted("o", "1"));
    await settled();
    expect(ranges(fake)[0]).toEqual([300, 3]);
  });

  it("cost the same anywhere: as many requests and tiles at the top as far down", async () => {
    const cost = async (from: number): Promise<number[]> => {
      const { fake, pages } = setup(9000);
      pages.want({ from: 0, to: -1 }, wanted("o", "1"));
      pages.want({ from, to: from + 59 }, wanted("o", "1"));
      await settled();
      return asked(fake)
        .filter(({ offset }) => offset >= from)
        .map(({ limit }) => limit);
    };
    expect(await cost(6000)).toEqual(await cost(600));
  });

  it("bring no picture a second time when only the selection or a tag changed", async () => {
    const { fake, pages } = setup();
    pages.want({ from: 0, to: 50 }, wanted("o", "1"));
    await settled();
    const before = pages.url(pages.tile(5)?.no ?? -1);
    const count = asked(fake).length;
    pages.want({ from: 0, to: 50 }, wanted("o", "2"));
    await settled();
    const later = asked(fake).slice(count);
    expect(later.length).toBeGreaterThan(0);
    expect(later.every(({ thumbs }) => !thumbs)).toBe(true);
    expect(pages.url(pages.tile(5)?.no ?? -1)).toBe(before);
  });

  it("bring the pictures of samples that a new order shows", async () => {
    const { fake, pages } = setup();
    pages.want({ from: 0, to: 50 }, wanted("o", "1"));
    await settled();
    fake.kernel.session.setSort({ by: "added", descending: true });
    pages.want({ from: 0, to: 50 }, wanted("o2", "1"));
    await settled();
    expect(pages.tile(0)?.no).toBe(999);
    expect(pages.url(999)).not.toBeNull();
  });

  it("stay on screen until the new ones are there", async () => {
    const { fake, pages } = setup();
    pages.want({ from: 0, to: 50 }, wanted("o", "1"));
    await settled();
    fake.kernel.paused = true;
    pages.want({ from: 0, to: 50 }, wanted("o2", "2"));
    await settled();
    expect(pages.tile(0)?.no).toBe(0);
    fake.kernel.resume();
  });

  it("name the reason where there is no picture", async () => {
    const { pages } = setup();
    pages.want({ from: 0, to: 50 }, wanted("o", "1"));
    await settled();
    expect(pages.url(7)).toBeNull();
    expect(pages.problems.get(7)).toContain("cannot identify");
  });

  it("beyond a filter's end are forgotten", async () => {
    const { fake, pages } = setup();
    pages.want({ from: 240, to: 280 }, wanted("o", "1"));
    await settled();
    fake.kernel.session.filter("text", { type: "sql", text: "split = 'nowhere'" });
    pages.want({ from: 0, to: 50 }, wanted("o2", "1"));
    await settled();
    expect(pages.total).toBe(0);
    expect(pages.tile(250)).toBeNull();
  });

  it("whose pictures weigh too much for one answer are asked in parts, until all tiles are there", async () => {
    const { fake, pages } = setup();
    fake.kernel.mostThumbBytes = 110_000;
    pages.want({ from: 0, to: 110 }, wanted("o", "1"));
    await settled();
    const [first, second, third] = asked(fake);
    expect(first).toMatchObject({ offset: 0, limit: 120 });
    expect(second?.offset).toBeLessThan(60);
    expect((second?.offset ?? 0) + (second?.limit ?? 0)).toBe(120);
    expect(third?.offset).toBeGreaterThan(second?.offset ?? 0);
    await settled();
    expect([0, 60, 119].map((position) => pages.tile(position)?.no)).toEqual([0, 60, 119]);
    expect(pages.url(119)).not.toBeNull();
  });

  it("keep their tiles when zooming asks for larger pictures in smaller pages", async () => {
    const { pages } = setup();
    pages.want({ from: 0, to: 50 }, wanted("o", "1"));
    await settled();
    pages.want({ from: 0, to: 20 }, { ...wanted("o", "1"), px: 512 });
    expect([0, 20, 119].map((position) => pages.tile(position)?.no)).toEqual([0, 20, 119]);
    expect(pages.url(20)).not.toBeNull();
    await settled();
    expect(pages.tile(20)?.no).toBe(20);
  });

  it("that came with the widget need no request", async () => {
    const { fake, pages } = setup(80);
    const ask = { offset: 0, limit: 100, thumbs: true, px: 128, caption: null };
    const [boot] = fake.kernel.boot({ op: "page", ask }) as { body: Record<string, unknown>; buffers: DataView[] }[];
    pages.want({ from: 0, to: -1 }, wanted("o", "1"));
    const { fromWire } = await import("../../core/wire.js");
    pages.boot(ask, { body: fromWire(boot?.body) as never, rev: 1, buffers: boot?.buffers ?? [] });
    expect(pages.tile(3)?.no).toBe(3);
    await settled();
    const count = asked(fake).length;
    pages.want({ from: 0, to: 50 }, wanted("o", "1"));
    await settled();
    expect(asked(fake).length).toBe(count);
  });
});

describe("selecting in the grid", () => {
  it("shows at once, before the kernel has answered, and an older page does not take it back", async () => {
    const { fake, pages, selecting } = setup();
    pages.want({ from: 0, to: 50 }, wanted("o", "1"));
    await settled();
    fake.kernel.paused = true;
    const done = selecting.rangeTo(4);
    expect([0, 4, 5].map((position) => pages.tile(position)?.selected)).toEqual([true, true, false]);
    fake.kernel.resume();
    await done;
    expect(fake.kernel.session.state().selection.count).toBe(5);
  });

  it("toggles with the tile's own state", async () => {
    const { fake, pages, selecting } = setup();
    pages.want({ from: 0, to: 50 }, wanted("o", "1"));
    await settled();
    await selecting.only(3);
    await selecting.toggle(6);
    await selecting.toggle(3);
    expect(fake.kernel.session.selected[6]).toBe(1);
    expect(fake.kernel.session.state().selection.count).toBe(1);
  });

  it("in an order that has changed is refused with a sentence, not silently wrong", async () => {
    const { fake, pages, selecting } = setup();
    pages.want({ from: 0, to: 50 }, wanted("o", "1"));
    await settled();
    fake.kernel.session.setSort({ by: "added", descending: true });
    await selecting.only(0);
    expect(fake.kernel.session.state().selection.count).toBe(0);
    expect(fake.hub.store.toasts.value[0]?.sentence).toContain("order changed");
  });

  it("sends a large box in messages of a thousand positions at most", () => {
    const spans = Array.from({ length: 300 }, (_, row) => ({ from: row * 10, to: row * 10 + 6 }));
    const shapes = shapesOf(spans, "o");
    expect(shapes).toHaveLength(3);
    expect(shapes.flatMap((shape) => (shape.type === "positions" ? shape.positions : []))).toHaveLength(2100);
    expect(shapesOf([], "o")).toEqual([{ type: "none" }]);
  });
});

describe("sizes of thumbnails", () => {
  it("are few, so that zooming finds them in the cache", () => {
    const sizes = new Set<number>();
    for (let px = 48; px <= 256; px++) for (const ratio of [1, 1.5, 2, 3]) sizes.add(bucketPx(px, ratio));
    expect([...sizes].sort((a, b) => a - b)).toEqual([64, 96, 128, 256, 512]);
  });
});
