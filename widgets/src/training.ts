// The training dashboard: progress, curves, gradient health, and the controls of a running loop.

import { colors, onTheme } from "./common/canvas";
import { readable } from "./common/curves";
import {
  aria,
  button,
  div,
  element,
  escapeMarkup,
  on,
  ownKeys,
  span,
  spoken,
  write,
} from "./common/dom";
import { type Line, LineChart } from "./common/linechart";
import { Client, floats, isOffline, type Model, widget } from "./common/model";
import { exportButtons } from "./common/save";
import { STOP_TEXT, Stop, type StopState } from "./stop";
import { Announcer } from "./training/announce";
import { BUSY, BUSY_LOOP, Commands } from "./training/commands";
import {
  count,
  fraction,
  panels,
  rateText,
  readRate,
  running,
  statusWords,
  type Training,
  times,
} from "./training/state";
import { Strip } from "./training/strip";

const HUES = ["--tl-1", "--tl-2", "--tl-3", "--tl-4"] as const;
const RATE = "learning rate";
const DASHES = ["", "6 3", "2 3", "8 3 2 3"];

interface WithKernel {
  kernel?: { interrupt?: () => Promise<void> } | null;
}

interface Panel {
  root: HTMLElement;
  title: HTMLElement;
  values: HTMLElement;
  log: HTMLButtonElement;
  chart: LineChart;
  isLog: boolean;
  lines: Line[];
}

function render({ model, el }: { model: Model<Training>; el: HTMLElement }): () => void {
  const offline = isOffline(model);
  const label = span("tl-train-label");
  const fill = span("tl-train-fill");
  const track = span("tl-train-track", fill);
  aria(track, { role: "progressbar" });
  const counted = span("tl-train-count");
  const time = span("tl-muted");
  const note = div("tl-message");
  aria(note, { role: "status" });
  const announce = spoken();
  const announcer = new Announcer();
  let state = model.get("state");
  let received = performance.now();
  let said: { words: string; bad: boolean } = { words: "", bad: false };
  let asked = "";

  const after = (ms: number, then: () => void) => {
    const timer = setTimeout(then, ms);
    return () => clearTimeout(timer);
  };
  const client = new Client(model);
  const commands = new Commands({
    call: (method, args) => client.call(method, args),
    say: (words, bad) => {
      said = { words, bad };
      drawWords();
    },
    busy: () => (state.resumable ? BUSY : BUSY_LOOP),
    after,
  });
  const stopper = new Stop({
    get interrupt() {
      const kernel = (model.widget_manager as unknown as WithKernel | undefined)?.kernel;
      if (!state.interruptible || typeof kernel?.interrupt !== "function") return null;
      return () => kernel.interrupt?.() as Promise<void>;
    },
    send: () => {
      client.call("stop").then(
        () => stopper.heard(),
        (error: Error) => write(note, error.message),
      );
    },
    changed: (now: StopState) => {
      said = { words: STOP_TEXT[now], bad: false };
      aria(stop, { disabled: now === "asking" || now === "stopping" });
      drawWords();
    },
    after,
  });
  const stop = button("Stop", "End after the current step; everything so far is kept", () => {
    void stopper.press();
  });
  const pause = button("Pause", "Wait after the current step", () => {
    const next = state.paused ? "resume" : "pause";
    asked = next;
    void commands.ask(next).then(() => {
      asked = "";
      draw();
    });
    draw();
  });
  const rate = element("input", "tl-input tl-train-rate");
  rate.type = "text";
  rate.inputMode = "decimal";
  aria(rate, { label: "Learning rate" });
  ownKeys(rate);
  on(rate, "keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Enter") setRate(readRate(rate.value));
    if (event.key === "Escape") {
      rate.blur();
      draw();
    }
  });
  const setRate = (value: number | null) => {
    if (value === null) {
      said = { words: `“${rate.value}” is no learning rate: write a number from 0.`, bad: true };
      drawWords();
      return;
    }
    void commands.ask("rate", { value, group: null });
  };
  const factor = (by: number) => () => setRate((state.lr[0] ?? 0) * by);
  const groups = span("tl-muted");
  const rates = span(
    "tl-group tl-train-rates",
    span("", "learning rate"),
    rate,
    button("Set", "Set this learning rate between two steps", () => setRate(readRate(rate.value))),
    button("÷2", "Halve the learning rate", factor(0.5)),
    button("×2", "Double the learning rate", factor(2)),
    groups,
  );
  const saving = exportButtons(model, {
    name: () => `training ${state.label}`,
    svg: () => picture(),
    failed: (words) => {
      said = { words, bad: true };
      drawWords();
    },
  });
  const controls = span("tl-group", pause, stop);
  const head = div("tl-bar", label, track, counted, time);
  const bar = div("tl-bar", controls, rates, saving);
  const charts = div("tl-train-charts");
  const texts = div("tl-train-texts");
  const strip = new Strip();
  const root = div("tl-widget tl-train", head, bar, note, charts, texts, strip.root);
  root.append(announce);
  aria(root, { role: "group" });
  el.append(root);
  const found = new Map<string, Panel>();

  function drawWords(): void {
    const own = statusWords(state);
    const words = own !== "" && said.words === "" ? own : said.words || own;
    note.classList.toggle("tl-bad", said.bad || state.error !== "" || state.refused !== "");
    write(note, words);
  }

  function panel(name: string): Panel {
    let known = found.get(name);
    if (known !== undefined) return known;
    const made: Panel = {
      root: div("tl-train-panel"),
      title: span("tl-train-title", name),
      values: span("tl-train-values"),
      log: button("log", `Logarithmic scale of ${name}`, () => {
        made.isLog = !made.isLog;
        drawPanel(made, name);
      }),
      chart: new LineChart(140, {
        hovered: (at) => {
          if (at === null) return drawPanel(made, name);
          const values = made.lines.map((line) => {
            const i = Array.from(line.xs).indexOf(at.step);
            return i < 0 ? "" : `${line.name} ${readable(line.ys[i] as number)}`;
          });
          write(made.values, `step ${Math.round(at.step)}: ${values.filter(Boolean).join(", ")}`);
        },
      }),
      isLog: name === RATE,
      lines: [],
    };
    made.root.append(div("tl-train-head", made.title, made.values, made.log), made.chart.root);
    if (name === RATE) made.root.classList.add("tl-train-last");
    known = made;
    found.set(name, made);
    charts.append(made.root);
    return made;
  }

  function drawPanel(made: Panel, name: string): void {
    const names = made.lines.map((line) => line.name);
    const values = state.metrics
      .filter((metric) => names.includes(metric.name))
      .map((metric) => `${DASH_SIGN[names.indexOf(metric.name)] ?? ""} ${shortName(metric)}`);
    write(made.values, name === RATE ? rateText(state.lr[0] ?? 0) : values.join("  ").trim());
    made.values.classList.toggle(
      "tl-bad",
      state.metrics.some((metric) => metric.bad && names.includes(metric.name)),
    );
    aria(made.log, { pressed: made.isLog });
    made.chart.update({
      title: name,
      lines: made.lines,
      log: made.isLog,
      range: null,
      empty: made.isLog ? "Nothing above 0 to draw." : "No points yet.",
    });
  }

  const DASH_SIGN = ["—", "- -", "···", "-·-"];
  const shortName = (metric: Training["metrics"][number]) =>
    `${metric.name} ${metric.bad ? "⚠ " : ""}${metric.text}`;

  function drawCurves(): void {
    const theme = colors(root, HUES);
    const curves = new Map(state.curves.map((curve) => [curve.name, floats(curve.points)]));
    const shownNames = [...panels([...curves.keys()])];
    for (const [name, group] of shownNames) {
      // A rate that nobody has moved is no news.
      const moved =
        new Set(curves.get(name)?.subarray((curves.get(name)?.length ?? 0) / 2)).size > 1;
      if (name === RATE && !moved) continue;
      const made = panel(name);
      made.lines = group.map((each, i) => {
        const points = curves.get(each) ?? new Float32Array();
        const half = points.length / 2;
        return {
          name: each,
          color: theme[HUES[i % HUES.length] as (typeof HUES)[number]],
          dash: DASHES[i % DASHES.length] ?? "",
          xs: points.subarray(0, half),
          ys: points.subarray(half),
          weight: "normal",
        };
      });
      drawPanel(made, name);
    }
    const named = new Set(curves.keys());
    const plain = state.metrics.filter((metric) => !named.has(metric.name));
    write(texts, plain.map((metric) => `${metric.name}: ${metric.text}`).join(" · "));
  }

  function drawHead(): void {
    const done = fraction(state);
    aria(root, { label: `Training: ${state.label}` });
    write(label, state.label);
    write(counted, count(state));
    write(time, times(state, (performance.now() - received) / 1000));
    aria(track, { label: state.label, valuetext: count(state) });
    fill.style.width = `${100 * (done ?? 0)}%`;
    if (done === null) track.removeAttribute("aria-valuenow");
    else aria(track, { valuenow: Math.round(100 * done) });
  }

  function draw(): void {
    drawHead();
    const live = running(state) && !offline;
    controls.hidden = !live;
    rates.hidden = state.lr.length === 0;
    for (const each of rates.querySelectorAll("button")) each.hidden = offline;
    rate.readOnly = offline;
    write(pause, state.paused ? "Resume" : "Pause");
    pause.title = state.paused ? "Go on with the next step" : "Wait after the current step";
    aria(pause, { disabled: asked !== "" });
    if (document.activeElement !== rate) rate.value = rateText(state.lr[0] ?? 0);
    write(
      groups,
      state.lr.length > 1 ? `groups: ${state.lr.map((each) => rateText(each)).join(", ")}` : "",
    );
    drawWords();
    drawCurves();
    strip.update(state.health);
    const sentence = announcer.next(state, performance.now());
    if (sentence !== null) write(announce, sentence);
  }

  function picture(): string {
    const theme = colors(root, ["--tl-text", "--tl-back"]);
    let y = 30;
    let wide = 320;
    const parts: string[] = [];
    for (const [name, made] of found) {
      const { markup, width, height } = made.chart.picture(theme["--tl-text"], theme["--tl-back"]);
      const legend = made.lines.map((line) => line.name).join(", ");
      parts.push(
        `<text x="8" y="${y + 12}" font-size="12" font-weight="bold">${escapeMarkup(legend || name)}</text><g transform="translate(0 ${y + 16})">${markup}</g>`,
      );
      y += height + 30;
      wide = Math.max(wide, width);
    }
    const title = escapeMarkup(`${state.label}: ${count(state)}`);
    return `<svg xmlns="http://www.w3.org/2000/svg" width="${wide}" height="${y}" viewBox="0 0 ${wide} ${y}" font-family="sans-serif" fill="${theme["--tl-text"]}" color="${theme["--tl-text"]}"><rect width="${wide}" height="${y}" fill="${theme["--tl-back"]}"/><text x="8" y="18" font-size="13">${title}</text>${parts.join("")}</svg>`;
  }

  let frame = 0;
  const changed = () => {
    state = model.get("state");
    received = performance.now();
    if (frame === 0) {
      frame = requestAnimationFrame(() => {
        frame = 0;
        draw();
      });
    }
  };
  model.on("change:state", changed);
  const offTheme = onTheme(draw, root);
  draw();
  // The clock goes on while a long step runs and nothing comes from Python.
  const clock = setInterval(drawHead, 1000);
  return () => {
    clearInterval(clock);
    cancelAnimationFrame(frame);
    stopper.dispose();
    client.dispose();
    offTheme();
    model.off("change:state", changed);
    for (const { chart } of found.values()) chart.dispose();
  };
}

export default widget<Training>(render);
