"""A linear layer and the activation behind it, as one operation on devices that have a kernel for both."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tensorlab import _apply
from tensorlab._backend import backend_of
from tensorlab._graph import mode
from tensorlab._tensor import Tensor
from tensorlab.nn import functional as F
from tensorlab.nn.modules.activation import GELU, ReLU
from tensorlab.nn.modules.linear import Linear
from tensorlab.nn.modules.module import Module
from tensorlab.ops.linear_activation import linear_gelu, linear_relu

__all__ = ["activated", "in_a_row", "joins"]


def joins(input: Any) -> bool:
    """Whether `input` is on a device with kernels that compute both at once, and nobody watches operations.

    On the CPU only where no graph is recorded: there one pass less saves little, and in a graph each layer is
    worth finding; and not of so few numbers that one call less saves nothing.
    """
    if not isinstance(input, Tensor):
        return False
    kind, op = backend_of(input._data).kind, linear_relu.op
    if kind not in op.kernels:
        return False
    if kind == "cpu" and (mode.grad or input._data.size <= op.small):
        return False
    return not any(getattr(observer, "looks", True) for observer in _apply.observers)


def activated(layer: Module, activation: Callable[[Tensor], Tensor], input: Tensor) -> Tensor:
    """activation(layer(input)).

    That is one operation if `layer` is a `Linear` and `activation` ReLU or GELU, the device has a kernel for
    both, and nobody could see what is between them: neither has a hook or a `forward` of its own, and nobody
    watches operations.
    """
    if joins(input) and type(layer) is Linear and _is_plain(layer):
        function = _joined(activation)
        if function is not None:
            return function(input, layer.weight, layer.bias)
    return activation(layer(input))


def in_a_row(modules: Iterable[Module], input: Any) -> Any:
    """Each module on the output of the one before; linear layers are `activated` by what is behind them."""
    waiting: Module | None = None  # a linear layer, until it is known what comes behind it
    for module in modules:
        if type(module) is Linear:
            input = input if waiting is None else waiting(input)
            waiting = module
        elif waiting is None:
            input = module(input)
        else:
            input, waiting = activated(waiting, module, input), None
    return input if waiting is None else waiting(input)


def _is_plain(module: Module) -> bool:
    """Whether calling a module of the library is its class's `forward` and nothing else."""
    return not module._is_hooked() and "forward" not in module.__dict__


def _joined(activation: Any) -> Callable[..., Tensor] | None:
    """The operation that is a linear layer with this activation."""
    if activation is F.relu or (type(activation) is ReLU and _is_plain(activation)):
        return linear_relu
    if activation is F.gelu:
        return _gelu
    if type(activation) is GELU and _is_plain(activation):
        approximate = activation.approximate
        return lambda *inputs: _gelu(*inputs, approximate=approximate)
    return None


def _gelu(*inputs: Any, approximate: str = "none") -> Tensor:
    if not mode.grad:
        return linear_gelu(*inputs, approximate=approximate, keep=False)
    return linear_gelu(*inputs, approximate=approximate)[0]
