/** Where on the screen the names of the classes stand, and which fit beside each other. */
import type { Affine, Size } from "./camera.js";
import type { ClassName } from "./names.js";

export interface PlacedName {
  text: string;
  x: number; // the middle of the text, on the screen
  y: number;
}

/** The larger class first; a name in the way of another moves up or down a line, or stays away. */
export function placeNames(
  names: readonly ClassName[],
  transform: Affine,
  screen: Size,
  width: (text: string) => number,
  line: number,
): PlacedName[] {
  const taken: [number, number, number, number][] = [];
  const placed: PlacedName[] = [];
  for (const name of names) {
    const x = name.x * transform.ax + transform.bx;
    // On a cluster that is not much higher than the text, the name would hide what it names: then it stands above.
    const low = name.low * transform.ay + transform.by;
    const high = name.high * transform.ay + transform.by;
    const small = low - high < 4 * line;
    const y = small ? Math.max(line / 2, high - 0.8 * line) : name.y * transform.ay + transform.by;
    if (x < 0 || y < 0 || x > screen.width || y > screen.height) continue;
    const half = width(name.text) / 2 + 3;
    for (const shift of [0, -1, 1, -2, 2]) {
      const middle = y + shift * line * 0.9;
      const box: [number, number, number, number] = [x - half, middle - line / 2, x + half, middle + line / 2];
      if (taken.some((other) => box[0] < other[2] && box[2] > other[0] && box[1] < other[3] && box[3] > other[1]))
        continue;
      taken.push(box);
      placed.push({ text: name.text, x, y: middle });
      break;
    }
  }
  return placed;
}
