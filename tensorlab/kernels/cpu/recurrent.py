"""Recurrent layers over whole sequences in float32."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab._op import register_backward_kernel, register_kernel
from tensorlab.kernels.cpu.loading import all_float32, native

#: Above this size of the hidden state its weights are no longer kept in one block.
LARGEST = 1024


def _kernels(
    gates: int, x: Any, states: tuple[Any, ...], w_ih: Any, w_hh: Any, *others: Any
) -> Any:
    """The compiled layers, if they suit: all float32, and of shapes that fit each other."""
    size = states[0].shape[-1]
    if not all_float32(x, *states, w_ih, w_hh, *others) or not 1 <= size <= LARGEST or not x.size:
        return None
    rows = gates * size
    if w_ih.shape != (rows, x.shape[-1]) or w_hh.shape != (rows, size):
        return None
    if any(h.shape != (x.shape[1], size) for h in states):
        return None
    return native("recurrent")


def _biases_fit(b_ih: Any, b_hh: Any, w_hh: Any) -> bool:
    return all(b is None or b.shape == w_hh.shape[:1] for b in (b_ih, b_hh))


@register_kernel("lstm_sequence", "cpu")
def _lstm(x: Any, h0: Any, c0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, reverse: bool) -> Any:  # fmt: skip
    found = _kernels(4, x, (h0, c0), w_ih, w_hh, b_ih, b_hh)
    if found is None or not _biases_fit(b_ih, b_hh, w_hh):
        return NotImplemented
    return found.lstm_sequence(x, h0, c0, w_ih, w_hh, b_ih, b_hh, reverse)


@register_backward_kernel("lstm_sequence", "cpu")
def _lstm_backward(
    g: Any, x: Any, h0: Any, c0: Any, w_ih: Any, w_hh: Any, out: Any, reverse: bool, needs: Any
) -> Any:
    found = _kernels(4, x, (h0, c0), w_ih, w_hh, *out)
    if found is None or any(part.dtype != np.float32 for part in g):
        return NotImplemented
    by_x, by_h, by_c, by_w_ih, by_w_hh, by_bias = found.lstm_backward(
        g, x, h0, c0, w_ih, w_hh, *out, reverse, needs[0], needs[3] or needs[4]
    )
    return _wanted(needs, by_x, by_h, by_c, by_w_ih, by_w_hh, by_bias, by_bias)


@register_kernel("gru_sequence", "cpu")
def _gru(x: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, reverse: bool) -> Any:
    found = _kernels(3, x, (h0,), w_ih, w_hh, b_ih, b_hh)
    if found is None or not _biases_fit(b_ih, b_hh, w_hh):
        return NotImplemented
    return found.gru_sequence(x, h0, w_ih, w_hh, b_ih, b_hh, reverse)


@register_backward_kernel("gru_sequence", "cpu")
def _gru_backward(
    g: Any, x: Any, h0: Any, w_ih: Any, w_hh: Any, out: Any, reverse: bool, needs: Any
) -> Any:
    found = _kernels(3, x, (h0,), w_ih, w_hh, *out)
    if found is None or any(part.dtype != np.float32 for part in g):
        return NotImplemented
    return _wanted(
        needs,
        *found.gru_backward(g, x, h0, w_ih, w_hh, *out, reverse, needs[0], needs[2] or needs[3]),
    )


@register_kernel("rnn_sequence", "cpu")
def _rnn(x: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, reverse: bool, relu: bool) -> Any:  # fmt: skip
    found = _kernels(1, x, (h0,), w_ih, w_hh, b_ih, b_hh)
    if found is None or not _biases_fit(b_ih, b_hh, w_hh):
        return NotImplemented
    return found.rnn_sequence(x, h0, w_ih, w_hh, b_ih, b_hh, reverse, relu)


@register_backward_kernel("rnn_sequence", "cpu")
def _rnn_backward(
    g: Any, x: Any, h0: Any, w_ih: Any, w_hh: Any, out: Any, reverse: bool, relu: bool, needs: Any
) -> Any:
    found = _kernels(1, x, (h0,), w_ih, w_hh, out)
    if found is None or g.dtype != np.float32:
        return NotImplemented
    by_x, by_h, by_w_ih, by_w_hh, by_bias = found.rnn_backward(
        g, x, h0, w_ih, w_hh, out, reverse, relu, needs[0], needs[2] or needs[3]
    )
    return _wanted(needs, by_x, by_h, by_w_ih, by_w_hh, by_bias, by_bias)


def _wanted(needs: tuple[bool, ...], *gradients: Any) -> tuple[Any, ...]:
    return tuple(g if need else None for g, need in zip(gradients, needs, strict=True))
