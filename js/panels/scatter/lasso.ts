/**
 * From the path of a hand to a polygon that fits into one small message, and the test which points lie inside.
 * The same polygon is tested here and in the kernel, so the highlight painted at mouse-up and the exact answer agree.
 */

export const MOST_VERTICES = 60;
/** Bytes for the JSON of the coordinates: with the envelope of the request it stays under 1 KB. */
export const MOST_BYTES = 400;

/**
 * Douglas and Peucker (1973) on a closed ring x, y, x, y …, the worst deviation first: stops when nothing deviates by more than
 * `tolerance`, or with `most` vertices. So a scribble loses its smallest turns and not its shape.
 */
export function simplify(path: readonly number[], tolerance: number, most: number): number[] {
  const count = path.length >> 1;
  if (count <= 3) return path.slice(0, count * 2);
  // A ring has no ends: cut it at the first point and the point farthest from it.
  const cut = worstOf(path, 0, count);
  const keep = [0, cut.at];
  const pieces = [worstOf(path, 0, cut.at), worstOf(path, cut.at, count)];
  while (keep.length < most) {
    let next = 0;
    for (let i = 1; i < pieces.length; i++) {
      if ((pieces[i] as Piece).worst > (pieces[next] as Piece).worst) next = i;
    }
    const { from, to, at, worst } = pieces[next] as Piece;
    if (!(worst > tolerance * tolerance)) break;
    keep.push(at);
    pieces[next] = worstOf(path, from, at);
    pieces.push(worstOf(path, at, to));
  }
  return keep.sort((a, b) => a - b).flatMap((i) => [path[2 * i] as number, path[2 * i + 1] as number]);
}

interface Piece {
  from: number;
  to: number; // may be the count of points: the ring's first point again
  at: number; // the point farthest from the straight line
  worst: number; // its distance, squared
}

function worstOf(path: readonly number[], from: number, to: number): Piece {
  const end = to % (path.length >> 1);
  const piece = { from, to, at: from, worst: -1 };
  for (let i = from + 1; i < to; i++) {
    const d = squaredToSegment(path, i, from, end);
    if (d > piece.worst) {
      piece.worst = d;
      piece.at = i;
    }
  }
  return piece;
}

function squared(x: number, y: number): number {
  return x * x + y * y;
}

function squaredToSegment(path: readonly number[], i: number, from: number, to: number): number {
  const x0 = path[2 * from] as number;
  const y0 = path[2 * from + 1] as number;
  const dx = (path[2 * to] as number) - x0;
  const dy = (path[2 * to + 1] as number) - y0;
  const px = (path[2 * i] as number) - x0;
  const py = (path[2 * i + 1] as number) - y0;
  const length = squared(dx, dy);
  const t = length > 0 ? Math.min(1, Math.max(0, (px * dx + py * dy) / length)) : 0;
  return squared(px - t * dx, py - t * dy);
}

/** Rounds to the largest power of ten that is not coarser than `resolution`. */
export function roundTo(value: number, resolution: number): number {
  if (!(resolution > 0) || !Number.isFinite(resolution)) return value;
  const unit = 10 ** Math.floor(Math.log10(resolution));
  return Number((Math.round(value / unit) * unit).toPrecision(12));
}

/**
 * The polygon that goes to the kernel: at most 60 vertices, at most 400 bytes, in data coordinates.
 * Args: a path on the screen; what a screen point is in data; data units of one pixel along x and y.
 */
export function polygonOf(
  path: readonly number[],
  toData: (x: number, y: number) => readonly [number, number],
  pixel: readonly [number, number],
): number[] {
  // Half a pixel: nobody aims better.
  for (let most = MOST_VERTICES; ; most -= 4) {
    const kept = simplify(path, 0.5, most);
    const points: number[] = [];
    for (let i = 0; i + 1 < kept.length; i += 2) {
      const [x, y] = toData(kept[i] as number, kept[i + 1] as number);
      const roundedX = roundTo(x, pixel[0] / 2);
      const roundedY = roundTo(y, pixel[1] / 2);
      const last = points.length - 2;
      if (last >= 0 && points[last] === roundedX && points[last + 1] === roundedY) continue;
      points.push(roundedX, roundedY);
    }
    // Far zoomed in, each number has more digits, and there is room for fewer vertices.
    if (JSON.stringify(points).length <= MOST_BYTES || most <= 12) return points;
  }
}

/** Even-odd rule; the ring is closed. */
export function inside(ring: ArrayLike<number>, x: number, y: number): boolean {
  let odd = false;
  const n = ring.length;
  for (let i = 0, j = n - 2; i < n; j = i, i += 2) {
    const yi = ring[i + 1] as number;
    const yj = ring[j + 1] as number;
    if (yi > y !== yj > y) {
      const xi = ring[i] as number;
      const xj = ring[j] as number;
      if (x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) odd = !odd;
    }
  }
  return odd;
}

const CELLS = 256;
const OUT = 0;
const IN = 1;
const EDGE = 2;

/**
 * The even-odd test for very many points: the ring's box is cut into 256 × 256 cells, and only points in cells that the ring
 * crosses get the exact test. A million points take a few milliseconds.
 */
export class RingTest {
  private readonly cells = new Uint8Array(CELLS * CELLS);
  private readonly x0: number;
  private readonly y0: number;
  private readonly perX: number;
  private readonly perY: number;

  constructor(private readonly ring: Float64Array) {
    let x0 = Infinity;
    let y0 = Infinity;
    let x1 = -Infinity;
    let y1 = -Infinity;
    for (let i = 0; i < ring.length; i += 2) {
      x0 = Math.min(x0, ring[i] as number);
      x1 = Math.max(x1, ring[i] as number);
      y0 = Math.min(y0, ring[i + 1] as number);
      y1 = Math.max(y1, ring[i + 1] as number);
    }
    this.x0 = x0;
    this.y0 = y0;
    this.perX = x1 > x0 ? CELLS / (x1 - x0) : 0;
    this.perY = y1 > y0 ? CELLS / (y1 - y0) : 0;
    if (this.perX === 0 || this.perY === 0) return; // no area: nothing is inside
    this.markEdges();
    this.fillInside();
  }

  private markEdges(): void {
    const ring = this.ring;
    for (let i = 0, j = ring.length - 2; i < ring.length; j = i, i += 2) {
      const ax = ((ring[j] as number) - this.x0) * this.perX;
      const ay = ((ring[j + 1] as number) - this.y0) * this.perY;
      const bx = ((ring[i] as number) - this.x0) * this.perX;
      const by = ((ring[i + 1] as number) - this.y0) * this.perY;
      const firstRow = Math.max(0, Math.floor(Math.min(ay, by) - 1e-6));
      const lastRow = Math.min(CELLS - 1, Math.floor(Math.max(ay, by) + 1e-6));
      for (let row = firstRow; row <= lastRow; row++) {
        // The part of the edge that lies in this row of cells, and the cells it passes.
        let low = Math.min(ax, bx);
        let high = Math.max(ax, bx);
        if (ay !== by) {
          const slope = (bx - ax) / (by - ay);
          const xa = ax + (row - ay) * slope;
          const xb = ax + (row + 1 - ay) * slope;
          low = Math.max(low, Math.min(xa, xb));
          high = Math.min(high, Math.max(xa, xb));
        }
        const first = Math.max(0, Math.floor(low - 1e-6));
        const last = Math.min(CELLS - 1, Math.floor(high + 1e-6));
        for (let column = first; column <= last; column++) this.cells[row * CELLS + column] = EDGE;
      }
    }
  }

  private fillInside(): void {
    for (let row = 0; row < CELLS; row++) {
      let known = -1; // between two edge cells all cells are alike
      for (let column = 0; column < CELLS; column++) {
        const at = row * CELLS + column;
        if (this.cells[at] === EDGE) {
          known = -1;
          continue;
        }
        if (known < 0)
          known = inside(this.ring, this.x0 + (column + 0.5) / this.perX, this.y0 + (row + 0.5) / this.perY) ? IN : OUT;
        this.cells[at] = known;
      }
    }
  }

  /**
   * The same for whole numbers up to 65,535, without arithmetic: the cell of (x, y) is `cells[rows[y] + columns[x]]`, and 0 is
   * outside, 1 inside, 2 where `has` must be asked.
   */
  table(): { columns: Uint32Array; rows: Uint32Array; cells: Uint8Array } {
    const wide = CELLS + 1; // the last row and the last column are outside
    const cells = new Uint8Array(wide * wide);
    for (let row = 0; row < CELLS; row++) cells.set(this.cells.subarray(row * CELLS, (row + 1) * CELLS), row * wide);
    const columns = new Uint32Array(65_536);
    const rows = new Uint32Array(65_536);
    for (let step = 0; step < 65_536; step++) {
      columns[step] = cellOf((step - this.x0) * this.perX);
      rows[step] = wide * cellOf((step - this.y0) * this.perY);
    }
    return { columns, rows, cells };
  }

  has(x: number, y: number): boolean {
    const column = (x - this.x0) * this.perX;
    const row = (y - this.y0) * this.perY;
    if (!(column >= 0 && row >= 0 && column <= CELLS && row <= CELLS)) return false;
    const cell = this.cells[Math.min(CELLS - 1, row | 0) * CELLS + Math.min(CELLS - 1, column | 0)] as number;
    return cell === EDGE ? inside(this.ring, x, y) : cell === IN;
  }
}

function cellOf(place: number): number {
  return place >= 0 && place <= CELLS ? Math.min(CELLS - 1, place | 0) : CELLS;
}
