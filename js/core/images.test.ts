import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { ImageCache } from "./images.js";

const LARGE = 65 * 1024; // of these, Blob URLs are made
const bytes = (count: number): DataView => new DataView(new ArrayBuffer(count));
let revoked: string[] = [];

beforeEach(() => {
  let made = 0;
  revoked = [];
  URL.createObjectURL = vi.fn(() => `blob:${++made}`);
  URL.revokeObjectURL = (url) => void revoked.push(url);
});
afterEach(() => vi.restoreAllMocks());

it("keeps pictures under the bound and lets go of the least recently used", () => {
  const cache = new ImageCache(2.5 * LARGE);
  const first = cache.put(1, 64, "image/png", bytes(LARGE));
  const second = cache.put(2, 64, "image/png", bytes(LARGE));
  cache.get(1, 64);
  cache.put(3, 64, "image/png", bytes(LARGE));
  expect(cache.get(1, 64)).toBe(first);
  expect(cache.get(2, 64)).toBeNull();
  expect(revoked).toEqual([second]);
});

it("keeps sizes apart and replaces a picture that came again", () => {
  const cache = new ImageCache(10 * LARGE);
  const old = cache.put(1, 64, "image/png", bytes(LARGE));
  const large = cache.put(1, 256, "image/png", bytes(LARGE));
  const fresh = cache.put(1, 64, "image/png", bytes(LARGE));
  expect(cache.get(1, 64)).toBe(fresh);
  expect(cache.get(1, 256)).toBe(large);
  expect(revoked).toEqual([old]);
});

it("shows a picture larger than the whole bound all the same", () => {
  const cache = new ImageCache(10);
  expect(cache.get(1, 64) ?? cache.put(1, 64, "image/png", bytes(LARGE))).toBe("blob:1");
  expect(cache.get(1, 64)).toBe("blob:1");
});

it("gives small pictures as data URLs with exactly their bytes, which nothing has to let go of", () => {
  const cache = new ImageCache(1000);
  const message = Uint8Array.from({ length: 20_000 }, (_, i) => (i * 7) & 255);
  const url = cache.put(1, 64, "image/webp", new DataView(message.buffer, 100, 19_000));
  expect(url.startsWith("data:image/webp;base64,")).toBe(true);
  const back = Uint8Array.from(atob(url.slice(url.indexOf(",") + 1)), (letter) => letter.charCodeAt(0));
  expect([...back]).toEqual([...message.subarray(100, 19_100)]);
  cache.put(2, 64, "image/png", bytes(1));
  expect(cache.get(1, 64)).toBeNull();
  expect(revoked).toEqual([]);
});

it("says of what is no picture that it is none", () => {
  expect(new ImageCache().put(1, 64, "text/html,<script>", bytes(3))).toBe("data:image/unknown;base64,AAAA");
});
