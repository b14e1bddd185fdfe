// The side panel: everything that is known of the chosen node or group.

import { button, div, element, span, svgElement } from "../common/dom";
import { bytes, number, seconds, short } from "../common/scale";
import type { Group } from "./hierarchy";
import { groupText } from "./outline";
import {
  type Gradient,
  type Graph,
  type GraphNode,
  type NodeValues,
  nodeText,
  type Statistics,
  type Step,
  shapeText,
} from "./records";

export interface PanelEvents {
  goto: (node: number) => void;
  toggle: (group: Group) => void;
}

type Row = readonly [string, Node | string];

function list(rows: readonly (Row | null)[]): HTMLElement {
  const root = element("dl", "tl-facts");
  for (const row of rows) {
    if (row !== null) root.append(element("dt", "", row[0]), element("dd", "", row[1]));
  }
  return root;
}

const heading = (text: string): HTMLElement => element("h4", "", text);

export function groupPanel(group: Group, isOpen: boolean, events: PanelEvents): HTMLElement {
  const { module } = group;
  const { text } = groupText(group);
  return div(
    "tl-panel-body",
    element("h3", "", group.path && group.kind === "module" ? group.path : text),
    button(isOpen ? "Close" : "Open", isOpen ? "Show it as one box" : "Show what is in it", () =>
      events.toggle(group),
    ),
    list([
      group.type ? [group.kind === "module" ? "class" : "contains", group.type] : null,
      group.path ? ["module", group.path] : null,
      group.repeats > 1 ? ["repeats", `${group.repeats} times the same, one after another`] : null,
      ["operations", `${group.count}`],
      module ? ["parameters", `${module.parameters.toLocaleString("en")}`] : null,
      module ? ["forward work", `${short(module.flops)} FLOPs`] : null,
      module ? ["saved for backward", bytes(module.saved_bytes)] : null,
    ]),
  );
}

export function nodePanel(
  graph: Graph,
  node: GraphNode,
  values: NodeValues | null,
  waiting: string,
  step: Step | null,
  events: PanelEvents,
): HTMLElement {
  const { source } = node;
  const link = (i: number): HTMLElement => {
    const other = graph.nodes[i] as GraphNode;
    return button(nodeText(other), `Go to #${i} ${other.name}`, () => events.goto(i));
  };
  const neighbours = (numbers: readonly number[], end: "source" | "target"): HTMLElement => {
    const all = [...new Set(numbers.map((i) => graph.edges[i]?.[end] ?? 0))];
    const root = span("tl-links", ...all.slice(0, 8).map(link));
    if (all.length > 8) root.append(` and ${all.length - 8} more`);
    return root;
  };
  const body = div(
    "tl-panel-body",
    element("h3", "", nodeText(node)),
    list([
      ["node", `#${node.index} ${node.name}`],
      [node.shapes.length > 1 ? "outputs" : "shape", node.typed],
      node.kind === "view" ? ["memory", "a view: it shows its input’s memory"] : null,
      node.kind === "write" ? ["memory", "overwrites a part of a tensor in place"] : null,
      node.module ? ["module", node.module] : null,
      node.outputs.length > 1 ? ["leads to", `outputs ${node.outputs.join(" and ")}`] : null,
      node.bytes ? ["result", bytes(node.bytes)] : null,
      node.flops ? ["forward work", `${short(node.flops)} FLOPs`] : null,
      node.seconds
        ? ["time", `${seconds(node.seconds[0])} forward, ${seconds(node.seconds[1])} backward`]
        : null,
      source
        ? ["line", span("", `${shortFile(source.file)}:${source.line} in ${source.function}`)]
        : null,
    ]),
  );
  if (source?.code) body.append(element("pre", "tl-code", source.code));
  if (node.rule) body.append(heading("What it does to a gradient g"), element("p", "", node.rule));
  if (step !== null) body.append(...stepFacts(graph, step, link));
  if (values?.value) body.append(heading("Value"), statistics(values.value, "values"));
  if (values?.gradient && step === null) {
    body.append(heading("Gradient"), statistics(values.gradient, "gradients"));
  }
  if (values !== null && !values.value) {
    body.append(
      element("p", "tl-muted", "Its value is not kept: nothing needs it for the backward pass."),
    );
  }
  if (waiting) body.append(element("p", "tl-muted", waiting));
  if (node.freed && node.kind !== "leaf") {
    body.append(element("p", "tl-muted", "backward() has freed what it had saved."));
  } else if (node.saved.length > 0) {
    body.append(
      heading(`Saved for backward, ${bytes(node.savedBytes)}`),
      list(
        node.saved.map(
          (each): Row => [
            each.name,
            `${shapeText(each.shape)} ${each.dtype}, ${bytes(each.bytes)}`,
          ],
        ),
      ),
    );
  }
  const [from, to] = [graph.arriving[node.index] ?? [], graph.leaving[node.index] ?? []];
  body.append(
    list([
      from.length > 0 ? ["computed from", neighbours(from, "source")] : null,
      to.length > 0 ? ["used by", neighbours(to, "target")] : null,
    ]),
  );
  return body;
}

/** A notebook's cell has a long made-up name; of a path the end is enough. */
export function shortFile(file: string): string {
  if (/ipykernel_\d+/.test(file) || file.startsWith("<ipython")) return "this notebook";
  return file.split(/[\\/]/).slice(-2).join("/");
}

function stepFacts(graph: Graph, step: Step, link: (i: number) => HTMLElement): HTMLElement[] {
  const found: HTMLElement[] = [];
  step.received.forEach((gradient, i) => {
    if (gradient === null) return;
    const which = step.received.length > 1 ? ` of output ${i}` : "";
    found.push(heading(`Receives the gradient${which}`), gradientFacts(gradient));
  });
  if (step.grad) found.push(heading(".grad afterwards"), gradientFacts(step.grad));
  for (const sent of step.sent) {
    const target = graph.nodes[sent.target];
    const title = element("h4", "", "Sends to ", link(sent.target));
    title.append(target && target.kind === "leaf" ? ` (a leaf)` : "");
    found.push(title, gradientFacts(sent.gradient));
    if (!sent.first) {
      found.push(
        element("p", "", "It is added to what had arrived there; the sum is now:"),
        gradientFacts(sent.total),
      );
    }
  }
  return found;
}

/** A gradient in numbers: all of them if they are few. */
export function gradientFacts(gradient: Gradient): HTMLElement {
  const { minimum, maximum, nonfinite, values } = gradient;
  const root = div("tl-gradient");
  if (values !== null) root.append(element("pre", "tl-code", valuesText(values)));
  const range =
    minimum === null || maximum === null ? "" : `, from ${number(minimum)} to ${number(maximum)}`;
  root.append(div("", `${shapeText(gradient.shape)}, norm ${number(gradient.norm)}${range}`));
  if (nonfinite > 0) {
    root.append(div("tl-warning", `⚠ ${nonfinite} of them nan or infinite`));
  }
  return root;
}

export function valuesText(values: unknown): string {
  if (!Array.isArray(values)) return typeof values === "number" ? number(values) : `${values}`;
  const deep = values.some((each) => Array.isArray(each));
  return `[${values.map(valuesText).join(deep ? ",\n " : ", ")}]`;
}

function statistics(found: Statistics, what: string): HTMLElement {
  const value = (x: number | null) => (x === null ? "–" : number(x));
  const root = div("", histogram(found, what));
  root.append(
    list([
      ["range", `${value(found.minimum)} to ${value(found.maximum)}`],
      ["mean ± std", `${value(found.mean)} ± ${value(found.std)}`],
      found.zeros > 0 ? ["zeros", `${found.zeros} of ${found.elements}`] : null,
    ]),
  );
  if (found.nan + found.infinite > 0) {
    root.append(
      element("p", "tl-warning", `⚠ ${found.nan} nan and ${found.infinite} infinite values`),
    );
  }
  return root;
}

function histogram(found: Statistics, what: string): Node {
  const { counts, edges } = found;
  if (counts.length < 2) return span("");
  const [width, height] = [220, 56];
  const most = Math.max(...counts, 1);
  const bar = width / counts.length;
  const svg = svgElement("svg", {
    class: "tl-histogram",
    viewBox: `0 0 ${width} ${height}`,
    width,
    height,
    role: "img",
    "aria-label": `Histogram of ${found.elements} ${what} from ${number(edges[0] ?? 0)} to ${number(edges.at(-1) ?? 0)}`,
  });
  counts.forEach((count, i) => {
    const tall = count > 0 ? Math.max((count / most) * (height - 2), 1) : 0;
    const title = svgElement(
      "title",
      {},
      `${number(edges[i] ?? 0)} to ${number(edges[i + 1] ?? 0)}: ${count}`,
    );
    svg.append(
      svgElement(
        "rect",
        { x: i * bar + 0.5, y: height - tall, width: Math.max(bar - 1, 0.5), height: tall },
        title,
      ),
    );
  });
  return svg;
}
