// Recorded runs as tensorlab_widgets/_gradient_runs.py packs them, and what is drawn of them: lines of
// parameters or of whole layers.

import { median } from "../common/curves";
import { floats, integers } from "../common/model";

export interface Flag {
  kind: string;
  severity: string;
  where: string[];
  step: number;
  reason: string;
  suggestion: string;
}

export interface PackedRun {
  label: string;
  /** Optimizer steps; only some of them were looked at. */
  count: number;
  names: string[];
  /** The class of the module that each parameter belongs to; of saved runs it is not known. */
  kinds: string[];
  sizes: number[];
  steps: DataView;
  losses: DataView;
  /** Each steps × names. */
  statistics: Record<string, DataView>;
  /** The finite edges of the histograms' bins; a bin lies below the first and above the last. */
  edges: number[];
  histogramSteps: DataView;
  /** Shares of the column's largest bin in 1/255: histogram steps × names × bins. */
  histograms: DataView;
  activations: string[];
  activationStatistics: Record<string, DataView>;
  flags: Flag[];
}

export interface FlowState {
  runs: PackedRun[];
  /** Whether steps are still being recorded. */
  watching: boolean;
}

export type Grouping = "layers" | "parameters";

export interface Statistic {
  id: string;
  name: string;
  of: "gradients" | "activations" | "loss";
  log: boolean;
}

export const STATISTICS: readonly Statistic[] = [
  { id: "raw_norm", name: "gradient norm", of: "gradients", log: true },
  { id: "norm", name: "gradient norm after clipping", of: "gradients", log: true },
  { id: "update_ratio", name: "update / weight", of: "gradients", log: true },
  { id: "weight_norm", name: "weight norm", of: "gradients", log: true },
  { id: "std", name: "gradient spread (std)", of: "gradients", log: true },
  { id: "zeros", name: "share of zero gradients", of: "gradients", log: false },
  { id: "std", name: "activation spread (std)", of: "activations", log: true },
  { id: "zeros", name: "share of zero activations", of: "activations", log: false },
  { id: "saturated", name: "share of saturated activations", of: "activations", log: false },
  { id: "dead", name: "share of dead units", of: "activations", log: false },
  { id: "loss", name: "loss", of: "loss", log: false },
];

export interface Series {
  name: string;
  ys: Float32Array;
}

/** A layer: a module's own parameters. */
export interface Layer {
  name: string;
  columns: number[];
}

export class Run {
  readonly label: string;
  readonly count: number;
  readonly names: string[];
  readonly flags: Flag[];
  readonly activations: string[];
  readonly edges: number[];
  readonly steps: Int32Array;
  readonly losses: Float32Array;
  readonly histogramSteps: Int32Array;
  readonly layers: Layer[];
  readonly #tables = new Map<string, Float32Array>();
  readonly #histograms: Uint8Array;

  readonly #packed: PackedRun;

  constructor(packed: PackedRun) {
    this.#packed = packed;
    this.label = packed.label;
    this.count = packed.count;
    this.names = packed.names;
    this.flags = packed.flags;
    this.activations = packed.activations;
    this.edges = packed.edges;
    this.steps = integers(packed.steps);
    this.losses = floats(packed.losses);
    this.histogramSteps = integers(packed.histogramSteps);
    const { buffer, byteOffset, byteLength } = packed.histograms;
    this.#histograms = new Uint8Array(buffer, byteOffset, byteLength);
    this.layers = layersOf(packed.names);
  }

  #table(of: "statistics" | "activationStatistics", id: string): Float32Array {
    const key = `${of}:${id}`;
    let found = this.#tables.get(key);
    if (found === undefined) {
      const view = this.#packed[of][id];
      found = view === undefined ? new Float32Array() : floats(view);
      this.#tables.set(key, found);
    }
    return found;
  }

  /** The lines of a statistic, in the model's order. */
  series(statistic: Statistic, grouping: Grouping): Series[] {
    if (statistic.of === "loss") return [{ name: "loss", ys: this.losses }];
    if (statistic.of === "activations") {
      const table = this.#table("activationStatistics", statistic.id);
      const found = this.activations.map((name, i) => ({
        name,
        ys: this.#column(table, i, this.activations.length),
      }));
      return found.filter(({ ys }) => ys.some((y) => !Number.isNaN(y)));
    }
    const width = this.names.length;
    const table = this.#table("statistics", statistic.id);
    if (grouping === "parameters") {
      return this.names.map((name, i) => ({ name, ys: this.#column(table, i, width) }));
    }
    return this.layers.map((layer) => ({
      name: layer.name,
      ys: this.#combined(statistic.id, layer.columns),
    }));
  }

  #column(table: Float32Array, i: number, width: number): Float32Array {
    return Float32Array.from(this.steps, (_, step) => table[step * width + i] ?? Number.NaN);
  }

  /** One number for several parameters: norms add as squares, ratios are of those norms, the rest by size. */
  #combined(id: string, columns: number[]): Float32Array {
    const width = this.names.length;
    const table = this.#table("statistics", id);
    const weights = this.#table("statistics", "weight_norm");
    return Float32Array.from(this.steps, (_, step) => {
      let total = 0;
      let base = 0;
      let known = false;
      for (const i of columns) {
        const value = table[step * width + i] as number;
        if (Number.isNaN(value)) continue;
        known = true;
        const size = this.#packed.sizes[i] as number;
        const weight = weights[step * width + i] as number;
        if (id === "update_ratio") {
          // A ratio to a weight of 0 is infinite, and so is its share; it says nothing of the layer.
          if (!Number.isFinite(value)) continue;
          total += (value * weight) ** 2;
          base += weight ** 2;
        } else if (id === "std") {
          total += size * value ** 2;
          base += size;
        } else if (id === "zeros") {
          total += size * value;
          base += size;
        } else {
          total += value ** 2;
        }
      }
      if (!known) return Number.NaN;
      if (id === "zeros") return total / base;
      if (id === "std" || id === "update_ratio") return Math.sqrt(total / base);
      return Math.sqrt(total);
    });
  }

  /** The columns of parameters behind a line. */
  columnsOf(name: string, grouping: Grouping): number[] {
    if (grouping === "layers") {
      const layer = this.layers.find((each) => each.name === name);
      if (layer !== undefined) return layer.columns;
    }
    const i = this.names.indexOf(name);
    return i < 0 ? [] : [i];
  }

  /** Shares (0 to 1) of a histogram's bins for each of `histogramSteps`; several are taken together. */
  histogram(columns: number[]): { bins: number; at: (step: number, bin: number) => number } {
    const bins = this.edges.length + 1;
    const width = this.names.length;
    const at = (step: number, bin: number) => {
      let largest = 0;
      for (const i of columns) {
        largest = Math.max(largest, this.#histograms[(step * width + i) * bins + bin] ?? 0);
      }
      return largest / 255;
    };
    return { bins, at };
  }

  /** What kind of layer a line stands for: "" where that is not known. */
  kindOf(name: string, grouping: Grouping): string {
    return grouping === "layers"
      ? (this.#packed.kinds[this.columnsOf(name, grouping)[0] ?? -1] ?? "")
      : "";
  }

  /** The flags about a line; those without a place are about the whole run and not listed here. */
  flagsOf(name: string, grouping: Grouping): Flag[] {
    const names = new Set(this.columnsOf(name, grouping).map((i) => this.names[i]));
    return this.flags.filter((flag) =>
      flag.where.some((place) => place === name || names.has(place)),
    );
  }
}

/** Parameters by the module that owns them, in the model's order. */
export function layersOf(names: readonly string[]): Layer[] {
  const found = new Map<string, Layer>();
  names.forEach((name, i) => {
    const dot = name.lastIndexOf(".");
    const module = dot < 0 ? "(model)" : name.slice(0, dot);
    const layer = found.get(module) ?? { name: module, columns: [] };
    layer.columns.push(i);
    found.set(module, layer);
  });
  return [...found.values()];
}

/** The median over the steps in a range, or over all. */
export function typical(
  steps: Int32Array,
  ys: Float32Array,
  range: readonly [number, number] | null,
): number {
  if (range === null) return median(ys);
  return median(ys.filter((_, i) => inside(steps[i] as number, range)));
}

export function inside(step: number, range: readonly [number, number] | null): boolean {
  return range === null || (step >= range[0] && step <= range[1]);
}

/** The bins that any step fills, so that the picture shows where something is. */
export function usedBins(
  steps: number,
  histogram: { bins: number; at: (step: number, bin: number) => number },
): [number, number] | null {
  let low = histogram.bins;
  let high = -1;
  for (let step = 0; step < steps; step++) {
    for (let bin = 0; bin < histogram.bins; bin++) {
      if (histogram.at(step, bin) > 0) {
        if (bin < low) low = bin;
        if (bin > high) high = bin;
      }
    }
  }
  return low <= high ? [low, high] : null;
}
