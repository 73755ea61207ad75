/** Below the inspected picture: which objects are shown, what is selected, and what rules say. */
import type { Signal } from "@preact/signals-core";
import type { HubExports } from "../contract.js";
import type { ShownFinding } from "../protocol_objects.js";
import type { InspectedObjects } from "./inspected.js";
import type { Toggles } from "./layer.js";
import type { Box, Shape } from "./shapes.js";

export interface LegendModel {
  objects: InspectedObjects;
  /** Whether there is anything to say: sessions without objects see none of it until somebody draws one. */
  there: boolean;
  shapes: readonly Shape[];
  more: number;
  findings: readonly ShownFinding[];
  toggles: Toggles;
  hidden: Signal<ReadonlySet<string | null>>;
  drawing: "box" | "region" | null;
  selected: readonly Shape[];
  box: Box | null;
}

const SEVERITIES = { error: "✕", warning: "!", hint: "i" } as const;

interface Class {
  label: string | null;
  color: string;
  count: number;
}

/** The classes of a picture, the most frequent first. */
export function classesOf(shapes: readonly Shape[]): Class[] {
  const found = new Map<string | null, Class>();
  for (const { label, color } of shapes) {
    const known = found.get(label);
    if (known) known.count += 1;
    else found.set(label, { label, color, count: 1 });
  }
  return [...found.values()].sort((a, b) => b.count - a.count);
}

/** After a click on a class: it is shown or not; alone with Alt, and all again with Alt once more. */
export function hiddenAfter(
  hidden: ReadonlySet<string | null>,
  label: string | null,
  all: readonly (string | null)[],
  alone: boolean,
): Set<string | null> {
  if (alone) {
    const others = all.filter((one) => one !== label);
    const isAlone = !hidden.has(label) && others.every((one) => hidden.has(one));
    return new Set(isAlone ? [] : others);
  }
  const next = new Set(hidden);
  if (!next.delete(label)) next.add(label);
  return next;
}

export function drawLegend(place: HTMLElement, hub: HubExports, model: LegendModel): void {
  const { html, render, nothing } = hub.lit;
  place.hidden = !model.there;
  if (!model.there) {
    render(nothing, place);
    return;
  }
  const { objects, shapes, toggles, hidden, selected, box } = model;
  const classes = classesOf(shapes);
  const labels = classes.map(({ label }) => label);
  const set = (next: Set<string | null>): void => {
    hidden.value = next;
  };
  const toggle = (name: keyof Toggles, text: string, there = true) =>
    there
      ? html`<button class="dataide-button dataide-quiet" aria-pressed=${toggles[name] ? "true" : "false"} ?disabled=${name !== "on" && !toggles.on}
          title=${name === "on" ? "Show or hide objects (O)" : `Show or hide ${text.toLowerCase()}`} @click=${() => objects.toggle(name)}>${text}</button>`
      : nothing;
  const chip = ({
    label,
    color,
    count,
  }: Class) => html`<button class="dataide-objects-class" aria-pressed=${hidden.value.has(label) ? "false" : "true"}
      title="Click to show or hide, Alt + click for this class alone"
      @click=${(event: MouseEvent) => set(hiddenAfter(hidden.value, label, labels, event.altKey))}>
      <span class="dataide-objects-swatch" style=${`background:${color}`}></span><span class="dataide-objects-name">${label ?? "no label"}</span>
      <span class="dataide-dim">${hub.dom.formatCount(count)}</span></button>`;
  const finding = ({
    severity,
    message,
    objects: about,
    repair,
  }: ShownFinding) => html`<li class="dataide-finding" data-severity=${severity}
      @pointerenter=${() => objects.mark(about)} @pointerleave=${() => objects.mark([])} @focusin=${() => objects.mark(about)} @focusout=${() => objects.mark([])}>
      <span class="dataide-finding-sign" role="img" aria-label=${severity} title=${severity}>${SEVERITIES[severity]}</span>
      <button class="dataide-finding-text" title="Select it" ?disabled=${about.length === 0} @click=${() => objects.pick(about[0] ?? 0)}>${message}</button>
      ${
        repair === null
          ? nothing
          : html`<button class="dataide-button" title=${`${repaired(repair.act, repair.label)}; undo with Z`} @click=${() => objects.repair(repair)}>${repaired(repair.act, repair.label)}</button>`
      }</li>`;

  render(
    html`<div class="dataide-objects-bar" role="group" aria-label="What is shown">
        <button class="dataide-button" aria-pressed=${model.drawing === "box" ? "true" : "false"} title="Draw a box (B)" @click=${() => objects.draft()}>+ Box</button>
        ${toggle("on", "Objects")}${toggle("boxes", "Boxes")}${toggle(
          "masks",
          "Masks",
          shapes.some(({ rings }) => rings.length > 0),
        )}${toggle(
          "keypoints",
          "Keypoints",
          shapes.some(({ keypoints }) => keypoints.length > 0),
        )}${toggle("labels", "Labels")}
        <span class="dataide-spacer"></span>
        <span class="dataide-dim dataide-objects-told">${told(model, box)}</span>
      </div>
      ${
        classes.length === 0
          ? nothing
          : html`<div class="dataide-objects-classes" role="group" aria-label="Classes">${classes.map(chip)}
              ${
                classes.length < 2
                  ? nothing
                  : html`<button class="dataide-button dataide-quiet" @click=${() => set(new Set())}>All</button>
                    <button class="dataide-button dataide-quiet" @click=${() => set(new Set(labels))}>None</button>`
              }</div>`
      }
      ${
        model.findings.length === 0
          ? nothing
          : html`<ul class="dataide-findings" aria-label="What rules say">${model.findings.map(finding)}</ul>`
      }`,
    place,
  );

  function told({ shapes, more, drawing }: LegendModel, box: Box | null): string {
    if (drawing === "box") return "Drag over the picture. Esc leaves.";
    if (drawing === "region") return "Drag over what others are to be similar to. Esc leaves.";
    const [one] = selected;
    if (selected.length > 1) return `${hub.dom.formatCount(selected.length)} objects selected`;
    if (one !== undefined && box !== null) {
      const [width, height] = [Math.round(box.width), Math.round(box.height)];
      return `${one.label ?? "no label"}${one.track === null ? "" : ` · track ${one.track}`} · ${width} × ${height} px`;
    }
    const count = `${hub.dom.formatCount(shapes.length)} object${shapes.length === 1 ? "" : "s"}`;
    return more > 0 ? `the ${count} that are largest, ${hub.dom.formatCount(more)} more` : count;
  }
}

function repaired(act: "delete" | "move" | "relabel", label: string | undefined): string {
  if (act === "delete") return "Delete it";
  return act === "move" ? "Mend the box" : `Relabel ${label ?? ""}`;
}
