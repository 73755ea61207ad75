/** What the stage says in words: that there is nothing to see yet, what is out of date, how far loading is. */
import type { HubExports } from "../../core/contract.js";
import type { SessionState } from "../../core/protocol.js";
import type { Feed } from "./feed.js";
import { ofObjects } from "./selecting.js";

export class Notes {
  readonly note = document.createElement("div");
  private readonly empty = document.createElement("div");
  private readonly progress = document.createElement("div");
  private readonly bar = document.createElement("span");
  private readonly said = document.createElement("span");

  constructor(
    stage: HTMLElement,
    private readonly hub: Pick<HubExports, "lit" | "dom">,
  ) {
    this.note.className = "stale";
    this.empty.className = "dataide-empty";
    this.progress.className = "progress";
    this.progress.setAttribute("role", "progressbar");
    this.progress.setAttribute("aria-label", "Points loaded");
    this.progress.hidden = true;
    this.bar.className = "bar";
    this.progress.append(this.said, this.bar);
    stage.append(this.note, this.empty, this.progress);
  }

  /** How many points have come of those that will. */
  loaded(count: number, of: number): void {
    const done = count >= of;
    this.progress.hidden = done;
    if (done) return;
    const { formatCount } = this.hub.dom;
    this.said.textContent = `${formatCount(count)} of ${formatCount(of)} points`;
    this.progress.setAttribute("aria-valuemax", String(of));
    this.progress.setAttribute("aria-valuenow", String(count));
    this.progress.setAttribute("aria-valuetext", this.said.textContent);
    this.bar.style.width = `${(100 * count) / of}%`;
  }

  /** @param points so many are selected; null while nobody knows. */
  draw(state: SessionState | null, feed: Feed, points: number | null): void {
    const { html, render, nothing } = this.hub.lit;
    const { formatCount } = this.hub.dom;
    const { placed } = feed;
    const stale = (placed && state && feed.info(state)?.stale) || 0;
    const { count = 0 } = state?.selection ?? {};
    const many = (number: number, word: string): string => `${formatCount(number)} ${word}${number === 1 ? "" : "s"}`;
    const lines = [
      // Everything else counts samples, and a sample has several objects.
      ofObjects(placed) && points && count > 0
        ? html`<span role="status">${many(points, "object")} in ${many(count, "sample")}</span>`
        : nothing,
      stale > 0
        ? html`<span>${formatCount(stale)} ${stale === 1 ? "sample has" : "samples have"} no place yet or changed since: <code>session.embed(); session.project()</code></span>`
        : nothing,
      placed && placed.held < placed.total
        ? html`<span>${formatCount(placed.total)} points: density; zoom in for points</span>`
        : nothing,
    ];
    render(lines.some((line) => line !== nothing) ? lines : nothing, this.note);
    const none = state !== null && state.projections.length === 0;
    this.empty.hidden = !none && placed !== null;
    render(
      none
        ? state.sampleCount === 0
          ? html`<div>No samples yet.</div><div><code>session.add_folder("pictures")</code></div>`
          : html`<div>No map of the ${formatCount(state.sampleCount)} samples yet. Make one:</div><div><code>session.embed(); session.project()</code></div>`
        : placed
          ? nothing
          : html`<div>Loading…</div>`,
      this.empty,
    );
  }
}
