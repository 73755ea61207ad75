/** The row of controls over the plot. */
import type { HubExports } from "../../core/contract.js";
import type { ColumnInfo, ProjectionInfo } from "../../core/protocol.js";
import type { Tool } from "./gestures.js";

const TOOLS: readonly { tool: Tool; name: string; title: string; icon: string }[] = [
  {
    tool: "lasso",
    name: "Lasso",
    title: "Lasso: draw around points. Shift adds, Alt takes away.",
    icon: "M8 2.5c3.6 0 6 1.7 6 4s-2.6 4.2-6.2 4.2C4.4 10.7 2 9 2 6.7s2.4-4.2 6-4.2M5.3 10.2c-1.6.3-2.2 1.3-1.6 2.2.6.8 1.8.6 2-.3.2-.9-.6-1.6-1.3-1.9M5.2 13c.1 1-.6 1.7-1.6 1.8",
  },
  {
    tool: "box",
    name: "Box",
    title: "Box (B)",
    icon: "M2.5 5.5v-3h3M8 2.5h1.5M11 2.5h2.5v3M13.5 8v1M13.5 11v2.5H11M9 13.5H7.5M5 13.5H2.5V11M2.5 9V7.5",
  },
  {
    tool: "pan",
    name: "Pan",
    title: "Pan (P, or hold Space)",
    icon: "M8 1.8v12.4M1.8 8h12.4M6 3.7l2-2 2 2M6 12.3l2 2 2-2M3.7 6l-2 2 2 2M12.3 6l2 2-2 2",
  },
];
const NAMES_ICON = "M2.5 4.5v-1.5h11v1.5M8 3v10M6.3 13h3.4";
const HOME_ICON = "M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10";

export interface ToolbarState {
  /** Inside a workbench, whose top bar has the colour. */
  embedded: boolean;
  columns: readonly ColumnInfo[];
  color: string | null;
  projections: readonly ProjectionInfo[];
  projection: string | null;
  tool: Tool;
  names: boolean | null; // null: these classes have no names on the map
  setColor(color: string | null): void;
  setProjection(projection: string): void;
  setTool(tool: Tool): void;
  setNames(on: boolean): void;
  reset(): void;
}

export function toolNamed(name: unknown): Tool {
  return TOOLS.find((one) => one.tool === name)?.tool ?? "lasso";
}

export function drawToolbar(place: HTMLElement, hub: Pick<HubExports, "lit">, state: ToolbarState): void {
  const { html, svg, render, nothing } = hub.lit;
  const chosen = (event: Event) => (event.target as HTMLSelectElement).value;
  const option = (value: string, text: string, selected: boolean) =>
    html`<option value=${value} ?selected=${selected} .selected=${selected}>${text}</option>`;
  const button = (name: string, title: string, icon: string, pressed: boolean | null, act: () => void) => html`
    <button class="dataide-button dataide-icon" aria-label=${name} title=${title} aria-pressed=${pressed ?? nothing} @click=${act}>
      <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">${svg`<path d=${icon}></path>`}</svg>
    </button>`;
  const { color, columns, projections } = state;
  const unknown = color !== null && !columns.some((column) => column.name === color);
  render(
    html`
      ${
        state.embedded
          ? nothing
          : html`<label>Colour
        <select class="dataide-select" aria-label="Colour by" @change=${(event: Event) => state.setColor(chosen(event) || null)}>
          ${option("", "none", color === null)}
          ${unknown ? option(color, color, true) : nothing}
          ${columns.map((column) => option(column.name, column.name, column.name === color))}
        </select>
      </label>`
      }
      ${
        projections.length > 1
          ? html`<label>Map
              <select class="dataide-select" aria-label="Projection" @change=${(event: Event) => state.setProjection(chosen(event))}>
                ${projections.map((one) => option(one.name, one.name, one.name === state.projection))}
              </select>
            </label>`
          : nothing
      }
      <span class="dataide-spacer"></span>
      <span class="dataide-group" role="group" aria-label="Tool">
        ${TOOLS.map((one) => button(one.name, one.title, one.icon, one.tool === state.tool, () => state.setTool(one.tool)))}
      </span>
      <span class="dataide-group" role="group" aria-label="View">
        ${state.names === null ? nothing : button("Names", "Class names on the map", NAMES_ICON, state.names, () => state.setNames(!state.names))}
        ${button("Reset view", "See all (double click, Home)", HOME_ICON, null, () => state.reset())}
      </span>
    `,
    place,
  );
}
