"""CUDA kernels: text in `.cu` files, and for each a module that says which of them runs on what.

Nothing is compiled, and no module here but this one is imported, before an operation meets a CUDA array:
`KERNELS` and `GRADIENTS` say where to look then. The files are meant to be read: `softmax.cu` first, with
`common.cuh` beside it; `launch.py` is how Python starts a kernel.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from tensorlab._op import register_backward_kernel, register_kernel

__all__ = ["CHAINS", "GRADIENTS", "KERNELS"]

#: The fast path of each operation: "module.function".
KERNELS = {
    "batch_moments": "norm.batch_moments",
    "celu": "chains.celu",
    "convolution": "conv.convolution",
    "convolution_input": "conv.convolution_input",
    "convolution_weight": "conv.convolution_weight",
    "embedding": "embedding.embedding",
    "embedding_rows": "embedding.embedding_rows",
    "cross_entropy": "loss.cross_entropy",
    "fused_rms_norm": "norm.rms_norm",
    "gelu": "chains.gelu",
    "gru_sequence": "recurrent.gru_sequence",
    "linear": "linear.linear",
    "linear_gelu": "linear.linear_gelu",
    "linear_relu": "linear.linear_relu",
    "log_softmax": "softmax.log_softmax",
    "lstm_sequence": "recurrent.lstm_sequence",
    "matmul": "linear.matmul",
    "mm": "linear.matmul",
    "native_batch_norm": "norm.plane_norm",
    "native_group_norm": "norm.plane_norm",
    "native_layer_norm": "norm.layer_norm",
    "philox_dropout": "dropout.dropout",
    "scaled_dot_product_attention": "attention.attention",
    "scaled_dot_product_attention_backward": "attention.attention_backward",
    "softmax": "softmax.softmax",
    "sum_to": "linear.sum_to",
}
#: The fast path of the gradient rule by each input; None is the joint rule of all inputs.
GRADIENTS = {
    ("celu", "input"): "chains.celu_backward",
    ("embedding", "weight"): "embedding.embedding_backward",
    ("cross_entropy", "input"): "loss.cross_entropy_backward",
    ("fused_rms_norm", None): "norm.rms_norm_backward",
    ("gelu", "input"): "chains.gelu_backward",
    ("gru_sequence", None): "recurrent.gru_backward",
    ("linear", "bias"): "linear.linear_by_bias",
    ("linear", "input"): "linear.linear_by_input",
    ("linear", "weight"): "linear.linear_by_weight",
    ("linear_gelu", None): "linear.linear_gelu_backward",
    ("linear_relu", None): "linear.linear_relu_backward",
    ("log_softmax", "input"): "softmax.log_softmax_backward",
    ("lstm_sequence", None): "recurrent.lstm_backward",
    ("native_batch_norm", None): "norm.plane_norm_backward",
    ("native_group_norm", None): "norm.plane_norm_backward",
    ("native_layer_norm", None): "norm.layer_norm_backward",
    ("softmax", "input"): "softmax.softmax_backward",
}
#: Activations that are a chain of that name, forward and backward.
CHAINS = (
    "elu", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "log_sigmoid", "mish", "relu", "sigmoid", "silu",
    "softplus",
)  # fmt: skip


def _later(place: str, *first: Any) -> Callable[..., Any]:
    """A function of a module here, which is imported at the first call; `first` are its first arguments."""
    module, name = place.split(".")
    found: list[Callable[..., Any]] = []

    def run(*given: Any) -> Any:
        if not found:
            found.append(getattr(importlib.import_module(f"{__name__}.{module}"), name))
        return found[0](*first, *given)

    return run


for _op, _place in KERNELS.items():
    register_kernel(_op, "cuda")(_later(_place))
for (_op, _input), _place in GRADIENTS.items():
    register_backward_kernel(_op, "cuda", _input)(_later(_place))
for _name in CHAINS:
    register_kernel(_name, "cuda")(_later("chains.forward", _name))
    register_backward_kernel(_name, "cuda", "input")(_later("chains.backward", _name))
