// Drawing a scene: on a canvas, as fast as the pointer moves, and as an SVG document.

import { inkOn, viridis } from "../common/canvas";
import { escapeMarkup } from "../common/dom";
import type { Part } from "./hierarchy";
import { HEADER, type Point } from "./layout";
import { type Box, type Line, type Measured, type Scene, share } from "./scene";

export const COLORS = [
  "--tl-text",
  "--tl-muted",
  "--tl-line",
  "--tl-back",
  "--tl-back2",
  "--tl-accent",
  "--tl-warn",
  "--tl-leaf",
  "--tl-operation",
  "--tl-output",
] as const;
export type Palette = Record<(typeof COLORS)[number], string>;

/** What is marked in the picture. */
export interface Marks {
  selected: string | null;
  /** Keys of boxes that the search found. */
  found: ReadonlySet<string>;
  /** Numbers of edges and keys of boxes on the way to the outputs; null: no way is shown. */
  path: { edges: ReadonlySet<number>; keys: ReadonlySet<string> } | null;
  measured: Measured | null;
  /** For two losses and more: which of them a box leads to. */
  reached: ((part: Part) => number[]) | null;
  /** Stepping through backward: what has run, runs now, and has gradients waiting. */
  step: {
    done: ReadonlySet<string>;
    now: string;
    waiting: ReadonlyMap<string, number>;
    sent: ReadonlySet<number>;
  } | null;
}

export interface View {
  /** Pixels for one unit of the scene, and where its origin is. */
  zoom: number;
  x: number;
  y: number;
}

interface Look {
  fill: string;
  ink: string;
  border: string;
  /** Third line: the value that the colour stands for, or words of the step. */
  note: string;
}

const OUTPUT_COLORS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];

/** The colours of a box and the words that say the same. */
export function look(box: Box, marks: Marks, palette: Palette): Look {
  const plain = { ink: palette["--tl-text"], border: palette["--tl-muted"], note: "" };
  if (box.open) return { ...plain, fill: palette["--tl-back2"], border: palette["--tl-line"] };
  if (marks.step !== null) {
    const { done, now, waiting } = marks.step;
    const arrived = waiting.get(box.key);
    if (box.key === now) {
      return {
        ...plain,
        fill: palette["--tl-output"],
        border: palette["--tl-accent"],
        note: "now",
      };
    }
    if (arrived !== undefined) {
      return { ...plain, fill: palette["--tl-leaf"], note: `${arrived} arrived` };
    }
    if (done.has(box.key)) return { ...plain, fill: palette["--tl-operation"], note: "✓ done" };
    return { ...plain, fill: palette["--tl-back"] };
  }
  if (marks.reached !== null) {
    const outputs = marks.reached(box.part);
    if (outputs.length !== 1) {
      return { ...plain, fill: palette["--tl-back2"], note: `shared by ${outputs.length}` };
    }
    const color = OUTPUT_COLORS[(outputs[0] ?? 0) % OUTPUT_COLORS.length] as string;
    return { ink: "#ffffff", fill: color, border: color, note: `output ${outputs[0]}` };
  }
  if (marks.measured !== null) {
    const value = marks.measured.value(box.part);
    if (value === null) return { ...plain, fill: palette["--tl-back"], note: "–" };
    const fill = value > 0 ? viridis(share(marks.measured, value)) : palette["--tl-back"];
    const ink = value > 0 ? inkOn(fill) : palette["--tl-text"];
    return { ink, fill, border: palette["--tl-muted"], note: marks.measured.text(value) };
  }
  if (box.output) return { ...plain, fill: palette["--tl-output"] };
  if (box.kind === "leaf") return { ...plain, fill: palette["--tl-leaf"] };
  if (box.kind === "module" || box.kind === "stack" || box.kind === "chunk") {
    return { ...plain, fill: palette["--tl-back2"] };
  }
  return { ...plain, fill: palette["--tl-operation"] };
}

const FONT = "system-ui, sans-serif";
const SMALLEST_TEXT = 0.4;

function trace(context: CanvasRenderingContext2D, line: Line): void {
  const [first, ...rest] = line.points;
  if (first === undefined) return;
  context.moveTo(first.x, first.y);
  let before = first;
  for (const point of rest) {
    curve(context, before, point);
    before = point;
  }
}

function curve(context: CanvasRenderingContext2D, from: Point, to: Point): void {
  const bend = (to.y - from.y) / 2;
  context.bezierCurveTo(from.x, from.y + bend, to.x, to.y - bend, to.x, to.y);
}

/** Where a line's head is: data flows down into the target, a gradient up into the source. */
function tip(line: Line, gradient: boolean): [Point, Point, Point] | null {
  if (!(gradient ? line.tail : line.head)) return null;
  const { x, y } = (gradient ? line.points[0] : line.points.at(-1)) as Point;
  const back = gradient ? 7 : -7;
  return [
    { x: x - 4, y: y + back },
    { x, y },
    { x: x + 4, y: y + back },
  ];
}

function arrow(context: CanvasRenderingContext2D, line: Line, gradient: boolean): void {
  const corners = tip(line, gradient);
  if (corners === null) return;
  const [left, point, right] = corners;
  context.moveTo(left.x, left.y);
  context.lineTo(point.x, point.y);
  context.lineTo(right.x, right.y);
  context.closePath();
}

/** Draw the part of the scene that the view shows. */
export function paint(
  context: CanvasRenderingContext2D,
  scene: Scene,
  view: View,
  size: { width: number; height: number },
  marks: Marks,
  palette: Palette,
): void {
  context.clearRect(0, 0, size.width, size.height);
  context.save();
  context.translate(view.x, view.y);
  context.scale(view.zoom, view.zoom);
  const [left, top] = [-view.x / view.zoom, -view.y / view.zoom];
  const [right, bottom] = [left + size.width / view.zoom, top + size.height / view.zoom];
  const seen = (x0: number, y0: number, x1: number, y1: number) =>
    x1 >= left && x0 <= right && y1 >= top && y0 <= bottom;
  const boxes = scene.boxes.filter((b) => seen(b.x, b.y, b.x + b.width, b.y + b.height));
  const text = view.zoom > SMALLEST_TEXT;
  // Frames first: a box's lines run over the frame that it is in.
  for (const box of boxes) if (box.open) paintBox(context, box, marks, palette, text);
  const lines = scene.lines.filter((line) => {
    const [a, b] = [line.points[0] as Point, line.points.at(-1) as Point];
    // A way around boxes is rarely wider than this.
    const margin = 200;
    return seen(
      Math.min(a.x, b.x) - margin,
      Math.min(a.y, b.y),
      Math.max(a.x, b.x) + margin,
      Math.max(a.y, b.y),
    );
  });
  const marked = marks.step?.sent ?? marks.path?.edges ?? null;
  const isMarked = (line: Line) => marked !== null && line.raw.some((i) => marked.has(i));
  for (const strong of [false, true]) {
    const chosen =
      marked === null ? (strong ? [] : lines) : lines.filter((l) => isMarked(l) === strong);
    if (chosen.length === 0) continue;
    const color = strong ? palette["--tl-accent"] : palette["--tl-muted"];
    context.globalAlpha = strong || marked === null ? 1 : 0.35;
    context.strokeStyle = color;
    context.fillStyle = color;
    context.lineWidth = strong ? 2.5 : 1.1;
    context.beginPath();
    for (const line of chosen) trace(context, line);
    context.stroke();
    if (view.zoom > 0.15) {
      context.beginPath();
      for (const line of chosen) arrow(context, line, strong && marks.step !== null);
      context.fill();
    }
  }
  context.globalAlpha = 1;
  for (const box of boxes) if (!box.open) paintBox(context, box, marks, palette, text);
  context.restore();
}

function paintBox(
  context: CanvasRenderingContext2D,
  box: Box,
  marks: Marks,
  palette: Palette,
  text: boolean,
): void {
  const { fill, ink, border, note } = look(box, marks, palette);
  const dim = marks.path !== null && !box.open && !marks.path.keys.has(box.key);
  context.globalAlpha = dim ? 0.4 : 1;
  const { x, y, width, height } = box;
  const round = box.kind === "leaf" || box.output ? 0 : box.open ? 6 : 8;
  const shape = (inset: number) => {
    context.beginPath();
    context.roundRect(x + inset, y + inset, width - 2 * inset, height - 2 * inset, round);
  };
  if (!box.open && box.repeats > 1) {
    // A stack: sheets behind the first.
    context.fillStyle = fill;
    context.strokeStyle = border;
    context.lineWidth = 1;
    for (const by of [6, 3]) {
      context.beginPath();
      context.roundRect(x + by, y + by, width, height, round);
      context.fill();
      context.stroke();
    }
  }
  context.fillStyle = fill;
  shape(0);
  context.fill();
  const chosen = box.key === marks.selected;
  const now = box.key === marks.step?.now;
  const found = marks.found.has(box.key);
  context.strokeStyle = chosen || now || found ? palette["--tl-accent"] : border;
  context.lineWidth = chosen || now ? 3 : found ? 2 : 1.2;
  context.setLineDash(box.kind === "view" ? [5, 3] : found && !chosen ? [2, 2] : []);
  context.stroke();
  context.setLineDash([]);
  if (text && box.output && !box.open) {
    context.lineWidth = 0.8;
    shape(3);
    context.stroke();
  }
  if (box.kind === "leaf") {
    context.fillStyle = border;
    context.fillRect(x, y, 4, height);
  }
  if (text) {
    context.fillStyle = ink;
    const sign = box.part.kind === "node" ? "" : box.open ? "▾ " : "▸ ";
    context.textBaseline = "middle";
    if (box.open) {
      context.textAlign = "left";
      context.font = `600 12px ${FONT}`;
      context.fillText(`${sign}${box.title}`, x + 8, y + HEADER / 2 + 2);
      const by = context.measureText(`${sign}${box.title}`).width;
      context.font = `11px ${FONT}`;
      context.fillStyle = palette["--tl-muted"];
      if (by + 20 + box.detail.length * 6 < width) {
        context.fillText(box.detail, x + 16 + by, y + HEADER / 2 + 2);
      }
    } else {
      context.textAlign = "center";
      context.font = `600 12px ${FONT}`;
      context.fillText(`${sign}${box.title}`, x + width / 2, y + 14, width - 8);
      context.font = `11px ${FONT}`;
      context.fillText(note || box.detail, x + width / 2, y + 30, width - 8);
    }
  }
  context.globalAlpha = 1;
}

/** The whole scene as an SVG document with its own background. */
export function toSvg(scene: Scene, marks: Marks, palette: Palette, title: string): string {
  const n = (value: number) => value.toFixed(1).replace(/\.0$/, "");
  const [width, height] = [n(scene.width + 8), n(scene.height + 8)];
  const marked = marks.step?.sent ?? marks.path?.edges ?? null;
  const way = (line: Line) => {
    let d = "";
    // The same curves as on the canvas, written down instead of drawn.
    const pen = {
      moveTo: (x: number, y: number) => {
        d += `M${n(x)} ${n(y)}`;
      },
      bezierCurveTo: (a: number, b: number, c: number, e: number, x: number, y: number) => {
        d += `C${n(a)} ${n(b)} ${n(c)} ${n(e)} ${n(x)} ${n(y)}`;
      },
    };
    trace(pen as unknown as CanvasRenderingContext2D, line);
    return d;
  };
  const frames = scene.boxes.filter((box) => box.open).map(svgBox);
  const lines = scene.lines.map((line) => {
    const strong = marked !== null && line.raw.some((i) => marked.has(i));
    const color = strong ? palette["--tl-accent"] : palette["--tl-muted"];
    const corners = tip(line, strong && marks.step !== null);
    const points = corners?.map(({ x, y }) => `${n(x)},${n(y)}`).join(" ");
    const head = points ? `<polygon points="${points}" fill="${color}"/>` : "";
    return `<path d="${way(line)}" fill="none" stroke="${color}" stroke-width="${strong ? 2.5 : 1.1}"/>${head}`;
  });
  const boxes = scene.boxes.filter((box) => !box.open).map(svgBox);
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" ` +
    `font-family="${FONT}" role="img"><title>${escapeMarkup(title)}</title>` +
    `<rect width="${width}" height="${height}" fill="${palette["--tl-back"]}"/>` +
    `${frames.join("")}${lines.join("")}${boxes.join("")}</svg>`
  );

  function svgBox(box: Box): string {
    const { fill, ink, border, note } = look(box, marks, palette);
    const round = box.kind === "leaf" || box.output ? 0 : 8;
    const rect = (by: number, inset: number, paint: string) =>
      `<rect x="${n(box.x + by + inset)}" y="${n(box.y + by + inset)}" width="${n(box.width - 2 * inset)}" ` +
      `height="${n(box.height - 2 * inset)}" rx="${round}" fill="${paint}" stroke="${border}"` +
      `${box.kind === "view" ? ' stroke-dasharray="5 3"' : ""}/>`;
    const sheets = !box.open && box.repeats > 1 ? rect(6, 0, fill) + rect(3, 0, fill) : "";
    const inner = box.output && !box.open ? rect(0, 3, "none") : "";
    const bar =
      box.kind === "leaf"
        ? `<rect x="${n(box.x)}" y="${n(box.y)}" width="4" height="${n(box.height)}" fill="${border}"/>`
        : "";
    const say = (
      x: number,
      y: number,
      anchor: string,
      weight: number,
      size: number,
      words: string,
    ) =>
      `<text x="${n(x)}" y="${n(y)}" text-anchor="${anchor}" font-weight="${weight}" font-size="${size}" fill="${ink}">${escapeMarkup(words)}</text>`;
    const sign = box.part.kind === "node" ? "" : box.open ? "▾ " : "▸ ";
    const words = box.open
      ? say(box.x + 8, box.y + 19, "start", 600, 12, `${sign}${box.title}`)
      : say(box.x + box.width / 2, box.y + 18, "middle", 600, 12, `${sign}${box.title}`) +
        say(box.x + box.width / 2, box.y + 34, "middle", 400, 11, note || box.detail);
    return `<g>${sheets}${rect(0, 0, fill)}${inner}${bar}${words}</g>`;
  }
}
