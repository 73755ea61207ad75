// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { JobState } from "../../core/protocol.js";
import { type FakeHub, fakeHub } from "../../dev/fake_hub.js";
import workbench from "./index.js";
import { progressSentence, spokenTime } from "./jobs.js";

const JOB: JobState = {
  id: "a",
  verb: "Embedding with '<b>mine</b>'",
  sentence: "embedding",
  done: 512,
  total: 10_000,
  rate: 204.5,
  leftS: 46.4,
  state: "running",
};
const count = (n: number) => n.toLocaleString("en-US");

describe("what is said of a job", () => {
  test.each([
    [JOB, "512 of 10,000, 205 a second, 46 s left"],
    [{ ...JOB, rate: 0.31, leftS: 30_000 }, "512 of 10,000, 0.3 a second, 8.3 h left"],
    [{ ...JOB, rate: 0, leftS: null }, "embedding"],
    [{ ...JOB, rate: 0, sentence: "training: loss 0.31" }, "training: loss 0.31, 46 s left"],
    [{ ...JOB, done: 0, sentence: "loading mine" }, "loading mine"],
    [{ ...JOB, state: "cancelling" as const }, "cancelling after this step"],
  ])("%#", (job, said) => {
    expect(progressSentence(job, count)).toBe(said);
  });

  test("times are as exact as one needs them", () => {
    expect([3.4, 89, 200, 6000].map(spokenTime)).toEqual(["3 s", "89 s", "3 min", "1.7 h"]);
  });
});

describe("the strip of jobs", () => {
  let fake: FakeHub;
  let root: HTMLElement;

  beforeEach(async () => {
    vi.stubGlobal(
      "ResizeObserver",
      class {
        observe(): void {}
        unobserve(): void {}
        disconnect(): void {}
      },
    );
    fake = fakeHub({ count: 50 });
    root = document.createElement("div");
    document.body.append(root);
    const quiet = { render: () => {}, traits: { config: {} } };
    const traits = { facets: "w:f", scatter: "w:s", grid: "w:g", inspector: "w:i", config: {} };
    await workbench.render(
      fake.props(root, traits, { "w:f": quiet, "w:s": quiet, "w:g": quiet, "w:i": quiet }) as never,
    );
  });

  afterEach(() => {
    fake.end();
    root.remove();
    vi.unstubAllGlobals();
  });

  const strip = () => root.querySelector<HTMLElement>('[aria-label="Jobs under way"]') as HTMLElement;
  const tell = (...jobs: JobState[]) => {
    fake.kernel.session.jobs = structuredClone(jobs); // a job that is cancelled is changed
    fake.kernel.event("jobs", fake.kernel.session.jobsState());
  };

  test("is there while a job runs, and gone with it", () => {
    expect(strip().hidden).toBe(true);
    tell(JOB);
    expect(strip().hidden).toBe(false);
    expect(strip().textContent).toContain("Embedding with '<b>mine</b>'");
    expect(strip().querySelector("b")).toBeNull();
    expect(strip().querySelector("progress")?.value).toBe(512);
    tell({ ...JOB, done: 9_000 });
    expect(strip().querySelector("progress")?.value).toBe(9_000);
    expect(root.querySelector(".dataide-note")).toBeNull(); // said once
    tell();
    expect(strip().hidden).toBe(true);
  });

  test("its button cancels the job, once", async () => {
    tell({ ...JOB, id: "b", verb: "Projecting" }, JOB);
    strip().querySelector<HTMLButtonElement>('button[aria-label^="Cancel: Embedding"]')?.click();
    expect(fake.kernel.heard.at(-1)).toMatchObject({ op: "cancel_job", body: { id: "a" } });
    await vi.waitFor(() => expect(strip().textContent).toContain("cancelling after this step"));
    expect(strip().querySelector<HTMLButtonElement>('button[aria-label^="Cancel: Embedding"]')?.disabled).toBe(true);
    expect(strip().querySelector<HTMLButtonElement>('button[aria-label^="Cancel: Projecting"]')?.disabled).toBe(false);
  });

  test("several cancelled in a row are all cancelled, also by a kernel that is slow to answer", async () => {
    tell(...["a", "b", "c"].map((id) => ({ ...JOB, id })));
    fake.kernel.paused = true;
    for (const button of strip().querySelectorAll<HTMLButtonElement>('button[aria-label^="Cancel"]')) button.click();
    fake.kernel.resume();
    await vi.waitFor(() => expect(fake.kernel.session.jobs.every((job) => job.state === "cancelling")).toBe(true));
  });

  test("the focus stays on its job when the one above it ends", () => {
    tell({ ...JOB, id: "b" }, JOB);
    const button = strip().querySelector<HTMLButtonElement>('[data-job="a"] button');
    button?.focus();
    tell(JOB);
    expect(document.activeElement?.closest("[data-job]")?.getAttribute("data-job")).toBe("a");
  });

  test("a button that goes with its job leaves the keyboard to the workbench", () => {
    const button = () => strip().querySelector<HTMLButtonElement>('[data-job="a"] button');
    tell(JOB);
    button()?.focus();
    tell({ ...JOB, state: "cancelling" });
    expect(document.activeElement).toBe(root);
    tell(JOB);
    button()?.focus();
    tell();
    expect(document.activeElement).toBe(root);
  });

  test("other panels say how many, or what is done where samples are not counted", () => {
    const other = document.createElement("div");
    const until = new AbortController();
    fake.hub.ui.frame(other, until.signal);
    tell(JOB);
    expect(other.textContent).toContain("512 of 10,000");
    tell({ ...JOB, rate: 0, sentence: "training: loss 0.31" });
    expect(other.textContent).toContain("training: loss 0.31");
    expect(other.textContent).not.toContain("of 10,000");
    until.abort();
  });

  test("of many jobs the first are shown, the others counted", () => {
    tell(...[1, 2, 3, 4, 5].map((n) => ({ ...JOB, id: String(n) })));
    expect(strip().querySelectorAll("progress").length).toBe(3);
    expect(strip().textContent).toContain("and 2 more");
  });

  test("an older look that arrives late changes nothing", () => {
    const before = fake.kernel.session.jobsState();
    tell(JOB);
    tell();
    fake.kernel.event("jobs", { ...before, running: [JOB] });
    expect(strip().hidden).toBe(true);
  });

  test("jobs that run already come with the first answer", () => {
    const late = fakeHub({ count: 5 });
    expect(late.hub.store.jobs.value).toEqual([]);
    late.kernel.session.jobs = [JOB];
    void late.hub.client.ask("hello", {}, { panel: "p" });
    return vi.waitFor(() => expect(late.hub.store.jobs.value).toEqual([JOB])).finally(() => late.end());
  });
});
