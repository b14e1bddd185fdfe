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
    const every = Math.max(1, Math.ceil(((high - low + 1) * 14) / HEIGHT));
    const middle = run.edges.length / 2;
    for (let bin = low; bin <= high; bin++) {
      if ((bin - middle) % every !== 0) continue;
      // The outermost are not cut by the edges of the canvas.
      const y = Math.min(Math.max((high - bin + 0.5) * tall, 6), HEIGHT - 6);
      context.fillText(binName(run.edges, bin), LEFT - 6, y);
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

/** The magnitude that a bin stands for, with its sign; "0" for the one in the middle. */
export function binName(edges: readonly number[], bin: number): string {
  const middle = edges.length / 2;
  if (bin === middle) return "0";
  const edge = bin > middle ? edges[bin - 1] : edges[bin];
  return readable(edge as number);
}

/** "from 0.1 to 0.5" */
export function binWords(edges: readonly number[], bin: number): string {
  if (bin === 0) return `below ${readable(edges[0] as number)}`;
  if (bin === edges.length) return `above ${readable(edges[edges.length - 1] as number)}`;
  return `from ${readable(edges[bin - 1] as number)} to ${readable(edges[bin] as number)}`;
}
