// Gradient flow: lines of layers over the steps of one run or two, histograms, flags with a way out.

import { colors, onTheme, viridis } from "./common/canvas";
import { nearest, readable } from "./common/curves";
import {
  aria,
  button,
  choice,
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
import { type Model, widget } from "./common/model";
import { exportButtons } from "./common/save";
import {
  type Flag,
  type FlowState,
  type Grouping,
  Run,
  STATISTICS,
  type Statistic,
  typical,
} from "./gradients/data";
import { HistogramView } from "./gradients/histogram";

const HUES = ["--tl-1", "--tl-2", "--tl-3", "--tl-4", "--tl-6"] as const;
const DASHES = ["", "6 3", "2 3", "8 3 2 3"];
const RUN_DASHES = ["", "5 4"];
/** Gradients of fewer steps are not judged: as `ENOUGH` in tensorlab/inspect/health.py. */
const ENOUGH = 3;
const SIGN: Record<string, string> = { error: "✗", warning: "⚠", note: "ℹ" };

/** What the reader has chosen. VS Code and Colab draw a view anew when its picture changes: the choice stays.
    It is kept by the state, which all views of a widget share; their models are objects of their own. */
interface Choice {
  statistic: Statistic;
  grouping: Grouping;
  log: boolean | null;
  selected: string | null;
  range: [number, number] | null;
}
const choices = new WeakMap<object, Choice>();

function render({ model, el }: { model: Model<FlowState>; el: HTMLElement }): () => void {
  const chosen: Choice = choices.get(model.get("state")) ?? {
    statistic: STATISTICS[0] as Statistic,
    grouping: "layers",
    log: null,
    selected: null,
    range: null,
  };
  let runs: Run[] = [];
  let at: number | null = null;
  let names: string[] = [];

  const what = choice(
    "Show",
    STATISTICS.map((each, i) => [`${i}`, each.name] as const),
    (value) => {
      chosen.statistic = STATISTICS[Number(value)] as Statistic;
      chosen.log = null;
      draw();
    },
  );
  const lines = choice<Grouping>(
    "Lines",
    [
      ["layers", "layers"],
      ["parameters", "parameters"],
    ],
    (value) => {
      chosen.grouping = value;
      chosen.selected = null;
      draw();
    },
  );
  const log = button("log", "Logarithmic scale", () => {
    chosen.log = !isLog();
    draw();
  });
  const state = span("tl-muted tl-flow-state");
  const from = numberInput("First step of the range");
  const to = numberInput("Last step of the range");
  const clear = button("All steps", "Show all steps again", () => brush(null));
  const range = span("tl-group tl-flow-range", "Steps ", from, "–", to, clear);
  const message = div("tl-message");
  const announce = spoken();
  const saving = exportButtons(model, {
    name: () => "gradient flow",
    svg: () => picture(),
    failed: (words) => write(message, words),
  });
  const bar = div("tl-bar", what.root, lines.root, log, range, saving, state);
  const chart = new LineChart(260, {
    hovered: (where) => {
      at = where?.step ?? null;
      readout(where?.line?.name ?? null);
    },
    chosen: (line) => select(nameOf(line)),
    brushed: (next) => brush(next),
  });
  const hover = div("tl-flow-readout tl-muted");
  aria(hover, { live: "polite" });
  const list = div("tl-flow-list");
  aria(list, { role: "listbox" });
  ownKeys(list);
  list.tabIndex = 0;
  const histograms = [new HistogramView(), new HistogramView()];
  const flags = div("tl-flow-flags");
  const plot = div("tl-flow-plot", chart.root, hover);
  const main = div("tl-flow-main", plot, list);
  const root = div("tl-widget tl-flow", bar, message, main);
  root.append(...histograms.map((each) => each.root), flags, announce);
  aria(root, { role: "group", label: "Gradient flow" });
  el.append(root);

  const isLog = () => chosen.log ?? chosen.statistic.log;
  const nameOf = (line: Line) => line.name.replace(/ \([^()]*\)$/, "");
  const several = () => runs.length > 1;

  function brush(next: [number, number] | null): void {
    chosen.range = next;
    draw();
    write(announce, next === null ? "All steps" : `Steps ${next[0]} to ${next[1]}`);
  }

  function select(name: string | null): void {
    chosen.selected = name === chosen.selected ? null : name;
    draw();
  }

  function colorsOf(count: number): string[] {
    const theme = colors(root, [...HUES, "--tl-text", "--tl-back"]);
    if (count <= HUES.length) return HUES.slice(0, count).map((hue) => theme[hue]);
    // Layers have an order: dark to bright from the input on, without what the background would hide.
    const [r = 0, g = 0, b = 0] = (theme["--tl-back"].match(/[\d.]+/g) ?? []).map(Number);
    const dark = r + g + b < 380;
    const [low, high] = dark ? [0.35, 1] : [0, 0.82];
    return Array.from({ length: count }, (_, i) => viridis(low + ((high - low) * i) / (count - 1)));
  }

  /** Colour tells the layer; the dash tells the run, or where there is only one, neighbours apart. */
  function dashOf(run: number, layer: number): string {
    return (several() ? RUN_DASHES[run] : DASHES[layer % DASHES.length]) ?? "";
  }

  function chartLines(): Line[] {
    const palette = colorsOf(names.length);
    const found: Line[] = [];
    runs.forEach((run, k) => {
      for (const { name, ys } of run.series(chosen.statistic, chosen.grouping)) {
        const i = names.indexOf(name);
        const weight =
          chosen.selected === null ? "normal" : chosen.selected === name ? "strong" : "faint";
        found.push({
          name: several() ? `${name} (${run.label})` : name,
          color: palette[i] ?? "currentColor",
          dash: dashOf(k, i),
          xs: run.steps,
          ys,
          weight,
        });
      }
    });
    return found;
  }

  function draw(): void {
    const drawn = runs.map((run) => run.series(chosen.statistic, chosen.grouping));
    names = [...new Set(drawn.flatMap((series) => series.map((each) => each.name)))];
    if (chosen.selected !== null && !names.includes(chosen.selected)) chosen.selected = null;
    what.select.value = `${STATISTICS.indexOf(chosen.statistic)}`;
    lines.select.value = chosen.grouping;
    lines.root.hidden = chosen.statistic.of !== "gradients";
    aria(log, { pressed: isLog() });
    const last = Math.max(0, ...runs.map((run) => run.steps[run.steps.length - 1] ?? 0));
    for (const input of [from, to]) input.max = `${last}`;
    if (document.activeElement !== from) from.value = `${chosen.range?.[0] ?? 0}`;
    if (document.activeElement !== to) to.value = `${chosen.range?.[1] ?? last}`;
    clear.disabled = chosen.range === null;
    const steps = runs.map((run) => run.count).join(" and ");
    write(state, `${steps} steps${model.get("state").watching ? ", recording" : ""}`);
    chart.update({
      title: chosen.statistic.name,
      lines: chartLines(),
      log: isLog(),
      range: chosen.range,
      empty: runs.some((run) => run.steps.length > 0)
        ? `No ${chosen.statistic.name} was recorded.`
        : "Nothing is recorded yet: train for a step.",
    });
    drawList(drawn);
    drawHistograms();
    drawFlags();
    readout(null);
  }

  function drawList(drawn: { name: string; ys: Float32Array }[][]): void {
    const palette = colorsOf(names.length);
    aria(list, { label: chosen.grouping === "layers" ? "Layers" : "Parameters" });
    const rows = names.map((name, i) => {
      const row = div("tl-flow-row");
      aria(row, { role: "option" });
      row.id = `${listId}-${i}`;
      row.dataset["name"] = name;
      aria(row, { selected: name === chosen.selected });
      const swatch = span("tl-flow-swatch");
      swatch.style.borderColor = palette[i] ?? "currentColor";
      swatch.style.borderStyle = several() || i % DASHES.length === 0 ? "solid" : "dashed";
      aria(swatch, { hidden: true });
      const kinds = new Set(
        runs.flatMap((run) => run.flagsOf(name, chosen.grouping).map((flag) => flag.kind)),
      );
      const mark = span("tl-flow-mark", kinds.size > 0 ? "⚠" : "");
      if (kinds.size > 0) mark.title = [...kinds].join(", ");
      aria(mark, { label: [...kinds].join(", ") });
      const values = span("tl-flow-values");
      runs.forEach((run, k) => {
        const ys = drawn[k]?.find((series) => series.name === name)?.ys;
        const value = ys === undefined ? Number.NaN : numberOf(run, ys);
        values.append(span("tl-flow-value", readable(value)));
      });
      const kind = runs[0]?.kindOf(name, chosen.grouping) ?? "";
      row.append(swatch, span("tl-flow-name", name, span("tl-muted", ` ${kind}`)), mark, values);
      return row;
    });
    const title =
      at !== null ? `at step ${at}` : chosen.range === null ? "last step" : "median of the range";
    const head = div("tl-flow-head tl-muted", span("", title));
    aria(head, { role: "presentation" });
    if (several()) {
      const labels = span("tl-flow-values");
      runs.forEach((run, k) => {
        labels.append(span("tl-flow-value", `${["—", "- -"][k]} ${run.label}`));
      });
      head.append(labels);
    }
    list.replaceChildren(head, ...rows);
    const i = names.indexOf(chosen.selected ?? "");
    if (i >= 0) aria(list, { activedescendant: `${listId}-${i}` });
    else list.removeAttribute("aria-activedescendant");
  }

  /** What the list says of a line: at the hovered step, over the range, or at the end. */
  function numberOf(run: Run, ys: Float32Array): number {
    if (at !== null) return ys[nearest(run.steps, at)] ?? Number.NaN;
    if (chosen.range !== null) return typical(run.steps, ys, chosen.range);
    return ys[ys.length - 1] ?? Number.NaN;
  }

  function readout(line: string | null): void {
    drawList(runs.map((run) => run.series(chosen.statistic, chosen.grouping)));
    if (at === null) {
      write(
        hover,
        "Point at the lines, or focus them and use ← →; drag, or hold Shift, for a range.",
      );
      return;
    }
    const found = runs.map((run) => {
      const loss = run.losses[nearest(run.steps, at ?? 0)];
      return `${several() ? `${run.label}: ` : ""}loss ${readable(loss ?? Number.NaN)}`;
    });
    write(hover, `Step ${at}${line === null ? "" : ` · ${line}`} · ${found.join(" · ")}`);
  }

  function drawHistograms(): void {
    const offered = chosen.statistic.of === "gradients";
    const name = chosen.selected ?? names[0];
    histograms.forEach((view, k) => {
      const run = runs[k];
      if (run === undefined || !offered || name === undefined) {
        view.root.hidden = true;
        return;
      }
      const columns = run.columnsOf(name, chosen.grouping);
      const kind = run.kindOf(name, chosen.grouping);
      const title = kind === "" ? name : `${name} (${kind})`;
      view.update(run, title, columns, chosen.range, several());
    });
  }

  let said = "";
  function drawFlags(): void {
    const all = runs.flatMap((run) => run.flags.map((flag) => ({ run, flag })));
    // Written anew only when they change: a screen reader and a selection would lose their place.
    const early = runs.some((run) => run.steps.length < ENOUGH);
    const now = JSON.stringify([early, all.map(({ run, flag }) => [run.label, flag])]);
    if (now === said) return;
    said = now;
    const healthy = div(
      "tl-muted",
      early ? "Too early to judge: few steps were looked at." : "✓ Nothing is flagged.",
    );
    flags.replaceChildren(
      ...(all.length > 0 ? all.map(({ run, flag }) => flagView(run, flag)) : [healthy]),
    );
    const grave = all.filter(({ flag }) => flag.severity !== "note");
    if (grave.length > 0) write(announce, `Flagged: ${grave.map((g) => g.flag.kind).join(", ")}`);
  }

  function flagView(run: Run, flag: Flag): HTMLElement {
    const head = element(
      "strong",
      "",
      `${SIGN[flag.severity] ?? "⚠"} ${flag.kind.replace("_", " ")}`,
    );
    const words = div("tl-flow-flag", head, ` ${flag.reason}`);
    if (several()) head.append(` (${run.label})`);
    words.append(div("tl-muted", `→ ${flag.suggestion}`));
    words.classList.add(`tl-flow-${flag.severity}`);
    const target = names.find((name) => run.flagsOf(name, chosen.grouping).includes(flag));
    if (target !== undefined) {
      words.append(
        button(`Show ${target}`, `Highlight ${target} in the picture`, () => {
          chosen.selected = target;
          draw();
        }),
      );
    }
    return words;
  }

  function picture(): string {
    const theme = colors(root, ["--tl-text", "--tl-back"]);
    const { markup, width, height } = chart.picture(theme["--tl-text"], theme["--tl-back"]);
    const palette = colorsOf(names.length);
    const entries = names.map((name, i) => ({ name, color: palette[i], dash: dashOf(0, i) }));
    if (several()) {
      const color = theme["--tl-text"];
      entries.unshift(...runs.map((run, k) => ({ name: run.label, color, dash: dashOf(k, 0) })));
    }
    const rows = entries.map(({ name, color, dash }, i) => {
      const y = height + 36 + 16 * i;
      return `<path d="M12 ${y - 4}h30" stroke="${color}" stroke-width="3" stroke-dasharray="${dash}"/><text x="50" y="${y}" font-size="12">${escapeMarkup(name)}</text>`;
    });
    const tall = height + 40 + 16 * entries.length;
    return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${tall}" viewBox="0 0 ${width} ${tall}" font-family="sans-serif" fill="${theme["--tl-text"]}" color="${theme["--tl-text"]}"><rect width="${width}" height="${tall}" fill="${theme["--tl-back"]}"/>${markup}<text x="12" y="${height + 16}" font-size="12" font-weight="bold">${escapeMarkup(chosen.statistic.name)} over steps</text>${rows.join("")}</svg>`;
  }

  function numberInput(title: string): HTMLInputElement {
    const input = element("input", "tl-input tl-flow-number");
    input.type = "number";
    input.min = "0";
    input.title = title;
    aria(input, { label: title });
    on(input, "change", () => {
      const [a, b] = [Number(from.value), Number(to.value)];
      if (Number.isFinite(a) && Number.isFinite(b)) brush([Math.min(a, b), Math.max(a, b)]);
    });
    return input;
  }

  const listId = `tl-flow-${Math.random().toString(36).slice(2)}`;
  on(list, "click", (event) => {
    const row = (event.target as Element).closest<HTMLElement>(".tl-flow-row");
    if (row?.dataset["name"] !== undefined) select(row.dataset["name"]);
  });
  on(list, "keydown", (event) => {
    const now = names.indexOf(chosen.selected ?? "");
    const moves: Record<string, number> = {
      ArrowDown: now + 1,
      ArrowUp: now < 0 ? names.length - 1 : now - 1,
      Home: 0,
      End: names.length - 1,
    };
    const next = moves[event.key];
    if (event.key === "Escape") chosen.selected = null;
    else if (next === undefined) return;
    else chosen.selected = names[Math.min(Math.max(next, 0), names.length - 1)] ?? null;
    event.preventDefault();
    event.stopPropagation();
    draw();
    list.querySelector('[aria-selected="true"]')?.scrollIntoView?.({ block: "nearest" });
  });

  let frame = 0;
  const read = () => {
    runs = model.get("state").runs.map((run) => new Run(run));
    draw();
  };
  const changed = () => {
    choices.set(model.get("state"), chosen);
    if (frame !== 0) return;
    frame = requestAnimationFrame(() => {
      frame = 0;
      read();
    });
  };
  choices.set(model.get("state"), chosen);
  read();
  model.on("change:state", changed);
  const offTheme = onTheme(draw, main);
  return () => {
    cancelAnimationFrame(frame);
    model.off("change:state", changed);
    offTheme();
    chart.dispose();
  };
}

export default widget<FlowState>(render);
