// Replay of a GPU kernel: the warps of a block, one statement after the other, and the memory they touch.

import { colors, onTheme } from "./common/canvas";
import { aria, button, choice, div, element, on, ownKeys, span, write } from "./common/dom";
import { type Model, widget } from "./common/model";
import { exportButtons } from "./common/save";
import { type Palette, Replay, type ReplayState, words } from "./replay/data";

const STEP_MS = 350;
const COLORS = [
  "--tl-text",
  "--tl-line",
  "--tl-back",
  "--tl-1",
  "--tl-2",
  "--tl-3",
  "--tl-warn",
] as const;
/** Where the reader was: a notebook draws a view anew when its picture changes. */
const places = new WeakMap<object, number>();

function render({ model, el }: { model: Model<ReplayState>; el: HTMLElement }): () => void {
  const state = model.get("state");
  const replay = new Replay(state);
  const last = state.steps.length - 1;
  let at = places.get(state) ?? 0;
  let warp: number | null = null;
  let timer = 0;

  const notesOf = (line: number) => state.notes.filter((note) => note[0] === line);
  const step = (by: number) => go(replay.next(at, by, warp));
  const play = button("Play", "Go on by itself; space starts and stops it too", () =>
    timer === 0 ? start() : stop(),
  );
  const slider = element("input", "tl-replay-slider");
  slider.type = "range";
  slider.max = `${Math.max(last, 0)}`;
  aria(slider, { label: "Step" });
  on(slider, "input", () => go(Number(slider.value)));
  const which = choice(
    "Warp",
    [["", "all"], ...Array.from({ length: state.warps }, (_, i) => [`${i}`, `${i}`] as const)],
    (value) => {
      warp = value === "" ? null : Number(value);
      if (warp !== null && state.steps[at]?.[1] !== warp) step(1);
    },
  );
  const message = div("tl-message");
  const said = div("tl-replay-words");
  aria(said, { live: "polite" });
  const picture = div("tl-replay-picture");
  aria(picture, { hidden: true }); // the words say what it shows
  const code = div("tl-replay-code");
  aria(code, { role: "list", label: "Source" });
  const lines = state.source.map((text, i) => {
    const number = state.first + i;
    const note = notesOf(number)[0];
    const mark = span("tl-replay-note", note?.[1] ?? " ");
    if (note !== undefined) {
      mark.title = note[2];
      aria(mark, { label: note[2].split(",")[0] ?? "" });
    }
    const row = div("", `${number}`.padStart(4), " ", mark, ` ${text}`);
    aria(row, { role: "listitem" });
    code.append(row);
    return row;
  });
  const bar = div(
    "tl-bar",
    button("|◀", "First step (Home)", () => go(0)),
    button("◀", "One step back (left arrow)", () => step(-1)),
    play,
    button("▶", "One step on (right arrow)", () => step(1)),
    button("▶|", "Last step (End)", () => go(last)),
    slider,
    which.root,
    exportButtons(model, {
      name: () => state.title,
      svg: () => replay.picture(at, palette()),
      failed: (text) => write(message, text),
    }),
  );
  const main = div("tl-replay-main", code, picture);
  const root = div("tl-widget tl-replay", bar, said, main, message);
  if (!state.complete)
    root.append(div("tl-muted", "The launch went on: only its first steps were traced."));
  aria(root, { role: "group", label: state.title });
  root.tabIndex = 0;
  ownKeys(root);
  on(root, "keydown", key);
  el.append(root);

  function palette(): Palette {
    return colors(root, COLORS);
  }

  function go(to: number): void {
    at = Math.min(Math.max(to, 0), last);
    places.set(state, at);
    draw();
  }

  function draw(): void {
    const text = words(state, at);
    slider.value = `${at}`;
    aria(slider, { valuetext: text });
    // While it runs, a screen reader would never come to an end.
    aria(said, { live: timer === 0 ? "polite" : "off" });
    write(said, text);
    const notes = notesOf(state.steps[at]?.[0] ?? -1);
    write(message, notes.map(([, sign, note]) => `${sign} ${note}`).join("\n"));
    picture.innerHTML = replay.picture(at, palette());
    lines.forEach((row, i) => {
      const now = state.first + i === state.steps[at]?.[0];
      if (now) aria(row, { current: "step" });
      else row.removeAttribute("aria-current");
      if (
        now &&
        (row.offsetTop < code.scrollTop || row.offsetTop + 20 > code.scrollTop + code.clientHeight)
      ) {
        code.scrollTop = row.offsetTop - code.clientHeight / 2;
      }
    });
  }

  function start(): void {
    if (at === last) go(0);
    timer = setInterval(() => {
      step(1);
      if (replay.next(at, 1, warp) === at) stop();
    }, STEP_MS) as unknown as number;
    write(play, "Pause");
  }

  function stop(): void {
    clearInterval(timer);
    timer = 0;
    write(play, "Play");
    draw();
  }

  function key(event: KeyboardEvent): void {
    const target = event.target as HTMLElement;
    if (event.ctrlKey || event.altKey || event.metaKey || target.tagName === "SELECT") return;
    const act: Record<string, () => void> = {
      ArrowRight: () => step(1),
      ArrowLeft: () => step(-1),
      PageDown: () => go(at + 10),
      PageUp: () => go(at - 10),
      Home: () => go(0),
      End: () => go(last),
    };
    if (target.tagName !== "BUTTON") act[" "] = () => play.click();
    const found = act[event.key];
    if (found === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    found();
  }

  draw();
  const ended = onTheme(draw, root);
  return () => {
    clearInterval(timer);
    ended();
    root.remove();
  };
}

export default widget(render);
