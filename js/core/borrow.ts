/** The hub of a panel, from wherever it stands in the notebook. */
import type { HubExports } from "./contract.js";

interface Borrowing {
  model: { get(name: "hub"): unknown };
  el: HTMLElement;
  host: { getWidget<T>(ref: string): Promise<{ exports: T }> };
  signal: AbortSignal;
}

/** Null when the panel is gone meanwhile, or its session was closed: then `el` says so. */
export async function borrowHub({ model, el, host, signal }: Borrowing): Promise<HubExports | null> {
  const ref = model.get("hub");
  if (typeof ref !== "string" || ref === "") {
    el.textContent = "This session is closed. Run the cells again to open it.";
    return null;
  }
  const { exports } = await host.getWidget<HubExports>(ref);
  return signal.aborted ? null : exports;
}
