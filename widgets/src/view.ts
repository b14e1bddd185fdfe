// The elements of the widget, and how they follow the state. No framework: a few nodes, reused.

import { aria, div, span, write } from "./common/dom";
import { duration, rate } from "./format";
import { sparkPath } from "./spark";
import { count, fraction, type Metric, type Row } from "./state";

const SVG = "http://www.w3.org/2000/svg";
const SPARK = { width: 72, height: 14 };

class MetricView {
  readonly root: HTMLElement;
  readonly #value = span("tl-value");
  readonly #path = document.createElementNS(SVG, "path");
  readonly #svg = document.createElementNS(SVG, "svg");

  constructor(name: string) {
    const { width, height } = SPARK;
    this.#svg.setAttribute("class", "tl-spark");
    this.#svg.setAttribute("viewBox", `-2 -2 ${width + 4} ${height + 4}`);
    this.#svg.setAttribute("width", `${width + 4}`);
    this.#svg.setAttribute("height", `${height + 4}`);
    aria(this.#svg, { hidden: true });
    this.#svg.append(this.#path);
    this.root = span("tl-metric", span("tl-name", name), this.#value);
    this.root.append(this.#svg);
  }

  update(metric: Metric): void {
    this.root.classList.toggle("tl-bad", metric.bad);
    write(this.#value, metric.bad ? `⚠ ${metric.text}` : metric.text);
    const curve = metric.points.length > 1;
    this.#svg.style.display = curve ? "" : "none";
    if (curve) this.#path.setAttribute("d", sparkPath(metric.points, SPARK.width, SPARK.height));
  }
}

export class RowView {
  readonly root: HTMLElement;
  readonly #label = span("tl-label");
  readonly #fill = span("tl-fill");
  readonly #track = span("tl-track", this.#fill);
  readonly #count = span("tl-count");
  readonly #time = span("tl-time");
  readonly #metrics = span("tl-metrics");
  readonly #views = new Map<string, MetricView>();

  readonly #nested: boolean;

  constructor(nested: boolean) {
    this.#nested = nested;
    aria(this.#track, { role: "progressbar" });
    this.root = div(nested ? "tl-row tl-nested" : "tl-row");
    this.root.append(this.#label, this.#track, this.#count, this.#time, this.#metrics);
  }

  /** `sinceUpdate`: seconds since Python sent this row; time goes on while a long step runs. */
  update(row: Row, sinceUpdate: number): void {
    const done = fraction(row);
    write(this.#label, row.label);
    write(this.#count, count(row));
    this.#track.classList.toggle("tl-endless", done === null && row.status === "running");
    aria(this.#track, { label: row.label, valuetext: count(row) });
    if (done === null) {
      this.#track.removeAttribute("aria-valuenow");
    } else {
      aria(this.#track, { valuenow: Math.round(done * 100) });
      this.#fill.style.width = `${done * 100}%`;
    }
    // A nested loop begins anew each time: its own clock would only flicker.
    write(this.#time, this.#nested ? speed(row) : times(row, sinceUpdate));
    const names = new Set(row.metrics.map((metric) => metric.name));
    for (const [name, view] of this.#views) {
      if (!names.has(name)) {
        view.root.remove();
        this.#views.delete(name);
      }
    }
    for (const metric of row.metrics) {
      let view = this.#views.get(metric.name);
      if (view === undefined) {
        view = new MetricView(metric.name);
        this.#views.set(metric.name, view);
        this.#metrics.append(view.root);
      }
      view.update(metric);
    }
  }
}

function speed(row: Row): string {
  return row.rate === null ? "" : rate(row.rate);
}

/** "1 min 15 s, 42.3 steps/s, 30 s left" */
export function times(row: Row, sinceUpdate: number): string {
  const running = row.status === "running";
  const parts = [duration(row.elapsed + (running ? sinceUpdate : 0))];
  if (row.rate !== null) parts.push(speed(row));
  if (running && row.remaining !== null) {
    parts.push(`${duration(Math.max(row.remaining - sinceUpdate, 0))} left`);
  }
  return parts.join(", ");
}
