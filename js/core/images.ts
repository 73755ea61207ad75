/** Thumbnails as URLs, under one bound of bytes for all panels; the least recently used go first. */
import type { Images } from "./contract.js";

const DEFAULT_BOUND_BYTES = 96 * 1024 * 1024;
// A Blob URL is fetched by way of another process, each picture on its own: a page of 120 takes 150 ms until it is decoded, as data
// URLs 35 ms. Those are texts a third longer than the bytes, and only small ones are worth it.
const LARGEST_INLINE_BYTES = 64 * 1024;
// What data may say about itself ends up in the address of a picture; it is never anything else.
const MIME = /^image\/[a-z0-9.+-]+$/;

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
    const entry = entryOf(bytes, MIME.test(mime) ? mime : "image/unknown");
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
    if (entry.url.startsWith("blob:")) URL.revokeObjectURL(entry.url);
    this.#bytes -= entry.bytes;
    this.#entries.delete(key);
  }
}

function entryOf(bytes: DataView, mime: string): Entry {
  const view = new Uint8Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength);
  if (view.length > LARGEST_INLINE_BYTES) {
    // A copy: the view is a window on the whole message, which would stay in memory as long as one tile of it.
    return { url: URL.createObjectURL(new Blob([view], { type: mime })), bytes: view.length };
  }
  const pieces: string[] = [];
  for (let i = 0; i < view.length; i += 8192) pieces.push(String.fromCharCode(...view.subarray(i, i + 8192)));
  const url = `data:${mime};base64,${btoa(pieces.join(""))}`;
  return { url, bytes: url.length };
}
