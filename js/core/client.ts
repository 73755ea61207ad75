/** Requests to the kernel: one in flight and one pending per lane, parts, cancelling, and what to do when the connection ends. */
import { type ReadonlySignal, signal } from "@preact/signals-core";
import type { AskOptions, Client, KernelError, Reply } from "./contract.js";
import type { Ask, Downward, Failure, Op, Upward } from "./protocol.js";
import { fromWire, toWire } from "./wire.js";

export const BUSY_AFTER_MS = 1500;

// These change the session, and the kernel does them in order of arrival. Holding one back while a later one goes out would let a
// tag reach the selection before the lasso that made it; dropping one would lose a decision. So they never wait in a lane.
const ORDERED: ReadonlySet<Op> = new Set([
  "select",
  "sort",
  "arm",
  "act",
  "undo",
  "redo",
  "similar",
  "configure",
  "group",
  "startJob",
  "cancelJob",
  "dismissJob",
  "autotagMark",
  "autotagCommit",
]);

export class RequestFailed extends Error implements KernelError {
  override readonly name = "KernelError";
  constructor(readonly failure: Failure) {
    super(failure.message);
  }
}

export const RESTARTED: Failure = {
  code: "kernel_restarted",
  message: "The kernel was restarted.",
  hint: "Run the cells of this notebook again, from the top.",
};
export const CLOSED: Failure = {
  code: "session_closed",
  message: "The session was closed.",
  hint: "Run the cell that opens it again, and this one.",
};

const aborted = (): DOMException => new DOMException("A newer request took its place.", "AbortError");

interface Request {
  id: number;
  op: Op;
  panel: string;
  body: unknown;
  lane: Lane | null;
  parts: number; // that came
  heardAt: number; // when it was sent, or its latest part came
  settled: boolean; // the asker has been told; the kernel's last word may still be due
  resolve: (reply: Reply<Op>) => void;
  reject: (reason: unknown) => void;
  onPart: ((reply: Reply<Op>) => void) | undefined;
  rest: (() => unknown) | undefined;
}

interface Lane {
  flying: Request | null;
  pending: Request | null;
}

export interface Transport {
  send(message: unknown): void;
}

type Event = Extract<Downward, { k: "evt" }>;

export class KernelClient implements Client {
  readonly busy: ReadonlySignal<boolean>;
  /** Called with each event of the kernel. */
  onEvent: (event: Event) => void = () => {};
  /** Called with each final good answer, before the asker sees it. */
  onAnswer: (op: Op, reply: Reply<Op>) => void = () => {};

  readonly #transport: Transport;
  readonly #lanes = new Map<string, Lane>();
  readonly #flying = new Map<number, Request>();
  readonly #busy = signal(false);
  #busyTimer: ReturnType<typeof setTimeout> | undefined;
  // Two tabs on one kernel share the comm, and an answer reaches both: ids must not meet.
  #nextId = Math.floor(Math.random() * 2 ** 48);
  #ended: Failure | null = null;

  constructor(transport: Transport) {
    this.#transport = transport;
    this.busy = this.#busy;
  }

  ask<O extends Op>(op: O, body: Ask<O>, options: AskOptions<O>): Promise<Reply<O>> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== null) return reject(new RequestFailed(this.#ended));
      if (options.signal?.aborted) return reject(aborted());
      const lane = ORDERED.has(op) ? null : this.#lane(op, body, options.panel);
      const request: Request = {
        id: this.#nextId++,
        op,
        panel: options.panel,
        body,
        lane,
        parts: 0,
        heardAt: 0,
        settled: false,
        resolve: resolve as (reply: Reply<Op>) => void,
        reject,
        onPart: options.onPart as ((reply: Reply<Op>) => void) | undefined,
        rest: options.rest,
      };
      options.signal?.addEventListener("abort", () => this.#cancel(request), { once: true });
      if (lane === null) this.#sendHeldFilters();
      if (lane?.flying) {
        if (lane.pending !== null) this.#settle(lane.pending, aborted());
        lane.pending = request;
      } else {
        this.#send(request);
      }
    });
  }

  /** Takes one message of the kernel. */
  receive(message: unknown, buffers: readonly DataView[]): void {
    const down = fromWire(message) as Downward;
    if (down?.v !== 1) return;
    if (down.k === "evt") this.onEvent(down);
    else if (down.k === "res") this.#answered(down, buffers);
  }

  #answered(down: Extract<Downward, { k: "res" }>, buffers: readonly DataView[]): void {
    const request = this.#flying.get(down.id);
    if (request === undefined) return;
    request.heardAt = performance.now();
    request.parts++;
    const many = down.part > 0 || !down.last;
    if (many && down.ok) this.#transport.send({ v: 1, k: "ack", id: down.id, part: down.part } satisfies Upward);
    if (down.last) this.#land(request);
    this.#checkBusy();
    if (!down.ok) {
      const replaced = down.error.code === "superseded" || down.error.code === "cancelled";
      this.#settle(request, replaced ? aborted() : new RequestFailed(down.error));
      return;
    }
    if (request.settled) return;
    const reply = { body: down.body, rev: down.rev, buffers: [...buffers] } as Reply<Op>;
    if (down.last) this.onAnswer(request.op, reply);
    request.onPart?.(reply);
    if (down.last) {
      request.settled = true;
      request.resolve(reply);
    }
  }

  /** After the connection to a living kernel came back: asks again what has no answer yet. Writes carry a uuid, so a repeat is harmless. */
  resume(): void {
    for (const request of [...this.#flying.values()].sort((a, b) => a.id - b.id)) {
      if (!request.settled && request.parts > 0) {
        this.#goOn(request);
      } else if (request.settled || repeatsHarmlessly(request)) {
        this.#send(request);
      } else {
        this.#land(request);
        this.#settle(request, aborted());
      }
    }
  }

  /**
   * Parts that were on their way are lost, and the kernel may believe they arrived. So the old request ends, and a new one with a
   * number of its own asks for the rest: what still comes of the old answer is not mistaken for the new one.
   */
  #goOn(request: Request): void {
    this.#transport.send({ v: 1, k: "cancel", id: request.id } satisfies Upward);
    this.#flying.delete(request.id);
    request.id = this.#nextId++;
    request.parts = 0;
    if (request.rest) request.body = request.rest();
    this.#send(request);
  }

  /** No answer will come any more: tells every asker, now and later, why. */
  end(failure: Failure): void {
    this.#ended = failure;
    const waiting = [...this.#lanes.values()].flatMap((lane) => (lane.pending ? [lane.pending] : []));
    const requests = [...this.#flying.values(), ...waiting];
    this.#flying.clear();
    this.#lanes.clear();
    this.#checkBusy();
    for (const request of requests) this.#settle(request, new RequestFailed(failure));
  }

  #lane(op: Op, body: unknown, panel: string): Lane {
    // Clauses of different sources hold side by side, so a newer one replaces only its own.
    const source = op === "filter" ? (body as Ask<"filter">).source : "";
    const key = `${panel}\n${op}\n${source}`;
    let lane = this.#lanes.get(key);
    if (lane === undefined) {
      lane = { flying: null, pending: null };
      this.#lanes.set(key, lane);
    }
    return lane;
  }

  /** "Select all" means all that pass the filter the user sees, the one still waiting in its lane included. */
  #sendHeldFilters(): void {
    for (const lane of this.#lanes.values()) {
      const held = lane.pending;
      if (held?.op !== "filter") continue;
      lane.pending = null;
      this.#send(held);
    }
  }

  #send(request: Request): void {
    if (request.lane !== null) request.lane.flying = request;
    request.heardAt = performance.now();
    this.#flying.set(request.id, request);
    const { id, op, panel, body } = request;
    this.#transport.send(toWire({ v: 1, k: "req", id, op: snakeOp(op), panel, body } satisfies Upward));
    this.#checkBusy();
  }

  #land(request: Request): void {
    this.#flying.delete(request.id);
    const lane = request.lane;
    if (lane === null || lane.flying !== request) return;
    lane.flying = null;
    const next = lane.pending;
    lane.pending = null;
    if (next !== null) this.#send(next);
  }

  #cancel(request: Request): void {
    if (request.settled) return;
    if (this.#flying.has(request.id)) {
      this.#transport.send({ v: 1, k: "cancel", id: request.id } satisfies Upward);
    } else if (request.lane?.pending === request) {
      request.lane.pending = null;
    }
    this.#settle(request, aborted());
  }

  #settle(request: Request, reason: unknown): void {
    if (request.settled) return;
    request.settled = true;
    request.reject(reason);
  }

  #checkBusy(): void {
    clearTimeout(this.#busyTimer);
    const now = performance.now();
    let oldest = Number.POSITIVE_INFINITY;
    for (const request of this.#flying.values()) if (!request.settled) oldest = Math.min(oldest, request.heardAt);
    this.#busy.value = now - oldest >= BUSY_AFTER_MS;
    if (oldest < Number.POSITIVE_INFINITY && !this.#busy.value) {
      this.#busyTimer = setTimeout(() => this.#checkBusy(), oldest + BUSY_AFTER_MS - now + 1);
    }
  }
}

/** The names of operations are values, not keys, so the general conversion does not see them. */
const snakeOp = (op: Op): string => op.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

function repeatsHarmlessly(request: Request): boolean {
  return !(request.op === "select" && (request.body as Ask<"select">).shape.type === "invert");
}
