// The picture as a list of boxes and lines in one plane; canvas, SVG and minimap draw the same list.

import { bytes, number, seconds, short } from "../common/scale";
import type { Group, Hierarchy, Part, Wiring } from "./hierarchy";
import { HEADER, type Interior, type Point, type Size } from "./layout";
import { type Graph, type Kind, nodeTitle } from "./records";

export interface Box {
  key: string;
  x: number;
  y: number;
  width: number;
  height: number;
  part: Part;
  /** An open group: a frame with its title on top. */
  open: boolean;
  kind: Kind | "module" | "stack" | "chunk";
  output: boolean;
  title: string;
  detail: string;
  /** How many there are of it. */
  repeats: number;
}

export interface Line {
  points: Point[];
  /** Numbers of the graph's edges. */
  raw: number[];
  /** Ends at a box, and not at a frame that it enters or leaves. */
  head: boolean;
  /** Begins at a box, and not at a frame that it enters or leaves. */
  tail: boolean;
}

export interface Scene extends Size {
  boxes: Box[];
  lines: Line[];
  byKey: Map<string, Box>;
}

const CHAR = 7.2;
const MOST = 30;
export const BOX_HEIGHT = 42;

const cut = (text: string, most = MOST): string =>
  text.length > most ? `${text.slice(0, most - 1)}…` : text;
/** The end of a parameter's name tells more than its beginning. */
const cutFront = (text: string): string => (text.length > MOST ? `…${text.slice(1 - MOST)}` : text);

export function texts(graph: Graph, part: Group | number): [string, string] {
  if (typeof part === "number") {
    const node = graph.nodes[part];
    return node ? [cutFront(nodeTitle(node)), cut(node.typed)] : ["", ""];
  }
  const times = part.repeats > 1 ? ` ×${part.repeats}` : "";
  const title = cut(part.title) + times;
  const what = part.type && part.kind === "module" ? `${part.type} · ` : "";
  const parts = part.kind === "stack" ? `${part.type} · ` : what;
  return [title, cut(`${parts}${short(part.count)} op${part.count === 1 ? "" : "s"}`, 40)];
}

/** The size of a closed box. */
export function boxSize(graph: Graph, part: Group | number): Size {
  const [title, detail] = texts(graph, part);
  const sign = typeof part === "number" ? 0 : 18;
  const width = Math.max(title.length * CHAR + sign, detail.length * CHAR * 0.88) + 22;
  return { width: Math.max(Math.ceil(width), 64), height: BOX_HEIGHT };
}

/** Put the interiors of the open groups together. */
export function buildScene(
  graph: Graph,
  hierarchy: Hierarchy,
  open: ReadonlySet<string>,
  interiors: Map<Group, Interior>,
): Scene {
  const boxes: Box[] = [];
  const lines: Line[] = [];
  const size = (part: Part): Size => {
    if (part.kind === "node") return boxSize(graph, part.node);
    return (open.has(part.key) ? interiors.get(part) : undefined) ?? boxSize(graph, part);
  };
  const isOpen = (part: Part): part is Group => part.kind !== "node" && open.has(part.key);
  const draw = (group: Group, x: number, y: number) => {
    const inside = interiors.get(group) as Interior;
    const wiring = hierarchy.wiring.get(group) as Wiring;
    const at = group.parts.map((part, i) => {
      const place = inside.places[i] ?? { x: 0, y: 0 };
      return { x: x + place.x, y: y + place.y, part, ...size(part) };
    });
    const moved = (way: Point[]) => way.map((point) => ({ x: x + point.x, y: y + point.y }));
    const bottom = (i: number): Point => {
      const box = at[i] as (typeof at)[number];
      const inner = isOpen(box.part) ? interiors.get(box.part) : undefined;
      return { x: box.x + (inner?.leave ?? box.width / 2), y: box.y + box.height };
    };
    const top = (i: number): Point => {
      const box = at[i] as (typeof at)[number];
      const inner = isOpen(box.part) ? interiors.get(box.part) : undefined;
      return { x: box.x + (inner?.enter ?? box.width / 2), y: box.y };
    };
    const head = (i: number) => !isOpen((at[i] as (typeof at)[number]).part);
    wiring.edges.forEach((edge, i) => {
      if (edge.from === edge.to) return;
      const way = moved(inside.ways[i] ?? []);
      const points = [bottom(edge.from), ...way, top(edge.to)];
      lines.push({ points, raw: edge.raw, head: head(edge.to), tail: head(edge.from) });
    });
    if (group.parent !== null) {
      for (const [part, raw] of wiring.enter) {
        const way = moved(inside.entering.get(part) ?? []);
        const points = [{ x: x + inside.enter, y }, ...way, top(part)];
        lines.push({ points, raw, head: head(part), tail: false });
      }
      for (const [part, raw] of wiring.leave) {
        const way = moved(inside.leaving.get(part) ?? []);
        const points = [bottom(part), ...way, { x: x + inside.leave, y: y + inside.height }];
        lines.push({ points, raw, head: false, tail: head(part) });
      }
    }
    for (const { part, ...place } of at) {
      const opened = isOpen(part);
      const node = part.kind === "node" ? graph.nodes[part.node] : undefined;
      const [title, detail] = texts(graph, part.kind === "node" ? part.node : part);
      boxes.push({
        key: part.key,
        ...place,
        part,
        open: opened,
        kind: part.kind === "node" ? (node?.kind ?? "operation") : part.kind,
        output: node?.isOutput ?? false,
        title,
        detail,
        repeats: part.kind === "node" ? 1 : part.repeats,
      });
      if (opened) draw(part, place.x, place.y);
    }
  };
  draw(hierarchy.root, 0, 0);
  const { width, height } = interiors.get(hierarchy.root) as Interior;
  return { width, height, boxes, lines, byKey: new Map(boxes.map((box) => [box.key, box])) };
}

/** The innermost box at a point. */
export function boxAt(scene: Scene, { x, y }: Point): Box | null {
  for (let i = scene.boxes.length - 1; i >= 0; i--) {
    const box = scene.boxes[i] as Box;
    if (x >= box.x && x <= box.x + box.width && y >= box.y && y <= box.y + box.height) return box;
  }
  return null;
}

/** Whether a point is on the sign that opens and closes a group. */
export function onSign(box: Box, { x, y }: Point): boolean {
  return (
    box.part.kind !== "node" && x <= box.x + 26 && y <= box.y + (box.open ? HEADER : BOX_HEIGHT)
  );
}

export type Measure = "type" | "time" | "memory" | "flops" | "gradient" | "output";

export const MEASURES: readonly (readonly [Measure, string])[] = [
  ["type", "kind"],
  ["memory", "memory saved"],
  ["flops", "work (FLOPs)"],
  ["time", "time"],
  ["gradient", "gradient norm"],
  ["output", "output reached"],
];

export interface Measured {
  /** By key of a closed box or a node: its value, and as text. */
  value: (part: Part) => number | null;
  text: (value: number) => string;
  low: number;
  high: number;
  log: boolean;
}

/** A quantity over nodes, summed over closed groups; null if nothing is known of it. */
export function measure(
  graph: Graph,
  what: Measure,
  norms: ReadonlyMap<number, number>,
): Measured | null {
  const of = (i: number): number | null => {
    const node = graph.nodes[i];
    if (node === undefined) return null;
    if (what === "memory") return node.savedBytes;
    if (what === "flops") return node.flops;
    if (what === "time") return node.seconds ? node.seconds[0] + node.seconds[1] : null;
    return norms.get(i) ?? null;
  };
  if (what === "type" || what === "output") return null;
  const values = graph.nodes.map((node) => of(node.index));
  const positive = values.filter((value): value is number => value !== null && value > 0);
  if (positive.length === 0) return null;
  let [low, high] = [Infinity, 0];
  for (const value of positive) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  const largest = what === "gradient";
  return {
    value: (part) => {
      if (part.kind === "node") return values[part.node] ?? null;
      let [sum, most, known] = [0, 0, false];
      for (const i of part.nodes) {
        const value = values[i];
        if (value === null || value === undefined) continue;
        known = true;
        sum += value;
        most = Math.max(most, value);
      }
      return known ? (largest ? most : sum) : null;
    },
    text: what === "memory" ? bytes : what === "time" ? seconds : largest ? number : short,
    low,
    high: Math.max(high, low),
    log: high / low > 50,
  };
}

/** Where a value stands between the smallest and the largest, 0 to 1. */
export function share(measured: Measured, value: number): number {
  const { low, high, log } = measured;
  if (!(high > low)) return 0.5;
  const t = log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
  return Number.isFinite(t) ? Math.min(Math.max(t, 0), 1) : 0;
}
