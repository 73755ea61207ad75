/**
 * Where the plot looks. Three spaces meet here: data (what the projection computed), world (the longer side is 1, y upwards) and
 * screen (CSS pixels, y downwards). Inside the engine points stand in steps (uint16, 0…65,535 of `bounds`). A view
 * is a plain value; every change makes a new one.
 */

/** x low, y low, x high, y high, in data coordinates. */
export type Bounds = readonly [number, number, number, number];

export interface Size {
  width: number;
  height: number;
}

/** Centre in world units, and CSS pixels for one world unit. */
export interface View {
  x: number;
  y: number;
  scale: number;
}

/** screen = value * a + b, for each axis; the values are data coordinates, or steps inside the renderers. */
export interface Affine {
  ax: number;
  bx: number;
  ay: number;
  by: number;
}

export interface Insets {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

export const LAST_STEP = 65535;
const STEP_PX = 4;
const CLOSER = 2 ** 16;

/** A PCA can be twenty times as wide as high; beyond this ratio both axes get a scale of their own, or nothing could be lassoed. */
const FLATTEST = 1.8;

export function worldOf(bounds: Bounds): Size {
  const width = bounds[2] - bounds[0];
  const height = bounds[3] - bounds[1];
  if (!(width > 0) || !(height > 0)) return { width: 1, height: 1 };
  const aspect = Math.min(FLATTEST, Math.max(1 / FLATTEST, width / height));
  return aspect >= 1 ? { width: 1, height: 1 / aspect } : { width: aspect, height: 1 };
}

export function fitted(world: Size, screen: Size, insets: Insets): View {
  const roomX = Math.max(16, screen.width - insets.left - insets.right);
  const roomY = Math.max(16, screen.height - insets.top - insets.bottom);
  const scale = Math.min(roomX / world.width, roomY / world.height);
  return {
    x: world.width / 2 + (screen.width / 2 - insets.left - roomX / 2) / scale,
    y: world.height / 2 - (screen.height / 2 - insets.top - roomY / 2) / scale,
    scale,
  };
}

/** Where an axis begins and how long it is. One on which all points share a place is a unit long, with them in its middle. */
function axis(low: number, high: number): readonly [number, number] {
  return high > low ? [low, high - low] : [low - 0.5, 1];
}

/** Data coordinates to the screen. */
export function affine(view: View, world: Size, screen: Size, bounds: Bounds): Affine {
  const [x, width] = axis(bounds[0], bounds[2]);
  const [y, height] = axis(bounds[1], bounds[3]);
  const ax = (world.width * view.scale) / width;
  const ay = (-world.height * view.scale) / height;
  return {
    ax,
    bx: screen.width / 2 - view.x * view.scale - x * ax,
    ay,
    by: screen.height / 2 + view.y * view.scale - y * ay,
  };
}

/** The view's centre for a place in data coordinates. */
export function worldAt(world: Size, bounds: Bounds, x: number, y: number): { x: number; y: number } {
  const [left, width] = axis(bounds[0], bounds[2]);
  const [bottom, height] = axis(bounds[1], bounds[3]);
  return { x: ((x - left) / width) * world.width, y: ((y - bottom) / height) * world.height };
}

export function panBy(view: View, dx: number, dy: number): View {
  return { x: view.x - dx / view.scale, y: view.y + dy / view.scale, scale: view.scale };
}

/** Zooms so that what lies under the screen point stays there. */
export function zoomAt(
  view: View,
  factor: number,
  at: { x: number; y: number },
  screen: Size,
  limits: readonly [number, number],
): View {
  const scale = Math.min(limits[1], Math.max(limits[0], view.scale * factor));
  const offsetX = at.x - screen.width / 2;
  const offsetY = screen.height / 2 - at.y;
  return {
    x: view.x + offsetX / view.scale - offsetX / scale,
    y: view.y + offsetY / view.scale - offsetY / scale,
    scale,
  };
}

/**
 * From a third of the fitted size down to where neighbouring coordinates stand far apart: they are float32, so at most 2^16 times
 * further than where two of the 65,535 steps of an axis stand 4 pixels apart, and less far where the numbers themselves are large.
 */
export function zoomLimits(fitted: View, world: Size, bounds: Bounds): readonly [number, number] {
  const one = (low: number, high: number, length: number): number => {
    const [, width] = axis(low, high);
    const neighbours = Math.max(Math.abs(low), Math.abs(high)) * 2 ** -24;
    const finest = Math.min(width / LAST_STEP, Math.max(neighbours, width / LAST_STEP / CLOSER));
    return (STEP_PX * width) / finest / length;
  };
  const most = Math.max(one(bounds[0], bounds[2], world.width), one(bounds[1], bounds[3], world.height));
  return [fitted.scale / 3, Math.max(fitted.scale, most)];
}

/** Between two views; the scale moves geometrically, so that zooming feels even. */
export function between(from: View, to: View, t: number): View {
  const scale = from.scale * (to.scale / from.scale) ** t;
  // Moving the centre in step with 1/scale keeps the point that both views share still on the screen.
  const share =
    Math.abs(to.scale - from.scale) < 1e-9 * from.scale
      ? t
      : (1 / from.scale - 1 / scale) / (1 / from.scale - 1 / to.scale);
  return { x: from.x + (to.x - from.x) * share, y: from.y + (to.y - from.y) * share, scale };
}

/** The data coordinates under a place on the screen. */
export function dataAt(transform: Affine, x: number, y: number): [number, number] {
  return [(x - transform.bx) / transform.ax, (y - transform.by) / transform.ay];
}

/** What the screen shows, in data coordinates. */
export function visibleBox(transform: Affine, screen: Size): [number, number, number, number] {
  const [x0, y1] = dataAt(transform, 0, 0);
  const [x1, y0] = dataAt(transform, screen.width, screen.height);
  return [x0, y0, x1, y1];
}

export function stepsToData(bounds: Bounds, stepX: number, stepY: number): [number, number] {
  return [
    bounds[0] + (stepX / LAST_STEP) * (bounds[2] - bounds[0]),
    bounds[1] + (stepY / LAST_STEP) * (bounds[3] - bounds[1]),
  ];
}

export function dataToSteps(bounds: Bounds, x: number, y: number): [number, number] {
  const width = bounds[2] - bounds[0];
  const height = bounds[3] - bounds[1];
  return [
    width > 0 ? ((x - bounds[0]) / width) * LAST_STEP : LAST_STEP / 2,
    height > 0 ? ((y - bounds[1]) / height) * LAST_STEP : LAST_STEP / 2,
  ];
}

/** Data units of one CSS pixel along x and y: what the screen resolves. */
export function pixelInData(transform: Affine): [number, number] {
  return [Math.abs(1 / transform.ax), Math.abs(1 / transform.ay)];
}

/** CSS pixels of one step of the points: above one, rounded places can be told from exact ones. */
export function stepOnScreen(transform: Affine, bounds: Bounds): number {
  return Math.max(
    Math.abs((transform.ax * (bounds[2] - bounds[0])) / LAST_STEP),
    Math.abs((transform.ay * (bounds[3] - bounds[1])) / LAST_STEP),
  );
}
