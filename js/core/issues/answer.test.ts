// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type FakeHub, fakeHub } from "../../dev/fake_hub.js";
import type { SessionState, ShownIssue } from "../protocol.js";
import { answerable } from "./answer.js";
import { badgeText, cureSentence, issueSentence, kindInForce, severities } from "./words.js";

const LABEL: ShownIssue = {
  kind: "label",
  state: "open",
  score: 0.07,
  proposal: "<b>dog</b>",
  confidence: 0.926,
  reason: "9 of 10 nearest neighbours are labelled dog.",
  cure: "label",
};
const DUPLICATE: ShownIssue = { ...LABEL, kind: "near_duplicate", proposal: "exclude", cure: "excluded" };
const { cure: _, ...KEPT } = { ...DUPLICATE, proposal: "keep" };
const { cure: __, ...DARK } = { ...LABEL, kind: "low_information", proposal: null, confidence: null, reason: null };

let fake: FakeHub;
const now = (): SessionState => fake.hub.store.state.value as SessionState;
const tell = () => fake.kernel.event("state", fake.kernel.session.state());
const acts = () => fake.kernel.heard.filter(({ op }) => op === "act").map(({ body }) => body);

beforeEach(async () => {
  fake = fakeHub({ count: 40 });
  const { issues } = fake.kernel.session;
  issues.found(3, { kind: "label", score: 0.1, proposal: "dog" });
  issues.found(3, { kind: "dark", score: 0.4 });
  issues.found(5, { kind: "label", score: 0.2, proposal: "cat" });
  issues.found(7, { kind: "near_duplicate", score: 0, proposal: "exclude" });
  issues.searched.push("outlier");
  tell();
  await vi.waitFor(() => expect(now().issues?.length).toBe(4));
});

afterEach(() => fake.end());

describe("in words", () => {
  test.each([
    [LABEL, "→ <b>dog</b> 0.93"],
    [{ ...LABEL, confidence: null }, "→ <b>dog</b>"],
    [DUPLICATE, "duplicate"],
    [KEPT, "duplicate, keep"],
    [DARK, "low information"],
  ])("%#: a badge is short", (issue, text) => {
    expect(badgeText(issue)).toBe(text);
  });

  test("a tooltip says why, and a button what it does", () => {
    expect(issueSentence(LABEL)).toBe("label: 9 of 10 nearest neighbours are labelled dog.");
    expect(issueSentence(DARK)).toBe("low information: score 0.07, 0 is the most severe");
    expect(cureSentence(DUPLICATE)).toBe("Leave it out");
  });

  test("lists offer the severity of what is open, and of what they are sorted by", () => {
    expect(severities(now()).map(([kind]) => kind)).toEqual([null, "label", "dark", "near_duplicate"]);
    const sort = { by: "issue", kind: "outlier", descending: false } as const;
    expect(severities({ ...now(), sort }).map(([kind]) => kind)).toContain("outlier");
    expect(severities({ ...now(), issues: [] })).toEqual([]);
  });
});

describe("which kind an answer is about", () => {
  const clause = (...values: (string | null)[]) => ({
    ...now().filter,
    clauses: [
      { source: "text", sentence: "", column: null, clause: { type: "sql", text: "true" } as const },
      {
        source: "facet:issues",
        sentence: "",
        column: "issues",
        clause: { type: "in", column: "issues", values } as const,
      },
    ],
  });

  test("the one that is filtered by comes before the one that is sorted by", () => {
    const sort = { by: "issue", kind: "dark", descending: false } as const;
    expect(kindInForce({ ...now(), sort })).toBe("dark");
    expect(kindInForce({ ...now(), sort, filter: clause("label") })).toBe("label");
    expect(kindInForce({ ...now(), filter: clause("label", "dark") })).toBeNull();
    expect(kindInForce({ ...now(), filter: clause(null) })).toBeNull();
    expect(answerable({ ...now(), sort, filter: clause("label") }, "reject_issues")).toEqual(["label"]);
  });

  test("with none chosen all that are open, of which only some propose anything", () => {
    expect(answerable(now(), "accept_proposals")).toEqual(["label", "near_duplicate"]);
    expect(answerable(now(), "reject_issues")).toEqual(["label", "dark", "near_duplicate"]);
    const sort = { by: "issue", kind: "dark", descending: false } as const;
    expect(answerable({ ...now(), sort }, "accept_proposals")).toEqual([]);
  });
});

describe("answering", () => {
  const toasts = () => fake.hub.store.toasts.value.map(({ sentence }) => sentence);

  test("accepts what is proposed, in one decision that can be undone", async () => {
    const before = fake.kernel.session.samples[3]?.label;
    await fake.hub.ui.answerIssues("accept_proposals", { type: "samples", nos: [3] });
    expect(fake.kernel.session.samples[3]?.label).toBe("dog");
    expect(toasts()).toEqual(["Relabelled 1 sample as proposed (label)"]);
    expect(fake.hub.store.toasts.value[0]?.undoable).toBe(true);
    await fake.hub.store.undo();
    expect(fake.kernel.session.samples[3]?.label).toBe(before);
    expect(fake.kernel.session.issues.open(3).length).toBe(2);
  });

  test("of one kind by name, or of each kind with a decision of its own", async () => {
    await fake.hub.ui.answerIssues("reject_issues", { type: "samples", nos: [3] }, "dark");
    expect(acts()).toMatchObject([{ verb: "reject_issues", arguments: { kind: "dark" } }]);
    await fake.hub.ui.answerIssues("accept_proposals", { type: "samples", nos: [3, 7] });
    expect(fake.kernel.session.samples[7]?.excluded).toBe(true);
    expect(toasts().at(-1)).toBe(
      "Relabelled 1 sample as proposed (label). Excluded 1 sample as proposed (near_duplicate)",
    );
    expect(fake.hub.store.toasts.value.at(-1)?.hint).toContain("2 decisions");
    expect(new Set(acts().map((body) => (body as { uuid: string }).uuid)).size).toBe(acts().length);
  });

  test("where there is nothing to answer, it says so and asks the kernel for nothing", async () => {
    fake.kernel.session.setSort({ by: "issue", kind: "dark", descending: false });
    tell();
    await vi.waitFor(() => expect(now().sort.by).toBe("issue"));
    await fake.hub.ui.answerIssues("accept_proposals", { type: "samples", nos: [3] });
    expect(toasts()).toEqual(["Issues of the kind “dark” propose nothing to accept."]);
    fake.kernel.session.issues.searched.length = 0;
    tell();
    await vi.waitFor(() => expect(now().issues).toEqual([]));
    await fake.hub.ui.answerIssues("reject_issues", { type: "selection" });
    expect(toasts().at(-1)).toBe("No issue is open.");
    expect(acts()).toEqual([]);
  });

  test("a sample without an issue of the kind is told from a failure", async () => {
    await fake.hub.ui.answerIssues("reject_issues", { type: "samples", nos: [20] });
    expect(toasts()).toEqual(["Nothing changed: no issue of it is open, or none proposes anything."]);
    expect(fake.hub.store.toasts.value[0]).toMatchObject({ kind: "info", undoable: false });
  });
});
