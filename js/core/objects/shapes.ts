/** Objects as panels draw them, out of the columns in which they come. */
import { categoryColor } from "../colors.js";
import type { Reply } from "../contract.js";
import type { ObjectOperations } from "../protocol_objects.js";

/** One object. Places are shares of the picture, so they fit it at any size. */
export interface Shape {
  object: number;
  id: string;
  label: string | null;
  color: string;
  box: Box | null; // null: it has none, or one that is no number
  crowd: boolean;
  track: string | null;
  rings: Float32Array[]; // x, y, x, y …; filled by the even-odd rule
  keypoints: number[]; // x, y, visibility …
  limbs: number[]; // from, to … as places among the keypoints
}

export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

export interface SampleObjects {
  no: number;
  width: number | null; // of the upright picture, in px
  height: number | null;
  more: number; // so many more are not here
  shapes: Shape[];
}

// Ten colours that everybody tells apart come first, whatever comes after them.
const APART = 10;

export const shapeColor = (color: number): string => categoryColor(color, color < APART ? APART : 255);

export function decoded({ body, buffers }: Pick<Reply<"objects">, "body" | "buffers">): SampleObjects[] {
  const [boxes, points] = buffers;
  const colors = body.colors.map(shapeColor);
  const crowds = new Set(body.crowds);
  let ring = 0;
  let point = 0;
  const shapes = body.objects.map((object, i): Shape => {
    const rings = Array.from({ length: body.rings[i] ?? 0 }, () => {
      const length = 2 * (body.points[ring++] ?? 0);
      const values = new Float32Array(length);
      for (let k = 0; k < length; k++) values[k] = points?.getFloat32(4 * (point + k), true) ?? 0;
      point += length;
      return values;
    });
    const side = (k: number): number => boxes?.getFloat64(8 * (4 * i + k), true) ?? Number.NaN;
    const box = { left: side(0), top: side(1), width: side(2), height: side(3) };
    const label = body.labels[i] ?? -1;
    return {
      object,
      id: body.ids?.[i] ?? "",
      label: body.names[label] ?? null,
      color: colors[label] ?? shapeColor(255),
      box: Object.values(box).every(Number.isFinite) ? box : null,
      crowd: crowds.has(i),
      track: body.tracks?.[i] ?? null,
      rings,
      keypoints: body.keypoints?.[i] ?? [],
      limbs: body.limbs?.[i] ?? [],
    };
  });
  return body.nos.map((no, s) => ({
    no,
    width: body.widths[s] ?? null,
    height: body.heights[s] ?? null,
    more: body.more[s] ?? 0,
    shapes: shapes.slice(body.starts[s], body.starts[s + 1]),
  }));
}

/** Where the lines of a skeleton begin and end, as shares of the picture: x, y, x, y of each. */
export function limbsOf({ keypoints, limbs }: Pick<Shape, "keypoints" | "limbs">): number[][] {
  const at = (end: number | undefined): number[] => keypoints.slice(3 * (end ?? 0), 3 * (end ?? 0) + 2);
  const lines = limbs.flatMap((from, i) => (i % 2 === 0 ? [[...at(from), ...at(limbs[i + 1])]] : []));
  return lines.filter(({ length }) => length === 4);
}

export type ObjectsAnswer = ObjectOperations["objects"]["answer"];
