// @vitest-environment happy-dom
import { afterEach, expect, test, vi } from "vitest";
import { fakeModel } from "../common/testing";
import replayWidget from "../replay";
import {
  conflicts,
  elementsOf,
  indexOf,
  lanesOf,
  Replay,
  type ReplayState,
  rowOf,
  type Step,
  words,
} from "./data";

const ALL = -1 >>> 0;
const steps: Step[] = [
  [3, 0, ALL, "compute", [[0, 0, ALL, 0, 4, 4, 1]]],
  [3, 1, 0xff, "compute", [[0, 0, 0xff, 32, 1, 1, 1]]],
  [4, 0, ALL, "barrier", []],
  [4, 1, 0xff, "barrier", []],
  [4, -1, 0, "barrier opens", []],
  [5, 0, 3, "store", [[1, 1, 3, 5, 2, 1, [0, 32]]]],
];
const state: ReplayState = {
  title: "replay of block 0 of k",
  threads: 40,
  warps: 2,
  source: ["def k(x):", "    i = grid(1)", "    v = x[i]", "    syncthreads()", "    s[i] = v"],
  first: 1,
  arrays: [
    { name: "x", space: "global", shape: [40], itemsize: 4 },
    { name: "s", space: "shared", shape: [2, 40], itemsize: 4 },
  ],
  steps,
  complete: true,
  notes: [[5, "!", "bank-conflict, line 5: two rounds"]],
};
const palette = {
  "--tl-text": "#000",
  "--tl-line": "#888",
  "--tl-back": "#fff",
  "--tl-1": "#00f",
  "--tl-2": "#f80",
  "--tl-3": "#0a0",
  "--tl-warn": "#d00",
};

afterEach(() => {
  vi.useRealTimers();
  document.body.replaceChildren();
});

test("bits and progressions are unpacked", () => {
  expect(lanesOf(0b1010)).toEqual([1, 3]);
  expect(lanesOf(ALL)).toHaveLength(32);
  expect(elementsOf([0, 0, 0b111, 10, 1, 1, 4])).toEqual([10, 14, 18]);
  expect(elementsOf([0, 0, 0b101, 10, 1, 1, [0, -7]])).toEqual([10, 3]);
});

test("each row of an array begins a row of the picture", () => {
  const [x, s] = state.arrays as [ReplayState["arrays"][0], ReplayState["arrays"][0]];
  expect([rowOf(x, 0), rowOf(x, 33)]).toEqual([
    [0, 0],
    [1, 1],
  ]);
  expect([rowOf(s, 39), rowOf(s, 40), rowOf(s, 79)]).toEqual([
    [1, 7],
    [2, 0],
    [3, 7],
  ]);
  expect([indexOf(x, 1), indexOf(s, 3)]).toEqual(["32", "1, 32"]);
});

test("different words of one bank wait for each other, the same word does not", () => {
  const s = state.arrays[1] as ReplayState["arrays"][0];
  expect([...conflicts(s, [0, 32, 33, 1, 5, 5])].sort((a, b) => a - b)).toEqual([0, 1, 32, 33]);
  expect(conflicts(state.arrays[0] as ReplayState["arrays"][0], [0, 32]).size).toBe(0);
});

test("a step in words", () => {
  expect(words(state, 0)).toBe(
    "Step 1 of 6: warp 0, line 3, compute, all 32 lanes. x: 32 read in 4 sectors.",
  );
  expect(words(state, 1)).toContain("all 8 lanes");
  expect(words(state, 4)).toContain("barrier of line 4, and go on");
  expect(words(state, 5)).toContain("2 of 32 lanes. s: 2 written in 2 rounds, where 1 would do.");
});

test("steps of one warp, and who waits at a barrier", () => {
  const replay = new Replay(state);
  expect(replay.next(0, 1, null)).toBe(1);
  expect(replay.next(0, 1, 0)).toBe(2);
  expect(replay.next(3, -1, 1)).toBe(1);
  expect(replay.next(5, 1, null)).toBe(5);
  expect(replay.waiting(2)).toEqual([true, false]);
  expect(replay.waiting(3)).toEqual([true, true]);
  expect(replay.waiting(5)).toEqual([false, false]);
});

test("the picture shows active lanes, what they touch, and conflicts with a sign", () => {
  const replay = new Replay(state);
  const svg = replay.picture(5, palette);
  expect(svg.match(/fill="#000" stroke="#888"/g)).toHaveLength(2);
  expect(svg.match(/fill="#f80" stroke="#d00"/g)).toHaveLength(2);
  expect(svg.match(/>!</g)).toHaveLength(2);
  expect(svg).toContain("▶ warp 0");
  expect(replay.picture(3, palette).match(/waits ‖ warp/g)).toHaveLength(1);
  expect(replay.picture(0, palette).match(/>R</g)).toHaveLength(32);
  expect(replay.picture(0, palette)).not.toContain("circle");
  expect(svg.match(/<circle/g)).toHaveLength(2);
});

function shown() {
  const fake = fakeModel<ReplayState>(state);
  const el = document.createElement("div");
  document.body.append(el);
  const end = replayWidget.render({ model: fake.model, el });
  const root = el.querySelector(".tl-replay") as HTMLElement;
  const press = (key: string) =>
    root.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  const said = () => el.querySelector(".tl-replay-words")?.textContent ?? "";
  return { el, end, press, said };
}

test("keys, buttons and the slider move it; the line of the step is marked", () => {
  const { el, end, press, said } = shown();
  expect(said()).toContain("Step 1 of 6");
  press("ArrowRight");
  press("ArrowRight");
  expect(said()).toContain("Step 3 of 6");
  expect(el.querySelector("[aria-current=step]")?.textContent).toContain("syncthreads()");
  press("End");
  expect(said()).toContain("Step 6 of 6");
  const slider = el.querySelector("input") as HTMLInputElement;
  slider.value = "1";
  slider.dispatchEvent(new Event("input"));
  expect(said()).toContain("Step 2 of 6");
  expect(slider.getAttribute("aria-valuetext")).toContain("warp 1");
  const which = el.querySelector("select") as HTMLSelectElement;
  which.value = "0";
  which.dispatchEvent(new Event("change"));
  expect(said()).toContain("Step 3 of 6: warp 0");
  press("Home");
  expect(el.querySelector(".tl-replay-note[aria-label=bank-conflict]")?.textContent).toBe("!");
  expect(el.querySelector(".tl-message")?.textContent).toBe("");
  press("End");
  expect(el.querySelector(".tl-message")?.textContent).toBe("! bank-conflict, line 5: two rounds");
  end();
  expect(el.children).toHaveLength(0);
});

test("it plays to the end, and is quiet for a screen reader until then", () => {
  vi.useFakeTimers();
  const { el, end, press, said } = shown();
  press("Home");
  press(" ");
  const live = () => el.querySelector(".tl-replay-words")?.getAttribute("aria-live");
  vi.advanceTimersByTime(800);
  expect(said()).toContain("Step 3 of 6");
  expect(live()).toBe("off");
  vi.advanceTimersByTime(5000);
  expect(said()).toContain("Step 6 of 6");
  expect(live()).toBe("polite");
  end();
});
