// @vitest-environment jsdom
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type FakeHub, fakeHub } from "../../dev/fake_hub.js";
import autotag from "./index.js";

class NoResizes {
  observe(): void {}
  unobserve(): void {}
  disconnect(): void {}
}

let fake: FakeHub;
let root: HTMLElement;

beforeEach(async () => {
  vi.stubGlobal("ResizeObserver", NoResizes);
  fake = fakeHub({ count: 120 });
  fake.kernel.session.objects.make(120);
  fake.kernel.event("state", fake.kernel.session.state());
  root = document.createElement("div");
  document.body.append(root);
  const config = { tag: "hat", of: "objects", view: "t", among: "all objects", show: "ask", tile_px: 104 };
  await autotag.render(fake.props(root, { config }) as never);
  await vi.waitFor(() => expect(tiles().length).toBe(12));
});

afterEach(() => {
  fake.end();
  document.body.replaceChildren();
  vi.unstubAllGlobals();
});

const tiles = () => [...root.querySelectorAll<HTMLElement>(".dataide-autotag-tile")];
const list = () => root.querySelector<HTMLElement>('[role="listbox"]') as HTMLElement;
const focused = () => root.querySelector<HTMLElement>(".dataide-autotag-tile[data-focused]") as HTMLElement;
const press = (key: string, more: KeyboardEventInit = {}) =>
  list().dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more }));
const asked = (op: string) => fake.kernel.heard.filter((one) => one.op === op).map(({ body }) => body as never);
const button = (name: string) =>
  [...root.querySelectorAll("button")].find((one) => one.textContent?.includes(name)) as HTMLButtonElement;
const objectOf = (tile: HTMLElement) => fake.kernel.session.objects.all[Number(tile.dataset.no)];
const sources = () => tiles().map((tile) => tile.querySelector("img")?.src);

test("marks are of objects, among those that the panel is of", async () => {
  const numbers = tiles().map((tile) => Number(tile.dataset.no));
  press("+");
  press("-");
  await vi.waitFor(() => expect(asked("autotag_mark")).toHaveLength(2));
  const named = { tag: "hat", of: "objects", view: "t" };
  expect(asked("autotag_mark")).toMatchObject([
    { ...named, sign: "positive", target: { type: "objects", nos: [numbers[0]] } },
    { ...named, sign: "negative", target: { type: "objects", nos: [numbers[1]] } },
  ]);
  expect(asked("autotag_page")[0]).toMatchObject({ ...named, whole: false });
  expect(root.textContent).toContain("all objects");
  expect(button("Mark in grids")).toBeUndefined();
});

test("a round ranks, and the button labels objects with what it says", async () => {
  for (let i = 0; i < 12; i++) {
    const title = focused().title;
    const no = focused().dataset.no;
    press(title.includes("figure") ? "+" : "-");
    await vi.waitFor(() => expect(focused().dataset.no).not.toBe(no));
    if (asked("autotag").length > 2) break;
  }
  press("r");
  await vi.waitFor(() => expect(button("Label ")).toBeDefined());
  const said = button("Label ").textContent?.replace(/\D/g, "");
  button("Label ").click();
  await vi.waitFor(() => expect(asked("autotag_commit")).toMatchObject([{ of: "objects", view: "t", threshold: 0.5 }]));
  await vi.waitFor(() => expect(fake.hub.store.toasts.value.at(-1)?.sentence).toBe(`Autotagged ${said} objects “hat”`));
  // The labels of tiles follow, without a tile moving.
  const before = tiles().map((tile) => tile.dataset.no);
  fake.kernel.event("state", { ...fake.kernel.session.state(), rev: fake.kernel.session.state().rev + 1 });
  await vi.waitFor(() => expect(tiles().some((tile) => tile.textContent?.includes("hat"))).toBe(true));
  expect(tiles().map((tile) => tile.dataset.no)).toEqual(before);
});

test("W shows the whole pictures and crops again, the same tiles with the focus where it was", async () => {
  press("ArrowRight");
  press("ArrowRight");
  const [at, crops] = [tiles()[2]?.dataset.no, sources()];
  press("w");
  await vi.waitFor(() => expect(sources()).not.toEqual(crops));
  await vi.waitFor(() => expect(focused().dataset.no).toBe(at));
  expect(button("Whole pictures").getAttribute("aria-pressed")).toBe("true");
  expect(asked("autotag_page").at(-1)).toMatchObject({ whole: true, round: 0 });
  expect(asked("configure")).toMatchObject([{ name: "whole", value: true }]);
  press("w");
  await vi.waitFor(() => expect(sources()).toEqual(crops));
});

test("the box is drawn where it lies in the picture that came", async () => {
  const image = tiles()[0]?.querySelector("img") as HTMLImageElement;
  Object.defineProperty(image, "naturalWidth", { value: 64 });
  Object.defineProperty(image, "naturalHeight", { value: 32 });
  image.dispatchEvent(new Event("load"));
  const box = tiles()[0]?.querySelector<HTMLElement>(".dataide-crop-box") as HTMLElement;
  expect(box.hidden).toBe(false);
  const sides = ["left", "top", "width", "height"].map((side) => Number.parseFloat(box.style.getPropertyValue(side)));
  const [left = 0, top = 0, width = 0, height = 0] = sides;
  // 104 px wide and half as high, in the middle of the tile.
  expect(left).toBeGreaterThan(0);
  expect(left + width).toBeLessThanOrEqual(104);
  expect(top).toBeGreaterThanOrEqual(26);
  expect(top + height).toBeLessThanOrEqual(78.1);
});

test("Enter inspects the sample with the object chosen; another sample forgets it", async () => {
  press("ArrowRight");
  const { store } = fake.hub;
  const object = objectOf(tiles()[1] as HTMLElement);
  press("Enter");
  expect(store.inspected.value).toBe(object?.no);
  expect(store.inspectedObject.value).toEqual({ sample: object?.no, object: object?.object });
  // With an inspector at hand a click is enough.
  const other = tiles().find((tile) => objectOf(tile)?.no !== object?.no) as HTMLElement;
  other.click();
  expect(store.inspectedObject.value).toEqual({ sample: objectOf(other)?.no, object: objectOf(other)?.object });
  store.inspected.value = null;
  expect(store.inspectedObject.value).toBeNull();
  other.click();
  expect(store.inspected.value).toBeNull();
});

test("shared keys are about the samples; L is about the objects, and digits are nobody's", async () => {
  const object = objectOf(focused());
  press("x");
  await vi.waitFor(() => expect(asked("act")).toMatchObject([{ verb: "exclude", target: { nos: [object?.no] } }]));
  press("1");
  press("s");
  await vi.waitFor(() => expect(asked("similar")).toMatchObject([{ target: { type: "object", no: object?.object } }]));
  expect(asked("act")).toHaveLength(1);
  press("l");
  const input = root.querySelector<HTMLInputElement>("[role=dialog] input") as HTMLInputElement;
  input.value = "corner";
  input.dispatchEvent(new Event("input"));
  input.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true }));
  await vi.waitFor(() =>
    expect(asked("act_objects")).toMatchObject([{ verb: "relabel", objects: [object?.object], label: "corner" }]),
  );
});

test("the drawer has the object chosen that was inspected, and another one of the same sample when it is asked for", async () => {
  const first = objectOf(tiles()[1] as HTMLElement);
  const other = fake.kernel.session.objects.all.find(({ no, label }) => no === first?.no && label !== first?.label);
  const legend = () => root.querySelector(".dataide-drawer .dataide-objects")?.textContent ?? "";
  const said = ({ label, box }: NonNullable<typeof first>) => `${label ?? "no label"} · ${box[2]} × ${box[3]} px`;
  press("ArrowRight");
  list().focus();
  press("Enter");
  await vi.waitFor(() => expect(legend()).toContain(said(first as never)));
  fake.hub.store.inspectedObject.value = { sample: other?.no ?? -1, object: other?.object ?? -1 };
  await vi.waitFor(() => expect(legend()).toContain(said(other as never)));
  expect(legend()).not.toContain(said(first as never));
});
