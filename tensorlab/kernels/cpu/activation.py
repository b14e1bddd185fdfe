"""Activations in float32 that take several passes over memory generically."""

from __future__ import annotations

from typing import Any

from tensorlab._op import register_backward_kernel, register_kernel
from tensorlab.kernels.cpu.loading import alike_float32, native

#: Below this many numbers the generic path will do: one pass for relu, dozens for gelu.
FEWEST, FEWEST_SMOOTH = 4_096, 16


def _kernels(fewest: int, *arrays: Any) -> Any:
    """The compiled activations, if they suit these arrays."""
    if arrays[0].size < fewest or not alike_float32(*arrays):
        return None
    return native("activation")


@register_kernel("relu", "cpu")
def _relu(input: Any) -> Any:
    found = _kernels(FEWEST, input)
    return NotImplemented if found is None else found.relu(input)


@register_backward_kernel("relu", "cpu", "input", over=True)
def _relu_backward(g: Any, out: Any, over: bool = False) -> Any:
    found = _kernels(FEWEST, g, out)
    return NotImplemented if found is None else found.relu_backward(g, out, over)


@register_kernel("gelu", "cpu", FEWEST_SMOOTH)
def _gelu(input: Any, approximate: str) -> Any:
    found = _kernels(FEWEST_SMOOTH, input) if approximate in ("none", "tanh") else None
    return NotImplemented if found is None else found.gelu(input, approximate)


@register_backward_kernel("gelu", "cpu", "input", over=True)
def _gelu_backward(g: Any, input: Any, approximate: str, over: bool = False) -> Any:
    found = _kernels(FEWEST_SMOOTH, g, input)
    return NotImplemented if found is None else found.gelu_backward(g, input, approximate, over)
