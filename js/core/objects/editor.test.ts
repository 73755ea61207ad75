import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Decision, Editor } from "./editor.js";
import type { Box } from "./shapes.js";

const PICTURE = { width: 100, height: 100 };
let boxes: Map<number, Box>;
let decided: Decision[];
let editor: Editor;
let waits: boolean;

const nothing = { objects: [], handle: null };
const on = (...objects: number[]) => ({ objects, handle: null });
const drag = (from: [number, number], to: [number, number], hit: Parameters<Editor["press"]>[1]): boolean => {
  const ours = editor.press({ x: from[0], y: from[1] }, hit);
  editor.move({ x: to[0], y: to[1] }, 1);
  editor.release(1);
  return ours;
};

beforeEach(() => {
  vi.useFakeTimers();
  boxes = new Map([
    [1, { left: 10, top: 10, width: 60, height: 60 }],
    [2, { left: 20, top: 20, width: 10, height: 10 }],
  ]);
  decided = [];
  editor = new Editor(
    () => PICTURE,
    (object) => boxes.get(object) ?? null,
    (decision) => decided.push(decision),
    () => waits,
  );
  waits = false;
});
afterEach(() => vi.useRealTimers());

describe("selecting", () => {
  it("takes the smallest object under a click, then the larger one, and none beside them", () => {
    for (const expected of [2, 1, 2]) {
      drag([25, 25], [25, 25], on(2, 1));
      expect(editor.selected).toBe(expected);
    }
    drag([90, 90], [91, 90], nothing);
    expect(editor.selected).toBeNull();
    expect(decided).toEqual([]);
  });

  it("leaves a drag over an object that is not selected to the picture", () => {
    expect(drag([25, 25], [60, 60], on(1))).toBe(false);
    expect(editor.selected).toBeNull();
  });

  it("goes from object to object and ends beyond the last", () => {
    expect([1, 1, 1].map(() => editor.step([1, 2], 1))).toEqual([1, 2, null]);
    expect(editor.step([1, 2], -1)).toBe(2);
  });
});

describe("changing", () => {
  it("moves what is selected with one decision", () => {
    editor.select(1);
    expect(drag([30, 30], [35, 28], on(1))).toBe(true);
    expect(decided).toEqual([{ verb: "move", object: 1, box: { left: 15, top: 8, width: 60, height: 60 } }]);
  });

  it("shows the box on its way, and forgets it with Esc", () => {
    editor.select(1);
    editor.press({ x: 70, y: 70 }, { objects: [1], handle: { x: 1, y: 1 } });
    editor.move({ x: 80, y: 90 }, 1);
    expect([...editor.changed]).toEqual([[1, { left: 10, top: 10, width: 70, height: 80 }]]);
    expect(editor.escape()).toBe(true);
    editor.release(1);
    expect(decided).toEqual([]);
    expect(editor.selected).toBe(1);
  });

  it("takes a hand that trembles for a click", () => {
    editor.select(1);
    drag([30, 30], [32, 31], on(1));
    expect(decided).toEqual([]);
  });

  it("never makes an empty box", () => {
    editor.select(1);
    drag([70, 40], [10, 40], { objects: [1], handle: { x: 1, y: 0 } });
    expect(decided).toEqual([]);
  });

  it("makes one decision of several nudges, once the hand rests", () => {
    editor.select(2);
    for (let i = 0; i < 5; i++) editor.nudge(1, 0);
    editor.nudge(0, 10);
    expect(decided).toEqual([]);
    expect(editor.changed.get(2)).toEqual({ left: 25, top: 30, width: 10, height: 10 });
    vi.advanceTimersByTime(600);
    expect(decided).toEqual([{ verb: "move", object: 2, box: { left: 25, top: 30, width: 10, height: 10 } }]);
    expect(editor.nudge(0, 0)).toBe(true);
    vi.advanceTimersByTime(600);
    expect(decided.length).toBe(1);
  });

  it("decides a nudge before another object is selected or it is deleted", () => {
    editor.select(2);
    editor.nudge(1, 0);
    editor.select(1);
    expect(decided.map(({ verb }) => verb)).toEqual(["move"]);
    expect(editor.remove()).toBe(true);
    expect(decided.at(-1)).toEqual({ verb: "delete", objects: [1] });
    expect(editor.remove()).toBe(false);
    expect(editor.nudge(1, 0)).toBe(false);
  });
});

describe("drawing", () => {
  it("makes a box of a drag and nothing of a slip", () => {
    editor.drawing = "box";
    expect(drag([50, 50], [51, 90], on(1))).toBe(true);
    expect([decided.length, editor.drawing]).toEqual([0, "box"]);
    drag([50, 50], [20, 120], on(1));
    expect(decided).toEqual([{ verb: "add", box: { left: 20, top: 50, width: 30, height: 50 } }]);
    expect(editor.drawing).toBeNull();
  });

  it("is left with Esc, and so is what is selected", () => {
    editor.drawing = "box";
    editor.select(1);
    expect([editor.escape(), editor.drawing, editor.selected]).toEqual([true, null, 1]);
    expect([editor.escape(), editor.selected, editor.escape()]).toEqual([true, null, false]);
  });
});

describe("several objects", () => {
  const shift = (at: [number, number], ...objects: number[]): void => {
    editor.press({ x: at[0], y: at[1] }, { objects, handle: null, more: true });
    editor.release(1);
  };

  it("are selected with Shift, and go with one decision", () => {
    drag([25, 25], [25, 25], on(1));
    shift([25, 25], 2, 1);
    expect([editor.chosen, editor.selected]).toEqual([[1, 2], null]);
    shift([25, 25], 2, 1);
    expect(editor.chosen).toEqual([1]);
    shift([25, 25], 2, 1);
    expect(editor.nudge(1, 0)).toBe(false);
    expect(editor.remove()).toBe(true);
    expect([decided, editor.chosen]).toEqual([[{ verb: "delete", objects: [1, 2] }], []]);
  });

  it("are left with Esc, and a click takes one of them alone", () => {
    drag([25, 25], [25, 25], on(1));
    shift([25, 25], 2);
    expect([editor.escape(), editor.chosen]).toEqual([true, []]);
    shift([25, 25], 2);
    shift([25, 25], 1);
    drag([25, 25], [25, 25], on(1));
    expect(editor.selected).toBe(1);
  });
});

describe("a nudge while undo is under way", () => {
  it("moves what undo brings, and is decided once that is there", () => {
    editor.select(2);
    waits = true;
    editor.nudge(3, 0);
    vi.advanceTimersByTime(600);
    expect(decided).toEqual([]);
    boxes.set(2, { left: 40, top: 20, width: 10, height: 10 });
    expect(editor.changed.get(2)?.left).toBe(43);
    waits = false;
    editor.arrived();
    editor.arrived();
    expect(decided).toEqual([{ verb: "move", object: 2, box: { left: 43, top: 20, width: 10, height: 10 } }]);
  });

  it("is not decided before the hand rests only because the boxes are there", () => {
    editor.select(2);
    editor.nudge(3, 0);
    editor.arrived();
    expect(decided).toEqual([]);
  });

  it("stops at the edge, and comes back with the first step back", () => {
    editor.select(2);
    for (let i = 0; i < 9; i++) editor.nudge(10, 0);
    editor.nudge(-1, 0);
    expect(editor.changed.get(2)?.left).toBe(89);
  });
});

describe("a region", () => {
  it("is pointed out by a drag, and is no object", () => {
    editor.drawing = "region";
    drag([50, 50], [20, 120], on(1));
    expect(decided).toEqual([{ verb: "region", box: { left: 20, top: 50, width: 30, height: 50 } }]);
    expect(editor.drawing).toBeNull();
  });
});
