// A tree for keyboard and screen reader (the WAI-ARIA pattern "tree view"), of any size: only the rows
// in sight are in the page. The tree has the focus; `aria-activedescendant` says which row is meant.

import { aria, div, on, ownKeys, span } from "./dom";

export interface TreeRow {
  key: string;
  /** 1 for the outermost. */
  level: number;
  text: string;
  /** Shown smaller behind the text. */
  detail?: string;
  /** null: nothing to open. */
  open: boolean | null;
  /** Place among its siblings, from 1, and their number. */
  place: number;
  siblings: number;
}

export interface TreeEvents {
  chosen: (key: string) => void;
  toggled: (key: string) => void;
}

export const ROW_HEIGHT = 24;
let trees = 0;

export class Tree {
  readonly root = div("tl-tree");
  readonly #space = div("tl-tree-space");
  #rows: TreeRow[] = [];
  #index = new Map<string, number>();
  #active: string | null = null;
  #typed = "";
  #typedAt = 0;
  readonly #id = `tl-tree-${trees++}`;

  readonly #events: TreeEvents;

  constructor(label: string, events: TreeEvents) {
    this.#events = events;
    aria(this.root, { role: "tree", label });
    this.root.tabIndex = 0;
    // Lab's own shortcuts must not act on keys that the tree uses.
    ownKeys(this.root);
    aria(this.#space, { role: "presentation" });
    this.root.append(this.#space);
    on(this.root, "scroll", () => this.#paint());
    on(this.root, "keydown", (event) => this.#key(event));
    on(this.root, "click", (event) => this.#click(event));
  }

  /** The rows that are to be seen if the tree were tall enough, in order. */
  show(rows: TreeRow[]): void {
    // Asked before the rows change: afterwards the browser would have to lay out the page for an answer.
    const height = this.#height();
    this.#rows = rows;
    this.#index = new Map(rows.map((row, i) => [row.key, i]));
    if (this.#active !== null && !this.#index.has(this.#active)) this.#active = null;
    this.#space.style.height = `${rows.length * ROW_HEIGHT}px`;
    this.#paint(height);
  }

  get current(): string | null {
    return this.#active;
  }

  /** Make a row the active one and bring it into sight; does not call `chosen`. */
  activate(key: string | null): void {
    this.#active = key;
    const i = key === null ? undefined : this.#index.get(key);
    if (i !== undefined) {
      const top = i * ROW_HEIGHT;
      const height = this.root.clientHeight || 10 * ROW_HEIGHT;
      if (top < this.root.scrollTop) this.root.scrollTop = top;
      else if (top + ROW_HEIGHT > this.root.scrollTop + height) {
        this.root.scrollTop = top + ROW_HEIGHT - height;
      }
    }
    this.#paint();
  }

  /** Its size has changed. */
  refresh(): void {
    this.#paint();
  }

  #height(): number {
    return this.root.clientHeight || 40 * ROW_HEIGHT;
  }

  #paint(height = this.#height()): void {
    const first = Math.max(Math.floor(this.root.scrollTop / ROW_HEIGHT) - 4, 0);
    const last = Math.min(first + Math.ceil(height / ROW_HEIGHT) + 8, this.#rows.length);
    const nodes: HTMLElement[] = [];
    let activeId = "";
    for (let i = first; i < last; i++) {
      const row = this.#rows[i] as TreeRow;
      const sign = span("tl-twisty", row.open === null ? "" : row.open ? "▾" : "▸");
      aria(sign, { hidden: true });
      const node = div("tl-tree-row", sign, span("", row.text));
      if (row.detail) node.append(span("tl-detail", row.detail));
      node.title = row.detail ? `${row.text}: ${row.detail}` : row.text;
      node.id = `${this.#id}-${i}`;
      node.setAttribute("data-key", row.key);
      node.style.top = `${i * ROW_HEIGHT}px`;
      node.style.paddingLeft = `${4 + (row.level - 1) * 14}px`;
      aria(node, {
        role: "treeitem",
        level: row.level,
        posinset: row.place,
        setsize: row.siblings,
      });
      if (row.open !== null) aria(node, { expanded: row.open });
      const active = row.key === this.#active;
      aria(node, { selected: active });
      if (active) activeId = node.id;
      nodes.push(node);
    }
    this.#space.replaceChildren(...nodes);
    if (activeId) aria(this.root, { activedescendant: activeId });
    else this.root.removeAttribute("aria-activedescendant");
  }

  #choose(i: number): void {
    const row = this.#rows[Math.min(Math.max(i, 0), this.#rows.length - 1)];
    if (row === undefined) return;
    this.activate(row.key);
    this.#events.chosen(row.key);
  }

  #click(event: MouseEvent): void {
    const target = event.target as HTMLElement;
    const key = target.closest(".tl-tree-row")?.getAttribute("data-key") ?? null;
    if (key === null) return;
    if (target.closest(".tl-twisty") && this.#rows[this.#index.get(key) ?? -1]?.open !== null) {
      this.#events.toggled(key);
    } else {
      this.#choose(this.#index.get(key) ?? 0);
    }
  }

  #key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const i = this.#active === null ? -1 : (this.#index.get(this.#active) ?? -1);
    const row = this.#rows[i];
    const page = Math.max(Math.floor((this.root.clientHeight || 240) / ROW_HEIGHT) - 1, 1);
    if (event.key === "ArrowDown") this.#choose(i + 1);
    else if (event.key === "ArrowUp") this.#choose(i < 0 ? 0 : i - 1);
    else if (event.key === "Home") this.#choose(0);
    else if (event.key === "End") this.#choose(this.#rows.length - 1);
    else if (event.key === "PageDown") this.#choose(i + page);
    else if (event.key === "PageUp") this.#choose(i - page);
    else if (event.key === "ArrowRight" && row !== undefined) {
      if (row.open === false) this.#events.toggled(row.key);
      else if (row.open && (this.#rows[i + 1]?.level ?? 0) > row.level) this.#choose(i + 1);
    } else if (event.key === "ArrowLeft" && row !== undefined) {
      if (row.open) this.#events.toggled(row.key);
      else {
        for (let above = i - 1; above >= 0; above--) {
          if ((this.#rows[above] as TreeRow).level < row.level) {
            this.#choose(above);
            break;
          }
        }
      }
    } else if ((event.key === "Enter" || event.key === " ") && row !== undefined) {
      if (row.open !== null) this.#events.toggled(row.key);
      else this.#events.chosen(row.key);
    } else if (event.key.length === 1) this.#type(event.key, i);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Letters typed in quick succession go to the next row that begins with them. */
  #type(letter: string, from: number): void {
    const now = performance.now();
    this.#typed = now - this.#typedAt < 700 ? this.#typed + letter : letter;
    this.#typedAt = now;
    const wanted = this.#typed.toLowerCase();
    const start = this.#typed.length > 1 ? from : from + 1;
    for (let k = 0; k < this.#rows.length; k++) {
      const i = (Math.max(start, 0) + k) % this.#rows.length;
      if ((this.#rows[i] as TreeRow).text.toLowerCase().startsWith(wanted)) {
        this.#choose(i);
        return;
      }
    }
  }
}
