/** The box of one object over a picture that is shown with `object-fit: contain`. */
import { contained } from "./geometry.js";

/** A box this small would not be seen. */
const LEAST_PX = 4;

/** Puts `mark`, beside a picture that fills their parent, where the box lies; hides it where there is none. */
export function outline(mark: HTMLElement, image: HTMLImageElement, box: readonly number[] | null, px: number): void {
  const [left = 0, top = 0, width = 0, height = 0] = box ?? [];
  mark.hidden = box === null || image.naturalWidth === 0;
  if (mark.hidden) return;
  // Of the place and not of the picture, whose own height may still be that of its pixels.
  const place = mark.parentElement;
  const frame = { width: place?.clientWidth || px, height: place?.clientHeight || px };
  const picture = contained({ width: image.naturalWidth, height: image.naturalHeight }, frame);
  Object.assign(mark.style, {
    left: `${picture.x + left * picture.width}px`,
    top: `${picture.y + top * picture.height}px`,
    width: `${Math.max(width * picture.width, LEAST_PX)}px`,
    height: `${Math.max(height * picture.height, LEAST_PX)}px`,
  });
}
