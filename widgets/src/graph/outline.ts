// The rows of the outline: the same tree as the picture, opened and closed together with it.

import { short } from "../common/scale";
import type { TreeRow } from "../common/tree";
import type { Group, Hierarchy, Part } from "./hierarchy";
import { type Graph, nodeTitle } from "./records";

export function outlineRows(
  graph: Graph,
  hierarchy: Hierarchy,
  open: ReadonlySet<string>,
): TreeRow[] {
  const rows: TreeRow[] = [];
  const add = (part: Part, level: number, place: number, siblings: number) => {
    if (part.kind === "node") {
      const node = graph.nodes[part.node];
      if (node === undefined) return;
      const text = `${nodeTitle(node)}${node.isOutput ? " (output)" : ""}`;
      rows.push({
        key: part.key,
        level,
        text,
        detail: node.typed,
        open: null,
        place,
        siblings,
      });
      return;
    }
    rows.push({
      key: part.key,
      level,
      ...groupText(part),
      open: open.has(part.key),
      place,
      siblings,
    });
    if (open.has(part.key)) {
      part.parts.forEach((each, i) => {
        add(each, level + 1, i + 1, part.parts.length);
      });
    }
  };
  const { parts } = hierarchy.root;
  parts.forEach((part, i) => {
    add(part, 1, i + 1, parts.length);
  });
  return rows;
}

export function groupText(group: Group): { text: string; detail: string } {
  const ops = `${short(group.count)} op${group.count === 1 ? "" : "s"}`;
  // In front, as the end of a long row is out of sight.
  const times = group.repeats > 1 ? `×${group.repeats} ` : "";
  const type = group.type ? `${group.type} · ` : "";
  return { text: `${times}${group.title}`, detail: `${type}${ops}` };
}
