import { afterEach, describe, expect, it, vi } from "vitest";
import { Decoded } from "./decoded.js";

const before = Object.getOwnPropertyDescriptor(HTMLImageElement.prototype, "decode");
afterEach(() => {
  if (before === undefined) Reflect.deleteProperty(HTMLImageElement.prototype, "decode");
  else Object.defineProperty(HTMLImageElement.prototype, "decode", before);
});

function slowly(): { end: (ok: boolean) => Promise<void> } {
  const waiting: ((ok: boolean) => void)[] = [];
  HTMLImageElement.prototype.decode = () =>
    new Promise((resolve, reject) => void waiting.push((ok) => (ok ? resolve() : reject(new Error("broken")))));
  return {
    end: async (ok) => {
      for (const one of waiting.splice(0)) one(ok);
      await Promise.resolve();
      await Promise.resolve();
    },
  };
}

describe("pictures", () => {
  it("are shown when they are decoded, and not before", async () => {
    const decoding = slowly();
    let changes = 0;
    const decoded = new Decoded(() => changes++);
    expect(decoded.prepare(["blob:1", "blob:2"])).toBe(false);
    expect(decoded.ready("blob:1")).toBe(false);
    await decoding.end(true);
    expect(decoded.ready("blob:1")).toBe(true);
    expect(decoded.prepare(["blob:1", "blob:2"])).toBe(true);
    expect(changes).toBe(1); // nobody has asked for the other
  });

  it("are waited for together", async () => {
    const decoding = slowly();
    const decoded = new Decoded(() => {});
    let came = false;
    const all = decoded.decoded(["blob:1", "blob:2"]).then(() => (came = true));
    await Promise.resolve();
    expect(came).toBe(false);
    await decoding.end(true);
    await all;
    expect(came).toBe(true);
  });

  it("that may come into sight begin in slices, and none after the end", () => {
    vi.useFakeTimers();
    let begun = 0;
    HTMLImageElement.prototype.decode = () => {
      begun++;
      return new Promise(() => {});
    };
    const decoded = new Decoded(() => {});
    decoded.prepareLater(Array.from({ length: 100 }, (_, i) => `blob:${i}`));
    expect(begun).toBe(0);
    vi.advanceTimersToNextTimer();
    expect(begun).toBeGreaterThan(0);
    expect(begun).toBeLessThan(20);
    vi.advanceTimersToNextTimer();
    const before = begun;
    decoded.stop();
    vi.runAllTimers();
    expect(begun).toBe(before);
    vi.useRealTimers();
  });

  it("that cannot be decoded do not stay away for ever", async () => {
    const decoding = slowly();
    const decoded = new Decoded(() => {});
    decoded.prepare(["blob:1"]);
    await decoding.end(false);
    expect(decoded.ready("blob:1")).toBe(true);
  });

  it("are held for a few screens, not for all that was ever seen", async () => {
    const decoding = slowly();
    const decoded = new Decoded(() => {});
    decoded.prepare(Array.from({ length: 2000 }, (_, i) => `blob:${i}`));
    await decoding.end(true);
    expect(decoded.ready("blob:1999")).toBe(true);
    expect(decoded.ready("blob:0")).toBe(false);
  });
});
