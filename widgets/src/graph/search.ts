// Search and paths.

import { type Graph, type GraphNode, shapeText } from "./records";

/** The nodes that match all words: in their name, label, module, its class, shape or line of code. */
export function search(graph: Graph, query: string): number[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return [];
  const types = new Map(graph.modules.map((module) => [module.path, module.type]));
  const text = (node: GraphNode) =>
    [
      node.op,
      node.name,
      node.label,
      node.module,
      types.get(node.module) ?? "",
      ...node.shapes.map((shape) => shapeText(shape).replaceAll(" ", "")),
      node.source?.code ?? "",
    ]
      .join("\n")
      .toLowerCase();
  return graph.nodes
    .filter((node) => {
      const all = text(node);
      return words.every((word) => all.includes(word));
    })
    .map((node) => node.index);
}

export interface Path {
  nodes: Set<number>;
  edges: Set<number>;
}

/** Every way from these nodes to the outputs: nodes and numbers of edges. */
export function pathToOutputs(graph: Graph, from: readonly number[]): Path {
  const nodes = new Set(from);
  const edges = new Set<number>();
  const left = [...from];
  for (let node = left.pop(); node !== undefined; node = left.pop()) {
    for (const number of graph.leaving[node] ?? []) {
      edges.add(number);
      const target = graph.edges[number]?.target ?? 0;
      if (!nodes.has(target)) {
        nodes.add(target);
        left.push(target);
      }
    }
  }
  return { nodes, edges };
}
