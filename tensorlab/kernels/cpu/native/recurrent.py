"""Recurrent layers: weights packed once, the way through the sequences, the gradients of the weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab.kernels.cpu.native.gates import gru, gru_back, lstm, lstm_back, rnn, rnn_back
from tensorlab.kernels.cpu.native.steps import (
    WIDTH,
    laid,
    pack_below,
    pack_beside,
    weight_gradients,
)
from tensorlab.kernels.cpu.native.team import run_parts
from tensorlab.kernels.cpu.native.tile import LANES, ROWS
from tensorlab.kernels.threads import numbered, pass_threads, split, thread_count

__all__ = [
    "gru_backward", "gru_sequence", "lstm_backward", "lstm_sequence", "rnn_backward", "rnn_sequence",
]  # fmt: skip

_NONE = np.empty((0, 0, 0), np.float32)


def _panels(
    kernel: Any, one: np.ndarray, other: np.ndarray, depth: int, columns: int
) -> np.ndarray:
    """Two matrices packed together, for a product of this depth with so many columns."""
    count = -(-columns // WIDTH)
    out = np.empty(count * WIDTH * depth, np.float32)
    run_parts(kernel, split(count, pass_threads(out.size)), one, other, out)
    return out


def _below(w_ih: np.ndarray, w_hh: np.ndarray) -> np.ndarray:
    """The weights for the product of [input | state], on the way forward."""
    rows, depth = len(w_hh), w_ih.shape[1] + w_hh.shape[1]
    return _panels(pack_below, w_ih.T, w_hh.T, depth, rows)


def _beside(w_hh: np.ndarray, w_ih: np.ndarray) -> np.ndarray:
    """The weights for the products that give the gradients of [state | input], on the way back."""
    columns = -(-w_hh.shape[1] // LANES) * LANES + w_ih.shape[1]
    return _panels(pack_beside, w_hh, w_ih, len(w_hh), columns)


def _bias(rows: int, *given: np.ndarray | None) -> np.ndarray:
    """The sum of the biases that there are."""
    there = [b for b in given if b is not None]
    if len(there) == 2:
        return there[0] + there[1]
    return np.array(there[0]) if there else np.zeros(rows, np.float32)


def _batches(x: np.ndarray, w_hh: np.ndarray, cut: Any = split) -> np.ndarray:
    """The sequences of a batch, one part for each thread."""
    steps, batch, features = x.shape
    work = 2 * steps * batch * w_hh.shape[0] * (features + w_hh.shape[1])
    return cut(batch, thread_count(work), ROWS)


def _lines(array: np.ndarray) -> np.ndarray:
    """An array whose numbers are neighbours, of one step if it has no steps."""
    if array.strides[-1] != array.itemsize or not array.flags.writeable:
        array = np.array(array, order="C")
    return array if array.ndim == 3 else array[None]


def _like(x: np.ndarray, size: int) -> np.ndarray:
    """Room for so many numbers of each sequence at each step, in memory in the order of x."""
    steps, batch, _ = x.shape
    if x.strides[0] < x.strides[1]:
        return np.empty((batch, steps, size), np.float32).transpose(1, 0, 2)
    return np.empty((steps, batch, size), np.float32)


def _room(x: np.ndarray, wanted: bool) -> np.ndarray:
    """Where the gradient of the input goes, if it is wanted."""
    return _like(x, x.shape[2]) if wanted else _NONE


def _laid(x: np.ndarray, rows: int, columns: int, wanted: bool) -> tuple[np.ndarray, np.ndarray]:
    """Where slopes and inputs of the weights' gradients are laid out, if those are wanted."""
    return laid(rows, columns, x.shape[0] * x.shape[1] if wanted else 0)


def _each_step(g: np.ndarray) -> np.ndarray:
    """A gradient, contiguous; of one step if it is the same at all, of none where nobody used the output."""
    if not any(g.strides) and not g.item(0):
        return _NONE
    return np.require(g if g.strides[0] else g[:1], requirements=["C", "W"])


def lstm_sequence(
    x: np.ndarray, h0: np.ndarray, c0: np.ndarray, w_ih: np.ndarray, w_hh: np.ndarray, b_ih: Any, b_hh: Any,
    reverse: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Hidden states, cell states and gates at every step."""
    steps, batch, _ = x.shape
    size = h0.shape[1]
    hidden, cells = _like(x, size), np.empty((steps, batch, size), np.float32)
    gates = np.empty((steps, batch, 4 * size), np.float32)
    panels, bias = _below(w_ih, w_hh), _bias(4 * size, b_ih, b_hh)
    given = (_lines(x), _lines(h0), np.ascontiguousarray(c0), panels, bias, reverse)
    run_parts(lstm, _batches(x, w_hh), *given, hidden, cells, gates)
    return hidden, cells, gates


def lstm_backward(
    g: tuple[np.ndarray, ...], x: np.ndarray, h0: np.ndarray, c0: np.ndarray, w_ih: np.ndarray, w_hh: np.ndarray,
    hidden: np.ndarray, cells: np.ndarray, gates: np.ndarray, reverse: bool, with_input: bool, with_weights: bool,
) -> tuple[np.ndarray, ...]:  # fmt: skip
    """The gradients of the input (empty unless wanted), the first states, both weights (likewise) and the bias."""
    rows, size = w_hh.shape
    by_x, by_h = _room(x, with_input), np.empty((1, *h0.shape), np.float32)
    by_c = np.zeros(c0.shape, np.float32)
    panels = _beside(w_hh, w_ih if with_input else w_ih[:, :0])
    room = _laid(x, rows, -(-size // LANES) * LANES + x.shape[2], with_weights)
    c0, cells, gates = (np.ascontiguousarray(a) for a in (c0, cells, gates))
    slopes, starts = (_lines(g[0]), _each_step(g[1]), _each_step(g[2])), (_lines(h0), c0)
    given = (*slopes, _lines(x), *starts, panels, reverse, _lines(hidden), cells, gates)
    parts = _batches(x, w_hh, numbered)
    sums = np.empty((len(parts), rows), np.float32)
    run_parts(lstm_back, parts, *given, by_x, by_h, by_c, *room, sums)
    by_weights = weight_gradients(*room, rows, size, x.shape[2]) if with_weights else (_NONE, _NONE)
    return by_x, by_h[0], by_c, *by_weights, sums.sum(0)


def gru_sequence(
    x: np.ndarray,
    h0: np.ndarray,
    w_ih: np.ndarray,
    w_hh: np.ndarray,
    b_ih: Any,
    b_hh: Any,
    reverse: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Hidden states and gates at every step."""
    steps, batch, _ = x.shape
    size = h0.shape[1]
    hidden, gates = _like(x, size), np.empty((steps, batch, 4 * size), np.float32)
    panels = _below(w_ih, w_hh[:, :0]), _below(w_ih[:, :0], w_hh)
    biases = _bias(3 * size, b_ih), _bias(3 * size, b_hh)
    given = (_lines(x), _lines(h0), *panels, *biases, reverse)
    run_parts(gru, _batches(x, w_hh), *given, hidden, gates)
    return hidden, gates


def gru_backward(
    g: tuple[np.ndarray, ...], x: np.ndarray, h0: np.ndarray, w_ih: np.ndarray, w_hh: np.ndarray,
    hidden: np.ndarray, gates: np.ndarray, reverse: bool, with_input: bool, with_weights: bool,
) -> tuple[np.ndarray, ...]:  # fmt: skip
    """The gradients of the input, the first state, both weights and both biases."""
    rows, size = w_hh.shape
    features = x.shape[2]
    by_x, by_h = _room(x, with_input), np.empty((1, *h0.shape), np.float32)
    panels = _beside(w_ih[:, :0], w_ih), _beside(w_hh, w_hh[:, :0])
    of_x, of_h = (_laid(x, rows, columns, with_weights) for columns in (features, size))
    g_gates = _each_step(g[1])
    slopes = _lines(g[0]), g_gates[..., : 3 * size], g_gates[..., 3 * size :]
    given = (*slopes, _lines(x), _lines(h0), *panels, reverse)
    parts = _batches(x, w_hh, numbered)
    sums = np.empty((2, len(parts), rows), np.float32)
    states = _lines(hidden), np.ascontiguousarray(gates)
    run_parts(gru_back, parts, *given, *states, by_x, by_h, *of_x, *of_h, *sums)
    by_w_ih = by_w_hh = _NONE
    if with_weights:
        by_w_ih, _ = weight_gradients(*of_x, rows, 0, features)
        _, by_w_hh = weight_gradients(*of_h, rows, size, 0)
    return by_x, by_h[0], by_w_ih, by_w_hh, *sums.sum(1)


def rnn_sequence(
    x: np.ndarray, h0: np.ndarray, w_ih: np.ndarray, w_hh: np.ndarray, b_ih: Any, b_hh: Any, reverse: bool,
    relu: bool,
) -> np.ndarray:  # fmt: skip
    """Hidden states at every step."""
    hidden = _like(x, h0.shape[1])
    panels, bias = _below(w_ih, w_hh), _bias(h0.shape[1], b_ih, b_hh)
    given = (_lines(x), _lines(h0), panels, bias, reverse, relu)
    run_parts(rnn, _batches(x, w_hh), *given, hidden)
    return hidden


def rnn_backward(
    g: np.ndarray, x: np.ndarray, h0: np.ndarray, w_ih: np.ndarray, w_hh: np.ndarray, hidden: np.ndarray, reverse: bool,
    relu: bool, with_input: bool, with_weights: bool,
) -> tuple[np.ndarray, ...]:  # fmt: skip
    """The gradients of the input, the first state, both weights and the bias."""
    size = len(w_hh)
    by_x, by_h = _room(x, with_input), np.empty((1, *h0.shape), np.float32)
    panels = _beside(w_hh, w_ih if with_input else w_ih[:, :0])
    room = _laid(x, size, -(-size // LANES) * LANES + x.shape[2], with_weights)
    given = (_lines(g), _lines(x), _lines(h0), panels, reverse, relu, _lines(hidden))
    parts = _batches(x, w_hh, numbered)
    sums = np.empty((len(parts), size), np.float32)
    run_parts(rnn_back, parts, *given, by_x, by_h, *room, sums)
    by_weights = weight_gradients(*room, size, size, x.shape[2]) if with_weights else (_NONE, _NONE)
    return by_x, by_h[0], *by_weights, sums.sum(0)
