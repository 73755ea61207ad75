import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { ImageCache } from "./images.js";

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
  const cache = new ImageCache(100);
  const first = cache.put(1, 64, "image/png", bytes(40));
  const second = cache.put(2, 64, "image/png", bytes(40));
  cache.get(1, 64);
  cache.put(3, 64, "image/png", bytes(40));
  expect(cache.get(1, 64)).toBe(first);
  expect(cache.get(2, 64)).toBeNull();
  expect(revoked).toEqual([second]);
});

it("keeps sizes apart and replaces a picture that came again", () => {
  const cache = new ImageCache(1000);
  const old = cache.put(1, 64, "image/png", bytes(10));
  const large = cache.put(1, 256, "image/png", bytes(10));
  const fresh = cache.put(1, 64, "image/png", bytes(10));
  expect(cache.get(1, 64)).toBe(fresh);
  expect(cache.get(1, 256)).toBe(large);
  expect(revoked).toEqual([old]);
});

it("shows a picture larger than the whole bound all the same", () => {
  const cache = new ImageCache(10);
  expect(cache.get(1, 64) ?? cache.put(1, 64, "image/png", bytes(50))).toBe("blob:1");
  expect(cache.get(1, 64)).toBe("blob:1");
});
