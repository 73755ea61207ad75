/** The messages about issues: the twin of dataide/widgets/protocol_issues.py, and a part of protocol.ts. */

export type IssueState = "open" | "accepted" | "rejected" | "stale"; // stale: about an earlier picture or label
export type IssueOrder = "severity" | "confidence";
export type IssueVerb = "accept_proposals" | "reject_issues" | "reopen_issues";

/** All issues of one kind in some states, by default the open ones, that are severe and sure enough; of one group where one is named. */
export interface IssuesTarget {
  type: "issues";
  kind: string;
  states?: IssueState[];
  maxScore: number; // low is severe
  minConfidence: number;
  group?: number;
}

export interface IssueKind {
  kind: string;
  open: number;
  accepted: number;
  rejected: number;
  stale: number;
  cure: "label" | "excluded" | "objects" | null; // what accepting changes; null: there is nothing to accept
  grouped: boolean; // an entry of its lists is a group of samples
  samples: number; // that were looked at
  searchedAt: string;
  note: string | null;
}

export interface IssueRow {
  no: number;
  id: string;
  label: string | null;
  given: string | null; // the label that was looked at
  proposal: string | null; // a label; of duplicates keep or exclude
  confidence: number | null;
  score: number;
  reason: string | null;
  group: number | null;
  state: IssueState;
  excluded: boolean;
  queued: boolean;
  selected: boolean;
}

export interface IssueNeighbour {
  no: number;
  id: string;
  label: string | null;
  similarity: number | null; // cosine; null for members of the same group
  excluded: boolean;
}

interface Thumbs {
  mime: string[];
  starts: number[]; // one more entry than pictures
  problems: (string | null)[];
}

/** Of issues about objects, an entry for each row: which object its picture is cut around, and where in it the thing lies. */
export interface IssueObjects {
  nos: (number | null)[]; // null: the picture is the whole one
  boxes: (number[] | null)[]; // left, top, width, height as shares of the picture
  labels: (string | null)[]; // of these objects, as they are now
}

export interface ObjectRepair {
  act: "delete" | "move" | "relabel";
  count: number; // objects
}

export interface IssueOperations {
  issueKinds: { ask: Record<string, never>; answer: { kinds: IssueKind[] } }; // the one with most open issues first
  // Entries of a list: samples, or groups of them. The rows of entry `offset + i` are rows[starts[i]] to rows[starts[i + 1]], and
  // `more` of its group are not shown. A list stays as it was made while its name is given: what was answered meanwhile keeps its
  // place. `held` is how many of the `total` entries it holds. One buffer when thumbs are asked for: all thumbnails back to back; a page may end before `limit`.
  issuePage: {
    ask: {
      kind: string;
      state: IssueState;
      order: IssueOrder;
      offset: number;
      limit: number;
      thumbs: boolean;
      px: number;
      list?: string | null;
    };
    answer: {
      list: string;
      total: number;
      held: number;
      answered: number; // entries that have left the state for which the list was made
      offset: number;
      starts: number[];
      more: number[];
      rows: IssueRow[];
      thumbs: Thumbs | null;
      objects?: IssueObjects;
    };
  };
  // What accepting changes: how many samples, from which label to which (null where they are left out), the most frequent first;
  // `more` is how many other such changes there are. Where the cure is repairs of objects, `repairs` says how many objects of these
  // samples are deleted, moved and relabelled, and there are no `changes`. `bins`: open proposals by twentieths of the confidence, or of 1 - score.
  issuePreview: {
    ask: { kind: string; minConfidence: number; maxScore: number };
    answer: {
      count: number;
      changes: { from: string | null; to: string | null; count: number }[];
      more: number;
      repairs: ObjectRepair[];
      by: "confidence" | "severity";
      bins: number[];
    };
  };
  // The samples most similar to one, or the others of its group. One buffer: thumbnails. `note` says why there are none.
  issueNeighbours: {
    ask: { kind: string; no: number; limit: number; px: number };
    answer: {
      no: number;
      neighbours: IssueNeighbour[];
      embedding: string | null;
      note: string | null;
      thumbs: Thumbs;
      object?: { label: string | null; proposal: string | null }; // the neighbours are objects like this one, on the samples `no`, and the labels are theirs
      objects?: IssueObjects; // then an entry for each
    };
  };
}
