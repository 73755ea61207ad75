import { describe, expect, it } from "vitest";
import { fromWire, toWire } from "./wire.js";

describe("names on the wire", () => {
  it("are snake_case there and camelCase here, at every depth", () => {
    const here = { orderId: "o", selection: { selectionVersion: 3 }, thumbs: [{ widthPx: 1 }] };
    const wire = { order_id: "o", selection: { selection_version: 3 }, thumbs: [{ width_px: 1 }] };
    expect(toWire(here)).toEqual(wire);
    expect(fromWire(wire)).toEqual(here);
  });

  it("leave the user's words alone: values are not keys", () => {
    const message = { value: "my_column", values: ["snake_case", "camelCase"], tags: [["a_b"]] };
    expect(fromWire(message)).toEqual(message);
    expect(toWire(message)).toEqual(message);
  });

  it("keep numbers in names, null and binary as they are", () => {
    const view = new DataView(new ArrayBuffer(2));
    const message = { x0: 1, y1: 2, hint: null, view };
    expect(toWire(message)).toEqual(message);
    expect((fromWire(message) as { view: DataView }).view).toBe(view);
  });
});
