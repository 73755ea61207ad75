/** The messages of the autotag panel: the twin of dataide/widgets/protocol_autotag.py. */
import type { Target } from "./protocol.js";

export type Sign = "positive" | "negative" | "none";
export type Shown = "ask" | "best" | "near";

/** What thresholds 0, 1 / (n - 1) … 1 give; estimates are null with too few marks. */
export interface AutotagSteps {
  taken: number[];
  bins: number[]; // samples between two thresholds, and the marks among them
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
  tagged: number; // samples that have the tag now
  total: number; // samples that were scored
  threshold: number;
  committed: number | null; // the threshold of the commit that stands
  sentence: string;
  steps: AutotagSteps | null;
  marks: Sign[];
}

export interface AutotagOperations {
  // `round`: learns anew where marks or vectors have changed. `nos`: of which samples the marks are wanted.
  autotag: { ask: { tag: string; round: boolean; nos?: number[] }; answer: AutotagState };
  // One buffer when thumbs are asked for. Of a round that is no longer held the latest is shown.
  autotagPage: {
    ask: {
      tag: string;
      show: Shown;
      round: number;
      threshold: number;
      offset: number;
      limit: number;
      px: number;
      thumbs: boolean;
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
    };
  };
  autotagMark: {
    // `tagged`: the samples that have the tag already, whatever the target.
    ask: { tag: string; sign: Sign; target: Target; uuid: string; tagged?: boolean };
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
    ask: { tag: string; round: number; threshold: number; uuid: string };
    answer: { event: number | null; count: number; sentence: string; python: string };
  };
}
