/** Draws objects over the inspected picture; how they look in tiles and in the card of the pointer as well (vector.ts). */
import { handlesOf, onScreen, type Place, type Size } from "./geometry.js";
import { type Box, limbsOf, type Shape } from "./shapes.js";

export interface Look {
  boxes: boolean;
  masks: boolean;
  keypoints: boolean;
  labels: boolean;
  /** Stand out; one alone has handles. */
  selected?: ReadonlySet<number>;
  /** Stand out, and say their name. */
  marked?: ReadonlySet<number>;
}

// Seen on any picture: a dark colour has a light edge, a light one a dark edge.
const EDGES = { "#000000": "rgb(0 0 0 / 65%)", "#ffffff": "rgb(255 255 255 / 80%)" } as const;
const LIGHT = "#ffffff";
export const MASK_ALPHA = 0.32;
export const LINE_PX = 1.5;
export const THIN_PX = 1.25;
export const CROWD_DASH = [4, 3];
const HANDLE_PX = 7;
const FONT_PX = 11;
export const FONT = `${FONT_PX}px system-ui, sans-serif`;
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
  const { plain, special } = split(shapes, look);
  context.lineJoin = "round";
  if (look.masks) for (const shape of shapes) drawMask(context, shape, place, special.includes(shape));
  const line = Math.max(place.width, place.height) < WORDS_FROM_PX ? THIN_PX : LINE_PX;
  if (look.boxes) for (const shape of plain) drawBox(context, shape, place, line);
  for (const shape of special) drawBox(context, shape, place, LINE_PX + 1);
  if (look.keypoints) for (const shape of shapes) drawKeypoints(context, shape, place);
  context.font = FONT;
  for (const name of namesOf(shapes, place, look, (text) => context.measureText(text).width)) drawName(context, name);
  const selected = look.selected?.size === 1 ? special.find(({ object }) => look.selected?.has(object)) : undefined;
  if (selected?.box) drawHandles(context, onScreen(selected.box, place));
}

/** What stands out, and all others. */
export function split(shapes: readonly Shape[], { selected, marked }: Pick<Look, "selected" | "marked">) {
  const standsOut = ({ object }: Shape): boolean => selected?.has(object) === true || marked?.has(object) === true;
  return { plain: shapes.filter((shape) => !standsOut(shape)), special: shapes.filter(standsOut) };
}

/** A name that is written, and the ground it stands on. */
export interface Name extends Box {
  text: string;
  color: string;
}

/**
 * Where names are written. One that would lie on another is left out; pointing at the object says it. What stands out comes first,
 * and has its name in any case.
 */
export function namesOf(
  shapes: readonly Shape[],
  place: Place,
  look: Pick<Look, "labels" | "selected" | "marked">,
  widthOf: (text: string) => number,
): Name[] {
  const { plain, special } = split(shapes, look);
  const names = special.flatMap((shape) => nameOf(shape, place, widthOf) ?? []);
  if (!look.labels) return names;
  for (const shape of plain) {
    const name = nameOf(shape, place, widthOf);
    if (name !== null && !names.some((other) => overlap(name, other))) names.push(name);
  }
  return names;
}

const overlap = (a: Box, b: Box): boolean =>
  a.left < b.left + b.width && b.left < a.left + a.width && a.top < b.top + b.height && b.top < a.top + a.height;

/** The box that is being drawn. */
export function drawNew(context: CanvasRenderingContext2D, box: Box, place: Place, color: string): void {
  const { left, top, width, height } = onScreen(box, place);
  context.setLineDash([5, 3]);
  stroked(context, color, 2, () => context.strokeRect(left, top, width, height));
  context.setLineDash([]);
}

function stroked(context: CanvasRenderingContext2D, color: string, line: number, draw: () => void): void {
  context.strokeStyle = edgeOf(color);
  context.lineWidth = line + 1.5;
  draw();
  context.strokeStyle = color;
  context.lineWidth = line;
  draw();
}

function drawBox(context: CanvasRenderingContext2D, { box, crowd, color }: Shape, place: Place, line: number): void {
  if (box === null) return;
  const { left, top, width, height } = onScreen(box, place);
  if (crowd) context.setLineDash(CROWD_DASH);
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

function drawKeypoints(context: CanvasRenderingContext2D, shape: Shape, place: Place): void {
  const { keypoints, color } = shape;
  context.beginPath();
  for (const [x0 = 0, y0 = 0, x1 = 0, y1 = 0] of limbsOf(shape)) {
    context.moveTo(place.x + x0 * place.width, place.y + y0 * place.height);
    context.lineTo(place.x + x1 * place.width, place.y + y1 * place.height);
  }
  stroked(context, color, THIN_PX, () => context.stroke());
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

/** Over the box, or inside it where there is no room over it. */
function nameOf(shape: Shape, place: Place, widthOf: (text: string) => number): Name | null {
  if (shape.box === null) return null;
  const { left, top } = onScreen(shape.box, place);
  const text = shortened(shape.label ?? "no label");
  const [width, height] = [widthOf(text) + 6, FONT_PX + 4];
  const y = top - height >= Math.min(place.y, 0) ? top - height : top;
  const x = Math.min(Math.max(left - 1, place.x), Math.max(place.x + place.width - width, place.x));
  return { left: x, top: y, width, height, text, color: shape.color };
}

function drawName(context: CanvasRenderingContext2D, { left, top, width, height, text, color }: Name): void {
  context.textBaseline = "middle";
  context.fillStyle = color;
  context.fillRect(left, top, width, height);
  context.fillStyle = inkOn(color);
  context.fillText(text, left + 3, top + height / 2 + 0.5);
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

export const edgeOf = (color: string): string => EDGES[inkOn(color)];

/** Black or white, whichever is easier to read on a colour (WCAG's relative luminance). */
export function inkOn(color: string): "#000000" | "#ffffff" {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((start) => {
    const value = Number.parseInt(color.slice(start, start + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000000" : "#ffffff";
}
