"""`graph`: look at what backward() will do, node by node."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from tensorlab import Tensor, inspect
from tensorlab.autograd.graph import nodes_of
from tensorlab.inspect import BackwardSteps, Graph
from tensorlab.inspect._words import alternative, count

from ._base import Instrument
from ._graph_picture import condensed
from ._graph_state import graph_state, steps_state

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tensorlab.nn import Module

__all__ = ["GraphInspector", "graph"]

#: A page that is saved has the values of all nodes up to this number of them.
MOST_VALUES = 500
#: And all the numbers of a backward pass up to this many steps.
MOST_STEPS_OF_A_PAGE = 2000
#: Graphs of this many inspectors stay in memory; the oldest lets go of its own.
MOST_KEPT = 4
_MOST_LINES = 40

_kept: deque[weakref.ref[GraphInspector]] = deque()


class GraphInspector(Instrument):
    """An autograd graph to look into. Made by `graph`; see there."""

    _bundle: ClassVar[str] = "graph"

    def __init__(
        self,
        outputs: Tensor | Sequence[Tensor],
        params: Module | Mapping[str, Tensor] | None = None,
        *,
        profile: inspect.profile | None = None,
        title: str = "",
        text: str = "",
        types: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.records: Graph = inspect.graph(outputs, params, profile=profile)
        self._outputs: list[Tensor] | None = (
            [outputs] if isinstance(outputs, Tensor) else list(outputs)
        )
        self._params = params
        self._given_title = title
        self._given_text = text
        self._types = dict(types or {})
        self._steps: BackwardSteps | None = None
        _kept.append(weakref.ref(self))
        while len(_kept) > MOST_KEPT:
            oldest = _kept.popleft()()
            if oldest is not None:
                oldest._outputs = oldest._steps = None

    def steps(self) -> BackwardSteps:
        """The backward pass, as `inspect.step_backward` gives it; computed once.

        `.grad` does not change and the graph is not freed. A pass starts with ones at every output.

        Raises `RuntimeError` if `backward()` has freed the graph, or if it is not kept any more.
        """
        if self._steps is None:
            outputs = self._tensors()
            seeds = None
            if any(output.numel() != 1 for output in outputs):
                seeds = [output.detach().new_ones(output.shape) for output in outputs]
            self._steps = inspect.step_backward(outputs, seeds, self._params)
        return self._steps

    def values(self, index: int) -> dict[str, Any]:
        """Statistics of what node `index` computed and of its gradient, where they are known.

        As a dict: `value` and `gradient`, each what `inspect.describe(…).to_dict()` gives, or None.

        Raises `IndexError` if there is no such node, and `RuntimeError` as `steps`.
        """
        outputs = self._tensors()
        found = inspect.node_value(outputs, index)
        gradient = None
        if self._steps is not None:
            at = {step.node: step for step in self._steps}.get(index)
            if at is not None:
                gradient = at.grad if at.grad is not None else at.received[0]
        elif self.records.nodes[index].is_leaf:
            gradient = self._leaf_grad(index)
        return {"value": _statistics(found), "gradient": _statistics(gradient)}

    # Instrument

    def _title(self) -> str:
        return self._given_title or f"Autograd graph: {alternative(self.records)}"

    def __repr__(self) -> str:
        return f"<graph: {alternative(self.records)}>"

    def _text(self) -> str:
        if self._given_text:
            return self._given_text
        lines = [f"Autograd graph: {alternative(self.records)}.", *self.records.notes]
        return "\n".join([*lines, *_outline(self.records, self._types)])

    def _figure(self) -> Figure:
        picture = condensed(self.records, self._types)
        figure = inspect.plot_graph(picture)
        if picture is not self.records:
            figure.alt_text = (  # type: ignore[attr-defined]
                f"Autograd graph: {alternative(self.records)}. Its modules are drawn as boxes."
            )
        return figure

    def _state(self) -> dict[str, Any]:
        state = graph_state(self.records, self._title(), self._types)
        if self._steps is not None:
            state["steps"] = steps_state(self._steps)
        return state

    def _page_state(self) -> dict[str, Any]:
        # A page has nobody to ask: what there is to know goes with it.
        state = self._state()
        if self._steps is not None:
            state["steps"] = steps_state(self._steps, most=MOST_STEPS_OF_A_PAGE)
        if self._outputs is not None and len(self.records.nodes) <= MOST_VALUES:
            state["values"] = {
                str(node.index): self.values(node.index) for node in self.records.nodes
            }
        return state

    def _answer(self, method: str, args: Mapping[str, Any]) -> Any:
        if method == "values":
            return self.values(int(args["index"]))
        if method == "steps":
            return steps_state(self.steps())
        if method == "step":
            first, last = int(args["first"]), int(args["last"])
            return [step.to_dict() for step in self.steps()[first:last]]
        return super()._answer(method, args)

    def _close(self) -> None:
        self._outputs = self._steps = None

    def _tensors(self) -> list[Tensor]:
        if self._outputs is None:
            raise RuntimeError(
                "this graph is not kept in memory any more, as it was closed or others were opened "
                "since: show it again to see its values"
            )
        return self._outputs

    def _leaf_grad(self, index: int) -> Tensor | None:
        tensor = nodes_of(self._tensors())[index].leaf()
        return None if tensor is None else tensor.grad


def _statistics(tensor: Tensor | None) -> dict[str, Any] | None:
    if tensor is None or tensor.numel() == 0:
        return None
    found = inspect.describe(tensor).to_dict()
    return {key: found[key] for key in _SHOWN}


#: What the browser draws of `inspect.describe`.
_SHOWN = (
    "elements",
    "minimum",
    "maximum",
    "mean",
    "std",
    "nan",
    "infinite",
    "zeros",
    "counts",
    "edges",
)


def _outline(records: Graph, types: Mapping[str, str]) -> list[str]:
    """The modules in words, repeated ones once: at most `_MOST_LINES` lines."""
    first = {repeat.members[0][0]: repeat for repeat in records.repeats}
    again = {path for repeat in records.repeats for member in repeat.members[1:] for path in member}
    lines = []
    for module in records.modules:
        path = module.path
        if (
            not path
            or not module.count
            or any(path == each or path.startswith(f"{each}.") for each in again)
        ):
            continue
        kind = module.type or types.get(path, "")
        words = f"{'  ' * (module.depth - 1)}{path}{f' ({kind})' if kind else ''}"
        repeat = first.get(path)
        if repeat is not None:
            words += f" ×{repeat.count}"
            if len(repeat.members[0]) > 1:
                words += f" with {', '.join(repeat.members[0][1:])}"
        lines.append(f"{words}: {count(module.count, 'operation')}")
    left = len(lines) - _MOST_LINES
    return [*lines[:_MOST_LINES], f"… and {count(left, 'module')} more"] if left > 0 else lines


def graph(
    outputs: Tensor | Sequence[Tensor],
    params: Module | Mapping[str, Tensor] | None = None,
    *,
    profile: inspect.profile | None = None,
) -> GraphInspector:
    """Look into the autograd graph of a tensor, or of several that share a trunk.

    In Jupyter it is a live widget: modules open and close, equal blocks are shown once ("×12"), a
    click shows shape, values, saved tensors, the gradient rule and the line of code, and the
    backward pass can be stepped through. Elsewhere, and in a saved notebook, it is a picture and
    text. Its graph stays in memory until `close()`, or until four others were opened.

    Args:
        outputs: a tensor, or a list of tensors, that operations on tensors with `requires_grad`
            computed. Look before `backward()` frees the values; the structure is left afterwards.
        params: names for the leaves, and modules: a module or a mapping of names to tensors.
        profile: a finished `inspect.profile` in which the graph was made: gives nodes their times,
            by which they are coloured at first.

    Raises:
        TypeError: an output is not a tensor.
        ValueError: an output has no graph.

    Example:
        >>> import tensorlab as tl
        >>> from tensorlab import nn
        >>> model = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1))
        >>> inspector = graph(model(tl.ones(4, 3)).sum(), params=model)
        >>> inspector
        <graph: 4 operations, 4 leaves, 88 B saved for backward>
        >>> inspector.steps()[0].name
        'SumBackward0'
        >>> inspector.close()
    """
    return GraphInspector(outputs, params, profile=profile)
