// @vitest-environment happy-dom
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import progress from "./progress";
import type { State } from "./state";
import { row, state } from "./testing";

/** As much of an anywidget model as the module uses. */
class FakeModel {
  readonly listeners = new Map<string, Set<(message?: unknown) => void>>();
  readonly sent: unknown[] = [];
  widget_manager: unknown = {};

  constructor(public state: State) {}

  get(): State {
    return this.state;
  }
  send(message: unknown): void {
    this.sent.push(message);
  }
  on(name: string, listener: () => void): void {
    this.listeners.set(name, (this.listeners.get(name) ?? new Set()).add(listener));
  }
  off(name: string, listener: () => void): void {
    this.listeners.get(name)?.delete(listener);
  }
  emit(name: string, message?: unknown): void {
    for (const listener of this.listeners.get(name) ?? []) listener(message);
  }
  update(...rows: State["rows"]): void {
    this.state = state(...rows);
    this.emit("change:state");
    vi.advanceTimersByTime(20);
  }
}

type Props = Parameters<typeof progress.render>[0];

function show(model: FakeModel): { el: HTMLElement; dispose: () => void } {
  const el = document.createElement("div");
  document.body.append(el);
  return { el, dispose: progress.render({ model, el } as unknown as Props) };
}

const find = (el: HTMLElement, selector: string): HTMLElement => {
  const found = el.querySelector<HTMLElement>(selector);
  if (found === null) throw new Error(`no ${selector} in ${el.innerHTML}`);
  return found;
};

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
  document.body.replaceChildren();
});

test("follows the state: bar, count, metrics, times", () => {
  const model = new FakeModel(state(row()));
  const { el } = show(model);
  model.update(
    row({
      n: 5,
      elapsed: 10,
      rate: 0.5,
      remaining: 30,
      metrics: [{ name: "loss", text: "0.1250", bad: false, points: [2, 1, 0.125] }],
    }),
  );
  const bar = find(el, '[role="progressbar"]');
  expect(bar.getAttribute("aria-valuenow")).toBe("25");
  expect(bar.getAttribute("aria-valuetext")).toBe("5/20");
  expect(find(el, ".tl-fill").style.width).toBe("25%");
  expect(find(el, ".tl-metric").textContent).toBe("loss0.1250");
  expect(find(el, ".tl-spark path").getAttribute("d")).toMatch(/^M0 0L36 /);
  expect(find(el, ".tl-time").textContent).toBe("10 s, 2.0 s/step, 30 s left");
});

test("a nested row shows its speed, not its own short clock", () => {
  const batches = row({ label: "batches", n: 2, elapsed: 0.1, rate: 42.26, remaining: 0.5 });
  const { el } = show(new FakeModel(state(row(), batches)));
  expect(find(el, ".tl-nested .tl-time").textContent).toBe("42.3 steps/s");
});

test("time goes on while a long step runs", () => {
  const model = new FakeModel(state(row({ n: 1, elapsed: 10, rate: 0.1, remaining: 190 })));
  const { el } = show(model);
  vi.advanceTimersByTime(5_100);
  expect(find(el, ".tl-time").textContent).toBe("15 s, 10.0 s/step, 3 min 5 s left");
});

test("nested rows come and go, metrics too, and nodes are reused", () => {
  const loss = { name: "loss", text: "1.000", bad: false, points: [] };
  const model = new FakeModel(state(row(), row({ label: "batches", metrics: [loss] })));
  const { el } = show(model);
  const outer = find(el, ".tl-row");
  expect(find(el, ".tl-nested .tl-metric").textContent).toBe("loss1.000");
  model.update(row({ n: 1 }), row({ label: "batches" }));
  expect(el.querySelector(".tl-metric")).toBeNull();
  model.update(row({ n: 1 }));
  expect(el.querySelector(".tl-nested")).toBeNull();
  expect(find(el, ".tl-row")).toBe(outer);
});

test("a NaN is marked by a sign, not only by colour, and spoken", () => {
  const metrics = [{ name: "loss", text: "nan", bad: true, points: [1, null] }];
  const { el } = show(new FakeModel(state(row({ metrics }))));
  expect(find(el, ".tl-value").textContent).toBe("⚠ nan");
  expect(find(el, '[aria-live="polite"]').textContent).toContain("loss is nan");
});

test("names cannot inject markup", () => {
  const metrics = [{ name: "<b>loss</b>", text: "<i>1</i>", bad: false, points: [] }];
  const { el } = show(new FakeModel(state(row({ label: "<img src=x>", metrics }))));
  expect(el.querySelector("img, b, i")).toBeNull();
  expect(find(el, ".tl-label").textContent).toBe("<img src=x>");
});

test("Stop interrupts the kernel through the front end's own connection", async () => {
  const interrupt = vi.fn(async () => {});
  const model = new FakeModel(state(row()));
  model.widget_manager = { kernel: { interrupt } };
  const { el } = show(model);
  const button = find(el, "button");
  button.click();
  await vi.advanceTimersByTimeAsync(1);
  expect(interrupt).toHaveBeenCalledOnce();
  expect(find(el, '[role="status"]').textContent).toBe("Stopping after this step…");
  expect(button.getAttribute("aria-disabled")).toBe("true");
});

test("Stop sends a message to a loop that an interrupt would not reach", async () => {
  const interrupt = vi.fn(async () => {});
  const model = new FakeModel({ ...state(row()), interruptible: false });
  model.widget_manager = { kernel: { interrupt } };
  const { el } = show(model);
  find(el, "button").click();
  expect(interrupt).not.toHaveBeenCalled();
  expect(model.sent).toEqual([{ type: "stop" }]);
  model.emit("msg:custom", { type: "stopping" });
  expect(find(el, '[role="status"]').textContent).toBe("Stopping after this step…");
});

test("Stop says what to do when no message gets through", async () => {
  const { el } = show(new FakeModel(state(row())));
  find(el, "button").click();
  await vi.advanceTimersByTimeAsync(2_000);
  expect(find(el, '[role="status"]').textContent).toContain("Use the kernel’s own Stop");
  expect(find(el, "button").getAttribute("aria-disabled")).toBe("false");
});

test("leaves nothing behind when its view is removed", () => {
  const model = new FakeModel(state(row()));
  const { dispose } = show(model);
  dispose();
  expect([...model.listeners.values()].every((listeners) => listeners.size === 0)).toBe(true);
  expect(vi.getTimerCount()).toBe(0);
});
