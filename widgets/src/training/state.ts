// What Python sends: the state of a Dashboard (tensorlab_widgets/_dashboard.py), and words for it.

import { duration, rate } from "../format";

export interface Flag {
  kind: string;
  severity: string;
  where: string[];
  reason: string;
  suggestion: string;
}

export interface Health {
  cells: { name: string; norm: number | null; ratio: number | null; flags: number[] }[];
  flags: Flag[];
}

export interface Training {
  label: string;
  n: number;
  total: number | null;
  status: "running" | "done" | "stopped" | "ended" | "interrupted";
  epoch: number;
  epochs: number | null;
  elapsed: number;
  /** Steps per second, examples per second. */
  rate: number | null;
  samples: number | null;
  remaining: number | null;
  paused: boolean;
  stopping: boolean;
  /** Whether the kernel's interrupt stops this loop at a step boundary. */
  interruptible: boolean;
  resumable: boolean;
  refused: string;
  error: string;
  lr: number[];
  metrics: { name: string; text: string; bad: boolean }[];
  curves: { name: string; points: DataView }[];
  health: Health | null;
}

export function running(state: Training): boolean {
  return state.status === "running";
}

/** How full the bar is, 0 to 1; null if the number of steps is not known. */
export function fraction(state: Training): number | null {
  if (state.total === null) return null;
  return state.total === 0 ? 1 : Math.min(state.n / state.total, 1);
}

/** "120/500 steps, epoch 3 of 10" */
export function count(state: Training): string {
  const steps = state.total === null ? `${state.n} steps` : `${state.n}/${state.total} steps`;
  if (state.epochs === null) return steps;
  return `${steps}, epoch ${Math.min(state.epoch + 1, Math.max(state.epochs, 1))} of ${state.epochs}`;
}

/** "42 s, 61.0 steps/s, 3.9k examples/s, 12 s left"; time goes on while a long step runs. */
export function times(state: Training, sinceUpdate: number): string {
  const moving = running(state) && !state.paused;
  const parts = [duration(state.elapsed + (moving ? sinceUpdate : 0))];
  if (state.rate !== null) parts.push(rate(state.rate));
  if (state.samples !== null) parts.push(`${thousands(state.samples)} examples/s`);
  if (moving && state.remaining !== null) {
    parts.push(`${duration(Math.max(state.remaining - sinceUpdate, 0))} left`);
  }
  return parts.join(", ");
}

function thousands(value: number): string {
  return value < 1000 ? value.toFixed(0) : `${(value / 1000).toFixed(1)}k`;
}

export function statusWords(state: Training): string {
  if (state.error !== "") return state.error;
  if (state.refused !== "") return state.refused;
  if (state.stopping) return "Stopping after this step…";
  if (state.paused) return "Paused between two steps.";
  if (state.status === "stopped" && state.resumable)
    return "Stopped between two steps; everything is kept. resume() goes on from here.";
  return "";
}

/** Which curves share a panel: `val_loss` is drawn with `loss`. */
export function panels(names: readonly string[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const name of names) {
    const key = name.replace(/^val_/, "");
    found.set(key, [...(found.get(key) ?? []), name]);
  }
  return found;
}

/** A learning rate as it is typed and read: "0.001", "3e-5". */
export function rateText(value: number): string {
  if (value === 0) return "0";
  const text = Number(value.toPrecision(4));
  return Math.abs(text) >= 1e-4 && Math.abs(text) < 1e5 ? `${text}` : text.toExponential();
}

/** What a reader typed as a learning rate; null if it is none. */
export function readRate(text: string): number | null {
  if (text.trim() === "") return null;
  const value = Number(text);
  return Number.isFinite(value) && value >= 0 ? value : null;
}
