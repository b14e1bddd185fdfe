// @vitest-environment happy-dom
import { afterEach, expect, test, vi } from "vitest";
import { type Chart, describe as inWords, type Line, LineChart } from "./linechart";

const line = (name: string, ys: number[], change: Partial<Line> = {}): Line => ({
  name,
  color: "#123456",
  dash: "",
  xs: [0, 10, 20],
  ys,
  weight: "normal",
  ...change,
});
const chart = (lines: Line[], change: Partial<Chart> = {}): Chart => ({
  title: "loss",
  lines,
  log: false,
  range: null,
  empty: "nothing yet",
  ...change,
});

afterEach(() => document.body.replaceChildren());

function shown(given: Chart) {
  const events = { hovered: vi.fn(), chosen: vi.fn(), brushed: vi.fn() };
  const made = new LineChart(140, events);
  document.body.append(made.root);
  made.update(given);
  const press = (key: string, shiftKey = false) =>
    made.root.dispatchEvent(new KeyboardEvent("keydown", { key, shiftKey, cancelable: true }));
  return { made, events, press };
}

test("a line for each, the strong one over the others, and words for who does not see it", () => {
  const { made } = shown(
    chart([
      line("a", [3, 2, 1], { weight: "strong" }),
      line("b", [1, 1, 4], { dash: "6 3", weight: "faint" }),
    ]),
  );
  const paths = [...made.root.querySelectorAll("path")];
  expect(paths.map((path) => path.getAttribute("stroke-width"))).toEqual(["1.5", "3"]);
  expect(paths[0]?.getAttribute("stroke-dasharray")).toBe("6 3");
  expect(made.root.querySelector("svg")?.getAttribute("aria-label")).toBe(
    "loss, at the end: a 1, b 4",
  );
  const many = Array.from({ length: 15 }, (_, i) => line(`l${i}`, [i]));
  expect(inWords(chart(many))).toContain("and 3 more lines");
  const { markup, width } = made.picture("red", "white");
  expect(markup).toContain("<path");
  expect(markup).not.toContain("currentColor");
  expect(width).toBe(480);
});

test("without values it says so", () => {
  const { made } = shown(chart([line("a", [0, -1, Number.NaN])], { log: true }));
  expect(made.root.textContent).toContain("nothing yet");
  expect(made.root.querySelectorAll("path").length).toBe(0);
});

test("arrow keys go through the steps, with Shift they take a range", () => {
  const { made, events, press } = shown(chart([line("a", [3, 2, 1])]));
  press("ArrowLeft");
  expect(events.hovered).toHaveBeenLastCalledWith({ step: 10, line: null });
  expect(made.root.querySelectorAll(".tl-chart-cursor").length).toBe(1);
  press("Home");
  expect(events.hovered).toHaveBeenLastCalledWith({ step: 0, line: null });
  press("ArrowLeft");
  expect(events.hovered).toHaveBeenLastCalledWith({ step: 0, line: null });
  press("ArrowRight", true);
  expect(events.brushed).toHaveBeenLastCalledWith([0, 10]);
  made.update(chart([line("a", [3, 2, 1])], { range: [0, 10] }));
  expect(made.root.querySelectorAll(".tl-chart-range").length).toBe(1);
  press("ArrowRight", true);
  expect(events.brushed).toHaveBeenLastCalledWith([0, 20]);
  press("Escape");
  expect(events.brushed).toHaveBeenLastCalledWith(null);
  const other = new KeyboardEvent("keydown", { key: "q", cancelable: true });
  made.root.dispatchEvent(other);
  expect(other.defaultPrevented).toBe(false);
});

test("dragging takes a range, a click takes the line below it", () => {
  const { made, events } = shown(chart([line("a", [1, 1, 1]), line("b", [9, 9, 9])]));
  const svg = made.root.querySelector("svg") as SVGSVGElement;
  const pointer = (type: string, clientX: number, clientY: number) =>
    svg.dispatchEvent(new PointerEvent(type, { clientX, clientY, button: 0 }));
  // 480 wide: steps 0, 10 and 20 are at 56, 262 and 468.
  pointer("pointerdown", 60, 50);
  pointer("pointermove", 250, 50);
  pointer("pointerup", 250, 50);
  expect(events.brushed).toHaveBeenLastCalledWith([0, 10]);
  pointer("pointerdown", 460, 12);
  pointer("pointerup", 460, 12);
  expect(events.chosen.mock.lastCall?.[0].name).toBe("b");
  pointer("pointerdown", 460, 60);
  pointer("pointerup", 460, 60);
  expect(events.brushed).toHaveBeenLastCalledWith(null);
  pointer("pointerleave", 0, 0);
  expect(events.hovered).toHaveBeenLastCalledWith(null);
});
