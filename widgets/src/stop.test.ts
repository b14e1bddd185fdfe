import { beforeEach, expect, test, vi } from "vitest";
import { ANSWER_WITHIN_MS, Stop, type StopState } from "./stop";

const states: StopState[] = [];
const send = vi.fn();
const cancel = vi.fn();
let timer: { ms: number; then: () => void } | null;

function stop(interrupt: (() => Promise<void>) | null): Stop {
  return new Stop({
    interrupt,
    send,
    changed: (state) => states.push(state),
    after: (ms, then) => {
      timer = { ms, then };
      return cancel;
    },
  });
}

beforeEach(() => {
  states.length = 0;
  timer = null;
  send.mockReset();
  cancel.mockReset();
});

test("interrupts the kernel where it can, and sends nothing", async () => {
  const interrupt = vi.fn(async () => {});
  await stop(interrupt).press();
  expect(interrupt).toHaveBeenCalledOnce();
  expect(send).not.toHaveBeenCalled();
  expect(states).toEqual(["asking", "stopping"]);
});

test("a second press does not interrupt again: that would raise KeyboardInterrupt", async () => {
  const interrupt = vi.fn(async () => {});
  const button = stop(interrupt);
  await Promise.all([button.press(), button.press()]);
  await button.press();
  expect(interrupt).toHaveBeenCalledOnce();
});

test("sends a message where there is no interrupt, and believes the answer", async () => {
  const button = stop(null);
  await button.press();
  expect(send).toHaveBeenCalledOnce();
  expect(states).toEqual(["asking"]);
  button.heard();
  expect(states).toEqual(["asking", "stopping"]);
  expect(cancel).toHaveBeenCalledOnce();
});

test("falls back to a message when the interrupt fails", async () => {
  const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
  await stop(() => Promise.reject(new Error("403"))).press();
  expect(send).toHaveBeenCalledOnce();
  expect(warn).toHaveBeenCalledOnce();
  warn.mockRestore();
});

test("says so when nobody answers, and may be pressed again", async () => {
  const button = stop(null);
  await button.press();
  expect(timer?.ms).toBe(ANSWER_WITHIN_MS);
  timer?.then();
  expect(states).toEqual(["asking", "unheard"]);
  await button.press();
  expect(send).toHaveBeenCalledTimes(2);
  expect(states.at(-1)).toBe("asking");
});

test("an answer that comes late still counts", async () => {
  const button = stop(null);
  await button.press();
  timer?.then();
  button.heard();
  expect(states).toEqual(["asking", "unheard", "stopping"]);
});
