// @vitest-environment happy-dom
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { integers } from "../common/model";
import { fakeModel } from "../common/testing";
import graphWidget from "../graph";
import { above, buildHierarchy, firstOpen, MOST_PARTS, nodeKey, visible } from "./hierarchy";
import { layered } from "./layered";
import { Layouter } from "./layout";
import { outlineRows } from "./outline";
import { type Marks, type Palette, toSvg } from "./paint";
import { type Gradient, type GraphState, readGraph, type Step } from "./records";
import { boxAt, boxSize, buildScene, measure, share } from "./scene";
import { pathToOutputs, search } from "./search";
import { Stepper } from "./stepper";
import { blocks, graphState, type Made } from "./testing";

const read = (state: GraphState) => readGraph(state, integers);

function laidOut(state: GraphState, open?: (keys: string[]) => string[], leaves = true) {
  const graph = read(state);
  const hierarchy = buildHierarchy(graph, { leaves });
  const keys = new Set(open ? open([...hierarchy.groups.keys()]) : firstOpen(hierarchy));
  const layouter = new Layouter(
    hierarchy,
    (part) => boxSize(graph, part),
    (node) => graph.nodes[node]?.kind === "leaf",
  );
  const scene = buildScene(graph, hierarchy, keys, layouter.arrange(keys));
  return { graph, hierarchy, keys, layouter, scene };
}

const overlap = (a: Rect, b: Rect) =>
  a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
interface Rect {
  x: number;
  y: number;
  width: number;
  height: number;
}

test("modules stand in the order in which they run, whenever their parameters were numbered", () => {
  const state = graphState([
    { label: "0.weight", module: "0" },
    { label: "2.weight", module: "2" },
    { op: "linear", module: "0", from: [0] },
    { op: "relu", module: "1", from: [2] },
    { op: "linear", module: "2", from: [3, 1] },
  ]);
  const graph = read(state);
  for (const leaves of [true, false]) {
    const { root } = buildHierarchy(graph, { leaves });
    expect(root.parts.map((part) => part.key)).toEqual(["m:0", "m:1", "m:2"]);
  }
});

test("twelve equal blocks are one stack, which opens into twelve", () => {
  const { graph, hierarchy, keys, scene } = laidOut(blocks(12), undefined, false);
  const stack = hierarchy.groups.get("s:m:layers.0");
  expect([stack?.title, stack?.repeats, stack?.type]).toEqual(["Block", 12, "0 … 11"]);
  expect(scene.boxes.filter((box) => !box.open).map((box) => box.title)).toEqual([
    "Block ×12",
    "mean",
  ]);
  expect(visible(hierarchy, keys, 4)).toBe("s:m:layers.0");
  keys.add("s:m:layers.0").add("m:layers.3");
  const rows = outlineRows(graph, hierarchy, keys).map((row) => `${row.level} ${row.text}`);
  expect(rows.slice(0, 8)).toEqual([
    "1 layers",
    "2 ×12 Block",
    "3 0",
    "3 1",
    "3 2",
    "3 3",
    "4 attn",
    "4 add",
  ]);
  expect(visible(hierarchy, keys, 10)).toBe("m:layers.3.attn");
  expect(visible(hierarchy, keys, 11)).toBe(nodeKey(11));
  expect(above(hierarchy.home[11] ?? null).map((group) => group.key)).toEqual([
    "m:",
    "m:layers",
    "s:m:layers.0",
    "m:layers.3",
  ]);
});

test("equal blocks are laid out once, and boxes stand in their frames without overlapping", () => {
  const { scene, layouter, hierarchy } = laidOut(blocks(12), (keys) => keys);
  // The root, layers, the stack, its first block (nothing enters), the others, and two attentions alike.
  expect(layouter.computed).toBeLessThan(9);
  const rectangle = new Map(scene.boxes.map((box) => [box.key, box]));
  for (const group of hierarchy.groups.values()) {
    const inside = group.parts.map((part) => rectangle.get(part.key) as Rect);
    const frame = rectangle.get(group.key) ?? { x: 0, y: 0, ...scene };
    inside.forEach((a, i) => {
      expect(a.x).toBeGreaterThanOrEqual(frame.x);
      expect(a.x + a.width).toBeLessThanOrEqual(frame.x + frame.width);
      expect(a.y + a.height).toBeLessThanOrEqual(frame.y + frame.height);
      for (const b of inside.slice(i + 1)) expect(overlap(a, b)).toBe(false);
    });
  }
});

test("every edge of the graph is drawn, and data flows downwards", () => {
  const { graph, scene } = laidOut(blocks(3), (keys) => keys);
  const drawn = new Set(scene.lines.flatMap((line) => line.raw));
  expect(drawn.size).toBe(graph.edges.length);
  for (const { points } of scene.lines) {
    const ys = points.map((point) => point.y);
    expect(ys).toEqual([...ys].sort((a, b) => a - b));
  }
});

test("layers: a long edge goes around, a circle is no trouble, nothing overlaps", () => {
  const size = { width: 60, height: 20 };
  const { centers, ways } = layered(
    [size, size, size, size],
    [
      [0, 1],
      [1, 2],
      [0, 2],
      [2, 3],
      [3, 1], // a module used twice
      [2, 2],
    ],
  );
  const [a, b, c] = centers as [Rect, Rect, Rect];
  expect(a.y).toBeLessThan(b.y);
  expect(b.y).toBeLessThan(c.y);
  const bend = ways[2]?.[0];
  expect(Math.abs((bend?.x ?? 0) - b.x)).toBeGreaterThan(30);
  expect(ways[4]?.[0]?.y).toBeGreaterThan(ways[4]?.at(-1)?.y ?? 0);
  expect(layered([], [])).toEqual({ centers: [], ways: [] });
});

test("a module with thousands of parts is shown some at a time, in order", () => {
  const chain: Made[] = Array.from({ length: 5000 }, (_, i) => ({ from: i > 0 ? [i - 1] : [] }));
  const { hierarchy, scene } = laidOut(graphState(chain));
  expect(hierarchy.root.parts.length).toBeLessThanOrEqual(MOST_PARTS);
  expect(hierarchy.root.nodes.length).toBe(5000);
  for (const group of hierarchy.groups.values()) {
    expect(group.parts.length).toBeLessThanOrEqual(MOST_PARTS);
  }
  expect(scene.boxes[0]?.title).toBe("parts 1–71 of 5000");
  expect(scene.lines.length).toBe(hierarchy.root.parts.length - 1);
});

test("leaves can be left out", () => {
  const shown = laidOut(blocks(1), (keys) => keys, true).scene.boxes;
  const without = laidOut(blocks(1), (keys) => keys, false).scene.boxes;
  expect(shown.map((box) => box.title)).toContain("weight");
  expect(without.map((box) => box.title)).not.toContain("weight");
  expect(without.length).toBe(shown.length - 1);
});

test("search: all words, in names, modules, classes and shapes", () => {
  const graph = read(blocks(3));
  expect(search(graph, "linear")).toEqual([1, 4, 7]);
  expect(search(graph, "Block ADD")).toEqual([2, 5, 8]);
  expect(search(graph, "layers.1 (2,3)")).toEqual([3, 4, 5]);
  expect(search(graph, "   ")).toEqual([]);
  expect(search(graph, "nowhere")).toEqual([]);
});

test("the path to the outputs takes every way and no other", () => {
  const graph = read(
    graphState([
      { label: "w" },
      { from: [0] },
      { from: [0] },
      { from: [1, 2] },
      { label: "b" },
      { from: [3, 4] },
    ]),
  );
  const path = pathToOutputs(graph, [0]);
  expect([...path.nodes].sort()).toEqual([0, 1, 2, 3, 5]);
  expect(path.edges.size).toBe(5);
  expect(path.edges.has(5)).toBe(false); // from b
});

test("quantities are summed over closed groups, and gradients' norms are not", () => {
  const state = blocks(2);
  for (const [i, node] of state.nodes.entries()) node.saved_bytes = i < 3 ? 1000 : 10;
  const { graph, hierarchy } = laidOut(state);
  const block = hierarchy.groups.get("m:layers.0");
  const memory = measure(graph, "memory", new Map());
  expect(block && memory?.value(block)).toBe(3000);
  expect([memory?.low, memory?.high, memory?.log]).toEqual([10, 1000, true]);
  expect(memory && share(memory, 100)).toBeCloseTo(0.5);
  const norms = measure(
    graph,
    "gradient",
    new Map([
      [1, 2],
      [2, 5],
    ]),
  );
  expect(block && norms?.value(block)).toBe(5);
  expect(measure(graph, "time", new Map())).toBeNull();
});

test("a point finds the innermost box", () => {
  const { scene } = laidOut(blocks(1), (keys) => keys);
  const box = scene.byKey.get("n:1") as Rect;
  expect(boxAt(scene, { x: box.x + 5, y: box.y + 5 })?.key).toBe("n:1");
  expect(boxAt(scene, { x: -50, y: 0 })).toBeNull();
});

test("SVG: every box, as words that cannot be markup", () => {
  const state = graphState([{ label: "<b>&w" }, { op: "exp", from: [0] }]);
  const { scene } = laidOut(state);
  const marks: Marks = {
    selected: null,
    found: new Set(),
    path: null,
    measured: null,
    reached: null,
    step: null,
  };
  const palette = new Proxy({}, { get: () => "#123456" }) as Palette;
  const svg = toSvg(scene, marks, palette, "a < b");
  const page = new DOMParser().parseFromString(svg, "image/svg+xml");
  const words = [...page.querySelectorAll("text")].map((text) => text.textContent);
  expect(words).toEqual(["<b>&w", "(2, 3) float32", "exp", "(2, 3) float32"]);
  expect(svg).not.toContain("NaN");
});

const gradient = (norm: number): Gradient => ({
  shape: [],
  dtype: "float32",
  norm,
  minimum: norm,
  maximum: norm,
  nonfinite: 0,
  values: norm,
});

/** w · w, then a sum: two gradients arrive at w. */
function steppedState(): GraphState {
  const sent = (target: number, g: number, total: number, first: boolean) => ({
    target,
    output: 0,
    input: 0,
    gradient: gradient(g),
    total: gradient(total),
    first,
  });
  const steps: Step[] = [
    { index: 0, node: 2, received: [gradient(1)], sent: [sent(1, 1, 1, true)], grad: null },
    {
      index: 1,
      node: 1,
      received: [gradient(1)],
      sent: [sent(0, 3, 3, true), sent(0, 3, 6, false)],
      grad: null,
    },
    { index: 2, node: 0, received: [gradient(6)], sent: [], grad: gradient(6) },
  ];
  const state = graphState([{ label: "w" }, { op: "mul", from: [0, 0] }, { op: "sum", from: [1] }]);
  const seeds: [number, number, Gradient][] = [[2, 0, gradient(1)]];
  return { ...state, steps: { nodes: [2, 1, 0], norms: [1, 1, 6], seeds, steps } };
}

test("stepping: what waits, what runs, what was added", () => {
  const state = steppedState();
  if (state.steps === null) throw new Error("no steps");
  const stepper = new Stepper(read(state), state.steps);
  expect(stepper.words()).toBe("Before the first step: the gradient 1 waits at sum (#2).");
  expect([...stepper.progress().waiting]).toEqual([[2, 1]]);
  stepper.move(2);
  expect(stepper.words()).toBe(
    "Step 2 of 3: mul (#1) receives a gradient of norm 1; sends norm 3 to w (#0); sends norm 3 to w (#0), where it is added: now 6.",
  );
  const { done, now, waiting, sent } = stepper.progress();
  expect([[...done], now, [...waiting], [...sent]]).toEqual([[2], 1, [[0, 2]], [0, 1]]);
  expect(stepper.stepOf(0)).toBeNull();
  stepper.move(99);
  expect(stepper.position).toBe(3);
  expect(stepper.words()).toContain("its .grad would have norm 6");
  expect(stepper.stepOf(0)?.grad?.norm).toBe(6);
  expect(stepper.missing()).toBeNull();
  state.steps.steps[2] = null;
  const again = new Stepper(read(state), state.steps);
  expect(again.missing()).toBeNull();
  again.move(3);
  expect(again.missing()).toEqual([0, 3]);
});

// The widget itself, without a canvas: happy-dom has none.

beforeEach(() => {
  vi.stubGlobal(
    "ResizeObserver",
    class {
      observe() {}
      disconnect() {}
    },
  );
  vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue(null);
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
  document.body.replaceChildren();
});

function show(state: GraphState) {
  const model = fakeModel(state);
  const el = document.createElement("div");
  document.body.append(el);
  const dispose = graphWidget.render({ model: model.model, el });
  const press = (name: string) => {
    const found = [...el.querySelectorAll("button")].find((each) => each.textContent === name);
    if (found === undefined) throw new Error(`no button ${name}`);
    found.click();
  };
  const row = (text: string) => {
    const rows = [...el.querySelectorAll<HTMLElement>('[role="treeitem"]')];
    const found = rows.find((each) => each.textContent?.includes(text));
    if (found === undefined) throw new Error(`no row ${text}`);
    return found;
  };
  const panel = () => el.querySelector(".tl-panel")?.textContent ?? "";
  return { model, el, dispose, press, row, panel };
}

test("choosing a node asks Python for its values once and shows them", async () => {
  const { model, row, panel, dispose } = show(steppedState());
  row("mul").click();
  row("mul").click();
  expect(model.sent).toEqual([{ type: "call", id: 0, method: "values", args: { index: 1 } }]);
  const value = {
    elements: 4,
    minimum: 1,
    maximum: 2,
    mean: 1.5,
    std: 0.5,
    nan: 1,
    infinite: 0,
    zeros: 0,
    counts: [2, 1],
    edges: [1, 1.5, 2],
  };
  model.emit("msg:custom", { type: "reply", id: 0, result: { value, gradient: null } }, []);
  await Promise.resolve();
  await Promise.resolve();
  expect(panel()).toContain("1.500 ± 0.5000");
  expect(panel()).toContain("⚠ 1 nan and 0 infinite values");
  dispose();
  expect(model.listeners("msg:custom")).toBe(0);
});

test("who has timed it sees the times first", () => {
  const state = { ...steppedState(), colour: "time" as const };
  state.nodes.forEach((node, i) => {
    node.seconds = i === 0 ? null : [i * 1e-3, 0];
  });
  const { el } = show(state);
  expect(el.querySelector("select")?.value).toBe("time");
  expect(el.querySelector(".tl-legend")?.textContent).toContain("2.00 ms of one node");
});

test("a group opens from the outline; the panel says what is in it", () => {
  const { row, panel, el } = show(blocks(12));
  row("×12").click();
  expect(panel()).toContain("12 times the same");
  row("×12").querySelector<HTMLElement>(".tl-twisty")?.click();
  expect(row("×12").getAttribute("aria-expanded")).toBe("true");
  expect(el.querySelectorAll('[aria-level="3"]').length).toBe(12);
});

test("backward is stepped through with its numbers", async () => {
  const { press, el, panel } = show(steppedState());
  press("Step through backward");
  await Promise.resolve();
  await Promise.resolve();
  const words = () => el.querySelector(".tl-step-words")?.textContent ?? "";
  expect(words()).toContain("Before the first step");
  press("Step ▶");
  press("Step ▶");
  expect(panel()).toContain("It is added to what had arrived there; the sum is now:6");
  press("◀ Back");
  expect(words()).toContain("Step 1 of 3");
  press("End");
  expect(panel()).toContain(".grad afterwards");
});

test("a freed graph says why there is no backward", async () => {
  const state = { ...steppedState(), steps: null, freed: true, notes: ["backward() has run"] };
  const { press, el, model } = show(state);
  press("Step through backward");
  await Promise.resolve();
  expect(el.querySelector(".tl-message")?.textContent).toContain("has freed this graph");
  expect(el.textContent).toContain("backward() has run");
  expect(model.sent).toEqual([]);
});
