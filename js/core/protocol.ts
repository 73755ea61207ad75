/**
 * The messages between the browser and the kernel, version 1.
 *
 * On the wire and in Python names are snake_case; here they are camelCase; `wire.ts` converts, and nothing else does.
 * User data never stands as an object key, only as a value, so the conversion cannot touch it.
 * A sample is named on the wire by `no`, its small integer number inside the session; ids never travel in bulk.
 * The Python twin is dataide/widgets/protocol.py; golden messages in tests/protocol/ are read by both sides.
 */
import type { AutotagOperations } from "./protocol_autotag.js";
import type { IssueOperations, IssuesTarget, IssueVerb } from "./protocol_issues.js";

import type { ObjectOperations, ObjectsState, PeekedObject } from "./protocol_objects.js";
import type { AboveShape, SimilarOperations } from "./protocol_similar.js";

export type ColumnKind = "category" | "number" | "text" | "time" | "bool" | "other";

export interface ColumnInfo {
  name: string;
  type: string; // the SQL type, as DuckDB spells it
  kind: ColumnKind;
  version?: number; // another number whenever values of it changed; left out, every change of the data may have changed them
}

export interface NameCount {
  name: string;
  count: number;
}

/** How many issues of a kind are open, the score of the worst of them, and what accepting a proposal of this kind changes. */
export interface IssueCount extends NameCount {
  worst: number | null; // 0…1, low = severe
  cure?: string; // left out for kinds that propose nothing
}

export interface ProjectionInfo {
  name: string; // e.g. "auto/pca": embedding, then method
  method: string;
  embedding: string;
  count: number;
  stale: number; // samples whose place was computed from an older picture, or that have no place yet
  version?: number; // another number whenever its places were computed again, so that a plot knows to fetch them
}

export interface Clause {
  source: string; // "text", "legend", or "facet:<column>"
  sentence: string; // for people: label is cat or dog
  column: string | null;
  /** What was asked for with the op `filter`, so that a facet draws its brush and pressed bars again after a reload and beside other panels. Null for clauses made in Python. */
  clause?: FilterClause | null;
}

export type Sort =
  | { by: "added"; descending: boolean }
  | { by: "column"; column: string; descending: boolean }
  | { by: "similar"; token: string; label: string; descending: boolean }
  | { by: "issue"; kind: string | null; descending: boolean }; // the most severe first; null: of any kind

export type Verb = "tag" | "untag" | "relabel" | "enqueue" | "exclude" | "include" | IssueVerb;

export interface ActArguments {
  tag?: string;
  label?: string | null;
  queue?: string;
  reason?: string;
  kind?: string; // of issue, for the verbs about issues
}

export interface Armed {
  verb: Verb;
  arguments: ActArguments;
}

/** Everything small that panels show about the session. Sent whole with `hello` and, after each change, as the event `state`. */
export interface SessionState {
  rev: number; // grows by one with each committed change of the data
  name: string;
  sampleCount: number;
  columns: ColumnInfo[];
  labels: NameCount[]; // the most frequent first, at most 1,000
  tags: NameCount[];
  queues: NameCount[];
  issues?: IssueCount[]; // kinds that were looked for, the most open ones first; none as long as nothing was looked for
  objects?: ObjectsState | null; // null: there are none, and nothing about them costs anything
  projections: ProjectionInfo[];
  // `lead` changes when the grid shows another selection first. `gesture` is left out in the browser until the kernel has told it.
  selection: { count: number; version: number; lead?: number; gesture?: Gesture | null };
  mediaVersion?: number; // changes when pictures are replaced: what was kept of them is old
  // `passing` changes whenever other samples pass than before: by another clause, or because data changed that a clause looks at.
  filter: { count: number; version: number; passing: number; text: string; clauses: Clause[] };
  history: { undo: string | null; redo: string | null }; // the sentence of what would be undone or redone
  sort: Sort;
  group: string | null; // the column by which grids are grouped
  armed: Armed | null;
  /** As of when the state was made; in the browser `store.jobs` is what holds. */
  jobs?: JobsState;
}

/** A long work that is under way. */
export interface JobState {
  id: string;
  verb: string; // for people: Embedding with 'resnet18'
  sentence: string; // what is being done just now
  done: number;
  total: number; // 0 while unknown
  rate: number; // a second, over the last seconds; 0 while unknown
  leftS: number | null;
  state: "running" | "cancelling"; // cancelling: the step under way still ends
}

/** What came of a job that was started in a panel, until somebody puts it away. */
export interface EndedJob {
  id: string;
  verb: string;
  state: "done" | "failed";
  message: string;
  hint: string | null;
  embedding: string | null; // of which there is no map yet
  show?: "issues"; // where to see what was found
}

export interface JobsState {
  version: number; // grows with each look: the higher one is right, whichever message comes last
  running: JobState[]; // the oldest first
  ended?: EndedJob[]; // the oldest first
}

export type JobTarget = "all" | "filter" | "selection";

/** One thing that a job can be told. `value` is what it begins with; a text may be anything, its choices complete it. */
export interface StartField {
  name: keyof StartOptions;
  label: string;
  kind: "text" | "choice" | "number";
  value: string;
  choices: { value: string; text: string }[];
  hint: string | null;
}

export interface StartKind {
  kind: string;
  title: string;
  about: string;
  fields: StartField[];
}

export interface StartOptions {
  model?: string;
  name?: string;
  embedding?: string;
  method?: string;
  label?: string;
  minutes?: number;
  run?: string;
  kinds?: string;
}

export type Mode = "replace" | "add" | "subtract" | "intersect";

export type Shape =
  | { type: "polygon"; projection: string; points: number[] } // x, y, x, y … in data coordinates
  | { type: "box"; projection: string; x0: number; y0: number; x1: number; y1: number }
  | { type: "points"; projection: string; indices: number[] } // positions in the order of `points`; a click, at most 100
  | { type: "range"; orderId: string; from: number; to: number } // grid positions, `to` included
  | { type: "positions"; orderId: string; positions: number[] } // at most 1,000
  | { type: "samples"; nos: number[] } // at most 1,000
  | { type: "predicate"; text: string }
  | AboveShape
  | { type: "all" } // all that pass the filter
  | { type: "none" }
  | { type: "invert" };

/**
 * The lasso or box that made the present selection out of the one before it, so that a plot which holds the points works out the
 * same by itself, and no bit for each point crosses the wire. `on` and `off` are the points (positions in the order of `points`)
 * where the even-odd test on rounded places says otherwise than the exact one: they are selected, or not, whatever the test says.
 */
export interface Gesture {
  token: string | null; // as it was asked
  from: number; // the version of the selection before it
  passing: number; // of the filter, when it was resolved: only points that passed took part
  mode: Mode;
  shape: Extract<Shape, { type: "polygon" | "box" }>;
  places: string; // the order in which `on` and `off` count
  on: number[];
  off: number[];
}

export type Target = { type: "selection" } | { type: "samples"; nos: number[] } | IssuesTarget;

export type FilterClause =
  | { type: "sql"; text: string }
  | { type: "in"; column: string; values: (string | null)[] }
  | { type: "not_in"; column: string; values: (string | null)[] }
  | { type: "range"; column: string; low: number | null; high: number | null }; // low <= v <= high; times as epoch ms

export type Legend =
  | { kind: "none" }
  | {
      kind: "category";
      column: string;
      entries: { value: string | null; count: number; color: number }[];
      more: number;
    }
  | { kind: "number"; column: string; low: number; high: number };
// `color` is the category byte of the points: 0…254; 255 is "no value". A number column is scaled to 0…254.

export interface Bar {
  value: string | null;
  total: number;
  visible: number; // passes the filter, this column's own clause left out (crossfilter)
  selected: number;
}

export type Facet =
  | { kind: "bars"; column: string; type: string; bars: Bar[]; more: number }
  | {
      kind: "histogram";
      column: string;
      type: string;
      edges: number[];
      total: number[];
      visible: number[];
      selected: number[];
      missing: number;
    };

/** Tiles of one value, from position `start` of the order on. At most 1,000 groups have an entry; the rest lies behind them. */
export interface Group {
  value: string | null;
  start: number;
  count: number;
}

export type Box = [number, number, number, number]; // x low, y low, x high, y high, in data coordinates

/** One issue of one sample. `cure` is what accepting its proposal changes (label, excluded …); left out where nothing is proposed. */
export interface ShownIssue {
  kind: string;
  state: "open" | "accepted" | "rejected";
  score: number; // 0…1, low = severe
  proposal: string | null;
  confidence: number | null;
  reason: string | null;
  cure?: string;
}

export interface Peek {
  no: number;
  id: string;
  label: string | null; // on a map of objects that of the object
  caption: string;
  mime: string | null; // of the one buffer that comes with it; null when the picture cannot be read, then `problem` says why
  problem: string | null;
  object?: PeekedObject;
  issues?: ShownIssue[];
}

/**
 * Which of the first `held` points, in the order of `points`. "only" those that the buffer names, or all "except" those: LEB128
 * varints, how many points lie between each and the one before (before the first, for the first one). "some": bit i % 8 of byte
 * i >> 3 is point i, where that takes fewer bytes.
 */
export type Share = "none" | "all" | "only" | "except" | "some";

/** What each operation asks and answers. Buffers are named in the comment; they come with the reply. */
export interface Operations extends AutotagOperations, IssueOperations, ObjectOperations, SimilarOperations {
  hello: { ask: Record<string, never>; answer: { protocol: 1; state: SessionState } };
  // Parts of at most 262,144 points, each with two buffers: Uint16 x,y pairs scaled to `bounds`, Uint8 colour byte.
  // `places` names the order and the places: while it stays the same, position i is the same sample at the same place, and an
  // answer may go on at `offset` with what is missing. `held` is how many points are sent: all up to 20 million, of more a fair
  // sample; the rest is seen as `density`, and as `detail` when zoomed in.
  points: {
    ask: { projection: string | null; color: string | null; offset?: number };
    answer: {
      projection: string;
      places: string;
      offset: number;
      count: number;
      held: number;
      total: number;
      bounds: [number, number, number, number]; // x low, y low, x high, y high
      legend: Legend;
    };
  };
  // One buffer a part: Uint8 colour bytes in the order of `points`, of the first `held`.
  colors: {
    ask: { projection: string; color: string | null };
    answer: { places: string; offset: number; count: number; held: number; total: number; legend: Legend };
  };
  // Selected, then visible (passes the filter), each in its shortest form and with a buffer unless it is none or all.
  marks: {
    ask: { projection: string };
    answer: {
      places: string;
      held: number;
      total: number;
      selectionVersion: number;
      passing: number;
      selected: Share;
      visible: Share;
    };
  };
  // The points inside a box with their places scaled to the box: exact where the zoom outruns the steps of `points`. Four buffers:
  // Uint32 positions in the order of `points`, Uint16 x,y pairs scaled to `box`, Uint8 colour byte, Uint8 flags (1 selected,
  // 2 visible). `count` is 0 when more than 262,144 are inside: `inside` says how many.
  detail: {
    ask: { projection: string; box: Box; color: string | null };
    answer: {
      projection: string;
      places: string;
      box: Box;
      count: number;
      inside: number;
      selectionVersion: number;
      passing: number;
    };
  };
  // How many points lie in each cell of a box, for more points than a page holds. Four buffers of width × height bytes, row 0 at
  // the low y: level of those that pass the filter, of those that do not, of the selected ones, and the commonest colour byte of
  // those that pass. A level is round(255 log(1 + count) / log(1 + highest)), at least 1 where there is any.
  density: {
    ask: { projection: string; box: Box; width: number; height: number; color: string | null };
    answer: {
      projection: string;
      places: string;
      box: Box;
      width: number; // at most 1,024 cells each way
      height: number;
      inside: number;
      highest: number;
      selectionVersion: number;
      passing: number;
    };
  };
  // `sample` or `point` names one sample. One buffer: a thumbnail.
  peek: { ask: { no?: number; projection?: string; index?: number; px: number }; answer: Peek };
  // Where these samples lie: for centring the plot on a tile. `places` is null for a sample without a place.
  locate: { ask: { projection: string; nos: number[] }; answer: { places: ([number, number] | null)[] } };
  // One buffer when thumbs are asked for: all encoded thumbnails back to back.
  page: {
    // `known` is the order whose groups are at hand already: they come again only with another one.
    ask: { offset: number; limit: number; thumbs: boolean; px: number; caption: string | null; known?: string | null };
    answer: {
      orderId: string;
      total: number;
      groups?: { column: string; entries: Group[]; more: number } | null; // null: not grouped; left out: as `known`
      offset: number;
      nos: number[];
      ids: string[];
      labels: (string | null)[];
      tags: string[][];
      queued: boolean[];
      excluded: boolean[];
      selected: boolean[];
      captions: (string | null)[];
      thumbs: { mime: string[]; starts: number[]; problems: (string | null)[] } | null; // starts has one more entry than tiles
      issues?: ShownIssue[][]; // open ones; left out where none is open in the session
    };
  };
  // One buffer: the full picture, at most 4 MiB.
  inspect: {
    ask: { no: number; px: number };
    answer: {
      no: number;
      id: string;
      label: string | null;
      tags: string[];
      queues: { queue: string; state: string; reason: string | null }[];
      excluded: boolean;
      fields: { name: string; type: string; value: string | null }[];
      history: { at: string; author: string; sentence: string; undone: boolean }[];
      picture: { mime: string; widthPx: number; heightPx: number } | null;
      problem: string | null;
      issues?: ShownIssue[]; // those that were answered as well
    };
  };
  facets: { ask: { columns: string[] | null; bars: number }; answer: { facets: Facet[] } };
  facetValues: { ask: { column: string; search: string; limit: number }; answer: { bars: Bar[]; more: number } };
  select: {
    // With a uuid the armed action, if there is one, is carried out on the new selection: one message, one decision.
    // `token` comes back in the state's `gesture`: a panel knows its own by it.
    ask: { shape: Shape; mode: Mode; source: string; uuid?: string; token?: string };
    answer: {
      count: number;
      version: number;
      python: string;
      decision?: { event: number | null; count: number; sentence: string; python: string } | null;
    };
  };
  filter: {
    ask: { source: string; clause: FilterClause | null };
    answer: { count: number; version: number; python: string };
  };
  sort: { ask: { sort: Sort }; answer: { sort: Sort } };
  // Groups every grid by a column of categories; inside a group the sort holds.
  group: { ask: { column: string | null }; answer: { column: string | null } };
  arm: { ask: { armed: Armed | null }; answer: { armed: Armed | null } };
  act: {
    ask: { verb: Verb; arguments: ActArguments; target: Target; uuid: string };
    answer: { event: number | null; count: number; sentence: string; python: string }; // event is null when nothing changed
  };
  undo: { ask: { uuid: string }; answer: { event: number | null; count: number; sentence: string } };
  redo: { ask: { uuid: string }; answer: { event: number | null; count: number; sentence: string } };
  complete: {
    ask: { what: "filter" | "tag" | "label" | "queue"; text: string; cursor: number };
    answer: { from: number; to: number; items: { text: string; kind: string; detail: string | null }[] };
  };
  // Keeps what the user chose in one panel (colour, projection, tile size …) in the kernel, so that a reload brings it back.
  configure: {
    ask: { panel: string; name: string; value: string | number | boolean | null };
    answer: Record<string, never>;
  };
  // Stops a job after the step under way; what it committed stays. `found` is false when it had ended already.
  cancelJob: { ask: { id: string }; answer: { found: boolean } };
  // What can be computed here now. `note` says why nothing can.
  startable: {
    ask: Record<string, never>;
    answer: {
      targets: { target: JobTarget; count: number }[];
      kinds: StartKind[];
      suggested: string | null;
      torch: boolean;
      note: string | null;
    };
  };
  // Starts a job once for each uuid, and answers at once. `panel` is the workbench whose plot turns to a new map.
  startJob: {
    ask: { kind: string; target: JobTarget; options: StartOptions; uuid: string; panel?: string };
    answer: { job: string };
  };
  // Puts away what came of a job, on every page.
  dismissJob: { ask: { id: string }; answer: { found: boolean } };
}

export type Op = keyof Operations;
export type Ask<O extends Op> = Operations[O]["ask"];
export type Answer<O extends Op> = Operations[O]["answer"];

export interface Failure {
  code: string;
  message: string;
  hint: string | null;
  field?: string; // of what was asked for, where one is to blame
}

/** Browser to kernel. `panel` and `op` name the lane in which a newer request replaces a pending one. */
export type Upward =
  | { v: 1; k: "req"; id: number; op: string; panel: string; body: unknown }
  | { v: 1; k: "cancel"; id: number }
  | { v: 1; k: "ack"; id: number; part: number };

/** Kernel to browser. Every request ends in exactly one `res` with `last: true`. */
export type Downward =
  | { v: 1; k: "res"; id: number; ok: true; rev: number; part: number; last: boolean; body: unknown }
  | { v: 1; k: "res"; id: number; ok: false; rev: number; part: number; last: true; error: Failure }
  | { v: 1; k: "evt"; seq: number; rev: number; topic: "state"; body: SessionState }
  | {
      v: 1;
      k: "evt";
      seq: number;
      rev: number;
      topic: "toast";
      body: { sentence: string; kind: "info" | "error"; event: number | null };
    }
  | {
      v: 1;
      k: "evt";
      seq: number;
      rev: number;
      topic: "jobs"; // at most four times a second while jobs run, and once when the last has ended
      body: JobsState;
    };
