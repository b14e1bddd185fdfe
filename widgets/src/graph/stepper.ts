// Stepping through backward: what has run, what has arrived where, and it in words.

import { number } from "../common/scale";
import { type Graph, nodeText, type Sent, type Step, type Steps } from "./records";

/** How far the pass has come, as the picture shows it. Positions: 0 is before the first node. */
export interface Progress {
  /** Nodes that have run, the current one not included. */
  done: Set<number>;
  now: number | null;
  /** Nodes that have not run: how many gradients have arrived. */
  waiting: Map<number, number>;
  /** Numbers of the edges that the current node sends along. */
  sent: Set<number>;
}

export class Stepper {
  position = 0;
  readonly #at = new Map<number, number>();

  readonly #graph: Graph;

  constructor(
    graph: Graph,
    readonly steps: Steps,
  ) {
    this.#graph = graph;
    steps.nodes.forEach((node, i) => {
      this.#at.set(node, i);
    });
  }

  get length(): number {
    return this.steps.nodes.length;
  }

  /** The step that ran last; null at the start, or if its numbers have not come yet. */
  get current(): Step | null {
    return this.steps.steps[this.position - 1] ?? null;
  }

  get node(): number | null {
    return this.steps.nodes[this.position - 1] ?? null;
  }

  /** The step in which a node runs, if it has run. */
  stepOf(node: number): Step | null {
    const i = this.#at.get(node);
    return i === undefined || i >= this.position ? null : (this.steps.steps[i] ?? null);
  }

  move(to: number): void {
    this.position = Math.min(Math.max(Math.round(to), 0), this.length);
  }

  /** A stretch of steps around the position whose numbers are not here: [first, last), or null. */
  missing(around = 25): [number, number] | null {
    const i = this.position - 1;
    if (i < 0 || this.steps.steps[i]) return null;
    return [Math.max(i - around, 0), Math.min(i + around, this.length)];
  }

  received(first: number, steps: readonly Step[]): void {
    steps.forEach((step, i) => {
      this.steps.steps[first + i] = step;
    });
  }

  norms(): Map<number, number> {
    const found = new Map<number, number>();
    this.steps.nodes.forEach((node, i) => {
      const norm = this.steps.norms[i];
      if (norm !== null && norm !== undefined) found.set(node, norm);
    });
    return found;
  }

  /** Which gradients have arrived follows from the edges of the nodes that ran. */
  progress(): Progress {
    const done = new Set(this.steps.nodes.slice(0, Math.max(this.position - 1, 0)));
    const ran = new Set(this.steps.nodes.slice(0, this.position));
    const waiting = new Map<number, number>();
    const arrives = (node: number) => {
      if (!ran.has(node)) waiting.set(node, (waiting.get(node) ?? 0) + 1);
    };
    for (const [node] of this.steps.seeds) arrives(node);
    for (const node of ran) {
      for (const i of this.#graph.arriving[node] ?? []) arrives(this.#graph.edges[i]?.source ?? 0);
    }
    const now = this.node;
    return { done, now, waiting, sent: new Set(now === null ? [] : this.#graph.arriving[now]) };
  }

  /** The current step as a sentence, for eyes and for a screen reader. */
  words(): string {
    const node = this.node;
    if (node === null) {
      const seeds = this.steps.seeds.map(([i]) => this.#name(i)).join(" and ");
      return `Before the first step: the gradient ${one(this.steps.seeds)}waits at ${seeds}.`;
    }
    const step = this.current;
    const head = `Step ${this.position} of ${this.length}: ${this.#name(node)}`;
    if (step === null) return `${head}.`;
    const received = step.received.find((each) => each !== null);
    const gets = received ? ` receives a gradient of norm ${number(received.norm)}` : "";
    if (step.sent.length === 0) {
      return `${head}${gets}${step.grad ? `; its .grad would have norm ${number(step.grad.norm)}` : ""}.`;
    }
    return `${head}${gets}; ${step.sent.map((sent) => this.#sentence(sent)).join("; ")}.`;
  }

  #sentence(sent: Sent): string {
    const to = `sends norm ${number(sent.gradient.norm)} to ${this.#name(sent.target)}`;
    return sent.first ? to : `${to}, where it is added: now ${number(sent.total.norm)}`;
  }

  #name(node: number): string {
    const found = this.#graph.nodes[node];
    return found ? `${nodeText(found)} (#${node})` : `#${node}`;
  }
}

function one(seeds: Steps["seeds"]): string {
  const all = seeds.every(([, , gradient]) => gradient.values === 1);
  return all ? "1 " : "";
}
