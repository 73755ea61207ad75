import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { type FakeHub, fakeHub } from "../../dev/fake_hub.js";
import inspector from "../../panels/inspector/index.js";
import { inkOn } from "./draw.js";
import { classesOf, hiddenAfter } from "./legend.js";
import { decoded, limbsOf } from "./shapes.js";

beforeAll(() => {
  let made = 0;
  // jsdom has neither layout nor Blob URLs, and no canvas.
  URL.createObjectURL = () => `blob:${++made}`;
  URL.revokeObjectURL = () => {};
  HTMLCanvasElement.prototype.getContext = (() => null) as never;
  globalThis.ResizeObserver = class {
    observe(): void {}
    unobserve(): void {}
    disconnect(): void {}
  };
});

let fake: FakeHub | undefined;
const kernel = () => (fake as FakeHub).kernel;
let root: HTMLElement;
const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 10));
const heard = (op: string) => kernel().heard.filter((one) => one.op === op);
const press = (key: string): void => {
  root.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
};
const tab = (): void => {
  const frame = root.querySelector(".dataide-inspector-frame");
  frame?.dispatchEvent(new KeyboardEvent("keydown", { key: "Tab", bubbles: true, cancelable: true }));
};

async function inspect(no: number, objects = true): Promise<void> {
  const made = fakeHub({ count: 30, boot: !objects });
  fake = made;
  if (objects) kernel().session.objects.make(30);
  await settled();
  root = document.body.appendChild(document.createElement("div"));
  await inspector.render(made.props(root, { config: { no } }));
  await settled();
}

beforeEach(() => document.body.replaceChildren());
afterEach(() => fake?.end());

describe("columns of objects", () => {
  it("become objects with their own outlines", () => {
    const boxes = new Float64Array([0.1, 0.2, 0.3, 0.4, Number.NaN, 0, 1, 1, 0, 0, 1, 1]);
    const points = new Float32Array([0, 0, 1, 0, 1, 1, 0.5, 0.5, 0.75, 0.5, 0.75, 1, 0.5, 1]);
    const body = {
      nos: [4, 9],
      widths: [640, null],
      heights: [480, null],
      starts: [0, 2, 3],
      more: [0, 5],
      objects: [7, 8, 11],
      labels: [1, -1, 0],
      names: ["dog", "cat"],
      colors: [1, 0],
      crowds: [2],
      rings: [1, 0, 1],
      points: [3, 4],
      keypoints: [[], [0.5, 0.5, 2, 0.1, 0.2, 1], []],
      limbs: [[], [0, 1], []],
      ids: null,
      tracks: null,
    };
    const samples = decoded({ body, buffers: [new DataView(boxes.buffer), new DataView(points.buffer)] });
    expect(samples.map(({ no, more, shapes }) => [no, more, shapes.map(({ object }) => object)])).toEqual([
      [4, 0, [7, 8]],
      [9, 5, [11]],
    ]);
    const [cat, bare] = samples[0]?.shapes ?? [];
    expect([cat?.label, cat?.color, cat?.box, cat?.rings.map(({ length }) => length)]).toEqual([
      "cat",
      "#0072b2",
      { left: 0.1, top: 0.2, width: 0.3, height: 0.4 },
      [6],
    ]);
    expect([bare?.box, bare?.label, bare?.keypoints]).toEqual([null, null, [0.5, 0.5, 2, 0.1, 0.2, 1]]);
    expect(bare === undefined ? [] : limbsOf(bare)).toEqual([[0.5, 0.5, 0.1, 0.2]]);
    expect(cat?.limbs).toEqual([]);
    expect([...(samples[1]?.shapes[0]?.rings[0] ?? [])]).toEqual([0.5, 0.5, 0.75, 0.5, 0.75, 1, 0.5, 1]);
    expect(samples[1]?.shapes[0]?.crowd).toBe(true);
  });
});

describe("the legend", () => {
  it("hides classes, shows one alone, and all again", () => {
    const all = ["a", "b", null];
    expect(hiddenAfter(new Set(), "a", all, false)).toEqual(new Set(["a"]));
    expect(hiddenAfter(new Set(["a"]), "a", all, false)).toEqual(new Set());
    const alone = hiddenAfter(new Set(), "a", all, true);
    expect(alone).toEqual(new Set(["b", null]));
    expect(hiddenAfter(alone, "a", all, true)).toEqual(new Set());
  });

  it("writes on a colour in what is easier to read", () => {
    expect([inkOn("#0072b2"), inkOn("#e69f00"), inkOn("#ffffff")]).toEqual(["#ffffff", "#000000", "#000000"]);
  });

  it("counts the classes of a picture", async () => {
    await inspect(0);
    const { body, buffers = [] } = kernel().session.objects.objects({ nos: [0], px: null });
    const [sample] = decoded({ body, buffers: buffers.map((one) => new DataView(one.buffer as ArrayBuffer)) });
    expect(classesOf(sample?.shapes ?? []).map(({ label, count }) => [label, count])).toEqual([
      ["figure", 1],
      ["corner", 1],
      ["ground", 1],
    ]);
    expect(root.querySelector(".dataide-objects-classes")?.textContent?.replace(/\s+/g, " ")).toContain("figure 1");
  });
});

describe("a session without objects", () => {
  it("asks for none and shows nothing about them", async () => {
    await inspect(4, false);
    const image = document.createElement("img");
    (fake as FakeHub).hub.objects.want("grid", [1, 2, 3], 128);
    (fake as FakeHub).hub.objects.paint(image, 1, { width: 96, height: 96 });
    await settled();
    expect(heard("objects")).toEqual([]);
    expect((root.querySelector(".dataide-objects") as HTMLElement).hidden).toBe(true);
  });
});

describe("objects in tiles", () => {
  it("are asked for once, in lots, and again when they change", async () => {
    await inspect(4);
    const before = heard("objects").length;
    (fake as FakeHub).hub.objects.want("grid", [1, 2, 3], 128);
    await settled();
    (fake as FakeHub).hub.objects.want("grid", [3, 2], 96);
    await settled();
    expect(
      heard("objects")
        .slice(before)
        .map(({ body }) => body),
    ).toEqual([{ nos: [1, 2, 3], px: 128 }]);
    await (fake as FakeHub).hub.client.ask("actObjects", { verb: "delete", objects: [3], uuid: "u" }, { panel: "p" });
    await settled();
    const asked = heard("objects")
      .slice(before + 1)
      .map(({ body }) => body);
    expect(asked).toContainEqual({ nos: [3, 2], px: 96 });
  });
});

describe("objects over a tile", () => {
  const svgs = (tile: HTMLElement): number => tile.querySelectorAll("svg").length;

  it("are drawn once, also where the tile left the page and came back", async () => {
    await inspect(4);
    const layer = (fake as FakeHub).hub.objects;
    const tile = document.body.appendChild(document.createElement("div"));
    const image = tile.appendChild(document.createElement("img"));
    layer.paint(image, 1, { width: 96, height: 96 });
    layer.want("grid", [1, 2, 3], 128);
    await settled();
    const [first, corners] = [tile.querySelector("svg"), () => tile.querySelectorAll("path").length];
    expect([svgs(tile), corners() > 0]).toEqual([1, true]);
    tile.remove();
    layer.want("grid", [1, 2, 3, 4, 5], 128); // others come meanwhile
    await settled();
    document.body.append(tile);
    layer.paint(image, 2, { width: 96, height: 96 });
    await settled();
    expect([svgs(tile), tile.querySelector("svg") === first]).toEqual([1, true]);
    layer.paint(image, null, { width: 96, height: 96 });
    expect(first?.hasAttribute("hidden")).toBe(true);
  });
});

describe("editing by keyboard", () => {
  it("deletes, takes back, and says so to the kernel", async () => {
    await inspect(4);
    tab();
    press("Delete");
    await settled();
    expect(heard("act_objects").map(({ body }) => body)).toMatchObject([{ verb: "delete", objects: [10] }]);
    expect(kernel().session.objects.all[10]?.gone).toBe(true);
    expect(root.querySelector(".dataide-objects-told")?.textContent).toBe("1 object");
    press("z");
    await settled();
    expect(kernel().session.objects.all[10]?.gone).toBe(false);
    expect(root.querySelector(".dataide-objects-told")?.textContent).toBe("2 objects");
  });

  it("moves from where undo put it, though the arrow was faster", async () => {
    await inspect(4);
    const box = () => kernel().session.objects.all[10]?.box[0];
    const before = box() ?? 0;
    tab();
    press("ArrowRight");
    press("z"); // what was nudged is decided, and taken back
    press("ArrowLeft");
    await settled();
    expect(heard("act_objects").length).toBe(1);
    tab(); // another one: what was nudged is decided
    await settled();
    expect(heard("act_objects").map(({ body }) => (body as { box: number[] }).box[0])).toEqual([
      before + 1,
      before - 1,
    ]);
    expect(box()).toBe(before - 1);
  });

  it("points out a region with G, and leaves it with Esc", async () => {
    await inspect(4);
    const told = () => root.querySelector(".dataide-objects-told")?.textContent;
    press("g");
    expect(told()).toBe("Drag over what others are to be similar to. Esc leaves.");
    expect(root.querySelector('[title="Draw a box (B)"]')?.getAttribute("aria-pressed")).toBe("false");
    press("Escape");
    expect(told()).toBe("2 objects");
  });

  it("steps through pictures with the arrows as long as nothing is selected", async () => {
    await inspect(4);
    press("ArrowRight");
    await settled();
    expect(root.textContent).toContain("/00005.png");
    tab();
    press("ArrowRight");
    await settled();
    expect(root.textContent).toContain("/00005.png");
  });

  it("relabels with a completion of the labels that objects have", async () => {
    await inspect(4);
    tab();
    press("l");
    const input = root.querySelector<HTMLInputElement>("[data-dataide-prompt] input");
    const offered = [...root.querySelectorAll(".dataide-prompt-name")].map(({ textContent }) => textContent);
    expect(offered).toEqual(["figure", "corner", "ground"]);
    if (input === null) throw new Error("no prompt");
    input.value = "wheel";
    input.dispatchEvent(new InputEvent("input", { bubbles: true }));
    input.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
    await settled();
    expect(kernel().session.objects.all[10]?.label).toBe("wheel");
    expect(root.textContent).toContain("wheel");
  });

  it("puts back what the kernel refuses, with its words", async () => {
    await inspect(4);
    tab();
    kernel().session.objects.decide = () => ({ change: null, objects: [] });
    press("Delete");
    expect(root.querySelector(".dataide-objects-told")?.textContent).toBe("1 object");
    await settled();
    expect(root.querySelector(".dataide-objects-told")?.textContent).toBe("2 objects");
    expect((fake as FakeHub).hub.store.toasts.value.at(-1)?.sentence).toContain("Nothing changed");
  });

  it("carries out what a rule proposes", async () => {
    await inspect(4);
    expect(root.querySelector(".dataide-finding")?.textContent).toContain("18 x 14 px");
    root.querySelector<HTMLButtonElement>(".dataide-finding .dataide-button")?.click();
    await settled();
    expect(kernel().session.objects.all[11]?.gone).toBe(true);
    expect(root.querySelector(".dataide-finding")).toBeNull();
  });

  it("is off the picture with O though the browser has no frame to give", async () => {
    const cleared: number[] = [];
    const strokes: number[] = [];
    const pen = new Proxy({} as Record<string, unknown>, {
      get: (_, name) => () => {
        if (name === "clearRect") cleared.push(strokes.splice(0).length);
        if (name === "strokeRect") strokes.push(1);
        return { width: 8 };
      },
      set: () => true,
    });
    const { getContext } = HTMLCanvasElement.prototype;
    HTMLCanvasElement.prototype.getContext = (() => pen) as never;
    const wide = vi.spyOn(HTMLElement.prototype, "clientWidth", "get").mockReturnValue(200);
    const high = vi.spyOn(HTMLElement.prototype, "clientHeight", "get").mockReturnValue(100);
    try {
      await inspect(4);
      const frames = vi.spyOn(globalThis, "requestAnimationFrame").mockReturnValue(1);
      const before = cleared.length;
      press("o");
      expect(cleared.length).toBeGreaterThan(before);
      expect(strokes).toEqual([]);
      frames.mockRestore();
    } finally {
      HTMLCanvasElement.prototype.getContext = getContext;
      wide.mockRestore();
      high.mockRestore();
    }
  });

  it("hides and shows with O, and leaves with Esc one thing at a time", async () => {
    await inspect(4);
    const pressed = () => root.querySelector('[title="Show or hide objects (O)"]')?.getAttribute("aria-pressed");
    expect(pressed()).toBe("true");
    press("o");
    expect(pressed()).toBe("false");
    press("o");
    press("b");
    expect(root.querySelector(".dataide-inspector-frame")?.hasAttribute("data-drawing")).toBe(true);
    press("Escape");
    expect(root.querySelector(".dataide-inspector-frame")?.hasAttribute("data-drawing")).toBe(false);
  });
});
