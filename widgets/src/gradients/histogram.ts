// One layer's gradient histograms side by side over the steps: a column for each, dark to bright.

import { colors, fitted, viridis } from "../common/canvas";
import { readable } from "../common/curves";
import { aria, div, element, on } from "../common/dom";
import { inside, type Run, usedBins } from "./data";

const HEIGHT = 150;
const LEFT = 56;
const RIGHT = 12;

export class HistogramView {
  readonly root = div("tl-flow-histogram");
  readonly #title = div("tl-flow-subtitle");
  readonly #canvas = element("canvas", "tl-flow-canvas");
  readonly #readout = div("tl-muted tl-flow-readout");
  #shown: { run: Run; columns: number[]; range: readonly [number, number] | null } | null = null;

  constructor() {
    this.#canvas.style.height = `${HEIGHT}px`;
    aria(this.#canvas, { role: "img" });
    on(this.#canvas, "pointermove", (event) => this.#hover(event.offsetX, event.offsetY));
    on(this.#canvas, "pointerleave", () => {
      this.#readout.textContent = "";
    });
    this.root.append(this.#title, this.#canvas, this.#readout);
  }

  update(
    run: Run,
    name: string,
    columns: number[],
    range: readonly [number, number] | null,
    several: boolean,
  ): void {
    this.#shown = { run, columns, range };
    const words = `Values of the gradients of ${name}${several ? ` (${run.label})` : ""}`;
    this.#title.textContent = words;
    aria(this.#canvas, { label: `${words}, a histogram for each step` });
    this.root.hidden = columns.length === 0 || run.histogramSteps.length === 0;
    this.draw();
  }

  draw(): void {
    const context = fitted(this.#canvas);
    if (context === null || this.#shown === null) return;
    const found = this.#layout();
    const width = this.#canvas.clientWidth;
    context.clearRect(0, 0, width, HEIGHT);
    if (found === null) return;
    const { run } = this.#shown;
    const { steps, histogram, low, high, cell, tall } = found;
    steps.forEach((step, column) => {
      for (let bin = low; bin <= high; bin++) {
        const share = histogram.at(step, bin);
        if (share <= 0) continue;
        context.fillStyle = viridis(0.08 + 0.92 * share);
        const y = (high - bin) * tall;
        context.fillRect(LEFT + column * cell, y, Math.max(cell, 1) + 0.5, tall + 0.5);
      }
    });
    const ink = colors(this.root, ["--tl-text"])["--tl-text"];
    context.fillStyle = ink;
    context.font = "11px sans-serif";
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const [value, at] of ticks(run.edges, low, high, 14 / tall)) {
      const y = (high + 1 - at) * tall;
      // The outermost must not be cut by the edges of the canvas.
      if (y >= 6 && y <= HEIGHT - 6) context.fillText(readable(value), LEFT - 6, y);
    }
  }

  #layout() {
    if (this.#shown === null) return null;
    const { run, columns, range } = this.#shown;
    const histogram = run.histogram(columns);
    const steps = [...run.histogramSteps.keys()].filter((i) =>
      inside(run.histogramSteps[i] as number, range),
    );
    const used = usedBins(run.histogramSteps.length, histogram);
    if (used === null || steps.length === 0) return null;
    const [low, high] = used;
    const cell = Math.max(this.#canvas.clientWidth - LEFT - RIGHT, 10) / steps.length;
    return { steps, histogram, low, high, cell, tall: HEIGHT / (high - low + 1) };
  }

  #hover(x: number, y: number): void {
    const found = this.#layout();
    if (found === null || this.#shown === null) return;
    const { run } = this.#shown;
    const step = found.steps[Math.floor((x - LEFT) / found.cell)];
    const bin = found.high - Math.floor(y / found.tall);
    if (step === undefined || bin < found.low) {
      this.#readout.textContent = "";
      return;
    }
    const share = Math.round(100 * found.histogram.at(step, bin));
    this.#readout.textContent = `step ${run.histogramSteps[step]}: ${binWords(run.edges, bin)}, ${share} % of the fullest bin`;
  }
}

/** Values to write beside the bins, and where they lie, counted in bins: 0, and powers of ten of both signs,
    `apart` bins from one to the next at least. The edges are the powers of 4 of both signs. */
export function ticks(
  edges: readonly number[],
  low: number,
  high: number,
  apart: number,
): [value: number, at: number][] {
  const middle = edges.length / 2;
  const decade = Math.log10(edges[middle] as number);
  const bins = Math.log(10) / Math.log(4);
  const every = [1, 2, 3, 6, 12].find((each) => each * bins >= apart) ?? 24;
  const found: [number, number][] = [[0, middle + 0.5]];
  for (let k = Math.ceil(decade / every) * every; ; k += every) {
    const away = (k - decade) * bins + 0.5;
    if (away > edges.length) break;
    if (away < apart) continue;
    found.push([10 ** k, middle + 0.5 + away], [-(10 ** k), middle + 0.5 - away]);
  }
  return found.filter(([, at]) => at >= low && at <= high + 1);
}

/** "from 0.1 to 0.5" */
export function binWords(edges: readonly number[], bin: number): string {
  if (bin === 0) return `below ${readable(edges[0] as number)}`;
  if (bin === edges.length) return `above ${readable(edges[edges.length - 1] as number)}`;
  return `from ${readable(edges[bin - 1] as number)} to ${readable(edges[bin] as number)}`;
}
