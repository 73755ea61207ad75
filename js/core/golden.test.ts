/** The messages that Python writes are read here, and what goes up from here is what Python reads: tests/protocol/ holds them. */
import { describe, expect, it } from "vitest";
import { FakeKernel } from "../dev/fake_kernel.js";
import { KernelClient, RequestFailed } from "./client.js";
import type { Ask, Op } from "./protocol.js";
import { fromWire, toWire } from "./wire.js";

interface Golden {
  op: string;
  ask: Record<string, unknown>;
  answer: Record<string, unknown>;
  buffers: number[];
}

const files = import.meta.glob<unknown>("../../tests/protocol/*.json", { eager: true, import: "default" });
const read = (name: string): unknown => Object.entries(files).find(([path]) => path.endsWith(`/${name}`))?.[1];
const goldens = Object.entries(files)
  .filter(([path]) => !path.endsWith("/messages.json"))
  .map(([, golden]) => golden as Golden);
const opOf = (golden: Golden): Op => golden.op.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()) as Op;

describe.each(goldens.map((golden) => [golden.op, golden] as const))("%s", (_, golden) => {
  it("goes up as Python reads it, and its answer comes back whole", async () => {
    const sent: { id: number; op: string; body: unknown }[] = [];
    const client = new KernelClient({ send: (message) => void sent.push(message as (typeof sent)[0]) });
    const asked = client.ask(opOf(golden), fromWire(golden.ask) as Ask<Op>, { panel: "p" });
    expect(sent[0]).toMatchObject({ v: 1, k: "req", op: golden.op, panel: "p", body: golden.ask });
    const buffers = golden.buffers.map((length) => new DataView(new ArrayBuffer(length)));
    const head = { v: 1, k: "res", id: sent[0]?.id, ok: true, rev: 3, part: 0, last: true };
    client.receive({ ...head, body: golden.answer }, buffers);
    const reply = await asked;
    expect(toWire(reply.body)).toEqual(golden.answer);
    expect(reply.buffers.map((buffer) => buffer.byteLength)).toEqual(golden.buffers);
    expect(JSON.stringify(reply.body)).not.toMatch(/"[a-z]+_[a-z_]+":/);
  });

  it("is answered by the development page's kernel in the same shape", () => {
    const kernel = new FakeKernel({ count: 30 });
    kernel.session.select({ type: "samples", nos: [1, 2] }, "replace"); // marks have bits where some are selected
    const ask = fromWire(golden.ask) as Ask<Op>;
    // What a golden question names need not exist in the made-up session; these ask for something of the kind that does.
    const stand: Partial<Record<Op, unknown>> = {
      facets: { columns: ["label", "brightness"], bars: 5 },
      facetValues: { column: "label", search: "", limit: 5 },
      filter: { source: "facet:label", clause: { type: "in", column: "label", values: ["cat"] } },
      page: { ...ask, caption: "price" },
      points: { projection: null, color: "label" },
      colors: { projection: "auto/pca", color: "label" },
      select: { shape: { type: "all" }, mode: "replace", source: "t" },
      sort: { sort: { by: "column", column: "label", descending: false } },
    };
    const op = opOf(golden);
    const [reply] = kernel.boot({ op, ask: stand[op] ?? ask } as never) as {
      body: Record<string, unknown>;
      buffers: [];
    }[];
    expect(Object.keys(reply?.body ?? {}).sort()).toEqual(Object.keys(golden.answer).sort());
    expect(reply?.buffers.length).toBe(golden.buffers.length);
  });
});

describe("messages.json", () => {
  const messages = read("messages.json") as { up: unknown[]; down: Record<string, unknown>[] };

  it("holds what goes up as this side writes it", () => {
    for (const message of messages.up) expect(toWire(fromWire(message))).toEqual(message);
  });

  it("holds events that the client hands on, and failures that it rejects with", async () => {
    const sent: { id: number }[] = [];
    const client = new KernelClient({ send: (message) => void sent.push(message as { id: number }) });
    const topics: string[] = [];
    client.onEvent = (event) => void topics.push(event.topic);
    for (const message of messages.down) {
      if (message.k === "evt") client.receive(message, []);
      if (message.ok !== false) continue;
      const asked = client.ask("hello", {}, { panel: String(topics.length) }).catch((error) => error);
      client.receive({ ...message, id: sent.at(-1)?.id }, []);
      const error = await asked;
      expect(error).toBeInstanceOf(RequestFailed);
      expect((error as RequestFailed).failure).toEqual(message.error);
    }
    expect(topics).toEqual(messages.down.filter(({ k }) => k === "evt").map(({ topic }) => topic));
  });
});
