/** Thumbnails as Blob URLs, under one bound of bytes for all panels; the least recently used go first. */
import type { Images } from "./contract.js";

const DEFAULT_BOUND_BYTES = 96 * 1024 * 1024;

interface Entry {
  url: string;
  bytes: number;
}

export class ImageCache implements Images {
  readonly #entries = new Map<string, Entry>(); // in the order of use
  readonly #bound: number;
  #bytes = 0;

  constructor(boundBytes = DEFAULT_BOUND_BYTES) {
    this.#bound = boundBytes;
  }

  get(no: number, px: number): string | null {
    const key = `${no}/${px}`;
    const entry = this.#entries.get(key);
    if (entry === undefined) return null;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.url;
  }

  put(no: number, px: number, mime: string, bytes: DataView): string {
    const key = `${no}/${px}`;
    this.#drop(key);
    // A copy: the view is a window on the whole message, which would stay in memory as long as one tile of it.
    const blob = new Blob([new Uint8Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength)], {
      type: mime,
    });
    const entry = { url: URL.createObjectURL(blob), bytes: bytes.byteLength };
    this.#entries.set(key, entry);
    this.#bytes += entry.bytes;
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#bound || oldest === key) break;
      this.#drop(oldest);
    }
    return entry.url;
  }

  clear(): void {
    for (const key of [...this.#entries.keys()]) this.#drop(key);
  }

  #drop(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    URL.revokeObjectURL(entry.url);
    this.#bytes -= entry.bytes;
    this.#entries.delete(key);
  }
}
