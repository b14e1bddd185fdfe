"""Steps that autograd records: the updates of the elementwise optimizers, run on tensors.

With `differentiable=True` a step is part of the graph, so that the loss after it can be
differentiated by what went into it: parameters, gradients, the learning rate. That is how an
optimizer's settings, or a start from which few steps suffice, are learned themselves.

The updates are written for arrays that they change in place. Here each array is replaced by a
`Recorded`, in which a change puts another tensor, and the array module by `recording`, whose
functions are operations on tensors. Nothing is overwritten, so everything can be differentiated.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorlab._op import OPS
from tensorlab._tensor import Tensor, wrap
from tensorlab.autograd import enable_grad
from tensorlab.ops.complexes import view_as_complex, view_as_real
from tensorlab.ops.creation import zeros_like

if TYPE_CHECKING:
    from tensorlab.optim.fused import FusedOptimizer

__all__ = ["Recorded", "recorded_step", "recording"]


class Recorded:
    """Stands for an array that is changed in place: each change puts another tensor in it.

    >>> import tensorlab
    >>> x = tensorlab.tensor([3.0], requires_grad=True)
    >>> p = Recorded(x)
    >>> p *= p
    >>> p.tensor.backward()
    >>> x.grad
    tensor([6.])
    """

    __slots__ = ("tensor",)

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    @property
    def dtype(self) -> Any:
        return self.tensor.dtype

    def astype(self, dtype: Any) -> Recorded:
        return Recorded(self.tensor.to(dtype))

    def __imul__(self, other: Any) -> Recorded:
        return self._put(self.tensor * _inner(other))

    def __iadd__(self, other: Any) -> Recorded:
        return self._put(self.tensor + _inner(other))

    def __isub__(self, other: Any) -> Recorded:
        return self._put(self.tensor - _inner(other))

    def __itruediv__(self, other: Any) -> Recorded:
        return self._put(self.tensor / _inner(other))

    def __lt__(self, other: Any) -> Recorded:
        return Recorded(self.tensor < _inner(other))

    def __gt__(self, other: Any) -> Recorded:
        return Recorded(self.tensor > _inner(other))

    def __setitem__(self, where: Any, value: Any) -> None:
        value = _inner(value)
        if where is not Ellipsis:
            self._put(OPS["where"].call(_inner(where), value, self.tensor))
        elif isinstance(value, Tensor):
            self._put(value.expand(self.tensor.shape))
        else:
            self._put(self.tensor.new_full(self.tensor.shape, value))

    def _put(self, tensor: Tensor) -> Recorded:
        self.tensor = tensor
        return self


def _inner(value: Any) -> Any:
    return value.tensor if isinstance(value, Recorded) else value


def _recorded(operation: Callable[..., Any]) -> Callable[..., Recorded]:
    """An operation on tensors as a function of the array module, with its `out=`."""

    def function(*operands: Any, out: Recorded | None = None) -> Recorded:
        result = operation(*map(_inner, operands))
        return Recorded(result) if out is None else out._put(result)

    return function


#: The functions of the array module that updates use.
recording = SimpleNamespace(
    abs=_recorded(OPS["abs"].call),
    add=_recorded(OPS["add"].call),
    clip=_recorded(OPS["clamp"].call),
    divide=_recorded(OPS["div"].call),
    maximum=_recorded(OPS["maximum"].call),
    multiply=_recorded(OPS["mul"].call),
    negative=_recorded(OPS["neg"].call),
    sign=_recorded(OPS["sign"].call),
    sqrt=_recorded(OPS["sqrt"].call),
    subtract=_recorded(OPS["sub"].call),
    where=_recorded(OPS["where"].call),
)


@enable_grad()
def recorded_step(optimizer: FusedOptimizer, group: dict[str, Any], dtype: Any) -> None:
    """One step of a group, parameter by parameter, as operations that autograd records.

    Args:
        optimizer: whose update.
        group: one of its groups. As in PyTorch, its parameters are changed in place, so they must
            not be leaves that require grad: clone those.
        dtype: of the numbers in the state.
    """
    names = optimizer.buffer_names(group)
    for p in group["params"]:
        if p._grad is None:
            continue
        optimizer._check_param(p, group)
        state = optimizer.state[p] if names or optimizer.number_names else {}
        is_first = any(state.get(name) is None for name in names)
        numbers: dict[str, Any] = {}
        for name in optimizer.number_names:
            if state.get(name) is None:
                state[name] = wrap(np.array(float(optimizer.first_number(name, group)), dtype))
            numbers[name] = state[name]._data[()]
        if numbers:
            numbers["step"] = float(numbers["step"]) + 1
        update = optimizer.make_update(recording, group, numbers, is_first)  # type: ignore[arg-type]
        for name, value in numbers.items():
            state[name]._data[...] = float(value)
        kept = [state.get(name) for name in names]
        buffers = [zeros_like(p.detach()) if b is None else b for b in kept]
        start = p.clone()  # the old values stay as they are, for the gradients
        cells = [Recorded(_as_real(t)) for t in (start, p._grad, start, start, *buffers)]
        update.run(*cells)
        p.copy_(_like(p, cells[0].tensor))
        for name, cell in zip(names, cells[4:], strict=True):
            state[name] = _like(p, cell.tensor)


def _as_real(tensor: Tensor) -> Tensor:
    return view_as_real(tensor) if tensor.is_complex() else tensor


def _like(p: Tensor, tensor: Tensor) -> Tensor:
    return view_as_complex(tensor) if p.is_complex() else tensor
