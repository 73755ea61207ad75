/** Draws objects over a picture: in tiles, in the card of the pointer and in the inspector alike. */
import { handlesOf, onScreen, type Place, type Size } from "./geometry.js";
import type { Box, Shape } from "./shapes.js";

export interface Look {
  boxes: boolean;
  masks: boolean;
  keypoints: boolean;
  labels: boolean;
  selected?: number | null;
  /** Stand out, and say their name. */
  marked?: ReadonlySet<number>;
}

// Seen on any picture: a dark colour has a light edge, a light one a dark edge.
const EDGES = { "#000000": "rgb(0 0 0 / 65%)", "#ffffff": "rgb(255 255 255 / 80%)" } as const;
const LIGHT = "#ffffff";
const MASK_ALPHA = 0.32;
const LINE_PX = 1.5;
const THIN_PX = 1.25;
const HANDLE_PX = 7;
const FONT_PX = 11;
const FONT = `${FONT_PX}px system-ui, sans-serif`;
// Below this a tile is too small for words.
export const WORDS_FROM_PX = 180;
const LONGEST_WORD = 28;

/** Makes the canvas so large, sharp on this screen and empty; null where nothing can be drawn (a test's document). */
export function sheet(canvas: HTMLCanvasElement, { width, height }: Size): CanvasRenderingContext2D | null {
  const ratio = Math.min(window.devicePixelRatio || 1, 3);
  const [across, down] = [Math.max(Math.round(width * ratio), 1), Math.max(Math.round(height * ratio), 1)];
  const context = canvas.getContext?.("2d") ?? null;
  if (context === null) return null;
  if (canvas.width !== across || canvas.height !== down) [canvas.width, canvas.height] = [across, down];
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, across, down);
  context.setTransform(across / width, 0, 0, down / height, 0, 0);
  return context;
}

/** Draws shapes, the largest first, so that small ones lie on top; then what stands out. */
export function drawShapes(
  context: CanvasRenderingContext2D,
  shapes: readonly Shape[],
  place: Place,
  look: Look,
): void {
  const standsOut = ({ object }: Shape): boolean => object === look.selected || look.marked?.has(object) === true;
  const plain = shapes.filter((shape) => !standsOut(shape));
  const special = shapes.filter(standsOut);
  context.lineJoin = "round";
  if (look.masks) for (const shape of shapes) drawMask(context, shape, place, standsOut(shape));
  const line = Math.max(place.width, place.height) < WORDS_FROM_PX ? THIN_PX : LINE_PX;
  if (look.boxes) for (const shape of plain) drawBox(context, shape, place, line);
  for (const shape of special) drawBox(context, shape, place, LINE_PX + 1);
  if (look.keypoints) for (const shape of shapes) drawKeypoints(context, shape, place);
  // A name that would lie on another one is left out; pointing at the object says it. What stands out comes first.
  const names: Box[] = special.map((shape) => drawName(context, shape, place, [])).filter((one) => one !== null);
  if (look.labels) {
    for (const shape of plain) {
      const name = drawName(context, shape, place, names);
      if (name !== null) names.push(name);
    }
  }
  const selected = special.find(({ object }) => object === look.selected);
  if (selected?.box) drawHandles(context, onScreen(selected.box, place));
}

/** The box that is being drawn. */
export function drawNew(context: CanvasRenderingContext2D, box: Box, place: Place, color: string): void {
  const { left, top, width, height } = onScreen(box, place);
  context.setLineDash([5, 3]);
  stroked(context, color, 2, () => context.strokeRect(left, top, width, height));
  context.setLineDash([]);
}

function stroked(context: CanvasRenderingContext2D, color: string, line: number, draw: () => void): void {
  context.strokeStyle = EDGES[inkOn(color)];
  context.lineWidth = line + 1.5;
  draw();
  context.strokeStyle = color;
  context.lineWidth = line;
  draw();
}

function drawBox(context: CanvasRenderingContext2D, { box, crowd, color }: Shape, place: Place, line: number): void {
  if (box === null) return;
  const { left, top, width, height } = onScreen(box, place);
  if (crowd) context.setLineDash([4, 3]);
  stroked(context, color, line, () => context.strokeRect(left, top, width, height));
  if (crowd) context.setLineDash([]);
}

function drawMask(context: CanvasRenderingContext2D, { rings, color }: Shape, place: Place, strong: boolean): void {
  if (rings.length === 0) return;
  context.beginPath();
  for (const ring of rings) {
    for (let i = 0; i + 1 < ring.length; i += 2) {
      const [x, y] = [place.x + (ring[i] ?? 0) * place.width, place.y + (ring[i + 1] ?? 0) * place.height];
      if (i === 0) context.moveTo(x, y);
      else context.lineTo(x, y);
    }
    context.closePath();
  }
  context.globalAlpha = strong ? MASK_ALPHA + 0.15 : MASK_ALPHA;
  context.fillStyle = color;
  context.fill("evenodd");
  context.globalAlpha = 1;
  context.strokeStyle = color;
  context.lineWidth = 1;
  context.stroke();
}

function drawKeypoints(context: CanvasRenderingContext2D, { keypoints, color }: Shape, place: Place): void {
  const radius = Math.max(place.width, place.height) < WORDS_FROM_PX ? 1.5 : 3;
  for (let i = 0; i + 2 < keypoints.length; i += 3) {
    const [x, y] = [place.x + (keypoints[i] ?? 0) * place.width, place.y + (keypoints[i + 1] ?? 0) * place.height];
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    // Hidden behind something: hollow.
    context.fillStyle = keypoints[i + 2] === 1 ? LIGHT : color;
    stroked(context, color, 1, () => context.stroke());
    context.fill();
  }
}

/** Where the name was written; null where there is no room among those that are there. */
function drawName(context: CanvasRenderingContext2D, shape: Shape, place: Place, names: readonly Box[]): Box | null {
  if (shape.box === null) return null;
  const { left, top, height } = onScreen(shape.box, place);
  const text = shortened(shape.label ?? "no label");
  context.font = FONT;
  context.textBaseline = "middle";
  const [width, tall] = [context.measureText(text).width + 6, FONT_PX + 4];
  // Over the box, or inside it where there is no room over it.
  const above = top - tall >= Math.min(place.y, 0);
  const y = above ? top - tall : Math.min(top, top + height);
  const x = Math.min(Math.max(left - 1, place.x), Math.max(place.x + place.width - width, place.x));
  const taken = (other: Box): boolean =>
    x < other.left + other.width && other.left < x + width && y < other.top + other.height && other.top < y + tall;
  if (names.some(taken)) return null;
  context.fillStyle = shape.color;
  context.fillRect(x, y, width, tall);
  context.fillStyle = inkOn(shape.color);
  context.fillText(text, x + 3, y + tall / 2 + 0.5);
  return { left: x, top: y, width, height: tall };
}

function drawHandles(context: CanvasRenderingContext2D, box: Box): void {
  context.lineWidth = 1;
  for (const { at } of handlesOf(box)) {
    const [x, y] = [Math.round(at.x - HANDLE_PX / 2) + 0.5, Math.round(at.y - HANDLE_PX / 2) + 0.5];
    context.fillStyle = LIGHT;
    context.strokeStyle = "#1b1b1d";
    context.fillRect(x, y, HANDLE_PX, HANDLE_PX);
    context.strokeRect(x, y, HANDLE_PX, HANDLE_PX);
  }
}

const shortened = (text: string): string =>
  text.length <= LONGEST_WORD ? text : `${text.slice(0, LONGEST_WORD - 1)}…`;

/** Black or white, whichever is easier to read on a colour (WCAG's relative luminance). */
export function inkOn(color: string): "#000000" | "#ffffff" {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((start) => {
    const value = Number.parseInt(color.slice(start, start + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000000" : "#ffffff";
}
