/** The keys that mean the same in every panel. */
import type { Client, KeyboardOptions, Store, Ui } from "./contract.js";
import type { SessionState, Target } from "./protocol.js";
import type { SimilarMode } from "./protocol_similar.js";

/** Digit keys and the labels they give. Where all labels are digits, the key is the label; else the first nine by name. */
export function digitLabels(state: SessionState | null): readonly (readonly [string, string])[] {
  const names = (state?.labels ?? []).map((label) => label.name);
  if (names.length > 0 && names.every((name) => /^\d$/.test(name))) return names.sort().map((name) => [name, name]);
  return names
    .sort(new Intl.Collator("en", { numeric: true }).compare)
    .slice(0, 9)
    .map((name, i) => [String(i + 1), name]);
}

export const SHARED_KEYS: readonly (readonly [string, string])[] = [
  ["T", "Tag…"],
  ["Digits", "Give the label"],
  ["L", "Relabel…"],
  ["Q", "Queue…"],
  ["S", "Most similar first"],
  ["Shift + S, U", "Sorted by similarity: more like this, less like this"],
  ["X", "Exclude"],
  ["Y", "Issues: accept what is proposed"],
  ["N", "Issues: it is none"],
  ["Z", "Undo"],
  ["Shift + Z", "Redo"],
  ["A", "Select all that pass the filter"],
  ["Esc", "Close; disarm; select none"],
  ["Enter", "Inspect"],
  ["?", "All keys"],
];

export interface KeyDeps {
  client: Client;
  store: Store;
  ui: Ui & { escape(root: HTMLElement): boolean };
}

/** What an action is about: the selection, else what the panel names; null, with a toast, when there is nothing. */
export function targetOf(store: Store, own: (() => Target | null) | undefined): Target | null {
  const named = own?.() ?? null;
  if (named !== null) return named;
  if ((store.state.value?.selection.count ?? 0) > 0) return { type: "selection" };
  const sentence = "Nothing is selected.";
  const hint = "Draw a lasso in a scatter, click tiles of a grid, or press A for all.";
  store.toast({ sentence, kind: "info", undoable: false, python: null, hint });
  return null;
}

export function sharedKeys(
  deps: KeyDeps,
): (event: KeyboardEvent, root: HTMLElement, options: KeyboardOptions) => boolean {
  const { client, store, ui } = deps;

  const similar = (target: Target, mode: SimilarMode): void => {
    if (target.type !== "issues") void store.similar(target, mode);
  };

  const select = (type: "all" | "none", root: HTMLElement): void => {
    const panel = root.dataset.dataidePanel ?? "hub";
    client.ask("select", { shape: { type }, mode: "replace", source: "keyboard" }, { panel }).catch((error: Error) => {
      if (error.name === "AbortError") return;
      store.toast({ sentence: error.message, kind: "error", undoable: false, python: null, hint: null });
    });
  };

  const leave = (root: HTMLElement): void => {
    if (ui.escape(root)) return;
    if (store.state.value?.armed) void store.arm(null);
    else select("none", root);
  };

  return (event, root, options) => {
    if (event.altKey) return false;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const onTarget = (run: (target: Target) => void): void => {
      const target = targetOf(store, options.target);
      if (target !== null) run(target);
    };
    const open = (what: "tag" | "label" | "queue") => () =>
      onTarget((target) => promptAction({ store, ui }, root, what, target));
    const undoOrRedo = (): void => void (event.shiftKey ? store.redo() : store.undo());

    const withControl: Record<string, () => void> = {
      a: () => select("all", root),
      z: undoOrRedo,
      y: () => void store.redo(),
    };
    const plain: Record<string, () => void> = {
      t: open("tag"),
      l: open("label"),
      q: open("queue"),
      s: () => onTarget((target) => similar(target, event.shiftKey ? "like" : "replace")),
      u: () => onTarget((target) => similar(target, "unlike")),
      x: () => onTarget((target) => void store.act("exclude", {}, target)),
      y: () => onTarget((target) => void ui.answerIssues("accept_proposals", target)),
      n: () => onTarget((target) => void ui.answerIssues("reject_issues", target)),
      z: undoOrRedo,
      a: () => select("all", root),
      Escape: () => leave(root),
      "?": () => ui.help(root),
      Enter: () => {
        store.inspected.value = store.hovered.value ?? store.inspected.value;
      },
    };
    const control = event.ctrlKey || event.metaKey;
    const run = control ? withControl[key] : (plain[key] ?? digit(key, onTarget));
    run?.();
    return run !== undefined;
  };

  function digit(key: string, onTarget: (run: (target: Target) => void) => void): (() => void) | undefined {
    if (!/^\d$/.test(key)) return undefined;
    const label = ui.digits().find(([name]) => name === key)?.[1];
    return () => label !== undefined && onTarget((target) => void store.act("relabel", { label }, target));
  }
}

const ASKS = { tag: "Tag", label: "Relabel", queue: "Queue" } as const;

/** Asks for the word and does the action, or arms it. */
export function promptAction(
  { store, ui }: { store: Store; ui: Ui },
  root: HTMLElement,
  what: "tag" | "label" | "queue",
  target: Target,
): void {
  const count = target.type === "samples" ? target.nos.length : (store.state.value?.selection.count ?? 0);
  const samples = count === 1 ? "1 sample" : `${count.toLocaleString("en-US")} samples`;
  ui.prompt(root, {
    what,
    title: `${ASKS[what]} ${samples}`,
    confirm: (text, arm) => {
      const action = actionOf(what, text);
      if (arm) void store.arm(action);
      else void store.act(action.verb, action.arguments, target);
    },
  });
}

export function actionOf(what: "tag" | "label" | "queue", text: string) {
  if (what === "tag") return { verb: "tag", arguments: { tag: text } } as const;
  if (what === "label") return { verb: "relabel", arguments: { label: text } } as const;
  return { verb: "enqueue", arguments: { queue: text } } as const;
}
