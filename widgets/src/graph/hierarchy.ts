// The tree that is opened and closed: modules; a run of equal modules as one stack "×12"; and where a
// module has more parts than anyone reads, its parts in the order of computation, some at a time.

import { type Graph, type GraphModule, nodeText } from "./records";

/** More parts than this are put into groups: nobody reads them, and layout slows down. */
export const MOST_PARTS = 100;

export interface Group {
  kind: "module" | "stack" | "chunk";
  key: string;
  /** The module's dotted path; of a stack or chunk the one it is in. */
  path: string;
  title: string;
  /** Second line: class name, or what is in it. */
  type: string;
  parent: Group | null;
  parts: Part[];
  /** How often the same comes in a row: 12 for "×12"; else 1. */
  repeats: number;
  module: GraphModule | null;
  /** Operations in it and below. */
  count: number;
  /** All nodes in it and below, in order. */
  nodes: number[];
}

export type Part = Group | { kind: "node"; key: string; node: number };

/** An edge between two parts of one group. `raw`: which edges of the graph it stands for. */
export interface PartEdge {
  from: number;
  to: number;
  raw: number[];
}

/** What layout needs of one group: the edges among its parts, and which parts touch the outside. */
export interface Wiring {
  edges: PartEdge[];
  /** By number of the part: edges that come in from outside the group, and that leave it. */
  enter: Map<number, number[]>;
  leave: Map<number, number[]>;
}

export interface Hierarchy {
  root: Group;
  groups: Map<string, Group>;
  /** By node: the group it is directly in; null if it is not shown. */
  home: (Group | null)[];
  wiring: Map<Group, Wiring>;
}

export const nodeKey = (index: number): string => `n:${index}`;

export function buildHierarchy(graph: Graph, options: { leaves: boolean }): Hierarchy {
  const groups = new Map<string, Group>();
  const types = new Map(graph.modules.map((module) => [module.path, module]));
  const moduleGroup = (path: string): Group => {
    const found = groups.get(`m:${path}`);
    if (found !== undefined) return found;
    const cut = path.lastIndexOf(".");
    const parent = path === "" ? null : moduleGroup(cut < 0 ? "" : path.slice(0, cut));
    const module = types.get(path) ?? null;
    const group: Group = {
      kind: "module",
      key: `m:${path}`,
      path,
      title: path === "" ? "graph" : path.slice(cut + 1),
      type: module?.type ?? "",
      parent,
      parts: [],
      repeats: 1,
      module,
      count: module?.count ?? 0,
      nodes: [],
    };
    groups.set(group.key, group);
    parent?.parts.push(group);
    return group;
  };
  const root = moduleGroup("");
  const home: (Group | null)[] = graph.nodes.map(() => null);
  for (const node of graph.nodes) {
    if (node.kind === "leaf" && !options.leaves) continue;
    const group = moduleGroup(node.module);
    group.parts.push({ kind: "node", key: nodeKey(node.index), node: node.index });
    for (let above: Group | null = group; above !== null; above = above.parent) {
      above.nodes.push(node.index);
    }
  }
  // A module that has only hidden leaves would be an empty box.
  const shown = (part: Part) => part.kind === "node" || part.nodes.length > 0;
  for (const group of [...groups.values()]) {
    group.parts = group.parts.filter(shown);
    if (group.nodes.length === 0 && group !== root) groups.delete(group.key);
    sortParts(group, graph);
  }
  for (const repeat of graph.repeats) stack(groups, graph, repeat.parent, repeat.members);
  for (const group of [...groups.values()]) chunk(groups, group, graph);
  for (const group of groups.values()) {
    for (const part of group.parts) if (part.kind === "node") home[part.node] = group;
    if (group.kind === "module" && group.module === null) {
      group.count = group.nodes.filter((i) => graph.nodes[i]?.kind !== "leaf").length;
    }
  }
  return { root, groups, home, wiring: wire(graph, home, groups) };
}

/** In the order of computation. A leaf is numbered when it is first used, which may be steps ago: where a
    module stands is said by its operations. */
function sortParts(group: Group, graph: Graph): void {
  const first = (part: Part): number =>
    part.kind === "node"
      ? part.node
      : (part.nodes.find((i) => graph.nodes[i]?.kind !== "leaf") ?? part.nodes[0] ?? 0);
  group.parts.sort((a, b) => first(a) - first(b));
}

/** Replace the repeated modules among a group's parts by one part. */
function stack(groups: Map<string, Group>, graph: Graph, path: string, members: string[][]): void {
  const parent = groups.get(`m:${path}`);
  const inside = members.flat().map((member) => groups.get(`m:${member}`));
  if (parent === undefined || inside.some((group) => group?.parent !== parent)) return;
  const parts = inside as Group[];
  const pattern = (members[0] ?? []).map((member) => groups.get(`m:${member}`) as Group);
  const [first, last] = [parts[0], parts.at(-1)];
  if (first === undefined || last === undefined || parts.length < 2) return;
  const group: Group = {
    kind: "stack",
    key: `s:${first.key}`,
    path,
    title: pattern.map((each) => each.type || each.title).join(", "),
    type: `${first.title} … ${last.title}`,
    parent,
    parts,
    repeats: members.length,
    module: null,
    count: parts.reduce((sum, each) => sum + each.count, 0),
    nodes: parts.flatMap((each) => each.nodes).sort((a, b) => a - b),
  };
  for (const each of parts) each.parent = group;
  const taken = new Set<Part>(parts);
  parent.parts = [...parent.parts.filter((part) => !taken.has(part)), group];
  sortParts(parent, graph);
  groups.set(group.key, group);
}

/** Put many parts into groups of about the square root of their number, in the order of computation. */
function chunk(groups: Map<string, Group>, group: Group, graph: Graph): void {
  if (group.parts.length <= MOST_PARTS) return;
  const size = Math.max(Math.ceil(Math.sqrt(group.parts.length)), 25);
  const all = group.parts;
  group.parts = [];
  for (let start = 0; start < all.length; start += size) {
    const parts = all.slice(start, start + size);
    const nodes = parts
      .flatMap((part) => (part.kind === "node" ? [part.node] : part.nodes))
      .sort((a, b) => a - b);
    const made: Group = {
      kind: "chunk",
      key: `c:${group.key}:${start}`,
      path: group.path,
      title: `parts ${start + 1}–${start + parts.length} of ${all.length}`,
      type: range(parts, graph),
      parent: group,
      parts,
      repeats: 1,
      module: null,
      count: nodes.filter((i) => graph.nodes[i]?.kind !== "leaf").length,
      nodes,
    };
    for (const part of parts) if (part.kind !== "node") part.parent = made;
    group.parts.push(made);
    groups.set(made.key, made);
  }
  chunk(groups, group, graph);
}

function range(parts: Part[], graph: Graph): string {
  const name = (part: Part | undefined) => {
    if (part === undefined) return "";
    const node = part.kind === "node" ? graph.nodes[part.node] : undefined;
    return part.kind === "node" ? (node ? nodeText(node) : "") : part.title;
  };
  return `${name(parts[0])} … ${name(parts.at(-1))}`;
}

/** The groups above a node or group, outermost first. */
export function above(group: Group | null): Group[] {
  const found: Group[] = [];
  for (let at = group; at !== null; at = at.parent) found.push(at);
  return found.reverse();
}

function wire(
  graph: Graph,
  home: (Group | null)[],
  groups: Map<string, Group>,
): Map<Group, Wiring> {
  const wiring = new Map<Group, Wiring>();
  const place = new Map<Group | number, number>();
  for (const group of groups.values()) {
    wiring.set(group, { edges: [], enter: new Map(), leave: new Map() });
    group.parts.forEach((part, i) => {
      place.set(part.kind === "node" ? part.node : part, i);
    });
  }
  const known = new Map<Group, Map<number, PartEdge>>();
  const chains = new Map<Group, Group[]>();
  const chain = (group: Group): Group[] => {
    let found = chains.get(group);
    if (found === undefined) {
      found = above(group);
      chains.set(group, found);
    }
    return found;
  };
  const note = (map: Map<number, number[]>, part: number, edge: number) => {
    const list = map.get(part);
    if (list === undefined) map.set(part, [edge]);
    else list.push(edge);
  };
  graph.edges.forEach((edge, number) => {
    const [from, to] = [home[edge.source], home[edge.target]];
    if (!from || !to) return;
    const [a, b] = [chain(from), chain(to)];
    let depth = 0;
    while (depth + 1 < a.length && depth + 1 < b.length && a[depth + 1] === b[depth + 1]) depth++;
    const common = a[depth] as Group;
    const i = place.get(a[depth + 1] ?? edge.source) ?? 0;
    const j = place.get(b[depth + 1] ?? edge.target) ?? 0;
    let edges = known.get(common);
    if (edges === undefined) {
      edges = new Map();
      known.set(common, edges);
    }
    const key = i * common.parts.length + j;
    const found = edges.get(key);
    if (found !== undefined) found.raw.push(number);
    else {
      const made = { from: i, to: j, raw: [number] };
      edges.set(key, made);
      wiring.get(common)?.edges.push(made);
    }
    for (let k = depth + 1; k < a.length; k++) {
      const group = a[k] as Group;
      const part = place.get(a[k + 1] ?? edge.source) ?? 0;
      note((wiring.get(group) as Wiring).leave, part, number);
    }
    for (let k = depth + 1; k < b.length; k++) {
      const group = b[k] as Group;
      const part = place.get(b[k + 1] ?? edge.target) ?? 0;
      note((wiring.get(group) as Wiring).enter, part, number);
    }
  });
  return wiring;
}

/** What stands for a node in the picture: itself, or the outermost closed group around it. */
export function visible(hierarchy: Hierarchy, open: ReadonlySet<string>, node: number): string {
  const group = hierarchy.home[node];
  if (!group) return "";
  const closed = above(group).find((each) => !open.has(each.key));
  return closed?.key ?? nodeKey(node);
}

/** What is open at the start: whatever keeps the picture readable. Stacks stay closed. */
export function firstOpen(hierarchy: Hierarchy, most = 14): Set<string> {
  const open = new Set([hierarchy.root.key]);
  let shown = hierarchy.root.parts.length;
  let level: Group[] = [hierarchy.root];
  while (level.length > 0) {
    const next: Group[] = [];
    for (const group of level) {
      for (const part of group.parts) {
        if (part.kind !== "module" || part.count < 2) continue;
        if (shown + part.parts.length - 1 > most) continue;
        shown += part.parts.length - 1;
        open.add(part.key);
        next.push(part);
      }
    }
    level = next;
  }
  return open;
}
