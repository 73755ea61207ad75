/** Pictures decoded before a tile shows them: until then the tile keeps its ground, and it never flashes nor shows another's picture. */

// To begin decoding costs the main thread about a third of a millisecond each: so many leave room for a frame.
const AT_ONCE = 12;
// A few screens. They hold what the browser has loaded, so that a tile which comes back is drawn in the same frame.
const MOST_HELD = 1500;

interface Held {
  image: HTMLImageElement;
  ready: boolean;
  awaited: boolean; // a tile has asked for it
  done: Promise<void>;
}

export class Decoded {
  readonly #held = new Map<string, Held>(); // by URL, in the order of arrival
  readonly #changed: () => void;
  #later: string[] = [];
  #slice: ReturnType<typeof setTimeout> | undefined;

  /** `changed` is called when a picture is ready that a tile has asked for; several may be by then. */
  constructor(changed: () => void) {
    this.#changed = changed;
  }

  /** Whether a tile may show it now. Asked the first time, it begins to decode. */
  ready(url: string): boolean {
    const held = this.#hold(url);
    held.awaited = true;
    return held.ready;
  }

  /** Its longer side in px, 0 when it is not decoded or cannot be. */
  sizePx(url: string): number {
    const image = this.#held.get(url)?.image;
    return image === undefined ? 0 : Math.max(image.naturalWidth, image.naturalHeight);
  }

  /** Decodes these off the main thread; true when there is nothing to wait for. */
  prepare(urls: readonly string[]): boolean {
    return urls.map((url) => this.#hold(url)).every(({ ready }) => ready);
  }

  /** Decodes these in slices, so that what moves meanwhile goes on moving. Those asked for by then are not done twice. */
  prepareLater(urls: readonly string[]): void {
    this.#later.push(...urls);
    // What would be forgotten before anybody sees it is not begun.
    this.#later.splice(0, this.#later.length - MOST_HELD);
    this.#slice ??= setTimeout(() => this.#next());
  }

  /** Resolves once all of them are decoded, or cannot be. */
  async decoded(urls: readonly string[]): Promise<void> {
    await Promise.all(urls.map((url) => this.#hold(url).done));
  }

  /** Begins nothing any more. */
  stop(): void {
    clearTimeout(this.#slice);
    this.#later = [];
  }

  #next(): void {
    for (const url of this.#later.splice(0, AT_ONCE)) this.#hold(url);
    this.#slice = this.#later.length > 0 ? setTimeout(() => this.#next()) : undefined;
  }

  #hold(url: string): Held {
    const before = this.#held.get(url);
    if (before !== undefined) return before;
    const image = new Image();
    image.decoding = "async";
    image.src = url;
    const waits = typeof image.decode === "function";
    const held: Held = { image, ready: !waits, awaited: false, done: Promise.resolve() };
    this.#held.set(url, held);
    for (const oldest of this.#held.keys()) {
      if (this.#held.size <= MOST_HELD) break;
      this.#held.delete(oldest);
    }
    // What cannot be decoded is shown as the browser shows it.
    const shown = (): void => {
      held.ready = true;
      if (held.awaited) this.#changed();
    };
    if (waits) held.done = image.decode().then(shown, shown);
    return held;
  }
}
