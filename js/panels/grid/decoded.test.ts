import { afterEach, describe, expect, it } from "vitest";
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
    decoded.prepare("blob:1");
    expect(decoded.ready("blob:1")).toBe(false);
    await decoding.end(true);
    expect(decoded.ready("blob:1")).toBe(true);
    expect(changes).toBe(1);
  });

  it("that cannot be decoded do not stay away for ever", async () => {
    const decoding = slowly();
    const decoded = new Decoded(() => {});
    decoded.prepare("blob:1");
    await decoding.end(false);
    expect(decoded.ready("blob:1")).toBe(true);
  });

  it("are held for a few screens, not for all that was ever seen", async () => {
    const decoding = slowly();
    const decoded = new Decoded(() => {});
    for (let i = 0; i < 2000; i++) decoded.prepare(`blob:${i}`);
    await decoding.end(true);
    expect(decoded.ready("blob:1999")).toBe(true);
    expect(decoded.ready("blob:0")).toBe(false);
  });
});
