"""The backward pass, one node at a time, forwards and backwards in time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorlab._backend import backend_of, runs_there
from tensorlab._graph import Node, mode
from tensorlab._tensor import Tensor, wrap
from tensorlab.autograd import _roots, _vectors
from tensorlab.autograd.engine import _apply_rules, _match, _read
from tensorlab.autograd.graph import nodes_of
from tensorlab.autograd.hooks import _call, _call_many
from tensorlab.inspect._hierarchy import Owners
from tensorlab.inspect.autograd_graph import as_list
from tensorlab.inspect.gradient_rules import explain

if TYPE_CHECKING:
    from tensorlab.nn import Module

__all__ = ["BackwardStep", "BackwardSteps", "SentGradient", "step_backward"]

#: `to_dict` writes the numbers of gradients up to this size; of larger ones it gives statistics.
MOST_NUMBERS = 64


@dataclass(frozen=True, slots=True)
class SentGradient:
    """A gradient on its way from a node to one of the nodes it was computed from.

    Attributes:
        target: index of the node that receives it.
        output: which output of that node it is the gradient of.
        input: which input of the sending node that was.
        gradient: what is sent, already of the shape and dtype of the value it belongs to.
        total: what has arrived there so far, this one included: the partial sum.
        first: whether it is the first to arrive, so that `total` is `gradient`.
    """

    target: int
    output: int
    input: int
    gradient: Tensor
    total: Tensor
    first: bool

    def to_dict(self) -> dict[str, Any]:
        return {
            "target": self.target,
            "output": self.output,
            "input": self.input,
            "gradient": numbers(self.gradient),
            "total": numbers(self.total),
            "first": self.first,
        }


@dataclass(frozen=True, slots=True)
class BackwardStep:
    """One node of the backward pass.

    Attributes:
        index: number of the step, from 0.
        node: index of the node in `inspect.graph(outputs).nodes`.
        name: of the node: `MulBackward0`, or `AccumulateGrad` for a leaf.
        label: the name of a leaf's tensor where it is known, else "".
        rule: what the node does to its gradient, in words.
        received: for each output of the node the complete gradient of it (all that arrives has
            arrived), after the hooks of the user; None for an output that nothing depends on.
        sent: the gradients it passes on, in the order of its inputs.
        grad: for a leaf its `.grad` as `backward()` would leave it: what it has, plus what
            arrived; else None.

    As a dict, `to_dict()`: the same keys. A gradient is a dict with `shape`, `dtype`, `norm` (2-norm
    of the finite elements), `minimum`, `maximum` (of these; None if there are none), `nonfinite` (how
    many are nan or infinite) and `values`: nested lists of numbers, or None above 64 elements.
    """

    index: int
    node: int
    name: str
    label: str
    rule: str
    received: tuple[Tensor | None, ...]
    sent: tuple[SentGradient, ...]
    grad: Tensor | None

    @property
    def is_leaf(self) -> bool:
        return self.name == "AccumulateGrad"

    def to_dict(self) -> dict[str, Any]:
        return {
            "index": self.index,
            "node": self.node,
            "name": self.name,
            "label": self.label,
            "rule": self.rule,
            "received": [None if g is None else numbers(g) for g in self.received],
            "sent": [each.to_dict() for each in self.sent],
            "grad": None if self.grad is None else numbers(self.grad),
        }


class BackwardSteps(Sequence[BackwardStep]):
    """A backward pass that has been computed, and a place in it that moves both ways.

    It is a sequence of `BackwardStep`s. `position` counts the steps that are behind: 0 before
    anything ran, `len(steps)` when all leaves have their gradients. All gradients stay in memory as
    long as this object does; nothing of the graph is kept alive by it.

    As a dict, `to_dict()`: `schema` ("tensorlab.backward/1"), `position`, `seeds` (lists
    `[node, output, gradient]`) and `steps`.
    """

    def __init__(
        self, steps: Sequence[BackwardStep], seeds: Mapping[tuple[int, int], Tensor]
    ) -> None:
        self._steps = tuple(steps)
        self._seeds = dict(seeds)
        self.position = 0

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, index: Any) -> Any:
        return self._steps[index]

    def __iter__(self) -> Iterator[BackwardStep]:
        return iter(self._steps)

    @property
    def current(self) -> BackwardStep | None:
        """The step that ran last; None at the start."""
        return self._steps[self.position - 1] if self.position else None

    def forward(self) -> BackwardStep | None:
        """Run one more node and return its step; None if all have run."""
        if self.position == len(self._steps):
            return None
        self.position += 1
        return self.current

    def back(self) -> BackwardStep | None:
        """Take the last step back and return it; None at the start."""
        step = self.current
        if step is not None:
            self.position -= 1
        return step

    def goto(self, position: int) -> None:
        """Be where `position` steps have run; `IndexError` if there are not so many."""
        if not 0 <= position <= len(self._steps):
            raise IndexError(f"position {position}: there are {len(self._steps)} steps, 0 to all")
        self.position = position

    def waiting(self) -> dict[tuple[int, int], Tensor]:
        """Gradients that have arrived at nodes that have not run: (node, output) → the sum so far."""
        found = dict(self._seeds)
        for step in self._steps[: self.position]:
            for output in range(len(step.received)):
                found.pop((step.node, output), None)
            for sent in step.sent:
                found[sent.target, sent.output] = sent.total
        return found

    def grads(self) -> dict[int, Tensor]:
        """Leaves that have their gradient by now: node → `.grad` as it would be."""
        return {
            step.node: step.grad for step in self._steps[: self.position] if step.grad is not None
        }

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema": "tensorlab.backward/1",
            "position": self.position,
            "seeds": [[node, output, numbers(g)] for (node, output), g in self._seeds.items()],
            "steps": [step.to_dict() for step in self._steps],
        }

    def __repr__(self) -> str:
        return f"<backward of {len(self._steps)} steps, at {self.position}>"


def step_backward(
    outputs: Tensor | Sequence[Tensor],
    gradients: Tensor | Sequence[Tensor | None] | None = None,
    params: Module | Mapping[str, Tensor] | None = None,
) -> BackwardSteps:
    """Compute the backward pass of `outputs` and keep every step of it, to look at one by one.

    The numbers are those of `backward()`: the same rules in the same order, the same sums. But no
    `.grad` changes and the graph is not freed, as with `retain_graph=True`, so `backward()` may
    follow. All is computed in this call: what you change, or free, afterwards has no influence.
    Hooks on tensors and nodes run, since they may change gradients; `retain_grad` and
    post-accumulate hooks do not, since they belong to a `.grad` that changes.

    Args:
        outputs: as for `inspect.graph`.
        gradients: where the pass starts: a tensor like each output; an output of one element
            may go without (1).
        params: names for the leaves, as for `inspect.graph`.

    Raises:
        TypeError, ValueError: as `inspect.graph`.
        RuntimeError: as `backward`: the graph was freed, a saved value was changed in place, a
            gradient is missing or has the wrong shape.

    Example:
        >>> import tensorlab as tl
        >>> w = tl.tensor([2.0, 3.0], requires_grad=True)
        >>> steps = step_backward((w * w).sum(), params={"w": w})
        >>> steps.forward().name, steps.forward().name
        ('SumBackward0', 'MulBackward0')
        >>> [sent.gradient.tolist() for sent in steps.current.sent]  # one for each factor
        [[2.0, 3.0], [2.0, 3.0]]
        >>> steps.forward().grad, w.grad
        (tensor([4., 6.]), None)
    """
    tensors = as_list("step_backward", outputs)
    for tensor in tensors:
        if tensor.grad_fn is None:
            raise ValueError(
                "this tensor has no autograd graph: give the result of a computation on tensors "
                "that require grad"
            )
    roots, seeds = _roots(tensors, _vectors(tensors, gradients), False)
    nodes = nodes_of(tensors)
    owners = Owners(nodes, params)
    walk = _Walk(nodes, owners)
    recording, mode.grad = mode.grad, False
    try:
        for (node, index), seed in zip(roots, seeds, strict=True):
            walk.send(node, index, seed)
        started = {
            (walk.place[node], i): wrap(g)
            for node, received in walk.pending.items()
            for i, g in enumerate(received)
            if g is not None
        }
        steps = list(walk.run())
    finally:
        mode.grad = recording
    return BackwardSteps(steps, started)


class _Walk:
    """The engine's loop (see `tensorlab.autograd.engine`), keeping instead of accumulating."""

    def __init__(self, nodes: Sequence[Node], owners: Owners) -> None:
        self.place = {node: index for index, node in enumerate(nodes)}
        self.pending: dict[Node, list[Any]] = {}
        self._owners = owners
        self._heap: list[tuple[int, Node]] = []

    def send(self, node: Node, index: int, g: Any) -> tuple[Any, bool]:
        """Add `g` to what has arrived; returns the sum, a new array, and whether it is the first."""
        received: Any = self.pending.get(node)
        if received is None:
            self.pending[node] = received = [None] * len(node.shapes)
            heappush(self._heap, (-node.seq, node))
        before = received[index]
        total = g if before is None else before + g
        received[index] = np.asarray(total) if isinstance(total, np.generic) else total
        return received[index], before is None

    def run(self) -> Iterator[BackwardStep]:
        number = 0
        while self._heap:
            node = heappop(self._heap)[1]
            received = _hooks_before(node, self.pending.pop(node))
            sent: tuple[SentGradient, ...] = ()
            if node.op is not None:
                sent = self._pass_on(node, received)
            yield BackwardStep(
                index=number,
                node=self.place[node],
                name=node.name(),
                label=self._owners.label(node),
                rule=explain(node),
                received=tuple(None if g is None else _shown(g) for g in received),
                sent=sent,
                grad=_grad_of_leaf(node, received[0]) if node.op is None else None,
            )
            number += 1

    def _pass_on(self, node: Node, received: list[Any]) -> tuple[SentGradient, ...]:
        grads = _apply_rules(node, _read(node, received, False))
        if node.hooks is not None:
            grads = node.hooks.after(grads, received)
        sent = []
        for position, (edge, g) in enumerate(zip(node.parents, grads, strict=True)):
            if edge is None or g is None:
                continue
            to, index = edge
            g = _match(g, to.shapes[index], to.dtypes[index])
            total, first = self.send(to, index, g)
            gradient, total = _shown(g), _shown(total)
            sent.append(SentGradient(self.place[to], index, position, gradient, total, first))
        return tuple(sent)


def _hooks_before(node: Node, received: list[Any]) -> list[Any]:
    """What the user's hooks make of a node's gradient; those that fill `.grad` do not run."""
    if node.hooks is None:
        return received
    received = list(received)
    for index, hooks in node.hooks.tensor.items():
        if received[index] is not None:
            for hook in tuple(hooks.values()):
                received[index] = _call(hook, received[index])
    for hook in tuple(node.hooks.pre.values()):
        received = _call_many(hook, received)
    return received


def _grad_of_leaf(node: Node, g: Any) -> Tensor | None:
    leaf = node.leaf()
    if leaf is None:
        return None
    before = leaf._grad
    if not leaf._requires_grad:
        return None if before is None else _shown(before._data)
    return _shown(g if before is None else before._data + g)


@runs_there
def _shown(array: Any) -> Tensor:
    """A tensor of its own: a rule may have returned memory that the user can write to."""
    return wrap(array.copy())


@runs_there
def numbers(tensor: Tensor) -> dict[str, Any]:
    """A gradient as a dict that JSON can hold; see `BackwardStep`."""
    array = tensor._data
    xp = backend_of(array).xp
    sizes = xp.abs(array) if array.dtype.kind == "c" else array
    sizes = sizes.astype(xp.float64)
    finite = sizes[xp.isfinite(sizes)]
    some = finite.size > 0
    return {
        "shape": list(tensor.shape),
        "dtype": tensor.dtype.name,
        "norm": float(xp.sqrt((finite * finite).sum())),
        "minimum": float(finite.min()) if some else None,
        "maximum": float(finite.max()) if some else None,
        "nonfinite": int(sizes.size - finite.size),
        "values": _finite_or_text(tensor.tolist()) if array.size <= MOST_NUMBERS else None,
    }


def _finite_or_text(values: Any) -> Any:
    """JSON has no nan and no complex numbers: they become text."""
    if isinstance(values, list):
        return [_finite_or_text(each) for each in values]
    if isinstance(values, complex) or values != values or values in (float("inf"), -float("inf")):
        return str(values)
    return values
