/**
 * The scatter alone over arrays, for millions of points: what the development page's made-up session is too slow for.
 *
 *   npx esbuild dev/scatter.ts --bundle --format=esm --target=es2022 --outdir=dev/out --servedir=dev
 *
 * and open /scatter.html?count=1000000 there. esbuild keeps the bundle in memory.
 * Parameters: count, theme=dark, renderer=webgl|canvas, color=label|brightness|none, classes, height, embedded=1.
 */
import "./page.css";
import "../hub/style.css";
import "../panels/scatter/style.css";
import type { Ask, Op, SessionState } from "../core/protocol.js";
import { fromWire, toWire } from "../core/wire.js";
import hub from "../hub/index.js";
import scatter from "../panels/scatter/index.js";
import { RingTest } from "../panels/scatter/lasso.js";
import { random } from "./fake_data.js";
import { FakeModel } from "./fake_hub.js";

const query = new URLSearchParams(location.search);
document.documentElement.dataset.jpThemeLight = String(query.get("theme") !== "dark");
const count = Number(query.get("count") ?? 10_000);
const classes = Number(query.get("classes") ?? 10);
const PART = 262_144;

/** Curved clouds of uneven size, as UMAP makes them. */
function makePlaces(): { xy: Uint16Array; group: Uint8Array; bright: Uint8Array } {
  const next = random(7);
  const normal = () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  const arms = Array.from({ length: classes }, (_, i) => {
    const turn = (i / classes) * 2 * Math.PI + 0.3 * normal();
    const far = 0.22 + 0.13 * next();
    return {
      x: 0.5 + far * Math.cos(turn),
      y: 0.5 + far * Math.sin(turn),
      bend: 2 + 3 * next(),
      turn: next() * 6.28,
      long: 0.05 + 0.06 * next(),
      thick: 0.008 + 0.016 * next(),
      weight: 0.3 + next(),
    };
  });
  const sum = arms.reduce((total, arm) => total + arm.weight, 0);
  const xy = new Uint16Array(2 * count);
  const group = new Uint8Array(count);
  const bright = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    let pick = next() * sum;
    let g = 0;
    while (g < arms.length - 1 && pick > (arms[g]?.weight ?? 0)) pick -= arms[g++]?.weight ?? 0;
    const arm = arms[g] as (typeof arms)[number];
    const t = next() * 2 - 1;
    const angle = arm.turn + (t * arm.bend) / 2;
    const stray = next() < 0.03 ? 4 : 1;
    const x = arm.x + arm.long * Math.cos(angle) + normal() * arm.thick * stray;
    const y = arm.y + arm.long * Math.sin(angle) + normal() * arm.thick * stray;
    xy[2 * i] = Math.min(65535, Math.max(0, x * 65535));
    xy[2 * i + 1] = Math.min(65535, Math.max(0, y * 65535));
    group[i] = next() < 0.02 ? Math.floor(next() * classes) : g;
    bright[i] = next() < 0.02 ? 255 : Math.min(254, Math.max(0, 127 + 60 * (x - 0.5) * 6 + 25 * normal()));
  }
  return { xy, group, bright };
}

const NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
const { xy, group, bright } = makePlaces();
const selected = new Uint8Array(count);
const visible = new Uint8Array(count).fill(1);
const nameOf = (g: number) => NAMES[g] ?? `class ${g}`;
const counts = new Array<number>(classes).fill(0);
for (const g of group) counts[g] = (counts[g] ?? 0) + 1;
const bounds: [number, number, number, number] = [-8.25, -6.5, 11.75, 9.25];

const state: SessionState = {
  rev: 1,
  name: "arrays",
  sampleCount: count,
  columns: [
    { name: "label", type: "VARCHAR", kind: "category" },
    { name: "brightness", type: "FLOAT", kind: "number" },
  ],
  labels: counts.map((n, g) => ({ name: nameOf(g), count: n })),
  tags: [],
  queues: [],
  projections: query.get("empty")
    ? []
    : [{ name: "auto/umap", method: "umap", embedding: "auto", count, stale: Number(query.get("stale") ?? 0) }],
  selection: { count: 0, version: 1 },
  filter: { count, version: 1, text: "", clauses: [] },
  history: { undo: null, redo: null },
  sort: { by: "added", descending: false },
  armed: null,
};

function legend(color: string | null) {
  if (color === "label") {
    return {
      kind: "category",
      column: "label",
      entries: counts.map((n, g) => ({ value: nameOf(g), count: n, color: g })),
      more: 0,
    };
  }
  return color === null ? { kind: "none" } : { kind: "number", column: color, low: 0.03, high: 0.97 };
}

const colorBytes = (color: string | null) =>
  color === "label" ? group : color === null ? new Uint8Array(count) : bright;
const view = (array: Uint8Array | Uint16Array) => new DataView(array.buffer, array.byteOffset, array.byteLength);
const bitsOf = (flags: Uint8Array) => {
  const bits = new Uint8Array((flags.length + 7) >> 3);
  for (let i = 0; i < flags.length; i++) if (flags[i]) bits[i >> 3] = (bits[i >> 3] as number) | (1 << (i & 7));
  return view(bits);
};

function select({ shape, mode }: Ask<"select">): void {
  let hit: (i: number) => boolean = () => false;
  if (shape.type === "points") hit = (i) => shape.indices.includes(i);
  else if (shape.type === "polygon" || shape.type === "box") {
    const ring =
      shape.type === "polygon"
        ? shape.points
        : [shape.x0, shape.y0, shape.x1, shape.y0, shape.x1, shape.y1, shape.x0, shape.y1];
    const steps = Float64Array.from(
      ring,
      (value, i) =>
        ((value - (bounds[i & 1] as number)) / ((bounds[2 + (i & 1)] as number) - (bounds[i & 1] as number))) * 65535,
    );
    const test = new RingTest(steps);
    hit = (i) => test.has(xy[2 * i] as number, xy[2 * i + 1] as number);
  } else if (shape.type === "all") hit = () => true;
  let total = 0;
  for (let i = 0; i < count; i++) {
    const was = selected[i] === 1;
    const now = visible[i] === 1 && hit(i);
    const is = mode === "replace" ? now : mode === "add" ? was || now : mode === "subtract" ? was && !now : was && now;
    selected[i] = is ? 1 : 0;
    total += is ? 1 : 0;
  }
  state.selection = { count: total, version: state.selection.version + 1 };
}

function filter({ source, clause }: Ask<"filter">): void {
  const passes = (i: number) => {
    if (clause?.type === "in" || clause?.type === "not_in")
      return clause.values.includes(nameOf(group[i] as number)) === (clause.type === "in");
    if (clause?.type === "range") {
      const value = 0.03 + ((bright[i] as number) / 254) * 0.94;
      return bright[i] !== 255 && value >= (clause.low ?? -1) && value <= (clause.high ?? 2);
    }
    return true;
  };
  let passing = 0;
  for (let i = 0; i < count; i++) {
    visible[i] = passes(i) ? 1 : 0;
    passing += visible[i] ?? 0;
  }
  const column = clause && "column" in clause ? clause.column : null;
  state.filter = {
    count: passing,
    version: state.filter.version + 1,
    text: "",
    clauses: clause ? [{ source, sentence: "", column, clause }] : [],
  };
}

const heard: { op: string; bytes: number; body: unknown }[] = [];
const model = new FakeModel({ boot: null }, (content) => {
  const message = fromWire(structuredClone(content)) as { k: string; id: number; op: Op; body: never };
  if (message.k !== "req") return;
  heard.push({ op: message.op, bytes: JSON.stringify(content).length, body: message.body });
  const send = (body: unknown, buffers: DataView[] = [], part = 0, last = true) =>
    model.trigger(
      "msg:custom",
      toWire({ v: 1, k: "res", id: message.id, ok: true, rev: state.rev, part, last, body }),
      buffers,
    );
  const event = () =>
    model.trigger(
      "msg:custom",
      toWire({ v: 1, k: "evt", seq: 1, rev: state.rev, topic: "state", body: structuredClone(state) }),
      [],
    );
  setTimeout(() => {
    const { op, body } = message;
    if (op === "hello") send({ protocol: 1, state: structuredClone(state) });
    else if (op === "points") {
      const { color } = body as Ask<"points">;
      for (let offset = 0, part = 0; offset < count; offset += PART, part++) {
        const n = Math.min(PART, count - offset);
        const buffers = [
          view(xy.slice(2 * offset, 2 * (offset + n))),
          view(colorBytes(color).slice(offset, offset + n)),
        ];
        send(
          { projection: "auto/umap", offset, count: n, total: count, bounds, legend: legend(color) },
          buffers,
          part,
          offset + n >= count,
        );
      }
    } else if (op === "colors") {
      const { color } = body as Ask<"colors">;
      send({ offset: 0, count, total: count, legend: legend(color) }, [view(colorBytes(color))]);
    } else if (op === "marks") {
      send({ total: count, selectionVersion: state.selection.version, filterVersion: state.filter.version }, [
        bitsOf(selected),
        bitsOf(visible),
      ]);
    } else if (op === "select") {
      select(body);
      send({ ...state.selection, python: "" });
      event();
    } else if (op === "filter") {
      filter(body);
      send({ count: state.filter.count, version: state.filter.version, python: "" });
      event();
    } else if (op === "peek") {
      const { index = 0 } = body as Ask<"peek">;
      send(
        {
          no: index,
          id: `train/${index}.png`,
          label: nameOf(group[index] ?? 0),
          caption: "",
          mime: "image/svg+xml",
          problem: null,
        },
        [
          view(
            new TextEncoder().encode(
              `<svg xmlns="http://www.w3.org/2000/svg" width="96" height="96"><rect width="96" height="96" fill="#789"/><circle cx="48" cy="48" r="30" fill="#fda"/></svg>`,
            ),
          ),
        ],
      );
    } else if (op === "locate") {
      const [no = 0] = (body as Ask<"locate">).nos;
      const at = (axis: 0 | 1) =>
        bounds[axis] + ((xy[2 * no + axis] as number) / 65535) * ((bounds[2 + axis] as number) - bounds[axis]);
      send({ places: [[at(0), at(1)]] });
    } else send({});
  }, 5);
});

const ending = new AbortController();
const exports = hub.initialize({ model: model as never, signal: ending.signal });
const place = document.createElement("div");
document.querySelector("main")?.append(place);
if (query.get("embedded")) place.style.height = "560px";
const config = {
  color: query.get("color") === "none" ? null : (query.get("color") ?? "label"),
  projection: null,
  height_px: Number(query.get("height") ?? 560),
  renderer: query.get("renderer") ?? "auto",
  embedded: query.get("embedded") === "1",
};
const panelModel = new FakeModel({ hub: "anywidget:hub", panel_id: "scatter-1", boot: null, config });
const host = { getWidget: async () => ({ exports }), getModel: () => Promise.reject(new Error("none")) };
await scatter.render({ model: panelModel, el: place, signal: ending.signal, host } as never);
Object.assign(window, { fake: { heard, state, selected, exports, ending, count } });
