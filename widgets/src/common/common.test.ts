// @vitest-environment happy-dom
import { expect, test, vi } from "vitest";
import { inkOn, onTheme, viridis } from "./canvas";
import { Client, floats, isOffline, OFFLINE, SLOW, SLOW_AFTER_MS } from "./model";
import { pack, page } from "./save";
import { bytes, logTicks, number, scale, seconds, short, ticks } from "./scale";
import { fakeModel } from "./testing";
import { Tree, type TreeRow } from "./tree";

test("numbers as Python writes them", () => {
  expect([0.97222222, 1234.56, 3, 2.5e-7, Number.NaN].map(number)).toEqual([
    "0.9722",
    "1235",
    "3",
    "2.500e-07",
    "nan",
  ]);
  expect([12, 1536, 3 << 20].map(bytes)).toEqual(["12 B", "1.5 KiB", "3.0 MiB"]);
  expect([950, 1234, 3.4e6].map(short)).toEqual(["950", "1.23k", "3.40M"]);
  expect([1.2e-5, 0.0034, 2].map(seconds)).toEqual(["12.0 µs", "3.40 ms", "2.00 s"]);
});

test("scales go both ways, and a range of no width has a middle", () => {
  const linear = scale([0, 10], [100, 0]);
  expect([linear(0), linear(5), linear.invert(25)]).toEqual([100, 50, 7.5]);
  const log = scale([1, 1000], [0, 300], true);
  expect(log(10)).toBeCloseTo(100);
  expect(log.invert(200)).toBeCloseTo(100);
  expect(scale([2, 2], [0, 10])(2)).toBe(5);
  expect(ticks(0, 1, 4)).toEqual([0, 0.5, 1]);
  expect(ticks(-0.3, 0.3, 6)).toEqual([-0.3, -0.2, -0.1, 0, 0.1, 0.2, 0.3]);
  expect(logTicks(1e-4, 1e2, 3)).toEqual([1e-4, 0.1, 100]);
});

test("a colour ramp from dark to light, with ink that shows on it", () => {
  expect([viridis(0), viridis(1), viridis(Number.NaN)]).toEqual([
    "rgb(68,1,84)",
    "rgb(253,231,37)",
    "rgb(68,1,84)",
  ]);
  expect([inkOn(viridis(0)), inkOn(viridis(1))]).toEqual(["#ffffff", "#000000"]);
});

test("answers reach their questions in any order; errors and delays are told", async () => {
  vi.useFakeTimers();
  const model = fakeModel({ a: 1 });
  const words: string[] = [];
  const client = new Client(model.model, (text) => words.push(text));
  const first = client.call<number>("square", { x: 3 });
  const second = client.call<number>("square", { x: 4 });
  const third = client.call("nonsense");
  expect(model.sent[0]).toEqual({ type: "call", id: 0, method: "square", args: { x: 3 } });
  vi.advanceTimersByTime(SLOW_AFTER_MS);
  expect(words[0]).toBe(SLOW);
  model.emit("msg:custom", { type: "reply", id: 1, result: 16 }, []);
  model.emit("msg:custom", { type: "reply", id: 0, result: 9 }, []);
  model.emit("msg:custom", { type: "reply", id: 2, error: "knows no 'nonsense'" }, []);
  expect((await first).result).toBe(9);
  expect((await second).result).toBe(16);
  await expect(third).rejects.toThrow("knows no");
  expect(words.at(-1)).toBe("");
  client.dispose();
  expect(model.listeners("msg:custom")).toBe(0);
  vi.useRealTimers();
});

test("a saved page has the state, arrays too, and no text of it ends a script", async () => {
  const state = { text: "</script><b>", data: new DataView(new Float32Array([1, -2]).buffer) };
  const json = JSON.parse(JSON.parse(pack(state)));
  expect(json.text).toBe(state.text);
  const raw = Uint8Array.from(atob(json.data.base64), (c) => c.charCodeAt(0));
  expect([...floats(new DataView(raw.buffer))]).toEqual([1, -2]);
  const model = fakeModel(state, "<title>@@title@@</title>@@css@@|@@state@@|@@esm@@|");
  const html = page(model.model, "a < b & $& c");
  expect(html).toContain("<title>a &lt; b &amp; $&amp; c</title>");
  expect(html).not.toContain("</script");
  const offline = fakeModel(state, "");
  expect(isOffline(offline.model)).toBe(true);
  await expect(new Client(offline.model).call("x")).rejects.toThrow(OFFLINE);
});

test("a tree of any size: keys move, open and close it, and only rows in sight are in the page", () => {
  const rows: TreeRow[] = Array.from({ length: 5000 }, (_, i) => ({
    key: `${i}`,
    level: i === 0 ? 1 : 2,
    text: i === 700 ? "zebra" : `row ${i}`,
    open: i === 0 ? true : null,
    place: i === 0 ? 1 : i,
    siblings: i === 0 ? 1 : 4999,
  }));
  const events = { chosen: vi.fn(), toggled: vi.fn() };
  const tree = new Tree("Outline", events);
  document.body.append(tree.root);
  tree.show(rows);
  expect(tree.root.querySelectorAll('[role="treeitem"]').length).toBeLessThan(100);
  const press = (key: string) => tree.root.dispatchEvent(new KeyboardEvent("keydown", { key }));
  press("ArrowDown");
  press("ArrowDown");
  expect(tree.current).toBe("1");
  press("ArrowLeft");
  expect(events.chosen).toHaveBeenLastCalledWith("0");
  press("ArrowLeft");
  expect(events.toggled).toHaveBeenLastCalledWith("0");
  press("End");
  expect(tree.current).toBe("4999");
  press("z");
  expect(tree.current).toBe("700");
  const active = tree.root.getAttribute("aria-activedescendant") ?? "";
  expect(document.getElementById(active)?.textContent).toContain("zebra");
  tree.show(rows.slice(0, 1));
  expect(tree.current).toBeNull();
});

test("what is drawn before it is part of the page is drawn again there", () => {
  const changed = vi.fn();
  let resized = () => {};
  const ends = vi.fn();
  vi.stubGlobal(
    "ResizeObserver",
    class {
      constructor(then: () => void) {
        resized = then;
      }
      observe = vi.fn();
      disconnect = ends;
    },
  );
  const end = onTheme(changed, document.createElement("div"));
  expect(changed).not.toHaveBeenCalled();
  resized();
  expect(changed).toHaveBeenCalledOnce();
  end();
  expect(ends).toHaveBeenCalledOnce();
  vi.unstubAllGlobals();
});
