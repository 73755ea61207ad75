/** Decisions about objects: done on the screen at once, told to the kernel, and taken back from the screen where it refuses. */
import type { Client, KernelError, Store } from "../contract.js";
import { isAbort } from "../panel.js";
import type { ActObjectsAsk } from "../protocol_objects.js";
import { newUuid } from "../uuid.js";
import type { Shape } from "./shapes.js";

/** What a decision does to the objects on the screen until the kernel has said what holds. */
export type Ahead = (shapes: Shape[]) => Shape[];

export class Decisions {
  #ahead: { apply: Ahead; uuid: string }[] = [];
  readonly #flying = new Set<string>();
  readonly #hub: { client: Client; store: Store };
  readonly #changed: (news: "begun" | "done" | "refused") => void;

  /** `changed` is called when the screen is to be drawn again; after "done" the kernel knows more than the screen. */
  constructor(hub: { client: Client; store: Store }, changed: (news: "begun" | "done" | "refused") => void) {
    this.#hub = hub;
    this.#changed = changed;
  }

  apply(shapes: Shape[]): Shape[] {
    return this.#ahead.reduce((there, { apply }) => apply(there), shapes);
  }

  forget(): void {
    this.#ahead = [];
  }

  /** To be called before the kernel is asked, and what it returns once the answer is there: what was decided before is in it. */
  asking(): () => void {
    const before = this.#ahead.map(({ uuid }) => uuid);
    return () => {
      this.#ahead = this.#ahead.filter(({ uuid }) => !before.includes(uuid) || this.#flying.has(uuid));
    };
  }

  async act(ask: Omit<ActObjectsAsk, "uuid">, apply: Ahead): Promise<void> {
    const uuid = newUuid();
    const { client, store } = this.#hub;
    this.#ahead.push({ apply, uuid });
    this.#flying.add(uuid);
    this.#changed("begun");
    let done = false;
    try {
      const { body } = await client.ask("actObjects", { ...ask, uuid }, { panel: uuid });
      done = body.event !== null;
      store.toast({ sentence: body.sentence, kind: "info", undoable: done, python: body.python, hint: null });
    } catch (error) {
      if (!isAbort(error)) {
        const { message, failure } = error as KernelError;
        store.toast({ sentence: message, kind: "error", undoable: false, python: null, hint: failure?.hint ?? null });
      }
    }
    this.#flying.delete(uuid);
    if (!done) this.#ahead = this.#ahead.filter((one) => one.uuid !== uuid);
    this.#changed(done ? "done" : "refused");
  }
}
