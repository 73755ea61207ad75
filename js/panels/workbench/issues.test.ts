// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type FakeHub, fakeHub } from "../../dev/fake_hub.js";
import facets from "../facets/index.js";
import workbench from "./index.js";
import { severityOf } from "./issues.js";

class NoResizes {
  observe(): void {}
  unobserve(): void {}
  disconnect(): void {}
}

let fake: FakeHub;
let root: HTMLElement;
const quiet = { render: () => {}, traits: { config: {} } };
const shown: HTMLElement[] = [];
const fixPanel = {
  render: ({ el }: { el: HTMLElement }) => {
    el.tabIndex = 0;
    shown.push(el);
  },
  traits: { config: {} },
};
const traits: Record<string, unknown> = {};

beforeEach(async () => {
  vi.stubGlobal("ResizeObserver", NoResizes);
  fake = fakeHub({ count: 200 });
  root = document.createElement("div");
  document.body.append(root);
  shown.length = 0;
  const children = {
    "w:facets": { render: facets.render as never, traits: { config: { embedded: true } } },
    "w:scatter": { ...quiet, traits: { config: { color: "split" } } },
    "w:grid": quiet,
    "w:inspector": quiet,
    "w:fix": fixPanel as never,
  };
  Object.assign(traits, { facets: "w:facets", scatter: "w:scatter", grid: "w:grid", inspector: "w:inspector" });
  const props = fake.props(root, { ...traits, config: {}, fix: null }, children);
  const { model } = props as unknown as {
    model: { get(name: string): unknown; set(name: string, value: unknown): void };
  };
  const configure = fake.kernel.onConfigure;
  // As the kernel does it: the panel is made with the first choice of a kind.
  fake.kernel.onConfigure = (ask) => {
    if (ask.name === "fix" && ask.value !== null) model.set("fix", "w:fix");
    if (ask.panel === model.get("panel_id"))
      model.set("config", { ...(model.get("config") as object), [ask.name]: ask.value });
    else configure(ask);
  };
  await workbench.render(props as never);
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
const asked = (op: string) => fake.kernel.heard.filter((request) => request.op === op).map(({ body }) => body);
const tab = (name: string) => find<HTMLButtonElement>(`[role="tab"][aria-controls$="-${name}"]`);
const kind = (name: string) => find<HTMLButtonElement>(`.di-issue-kind[data-kind="${name}"]`);

function search(): void {
  const { session } = fake.kernel;
  for (const no of [3, 5, 9]) session.issues.found(no, { kind: "label", score: no / 20, proposal: "dog" });
  session.issues.found(7, { kind: "near_duplicate", score: 0.6, proposal: "exclude" });
  session.issues.searched.push("outlier", "low_information");
  session.rev++;
  fake.kernel.event("state", session.state());
}

describe("the tab of issues", () => {
  test("by key and by arrows, and the choice is kept", async () => {
    expect(tab("facets").getAttribute("aria-selected")).toBe("true");
    expect(find('[id$="-left-issues"]').hidden).toBe(true);
    press(root, "i");
    expect(tab("issues").getAttribute("aria-selected")).toBe("true");
    expect(find('[id$="-left-facets"]').hidden).toBe(true);
    expect(asked("configure")).toContainEqual(expect.objectContaining({ name: "left_tab", value: "issues" }));
    press(root, "i");
    expect(document.activeElement).toBe(tab("facets"));
    press(tab("facets"), "ArrowRight");
    expect(document.activeElement).toBe(tab("issues"));
    expect(tab("facets").tabIndex).toBe(-1);
    expect(find('[id$="-left-issues"]').hidden).toBe(false);
  });

  test("with nothing looked for it explains itself, and the button starts a search once", async () => {
    press(root, "i");
    expect(find('[id$="-left-issues"]').textContent).toContain("Nothing was looked for yet.");
    const button = find<HTMLButtonElement>(".di-find");
    expect(document.activeElement).toBe(button);
    button.click();
    button.click();
    await vi.waitFor(() => expect(button.textContent?.trim()).toBe("Looking…"));
    await vi.waitFor(() => expect(fake.hub.store.jobs.value.length).toBe(1));
    expect(asked("start_job")).toEqual([
      expect.objectContaining({ kind: "issues", target: "all", options: {}, panel: expect.any(String) }),
    ]);
    await vi.waitFor(() => expect(button.getAttribute("aria-disabled")).toBe("true"));
    expect(document.activeElement).toBe(button); // a button that is off would lose the focus
    const [job] = fake.kernel.session.jobs.splice(0);
    fake.kernel.session.ended.push({
      id: job?.id ?? "",
      verb: "Looking for issues",
      state: "done",
      message: "3 label",
      hint: null,
      embedding: null,
      show: "issues",
    });
    search();
    fake.kernel.event("jobs", fake.kernel.session.jobsState());
    await vi.waitFor(() => expect(button.getAttribute("aria-disabled")).toBe("false"));
    press(root, "i");
    const show = [...root.querySelectorAll<HTMLButtonElement>(".di-ended button")].find(
      (one) => one.textContent === "Show",
    );
    show?.click();
    expect(tab("issues").getAttribute("aria-selected")).toBe("true");
    await vi.waitFor(() => expect(root.querySelector(".di-ended")).toBeNull());
    expect(document.activeElement).toBe(kind("label"));
  });
});

describe("kinds", () => {
  beforeEach(async () => {
    search();
    press(root, "i");
    await vi.waitFor(() => expect(root.querySelectorAll(".di-issue-kind").length).toBe(2));
  });

  test("each with its count, the rest in a sentence", () => {
    expect(tab("issues").textContent).toBe("Issues (4)");
    expect(kind("label").textContent?.replace(/\s+/g, " ").trim()).toBe("label 3");
    expect(kind("label").getAttribute("aria-label")).toBe("label: 3 open, worst score 0.15 (0 is the most severe)");
    expect(kind("label").dataset.severity).toBe("severe");
    expect(find(".di-issues-note").textContent).toContain("None open: outlier, low information");
    expect([0.1, 0.3, 0.7, null].map(severityOf)).toEqual(["severe", "notable", "slight", "slight"]);
  });

  test("a click filters and sorts, another takes both back", async () => {
    fake.kernel.session.setSort({ by: "column", column: "price", descending: false });
    fake.kernel.event("state", fake.kernel.session.state());
    kind("label").click();
    await vi.waitFor(() => expect(kind("label").getAttribute("aria-pressed")).toBe("true"));
    expect(fake.kernel.session.order()).toEqual([3, 5, 9]);
    expect(fake.kernel.session.sort).toEqual({ by: "issue", kind: "label", descending: false });
    expect(find(".di-issue-hint").textContent).toBe("Y accepts the proposal, N: not an issue");
    kind("near_duplicate").click();
    await vi.waitFor(() => expect(fake.kernel.session.order()).toEqual([7]));
    kind("near_duplicate").click();
    await vi.waitFor(() => expect(kind("near_duplicate").getAttribute("aria-pressed")).toBe("false"));
    expect(fake.kernel.session.clauses.size).toBe(0);
    await vi.waitFor(() => expect(fake.kernel.session.sort).toMatchObject({ by: "column", column: "price" }));
  });

  test("stay where they are while they are answered, and the list of orders keeps what holds", async () => {
    const { session } = fake.kernel;
    kind("near_duplicate").click();
    const sorts = find<HTMLSelectElement>('select[aria-label="Sort by"]');
    await vi.waitFor(() => expect(sorts.value).toBe("issue:near_duplicate"));
    for (const no of [20, 21, 22, 23])
      session.issues.found(no, { kind: "near_duplicate", score: 0.5, proposal: "exclude" });
    session.rev++;
    fake.kernel.event("state", session.state());
    await vi.waitFor(() => expect(kind("near_duplicate").textContent).toContain("5"));
    expect([...root.querySelectorAll<HTMLElement>(".di-issue-kind")].map(({ dataset }) => dataset.kind)).toEqual([
      "label",
      "near_duplicate",
    ]);
    expect(sorts.value).toBe("issue:near_duplicate");
    expect(sorts.selectedOptions[0]?.textContent).toBe("severity: near duplicate");
  });

  test("the help over the drawer has the keys of the drawer", async () => {
    find<HTMLButtonElement>('[aria-label="Fix: label"]').click();
    await vi.waitFor(() => expect(shown.length).toBe(1));
    const panel = shown[0] as HTMLElement;
    panel.dataset.dataidePanel = "fix";
    fake.hub.keyboard.attach(panel, () => false, new AbortController().signal, {
      keys: [["V", "Neighbours, or none"]],
    });
    press(root, "?");
    const captions = [...root.querySelectorAll(".dataide-help caption")].map((one) => one.textContent);
    expect(captions).toEqual(["Everywhere", "Here", "Around it", "Labels"]);
    expect(find(".dataide-help").textContent).toContain("Neighbours, or none");
  });

  test("arrows go from kind to kind, N is no key of theirs", () => {
    kind("label").focus();
    press(kind("label"), "ArrowDown");
    expect(document.activeElement).toBe(kind("near_duplicate"));
    press(kind("near_duplicate"), "ArrowDown");
    expect(document.activeElement).toBe(kind("near_duplicate"));
    press(kind("near_duplicate"), "ArrowUp");
    expect(document.activeElement).toBe(kind("label"));
  });

  test("the order by severity can be chosen, and the facet of issues stands beside the others", async () => {
    const sorts = find<HTMLSelectElement>('select[aria-label="Sort by"]');
    expect([...sorts.options].map((one) => one.textContent)).toContain("severity: near duplicate");
    sorts.value = "issue:label";
    sorts.dispatchEvent(new Event("change"));
    await vi.waitFor(() => expect(fake.kernel.session.sort).toMatchObject({ by: "issue", kind: "label" }));
    expect(root.querySelector('.di-facet[data-column="issues"]')).not.toBeNull();
    expect(root.querySelectorAll('[role="status"]').length).toBe(1);
  });

  test("Fix opens a drawer with the panel that the kernel makes, Esc and the button close it", async () => {
    const fix = find<HTMLButtonElement>('[aria-label="Fix: label"]');
    expect(find(".di-fix").hidden).toBe(true);
    fix.focus();
    fix.click();
    await vi.waitFor(() => expect(find(".di-fix").hidden).toBe(false));
    await vi.waitFor(() => expect(shown.length).toBe(1));
    await vi.waitFor(() => expect(document.activeElement).toBe(shown[0]));
    press(shown[0] as HTMLElement, "Escape");
    await vi.waitFor(() => expect(find(".di-fix").hidden).toBe(true));
    expect(document.activeElement).toBe(fix);
    find<HTMLButtonElement>('[aria-label="Fix: near duplicate"]').click();
    await vi.waitFor(() => expect(find(".di-fix").hidden).toBe(false));
    expect(shown.length).toBe(1); // kept
    expect(asked("configure").filter((body) => (body as { name: string }).name === "fix")).toMatchObject([
      { value: "label" },
      { value: null },
      { value: "near_duplicate" },
    ]);
  });
});
