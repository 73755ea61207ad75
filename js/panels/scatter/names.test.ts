import { describe, expect, it } from "vitest";
import { dom } from "../../core/dom.js";
import type { Legend } from "../../core/protocol.js";
import { Cloud } from "./cloud.js";
import { beyond, cardPlace } from "./hover.js";
import { classNames } from "./names.js";
import { look, makePalette, parseColor, standing } from "./palette.js";
import { placeNames } from "./place_names.js";

const legend: Legend = {
  kind: "category",
  column: "label",
  more: 0,
  entries: [
    { value: "ring", count: 100, color: 0 },
    { value: "dot <b>", count: 300, color: 1 },
    { value: null, count: 5, color: 255 },
  ],
};

function ringAndDot(): Cloud {
  const points = new Cloud(400, [0, 0, 65535, 65535]);
  const xy = new Uint16Array(800);
  const colors = new Uint8Array(400);
  for (let i = 0; i < 400; i++) {
    const turn = (i / 100) * 2 * Math.PI;
    if (i < 100) xy.set([30000 + 20000 * Math.cos(turn), 30000 + 20000 * Math.sin(turn)], 2 * i);
    else xy.set([60000 + (i % 17) * 10, 60000 + (i % 13) * 10], 2 * i);
    colors[i] = i < 100 ? 0 : 1;
  }
  points.add(0, 400, xy, colors);
  return points;
}

describe("names on the map", () => {
  it("stand on a point of their class, also where the middle is empty", () => {
    const names = classNames(ringAndDot(), legend);
    expect(names.map((name) => name.text)).toEqual(["dot <b>", "ring"]);
    const ring = names[1];
    expect(Math.hypot((ring?.x ?? 0) - 30000, (ring?.y ?? 0) - 30000)).toBeCloseTo(20000, -2);
  });

  it("do not appear for more than twenty classes", () => {
    const many = Array.from({ length: 21 }, (_, i) => ({ value: `c${i}`, count: 1, color: i }));
    expect(classNames(ringAndDot(), { ...legend, entries: many })).toEqual([]);
  });

  it("stand above small clusters, and not over each other", () => {
    const screen = { width: 600, height: 600 };
    const transform = { ax: 600 / 65535, bx: 0, ay: -600 / 65535, by: 600 };
    const names = classNames(ringAndDot(), legend);
    const [dot] = placeNames(names, transform, screen, () => 40, 15);
    expect(dot?.y).toBeLessThan(600 - (60120 / 65535) * 600);
    const twins = [names[0], names[0], names[0]].flatMap((name) => (name ? [name] : []));
    const ys = placeNames(twins, transform, screen, () => 40, 15).map((name) => name.y);
    expect(new Set(ys).size).toBe(ys.length);
  });
});

describe("the card", () => {
  const card = { width: 140, height: 170 };
  const stage = { width: 500, height: 300 };

  it("never covers the point and stays inside the plot", () => {
    for (let x = 0; x <= 500; x += 20) {
      for (let y = 0; y <= 300; y += 20) {
        const at = cardPlace({ x, y }, card, stage);
        const covers = x >= at.x && x <= at.x + card.width && y >= at.y && y <= at.y + card.height;
        expect(covers).toBe(false);
        expect(at.x).toBeGreaterThanOrEqual(0);
        expect(at.x + card.width).toBeLessThanOrEqual(500);
        expect(at.y).toBeGreaterThanOrEqual(0);
        expect(at.y + card.height).toBeLessThanOrEqual(300);
      }
    }
  });

  it("does not say id and label twice", () => {
    expect(beyond({ id: "digit-7", label: "8", caption: "digit-7 · 8" })).toBe("");
    expect(beyond({ id: "digit-7", label: "8", caption: "digit-7 · 8 · glare, blurred" })).toBe("glare, blurred");
    expect(beyond({ id: "a", label: null, caption: "" })).toBe("");
  });
});

describe("colours", () => {
  const theme = { background: [255, 255, 255], ink: [0, 0, 0] } as const;

  it("are those of the legend, greyer for faded points and one grey for filtered ones", () => {
    const { table } = makePalette(legend, dom, theme);
    const [r, g, b] = parseColor(dom.categoryColor(1, 2));
    expect(table[512 + 1]).toBe(((255 << 24) | (b << 16) | (g << 8) | r) >>> 0);
    expect(table[256 + 1]).not.toBe(table[512 + 1]);
    expect(new Set(table.subarray(0, 256)).size).toBe(1);
  });

  it("are read from every form a browser gives", () => {
    expect(parseColor("#0f8")).toEqual([0, 255, 136]);
    expect(parseColor("#0072b2")).toEqual([0, 114, 178]);
    expect(parseColor("rgba(1, 2, 3, 0.87)")).toEqual([1, 2, 3]);
    expect(parseColor("color(srgb 1 0.5 0)")).toEqual([255, 127.5, 0]);
  });

  it("give many points small and light dots, few points large ones, and one selected point a large one", () => {
    const sizes = [0.005, 0.05, 0.3, 3, 30].map((density, i) => look(density, 200 * 10 ** i));
    for (let i = 1; i < sizes.length; i++) {
      expect(sizes[i]?.radius).toBeLessThanOrEqual(sizes[i - 1]?.radius ?? 0);
      expect(sizes[i]?.opacity).toBeLessThanOrEqual(sizes[i - 1]?.opacity ?? 0);
    }
    expect(standing(0.7, 1)).toBe(4);
    expect(standing(0.7, 5000)).toBe(0.7);
  });
});
