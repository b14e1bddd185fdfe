// As much of an anywidget model as the widgets use, for the tests.

import type { Model } from "./model";

type Listener = (...args: never[]) => void;

export interface FakeModel<S> {
  model: Model<S>;
  sent: unknown[];
  emit(name: string, ...args: unknown[]): void;
  /** Python sends a new state. */
  update(state: S): void;
  listeners(name: string): number;
}

export function fakeModel<S>(state: S, page = "<title>@@title@@</title>"): FakeModel<S> {
  const values: { [name: string]: unknown; state: S } = {
    state,
    page,
    _esm: "</script>",
    _css: "",
  };
  const all = new Map<string, Set<Listener>>();
  const sent: unknown[] = [];
  const emit = (name: string, ...args: unknown[]) => {
    for (const listener of all.get(name) ?? []) (listener as (...args: unknown[]) => void)(...args);
  };
  const model = {
    get: (name: string) => values[name],
    send: (message: unknown) => sent.push(message),
    on: (name: string, listener: Listener) =>
      all.set(name, (all.get(name) ?? new Set()).add(listener)),
    off: (name: string, listener: Listener) => all.get(name)?.delete(listener),
    widget_manager: {},
  };
  return {
    model: model as unknown as Model<S>,
    sent,
    emit,
    update: (next) => {
      values.state = next;
      emit("change:state");
    },
    listeners: (name) => all.get(name)?.size ?? 0,
  };
}
