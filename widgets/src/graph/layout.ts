// Where the boxes go: each open group is laid out for itself, and groups stand in each other. Equal
// blocks have equal layouts, so each is computed once.

import type { Group, Hierarchy, Wiring } from "./hierarchy";
import { layered, type Point, type Size } from "./layered";

export type { Point, Size };

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

  readonly #hierarchy: Hierarchy;
  /** The size of a node's, or of a closed group's, box. */
  readonly #closed: (part: Group | number) => Size;
  readonly #isLeaf: (node: number) => boolean;

  constructor(
    hierarchy: Hierarchy,
    closed: (part: Group | number) => Size,
    isLeaf: (node: number) => boolean,
  ) {
    this.#hierarchy = hierarchy;
    this.#closed = closed;
    this.#isLeaf = isLeaf;
  }

  /** The interiors of all open groups. */
  arrange(open: ReadonlySet<string>): Map<Group, Interior> {
    const found = new Map<Group, Interior>();
    const visit = (group: Group): Interior => {
      const sizes = group.parts.map((part): Size => {
        if (part.kind === "node") return this.#closed(part.node);
        return open.has(part.key) ? visit(part) : this.#closed(part);
      });
      const wiring = this.#hierarchy.wiring.get(group) as Wiring;
      const interior = this.#interior(group, sizes, wiring);
      found.set(group, interior);
      return interior;
    };
    visit(this.#hierarchy.root);
    return found;
  }

  #interior(group: Group, sizes: Size[], wiring: Wiring): Interior {
    const least = group.parent === null ? 0 : this.#closed(group).width;
    const light = new Set(
      group.parts.flatMap((part, i) =>
        part.kind === "node" && this.#isLeaf(part.node) ? [i] : [],
      ),
    );
    const signature = [
      group.parent === null ? "root" : least,
      sizes.map((size) => `${size.width}x${size.height}`).join(),
      wiring.edges.map((edge) => `${edge.from}-${edge.to}`).join(),
      [...wiring.enter.keys()].join(),
      [...wiring.leave.keys()].join(),
      [...light].join(),
    ].join(";");
    const known = this.cache.get(signature);
    if (known !== undefined) return known;
    this.computed++;
    const made = place(sizes, wiring, light, least, group.parent === null);
    this.cache.set(signature, made);
    return made;
  }
}

function place(
  sizes: readonly Size[],
  wiring: Wiring,
  light: ReadonlySet<number>,
  least: number,
  root: boolean,
): Interior {
  const enter = root ? [] : [...wiring.enter.keys()];
  const leave = root ? [] : [...wiring.leave.keys()];
  // The frame's own ends, so that lines from outside find their way between the boxes.
  const all: Size[] = [...sizes];
  const end = (parts: number[]) =>
    parts.length > 0 ? all.push({ width: 1, height: 1 }) - 1 : undefined;
  const [top, bottom] = [end(enter), end(leave)];
  const edges: [number, number][] = wiring.edges.map(({ from, to }) => [from, to]);
  const first = edges.length;
  for (const part of enter) edges.push([top ?? 0, part]);
  for (const part of leave) edges.push([part, bottom ?? 0]);
  const found = layered(all, edges, {
    light,
    ...(top === undefined ? {} : { top }),
    ...(bottom === undefined ? {} : { bottom }),
  });
  let [left, right, upper, lower] = [Infinity, -Infinity, Infinity, -Infinity];
  const boxes = sizes.map((size, i) => {
    const { x, y } = found.centers[i] as Point;
    left = Math.min(left, x - size.width / 2);
    right = Math.max(right, x + size.width / 2);
    upper = Math.min(upper, y - size.height / 2);
    lower = Math.max(lower, y + size.height / 2);
    return { x: x - size.width / 2, y: y - size.height / 2 };
  });
  for (const way of found.ways) {
    for (const point of way) {
      left = Math.min(left, point.x - 6);
      right = Math.max(right, point.x + 6);
    }
  }
  // Lines to the frame bend below its title and above its lower edge.
  const room = 14;
  if (top !== undefined) upper -= room;
  if (bottom !== undefined) lower += room;
  const inner = Math.max(right - left, least - 2 * PADDING, 20);
  const dx = PADDING - left + (inner - (right - left)) / 2;
  const dy = (root ? PADDING : HEADER + PADDING / 2) - upper;
  const move = ({ x, y }: Point) => ({ x: x + dx, y: y + dy });
  const ways = found.ways.map((way) => way.map(move));
  const width = inner + 2 * PADDING;
  const port = (index: number | undefined) =>
    index === undefined ? width / 2 : (found.centers[index]?.x ?? 0) + dx;
  return {
    width,
    height: lower + dy + PADDING,
    places: boxes.map(move),
    ways: ways.slice(0, first),
    enter: port(top),
    leave: port(bottom),
    entering: new Map(enter.map((part, i) => [part, ways[first + i] ?? []])),
    leaving: new Map(leave.map((part, i) => [part, ways[first + enter.length + i] ?? []])),
  };
}
