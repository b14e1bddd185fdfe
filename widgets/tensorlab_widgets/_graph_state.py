"""A graph's records in the form that travels to the browser: see widgets/src/graph/records.ts.

What many nodes have in common (names, rules, lines of code) is sent once, so that a graph of 5,000
nodes is some hundred kilobytes.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

from tensorlab.inspect import BackwardSteps, Graph, GraphNode, Source
from tensorlab.inspect._words import alternative

__all__ = ["graph_state", "steps_state"]

#: Steps are sent whole up to this number; of longer passes the browser asks for what it shows.
MOST_STEPS = 300


class _Table:
    """Values that occur often, and their numbers."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._numbers: dict[Hashable, int] = {}

    def number(self, key: Hashable, value: Any = None) -> int:
        found = self._numbers.get(key)
        if found is None:
            found = self._numbers[key] = len(self.values)
            self.values.append(key if value is None else value)
        return found


def graph_state(graph: Graph, title: str, types: Mapping[str, str]) -> dict[str, Any]:
    """The state of the widget. `types`: class names of modules that the graph does not know."""
    names, dtypes, rules, sources, saved = (_Table() for _ in range(5))
    modules = {module.path: i for i, module in enumerate(graph.modules)}

    def source_number(source: Source | None) -> int:
        if source is None:
            return -1
        return sources.number((source.file, source.line, source.function), source.to_dict())

    def sent(node: GraphNode) -> dict[str, Any]:
        return {
            "op": node.op,
            "name": names.number(node.name),
            "label": node.label,
            "kind": node.kind,
            "module": modules.get(node.module, 0),
            "shapes": [list(shape) for shape in node.shapes],
            "dtypes": [dtypes.number(dtype) for dtype in node.dtypes],
            "rule": rules.number(node.rule),
            "source": source_number(node.source),
            "flops": node.flops,
            "bytes": node.bytes,
            "saved_bytes": node.saved_bytes,
            "saved": saved.number(node.saved, [value.to_dict() for value in node.saved]),
            "freed": node.freed,
            "is_output": node.is_output,
            "outputs": list(node.outputs),
            "seconds": None
            if node.forward_seconds is None and node.backward_seconds is None
            else [node.forward_seconds or 0.0, node.backward_seconds or 0.0],
        }

    nodes = [sent(node) for node in graph.nodes]
    edges = np.array([edge.to_list() for edge in graph.edges], np.int32).reshape(-1, 4)
    return {
        "title": title,
        "summary": alternative(graph),
        "notes": list(graph.notes),
        "freed": graph.freed,
        "outputs": 1 + max((max(node.outputs, default=0) for node in graph.nodes), default=0),
        "common": {
            "names": names.values,
            "dtypes": dtypes.values,
            "rules": rules.values,
            "sources": sources.values,
            "saved": saved.values,
        },
        "nodes": nodes,
        "edges": edges.tobytes(),
        "modules": [
            {
                "path": module.path,
                "type": module.type or types.get(module.path, ""),
                "count": module.count,
                "parameters": module.parameters,
                "flops": module.flops,
                "saved_bytes": module.saved_bytes,
            }
            for module in graph.modules
        ],
        "repeats": [
            {"parent": repeat.parent, "members": [list(member) for member in repeat.members]}
            for repeat in graph.repeats
        ],
        # Who gives a profile wants to see the times.
        "colour": "time"
        if any(node.forward_seconds is not None for node in graph.nodes)
        else "type",
        "steps": None,
        "values": {},
    }


def steps_state(steps: BackwardSteps, most: int = MOST_STEPS) -> dict[str, Any]:
    """The backward pass for the browser: all nodes and norms, and the steps if they are at most `most`."""
    whole = steps.to_dict() if len(steps) <= most else None
    return {
        "nodes": [step.node for step in steps],
        "norms": [_norm(step.received) for step in steps],
        "seeds": [[node, output, g] for node, output, g in _seeds(steps, whole)],
        "steps": whole["steps"] if whole else [None] * len(steps),
    }


def _seeds(steps: BackwardSteps, whole: dict[str, Any] | None) -> list[Any]:
    if whole is not None:
        return whole["seeds"]
    from tensorlab.inspect.backward_steps import numbers

    return [[node, output, numbers(g)] for (node, output), g in steps._seeds.items()]


def _norm(received: tuple[Any, ...]) -> float | None:
    """The 2-norm over what a node received; None if that is no finite number."""
    total = 0.0
    for gradient in received:
        if gradient is not None:
            total += (
                float((gradient * gradient.conj()).real.double().sum())
                if (gradient.is_complex())
                else float((gradient.double() * gradient.double()).sum())
            )
    return float(np.sqrt(total)) if np.isfinite(total) else None
