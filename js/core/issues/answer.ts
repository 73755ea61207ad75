/** Answers to issues by key or button: accept what they propose, or say that they are none. */
import type { AskOptions, Client, Store } from "../contract.js";
import type { Answer, SessionState, Target } from "../protocol.js";
import type { IssueVerb } from "../protocol_issues.js";
import { newUuid } from "../uuid.js";
import { kindInForce, kindName } from "./words.js";

/**
 * The kinds that an answer is about: the one that is filtered or sorted by, else all that are open; of these only such as propose
 * something can be accepted.
 */
export function answerable(state: SessionState | null, verb: IssueVerb): string[] {
  const open = (state?.issues ?? []).filter(({ count }) => count > 0);
  const fit = verb === "accept_proposals" ? open.filter(({ cure }) => cure !== undefined) : open;
  const now = kindInForce(state);
  return now === null ? fit.map(({ name }) => name) : fit.some(({ name }) => name === now) ? [now] : [];
}

function whyNone(state: SessionState | null, verb: IssueVerb): { sentence: string; hint: string | null } {
  const now = kindInForce(state);
  const open = (state?.issues ?? []).filter(({ count }) => count > 0);
  if (open.length === 0) return { sentence: "No issue is open.", hint: "In the workbench, I leads to Find issues." };
  if (now !== null && open.some(({ name }) => name === now))
    return { sentence: `Issues of the kind “${kindName(now)}” propose nothing to accept.`, hint: "N: it is none." };
  if (now !== null) return { sentence: `No issue of the kind “${kindName(now)}” is open.`, hint: null };
  return {
    sentence: verb === "accept_proposals" ? "No open issue proposes anything." : "No issue is open.",
    hint: null,
  };
}

/** Decides, and says in one toast what came of it. Rejects never. */
export async function answerIssues(
  { client, store }: { client: Client; store: Store },
  verb: IssueVerb,
  target: Target,
  only?: string,
): Promise<void> {
  const state = store.state.value;
  const kinds = only === undefined ? answerable(state, verb) : [only];
  const say = (sentence: string, hint: string | null, kind: "info" | "error" = "info"): void =>
    store.toast({ sentence, kind, undoable: false, python: null, hint });
  if (kinds.length === 0) {
    const { sentence, hint } = whyNone(state, verb);
    return say(sentence, hint);
  }
  const options: AskOptions<"act"> = { panel: "hub" };
  const done: Answer<"act">[] = [];
  let nothing = "";
  try {
    for (const kind of kinds) {
      const body = { verb, arguments: { kind }, target, uuid: newUuid() };
      const { body: answer } = await client.ask("act", body, options);
      if (answer.event !== null) done.push(answer);
      nothing ||= answer.sentence;
    }
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") return;
    const failure = (error as { failure?: { message: string; hint: string | null } }).failure;
    say(failure?.message ?? String(error), failure?.hint ?? null, "error");
  }
  const first = done[0];
  if (first === undefined) {
    if (nothing !== "")
      say(kinds.length === 1 ? nothing : "Nothing changed: no issue of it is open, or none proposes anything.", null);
    return;
  }
  store.toast({
    sentence: done.map(({ sentence }) => sentence).join(". "),
    kind: "info",
    undoable: true,
    python: done.map(({ python }) => python).join("\n"),
    // Each kind is a decision of its own in the history.
    hint: done.length > 1 ? `${done.length} decisions, each undone by itself.` : null,
  });
}
