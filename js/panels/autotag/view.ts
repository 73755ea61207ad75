/** Draws the panel: head, histogram with the handle, tiles. */
import { outline } from "../../core/objects/outline.js";
import type { AutotagState } from "../../core/protocol_autotag.js";
import type { Autotag } from "./panel.js";
import { estimate, heights, missing, SHOWN, type Tile, things, toTag, WHY } from "./words.js";

const SIGN = { positive: "+", negative: "−", none: "" };
const SAID = { positive: "marked as", negative: "marked as not", none: "" };

export function drawHead(place: HTMLElement, autotag: Autotag): void {
  const { html, render, nothing } = autotag.panel.hub.lit;
  const { state, tag, show, pages, ready, learning } = autotag;
  const count = autotag.panel.hub.dom.formatCount;
  const objects = autotag.of === "objects";
  const among = autotag.panel.config.among ?? "";
  const asking = show === "ask" && (state?.round ?? 0) > 0;
  const round = state === null || state.round === 0 ? "no round yet" : `round ${state.round}`;
  const leaf = (by: 1 | -1) => () => void autotag.leaf(by);
  render(
    html`<div class="dataide-toolbar dataide-autotag-bar">
        <strong class="dataide-autotag-tag" title=${`Autotag “${tag}” by the vectors of ${state?.embedding ?? "…"}`}>${tag}</strong>
        <span class="dataide-dim dataide-autotag-by" title=${among || nothing}>${[state?.embedding, objects && among, round].filter(Boolean).join(" · ")}</span>
        <span class="dataide-autotag-marks" role="status" aria-label=${`${state?.positives ?? 0} positive and ${state?.negatives ?? 0} negative marks`}>
          <span data-sign="positive">${count(state?.positives ?? 0)} +</span>
          <span data-sign="negative">${count(state?.negatives ?? 0)} −</span>
        </span>
        ${
          (state?.outdated ?? 0) > 0
            ? html`<span class="dataide-dim" title="Marks of pictures that were replaced since. They count no longer; mark the new pictures.">${count(state?.outdated ?? 0)} outdated</span>`
            : nothing
        }
        <span class="dataide-spacer"></span>
        ${
          objects
            ? html`<button class="dataide-button" aria-pressed=${autotag.whole} @click=${() => autotag.toggleWhole()}
                title="Whole pictures with their boxes, instead of crops">Whole pictures <kbd>W</kbd></button>`
            : html`<button class="dataide-button" aria-pressed=${autotag.marking} @click=${() => autotag.toggleMarking()}
                title="+ and − in grids and in the workbench mark for this tag instead of sizing tiles">Mark in grids</button>`
        }
      </div>
      ${drawThreshold(autotag, state)}
      <div class="dataide-toolbar dataide-autotag-bar">
        <div class="dataide-autotag-shown" role="group" aria-label=${`Which ${autotag.of}`}>
          ${SHOWN.map(
            ([name, text, about]) =>
              html`<button class="dataide-button" aria-pressed=${name === show} title=${about} ?disabled=${state === null || state.round === 0}
                @click=${() => autotag.choose(name)}>${text}</button>`,
          )}
        </div>
        <span class="dataide-autotag-note" role="status">${
          learning
            ? "learning…"
            : ready
              ? html`<button class="dataide-button dataide-autotag-ready" @click=${() => void autotag.round()}>New order ready <kbd>R</kbd></button>`
              : state !== null && state.since > 0 && state.round > 0
                ? `${state.since} new ${state.since === 1 ? "mark" : "marks"}`
                : nothing
        }</span>
        <span class="dataide-spacer"></span>
        ${
          asking
            ? html`<button class="dataide-button" @click=${leaf(1)} title="Learns from the marks and asks about others">Next round <kbd>R</kbd></button>`
            : html`<span class="dataide-dim dataide-count">${count(pages.at)} of ${count(pages.of)}</span>
                <button class="dataide-button dataide-icon" aria-label="Page before" ?disabled=${pages.at <= 1} @click=${leaf(-1)}>‹</button>
                <button class="dataide-button dataide-icon" aria-label="Next page" ?disabled=${pages.at >= pages.of} @click=${leaf(1)}>›</button>`
        }
      </div>`,
    place,
  );
}

function drawThreshold(autotag: Autotag, state: AutotagState | null) {
  const { html, svg, nothing } = autotag.panel.hub.lit;
  const count = autotag.panel.hub.dom.formatCount;
  const samples = autotag.panel.hub.store.state.peek()?.selection.count ?? 0;
  const selected = autotag.of === "objects" ? (state?.selected ?? 0) : samples;
  if (state === null) return html`<div class="dataide-autotag-threshold"></div>`;
  if (state.steps === null) {
    return html`<div class="dataide-autotag-threshold"><p class="dataide-autotag-hint">
      Mark a few ${autotag.of} that are <strong>${state.tag}</strong> with <kbd>+</kbd>, and some that are not with <kbd>−</kbd>;
      then <kbd>R</kbd> ranks all the others.
    </p>
    <span class="dataide-autotag-begin">
      ${
        state.tagged > 0
          ? html`<button class="dataide-button" @click=${() => void autotag.begin("tagged")}>Begin with the ${count(state.tagged)} ${state.label === undefined ? "tagged" : "labelled"} “${state.label ?? state.tag}”</button>`
          : nothing
      }
      <button class="dataide-button" ?disabled=${selected === 0} @click=${() => void autotag.begin("selection")}
        title="Select examples in a grid or a scatter">Begin with the ${autotag.of === "objects" ? "selected objects" : "selection"}${selected > 0 ? ` (${count(selected)})` : ""}</button>
    </span></div>`;
  }
  const { steps } = state;
  const { threshold } = autotag;
  const bars = heights(steps.bins);
  const width = 100 / bars.length;
  const said = estimate(steps, threshold);
  const many = toTag(steps, threshold);
  const last = steps.taken.length - 1;
  const percent = threshold * 100;
  const words = things(autotag.of, many, count(many));
  const label = state.label ?? null;
  const spoken = said === null ? words : `${words}, about ${said.precise} precise, finds about ${said.finds}`;
  const marks = (of: number[], y: number, sign: string) =>
    of.map((n, i) =>
      n > 0
        ? svg`<circle data-sign=${sign} cx=${`${(i + 0.5) * width}%`} cy=${y} r=${Math.min(2 + Math.log1p(n) / 2, 4)} />`
        : nothing,
    );
  return html`<div class="dataide-autotag-threshold">
    <div class="dataide-autotag-histogram">
      <svg aria-hidden="true" preserveAspectRatio="none" width="100%" height="64">
        ${bars.map(
          (height, i) =>
            svg`<rect x=${`${i * width}%`} width=${`${width * 0.9}%`} y=${46 - height * 44} height=${Math.max(height * 44, height > 0 ? 1 : 0)}
              ?data-taken=${i >= Math.round(threshold * last)} />`,
        )}
        ${marks(steps.yes, 51.5, "positive")} ${marks(steps.no, 59, "negative")}
        <line x1=${`${percent}%`} x2=${`${percent}%`} y1="0" y2="64" />
      </svg>
      <input type="range" min="0" max="1" step=${1 / last} .value=${String(threshold)} aria-label="Threshold"
        aria-valuetext=${`${threshold.toFixed(2)}: ${spoken}`} title="Scores from here on are taken: drag, or arrow keys"
        @input=${(event: Event) => autotag.setThreshold(Number((event.target as HTMLInputElement).value), false)}
        @change=${(event: Event) => autotag.setThreshold(Number((event.target as HTMLInputElement).value), true)} />
      <span class="dataide-autotag-value" style=${`--dataide-at-share:${threshold}`}>${threshold.toFixed(2)}</span>
    </div>
    <div class="dataide-autotag-said">
      ${
        said === null
          ? html`<div class="dataide-dim">${missing(state)}</div>`
          : html`<div>≈ <b>${said.precise}</b> precise <span class="dataide-dim">${said.preciseRange}</span></div>
              <div>finds ≈ <b>${said.finds}</b> <span class="dataide-dim">${said.findsRange}</span></div>`
      }
    </div>
    <button class="dataide-button dataide-autotag-commit" ?disabled=${many === 0} @click=${() => void autotag.commit()}
      title=${`${label === null ? "Puts the tag on them" : `Labels them “${label}”`} in one decision${state.tagged > 0 ? `; ${count(state.tagged)} have it now` : ""}`}>${label === null ? "Tag" : "Label"} ${words}${label === null || label === state.tag ? "" : ` “${label}”`}</button>
  </div>`;
}

export function drawTiles(place: HTMLElement, autotag: Autotag): void {
  const { html, render, repeat } = autotag.panel.hub.lit;
  const { tiles, focused, failure, loading, tilePx, panel, tag } = autotag;
  const objects = autotag.of === "objects";
  const id = (i: number): string => `${panel.panelId}-tile-${i}`;
  place.style.setProperty("--dataide-tile", `${tilePx}px`);
  place.setAttribute("aria-activedescendant", tiles.length > 0 ? id(focused) : "");
  place.setAttribute("aria-busy", String(loading));
  if (tiles.length === 0) {
    const [said, hint] = failure
      ? [failure.message, failure.hint]
      : loading
        ? ["Looking…", null]
        : ["There is nothing to mark here.", null];
    render(
      html`<div class="dataide-empty"><div>${said}</div>${hint ? html`<div><code>${hint}</code></div>` : ""}</div>`,
      place,
    );
    return;
  }
  const click = (i: number) => (event: MouseEvent) => {
    place.focus({ preventScroll: true });
    const several = event.ctrlKey || event.metaKey || event.shiftKey;
    autotag.pick(i, several, event.shiftKey);
    // An inspector that is there follows; without one a click is no reason to cover the tiles.
    const { inspectors, inspected } = panel.hub.store;
    if (objects && !several && (inspectors.peek() > 0 || inspected.peek() !== null)) autotag.inspect(i);
  };
  const look = (i: number) => (event: MouseEvent) => {
    event.stopPropagation();
    autotag.focus(i);
    autotag.inspect(i);
  };
  const mark = (i: number, sign: "positive" | "negative") => (event: MouseEvent) => {
    event.stopPropagation();
    place.focus({ preventScroll: true });
    void autotag.mark((autotag.tiles[i] as Tile).mark === sign ? "none" : sign, [i]);
  };
  render(
    html`${repeat(
      tiles,
      ({ no }) => no,
      (tile, i) => {
        const url = tile.problem === null ? panel.hub.images.get(autotag.pictureOf(tile), autotag.px) : null;
        const why = tile.why === null ? "" : `\n${WHY[tile.why] ?? ""}`;
        const score = tile.score === null ? "" : tile.score.toFixed(2);
        const spoken = [
          tile.id,
          score && `score ${score}`,
          SAID[tile.mark] && `${SAID[tile.mark]} ${tag}`,
          objects && (tile.label === null ? "no label" : `labelled ${tile.label}`),
          !objects && tile.tagged && "tagged",
        ];
        const name = tile.on === null ? tile.id : `${tile.id} on ${tile.on}`;
        return html`<div class="dataide-autotag-tile" id=${id(i)} role="option" data-no=${tile.no} data-mark=${tile.mark}
          ?data-focused=${i === focused} aria-selected=${autotag.picked.has(i)} aria-label=${spoken.filter(Boolean).join(", ")}
          title=${`${name}${tile.label === null ? "" : ` · ${tile.label}`}${why}`} @click=${click(i)} @dblclick=${() => autotag.inspect(i)}>
          <div class="dataide-autotag-picture">
            ${url === null ? html`<span class="dataide-dim">${tile.problem ?? ""}</span>` : html`<img alt="" draggable="false" src=${url} @load=${(event: Event) => outlined(event.target as HTMLImageElement, tile.box, tilePx)} />`}
            ${objects && url !== null ? html`<span class="dataide-crop-box" aria-hidden="true"></span>` : ""}
            <span class="dataide-autotag-sign" aria-hidden="true">${SIGN[tile.mark]}</span>
            <span class="dataide-autotag-choice" aria-hidden="true">
              <button class="dataide-button dataide-icon" tabindex="-1" title="Inspect (Enter)" @click=${look(i)}>⤢</button>
              <button class="dataide-button dataide-icon" data-sign="negative" tabindex="-1" @click=${mark(i, "negative")}>−</button>
              <button class="dataide-button dataide-icon" data-sign="positive" tabindex="-1" @click=${mark(i, "positive")}>+</button>
            </span>
          </div>
          <div class="dataide-autotag-caption"><span>${tile.label ?? tile.id}</span><span class="dataide-dim">${tile.tagged ? "✓ " : ""}${score}</span></div>
        </div>`;
      },
    )}`,
    place,
  );
  // A box may be another while its picture stays.
  for (const [i, element] of [...place.children].entries()) {
    const image = objects ? element.querySelector("img") : null;
    if (image?.complete) outlined(image, tiles[i]?.box ?? null, tilePx);
  }
}

/** Draws the box of an object where it lies in its tile. */
function outlined(image: HTMLImageElement, box: readonly number[] | null, tilePx: number): void {
  const mark = image.parentElement?.querySelector<HTMLElement>(".dataide-crop-box");
  if (mark != null) outline(mark, image, box, tilePx);
}
