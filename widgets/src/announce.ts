// What a screen reader hears. A bar that spoke at every update would be unbearable: it speaks at each
// quarter of the way, once a minute in between, and at once when a metric turns NaN or infinite.

import { duration } from "./format";
import { count, fraction, type State } from "./state";

const EVERY_MS = 60_000;

export class Announcer {
  #quarter = 0;
  #last = Number.NEGATIVE_INFINITY;
  #warned = new Set<string>();

  /** The sentence to speak now, or null. */
  next(state: State, now: number): string | null {
    const row = state.rows[0];
    if (row === undefined) return null;
    const bad = state.rows.flatMap((r) => r.metrics.filter((m) => m.bad));
    const fresh = bad.filter((m) => !this.#warned.has(m.name));
    if (fresh.length > 0) {
      for (const metric of fresh) this.#warned.add(metric.name);
      this.#last = now;
      return `Warning: ${fresh.map((m) => `${m.name} is ${m.text}`).join(", ")}, ${row.label} ${count(row)}`;
    }
    const quarter = Math.floor((fraction(row) ?? 0) * 4);
    if (quarter <= this.#quarter && now - this.#last < EVERY_MS) return null;
    this.#quarter = Math.max(quarter, this.#quarter);
    this.#last = now;
    const metrics = row.metrics.map((m) => `, ${m.name} ${m.text}`).join("");
    const left = row.remaining === null ? "" : `, ${duration(row.remaining)} left`;
    return `${row.label} ${count(row)}${metrics}${left}`;
  }
}
