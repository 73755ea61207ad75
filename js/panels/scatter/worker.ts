/**
 * The points' own module. It is built into one string (engine_source.mjs), so that the same text runs in a worker and, where
 * there is a GPU or no worker can be made, on the page.
 */
import { Core } from "./core.js";
import { Gpu } from "./gpu.js";
import { belongings, type Command, type Estate, type Post } from "./messages.js";
import { CpuPainter, GpuPainter, PAGE_PACE, type Painter, WORKER_PACE } from "./painter.js";

export interface Host {
  send(command: Command): void;
  /** Hands over all points; the host is of no use then. */
  release(): Estate;
  dispose(): void;
}

function host(core: Core, painter: Painter): Host {
  return {
    send(command) {
      if (command.op === "back") return painter.back(command.buffer);
      if (command.op !== "draw") return core.take(command);
      if (command.palette) {
        core.palette = command.palette;
        core.version++;
        core.edition++;
      }
      painter.draw(command.id, command.shot);
    },
    release: () => core.release(),
    dispose: () => painter.dispose(),
  };
}

/** Throws where the shaders do not link. */
export function onGpu(gl: WebGL2RenderingContext, post: Post, mayLeave: boolean): Host {
  const core = new Core(post);
  return host(core, new GpuPainter(core, post, new Gpu(gl), mayLeave));
}

export function onPage(post: Post): Host {
  const core = new Core(post);
  return host(core, new CpuPainter(core, post, PAGE_PACE));
}

/** Draws a plot that nobody sees: code that has run once is compiled, and the first picture there a twentieth of a second sooner. */
function rehearse(): void {
  const core = new Core(() => undefined);
  const painter = new CpuPainter(core, () => undefined, WORKER_PACE);
  const { send } = host(core, painter);
  const count = 20_000;
  const xy = Uint16Array.from({ length: 2 * count }, (_, i) => Math.imul(i + 1, 40_503));
  send({ op: "begin", total: count, bounds: [0, 0, 1, 1] });
  send({ op: "add", part: { offset: 0, count, xy, colors: new Uint8Array(count) } });
  send({ op: "marks", selected: "none", visible: "all" });
  const size = { width: 64, height: 64 };
  const shot = {
    size,
    ratio: 1,
    transform: { ax: 64, bx: 0, ay: -64, by: 64 },
    scale: 64,
    world: { width: 1, height: 1 },
    moving: false,
  };
  send({ op: "draw", id: 1, shot, palette: { table: new Uint32Array(768), background: 0 } });
  painter.dispose();
}

interface Scope {
  postMessage(message: unknown, transfer: Transferable[]): void;
  onmessage: ((event: MessageEvent<Command>) => void) | null;
}

const scope = globalThis as unknown as Scope & { WorkerGlobalScope?: abstract new () => object };
if (scope.WorkerGlobalScope && scope instanceof scope.WorkerGlobalScope) {
  const post: Post = (reply, transfer = []) => scope.postMessage(reply, transfer);
  const core = new Core(post);
  const { send } = host(core, new CpuPainter(core, post, WORKER_PACE));
  scope.onmessage = ({ data }) => {
    if (data.op !== "release") return send(data);
    const estate = core.release();
    post({ re: "estate", estate }, belongings(estate));
  };
  post({ re: "ready" });
  rehearse();
}
