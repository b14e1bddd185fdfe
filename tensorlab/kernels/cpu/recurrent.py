"""The recurrence of an LSTM in float32."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab._op import register_backward_kernel, register_kernel
from tensorlab.kernels.cpu.loading import all_float32, native

#: Above this size of the hidden state its weights are no longer kept in one block.
LARGEST = 1024


def _suits(arrays: tuple[Any, ...], batch: int, size: int) -> bool:
    return all_float32(*arrays) and 1 <= size <= LARGEST and batch >= 1


@register_kernel("lstm_sequence", "cpu")
def _lstm_sequence(input: Any, h0: Any, c0: Any, weight: Any, bias: Any, reverse: bool) -> Any:
    size = h0.shape[-1]
    if not _suits((input, h0, c0, weight, bias), h0.shape[0], size):
        return NotImplemented
    if input.shape[-1] != 4 * size or weight.shape != (4 * size, size):
        return NotImplemented
    if h0.shape != (input.shape[1], size) or c0.shape != h0.shape:
        return NotImplemented
    found = native("recurrent")
    if found is None:
        return NotImplemented
    return found.lstm_sequence(input, h0, c0, weight, bias, reverse)


@register_backward_kernel("lstm_sequence", "cpu")
def _lstm_backward(
    g: Any, h0: Any, c0: Any, weight: Any, out: Any, bias_shape: Any, reverse: bool, needs: Any
) -> Any:
    hidden, cells, gates = out
    if not _suits((*g, h0, c0, weight, *out), *h0.shape):
        return NotImplemented
    found = native("recurrent")
    if found is None:
        return NotImplemented
    by_gates, by_h, by_c = found.lstm_backward(g, c0, weight, cells, gates, reverse)
    by_weight = by_bias = None
    if needs[3]:
        # The state before each step: the steps moved by one, and the first state in front.
        parts = [hidden[1:], h0[None]] if reverse else [h0[None], hidden[:-1]]
        by_weight = found.weight_gradient(by_gates, np.concatenate(parts))
    if needs[4]:
        by_bias = by_gates.sum(axis=(0, 1))
    return by_gates, by_h, by_c, by_weight, by_bias
