/** What stands where no entry is: how to look for issues, or that all are answered. */
import { newUuid } from "../../core/uuid.js";
import type { Fix } from "./panel.js";
import { emptySentence, kindName } from "./words.js";

/** Whether jobs can be started for it here; asked once a panel, and only where there is nothing to show. */
const startable = new WeakMap<Fix, boolean>();

export function drawEmpty(place: HTMLElement, fix: Fix): void {
  const { html, render, nothing } = fix.panel.hub.lit;
  const shown = message(fix);
  place.hidden = shown === null;
  render(shown === null ? nothing : html`<div class="dataide-empty">${shown}</div>`, place);
}

function message(fix: Fix): unknown {
  const { hub } = fix.panel;
  const { html, nothing } = hub.lit;
  const { kinds, kind, entries } = fix;
  const failure = fix.failure ?? entries.failure;
  if (failure !== null && entries.total === null)
    return html`<div class="dataide-error">${failure.message}</div>${failure.hint ? html`<div>${failure.hint}</div>` : nothing}`;
  if (kinds === null) return null;
  if (kind === null) {
    const name = fix.chosen;
    const what =
      name === null ? "Nothing was looked for yet." : `Issues of the kind “${kindName(name)}” were not looked for.`;
    const call = name === null ? "session.find_issues()" : `session.find_issues("${name}")`;
    return html`<div>${what} Type in a cell:</div><div><code>${call}</code></div>${button(fix)}`;
  }
  if (entries.total !== 0) return null;
  return html`<div>${emptySentence(kind, fix.state)}</div>${kind.note === null ? nothing : html`<div>${kind.note}</div>`}`;
}

function button(fix: Fix): unknown {
  const { hub, panelId: panel, signal } = fix.panel;
  const { html, nothing } = hub.lit;
  const can = startable.get(fix);
  if (can === undefined) {
    startable.set(fix, false);
    hub.client
      .ask("startable", {}, { panel, signal })
      .then(({ body }) => {
        startable.set(fix, body.kinds.some(({ kind }) => kind === "issues") && body.targets.length > 0);
        fix.redraw();
      })
      .catch(() => undefined);
  }
  if (can !== true) return nothing;
  // What is at work says so in the corner of the panel.
  const works = hub.store.jobs.value.length > 0;
  const start = (): void => {
    const body = { kind: "issues", target: "all" as const, options: {}, uuid: newUuid(), panel };
    hub.client.ask("startJob", body, { panel }).catch((error: Error & { failure?: { hint: string | null } }) => {
      const hint = error.failure?.hint ?? null;
      hub.store.toast({ sentence: error.message, kind: "error", undoable: false, python: null, hint });
    });
  };
  return html`<div>or <button type="button" class="dataide-button" ?disabled=${works} @click=${start}>Find issues</button></div>`;
}
