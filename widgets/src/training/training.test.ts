// @vitest-environment happy-dom
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { fakeModel } from "../common/testing";
import trainingWidget from "../training";
import { Announcer } from "./announce";
import { ANSWER_WITHIN_MS, BUSY, Commands } from "./commands";
import { count, panels, rateText, readRate, statusWords, type Training, times } from "./state";
import { level, Strip } from "./strip";

const training = (change: Partial<Training> = {}): Training => ({
  label: "training",
  n: 30,
  total: 120,
  status: "running",
  epoch: 1,
  epochs: 4,
  elapsed: 10,
  rate: 3,
  samples: 96,
  remaining: 30,
  paused: false,
  stopping: false,
  interruptible: false,
  resumable: true,
  refused: "",
  error: "",
  lr: [0.1],
  metrics: [{ name: "loss", text: "0.25", bad: false }],
  curves: [],
  health: null,
  ...change,
});
const points = (...values: number[]) => new DataView(Float32Array.from(values).buffer);

test("how far it is, in words", () => {
  expect(count(training())).toBe("30/120 steps, epoch 2 of 4");
  expect(count(training({ total: null, epochs: null }))).toBe("30 steps");
  expect(count(training({ epoch: 4 }))).toContain("epoch 4 of 4");
  expect(times(training({ samples: 3900 }), 2)).toBe(
    "12 s, 3.0 steps/s, 3.9k examples/s, 28 s left",
  );
  // Nothing moves during a pause.
  expect(times(training({ paused: true }), 2)).toBe("10 s, 3.0 steps/s, 96 examples/s");
});

test("what has gone wrong comes before what is going on", () => {
  expect(statusWords(training())).toBe("");
  expect(statusWords(training({ paused: true }))).toBe("Paused between two steps.");
  expect(statusWords(training({ paused: true, stopping: true }))).toContain("Stopping");
  expect(statusWords(training({ error: "no", refused: "not this", stopping: true }))).toBe("no");
  expect(statusWords(training({ status: "stopped" }))).toContain("resume() goes on");
  expect(statusWords(training({ status: "stopped", resumable: false }))).toBe("");
});

test("curves of training and validation share a panel", () => {
  expect([...panels(["loss", "accuracy", "val_loss", "val_f1"])]).toEqual([
    ["loss", ["loss", "val_loss"]],
    ["accuracy", ["accuracy"]],
    ["f1", ["val_f1"]],
  ]);
});

test("learning rates as they are read and typed", () => {
  expect([0, 0.1, 3e-5, 0.00012345678, 1e6].map(rateText)).toEqual([
    "0",
    "0.1",
    "3e-5",
    "0.0001235",
    "1e+6",
  ]);
  expect(["0.01", " 1e-3 ", "0", "", "-1", "x", "1e999"].map(readRate)).toEqual([
    0.01,
    1e-3,
    0,
    null,
    null,
    null,
    null,
  ]);
});

test("a command that is not heard says why, and that it was heard after all", async () => {
  const said: [string, boolean][] = [];
  let late = () => {};
  let answer = { done: () => {}, failed: (_: Error) => {} };
  const commands = new Commands({
    call: () =>
      new Promise<void>((done, failed) => {
        answer = { done, failed };
      }),
    say: (words, bad) => said.push([words, bad]),
    busy: () => BUSY,
    after: (ms, then) => {
      expect(ms).toBe(ANSWER_WITHIN_MS);
      late = then;
      return () => {
        late = () => {};
      };
    },
  });
  const asked = commands.ask("pause");
  late();
  expect(said).toEqual([[BUSY, false]]);
  answer.done();
  expect(await asked).toBe(true);
  expect(said.at(-1)).toEqual(["", false]);
  const refused = commands.ask("rate", { value: -1 });
  answer.failed(new Error("not below 0"));
  expect(await refused).toBe(false);
  expect(said.at(-1)).toEqual(["not below 0", true]);
});

test("quarters are spoken, alarms once and at once", () => {
  const announcer = new Announcer();
  expect(announcer.next(training({ n: 0, remaining: null }), 0)).toContain("0/120 steps");
  expect(announcer.next(training({ n: 5 }), 1000)).toBeNull();
  expect(announcer.next(training({ n: 30 }), 2000)).toBe(
    "training 30/120 steps, epoch 2 of 4, loss 0.25, 30 s left",
  );
  const bad = training({ metrics: [{ name: "loss", text: "nan", bad: true }] });
  expect(announcer.next(bad, 3000)).toBe("Warning: loss is nan");
  expect(announcer.next(bad, 4000)).toBeNull();
  expect(announcer.next(training({ n: 31 }), 70_000)).toContain("31/120");
});

test("the strip: a cell for each parameter, and the flags in words", () => {
  expect([level(null), level(0), level(1e-20), level(1e-3), level(1e9)]).toEqual([
    0, 0, 0.04, 0.5, 1,
  ]);
  const strip = new Strip();
  const flag = {
    kind: "dead_relu",
    severity: "error",
    where: ["b"],
    reason: "b is dead.",
    suggestion: "Lower the rate.",
  };
  const cells = [
    { name: "a", norm: 1, ratio: 0.001, flags: [] },
    { name: "b", norm: 0, ratio: null, flags: [0] },
  ];
  strip.update({ cells, flags: [flag] });
  const drawn = [...strip.root.querySelectorAll<HTMLElement>(".tl-strip-cell")];
  expect(drawn.map((cell) => cell.classList.contains("tl-bad"))).toEqual([false, true]);
  expect(drawn[1]?.title).toBe("b: gradient norm 0, update / weight – · dead_relu");
  expect(strip.root.textContent).toContain("✗ dead relu b is dead.→ Lower the rate.");
  expect(strip.root.querySelector('[role="img"]')?.getAttribute("aria-label")).toContain(
    "flagged are b",
  );
  strip.update({ cells: cells.slice(0, 1), flags: [] });
  expect(strip.root.querySelectorAll(".tl-strip-cell").length).toBe(1);
  strip.update(null);
  expect(strip.root.hidden).toBe(true);
});

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
  document.body.replaceChildren();
});

function show(state: Training, page?: string) {
  const model = fakeModel(state, page);
  const el = document.createElement("div");
  document.body.append(el);
  const dispose = trainingWidget.render({ model: model.model, el });
  const button = (name: string) => {
    const found = [...el.querySelectorAll("button")].find((each) => each.textContent === name);
    if (found === undefined) throw new Error(`no button ${name}`);
    return found;
  };
  const update = (next: Training) => {
    model.update(next);
    vi.advanceTimersByTime(50);
  };
  return { model, el, dispose, button, update };
}

test("the dashboard follows the training, asks for a pause and for another rate", async () => {
  const { model, el, dispose, button, update } = show(training());
  expect(el.textContent).toContain("30/120 steps");
  expect(el.querySelector('[role="progressbar"]')?.getAttribute("aria-valuenow")).toBe("25");
  button("Pause").click();
  expect(model.sent.at(-1)).toMatchObject({ method: "pause" });
  vi.advanceTimersByTime(ANSWER_WITHIN_MS);
  expect(el.querySelector('[role="status"]')?.textContent).toContain("The kernel is busy");
  model.emit("msg:custom", { type: "reply", id: 0, result: null }, []);
  await vi.advanceTimersByTimeAsync(1);
  update(training({ paused: true }));
  expect(el.textContent).toContain("Paused between two steps.");
  button("Resume").click();
  expect(model.sent.at(-1)).toMatchObject({ method: "resume" });
  button("÷2").click();
  expect(model.sent.at(-1)).toMatchObject({ method: "rate", args: { value: 0.05, group: null } });
  const rate = el.querySelector<HTMLInputElement>(".tl-train-rate") as HTMLInputElement;
  rate.value = "fast";
  button("Set").click();
  expect(el.querySelector('[role="status"]')?.textContent).toContain("“fast” is no learning rate");
  dispose();
  expect([model.listeners("change:state"), model.listeners("msg:custom")]).toEqual([0, 0]);
});

test("curves come when there are points; a rate that nobody has moved is none", () => {
  const { el, update, button } = show(training());
  update(
    training({
      curves: [
        { name: "loss", points: points(0, 10, 20, 2, 1, 0.5) },
        { name: "val_loss", points: points(10, 20, 1.5, 1) },
        { name: "learning rate", points: points(0, 10, 0.1, 0.1) },
      ],
    }),
  );
  expect(el.querySelectorAll(".tl-train-panel").length).toBe(1);
  expect(el.querySelectorAll(".tl-chart-svg path").length).toBe(2);
  button("log").click();
  expect(button("log").getAttribute("aria-pressed")).toBe("true");
  update(training({ curves: [{ name: "learning rate", points: points(0, 10, 0.1, 0.01) }] }));
  expect(el.querySelector(".tl-train-last")?.textContent).toContain("learning rate");
});

test("a saved page has no controls", () => {
  const { el, button } = show(training(), "");
  expect(button("Stop").parentElement?.hidden).toBe(true);
  expect(el.querySelector<HTMLInputElement>(".tl-train-rate")?.readOnly).toBe(true);
});
