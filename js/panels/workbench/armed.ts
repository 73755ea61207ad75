/** Arming: an action that is carried out on what each lasso selects, at the moment the mouse is released. */
import type { TemplateResult } from "lit-html";
import type { HubExports } from "../../core/contract.js";
import type { Armed, SessionState } from "../../core/protocol.js";

const CHOICES_EACH = 12;

export interface ArmChoice {
  group: string;
  text: string;
  /** null: the word is still to be asked for. */
  armed: Armed | null;
  ask: "tag" | "label" | "queue" | null;
}

/** For people: tag “glare”. */
export function armedSentence(armed: Armed): string {
  const { verb, arguments: args } = armed;
  switch (verb) {
    case "tag":
    case "untag":
      return `${verb} “${args.tag ?? ""}”`;
    case "relabel":
      return args.label == null ? "remove the label" : `label “${args.label}”`;
    case "enqueue":
      return `queue “${args.queue ?? ""}”`;
    default:
      return verb;
  }
}

/** What can be armed: the words in use, the most frequent first, and a new one of each kind. */
export function armChoices(state: SessionState): ArmChoice[] {
  const choices: ArmChoice[] = [];
  const add = (group: string, armed: Armed) => choices.push({ group, text: armedSentence(armed), armed, ask: null });
  const ask = (group: string, text: string, what: "tag" | "label" | "queue") =>
    choices.push({ group, text, armed: null, ask: what });
  for (const { name } of state.tags.slice(0, CHOICES_EACH)) add("Tag", { verb: "tag", arguments: { tag: name } });
  ask("Tag", "a new tag…", "tag");
  for (const { name } of state.labels.slice(0, CHOICES_EACH)) {
    add("Label", { verb: "relabel", arguments: { label: name } });
  }
  ask("Label", "another label…", "label");
  for (const { name } of state.queues.slice(0, CHOICES_EACH)) {
    add("Queue", { verb: "enqueue", arguments: { queue: name } });
  }
  ask("Queue", "a new queue…", "queue");
  add("Exclude", { verb: "exclude", arguments: {} });
  return choices;
}

export function armedOf(what: "tag" | "label" | "queue", text: string): Armed {
  if (what === "tag") return { verb: "tag", arguments: { tag: text } };
  if (what === "label") return { verb: "relabel", arguments: { label: text } };
  return { verb: "enqueue", arguments: { queue: text } };
}

/** The control at the end of the action bar: a list to arm from, or what is armed, with a click to disarm. */
export function armedControl(hub: HubExports, root: HTMLElement, state: SessionState): TemplateResult {
  const { html } = hub.lit;
  if (state.armed) {
    const sentence = armedSentence(state.armed);
    return html`<button
      type="button"
      class="di-armed"
      aria-label="Disarm: ${sentence} on every lasso"
      title="Disarm (Esc)"
      @click=${() => void hub.store.arm(null)}
    >
      <span class="di-armed-dot" aria-hidden="true"></span><span class="di-armed-text">armed: ${sentence} on every lasso</span
      ><span class="di-armed-x" aria-hidden="true">×</span>
    </button>`;
  }
  const choices = armChoices(state);
  const groups = [...new Set(choices.map((choice) => choice.group))];
  const choose = (event: Event) => {
    const select = event.target as HTMLSelectElement;
    const choice = choices[Number(select.value)];
    select.value = "";
    if (choice) arm(hub, root, choice);
  };
  return html`<select
    class="dataide-select di-arm"
    aria-label="Arm an action for every lasso"
    title="Arm an action: it is carried out each time a lasso ends"
    @change=${choose}
  >
    <option value="" selected>On every lasso…</option>
    ${groups.map(
      (group) => html`<optgroup label=${group}>
        ${choices.map((choice, i) => (choice.group === group ? html`<option value=${i}>${choice.text}</option>` : hub.lit.nothing))}
      </optgroup>`,
    )}
  </select>`;
}

export function arm(hub: HubExports, root: HTMLElement, choice: ArmChoice): void {
  const { ask } = choice;
  if (choice.armed) void hub.store.arm(choice.armed);
  else if (ask) {
    const verb = { tag: "Tag", label: "Label", queue: "Queue" }[ask];
    hub.ui.prompt(root, {
      what: ask,
      title: `${verb} what every lasso selects`,
      confirm: (text) => void hub.store.arm(armedOf(ask, text)),
    });
  }
}
