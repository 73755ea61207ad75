/** The real hub over the fake kernel, and the props anywidget gives to a panel: what panels need to run outside Jupyter. */
import type { Host, RenderProps } from "@anywidget/types";
import type { HubExports } from "../core/contract.js";
import hub from "../hub/index.js";
import { FakeKernel, type FakeOptions } from "./fake_kernel.js";

type Handler = (...args: unknown[]) => void;

/** A widget's model without a widget manager: traits, custom messages, events. */
export class FakeModel {
  readonly widget_manager = { get_model: () => Promise.reject(new Error("There is no other model here.")) };
  readonly #traits: Record<string, unknown>;
  readonly #handlers = new Map<string, Set<Handler>>();
  readonly #onSend: (content: unknown) => void;

  constructor(traits: Record<string, unknown>, onSend: (content: unknown) => void = () => {}) {
    this.#traits = traits;
    this.#onSend = onSend;
  }

  get(name: string): unknown {
    return this.#traits[name];
  }

  set(name: string, value: unknown): void {
    this.#traits[name] = value;
    this.trigger(`change:${name}`);
  }

  save_changes(): void {}

  send(content: unknown): void {
    this.#onSend(content);
  }

  on(name: string, handler: Handler): void {
    const handlers = this.#handlers.get(name) ?? new Set();
    this.#handlers.set(name, handlers.add(handler));
  }

  off(name?: string | null, handler?: Handler | null): void {
    for (const [known, handlers] of this.#handlers) {
      if (name != null && name !== known) continue;
      if (handler == null) handlers.clear();
      else handlers.delete(handler);
    }
  }

  trigger(name: string, ...args: unknown[]): void {
    for (const handler of this.#handlers.get(name) ?? []) handler(...args);
  }
}

export interface FakeHub {
  kernel: FakeKernel;
  hub: HubExports;
  model: FakeModel;
  /** What anywidget passes to a panel's `render`. `widgets` are the children that `host.getWidget` finds beside the hub. */
  props(el: HTMLElement, traits?: Record<string, unknown>, widgets?: Record<string, FakeWidget>): RenderProps;
  end(): void;
}

export interface FakeWidget {
  render(props: RenderProps): unknown;
  traits: Record<string, unknown>;
}

/** With `boot: false` the first state comes with the answer to `hello`, as when the kernel was busy. */
export function fakeHub(options: FakeOptions & { boot?: boolean; signal?: AbortSignal } = {}): FakeHub {
  const ending = new AbortController();
  options.signal?.addEventListener("abort", () => ending.abort());
  const kernel = new FakeKernel(options);
  const boot = options.boot === false ? null : kernel.boot({ op: "hello", ask: {} });
  const model = new FakeModel({ boot }, (content) => kernel.receive(content));
  kernel.connect((message, buffers) => model.trigger("msg:custom", message, buffers));
  const exports = hub.initialize({ model: model as never, signal: ending.signal });
  const models = new Map<string, FakeModel>();
  const modelOf = (ref: string, traits: Record<string, unknown>): FakeModel => {
    const known = models.get(ref);
    if (known !== undefined) return known;
    const made = new FakeModel({
      hub: "anywidget:hub",
      panel_id: `panel-${models.size + 1}`,
      boot: null,
      config: {},
      ...traits,
    });
    models.set(ref, made);
    return made;
  };
  kernel.onConfigure = ({ panel, name, value }) => {
    for (const panelModel of models.values()) {
      if (panelModel.get("panel_id") !== panel) continue;
      panelModel.set("config", { ...(panelModel.get("config") as object), [name]: value });
    }
  };

  const props = (
    el: HTMLElement,
    traits: Record<string, unknown> = {},
    widgets: Record<string, FakeWidget> = {},
    ref = `shown-${models.size}`,
  ): RenderProps => {
    const host: Host = {
      getModel: async (other: string) => modelOf(other, widgets[other]?.traits ?? {}) as never,
      getWidget: async <T>(ref: string) => ({
        exports: exports as T,
        render: async ({ el: place, signal }: { el: HTMLElement; signal?: AbortSignal }) => {
          const child = widgets[ref];
          if (child === undefined) throw new Error(`There is no widget ${ref}.`);
          await child.render({ ...props(place, child.traits, widgets, ref), signal: signal ?? ending.signal });
        },
      }),
    };
    return {
      model: modelOf(ref, traits) as never,
      el,
      signal: ending.signal,
      host,
      experimental: { invoke: () => Promise.reject(new Error("There are no commands here.")) },
    };
  };
  return { kernel, hub: exports, model, props, end: () => ending.abort() };
}
