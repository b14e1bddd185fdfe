"""Activations as chains: each one pass over memory, forward and backward (see `chain.py`)."""

from __future__ import annotations

from typing import Any

from tensorlab.kernels.activations import accepts
from tensorlab.kernels.cuda.chain import (
    Chain,
    Value,
    exp,
    expm1,
    function,
    log1p,
    magnitude,
    tanh,
    where,
)
from tensorlab.kernels.cuda.launch import suits, wide_variants


def _sigmoid(x: Value) -> Value:
    e = exp(-magnitude(x))  # never overflows
    return where(x >= 0, 1, e) / (1 + e)


def _softplus(x: Value) -> Value:
    return where(x > 0, x, 0) + log1p(exp(-magnitude(x)))


def _silu_backward(g: Value, x: Value) -> Value:
    s = _sigmoid(x)
    return g * (s * (1 + x * (1 - s)))


def _mish_backward(g: Value, x: Value) -> Value:
    t = tanh(_softplus(x))
    return g * (t + x * _sigmoid(x) * (1 - t * t))


def _elu(x: Value, alpha: Value, scale: Value, input_scale: Value) -> Value:
    return where(x > 0, scale * x, scale * alpha * expm1(x * input_scale))


def _elu_backward(g: Value, x: Value, alpha: Value, scale: Value, input_scale: Value) -> Value:
    return where(x > 0, g * scale, g * (scale * alpha * input_scale * exp(x * input_scale)))


#: Forward of x and the operation's numbers; backward of g, of what is kept, and of the numbers.
_CHAINS = {
    "relu": (function("ReLU::of"), function("ReLU::back"), ""),
    "sigmoid": (_sigmoid, lambda g, out: g * (out * (1 - out)), ""),
    "silu": (lambda x: x * _sigmoid(x), _silu_backward, ""),
    "mish": (lambda x: x * tanh(_softplus(x)), _mish_backward, ""),
    "log_sigmoid": (lambda x: -_softplus(-x), lambda g, x: g * _sigmoid(-x), ""),
    "softplus": (
        lambda x, beta, threshold: where(x * beta > threshold, x, _softplus(x * beta) / beta),
        lambda g, x, beta, threshold: where(x * beta > threshold, g, g * _sigmoid(x * beta)),
        "beta threshold",
    ),
    "elu": (_elu, _elu_backward, "alpha scale input_scale"),
    "leaky_relu": (
        lambda x, slope: where(x > 0, x, x * slope),
        lambda g, x, slope: where(x > 0, g, g * slope),
        "slope",
    ),
    "hardtanh": (
        lambda x, low, high: where(x < low, low, where(x > high, high, x)),
        lambda g, x, low, high: where((x <= low) | (x >= high), 0, g),
        "low high",
    ),
    "hardsigmoid": (
        lambda x: where(x <= -3, 0, where(x >= 3, 1, x / 6.0 + 0.5)),
        lambda g, x: where((x > -3) & (x < 3), g * (1.0 / 6.0), 0),
        "",
    ),
    "hardswish": (
        lambda x: x * where(x <= -3, 0, where(x >= 3, 1, x / 6.0 + 0.5)),
        lambda g, x: where(x <= -3, 0, where(x < 3, g * (x / 3.0 + 0.5), g)),
        "",
    ),
    "gelu": (function("GELU::of"), function("GELU::back"), ""),
    "gelu_tanh": (function("GELUTanh::of"), function("GELUTanh::back"), ""),
}  # fmt: skip

FORWARD = {n: Chain(n, f, "x", numbers) for n, (f, _, numbers) in _CHAINS.items()}
BACKWARD = {n: Chain(f"{n}_backward", b, "g x", numbers) for n, (_, b, numbers) in _CHAINS.items()}
INSTANCES = wide_variants(*[c.name for c in (*FORWARD.values(), *BACKWARD.values())])


def forward(name: str, input: Any, *numbers: Any) -> Any:
    """The activation `name` of an array, or NotImplemented."""
    suitable = suits(input) and accepts(name, numbers)
    return FORWARD[name](input, *numbers) if suitable else NotImplemented


def backward(name: str, g: Any, kept: Any, *numbers: Any) -> Any:
    """Its gradient, from that of the result and from the input (the result, of relu and sigmoid)."""
    suitable = suits(g, kept) and g.shape == kept.shape and accepts(name, numbers)
    return BACKWARD[name](g, kept, *numbers) if suitable else NotImplemented


def _gelu_name(approximate: Any) -> str:
    return {"none": "gelu", "tanh": "gelu_tanh"}.get(approximate, "")


def gelu(input: Any, approximate: Any) -> Any:
    name = _gelu_name(approximate)
    return forward(name, input) if name else NotImplemented


def gelu_backward(g: Any, input: Any, approximate: Any) -> Any:
    name = _gelu_name(approximate)
    return backward(name, g, input) if name else NotImplemented


def celu(input: Any, alpha: Any) -> Any:
    return forward("elu", input, alpha, 1.0, 1.0 / alpha) if alpha else NotImplemented


def celu_backward(g: Any, input: Any, alpha: Any) -> Any:
    return backward("elu", g, input, alpha, 1.0, 1.0 / alpha)
