/**
 * One keyboard for all panels, and JupyterLab's shortcuts kept out.
 *
 * JupyterLab (Lumino's CommandRegistry) listens for keydown on `document` in the capture phase, so nothing inside a panel could stop it in
 * time. It does look for the attribute `data-lm-suppress-shortcuts` between the target and the binding's element, and `window`
 * comes before `document`: there one listener decides, key by key, whether a key is a panel's or JupyterLab's. Ctrl+S still saves the
 * notebook, Shift+Enter still runs its cell, and `d d` does not delete it.
 *
 * While the pointer is over a panel and nobody is typing elsewhere, its keys go to that panel without moving the focus.
 */
import type { KeyboardOptions, KeyboardScope } from "./contract.js";
import { isEditable } from "./dom.js";

const SUPPRESS = "data-lm-suppress-shortcuts";
// Focused by the mouse: browsers that saw a key before would draw a ring all the same.
const PRESSED = "data-dataide-pressed";
// With Ctrl or Cmd only these are ours: undo, redo, copy, select all.
const OWN_WITH_CONTROL = new Set(["z", "y", "c", "a"]);

/** Does a shared key; false when it is none. */
export type SharedKeys = (event: KeyboardEvent, root: HTMLElement, options: KeyboardOptions) => boolean;

interface Attached {
  root: HTMLElement;
  handler: (event: KeyboardEvent) => boolean;
  options: KeyboardOptions;
}

export class Keyboard implements KeyboardScope {
  readonly #attached = new Map<HTMLElement, Attached>();
  readonly #shared: SharedKeys;
  #hovered: HTMLElement | null = null;
  #listening = false;

  constructor(shared: SharedKeys, signal: AbortSignal) {
    this.#shared = shared;
    signal.addEventListener("abort", () => this.#listen(false));
  }

  attach(
    root: HTMLElement,
    handler: (event: KeyboardEvent) => boolean,
    signal: AbortSignal,
    options: KeyboardOptions = {},
  ): void {
    if (signal.aborted) return;
    this.#attached.set(root, { root, handler, options });
    root.setAttribute(SUPPRESS, "true");
    if (!root.hasAttribute("tabindex")) root.tabIndex = -1;
    this.#listen(true);

    root.addEventListener("keydown", (event) => this.#inside(event, root), { signal });
    root.addEventListener("pointerenter", () => this.#enter(root), { signal });
    root.addEventListener("pointermove", () => this.#enter(root), { signal, passive: true });
    root.addEventListener("pointerleave", () => this.#leave(root), { signal });
    root.addEventListener("pointerdown", (event) => this.#press(event, root), { signal });
    // JupyterLab's notebook takes a mouse press on an output for itself: Shift extends its selection of cells, and it moves the focus.
    root.addEventListener("mousedown", (event) => event.stopPropagation(), { signal });
    signal.addEventListener("abort", () => {
      this.#attached.delete(root);
      if (this.#hovered === root) this.#hovered = null;
      if (this.#attached.size === 0) this.#listen(false);
    });
  }

  options(root: HTMLElement): KeyboardOptions {
    return this.#attached.get(root)?.options ?? {};
  }

  #listen(on: boolean): void {
    if (on === this.#listening) return;
    this.#listening = on;
    if (on) window.addEventListener("keydown", this.#first, { capture: true });
    else window.removeEventListener("keydown", this.#first, { capture: true });
  }

  /** The innermost panel under the pointer: a grid inside a workbench comes before the workbench. */
  #enter(root: HTMLElement): void {
    if (this.#hovered === null || !root.contains(this.#hovered) || root === this.#hovered) this.#hovered = root;
  }

  #leave(root: HTMLElement): void {
    if (this.#hovered !== root) return;
    const outer = root.parentElement?.closest<HTMLElement>(`[${SUPPRESS}]`) ?? null;
    this.#hovered = outer !== null && this.#attached.has(outer) ? outer : null;
  }

  #press(event: PointerEvent, root: HTMLElement): void {
    if (event.defaultPrevented || this.#rootOf(event.target) !== root) return;
    const inner = (event.target as Element).closest<HTMLElement>(
      "input, select, textarea, button, a[href], [tabindex]",
    );
    root.setAttribute(PRESSED, "");
    if (inner === null || inner === root) root.focus({ preventScroll: true });
  }

  #rootOf(target: EventTarget | null): HTMLElement | null {
    let element = target instanceof Element ? target : null;
    for (; element !== null; element = element.parentElement) {
      if (this.#attached.has(element as HTMLElement)) return element as HTMLElement;
    }
    return null;
  }

  #first = (event: KeyboardEvent): void => {
    const root = this.#rootOf(event.target);
    if (root !== null) {
      const ours = isOurs(event);
      for (let outer: HTMLElement | null = root; outer !== null; outer = this.#rootOf(outer.parentElement)) {
        if (ours) outer.setAttribute(SUPPRESS, "true");
        else outer.removeAttribute(SUPPRESS);
      }
      return;
    }
    const hovered = this.#hovered;
    if (hovered === null || !hovered.isConnected || isEditable(event.target) || isElsewhere(event.target)) return;
    // With the focus in the notebook, Ctrl+C and Ctrl+A mean the notebook's text.
    const control = event.ctrlKey || event.metaKey;
    if (!isOurs(event) || (control && event.key.toLowerCase() !== "z")) return;
    event.stopPropagation();
    if (this.#handle(event, hovered)) event.preventDefault();
  };

  #inside(event: KeyboardEvent, root: HTMLElement): void {
    if (event.key === "Tab" || event.key.startsWith("Arrow")) root.removeAttribute(PRESSED);
    if (!isOurs(event) || event.defaultPrevented) return;
    event.stopPropagation();
    // Whoever types, or works a slider or a button, needs the keys; only Esc is for the panel.
    if (event.key !== "Escape" && (isEditable(event.target) || worksItself(event))) return;
    if (this.#handle(event, root)) event.preventDefault();
  }

  #handle(event: KeyboardEvent, root: HTMLElement): boolean {
    for (let at: HTMLElement | null = root; at !== null; at = this.#rootOf(at.parentElement)) {
      if (this.#attached.get(at)?.handler(event)) return true;
    }
    return this.#shared(event, root, this.options(root));
  }
}

function isOurs(event: KeyboardEvent): boolean {
  if (event.ctrlKey || event.metaKey) return !event.altKey && OWN_WITH_CONTROL.has(event.key.toLowerCase());
  return !(event.key === "Enter" && event.shiftKey) && event.key !== "Tab" && !/^F\d+$/.test(event.key);
}

/** Enter and Space press a focused button, arrows move a focused slider. */
function worksItself(event: KeyboardEvent): boolean {
  if (!(event.target instanceof HTMLElement)) return false;
  if (event.target.matches("button, a[href], summary, input[type=checkbox], input[type=radio]")) {
    return event.key === "Enter" || event.key === " ";
  }
  return event.target.matches("input[type=range]") && /^(Arrow|Home|End|Page)/.test(event.key);
}

/** In a dialog, a menu or another tab of JupyterLab the pointer may rest over a panel by chance. */
function isElsewhere(target: EventTarget | null): boolean {
  return (
    target instanceof Element && target.closest(".jp-Dialog, .lm-Menu, .lm-MenuBar, .jp-FileBrowser, dialog") !== null
  );
}
