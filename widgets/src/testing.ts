// Made-up states for the tests.

import type { Row, State } from "./state";

export function row(change: Partial<Row> = {}): Row {
  return {
    label: "epochs",
    n: 0,
    total: 20,
    status: "running",
    elapsed: 0,
    rate: null,
    remaining: null,
    metrics: [],
    ...change,
  };
}

export function state(...rows: Row[]): State {
  return { interruptible: true, rows };
}
