/** The strip over tiles that are sorted by similarity: by what, how similar everything is, and all above a threshold at once. */
import type { KernelError } from "../../core/contract.js";
import { isAbort, type Panel } from "../../core/panel.js";
import type { Answer } from "../../core/protocol.js";
import type { GridConfig } from "./panel.js";

type Ranked = Answer<"ranked">;

// Steps of the handle; the arrow keys move by one, Page Up and Page Down by a tenth.
const STEPS = 200;
const HEIGHT = 22;

/** What the handle stands for: rounded down, so that what is shown as 0.83 lies above 0.83. */
export function thresholdAt(step: number, low: number, high: number): number {
  return Math.floor((low + (step / STEPS) * (high - low)) * 1000 + 1e-6) / 1000;
}

export function stepOf(threshold: number, low: number, high: number): number {
  if (high <= low) return 0;
  return Math.min(Math.max(Math.round(((threshold - low) / (high - low)) * STEPS), 0), STEPS);
}

/** Heights of bars by the square root, so that the few most similar are seen beside the many others. */
export function barsOf(counts: readonly number[], height: number): number[] {
  const most = Math.sqrt(Math.max(...counts, 1));
  return counts.map((count) => (count === 0 ? 0 : Math.max((Math.sqrt(count) / most) * height, 1)));
}

export function mountRanking(place: HTMLElement, { hub, panelId, signal }: Panel<GridConfig>): void {
  const { html, svg, render, nothing } = hub.lit;
  const { store, client, dom } = hub;
  const shown = hub.signals.signal<Ranked | null>(null);
  const wanted = hub.signals.signal<number | null>(null); // the threshold under the hand, before the kernel has counted
  let asked = "";

  const tokenOf = (): string | null => {
    const sort = store.state.peek()?.sort;
    return sort?.by === "similar" ? sort.token : null;
  };

  const failed = (error: KernelError): void => {
    if (isAbort(error)) return;
    const hint = error.failure?.hint ?? null;
    store.toast({ sentence: error.message, kind: "error", undoable: false, python: null, hint });
  };

  const ask = (token: string, threshold: number | null): void => {
    client
      .ask("ranked", { token, threshold }, { panel: panelId, signal })
      .then(({ body }) => {
        if (body.token !== tokenOf()) return;
        shown.value = body;
        if (wanted.peek() === body.threshold) wanted.value = null;
      })
      .catch((error: KernelError) => {
        asked = "";
        failed(error);
      });
  };

  const move = (step: number): void => {
    const now = shown.peek();
    if (now === null) return;
    const threshold = thresholdAt(step, now.low, now.high);
    wanted.value = threshold;
    ask(now.token, threshold);
  };

  const select = (): void => {
    const now = shown.peek();
    if (now === null) return;
    const threshold = wanted.peek() ?? now.threshold;
    const shape = { type: "above", token: now.token, threshold } as const;
    store.gesture({ shape, mode: "replace", source: "grid" }, { panel: panelId }).catch(failed);
  };

  const leave = (): void => {
    client.ask("sort", { sort: { by: "added", descending: false } }, { panel: panelId }).catch(failed);
  };

  hub.dom.effectUntil(signal, () => {
    const state = store.state.value;
    const token = state?.sort.by === "similar" ? state.sort.token : null;
    const key =
      token === null ? "" : `${token} ${state?.filter.passing} ${state?.filter.version} ${state?.sampleCount}`;
    if (key === asked) return;
    asked = key;
    if (token === null) {
      shown.value = wanted.value = null;
      return;
    }
    // Another filter leaves the handle where it is; another ranking has a beginning of its own.
    const same = shown.peek()?.token === token;
    if (!same) wanted.value = null;
    ask(token, same ? (wanted.peek() ?? shown.peek()?.threshold ?? null) : null);
  });

  hub.dom.effectUntil(signal, () => {
    const now = shown.value;
    const sorted = store.state.value?.sort.by === "similar";
    place.hidden = !sorted;
    if (!sorted || now === null) {
      render(nothing, place);
      return;
    }
    const threshold = wanted.value ?? now.threshold;
    const step = stepOf(threshold, now.low, now.high);
    const above = dom.formatCount(now.above);
    const at = threshold.toFixed(3);
    const few = (store.state.value?.selection.count ?? 0) === 0;
    const said = `like ${dom.formatCount(now.like)}${now.unlike > 0 ? `, unlike ${dom.formatCount(now.unlike)}` : ""}`;
    const bars = barsOf(now.counts, HEIGHT);
    const cut = (step / STEPS) * bars.length;
    const example = (mode: "like" | "unlike", text: string, key: string, title: string): unknown =>
      html`<button class="dataide-button" ?disabled=${few} title=${`${title} (${key})`} aria-keyshortcuts=${key}
        @click=${() => void store.similar({ type: "selection" }, mode)}>${text}</button>`;
    render(
      html`<span class="dataide-chip" title="By what the tiles are sorted">${said}
          <button class="dataide-button dataide-quiet dataide-icon" aria-label="No longer by similarity" title="No longer by similarity"
            @click=${leave}>×</button></span>
        <span class="dataide-ranking-plot">
          <svg viewBox=${`0 0 ${bars.length} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
            ${bars.map(
              (height, i) =>
                svg`<rect x=${i + 0.1} width="0.8" y=${HEIGHT - height} height=${height} ?data-above=${i + 0.5 >= cut}></rect>`,
            )}
          </svg>
          <input type="range" min="0" max=${STEPS} step="1" aria-label="Similarity threshold"
            aria-valuetext=${`${at}: ${above} of ${dom.formatCount(now.total)}`} title="Drag, or use the arrow keys"
            .value=${String(step)} @input=${(event: Event) => move(Number((event.target as HTMLInputElement).value))} />
        </span>
        <button class="dataide-button dataide-ranking-select" ?disabled=${now.above === 0} @click=${select}>Select ${above} above ${at}</button>
        <span class="dataide-spacer"></span>
        ${example("like", "More like this", "Shift+S", "What is selected is an example of what is wanted as well")}
        ${example("unlike", "Less like this", "U", "What is selected is an example of what is not wanted")}`,
      place,
    );
  });
}
