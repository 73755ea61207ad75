// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { ImageCache } from "../../core/images.js";
import type { SessionStore } from "../../core/store.js";
import { type FakeHub, fakeHub } from "../../dev/fake_hub.js";
import * as geo from "./geometry.js";
import fix from "./index.js";

class NoResizes {
  observe(): void {}
  unobserve(): void {}
  disconnect(): void {}
}

let fake: FakeHub;
let root: HTMLElement;

const WRONG = [2, 4, 6, 8, 10, 12];

type Session = FakeHub["kernel"]["session"];

async function show(
  config: Record<string, unknown> = {},
  issues = true,
  more: (session: Session) => void = () => undefined,
): Promise<void> {
  vi.stubGlobal("ResizeObserver", NoResizes);
  fake = fakeHub({ count: 400, labels: ["cat", "dog", "fox"] });
  const { session } = fake.kernel;
  if (issues) {
    WRONG.forEach((no, i) => {
      const proposal = session.samples[no]?.label === "cat" ? "dog" : "cat";
      const reason = "9 of 10 nearest neighbours <b>say</b> so.";
      session.issues.found(no, { kind: "label", score: 0.1 + i / 10, proposal, confidence: 0.95 - i / 10, reason });
    });
    session.issues.found(201, { kind: "near_duplicate", score: 0.1, proposal: "keep" });
    session.issues.found(202, { kind: "near_duplicate", score: 0.1, proposal: "exclude", reason: "A smaller copy." });
    session.issues.found(20, { kind: "outlier", score: 0.2 });
  }
  more(session);
  root = document.createElement("div");
  document.body.append(root);
  await fix.render(fake.props(root, { config }) as never);
  if (issues) await vi.waitFor(() => expect(entries().length).toBeGreaterThan(0));
}

beforeEach(() => {
  vi.stubGlobal("requestAnimationFrame", (run: () => void) => setTimeout(run, 0));
  vi.stubGlobal("cancelAnimationFrame", (id: number) => clearTimeout(id));
});
afterEach(() => {
  // The tests of geometry make no hub.
  (fake as FakeHub | undefined)?.end();
  document.body.replaceChildren();
  vi.unstubAllGlobals();
});

const entries = (): HTMLElement[] =>
  [...root.querySelectorAll<HTMLElement>(".dataide-fix-entry")]
    .filter(({ dataset }) => dataset.no !== "")
    .sort((a, b) => Number(a.dataset.index) - Number(b.dataset.index));
const entry = (no: number): HTMLElement => {
  const found = entries().find(({ dataset }) => dataset.no === String(no));
  if (found === undefined) throw new Error(`There is no entry of ${no}.`);
  return found;
};
const scroller = (): HTMLElement => root.querySelector<HTMLElement>(".dataide-fix-scroller") as HTMLElement;
const press = (key: string): void => {
  scroller().dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
};
const focused = (): string | undefined => root.querySelector<HTMLElement>("[data-focused]")?.dataset.no;
const label = (no: number): string | null | undefined => fake.kernel.session.samples[no]?.label;
const asked = (op: string) => fake.kernel.heard.filter((request) => request.op === op).map(({ body }) => body);

describe("where entries stand", () => {
  const layout = { count: 1000, rowPx: 92, open: 3 };
  test("room for the neighbours is beneath the entry that has the focus", () => {
    expect(geo.topOf(layout, 3)).toBe(276);
    expect(geo.topOf(layout, 4)).toBe(368 + geo.STRIP_PX);
    expect(geo.heightOf(layout)).toBe(92_000 + geo.STRIP_PX);
    expect(geo.heightOf({ ...layout, open: -1 })).toBe(92_000);
    expect(geo.heightOf({ ...layout, open: 1000 })).toBe(92_000);
  });
  test("what a window shows is found for every place", () => {
    for (const open of [-1, 0, 3, 999])
      for (const top of [0, 91, 92, 300, 400, 460, 520, 9000, 91_000]) {
        const at = { ...layout, open };
        const { from, to } = geo.spanOf(at, top, 500);
        const shown = (i: number): boolean => geo.topOf(at, i) < top + 500 && geo.topOf(at, i) + 92 > top;
        for (let i = 0; i < 1000; i++)
          if (shown(i)) expect([from <= i, i <= to], `${open} ${top} ${i}`).toEqual([true, true]);
        expect(to - from).toBeLessThan(9);
      }
  });
  test("an entry comes into sight with what is beneath it, by as little scrolling as it takes", () => {
    expect(geo.topShowing(layout, 0, 500, 2)).toBe(0);
    expect(geo.topShowing(layout, 0, 500, 3)).toBe(276 + 92 + geo.STRIP_PX - 500);
    expect(geo.topShowing(layout, 1000, 500, 1)).toBe(92);
  });
});

describe("the list", () => {
  test("shows given label against proposal, and text of the data as text", async () => {
    await show();
    expect(entries().map(({ dataset }) => Number(dataset.no))).toEqual(WRONG);
    const words = entry(2).textContent ?? "";
    expect(words).toContain(label(2));
    expect(words).toContain("0.95");
    expect(words).toContain("<b>say</b>");
    expect(entry(2).querySelector("b")).toBeNull();
    expect(entry(2).getAttribute("aria-label")).toContain("proposed");
    expect(scroller().getAttribute("aria-activedescendant")).toBe(entry(2).id);
    const kinds = root.querySelector<HTMLSelectElement>('select[aria-label="Kind of issue"]');
    expect([...(kinds?.options ?? [])].map(({ text }) => text)).toEqual([
      "label (6)",
      "near duplicate (2)",
      "outlier (1)",
    ]);
  });

  test("an answer goes on to the next, and what was answered keeps its place until the list is made anew", async () => {
    await show();
    const before = label(2);
    press("y");
    await vi.waitFor(() => expect(entry(2).dataset.state).toBe("accepted"));
    expect(label(2)).not.toBe(before);
    expect(focused()).toBe("4");
    press("n");
    await vi.waitFor(() => expect(entry(4).textContent).toContain("no issue"));
    expect(focused()).toBe("6");
    expect(entries().map(({ dataset }) => Number(dataset.no))).toEqual(WRONG);
    expect(root.textContent).toContain("2 of 6 answered");
    press("z");
    await vi.waitFor(() => expect(entry(4).dataset.state).toBe("open"));
    expect(entry(4).textContent).not.toContain("no issue ");
    root.querySelector<HTMLButtonElement>('button[aria-label="List anew"]')?.click();
    await vi.waitFor(() => expect(entries().map(({ dataset }) => Number(dataset.no))).toEqual(WRONG.slice(1)));
  });

  test("a rejection is taken back with R", async () => {
    await show();
    press("n");
    await vi.waitFor(() => expect(entry(2).dataset.state).toBe("rejected"));
    press("ArrowUp");
    await vi.waitFor(() => expect(focused()).toBe("2"));
    press("r");
    await vi.waitFor(() => expect(entry(2).dataset.state).toBe("open"));
  });

  test("a label given by hand, here or in another panel, shows at the row", async () => {
    await show();
    const other = fake.hub.ui.digits().find(([, name]) => name !== label(2)) as readonly [string, string];
    press(other[0]);
    await vi.waitFor(() => expect(entry(2).textContent).toContain(`relabelled ${other[1]}`));
    await fake.hub.store.act("relabel", { label: "bird" }, { type: "samples", nos: [6] });
    await vi.waitFor(() => expect(entry(6).textContent).toContain("relabelled bird"));
    press("Home");
    press("n");
    await vi.waitFor(() => expect(focused()).toBe("4"));
    expect(label(2), "what is answered by hand is not answered again").toBe(other[1]);
  });

  test("Space selects for all panels, I inspects, and the focus is what others show", async () => {
    await show();
    press("ArrowDown");
    press(" ");
    await vi.waitFor(() => expect(entry(4).getAttribute("aria-selected")).toBe("true"));
    expect(fake.kernel.session.selected[4]).toBe(1);
    expect(fake.hub.store.hovered.value).toBe(4);
    fake.hub.store.inspectors.value = 1;
    press("i");
    expect(fake.hub.store.inspected.value).toBe(4);
    press("n");
    expect(fake.hub.store.inspected.value, "the inspector goes on with the answers").toBe(6);
    press("ArrowUp");
    press(" ");
    await vi.waitFor(() => expect(entry(4).getAttribute("aria-selected")).toBe("false"));
  });

  test("neighbours lie beneath the focus and say with whom they agree", async () => {
    await show();
    press("v");
    const near = () => [...root.querySelectorAll<HTMLElement>(".dataide-fix-neighbour")];
    await vi.waitFor(() => expect(near().length).toBe(12));
    for (const one of near()) {
      const name = one.querySelector(".dataide-fix-neighbour-label")?.textContent ?? null;
      expect(one.dataset.agrees === "given").toBe(name === label(2));
    }
    press("ArrowDown");
    await vi.waitFor(() => expect(asked("issue_neighbours").at(-1)).toMatchObject({ no: 4 }));
    press("v");
    await vi.waitFor(() => expect(near().length).toBe(0));
  });
});

describe("all above a threshold", () => {
  const accept = (): HTMLButtonElement =>
    [...root.querySelectorAll("button")].find(
      (one) => one.textContent?.trim().startsWith("Accept") && one.textContent.includes("…"),
    ) as HTMLButtonElement;
  const dialog = () => root.querySelector<HTMLElement>('[role="dialog"][aria-label="What accepting changes"]');

  test("shows first what becomes what, then does it as one decision without an id", async () => {
    await show();
    const slider = root.querySelector<HTMLInputElement>('input[aria-label="Confidence at least"]') as HTMLInputElement;
    await vi.waitFor(() => expect(accept().textContent).toContain("Accept 1"));
    slider.value = "0.7";
    slider.dispatchEvent(new InputEvent("input"));
    await vi.waitFor(() => expect(accept().textContent).toContain("Accept 3"));
    accept().click();
    await vi.waitFor(() => expect(dialog()).not.toBeNull());
    expect(dialog()?.querySelectorAll("tr").length).toBeGreaterThan(0);
    expect(asked("act")).toEqual([]);
    press("y");
    expect(asked("act"), "under the preview nothing is answered").toEqual([]);
    press("Escape");
    await vi.waitFor(() => expect(dialog()).toBeNull());
    accept().click();
    dialog()?.querySelector<HTMLButtonElement>("[data-confirm]")?.click();
    await vi.waitFor(() => expect(asked("act").length).toBe(1));
    expect(asked("act")[0]).toMatchObject({
      verb: "accept_proposals",
      target: { type: "issues", kind: "label", minConfidence: 0.7, maxScore: 1 },
    });
    expect(JSON.stringify(asked("act")[0])).not.toContain("nos");
    await vi.waitFor(() => expect(entries().filter(({ dataset }) => dataset.state === "accepted").length).toBe(3));
    press("z");
    await vi.waitFor(() => expect(entries().filter(({ dataset }) => dataset.state === "accepted").length).toBe(0));
  });

  test("kinds that propose nothing have no handle, and Y says so", async () => {
    await show({ kind: "outlier" });
    expect(root.querySelector<HTMLElement>(".dataide-fix-threshold")?.hidden).toBe(true);
    press("y");
    expect(fake.hub.store.toasts.value.at(-1)?.sentence).toContain("nothing to accept");
    expect(asked("act")).toEqual([]);
    press("n");
    await vi.waitFor(() => expect(entry(20).dataset.state).toBe("rejected"));
  });

  test("repairs of objects are said as what becomes of how many", async () => {
    const reason = "Two boxes of dog overlap by 93%.";
    await show({ kind: "linter" }, true, ({ issues }) => {
      issues.found(30, { kind: "linter", score: 0.1, proposal: "delete 2 boxes, move 1", reason });
      issues.found(32, { kind: "linter", score: 0.2, proposal: "relabel 1 box", reason });
      issues.found(34, { kind: "linter", score: 0.9, proposal: "delete 1 box", reason });
    });
    await vi.waitFor(() => expect(entry(30).textContent).toContain("delete 2 boxes, move 1"));
    expect(entry(30).querySelector("[data-label]"), "it is not about the sample's label").toBeNull();
    await vi.waitFor(() => expect(accept().textContent).toContain("Accept 2"));
    accept().click();
    await vi.waitFor(() => expect(dialog()).not.toBeNull());
    const said = [...(dialog()?.querySelectorAll("tr") ?? [])].map((row) =>
      row.textContent?.replace(/\s+/g, " ").trim(),
    );
    expect(said).toEqual(["Objects deleted2", "Objects moved1", "Objects relabelled1"]);
    expect(dialog()?.textContent).toContain("Repairs objects of 2 samples");
  });
});

describe("duplicates", () => {
  test("a group stands side by side and is answered as a whole", async () => {
    await show({ kind: "near_duplicate" });
    const members = () => [...root.querySelectorAll<HTMLElement>(".dataide-fix-member")];
    expect(members().map(({ dataset }) => dataset.cure)).toEqual(["keep", "leave out"]);
    press("y");
    await vi.waitFor(() => expect(members()[1]?.dataset.state).toBe("accepted"));
    expect(asked("act")[0]).toMatchObject({ target: { type: "issues", group: 1 } });
    expect(fake.kernel.session.samples[202]?.excluded).toBe(true);
    expect(fake.kernel.session.samples[201]?.excluded).toBe(false);
  });

  test("one is left out by hand, and what is left of the group is then no issue", async () => {
    await show({ kind: "near_duplicate" });
    const leave = [...root.querySelectorAll<HTMLButtonElement>(".dataide-fix-member button")];
    leave[1]?.click();
    await vi.waitFor(() => expect(fake.kernel.session.samples[202]?.excluded).toBe(true));
    await vi.waitFor(() => expect(root.querySelector("[data-excluded]")).not.toBeNull());
    press("y");
    await vi.waitFor(() => expect(asked("act").at(-1)).toMatchObject({ verb: "reject_issues" }));
    expect(fake.kernel.session.samples[201]?.excluded).toBe(false);
  });
});

describe("when the session is closed", () => {
  test("what is on screen stays, with its pictures, and the panel says so", async () => {
    await show({ kind: "label" });
    const pictures = () => [...root.querySelectorAll("img")].map(({ src }) => src);
    await vi.waitFor(() => expect(pictures().length).toBe(WRONG.length));
    const before = pictures();
    expect(root.textContent).not.toContain("closed");
    const [store, images] = [fake.hub.store as SessionStore, fake.hub.images as ImageCache];
    store.lost({ code: "session_closed", message: "The session was closed.", hint: null });
    images.clear();
    press("ArrowDown");
    await vi.waitFor(() => expect(focused()).toBe(String(WRONG[1])));
    expect(pictures()).toEqual(before);
    expect(root.querySelector("[role=alert]")?.textContent).toContain("The session was closed.");
  });
});

describe("issues about objects", () => {
  const ofObjects = (kind: string) =>
    show({ kind }, true, (session) => {
      session.objects.make(20);
      for (const no of [3, 5]) session.issues.found(no, { kind, score: no / 10, reason: "It may as well be a hat." });
    });
  const objectOn = (no: number) => fake.kernel.session.objects.all.find((one) => one.no === no);

  test("a row shows the object, its box and its label, and not those of its sample", async () => {
    await ofObjects("object_ambiguous");
    await vi.waitFor(() => expect(entry(3).querySelector("img")).not.toBeNull());
    const image = entry(3).querySelector("img") as HTMLImageElement;
    expect(entry(3).querySelector("[data-label]")?.textContent).toBe(objectOn(3)?.label);
    Object.defineProperties(image, { naturalWidth: { value: 100 }, naturalHeight: { value: 50 } });
    image.dispatchEvent(new Event("load"));
    const box = entry(3).querySelector<HTMLElement>(".dataide-crop-box") as HTMLElement;
    expect(box.hidden).toBe(false);
    expect([box.style.left, box.style.top, box.style.width, box.style.height]).toEqual([
      "19px",
      "28.5px",
      "38px",
      "19px",
    ]);
  });

  test("I shows the sample with that object chosen, and L is about the object", async () => {
    await ofObjects("object_outlier");
    const object = objectOn(3)?.object as number;
    press("i");
    expect(fake.hub.store.inspectedObject.value).toEqual({ sample: 3, object });
    press("5");
    press("l");
    const input = await vi.waitFor(() => {
      const found = root.querySelector<HTMLInputElement>("input[type=text], .dataide-prompt input");
      if (found === null) throw new Error("no prompt");
      return found;
    });
    input.value = "scarf";
    input.dispatchEvent(new Event("input", { bubbles: true }));
    input.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true }));
    await vi.waitFor(() =>
      expect(asked("act_objects")[0]).toMatchObject({ verb: "relabel", objects: [object], label: "scarf" }),
    );
    expect(asked("act")).toEqual([]);
  });

  test("issues of samples have neither a box nor an object", async () => {
    await show();
    expect(root.querySelector(".dataide-crop-box")).toBeNull();
    press("i");
    expect(fake.hub.store.inspectedObject.value).toBeNull();
  });
});

describe("with nothing to show", () => {
  test("says how to look for issues, and starts it where that can be started", async () => {
    await show({}, false);
    await vi.waitFor(() => expect(root.textContent).toContain("session.find_issues()"));
    const button = () => [...root.querySelectorAll("button")].find((one) => one.textContent?.includes("Find issues"));
    await vi.waitFor(() => expect(button()).toBeDefined());
    button()?.click();
    await vi.waitFor(() => expect(asked("start_job")[0]).toMatchObject({ kind: "issues", target: "all" }));
  });

  test("a kind that was not looked for is named, and one that was chosen elsewhere is shown", async () => {
    await show({ kind: "dark" }, false);
    await vi.waitFor(() => expect(root.textContent).toContain('session.find_issues("dark")'));
  });
});
