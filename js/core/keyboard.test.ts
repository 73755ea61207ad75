import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type FakeHub, fakeHub } from "../dev/fake_hub.js";
import type { KeyboardOptions } from "./contract.js";
import { digitLabels } from "./keys.js";

let fake: FakeHub;
let notebook: HTMLElement;
let root: HTMLElement;
let heard: string[];
const ending = { current: new AbortController() };

/** What JupyterLab does: keydown on document while capturing, unless the attribute stands between target and document. */
const jupyterlab = (event: KeyboardEvent): void => {
  if (!(event.target as Element).closest("[data-lm-suppress-shortcuts]")) heard.push(event.key);
};

function attach(handler: (event: KeyboardEvent) => boolean = () => false, options?: KeyboardOptions): void {
  fake.hub.keyboard.attach(root, handler, ending.current.signal, options);
}

function press(key: string, target: Element = root, more: KeyboardEventInit = {}): KeyboardEvent {
  const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more });
  target.dispatchEvent(event);
  return event;
}

const ops = (): string[] => fake.kernel.heard.map(({ op }) => op).filter((op) => op !== "hello");
const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

beforeEach(() => {
  ending.current = new AbortController();
  heard = [];
  fake = fakeHub({ count: 40, labels: ["10", "9", "cat", "b", "c", "d", "e", "f", "g", "h", "i"] });
  document.body.innerHTML = '<div id="notebook" tabindex="0"></div><input id="editor"><div id="root"></div>';
  notebook = document.getElementById("notebook") as HTMLElement;
  root = document.getElementById("root") as HTMLElement;
  document.addEventListener("keydown", jupyterlab, true);
});

afterEach(() => {
  ending.current.abort();
  fake.end();
  document.removeEventListener("keydown", jupyterlab, true);
});

describe("JupyterLab's shortcuts", () => {
  it("stay out while the focus is in a panel, for keys it knows and keys it does not", () => {
    attach();
    for (const key of ["a", "b", "d", "d", "m", "y", "x", "z", "Enter", "Escape"]) press(key);
    expect(heard).toEqual([]);
  });

  it("stay out while the pointer is over a panel, with the focus still in the notebook", () => {
    attach();
    root.dispatchEvent(new MouseEvent("pointerenter"));
    press("a", notebook);
    press("b", notebook);
    expect(heard).toEqual([]);
    expect(ops()).toEqual(["select"]);
    root.dispatchEvent(new MouseEvent("pointerleave"));
    press("b", notebook);
    expect(heard).toEqual(["b"]);
  });

  it("still save the notebook and run the cell", () => {
    attach();
    press("s", root, { ctrlKey: true });
    press("Enter", root, { shiftKey: true });
    expect(heard).toEqual(["s", "Enter"]);
    expect(ops()).toEqual([]);
  });

  it("and ours leave alone who types in a cell under the pointer", () => {
    attach();
    root.dispatchEvent(new MouseEvent("pointerenter"));
    const editor = document.getElementById("editor") as HTMLInputElement;
    expect(press("x", editor).defaultPrevented).toBe(false);
    expect(ops()).toEqual([]);
  });

  it("come back when the panel is gone", () => {
    attach();
    ending.current.abort();
    root.removeAttribute("data-lm-suppress-shortcuts");
    press("a");
    expect(heard).toEqual(["a"]);
    expect(ops()).toEqual([]);
  });
});

describe("keys shared by all panels", () => {
  it("come after the panel's own", () => {
    attach((event) => event.key === "x");
    press("x");
    press("a");
    expect(ops()).toEqual(["select"]);
  });

  it("do not fire while someone types into a panel's input", () => {
    attach();
    const input = root.appendChild(document.createElement("input"));
    press("x", input);
    press("5", input);
    expect(ops()).toEqual([]);
    expect(heard).toEqual([]);
  });

  it("leave Enter and Space to a focused button", () => {
    attach(() => {
      throw new Error("must not be asked");
    });
    const button = root.appendChild(document.createElement("button"));
    expect(press("Enter", button).defaultPrevented).toBe(false);
  });

  it("relabel by digit in the order the help shows", async () => {
    attach(undefined, { target: () => ({ type: "samples", nos: [0] }) });
    const [, label] = fake.hub.ui.digits()[0] ?? [];
    expect(label).toBe("9");
    press("1");
    await settled();
    expect(fake.kernel.session.samples[0]?.label).toBe("9");
  });

  it("say so when nothing is selected instead of doing nothing", () => {
    attach();
    press("x");
    expect(ops()).toEqual([]);
    expect(fake.hub.store.toasts.value[0]?.sentence).toBe("Nothing is selected.");
  });

  it("undo with Z and Ctrl+Z, redo with Shift+Z", () => {
    attach();
    press("z");
    press("z", root, { ctrlKey: true });
    press("Z", root, { shiftKey: true });
    expect(ops()).toEqual(["undo", "undo", "redo"]);
  });

  it("Esc closes the prompt first, then disarms, then selects nothing", async () => {
    attach(undefined, { target: () => ({ type: "samples", nos: [0] }) });
    await fake.hub.store.arm({ verb: "exclude", arguments: {} });
    press("t");
    expect(root.querySelector("[data-dataide-prompt]")).not.toBeNull();
    press("Escape");
    expect(root.querySelector("[data-dataide-prompt]")).toBeNull();
    press("Escape");
    await settled();
    expect(fake.hub.store.state.value?.armed).toBeNull();
    press("Escape");
    expect(ops().at(-1)).toBe("select");
  });

  it("T asks for the tag, completes it and tags", async () => {
    fake.kernel.session.act("tag", { tag: "glare" }, { type: "samples", nos: [9] }, "u");
    await fake.hub.client.ask("hello", {}, { panel: "t" });
    attach(undefined, { target: () => ({ type: "samples", nos: [0, 1] }) });
    press("t");
    const input = root.querySelector("input") as HTMLInputElement;
    expect(document.activeElement).toBe(input);
    input.value = "gl";
    input.dispatchEvent(new InputEvent("input", { bubbles: true }));
    press("ArrowDown", input);
    press("Enter", input);
    await settled();
    expect([...(fake.kernel.session.samples[1]?.tags ?? [])]).toEqual(["glare"]);
  });
});

describe("labels by digit", () => {
  it("are the digit itself where all labels are digits", () => {
    const { session } = fakeHub({ count: 200, labels: ["0", "7", "3"] }).kernel;
    expect(digitLabels(session.state())).toEqual([
      ["0", "0"],
      ["3", "3"],
      ["7", "7"],
    ]);
  });

  it("are the first nine by name else, numbers in names in order", () => {
    const labels = digitLabels(fake.kernel.session.state()).map(([, label]) => label);
    expect(labels).toHaveLength(9);
    expect(labels.slice(0, 3)).toEqual(["9", "10", "b"]);
  });
});

describe("the ring of the focus", () => {
  it("stays away after a press of the mouse and comes with the arrows", () => {
    attach(() => true);
    root.dispatchEvent(new MouseEvent("pointerdown", { bubbles: true }));
    press("t");
    expect(document.activeElement).toBe(root);
    expect(root.hasAttribute("data-dataide-pressed")).toBe(true);
    press("ArrowRight");
    expect(root.hasAttribute("data-dataide-pressed")).toBe(false);
  });
});
