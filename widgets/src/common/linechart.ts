// Lines over steps: an SVG that can be hovered over, walked through with the keyboard, brushed and saved.

import { extent, linePath, nearest, padded, readable, shown } from "./curves";
import { aria, div, on, ownKeys, svgElement } from "./dom";
import { scale } from "./scale";

export interface Line {
  name: string;
  color: string;
  /** As stroke-dasharray; "" for a solid line. */
  dash: string;
  xs: ArrayLike<number>;
  ys: ArrayLike<number>;
  weight: "normal" | "strong" | "faint";
}

export interface Chart {
  title: string;
  lines: readonly Line[];
  log: boolean;
  /** The brushed range of steps. */
  range: readonly [number, number] | null;
  /** Said instead of a picture if there is nothing to draw. */
  empty: string;
}

export interface ChartEvents {
  /** The pointer, or the keyboard, is at a step and perhaps at a line; null when it leaves. */
  hovered?: (at: { step: number; line: Line | null } | null) => void;
  chosen?: (line: Line) => void;
  /** A range of steps was brushed; null: a click without one. */
  brushed?: (range: [number, number] | null) => void;
}

const MARGIN = { left: 56, right: 12, top: 8, bottom: 22 };
const NEAR = 24;

export class LineChart {
  readonly root = div("tl-chart");
  readonly #svg = svgElement("svg", { class: "tl-chart-svg" });
  readonly #note = div("tl-chart-empty tl-muted");
  #chart: Chart = { title: "", lines: [], log: false, range: null, empty: "" };
  #x = scale([0, 1], [0, 1]);
  #y = scale([0, 1], [0, 1]);
  #width = 0;
  #cursor: number | null = null;
  #dragFrom: number | null = null;
  #dragTo: number | null = null;
  readonly #marks = svgElement("g", { class: "tl-chart-marks" });
  readonly #observer: ResizeObserver | null;

  readonly #height: number;
  readonly #events: ChartEvents;

  constructor(height: number, events: ChartEvents) {
    this.#height = height;
    this.#events = events;
    aria(this.#svg, { role: "img" });
    this.root.append(this.#svg, this.#note);
    if (events.hovered !== undefined) {
      this.root.tabIndex = 0;
      aria(this.root, { role: "group" });
      // The arrow keys are ours here, not the notebook's.
      ownKeys(this.root);
      on(this.root, "keydown", this.#key);
      on(this.root, "blur", this.#leave);
    }
    on(this.#svg, "pointermove", this.#move);
    on(this.#svg, "pointerleave", this.#leave);
    on(this.#svg, "pointerdown", this.#down);
    on(this.#svg, "pointerup", this.#up);
    this.#observer =
      typeof ResizeObserver === "undefined" ? null : new ResizeObserver(() => this.#resized());
    this.#observer?.observe(this.root);
  }

  update(chart: Chart): void {
    this.#chart = chart;
    this.#draw();
  }

  dispose(): void {
    this.#observer?.disconnect();
  }

  /** The picture by itself, with its colours written into it. */
  picture(color: string, back: string): { markup: string; width: number; height: number } {
    const copy = this.#svg.cloneNode(true) as SVGSVGElement;
    copy.querySelector(".tl-chart-marks")?.remove();
    const inner = [...copy.children].map((child) => new XMLSerializer().serializeToString(child));
    return {
      markup: inner.join("").replaceAll("currentColor", color).replaceAll("tl-back", back),
      width: this.#width,
      height: this.#height,
    };
  }

  #resized(): void {
    if (Math.abs(this.root.clientWidth - this.#width) > 1) this.#draw();
  }

  #draw(): void {
    const { lines, log, title } = this.#chart;
    const width = Math.max(this.root.clientWidth || 480, 160);
    this.#width = width;
    const height = this.#height;
    const xs = extent(
      lines.map((line) => line.xs),
      false,
    );
    const ys = extent(
      lines.map((line) => line.ys),
      log,
    );
    aria(this.root, { label: title });
    aria(this.#svg, { label: describe(this.#chart) });
    const empty = xs === null || ys === null;
    this.#svg.style.display = empty ? "none" : "";
    this.#note.textContent = empty ? this.#chart.empty : "";
    this.#note.style.minHeight = empty ? `${height}px` : "";
    if (empty) return;
    this.#svg.setAttribute("width", `${width}`);
    this.#svg.setAttribute("height", `${height}`);
    this.#svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const right = width - MARGIN.right;
    const bottom = height - MARGIN.bottom;
    this.#x = scale(xs, [MARGIN.left, right]);
    this.#y = scale(padded(ys, log), [bottom, MARGIN.top], log);
    const parts: SVGElement[] = [];
    for (const tick of this.#y.ticks(Math.max(2, Math.floor(height / 45)))) {
      const at = this.#y(tick);
      const grid = { x1: MARGIN.left, x2: right, y1: at, y2: at };
      parts.push(svgElement("line", { ...grid, stroke: "currentColor", "stroke-opacity": 0.15 }));
      parts.push(label(MARGIN.left - 6, at + 4, readable(tick), "end"));
    }
    for (const tick of this.#x.ticks(Math.max(2, Math.floor(width / 90)))) {
      if (!Number.isInteger(tick)) continue;
      const at = this.#x(tick);
      const grid = { x1: at, x2: at, y1: bottom, y2: bottom + 4 };
      parts.push(svgElement("line", { ...grid, stroke: "currentColor", "stroke-opacity": 0.5 }));
      parts.push(label(at, height - 4, `${tick}`, "middle"));
    }
    const frame = { x1: MARGIN.left, x2: right, y1: bottom, y2: bottom };
    parts.push(svgElement("line", { ...frame, stroke: "currentColor", "stroke-opacity": 0.5 }));
    // Strong ones last: over the others.
    const order = { faint: 0, normal: 1, strong: 2 };
    for (const line of [...lines].sort((a, b) => order[a.weight] - order[b.weight])) {
      const path = svgElement("path", {
        d: linePath(line.xs, line.ys, this.#x, this.#y, log),
        fill: "none",
        stroke: line.color,
        "stroke-width": line.weight === "strong" ? 3 : 1.5,
        "stroke-opacity": line.weight === "faint" ? 0.35 : 1,
        "stroke-linejoin": "round",
        "stroke-linecap": "round",
      });
      if (line.dash !== "") path.setAttribute("stroke-dasharray", line.dash);
      parts.push(path);
    }
    this.#svg.replaceChildren(...parts, this.#marks);
    this.#mark();
  }

  /** The brushed range and the cursor: redrawn alone while the pointer moves. */
  #mark(): void {
    const bottom = this.#height - MARGIN.bottom;
    const parts: SVGElement[] = [];
    const range =
      this.#dragFrom !== null && this.#dragTo !== null
        ? [this.#dragFrom, this.#dragTo].sort((a, b) => a - b)
        : this.#chart.range;
    if (range !== null && range[0] !== undefined && range[1] !== undefined) {
      const from = this.#x(range[0]);
      const to = this.#x(range[1]);
      const box = { x: from, y: MARGIN.top, width: Math.max(to - from, 1) };
      parts.push(
        svgElement("rect", { ...box, height: bottom - MARGIN.top, class: "tl-chart-range" }),
      );
    }
    if (this.#cursor !== null) {
      const at = this.#x(this.#cursor);
      const line = { x1: at, x2: at, y1: MARGIN.top, y2: bottom };
      parts.push(svgElement("line", { ...line, class: "tl-chart-cursor" }));
      for (const each of this.#chart.lines) {
        const i = nearest(each.xs, this.#cursor);
        const value = each.ys[i];
        if (each.xs[i] !== this.#cursor || value === undefined) continue;
        if (!shown(value, this.#chart.log) || each.weight === "faint") continue;
        const dot = { cx: at, cy: this.#y(value), r: each.weight === "strong" ? 4 : 2.5 };
        parts.push(svgElement("circle", { ...dot, fill: each.color }));
      }
    }
    this.#marks.replaceChildren(...parts);
  }

  #place(event: PointerEvent): { x: number; y: number } {
    const box = this.#svg.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  /** The step that some line has nearest to a pixel. */
  #stepAt(pixel: number): number | null {
    const wanted = this.#x.invert(pixel);
    let best: number | null = null;
    for (const { xs } of this.#chart.lines) {
      const step = xs[nearest(xs, wanted)];
      if (
        step !== undefined &&
        (best === null || Math.abs(step - wanted) < Math.abs(best - wanted))
      )
        best = step;
    }
    return best;
  }

  #lineAt(step: number, pixel: number): Line | null {
    let best: Line | null = null;
    let distance = NEAR;
    for (const line of this.#chart.lines) {
      const value = line.ys[nearest(line.xs, step)];
      if (value === undefined || !shown(value, this.#chart.log)) continue;
      const away = Math.abs(this.#y(value) - pixel);
      if (away < distance) [best, distance] = [line, away];
    }
    return best;
  }

  readonly #move = (event: PointerEvent): void => {
    const { x, y } = this.#place(event);
    const step = this.#stepAt(x);
    if (step === null) return;
    this.#cursor = step;
    if (this.#dragFrom !== null) this.#dragTo = step;
    this.#mark();
    this.#events.hovered?.({ step, line: this.#lineAt(step, y) });
  };

  readonly #leave = (): void => {
    if (this.#dragFrom !== null && this.#svg.hasPointerCapture?.(this.#pointer)) return;
    this.#cursor = this.#dragFrom = this.#dragTo = null;
    this.#mark();
    this.#events.hovered?.(null);
  };

  #pointer = -1;

  readonly #down = (event: PointerEvent): void => {
    if (event.button !== 0 || this.#events.brushed === undefined) return;
    this.#pointer = event.pointerId;
    this.#svg.setPointerCapture?.(event.pointerId);
    this.#dragFrom = this.#stepAt(this.#place(event).x);
    this.#dragTo = null;
    event.preventDefault();
    this.root.focus({ preventScroll: true });
  };

  readonly #up = (event: PointerEvent): void => {
    const [from, to] = [this.#dragFrom, this.#dragTo];
    this.#dragFrom = this.#dragTo = null;
    this.#svg.releasePointerCapture?.(event.pointerId);
    if (from !== null && to !== null && from !== to) {
      this.#events.brushed?.([Math.min(from, to), Math.max(from, to)]);
      return;
    }
    const { x, y } = this.#place(event);
    const step = this.#stepAt(x);
    const line = step === null ? null : this.#lineAt(step, y);
    if (line !== null) this.#events.chosen?.(line);
    else this.#events.brushed?.(null);
  };

  readonly #key = (event: KeyboardEvent): void => {
    const steps = [...new Set(this.#chart.lines.flatMap((line) => Array.from(line.xs)))];
    steps.sort((a, b) => a - b);
    if (steps.length === 0) return;
    const now = this.#cursor === null ? steps.length - 1 : nearest(steps, this.#cursor);
    const moves: Record<string, number> = {
      ArrowLeft: now - 1,
      ArrowRight: now + 1,
      PageUp: now - 10,
      PageDown: now + 10,
      Home: 0,
      End: steps.length - 1,
    };
    const next = moves[event.key];
    if (event.key === "Escape") {
      this.#events.brushed?.(null);
    } else if (next !== undefined) {
      const step = steps[Math.min(Math.max(next, 0), steps.length - 1)] as number;
      if (event.shiftKey && this.#events.brushed !== undefined) {
        const [a, b] = this.#chart.range ?? [this.#cursor ?? step, this.#cursor ?? step];
        const anchor = this.#cursor === a ? b : a;
        this.#events.brushed([Math.min(anchor, step), Math.max(anchor, step)]);
      }
      this.#cursor = step;
      this.#mark();
      this.#events.hovered?.({ step, line: null });
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  };
}

function label(x: number, y: number, text: string, anchor: string): SVGElement {
  const attributes = { x, y, "text-anchor": anchor, fill: "currentColor", "font-size": 11 };
  return svgElement("text", { ...attributes, "fill-opacity": 0.75 }, text);
}

/** What a screen reader says of the picture: each line's end. */
export function describe(chart: Chart): string {
  const ends = chart.lines.slice(0, 12).map((line) => {
    const last = line.ys[line.ys.length - 1];
    return `${line.name} ${readable(last ?? Number.NaN)}`;
  });
  const more = chart.lines.length > 12 ? ` and ${chart.lines.length - 12} more lines` : "";
  return `${chart.title}, at the end: ${ends.join(", ")}${more}`;
}
