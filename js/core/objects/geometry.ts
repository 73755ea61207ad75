/** Where boxes lie: on the screen, under the pointer, and after a drag. */
import type { Box, Shape } from "./shapes.js";

export interface Size {
  width: number;
  height: number;
}

export interface Point {
  x: number;
  y: number;
}

/** Where a picture is drawn: its left and top edge and its size, in px of the screen. */
export interface Place extends Point, Size {}

/** Which sides of a box a handle moves: −1 left or top, 1 right or bottom, 0 neither. */
export interface Handle {
  x: -1 | 0 | 1;
  y: -1 | 0 | 1;
}

export const HANDLES: readonly Handle[] = [
  { x: -1, y: -1 },
  { x: 1, y: -1 },
  { x: 1, y: 1 },
  { x: -1, y: 1 },
  { x: 0, y: -1 },
  { x: 1, y: 0 },
  { x: 0, y: 1 },
  { x: -1, y: 0 },
];

const REACH_PX = 7;
// A box beside which one points is meant as well.
const NEAR_PX = 3;
// On shorter sides the handles between the corners would stand on each other.
const ROOM_PX = 28;

/** Where `object-fit: contain` draws a picture. */
export function contained(picture: Size, frame: Size): Place {
  const scale = Math.min(frame.width / picture.width, frame.height / picture.height);
  const [width, height] = [picture.width * scale, picture.height * scale];
  return { x: (frame.width - width) / 2, y: (frame.height - height) / 2, width, height };
}

/** A box with sides above nought, whichever way it was drawn. */
export function upright({ left, top, width, height }: Box): Box {
  return {
    left: Math.min(left, left + width),
    top: Math.min(top, top + height),
    width: Math.abs(width),
    height: Math.abs(height),
  };
}

export const scaled = (box: Box, x: number, y: number): Box => ({
  left: box.left * x,
  top: box.top * y,
  width: box.width * x,
  height: box.height * y,
});

export function onScreen(box: Box, place: Place): Box {
  const { left, top, width, height } = scaled(upright(box), place.width, place.height);
  return { left: left + place.x, top: top + place.y, width, height };
}

/** The objects under a place on the screen, the smallest first: a hat lies on a person, and is meant. */
export function under(shapes: readonly Shape[], at: Point, place: Place): Shape[] {
  const hits = shapes.filter((shape) => {
    if (shape.box === null) return false;
    const { left, top, width, height } = onScreen(shape.box, place);
    const inside = (value: number, low: number, size: number): boolean =>
      value >= low - NEAR_PX && value <= low + size + NEAR_PX;
    return inside(at.x, left, width) && inside(at.y, top, height);
  });
  const area = ({ box }: Shape): number => (box === null ? 0 : Math.abs(box.width * box.height));
  return hits.sort((a, b) => area(a) - area(b));
}

/** The handles that a box has room for, and where they stand. */
export function handlesOf(box: Box): (Handle & { at: Point })[] {
  const roomy = (handle: Handle): boolean =>
    (handle.x !== 0 || box.width >= ROOM_PX) && (handle.y !== 0 || box.height >= ROOM_PX);
  return HANDLES.filter(roomy).map((handle) => ({
    ...handle,
    at: { x: box.left + (box.width * (handle.x + 1)) / 2, y: box.top + (box.height * (handle.y + 1)) / 2 },
  }));
}

export function handleAt(box: Box, at: Point): Handle | null {
  const near = handlesOf(box).find(
    (one) => Math.abs(one.at.x - at.x) <= REACH_PX && Math.abs(one.at.y - at.y) <= REACH_PX,
  );
  return near === undefined ? null : { x: near.x, y: near.y };
}

/** A box moved as a whole, in px of the picture, which it does not leave further than it did. */
export function moved(box: Box, dx: number, dy: number, picture: Size): Box {
  const held = (low: number, size: number, by: number, room: number): number =>
    Math.min(Math.max(low + by, Math.min(0, low)), Math.max(room - size, low));
  return {
    ...box,
    left: held(box.left, box.width, dx, picture.width),
    top: held(box.top, box.height, dy, picture.height),
  };
}

/** A box with one of its handles elsewhere, in px of the picture; drawn over itself it turns, and it ends at the picture's edge. */
export function resized(box: Box, handle: Handle, dx: number, dy: number, picture: Size): Box {
  const side = (low: number, size: number, which: number, by: number, room: number): [number, number] => {
    const within = (value: number): number => Math.min(Math.max(value, 0), room);
    const a = which === -1 ? within(low + by) : low;
    const b = which === 1 ? within(low + size + by) : low + size;
    return [Math.min(a, b), Math.abs(b - a)];
  };
  const [left, width] = side(box.left, box.width, handle.x, dx, picture.width);
  const [top, height] = side(box.top, box.height, handle.y, dy, picture.height);
  return { left, top, width, height };
}

/** The box between two places of the picture, as far as it lies in it. */
export function between(a: Point, b: Point, picture: Size): Box {
  const within = (value: number, room: number): number => Math.min(Math.max(value, 0), room);
  const [x0, x1] = [within(a.x, picture.width), within(b.x, picture.width)];
  const [y0, y1] = [within(a.y, picture.height), within(b.y, picture.height)];
  return { left: Math.min(x0, x1), top: Math.min(y0, y1), width: Math.abs(x1 - x0), height: Math.abs(y1 - y0) };
}

/** The object with another box (shares); its outlines and keypoints go with it, as the kernel moves them. */
export function placed(shape: Shape, box: Box): Shape {
  const before = shape.box;
  if (before === null) return { ...shape, box };
  const known = before.width > 0 && before.height > 0;
  const [across, down] = known ? [box.width / before.width, box.height / before.height] : [1, 1];
  const x = (value: number): number => box.left + (value - before.left) * across;
  const y = (value: number): number => box.top + (value - before.top) * down;
  return {
    ...shape,
    box,
    rings: shape.rings.map((ring) => ring.map((value, i) => (i % 2 === 0 ? x(value) : y(value)))),
    keypoints: shape.keypoints.map((value, i) => (i % 3 === 0 ? x(value) : i % 3 === 1 ? y(value) : value)),
  };
}

/** As the kernel is told: left, top, width, height in px, to a hundredth. */
export const rounded = ({ left, top, width, height }: Box): number[] =>
  [left, top, width, height].map((value) => Math.round(value * 100) / 100);

/** In which direction a handle is dragged, as a cursor shows it. */
export function cursorOf({ x, y }: { x: number; y: number }): string {
  if (x === 0) return "ns";
  if (y === 0) return "ew";
  return x === y ? "nwse" : "nesw";
}
