// Where the boxes go: dagre for the parts of each open group, groups in each other by ourselves.
// Equal blocks have equal layouts, so each is computed once.

import { Graph as DagreGraph, layout as dagre } from "@dagrejs/dagre";
import type { Group, Hierarchy, PartEdge, Wiring } from "./hierarchy";

export interface Point {
  x: number;
  y: number;
}

export interface Size {
  width: number;
  height: number;
}

/** A group's inside, from its own upper left corner. */
export interface Interior extends Size {
  /** By number of the part: its upper left corner. */
  places: Point[];
  /** By number of the edge in `Wiring.edges`: the way, without its ends at the boxes. */
  ways: Point[][];
  /** Where edges come in at the top, and leave at the bottom. */
  enter: number;
  leave: number;
  /** Ways from the top edge to parts that read from outside, from parts to the bottom edge. */
  entering: Map<number, Point[]>;
  leaving: Map<number, Point[]>;
}

export const PADDING = 14;
export const HEADER = 26;

/** The layout of open groups. Keeps what it has computed, for every group that looks the same. */
export class Layouter {
  readonly cache = new Map<string, Interior>();
  computed = 0;

  constructor(
    private readonly hierarchy: Hierarchy,
    /** The size of a node's, or of a closed group's, box. */
    private readonly closed: (part: Group | number) => Size,
  ) {}

  /** The interiors of all open groups. */
  arrange(open: ReadonlySet<string>): Map<Group, Interior> {
    const found = new Map<Group, Interior>();
    const visit = (group: Group): Interior => {
      const sizes = group.parts.map((part): Size => {
        if (part.kind === "node") return this.closed(part.node);
        return open.has(part.key) ? visit(part) : this.closed(part);
      });
      const wiring = this.hierarchy.wiring.get(group) as Wiring;
      const interior = this.interior(group, sizes, wiring);
      found.set(group, interior);
      return interior;
    };
    visit(this.hierarchy.root);
    return found;
  }

  private interior(group: Group, sizes: Size[], wiring: Wiring): Interior {
    const least = group.parent === null ? 0 : this.closed(group).width;
    const signature = [
      group.parent === null ? "root" : least,
      sizes.map((size) => `${size.width}x${size.height}`).join(),
      wiring.edges.map((edge) => `${edge.from}-${edge.to}`).join(),
      [...wiring.enter.keys()].join(),
      [...wiring.leave.keys()].join(),
    ].join(";");
    const known = this.cache.get(signature);
    if (known !== undefined) return known;
    this.computed++;
    const made =
      group.parent === null ? place(sizes, wiring, 0, true) : place(sizes, wiring, least);
    this.cache.set(signature, made);
    return made;
  }
}

const ENTER = "in";
const LEAVE = "out";

function place(sizes: Size[], wiring: Wiring, least: number, root = false): Interior {
  const graph = new DagreGraph({ multigraph: true });
  graph.setGraph({
    rankdir: "TB",
    nodesep: 22,
    edgesep: 12,
    ranksep: 30,
    marginx: 0,
    marginy: 0,
    ranker: sizes.length > 60 ? "longest-path" : "network-simplex",
  });
  sizes.forEach((size, i) => {
    graph.setNode(`${i}`, { ...size });
  });
  const enter = root ? [] : [...wiring.enter.keys()];
  const leave = root ? [] : [...wiring.leave.keys()];
  // The frame's own ends, so that lines from outside find their way between the boxes.
  if (enter.length > 0) graph.setNode(ENTER, { width: 1, height: 1 });
  if (leave.length > 0) graph.setNode(LEAVE, { width: 1, height: 1 });
  // What is computed first stands higher, even where a module is used twice.
  const edge = (from: string, to: string, name: string) => graph.setEdge(from, to, {}, name);
  wiring.edges.forEach((each: PartEdge, i) => {
    if (each.from !== each.to) edge(`${each.from}`, `${each.to}`, `${i}`);
  });
  for (const part of enter) edge(ENTER, `${part}`, ENTER);
  for (const part of leave) edge(`${part}`, LEAVE, LEAVE);
  dagre(graph);
  let [left, right, top, bottom] = [Infinity, -Infinity, Infinity, -Infinity];
  const boxes = sizes.map((size, i) => {
    const { x = 0, y = 0 } = graph.node(`${i}`);
    left = Math.min(left, x - size.width / 2);
    right = Math.max(right, x + size.width / 2);
    top = Math.min(top, y - size.height / 2);
    bottom = Math.max(bottom, y + size.height / 2);
    return { x: x - size.width / 2, y: y - size.height / 2 };
  });
  // Past the boxes of a rank a line runs straight; between ranks it bends.
  const ranks = new Map<number, number>();
  for (const name of graph.nodes()) {
    const { y = 0, height = 0 } = graph.node(name);
    const rank = Math.round(y);
    ranks.set(rank, Math.max(ranks.get(rank) ?? 0, height / 2));
  }
  const points = (from: string, to: string, name: string): Point[] =>
    (graph.edge(from, to, name)?.points ?? []).slice(1, -1).flatMap(({ x, y }: Point) => {
      const half = ranks.get(Math.round(y));
      if (half === undefined) return [];
      return [
        { x, y: y - half },
        { x, y: y + half },
      ];
    });
  const ways = wiring.edges.map((each, i) =>
    each.from === each.to ? [] : points(`${each.from}`, `${each.to}`, `${i}`),
  );
  const entering = new Map(enter.map((part) => [part, points(ENTER, `${part}`, ENTER)]));
  const leaving = new Map(leave.map((part) => [part, points(`${part}`, LEAVE, LEAVE)]));
  for (const way of [...ways, ...entering.values(), ...leaving.values()]) {
    for (const point of way) {
      left = Math.min(left, point.x - 6);
      right = Math.max(right, point.x + 6);
    }
  }
  if (enter.length > 0) top = Math.min(top, (graph.node(ENTER).y ?? 0) + 8);
  if (leave.length > 0) bottom = Math.max(bottom, (graph.node(LEAVE).y ?? 0) - 8);
  const inner = Math.max(right - left, least - 2 * PADDING, 20);
  const dx = PADDING - left + (inner - (right - left)) / 2;
  const dy = (root ? PADDING : HEADER + PADDING / 2) - top;
  const moved = (way: Point[]) => way.map(({ x, y }) => ({ x: x + dx, y: y + dy }));
  const width = inner + 2 * PADDING;
  return {
    width,
    height: bottom + dy + PADDING,
    places: moved(boxes),
    ways: ways.map(moved),
    enter: enter.length > 0 ? (graph.node(ENTER).x ?? 0) + dx : width / 2,
    leave: leave.length > 0 ? (graph.node(LEAVE).x ?? 0) + dx : width / 2,
    entering: new Map([...entering].map(([part, way]) => [part, moved(way)])),
    leaving: new Map([...leaving].map(([part, way]) => [part, moved(way)])),
  };
}
