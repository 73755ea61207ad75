/**
 * The points of a scatter alone, without panel and kernel, for millions of them: drag to pan, wheel to zoom, shift-drag for a
 * lasso's box. `node dev/serve.mjs`, then /scatter.html?n=1000000. Parameters: n, renderer=webgl|canvas, theme=dark.
 * `window.engine` and `window.view` are for measuring.
 */
import { dom } from "../core/dom.js";
import type { Legend, Mode } from "../core/protocol.js";
import type { Facts, Frame, Projected, RendererChoice } from "../panels/scatter/engine.js";
import { createEngine } from "../panels/scatter/engine_start.js";
import { makePalette } from "../panels/scatter/palette.js";
import { random } from "./fake_data.js";

const query = new URLSearchParams(location.search);
const n = Number(query.get("n") ?? 1_000_000);
const PART = 262_144;
const CLASSES = 10;
const REST_MS = 140;
const BOUNDS = [-8.25, -6.5, 11.75, 9.25] as const;
const dark = query.get("theme") === "dark";

/** Curved clouds of uneven size, as UMAP makes them. */
function clouds(count: number): { xy: Uint16Array<ArrayBuffer>; colors: Uint8Array<ArrayBuffer> } {
  const next = random(7);
  const normals = Float32Array.from(
    { length: 65_536 },
    () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()),
  );
  const normal = () => normals[(next() * 65_536) | 0] as number;
  const arms = Array.from({ length: CLASSES }, (_, i) => {
    const turn = (i / CLASSES) * 2 * Math.PI + 0.3 * normal();
    const far = 0.22 + 0.13 * next();
    const [x, y] = [0.5 + far * Math.cos(turn), 0.5 + far * Math.sin(turn)];
    const bend = 2 + 3 * next();
    return { x, y, bend, turn: next() * 6.28, long: 0.05 + 0.06 * next(), thick: 0.008 + 0.016 * next() };
  });
  const xy = new Uint16Array(2 * count);
  const colors = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    const g = Math.floor(CLASSES * next() ** 1.4);
    const arm = arms[g] as (typeof arms)[number];
    const angle = arm.turn + ((next() * 2 - 1) * arm.bend) / 2;
    const stray = next() < 0.03 ? 4 : 1;
    xy[2 * i] = Math.min(
      65535,
      Math.max(0, (arm.x + arm.long * Math.cos(angle) + normal() * arm.thick * stray) * 65535),
    );
    xy[2 * i + 1] = Math.min(
      65535,
      Math.max(0, (arm.y + arm.long * Math.sin(angle) + normal() * arm.thick * stray) * 65535),
    );
    colors[i] = next() < 0.02 ? Math.floor(next() * CLASSES) : g;
  }
  return { xy, colors };
}

const legend: Legend = {
  kind: "category",
  column: "label",
  more: 0,
  entries: Array.from({ length: CLASSES }, (_, color) => ({ value: `class ${color}`, count: n / CLASSES, color })),
};
const theme = dark
  ? ({ background: [17, 17, 17], ink: [220, 220, 220] } as const)
  : ({ background: [255, 255, 255], ink: [30, 30, 30] } as const);
const palette = makePalette(legend, dom, theme);
const stage = document.getElementById("stage") as HTMLElement;
const note = document.getElementById("facts") as HTMLElement;

const state = { facts: null as Facts | null, completeAt: 0, partAt: 0 };
const engine = createEngine({
  stage,
  choice: (query.get("renderer") ?? "auto") as RendererChoice,
  events: {
    facts(facts) {
      state.facts = facts;
      if (facts.complete) state.completeAt = performance.now();
      note.textContent = JSON.stringify({
        ...facts,
        names: facts.names.map((name) => name.text),
        few: facts.few.length,
      });
    },
    renderer: (name) => console.log("renderer", name),
  },
});

/** World units: the longer side of the bounds is 1, y upwards. */
const world = { width: 1, height: (BOUNDS[3] - BOUNDS[1]) / (BOUNDS[2] - BOUNDS[0]) };
const view = { x: 0.5, y: world.height / 2, scale: 560 / world.height };
let moving = false;
let rest: ReturnType<typeof setTimeout> | undefined;

function transform(): Projected {
  const { clientWidth: width, clientHeight: height } = stage;
  const ax = view.scale / (BOUNDS[2] - BOUNDS[0]);
  const ay = (-world.height * view.scale) / (BOUNDS[3] - BOUNDS[1]);
  return {
    ax,
    bx: width / 2 - view.x * view.scale - ax * BOUNDS[0],
    ay,
    by: height / 2 + view.y * view.scale - ay * BOUNDS[1],
  };
}

function draw(): Promise<void> {
  const size = { width: stage.clientWidth, height: stage.clientHeight };
  const ratio = Math.max(1, devicePixelRatio);
  const frame: Frame = { size, ratio, transform: transform(), scale: view.scale, world, palette, moving };
  return engine.draw(frame);
}

function move(): void {
  moving = true;
  void draw();
  clearTimeout(rest);
  rest = setTimeout(() => {
    moving = false;
    void draw();
  }, REST_MS);
}

function lasso(x0: number, y0: number, x1: number, y1: number, mode: Mode = "replace"): Promise<void> {
  const { ax, bx, ay, by } = transform();
  const [xa, xb, ya, yb] = [(x0 - bx) / ax, (x1 - bx) / ax, (y0 - by) / ay, (y1 - by) / ay];
  engine.combine(Float64Array.of(xa, ya, xb, ya, xb, yb, xa, yb), mode);
  return draw();
}

let from: { x: number; y: number } | null = null;
stage.addEventListener("pointerdown", (event) => {
  from = { x: event.offsetX, y: event.offsetY };
});
stage.addEventListener("pointermove", (event) => {
  if (!from || event.shiftKey) return;
  view.x -= event.movementX / view.scale;
  view.y += event.movementY / view.scale;
  move();
});
addEventListener("pointerup", (event) => {
  if (from && event.shiftKey) void lasso(from.x, from.y, event.offsetX, event.offsetY);
  from = null;
});
stage.addEventListener("wheel", (event) => {
  event.preventDefault();
  const factor = 1.0015 ** -event.deltaY;
  const [dx, dy] = [event.offsetX - stage.clientWidth / 2, stage.clientHeight / 2 - event.offsetY];
  view.x += dx / view.scale - dx / (view.scale * factor);
  view.y += dy / view.scale - dy / (view.scale * factor);
  view.scale *= factor;
  move();
});

const made = clouds(n);
await engine.selectedBox(); // the worker is up: what counts from here on is the points
engine.begin(n, BOUNDS);
engine.setLegend(legend);
for (let offset = 0; offset < n; offset += PART) {
  const count = Math.min(PART, n - offset);
  const xy = made.xy.slice(2 * offset, 2 * (offset + count));
  engine.add({ offset, count, xy, colors: made.colors.slice(offset, offset + count) });
  void draw();
}
state.partAt = performance.now();
Object.assign(window, { engine, view, move, draw, lasso, state, stage });
