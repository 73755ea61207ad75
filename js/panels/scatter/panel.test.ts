import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Ask } from "../../core/protocol.js";
import { FakeEngine } from "../../dev/fake_engine.js";
import { type FakeHub, fakeHub } from "../../dev/fake_hub.js";
import type { EngineOptions } from "./engine.js";
import scatter from "./index.js";

let engine: FakeEngine;
vi.mock("./engine_start.js", () => ({
  getReady: () => undefined,
  createEngine: (options: EngineOptions) => {
    engine = new FakeEngine(options);
    return engine;
  },
}));

// What jsdom lacks: layout, media queries, pictures, pointer capture.
const SIZE = { width: 600, height: 400 };

function stubBrowser(): void {
  vi.stubGlobal("ResizeObserver", FakeResizeObserver);
  vi.stubGlobal("matchMedia", () => ({ matches: true, addEventListener() {} }));
  vi.stubGlobal("PointerEvent", FakePointerEvent);
  vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue(null);
  vi.spyOn(HTMLElement.prototype, "clientWidth", "get").mockReturnValue(SIZE.width);
  vi.spyOn(HTMLElement.prototype, "clientHeight", "get").mockReturnValue(SIZE.height);
  vi.spyOn(Element.prototype, "getBoundingClientRect").mockReturnValue({ left: 0, top: 0, ...SIZE } as DOMRect);
  Element.prototype.setPointerCapture = () => {};
  Element.prototype.releasePointerCapture = () => {};
  Element.prototype.hasPointerCapture = () => false;
}

/** What was observed last can be given another size. */
let resized: ((width: number, height: number) => void)[] = [];
class FakeResizeObserver {
  constructor(callback: (entries: unknown[]) => void) {
    resized.push((width, height) => callback([{ contentRect: { width, height } }]));
  }
  observe() {}
  disconnect() {}
}

class FakePointerEvent extends MouseEvent {
  readonly pointerId = 1;
}

describe("the scatter panel", () => {
  let fake: FakeHub;
  let ending: AbortController;
  let place: HTMLElement;

  beforeEach(() => {
    resized = [];
    stubBrowser();
    ending = new AbortController();
    place = document.createElement("div");
    document.body.append(place);
    fake = fakeHub({ count: 3000, signal: ending.signal });
  });
  afterEach(() => {
    ending.abort();
    place.remove();
    vi.restoreAllMocks();
    vi.unstubAllGlobals();
  });

  const show = async (config: Record<string, unknown> = {}) => {
    await scatter.render(fake.props(place, { config: { color: "label", projection: null, ...config } }) as never);
    await vi.waitFor(() => expect(stage().dataset.loaded).toBe(stage().dataset.total));
    await vi.waitFor(() => expect(root().getAttribute("aria-label")).toContain("points"));
  };
  const root = () => place;
  const stage = () => place.querySelector(".stage") as HTMLElement;
  const heard = (op: string) => fake.kernel.heard.filter((one) => one.op === op);
  const lastSelect = () => heard("select").at(-1)?.body as Ask<"select">;
  const pointer = (type: string, x: number, y: number, more: PointerEventInit = {}) =>
    stage().dispatchEvent(new PointerEvent(type, { bubbles: true, clientX: x, clientY: y, button: 0, ...more }));
  const key = (name: string) =>
    root().dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true, cancelable: true }));

  const drag = (more: PointerEventInit = {}) => {
    pointer("pointerdown", 100, 100, more);
    for (const [x, y] of [[500, 90], [520, 350], [90, 370]] as const) pointer("pointermove", x, y, { buttons: 1, ...more }); // biome-ignore format: a path
    pointer("pointerup", 95, 200, more);
  };

  it("says how many points it shows and by what they are coloured", async () => {
    await show();
    await vi.waitFor(() => expect(root().getAttribute("aria-label")).toBe("Scatter of 3,000 points, colour by label"));
    expect(
      [...root().querySelectorAll("button[aria-pressed]")].map((button) => button.getAttribute("aria-label")),
    ).toEqual(expect.arrayContaining(["Lasso", "Box", "Pan", "Names"]));
  });

  it("sends a lasso as one polygon under a kilobyte when the button is let go", async () => {
    await show();
    drag();
    expect(heard("select")).toHaveLength(1);
    expect(lastSelect()).toMatchObject({ mode: "replace", shape: { type: "polygon", projection: "auto/pca" } });
    expect(heard("select")[0]?.bytes).toBeLessThan(1024);
    await vi.waitFor(() => expect(fake.hub.store.state.value?.selection.count).toBeGreaterThan(0));
    await vi.waitFor(() => expect(engine.facts.selected).toBe(fake.hub.store.state.value?.selection.count));
    expect(heard("marks")).toHaveLength(0);
  });

  it("says of a map of objects how many of them a lasso caught", async () => {
    fake.kernel.session.places = "objects-3000-0";
    fake.kernel.session.objects.make(3);
    await show();
    expect(root().textContent).not.toContain("objects in");
    drag();
    await vi.waitFor(() => expect(fake.hub.store.state.value?.selection.count).toBeGreaterThan(0));
    const count = (fake.hub.store.state.value?.selection.count ?? 0).toLocaleString("en-US");
    await vi.waitFor(() => expect(root().textContent).toContain(`${count} objects in ${count} samples`));
    const asked = heard("colors").length;
    const ask: Ask<"actObjects"> = { verb: "relabel", uuid: "one", objects: [0], label: "another" };
    await fake.hub.client.ask("actObjects", ask, { panel: "test" });
    // Labels of objects are no column of samples, whose versions stay as they are.
    await vi.waitFor(() => expect(heard("colors").length).toBe(asked + 1));
  });

  it("has the highlight before the kernel has said a word", async () => {
    await show();
    fake.kernel.paused = true;
    const before = engine.frames.length;
    drag();
    expect(engine.facts.selected).toBeGreaterThan(0);
    expect(engine.frames.length).toBeGreaterThan(before);
  });

  it("draws nothing while its side is nought, and again when it has one", async () => {
    await show();
    const observed = resized.at(-1) as (width: number, height: number) => void;
    observed(0, 0);
    for (let i = 0; i < 3; i++) await new Promise(requestAnimationFrame);
    const before = engine.frames.length;
    drag();
    expect(engine.frames).toHaveLength(before);
    observed(500, 300);
    await vi.waitFor(() => expect(engine.frames.at(-1)?.size).toEqual({ width: 500, height: 300 }));
  });

  it("says how far loading is, and nothing once it is done", async () => {
    ending.abort();
    ending = new AbortController();
    fake = fakeHub({ count: 40_000, signal: ending.signal });
    const boot = fake.kernel.boot({ op: "points", ask: { projection: null, color: "label" } });
    fake.kernel.paused = true;
    await scatter.render(fake.props(place, { boot, config: { color: "label", projection: null } }) as never);
    const bar = () => root().querySelector('[role="progressbar"]') as HTMLElement;
    expect(bar().textContent).toBe("20,000 of 40,000 points");
    expect(bar().getAttribute("aria-valuenow")).toBe("20000");
    fake.kernel.resume();
    await vi.waitFor(() => expect(stage().dataset.loaded).toBe("40000"));
    await vi.waitFor(() => expect(bar().hidden).toBe(true));
  });

  it("rings the point under the pointer, and selects it with a click", async () => {
    await show();
    const frame = engine.frames.at(-1) as (typeof engine.frames)[0];
    const at = await engine.place(0);
    const x = (at?.x ?? 0) * frame.transform.ax + frame.transform.bx;
    const y = (at?.y ?? 0) * frame.transform.ay + frame.transform.by;
    pointer("pointermove", x, y);
    await vi.waitFor(() => expect(heard("peek").at(-1)?.body).toMatchObject({ projection: "auto/pca" }));
    pointer("pointerdown", x, y);
    pointer("pointerup", x, y);
    await vi.waitFor(() => expect(lastSelect().shape.type).toBe("points"));
    await vi.waitFor(() => expect(engine.facts.selected).toBe(1));
  });

  it("keeps the selection at a double click, and lets it go at a single one", async () => {
    await show();
    drag();
    await vi.waitFor(() => expect(fake.hub.store.state.value?.selection.count).toBeGreaterThan(0));
    const nothing = async () => {
      pointer("pointerdown", 2, 2);
      pointer("pointerup", 2, 2);
      await vi.waitFor(() => expect(engine.facts.selected).toBe(0));
    };
    await nothing();
    pointer("pointerdown", 2, 2);
    pointer("pointerup", 2, 2);
    expect(engine.facts.selected).toBeGreaterThan(0);
    await nothing();
    drag(); // at once, before it is known that it was no double click
    expect(heard("select").map((one) => (one.body as Ask<"select">).shape.type)).toEqual([
      "polygon",
      "none",
      "polygon",
    ]);
    await vi.waitFor(() => expect(engine.facts.selected).toBe(fake.hub.store.state.value?.selection.count));
  });

  it("adds with Shift, takes away with Alt, intersects with both", async () => {
    await show();
    const modes = [{ shiftKey: true }, { altKey: true }, { shiftKey: true, altKey: true }].map((keys) => {
      drag(keys);
      return lastSelect().mode;
    });
    expect(modes).toEqual(["add", "subtract", "intersect"]);
  });

  it("forgets a lasso when Esc is pressed while it is drawn, and the selection stays", async () => {
    await show();
    pointer("pointerdown", 100, 100);
    pointer("pointermove", 300, 200, { buttons: 1 });
    key("Escape");
    pointer("pointerup", 300, 200);
    expect(heard("select")).toHaveLength(0);
  });

  it("does nothing at a right click, and pans instead of selecting with the middle button, Space or P", async () => {
    await show();
    drag({ button: 2 });
    drag({ button: 1 });
    key(" ");
    drag();
    window.dispatchEvent(new KeyboardEvent("keyup", { key: " " }));
    key("p");
    drag();
    expect(heard("select")).toHaveLength(0);
    key("p");
    key("b");
    drag();
    expect(lastSelect().shape.type).toBe("box");
    const tools = heard("configure").map((one) => (one.body as Ask<"configure">).value);
    expect(tools).toEqual(["pan", "lasso", "box"]);
  });

  it("leaves the digit 0 to the label where the classes are digits", async () => {
    ending.abort();
    ending = new AbortController();
    fake = fakeHub({ count: 500, labels: [..."0123456789"], signal: ending.signal });
    await show();
    await fake.hub.client.ask("select", { shape: { type: "all" }, mode: "replace", source: "grid" }, { panel: "grid" });
    key("0");
    await vi.waitFor(() => expect(heard("act").at(-1)?.body).toMatchObject({ arguments: { label: "0" } }));
  });

  it("keeps the colour that was chosen", async () => {
    await show();
    const select = root().querySelector<HTMLSelectElement>('select[aria-label="Colour by"]') as HTMLSelectElement;
    const values = [...select.options].map((option) => option.value);
    expect(values.slice(0, 2)).toEqual(["", "label"]);
    expect(values).toContain("brightness");
    expect(values).not.toContain("sample_id");
    select.value = "brightness";
    select.dispatchEvent(new Event("change"));
    expect(heard("configure").at(-1)?.body).toMatchObject({ name: "color", value: "brightness" });
    await vi.waitFor(() => expect(root().querySelector(".ramp")).not.toBeNull());
    expect(heard("points")).toHaveLength(1);
  });

  it("says what to type when there is no map yet", async () => {
    fake.kernel.event("state", { ...fake.kernel.session.state(), rev: 2, projections: [] });
    await scatter.render(fake.props(place, { config: { color: "label", projection: null } }) as never);
    await vi.waitFor(() => expect(root().textContent).toContain("session.embed(); session.project()"));
  });

  it("shows the action bar alone, and not inside a workbench", async () => {
    await show();
    expect(root().querySelector('[role="status"]')).not.toBeNull();
    place.replaceChildren();
    await scatter.render(fake.props(place, { config: { color: "label", projection: null, embedded: true } }) as never);
    expect(root().querySelector('[role="status"]')).toBeNull();
  });

  it("leaves nothing behind when its cell goes", async () => {
    await show();
    ending.abort();
    expect(place.childElementCount).toBe(0);
  });
});
