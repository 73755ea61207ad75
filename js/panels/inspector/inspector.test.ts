import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { fitted, kept, zoomed } from "../../core/inspector/zoom.js";
import { type FakeHub, fakeHub } from "../../dev/fake_hub.js";
import inspector from "./index.js";

beforeAll(() => {
  let made = 0;
  // jsdom has neither layout nor Blob URLs.
  URL.createObjectURL = () => `blob:${++made}`;
  URL.revokeObjectURL = () => {};
  globalThis.ResizeObserver = class {
    observe(): void {}
    unobserve(): void {}
    disconnect(): void {}
  };
});

let fake: FakeHub;
let root: HTMLElement;
const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

async function show(traits: Record<string, unknown>): Promise<void> {
  root = document.body.appendChild(document.createElement("div"));
  await inspector.render(fake.props(root, traits));
  await settled();
}

beforeEach(() => {
  fake = fakeHub({ count: 30 });
});
afterEach(() => {
  fake.end();
  document.body.replaceChildren();
});

describe("the inspector", () => {
  it("shows its sample at once when the answer came with the widget", async () => {
    fake.kernel.paused = true;
    await show({ config: { no: 4 }, boot: fake.kernel.boot({ op: "inspect", ask: { no: 4, px: 2048 } }) });
    expect(root.textContent).toContain(fake.kernel.session.samples[4]?.id);
    expect(fake.kernel.heard.some(({ op }) => op === "inspect")).toBe(false);
  });

  it("follows what is inspected anywhere, and keeps its sample when that is closed elsewhere", async () => {
    await show({ config: { no: 4 } });
    fake.hub.store.inspected.value = 9;
    await settled();
    expect(root.textContent).toContain("/00009.png");
    fake.hub.store.inspected.value = null;
    await settled();
    expect(root.textContent).toContain("/00009.png");
  });

  it("acts on its own sample, tells the decision, and does not load the picture again for it", async () => {
    await show({ config: { no: 4 } });
    root.dispatchEvent(new KeyboardEvent("keydown", { key: "x", bubbles: true }));
    await settled();
    expect(fake.kernel.session.samples[4]?.excluded).toBe(true);
    expect(root.querySelector(".dataide-history")?.textContent).toContain("Excluded 1 sample");
    const asked = fake.kernel.heard.filter(({ op }) => op === "inspect").map(({ body }) => body as { px: number });
    expect(asked.map(({ px }) => px > 1000)).toEqual([true, false]);
  });

  it("goes to the neighbours with the arrows", async () => {
    await show({ config: { no: 4 } });
    root.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
    await settled();
    expect(root.textContent).toContain("/00005.png");
  });

  it("says why there is no picture", async () => {
    await show({ config: { no: 7 } });
    expect(root.querySelector(".dataide-inspector-message")?.textContent).toContain("cannot identify image file");
  });

  it("shows a name full of HTML and quotes as the text it is", async () => {
    await show({ config: { no: 3 } });
    expect(root.textContent).toContain(fake.kernel.session.samples[3]?.id);
    expect(root.querySelector("[onerror]")).toBeNull();
    expect(root.querySelectorAll("img").length).toBe(1);
  });
});

describe("zooming", () => {
  const picture = { width: 100, height: 50 };
  const frame = { width: 400, height: 400 };

  it("starts with the whole picture in the middle, small ones in whole pixels", () => {
    expect(fitted(picture, frame)).toEqual({ scale: 4, x: 0, y: 100 });
    expect(fitted({ width: 1000, height: 800 }, frame).scale).toBeCloseTo(0.4);
  });

  it("keeps the point under the pointer where it is", () => {
    const before = fitted(picture, frame);
    const at = { x: 300, y: 180 };
    const after = zoomed(before, 3, at, before.scale);
    expect((at.x - after.x) / after.scale).toBeCloseTo((at.x - before.x) / before.scale);
    expect((at.y - after.y) / after.scale).toBeCloseTo((at.y - before.y) / before.scale);
  });

  it("never loses the picture out of the frame", () => {
    const away = kept({ scale: 10, x: 9000, y: -9000 }, picture, frame);
    expect(away).toEqual({ scale: 10, x: 0, y: -100 });
  });
});
