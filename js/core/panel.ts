/** What every panel does first: borrow the hub, mark its root, read what came along with its widget. */
import type { Host, RenderProps } from "@anywidget/types";
import { borrowHub } from "./borrow.js";
import type { HubExports, Reply } from "./contract.js";
import type { Ask, Op } from "./protocol.js";
import { fromWire } from "./wire.js";

export interface Panel<Config> {
  hub: HubExports;
  host: Host;
  root: HTMLElement;
  panelId: string;
  config: Partial<Config>;
  /** Inside a workbench, which has the bar of actions and the height. */
  embedded: boolean;
  signal: AbortSignal;
  /** The answer of this operation that came with the widget. */
  boot<O extends Op>(op: O): { ask: Ask<O>; reply: Reply<O> } | null;
  /** Calls back when the kernel changed the configuration: another page, or Python, chose something. */
  onConfig(callback: (config: Partial<Config>) => void): void;
  /** Keeps a choice in the kernel, so that a reload brings it back. */
  configure(name: string, value: string | number | boolean | null): void;
}

interface BootReply {
  op: string;
  ask: unknown;
  rev: number;
  body: unknown;
  buffers: DataView[];
}

export async function openPanel<Config>(props: RenderProps, name: string): Promise<Panel<Config> | null> {
  const hub = await borrowHub(props);
  if (!hub) return null;
  const { model, el, host, signal } = props;
  const config = (fromWire(model.get("config")) ?? {}) as Partial<Config> & { embedded?: boolean; heightPx?: number };
  const embedded = config.embedded === true || el.parentElement?.closest("[data-dataide-panel]") != null;
  el.classList.add("dataide", `dataide-${name}`);
  el.dataset.dataidePanel = name;
  el.setAttribute("role", "region");
  el.setAttribute("aria-label", `dataide ${name}`);
  // ipywidgets' Layout clears `style.height` once the panel is displayed; a property of our own it leaves alone.
  el.style.setProperty("--dataide-height", embedded ? "100%" : `${config.heightPx ?? 480}px`);
  const replies = ((model.get("boot") ?? []) as BootReply[]).map((reply) => fromWire(reply) as BootReply);
  const panelId = String(model.get("panel_id"));
  return {
    hub,
    host,
    root: el,
    panelId,
    config,
    embedded,
    signal,
    boot: (op) => {
      const found = replies.find((reply) => reply.op === op);
      if (found === undefined) return null;
      const { ask, rev, body, buffers } = found;
      return { ask, reply: { body, rev, buffers } } as ReturnType<Panel<Config>["boot"]> as never;
    },
    onConfig: (callback) => {
      const changed = (): void => callback((fromWire(model.get("config")) ?? {}) as Partial<Config>);
      model.on("change:config", changed);
      signal.addEventListener("abort", () => model.off("change:config", changed));
    },
    configure: (key, value) => {
      const body = { panel: panelId, name: key, value };
      // A choice that could not be kept is no loss worth a message.
      hub.client.ask("configure", body, { panel: panelId }).catch(() => undefined);
    },
  };
}

/** Counts whoever shows what is inspected. One scrolled out of sight does not help who presses Enter in another cell. */
export function countWhileInSight(root: HTMLElement, count: { value: number }, signal: AbortSignal): void {
  let counted = false;
  const set = (seen: boolean): void => {
    if (seen === counted) return;
    counted = seen;
    count.value += seen ? 1 : -1;
  };
  // A document without layout (a test's) has nothing out of sight.
  if (typeof IntersectionObserver === "undefined") {
    set(true);
    signal.addEventListener("abort", () => set(false));
    return;
  }
  const observer = new IntersectionObserver((entries) =>
    set(entries.at(-1)?.isIntersecting === true && !signal.aborted),
  );
  observer.observe(root);
  signal.addEventListener("abort", () => {
    observer.disconnect();
    set(false);
  });
}

export const isAbort = (error: unknown): boolean => error instanceof DOMException && error.name === "AbortError";
