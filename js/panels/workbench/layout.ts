/** How the width of a workbench is shared: facets | scatter | grid, as rails when folded, stacked when narrow. */

export const PARTS = ["facets", "scatter", "grid"] as const;
export type Part = (typeof PARTS)[number];

/** What the user chose, kept in the kernel by `configure`. */
export interface Choice {
  facetsPx: number;
  /** The grid's share of what the facets leave. */
  gridShare: number;
  /** null: not chosen; the width decides. */
  shown: Record<Part, boolean | null>;
}

export interface Layout {
  kind: "row" | "stack";
  /** Width of each part in px (height, when stacked); a rail for a folded one. */
  size: Record<Part, number>;
  folded: Record<Part, boolean>;
}

export const DEFAULT_CHOICE: Choice = {
  facetsPx: 232,
  gridShare: 0.46,
  shown: { facets: null, scatter: null, grid: null },
};

export const RAIL_PX = 28;
export const SPLITTER_PX = 1;
export const STACK_BELOW_PX = 700;
export const RAIL_BELOW_PX = 900;
export const LEAST_HEIGHT_PX = 360;
/** As in dataide/widgets/workbench.py. Somebody who asks for another height gets it. */
export const DEFAULT_HEIGHT_PX = 720;
const LEAST_FITTED_PX = 440;
const MARGIN_PX = 24;

const LEAST: Record<Part, number> = { facets: 168, scatter: 220, grid: 190 };

export function folded(choice: Choice, width: number): Record<Part, boolean> {
  const { shown } = choice;
  const result = {
    facets: shown.facets === null ? width < RAIL_BELOW_PX : !shown.facets,
    scatter: shown.scatter === false,
    grid: shown.grid === false,
  };
  // A workbench of three rails shows nothing at all: then the plot stays.
  if (result.facets && result.scatter && result.grid) result.scatter = false;
  return result;
}

export function layout(choice: Choice, width: number, height: number): Layout {
  const fold = folded(choice, width);
  if (width < STACK_BELOW_PX) return stack(fold, height);
  const free = Math.max(0, width - 2 * SPLITTER_PX);
  const size: Record<Part, number> = { facets: RAIL_PX, scatter: RAIL_PX, grid: RAIL_PX };
  const others = (["scatter", "grid"] as const).filter((part) => !fold[part]);
  const railed = 2 - others.length;
  const least = others.reduce((sum, part) => sum + LEAST[part], 0);
  if (!fold.facets) {
    const most = free - railed * RAIL_PX - least;
    size.facets = others.length === 0 ? free - railed * RAIL_PX : clamp(choice.facetsPx, LEAST.facets, most);
  }
  const rest = free - size.facets - railed * RAIL_PX;
  if (others.length === 2) {
    size.grid = clamp(Math.round(rest * choice.gridShare), LEAST.grid, rest - LEAST.scatter);
    size.scatter = rest - size.grid;
  } else if (others[0]) size[others[0]] = rest;
  return { kind: "row", size, folded: fold };
}

function stack(fold: Record<Part, boolean>, height: number): Layout {
  const weight: Record<Part, number> = { facets: 2, scatter: 4, grid: 4 };
  const open = PARTS.filter((part) => !fold[part]);
  const sum = open.reduce((total, part) => total + weight[part], 0);
  const rest = Math.max(0, height - (PARTS.length - open.length) * RAIL_PX);
  const size: Record<Part, number> = { facets: RAIL_PX, scatter: RAIL_PX, grid: RAIL_PX };
  for (const part of open) size[part] = Math.floor((rest * weight[part]) / sum);
  return { kind: "stack", size, folded: fold };
}

/** The choice after a splitter was moved to `x`, px from the left edge of the workbench. */
export function dragged(choice: Choice, width: number, splitter: "facets" | "grid", x: number): Choice {
  const now = layout(choice, width, 0);
  if (splitter === "facets") {
    const most =
      width -
      2 * SPLITTER_PX -
      (now.folded.scatter ? RAIL_PX : LEAST.scatter) -
      (now.folded.grid ? RAIL_PX : LEAST.grid);
    return { ...choice, facetsPx: Math.round(clamp(x, LEAST.facets, most)) };
  }
  const rest = now.size.scatter + now.size.grid;
  const grid = clamp(width - x, LEAST.grid, rest - LEAST.scatter);
  return { ...choice, gridShare: rest > 0 ? Math.round((grid / rest) * 1000) / 1000 : choice.gridShare };
}

/** Which splitters can be moved: one between two open parts. */
export function movable(fold: Record<Part, boolean>): { facets: boolean; grid: boolean } {
  return { facets: !fold.facets && (!fold.scatter || !fold.grid), grid: !fold.scatter && !fold.grid };
}

export function choiceOf(config: Record<string, unknown>): Choice {
  const number = (name: string, otherwise: number, low: number, high: number): number => {
    const value = config[name];
    return typeof value === "number" && Number.isFinite(value) ? clamp(value, low, high) : otherwise;
  };
  const flag = (name: string): boolean | null => (typeof config[name] === "boolean" ? (config[name] as boolean) : null);
  return {
    facetsPx: number("facets_px", DEFAULT_CHOICE.facetsPx, LEAST.facets, 2000),
    gridShare: number("grid_share", DEFAULT_CHOICE.gridShare, 0.05, 0.95),
    shown: { facets: flag("show_facets"), scatter: flag("show_scatter"), grid: flag("show_grid") },
  };
}

export function heightOf(config: Record<string, unknown>): number {
  const value = config.height_px;
  return typeof value === "number" && value > 0 ? Math.max(LEAST_HEIGHT_PX, value) : DEFAULT_HEIGHT_PX;
}

/** The height nobody chose: all of it is to be in sight at once, bars included, in a notebook `seen` px high. */
export function fittedHeight(seen: number): number {
  return clamp(seen - MARGIN_PX, LEAST_FITTED_PX, DEFAULT_HEIGHT_PX);
}

/** `low` wins over `high`: a part that is too small is better than one that is not there. */
function clamp(value: number, low: number, high: number): number {
  return Math.max(low, Math.min(high, value));
}
