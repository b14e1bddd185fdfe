"""Functions of each element in float32, and choosing by a mask, where NumPy needs several passes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorlab._op import register_backward_kernel, register_kernel
from tensorlab.kernels.activations import accepts
from tensorlab.kernels.cpu.loading import alike_float32, all_float32, native

#: Below this many numbers the generic path is as fast: where it takes several passes, and where one or two.
FEWEST, FEWEST_SIMPLE = 16, 512
#: The module that has the kernel of each operation: input, and numbers, and nothing else.
_MODULES = {
    "sigmoid": "smooth", "silu": "smooth", "softplus": "smooth", "log_sigmoid": "smooth", "mish": "smooth",
    "elu": "smooth", "erf": "smooth", "leaky_relu": "straight", "hardtanh": "straight", "hardsigmoid": "straight",
    "hardswish": "straight",
}  # fmt: skip
_SIMPLE = {"leaky_relu", "hardtanh"}
_LARGEST = float(np.finfo(np.float32).max)


def _suits(fewest: int, *arrays: Any) -> bool:
    return arrays[0].size >= fewest and alike_float32(*arrays)


def _fewest(name: str) -> int:
    return FEWEST_SIMPLE if name in _SIMPLE else FEWEST


def _forward(name: str, input: Any, *numbers: Any) -> Any:
    if not _suits(_fewest(name), input) or not accepts(name, numbers):
        return NotImplemented
    found = native(_MODULES[name])
    return NotImplemented if found is None else found.forward(name, input, *numbers)


def _backward(name: str, g: Any, kept: Any, *numbers: Any) -> Any:
    if not _suits(_fewest(name), g, kept) or not accepts(name, numbers):
        return NotImplemented
    found = native(_MODULES[name])
    return NotImplemented if found is None else found.backward(name, g, kept, *numbers)


def _register(name: str) -> None:
    register_kernel(name, "cpu", _fewest(name))(lambda *given: _forward(name, *given))
    register_backward_kernel(name, "cpu", "input")(lambda *given: _backward(name, *given))


for _name in _MODULES:
    _register(_name)


@register_kernel("celu", "cpu", FEWEST)
def _celu(input: Any, alpha: Any) -> Any:
    return _forward("elu", input, alpha, 1.0, 1.0 / alpha) if alpha else NotImplemented


@register_backward_kernel("celu", "cpu", "input")
def _celu_backward(g: Any, input: Any, alpha: Any) -> Any:
    return _backward("elu", g, input, alpha, 1.0, 1.0 / alpha)


@register_kernel("sign", "cpu", FEWEST_SIMPLE)
def _sign(input: Any) -> Any:
    found = native("straight") if _suits(FEWEST_SIMPLE, input) else None
    return NotImplemented if found is None else found.forward("sign", input)


def _simple_backward(name: str, g: Any, input: Any) -> Any:
    found = native("straight") if _suits(FEWEST_SIMPLE, g, input) else None
    return NotImplemented if found is None else found.backward(name, g, input)


@register_backward_kernel("abs", "cpu", "input")
def _abs_backward(g: Any, input: Any) -> Any:
    return _simple_backward("abs", g, input)


def _halved(input: Any, dim: Any) -> int | None:
    """The dimension from 0 on, if it has two halves; what is wrong is for the operation to say."""
    if type(dim) is not int or not -input.ndim <= dim < input.ndim or input.shape[dim] % 2:
        return None
    return dim % input.ndim


@register_kernel("glu", "cpu", FEWEST)
def _glu(input: Any, dim: Any) -> Any:
    axis = _halved(input, dim) if _suits(FEWEST, input) else None
    found = native("smooth") if axis is not None else None
    return NotImplemented if found is None else found.glu(input, axis)


@register_backward_kernel("glu", "cpu", "input")
def _glu_backward(g: Any, input: Any, dim: Any) -> Any:
    axis = _halved(input, dim) if input.size >= FEWEST and all_float32(g, input) else None
    found = native("smooth") if axis is not None else None
    return NotImplemented if found is None else found.glu_backward(g, input, axis)


# Limits and masks -------------------------------------------------------------------------


def as_number(value: Any) -> Any:
    """A number, also if it is an array of no dimension; else None."""
    if type(value) is np.ndarray and not value.ndim and value.dtype == np.float32:
        return float(value)
    return float(value) if type(value) in (int, float) else None


def _limits(low: Any, high: Any) -> tuple[float, float] | None:
    """Both limits as numbers, if they are: where there is none, an infinity."""
    found = (
        -np.inf if low is None else as_number(low),
        np.inf if high is None else as_number(high),
    )
    if found[0] is None or found[1] is None or found[0] != found[0] or found[1] != found[1]:
        return None
    return found if low is not None or high is not None else None


@register_kernel("clamp", "cpu", FEWEST_SIMPLE)
def _clamp(input: Any, min: Any, max: Any) -> Any:
    limits = _limits(min, max) if _suits(FEWEST_SIMPLE, input) else None
    if limits is None:
        return NotImplemented
    found = native("straight")
    return NotImplemented if found is None else found.forward("clamp", input, *limits)


@register_backward_kernel("clamp", "cpu", "input")
def _clamp_backward(g: Any, input: Any, min: Any, max: Any) -> Any:
    limits = _limits(min, max) if _suits(FEWEST_SIMPLE, g, input) else None
    if limits is None:
        return NotImplemented
    found = native("straight")
    return NotImplemented if found is None else found.backward("clamp", g, input, *limits)


@register_kernel("nan_to_num", "cpu", FEWEST)
def _nan_to_num(input: Any, nan: Any, posinf: Any, neginf: Any) -> Any:
    if not _suits(FEWEST, input):
        return NotImplemented
    above = _LARGEST if posinf is None else as_number(posinf)
    below = -_LARGEST if neginf is None else as_number(neginf)
    instead = as_number(nan)
    found = native("straight") if None not in (instead, above, below) else None
    if found is None:
        return NotImplemented
    return found.forward("nan_to_num", input, instead, above, below)


@register_backward_kernel("nan_to_num", "cpu", "input")
def _nan_to_num_backward(g: Any, input: Any) -> Any:
    return _simple_backward("nan_to_num", g, input)


def _as_mask(condition: Any, shape: tuple[int, ...]) -> Any:
    """The condition for each number of such an array, if it is one and may be stretched to it; else None."""
    if type(condition) is not np.ndarray or condition.dtype != np.bool_:
        return None
    if math.prod(shape) < FEWEST_SIMPLE or condition.ndim > len(shape):
        return None
    inner = shape[len(shape) - condition.ndim :]
    if not all(n in (1, wanted) for n, wanted in zip(condition.shape, inner, strict=True)):
        return None
    return condition if condition.shape == shape else np.broadcast_to(condition, shape)


@register_kernel("where", "cpu")
def _where(condition: Any, input: Any, other: Any) -> Any:
    shape = next((a.shape for a in (input, other) if type(a) is np.ndarray and a.ndim), ())
    mask = _as_mask(condition, shape)
    if mask is None:
        return NotImplemented
    sides = []
    for side in (input, other):
        if type(side) is np.ndarray and side.shape == shape and side.dtype == np.float32:
            sides.append(side)
        else:
            sides.append(as_number(side))
    if sides[0] is None or sides[1] is None or type(sides[0]) is type(sides[1]) is float:
        return NotImplemented
    found = native("straight")
    return NotImplemented if found is None else found.where(mask, *sides)


@register_kernel("masked_fill", "cpu")
def _masked_fill(input: Any, mask: Any, value: Any) -> Any:
    return NotImplemented if as_number(value) is None else _where(mask, value, input)
