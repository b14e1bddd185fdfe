// @vitest-environment happy-dom
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { fakeModel } from "../common/testing";
import gradientsWidget from "../gradients";
import {
  type FlowState,
  layersOf,
  type PackedRun,
  Run,
  STATISTICS,
  type Statistic,
  typical,
  usedBins,
} from "./data";
import { binWords, ticks } from "./histogram";

const floats = (...values: number[]) => new DataView(Float32Array.from(values).buffer);
const steps = (...values: number[]) => new DataView(Int32Array.from(values).buffer);
const EDGES = [-0.1, -0.001, 0.001, 0.1];
const flag = {
  kind: "vanishing",
  severity: "error",
  where: ["0.weight"],
  step: 10,
  reason: "It is small.",
  suggestion: "Use another one.",
};

/** Three steps of two layers: 0.weight (4 numbers), 0.bias (2) and 1.weight (2). */
function packed(change: Partial<PackedRun> = {}): PackedRun {
  const table = floats(3, 4, 1, 6, 8, 1, 0.3, Number.NaN, 1);
  return {
    label: "this run",
    count: 21,
    names: ["0.weight", "0.bias", "1.weight"],
    kinds: ["Linear", "Linear", "Mine"],
    sizes: [4, 2, 2],
    steps: steps(0, 10, 20),
    losses: floats(1, 0.5, 0.25),
    statistics: {
      raw_norm: table,
      norm: table,
      update_ratio: floats(0.1, Infinity, 0.5, 0.1, 0.2, 0.5, 0.1, 0.2, 0.5),
      weight_norm: floats(3, 0, 1, 3, 4, 1, 3, 4, 1),
      std: floats(1, 2, 3, 1, 2, 3, 1, 2, 3),
      zeros: floats(0.5, 0, 1, 0.5, 0, 1, 0.5, 0, 1),
    },
    edges: EDGES,
    histogramSteps: steps(0, 20),
    // Two steps of three parameters of five bins.
    histograms: new DataView(
      Uint8Array.from([
        0, 0, 255, 51, 0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 0, 0, 255, 0, 0, 0, 0, 51, 255, 0, 0, 0,
        255, 0, 0,
      ]).buffer,
    ),
    activations: ["relu", "unused"],
    activationStatistics: {
      std: floats(1, Number.NaN, 1, Number.NaN, 1, Number.NaN),
      zeros: floats(0.5, 0.5, 0.5, 0.5, 0.5, 0.5),
      saturated: floats(),
      dead: floats(),
    },
    flags: [flag],
    ...change,
  };
}
const statistic = (name: string) => STATISTICS.find((each) => each.name === name) as Statistic;
const round1 = (y: number) => Math.round(y * 1000) / 1000;
const round = (ys: Float32Array) => [...ys].map(round1);

test("parameters belong to the module that owns them", () => {
  expect(layersOf(["a.weight", "b.0.weight", "a.bias", "scale"])).toEqual([
    { name: "a", columns: [0, 2] },
    { name: "b.0", columns: [1] },
    { name: "(model)", columns: [3] },
  ]);
});

test("numbers of a layer are of all its parameters", () => {
  const run = new Run(packed());
  const of = (name: string) =>
    run.series(statistic(name), "layers").map(({ name: layer, ys }) => [layer, round(ys)]);
  // Norms add as squares; what is not known is left out.
  expect(of("gradient norm")).toEqual([
    ["0", [5, 10, 0.3]],
    ["1", [1, 1, 1]],
  ]);
  // (0.1·3)² and (0.2·4)² over 3² + 4²; a ratio to a weight of 0 says nothing.
  expect(of("update / weight")[0]).toEqual(["0", [0.1, 0.171, 0.171]]);
  expect(of("gradient spread (std)")[0]?.[1]).toEqual(new Array(3).fill(round1(Math.SQRT2)));
  expect(of("share of zero gradients")[0]?.[1]).toEqual([0.333, 0.333, 0.333]);
  expect(run.series(statistic("gradient norm"), "parameters").length).toBe(3);
  expect(run.series(statistic("activation spread (std)"), "layers").map((s) => s.name)).toEqual([
    "relu",
  ]);
  expect(run.series(statistic("loss"), "layers")[0]?.ys).toEqual(run.losses);
});

test("histograms, and what their bins are called", () => {
  const run = new Run(packed());
  const both = run.histogram(run.columnsOf("0", "layers"));
  expect(both.bins).toBe(5);
  expect([both.at(0, 2), both.at(0, 3), both.at(1, 1), both.at(1, 4)]).toEqual([1, 0.2, 0, 0]);
  expect(usedBins(2, both)).toEqual([2, 3]);
  expect(usedBins(0, both)).toBeNull();
  expect([0, 3, 4].map((bin) => binWords(EDGES, bin))).toEqual([
    "below -0.1",
    "from 0.001 to 0.1",
    "above 0.1",
  ]);
});

test("beside histograms stand powers of ten, where they lie among the powers of four", () => {
  const positive = Array.from({ length: 6 }, (_, i) => 4 ** (i - 5)); // 1/1024 to 1
  const edges = [...positive.map((edge) => -edge).reverse(), ...positive];
  // Bins 0 to 12: 6 is that of 0, and 7 begins at 1/1024.
  const found = ticks(edges, 0, 12, 0.5);
  expect(found.map(([value]) => value)).toEqual([0, 0.001, -0.001, 0.01, -0.01, 0.1, -0.1, 1, -1]);
  const at = new Map(found);
  expect(at.get(0)).toBe(6.5);
  expect(at.get(1)).toBeCloseTo(12); // the last edge: above it lies the last bin
  expect(at.get(-1)).toBeCloseTo(1);
  expect(at.get(0.001)).toBeCloseTo(7 + Math.log(0.001 * 1024) / Math.log(4));
  // Where there is little room there are fewer, and none beside bins that are not shown.
  expect(ticks(edges, 0, 12, 4).map(([value]) => value)).toEqual([0, 1, -1]);
  expect(ticks(edges, 6, 12, 1).every(([value]) => value >= 0)).toBe(true);
});

test("flags are found by layer and by parameter; a range has its own median", () => {
  const run = new Run(packed());
  expect(run.flagsOf("0", "layers")).toEqual([flag]);
  expect(run.flagsOf("0.bias", "parameters")).toEqual([]);
  expect(run.columnsOf("nowhere", "layers")).toEqual([]);
  const ys = Float32Array.from([1, 2, 9]);
  expect(typical(run.steps, ys, null)).toBe(2);
  expect(typical(run.steps, ys, [10, 20])).toBe(5.5);
});

beforeEach(() => {
  vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue(null);
});
afterEach(() => {
  vi.restoreAllMocks();
  document.body.replaceChildren();
});

function show(state: FlowState) {
  const model = fakeModel(state);
  const el = document.createElement("div");
  document.body.append(el);
  const dispose = gradientsWidget.render({ model: model.model, el });
  const rows = () => [...el.querySelectorAll<HTMLElement>('[role="option"]')];
  const list = el.querySelector('[role="listbox"]') as HTMLElement;
  const press = (key: string) => list.dispatchEvent(new KeyboardEvent("keydown", { key }));
  const range = (which: string, value: number) => {
    const input = el.querySelector<HTMLInputElement>(`[aria-label="${which}"]`) as HTMLInputElement;
    input.value = `${value}`;
    input.dispatchEvent(new Event("change"));
  };
  return { model, el, dispose, rows, press, range };
}

test("layers are listed with their last numbers and chosen with the keyboard", () => {
  const { el, rows, press, dispose, model } = show({ runs: [packed()], watching: true });
  expect(el.textContent).toContain("21 steps, recording");
  expect(rows().map((row) => row.textContent)).toEqual(["0 Linear⚠0.3", "1 Mine1"]);
  press("ArrowDown");
  press("ArrowDown");
  expect(rows().map((row) => row.getAttribute("aria-selected"))).toEqual(["false", "true"]);
  expect(el.textContent).toContain("Values of the gradients of 1 (Mine)");
  press("Escape");
  expect(rows().some((row) => row.getAttribute("aria-selected") === "true")).toBe(false);
  rows()[0]?.click();
  expect(rows()[0]?.getAttribute("aria-selected")).toBe("true");
  dispose();
  expect(model.listeners("change:state")).toBe(0);
});

test("flags say what to do and show where", () => {
  const { el, rows } = show({ runs: [packed()], watching: false });
  expect(el.querySelector(".tl-flow-error")?.textContent).toContain(
    "✗ vanishing It is small.→ Use another one.",
  );
  const where = [...el.querySelectorAll("button")].find((each) => each.textContent === "Show 0");
  where?.click();
  expect(rows()[0]?.getAttribute("aria-selected")).toBe("true");
  const healthy = show({ runs: [packed({ flags: [] })], watching: false });
  expect(healthy.el.textContent).toContain("✓ Nothing is flagged.");
});

test("of two steps nothing is said to be healthy", () => {
  const early = packed({ flags: [], steps: steps(0, 20) });
  const { el, model } = show({ runs: [early], watching: true });
  expect(el.textContent).not.toContain("✓");
  expect(el.textContent).toContain("Too early to judge");
  vi.spyOn(globalThis, "requestAnimationFrame").mockImplementation((then) => {
    then(0);
    return 0;
  });
  model.update({ runs: [packed({ flags: [] })], watching: true });
  expect(el.textContent).toContain("✓ Nothing is flagged.");
});

test("a range of steps has its own numbers, until all are shown again", () => {
  const { el, rows, range } = show({ runs: [packed()], watching: false });
  range("Last step of the range", 10);
  expect(el.textContent).toContain("median of the range");
  expect(rows()[0]?.textContent).toBe("0 Linear⚠7.5");
  [...el.querySelectorAll("button")].find((each) => each.textContent === "All steps")?.click();
  expect(el.textContent).toContain("last step");
});

test("two runs stand side by side", () => {
  const other = packed({ label: "the other", count: 3, flags: [] });
  const { el, rows } = show({ runs: [packed(), other], watching: false });
  expect(el.textContent).toContain("21 and 3 steps");
  expect(rows()[0]?.querySelectorAll(".tl-flow-value").length).toBe(2);
  expect(el.querySelectorAll(".tl-chart-svg path").length).toBe(4);
});

test("a saved picture says which line is which", async () => {
  const saved: Blob[] = [];
  vi.spyOn(URL, "createObjectURL").mockImplementation((blob) => {
    saved.push(blob as Blob);
    return "blob:";
  });
  const save = async (runs: ReturnType<typeof packed>[]) => {
    const { el } = show({ runs, watching: false });
    [...el.querySelectorAll("button")].find((each) => each.textContent === "SVG")?.click();
    const svg = (await saved.pop()?.text()) ?? "";
    const page = new DOMParser().parseFromString(svg, "image/svg+xml");
    return [...page.querySelectorAll("path[stroke-width='3'] + text")].map((text) => [
      text.textContent,
      text.previousElementSibling?.getAttribute("stroke-dasharray"),
    ]);
  };
  expect(await save([packed()])).toEqual([
    ["0", ""],
    ["1", "6 3"],
  ]);
  expect(await save([packed(), packed({ label: "the other", flags: [] })])).toEqual([
    ["this run", ""],
    ["the other", "5 4"],
    ["0", ""],
    ["1", ""],
  ]);
});

test("before the first step it says so", () => {
  const empty = new DataView(new ArrayBuffer(0));
  const { el } = show({
    runs: [packed({ steps: empty, losses: empty, histogramSteps: empty, count: 0, flags: [] })],
    watching: true,
  });
  expect(el.textContent).toContain("Nothing is recorded yet: train for a step.");
});
