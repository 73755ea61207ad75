/**
 * The session's one widget that is never shown. Panels of all cells borrow its exports, so what one does the others see at once.
 *
 * It speaks as soon as it exists: ipykernel opens the subshell that answers during a running cell with the first message.
 */
import type { AnyModel } from "@anywidget/types";
import { batch, computed, effect, signal } from "@preact/signals-core";
import { html, nothing, render, svg } from "lit-html";
import { repeat } from "lit-html/directives/repeat.js";
import { CLOSED, KernelClient, RESTARTED } from "../core/client.js";
import type { HubExports } from "../core/contract.js";
import { dom } from "../core/dom.js";
import { ImageCache } from "../core/images.js";
import { Inspector } from "../core/inspector/view.js";
import { Keyboard } from "../core/keyboard.js";
import { sharedKeys } from "../core/keys.js";
import { Objects } from "../core/objects/layer.js";
import type { Answer, Failure, SessionState } from "../core/protocol.js";
import { SessionStore } from "../core/store.js";
import { mountToasts } from "../core/toasts.js";
import { SharedUi } from "../core/ui.js";
import { fromWire } from "../core/wire.js";

interface HubModel {
  boot: readonly unknown[] | null;
  [name: string]: unknown;
}

function initialize({ model, signal: ending }: { model: AnyModel<HubModel>; signal: AbortSignal }): HubExports {
  const client = new KernelClient({ send: (message) => model.send(message) });
  const store = new SessionStore(client, bootState(model.get("boot")));
  let keyboard: Keyboard | null = null;
  const ui = new SharedUi(client, store, (root) => keyboard?.options(root) ?? {});
  keyboard = new Keyboard(sharedKeys({ client, store, ui }), ending);
  const images = new ImageCache();
  const objects = new Objects(client, store, ending);

  // Before any panel hears of it, so that none draws a picture that has been replaced.
  let mediaVersion = store.state.value?.mediaVersion;
  dom.effectUntil(ending, () => {
    const now = store.state.value?.mediaVersion;
    if (now === mediaVersion) return;
    if (mediaVersion !== undefined) images.clear();
    mediaVersion = now;
  });
  model.on("msg:custom", (message: unknown, buffers: DataView[]) => client.receive(message, buffers));
  endWithKernel(model, ending, (why) => {
    client.end(why);
    store.lost(why);
  });
  onReconnect(model, ending, () => {
    client.resume();
    void store.hello();
  });
  mountToasts(store, ending);
  ending.addEventListener("abort", () => images.clear());
  void store.hello();

  const lent: HubExports = {
    version: 1,
    client,
    store,
    keyboard,
    dom,
    ui,
    images,
    inspector: (root, options) => new Inspector(root, lent, objects, options),
    objects,
    lit: { html, svg, render, nothing, repeat },
    signals: { signal, computed, effect, batch },
  };
  return lent;
}

function bootState(boot: readonly unknown[] | null | undefined): SessionState | null {
  const replies = (boot ?? []).map(fromWire) as { op: string; body: unknown }[];
  const hello = replies.find((reply) => reply.op === "hello")?.body as Answer<"hello"> | undefined;
  return hello?.state ?? null;
}

/** ipywidgets sets `comm_live` false on every model when the kernel restarts, and says so with this event; anywidget's model passes it on. */
function endWithKernel(model: AnyModel<HubModel>, ending: AbortSignal, end: (why: Failure) => void): void {
  model.on("comm_live_update", () => end(RESTARTED));
  model.on("comm:close", () => end(CLOSED));
  ending.addEventListener("abort", () => end(CLOSED));
}

/** JupyterLab's widget manager emits `restored` after each (re)connection to a kernel; other front ends have no such signal. */
function onReconnect(model: AnyModel<HubModel>, ending: AbortSignal, resume: () => void): void {
  interface Manager {
    restored?: { connect?(slot: () => void): void; disconnect?(slot: () => void): void };
    restoredStatus?: boolean;
  }
  const manager = model.widget_manager as Manager | undefined;
  const restored = manager?.restored;
  if (typeof restored?.connect !== "function") return;
  // While a page loads, the hub is made in the middle of the first restoring: that signal is no reconnect.
  let loading = manager?.restoredStatus === false;
  const slot = (): void => {
    if (!loading) resume();
    loading = false;
  };
  restored.connect(slot);
  ending.addEventListener("abort", () => restored.disconnect?.(slot));
}

export default { initialize };
