/** Boxes, masks and keypoints of the made-up session: two or three on each picture, kept in plain lists. */
import type { Answer, Ask } from "../core/protocol.js";
import type { ObjectsState } from "../core/protocol_objects.js";
import type { Part } from "./fake_points.js";
import { Refusal } from "./fake_predicate.js";

const LABELS = ["figure", "corner", "ground"];
const SIDE_PX = 96;

interface FakeObject {
  object: number;
  no: number;
  label: string | null;
  box: number[]; // px
  gone: boolean;
}

/** What undo and redo of one decision do. */
export interface Change {
  sentence: string;
  count: number;
  swap: () => void;
}

export class FakeObjects {
  readonly all: FakeObject[] = [];
  #version = 1;

  /** Puts objects on the first so many samples: a few, or `many` boxes. */
  make(samples: number, many = 0): void {
    for (let no = 0; no < samples; no++) {
      for (let i = 0; i < many; i++)
        this.#put(no, LABELS[i % 3] ?? null, [
          (i * 31 + no) % 70,
          (i * 17 + no) % 66,
          8 + ((i * 7) % 20),
          10 + ((i * 5) % 20),
        ]);
      if (many > 0) continue;
      const at = (no * 37) % 20;
      this.#put(no, "figure", [22, 20, 52, 54]);
      this.#put(no, "corner", [2 + at, 4, 18, 14]);
      if (no % 3 === 0) this.#put(no, no % 2 === 0 ? "ground" : null, [0, 70, 60, 24]);
    }
  }

  state(): ObjectsState | null {
    const there = this.all.filter(({ gone }) => !gone);
    if (there.length === 0) return null;
    const names = [...new Set([...LABELS, ...there.flatMap(({ label }) => label ?? [])])];
    const labels = names.map((name, color) => ({
      name,
      color,
      count: there.filter(({ label }) => label === name).length,
    }));
    return { count: there.length, version: this.#version, labels: labels.sort((a, b) => b.count - a.count) };
  }

  objects({ nos, px }: Ask<"objects">): Part<"objects"> {
    const lists = nos.map((no) => this.all.filter((one) => one.no === no && !one.gone));
    const listed = lists.flat();
    const names = [...new Set(listed.flatMap(({ label }) => label ?? []))];
    const known = this.state()?.labels ?? [];
    // A figure has a mask of a few corners; the others are boxes only.
    const rings = listed.map(({ label }) => (label === "figure" ? 1 : 0));
    const corners = listed.flatMap(({ label, box }) => (label === "figure" ? hexagon(box) : []));
    const starts = [0];
    for (const list of lists) starts.push((starts.at(-1) ?? 0) + list.length);
    const body: Answer<"objects"> = {
      nos,
      widths: nos.map(() => SIDE_PX),
      heights: nos.map(() => SIDE_PX),
      starts,
      more: nos.map(() => 0),
      objects: listed.map(({ object }) => object),
      labels: listed.map(({ label }) => (label === null ? -1 : names.indexOf(label))),
      names,
      colors: names.map((name) => known.find((one) => one.name === name)?.color ?? 255),
      crowds: [],
      rings,
      points: rings.filter((count) => count > 0).map(() => 6),
      keypoints: listed.map(({ label, box }) => (label === "figure" ? joints(box) : [])),
      limbs: listed.map(({ label }) => (label === "figure" ? LIMBS : [])),
      ids: px === null ? listed.map(({ object }) => `o${object}`) : null,
      tracks: px === null ? listed.map(() => null) : null,
    };
    const boxes = new Float64Array(listed.flatMap(({ box }) => box.map((value) => value / SIDE_PX)));
    return { body, buffers: [new Uint8Array(boxes.buffer), new Uint8Array(new Float32Array(corners).buffer)] };
  }

  /** What a decision would do; null when it changes nothing. */
  decide(ask: Ask<"actObjects">): { change: Change | null; objects: number[] } {
    const chosen = this.all.filter(({ object, gone }) => !gone && (ask.objects ?? []).includes(object));
    const box = ask.box && clipped(ask.box);
    const told = (sentence: string, count: number, turn: () => void): Change => ({
      sentence,
      count,
      swap: () => {
        turn();
        this.#version += 1;
      },
    });
    if (ask.verb === "add") {
      const made = this.#put(ask.no ?? 0, ask.label ?? null, box ?? [0, 0, 1, 1]);
      made.gone = true;
      const turn = (): void => {
        made.gone = !made.gone;
      };
      return { change: told("Added 1 object", 1, turn), objects: [made.object] };
    }
    if (chosen.length === 0) return { change: null, objects: [] };
    const objects = chosen.map(({ object }) => object);
    const count = objects.length;
    const things = `${count} object${count === 1 ? "" : "s"}`;
    if (ask.verb === "delete") {
      const turn = (): void => {
        for (const one of chosen) one.gone = !one.gone;
      };
      return { change: told(`Deleted ${things}`, count, turn), objects };
    }
    let next = ask.verb === "move" ? chosen.map(() => box ?? []) : chosen.map(() => ask.label ?? null);
    const turn = (): void => {
      const before = chosen.map((one) => (ask.verb === "move" ? one.box : one.label));
      chosen.forEach((one, i) => {
        if (ask.verb === "move") one.box = next[i] as number[];
        else one.label = next[i] as string | null;
      });
      next = before as typeof next;
    };
    const did = ask.verb === "move" ? `Moved ${things}` : `Relabelled ${things} “${ask.label}”`;
    return { change: told(did, count, turn), objects };
  }

  /** Gives these objects a label at once. */
  call(objects: ReadonlySet<number>, label: string): void {
    for (const one of this.all) if (objects.has(one.object)) one.label = label;
    this.#version += 1;
  }

  /** A rule or two, so that there is something to see. */
  lint(no: number): Part<"lintObjects"> {
    const small = this.all.filter((one) => one.no === no && !one.gone && (one.box[2] ?? 0) * (one.box[3] ?? 0) < 300);
    const findings = small.map(({ object, box }) => ({
      rule: "too_small_for_class",
      severity: "warning" as const,
      message: `The box is ${box[2]} x ${box[3]} px: usually they are larger.`,
      objects: [object],
      repair: { act: "delete" as const, object },
    }));
    return { body: { findings, learning: false } };
  }

  #put(no: number, label: string | null, box: number[]): FakeObject {
    const made = { object: this.all.length, no, label, box, gone: false };
    this.all.push(made);
    return made;
  }
}

function clipped([left = 0, top = 0, width = 0, height = 0]: readonly number[]): number[] {
  const within = (value: number): number => Math.min(Math.max(value, 0), SIDE_PX);
  const [x0, y0, x1, y1] = [within(left), within(top), within(left + width), within(top + height)];
  if (x1 <= x0 || y1 <= y0)
    throw new Refusal("action", "Nothing of the box would be left in the picture.", "Draw it over the picture.");
  return [x0, y0, x1 - x0, y1 - y0];
}

const hexagon = ([left = 0, top = 0, width = 0, height = 0]: readonly number[]): number[] =>
  [0, 1, 2, 3, 4, 5].flatMap((k) => [
    (left + width * (0.5 + 0.45 * Math.cos((k * Math.PI) / 3))) / SIDE_PX,
    (top + height * (0.5 + 0.45 * Math.sin((k * Math.PI) / 3))) / SIDE_PX,
  ]);

// A head, a hip that is hidden, two hands and two feet.
const JOINTS = [0.5, 0.1, 2, 0.5, 0.6, 1, 0.1, 0.4, 2, 0.9, 0.4, 2, 0.2, 0.95, 2, 0.8, 0.95, 2];
const LIMBS = [0, 1, 0, 2, 0, 3, 1, 4, 1, 5];

const joints = ([left = 0, top = 0, width = 0, height = 0]: readonly number[]): number[] =>
  JOINTS.map((value, i) => (i % 3 === 0 ? left + width * value : top + height * value) / SIDE_PX).map((value, i) =>
    i % 3 === 2 ? (JOINTS[i] ?? 0) : value,
  );
