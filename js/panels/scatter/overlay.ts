/** What lies over the points: class names, the ring of the hovered point and the shape that is being drawn. */
import type { Mode } from "../../core/protocol.js";
import type { Affine, Size } from "./camera.js";
import type { ClassName } from "./names.js";
import type { Rgb, Theme } from "./palette.js";
import { placeNames } from "./place_names.js";

export interface Drawing {
  kind: "lasso" | "box";
  path: readonly number[]; // screen; of a box: two corners
  mode: Mode;
}

export interface Over {
  transform: Affine;
  theme: Theme;
  accent: string;
  names: readonly ClassName[];
  ring: { x: number; y: number } | null; // in data coordinates
  radius: number;
  /** Selected points that are too few to be found by their colour. */
  few: readonly { x: number; y: number }[];
  drawing: Drawing | null;
}

const SIGNS: Record<Mode, string> = { replace: "", add: "+", subtract: "−", intersect: "∩" };
const LINE = 15;
const FONT = `600 12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif`;

export class Overlay {
  readonly canvas = document.createElement("canvas");
  private readonly context = this.canvas.getContext("2d");
  private readonly widths = new Map<string, number>();

  constructor() {
    this.canvas.className = "overlay";
    this.canvas.setAttribute("aria-hidden", "true");
  }

  paint(size: Size, ratio: number, over: Over): void {
    const { canvas, context } = this;
    const width = Math.round(size.width * ratio);
    const height = Math.round(size.height * ratio);
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    if (!context) return;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.few(context, over);
    if (over.names.length > 0) this.names(context, size, over);
    if (over.ring) this.ring(context, size, over, over.ring);
    if (over.drawing) this.drawing(context, over, over.drawing);
  }

  private few(context: CanvasRenderingContext2D, over: Over): void {
    const { ax, bx, ay, by } = over.transform;
    for (const [width, color] of [
      [4.5, css(over.theme.background, 0.9)],
      [2, over.accent],
    ] as const) {
      context.lineWidth = width;
      context.strokeStyle = color;
      for (const { x, y } of over.few) {
        context.beginPath();
        context.arc(x * ax + bx, y * ay + by, over.radius + 4, 0, 2 * Math.PI);
        context.stroke();
      }
    }
  }

  private names(context: CanvasRenderingContext2D, size: Size, over: Over): void {
    context.font = FONT;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineJoin = "round";
    const measure = (text: string) => {
      const known = this.widths.get(text);
      if (known !== undefined) return known;
      const width = context.measureText(text).width;
      this.widths.set(text, width);
      return width;
    };
    // The ink alone would lie on points of any colour: a halo of the background keeps it readable in both themes.
    const halo = css(over.theme.background, 0.86);
    const ink = css(over.theme.ink, 1);
    for (const name of placeNames(over.names, over.transform, size, measure, LINE)) {
      context.lineWidth = 4;
      context.strokeStyle = halo;
      context.strokeText(name.text, name.x, name.y);
      context.fillStyle = ink;
      context.fillText(name.text, name.x, name.y);
    }
  }

  private ring(context: CanvasRenderingContext2D, size: Size, over: Over, at: { x: number; y: number }): void {
    const x = at.x * over.transform.ax + over.transform.bx;
    const y = at.y * over.transform.ay + over.transform.by;
    const away = x < 0 || y < 0 || x > size.width || y > size.height;
    context.beginPath();
    if (away) {
      // The point lies outside the picture: an arrow at the border says where.
      const edgeX = Math.min(size.width - 12, Math.max(12, x));
      const edgeY = Math.min(size.height - 12, Math.max(12, y));
      const angle = Math.atan2(y - edgeY, x - edgeX);
      for (const turn of [0, 2.5, -2.5])
        context.lineTo(edgeX + 9 * Math.cos(angle + turn), edgeY + 9 * Math.sin(angle + turn));
      context.closePath();
    } else context.arc(x, y, over.radius + 4, 0, 2 * Math.PI);
    context.lineWidth = 4.5;
    context.strokeStyle = css(over.theme.background, 0.9);
    context.stroke();
    context.lineWidth = 2;
    context.strokeStyle = css(over.theme.ink, 1);
    context.stroke();
  }

  private drawing(context: CanvasRenderingContext2D, over: Over, drawing: Drawing): void {
    const { path } = drawing;
    if (path.length < 4) return;
    const [x0, y0, x1, y1] = [
      path[0] as number,
      path[1] as number,
      path[path.length - 2] as number,
      path[path.length - 1] as number,
    ];
    const outline = new Path2D();
    if (drawing.kind === "box") outline.rect(Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0));
    else {
      for (let i = 0; i < path.length; i += 2) outline.lineTo(path[i] as number, path[i + 1] as number);
    }
    context.fillStyle = over.accent;
    context.globalAlpha = 0.13;
    context.fill(outline, "evenodd");
    context.globalAlpha = 1;
    context.lineJoin = "round";
    context.lineCap = "round";
    context.lineWidth = 4;
    context.strokeStyle = css(over.theme.background, 0.75);
    context.stroke(outline);
    context.lineWidth = 1.75;
    context.strokeStyle = over.accent;
    context.stroke(outline);
    if (drawing.kind === "lasso") {
      // How the ring will close when the button is let go.
      context.setLineDash([4, 5]);
      context.beginPath();
      context.moveTo(x1, y1);
      context.lineTo(x0, y0);
      context.stroke();
      context.setLineDash([]);
    }
    const sign = SIGNS[drawing.mode];
    if (sign) {
      context.beginPath();
      context.arc(x1 + 15, y1 - 13, 9, 0, 2 * Math.PI);
      context.fillStyle = over.accent;
      context.fill();
      context.font = "700 14px system-ui, sans-serif";
      context.textAlign = "center";
      context.textBaseline = "middle";
      context.fillStyle = "#fff";
      context.fillText(sign, x1 + 15, y1 - 12);
    }
  }
}

function css(color: Rgb, alpha: number): string {
  const [r, g, b] = color.map(Math.round);
  return `rgba(${r},${g},${b},${alpha})`;
}
