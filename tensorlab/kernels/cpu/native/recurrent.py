"""Recurrent layers: two small matrix products a step, on weights packed once, and fused gates.

The sequences of a batch do not depend on each other: each thread takes some of them through all steps.
What a step needs beside the weights stays in the caches: nothing that the input adds is stored.
"""

# Numba passes the first argument of an intrinsic itself.
# pyright: reportCallIssue=false

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab.kernels.cpu.native.compile import compiled
from tensorlab.kernels.cpu.native.gemm import (
    DEPTH,
    HEIGHT,
    matmul,
    multiply_panels,
    pack_columns,
    pack_rows,
)
from tensorlab.kernels.cpu.native.maths import inlined, sigmoid, tanh
from tensorlab.kernels.cpu.native.team import run_parts
from tensorlab.kernels.cpu.native.tile import LANES, ROWS, VECTORS
from tensorlab.kernels.threads import numbered, split, thread_count

WIDTH = LANES * VECTORS
_ZERO, _ONE = np.float32(0), np.float32(1)
_NONE = np.empty((0, 0, 0), np.float32)


# Of every layer: hidden states before each step ---------------------------------------------


@compiled(
    "void(float32[:, :], float32[:, ::1], float32[::1], float32[::1], float32[:, ::1], float32[:, ::1],"
    " float32[::1], boolean, int64, int64, float32[::1], float32[::1])"
)
def _add_up(x, h, x_panels, h_panels, of_x, of_h, bias, joined, first, last, room, corner):
    """What the input and the state add to the gates: the sum of both in `of_x` if `joined`."""
    count, rows = last - first, of_x.shape[1]
    pack_rows(x, first, last, 0, x.shape[1], room)
    multiply_panels(room, x_panels, x.shape[1], of_x, 0, count, 0, rows, False, corner)
    pack_rows(h, first, last, 0, h.shape[1], room)
    target = of_x if joined else of_h
    multiply_panels(room, h_panels, h.shape[1], target, 0, count, 0, rows, joined, corner)
    for n in range(count):
        line = of_x[n]
        for j in range(rows):
            line[j] += bias[j]


@compiled(
    "void(float32[:, ::1], float32[::1], float32[::1], float32[:, ::1], float32[:, ::1], float32[::1], int64, int64,"
    " boolean, float32[::1], float32[::1])"
)
def _pass_on(by_gates, h_panels, x_panels, by_h, by_x, sums, first, last, add, room, corner):
    """The gradients of the state before a step, added to by_h if `add`, of the step's input, and of the bias.

    `sums`, where the last is added up, is the thread's own: parts of one array would share a line of the cache.
    """
    rows = by_gates.shape[1]
    for n in range(first, last):
        line = by_gates[n]
        for j in range(rows):
            sums[j] += line[j]
    pack_rows(by_gates, first, last, 0, rows, room)
    if len(h_panels):
        multiply_panels(room, h_panels, rows, by_h, first, last, 0, by_h.shape[1], add, corner)
    if len(by_x):
        multiply_panels(room, x_panels, rows, by_x, first, last, 0, by_x.shape[1], False, corner)


@compiled(
    "void(float32[:, :], float32[:, :], float32[:, :], float32[:, ::1], float32[:, ::1], int64, int64)",
    limits=2,
)
def _of_weights(by_gates, h, x, by_w_hh, by_w_ih, top, bottom):
    """by_gates · h and by_gates · x, rows top to bottom of each: two products for one packing."""
    size, features, depth = h.shape[1], x.shape[1], len(x)
    a_room = np.empty((HEIGHT + ROWS) * DEPTH, np.float32)
    h_room, x_room = (
        np.empty((size + WIDTH) * DEPTH, np.float32),
        np.empty((features + WIDTH) * DEPTH, np.float32),
    )
    corner = np.empty(ROWS * WIDTH, np.float32)
    for start in range(0, depth, DEPTH):
        count = min(DEPTH, depth - start)
        pack_columns(h, start, count, 0, size, h_room)
        pack_columns(x, start, count, 0, features, x_room)
        for row in range(top, bottom, HEIGHT):
            below = min(row + HEIGHT, bottom)
            pack_rows(by_gates, row, below, start, count, a_room)
            multiply_panels(a_room, h_room, count, by_w_hh, row, below, 0, size, start > 0, corner)
            multiply_panels(
                a_room, x_room, count, by_w_ih, row, below, 0, features, start > 0, corner
            )


@inlined
def _fill(line, arrived, t, b, start):
    """A line with what has arrived of its gradient at (t, b), from number `start` on; see `_each_step`."""
    if len(arrived):
        more = arrived[t % len(arrived), b, start:]
        for j in range(len(line)):
            line[j] = more[j]
    else:
        for j in range(len(line)):
            line[j] = _ZERO


# LSTM -------------------------------------------------------------------------------------


@compiled(
    "void(float32[:, :, :], float32[:, ::1], float32[:, ::1], float32[::1], float32[::1], float32[::1], boolean,"
    " float32[:, :, ::1], float32[:, :, ::1], float32[:, :, ::1], int64, int64)",
    limits=2,
)
def _lstm(x, h0, c0, x_panels, h_panels, bias, reverse, hidden, cells, gates, first, last):
    """All steps of the sequences first…last of the batch."""
    steps, size, count = len(x), h0.shape[1], last - first
    room = np.empty((count + ROWS) * max(size, x.shape[2]), np.float32)
    sums = np.empty((count, 4 * size), np.float32)
    corner = np.empty(ROWS * WIDTH, np.float32)
    h, c = h0, c0
    for step in range(steps):
        t = steps - 1 - step if reverse else step
        _add_up(x[t], h, x_panels, h_panels, sums, sums, bias, True, first, last, room, corner)
        for n in range(count):
            b = first + n
            z, gate = sums[n], gates[t, b]
            before, cell, state = c[b], cells[t, b], hidden[t, b]
            # A loop for what has nothing to wait for; the tanh of its results is another's.
            for j in range(size):
                i, f = sigmoid(z[j]), sigmoid(z[size + j])
                new, o = tanh(z[2 * size + j]), sigmoid(z[3 * size + j])
                gate[j], gate[size + j], gate[2 * size + j], gate[3 * size + j] = i, f, new, o
                cell[j] = f * before[j] + i * new
            for j in range(size):
                state[j] = gate[3 * size + j] * tanh(cell[j])
        h, c = hidden[t], cells[t]


@compiled(
    "void(float32[:, :, ::1], float32[:, :, ::1], float32[:, :, ::1], float32[:, ::1], float32[::1], float32[::1],"
    " boolean, float32[:, :, ::1], float32[:, :, ::1], float32[:, :, ::1], float32[:, :, ::1], float32[:, ::1],"
    " float32[:, ::1], float32[:, ::1], int64, int64, int64)",
    limits=3,
)
def _lstm_back(
    g_h, g_c, g_gates, c0, h_panels, x_panels, reverse, cells, gates, out, by_x, by_h, by_c, sums, number, first, last
):  # fmt: skip
    """The gradients of the gates, `out`, of the input, the first states and the bias; the last begin as zero.

    Of the bias each part, counted by `number`, has its own sum. g_c and g_gates are of every step, or of one:
    that for all; empty where nobody used the cells and the gates. by_x is empty if it is not wanted.
    """
    steps, size, count = len(g_h), c0.shape[1], last - first
    room, by_bias = np.empty((count + ROWS) * 4 * size, np.float32), np.zeros(4 * size, np.float32)
    corner = np.empty(ROWS * WIDTH, np.float32)
    for step in range(steps):
        t = step if reverse else steps - 1 - step
        for n in range(count):
            b = first + n
            before = c0[b]
            if step < steps - 1:
                before = cells[t + 1 if reverse else t - 1, b]
            gate, found, cell = gates[t, b], out[t, b], cells[t, b]
            of_h, of_c, g_hidden = by_h[b], by_c[b], g_h[t, b]
            # What else arrives is put where it is added, in loops of its own: fewer arrays in the next one,
            # which asks of each that it writes and each other whether they overlap.
            _fill(found, g_gates, t, b, 0)
            if len(g_c):
                g_cell = g_c[t % len(g_c), b]
                for j in range(size):
                    of_c[j] += g_cell[j]
            for j in range(size):
                i, f, new, o = gate[j], gate[size + j], gate[2 * size + j], gate[3 * size + j]
                squashed = tanh(cell[j])
                dh = of_h[j] + g_hidden[j]
                dc = of_c[j] + dh * o * (_ONE - squashed * squashed)
                found[j] = (dc * new + found[j]) * i * (_ONE - i)
                found[size + j] = (dc * before[j] + found[size + j]) * f * (_ONE - f)
                found[2 * size + j] = (dc * i + found[2 * size + j]) * (_ONE - new * new)
                found[3 * size + j] = (dh * squashed + found[3 * size + j]) * o * (_ONE - o)
                of_c[j] = dc * f
        x_now = by_x[t] if len(by_x) else by_h[:0]
        _pass_on(out[t], h_panels, x_panels, by_h, x_now, by_bias, first, last, False, room, corner)
    sums[number, :] = by_bias


# GRU --------------------------------------------------------------------------------------


@compiled(
    "void(float32[:, :, :], float32[:, ::1], float32[::1], float32[::1], float32[::1], float32[::1], boolean,"
    " float32[:, :, ::1], float32[:, :, ::1], int64, int64)",
    limits=2,
)
def _gru(x, h0, x_panels, h_panels, x_bias, h_bias, reverse, hidden, gates, first, last):
    steps, size, count = len(x), h0.shape[1], last - first
    room = np.empty((count + ROWS) * max(size, x.shape[2]), np.float32)
    of_x, of_h = np.empty((count, 3 * size), np.float32), np.empty((count, 3 * size), np.float32)
    corner = np.empty(ROWS * WIDTH, np.float32)
    h = h0
    for step in range(steps):
        t = steps - 1 - step if reverse else step
        _add_up(x[t], h, x_panels, h_panels, of_x, of_h, x_bias, False, first, last, room, corner)
        for n in range(count):
            b = first + n
            p, q, gate, before, state = of_x[n], of_h[n], gates[t, b], h[b], hidden[t, b]
            for j in range(size):
                r = sigmoid(p[j] + q[j] + h_bias[j])
                z = sigmoid(p[size + j] + q[size + j] + h_bias[size + j])
                part = q[2 * size + j] + h_bias[2 * size + j]
                new = tanh(p[2 * size + j] + r * part)
                gate[j], gate[size + j], gate[2 * size + j], gate[3 * size + j] = r, z, new, part
                state[j] = (before[j] - new) * z + new
        h = hidden[t]


@compiled(
    "void(float32[:, :, ::1], float32[:, :, ::1], float32[:, ::1], float32[::1], float32[::1], boolean,"
    " float32[:, :, ::1], float32[:, :, ::1], float32[:, :, ::1], float32[:, :, ::1], float32[:, :, ::1],"
    " float32[:, ::1], float32[:, ::1], float32[:, ::1], int64, int64, int64)",
    limits=3,
)
def _gru_back(
    g_h, g_gates, h0, h_panels, x_panels, reverse, hidden, gates, of_x, of_h, by_x, by_h, x_sums, h_sums, number,
    first, last,
):  # fmt: skip
    """The gradients of what input and state add to the gates, of the input, the first state and both biases.

    g_gates and by_x as for the LSTM.
    """
    steps, size, count = len(g_h), h0.shape[1], last - first
    room = np.empty((count + ROWS) * 3 * size, np.float32)
    by_x_bias, by_h_bias = np.zeros(3 * size, np.float32), np.zeros(3 * size, np.float32)
    corner = np.empty(ROWS * WIDTH, np.float32)
    for step in range(steps):
        t = step if reverse else steps - 1 - step
        for n in range(count):
            b = first + n
            before = h0[b]
            if step < steps - 1:
                before = hidden[t + 1 if reverse else t - 1, b]
            gate, p, q = gates[t, b], of_x[t, b], of_h[t, b]
            arrived, g_hidden = by_h[b], g_h[t, b]
            _fill(p, g_gates, t, b, 0)
            _fill(q[2 * size :], g_gates, t, b, 3 * size)
            for j in range(size):
                r, z, new, part = gate[j], gate[size + j], gate[2 * size + j], gate[3 * size + j]
                dh = arrived[j] + g_hidden[j]
                d_new = (dh * (_ONE - z) + p[2 * size + j]) * (_ONE - new * new)
                d_r = (d_new * part + p[j]) * r * (_ONE - r)
                d_z = (dh * (before[j] - new) + p[size + j]) * z * (_ONE - z)
                p[j], p[size + j], p[2 * size + j] = d_r, d_z, d_new
                q[j], q[size + j], q[2 * size + j] = d_r, d_z, d_new * r + q[2 * size + j]
                arrived[j] = dh * z
        x_now = by_x[t] if len(by_x) else by_h[:0]
        _pass_on(
            of_h[t],
            h_panels,
            x_panels,
            by_h,
            by_h[:0],
            by_h_bias,
            first,
            last,
            True,
            room,
            corner,
        )
        _pass_on(
            of_x[t],
            x_panels[:0],
            x_panels,
            by_h,
            x_now,
            by_x_bias,
            first,
            last,
            False,
            room,
            corner,
        )
    h_sums[number, :] = by_h_bias
    x_sums[number, :] = by_x_bias


# RNN --------------------------------------------------------------------------------------


@compiled(
    "void(float32[:, :, :], float32[:, ::1], float32[::1], float32[::1], float32[::1], boolean, boolean,"
    " float32[:, :, ::1], int64, int64)",
    limits=2,
)
def _rnn(x, h0, x_panels, h_panels, bias, reverse, relu, hidden, first, last):
    steps, size, count = len(x), h0.shape[1], last - first
    room = np.empty((count + ROWS) * max(size, x.shape[2]), np.float32)
    sums = np.empty((count, size), np.float32)
    corner = np.empty(ROWS * WIDTH, np.float32)
    h = h0
    for step in range(steps):
        t = steps - 1 - step if reverse else step
        _add_up(x[t], h, x_panels, h_panels, sums, sums, bias, True, first, last, room, corner)
        for n in range(count):
            z, state = sums[n], hidden[t, first + n]
            if relu:
                for j in range(size):
                    state[j] = _ZERO if z[j] < _ZERO else z[j]  # nan stays
            else:
                for j in range(size):
                    state[j] = tanh(z[j])
        h = hidden[t]


@compiled(
    "void(float32[:, :, ::1], float32[::1], float32[::1], boolean, boolean, float32[:, :, ::1], float32[:, :, ::1],"
    " float32[:, :, ::1], float32[:, ::1], float32[:, ::1], int64, int64, int64)",
    limits=3,
)
def _rnn_back(
    g, h_panels, x_panels, reverse, relu, hidden, out, by_x, by_h, sums, number, first, last
):
    """The gradients of what tanh or relu is of, `out`, of the input, the first state and the bias."""
    steps, size, count = len(g), by_h.shape[1], last - first
    room, by_bias = np.empty((count + ROWS) * size, np.float32), np.zeros(size, np.float32)
    corner = np.empty(ROWS * WIDTH, np.float32)
    for step in range(steps):
        t = step if reverse else steps - 1 - step
        for n in range(count):
            b = first + n
            found, state, arrived, given = out[t, b], hidden[t, b], by_h[b], g[t, b]
            for j in range(size):
                slope = _ONE - state[j] * state[j]
                flat = _ONE if state[j] > _ZERO else _ZERO
                found[j] = (arrived[j] + given[j]) * (flat if relu else slope)
        x_now = by_x[t] if len(by_x) else by_h[:0]
        _pass_on(out[t], h_panels, x_panels, by_h, x_now, by_bias, first, last, False, room, corner)
    sums[number, :] = by_bias


# Calling them -----------------------------------------------------------------------------


def _packed(matrix: np.ndarray) -> np.ndarray:
    """The columns of a matrix as the tiles read them."""
    rows, columns = matrix.shape
    out = np.empty(-(-columns // WIDTH) * WIDTH * rows, np.float32)
    pack_columns(matrix, 0, rows, 0, columns, out)
    return out


def _bias(rows: int, *given: np.ndarray | None) -> np.ndarray:
    """The sum of the biases that there are."""
    total = np.zeros(rows, np.float32)
    for bias in given:
        if bias is not None:
            total += bias
    return total


def _batches(x: np.ndarray, w_hh: np.ndarray, cut: Any = split) -> np.ndarray:
    """The sequences of a batch, one part for each thread."""
    steps, batch, features = x.shape
    work = 2 * steps * batch * w_hh.shape[0] * (features + w_hh.shape[1])
    return cut(batch, thread_count(work), ROWS)


def _room(x: np.ndarray, wanted: bool) -> np.ndarray:
    """Where the gradient of the input goes, if it is wanted."""
    return np.empty(x.shape, np.float32) if wanted else _NONE


def _each_step(g: np.ndarray) -> np.ndarray:
    """A gradient, contiguous; of one step if it is the same at all, of none where nobody used the output."""
    if not any(g.strides) and not g.item(0):
        g = g[:0]
    return np.require(g if g.strides[0] else g[:1], requirements=["C", "W"])


def lstm_sequence(
    x: np.ndarray, h0: np.ndarray, c0: np.ndarray, w_ih: np.ndarray, w_hh: np.ndarray, b_ih: Any, b_hh: Any,
    reverse: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Hidden states, cell states and gates at every step."""
    steps, batch, _ = x.shape
    size = h0.shape[1]
    hidden = np.empty((steps, batch, size), np.float32)
    cells, gates = np.empty_like(hidden), np.empty((steps, batch, 4 * size), np.float32)
    h0, c0 = np.ascontiguousarray(h0), np.ascontiguousarray(c0)
    given = (x, h0, c0, _packed(w_ih.T), _packed(w_hh.T), _bias(4 * size, b_ih, b_hh), reverse)
    run_parts(_lstm, _batches(x, w_hh), *given, hidden, cells, gates)
    return hidden, cells, gates


def lstm_backward(
    g: tuple[np.ndarray, ...], x: np.ndarray, c0: np.ndarray, w_ih: np.ndarray, w_hh: np.ndarray,
    cells: np.ndarray, gates: np.ndarray, reverse: bool, with_input: bool,
) -> tuple[np.ndarray, ...]:  # fmt: skip
    """The gradients of the gates, of the input (empty unless it is wanted), the first states and the bias."""
    out, by_x = np.empty(gates.shape, np.float32), _room(x, with_input)
    by_h, by_c = np.zeros_like(c0, order="C"), np.zeros_like(c0, order="C")
    g_h, g_c, g_gates = (
        np.require(g[0], requirements=["C", "W"]),
        *(_each_step(part) for part in g[1:]),
    )
    c0, cells, gates = (np.ascontiguousarray(a) for a in (c0, cells, gates))
    given = (g_h, g_c, g_gates, c0, _packed(w_hh), _packed(w_ih), reverse, cells, gates)
    parts = _batches(x, w_hh, numbered)
    sums = np.empty((len(parts), len(w_hh)), np.float32)
    run_parts(_lstm_back, parts, *given, out, by_x, by_h, by_c, sums)
    return out, by_x, by_h, by_c, sums.sum(0)


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
    hidden = np.empty((steps, batch, size), np.float32)
    gates = np.empty((steps, batch, 4 * size), np.float32)
    biases = _bias(3 * size, b_ih), _bias(3 * size, b_hh)
    given = (x, np.ascontiguousarray(h0), _packed(w_ih.T), _packed(w_hh.T), *biases, reverse)
    run_parts(_gru, _batches(x, w_hh), *given, hidden, gates)
    return hidden, gates


def gru_backward(
    g: tuple[np.ndarray, ...], x: np.ndarray, h0: np.ndarray, w_ih: np.ndarray, w_hh: np.ndarray,
    hidden: np.ndarray, gates: np.ndarray, reverse: bool, with_input: bool,
) -> tuple[np.ndarray, ...]:  # fmt: skip
    """The gradients of what input and state add to the gates, of the input, the first state and both biases."""
    of_x = np.empty((*x.shape[:2], w_hh.shape[0]), np.float32)
    of_h, by_x, by_h = np.empty_like(of_x), _room(x, with_input), np.zeros_like(h0, order="C")
    g_h, g_gates = np.require(g[0], requirements=["C", "W"]), _each_step(g[1])
    h0, hidden, gates = (np.ascontiguousarray(a) for a in (h0, hidden, gates))
    given = (g_h, g_gates, h0, _packed(w_hh), _packed(w_ih), reverse, hidden, gates)
    parts = _batches(x, w_hh, numbered)
    sums = np.empty((2, len(parts), len(w_hh)), np.float32)
    run_parts(_gru_back, parts, *given, of_x, of_h, by_x, by_h, *sums)
    return of_x, of_h, by_x, by_h, *sums.sum(1)


def rnn_sequence(
    x: np.ndarray, h0: np.ndarray, w_ih: np.ndarray, w_hh: np.ndarray, b_ih: Any, b_hh: Any, reverse: bool,
    relu: bool,
) -> np.ndarray:  # fmt: skip
    """Hidden states at every step."""
    hidden = np.empty((*x.shape[:2], h0.shape[1]), np.float32)
    bias = _bias(h0.shape[1], b_ih, b_hh)
    given = (x, np.ascontiguousarray(h0), _packed(w_ih.T), _packed(w_hh.T), bias, reverse, relu)
    run_parts(_rnn, _batches(x, w_hh), *given, hidden)
    return hidden


def rnn_backward(
    g: np.ndarray, x: np.ndarray, w_ih: np.ndarray, w_hh: np.ndarray, hidden: np.ndarray, reverse: bool,
    relu: bool, with_input: bool,
) -> tuple[np.ndarray, ...]:  # fmt: skip
    """The gradients of what tanh or relu is of, of the input, the first state and the bias."""
    out, by_x = np.empty(hidden.shape, np.float32), _room(x, with_input)
    by_h = np.zeros(hidden.shape[1:], np.float32)
    g, hidden = np.require(g, requirements=["C", "W"]), np.ascontiguousarray(hidden)
    given = (g, _packed(w_hh), _packed(w_ih), reverse, relu, hidden)
    parts = _batches(x, w_hh, numbered)
    sums = np.empty((len(parts), len(w_hh)), np.float32)
    run_parts(_rnn_back, parts, *given, out, by_x, by_h, sums)
    return out, by_x, by_h, sums.sum(0)


def _flat(x: np.ndarray) -> np.ndarray:
    return x.reshape(-1, x.shape[-1])


def weight_gradient(by_gates: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Σ over all steps and sequences of (gradient of the gates)ᵀ · what the weights multiplied."""
    return matmul(_flat(by_gates).T, _flat(of))


def weight_gradients(
    by_gates: np.ndarray, x: np.ndarray, before: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The same for both weights, of which the input and the state before were multiplied by."""
    turned, inputs, states = _flat(by_gates).T, _flat(x), _flat(before)
    rows = len(turned)
    by_w_ih = np.empty((rows, inputs.shape[1]), np.float32)
    by_w_hh = np.empty((rows, states.shape[1]), np.float32)
    work = 2 * by_gates.size * (inputs.shape[1] + states.shape[1])
    parts = split(rows, thread_count(work), ROWS)
    run_parts(_of_weights, parts, turned, states, inputs, by_w_hh, by_w_ih)
    return by_w_ih, by_w_hh
