// A plane of numbers as cells: pointed at, walked through with the arrow keys, opened with Enter.

import { fitted, inkOn, viridis } from "../common/canvas";
import { aria, element, on } from "../common/dom";
import { number } from "../common/scale";
import { diverging, type Plane } from "./data";

const HEIGHT = 320;
const LEAST_TEXT = 34;

export interface HeatEvents {
  /** A cell is pointed at or walked to; null when the pointer leaves. */
  at(row: number, column: number): void;
  left(): void;
  opened(row: number, column: number): void;
}

export class HeatMap {
  readonly canvas = element("canvas", "tl-tensor-heat");
  #plane: Plane | null = null;
  #range: readonly [number, number] = [0, 1];
  #marked = new Set<number>();
  #cell = [0, 0];
  #side: [number, number] = [1, 1];

  readonly #label: string;
  readonly #events: HeatEvents;

  constructor(label: string, events: HeatEvents) {
    this.#label = label;
    this.#events = events;
    this.canvas.tabIndex = 0;
    aria(this.canvas, { role: "application" });
    on(this.canvas, "pointermove", (event) => this.#point(event, false));
    on(this.canvas, "dblclick", (event) => this.#point(event, true));
    on(this.canvas, "pointerleave", () => events.left());
    on(this.canvas, "blur", () => events.left());
    on(this.canvas, "keydown", (event) => this.#key(event));
  }

  show(plane: Plane, range: readonly [number, number] | null, marked: Iterable<number>): void {
    this.#plane = plane;
    this.#range = range ?? [0, 1];
    this.#marked = new Set(marked);
    this.#cell = [
      Math.min(this.#cell[0] as number, Math.max(plane.rows - 1, 0)),
      Math.min(this.#cell[1] as number, Math.max(plane.columns - 1, 0)),
    ];
    aria(this.canvas, {
      label: `${this.#label}: ${plane.rows} by ${plane.columns} cells. Arrow keys move through them.`,
    });
    this.draw();
  }

  mark(marked: Iterable<number>): void {
    this.#marked = new Set(marked);
    this.draw();
  }

  color(value: number): string {
    const [low, high] = this.#range;
    if (low < 0 && high > 0) return diverging(value / Math.max(-low, high));
    return viridis(high > low ? (value - low) / (high - low) : 0.5);
  }

  draw(): void {
    const plane = this.#plane;
    if (plane === null || plane.rows === 0) return;
    const room = Math.max(this.canvas.parentElement?.clientWidth ?? 300, 60) - 2;
    const largest = plane.rows * plane.columns <= 400 ? 48 : 24;
    const wide = Math.min(room / plane.columns, largest);
    const tall = Math.max(Math.min(HEIGHT / plane.rows, wide >= LEAST_TEXT ? 30 : largest), 1);
    this.#side = [tall, wide >= LEAST_TEXT ? wide : Math.min(wide, Math.max(tall * 4, 1))];
    const [h, w] = this.#side;
    this.canvas.style.width = `${w * plane.columns}px`;
    this.canvas.style.height = `${h * plane.rows}px`;
    const context = fitted(this.canvas);
    if (context === null) return;
    context.clearRect(0, 0, w * plane.columns, h * plane.rows);
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.font = "11px sans-serif";
    for (let row = 0; row < plane.rows; row++) {
      for (let column = 0; column < plane.columns; column++) {
        const i = row * plane.columns + column;
        const value = plane.values[i] as number;
        const [x, y] = [column * w, row * h];
        const fill = Number.isFinite(value) ? this.color(value) : "rgb(150,150,150)";
        context.fillStyle = fill;
        context.fillRect(x, y, w + (w < 6 ? 0.6 : -1), h + (h < 6 ? 0.6 : -1));
        if ((plane.bad[i] ?? 0) > 0) cross(context, x, y, w - 1, h - 1);
        if (w >= LEAST_TEXT && h >= 14) {
          context.fillStyle = inkOn(fill);
          context.fillText(cellText(value), x + w / 2, y + h / 2, w - 4);
        }
      }
    }
    for (const i of this.#marked) {
      const [x, y] = [(i % plane.columns) * w, Math.floor(i / plane.columns) * h];
      context.lineWidth = 3;
      context.strokeStyle = "#fff";
      context.strokeRect(x, y, Math.max(w - 1, 3), Math.max(h - 1, 3));
      context.lineWidth = 2;
      context.strokeStyle = "#000";
      context.strokeRect(x + 0.5, y + 0.5, Math.max(w - 2, 2), Math.max(h - 2, 2));
    }
  }

  #point(event: MouseEvent, open: boolean): void {
    if (this.#plane === null) return;
    const row = Math.floor(event.offsetY / this.#side[0]);
    const column = Math.floor(event.offsetX / this.#side[1]);
    this.#go(row, column, open);
  }

  #go(row: number, column: number, open: boolean): void {
    const plane = this.#plane;
    if (plane === null || plane.rows === 0) return;
    const r = Math.min(Math.max(row, 0), plane.rows - 1);
    const c = Math.min(Math.max(column, 0), plane.columns - 1);
    this.#cell = [r, c];
    if (open) this.#events.opened(r, c);
    else this.#events.at(r, c);
  }

  #key(event: KeyboardEvent): void {
    const [row, column] = this.#cell as [number, number];
    const moves: Record<string, [number, number]> = {
      ArrowUp: [row - 1, column],
      ArrowDown: [row + 1, column],
      ArrowLeft: [row, column - 1],
      ArrowRight: [row, column + 1],
      Home: [row, 0],
      End: [row, Number.POSITIVE_INFINITY],
      Enter: [row, column],
    };
    const move = moves[event.key];
    if (move === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    this.#go(move[0], move[1], event.key === "Enter");
  }
}

function cross(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  w: number,
  h: number,
): void {
  if (w < 3 || h < 3) {
    context.fillStyle = "rgb(255,0,255)";
    context.fillRect(x, y, w + 1, h + 1);
    return;
  }
  context.strokeStyle = "rgb(190,0,190)";
  context.lineWidth = Math.min(2, w / 4);
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(x + w, y + h);
  context.moveTo(x + w, y);
  context.lineTo(x, y + h);
  context.stroke();
}

/** A number in a small cell: three digits. */
export function cellText(value: number): string {
  if (!Number.isFinite(value) || Number.isInteger(value)) return number(value);
  return Math.abs(value) >= 1e-3 && Math.abs(value) < 1e4
    ? `${Number(value.toPrecision(3))}`
    : value.toExponential(0);
}
