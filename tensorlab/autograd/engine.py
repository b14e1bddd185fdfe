"""The engine: walk the graph from the outputs to the leaves and apply the chain rule.

Every node was numbered when it was made, after all the nodes it depends on. So the node with
the highest number among those that have received a gradient has received all of it: nothing
that is still to come can add to it. That is the whole algorithm: a heap of nodes, largest
number first. There is no recursion, so depth is bounded by memory alone.

In a plain backward, gradients are raw arrays and rules compute on them directly. Under
`create_graph=True` they are tensors, and the same rules record a graph of their own.

Reverse accumulation: S. Linnainmaa, "Taylor expansion of the accumulated rounding error",
BIT 16 (1976); A. Griewank and A. Walther, "Evaluating Derivatives", 2nd ed., SIAM 2008, ch. 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Any

import numpy as np

from tensorlab import _op
from tensorlab._backend import backend_of, sum_to
from tensorlab._graph import Node, Saved, mode
from tensorlab._tensor import Tensor, wrap


def run(
    roots: Sequence[tuple[Node, int]],
    seeds: Sequence[Any],
    *,
    keep_graph: bool,
    create_graph: bool,
    wanted: dict[tuple[Node, int], int] | None = None,
) -> list[Any]:
    """Send `seeds` backward from `roots`.

    With `wanted=None` every leaf accumulates into its `.grad`. Else nothing accumulates, and the
    gradients that arrive at the outputs `(node, index) → position` of `wanted` are returned.

    Seeds are arrays, or tensors when `create_graph`.
    """
    recording, mode.grad = mode.grad, create_graph
    try:
        return _run(roots, seeds, keep_graph, create_graph, wanted)
    finally:
        mode.grad = recording


def _run(
    roots: Sequence[tuple[Node, int]],
    seeds: Sequence[Any],
    keep_graph: bool,
    create_graph: bool,
    wanted: dict[tuple[Node, int], int] | None,
) -> list[Any]:
    useful = None if wanted is None else _ancestry(roots, wanted)
    found: list[Any] = [None] * (0 if wanted is None else 1 + max(wanted.values(), default=-1))
    # What each node has received so far, per output, and whether that array is ours alone: then
    # more may be added to it in place.
    pending: dict[Node, tuple[list[Any], list[bool]]] = {}
    heap: list[tuple[int, Node]] = []

    def send(node: Node, index: int, g: Any, ours: bool) -> None:
        entry = pending.get(node)
        if entry is None:
            n = len(node.shapes)
            pending[node] = entry = ([None] * n, [False] * n)
            heappush(heap, (-node.seq, node))
        received, owned = entry
        before = received[index]
        if before is None:
            received[index], owned[index] = g, ours
        elif owned[index]:
            before += g
        else:
            total = before + g
            received[index] = np.asarray(total) if isinstance(total, np.generic) else total
            owned[index] = not create_graph

    for (node, index), seed in zip(roots, seeds, strict=True):
        send(node, index, seed, False)

    while heap:
        node = heappop(heap)[1]
        received, owned = pending.pop(node)
        if node.hooks is not None:
            received, owned = node.hooks.before(received), [False] * len(owned)
        if wanted is not None:
            for i, g in enumerate(received):
                position = wanted.get((node, i))
                if position is not None:
                    found[position] = g
        if node.op is None:
            if wanted is None:
                _accumulate(node, received[0], owned[0], create_graph)
            continue
        if useful is not None and node not in useful:
            continue
        grads = _apply_rules(node, received, create_graph)
        if node.hooks is not None:
            grads = node.hooks.after(grads, received)
        for parent, g in zip(node.parents, grads, strict=True):
            if parent is None or g is None:
                continue
            to, index = parent
            if useful is not None and to not in useful and parent not in wanted:  # type: ignore[operator]
                continue
            shaped = _match(g, to.shapes[index], to.dtypes[index])
            # Only leaves keep what they get, so only there it matters whether we may keep it.
            ours = to.op is None and not create_graph and _is_fresh(shaped, grads, received, node)
            send(to, index, shaped, ours)
        if not keep_graph and node.saved:
            _free(node)
    return found


def _apply_rules(node: Node, received: list[Any], create_graph: bool) -> list[Any]:
    """The gradient of each parent, from the node's rules."""
    plan = node.plan
    if node.saved is None:
        raise RuntimeError(
            "Trying to backward through the graph a second time (or directly access saved tensors "
            "after they have already been freed). Saved intermediate values of the graph are freed "
            "when you call .backward() or autograd.grad(). Specify retain_graph=True if you need to "
            "backward through the graph a second time or if you need to access saved tensors after "
            f"calling backward. (The node is {node.name()}, output shape {list(node.shapes[0])}.)"
        )
    observers = _op.observers
    for o in observers:
        o.before_backward(node)
    g = received[0] if len(received) == 1 else tuple(_fill(received, node))
    unpack = _unpack_tensor if create_graph else _unpack_array
    reads = [g]
    for value in node.saved:
        if type(value) is Saved:
            reads.append(unpack(value, node))
        elif type(value) is tuple and value and type(value[0]) is Saved:
            reads.append(tuple(unpack(v, node) for v in value))
        else:
            reads.append(value)
    reads += node.params
    reads.append(plan.needs)
    grads: list[Any] = [None] * len(node.parents)
    if plan.joint is not None:
        rule, positions = plan.joint
        for i, grad in enumerate(rule(*[reads[p] for p in positions])):
            if plan.needs[i]:
                grads[i] = grad
    else:
        for i, rule, positions in plan.rules:
            grads[i] = rule(*[reads[p] for p in positions])
    for o in reversed(observers):
        o.after_backward(node, grads)
    return grads


def _fill(received: list[Any], node: Node) -> list[Any]:
    """Outputs that nobody used have gradient zero."""
    present = next(g for g in received if g is not None)
    like = present._data if isinstance(present, Tensor) else present
    xp = backend_of(like).xp
    out = []
    for g, shape, dtype in zip(received, node.shapes, node.dtypes, strict=True):
        if g is None and dtype.kind in "fc":
            g = xp.zeros(shape, dtype)
            g = wrap(g) if isinstance(present, Tensor) else g
        out.append(g)
    return out


def _match(g: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """Give a gradient the shape and dtype of the value it belongs to.

    Broadcasting stretched the value, so its gradient is summed; promotion converted it, so its
    gradient is converted back (the real part, if the value was real).
    """
    if isinstance(g, Tensor):
        if g._data.dtype != dtype:
            if g._data.dtype.kind == "c" and dtype.kind != "c":
                g = g.real
            g = _op.OPS["cast"].call(g, dtype)
        return g if g._data.shape == shape else _op.OPS["sum_to"].call(g, shape)
    if type(g) is not np.ndarray and isinstance(g, (np.generic, float, int, complex)):
        g = np.asarray(g)
    if g.dtype != dtype:
        if g.dtype.kind == "c" and dtype.kind != "c":
            g = g.real
        g = g.astype(dtype)
    return g if g.shape == shape else sum_to(g, shape)


def _is_fresh(g: Any, grads: list[Any], received: list[Any], node: Node) -> bool:
    """Whether `g` is an array that a rule just made, seen by nobody else.

    Not fresh: what the rule was given (its gradient or a saved value), a view of anything, one
    array returned for two inputs, and anything that a hook has seen.
    """
    if g.base is not None or node.hooks is not None or any(g is r for r in received):
        return False
    if sum(g is other for other in grads) > 1:
        return False
    return not any(type(s) is Saved and s.array is g for s in node.saved or ())


def _accumulate(node: Node, g: Any, ours: bool, create_graph: bool) -> None:
    """Add `g` to the leaf's `.grad`. The buffer is never one that somebody else can see."""
    leaf = node.leaf()
    if leaf is None:
        return
    if leaf._grad is None:
        if create_graph:
            leaf._grad = g.clone()
        else:
            leaf._grad = wrap(g if ours else g.copy())
    elif create_graph or leaf._grad._requires_grad:
        leaf._grad = leaf._grad + (g if isinstance(g, Tensor) else wrap(g))
    else:
        leaf._grad._data += g
        leaf._grad._version_cell[0] += 1
    if node.hooks is not None:
        node.hooks.accumulated(leaf)


def _unpack_array(saved: Saved, node: Node) -> Any:
    if saved.cell[0] != saved.version:
        raise RuntimeError(_modified(saved, node))
    return saved.array


def _unpack_tensor(saved: Saved, node: Node) -> Tensor:
    """The saved value as a tensor with its history, so that rules can be differentiated."""
    if saved.cell[0] != saved.version:
        raise RuntimeError(_modified(saved, node))
    out = wrap(saved.array)
    out._version_cell = saved.cell
    if saved.index < 0:  # an output of this very node
        out._node, out._index = node, ~saved.index
        out._requires_grad = saved.array.dtype.kind in "fc"
    elif saved.node is not None:
        out._node, out._index, out._requires_grad = saved.node, saved.index, True
    return out


def _modified(saved: Saved, node: Node) -> str:
    origin = ""
    maker = node if saved.index < 0 else saved.node
    if maker is not None and maker.op is not None:
        origin = f", which is output {max(saved.index, ~saved.index)} of {maker.name()},"
    kind = {"float32": "FloatTensor", "float64": "DoubleTensor", "float16": "HalfTensor", "int64": "LongTensor"}
    name = kind.get(saved.array.dtype.name, saved.array.dtype.name)
    return (
        "one of the variables needed for gradient computation has been modified by an inplace "
        f"operation: [tensorlab.{name} {list(saved.array.shape)}]{origin} is at version {saved.cell[0]}; "
        f"expected version {saved.version} instead. {node.name()} saved it for its gradient rule. "
        "Hint: use the out-of-place form of the operation that changed it, or clone() before changing it."
    )


def _free(node: Node) -> None:
    """Drop the saved arrays; a node that kept none can run backward again."""
    for value in node.saved or ():
        if type(value) is Saved or (type(value) is tuple and value and type(value[0]) is Saved):
            node.saved = None
            return


def _ancestry(roots: Sequence[tuple[Node, int]], wanted: dict[tuple[Node, int], int]) -> set[Node]:
    """The nodes through which a gradient reaches something wanted.

    Parents have lower numbers, so visiting in creation order decides parents first.
    """
    seen: set[Node] = set()
    stack = [node for node, _ in roots]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack += [p[0] for p in node.parents if p is not None and p[0] not in seen]
    targets = {node for node, _ in wanted}
    useful: set[Node] = set()
    for node in sorted(seen, key=lambda n: n.seq):
        if any(p is not None and (p[0] in useful or p[0] in targets) for p in node.parents):
            useful.add(node)
    return useful
