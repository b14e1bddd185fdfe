// A tensor as tensorlab_widgets/_tensor_view.py packs it: its planes, and from an index to a place in storage.

import { doubles, integers } from "../common/model";

export interface PlaneAbout {
  /** First row, row after the last, first column, column after the last. */
  window: [number, number, number, number];
  /** Rows and columns of elements that one cell stands for. */
  block: [number, number];
  /** Each so-many-th row and column was read. */
  every: [number, number];
}

export interface Images {
  count: number;
  height: number;
  width: number;
  pixels: DataView;
  words: string;
}

export interface PanelState {
  name: string;
  shape: number[];
  /** null for numbers that were computed and lie in no storage. */
  strides: number[] | null;
  offset: number;
  storage: number;
  memory: string;
  rows: [string, string][];
  sampled: string;
  range: [number, number] | null;
  bad: number;
  counts: number[];
  edges: number[];
  /** All of it, or null if it is large; then `plane` is the first one. */
  values: DataView | null;
  plane: (PlaneAbout & { values: DataView; bad: DataView }) | null;
  images: Images | null;
}

export interface TensorState {
  title: string;
  panels: PanelState[];
  verdict: string;
  shared: boolean;
  tape: DataView | null;
}

export interface Plane extends PlaneAbout {
  rows: number;
  columns: number;
  values: Float64Array;
  /** How many elements of each cell are not finite. */
  bad: Int32Array;
}

/** Rows and columns of the last two dimensions; a vector is one row. */
export function planeSize(shape: readonly number[]): [number, number] {
  return [shape.at(-2) ?? 1, shape.at(-1) ?? 1];
}

export function unpackPlane(about: PlaneAbout, values: DataView, bad: DataView): Plane {
  const [top, bottom, left, right] = about.window;
  return {
    ...about,
    rows: Math.ceil((bottom - top) / about.block[0]),
    columns: Math.ceil((right - left) / about.block[1]),
    values: doubles(values),
    bad: integers(bad),
  };
}

/** A plane of a tensor that is here as a whole. */
export function planeOf(
  values: Float64Array,
  shape: readonly number[],
  index: readonly number[],
): Plane {
  const [rows, columns] = planeSize(shape);
  const size = rows * columns;
  const at = index.reduce((sum, i, axis) => sum * (shape[axis] ?? 1) + i, 0);
  const part = values.slice(at * size, (at + 1) * size);
  return {
    window: [0, rows, 0, columns],
    block: [1, 1],
    every: [1, 1],
    rows,
    columns,
    values: part,
    bad: Int32Array.from(part, (value) => (Number.isFinite(value) ? 0 : 1)),
  };
}

/** The index of the first element of a cell. */
export function indexOf(
  shape: readonly number[],
  leading: readonly number[],
  plane: PlaneAbout,
  row: number,
  column: number,
): number[] {
  const r = plane.window[0] + row * plane.block[0];
  const c = plane.window[2] + column * plane.block[1];
  // A vector has no rows, and a single number has no columns either.
  return [...leading, ...[r, c].slice(2 - Math.min(shape.length - leading.length, 2))];
}

export function placeOf(
  panel: Pick<PanelState, "strides" | "offset">,
  index: readonly number[],
): number {
  return index.reduce((sum, i, axis) => sum + i * (panel.strides?.[axis] ?? 0), panel.offset);
}

/** "offset 0 + 1·4 + 2·1 = 6" */
export function sumText(
  panel: Pick<PanelState, "strides" | "offset">,
  index: readonly number[],
): string {
  const terms = index.map((i, axis) => ` + ${i}·${panel.strides?.[axis] ?? 0}`).join("");
  return `offset ${panel.offset}${terms} = ${placeOf(panel, index)}`;
}

/** Every index of a small view that leads to this place, at most `most` of them. */
export function readersOf(
  panel: Pick<PanelState, "strides" | "offset" | "shape">,
  place: number,
  most = 9,
): number[][] {
  const found: number[][] = [];
  const total = panel.shape.reduce((product, size) => product * size, 1);
  if (total > 20_000) return found;
  for (let n = 0; n < total && found.length < most; n++) {
    const index = unravel(n, panel.shape);
    if (placeOf(panel, index) === place) found.push(index);
  }
  return found;
}

export function unravel(n: number, shape: readonly number[]): number[] {
  const index = new Array<number>(shape.length);
  let left = n;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const size = shape[axis] as number;
    index[axis] = left % size;
    left = Math.floor(left / size);
  }
  return index;
}

/** The part of a long tape around a place, so that `cells` fit. */
export function around(place: number, size: number, cells: number): [number, number] {
  const first = Math.max(0, Math.min(place - (cells >> 1), size - cells));
  return [first, Math.min(size, first + cells)];
}

/** A smaller window around a cell, a quarter as high and wide, but as many elements as cells fit at least. */
export function closer(
  plane: Plane,
  row: number,
  column: number,
): [number, number, number, number] {
  const [top, bottom, left, right] = plane.window;
  const side = (first: number, last: number, block: number, cell: number, least: number) => {
    const size = Math.min(Math.max(Math.ceil((last - first) / 4), least), last - first);
    const middle = first + (cell + 0.5) * block;
    const begin = Math.round(Math.min(Math.max(middle - size / 2, first), last - size));
    return [begin, begin + size] as const;
  };
  return [
    ...side(top, bottom, plane.block[0], row, 16),
    ...side(left, right, plane.block[1], column, 32),
  ];
}

/** Blue through white to red, for numbers of both signs: t from -1 to 1. */
export function diverging(t: number): string {
  const ends = t < 0 ? [33, 102, 172] : [178, 24, 43];
  const share = Math.min(Math.abs(t), 1);
  return `rgb(${ends.map((end) => Math.round(247 + (end - 247) * share)).join(",")})`;
}

/** Where a key takes a slider from 0 to size - 1; null for keys that do not move it. */
export function stepped(key: string, value: number, size: number): number | null {
  const moves: Record<string, number> = {
    ArrowRight: value + 1,
    ArrowUp: value + 1,
    ArrowLeft: value - 1,
    ArrowDown: value - 1,
    Home: 0,
    End: size - 1,
  };
  const next = moves[key];
  return next === undefined ? null : Math.min(Math.max(next, 0), size - 1);
}
