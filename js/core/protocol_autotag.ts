/** The messages of the autotag panel: the twin of dataide/widgets/protocol_autotag.py. */
import type { Target } from "./protocol.js";

export type Sign = "positive" | "negative" | "none";
export type Shown = "ask" | "best" | "near";
export type MarkTarget = Target | { type: "objects"; nos: number[] };

/** Which tag: of samples, or of the objects that the token `view` stands for. */
export interface AutotagNamed {
  tag: string;
  of?: "samples" | "objects";
  view?: string;
}

/** Of tiles of objects: what they are on, and where they lie in the pictures that came, in shares. */
export interface AutotagObjects {
  samples: number[];
  sampleIds: string[];
  boxes: (number[] | null)[]; // left, top, width, height
}

/** What thresholds 0, 1 / (n - 1) … 1 give; estimates are null with too few marks. */
export interface AutotagSteps {
  taken: number[];
  bins: number[]; // how many lie between two thresholds, and the marks among them
  yes: number[];
  no: number[];
  precision: number[] | null;
  precisionLow: number[] | null;
  precisionHigh: number[] | null;
  recall: number[] | null;
  recallLow: number[] | null;
  recallHigh: number[] | null;
}

export interface AutotagState {
  tag: string;
  embedding: string;
  round: number; // 0 before the first
  stale: boolean; // marks have changed since the round
  since: number; // how many
  positives: number;
  negatives: number;
  outdated: number; // marks of pictures that were replaced since, which count no longer
  tagged: number; // samples that have the tag now, or objects that have the label
  total: number; // samples or objects that were scored
  threshold: number;
  committed: number | null; // the threshold of the commit that stands
  sentence: string;
  steps: AutotagSteps | null;
  marks: Sign[];
  label?: string; // of objects: what a commit calls them
  selected?: number; // of objects, before the first round: how many are selected
}

export interface AutotagOperations {
  // `round`: learns anew where marks or vectors have changed. `nos`: whose marks are wanted.
  autotag: { ask: AutotagNamed & { round: boolean; nos?: number[] }; answer: AutotagState };
  // One buffer when thumbs are asked for. Of a round that is no longer held the latest is shown.
  autotagPage: {
    ask: AutotagNamed & {
      show: Shown;
      round: number;
      threshold: number;
      offset: number;
      limit: number;
      px: number;
      thumbs: boolean;
      whole?: boolean; // of objects: the whole pictures, and not the crops
    };
    answer: {
      round: number;
      total: number;
      offset: number;
      nos: number[];
      ids: string[];
      labels: (string | null)[];
      tagged: boolean[];
      scores: (number | null)[];
      why: (string | null)[]; // of what is asked about: best, near or spread
      marks: Sign[];
      thumbs: { mime: string[]; starts: number[]; problems: (string | null)[] } | null;
      objects?: AutotagObjects;
    };
  };
  autotagMark: {
    // `tagged`: what has the tag (of objects: the label) already, whatever the target.
    ask: AutotagNamed & { sign: Sign; target: MarkTarget; uuid: string; tagged?: boolean };
    answer: {
      event: number | null;
      count: number;
      sentence: string;
      positives: number;
      negatives: number;
      since: number;
    };
  };
  // Tags what scores enough in the round that is seen.
  autotagCommit: {
    ask: AutotagNamed & { round: number; threshold: number; uuid: string };
    answer: { event: number | null; count: number; sentence: string; python: string };
  };
}
