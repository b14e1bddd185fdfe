// Axes: from values to pixels, the round values to write beside them, and numbers as people read them.

/** Four significant digits, or the integer itself; as tensorlab_widgets/_format.py's `number`. */
export function number(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (value === 0) return "0";
  if (Number.isInteger(value) && Math.abs(value) < 1e9) return `${value}`;
  const size = Math.abs(value);
  if (size >= 1e-3 && size < 9999.5) return value.toPrecision(4);
  return value.toExponential(3).replace(/e([+-])(\d)$/, "e$10$2");
}

/** Bytes with a binary unit: "12 B", "1.5 KiB", "3.0 MiB". */
export function bytes(count: number): string {
  if (count < 1024) return `${count} B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let value = count;
  let unit = "B";
  for (const next of units) {
    if (value < 1024) break;
    value /= 1024;
    unit = next;
  }
  return `${value.toFixed(1)} ${unit}`;
}

/** A large count in short: "950", "1.2k", "3.4M". */
export function short(count: number): string {
  if (Math.abs(count) < 1000) return `${count}`;
  for (const [size, sign] of [
    [1e12, "T"],
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ] as const) {
    if (Math.abs(count) >= size) return `${(count / size).toPrecision(3)}${sign}`;
  }
  return `${count}`;
}

/** Seconds of a single operation: "12 µs", "3.4 ms". */
export function seconds(value: number): string {
  if (value < 1e-3) return `${(value * 1e6).toPrecision(3)} µs`;
  if (value < 1) return `${(value * 1e3).toPrecision(3)} ms`;
  return `${value.toPrecision(3)} s`;
}

/** Round values in [low, high], about `count` of them. */
export function ticks(low: number, high: number, count: number): number[] {
  if (!(high > low) || count < 1) return [low];
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((s) => s * power >= rough) ?? 10) * power;
  const found: number[] = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) {
    found.push(Number((i * step).toPrecision(12)));
  }
  return found;
}

/** Powers of ten in [low, high], thinned to about `count`. */
export function logTicks(low: number, high: number, count: number): number[] {
  const first = Math.ceil(Math.log10(low) - 1e-9);
  const last = Math.floor(Math.log10(high) + 1e-9);
  const step = Math.max(1, Math.ceil((last - first + 1) / Math.max(count, 1)));
  const found: number[] = [];
  for (let power = first; power <= last; power += step) found.push(Number(`1e${power}`));
  return found;
}

export interface Scale {
  (value: number): number;
  invert(pixel: number): number;
  ticks(count: number): number[];
}

/** From [low, high] to [from, to] in pixels; a range of no width is widened. */
export function scale(
  [low, high]: readonly [number, number],
  [from, to]: readonly [number, number],
  log = false,
): Scale {
  let [a, b] = log ? [Math.log10(low), Math.log10(high)] : [low, high];
  if (!(b > a)) [a, b] = [a - 0.5, b + 0.5];
  const map = (value: number) =>
    from + (((log ? Math.log10(value) : value) - a) / (b - a)) * (to - from);
  return Object.assign(map, {
    invert: (pixel: number) => {
      const value = a + ((pixel - from) / (to - from)) * (b - a);
      return log ? 10 ** value : value;
    },
    ticks: (count: number) => (log ? logTicks(10 ** a, 10 ** b, count) : ticks(a, b, count)),
  });
}
