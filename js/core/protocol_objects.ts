/** The messages about boxes, masks and keypoints: part of protocol.ts, the twin of dataide/widgets/protocol_objects.py. */

/** A class of objects. `color` stays the same as long as the session is open; 255 stands for no label. */
export interface ObjectLabel {
  name: string;
  count: number;
  color: number;
}

export interface ObjectsState {
  count: number;
  version: number; // another number whenever objects may have changed
  labels: ObjectLabel[]; // the most frequent first, at most 200
}

export interface ShownRepair {
  act: "delete" | "move" | "relabel";
  object: number;
  box?: number[]; // px
  label?: string;
}

export interface ShownFinding {
  rule: string;
  severity: "error" | "warning" | "hint";
  message: string;
  objects: number[];
  repair: ShownRepair | null;
}

/** On a map of objects: the picture that comes is cut around this one. */
export interface PeekedObject {
  no: number;
  box: number[]; // left, top, width, height as shares of the cut
}

export interface ActObjectsAsk {
  verb: "add" | "move" | "relabel" | "delete";
  uuid: string;
  no?: number; // the sample, for add
  objects?: number[]; // for all others, at most 1,000
  box?: number[]; // left, top, width, height in px of the upright picture: for add, and for move of one object
  label?: string | null; // for add and relabel
}

export interface ObjectOperations {
  // Objects of the first so many samples that were asked for, in columns: object i of sample s is number starts[s] + i. Two
  // buffers, both in shares of the picture: Float64 left, top, width, height of each box; Float32 x,y of each point of outlines.
  objects: {
    ask: {
      nos: number[]; // at most 500
      px: number | null; // the longest side as drawn, for tiles; null: as large as can be, with ids, for the inspector
    };
    answer: {
      nos: number[];
      widths: (number | null)[]; // of the upright pictures, in px; null where nobody has seen the picture yet
      heights: (number | null)[];
      starts: number[]; // one more than samples
      more: number[]; // of each sample, how many objects are left out: the smallest
      objects: number[]; // their numbers
      labels: number[]; // places in `names`, -1 for none
      names: string[];
      colors: number[]; // of `names`
      crowds: number[]; // places of crowds among the objects
      rings: number[]; // how many outlines each object has
      points: number[]; // how many points each outline has
      keypoints: number[][] | null; // x, y, visibility … of each object; null where none has any
      limbs: number[][] | null; // of each object, the lines of its skeleton: from, to … as places among its keypoints; null where none has any
      ids: string[] | null;
      tracks: (string | null)[] | null;
    };
  };
  // One decision about objects, committed before it is answered.
  actObjects: {
    ask: ActObjectsAsk;
    answer: { event: number | null; count: number; sentence: string; python: string; objects: number[] };
  };
  // What rules find in one picture, by what was learned from the whole set.
  // While that is being learned, only rules that need nothing learned have spoken: ask again.
  lintObjects: { ask: { no: number }; answer: { findings: ShownFinding[]; learning: boolean } };
}
