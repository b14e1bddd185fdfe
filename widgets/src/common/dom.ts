// Elements without a framework: a few helpers that every widget uses.

const SVG = "http://www.w3.org/2000/svg";

export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className: string,
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  node.className = className;
  node.append(...children);
  return node;
}

export const div = (className: string, ...children: (Node | string)[]): HTMLDivElement =>
  element("div", className, ...children);
export const span = (className: string, ...children: (Node | string)[]): HTMLSpanElement =>
  element("span", className, ...children);

/** `node.addEventListener`, in short. */
export function on<E extends EventTarget, K extends keyof GlobalEventHandlersEventMap>(
  node: E,
  type: K,
  heard: (event: GlobalEventHandlersEventMap[K]) => void,
  options?: AddEventListenerOptions,
): void {
  node.addEventListener(type, heard as EventListener, options);
}

/** An SVG element with attributes. */
export function svgElement<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Record<string, string | number>,
  ...children: (Node | string)[]
): SVGElementTagNameMap[K] {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, `${value}`);
  node.append(...children);
  return node;
}

/** What a screen reader is told of an element: its `role`, and everything else as `aria-…`. */
export function aria(node: Element, told: Record<string, string | number | boolean>): void {
  for (const [name, value] of Object.entries(told)) {
    node.setAttribute(name === "role" ? name : `aria-${name}`, `${value}`);
  }
}

/** JupyterLab's own shortcuts must not act on keys that this element uses. */
export function ownKeys(node: Element): void {
  node.setAttribute("data-lm-suppress-shortcuts", "true");
}

/** Writing the same text again would make screen readers and layout start over. */
export function write(node: Element, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}

/** A real button. `title` says more than its face; a face of one sign needs it as its name. */
export function button(face: string, title: string, press: () => void): HTMLButtonElement {
  const node = element("button", "tl-button", face);
  node.type = "button";
  node.title = title;
  if (face.length < 3) aria(node, { label: title });
  on(node, "click", press);
  return node;
}

/** A drop-down with its label before it. */
export function choice<T extends string>(
  label: string,
  options: readonly (readonly [T, string])[],
  changed: (value: T) => void,
): { root: HTMLLabelElement; select: HTMLSelectElement } {
  const select = element("select", "tl-select");
  for (const [value, face] of options) {
    const option = element("option", "", face);
    option.value = value;
    select.append(option);
  }
  on(select, "change", () => changed(select.value as T));
  return { root: element("label", "tl-choice", `${label} `, select), select };
}

/** Text that only a screen reader says; `aria-live`, so a change of it is spoken. */
export function spoken(): HTMLElement {
  const node = div("tl-spoken");
  aria(node, { live: "polite" });
  return node;
}

/** For text that becomes part of markup. */
export function escapeMarkup(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}

/** Runs `draw` once in the next frame, however often it is asked for. */
export class Frame {
  #id = 0;

  readonly #draw: () => void;

  constructor(draw: () => void) {
    this.#draw = draw;
  }

  readonly ask = (): void => {
    if (this.#id === 0) {
      this.#id = requestAnimationFrame(() => {
        this.#id = 0;
        this.#draw();
      });
    }
  };

  cancel(): void {
    cancelAnimationFrame(this.#id);
    this.#id = 0;
  }
}
