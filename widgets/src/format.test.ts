import { expect, test } from "vitest";
import { duration, rate } from "./format";
import vectors from "./vectors.json";

test.each(vectors.duration)("duration(%s) is %s", (seconds, text) => {
  expect(duration(seconds as number)).toBe(text);
});

test.each(vectors.rate)("rate(%s) is %s", (perSecond, text) => {
  expect(rate(perSecond as number)).toBe(text);
});
