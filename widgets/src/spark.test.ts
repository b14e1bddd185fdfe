import { expect, test } from "vitest";
import { sparkPath } from "./spark";
import vectors from "./vectors.json";

test.each(vectors.spark)("the curve of %j", (points, path) => {
  expect(sparkPath(points as (number | null)[], 72, 14)).toBe(path);
});
