/** A picture that zooms to the pointer with the wheel and moves with a drag. */

const MOST_SCALE = 64;
// From here on one wants to see the pixels and not a blur between them.
const PIXELATED_FROM = 2;

export interface View {
  scale: number; // screen px per picture px
  x: number; // of the picture's left edge in the frame
  y: number;
}

interface Size {
  width: number;
  height: number;
}

/** The whole picture in the middle; small ones grow by whole pixels. */
export function fitted(picture: Size, frame: Size): View {
  const fill = Math.min(frame.width / picture.width, frame.height / picture.height);
  const scale = fill >= 2 ? Math.min(Math.floor(fill), MOST_SCALE) : fill;
  return { scale, x: (frame.width - picture.width * scale) / 2, y: (frame.height - picture.height * scale) / 2 };
}

/** Zooms by a factor so that the point under the pointer stays there. */
export function zoomed(view: View, factor: number, at: { x: number; y: number }, least: number): View {
  const scale = Math.min(Math.max(view.scale * factor, Math.min(least, 1)), MOST_SCALE);
  const ratio = scale / view.scale;
  return { scale, x: at.x - (at.x - view.x) * ratio, y: at.y - (at.y - view.y) * ratio };
}

/** Keeps at least a part of the picture in the frame. */
export function kept(view: View, picture: Size, frame: Size): View {
  const hold = (place: number, size: number, room: number): number =>
    size <= room ? Math.min(Math.max(place, 0), room - size) : Math.min(Math.max(place, room - size), 0);
  return {
    scale: view.scale,
    x: hold(view.x, picture.width * view.scale, frame.width),
    y: hold(view.y, picture.height * view.scale, frame.height),
  };
}

export class ZoomedPicture {
  readonly #frame: HTMLElement;
  readonly #image: HTMLImageElement;
  #view: View | null = null;
  #fit = true;
  /** Called whenever the picture stands elsewhere, or has another size, or is another one. */
  viewed: () => void = () => {};

  constructor(frame: HTMLElement, signal: AbortSignal) {
    this.#frame = frame;
    this.#image = document.createElement("img");
    this.#image.alt = "";
    this.#image.draggable = false;
    this.#image.addEventListener("load", () => this.fit());
    frame.append(this.#image);
    frame.addEventListener("wheel", (event) => this.#wheel(event), { signal, passive: false });
    frame.addEventListener("dblclick", () => this.fit(), { signal });
    this.#drag(signal);
  }

  show(url: string | null, alt: string): void {
    this.#image.hidden = url === null;
    this.#image.alt = alt;
    if (url === null) this.#image.removeAttribute("src");
    else this.#image.src = url;
    this.viewed();
  }

  fit(): void {
    this.#fit = true;
    if (this.#away()) return;
    this.#set(fitted(this.#picture(), this.#room()));
  }

  /** Where the picture stands in the frame, in px; null as long as there is none. */
  place(): { x: number; y: number; width: number; height: number } | null {
    const view = this.#view;
    if (view === null || this.#image.hidden || this.#image.naturalWidth === 0) return null;
    const { width, height } = this.#picture();
    return { x: view.x, y: view.y, width: width * view.scale, height: height * view.scale };
  }

  /** After the frame changed its size. */
  resized(): void {
    if (this.#away()) return;
    if (this.#fit) this.fit();
    else if (this.#view !== null) this.#set(kept(this.#view, this.#picture(), this.#room()));
  }

  zoom(factor: number, at?: { x: number; y: number }): void {
    const room = this.#room();
    if (this.#view === null) return;
    this.#fit = false;
    const least = fitted(this.#picture(), room).scale;
    const next = zoomed(this.#view, factor, at ?? { x: room.width / 2, y: room.height / 2 }, least);
    this.#set(kept(next, this.#picture(), room));
  }

  #picture(): Size {
    return { width: this.#image.naturalWidth || 1, height: this.#image.naturalHeight || 1 };
  }

  /** Hidden for a moment, as by another tab or a change of theme: there is nothing to fit into, and what was seen comes back. */
  #away(): boolean {
    return this.#view !== null && (this.#frame.clientWidth === 0 || this.#frame.clientHeight === 0);
  }

  #room(): Size {
    return { width: this.#frame.clientWidth || 1, height: this.#frame.clientHeight || 1 };
  }

  #set(view: View): void {
    this.#view = view;
    const { style } = this.#image;
    style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
    style.imageRendering = view.scale >= PIXELATED_FROM ? "pixelated" : "auto";
    this.viewed();
  }

  #wheel(event: WheelEvent): void {
    event.preventDefault();
    const bounds = this.#frame.getBoundingClientRect();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    this.zoom(2 ** ((-event.deltaY * lines) / 200), { x: event.clientX - bounds.left, y: event.clientY - bounds.top });
  }

  #drag(signal: AbortSignal): void {
    const frame = this.#frame;
    let last: { x: number; y: number } | null = null;
    const end = (): void => {
      last = null;
      frame.removeAttribute("data-dragging");
    };
    frame.addEventListener(
      "pointerdown",
      (event) => {
        if (event.button !== 0) return;
        last = { x: event.clientX, y: event.clientY };
        frame.setPointerCapture(event.pointerId);
        frame.toggleAttribute("data-dragging", true);
      },
      { signal },
    );
    frame.addEventListener(
      "pointermove",
      (event) => {
        if (last === null || this.#view === null) return;
        const moved = {
          ...this.#view,
          x: this.#view.x + event.clientX - last.x,
          y: this.#view.y + event.clientY - last.y,
        };
        last = { x: event.clientX, y: event.clientY };
        this.#fit = false;
        this.#set(kept(moved, this.#picture(), this.#room()));
      },
      { signal },
    );
    frame.addEventListener("pointerup", end, { signal });
    frame.addEventListener("pointercancel", end, { signal });
  }
}
