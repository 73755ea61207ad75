import { describe, expect, it } from "vitest";
import { fakeHub } from "../dev/fake_hub.js";
import { FakeKernel } from "../dev/fake_kernel.js";
import type { SessionState } from "./protocol.js";
import { folded, newer } from "./store.js";

const state = (rev: number, selection: [number, number], filter: [number, number] = [100, 1]): SessionState => ({
  ...new FakeKernel({ count: 1 }).session.state(),
  rev,
  selection: { count: selection[0], version: selection[1] },
  filter: { count: filter[0], version: filter[1], passing: filter[1], text: "", clauses: [] },
});

describe("a state that arrives late", () => {
  it("does not bring an older revision back", () => {
    expect(newer(state(5, [1, 1]), state(4, [9, 1])).rev).toBe(5);
  });

  it("does not take back a count the user already sees", () => {
    const next = newer(state(5, [312, 8], [50, 3]), state(6, [0, 7], [100, 2]));
    expect([next.rev, next.selection.count, next.filter.count]).toEqual([6, 312, 50]);
  });
});

describe("an answer", () => {
  it("puts the right count on screen before the event comes", () => {
    const body = { count: 312, version: 2, python: "" };
    expect(folded(state(1, [0, 1]), "select", body).selection).toEqual({ count: 312, version: 2 });
  });

  it("older than what is known changes nothing", () => {
    const known = state(1, [5, 9]);
    expect(folded(known, "select", { count: 0, version: 3, python: "" })).toBe(known);
  });
});

describe("the session's store over the real hub and protocol", () => {
  const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

  it("knows the session at once when it came with the widget, and after the first answer when not", async () => {
    expect(fakeHub({ count: 20 }).hub.store.state.value?.sampleCount).toBe(20);
    const late = fakeHub({ count: 20, boot: false });
    expect(late.hub.store.state.value).toBeNull();
    expect(late.kernel.heard.map(({ op }) => op)).toEqual(["hello"]);
    await settled();
    expect(late.hub.store.state.value?.sampleCount).toBe(20);
  });

  it("tags the selection, says so, and takes it back", async () => {
    const { hub, kernel } = fakeHub({ count: 50 });
    const { client, store } = hub;
    await client.ask(
      "select",
      { shape: { type: "samples", nos: [1, 2, 3] }, mode: "replace", source: "t" },
      { panel: "p" },
    );
    await store.act("tag", { tag: "glare" }, { type: "selection" });
    await settled();
    expect(store.toasts.value.at(-1)).toMatchObject({ undoable: true, kind: "info" });
    expect(store.toasts.value.at(-1)?.sentence).toContain("3 samples");
    expect(store.state.value?.tags).toEqual([{ name: "glare", count: 3 }]);
    await store.undo();
    await settled();
    expect(store.state.value?.tags).toEqual([]);
    expect(store.toasts.value.some((toast) => toast.undoable)).toBe(false);
    expect(kernel.heard.filter(({ op }) => op === "act")[0]?.bytes).toBeLessThan(1024);
  });

  it("carries out the armed action when a gesture ends, and only then", async () => {
    const { hub } = fakeHub({ count: 50 });
    const { client, store } = hub;
    await store.gestureEnded();
    expect(store.toasts.value).toEqual([]);
    await store.arm({ verb: "tag", arguments: { tag: "auto" } });
    void client.ask(
      "select",
      { shape: { type: "samples", nos: [4, 5] }, mode: "replace", source: "t" },
      { panel: "p" },
    );
    await store.gestureEnded();
    await settled();
    expect(store.state.value?.tags).toEqual([{ name: "auto", count: 2 }]);
  });

  it("selects and carries out the armed action in one message", async () => {
    const { hub, kernel } = fakeHub({ count: 50 });
    await hub.store.arm({ verb: "tag", arguments: { tag: "auto" } });
    const heard = kernel.heard.length;
    const shape = { type: "samples", nos: [4, 5, 6] } as const;
    await hub.store.gesture({ shape: { ...shape, nos: [...shape.nos] }, mode: "replace", source: "t" }, { panel: "p" });
    expect(kernel.heard.slice(heard).map(({ op }) => op)).toEqual(["select"]);
    await settled();
    expect(hub.store.state.value?.tags).toEqual([{ name: "auto", count: 3 }]);
    expect(hub.store.toasts.value.at(-1)?.sentence).toContain("3 samples");
  });

  it("shows what the kernel refuses, with what to do about it", async () => {
    const { hub } = fakeHub({ count: 5 });
    await hub.store.act("tag", { tag: "x" }, { type: "samples", nos: [1] });
    const shape = { type: "predicate", text: "colour = 3" } as const;
    const refused = await hub.client
      .ask("select", { shape, mode: "replace", source: "t" }, { panel: "p" })
      .catch((error) => error.failure);
    expect(refused).toMatchObject({ code: "filter", hint: expect.stringContaining("label") });
  });

  it("says that the kernel was restarted instead of waiting for ever", async () => {
    const { hub, model, kernel } = fakeHub({ count: 5 });
    kernel.paused = true;
    const asked = hub.store.act("tag", { tag: "x" }, { type: "samples", nos: [1] });
    model.trigger("comm_live_update");
    await asked;
    expect(hub.store.connection.value).toBe("lost");
    expect(hub.store.toasts.value.at(-1)).toMatchObject({
      kind: "error",
      hint: expect.stringContaining("Run the cells"),
    });
  });

  it.each([
    ["comm_live_update", "The kernel was restarted."],
    ["comm:close", "The session was closed."],
  ])("says which of the two ended the panels: %s", (event, sentence) => {
    const { hub, model } = fakeHub({ count: 5 });
    const panel = document.createElement("div");
    hub.ui.frame(panel, new AbortController().signal);
    model.trigger(event);
    model.trigger("comm_live_update"); // follows the other one
    expect(panel.querySelector('[role="alert"]')?.textContent).toContain(sentence);
    expect(panel.textContent).toContain("saved");
  });
});
