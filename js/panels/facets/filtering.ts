/** The clauses of the facets: sent to the kernel newest-wins, and believed until the kernel says otherwise, so that nothing jumps. */
import type { HubExports, KernelError } from "../../core/contract.js";
import type { FilterClause, SessionState } from "../../core/protocol.js";
import { clauseOf, sourceOf } from "./clauses.js";

interface Sent {
  clause: FilterClause | null;
  /** Version of the filter that the kernel answered with; null while the answer is due. */
  version: number | null;
}

export class Filtering {
  /** Grows with each change of what `clause` answers; templates read it to be drawn again. */
  readonly changed;
  readonly #sent = new Map<string, Sent>();
  readonly #own = new Map<string, FilterClause>();

  constructor(
    readonly hub: HubExports,
    readonly panel: string,
    readonly failed: (column: string, error: unknown) => void,
  ) {
    this.changed = hub.signals.signal(0);
  }

  clause(state: SessionState, column: string): { active: boolean; clause: FilterClause | null } {
    const sent = this.#sent.get(sourceOf(column));
    if (sent && (sent.version === null || sent.version >= state.filter.version)) {
      return { active: sent.clause !== null, clause: sent.clause };
    }
    return clauseOf(state, column, this.#own);
  }

  /** Asks for the clause. While one is in flight the newest waits and the ones between are dropped. */
  async set(column: string, clause: FilterClause | null): Promise<void> {
    const source = sourceOf(column);
    const sent: Sent = { clause, version: null };
    this.#sent.set(source, sent);
    this.changed.value++;
    try {
      const { body } = await this.hub.client.ask("filter", { source, clause }, { panel: this.panel });
      sent.version = body.version;
      if (clause) this.#own.set(source, clause);
      else this.#own.delete(source);
    } catch (error) {
      if (isAbort(error)) return;
      if (this.#sent.get(source) === sent) this.#sent.delete(source);
      this.failed(column, error);
    }
    this.changed.value++;
  }
}

/** A newer request took its place, here or in the kernel: no error, the newer one answers. */
export function isAbort(error: unknown): boolean {
  if (error instanceof DOMException && error.name === "AbortError") return true;
  const code = (error as Partial<KernelError> | null)?.failure?.code;
  return code === "superseded" || code === "cancelled";
}
