import { expect, test } from "vitest";
import { Announcer } from "./announce";
import { row, state } from "./testing";

test("speaks at the start, then at each quarter, not at each step", () => {
  const announcer = new Announcer();
  const said: string[] = [];
  for (let n = 0; n <= 100; n++) {
    const sentence = announcer.next(state(row({ n, total: 100 })), n * 100);
    if (sentence !== null) said.push(sentence);
  }
  expect(said).toEqual([
    "epochs 0/100",
    "epochs 25/100",
    "epochs 50/100",
    "epochs 75/100",
    "epochs 100/100",
  ]);
});

test("speaks once a minute when a quarter takes long or the end is not known", () => {
  const announcer = new Announcer();
  const at = (n: number, ms: number) => announcer.next(state(row({ n, total: null })), ms);
  expect(at(0, 0)).toBe("epochs 0");
  expect(at(10, 59_000)).toBeNull();
  expect(at(11, 60_000)).toBe("epochs 11");
});

test("tells metrics and the time left", () => {
  const metrics = [{ name: "loss", text: "0.1250", bad: false, points: [] }];
  const sentence = new Announcer().next(state(row({ n: 5, total: 20, remaining: 75, metrics })), 0);
  expect(sentence).toBe("epochs 5/20, loss 0.1250, 1 min 15 s left");
});

test("warns of a NaN at once, in a nested row too, and only once", () => {
  const announcer = new Announcer();
  const metrics = [{ name: "loss", text: "nan", bad: true, points: [null] }];
  expect(announcer.next(state(row({ n: 1 })), 0)).not.toBeNull();
  const broken = state(row({ n: 1 }), row({ label: "batches", metrics }));
  expect(announcer.next(broken, 10)).toBe("Warning: loss is nan, epochs 1/20");
  expect(announcer.next(broken, 20)).toBeNull();
});
