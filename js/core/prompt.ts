/** The small input behind T, L and Q: completion as one types, Enter does it, Shift+Enter arms it, Esc leaves. */
import { signal } from "@preact/signals-core";
import { html, nothing, render } from "lit-html";
import { repeat } from "lit-html/directives/repeat.js";
import type { Client, PromptOptions, Store } from "./contract.js";
import { effectUntil, formatCount } from "./dom.js";
import type { SessionState } from "./protocol.js";

const SHOWN_ITEMS = 8;

interface Item {
  text: string;
  detail: string;
}

/** Completions the browser can give at once, even while the kernel is busy: the state holds the names. */
export function knownItems(
  state: SessionState | null,
  what: PromptOptions["what"],
  text: string,
  names?: PromptOptions["names"],
): Item[] {
  const known = names ?? { tag: state?.tags, label: state?.labels, queue: state?.queues }[what] ?? [];
  const wanted = text.trim().toLowerCase();
  const starts = known.filter((item) => item.name.toLowerCase().startsWith(wanted));
  const holds = known.filter((item) => item.name.toLowerCase().indexOf(wanted) > 0);
  return [...starts, ...holds]
    .slice(0, SHOWN_ITEMS)
    .map((item) => ({ text: item.name, detail: formatCount(item.count) }));
}

let opened = 0;

/** Opens the prompt inside `anchor`; the returned function closes it. `closed` is called once. */
export function openPrompt(
  anchor: HTMLElement,
  options: PromptOptions,
  { client, store }: { client: Client; store: Store },
  closed: () => void,
): () => void {
  const ending = new AbortController();
  const text = signal("");
  const items = signal<Item[]>([]);
  const active = signal(-1);
  const before = document.activeElement;
  const listId = `dataide-completions-${++opened}`;
  const place = document.createElement("div");
  place.className = "dataide-prompt";
  place.dataset.dataidePrompt = options.what;
  // In a low panel the list gives way, so that the input stays inside.
  const room = anchor.closest<HTMLElement>("[data-dataide-panel]")?.clientHeight ?? 0;
  if (room > 0) place.style.setProperty("--dataide-list-height", `${Math.min(220, Math.max(52, room - 150))}px`);
  anchor.append(place);

  let confirmed = false;
  const close = (): void => {
    if (ending.signal.aborted) return;
    ending.abort();
    const had = place.contains(document.activeElement);
    place.remove();
    if (had && before instanceof HTMLElement && before.isConnected) before.focus({ preventScroll: true });
    closed();
    if (!confirmed) options.cancel?.();
  };

  const confirm = (arm: boolean, chosen?: string): void => {
    const word = (chosen ?? items.value[active.value]?.text ?? text.value).trim();
    if (word === "" || (arm && options.names !== undefined)) return;
    confirmed = true;
    close();
    options.confirm(word, arm);
  };

  const complete = async (): Promise<void> => {
    const asked = text.value;
    active.value = -1;
    items.value = knownItems(store.state.value, options.what, asked, options.names);
    if (options.names !== undefined) return;
    const body = { what: options.what, text: asked, cursor: asked.length };
    const reply = await client.ask("complete", body, { panel: "prompt", signal: ending.signal }).catch(() => null);
    if (reply === null || asked !== text.value || reply.body.items.length === 0) return;
    items.value = reply.body.items
      .slice(0, SHOWN_ITEMS)
      .map((item) => ({ text: item.text, detail: item.detail ?? "" }));
  };

  const move = (step: number): void => {
    const count = items.value.length + 1;
    active.value = ((active.value + 1 + step + count) % count) - 1;
  };

  const keydown = (event: KeyboardEvent): void => {
    const steps: Record<string, () => void> = {
      Enter: () => confirm(event.shiftKey),
      Escape: close,
      ArrowDown: () => move(1),
      ArrowUp: () => move(-1),
      Tab: () => {
        const item = items.value[Math.max(active.value, 0)];
        if (item === undefined) return close();
        text.value = item.text;
        void complete();
      },
    };
    const step = event.isComposing ? undefined : steps[event.key];
    event.stopPropagation();
    if (step === undefined) return;
    event.preventDefault();
    step();
  };

  const option = (item: Item, index: number) => html`
    <li id=${`${listId}-${index}`} role="option" aria-selected=${index === active.value ? "true" : "false"}
        @pointerdown=${(event: PointerEvent) => event.preventDefault()} @click=${() => confirm(false, item.text)}>
      <span class="dataide-prompt-name">${item.text}</span><span class="dataide-prompt-detail">${item.detail}</span>
    </li>`;

  effectUntil(ending.signal, () => {
    const open = items.value.length > 0;
    const current = active.value >= 0 ? `${listId}-${active.value}` : nothing;
    render(
      html`<div role="dialog" aria-label=${options.title} class="dataide-popover dataide-prompt-box">
        <label class="dataide-prompt-title">${options.title}
          <input class="dataide-input" type="text" role="combobox" autocomplete="off" spellcheck="false" aria-autocomplete="list"
            placeholder=${`${options.what}…`}
            aria-expanded=${open ? "true" : "false"} aria-controls=${listId} aria-activedescendant=${current} .value=${text.value}
            @input=${(event: InputEvent) => {
              text.value = (event.target as HTMLInputElement).value;
              void complete();
            }} @keydown=${keydown} @blur=${() => setTimeout(() => !place.contains(document.activeElement) && close())} />
        </label>
        <ul id=${listId} role="listbox" aria-label="Completions">${repeat(items.value, (item) => item.text, option)}</ul>
        <div class="dataide-prompt-foot">
          <span><kbd>Enter</kbd> now</span>${options.names === undefined ? html`<span><kbd>Shift + Enter</kbd> on every lasso</span>` : nothing}<span><kbd>Esc</kbd> leave</span>
        </div>
      </div>`,
      place,
    );
  });
  place.querySelector("input")?.focus({ preventScroll: true });
  // The bar may lie below the window's edge when T is pressed over the plot.
  place.scrollIntoView?.({ block: "nearest" });
  void complete();
  return close;
}
