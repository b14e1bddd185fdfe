"""Reading the graph: nodes, and walking them in order."""

from __future__ import annotations

from collections.abc import Iterable

from tensorlab._graph import Node, leaf_node
from tensorlab._tensor import Tensor
from tensorlab.autograd.saved import save_on_cpu, saved_tensors_hooks

__all__ = ["Node", "leaf_node", "nodes_of", "save_on_cpu", "saved_tensors_hooks"]


def nodes_of(outputs: Tensor | Iterable[Tensor]) -> list[Node]:
    """All nodes behind `outputs`, each after its parents (creation order).

    Iterative: a chain of 100,000 operations is no problem.

    >>> import tensorlab
    >>> x = tensorlab.ones(2, requires_grad=True)
    >>> [n.name() for n in nodes_of((x * 3).sum())]
    ['AccumulateGrad', 'MulBackward0', 'SumBackward0']
    """
    tensors = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    stack = [node for t in tensors if t.requires_grad for node in [t._node or leaf_node(t)]]
    seen: set[Node] = set()
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack += [p[0] for p in node.parents if p is not None]
    return sorted(seen, key=lambda n: n.seq)
