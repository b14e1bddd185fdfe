// The inspector's elements and how they follow each other: picture, outline, panel, steps.

import { colors, fitted, onTheme, viridis } from "../common/canvas";
import {
  aria,
  button,
  choice,
  div,
  element,
  Frame,
  on,
  ownKeys,
  span,
  spoken,
  write,
} from "../common/dom";
import { Client, integers, type Model, OFFLINE } from "../common/model";
import { exportButtons } from "../common/save";
import { Tree } from "../common/tree";
import { above, buildHierarchy, firstOpen, type Group, type Part, visible } from "./hierarchy";
import { Layouter, type Point } from "./layout";
import { outlineRows } from "./outline";
import { COLORS, type Marks, type Palette, paint, toSvg, type View } from "./paint";
import { groupPanel, nodePanel } from "./panel";
import { type GraphState, type NodeValues, readGraph, type Step, type Steps } from "./records";
import {
  type Box,
  boxAt,
  boxSize,
  buildScene,
  MEASURES,
  type Measure,
  type Measured,
  measure,
  onSign,
  type Scene,
} from "./scene";
import { pathToOutputs, search } from "./search";
import { Stepper } from "./stepper";

const FEW_NODES = 60;
const MOST_OPEN = 8000;

export class Inspector {
  readonly root: HTMLElement;
  readonly #state: GraphState;
  readonly #graph;
  readonly #client: Client<GraphState>;
  readonly #canvas = element("canvas", "tl-canvas");
  readonly #map = element("canvas", "tl-minimap");
  readonly #panel = div("tl-panel");
  readonly #legend = div("tl-legend");
  readonly #message = div("tl-message tl-bad");
  readonly #told = spoken();
  readonly #tree: Tree;
  readonly #frame = new Frame(() => this.#paint());
  readonly #stepBar = div("tl-bar tl-steps");
  readonly #stepWords = span("tl-step-words");
  readonly #slider = element("input", "tl-slider");
  readonly #hits = span("tl-muted");
  readonly #ends: (() => void)[] = [];
  #hierarchy;
  #layouter: Layouter;
  #open: Set<string>;
  #scene!: Scene;
  #palette!: Palette;
  #view: View = { zoom: 1, x: 0, y: 0 };
  #fitting = true;
  #leaves: boolean;
  #selected: string | null = null;
  #showPath = true;
  #what: Measure;
  #measured: Measured | null = null;
  #found: number[] = [];
  #foundAt = -1;
  #path: Marks["path"] = null;
  #pathFrom: string | null = null;
  readonly #values = new Map<number, NodeValues>();
  #waiting = "";
  #asked = -1;
  #stepper: Stepper | null = null;
  #stepping = false;
  #norms: ReadonlyMap<number, number> = new Map();
  #marks!: Marks;
  readonly #leavesButton: HTMLButtonElement;
  readonly #stepButton: HTMLButtonElement;

  readonly #model: Model<GraphState>;

  constructor(model: Model<GraphState>) {
    this.#model = model;
    this.#state = model.get("state");
    this.#what = this.#state.colour;
    this.#graph = readGraph(this.#state, integers);
    this.#leaves = this.#graph.nodes.length <= FEW_NODES;
    this.#hierarchy = buildHierarchy(this.#graph, { leaves: this.#leaves });
    this.#open = firstOpen(this.#hierarchy);
    this.#layouter = this.#newLayouter();
    for (const [index, values] of Object.entries(this.#state.values)) {
      this.#values.set(Number(index), values);
    }
    this.#client = new Client(model, (words) => {
      this.#waiting = words;
      this.#showPanel();
    });
    this.#tree = new Tree("Outline of the graph", {
      chosen: (key) => this.#select(key, "tree"),
      toggled: (key) => this.#toggle(key),
    });
    this.#leavesButton = button("Parameters", "Show leaves: parameters and other tensors", () =>
      this.#setLeaves(!this.#leaves),
    );
    this.#stepButton = button(
      "Step through backward",
      "Run the backward pass node by node",
      () => void this.#startSteps(),
    );
    const measures = choice("Colour by", this.#measures(), (value) => this.#setMeasure(value));
    measures.select.value = this.#what;
    const notes = this.#state.notes.map((note) => element("p", "tl-note", note));
    this.root = element(
      "section",
      "tl-widget tl-graph",
      div("tl-title", this.#state.title),
      ...notes,
      this.#toolbar(measures.root),
      this.#stepBar,
      this.#message,
      div(
        "tl-stage",
        this.#tree.root,
        div("tl-picture", this.#canvas, this.#map, this.#legend),
        this.#panel,
      ),
      this.#told,
    );
    aria(this.root, { label: `Graph inspector: ${this.#state.summary}` });
    aria(this.#message, { role: "status" });
    aria(this.#panel, { role: "region", label: "Details of what is chosen" });
    this.#panel.tabIndex = 0;
    this.#buildStepBar();
    this.#listen();
    if (this.#state.steps !== null) this.#takeSteps(this.#state.steps);
  }

  /** Lay out and draw, now and whenever size or theme change. */
  start(): void {
    this.#readTheme();
    this.#relayout();
    this.#showPanel();
    // All modules are laid out when there is time for it: "Open all" is then answered at once.
    const early = setTimeout(
      () => this.#layouter.arrange(new Set(this.#hierarchy.groups.keys())),
      300,
    );
    this.#ends.push(() => clearTimeout(early));
    // Notebooks put an element into the page after it was made: only then it has a size and colours.
    const watch = new ResizeObserver(() => {
      this.#readTheme();
      this.#tree.refresh();
      if (this.#fitting) this.#fit();
      else this.#frame.ask();
    });
    watch.observe(this.#canvas);
    this.#ends.push(() => watch.disconnect());
    this.#ends.push(
      onTheme(() => {
        this.#readTheme();
        this.#frame.ask();
      }),
    );
  }

  dispose(): void {
    this.#frame.cancel();
    this.#client.dispose();
    for (const end of this.#ends) end();
  }

  // Building

  #newLayouter(): Layouter {
    return new Layouter(
      this.#hierarchy,
      (part) => boxSize(this.#graph, part),
      (node) => this.#graph.nodes[node]?.kind === "leaf",
    );
  }

  #toolbar(measures: HTMLElement): HTMLElement {
    const input = element("input", "tl-input tl-search");
    input.type = "search";
    input.placeholder = "name, module, shape";
    aria(input, { label: "Search nodes by name, module, shape or line of code" });
    on(input, "input", () => this.#search(input.value));
    on(input, "keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Enter") this.#nextFound(event.shiftKey ? -1 : 1);
    });
    aria(this.#hits, { role: "status" });
    const path = button("Path", "Mark every way from what is chosen to the outputs", () => {
      this.#showPath = !this.#showPath;
      aria(path, { pressed: this.#showPath });
      this.#redraw();
    });
    aria(path, { pressed: true });
    aria(this.#leavesButton, { pressed: this.#leaves });
    const group = (...children: HTMLElement[]) => span("tl-group", ...children);
    return div(
      "tl-bar",
      group(
        button("Fit", "Show the whole graph", () => this.#fit()),
        button("+", "Zoom in", () => this.#zoom(1.3)),
        button("−", "Zoom out", () => this.#zoom(1 / 1.3)),
      ),
      group(
        button("Open all", "Open every module", () => this.#openAll()),
        button("Close all", "Close every module", () => this.#closeAll()),
      ),
      group(path, this.#leavesButton),
      span("tl-group", input, this.#hits),
      measures,
      this.#stepButton,
      exportButtons(this.#model, {
        name: () => this.#state.title,
        svg: () => toSvg(this.#scene, this.#marks, this.#palette, this.#state.title),
        state: () => this.#known(),
        failed: (words) => this.#say(words),
      }),
    );
  }

  #buildStepBar(): void {
    this.#slider.type = "range";
    this.#slider.min = "0";
    aria(this.#slider, { label: "Step of the backward pass" });
    on(this.#slider, "input", () => this.#goto(Number(this.#slider.value)));
    aria(this.#stepWords, { live: "polite" });
    this.#stepBar.hidden = true;
    aria(this.#stepBar, { role: "group", label: "Step through backward" });
    const at = () => this.#stepper?.position ?? 0;
    this.#stepBar.append(
      button("Start", "Go before the first step", () => this.#goto(0)),
      button("◀ Back", "Take the last step back", () => this.#goto(at() - 1)),
      button("Step ▶", "Run one more node", () => this.#goto(at() + 1)),
      button("End", "Go after the last step", () => this.#goto(Number.MAX_SAFE_INTEGER)),
      this.#slider,
      button("Done", "Leave the backward pass", () => this.#setStepping(false)),
      this.#stepWords,
    );
  }

  #measures(): (readonly [Measure, string])[] {
    return MEASURES.filter(
      ([name]) =>
        name === "type" ||
        name === "gradient" ||
        (name === "output"
          ? this.#state.outputs > 1
          : measure(this.#graph, name, this.#norms) !== null),
    );
  }

  // What a hand or a key does

  #listen(): void {
    const canvas = this.#canvas;
    canvas.tabIndex = 0;
    aria(canvas, { role: "img" });
    ownKeys(canvas);
    aria(canvas, {
      label:
        `${this.#state.title}: ${this.#state.summary}. The outline beside it has the same in words. ` +
        "Arrow keys move the picture, plus and minus zoom, 0 shows all.",
    });
    let held: { x: number; y: number; moved: boolean } | null = null;
    on(canvas, "pointerdown", (event) => {
      held = { x: event.clientX, y: event.clientY, moved: false };
      canvas.setPointerCapture(event.pointerId);
    });
    on(canvas, "pointermove", (event) => {
      if (held === null) {
        canvas.style.cursor = boxAt(this.#scene, this.#toScene(event)) ? "pointer" : "grab";
        return;
      }
      const [dx, dy] = [event.clientX - held.x, event.clientY - held.y];
      if (!held.moved && Math.hypot(dx, dy) < 4) return;
      held = { x: event.clientX, y: event.clientY, moved: true };
      this.#pan(dx, dy);
    });
    on(canvas, "pointerup", (event) => {
      const moved = held?.moved ?? true;
      held = null;
      if (!moved) this.#clicked(this.#toScene(event));
    });
    on(canvas, "dblclick", (event) => {
      const point = this.#toScene(event);
      const box = boxAt(this.#scene, point);
      // On its sign both clicks have opened and closed it already.
      if (box !== null && box.part.kind !== "node" && !onSign(box, point)) this.#toggle(box.key);
    });
    on(
      canvas,
      "wheel",
      (event) => {
        // A notebook scrolls under the wheel, unless the reader has put the focus into the picture.
        if (!event.ctrlKey && !event.metaKey && document.activeElement !== canvas) return;
        event.preventDefault();
        this.#zoom(Math.exp(-event.deltaY / (event.ctrlKey ? 150 : 500)), this.#onCanvas(event));
      },
      { passive: false },
    );
    on(canvas, "keydown", (event) => this.#key(event));
    let dragging = false;
    const toMap = (event: PointerEvent) => {
      const scale = this.#mapScale();
      const box = this.#map.getBoundingClientRect();
      const [x, y] = [(event.clientX - box.left) / scale, (event.clientY - box.top) / scale];
      this.#center({ x, y });
    };
    on(this.#map, "pointerdown", (event) => {
      dragging = true;
      this.#map.setPointerCapture(event.pointerId);
      toMap(event);
    });
    on(this.#map, "pointermove", (event) => {
      if (dragging) toMap(event);
    });
    on(this.#map, "pointerup", () => {
      dragging = false;
    });
    aria(this.#map, { hidden: true });
  }

  #key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = 60;
    const moves: Record<string, () => void> = {
      ArrowLeft: () => this.#pan(step, 0),
      ArrowRight: () => this.#pan(-step, 0),
      ArrowUp: () => this.#pan(0, step),
      ArrowDown: () => this.#pan(0, -step),
      "+": () => this.#zoom(1.3),
      "=": () => this.#zoom(1.3),
      "-": () => this.#zoom(1 / 1.3),
      "0": () => this.#fit(),
      Enter: () => this.#selected !== null && this.#toggle(this.#selected),
      Escape: () => this.#select(null),
    };
    const move = moves[event.key];
    if (move === undefined) return;
    move();
    event.preventDefault();
    event.stopPropagation();
  }

  #clicked(point: Point): void {
    const box = boxAt(this.#scene, point);
    if (box !== null && onSign(box, point)) this.#toggle(box.key);
    else this.#select(box?.key ?? null);
  }

  #onCanvas(event: MouseEvent): Point {
    const box = this.#canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  #toScene(event: MouseEvent): Point {
    const { x, y } = this.#onCanvas(event);
    return { x: (x - this.#view.x) / this.#view.zoom, y: (y - this.#view.y) / this.#view.zoom };
  }

  #pan(dx: number, dy: number): void {
    this.#fitting = false;
    this.#view = { ...this.#view, x: this.#view.x + dx, y: this.#view.y + dy };
    this.#frame.ask();
  }

  #zoom(by: number, around?: Point): void {
    this.#fitting = false;
    const { x, y } = around ?? {
      x: this.#canvas.clientWidth / 2,
      y: this.#canvas.clientHeight / 2,
    };
    const zoom = Math.min(Math.max(this.#view.zoom * by, 0.01), 4);
    const real = zoom / this.#view.zoom;
    this.#view = { zoom, x: x - (x - this.#view.x) * real, y: y - (y - this.#view.y) * real };
    this.#frame.ask();
  }

  #fit(): void {
    this.#fitting = true;
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const zoom = Math.min(
      (width - 24) / this.#scene.width,
      (height - 24) / this.#scene.height,
      1.25,
    );
    this.#view = {
      zoom: Math.max(zoom, 0.005),
      x: (width - this.#scene.width * zoom) / 2,
      y: (height - this.#scene.height * zoom) / 2,
    };
    this.#frame.ask();
  }

  #center({ x, y }: Point): void {
    this.#fitting = false;
    const { clientWidth, clientHeight } = this.#canvas;
    const { zoom } = this.#view;
    this.#view = { zoom, x: clientWidth / 2 - x * zoom, y: clientHeight / 2 - y * zoom };
    this.#frame.ask();
  }

  /** Bring a box into sight, large enough to be read. */
  #bringInSight(box: Box): void {
    const { clientWidth, clientHeight } = this.#canvas;
    const zoom = Math.max(this.#view.zoom, box.open ? this.#view.zoom : 0.85);
    const left = box.x * zoom + this.#view.x;
    const top = box.y * zoom + this.#view.y;
    const inside =
      left >= 0 &&
      top >= 0 &&
      left + box.width * zoom <= clientWidth &&
      top + box.height * zoom <= clientHeight;
    if (inside && zoom === this.#view.zoom) return;
    this.#view = { ...this.#view, zoom };
    this.#center({ x: box.x + box.width / 2, y: box.y + Math.min(box.height, 200) / 2 });
  }

  // Opening, choosing, searching

  #toggle(key: string): void {
    const group = this.#hierarchy.groups.get(key);
    if (group === undefined) return;
    const before = this.#scene.byKey.get(key);
    if (this.#open.has(key)) this.#open.delete(key);
    else this.#open.add(key);
    this.#selected = key;
    const fitted = this.#fitting;
    this.#fitting = false;
    this.#relayout();
    const after = this.#scene.byKey.get(key);
    // What was clicked stays under the pointer, unless all can still be shown.
    if (before && after && !fitted) {
      this.#view.x += (before.x - after.x) * this.#view.zoom;
      this.#view.y += (before.y - after.y) * this.#view.zoom;
    } else if (fitted) {
      this.#fit();
      if (this.#view.zoom < 0.45 && after) {
        this.#view.zoom = 0.85;
        this.#center({
          x: after.x + after.width / 2,
          y: after.y + this.#canvas.clientHeight / 2.8,
        });
      }
    }
    this.#tree.activate(key);
    this.#showPanel();
    write(this.#told, `${group.title} ${this.#open.has(key) ? "opened" : "closed"}`);
  }

  #openAll(): void {
    const keys = [...this.#hierarchy.groups.keys()];
    this.#open = new Set(this.#graph.nodes.length > MOST_OPEN ? keys.slice(0, MOST_OPEN) : keys);
    this.#relayout();
    this.#fit();
  }

  #closeAll(): void {
    this.#open = new Set([this.#hierarchy.root.key]);
    this.#relayout();
    this.#fit();
  }

  #setLeaves(leaves: boolean): void {
    if (leaves === this.#leaves) return;
    this.#leaves = leaves;
    aria(this.#leavesButton, { pressed: leaves });
    this.#hierarchy = buildHierarchy(this.#graph, { leaves });
    this.#layouter = this.#newLayouter();
    this.#relayout();
    if (this.#fitting) this.#fit();
  }

  /** Open what is around a node, so that it is to be seen. */
  #reveal(node: number): void {
    if (this.#graph.nodes[node]?.kind === "leaf") this.#setLeaves(true);
    const closed = above(this.#hierarchy.home[node] ?? null).filter(
      (group) => !this.#open.has(group.key),
    );
    if (closed.length === 0) return;
    for (const group of closed) this.#open.add(group.key);
    this.#relayout();
  }

  #select(key: string | null, from = ""): void {
    this.#selected = key;
    if (from !== "tree") this.#tree.activate(key);
    const box = key === null ? undefined : this.#scene.byKey.get(key);
    if (from !== "" && box) this.#bringInSight(box);
    this.#showPanel();
    this.#redraw();
    if (box) write(this.#told, `${box.title}, ${box.detail}`);
  }

  #gotoNode(node: number): void {
    this.#reveal(node);
    this.#select(visible(this.#hierarchy, this.#open, node), "link");
  }

  #search(query: string): void {
    this.#found = search(this.#graph, query);
    this.#foundAt = -1;
    const words = query.trim() === "" ? "" : `${this.#found.length} found`;
    write(this.#hits, words);
    this.#redraw();
  }

  #nextFound(by: number): void {
    const { length } = this.#found;
    if (length === 0) return;
    this.#foundAt =
      this.#foundAt < 0 ? (by > 0 ? 0 : length - 1) : (this.#foundAt + by + length) % length;
    this.#gotoNode(this.#found[this.#foundAt] ?? 0);
    write(this.#hits, `${this.#foundAt + 1} of ${length}`);
  }

  #setMeasure(what: Measure): void {
    this.#what = what;
    if (what === "gradient" && this.#stepper === null) {
      void this.#loadSteps().then(() => this.#redraw());
    }
    this.#redraw();
  }

  // Backward

  async #loadSteps(): Promise<boolean> {
    if (this.#stepper !== null) return true;
    if (this.#state.freed) {
      this.#say(
        "backward() has freed this graph, so the gradients can’t be computed again. Show it before backward(), or call backward(retain_graph=True).",
      );
      return false;
    }
    try {
      const { result } = await this.#client.call<Steps>("steps");
      this.#takeSteps(result);
      return true;
    } catch (error) {
      this.#say((error as Error).message);
      return false;
    }
  }

  #takeSteps(steps: Steps): void {
    this.#stepper = new Stepper(this.#graph, { ...steps, steps: [...steps.steps] });
    this.#norms = this.#stepper.norms();
    this.#slider.max = `${this.#stepper.length}`;
  }

  async #startSteps(): Promise<void> {
    if (this.#stepping) {
      this.#setStepping(false);
    } else if (await this.#loadSteps()) {
      this.#say("");
      if (this.#graph.nodes.length <= 300) this.#setLeaves(true);
      this.#setStepping(true);
    }
  }

  #setStepping(on: boolean): void {
    this.#stepping = on;
    this.#stepBar.hidden = !on;
    aria(this.#stepButton, { pressed: on });
    if (on) this.#goto(this.#stepper?.position ?? 0);
    else {
      this.#showPanel();
      this.#redraw();
    }
  }

  #goto(position: number): void {
    const stepper = this.#stepper;
    if (stepper === null) return;
    stepper.move(position);
    this.#slider.value = `${stepper.position}`;
    aria(this.#slider, { valuetext: `${stepper.position} of ${stepper.length}` });
    const { node } = stepper;
    if (node !== null) {
      this.#reveal(node);
      this.#select(visible(this.#hierarchy, this.#open, node), "step");
    } else this.#redraw();
    const missing = stepper.missing();
    if (missing !== null) {
      const [first, last] = missing;
      this.#client.call<Step[]>("step", { first, last }).then(
        ({ result }) => {
          stepper.received(first, result);
          write(this.#stepWords, stepper.words());
          this.#showPanel();
        },
        (error: Error) => this.#say(error.message),
      );
    }
    write(this.#stepWords, stepper.words());
  }

  /** The state with all that has come since, for a page without Python. */
  #known(): GraphState {
    const values: Record<string, NodeValues> = {};
    for (const [index, each] of this.#values) values[index] = each;
    return { ...this.#state, values, steps: this.#stepper?.steps ?? null };
  }

  // Showing

  #say(words: string): void {
    write(this.#message, words);
  }

  #showPanel(): void {
    const key = this.#selected;
    const events = {
      goto: (node: number) => this.#gotoNode(node),
      toggle: (group: Group) => this.#toggle(group.key),
    };
    const group = key === null ? undefined : this.#hierarchy.groups.get(key);
    if (key === null) {
      this.#panel.replaceChildren(
        div(
          "tl-panel-body tl-muted",
          element("p", "", "Click a box for its shape, values, gradient rule and line of code."),
          element("p", "", "▸ opens a module in place; drag to move; Ctrl and wheel to zoom."),
        ),
      );
    } else if (group !== undefined) {
      this.#panel.replaceChildren(groupPanel(group, this.#open.has(key), events));
    } else {
      const node = this.#graph.nodes[Number(key.slice(2))];
      if (node === undefined) return;
      const values = this.#values.get(node.index) ?? null;
      const step = this.#stepping ? (this.#stepper?.stepOf(node.index) ?? null) : null;
      const { scrollTop } = this.#panel;
      this.#panel.replaceChildren(
        nodePanel(this.#graph, node, values, values === null ? this.#waiting : "", step, events),
      );
      this.#panel.scrollTop = this.#asked === node.index ? scrollTop : 0;
      if (values === null && this.#asked !== node.index) void this.#askValues(node.index);
    }
  }

  async #askValues(index: number): Promise<void> {
    this.#asked = index;
    try {
      const { result } = await this.#client.call<NodeValues>("values", { index });
      this.#values.set(index, result);
    } catch (error) {
      const { message } = error as Error;
      // A page without Python says so once, in its panel; anything else is news.
      if (message !== OFFLINE) this.#say(message);
      return;
    }
    if (this.#selected === `n:${index}`) this.#showPanel();
  }

  #readTheme(): void {
    this.#palette = colors(this.root, COLORS);
  }

  #relayout(): void {
    const interiors = this.#layouter.arrange(this.#open);
    this.#scene = buildScene(this.#graph, this.#hierarchy, this.#open, interiors);
    this.#tree.show(outlineRows(this.#graph, this.#hierarchy, this.#open));
    this.#pathFrom = null;
    this.#redraw();
  }

  #standsFor(node: number): string {
    return visible(this.#hierarchy, this.#open, node);
  }

  /** Keys of the boxes for some nodes, with the open groups around them. */
  #keysOf(nodes: Iterable<number>): Set<string> {
    return new Set([...nodes].map((node) => this.#standsFor(node)));
  }

  #redraw(): void {
    this.#updateMarks();
    this.#showLegend();
    this.#frame.ask();
  }

  #updateMarks(): void {
    const path = this.#showPath && !this.#stepping ? this.#selected : null;
    if (path !== this.#pathFrom) {
      this.#pathFrom = path;
      const group = path === null ? undefined : this.#hierarchy.groups.get(path);
      if (path === null || (group !== undefined && this.#open.has(group.key))) this.#path = null;
      else {
        const from = group?.nodes ?? [Number(path.slice(2))];
        const found = pathToOutputs(this.#graph, from);
        this.#path = { edges: found.edges, keys: this.#keysOf(found.nodes) };
      }
    }
    this.#measured =
      this.#what === "type" || this.#what === "output"
        ? null
        : measure(this.#graph, this.#what, this.#norms);
    const reached = (part: Part): number[] => {
      const nodes = part.kind === "node" ? [part.node] : part.nodes;
      return [...new Set(nodes.flatMap((i) => this.#graph.nodes[i]?.outputs ?? []))].sort(
        (a, b) => a - b,
      );
    };
    this.#marks = {
      selected: this.#selected,
      found: this.#keysOf(this.#found),
      path: this.#path,
      measured: this.#measured,
      reached: this.#what === "output" ? reached : null,
      step: this.#stepping ? this.#stepMarks() : null,
    };
  }

  #stepMarks(): Marks["step"] {
    if (this.#stepper === null) return null;
    const { done, now, waiting, sent } = this.#stepper.progress();
    const arrived = new Map<string, number>();
    for (const [node, count] of waiting) {
      const key = this.#standsFor(node);
      arrived.set(key, (arrived.get(key) ?? 0) + count);
    }
    return {
      done: this.#keysOf(done),
      now: now === null ? "" : this.#standsFor(now),
      waiting: arrived,
      sent,
    };
  }

  #showLegend(): void {
    const key = (className: string, words: string) =>
      span("tl-key", span(`tl-swatch ${className}`), words);
    if (this.#stepping) {
      this.#legend.replaceChildren(
        key("tl-is-output tl-now", "runs now"),
        key("tl-is-leaf", "gradients waiting"),
        key("tl-is-operation", "done"),
      );
    } else if (this.#what === "output") {
      this.#legend.replaceChildren(span("", "Colour and words: the output it leads to"));
    } else if (this.#what === "type") {
      this.#legend.replaceChildren(
        key("tl-is-leaf", "leaf"),
        key("tl-is-operation", "operation"),
        key("tl-is-view", "view"),
        key("tl-is-output", "output"),
        key("tl-is-group", "module ▸"),
      );
    } else if (this.#measured === null) {
      this.#legend.replaceChildren(span("", "Nothing is known of it for this graph."));
    } else {
      const { low, high, text } = this.#measured;
      const ramp = span("tl-ramp");
      const stops = Array.from({ length: 9 }, (_, i) => viridis(i / 8));
      ramp.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
      const kind = this.#measured.log ? " (logarithmic)" : "";
      this.#legend.replaceChildren(text(low), ramp, `${text(high)} of one node${kind}`);
    }
  }

  #mapScale(): number {
    return Math.min(150 / this.#scene.width, 110 / this.#scene.height);
  }

  #paint(): void {
    const canvas = this.#canvas;
    const context = fitted(canvas);
    if (context === null) return;
    const size = { width: canvas.clientWidth, height: canvas.clientHeight };
    paint(context, this.#scene, this.#view, size, this.#marks, this.#palette);
    this.#paintMap(size);
  }

  #paintMap(size: { width: number; height: number }): void {
    const { zoom, x, y } = this.#view;
    const all =
      x >= -1 &&
      y >= -1 &&
      x + this.#scene.width * zoom <= size.width + 1 &&
      y + this.#scene.height * zoom <= size.height + 1;
    this.#map.hidden = all;
    if (all) return;
    const scale = this.#mapScale();
    this.#map.style.width = `${Math.max(this.#scene.width * scale, 4)}px`;
    this.#map.style.height = `${Math.max(this.#scene.height * scale, 4)}px`;
    const context = fitted(this.#map);
    if (context === null) return;
    context.clearRect(0, 0, this.#map.clientWidth, this.#map.clientHeight);
    context.fillStyle = this.#palette["--tl-muted"];
    context.strokeStyle = this.#palette["--tl-line"];
    for (const box of this.#scene.boxes) {
      // Of thousands of boxes most are smaller than a point; the frames around them are to be seen.
      if (box.height * scale < 0.5 && !box.open) continue;
      const place = [box.x, box.y, box.width, box.height].map((v) => v * scale) as [
        number,
        number,
        number,
        number,
      ];
      if (box.open) context.strokeRect(...place);
      else context.fillRect(place[0], place[1], Math.max(place[2], 1), Math.max(place[3], 1));
    }
    context.strokeStyle = this.#palette["--tl-accent"];
    context.lineWidth = 2;
    context.strokeRect(
      (-x / zoom) * scale,
      (-y / zoom) * scale,
      (size.width / zoom) * scale,
      (size.height / zoom) * scale,
    );
  }
}
