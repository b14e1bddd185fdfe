// The steps of a block of GPU threads, as Python sends them: what each one touched, in words and as a picture.

import { escapeMarkup } from "../common/dom";

/** Array, what is done (0 reads, 1 writes, 2 changes), lanes as bits, first element, sectors or rounds, how
    few they could be, and from the first element on: one step for all lanes, or each lane's distance. */
export type Touch = [
  array: number,
  kind: number,
  lanes: number,
  first: number,
  parts: number,
  ideal: number,
  rest: number | number[],
];
/** Line, warp (-1: a barrier opens), active lanes as bits, what it is in a word, what it touched. */
export type Step = [line: number, warp: number, active: number, what: string, touches: Touch[]];
export interface TracedArray {
  name: string;
  space: string;
  shape: number[];
  itemsize: number;
}
export interface ReplayState {
  title: string;
  threads: number;
  warps: number;
  source: string[];
  first: number;
  arrays: TracedArray[];
  steps: Step[];
  complete: boolean;
  /** What the simulator found: line, sign, words. */
  notes: [number, string, string][];
}
export type Palette = Record<"--tl-text" | "--tl-line" | "--tl-back" | Hue, string>;
export type Hue = "--tl-1" | "--tl-2" | "--tl-3" | "--tl-warn";

const ROW = 32;
const CELL = 13;
const LEFT = 92;
const WIDTH = LEFT + ROW * CELL + 4;
/** So many rows are shown, of all arrays together; of longer ones those around what a step touches. */
const MOST_ROWS = 32;
const VERBS = ["read", "written", "changed"];
const SIGNS = "RWA";
const HUES: Hue[] = ["--tl-1", "--tl-2", "--tl-3"];

/** The numbers of the bits that are 1. */
export function lanesOf(bits: number): number[] {
  return Array.from({ length: ROW }, (_, lane) => lane).filter((lane) => (bits >>> lane) & 1);
}

/** The element that each of the touch's lanes touches. */
export function elementsOf([, , lanes, first, , , rest]: Touch): number[] {
  return lanesOf(lanes).map(
    (_, i) => first + (typeof rest === "number" ? i * rest : (rest[i] ?? 0)),
  );
}

/** The row of the picture that an element is in: rows of 32, and each row of the array begins a new one. */
export function rowOf({ shape }: TracedArray, element: number): [row: number, column: number] {
  const wide = Math.max(shape.at(-1) ?? 1, 1);
  const inside = element % wide;
  return [
    Math.floor(element / wide) * Math.ceil(wide / ROW) + Math.floor(inside / ROW),
    inside % ROW,
  ];
}

/** The index of a row's first element, as one writes it. */
export function indexOf({ shape }: TracedArray, row: number): string {
  const wide = Math.max(shape.at(-1) ?? 1, 1);
  const each = Math.ceil(wide / ROW);
  let rest = Math.floor(row / each);
  const index = [(row % each) * ROW];
  for (const size of shape.slice(0, -1).reverse()) {
    index.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return index.join(", ");
}

/** Elements of shared memory that wait for another one of their bank. Words are of 4 bytes, banks 32. */
export function conflicts(array: TracedArray, elements: number[]): Set<number> {
  if (array.space !== "shared" || array.itemsize !== 4) return new Set();
  const different = [...new Set(elements)];
  const banks = different.map((each) => each % ROW);
  return new Set(
    different.filter((_, i) => banks.indexOf(banks[i] ?? 0) !== banks.lastIndexOf(banks[i] ?? 0)),
  );
}

/** A step as sentences, for eyes and for a screen reader. */
export function words(state: ReplayState, at: number): string {
  const step = state.steps[at];
  if (step === undefined) return "No steps.";
  const [line, warp, active, what, touches] = step;
  const head = `Step ${at + 1} of ${state.steps.length}`;
  if (warp < 0) return `${head}: all threads have come to the barrier of line ${line}, and go on.`;
  const here = lanesOf(active).length;
  const all = Math.min(ROW, state.threads - warp * ROW);
  const who =
    here === all ? (all === 1 ? "its lane" : `all ${all} lanes`) : `${here} of ${all} lanes`;
  const parts = touches.map((touch) => {
    const array = state.arrays[touch[0]] as TracedArray;
    const count = lanesOf(touch[2]).length;
    const unit = array.space === "global" ? "sector" : "round";
    const more = touch[4] > touch[5] ? `, where ${touch[5]} would do` : "";
    return ` ${array.name}: ${count} ${VERBS[touch[1]]} in ${touch[4]} ${unit}${touch[4] === 1 ? "" : "s"}${more}.`;
  });
  return `${head}: warp ${warp}, line ${line}, ${what}, ${who}.${parts.join("")}`;
}

/** What goes before a step: which rows each array ever shows, and where each warp stands. */
export class Replay {
  /** For each array the rows that the trace touches, in order. */
  readonly rows: number[][];

  constructor(readonly state: ReplayState) {
    const seen = state.arrays.map(() => new Set<number>());
    for (const step of state.steps) {
      for (const touch of step[4]) {
        const array = state.arrays[touch[0]] as TracedArray;
        for (const element of elementsOf(touch)) seen[touch[0]]?.add(rowOf(array, element)[0]);
      }
    }
    this.rows = seen.map((each) => [...each].sort((a, b) => a - b));
  }

  /** The next (by = 1) or last (by = -1) step of a warp, barriers included; of any warp if it is null. */
  next(at: number, by: number, warp: number | null): number {
    for (let i = at + by; i >= 0 && i < this.state.steps.length; i += by) {
      const of = this.state.steps[i]?.[1];
      if (warp === null || of === warp || of === -1) return i;
    }
    return at;
  }

  /** Whether each warp waits at a barrier after a step. */
  waiting(at: number): boolean[] {
    const found = Array.from({ length: this.state.warps }, () => false);
    for (let i = at, known = new Set<number>(); i >= 0 && known.size < found.length; i--) {
      const [, warp, , what] = this.state.steps[i] as Step;
      if (warp < 0) break;
      if (!known.has(warp)) found[warp] = what === "barrier";
      known.add(warp);
    }
    return found;
  }

  /** What has been written by the end of a step: for each array, its elements. */
  written(at: number): Set<number>[] {
    const found = this.state.arrays.map(() => new Set<number>());
    for (const step of this.state.steps.slice(0, at + 1)) {
      for (const touch of step[4]) {
        if (touch[1] > 0) for (const element of elementsOf(touch)) found[touch[0]]?.add(element);
      }
    }
    return found;
  }

  /** The picture of a step, as the text of an SVG with its colours written into it. */
  picture(at: number, colors: Palette): string {
    const { state } = this;
    const [, warp, active, , touches] = state.steps[at] ?? [0, -1, 0, "", []];
    const parts: string[] = [];
    const text = (x: number, y: number, words: string, end = true) =>
      `<text x="${x}" y="${y}"${end ? ' text-anchor="end"' : ""} fill="${colors["--tl-text"]}">${escapeMarkup(words)}</text>`;
    const box = (x: number, y: number, h: number, fill: string, stroke: string, wide = 1) =>
      `<rect x="${x + 0.5}" y="${y + 0.5}" width="${CELL - 2}" height="${h - 2}" fill="${fill}" stroke="${stroke}" stroke-width="${wide}"/>`;
    const tall = state.warps > 8 ? 8 : CELL;
    const waits = this.waiting(at);
    const soft = colors["--tl-line"];
    let y = 4;
    let laneY = y;
    for (let w = 0; w < state.warps; w++, y += tall) {
      if (w === warp) laneY = y + tall;
      if (tall === CELL || w === warp || w % 4 === 0) {
        const sign = w === warp ? "▶ " : waits[w] ? "waits ‖ " : "";
        parts.push(text(LEFT - 6, y + tall - 2, `${sign}warp ${w}`));
      }
      for (let lane = 0; lane < Math.min(ROW, state.threads - w * ROW); lane++) {
        const on = w === warp && (active >>> lane) & 1;
        parts.push(box(LEFT + lane * CELL, y, tall, on ? colors["--tl-text"] : "none", soft));
      }
    }
    const lines: string[] = [];
    const drawn = this.rows.filter((rows) => rows.length > 0).length;
    const most = Math.max(4, Math.floor(MOST_ROWS / Math.max(drawn, 1)));
    const before = this.written(at);
    state.arrays.forEach((array, i) => {
      const here = touches.filter((touch) => touch[0] === i);
      let rows = this.rows[i] ?? [];
      if (rows.length === 0) return;
      const first =
        here[0] === undefined ? 0 : rows.indexOf(rowOf(array, elementsOf(here[0])[0] ?? 0)[0]);
      if (rows.length > most) {
        const start = Math.min(Math.max(first - 2, 0), rows.length - most);
        rows = rows.slice(start, start + most);
      }
      const hidden = (this.rows[i] as number[]).length - rows.length;
      const note = hidden > 0 ? `; ${hidden} more rows are not shown` : "";
      y += 20;
      parts.push(
        text(4, y - 4, `${array.name} (${array.space}) [${array.shape.join(", ")}]${note}`, false),
      );
      const wide = Math.max(array.shape.at(-1) ?? 1, 1);
      const perSector = 32 / array.itemsize;
      for (const [r, row] of rows.entries()) {
        const top = y + r * CELL;
        parts.push(text(LEFT - 6, top + CELL - 3, indexOf(array, row)));
        const count = Math.min(wide - (row % Math.ceil(wide / ROW)) * ROW, ROW);
        for (let c = 0; c < count; c++) parts.push(box(LEFT + c * CELL, top, CELL, "none", soft));
        for (let c = perSector; array.space === "global" && c < count; c += perSector) {
          parts.push(
            `<path d="M${LEFT + c * CELL - 0.5} ${top}v${CELL}" stroke="${colors["--tl-text"]}"/>`,
          );
        }
      }
      for (const element of before[i] ?? []) {
        const [row, column] = rowOf(array, element);
        const r = rows.indexOf(row);
        if (r < 0) continue;
        const at_ = `cx="${LEFT + column * CELL + 6}" cy="${y + r * CELL + 6}"`;
        parts.push(`<circle ${at_} r="2" fill="${colors["--tl-2"]}"/>`);
      }
      for (const touch of here) {
        const elements = elementsOf(touch);
        const late = conflicts(array, elements);
        const hue = colors[HUES[touch[1]] as Hue];
        lanesOf(touch[2]).forEach((lane, k) => {
          const [row, column] = rowOf(array, elements[k] as number);
          const r = rows.indexOf(row);
          if (r < 0) return;
          const [x, top] = [LEFT + column * CELL, y + r * CELL];
          const clash = late.has(elements[k] as number);
          parts.push(box(x, top, CELL, hue, clash ? colors["--tl-warn"] : hue, clash ? 2.5 : 1));
          parts.push(
            `<text x="${x + 5.5}" y="${top + 10}" text-anchor="middle" font-size="9" fill="#fff">${clash ? "!" : SIGNS[touch[1]]}</text>`,
          );
          lines.push(`M${LEFT + lane * CELL + 6} ${laneY}L${x + 6} ${top}`);
        });
      }
      y += rows.length * CELL;
    });
    if (lines.length > 0) {
      parts.push(
        `<path d="${lines.join("")}" stroke="${colors["--tl-text"]}" stroke-opacity=".35" fill="none"/>`,
      );
    }
    const words_ = escapeMarkup(words(state, at));
    return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y + 6}" width="${WIDTH}" height="${y + 6}" role="img" aria-label="${words_}" font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="${colors["--tl-back"]}"/>${parts.join("")}</svg>`;
  }
}
