/** One entry: a sample with what is proposed for it, or a group of duplicates side by side, and its neighbours. */
import type { TemplateResult } from "lit-html";
import type { HubExports } from "../../core/contract.js";
import { outline } from "../../core/objects/outline.js";
import type { Answer } from "../../core/protocol.js";
import type { IssueKind, IssueNeighbour, IssueRow, IssueState } from "../../core/protocol_issues.js";
import type { Crop, Entry } from "./entries.js";
import { canAccept, cureOf, kindName, markOf, nameOf, spoken } from "./words.js";

const PICTURE_PX = 76;

export interface EntryModel {
  id: string;
  index: number;
  total: number;
  topPx: number;
  heightPx: number;
  entry: Entry | null;
  cure: IssueKind["cure"];
  grouped: boolean;
  listed: IssueState;
  focused: boolean;
  member: number; // which of the group has the focus
  url(no: number): string | null;
  crop(no: number): Crop | null; // of an issue about an object
  problem(no: number): string | null;
  answer(verb: "accept_proposals" | "reject_issues" | "reopen_issues", index: number): void;
  exclude(row: IssueRow): void;
}

export function entryView(hub: HubExports, model: EntryModel): TemplateResult {
  const { html } = hub.lit;
  const { entry, index } = model;
  const rows = entry?.rows ?? [];
  const [first] = rows;
  const label =
    first === undefined
      ? "loading"
      : model.grouped
        ? `${rows.length + (entry?.more ?? 0)} duplicates: ${rows.map((row) => spoken(row, model.cure, model.listed)).join("; ")}`
        : spoken(first, model.cure, model.listed, model.crop(first.no));
  const selected = rows.some((row) => row.selected);
  const answered =
    rows.length > 0 && rows.every((row) => markOf(row, model.listed) !== null || row.proposal === "keep");
  return html`<div id=${model.id} class="dataide-fix-entry" role="option" style=${`top:${model.topPx}px;height:${model.heightPx}px`}
      aria-posinset=${index + 1} aria-setsize=${model.total} aria-selected=${selected ? "true" : "false"} aria-label=${label}
      data-index=${index} data-no=${first?.no ?? ""} data-sample-id=${first?.id ?? ""} data-state=${first?.state ?? ""}
      ?data-focused=${model.focused} ?data-grouped=${model.grouped}
      ?data-answered=${answered && rows.some((row) => markOf(row, model.listed) !== null)}>
    ${first === undefined ? html`<div class="dataide-fix-loading"></div>` : model.grouped ? group(hub, model, rows) : single(hub, model, first)}
  </div>`;
}

function single(hub: HubExports, model: EntryModel, row: IssueRow): TemplateResult {
  const { html, nothing } = hub.lit;
  const wanted = cureOf(row, model.cure);
  const mark = markOf(row, model.listed);
  const crop = model.crop(row.no);
  const given = crop !== null && crop.object !== null ? crop.label : row.given;
  return html`${picture(hub, model, row)}
    <div class="dataide-fix-words">
      <div class="dataide-fix-cure">
        ${
          // Repairs of objects are not about the label of their sample.
          model.cure === "objects" ? nothing : html`<span class="dataide-fix-given" data-label>${nameOf(given)}</span>`
        }
        ${
          wanted === null || model.cure === "objects"
            ? nothing
            : html`<span class="dataide-fix-arrow" aria-hidden="true">→</span>`
        }
        ${
          wanted === null
            ? model.cure === "objects"
              ? html`<span class="dataide-dim">to be mended by hand</span>`
              : nothing
            : html`<span class="dataide-fix-proposal">${wanted}</span>
              ${row.confidence === null ? nothing : confidence(hub, row.confidence)}`
        }
      </div>
      <div class="dataide-fix-reason" title=${row.reason ?? ""}>${row.reason ?? `${nameOf(row.given)}, score ${row.score.toFixed(2)}; 0 is the most severe`}</div>
      <div class="dataide-fix-id"><span title=${row.id}>${row.id}</span>
        <span title="0 is the most severe">score ${row.score.toFixed(2)}</span>
        ${row.queued ? html`<span class="dataide-chip">queued</span>` : nothing}
        ${row.excluded ? html`<span class="dataide-chip">excluded</span>` : nothing}
      </div>
    </div>
    <div class="dataide-fix-answer">${mark === null ? buttons(hub, model, [row]) : marked(hub, model, [row], mark)}</div>`;
}

function group(hub: HubExports, model: EntryModel, rows: readonly IssueRow[]): TemplateResult {
  const { html, nothing } = hub.lit;
  const more = model.entry?.more ?? 0;
  const reason = rows.find((row) => row.reason !== null)?.reason ?? "";
  const severe = Math.min(...rows.map((row) => row.score));
  // A group is answered as a whole; what was left out by hand is said at the sample.
  const marks = rows.map((row) => (row.state === model.listed ? null : markOf(row, model.listed)));
  const mark = marks.find((one) => one !== null) ?? null;
  const open = rows.some((row) => row.state === "open");
  return html`<div class="dataide-fix-members">
      ${rows.map((row, i) => {
        const wanted = cureOf(row, model.cure);
        return html`<div class="dataide-fix-member" data-no=${row.no} data-member=${i} data-sample-id=${row.id} data-state=${row.state}
            data-cure=${wanted ?? ""} ?data-excluded=${row.excluded} ?data-here=${model.focused && i === model.member}>
          ${picture(hub, model, row)}
          <div class="dataide-fix-member-words">
            <span class="dataide-fix-verdict">${row.excluded ? "left out" : (wanted ?? "")}</span>
            <span class="dataide-fix-given">${nameOf(row.label)}</span>
          </div>
          <button type="button" tabindex="-1" class="dataide-button dataide-quiet" title=${row.excluded ? `Take ${row.id} back in` : `Leave ${row.id} out (X)`}
            @click=${() => model.exclude(row)}>${row.excluded ? "Take back" : "Leave out"}</button>
        </div>`;
      })}
      ${more > 0 ? html`<div class="dataide-fix-more">and ${hub.dom.formatCount(more)} more</div>` : nothing}
    </div>
    <div class="dataide-fix-foot">
      <span class="dataide-fix-reason" title=${reason}>${reason}</span>
      <span class="dataide-dim" title="0 is the most severe">score ${severe.toFixed(2)}</span>
      <span class="dataide-fix-answer">${open && mark === null ? buttons(hub, model, rows) : marked(hub, model, rows, mark ?? "answered")}</span>
    </div>`;
}

function picture(hub: HubExports, model: EntryModel, row: IssueRow): TemplateResult {
  const { html, nothing } = hub.lit;
  const url = model.url(row.no);
  const problem = model.problem(row.no);
  const box = model.crop(row.no)?.box ?? null;
  return html`<div class="dataide-fix-picture" data-no=${row.no}>
    ${url === null ? html`<span class="dataide-fix-problem" title=${problem ?? ""}>${problem ?? ""}</span>` : html`<img alt="" draggable="false" src=${url} @load=${(event: Event) => drawn(event.target as HTMLImageElement, box)} />`}
    ${box !== null && url !== null ? html`<span class="dataide-crop-box" aria-hidden="true" hidden></span>` : nothing}
    ${row.selected ? html`<span class="dataide-fix-selected" aria-hidden="true">✓</span>` : nothing}
  </div>`;
}

/** What is done with a picture once it is there: its pixels, and the box of what the issue is about. */
function drawn(image: HTMLImageElement, box: readonly number[] | null): void {
  sharpen(image);
  const mark = image.parentElement?.querySelector<HTMLElement>(".dataide-crop-box");
  if (mark != null) outline(mark, image, box, PICTURE_PX);
}

/** Boxes of pictures that stay while what is said of them changes. */
export function drawBoxes(place: HTMLElement, box: (no: number) => readonly number[] | null): void {
  for (const image of place.querySelectorAll<HTMLImageElement>(".dataide-fix-picture[data-no] > img"))
    if (image.complete) drawn(image, box(Number(image.parentElement?.dataset.no)));
}

/** A picture much smaller than its place shows its pixels instead of a blur. */
function sharpen(image: HTMLImageElement): void {
  const small = 2 * Math.max(image.naturalWidth, image.naturalHeight) <= image.clientWidth;
  image.style.imageRendering = small ? "pixelated" : "auto";
}

function confidence(hub: HubExports, value: number): TemplateResult {
  const { html } = hub.lit;
  const share = Math.min(Math.max(value, 0), 1);
  return html`<span class="dataide-fix-sure" title=${`Confidence of the proposal: ${value.toFixed(3)}`}>
    <span class="dataide-fix-bar"><span style=${`width:${(100 * share).toFixed(1)}%`}></span></span>${value.toFixed(2)}</span>`;
}

function buttons(hub: HubExports, model: EntryModel, rows: readonly IssueRow[]): TemplateResult {
  const { html, nothing } = hub.lit;
  const { index, answer } = model;
  const button = (text: string, key: string, title: string, run: () => void, accept: boolean) =>
    html`<button type="button" tabindex="-1" class="dataide-button" ?data-accept=${accept} title=${`${title} (${key})`} @click=${run}
      >${text}<kbd aria-hidden="true">${key}</kbd></button>`;
  if (model.listed === "rejected")
    return button("Ask again", "R", "Take “no issue” back", () => answer("reopen_issues", index), false);
  if (model.listed !== "open") return html``;
  return html`${canAccept(rows, model.cure) ? button("Accept", "Y", "Do what is proposed", () => answer("accept_proposals", index), true) : nothing}
    ${button("No issue", "N", "It is all right as it is; not asked again", () => answer("reject_issues", index), false)}`;
}

function marked(hub: HubExports, model: EntryModel, rows: readonly IssueRow[], mark: string): TemplateResult {
  const { html, nothing } = hub.lit;
  const rejected = rows.some((row) => row.state === "rejected");
  return html`<span class="dataide-fix-mark">${mark}</span>
    ${
      rejected && model.listed === "open"
        ? html`<button type="button" tabindex="-1" class="dataide-button dataide-quiet" title="Take “no issue” back (R)"
          @click=${() => model.answer("reopen_issues", model.index)}>Ask again</button>`
        : nothing
    }`;
}

export interface NeighboursModel {
  row: IssueRow | null;
  cure: IssueKind["cure"];
  kind: string;
  answer: Answer<"issueNeighbours"> | null;
  failure: string | null;
  topPx: number;
  heightPx: number;
  url(no: number): string | null;
}

/** Whom a neighbour agrees with: its colour, and a word for those who do not see it. */
export function agreement(
  neighbour: IssueNeighbour,
  about: { given: string | null; proposal: string | null },
): "given" | "proposal" | null {
  if (neighbour.label === null) return null;
  if (neighbour.label === about.proposal) return "proposal";
  return neighbour.label === about.given ? "given" : null;
}

export function neighboursView(hub: HubExports, model: NeighboursModel): TemplateResult {
  const { html, nothing } = hub.lit;
  const { answer, row, cure } = model;
  const style = `top:${model.topPx}px;height:${model.heightPx}px`;
  const frame = (inside: unknown) =>
    html`<div class="dataide-fix-strip" role="presentation" style=${style}>${inside}</div>`;
  if (model.failure !== null) return frame(html`<div class="dataide-fix-note dataide-error">${model.failure}</div>`);
  if (answer === null || row === null || answer.no !== row.no)
    return frame(html`<div class="dataide-fix-note">looking for neighbours…</div>`);
  if (answer.neighbours.length === 0)
    return frame(html`<div class="dataide-fix-note">${answer.note ?? "There is nothing to compare it with."}</div>`);
  const { object, objects } = answer;
  const about = {
    given: object === undefined ? row.given : object.label,
    proposal: object === undefined ? (cure === "label" ? row.proposal : null) : object.proposal,
  };
  const votes = answer.neighbours.map((one) => agreement(one, about));
  const say = (who: "given" | "proposal", label: string | null) => {
    const count = votes.filter((vote) => vote === who).length;
    return html`<span class="dataide-fix-vote" data-agrees=${who}>${count} × ${nameOf(label)}</span>`;
  };
  const title =
    answer.embedding === null
      ? "Others of its group"
      : `Most similar ${object === undefined ? "" : "crops "}by ${answer.embedding}`;
  return frame(html`<div class="dataide-fix-strip-head"><span>${title}</span>
      ${say("given", about.given)}${about.proposal !== null ? say("proposal", about.proposal) : nothing}</div>
    <div class="dataide-fix-neighbours" role="list" aria-label=${`${title}, ${kindName(model.kind)}`}>
      ${answer.neighbours.map((one, i) => {
        const of = objects?.nos[i] ?? null;
        const url = model.url(of === null ? one.no : -1 - of);
        const similar = one.similarity === null ? "" : one.similarity.toFixed(2);
        return html`<div class="dataide-fix-neighbour" role="listitem" data-no=${one.no} data-object=${of ?? nothing} data-sample-id=${one.id} data-agrees=${votes[i] ?? ""}
            ?data-excluded=${one.excluded} title=${`${one.id}${similar === "" ? "" : `, similarity ${similar}`}`}
            aria-label=${`${nameOf(one.label)}${similar === "" ? "" : `, similarity ${similar}`}`}>
          ${url === null ? html`<span class="dataide-fix-blank"></span>` : html`<img alt="" draggable="false" src=${url} @load=${(event: Event) => sharpen(event.target as HTMLImageElement)} />`}
          <span class="dataide-fix-neighbour-label">${nameOf(one.label)}</span>
          <span class="dataide-fix-neighbour-sure">${similar}</span>
        </div>`;
      })}
    </div>`);
}
