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
from heapq import heappop, heappush, heappushpop
from sys import getrefcount
from typing import Any

import numpy as np

from tensorlab import _apply, _backend, _dtypes, _op
from tensorlab._backend import backend_of, sum_to
from tensorlab._graph import Node, mode
from tensorlab._plan import INPUT, INPUTS, OUTPUT, RECORDS, Plan
from tensorlab._tensor import Tensor, wrap
from tensorlab._unrolled import check_count
from tensorlab.autograd.saved import Packed

ndarray = np.ndarray


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
    device = _backend.current_cuda_device() if _backend.several else None
    try:
        return _run(roots, seeds, keep_graph, create_graph, wanted)
    finally:
        mode.grad = recording
        if device is not None:
            device.use()


def _run(
    roots: Sequence[tuple[Node, int]],
    seeds: Sequence[Any],
    keep_graph: bool,
    create_graph: bool,
    wanted: dict[tuple[Node, int], int] | None,
) -> list[Any]:
    useful = None if wanted is None else _ancestry(roots, wanted)
    found: list[Any] = [None] * (0 if wanted is None else 1 + max(wanted.values(), default=-1))
    pending: dict[Node, list[Any]] = {}  # what each node has received so far, per output
    heap: list[tuple[int, Node]] = []
    # Arrays are all there is: then a plan's rules run in straight-line code, see `_unrolled`.
    plain = not create_graph and _dtypes.narrow is None
    several = _backend.several

    for (node, index), seed in zip(roots, seeds, strict=True):
        if node in pending:
            if several:
                _follow(seed)
            _add(pending[node], index, seed, create_graph)
        else:
            pending[node] = _only(index, seed, len(node.shapes))
            heappush(heap, (-node.seq, node))

    # The node that was reached last is mostly the one to go on with: it is not sorted in before
    # it is clear that it has to wait.
    reached: tuple[int, Node] | None = None
    while heap or reached is not None:
        node = (heappop(heap) if reached is None else heappushpop(heap, reached))[1]
        reached = None
        received = pending.pop(node)
        if several:
            _follow(*received)
        if node.hooks is not None:
            received = node.hooks.before(received)
        if wanted is not None:
            for i, g in enumerate(received):
                position = wanted.get((node, i))
                if position is not None:
                    found[position] = g
            if node not in useful:  # type: ignore[operator]
                continue
        if node.op is None:
            _accumulate(node, received, create_graph)
            continue
        grads = None
        if plain and node.hooks is None and len(received) == 1 and not _apply.observers:
            plan = node.plan
            if plan.pull is not None:
                over = plan.over and alone(received, 0)
                grads = plan.pull(node, received[0], keep_graph, over)
        if grads is None:
            grads = _apply_rules(node, _read(node, received, create_graph))
            if node.hooks is not None:
                grads = node.hooks.after(grads, received)
        for edge, g in zip(node.parents, grads):  # noqa: B905 (joint rules are checked)
            if edge is None or g is None:
                continue
            to, index = edge
            if useful is not None and to not in useful and edge not in wanted:  # type: ignore[operator]
                continue
            if several:
                _follow(g)
            if (
                type(g) is not ndarray
                or g.shape != to.shapes[index]
                or g.dtype is not to.dtypes[index]
            ):
                g = _match(g, to.shapes[index], to.dtypes[index])
            waiting = pending.get(to)
            if waiting is not None:
                _add(waiting, index, g, create_graph)
            else:  # the first gradient to arrive, which is the only one as a rule
                pending[to] = [g] if len(to.shapes) == 1 else _only(index, g, len(to.shapes))
                if reached is not None:
                    heappush(heap, reached)
                reached = (-to.seq, to)
        if not keep_graph and node.plan.guards:
            node.saved = None
        # What this node held must not live on while the rules of the next one run.
        del received, grads
        g = waiting = None
    return found


def _add(received: list[Any], index: int, g: Any, create_graph: bool) -> None:
    """Add to what has arrived at an output of a node: in place, where nobody else can see it."""
    if received[index] is None:
        received[index] = g
    elif not create_graph and g.size >= _apply.MANY:
        over = alone(received, index)  # before another name refers to it
        received[index] = _add_many(received[index], g, over)
    elif not create_graph and alone(received, index):
        received[index] += g
    else:
        total = received[index] + g
        received[index] = np.asarray(total) if isinstance(total, np.generic) else total


def _follow(*gradients: Any) -> None:
    """Make their device the current one: the graph may lead to another. `run` puts it back."""
    device = _backend.elsewhere(map(_apply.storage, gradients))
    if device is not None:
        device.use()


def _read(node: Node, received: list[Any], create_graph: bool) -> list[Any]:
    """What the rules of a node read: its gradient, saved values and parameters."""
    plan, saved = node.plan, node.saved
    if saved is None:
        raise RuntimeError(
            "Trying to backward through the graph a second time (or directly access saved tensors "
            "after they have already been freed). Saved intermediate values of the graph are freed "
            "when you call .backward() or autograd.grad(). Specify retain_graph=True if you need to "
            "backward through the graph a second time or if you need to access saved tensors after "
            f"calling backward. (The node is {node.name()}, output shape {list(node.shapes[0])}.)"
        )
    reads = [received[0] if len(received) == 1 else tuple(_fill(received, node))]
    for (what, i), value in zip(plan.saves, saved):  # noqa: B905 (made together)
        if what <= OUTPUT:
            if type(value) is tuple:
                if len(value) == 3 and type(value[1]) is list:
                    array, cell, version = value
                    if create_graph or cell[0] != version:
                        value = _restore(value, node, i if what == INPUT else ~0, create_graph)
                    else:  # the same, without a call: so is every saved value of a plain backward
                        value = array
                else:
                    value = tuple(
                        [_restore(v, node, ~j, create_graph) for j, v in enumerate(value)]
                    )
        elif what == INPUTS:
            value = tuple([_restore(v, node, j, create_graph) for j, v in enumerate(value)])
        reads.append(value)
    lowers = _dtypes.narrow is not None and node.hooks is None and (RECORDS, 0) not in plan.saves
    if lowers and not _kernels_first(plan, reads[0]):
        # Rules compute in float32 too: `_match` rounds what they return, once.
        reads = [_dtypes.narrow.lower(value) for value in reads]  # type: ignore[union-attr]
    reads += node.params
    return reads


def _kernels_first(plan: Plan, g: Any) -> bool:
    """Whether all rules of a plan ask kernels of a GPU first, which take bfloat16 as it is."""
    first = g[0] if type(g) is tuple else g
    if isinstance(first, (ndarray, Tensor)):
        return False
    kind = backend_of(first).kind
    rules = [plan.joint[0]] if plan.joint is not None else [rule for _, rule, _ in plan.rules]
    return all(kind in getattr(rule, "kernels", ()) for rule in rules)


def _apply_rules(node: Node, reads: list[Any]) -> list[Any]:
    """The gradient of each parent, from the node's rules."""
    plan = node.plan
    observers = _apply.observers
    if observers:
        for o in observers:
            o.before_backward(node)
    reads = [*reads, plan.needs]
    grads: list[Any] = [None] * len(plan.needs)
    if plan.joint is None:
        for i, rule, positions in plan.rules:
            grads[i] = rule(*[reads[p] for p in positions])
    else:
        rule, positions = plan.joint
        given = check_count(rule(*[reads[p] for p in positions]), plan.needs)
        for i, need in enumerate(plan.needs):
            if need:
                grads[i] = given[i]
    if observers:
        for o in reversed(observers):
            o.after_backward(node, grads)
    return grads


def _restore(saved: tuple[Any, list[int], int], node: Node, which: int, create_graph: bool) -> Any:
    """A saved value, checked to be unchanged: its array or, for a graph of gradients, a tensor.

    `which` counts the inputs from 0 and the outputs from ~0 down.
    """
    array, cell, version = saved
    if type(array) is Packed:
        array, version = array.unpack(), array.version
    if cell[0] != version:
        raise RuntimeError(_modified((array, cell, version), node, which))
    if not create_graph:
        return array
    out = wrap(array)
    out._version_cell = cell
    edge = node.parents[which] if which >= 0 else (node, ~which)
    if edge is not None and array.dtype.kind in "fcV":
        out._node, out._index = edge
        out._requires_grad = True
    return out


def _only(index: int, g: Any, count: int) -> list[Any]:
    """What a node of `count` outputs has received when one gradient has arrived."""
    received = [None] * count
    received[index] = g
    return received


def _fill(received: list[Any], node: Node) -> list[Any]:
    """Outputs that nobody used have gradient zero: one number that is shown everywhere.

    A user's Function, which may write to what it is given, gets all of them.
    """
    gaps = [g is None and t.kind in "fcV" for g, t in zip(received, node.dtypes)]  # noqa: B905 (one each)
    if True not in gaps:
        return received
    present = next(g for g in received if g is not None)
    like = present._data if isinstance(present, Tensor) else present
    xp = backend_of(like).xp
    whole = (RECORDS, 0) in node.plan.saves
    out = []
    for g, shape, dtype, gap in zip(received, node.shapes, node.dtypes, gaps, strict=True):
        if gap:
            zero = _dtypes.held(xp.zeros(shape if whole else (), dtype))
            g = zero if whole else xp.broadcast_to(zero, shape)
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
                g = _op.OPS["real"].call(g)
            g = _op.OPS["cast"].call(g, dtype)
        return g if g._data.shape == shape else _op.OPS["sum_to"].call(g, shape)
    # NumPy turns 0-dim results into scalars.
    array: Any = np.asarray(g) if isinstance(g, (np.generic, float, int, complex)) else g
    if array.dtype != dtype:
        if array.dtype.kind == "c" and dtype.kind != "c":
            array = array.real
        array = _dtypes.held(array.astype(dtype))
    if array.shape == shape:
        return array
    return (
        sum_to(array, shape) if array.size < _apply.SMALL else _op.OPS["sum_to"].call(array, shape)
    )


def alone(arrays: list[Any], index: int) -> bool:
    """Whether nothing but this list refers to the array there, or sees its numbers.

    Then the array may be added to, or given away: no rule, hook or user of the library has kept it, nor
    a view of it. If it is itself a view, it must be all of an array that nothing else refers to.
    """
    if getrefcount(arrays[index]) != _ONE:
        return False
    array = arrays[index]
    return array.base is None or (
        type(array.base) is type(array)
        and getattr(array.flags, "writeable", True)  # CuPy's always are
        and array.base.base is None
        and array.base.size == array.size
        and getrefcount(array.base) == _ONE
    )


def _add_many(total: Any, g: Any, over: bool) -> Any:
    """The sum of two arrays of many numbers, for which there may be a kernel; over: in place of the first."""
    if not over:
        return _op.OPS["add"].call(total, g)
    kernel = _op.OPS["add"].kernels.get("cpu") if type(total) is ndarray else None
    try:
        if kernel is None or kernel(total, g, over=True) is NotImplemented:
            total += g
    except _apply.KernelUnavailable as error:
        _apply.instead(error)
        total += g
    return total


def _references() -> int:
    kept = [np.empty(0)]
    return getrefcount(kept[0])


#: What Python counts where a list, or an attribute, is all that refers to something.
_ONE = _references()


def _accumulate(node: Node, received: list[Any], create_graph: bool) -> None:
    """Add a gradient to the leaf's `.grad`. The buffer is never one that somebody else can see."""
    leaf = None if node.leaf_ref is None else node.leaf_ref()
    if leaf is None:
        return
    if not leaf._requires_grad:
        pass  # it was told to stop collecting after it was used; PyTorch runs its hooks all the same
    elif leaf._grad is None:
        if create_graph:
            leaf._grad = received[0].clone()
        elif alone(received, 0) and received[0].flags.c_contiguous:
            leaf._grad = wrap(received[0])
        elif received[0].size <= _apply.SMALL:
            leaf._grad = wrap(received[0].copy())
        else:
            leaf._grad = wrap(_op.OPS["clone"].call(received[0]))
    elif create_graph or leaf._grad._requires_grad:
        g = received[0]
        leaf._grad = leaf._grad + (g if isinstance(g, Tensor) else wrap(g))
    else:
        if received[0].size >= _apply.MANY:
            _add_many(leaf._grad._data, received[0], over=True)
        else:
            leaf._grad._data += received[0]
        leaf._grad._version_cell[0] += 1
    if node.hooks is not None:
        node.hooks.accumulated(leaf)


def _modified(saved: tuple[Any, list[int], int], node: Node, which: int) -> str:
    array, cell, version = saved
    maker, index = (node, ~which) if which < 0 else node.parents[which] or (None, 0)
    origin = (
        "" if maker is None or maker.op is None else f", which is output {index} of {maker.name()},"
    )
    kinds = {
        "float32": "FloatTensor",
        "float64": "DoubleTensor",
        "float16": "HalfTensor",
        "int64": "LongTensor",
    }
    kind = kinds.get(array.dtype.name, array.dtype.name)
    return (
        "one of the variables needed for gradient computation has been modified by an inplace "
        f"operation: [tensorlab.{kind} {list(array.shape)}]{origin} is at version {cell[0]}; "
        f"expected version {version} instead. {node.name()} saved it for its gradient rule. "
        "Hint: use the out-of-place form of the operation that changed it, or clone() before changing it."
    )


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
