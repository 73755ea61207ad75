// @vitest-environment jsdom
import { beforeAll, describe, expect, it } from "vitest";
import type { Shape } from "./shapes.js";
import { drawVectors, linesOf, svgAfter } from "./vector.js";

beforeAll(() => {
  HTMLCanvasElement.prototype.getContext = (() => null) as never; // jsdom has none
});

const PLACE = { x: 0, y: 10, width: 100, height: 80 };
const FRAME = { width: 100, height: 100 };
const shape = (object: number, color: string, more: Partial<Shape> = {}): Shape => ({
  object,
  id: "",
  label: `<b>${object}</b>`,
  color,
  box: { left: 0.1, top: 0.5, width: 0.2, height: 0.25 },
  crowd: false,
  track: null,
  rings: [],
  keypoints: [],
  limbs: [],
  ...more,
});

function over(): { svg: SVGSVGElement; drawn: (name: string) => (string | null)[] } {
  const image = document.createElement("img");
  document.createElement("div").append(image);
  const svg = svgAfter(image);
  return { svg, drawn: (name) => [...svg.querySelectorAll("path")].map((path) => path.getAttribute(name)) };
}

describe("objects as paths", () => {
  it("are one path for each colour, over one for the edges", () => {
    const lines = linesOf([shape(1, "#0072b2"), shape(2, "#0072b2"), shape(3, "#000000")], PLACE, {});
    expect(lines.map(({ stroke, d }) => [stroke, d.split("M").length - 1])).toEqual([
      ["rgb(255 255 255 / 80%)", 3],
      ["#0072b2", 2],
      ["#000000", 1],
    ]);
    expect(lines[2]?.d).toBe("M10 50h20v20h-20z");
    expect(Number(lines[0]?.["stroke-width"])).toBeGreaterThan(Number(lines[1]?.["stroke-width"]));
  });

  it("have masks below, each its own, and dashed crowds", () => {
    const ring = Float32Array.of(0, 0, 1, 0, 1, 1);
    const lines = linesOf(
      [shape(1, "#0072b2", { crowd: true }), shape(2, "#0072b2", { rings: [ring, ring], box: null })],
      PLACE,
      {},
    );
    expect(lines[0]).toMatchObject({ fill: "#0072b2", d: "M0 10L100 10L100 90zM0 10L100 10L100 90z" });
    expect(lines.map((line) => line["stroke-dasharray"])).toEqual(["none", "4 3", "4 3"]);
  });

  it("show keypoints, hollow where they are hidden", () => {
    const lines = linesOf([shape(1, "#0072b2", { box: null, keypoints: [0.5, 0.5, 2, 0.1, 0.1, 1] })], PLACE, {});
    expect(lines.map(({ fill }) => fill)).toEqual(["none", "#0072b2", "#ffffff"]);
  });

  it("show a skeleton under its points, and no line to a point that is not there", () => {
    const person = { box: null, keypoints: [0.5, 0.5, 2, 0.1, 0.1, 1, 0.9, 0.5, 2], limbs: [0, 1, 1, 2, 2, 7] };
    const lines = linesOf([shape(1, "#0072b2", person)], PLACE, {});
    const limbs = lines.filter(({ stroke, fill }) => stroke === "#0072b2" && fill === "none");
    expect(limbs.map(({ d }) => d)).toEqual(["M50 50L10 18M10 18L90 50"]);
    expect(lines.indexOf(limbs[0] as never)).toBeLessThan(lines.findIndex(({ fill }) => fill === "#0072b2"));
  });

  it("use their elements again, and leave none of what was there before", () => {
    const { svg, drawn } = over();
    drawVectors(svg, FRAME, [shape(1, "#0072b2"), shape(2, "#e69f00")], PLACE, { labels: false });
    const first = svg.querySelector("path");
    expect(drawn("d").length).toBe(4);
    drawVectors(svg, FRAME, [shape(3, "#e69f00", { crowd: true })], PLACE, { labels: false });
    expect(svg.querySelector("path")).toBe(first);
    expect(drawn("stroke").at(-1)).toBe("#e69f00");
    drawVectors(svg, FRAME, [shape(3, "#e69f00")], PLACE, { labels: false });
    expect(drawn("stroke-dasharray")).toEqual(["none", "none"]);
  });

  it("write names as the text they are, and not over each other", () => {
    const { svg } = over();
    drawVectors(svg, FRAME, [shape(1, "#0072b2"), shape(2, "#e69f00")], PLACE, { labels: true });
    expect([...svg.querySelectorAll("text")].map(({ textContent }) => textContent)).toEqual(["<b>1</b>"]);
    drawVectors(svg, FRAME, [shape(1, "#0072b2")], PLACE, { labels: false });
    expect(svg.querySelector("text")).toBeNull();
  });
});
