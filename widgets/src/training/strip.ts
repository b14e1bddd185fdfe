// The gradient health strip: a cell for each parameter, high where gradients are large, marked if flagged.

import { readable } from "../common/curves";
import { aria, div, element, span } from "../common/dom";
import type { Health } from "./state";

const MOST = 120;
const SIGN: Record<string, string> = { error: "✗", warning: "⚠", note: "ℹ" };

/** How high a norm stands between 1e-8 and 1e2 on a logarithmic scale, 0 to 1. */
export function level(norm: number | null): number {
  if (norm === null || norm <= 0) return 0;
  return Math.min(Math.max((Math.log10(norm) + 8) / 10, 0.04), 1);
}

export class Strip {
  readonly root = div("tl-strip");
  readonly #cells = div("tl-strip-cells");
  readonly #words = div("tl-strip-flags");
  #shown = "";

  constructor() {
    aria(this.#cells, { role: "img" });
    const title = span("tl-muted", "gradients");
    this.root.append(div("tl-strip-row", title, this.#cells), this.#words);
  }

  update(health: Health | null): void {
    this.root.hidden = health === null || health.cells.length === 0;
    if (health === null) return;
    const drawn = health.cells.slice(0, MOST);
    while (this.#cells.children.length > drawn.length) this.#cells.lastChild?.remove();
    drawn.forEach((cell, i) => {
      let node = this.#cells.children[i] as HTMLElement | undefined;
      if (node === undefined) {
        node = span("tl-strip-cell", span("tl-strip-fill"));
        node.append(span("tl-strip-mark"));
        this.#cells.append(node);
      }
      const flags = cell.flags.map((k) => health.flags[k]?.kind ?? "");
      const fill = node.children[0] as HTMLElement;
      fill.style.height = `${Math.round(level(cell.norm) * 100)}%`;
      (node.children[1] as HTMLElement).textContent = flags.length > 0 ? "⚠" : "";
      node.classList.toggle("tl-bad", flags.length > 0);
      node.title = `${cell.name}: gradient norm ${readable(cell.norm ?? Number.NaN)}, update / weight ${readable(cell.ratio ?? Number.NaN)}${flags.length > 0 ? ` · ${flags.join(", ")}` : ""}`;
    });
    const flagged = health.cells.filter((cell) => cell.flags.length > 0).map((cell) => cell.name);
    aria(this.#cells, {
      label:
        flagged.length > 0
          ? `Gradients: flagged are ${flagged.slice(0, 8).join(", ")}`
          : `Gradients of ${health.cells.length} parameters, nothing is flagged at one of them`,
    });
    const now = JSON.stringify(health.flags);
    if (now === this.#shown) return;
    this.#shown = now;
    this.#words.replaceChildren(
      ...health.flags.map((flag) => {
        const head = element(
          "strong",
          "",
          `${SIGN[flag.severity] ?? "⚠"} ${flag.kind.replace("_", " ")}`,
        );
        const words = div(`tl-strip-flag tl-strip-${flag.severity}`, head, ` ${flag.reason}`);
        words.append(div("tl-muted", `→ ${flag.suggestion}`));
        return words;
      }),
    );
  }
}
