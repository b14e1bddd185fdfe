// Made-up graphs for the tests.

import type { GraphState, SentNode } from "./records";

export interface Made {
  op?: string;
  label?: string;
  module?: string;
  /** Indices of the nodes that it is computed from. */
  from?: number[];
  outputs?: number[];
  saved?: number;
}

export function graphState(
  nodes: Made[],
  options: {
    repeats?: GraphState["repeats"];
    types?: Record<string, string>;
    change?: Partial<GraphState>;
  } = {},
): GraphState {
  const paths = new Set([""]);
  for (const { module = "" } of nodes) {
    const steps = module.split(".");
    if (module === "") continue;
    for (let i = 1; i <= steps.length; i++) paths.add(steps.slice(0, i).join("."));
  }
  const modules = [...paths];
  const edges = nodes.flatMap(({ from = [] }, target) =>
    from.flatMap((source, input) => [source, target, 0, input]),
  );
  const last = nodes.length - 1;
  return {
    title: "made up",
    summary: `${nodes.length} nodes`,
    notes: [],
    freed: false,
    outputs: 1,
    common: {
      names: ["AddBackward0"],
      dtypes: ["float32"],
      rules: ["g"],
      sources: [],
      saved: [[]],
    },
    nodes: nodes.map(
      (made, i): SentNode => ({
        op: made.label ? "" : (made.op ?? "add"),
        name: 0,
        label: made.label ?? "",
        kind: made.label ? "leaf" : "operation",
        module: modules.indexOf(made.module ?? ""),
        shapes: [[2, 3]],
        dtypes: [0],
        rule: 0,
        source: -1,
        flops: 6,
        bytes: 24,
        saved_bytes: made.saved ?? 0,
        saved: 0,
        freed: false,
        is_output: i === last,
        outputs: made.outputs ?? [0],
        seconds: null,
      }),
    ),
    edges: new DataView(new Int32Array(edges).buffer),
    modules: modules.map((path) => ({
      path,
      type: options.types?.[path] ?? "",
      count: nodes.filter(
        (made) =>
          !made.label &&
          (path === "" || made.module === path || made.module?.startsWith(`${path}.`)),
      ).length,
      parameters: 0,
      flops: 0,
      saved_bytes: 0,
    })),
    repeats: options.repeats ?? [],
    colour: "type",
    steps: null,
    values: {},
    ...options.change,
  };
}

/** Twelve blocks in a row, each an attention and an addition around it; then a loss. */
export function blocks(count: number): GraphState {
  const nodes: Made[] = [];
  const types: Record<string, string> = { layers: "ModuleList" };
  let before: number[] = [];
  for (let i = 0; i < count; i++) {
    const path = `layers.${i}`;
    types[path] = "Block";
    const first = nodes.length;
    nodes.push({ label: `${path}.attn.weight`, module: `${path}.attn` });
    nodes.push({ op: "linear", module: `${path}.attn`, from: [...before, first] });
    nodes.push({ op: "add", module: path, from: [first + 1, ...before] });
    before = [first + 2];
  }
  nodes.push({ op: "mean", from: before });
  const members = Array.from({ length: count }, (_, i) => [`layers.${i}`]);
  return graphState(nodes, { types, repeats: [{ parent: "layers", members }] });
}
