/** One picture made by the CPU, as many points at a time as there is time for. */
import { type Cloud, FULL, type Row } from "./cloud.js";
import { LARGEST_RADIUS, makeStamp, Raster, type Stamp } from "./raster.js";
import { type Scene, thinned } from "./scene.js";

const SLICE_POINTS = 16_384;
/** Above two device pixels for one of CSS the eye gains nothing and the CPU pays. */
const LARGEST_RATIO = 2;

/** Cuts stamps once for as long as they stay the same. */
export class Stamps {
  private key = "";
  private cut: Stamp[] = [];

  of({ radius, opacity }: Scene, ratio: number, stride: number): readonly Stamp[] {
    const key = `${radius.join(" ")} ${opacity.join(" ")} ${ratio} ${stride}`;
    if (key !== this.key) {
      this.key = key;
      this.cut = opacity.map((alpha, row) =>
        makeStamp(Math.min(LARGEST_RADIUS, (radius[row] as number) * ratio), alpha, stride),
      );
    }
    return this.cut;
  }
}

const found = new Uint32Array(SLICE_POINTS + 1);

export class Picture {
  readonly raster: Raster;
  /** Points that are drawn. */
  points = 0;
  private readonly stamps: readonly Stamp[];
  private readonly ratio: number;
  private readonly rows: Uint8Array;
  private row: Row = 0;
  private at = 0; // in the list of the class, or in the points
  private done = 0; // points of the class that are drawn

  constructor(
    private readonly scene: Scene,
    stamps: Stamps,
    take: (bytes: number) => ArrayBuffer | undefined,
  ) {
    this.ratio = Math.min(scene.ratio, LARGEST_RATIO);
    this.raster = new Raster(
      Math.max(1, Math.round(scene.size.width * this.ratio)),
      Math.max(1, Math.round(scene.size.height * this.ratio)),
      take,
    );
    this.raster.clear(scene.palette.background);
    this.stamps = stamps.of(scene, this.ratio, this.raster.stride);
    this.rows = scene.cloud?.rows ?? new Uint8Array(4);
  }

  /** Draws on for so long; true when the picture is there. */
  go(milliseconds: number): boolean {
    const { scene, raster, ratio } = this;
    if (scene.mosaic) {
      raster.mosaic(scene.mosaic, ratio);
      return true;
    }
    if (!scene.cloud) return true;
    const end = performance.now() + milliseconds;
    for (; ; this.row++, this.at = 0, this.done = 0) {
      const most = thinned(scene.cloud.size(this.row), scene.share);
      while (this.done < most) {
        this.slice(scene.cloud, this.row, most);
        if (performance.now() > end && (this.done < most || this.row < FULL)) return false;
      }
      // Where all points are of the highest class, those that come later can be drawn on top.
      if (this.row === FULL) return true;
    }
  }

  private slice(cloud: Cloud, row: Row, most: number): void {
    const { ax, bx, ay, by } = this.scene.transform;
    const { ratio } = this;
    const transform = { ax: ax * ratio, bx: bx * ratio, ay: ay * ratio, by: by * ratio };
    const list = cloud.list(row);
    let order: Uint32Array | null = list;
    let from = this.at;
    let to = Math.min(this.at + SLICE_POINTS, list ? most : cloud.loaded);
    this.at = to;
    if (list === null) {
      if (cloud.size(row) < cloud.loaded) {
        to = cloud.gather(row, this.rows, from, to, found);
        from = 0;
        order = found;
      }
      to = Math.min(to, from + most - this.done);
    }
    const { palette } = this.scene;
    this.raster.draw(
      cloud.xy,
      cloud.colors,
      order,
      from,
      to,
      transform,
      this.stamps[row] as Stamp,
      palette.table,
      256 * row,
    );
    this.done += to - from;
    this.points += to - from;
    if (list === null && this.at >= cloud.loaded) this.done = most; // never more than there are
  }
}
