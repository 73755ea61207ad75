/** What the hub lends to the panels. Panels import these types only; the live objects come from `host.getWidget(hub).exports`. */
import type { ReadonlySignal, Signal } from "@preact/signals-core";
import type { html, nothing, render, svg } from "lit-html";
import type { repeat } from "lit-html/directives/repeat.js";
import type { InspectorOptions } from "./inspector/view.js";
import type {
  ActArguments,
  Answer,
  Armed,
  Ask,
  EndedJob,
  Failure,
  JobState,
  NameCount,
  Op,
  SessionState,
  Target,
  Verb,
} from "./protocol.js";
import type { SimilarMode, SimilarTarget } from "./protocol_similar.js";

/** While an autotag marks in grids, + and − there mark instead of sizing tiles. */
export interface Marking {
  tag: string;
  mark(sign: "positive" | "negative", target: Target): void;
}

export interface Reply<O extends Op> {
  body: Answer<O>;
  rev: number;
  buffers: DataView[];
}

export interface AskOptions<O extends Op> {
  /** The asking panel. One request per (panel, op) is in flight and one pending: the newest wins, the replaced one rejects with an AbortError. */
  panel: string;
  signal?: AbortSignal;
  /** Called for each part of a progressive answer, the last one included. */
  onPart?: (reply: Reply<O>) => void;
  /** What to ask instead when the connection was lost after some parts: only for what is missing. */
  rest?: () => Ask<O>;
}

/** Rejection of `ask` when the kernel said no. */
export interface KernelError extends Error {
  failure: Failure;
}

export interface Client {
  ask<O extends Op>(op: O, body: Ask<O>, options: AskOptions<O>): Promise<Reply<O>>;
}

export interface Toast {
  id: number;
  sentence: string;
  kind: "info" | "error";
  undoable: boolean;
  python: string | null;
  hint: string | null;
}

/** The session as the browser knows it; every panel of every cell reads the same signals. */
export interface Store {
  readonly state: ReadonlySignal<SessionState | null>; // null until the first hello is answered
  /** True when an answer has been due for 1.5 s. */
  readonly busy: ReadonlySignal<boolean>;
  readonly toasts: ReadonlySignal<readonly Toast[]>;
  /** Long works that are under way, the oldest first. A signal of their own: they say something four times a second. */
  readonly jobs: ReadonlySignal<readonly JobState[]>;
  /** What came of jobs that were started in a panel and that nobody has put away yet. */
  readonly ended: ReadonlySignal<readonly EndedJob[]>;
  /** "lost" after the kernel was restarted or the session's widget closed: nothing will be answered any more. */
  readonly connection: ReadonlySignal<"live" | "lost">;
  /** Why it was lost, and what to do; null as long as it is live. */
  readonly lostBecause: ReadonlySignal<Failure | null>;
  /** How many inspector panels are in sight; with none, a grid shows what is inspected itself. */
  readonly inspectors: Signal<number>;
  /** Moves `inspected` to a neighbour in the order of a grid on the page; null without a grid. */
  readonly step: Signal<((by: number) => void) | null>;
  /** The sample under the pointer or the keyboard focus in any panel; null for none. Others may show it. */
  readonly hovered: Signal<number | null>;
  /** Sample number shown by inspectors; null when closed. */
  readonly inspected: Signal<number | null>;
  /** Which object of the inspected sample is to be chosen there; null once another sample is inspected. */
  readonly inspectedObject: Signal<{ sample: number; object: number } | null>;

  /** What + and − in a grid mark; null: they size its tiles. */
  readonly marking: Signal<Marking | null>;

  /** Undo or redo is under way, or what it did is not in `state` yet. */
  readonly stepping: ReadonlySignal<boolean>;

  act(verb: Verb, args: ActArguments, target: Target): Promise<void>; // shows the toast itself, errors as well
  undo(): Promise<void>;
  redo(): Promise<void>;
  arm(armed: Armed | null): Promise<void>;
  /** Sorts by similarity, or adds an example to the ranking that is shown. */
  similar(target: SimilarTarget, mode?: SimilarMode): Promise<void>;
  toast(toast: Omit<Toast, "id">): void;
  dismiss(id: number): void;
  /** A gesture that selects, and carries out the armed action, if there is one, in the same message. Rejects when it was refused. */
  gesture(ask: Ask<"select">, options: AskOptions<"select">): Promise<Answer<"select">>;
  /** Panels call this after a gesture that took several messages: it carries out the armed action, if there is one. */
  gestureEnded(): Promise<void>;
}

export interface KeyboardScope {
  /** Keeps JupyterLab's shortcuts out while pointer or focus is in `root`, and calls `handler` first; the shared keys (T, 1-9, Q, S, X, Z, ?, Esc …) follow if it returns false. */
  attach(
    root: HTMLElement,
    handler: (event: KeyboardEvent) => boolean,
    signal: AbortSignal,
    options?: KeyboardOptions,
  ): void;
}

export interface KeyboardOptions {
  /** The panel's own keys, for the help overlay: [["+ −", "Tile size"], …]. */
  keys?: readonly (readonly [string, string])[];
  /** What T, 1-9, Q, S and X act on when it is not the selection: the inspected sample, the focused tile. Null: the selection. */
  target?: () => Target | null;
}

export interface PromptOptions {
  /** Completions at hand; nobody else is asked then, and it cannot be armed. */
  names?: readonly NameCount[];
  /** It was left without an answer. */
  cancel?: () => void;
  what: "tag" | "label" | "queue";
  /** What the input asks, and its accessible name: Tag 312 samples. */
  title: string;
  /** `arm` is true when the user chose "on every lasso" instead of doing it now. */
  confirm: (text: string, arm: boolean) => void;
}

export interface ActionBarOptions {
  /** The panel's root; keys pressed there open their prompt over this bar. */
  root: HTMLElement;
  panel: string;
  /** Buttons show their icon and key only. */
  compact?: boolean;
  target?: () => Target | null;
  /** Stands at the end of the bar and takes the place of the plain chip that says what is armed. */
  extra?: HTMLElement;
  /**
   * What to draw; everything when not given. The workbench has the count and the history in its top bar and the decisions below,
   * so it mounts two bars; a prompt opens over the one mounted last.
   */
  parts?: readonly ("count" | "decide" | "history" | "keys")[];
}

/** Shared pieces of interface, drawn by the hub so that each panel need not carry them. */
export interface Ui {
  /** Draws the bar into `place`: the selection count (the one element with role "status"), Tag, Relabel, Queue, Similar, Exclude, Undo, Redo. */
  actionBar(place: HTMLElement, options: ActionBarOptions, signal: AbortSignal): void;
  /** Opens the input with completion over the bar of `root`, or at the bottom of `root`. Closes itself. */
  prompt(root: HTMLElement, options: PromptOptions): void;
  /**
   * Accepts what issues of the target propose, or says that they are none, and shows the toast itself. Of one kind; else of the kind
   * that is filtered or sorted by, else of all that are open.
   */
  answerIssues(
    verb: "accept_proposals" | "reject_issues" | "reopen_issues",
    target: Target,
    kind?: string,
  ): Promise<void>;
  /** Opens or closes the table of keys over `root`. */
  /** All keys, over `root`; those of a panel inside it come first where `inner` is that panel. */
  help(root: HTMLElement, inner?: HTMLElement | null): void;
  /** Draws "kernel busy" and "kernel restarted" over `root`. */
  frame(root: HTMLElement, signal: AbortSignal): void;
  /** The labels that the digit keys give: [["1", "cat"], ["2", "dog"] …]. */
  digits(): readonly (readonly [string, string])[];
}

/** Thumbnails of all panels under one bound of bytes; the least recently used go first. */
export interface Images {
  /** URL of a picture put before, or null when it is not there (any more). */
  get(no: number, px: number): string | null;
  put(no: number, px: number, mime: string, bytes: DataView): string;
}

export interface Dom {
  /** A debounced ResizeObserver that ends with the signal. */
  onResize(element: HTMLElement, callback: (width: number, height: number) => void, signal: AbortSignal): void;
  /** Runs a signals effect until the AbortSignal fires. */
  effectUntil(signal: AbortSignal, run: () => void): void;
  formatCount(n: number): string; // 60,000
  formatNumber(x: number): string;
  /** Categorical colour for a colour byte, colour-blind safe; `null` is the grey of "no value". */
  categoryColor(index: number, total: number): string;
  numberColor(t: number): string; // t in [0, 1]
}

/** The room in which a picture is shown with `object-fit: contain`, in px; left and top in the element around it, 0 if not given. */
export interface PictureFrame {
  width: number;
  height: number;
  left?: number;
  top?: number;
}

/** Boxes, masks and keypoints over the pictures of a panel. Costs nothing in a session without objects. */
export interface ObjectsLayer {
  /** Says which samples a panel (`source`) has in sight, and how large (px of the screen); an empty list when it ends. */
  want(source: string, nos: readonly number[], px: number): void;
  /** Draws the objects of sample `no` over its picture, and again by itself when they change; null for none. */
  paint(image: HTMLImageElement, no: number | null, frame: PictureFrame): void;
}

/** What an inspector tells whoever mounted it. */
export interface MountedInspector {
  /** What the shared keys act on: the sample it shows. */
  target(): { type: "samples"; nos: number[] } | null;
}

export interface HubExports {
  version: 1;
  client: Client;
  store: Store;
  keyboard: KeyboardScope;
  dom: Dom;
  ui: Ui;
  images: Images;
  /** Mounts one sample's picture, facts and history into `root`, which has the class `dataide-inspector`. */
  inspector(root: HTMLElement, options: InspectorOptions): MountedInspector;
  objects: ObjectsLayer;
  lit: { html: typeof html; svg: typeof svg; render: typeof render; nothing: typeof nothing; repeat: typeof repeat };
  signals: {
    signal: <T>(value: T) => Signal<T>;
    computed: <T>(run: () => T) => ReadonlySignal<T>;
    effect: (run: () => void) => () => void;
    batch: <T>(run: () => T) => T;
  };
}

/** Traits every panel has. `config` is kernel-owned; the browser changes it with the op `configure`. */
export interface PanelModel {
  hub: string; // reference for host.getWidget
  panel_id: string;
  config: Record<string, unknown>; // snake_case keys, as Python wrote them
  [name: string]: unknown;
}
