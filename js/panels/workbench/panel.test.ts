// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type FakeHub, fakeHub } from "../../dev/fake_hub.js";
import facets from "../facets/index.js";
import workbench from "./index.js";

class NoResizes {
  observe(): void {}
  unobserve(): void {}
  disconnect(): void {}
}

let fake: FakeHub;
let root: HTMLElement;
const quiet = { render: () => {}, traits: { config: {} } };

beforeEach(async () => {
  vi.stubGlobal("ResizeObserver", NoResizes);
  Element.prototype.scrollIntoView ??= () => {};
  fake = fakeHub({ count: 400 });
  root = document.createElement("div");
  document.body.append(root);
  const traits = { facets: "w:facets", scatter: "w:scatter", grid: "w:grid", inspector: "w:inspector", config: {} };
  const children = {
    "w:facets": { render: facets.render as never, traits: { config: { embedded: true } } },
    "w:scatter": { ...quiet, traits: { config: { color: "split" } } },
    "w:grid": quiet,
    "w:inspector": quiet,
  };
  await workbench.render(fake.props(root, traits, children) as never);
  await vi.waitFor(() => expect(root.querySelector(".di-bar")).not.toBeNull());
});

afterEach(() => {
  fake.end();
  root.remove();
  vi.unstubAllGlobals();
});

const find = <T extends HTMLElement = HTMLElement>(selector: string): T => {
  const found = root.querySelector<T>(selector);
  if (!found) throw new Error(`There is no ${selector}.`);
  return found;
};
const press = (target: HTMLElement, key: string) =>
  target.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
const write = (text: string) => {
  const input = find<HTMLInputElement>('input[role="combobox"]');
  input.focus();
  input.value = text;
  input.dispatchEvent(new InputEvent("input", { bubbles: true }));
  return input;
};
const asked = (op: string) => fake.kernel.heard.filter((request) => request.op === op).map((request) => request.body);

describe("names for tests and for assistive technology", () => {
  test("there is exactly one count, and each decision has one button with its name", () => {
    expect(root.dataset.dataidePanel).toBe("workbench");
    expect(root.querySelectorAll('[role="status"]').length).toBe(1);
    for (const name of ["Tag", "Relabel", "Queue", "Similar", "Exclude", "Undo", "Redo"]) {
      expect(root.querySelectorAll(`button[aria-label="${name}"]`).length, name).toBe(1);
    }
  });
});

describe("filter box", () => {
  test("Enter filters, and the filter stands there as a chip that can be removed", async () => {
    const input = write("label = 'cat'");
    press(input, "Enter");
    await vi.waitFor(() => expect(root.querySelector(".di-chip")?.textContent).toContain("label = 'cat'"));
    find('[aria-label^="Remove filter"]').click();
    await vi.waitFor(() => expect(root.querySelector(".di-chip")).toBeNull());
    expect(input.value).toBe("");
  });

  test("a wrong filter is explained under the box, and Esc brings back the one that holds", async () => {
    press(write("label = 'cat'"), "Enter");
    await vi.waitFor(() => expect(root.querySelector(".di-chip")).not.toBeNull());
    const input = write("lable = 'cat'");
    press(input, "Enter");
    await vi.waitFor(() => expect(root.querySelector('[role="alert"]')?.textContent).toContain("lable"));
    press(input, "Escape");
    expect(input.value).toBe("label = 'cat'");
    expect(root.querySelector('[role="alert"]')).toBeNull();
  });

  test("a filter with HTML in it stays text", async () => {
    const input = write("<img src=x>");
    press(input, "Enter");
    await vi.waitFor(() => expect(root.querySelector('[role="alert"]')).not.toBeNull());
    expect(root.querySelector("img")).toBeNull();
  });

  test("Tab takes the completion", async () => {
    const input = write("bri");
    await vi.waitFor(() => expect(root.querySelector('[role="option"]')?.textContent).toContain("brightness"));
    press(input, "Tab");
    expect(input.value).toBe("brightness ");
  });
});

describe("facets inside", () => {
  const bar = () => find<HTMLButtonElement>('[data-column="label"] .di-bar');

  test("a click on a value filters, an alt-click leaves it out, and the clause can be cleared", async () => {
    const name = bar().querySelector(".di-name")?.textContent;
    bar().click();
    expect(bar().getAttribute("aria-pressed")).toBe("true");
    await vi.waitFor(() => expect(root.querySelector(".di-chip")).not.toBeNull());
    expect(asked("filter").at(-1)).toEqual({
      source: "facet:label",
      clause: { type: "in", column: "label", values: [name] },
    });
    find('[aria-label="Clear the filter on label"]').click();
    await vi.waitFor(() => expect(root.querySelector(".di-chip")).toBeNull());
    bar().dispatchEvent(new MouseEvent("click", { bubbles: true, altKey: true }));
    await vi.waitFor(() => expect(root.querySelector(".di-chip")?.textContent).toContain("not"));
  });

  test("arrow keys on a handle brush the histogram, with one request in flight and the newest after it", async () => {
    fake.kernel.paused = true;
    const handle = find('[data-column="stars"] [role="slider"]');
    for (let i = 0; i < 3; i++) press(handle, "ArrowRight");
    expect(find('[data-column="stars"] [role="slider"]').getAttribute("aria-valuenow")).toBe("4");
    fake.kernel.resume();
    await vi.waitFor(() => expect(asked("filter").length).toBe(2));
    expect(asked("filter").at(-1)).toMatchObject({ clause: { type: "range", column: "stars", low: 4, high: null } });
  });

  test("a facet of tags opens with the first tag", async () => {
    expect(root.querySelector('[data-column="tags"] .di-bar')).toBeNull();
    await fake.hub.store.act("tag", { tag: "glare" }, { type: "samples", nos: [1, 2] });
    await vi.waitFor(() => expect(root.querySelector('[data-column="tags"] .di-bar')?.textContent).toContain("glare"));
  });
});

describe("bars", () => {
  test("the colour list shows the plot's colour and changes it", async () => {
    const select = find<HTMLSelectElement>('select[aria-label="Colour by"]');
    await vi.waitFor(() => expect(select.value).toBe("split"));
    select.value = "label";
    select.dispatchEvent(new Event("change", { bubbles: true }));
    await vi.waitFor(() => expect(asked("configure").at(-1)).toMatchObject({ name: "color", value: "label" }));
  });

  test("an action is armed from the list and disarmed with a click", async () => {
    const select = find<HTMLSelectElement>(".di-arm");
    const exclude = [...select.options].find((option) => option.textContent === "exclude");
    select.value = exclude?.value ?? "";
    select.dispatchEvent(new Event("change", { bubbles: true }));
    await vi.waitFor(() => expect(root.querySelector(".di-armed")?.textContent).toContain("exclude on every lasso"));
    find(".di-armed").click();
    await vi.waitFor(() => expect(root.querySelector(".di-armed")).toBeNull());
  });

  test("the drawer opens with an inspected sample and closes with Esc", async () => {
    const drawer = find(".di-drawer");
    expect(drawer.hidden).toBe(true);
    fake.hub.store.inspected.value = 3;
    expect(drawer.hidden).toBe(false);
    press(root, "Escape");
    expect(drawer.hidden).toBe(true);
    expect(fake.hub.store.inspected.value).toBeNull();
  });
});

test("a session without samples says how to get some", async () => {
  const empty = fakeHub({ count: 0 });
  const place = document.createElement("div");
  document.body.append(place);
  const traits = { facets: "w:f", scatter: "w:s", grid: "w:g", inspector: "w:i", config: {} };
  const children = { "w:f": quiet, "w:s": quiet, "w:g": quiet, "w:i": quiet };
  await workbench.render(empty.props(place, traits, children) as never);
  await vi.waitFor(() => expect(place.textContent).toContain('session.add_folder("photos")'));
  empty.end();
  place.remove();
});
