/** What happened, how many samples it touched, and the way back. One stack at the bottom of the page for all panels. */
import { html, nothing, render } from "lit-html";
import { repeat } from "lit-html/directives/repeat.js";
import type { Store, Toast } from "./contract.js";
import { effectUntil } from "./dom.js";

const SHOWN_MS = { info: 7000, error: 15000 };

export function mountToasts(store: Store, signal: AbortSignal): void {
  // In the body and not in a panel: a toast belongs to the session, and a panel may be scrolled out of sight.
  const place = document.createElement("div");
  place.className = "dataide dataide-toasts";
  place.setAttribute("role", "log");
  place.setAttribute("aria-label", "What was done");
  document.body.append(place);
  signal.addEventListener("abort", () => place.remove());

  const timers = new Map<number, ReturnType<typeof setTimeout>>();
  let held = false;

  const start = (toast: Toast): void => {
    if (held || timers.has(toast.id)) return;
    timers.set(
      toast.id,
      setTimeout(() => store.dismiss(toast.id), SHOWN_MS[toast.kind]),
    );
  };
  const hold = (on: boolean): void => {
    held = on;
    for (const timer of timers.values()) clearTimeout(timer);
    timers.clear();
    if (!on) for (const toast of store.toasts.value) start(toast);
  };
  place.addEventListener("pointerenter", () => hold(true), { signal });
  place.addEventListener("pointerleave", () => hold(false), { signal });
  place.addEventListener("focusin", () => hold(true), { signal });
  place.addEventListener("focusout", () => hold(false), { signal });
  signal.addEventListener("abort", () => hold(true));

  const undo = (toast: Toast): void => {
    store.dismiss(toast.id);
    void store.undo();
  };
  const copy = (python: string): void => {
    void navigator.clipboard?.writeText(python);
  };

  const row = (toast: Toast, newest: boolean) => html`
    <div class="dataide-toast" data-kind=${toast.kind}>
      <div class="dataide-toast-text">${toast.sentence}${toast.hint ? html`<div class="dataide-toast-hint">${toast.hint}</div>` : nothing}</div>
      ${toast.undoable && newest ? html`<button class="dataide-button" @click=${() => undo(toast)}>Undo</button>` : nothing}
      ${
        toast.python && newest && navigator.clipboard
          ? html`<button class="dataide-button dataide-quiet" title=${`Copy the Python that does the same:\n${toast.python}`}
              @click=${() => copy(toast.python ?? "")}>Copy Python</button>`
          : nothing
      }
      <button class="dataide-button dataide-quiet dataide-icon" aria-label="Dismiss" @click=${() => store.dismiss(toast.id)}>×</button>
    </div>`;

  effectUntil(signal, () => {
    const toasts = store.toasts.value;
    for (const toast of toasts) start(toast);
    for (const id of [...timers.keys()]) {
      if (toasts.some((toast) => toast.id === id)) continue;
      clearTimeout(timers.get(id));
      timers.delete(id);
    }
    // Undo takes back the latest decision, so only the latest decision may offer it.
    const newest = toasts.at(-1)?.id;
    render(
      repeat(
        toasts,
        (toast) => toast.id,
        (toast) => row(toast, toast.id === newest),
      ),
      place,
    );
  });
}
