// Places for boxes on layers, as tensorlab/inspect/layered.py has them for still pictures: layered
// drawing after Sugiyama, Tagawa and Toda (1981). Nodes on layers by their longest path, long edges
// through invisible nodes, each layer ordered by the barycenter of its neighbours, and nodes slid
// towards their neighbours. The same graph gives the same places.

export interface Point {
  x: number;
  y: number;
}

export interface Size {
  width: number;
  height: number;
}

/** A box on a layer, or the bend of a long edge (`node` is null). */
interface Item {
  node: number | null;
  layer: number;
  width: number;
  weight: number;
  x: number;
  order: number;
  above: Item[];
  below: Item[];
}

export interface Layered {
  /** Centres of the boxes. */
  centers: Point[];
  /** For each edge the points between its boxes: in and out of every layer that it crosses. */
  ways: Point[][];
}

const ORDER_SWEEPS = 8;
const PLACE_SWEEPS = 24;
const GAP = 20;
const RISE = 32;

/**
 * Arrange boxes with edges `[from, to]` between them, data flowing downwards.
 *
 * light: boxes that make way for the others, such as parameters. top, bottom: a box that stands on a
 * layer of its own above, or below, all others.
 */
export function layered(
  sizes: readonly Size[],
  edges: readonly (readonly [number, number])[],
  options: { light?: ReadonlySet<number>; top?: number; bottom?: number } = {},
): Layered {
  const { light = new Set(), top, bottom } = options;
  const order = topological(sizes.length, edges);
  // An edge against the order closes a circle, as where a module is used twice: laid out reversed.
  const place = new Map(order.map((node, i) => [node, i]));
  const at = (node: number) => place.get(node) ?? 0;
  const forward = edges.map(([from, to]): [number, number] =>
    at(from) < at(to) ? [from, to] : [to, from],
  );
  const layer = layers(sizes.length, order, forward, at, top, bottom);
  const items = sizes.map(
    (size, node): Item => ({
      node,
      layer: layer[node] ?? 0,
      width: size.width,
      weight: light.has(node) ? 1 : 6,
      x: 0,
      order: 0,
      above: [],
      below: [],
    }),
  );
  const rows: Item[][] = Array.from({ length: Math.max(0, ...layer) + 1 }, () => []);
  for (const node of order) {
    const item = items[node] as Item;
    rows[item.layer]?.push(item);
  }
  const known = new Map<number, Item[]>();
  const paths = forward.map(([from, to]) => {
    if (from === to) return [];
    const key = from * sizes.length + to;
    const found = known.get(key);
    if (found !== undefined) return found;
    const path = route(items[from] as Item, items[to] as Item, rows);
    known.set(key, path);
    return path;
  });
  sort(rows);
  slide(rows);
  const heights = rows.map((row) => Math.max(0, ...row.map((item) => heightOf(item, sizes))));
  const tops: number[] = [];
  heights.reduce((y, height) => {
    tops.push(y);
    return y + height + RISE;
  }, 0);
  const middle = (row: number) => (tops[row] ?? 0) + (heights[row] ?? 0) / 2;
  return {
    centers: items.map((item) => ({ x: item.x, y: middle(item.layer) })),
    ways: paths.map((path, i) => {
      const way = path.slice(1, -1).flatMap(({ x, layer: row }) => {
        const y = tops[row] ?? 0;
        return [
          { x, y },
          { x, y: y + (heights[row] ?? 0) },
        ];
      });
      return forward[i]?.[0] === edges[i]?.[0] ? way : way.reverse();
    }),
  };
}

const heightOf = (item: Item, sizes: readonly Size[]): number =>
  item.node === null ? 0 : (sizes[item.node]?.height ?? 0);

/** An order in which few edges go backwards, and none if there is no circle. */
function topological(count: number, edges: readonly (readonly [number, number])[]): number[] {
  const after: number[][] = Array.from({ length: count }, () => []);
  const left = new Array<number>(count).fill(0);
  for (const [from, to] of edges) {
    if (from === to) continue;
    after[from]?.push(to);
    left[to] = (left[to] ?? 0) + 1;
  }
  const done = new Array<boolean>(count).fill(false);
  const order: number[] = [];
  const ready: number[] = [];
  const take = (node: number) => {
    done[node] = true;
    order.push(node);
    for (const next of after[node] ?? []) {
      left[next] = (left[next] ?? 0) - 1;
      if (left[next] === 0 && !done[next]) ready.push(next);
    }
  };
  for (let node = 0; node < count; node++) if (left[node] === 0) ready.push(node);
  for (let first = 0; order.length < count; ) {
    const node = ready.shift();
    if (node !== undefined) {
      if (!done[node]) take(node);
      continue;
    }
    while (done[first]) first++;
    take(first);
  }
  return order;
}

/** The longest path from a source, then everything as low as what it feeds allows. */
function layers(
  count: number,
  order: readonly number[],
  edges: readonly (readonly [number, number])[],
  at: (node: number) => number,
  top: number | undefined,
  bottom: number | undefined,
): number[] {
  const layer = new Array<number>(count).fill(top === undefined ? 0 : 1);
  if (top !== undefined) layer[top] = 0;
  const into: number[][] = Array.from({ length: count }, () => []);
  const out: number[][] = Array.from({ length: count }, () => []);
  for (const [from, to] of edges) {
    if (from === to) continue;
    into[to]?.push(from);
    out[from]?.push(to);
  }
  for (const node of order) {
    for (const from of into[node] ?? []) {
      layer[node] = Math.max(layer[node] ?? 0, (layer[from] ?? 0) + 1);
    }
  }
  if (bottom !== undefined) {
    const lowest = Math.max(...layer.filter((_, node) => node !== bottom), -1);
    layer[bottom] = lowest + 1;
  }
  for (const node of [...order].sort((a, b) => at(b) - at(a))) {
    const fed = (out[node] ?? []).filter((to) => to !== bottom).map((to) => layer[to] ?? 0);
    if (node !== top && fed.length > 0) layer[node] = Math.min(...fed) - 1;
  }
  return layer;
}

function route(start: Item, end: Item, rows: Item[][]): Item[] {
  const path = [start];
  for (let row = start.layer + 1; row < end.layer; row++) {
    const bend: Item = {
      node: null,
      layer: row,
      width: 4,
      weight: 8,
      x: 0,
      order: 0,
      above: [],
      below: [],
    };
    rows[row]?.push(bend);
    path.push(bend);
  }
  path.push(end);
  for (let i = 1; i < path.length; i++) {
    const [upper, lower] = [path[i - 1] as Item, path[i] as Item];
    upper.below.push(lower);
    lower.above.push(upper);
  }
  return path;
}

/** Fewer crossings: sort each row by the mean place of its neighbours, sweeping down and up. */
function sort(rows: Item[][]): void {
  const renumber = (row: Item[]) => {
    row.forEach((item, place) => {
      item.order = place;
    });
  };
  for (const row of rows) renumber(row);
  const up = [...rows].reverse();
  for (let sweep = 0; sweep < ORDER_SWEEPS; sweep++) {
    const down = sweep % 2 === 0;
    for (const row of down ? rows : up) {
      const means = new Map(
        row.map((item) => {
          const near = down ? item.above : item.below;
          const sum = near.reduce((total, other) => total + other.order, 0);
          return [item, near.length > 0 ? sum / near.length : item.order];
        }),
      );
      row.sort((a, b) => (means.get(a) ?? 0) - (means.get(b) ?? 0) || a.order - b.order);
      renumber(row);
    }
  }
}

/** Slide every item towards the middle of its neighbours, as far as its row's order allows. */
function slide(rows: Item[][]): void {
  for (const row of rows) {
    spread(
      row,
      row.map(() => 0),
    );
  }
  const up = [...rows].reverse();
  for (let sweep = 0; sweep < PLACE_SWEEPS; sweep++) {
    for (const row of sweep % 2 === 0 ? rows : up) {
      const wanted = row.map((item) => {
        let [total, weights] = [0, 0];
        for (const near of [item.above, item.below]) {
          for (const other of near) {
            const weight = pull(item, other);
            total += weight * other.x;
            weights += weight;
          }
        }
        return weights > 0 ? total / weights : item.x;
      });
      spread(row, wanted);
    }
  }
}

/** How much two neighbours want to stand in line: bends most (Gansner et al., 1993), leaves least. */
function pull(one: Item, other: Item): number {
  if (one.node === null && other.node === null) return 8;
  if (one.node === null || other.node === null) return 2;
  return one.weight === 1 || other.weight === 1 ? 0.5 : 2;
}

/**
 * Put a row's items as near to `wanted` as order and gaps allow, in the least-squares sense.
 *
 * Subtracting each item's packed offset turns "keep the gaps" into "do not decrease", and the best
 * non-decreasing fit is isotonic regression: pool neighbours that are out of order.
 */
function spread(row: Item[], wanted: number[]): void {
  const offsets: number[] = [];
  row.forEach((item, i) => {
    const before = row[i - 1];
    const last = offsets[i - 1] ?? 0;
    offsets.push(before === undefined ? 0 : last + (before.width + item.width) / 2 + GAP);
  });
  const pools: { sum: number; weight: number; items: number }[] = [];
  row.forEach((item, i) => {
    const want = (wanted[i] ?? 0) - (offsets[i] ?? 0);
    let pool = { sum: item.weight * want, weight: item.weight, items: 1 };
    for (let last = pools.at(-1); last !== undefined; last = pools.at(-1)) {
      if (last.sum / last.weight <= pool.sum / pool.weight) break;
      pools.pop();
      pool = {
        sum: last.sum + pool.sum,
        weight: last.weight + pool.weight,
        items: last.items + pool.items,
      };
    }
    pools.push(pool);
  });
  let i = 0;
  for (const pool of pools) {
    for (let k = 0; k < pool.items; k++, i++) {
      const item = row[i];
      if (item !== undefined) item.x = pool.sum / pool.weight + (offsets[i] ?? 0);
    }
  }
}
