/** Pictures decoded before a tile shows them: until then the tile keeps its ground, and it never flashes nor shows another's picture. */

// A few screens. They hold what the browser has loaded, so that a tile which comes back is drawn in the same frame.
const MOST_HELD = 1500;

export class Decoded {
  readonly #held = new Map<string, { image: HTMLImageElement; ready: boolean }>(); // by URL, in the order of arrival
  readonly #changed: () => void;

  /** `changed` is called when a picture is ready; several may be by then. */
  constructor(changed: () => void) {
    this.#changed = changed;
  }

  /** Whether a tile may show it now. Asked the first time, it begins to decode. */
  ready(url: string): boolean {
    const held = this.#held.get(url);
    return held === undefined ? this.prepare(url) : held.ready;
  }

  /** Decodes off the main thread; true when there is nothing to wait for. */
  prepare(url: string): boolean {
    const before = this.#held.get(url);
    if (before !== undefined) return before.ready;
    const image = new Image();
    image.decoding = "async";
    image.src = url;
    const held = { image, ready: typeof image.decode !== "function" };
    this.#held.set(url, held);
    for (const oldest of this.#held.keys()) {
      if (this.#held.size <= MOST_HELD) break;
      this.#held.delete(oldest);
    }
    if (held.ready) return true;
    // What cannot be decoded is shown as the browser shows it.
    const done = (): void => {
      held.ready = true;
      this.#changed();
    };
    image.decode().then(done, done);
    return false;
  }
}
