// Numbers behind a line chart: paths, extents and the point nearest to a pointer.

import type { Scale } from "./scale";

type Numbers = ArrayLike<number>;

/** An SVG path through the points; nan, infinity, and on a logarithmic scale what is not above 0, are gaps. */
export function linePath(xs: Numbers, ys: Numbers, x: Scale, y: Scale, log: boolean): string {
  const drawn = (i: number) => i < ys.length && shown(ys[i] as number, log);
  let path = "";
  for (let i = 0; i < xs.length; i++) {
    if (!drawn(i)) continue;
    const joined = i > 0 && drawn(i - 1);
    // A point between two gaps is a dot.
    const dot = !joined && !drawn(i + 1) ? "h0" : "";
    path += `${joined ? "L" : "M"}${round(x(xs[i] as number))} ${round(y(ys[i] as number))}${dot}`;
  }
  return path;
}

export function shown(value: number, log: boolean): boolean {
  return Number.isFinite(value) && (!log || value > 0);
}

function round(pixel: number): number {
  return Math.round(pixel * 10) / 10;
}

/** The least and the greatest of the values that can be drawn; null if there are none. */
export function extent(all: readonly Numbers[], log: boolean): [number, number] | null {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const values of all) {
    for (let i = 0; i < values.length; i++) {
      const value = values[i] as number;
      if (!shown(value, log)) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  return low <= high ? [low, high] : null;
}

/** A little room above and below; whole powers of ten where less than one lies between. */
export function padded([low, high]: [number, number], log: boolean): [number, number] {
  if (log) {
    const room = Math.max((high / low) ** 0.04, 1.05);
    if (high / low >= 10) return [low / room, high * room];
    return [10 ** Math.floor(Math.log10(low) - 1e-9), 10 ** Math.ceil(Math.log10(high) + 1e-9)];
  }
  const room = (high - low) * 0.04 || Math.abs(high) * 0.1 || 0.5;
  return [low - room, high + room];
}

/** The index of the ascending value nearest to `wanted`; -1 if there are none. */
export function nearest(values: Numbers, wanted: number): number {
  if (values.length === 0) return -1;
  let low = 0;
  let high = values.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((values[middle] as number) < wanted) low = middle;
    else high = middle;
  }
  const left = Math.abs((values[low] as number) - wanted);
  return Math.abs((values[high] as number) - wanted) < left ? high : low;
}

/** The median of the finite ones; nan if there are none. */
export function median(values: Numbers): number {
  const finite = Array.from(values)
    .filter((v) => Number.isFinite(v))
    .sort((a, b) => a - b);
  if (finite.length === 0) return Number.NaN;
  const middle = finite.length >> 1;
  if (finite.length % 2 === 1) return finite[middle] as number;
  return ((finite[middle - 1] as number) + (finite[middle] as number)) / 2;
}

/** Three significant digits for reading off a curve: "0.0123", "1.2e-5", "–" for what is not known. */
export function readable(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "–" : value > 0 ? "∞" : "-∞";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e5 || size < 1e-3) return value.toExponential(1).replace(/(\.0)?e\+?/, "e");
  if (Number.isInteger(value)) return `${value}`;
  return `${Number(value.toPrecision(3))}`;
}
