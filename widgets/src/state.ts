// What Python sends: the trait `state` of ProgressWidget (tensorlab_widgets/_widget.py).

export type Status = "running" | "done" | "stopped" | "ended" | "interrupted";

export interface Metric {
  name: string;
  /** The value as Python formatted it. */
  text: string;
  /** NaN or infinite. */
  bad: boolean;
  /** The past, oldest first, thinned to a few dozen points; null where it was not finite. */
  points: (number | null)[];
}

export interface Row {
  label: string;
  n: number;
  total: number | null;
  status: Status;
  /** Seconds since the row began. */
  elapsed: number;
  /** Steps per second. */
  rate: number | null;
  /** Estimated seconds to the end. */
  remaining: number | null;
  metrics: Metric[];
}

export interface State {
  /** Whether the kernel's interrupt stops this loop at a step boundary. */
  interruptible: boolean;
  /** The loop itself, then the loops nested in it. */
  rows: Row[];
}

/** How full the bar is, 0 to 1; null if the number of steps is not known. */
export function fraction(row: Row): number | null {
  if (row.total === null) return null;
  return row.total === 0 ? 1 : Math.min(row.n / row.total, 1);
}

/** "7/20", or "7" if the number of steps is not known. */
export function count(row: Row): string {
  return row.total === null ? `${row.n}` : `${row.n}/${row.total}`;
}
