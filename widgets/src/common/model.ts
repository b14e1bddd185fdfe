// The Python side of a widget, as the browser sees it: its state, and questions that it answers.
// tensorlab_widgets/_base.py is the other end.

import type { AnyModel } from "@anywidget/types";

export type Traits<S> = {
  /** What the widget shows. Arrays inside arrive as `DataView`. */
  state: S;
  /** The frame of a standalone page; empty in one. */
  page: string;
  _esm: string;
  _css: string;
};

export type Model<S> = AnyModel<Traits<S>>;

export interface Answer<R> {
  result: R;
  buffers: DataView[];
}

interface Reply {
  type?: string;
  id?: number;
  result?: unknown;
  error?: string;
}

/** In a saved page there is no Python to ask. */
export function isOffline<S>(model: Model<S>): boolean {
  return model.get("page") === "";
}

export const SLOW_AFTER_MS = 3000;
export const SLOW =
  "The kernel has not answered: it is busy with a cell, or it was restarted since this was shown.";
export const OFFLINE = "This page has no kernel: it shows what was there when it was saved.";

/** Asks Python and gives back what it answers, in whichever order the answers come. */
export class Client<S> {
  #next = 0;
  readonly #open = new Map<
    number,
    { done: (answer: Answer<unknown>) => void; failed: (error: Error) => void; timer: number }
  >();
  readonly #heard: (reply: Reply, buffers: DataView[]) => void;

  readonly #model: Model<S>;
  readonly #waiting: (words: string) => void;

  constructor(
    model: Model<S>,
    /** Called with words for the reader while an answer is late, and with "" when it has come. */
    waiting: (words: string) => void = () => {},
  ) {
    this.#model = model;
    this.#waiting = waiting;
    this.#heard = (reply, buffers) => {
      const question = reply.type === "reply" ? this.#open.get(reply.id ?? -1) : undefined;
      if (question === undefined) return;
      this.#open.delete(reply.id ?? -1);
      clearTimeout(question.timer);
      if (this.#open.size === 0) this.#waiting("");
      if (reply.error !== undefined) question.failed(new Error(reply.error));
      else question.done({ result: reply.result, buffers });
    };
    model.on("msg:custom", this.#heard);
  }

  call<R>(method: string, args: Record<string, unknown> = {}): Promise<Answer<R>> {
    if (isOffline(this.#model)) return Promise.reject(new Error(OFFLINE));
    const id = this.#next++;
    return new Promise((done, failed) => {
      const timer = setTimeout(() => this.#waiting(SLOW), SLOW_AFTER_MS) as unknown as number;
      this.#open.set(id, { done: done as (answer: Answer<unknown>) => void, failed, timer });
      this.#model.send({ type: "call", id, method, args });
    });
  }

  dispose(): void {
    this.#model.off("msg:custom", this.#heard);
    for (const { timer } of this.#open.values()) clearTimeout(timer);
    this.#open.clear();
  }
}

/** What an entry file exports: an anywidget module that a standalone page can start as well. */
export function widget<S>(render: (props: { model: Model<S>; el: HTMLElement }) => () => void): {
  render: typeof render;
} {
  const module = { render };
  const start = (globalThis as { tensorlabPage?: (module: unknown) => void }).tensorlabPage;
  start?.(module);
  return module;
}

/** A view of a `DataView` (Python's bytes) as numbers. */
export function floats(view: DataView): Float32Array {
  return new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}
export function doubles(view: DataView): Float64Array {
  return new Float64Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}
export function integers(view: DataView): Int32Array {
  return new Int32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}
