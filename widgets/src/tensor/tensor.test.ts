import { expect, test } from "vitest";
import {
  around,
  closer,
  diverging,
  indexOf,
  placeOf,
  planeOf,
  planeSize,
  readersOf,
  stepped,
  sumText,
  unpackPlane,
  unravel,
} from "./data";

const VIEW = { shape: [4, 3], strides: [1, 4], offset: 0 };

test("an index leads to a place, and the sum says how", () => {
  expect(placeOf(VIEW, [2, 1])).toBe(6);
  expect(sumText(VIEW, [2, 1])).toBe("offset 0 + 2·1 + 1·4 = 6");
  expect(sumText({ strides: [], offset: 5 }, [])).toBe("offset 5 = 5");
  expect(placeOf({ strides: [-4, 2], offset: 9 }, [2, 1])).toBe(3);
});

test("a place leads back to every index that reads it", () => {
  expect(readersOf(VIEW, 6)).toEqual([[2, 1]]);
  const windows = { shape: [3, 3], strides: [1, 1], offset: 0 };
  expect(readersOf(windows, 2)).toEqual([
    [0, 2],
    [1, 1],
    [2, 0],
  ]);
  expect(readersOf(windows, 9)).toEqual([]);
  expect(unravel(7, [2, 2, 3])).toEqual([1, 0, 1]);
});

test("a plane of a whole tensor is the one that the sliders say", () => {
  const values = Float64Array.from({ length: 24 }, (_, i) => (i === 20 ? Number.NaN : i));
  const plane = planeOf(values, [2, 2, 2, 3], [1, 1]);
  expect([...plane.values]).toEqual([18, 19, Number.NaN, 21, 22, 23]);
  expect([...plane.bad]).toEqual([0, 0, 1, 0, 0, 0]);
  expect(indexOf([2, 2, 2, 3], [1, 1], plane, 1, 2)).toEqual([1, 1, 1, 2]);
  const vector = planeOf(values, [24], []);
  expect([vector.rows, vector.columns]).toEqual([1, 24]);
  expect(indexOf([24], [], vector, 0, 7)).toEqual([7]);
  expect(indexOf([], [], planeOf(values.slice(0, 1), [], []), 0, 0)).toEqual([]);
  expect(planeSize([])).toEqual([1, 1]);
});

test("cells of blocks have the index of their first element, and open to a window around them", () => {
  const about = {
    window: [0, 1000, 0, 1000] as [number, number, number, number],
    block: [8, 4] as [number, number],
    every: [1, 1] as [number, number],
  };
  const empty = new DataView(new ArrayBuffer(0));
  const plane = unpackPlane(about, empty, empty);
  expect([plane.rows, plane.columns]).toEqual([125, 250]);
  expect(indexOf([5, 1000, 1000], [3], plane, 2, 5)).toEqual([3, 16, 20]);
  expect(closer(plane, 0, 249)).toEqual([0, 250, 750, 1000]);
  expect(closer(plane, 62, 125)).toEqual([375, 625, 377, 627]);
});

test("a long tape is cut around the place", () => {
  expect(around(50, 100, 24)).toEqual([38, 62]);
  expect(around(2, 100, 24)).toEqual([0, 24]);
  expect(around(99, 100, 24)).toEqual([76, 100]);
  expect(around(3, 10, 24)).toEqual([0, 10]);
});

test("zero is the same colour in every picture of both signs", () => {
  expect(diverging(0)).toBe("rgb(247,247,247)");
  expect([diverging(-1), diverging(2)]).toEqual(["rgb(33,102,172)", "rgb(178,24,43)"]);
});

test("keys move a slider, not past its ends", () => {
  expect(["ArrowRight", "ArrowDown", "Home", "End"].map((key) => stepped(key, 2, 4))).toEqual([
    3, 1, 0, 3,
  ]);
  expect([stepped("ArrowRight", 3, 4), stepped("ArrowLeft", 0, 4), stepped("a", 1, 4)]).toEqual([
    3,
    0,
    null,
  ]);
});
