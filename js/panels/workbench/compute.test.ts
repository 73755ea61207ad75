// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { EndedJob, StartKind } from "../../core/protocol.js";
import { type FakeHub, fakeHub } from "../../dev/fake_hub.js";
import { firstTarget, optionsOf } from "./compute.js";
import workbench from "./index.js";

class NoResizes {
  observe(): void {}
  unobserve(): void {}
  disconnect(): void {}
}

let fake: FakeHub;
let root: HTMLElement;

async function shown(count: number): Promise<void> {
  fake = fakeHub({ count });
  root = document.createElement("div");
  document.body.append(root);
  const quiet = { render: () => {}, traits: { config: {} } };
  const traits = { facets: "w:f", scatter: "w:s", grid: "w:g", inspector: "w:i", config: {} };
  await workbench.render(fake.props(root, traits, { "w:f": quiet, "w:s": quiet, "w:g": quiet, "w:i": quiet }) as never);
}

beforeEach(async () => {
  vi.stubGlobal("ResizeObserver", NoResizes);
  await shown(50);
});

afterEach(() => {
  fake.end();
  root.remove();
  vi.unstubAllGlobals();
});

const press = (target: Element, key: string) =>
  target.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
const dialog = () => root.querySelector<HTMLElement>('[role="dialog"][aria-label="Compute"]');
const button = () => root.querySelector<HTMLButtonElement>(".di-compute-open") as HTMLButtonElement;
const asked = (op: string) => fake.kernel.heard.filter((request) => request.op === op).map((request) => request.body);
const field = <T extends HTMLElement = HTMLInputElement>(label: string): T => {
  const found = [...(dialog()?.querySelectorAll("label") ?? [])].find((one) => one.textContent?.startsWith(label));
  return (found?.control ?? found?.querySelector("input")) as unknown as T;
};
const write = (label: string, text: string) => {
  const input = field(label);
  input.value = text;
  input.dispatchEvent(new Event("input", { bubbles: true }));
};
const go = () => dialog()?.querySelector<HTMLButtonElement>(".di-compute-go")?.click();
const open = async () => {
  press(root, "m");
  await vi.waitFor(() => expect(dialog()).not.toBeNull());
};

describe("what is sent", () => {
  const kind = {
    kind: "learned",
    title: "",
    about: "",
    fields: [
      { name: "label", label: "", kind: "choice", value: "label", choices: [], hint: null },
      { name: "minutes", label: "Minutes", kind: "number", value: "2", choices: [], hint: null },
    ],
  } satisfies StartKind;

  test("is what was filled in, else what the form began with; a number that is none is refused", () => {
    expect(optionsOf(kind, new Map())).toEqual({ label: "label", minutes: 2 });
    expect(optionsOf(kind, new Map([["minutes", "0.5"]]))).toEqual({ label: "label", minutes: 0.5 });
    expect(optionsOf(kind, new Map([["minutes", " 1,5 "]]))).toEqual({ label: "label", minutes: 1.5 });
    for (const wrong of ["soon", "2 hours", "", "1,000.5"]) {
      expect(optionsOf(kind, new Map([["minutes", wrong]])), wrong).toMatchObject({ field: "minutes" });
    }
  });

  test("is about the selection if there is one, else about what passes the filter", () => {
    const all = { target: "all", count: 9 } as const;
    const filter = { target: "filter", count: 4 } as const;
    expect(firstTarget([all], "embedding")).toBe("all");
    expect(firstTarget([all, filter], "embedding")).toBe("filter");
    expect(firstTarget([all, filter, { target: "selection", count: 2 }], "embedding")).toBe("selection");
  });
});

test("a map begins with everything: one of a selected sample shows nothing", () => {
  const targets = [{ target: "all", count: 9 } as const, { target: "selection", count: 1 } as const];
  expect(firstTarget(targets, "map")).toBe("all");
});

describe("the form", () => {
  test("opens with M, takes the focus, and Escape gives it back", async () => {
    button().focus();
    await open();
    expect(button().getAttribute("aria-expanded")).toBe("true");
    expect(dialog()?.contains(document.activeElement)).toBe(true);
    expect((document.activeElement as HTMLInputElement).checked).toBe(true);
    press(document.activeElement as Element, "Escape");
    expect(dialog()).toBeNull();
    expect(document.activeElement).toBe(button());
    expect(button().getAttribute("aria-expanded")).toBe("false");
  });

  test("takes no focus from who has gone on elsewhere while the kernel was slow", async () => {
    const cell = document.body.appendChild(document.createElement("textarea"));
    button().focus();
    fake.kernel.paused = true;
    press(root, "m");
    cell.focus();
    fake.kernel.resume();
    await vi.waitFor(() => expect(dialog()).not.toBeNull());
    expect(document.activeElement).toBe(cell);
    cell.remove();
  });

  test("keeps its letters to itself: T in it tags nothing, and M does not close it", async () => {
    await fake.hub.client.ask("select", { shape: { type: "all" }, mode: "replace", source: "t" }, { panel: "p" });
    await open();
    for (const key of ["t", "x", "m"]) press(document.activeElement as Element, key);
    expect(root.querySelector(".dataide-prompt")).toBeNull();
    expect(asked("act")).toEqual([]);
    expect(dialog()).not.toBeNull();
  });

  test("each field has a label, and names from the data stay text", async () => {
    await open();
    for (const control of dialog()?.querySelectorAll<HTMLInputElement>("input, select") ?? []) {
      expect(control.labels?.length, control.outerHTML).toBe(1);
    }
    field("Map").click();
    expect(field<HTMLSelectElement>("Of").textContent).toContain("<b>mine</b>");
    expect(dialog()?.querySelector("b")).toBeNull();
  });

  test("starts what was chosen on the selection, closes, and the strip shows the job", async () => {
    const shape = { type: "samples", nos: [1, 2, 3] } as const;
    await fake.hub.client.ask(
      "select",
      { shape: { ...shape, nos: [1, 2, 3] }, mode: "replace", source: "t" },
      { panel: "p" },
    );
    await open();
    expect(dialog()?.textContent).toContain("the selection");
    write("Model", "resnet18");
    go();
    await vi.waitFor(() => expect(dialog()).toBeNull());
    const options = { model: "resnet18", name: "" };
    expect(asked("start_job")).toMatchObject([{ kind: "embedding", target: "selection", options, panel: "panel-1" }]);
    const strip = root.querySelector('[aria-label="Jobs under way"]');
    await vi.waitFor(() => expect(strip?.textContent).toContain("Embedding"));
  });

  test("what the kernel refuses is said at its field, which gets the focus; the next attempt is another one", async () => {
    await open();
    write("Model", "res net");
    go();
    await vi.waitFor(() =>
      expect(dialog()?.querySelector('[role="alert"]')?.textContent).toContain("no name of a model"),
    );
    const input = field("Model");
    expect(document.activeElement).toBe(input);
    expect(input.getAttribute("aria-invalid")).toBe("true");
    const about = input.getAttribute("aria-describedby")?.split(" ") ?? [];
    expect(about.some((id) => document.getElementById(id)?.getAttribute("role") === "alert")).toBe(true);
    write("Model", "resnet18");
    expect(dialog()?.querySelector('[role="alert"]')).toBeNull();
    go();
    await vi.waitFor(() => expect(dialog()).toBeNull());
    const [first, second] = asked("start_job") as { uuid: string }[];
    expect(first?.uuid).not.toBe(second?.uuid);
  });

  test("a second press while the kernel is asked starts nothing twice", async () => {
    await open();
    fake.kernel.paused = true;
    go();
    go();
    fake.kernel.resume();
    await vi.waitFor(() => expect(dialog()).toBeNull());
    expect(asked("start_job").length).toBe(1);
  });

  test("a number that is none is said at its field, and the kernel is not asked", async () => {
    await open();
    field("Learned").click();
    write("Minutes", "soon");
    go();
    expect(dialog()?.querySelector('[role="alert"]')?.textContent).toContain("'soon' is no number");
    expect(document.activeElement).toBe(field("Minutes"));
    expect(asked("start_job")).toEqual([]);
  });

  test("what was chosen in the list of one kind is not shown in the list of another", async () => {
    await open();
    field("Map").click();
    const of = field<HTMLSelectElement>("Of");
    for (const value of ["<b>mine</b>", "auto", "<b>mine</b>"]) {
      of.value = value;
      of.dispatchEvent(new Event("change", { bubbles: true }));
    }
    field("Learned").click();
    expect(field<HTMLSelectElement>("Label").value).toBe("label");
    field("Map").click();
    expect(field<HTMLSelectElement>("Of").value).toBe("auto");
  });

  test("Start keeps the focus while the kernel is asked, so that Escape and Tab go on from there", async () => {
    await open();
    fake.kernel.paused = true;
    const start = dialog()?.querySelector<HTMLButtonElement>(".di-compute-go") as HTMLButtonElement;
    start.focus();
    start.click();
    expect(start.getAttribute("aria-disabled")).toBe("true");
    expect(start.disabled).toBe(false);
    fake.kernel.resume();
    await vi.waitFor(() => expect(dialog()).toBeNull());
  });

  test("an error that comes after the form was closed is told, and a form opened meanwhile is left alone", async () => {
    await open();
    write("Model", "res net");
    fake.kernel.paused = true;
    go();
    press(document.activeElement as Element, "Escape");
    expect(dialog()).toBeNull();
    press(root, "m");
    fake.kernel.resume();
    await vi.waitFor(() => expect(fake.hub.store.toasts.value.at(-1)?.sentence).toContain("no name of a model"));
    await vi.waitFor(() => expect(dialog()).not.toBeNull());
    expect(dialog()?.querySelector('[role="alert"]')).toBeNull();
  });

  test("a press of the mouse elsewhere closes it and leaves the focus alone", async () => {
    await open();
    dialog()?.dispatchEvent(new Event("pointerdown", { bubbles: true }));
    expect(dialog()).not.toBeNull();
    document.body.dispatchEvent(new Event("pointerdown", { bubbles: true }));
    expect(dialog()).toBeNull();
  });

  test("says why nothing can be computed", async () => {
    fake.end();
    root.remove();
    await shown(0);
    await open();
    expect(dialog()?.textContent).toContain("There are no samples yet.");
    expect(dialog()?.querySelector(".di-compute-go")).toBeNull();
  });
});

describe("what came of jobs", () => {
  const ENDED: EndedJob = {
    id: "a",
    verb: "Embedding with '<b>mine</b>'",
    state: "failed",
    message: "torch cannot use 'cuda' here.",
    hint: "Compute on the CPU.",
    embedding: null,
  };
  const strip = () => root.querySelector<HTMLElement>('[aria-label="Jobs that ended"]') as HTMLElement;
  const tell = (...ended: EndedJob[]) => {
    fake.kernel.session.ended = ended;
    fake.kernel.event("jobs", fake.kernel.session.jobsState());
  };

  test("an error stays with what to do about it until it is dismissed", async () => {
    expect(strip().hidden).toBe(true);
    tell(ENDED);
    expect(strip().hidden).toBe(false);
    expect(strip().querySelector('[role="alert"]')?.textContent).toMatch(
      /cannot use 'cuda' here\.\s+Compute on the CPU\./,
    );
    expect(strip().querySelector("b")).toBeNull();
    fake.kernel.event("state", fake.kernel.session.state());
    expect(strip().hidden).toBe(false);
    strip().querySelector<HTMLButtonElement>('[aria-label^="Dismiss"]')?.click();
    await vi.waitFor(() => expect(strip().hidden).toBe(true));
    expect(asked("dismiss_job")).toEqual([{ id: "a" }]);
  });

  test("vectors without a map offer one", async () => {
    tell({ ...ENDED, state: "done", message: "Embedded 50 samples.", hint: null, embedding: "mine" });
    expect(strip().querySelector('[role="alert"]')).toBeNull();
    const make = [...strip().querySelectorAll("button")].find((one) => one.textContent?.includes("Make a map"));
    make?.click();
    make?.click();
    await vi.waitFor(() => expect(asked("start_job").length).toBe(2));
    const [first, again] = asked("start_job") as { uuid: string }[];
    expect(first).toMatchObject({ kind: "map", target: "all", options: { embedding: "mine" } });
    expect(again?.uuid, "a double click is one map").toBe(first?.uuid);
  });
});
