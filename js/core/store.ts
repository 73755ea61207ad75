/** The session as the browser knows it. The kernel is right; this folds its answers and events into signals, in any order they come. */
import { computed, effect, type ReadonlySignal, type Signal, signal } from "@preact/signals-core";
import { type KernelClient, RequestFailed } from "./client.js";
import type { AskOptions, Marking, Reply, Store, Toast } from "./contract.js";
import type {
  ActArguments,
  Answer,
  Armed,
  Ask,
  Downward,
  EndedJob,
  Failure,
  JobState,
  JobsState,
  Op,
  SessionState,
  Target,
  Verb,
} from "./protocol.js";
import type { SimilarMode, SimilarTarget } from "./protocol_similar.js";
import { newUuid } from "./uuid.js";

const PANEL = "hub";
const SHOWN_TOASTS = 4;

/** The newer of what is known and what came: two kernel threads send, so an older picture may arrive after a newer one. */
export function newer(known: SessionState | null, came: SessionState): SessionState {
  if (known === null) return came;
  if (came.rev < known.rev) return known;
  return {
    ...came,
    selection: came.selection.version < known.selection.version ? known.selection : came.selection,
    filter: came.filter.version < known.filter.version ? known.filter : came.filter,
  };
}

/** What an answer already tells about the session before the event `state` says it again. */
export function folded(state: SessionState, op: Op, body: unknown): SessionState {
  if (op === "select") {
    const { count, version } = body as Answer<"select">;
    if (version <= state.selection.version) return state;
    // What made this selection comes with the event; the gesture that is known made the one before.
    const { gesture: _, ...selection } = state.selection;
    return { ...state, selection: { ...selection, count, version } };
  }
  if (op === "filter") {
    const { count, version } = body as Answer<"filter">;
    return version > state.filter.version ? { ...state, filter: { ...state.filter, count, version } } : state;
  }
  if (op === "arm") return { ...state, armed: (body as Answer<"arm">).armed };
  if (op === "sort" || op === "similar") return { ...state, sort: (body as Answer<"sort">).sort };
  return state;
}

/** In what the kernel itself says, no gesture means that none made the selection. Jobs are kept apart: they go on between states. */
function told({ jobs: _, ...state }: SessionState): SessionState {
  return { ...state, selection: { ...state.selection, gesture: state.selection.gesture ?? null } };
}

export class SessionStore implements Store {
  readonly state: ReadonlySignal<SessionState | null>;
  readonly busy: ReadonlySignal<boolean>;
  readonly toasts: ReadonlySignal<readonly Toast[]>;
  readonly jobs: ReadonlySignal<readonly JobState[]>;
  readonly ended: ReadonlySignal<readonly EndedJob[]>;
  readonly connection: ReadonlySignal<"live" | "lost">;
  readonly lostBecause: ReadonlySignal<Failure | null>;
  readonly hovered: Signal<number | null> = signal(null);
  readonly inspected: Signal<number | null> = signal(null);
  readonly inspectedObject: Signal<{ sample: number; object: number } | null> = signal(null);
  readonly inspectors: Signal<number> = signal(0);
  readonly step: Signal<((by: number) => void) | null> = signal(null);
  readonly marking: Signal<Marking | null> = signal(null);

  readonly stepping: ReadonlySignal<boolean>;

  readonly #client: KernelClient;
  readonly #steps = signal(0);
  readonly #state = signal<SessionState | null>(null);
  readonly #toasts = signal<readonly Toast[]>([]);
  readonly #jobs = signal<readonly JobState[]>([]);
  readonly #ended = signal<readonly EndedJob[]>([]);
  #jobsVersion = 0;
  readonly #connection = signal<"live" | "lost">("live");
  readonly #lostBecause = signal<Failure | null>(null);
  #nextToast = 1;

  constructor(client: KernelClient, boot: SessionState | null) {
    this.#client = client;
    this.#state.value = boot && told(boot);
    this.state = this.#state;
    this.busy = client.busy;
    this.toasts = this.#toasts;
    this.jobs = this.#jobs;
    this.ended = this.#ended;
    this.#work(boot?.jobs);
    this.stepping = computed(() => this.#steps.value > 0);
    this.connection = this.#connection;
    this.lostBecause = this.#lostBecause;
    effect(() => {
      if (this.inspectedObject.peek()?.sample !== this.inspected.value) this.inspectedObject.value = null;
    });
    client.onEvent = (event) => this.#event(event);
    client.onAnswer = (op, reply) => this.#answer(op, reply);
  }

  /** Asks the kernel for the whole state. */
  async hello(): Promise<void> {
    await this.#client.ask("hello", {}, { panel: PANEL }).catch(() => undefined);
  }

  lost(why: Failure): void {
    this.#lostBecause.value ??= why;
    this.#connection.value = "lost";
  }

  async act(verb: Verb, args: ActArguments, target: Target): Promise<void> {
    await this.#tell(async () => {
      const body = { verb, arguments: args, target, uuid: newUuid() };
      const { body: answer } = await this.#client.ask("act", body, { panel: PANEL });
      const undoable = answer.event !== null;
      this.toast({ sentence: answer.sentence, kind: "info", undoable, python: answer.python, hint: null });
    });
  }

  async undo(): Promise<void> {
    await this.#step("undo");
  }

  async redo(): Promise<void> {
    await this.#step("redo");
  }

  async arm(armed: Armed | null): Promise<void> {
    await this.#tell(async () => {
      await this.#client.ask("arm", { armed }, { panel: PANEL });
    });
  }

  async similar(target: SimilarTarget, mode: SimilarMode = "replace"): Promise<void> {
    await this.#tell(async () => {
      const ask = mode === "replace" ? { target } : { target, mode };
      await this.#client.ask("similar", ask, { panel: PANEL });
      if (mode !== "replace") return; // every grid says by what it is sorted, and examples come one after the other
      const sentence = "Sorted by similarity, the most similar first.";
      this.toast({ sentence, kind: "info", undoable: false, python: null, hint: null });
    });
  }

  async gesture(ask: Ask<"select">, options: AskOptions<"select">): Promise<Answer<"select">> {
    const armed = this.#state.value?.armed;
    const { body } = await this.#client.ask("select", armed ? { ...ask, uuid: newUuid() } : ask, options);
    if (body.decision) this.#decided(body.decision);
    return body;
  }

  async gestureEnded(): Promise<void> {
    const armed = this.#state.value?.armed;
    if (!armed) return;
    await this.#tell(async () => {
      const body = { ...armed, target: { type: "selection" } as const, uuid: newUuid() };
      this.#decided((await this.#client.ask("act", body, { panel: PANEL })).body);
    });
  }

  #decided(answer: Answer<"act">): void {
    // A click on nothing empties the selection; that the armed action then changed nothing is no news.
    if (answer.event === null && answer.count === 0) return;
    this.toast({ sentence: answer.sentence, kind: "info", undoable: true, python: answer.python, hint: null });
  }

  toast(toast: Omit<Toast, "id">): void {
    this.#toasts.value = [...this.#toasts.value, { ...toast, id: this.#nextToast++ }].slice(-SHOWN_TOASTS);
  }

  dismiss(id: number): void {
    this.#toasts.value = this.#toasts.value.filter((toast) => toast.id !== id);
  }

  async #step(op: "undo" | "redo"): Promise<void> {
    await this.#tell(async () => {
      this.#steps.value += 1;
      const { body } = await this.#stepped(op).finally(() => {
        this.#steps.value -= 1;
      });
      // What an older toast offers to undo may be undone by now: its button would undo something else.
      this.#toasts.value = this.#toasts.value.map((toast) => ({ ...toast, undoable: false }));
      this.toast({ sentence: body.sentence, kind: "info", undoable: false, python: null, hint: null });
    });
  }

  /** The answer, once the session's state has come as well. */
  async #stepped(op: "undo" | "redo"): Promise<Reply<"undo" | "redo">> {
    const reply = await this.#client.ask(op, { uuid: newUuid() }, { panel: PANEL });
    const arrived = (): boolean =>
      this.#connection.value === "lost" || (this.#state.value?.rev ?? reply.rev) >= reply.rev;
    await new Promise<void>((done) => {
      const stop = effect(() => {
        if (arrived()) queueMicrotask(() => [stop(), done()]);
      });
    });
    return reply;
  }

  async #tell(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") return;
      const hint = error instanceof RequestFailed ? error.failure.hint : null;
      const sentence = error instanceof Error ? error.message : String(error);
      this.toast({ sentence, kind: "error", undoable: false, python: null, hint });
    }
  }

  #answer(op: Op, reply: Reply<Op>): void {
    if (op === "hello") {
      const { state } = reply.body as Answer<"hello">;
      this.#work(state.jobs);
      this.#state.value = newer(this.#state.value, told(state));
    } else if (this.#state.value !== null) {
      this.#state.value = folded(this.#state.value, op, reply.body);
    }
  }

  #event(event: Extract<Downward, { k: "evt" }>): void {
    if (event.topic === "state") {
      this.#work(event.body.jobs);
      this.#state.value = newer(this.#state.value, told(event.body));
    } else if (event.topic === "toast") {
      const { sentence, kind } = event.body;
      this.toast({ sentence, kind, undoable: event.body.event !== null, python: null, hint: null });
    } else {
      this.#work(event.body);
    }
  }

  #work(came: JobsState | undefined): void {
    if (came === undefined || came.version <= this.#jobsVersion) return;
    this.#jobsVersion = came.version;
    // Mostly there are none, and none again: nobody needs to hear of that.
    if (came.running.length > 0 || this.#jobs.value.length > 0) this.#jobs.value = came.running;
    const ended = came.ended ?? [];
    if (ended.length > 0 || this.#ended.value.length > 0) this.#ended.value = ended;
  }
}
