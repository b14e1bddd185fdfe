// What Python sends (tensorlab_widgets/_graph_state.py), and the graph that is made of it.

export interface SavedValue {
  name: string;
  shape: number[];
  dtype: string;
  bytes: number;
}

export interface Source {
  file: string;
  line: number;
  function: string;
  code: string;
}

export type Kind = "leaf" | "operation" | "view" | "write" | "function";

/** A node as it travels: what many nodes have in common is a number into `GraphState.common`. */
export interface SentNode {
  op: string;
  name: number;
  label: string;
  kind: Kind;
  module: number;
  shapes: number[][];
  dtypes: number[];
  rule: number;
  source: number;
  flops: number | null;
  bytes: number;
  saved_bytes: number;
  saved: number;
  freed: boolean;
  is_output: boolean;
  outputs: number[];
  seconds: [number, number] | null;
}

export interface GraphModule {
  path: string;
  type: string;
  count: number;
  parameters: number;
  flops: number;
  saved_bytes: number;
}

/** Numbers of a gradient, as `inspect.BackwardStep.to_dict` gives them. */
export interface Gradient {
  shape: number[];
  dtype: string;
  norm: number;
  minimum: number | null;
  maximum: number | null;
  nonfinite: number;
  values: unknown;
}

export interface Sent {
  target: number;
  output: number;
  input: number;
  gradient: Gradient;
  total: Gradient;
  first: boolean;
}

export interface Step {
  index: number;
  node: number;
  received: (Gradient | null)[];
  sent: Sent[];
  grad: Gradient | null;
}

/** The backward pass: the order of nodes, their gradients' norms, and what is known of each step. */
export interface Steps {
  nodes: number[];
  norms: (number | null)[];
  seeds: [number, number, Gradient][];
  steps: (Step | null)[];
}

/** Statistics of a tensor, as `inspect.describe(…).to_dict()` gives them. */
export interface Statistics {
  elements: number;
  minimum: number | null;
  maximum: number | null;
  mean: number | null;
  std: number | null;
  nan: number;
  infinite: number;
  zeros: number;
  counts: number[];
  edges: number[];
}

export interface NodeValues {
  value: Statistics | null;
  gradient: Statistics | null;
}

export interface GraphState {
  title: string;
  summary: string;
  notes: string[];
  freed: boolean;
  outputs: number;
  common: {
    names: string[];
    dtypes: string[];
    rules: string[];
    sources: Source[];
    saved: SavedValue[][];
  };
  nodes: SentNode[];
  /** Int32: source, target, output, input of each edge. */
  edges: DataView;
  modules: GraphModule[];
  repeats: { parent: string; members: string[][] }[];
  /** What the colours of the boxes tell at first. */
  colour: "type" | "time";
  steps: Steps | null;
  values: Record<string, NodeValues>;
}

export interface GraphNode {
  index: number;
  /** "MulBackward0", "AccumulateGrad" */
  name: string;
  op: string;
  /** A leaf's name. */
  label: string;
  kind: Kind;
  module: string;
  shapes: number[][];
  dtypes: string[];
  /** Both in words, "(2, 5) float32": read for each box whenever something opens. */
  typed: string;
  rule: string;
  source: Source | null;
  flops: number | null;
  bytes: number;
  savedBytes: number;
  saved: SavedValue[];
  freed: boolean;
  isOutput: boolean;
  outputs: number[];
  seconds: [number, number] | null;
}

export interface GraphEdge {
  source: number;
  target: number;
  output: number;
  input: number;
}

export interface Graph {
  nodes: GraphNode[];
  edges: GraphEdge[];
  modules: GraphModule[];
  repeats: { parent: string; members: string[][] }[];
  /** Numbers of edges, by the node they come from, and by the node they go to. */
  leaving: number[][];
  arriving: number[][];
}

export function readGraph(state: GraphState, integers: (view: DataView) => Int32Array): Graph {
  const { common } = state;
  const nodes = state.nodes.map((sent, index): GraphNode => {
    const dtypes = sent.dtypes.map((i) => common.dtypes[i] ?? "");
    return {
      index,
      name: common.names[sent.name] ?? "",
      op: sent.op,
      label: sent.label,
      kind: sent.kind,
      module: state.modules[sent.module]?.path ?? "",
      shapes: sent.shapes,
      dtypes,
      typed: sent.shapes.map((s, i) => `${shapeText(s)} ${dtypes[i] ?? ""}`).join(" | "),
      rule: common.rules[sent.rule] ?? "",
      source: common.sources[sent.source] ?? null,
      flops: sent.flops,
      bytes: sent.bytes,
      savedBytes: sent.saved_bytes,
      saved: common.saved[sent.saved] ?? [],
      freed: sent.freed,
      isOutput: sent.is_output,
      outputs: sent.outputs,
      seconds: sent.seconds,
    };
  });
  const flat = integers(state.edges);
  const edges: GraphEdge[] = [];
  for (let i = 0; i + 3 < flat.length; i += 4) {
    const [source = 0, target = 0, output = 0, input = 0] = flat.subarray(i, i + 4);
    edges.push({ source, target, output, input });
  }
  const leaving: number[][] = nodes.map(() => []);
  const arriving: number[][] = nodes.map(() => []);
  edges.forEach((edge, i) => {
    leaving[edge.source]?.push(i);
    arriving[edge.target]?.push(i);
  });
  return { nodes, edges, modules: state.modules, repeats: state.repeats, leaving, arriving };
}

/** "(2, 5, 16)", "(3,)", "()" as Python writes it. */
export function shapeText(shape: readonly number[]): string {
  return shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`;
}

/** What a node is called in the picture: a leaf by its name, an operation by what it does. */
export function nodeText(node: GraphNode): string {
  return node.label || node.op || node.name;
}

/** The same inside its module's frame, where the module's path need not be repeated. */
export function nodeTitle(node: GraphNode): string {
  const { label, module } = node;
  if (module && label.startsWith(`${module}.`)) return label.slice(module.length + 1);
  return nodeText(node);
}
