import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { BUSY_AFTER_MS, KernelClient, RESTARTED } from "./client.js";
import type { Mode } from "./protocol.js";

interface Sent {
  k: string;
  id: number;
  op?: string;
  body?: Record<string, unknown>;
  part?: number;
}

function kernel() {
  const sent: Sent[] = [];
  const client = new KernelClient({ send: (message) => void sent.push(message as Sent) });
  const reply = (id: number, body: unknown, more: object = {}): void =>
    client.receive({ v: 1, k: "res", id, ok: true, rev: 1, part: 0, last: true, body, ...more }, []);
  const fail = (id: number, code: string): void =>
    client.receive(
      { v: 1, k: "res", id, ok: false, rev: 1, part: 0, last: true, error: { code, message: "No.", hint: "Yes." } },
      [],
    );
  const page = (offset: number, signal?: AbortSignal) =>
    client.ask(
      "page",
      { offset, limit: 10, thumbs: true, px: 64, caption: null },
      { panel: "grid", ...(signal ? { signal } : {}) },
    );
  const at = (i: number): Sent => sent[i] ?? { k: "none", id: -1 };
  return { client, sent, reply, fail, page, at };
}

const outcome = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => "answered",
    (error: Error) => error.name,
  );

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("a lane", () => {
  it("has one request in flight; of those waiting the newest wins", async () => {
    const { sent, reply, page, at } = kernel();
    const [first, second, third] = [page(0), outcome(page(10)), page(20)];
    expect(sent).toHaveLength(1);
    expect(await second).toBe("AbortError");
    reply(at(0).id, { offset: 0 });
    expect((await first).body.offset).toBe(0);
    expect(at(1).body?.offset).toBe(20);
    reply(at(1).id, { offset: 20 });
    expect((await third).body.offset).toBe(20);
  });

  it("never holds back or drops what changes the session, and keeps its order", () => {
    const { client, sent } = kernel();
    const select = (mode: Mode) => client.ask("select", { shape: { type: "all" }, mode, source: "t" }, { panel: "p" });
    void select("replace");
    void select("add");
    void client.ask(
      "act",
      { verb: "exclude", arguments: {}, target: { type: "selection" }, uuid: "u" },
      { panel: "p" },
    );
    expect(sent.map((message) => message.op)).toEqual(["select", "select", "act"]);
  });

  it("lets a waiting filter go before the selection that depends on it", () => {
    const { client, sent } = kernel();
    const brush = (high: number) =>
      client.ask("filter", { source: "facet:x", clause: { type: "range", column: "x", low: 0, high } }, { panel: "f" });
    void brush(1);
    void outcome(brush(2));
    void brush(3);
    void client.ask("select", { shape: { type: "all" }, mode: "replace", source: "t" }, { panel: "p" });
    expect(sent.map((message) => message.op)).toEqual(["filter", "filter", "select"]);
    expect(sent[1]?.body?.clause).toMatchObject({ high: 3 });
  });
});

describe("an answer", () => {
  it("in parts is told part by part, and each part is acknowledged", async () => {
    const { client, sent, reply, at } = kernel();
    const offsets: number[] = [];
    const done = client.ask(
      "points",
      { projection: null, color: null },
      { panel: "s", onPart: ({ body }) => void offsets.push(body.offset) },
    );
    reply(at(0).id, { offset: 0 }, { part: 0, last: false });
    reply(at(0).id, { offset: 5 }, { part: 1, last: true });
    await done;
    expect(offsets).toEqual([0, 5]);
    expect(sent.slice(1).map(({ k, part }) => [k, part])).toEqual([
      ["ack", 0],
      ["ack", 1],
    ]);
  });

  it("in one part needs no acknowledgement", async () => {
    const { sent, reply, page, at } = kernel();
    const done = page(0);
    reply(at(0).id, {});
    await done;
    expect(sent).toHaveLength(1);
  });

  it("that is a failure carries the kernel's message and hint; a superseded one is an abort", async () => {
    const { fail, page, at } = kernel();
    const refused = page(0).catch((error) => error.failure);
    fail(at(0).id, "filter");
    expect(await refused).toEqual({ code: "filter", message: "No.", hint: "Yes." });
    const replaced = outcome(page(0));
    fail(at(1).id, "superseded");
    expect(await replaced).toBe("AbortError");
  });
});

describe("cancelling", () => {
  it("tells the kernel and the asker at once, and frees the lane when the kernel has ended the request", async () => {
    const { sent, fail, page, at } = kernel();
    const control = new AbortController();
    const first = outcome(page(0, control.signal));
    void page(10);
    control.abort();
    expect(await first).toBe("AbortError");
    expect(sent.map((message) => message.k)).toEqual(["req", "cancel"]);
    fail(at(0).id, "cancelled");
    expect(at(2).body?.offset).toBe(10);
  });
});

describe("a kernel that does not answer", () => {
  it("counts as busy after a second and a half, and no longer once it has answered", () => {
    const { client, reply, page, at } = kernel();
    void page(0);
    vi.advanceTimersByTime(BUSY_AFTER_MS - 1);
    expect(client.busy.value).toBe(false);
    vi.advanceTimersByTime(5);
    expect(client.busy.value).toBe(true);
    reply(at(0).id, {});
    expect(client.busy.value).toBe(false);
  });

  it("was restarted: every asker, now and later, is told what to do", async () => {
    const { client, page } = kernel();
    const asked = [page(0), page(10)].map((promise) => promise.catch((error) => error.failure.code));
    client.end(RESTARTED);
    expect(await Promise.all(asked)).toEqual(["kernel_restarted", "kernel_restarted"]);
    expect(await page(0).catch((error) => error.failure.hint)).toContain("Run the cells");
    expect(client.busy.value).toBe(false);
  });

  it("was out of reach in the middle of an answer: a new request asks for the rest, and the old answer counts no more", () => {
    const { client, sent, reply, at } = kernel();
    const offsets: number[] = [];
    let loaded = 0;
    const asked = { projection: null, color: null };
    void client.ask("points", asked, {
      panel: "s",
      onPart: ({ body }) => {
        offsets.push(body.offset);
        loaded = body.offset + 5;
      },
      rest: () => ({ ...asked, offset: loaded }),
    });
    const old = at(0).id;
    reply(old, { offset: 0 }, { part: 0, last: false });
    client.resume();
    expect(sent.slice(-2)).toMatchObject([
      { k: "cancel", id: old },
      { k: "req", op: "points", body: { offset: 5 } },
    ]);
    const { id } = at(sent.length - 1);
    expect(id).not.toBe(old);
    reply(old, { offset: 10 }, { part: 2, last: true });
    reply(id, { offset: 5 }, { part: 0, last: true });
    expect(offsets).toEqual([0, 5]);
  });

  it("was only out of reach: what has no answer is asked again with the same id and uuid", () => {
    const { client, sent } = kernel();
    void client.ask(
      "act",
      { verb: "tag", arguments: { tag: "x" }, target: { type: "selection" }, uuid: "u1" },
      { panel: "p" },
    );
    void outcome(client.ask("select", { shape: { type: "invert" }, mode: "replace", source: "t" }, { panel: "p" }));
    client.resume();
    expect(sent.map(({ op }) => op)).toEqual(["act", "select", "act"]);
    expect(sent[2]).toEqual(sent[0]);
  });
});
