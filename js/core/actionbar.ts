/** The bar of decisions: how many are selected, and what can be done with them. */
import { html, nothing, render } from "lit-html";
import type { ActionBarOptions, Store, Ui } from "./contract.js";
import { effectUntil, formatCount } from "./dom.js";
import { promptAction, targetOf } from "./keys.js";
import type { Armed, SessionState, Target } from "./protocol.js";

/** "312 of 60,000 selected", with what the filter hides when there is one. */
export function selectionSentence(state: SessionState | null): string {
  if (state === null) return "Connecting…";
  const { selection, filter, sampleCount } = state;
  const sentence = `${formatCount(selection.count)} of ${formatCount(sampleCount)} selected`;
  return filter.clauses.length > 0 ? `${sentence}, ${formatCount(filter.count)} pass the filter` : sentence;
}

export function armedSentence({ verb, arguments: args }: Armed): string {
  if (verb === "relabel") return args.label == null ? "remove the label" : `label “${args.label}”`;
  if (verb === "enqueue") return `queue “${args.queue ?? ""}”`;
  return args.tag === undefined ? verb : `${verb} “${args.tag}”`;
}

export function mountActionBar(
  place: HTMLElement,
  options: ActionBarOptions,
  { store, ui }: { store: Store; ui: Ui },
  signal: AbortSignal,
): void {
  place.classList.add("dataide-actions");
  place.classList.toggle("dataide-compact", options.compact === true);
  place.setAttribute("role", "toolbar");
  place.setAttribute("aria-label", "Actions");

  const withTarget = (run: (target: Target) => unknown): void => {
    const target = targetOf(store, options.target);
    if (target !== null) void run(target);
  };
  const ask = (what: "tag" | "label" | "queue") => (): void =>
    withTarget((target) => promptAction({ store, ui }, options.root, what, target));

  const button = (name: string, key: string, icon: string, title: string, run: () => void, disabled = false) => html`
    <button class="dataide-button" aria-label=${name} title=${`${title} (${key})`} aria-keyshortcuts=${key} ?disabled=${disabled} @click=${run}>
      ${icon === "" ? nothing : html`<span class="dataide-glyph" aria-hidden="true">${icon}</span>`}
      <span class="dataide-button-text">${name}</span><kbd aria-hidden="true">${key}</kbd>
    </button>`;

  const has = (part: NonNullable<ActionBarOptions["parts"]>[number]): boolean => options.parts?.includes(part) ?? true;

  effectUntil(signal, () => {
    const state = store.state.value;
    const off = state === null || store.connection.value === "lost";
    const history = state?.history ?? { undo: null, redo: null };
    const armed = state?.armed ?? null;
    render(
      html`${has("count") ? html`<span class="dataide-count" role="status" aria-live="polite">${selectionSentence(state)}</span>` : nothing}
        ${
          has("decide")
            ? html`<span class="dataide-group" role="group" aria-label="Decide">
          ${button("Tag", "T", "", "Tag what is selected", ask("tag"), off)}
          ${button("Relabel", "L", "", "Give what is selected another label; digits do it at once", ask("label"), off)}
          ${button("Queue", "Q", "", "Put what is selected into a queue for review", ask("queue"), off)}
          ${button("Similar", "S", "", "Sort by similarity with what is selected", () => withTarget((t) => t.type !== "issues" && store.similar(t)), off)}
          ${button("Exclude", "X", "", "Leave out what is selected", () => withTarget((t) => store.act("exclude", {}, t)), off)}
        </span>`
            : nothing
        }
        ${
          has("history")
            ? html`<span class="dataide-group" role="group" aria-label="History">
          ${button("Undo", "Z", "↶", history.undo ? `Undo: ${history.undo}` : "Nothing to undo", () => void store.undo(), off || !history.undo)}
          ${button("Redo", "Shift+Z", "↷", history.redo ? `Redo: ${history.redo}` : "Nothing to redo", () => void store.redo(), off || !history.redo)}
        </span>`
            : nothing
        }
        ${options.extra ?? (armed === null || !has("decide") ? nothing : armedChip(armed, store))}
        ${has("keys") ? html`<button class="dataide-button dataide-quiet dataide-icon" aria-label="All keys" title="All keys (?)" @click=${() => ui.help(options.root)}>?</button>` : nothing}`,
      place,
    );
  });
}

function armedChip(armed: Armed, store: Store) {
  return html`<span class="dataide-chip dataide-armed">
    <span class="dataide-dot" aria-hidden="true"></span>${armedSentence(armed)} on every lasso
    <button class="dataide-button dataide-quiet dataide-icon" aria-label="Disarm" title="Disarm (Esc)" @click=${() => void store.arm(null)}>×</button>
  </span>`;
}
