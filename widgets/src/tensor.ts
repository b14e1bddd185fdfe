// Tensor view: heat maps with a slider for each further dimension, images, histogram, differences, and the
// storage as a tape on which the cell that is pointed at is found.

import { onTheme } from "./common/canvas";
import {
  aria,
  button,
  div,
  element,
  escapeMarkup,
  Frame,
  on,
  ownKeys,
  span,
  spoken,
  svgElement,
  write,
} from "./common/dom";
import { Client, doubles, isOffline, type Model, OFFLINE, widget } from "./common/model";
import { exportButtons } from "./common/save";
import { number } from "./common/scale";
import {
  around,
  closer,
  indexOf,
  type PanelState,
  type Plane,
  type PlaneAbout,
  placeOf,
  planeOf,
  readersOf,
  stepped,
  sumText,
  type TensorState,
  unpackPlane,
} from "./tensor/data";
import { cellText, HeatMap } from "./tensor/heatmap";

/** A longer tape is shown around the place, so many cells of it. */
const CELLS = 64;

type Spot = { panel: number; row: number; column: number };

class Panel {
  readonly root = element("section", "tl-tensor-panel");
  readonly heat: HeatMap;
  plane: Plane | null = null;
  leading: number[];
  #window: number[] | null = null;
  #asked = 0;
  readonly #whole: Float64Array | null;
  readonly #words = div("tl-muted");
  readonly #back: HTMLButtonElement;
  readonly #sliders: { input: HTMLInputElement; said: HTMLElement }[] = [];

  readonly #client: Client<TensorState>;
  readonly #failed: (words: string) => void;
  readonly #offline: boolean;

  constructor(
    readonly state: PanelState,
    client: Client<TensorState>,
    events: { at(row: number, column: number): void; left(): void; moved(leading: number[]): void },
    failed: (words: string) => void,
    offline: boolean,
  ) {
    this.#client = client;
    this.#failed = failed;
    this.#offline = offline;
    this.leading = state.shape.slice(0, -2).map(() => 0);
    this.#whole = state.values === null ? null : doubles(state.values);
    this.heat = new HeatMap(state.name, {
      at: events.at,
      left: events.left,
      opened: (row, column) => {
        if (this.plane === null || (this.plane.block[0] === 1 && this.plane.block[1] === 1)) return;
        this.#window = closer(this.plane, row, column);
        this.#ask();
      },
    });
    this.#back = button("Whole plane", "Show the whole plane again", () => {
      this.#window = null;
      this.#ask();
    });
    const title = div("tl-tensor-title", `${state.name} `);
    const kind = state.rows.find(([name]) => name === "dtype")?.[1] ?? "";
    title.append(span("tl-muted", `${kind} [${state.shape.join(", ")}]`));
    this.root.append(title, div("tl-muted", state.memory));
    aria(this.root, { label: state.name });
    state.shape.slice(0, -2).forEach((size, axis) => {
      const input = element("input", "");
      input.type = "range";
      input.min = "0";
      input.max = `${Math.max(size - 1, 0)}`;
      input.value = "0";
      aria(input, { label: `Index along dimension ${axis} of ${state.name}` });
      const said = span("", `0 of ${size}`);
      on(input, "input", () => {
        const next = [...this.leading];
        next[axis] = Number(input.value);
        events.moved(next);
      });
      // JupyterLab keeps arrow keys from doing what they do to a slider.
      on(input, "keydown", (event) => {
        const value = stepped(event.key, Number(input.value), size);
        if (value === null || event.ctrlKey || event.altKey || event.metaKey) return;
        event.preventDefault();
        event.stopPropagation();
        input.value = `${value}`;
        input.dispatchEvent(new Event("input"));
      });
      this.#sliders.push({ input, said });
      this.root.append(element("label", "tl-tensor-axis", `dim ${axis}`, input, said));
    });
    this.root.append(this.heat.canvas, this.#words, this.#back, histogram(state), table(state));
    if (state.plane !== null) {
      this.plane = unpackPlane(state.plane, state.plane.values, state.plane.bad);
    }
    this.move(this.leading);
  }

  move(leading: number[]): void {
    const changed = leading.some((i, axis) => i !== this.leading[axis]);
    this.leading = leading;
    this.#sliders.forEach(({ input, said }, axis) => {
      input.value = `${leading[axis]}`;
      write(said, `${leading[axis]} of ${this.state.shape[axis]}`);
    });
    if (this.#whole !== null) {
      this.plane = planeOf(this.#whole, this.state.shape, leading);
    } else if (changed) {
      this.#ask();
      return;
    }
    this.show();
  }

  #ask(): void {
    if (this.#offline) {
      this.#failed(OFFLINE);
      return;
    }
    const asked = ++this.#asked;
    const args = { panel: this.number, index: this.leading, window: this.#window };
    this.#client.call<PlaneAbout>("plane", args).then(
      ({ result, buffers }) => {
        if (asked !== this.#asked || buffers.length < 2) return; // a later slider position was asked for
        this.plane = unpackPlane(result, buffers[0] as DataView, buffers[1] as DataView);
        this.show();
      },
      (error: Error) => this.#failed(error.message),
    );
  }

  number = 0;

  show(): void {
    const plane = this.plane;
    this.#back.hidden = this.#window === null;
    if (plane === null || plane.rows === 0) {
      write(this.#words, "No elements.");
      return;
    }
    const [down, across] = plane.block;
    const parts: string[] = [];
    if (down > 1 || across > 1) {
      parts.push(`Each cell is the mean of ${down} × ${across} elements; double-click opens it.`);
    }
    if (plane.every[0] > 1 || plane.every[1] > 1) {
      const [down, across] = plane.every;
      parts.push(
        `Sampled: one element in ${down} × ${across} was read; nan and infinity between them are counted, not marked.`,
      );
    }
    if (this.#window !== null) {
      const [top, bottom, left, right] = plane.window;
      parts.push(`Rows ${top}–${bottom - 1}, columns ${left}–${right - 1}.`);
    }
    const range = this.state.range;
    parts.push(
      range === null
        ? "No finite value."
        : `${range[0] < 0 && range[1] > 0 ? "Blue is negative, red positive: " : "Dark to bright: "}${number(range[0])} to ${number(range[1])}.`,
    );
    if (this.state.bad > 0) parts.push(`✕ marks nan and infinity: ${counted(this.state.bad)}.`);
    write(this.#words, parts.join(" "));
    this.heat.show(plane, range, []);
  }

  index(row: number, column: number): number[] {
    return indexOf(this.state.shape, this.leading, this.plane as Plane, row, column);
  }

  /** The cells of what is shown that lie at a place in storage. */
  cellsAt(place: number): number[] {
    const plane = this.plane;
    if (plane === null || this.state.strides === null || plane.rows * plane.columns > 4096)
      return [];
    const found: number[] = [];
    for (let i = 0; i < plane.rows * plane.columns; i++) {
      const index = this.index(Math.floor(i / plane.columns), i % plane.columns);
      if (placeOf(this.state, index) === place) found.push(i);
    }
    return found;
  }
}

/** "1 element", "18,000,000 elements" */
function counted(count: number): string {
  return `${count.toLocaleString("en")} element${count === 1 ? "" : "s"}`;
}

function histogram(state: PanelState): HTMLElement {
  const root = div("");
  const most = Math.max(...state.counts, 0);
  if (most === 0) return root;
  const total = state.counts.reduce((sum, n) => sum + n, 0);
  const label = `Histogram of ${total} finite values from ${number(state.edges[0] as number)} to ${number(state.edges.at(-1) as number)}`;
  const picture = svgElement("svg", {
    width: 240,
    height: 64,
    viewBox: "0 0 240 64",
    role: "img",
    "aria-label": label,
  });
  const step = 240 / state.counts.length;
  state.counts.forEach((n, i) => {
    if (n === 0) return;
    const height = Math.max((48 * n) / most, 1);
    const range = `${number(state.edges[i] as number)} to ${number(state.edges[i + 1] as number)}: ${n}`;
    const bar = svgElement(
      "rect",
      { x: i * step, y: 48 - height, width: Math.max(step - 1, 1), height, fill: "var(--tl-1)" },
      svgElement("title", {}, range),
    );
    picture.append(bar);
  });
  const text = { y: 61, "font-size": 11, fill: "currentColor" };
  picture.append(
    svgElement("text", { ...text, x: 0 }, number(state.edges[0] as number)),
    svgElement(
      "text",
      { ...text, x: 240, "text-anchor": "end" },
      number(state.edges.at(-1) as number),
    ),
  );
  root.append(picture);
  return root;
}

function table(state: PanelState): HTMLElement {
  const cells = state.rows
    .filter(([name]) => !["shape", "dtype"].includes(name))
    .flatMap(([name, value]) => [
      element("dt", "tl-muted", name),
      // A definition list keeps name and value together for a screen reader.
      element("dd", "", value),
    ]);
  for (const cell of cells) cell.style.margin = "0";
  const body = element("dl", "tl-tensor-table", ...cells);
  const details = element("details", "", element("summary", "", "Numbers"), body);
  if (state.sampled !== "") details.append(div("tl-muted", `${state.sampled}.`));
  return details;
}

function imagesOf(state: PanelState): HTMLElement | null {
  const images = state.images;
  if (images === null) return null;
  const { count, height, width, pixels } = images;
  const list = div("tl-tensor-images");
  const scale = Math.max(
    1,
    Math.min(8, Math.floor((count > 1 ? 64 : 256) / Math.max(height, width))),
  );
  const size = 4 * height * width;
  for (let n = 0; n < count; n++) {
    const canvas = element("canvas", "");
    canvas.width = width;
    canvas.height = height;
    canvas.style.width = `${width * scale}px`;
    canvas.title = count > 1 ? `${state.name}[${n}]` : state.name;
    aria(canvas, { role: "img", label: `Image ${count > 1 ? n : ""} of ${state.name}` });
    const part = pixels.buffer.slice(
      pixels.byteOffset + n * size,
      pixels.byteOffset + (n + 1) * size,
    );
    const data = new Uint8ClampedArray(part as ArrayBuffer);
    canvas.getContext("2d")?.putImageData(new ImageData(data, width, height), 0, 0);
    list.append(canvas);
  }
  return div("", list, div("tl-muted", `${images.words}.`));
}

function render({ model, el }: { model: Model<TensorState>; el: HTMLElement }): () => void {
  const root = div("tl-widget tl-tensor");
  aria(root, { role: "group" });
  // JupyterLab takes arrow keys for its own where a cell is not edited.
  ownKeys(root);
  const message = div("tl-message");
  const tell = (words: string) => write(message, words);
  const client = new Client<TensorState>(model, tell);
  const announce = spoken();
  const holder = div("");
  const saving = exportButtons(model, {
    name: () => model.get("state").title,
    svg: () => picture(panels),
    failed: tell,
  });
  let asImages = false;
  const mode = button("Images", "Show as images, or as numbers", () => {
    asImages = !asImages;
    draw();
  });
  let panels: Panel[] = [];
  let spot: Spot | null = null;
  const tapeCells: { place: number; cell: SVGElement }[] = [];
  const readout = div("tl-tensor-read");
  const tapeBox = div("tl-tensor-scroll");
  tapeBox.tabIndex = 0;
  aria(tapeBox, { role: "region", label: "Storage" });
  root.append(div("tl-bar", mode, saving), message, holder, announce);
  el.append(root);

  function draw(): void {
    const state = model.get("state");
    aria(root, { label: `View of ${state.title}` });
    panels = [];
    spot = null;
    const list = div("tl-tensor-panels");
    const views: (HTMLElement | null)[] = state.panels.map(imagesOf);
    mode.hidden = views.every((each) => each === null);
    aria(mode, { pressed: asImages });
    holder.replaceChildren();
    if (state.verdict !== "") holder.append(div("tl-message", state.verdict));
    holder.append(list);
    if (asImages) {
      state.panels.forEach((panel, i) => {
        const title = div("tl-tensor-title", panel.name);
        const image = views[i] ?? div("tl-muted", "This shape is not one of images.");
        list.append(element("section", "tl-tensor-panel", title, image));
      });
      return;
    }
    const same = state.panels.every((each) => `${each.shape}` === `${state.panels[0]?.shape}`);
    state.panels.forEach((panel, i) => {
      const made = new Panel(
        panel,
        client,
        {
          at: (row, column) => point({ panel: i, row, column }),
          left: () => point(null),
          moved: (leading) => {
            point(null);
            for (const each of same ? panels : [made]) each.move(leading);
          },
        },
        tell,
        isOffline(model),
      );
      made.number = i;
      panels.push(made);
      list.append(made.root);
    });
    holder.append(readout, tapeBox);
    tape(0);
    point(null);
    frame.ask();
  }

  function tape(place: number): void {
    const state = model.get("state");
    const first = state.panels[0];
    tapeBox.hidden = first === undefined || first.strides === null || first.storage === 0;
    tapeBox.hidden ||= state.panels.length > 1 && !state.shared;
    if (tapeBox.hidden || first === undefined) return;
    const numbers = state.tape === null ? null : doubles(state.tape);
    const [begin, end] =
      first.storage <= CELLS ? [0, first.storage] : around(place, first.storage, 24);
    const texts = Array.from({ length: end - begin }, (_, i) =>
      numbers === null ? "·" : cellText(numbers[begin + i] as number),
    );
    // Numbers of 11 px are about 7 px wide a digit.
    const side = Math.max(36, ...texts.map((text) => 7 * text.length + 8));
    const svg = svgElement("svg", {
      width: (end - begin) * side + 2,
      height: 58,
      role: "img",
      "aria-label": `Storage, places ${begin} to ${end - 1} of ${first.storage}`,
    });
    tapeCells.length = 0;
    for (let i = begin; i < end; i++) {
      const x = (i - begin) * side + 1;
      const cell = svgElement("rect", {
        x,
        y: 1,
        width: side - 2,
        height: 30,
        fill: "var(--tl-back2)",
        stroke: "var(--tl-line)",
      });
      const middle = { x: x + side / 2 - 1, "text-anchor": "middle", "font-size": 11 };
      svg.append(
        cell,
        svgElement(
          "text",
          { ...middle, y: 20, fill: "var(--tl-text)" },
          texts[i - begin] as string,
        ),
        svgElement("text", { ...middle, y: 46, fill: "var(--tl-muted)" }, `${i}`),
      );
      tapeCells.push({ place: i, cell });
      on(cell, "pointerenter", () => fromTape(i));
      on(cell, "pointerleave", () => point(null));
    }
    const note =
      end - begin < first.storage
        ? `Storage of ${counted(first.storage)}, places ${begin} to ${end - 1}:`
        : `Storage, ${counted(first.storage)}:`;
    tapeBox.replaceChildren(div("tl-muted", note), svg);
  }

  function highlight(place: number | null): void {
    for (const each of tapeCells) {
      const on = each.place === place;
      each.cell.setAttribute("stroke", on ? "var(--tl-accent)" : "var(--tl-line)");
      each.cell.setAttribute("stroke-width", on ? "3" : "1");
    }
  }

  /** From a place back to all cells that read it. */
  function fromTape(place: number): void {
    highlight(place);
    const words = panels
      .filter((panel) => panel.state.strides !== null)
      .map((panel) => {
        panel.heat.mark(panel.cellsAt(place));
        const readers = readersOf(panel.state, place);
        const which = readers.map((index) => `${panel.state.name}[${index.join(", ")}]`);
        return which.length > 0 ? which.join(", ") : `no index of ${panel.state.name}`;
      });
    write(readout, `place ${place}: read by ${words.join(" and ")}`);
  }

  function point(next: Spot | null): void {
    spot = next;
    const panel = next === null ? undefined : panels[next.panel];
    if (next === null || panel === undefined || panel.plane === null) {
      for (const each of panels) each.heat.mark([]);
      highlight(null);
      write(readout, "Point at a cell, or go through the cells with the arrow keys.");
      return;
    }
    const at = next.row * panel.plane.columns + next.column;
    const index = panel.index(next.row, next.column);
    const lines = [describe(panel, at, index)];
    const place = panel.state.strides === null ? null : placeOf(panel.state, index);
    const single = panel.plane.block[0] === 1 && panel.plane.block[1] === 1;
    if (place !== null && single) lines.push(`place: ${sumText(panel.state, index)}`);
    const state = model.get("state");
    panels.forEach((each, i) => {
      if (i === next.panel) {
        const own = place !== null && single ? each.cellsAt(place) : [];
        each.heat.mark(own.length > 0 ? own : [at]);
      } else if (state.shared && place !== null && single && each.state.strides !== null) {
        each.heat.mark(each.cellsAt(place));
      } else if (`${each.state.shape}` === `${panel.state.shape}`) {
        each.heat.mark([at]);
        if (each.plane !== null) lines.push(describe(each, at, index));
      }
    });
    if (place !== null && single && !tapeBox.hidden) {
      if (!tapeCells.some((each) => each.place === place)) tape(place);
      highlight(place);
      const readers = panels.flatMap((each) =>
        each.state.strides === null || (!state.shared && each !== panel)
          ? []
          : readersOf(each.state, place).map((i) => `${each.state.name}[${i.join(", ")}]`),
      );
      if (readers.length > 1) lines.push(`the same place: ${readers.join(", ")}`);
    }
    readout.innerHTML = lines.map(escapeMarkup).join("<br>");
    write(announce, lines.join(". "));
  }

  function describe(panel: Panel, at: number, index: number[]): string {
    const plane = panel.plane as Plane;
    const value = plane.values[at] as number;
    const [down, across] = plane.block;
    if (down === 1 && across === 1) {
      return `${panel.state.name}[${index.join(", ")}] is ${number(value)}`;
    }
    const bad = plane.bad[at] ?? 0;
    const wrong = bad > 0 ? `, ${bad} not finite` : "";
    return `${panel.state.name}, ${down} × ${across} elements from [${index.join(", ")}] on: mean ${number(value)}${wrong}`;
  }

  const frame = new Frame(() => {
    for (const panel of panels) panel.heat.draw();
    if (spot !== null) point(spot);
  });
  const changed = () => draw();
  model.on("change:state", changed);
  const endTheme = onTheme(frame.ask, root);
  draw();
  return () => {
    model.off("change:state", changed);
    endTheme();
    frame.cancel();
    client.dispose();
  };
}

/** The heat maps that are shown, as an SVG document with a ground of its own. */
function picture(panels: readonly Panel[]): string {
  const parts: string[] = [];
  let x = 8;
  let height = 0;
  for (const { plane, heat, state } of panels) {
    if (plane === null) continue;
    const side = plane.rows * plane.columns <= 400 ? 32 : 4;
    parts.push(`<text x="${x}" y="18" font-weight="bold">${escapeMarkup(state.name)}</text>`);
    plane.values.forEach((value, i) => {
      const [left, top] = [
        x + (i % plane.columns) * side,
        26 + Math.floor(i / plane.columns) * side,
      ];
      const finite = Number.isFinite(value);
      parts.push(
        `<rect x="${left}" y="${top}" width="${side}" height="${side}" fill="${finite ? heat.color(value) : "#999"}"/>`,
      );
      if ((plane.bad[i] ?? 0) > 0) {
        parts.push(
          `<path d="M${left} ${top}l${side} ${side}m0 ${-side}l${-side} ${side}" stroke="#b0b"/>`,
        );
      }
    });
    x += Math.max(plane.columns * side, 120) + 24;
    height = Math.max(height, 34 + plane.rows * side);
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${x}" height="${height}" font-family="sans-serif" font-size="13"><rect width="100%" height="100%" fill="#fff"/>${parts.join("")}</svg>`;
}

export default widget<TensorState>(render);
