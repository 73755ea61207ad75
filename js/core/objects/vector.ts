/**
 * Objects over a tile, as a few paths of SVG. A canvas would do, but browsers make a layer of each: with a hundred tiles in sight
 * they are put together anew for every frame that scrolls. Paths are painted with the picture they lie on, and move with it.
 */
import { CROWD_DASH, edgeOf, FONT, inkOn, LINE_PX, type Look, MASK_ALPHA, type Name, namesOf, split, THIN_PX, WORDS_FROM_PX } from "./draw.js"; // biome-ignore format: one line
import { onScreen, type Place, type Size } from "./geometry.js";
import { type Box, limbsOf, type Shape } from "./shapes.js";

/** Attributes of one path. */
type Line = Record<"d" | "fill" | "fill-opacity" | "stroke" | "stroke-width" | "stroke-dasharray", string>;

const SVG = "http://www.w3.org/2000/svg";

export function svgAfter(image: HTMLImageElement): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "dataide-objects-over");
  svg.setAttribute("aria-hidden", "true");
  svg.append(document.createElementNS(SVG, "g"), document.createElementNS(SVG, "g"));
  image.after(svg);
  return svg;
}

/** Draws shapes over a picture that stands at `place` in a frame of this size, in px. What was drawn before is gone. */
export function drawVectors(
  svg: SVGSVGElement,
  frame: Size,
  shapes: readonly Shape[],
  place: Place,
  look: Pick<Look, "labels" | "marked">,
): void {
  svg.setAttribute("viewBox", `0 0 ${frame.width} ${frame.height}`);
  const [lines, words] = svg.children;
  if (lines === undefined || words === undefined) return;
  const drawn = linesOf(shapes, place, look);
  // Paths are used again: while the list moves, a tile's next picture has about as many.
  drawn.forEach((line, i) => {
    const path = lines.children[i] ?? lines.appendChild(document.createElementNS(SVG, "path"));
    for (const [name, value] of Object.entries(line))
      if (path.getAttribute(name) !== value) path.setAttribute(name, value);
  });
  while (lines.children.length > drawn.length) lines.lastElementChild?.remove();
  const names = namesOf(shapes, place, look, measured);
  if (names.length > 0 || words.firstChild !== null) words.replaceChildren(...names.flatMap(written));
}

/** One path for the edges and one for each colour; masks lie below, each its own, because they may overlap. */
export function linesOf(shapes: readonly Shape[], place: Place, look: Pick<Look, "marked">): Line[] {
  const small = Math.max(place.width, place.height) < WORDS_FROM_PX;
  const { plain, special } = split(shapes, look);
  const lines = shapes
    .filter(({ rings }) => rings.length > 0)
    .map(({ rings, color }) => ({
      ...line(rings.map((ring) => outline(ring, place)).join(""), color, 1),
      fill: color,
      "fill-opacity": String(MASK_ALPHA),
    }));
  for (const [group, width] of [
    [plain, small ? THIN_PX : LINE_PX],
    [special, LINE_PX + 1],
  ] as const) {
    const boxes = group.flatMap(({ box, crowd, color }) =>
      box === null ? [] : [{ d: rectangle(onScreen(box, place)), crowd, color }],
    );
    for (const crowd of [false, true]) {
      const some = boxes.filter((one) => one.crowd === crowd);
      const dashed = (one: Line): Line => ({ ...one, "stroke-dasharray": crowd ? CROWD_DASH.join(" ") : "none" });
      for (const [edge, d] of joined(some, ({ color }) => edgeOf(color)))
        lines.push(dashed(line(d, edge, width + 1.5)));
      for (const [color, d] of joined(some, (one) => one.color)) lines.push(dashed(line(d, color, width)));
    }
  }
  const limbs = shapes.flatMap((shape) => limbsOf(shape).map((ends) => ({ d: limb(ends, place), color: shape.color })));
  for (const [edge, d] of joined(limbs, ({ color }) => edgeOf(color))) lines.push(line(d, edge, small ? 2 : 2.5));
  for (const [color, d] of joined(limbs, (one) => one.color)) lines.push(line(d, color, small ? 1 : THIN_PX));
  const dots = shapes.flatMap(({ keypoints, color }) => circles(keypoints, place, small ? 1.5 : 3, color));
  for (const [edge, d] of joined(dots, ({ color }) => edgeOf(color))) lines.push(line(d, edge, 2.5));
  for (const hollow of [false, true]) {
    const some = dots.filter((one) => one.hollow === hollow);
    for (const [color, d] of joined(some, (one) => one.color))
      lines.push({ ...line(d, color, 1), fill: hollow ? "#ffffff" : color });
  }
  return lines;
}

const line = (d: string, stroke: string, width: number): Line => ({
  d,
  fill: "none",
  "fill-opacity": "1",
  stroke,
  "stroke-width": String(width),
  "stroke-dasharray": "none",
});

/** Pieces of paths with the same key as one path each, in order of arrival. */
function joined<T extends { d: string }>(parts: readonly T[], key: (part: T) => string): Map<string, string> {
  const found = new Map<string, string[]>();
  for (const part of parts) {
    const known = found.get(key(part));
    if (known) known.push(part.d);
    else found.set(key(part), [part.d]);
  }
  return new Map([...found].map(([name, list]) => [name, list.join("")]));
}

const px = (value: number): number => Math.round(value * 20) / 20;

const rectangle = ({ left, top, width, height }: Box): string =>
  `M${px(left)} ${px(top)}h${px(width)}v${px(height)}h${px(-width)}z`;

function outline(ring: Float32Array, place: Place): string {
  const corners: string[] = [];
  for (let i = 0; i + 1 < ring.length; i += 2)
    corners.push(`${px(place.x + (ring[i] ?? 0) * place.width)} ${px(place.y + (ring[i + 1] ?? 0) * place.height)}`);
  return corners.length === 0 ? "" : `M${corners.join("L")}z`;
}

const limb = ([x0 = 0, y0 = 0, x1 = 0, y1 = 0]: readonly number[], { x, y, width, height }: Place): string =>
  `M${px(x + x0 * width)} ${px(y + y0 * height)}L${px(x + x1 * width)} ${px(y + y1 * height)}`;

function circles(keypoints: readonly number[], place: Place, radius: number, color: string) {
  const found: { d: string; hollow: boolean; color: string }[] = [];
  for (let i = 0; i + 2 < keypoints.length; i += 3) {
    const [x, y] = [place.x + (keypoints[i] ?? 0) * place.width, place.y + (keypoints[i + 1] ?? 0) * place.height];
    const half = `a${radius} ${radius} 0 1 0`;
    const d = `M${px(x - radius)} ${px(y)}${half} ${2 * radius} 0${half} ${-2 * radius} 0z`;
    found.push({ d, hollow: keypoints[i + 2] === 1, color });
  }
  return found;
}

function written({ left, top, width, height, text, color }: Name): Element[] {
  const ground = document.createElementNS(SVG, "rect");
  const word = document.createElementNS(SVG, "text");
  const put = (element: Element, values: Record<string, string | number>): void => {
    for (const [name, value] of Object.entries(values)) element.setAttribute(name, String(value));
  };
  put(ground, { x: px(left), y: px(top), width: px(width), height, fill: color });
  put(word, { x: px(left) + 3, y: px(top) + height / 2 + 0.5, fill: inkOn(color), "dominant-baseline": "central" });
  word.style.font = FONT;
  word.textContent = text;
  return [ground, word];
}

let pen: CanvasRenderingContext2D | null | undefined;

/** How wide a name is written, in px. */
function measured(text: string): number {
  pen ??= document.createElement("canvas").getContext?.("2d") ?? null;
  if (pen === null) return text.length * 6;
  pen.font = FONT;
  return pen.measureText(text).width;
}
