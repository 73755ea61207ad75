/** The made-up session as a scatter sees it: points in parts, colours, marks, exact places of a box, counts in cells. */
import type { Answer, Ask, Box, Legend, Op } from "../core/protocol.js";
import { Refusal } from "./fake_predicate.js";
import { type FakeSession, PROJECTION } from "./fake_session.js";

export type Part<O extends Op> = { body: Answer<O>; buffers?: Uint8Array[] };

const FIRST_PART = 20_000;
const PART_POINTS = 65_536;
const MOST_DETAIL = 262_144;

/** Position i of the points is sample number i: made-up samples come in random order anyway. */
export class FakePoints {
  constructor(
    private readonly session: FakeSession,
    /** So many points are sent at most; of more they are a sample. */
    readonly most: number,
  ) {}

  private get held(): number {
    return Math.min(this.session.samples.length, this.most);
  }

  points(ask: Ask<"points">): Part<"points">[] {
    const { session, held } = this;
    const { places } = session;
    const { legend, bytes } = this.legend(ask.color);
    const common = {
      projection: PROJECTION,
      places,
      held,
      total: session.samples.length,
      bounds: session.bounds,
      legend,
    };
    const parts: Part<"points">[] = [];
    let offset = Math.min(ask.offset ?? 0, held);
    do {
      const end = Math.min(held, offset + (offset === 0 ? FIRST_PART : PART_POINTS));
      const steps = session.steps.slice(2 * offset, 2 * end);
      const body = { ...common, offset, count: end - offset };
      parts.push({ body, buffers: [new Uint8Array(steps.buffer), bytes.slice(offset, end)] });
      offset = end;
    } while (offset < held);
    return parts;
  }

  colors(ask: Ask<"colors">): Part<"colors"> {
    const { held } = this;
    const { legend, bytes } = this.legend(ask.color);
    const total = this.session.samples.length;
    return {
      body: { places: this.session.places, offset: 0, count: held, held, total, legend },
      buffers: [bytes.slice(0, held)],
    };
  }

  marks(): Part<"marks"> {
    const { session, held } = this;
    const buffers: Uint8Array[] = [];
    const share = (test: (no: number) => boolean): "none" | "all" | "some" => {
      const bits = new Uint8Array(Math.ceil(held / 8));
      let count = 0;
      for (let no = 0; no < held; no++) {
        if (!test(no)) continue;
        count++;
        bits[no >> 3] = (bits[no >> 3] as number) | (1 << (no % 8));
      }
      if (count === 0) return "none";
      if (count === held) return "all";
      buffers.push(bits);
      return "some";
    };
    const selected = share((no) => session.selected[no] === 1);
    const visible = share((no) => session.passes[no] === 1);
    const { places, selectionVersion, passing } = session;
    const body = { places, held, total: session.samples.length, selectionVersion, passing, selected, visible };
    return { body, buffers };
  }

  detail(ask: Ask<"detail">): Part<"detail"> {
    const { session } = this;
    const { box } = ask;
    const [x0, y0, x1, y1] = box;
    const nos = session.samples.filter((s) => s.x >= x0 && s.x <= x1 && s.y >= y0 && s.y <= y1).map((s) => s.no);
    const { places, selectionVersion, passing } = session;
    const head = { projection: PROJECTION, places, box, inside: nos.length, selectionVersion, passing };
    const sent = nos.length > MOST_DETAIL ? [] : nos;
    const { bytes } = this.legend(ask.color);
    const steps = (value: number, low: number, high: number): number =>
      high > low ? Math.round(((value - low) / (high - low)) * 65535) : 0;
    const xy = new Uint16Array(2 * sent.length);
    sent.forEach((no, i) => {
      const sample = session.samples[no];
      xy[2 * i] = steps(sample?.x ?? 0, x0, x1);
      xy[2 * i + 1] = steps(sample?.y ?? 0, y0, y1);
    });
    const flags = sent.map((no) => (session.selected[no] as number) | ((session.passes[no] as number) << 1));
    return {
      body: { ...head, count: sent.length },
      buffers: [
        new Uint8Array(Uint32Array.from(sent).buffer),
        new Uint8Array(xy.buffer),
        Uint8Array.from(sent, (no) => bytes[no] ?? 255),
        Uint8Array.from(flags),
      ],
    };
  }

  density(ask: Ask<"density">): Part<"density"> {
    const { session } = this;
    const { box, width, height } = ask;
    const { bytes } = this.legend(ask.color);
    const [visible, gone, selected] = [0, 1, 2].map(() => new Uint32Array(width * height)) as [
      Uint32Array,
      Uint32Array,
      Uint32Array,
    ];
    const colors = new Uint8Array(width * height);
    let inside = 0;
    for (const { no, x, y } of session.samples) {
      const cell = cellOf(box, width, height, x, y);
      if (cell < 0) continue;
      inside++;
      const passes = session.passes[no] === 1;
      const counts = passes ? visible : gone;
      counts[cell] = (counts[cell] as number) + 1;
      if (session.selected[no]) selected[cell] = (selected[cell] as number) + 1;
      if (passes) colors[cell] = bytes[no] ?? 255;
    }
    const highest = [visible, gone, selected].reduce(
      (most, counts) => counts.reduce((a, b) => Math.max(a, b), most),
      0,
    );
    const levels = (counts: Uint32Array): Uint8Array =>
      Uint8Array.from(counts, (count) =>
        count === 0 ? 0 : Math.max(1, Math.round((255 * Math.log1p(count)) / Math.log1p(highest))),
      );
    const { places, selectionVersion, passing } = session;
    return {
      body: { projection: PROJECTION, places, box, width, height, inside, highest, selectionVersion, passing },
      buffers: [levels(visible), levels(gone), levels(selected), colors],
    };
  }

  legend(column: string | null): { legend: Legend; bytes: Uint8Array } {
    const { session } = this;
    const bytes = new Uint8Array(session.samples.length);
    if (column === null) return { legend: { kind: "none" }, bytes };
    const values = session.samples.map((sample) => session.value(sample, column));
    if (values.some((value) => typeof value === "number")) {
      const numbers = values.filter((value) => typeof value === "number");
      const low = numbers.reduce((a, b) => Math.min(a, b));
      const high = numbers.reduce((a, b) => Math.max(a, b));
      values.forEach((value, i) => {
        bytes[i] = typeof value === "number" ? Math.round(((value - low) / (high - low)) * 254) : 255;
      });
      return { legend: { kind: "number", column, low, high }, bytes };
    }
    const bars = session.bars(column);
    const entries = bars
      .slice(0, 254)
      .map((bar, i) => ({ value: bar.value, count: bar.total, color: bar.value === null ? 255 : i }));
    const places = new Map(entries.map((entry) => [entry.value, entry.color]));
    values.forEach((value, i) => {
      bytes[i] = places.get(value === null ? null : String(value)) ?? 255;
    });
    return { legend: { kind: "category", column, entries, more: Math.max(bars.length - 254, 0) }, bytes };
  }

  known(projection: string | null): void {
    if (projection !== null && projection !== PROJECTION)
      throw new Refusal("unknown_projection", `There is no projection “${projection}”.`, `There is: ${PROJECTION}.`);
  }
}

function cellOf([x0, y0, x1, y1]: Box, width: number, height: number, x: number, y: number): number {
  const column = Math.floor(((x - x0) / (x1 - x0)) * width);
  const row = Math.floor(((y - y0) / (y1 - y0)) * height);
  if (!(column >= 0 && row >= 0 && column <= width && row <= height)) return -1;
  return Math.min(row, height - 1) * width + Math.min(column, width - 1);
}
