/** The small card with picture and names beside the pointer, and the ring around the point it belongs to. */
import type { HubExports } from "../../core/contract.js";
import { badgeText } from "../../core/issues/words.js";
import { contained } from "../../core/objects/geometry.js";
import { shapeColor } from "../../core/objects/shapes.js";
import type { Peek } from "../../core/protocol.js";
import type { Hit } from "./engine.js";

const WAIT_MS = 60;
const PICTURE_PX = 128;
const GAP_PX = 16;
const KEPT = 300;
const NO_COLOR = 255;

/** The corner of the card that covers neither pointer nor point and stays inside the plot, if it can. */
export function cardPlace(
  at: { x: number; y: number },
  card: { width: number; height: number },
  stage: { width: number; height: number },
): { x: number; y: number } {
  const fitsRight = at.x + GAP_PX + card.width <= stage.width - 4;
  const fitsLeft = at.x - GAP_PX - card.width >= 4;
  const clampY = (y: number) => Math.max(4, Math.min(stage.height - card.height - 4, y));
  if (fitsRight || fitsLeft) {
    return { x: fitsRight ? at.x + GAP_PX : at.x - GAP_PX - card.width, y: clampY(at.y - card.height / 2) };
  }
  // No room on either side: above or below, wherever there is more.
  const below = stage.height - at.y > at.y;
  const x = Math.max(4, Math.min(stage.width - card.width - 4, at.x - card.width / 2));
  return { x, y: below ? at.y + GAP_PX : at.y - GAP_PX - card.height };
}

/** Under which number its picture is kept: crops of objects apart from pictures of samples. */
const pictureOf = ({ no, object }: Pick<Peek, "no" | "object">): number => (object === undefined ? no : -1 - object.no);

/** What a caption says beyond id and label, which stand above it. */
export function beyond({ id, label, caption }: Pick<Peek, "id" | "label" | "caption">): string {
  return caption
    .split(" · ")
    .filter((part) => part !== "" && part !== id && part !== label)
    .join(" · ");
}

export interface HoverOptions {
  stage: HTMLElement;
  panel: string;
  signal: AbortSignal;
  projection(): string | null;
  /** The point under a place on the screen. */
  pointAt(x: number, y: number): Promise<Hit | null>;
  /** Where a place of the data stands on the screen now. */
  placeOf(at: Hit): { x: number; y: number };
  ring(at: Hit | null): void;
}

export class Hover {
  at: Hit | null = null;
  /** The sample that this panel put into `store.hovered`. */
  ours: number | null = null;
  private readonly card = document.createElement("div");
  private readonly peeks = new Map<number, Peek>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private pointer: { x: number; y: number } | null = null; // where the answer is still due for
  private asking = false;

  constructor(
    private readonly hub: Pick<HubExports, "client" | "store" | "lit" | "images" | "objects">,
    private readonly options: HoverOptions,
  ) {
    this.card.className = "card dataide-popover";
    this.card.setAttribute("role", "tooltip");
    this.card.hidden = true;
    options.stage.append(this.card);
    options.signal.addEventListener("abort", () => this.leave());
  }

  /** The pointer stands here, or nowhere on the plot. One question is under way at a time, and stale answers are dropped. */
  point(x: number, y: number): void {
    this.pointer = { x, y };
    if (!this.asking) void this.seek();
  }

  leave(): void {
    this.pointer = null;
    this.show(null);
  }

  private async seek(): Promise<void> {
    this.asking = true;
    try {
      for (let asked = this.pointer; asked; asked = this.pointer === asked ? null : this.pointer) {
        const hit = await this.options.pointAt(asked.x, asked.y);
        if (this.pointer === asked && !this.options.signal.aborted) this.show(hit);
      }
    } catch {
      // The engine ended with its panel.
    } finally {
      this.asking = false;
    }
  }

  private show(at: Hit | null): void {
    if (at?.index === this.at?.index) return;
    clearTimeout(this.timer);
    this.at = at;
    this.card.hidden = true;
    this.options.ring(at);
    if (at === null) {
      const { hovered } = this.hub.store;
      if (this.ours !== null && hovered.value === this.ours) hovered.value = null;
      this.ours = null;
      return;
    }
    this.timer = setTimeout(() => void this.peek(at), WAIT_MS);
  }

  /** What is remembered about points may be wrong after a change of the data. */
  forget(): void {
    this.peeks.clear();
  }

  private async peek(at: Hit): Promise<void> {
    const { index } = at;
    const known = this.peeks.get(index);
    if (known && this.hub.images.get(pictureOf(known), PICTURE_PX)) return this.open(at, known);
    const projection = this.options.projection();
    if (projection === null) return;
    const body = { projection, index, px: PICTURE_PX };
    const { panel, signal } = this.options;
    try {
      const reply = await this.hub.client.ask("peek", body, { panel, signal });
      const picture = reply.buffers[0];
      if (reply.body.mime && picture) this.hub.images.put(pictureOf(reply.body), PICTURE_PX, reply.body.mime, picture);
      this.peeks.set(index, reply.body);
      const oldest = this.peeks.keys().next().value;
      if (this.peeks.size > KEPT && oldest !== undefined) this.peeks.delete(oldest);
      this.open(at, reply.body);
    } catch {
      // A newer point took its place, or the kernel cannot answer: the frame of the panel says that.
    }
  }

  private open(at: Hit, peek: Peek): void {
    if (at.index !== this.at?.index || this.options.signal.aborted) return;
    this.ours = peek.no;
    this.hub.store.hovered.value = peek.no;
    const { html, render, nothing } = this.hub.lit;
    const more = beyond(peek);
    const url = peek.mime ? this.hub.images.get(pictureOf(peek), PICTURE_PX) : null;
    const place = () => {
      this.place(at);
      if (peek.object === undefined) this.paint(peek.no);
      else this.frame(peek.object.box);
    };
    render(
      html`
        ${url ? html`<img src=${url} alt="" draggable="false" @load=${place} />${peek.object ? html`<div class="card-object" style=${`color:${this.colorOf(peek.label)}`}></div>` : nothing}` : html`<div class="card-problem">${peek.problem ?? "no picture"}</div>`}
        <div class="card-label">${peek.label ?? html`<span class="dataide-dim">no label</span>`}</div>
        <div class="card-id">${peek.id}</div>
        ${more === "" ? nothing : html`<div class="card-caption">${more}</div>`}
        ${(peek.issues ?? []).map(
          (issue) => html`<div class="card-caption card-issue">
            <span class="dataide-issue">${badgeText(issue)}</span> ${issue.reason ?? nothing}
          </div>`,
        )}
      `,
      this.card,
    );
    this.card.hidden = false;
    place();
  }

  /** Boxes over the picture of the card, where it stands in it. */
  private paint(no: number): void {
    const image = this.card.querySelector("img");
    if (image === null || this.card.hidden) return;
    const { offsetWidth: width, offsetHeight: height, offsetLeft: left, offsetTop: top } = image;
    this.hub.objects.want(`${this.options.panel}-hover`, [no], PICTURE_PX);
    this.hub.objects.paint(image, no, { width, height, left, top });
  }

  /** The box of the object around which the picture is cut. */
  private frame([left = 0, top = 0, width = 0, height = 0]: readonly number[]): void {
    const [image, box] = [this.card.querySelector("img"), this.card.querySelector<HTMLElement>(".card-object")];
    if (image === null || box === null || image.naturalWidth === 0) return;
    const { offsetWidth, offsetHeight, offsetLeft, offsetTop, naturalWidth, naturalHeight } = image;
    const picture = contained(
      { width: naturalWidth, height: naturalHeight },
      { width: offsetWidth, height: offsetHeight },
    );
    const [x, y] = [offsetLeft + picture.x + left * picture.width, offsetTop + picture.y + top * picture.height];
    const [across, down] = [width * picture.width, height * picture.height];
    box.style.cssText += `;left:${x}px;top:${y}px;width:${across}px;height:${down}px`;
  }

  /** The colour of a class of objects, as it is over all pictures. */
  private colorOf(label: string | null): string {
    const { color } = this.hub.store.state.peek()?.objects?.labels.find(({ name }) => name === label) ?? {};
    return shapeColor(color ?? NO_COLOR);
  }

  private place(hit: Hit): void {
    if (this.card.hidden) return;
    const at = this.options.placeOf(hit);
    const { stage } = this.options;
    const card = { width: this.card.offsetWidth, height: this.card.offsetHeight };
    const { x, y } = cardPlace(at, card, { width: stage.clientWidth, height: stage.clientHeight });
    this.card.style.transform = `translate(${Math.round(x)}px, ${Math.round(y)}px)`;
  }
}
