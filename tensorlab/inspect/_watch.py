"""The observer of one training step: its loss, its first nan, and whether gradients were zeroed."""

from __future__ import annotations

import itertools
from math import isfinite
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

import numpy as np

from tensorlab._backend import backend_of, runs_there
from tensorlab._tensor import Tensor

if TYPE_CHECKING:
    from tensorlab._graph import Node
    from tensorlab._op import Op
    from tensorlab.inspect.gradient_recorder import GradientRecorder

__all__ = ["Watch"]

#: Loss functions that are never below 0: a training loss that is one of them times −1 has a wrong sign.
LOSSES = frozenset({
    "nll_loss", "cross_entropy", "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy",
    "binary_cross_entropy_with_logits", "soft_margin_loss", "kl_div", "multi_margin_loss",
    "multilabel_margin_loss", "ctc_loss",
})  # fmt: skip


class Watch:
    """Sees every operation and gradient rule of the steps that are looked at (`_apply.observe`)."""

    def __init__(self, recorder: GradientRecorder) -> None:
        self._recorder = recorder
        self._by_size = sorted(recorder.parameters, key=lambda p: p._data.size)
        self._remembered: list[tuple[Tensor, Any]] = []  # with weak references to gradients
        self.begin()

    def begin(self) -> None:
        """A step begins."""
        self.scale = self._recorder.scale()
        self.loss: float | None = None
        self.objective: float | None = None
        self.kept: bool | None = None
        self.origin = ""
        self._objective: float | None = None  # of the forward pass that is running
        self._candidate: tuple[float, float | None] | None = None  # of the pass back that began
        self._in_backward = False
        # Weakly: a graph that backward() never reads must not be kept alive by being watched.
        self._scalars: WeakKeyDictionary[Node, Any] = WeakKeyDictionary()

    def remember(self) -> None:
        """Note gradients that a step leaves, to see whether somebody zeroes them. A few will do."""
        some = itertools.islice((p for p in self._by_size if _nonzero(p._grad)), 4)
        self._remembered = [(p, ref(p._grad)) for p in some]

    def before(self, op: Op, arrays: Any) -> None:
        """An operation starts: nothing to see yet."""

    @np.errstate(all="ignore")
    def after(self, op: Op, arrays: Any, outputs: tuple[Any, ...], node: Node | None) -> None:
        """An operation has ended."""
        out = outputs[0]
        if out.dtype.kind not in "fcV":
            return
        activations = self._recorder._activations
        if node is not None:
            self._in_backward = False
            if out.size == 1 and len(outputs) == 1:
                self._scalars[node] = out
                if op.name in LOSSES and self._objective is None:
                    self._objective = float(out.reshape(()))
            if activations is not None and op.name in activations.KINDS:
                activations.note(op, arrays, out, node)
        if not self.origin and not isfinite(float(_total(out))):
            self._blame(op, arrays, out)

    def _blame(self, op: Op, arrays: Any, out: Any) -> None:
        """Was it this operation that made the first nan or infinity?"""
        made_nan = _has_nan(out) and not any(map(_has_nan, arrays))
        made_infinity = not _has_nan(out) and not any(map(_is_infinite, arrays))
        if (made_nan or made_infinity) and _is_infinite(out):
            where = self._recorder._activations
            module = where.here() if where is not None else ""
            inside = f" in module {module}" if module else ""
            what = "nan" if made_nan else "infinity"
            self.origin = f"{op.name}{inside} made {what} from finite inputs in the forward pass"

    def before_backward(self, node: Node) -> None:
        """A gradient rule starts; the first one of a pass belongs to the loss."""
        if self._in_backward:
            return
        self._in_backward = True
        value = self._scalars.get(node)
        self._scalars.clear()
        self._look_at_leftovers()
        if value is not None:
            self.scale = self._recorder.scale()
            self._candidate = float(value.reshape(()).real) / self.scale, self._objective
            self._objective = None

    def accumulated(self) -> None:
        """A parameter got its gradient: so the pass is one of `backward()`, and trains the model."""
        if self._candidate is None:
            return
        (loss, objective), self._candidate = self._candidate, None
        self.loss = loss if self.loss is None else self.loss + loss
        if objective is not None:
            self.objective = objective if self.objective is None else self.objective + objective

    def _look_at_leftovers(self) -> None:
        """Are the gradients still those of the step before? Once they were not, they were zeroed."""
        if self._remembered and self.kept is not False:
            self.kept = all(
                p._grad is not None and p._grad is before() and _nonzero(p._grad)
                for p, before in self._remembered
            )
        if self.loss is not None and not any(
            p._grad is not None and _nonzero(p._grad) for p in self._recorder.parameters
        ):
            # Not one more pass of an accumulation: the last step never happened, a scaler skipped it.
            self.loss = self.objective = None
            self.origin = ""
            self._recorder.fresh_start()

    @np.errstate(all="ignore")
    def after_backward(self, node: Node, grads: Any) -> None:
        """A gradient rule has ended."""
        if self.origin or node.op is None:
            return
        for g in grads:
            array = getattr(g, "_data", g)
            if array is not None and hasattr(array, "dtype") and not isfinite(float(_total(array))):
                self.origin = f"the gradient rule of {node.op.name} was the first to give nan or infinity"  # fmt: skip
                return


def _nonzero(grad: Tensor | None) -> bool:
    return grad is not None and bool((grad._data != 0).any())


def _total(array: Any) -> Any:
    """A number that is not finite if an element is not; it may overflow, so look closer then."""
    if array.dtype.kind == "V" or array.dtype.itemsize < 4:
        array = array.astype("float32")
    total = array.sum()
    return abs(total) if array.dtype.kind == "c" else total


def _has_nan(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(_has_nan, value))
    if isinstance(value, float):
        return value != value
    if not hasattr(value, "dtype") or value.dtype.kind not in "fcV":
        return False
    return bool((value != value).any())


@runs_there
def _is_infinite(value: Any) -> bool:
    """Whether it is, or holds, nan or infinity."""
    if isinstance(value, (list, tuple)):
        return any(map(_is_infinite, value))
    if isinstance(value, (int, float)):
        return not isfinite(value)
    if not hasattr(value, "dtype") or value.dtype.kind not in "fcV":
        return False
    return not bool(backend_of(value).xp.isfinite(value).all())
