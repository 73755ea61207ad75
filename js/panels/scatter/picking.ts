/** What drawn shapes and clicks select. */
import type { HubExports } from "../../core/contract.js";
import type { Mode } from "../../core/protocol.js";
import { pixelInData } from "./camera.js";
import type { Feed } from "./feed.js";
import { polygonOf } from "./lasso.js";
import type { Drawing } from "./overlay.js";
import type { Plot } from "./plot.js";
import type { Area } from "./selecting.js";

export const NEAR_PX = 8;
/** A click on nothing may be the first half of a double click for so long. */
const DOUBLE_MS = 260;

export class Picking {
  private clearing: ReturnType<typeof setTimeout> | undefined;
  private drawn = 0; // shapes that replaced the selection

  constructor(
    private readonly hub: Pick<HubExports, "store">,
    private readonly plot: Plot,
    private readonly feed: Feed,
    private readonly signal: AbortSignal,
  ) {}

  /** The area that a drawing encloses, in data coordinates; null when it encloses none. */
  private areaOf({ kind, path }: Drawing, projection: string): Area | null {
    const toData = (x: number, y: number) => this.plot.dataAt(x, y);
    const pixel = pixelInData(this.plot.transform);
    if (kind === "lasso") {
      const points = polygonOf(path, toData, pixel);
      return points.length < 6 ? null : { type: "polygon", projection, points };
    }
    const corners = polygonOf(path.slice(0, 4), toData, pixel);
    if (corners.length < 4) return null;
    const [xa, ya, xb, yb] = corners as [number, number, number, number];
    const box = { x0: Math.min(xa, xb), y0: Math.min(ya, yb), x1: Math.max(xa, xb), y1: Math.max(ya, yb) };
    return { type: "box", projection, ...box };
  }

  select(drawing: Drawing): void {
    const { placed } = this.feed;
    const area = placed && this.areaOf(drawing, placed.projection);
    if (!area) return;
    this.settle();
    if (drawing.mode === "replace") this.drawn++;
    void this.feed.select(area, drawing.mode);
  }

  async click(x: number, y: number, mode: Mode): Promise<void> {
    const { placed } = this.feed;
    if (!placed) return;
    const { drawn } = this;
    const hit = await this.plot.pointAt(x, y, NEAR_PX).catch(() => null);
    // A lasso that was quicker than the search has the last word.
    if (this.signal.aborted || this.feed.placed !== placed || this.drawn !== drawn) return;
    if (hit !== null) {
      this.settle();
      void this.feed.select({ type: "points", projection: placed.projection, indices: [hit.index] }, mode);
      return;
    }
    const selected = this.hub.store.state.peek()?.selection.count ?? 0;
    if (mode !== "replace" || (selected === 0 && this.plot.facts.selected === 0)) return;
    // A double click must not cost the selection: shown at once, told a little later.
    this.feed.selecting.clear();
    this.plot.changed();
    clearTimeout(this.clearing);
    this.clearing = setTimeout(() => this.settle(), DOUBLE_MS);
  }

  /** A double click. */
  keepSelection(): void {
    clearTimeout(this.clearing);
    this.clearing = undefined;
    this.drawn++; // the search of its first click may still be under way
    this.feed.restore();
  }

  /** Tells the kernel about a click on nothing that was no double click. */
  private settle(): void {
    if (this.clearing === undefined) return;
    clearTimeout(this.clearing);
    this.clearing = undefined;
    if (!this.signal.aborted) void this.feed.confirmClear();
  }
}
