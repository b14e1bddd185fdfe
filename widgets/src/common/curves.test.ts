import { expect, test } from "vitest";
import { extent, linePath, median, nearest, padded, readable } from "./curves";
import { scale } from "./scale";

const x = scale([0, 4], [0, 40]);

test("a path has gaps where nothing can be drawn, and a dot where a point is alone", () => {
  const y = scale([0, 10], [10, 0]);
  expect(linePath([0, 1, 2], [0, 5, 10], x, y, false)).toBe("M0 10L10 5L20 0");
  expect(linePath([0, 1, 2, 3, 4], [1, Number.NaN, 2, Infinity, 3], x, y, false)).toBe(
    "M0 9h0M20 8h0M40 7h0",
  );
  const log = scale([1, 100], [10, 0], true);
  expect(linePath([0, 1, 2], [0, 1, 100], x, log, true)).toBe("M10 10L20 0");
  expect(linePath([], [], x, y, false)).toBe("");
  expect(linePath([0, 1], [5], x, y, false)).toBe("M0 5h0");
});

test("an extent is of what can be drawn", () => {
  expect(extent([[3, Number.NaN], [-1]], false)).toEqual([-1, 3]);
  expect(extent([[3, 0, -1], [0.5]], true)).toEqual([0.5, 3]);
  expect(extent([[Number.NaN], []], false)).toBeNull();
});

test("there is room around the values, also where they are all the same", () => {
  expect(padded([0, 100], false)).toEqual([-4, 104]);
  expect(padded([5, 5], false)).toEqual([4.5, 5.5]);
  expect(padded([0, 0], false)).toEqual([-0.5, 0.5]);
  expect(padded([2, 3], true)).toEqual([1, 10]);
  const [low, high] = padded([1, 1000], true);
  expect(low).toBeLessThan(1);
  expect(high).toBeGreaterThan(1000);
});

test("the nearest (of two as near, the earlier), and the middle one", () => {
  const steps = Int32Array.from([0, 10, 20]);
  expect([-5, 4, 5, 6, 14, 99].map((wanted) => nearest(steps, wanted))).toEqual([0, 0, 0, 1, 1, 2]);
  expect(nearest([], 1)).toBe(-1);
  expect(nearest([7], 1)).toBe(0);
  expect(median([3, 1, Number.NaN, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  expect(median([Number.NaN])).toBeNaN();
});

test("numbers to read off a curve", () => {
  const said = [0, 12, 0.012345, 1.2e-5, 123456, Number.NaN, Infinity, -Infinity, -2.5].map(
    readable,
  );
  expect(said).toEqual(["0", "12", "0.0123", "1.2e-5", "1.2e5", "–", "∞", "-∞", "-2.5"]);
});
