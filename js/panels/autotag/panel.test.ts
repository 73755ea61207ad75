// @vitest-environment jsdom
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type FakeHub, fakeHub } from "../../dev/fake_hub.js";
import grid from "../grid/index.js";
import autotag from "./index.js";

class NoResizes {
  observe(): void {}
  unobserve(): void {}
  disconnect(): void {}
}

let fake: FakeHub;
let root: HTMLElement;
let delayMs: () => number;

beforeEach(async () => {
  vi.stubGlobal("ResizeObserver", NoResizes);
  delayMs = () => 0;
  fake = fakeHub({ count: 300, delayMs: () => delayMs() });
  root = document.createElement("div");
  document.body.append(root);
  await autotag.render(fake.props(root, { config: { tag: "fox", show: "ask", tile_px: 96 } }) as never);
  await vi.waitFor(() => expect(tiles().length).toBe(12));
});

afterEach(() => {
  fake.end();
  document.body.replaceChildren();
  vi.unstubAllGlobals();
});

const tiles = () => [...root.querySelectorAll<HTMLElement>(".dataide-autotag-tile")];
const list = () => root.querySelector<HTMLElement>('[role="listbox"]') as HTMLElement;
const focused = () => tiles().findIndex((tile) => tile.hasAttribute("data-focused"));
const marks = () => tiles().map((tile) => tile.dataset.mark);
const press = (key: string, more: KeyboardEventInit = {}, on = list()) =>
  on.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more }));
const asked = (op: string) => fake.kernel.heard.filter((one) => one.op === op).map(({ body }) => body as never);
const button = (name: string) =>
  [...root.querySelectorAll("button")].find((one) => one.textContent?.includes(name)) as HTMLButtonElement;

test("+ and − mark the focused tile and go on; 0 takes the mark away", async () => {
  press("+");
  press("=");
  press("-");
  await vi.waitFor(() => expect(marks().slice(0, 4)).toEqual(["positive", "positive", "negative", "none"]));
  expect(focused()).toBe(3);
  press("ArrowLeft");
  press("0");
  await vi.waitFor(() => expect(marks()[2]).toBe("none"));
  expect(asked("autotag_mark").length).toBe(4);
  await vi.waitFor(() => expect(root.querySelector(".dataide-autotag-marks")?.textContent).toMatch(/2 \+\s+0 −/));
});

test("tiles that are picked are marked at once, in one decision", async () => {
  press(" ");
  press("ArrowRight");
  press("ArrowRight", { shiftKey: true });
  press("-");
  await vi.waitFor(() => expect(marks().slice(0, 4)).toEqual(["negative", "negative", "negative", "none"]));
  expect(asked("autotag_mark")).toMatchObject([{ sign: "negative", target: { nos: { length: 3 } } }]);
});

test("tiles stay while one marks; a new order waits to be taken up, and comes when all are marked", async () => {
  const before = tiles().map((tile) => tile.dataset.no);
  for (let i = 0; i < 10; i++) press(i < 3 ? "+" : "-");
  await vi.waitFor(() => expect(button("New order ready")).toBeDefined());
  expect(tiles().map((tile) => tile.dataset.no)).toEqual(before);
  press("-");
  press("-");
  await vi.waitFor(() => expect(tiles().map((tile) => tile.dataset.no)).not.toEqual(before));
  await vi.waitFor(() => expect(root.textContent).toContain("round 2"));
  expect(root.querySelector('input[type="range"]')).not.toBeNull();
});

test("what is asked after a mark does not take the place of the round that a used up page waits for", async () => {
  const before = tiles().map((tile) => tile.dataset.no);
  let { rev } = fake.kernel.session.state();
  const heard = fake.kernel.heard;
  // Learning takes its time, and news of the marks come meanwhile.
  delayMs = () => ((heard.at(-1)?.body as { round?: boolean } | undefined)?.round === true ? 150 : 0);
  for (let i = 0; i < 12; i++) press("+");
  for (let i = 0; i < 12; i++) {
    await new Promise((done) => setTimeout(done, 20));
    fake.kernel.event("state", { ...fake.kernel.session.state(), rev: ++rev });
  }
  await vi.waitFor(() => expect(tiles().map((tile) => tile.dataset.no)).not.toEqual(before));
  await vi.waitFor(() => expect(root.textContent).toMatch(/round [12]/));
  expect(button("New order ready")).toBeUndefined();
});

test("the handle says what is tagged, and the button tags it", async () => {
  for (let i = 0; i < 4; i++) press("+");
  press("r");
  await vi.waitFor(() => expect(button("Tag ")).toBeDefined());
  const handle = root.querySelector('input[type="range"]') as HTMLInputElement;
  handle.value = "0.25";
  handle.dispatchEvent(new Event("input"));
  await vi.waitFor(() => expect(root.querySelector(".dataide-autotag-value")?.textContent).toBe("0.25"));
  const said = button("Tag ").textContent?.replace(/\D/g, "");
  button("Tag ").click();
  await vi.waitFor(() => expect(asked("autotag_commit")).toMatchObject([{ threshold: 0.25 }]));
  await vi.waitFor(() => expect(fake.hub.store.toasts.value.at(-1)?.sentence).toBe(`Autotagged ${said} samples “fox”`));
});

test("without a positive mark R says what to do", async () => {
  press("r");
  await vi.waitFor(() => expect(fake.hub.store.toasts.value.at(-1)?.sentence).toContain("No sample is marked"));
  expect(asked("autotag")).toHaveLength(1);
});

test("while it marks in grids, + in a grid marks and sizes nothing", async () => {
  const place = document.createElement("div");
  document.body.append(place);
  const traits = {
    boot: fake.kernel.boot({ op: "page", ask: { offset: 0, limit: 20, thumbs: true, px: 96, caption: null } }),
    config: { tile_px: 96 },
  };
  await grid.render(fake.props(place, traits) as never);
  const chip = place.querySelector<HTMLElement>(".dataide-marking") as HTMLElement;
  expect(chip.hidden).toBe(true);
  button("Mark in grids").click();
  expect(chip.hidden).toBe(false);
  expect(chip.textContent).toContain("fox");
  const samples = place.querySelector<HTMLElement>('[role="listbox"]') as HTMLElement;
  press("+", {}, samples);
  await vi.waitFor(() =>
    expect(asked("autotag_mark")).toMatchObject([{ sign: "positive", target: { type: "samples" } }]),
  );
  expect(asked("configure").filter(({ name }) => name === "tile_px")).toEqual([]);
  button("Mark in grids").click();
  expect(chip.hidden).toBe(true);
});

test("marks of replaced pictures are told of beside those that count", async () => {
  expect(root.textContent).not.toContain("outdated");
  fake.kernel.autotag.outdated = 2;
  press("+");
  await vi.waitFor(() => expect(marks()[0]).toBe("positive"));
  press("r");
  await vi.waitFor(() => expect(root.textContent).toContain("2 outdated"));
});
