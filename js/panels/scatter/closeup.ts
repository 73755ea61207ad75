/**
 * What the points themselves cannot show: exact places where the zoom outruns their 65,535 steps, and how many lie in each cell
 * where there are more points than a page holds. Both are asked for when the view has come to rest.
 */
import type { HubExports, Reply } from "../../core/contract.js";
import type { Box } from "../../core/protocol.js";
import { type Affine, type Size, stepOnScreen, visibleBox } from "./camera.js";
import type { Engine } from "./engine.js";
import { bytes, type Feed, words } from "./feed.js";
import type { Placed } from "./selecting.js";

/** A step of the coordinates may take this many CSS pixels before anybody sees it. */
const STEP_PX = 0.75;
/** A detail that was refused because too many points lie in it is asked for again when this much less is in view. */
const NEARER = 1.4;
/** CSS pixels of a cell, and how many cells the kernel counts each way at most. */
const CELL_PX = 2;
const MOST_CELLS = 1024;
/** The most points that the kernel sends as a detail. */
const MOST_POINTS = 262_144;

/** What the screen shows while nothing moves. */
export interface Sight {
  transform: Affine;
  size: Size;
}

interface Shown {
  box: Box;
  key: string; // of what it shows, apart from the selection
  version: number | null; // of the selection; null: it has to be asked for again
}

export interface CloseupActions {
  /** There is something else to draw. */
  changed(): void;
}

export class Closeup {
  private sight: Sight | null = null;
  private detail: Shown | null = null;
  private density: (Shown & { inside: number }) | null = null;
  private refused: { box: Box; ax: number; key: string } | null = null;
  private asked = { detail: "", density: "" };

  constructor(
    private readonly hub: Pick<HubExports, "client">,
    private readonly engine: Pick<Engine, "setDetail" | "setDensity">,
    private readonly feed: Feed,
    private readonly panel: string,
    private readonly signal: AbortSignal,
    private readonly actions: CloseupActions,
  ) {}

  /** Other points: what is shown belongs to those before. */
  begin(): void {
    if (this.detail) this.engine.setDetail(null);
    if (this.density) this.engine.setDensity(null);
    this.detail = null;
    this.density = null;
    this.refused = null;
    this.asked = { detail: "", density: "" };
  }

  /** The selection or the filter is another than what the engine could work out on what it shows. */
  stale(): void {
    if (this.detail) this.detail.version = null;
    if (this.density) this.density.version = null;
    this.asked = { detail: "", density: "" };
    this.look();
  }

  rested(sight: Sight): void {
    this.sight = sight;
    this.look();
  }

  /** Asks for what the view at rest lacks. */
  look(): void {
    const { sight, signal } = this;
    const { placed, selecting } = this.feed;
    if (!sight || !placed || signal.aborted || selecting.busy || selecting.version === null) return;
    const box = visibleBox(sight.transform, sight.size);
    const many = placed.held < placed.total;
    const key = `${placed.places} ${selecting.passing} ${this.feed.colors}`;
    if (many) this.lookAtCells(placed, sight, box, key);
    const few = many && this.density !== null && within(box, this.density.box) && this.density.inside <= MOST_POINTS;
    if (few || stepOnScreen(sight.transform, placed.bounds) > STEP_PX) this.lookAtPoints(placed, sight, box, key);
    else if (this.detail) {
      this.detail = null;
      this.asked.detail = "";
      this.engine.setDetail(null);
      this.actions.changed();
    }
  }

  private lookAtPoints(placed: Placed, { transform }: Sight, box: Box, key: string): void {
    const { detail, refused } = this;
    const { selecting, wanted } = this.feed;
    const fits = detail !== null && within(box, detail.box) && stepOnScreen(transform, detail.box) <= STEP_PX;
    if (fits && detail.key === key && detail.version !== null) return;
    const ax = Math.abs(transform.ax);
    if (refused && refused.key === key && ax < refused.ax * NEARER && within(box, refused.box)) return;
    // What is on its way may be what is wanted now.
    const wish = `${key} ${selecting.version} ${box}`;
    if (this.asked.detail === wish) return;
    this.asked.detail = wish;
    const ask = { projection: placed.projection, box: enlarged(box, 0.5), color: wanted.color };
    this.hub.client.ask("detail", ask, { panel: this.panel, signal: this.signal }).then(
      (reply) => this.takeDetail(reply, placed, key, ax),
      () => this.gaveUp("detail", wish),
    );
  }

  private takeDetail(reply: Reply<"detail">, placed: Placed, key: string, ax: number): void {
    const { body } = reply;
    const [positions, xy, colors, flags] = reply.buffers;
    if (this.feed.placed !== placed || body.places !== placed.places || !positions || !xy || !colors || !flags) return;
    const { count } = body;
    if (count === 0 && body.inside > 0) {
      this.refused = { box: body.box, ax, key };
      if (this.detail) this.engine.setDetail(null);
      this.detail = null;
      this.actions.changed();
      return;
    }
    this.refused = null;
    this.engine.setDetail({
      box: body.box,
      positions: numbers(positions, count),
      xy: words(xy, 2 * count),
      colors: bytes(colors, count),
      flags: bytes(flags, count),
    });
    this.detail = { box: body.box, key, version: this.agreed(body) };
    this.actions.changed();
  }

  private lookAtCells(placed: Placed, { size }: Sight, box: Box, key: string): void {
    const { density } = this;
    const { selecting, wanted } = this.feed;
    const near =
      density !== null && within(box, density.box) && density.box[2] - density.box[0] < 3 * (box[2] - box[0]);
    if (near && density.key === key && density.version === selecting.version) return;
    const wish = `${key} ${selecting.version} ${box}`;
    if (this.asked.density === wish) return;
    this.asked.density = wish;
    const cells = (px: number) => Math.max(1, Math.min(MOST_CELLS, Math.ceil((1.5 * px) / CELL_PX)));
    const [width, height] = [cells(size.width), cells(size.height)];
    const ask = { projection: placed.projection, box: enlarged(box, 0.25), width, height, color: wanted.color };
    this.hub.client.ask("density", ask, { panel: this.panel, signal: this.signal }).then(
      (reply) => this.takeDensity(reply, placed, key),
      () => this.gaveUp("density", wish),
    );
  }

  private takeDensity(reply: Reply<"density">, placed: Placed, key: string): void {
    const { body } = reply;
    const { box, width, height, inside } = body;
    const cells = width * height;
    const [visible, gone, selected, colors] = reply.buffers.map((buffer) => bytes(buffer, cells));
    if (this.feed.placed !== placed || body.places !== placed.places || !visible || !gone || !selected || !colors)
      return;
    this.engine.setDensity({ box, width, height, visible, gone, selected, colors });
    this.density = { box, key, inside, version: this.agreed(body) };
    this.actions.changed();
    this.look();
  }

  /** The version of the selection that an answer shows, if it is the one that the points show. */
  private agreed(body: { selectionVersion: number; passing: number }): number | null {
    const { version, passing, busy } = this.feed.selecting;
    return !busy && body.selectionVersion === version && body.passing === passing ? version : null;
  }

  /** An answer that did not come is asked for at the next occasion; the frame of the panel says what is wrong. */
  private gaveUp(what: "detail" | "density", wish: string): void {
    if (this.asked[what] === wish) this.asked[what] = "";
  }
}

/** Is the first box inside the second? */
export function within(box: Box, other: Box): boolean {
  return box[0] >= other[0] && box[1] >= other[1] && box[2] <= other[2] && box[3] <= other[3];
}

/** A box with a share of its sides more on each side, so that a small step of the view needs no new answer. */
export function enlarged([x0, y0, x1, y1]: Box, share: number): Box {
  const width = (x1 - x0) * share;
  const height = (y1 - y0) * share;
  return [x0 - width, y0 - height, x1 + width, y1 + height];
}

function numbers(view: DataView, count: number): Uint32Array<ArrayBuffer> {
  return new Uint32Array((view.buffer as ArrayBuffer).slice(view.byteOffset, view.byteOffset + 4 * count));
}
