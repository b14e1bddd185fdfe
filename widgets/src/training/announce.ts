// What a screen reader hears of a training: each quarter, once a minute, what turns NaN, new flags.

import { duration } from "../format";
import { count, fraction, type Training } from "./state";

const EVERY_MS = 60_000;

export class Announcer {
  #quarter = 0;
  #last = Number.NEGATIVE_INFINITY;
  readonly #warned = new Set<string>();

  /** The sentence to speak now, or null. */
  next(state: Training, now: number): string | null {
    const alarms = [
      ...state.metrics.filter((m) => m.bad).map((m) => `${m.name} is ${m.text}`),
      ...(state.health?.flags ?? []).filter((f) => f.severity !== "note").map((f) => f.reason),
    ];
    const kinds = [
      ...state.metrics.filter((m) => m.bad).map((m) => m.name),
      ...(state.health?.flags ?? []).filter((f) => f.severity !== "note").map((f) => f.kind),
    ];
    const fresh = alarms.filter((_, i) => !this.#warned.has(kinds[i] as string));
    if (fresh.length > 0) {
      for (const kind of kinds) this.#warned.add(kind);
      return `Warning: ${fresh.join(" ")}`;
    }
    const quarter = Math.floor((fraction(state) ?? 0) * 4);
    if (quarter <= this.#quarter && now - this.#last < EVERY_MS) return null;
    this.#quarter = Math.max(quarter, this.#quarter);
    this.#last = now;
    const metrics = state.metrics.map((m) => `, ${m.name} ${m.text}`).join("");
    const left = state.remaining === null ? "" : `, ${duration(state.remaining)} left`;
    return `${state.label} ${count(state)}${metrics}${left}`;
  }
}
