/** The fix panel in a drawer over plot and pictures: made by the kernel when it is first opened, and kept. */
import type { AnyModel, Host } from "@anywidget/types";
import type { HubExports } from "../../core/contract.js";
import type { WorkbenchModel } from "./panel.js";

export class FixDrawer {
  readonly place = document.createElement("section");
  readonly #slot = document.createElement("div");
  #drawn: string | null = null;
  #before: Element | null = null;

  constructor(
    readonly hub: HubExports,
    readonly host: Host,
    readonly model: AnyModel<WorkbenchModel>,
    readonly panel: string,
    readonly report: (error: unknown) => void,
    readonly signal: AbortSignal,
  ) {
    const { place } = this;
    place.className = "di-fix";
    place.hidden = true;
    place.setAttribute("aria-label", "Fix issues");
    const head = document.createElement("div");
    head.className = "di-fix-head";
    const title = document.createElement("strong");
    title.textContent = "Fix issues";
    const close = document.createElement("button");
    close.type = "button";
    close.className = "di-x";
    close.textContent = "×";
    close.title = "Close (Esc)";
    close.setAttribute("aria-label", "Close the fix panel");
    close.addEventListener("click", () => this.close(), { signal });
    head.append(title, close);
    this.#slot.className = "di-fix-slot";
    place.append(head, this.#slot);
    const follow = () => void this.#follow();
    model.on("change:config", follow);
    model.on("change:fix", follow);
    signal.addEventListener("abort", () => {
      model.off("change:config", follow);
      model.off("change:fix", follow);
    });
    follow();
  }

  get isOpen(): boolean {
    return !this.place.hidden;
  }

  /** The kernel makes the panel, or turns it to this kind; what it then says of itself opens the drawer. */
  open(kind: string): void {
    this.#before = document.activeElement;
    void this.#configure(kind);
  }

  close(): void {
    this.place.hidden = true;
    void this.#configure(null);
    const before = this.#before;
    if (before instanceof HTMLElement && before.isConnected) before.focus({ preventScroll: true });
  }

  async #configure(value: string | null): Promise<void> {
    try {
      await this.hub.client.ask("configure", { panel: this.panel, name: "fix", value }, { panel: this.panel });
    } catch (error) {
      if (value !== null) this.report(error);
    }
  }

  async #follow(): Promise<void> {
    const kind = this.model.get("config").fix;
    const ref = this.model.get("fix");
    const open = typeof kind === "string" && typeof ref === "string" && ref !== "";
    const opened = open && this.place.hidden;
    this.place.hidden = !open;
    if (!open) return;
    if (this.#drawn !== ref) {
      this.#drawn = ref;
      try {
        const child = await this.host.getWidget(ref);
        const el = document.createElement("div");
        el.className = "di-child";
        this.#slot.replaceChildren(el);
        await child.render({ el, signal: this.signal });
      } catch (error) {
        if (this.signal.aborted) return;
        this.#drawn = null;
        this.report(error);
        return;
      }
    }
    // Whoever opened it goes on in it; a page that was reloaded leaves the focus where it is.
    if (!opened || this.#before === null) return;
    const list = this.#slot.querySelector<HTMLElement>("[role='listbox']");
    (list ?? this.#slot.querySelector<HTMLElement>(".di-child"))?.focus({ preventScroll: true });
  }
}
