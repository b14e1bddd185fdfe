"""LSTM, GRU and RNN: all steps of some sequences of a batch, forward and back, with the formulas of the gates.

The sequences do not depend on each other: each thread takes some of them through all steps. What a step
needs beside the weights stays in the caches: nothing that the input adds is stored.
"""

# Numba passes the first argument of an intrinsic itself.
# pyright: reportCallIssue=false

from __future__ import annotations

import numpy as np

from tensorlab.kernels.cpu.native.compile import apart, compiled
from tensorlab.kernels.cpu.native.maths import sigmoid, tanh
from tensorlab.kernels.cpu.native.steps import (
    add_rows,
    lay_inputs,
    lay_slopes,
    multiply_rows,
    read_rows,
    round_up,
    total_rows,
    write_rows,
)
from tensorlab.kernels.cpu.native.tile import LANES, ROWS

__all__ = ["gru", "gru_back", "lstm", "lstm_back", "rnn", "rnn_back"]

_ZERO, _ONE = np.float32(0), np.float32(1)


# LSTM -------------------------------------------------------------------------------------


@compiled(
    "void(float32[:, ::1], float32[::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], int64)"
)
def _lstm_gates(sums, bias, before, gates, cells, joint, column):
    """One step: gates and cells of the sums, and the states into `joint`, from the column on."""
    apart()
    size = before.shape[1]
    for n in range(len(before)):
        z, last, gate, cell, state = sums[n], before[n], gates[n], cells[n], joint[n, column:]
        # A loop for what has nothing to wait for; the tanh of its results is another's.
        for j in range(size):
            i = sigmoid(z[j] + bias[j])
            f = sigmoid(z[size + j] + bias[size + j])
            new = tanh(z[2 * size + j] + bias[2 * size + j])
            o = sigmoid(z[3 * size + j] + bias[3 * size + j])
            gate[j], gate[size + j], gate[2 * size + j], gate[3 * size + j] = i, f, new, o
            cell[j] = f * last[j] + i * new
        for j in range(size):
            state[j] = gate[3 * size + j] * tanh(cell[j])


@compiled(
    "void(float32[:, :, :], float32[:, :, :], float32[:, ::1], float32[::1], float32[::1], boolean,"
    " float32[:, :, :], float32[:, :, ::1], float32[:, :, ::1], int64, int64)",
    limits=2,
)
def lstm(x, h0, c0, panels, bias, reverse, hidden, cells, gates, first, last):
    """All steps of the sequences first…last of the batch."""
    steps, features, size = len(x), x.shape[2], h0.shape[2]
    rows, depth = round_up(last - first, ROWS), features + size
    joint = np.zeros((rows, depth), np.float32)
    sums = np.empty((rows, round_up(4 * size, LANES)), np.float32)
    read_rows(h0, 0, first, last, joint, features)
    before = c0[first:last]
    for step in range(steps):
        t = steps - 1 - step if reverse else step
        read_rows(x, t, first, last, joint, 0)
        multiply_rows(joint, 0, depth, panels, sums, False)
        cell = cells[t, first:last]
        _lstm_gates(sums, bias, before, gates[t, first:last], cell, joint, features)
        write_rows(hidden, t, first, last, joint, features)
        before = cell


@compiled(
    "void(float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1])"
)
def _lstm_slopes(gates, cells, before, by_h, by_c, slopes):
    """Back through one step: from the gradients of h and c those of the sums; by_c becomes that of c before."""
    apart()
    size = cells.shape[1]
    for n in range(len(cells)):
        gate, cell, last, of_h, of_c, out = (
            gates[n], cells[n], before[n], by_h[n], by_c[n], slopes[n],
        )  # fmt: skip
        for j in range(size):
            i, f, new, o = gate[j], gate[size + j], gate[2 * size + j], gate[3 * size + j]
            squashed, dh = tanh(cell[j]), of_h[j]
            dc = of_c[j] + dh * o * (_ONE - squashed * squashed)
            out[j] = dc * new * i * (_ONE - i)
            out[size + j] = dc * last[j] * f * (_ONE - f)
            out[2 * size + j] = dc * i * (_ONE - new * new)
            out[3 * size + j] = dh * squashed * o * (_ONE - o)
            of_c[j] = dc * f


@compiled("void(float32[:, ::1], float32[:, ::1], float32[:, ::1])")
def _add_lstm_gates(g, gates, slopes):
    """What arrives at the gates themselves, at one step, added to the gradients of the sums."""
    apart()
    size = gates.shape[1] // 4
    for n in range(len(gates)):
        gate, more, out = gates[n], g[n], slopes[n]
        for j in range(4 * size):
            s = gate[j]
            slope = _ONE - s * s if 2 * size <= j < 3 * size else s * (_ONE - s)
            out[j] += more[j] * slope


@compiled(
    "void(float32[:, :, :], float32[:, :, ::1], float32[:, :, ::1], float32[:, :, :], float32[:, :, :],"
    " float32[:, ::1], float32[::1], boolean, float32[:, :, :], float32[:, :, ::1], float32[:, :, ::1],"
    " float32[:, :, :], float32[:, :, :], float32[:, ::1], float32[::1], float32[::1], float32[:, ::1],"
    " int64, int64, int64)",
    limits=3,
)
def lstm_back(
    g_h, g_c, g_gates, x, h0, c0, panels, reverse, hidden, cells, gates, by_x, by_h, by_c, laid_slopes, laid_inputs,
    sums, number, first, last,
):  # fmt: skip
    """The gradients of the input, the first states and the bias, and what those of the weights need.

    Of the bias each part, counted by `number`, has its own sum; by_c begins as zero. g_c and g_gates are of
    every step, or of one: that for all; empty where nobody used the cells and the gates. by_x is empty if it
    is not wanted, and so is what is laid out.
    """
    steps, batch, size = len(gates), gates.shape[1], c0.shape[1]
    count = last - first
    rows, begin = round_up(count, ROWS), round_up(size, LANES)
    slopes = np.zeros((rows, round_up(4 * size, ROWS)), np.float32)
    joint = np.zeros((rows, begin + round_up(by_x.shape[2], LANES)), np.float32)
    by_bias = np.zeros(4 * size, np.float32)
    of_c = by_c[first:last]
    for step in range(steps):
        t = step if reverse else steps - 1 - step
        earlier = t + 1 if reverse else t - 1
        at_start = step == steps - 1
        add_rows(g_h, t, first, last, joint)
        if len(g_c):
            add_rows(g_c, t % len(g_c), first, last, of_c)
        before = c0[first:last] if at_start else cells[earlier, first:last]
        now = gates[t, first:last]
        _lstm_slopes(now, cells[t, first:last], before, joint, of_c, slopes)
        if len(g_gates):
            _add_lstm_gates(g_gates[t % len(g_gates), first:last], now, slopes)
        total_rows(slopes, by_bias)
        if len(laid_slopes):
            sample, samples = t * batch + first, steps * batch
            lay_slopes(slopes, count, laid_slopes, sample, samples)
            states, place = (h0, 0) if at_start else (hidden, earlier)
            lay_inputs(states, place, first, last, 0, laid_inputs, sample, samples)
            lay_inputs(x, t, first, last, begin, laid_inputs, sample, samples)
        multiply_rows(slopes, 0, 4 * size, panels, joint, False)
        if len(by_x):
            write_rows(by_x, t, first, last, joint, begin)
    write_rows(by_h, 0, first, last, joint, 0)
    sums[number, :] = by_bias


# GRU --------------------------------------------------------------------------------------


@compiled(
    "void(float32[:, ::1], float32[:, ::1], float32[::1], float32[::1], float32[:, ::1], float32[:, ::1], int64)"
)
def _gru_gates(of_x, of_h, x_bias, h_bias, gates, joint, column):
    """One step: gates of what input and state add, and the states in `joint`, from the column on."""
    apart()
    size = gates.shape[1] // 4
    for n in range(len(gates)):
        p, q, gate, state = of_x[n], of_h[n], gates[n], joint[n, column:]
        for j in range(size):
            r = sigmoid(p[j] + x_bias[j] + q[j] + h_bias[j])
            z = sigmoid(p[size + j] + x_bias[size + j] + q[size + j] + h_bias[size + j])
            part = q[2 * size + j] + h_bias[2 * size + j]
            new = tanh(p[2 * size + j] + x_bias[2 * size + j] + r * part)
            gate[j], gate[size + j], gate[2 * size + j], gate[3 * size + j] = r, z, new, part
            state[j] = (state[j] - new) * z + new


@compiled(
    "void(float32[:, :, :], float32[:, :, :], float32[::1], float32[::1], float32[::1], float32[::1], boolean,"
    " float32[:, :, :], float32[:, :, ::1], int64, int64)",
    limits=2,
)
def gru(x, h0, x_panels, h_panels, x_bias, h_bias, reverse, hidden, gates, first, last):
    """All steps of the sequences first…last of the batch."""
    steps, features, size = len(x), x.shape[2], h0.shape[2]
    rows, columns = round_up(last - first, ROWS), round_up(3 * size, LANES)
    joint = np.zeros((rows, features + size), np.float32)
    of_x, of_h = np.empty((rows, columns), np.float32), np.empty((rows, columns), np.float32)
    read_rows(h0, 0, first, last, joint, features)
    for step in range(steps):
        t = steps - 1 - step if reverse else step
        read_rows(x, t, first, last, joint, 0)
        multiply_rows(joint, 0, features, x_panels, of_x, False)
        multiply_rows(joint, features, size, h_panels, of_h, False)
        _gru_gates(of_x, of_h, x_bias, h_bias, gates[t, first:last], joint, features)
        write_rows(hidden, t, first, last, joint, features)


@compiled(
    "void(float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1])"
)
def _gru_slopes(gates, before, by_h, of_x, of_h):
    """Back through one step: the gradients of what input and state add; by_h becomes that of z ⊙ h before.

    What arrives at the gates themselves is in of_x, and of the state's part in the last third of of_h.
    """
    apart()
    size = before.shape[1]
    for n in range(len(before)):
        gate, last, arrived, p, q = gates[n], before[n], by_h[n], of_x[n], of_h[n]
        for j in range(size):
            r, z, new, part = gate[j], gate[size + j], gate[2 * size + j], gate[3 * size + j]
            dh = arrived[j]
            d_new = (dh * (_ONE - z) + p[2 * size + j]) * (_ONE - new * new)
            d_r = (d_new * part + p[j]) * r * (_ONE - r)
            d_z = (dh * (last[j] - new) + p[size + j]) * z * (_ONE - z)
            p[j], p[size + j], p[2 * size + j] = d_r, d_z, d_new
            q[j], q[size + j], q[2 * size + j] = d_r, d_z, d_new * r + q[2 * size + j]
            arrived[j] = dh * z


@compiled(
    "void(float32[:, :, :], float32[:, :, :], float32[:, :, :], float32[:, :, :], float32[:, :, :], float32[::1],"
    " float32[::1], boolean, float32[:, :, :], float32[:, :, ::1], float32[:, :, :], float32[:, :, :], float32[::1],"
    " float32[::1], float32[::1], float32[::1], float32[:, ::1], float32[:, ::1], int64, int64, int64)",
    limits=3,
)
def gru_back(
    g_h, g_gates, g_part, x, h0, x_panels, h_panels, reverse, hidden, gates, by_x, by_h, x_slopes, x_inputs, h_slopes,
    h_inputs, x_sums, h_sums, number, first, last,
):  # fmt: skip
    """The gradients of the input, the first state and both biases, and what those of the weights need.

    g_gates, of the gates, g_part, of the state's part, by_x and what is laid out as for the LSTM.
    """
    steps, batch, size = len(gates), gates.shape[1], by_h.shape[2]
    count, samples = last - first, len(gates) * gates.shape[1]
    rows, columns = round_up(count, ROWS), round_up(3 * size, ROWS)
    of_x, of_h = np.zeros((rows, columns), np.float32), np.zeros((rows, columns), np.float32)
    back = np.zeros((rows, round_up(size, LANES)), np.float32)
    back_x = np.empty((rows, round_up(by_x.shape[2], LANES)), np.float32)
    before = np.empty((count, size), np.float32)
    by_x_bias, by_h_bias = np.zeros(3 * size, np.float32), np.zeros(3 * size, np.float32)
    for step in range(steps):
        t = step if reverse else steps - 1 - step
        sample = t * batch + first
        states, place = (h0, 0) if step == steps - 1 else (hidden, t + 1 if reverse else t - 1)
        read_rows(states, place, first, last, before, 0)
        add_rows(g_h, t, first, last, back)
        of_x[:], of_h[:] = _ZERO, _ZERO
        if len(g_gates):
            read_rows(g_gates, t % len(g_gates), first, last, of_x, 0)
            read_rows(g_part, t % len(g_part), first, last, of_h, 2 * size)
        _gru_slopes(gates[t, first:last], before, back, of_x, of_h)
        total_rows(of_x, by_x_bias)
        total_rows(of_h, by_h_bias)
        if len(x_slopes):
            lay_slopes(of_x, count, x_slopes, sample, samples)
            lay_inputs(x, t, first, last, 0, x_inputs, sample, samples)
        if len(h_slopes):
            lay_slopes(of_h, count, h_slopes, sample, samples)
            lay_inputs(states, place, first, last, 0, h_inputs, sample, samples)
        multiply_rows(of_h, 0, 3 * size, h_panels, back, True)
        if len(by_x):
            multiply_rows(of_x, 0, 3 * size, x_panels, back_x, False)
            write_rows(by_x, t, first, last, back_x, 0)
    write_rows(by_h, 0, first, last, back, 0)
    h_sums[number, :] = by_h_bias
    x_sums[number, :] = by_x_bias


# RNN --------------------------------------------------------------------------------------


@compiled("void(float32[:, ::1], float32[::1], boolean, int64, float32[:, ::1], int64)")
def _rnn_states(sums, bias, relu, count, joint, column):
    """One step: the states of the sums into `joint`, from the column on."""
    apart()
    size = len(bias)
    for n in range(count):
        z, state = sums[n], joint[n, column:]
        if relu:
            for j in range(size):
                sum_ = z[j] + bias[j]
                state[j] = _ZERO if sum_ < _ZERO else sum_  # nan stays
        else:
            for j in range(size):
                state[j] = tanh(z[j] + bias[j])


@compiled(
    "void(float32[:, :, :], float32[:, :, :], float32[::1], float32[::1], boolean, boolean, float32[:, :, :],"
    " int64, int64)",
    limits=2,
)
def rnn(x, h0, panels, bias, reverse, relu, hidden, first, last):
    """All steps of the sequences first…last of the batch."""
    steps, features, size = len(x), x.shape[2], h0.shape[2]
    rows, depth = round_up(last - first, ROWS), features + size
    joint = np.zeros((rows, depth), np.float32)
    sums = np.empty((rows, round_up(size, LANES)), np.float32)
    read_rows(h0, 0, first, last, joint, features)
    for step in range(steps):
        t = steps - 1 - step if reverse else step
        read_rows(x, t, first, last, joint, 0)
        multiply_rows(joint, 0, depth, panels, sums, False)
        _rnn_states(sums, bias, relu, last - first, joint, features)
        write_rows(hidden, t, first, last, joint, features)


@compiled("void(float32[:, ::1], float32[:, ::1], boolean, float32[:, ::1])")
def _rnn_slopes(states, by_h, relu, slopes):
    """Back through one step: from the gradient of the state that of the sum."""
    apart()
    for n in range(len(states)):
        state, arrived, out = states[n], by_h[n], slopes[n]
        for j in range(len(state)):
            slope = _ONE - state[j] * state[j]
            flat = _ONE if state[j] > _ZERO else _ZERO
            out[j] = arrived[j] * (flat if relu else slope)


@compiled(
    "void(float32[:, :, :], float32[:, :, :], float32[:, :, :], float32[::1], boolean, boolean, float32[:, :, :],"
    " float32[:, :, :], float32[:, :, :], float32[::1], float32[::1], float32[:, ::1], int64, int64, int64)",
    limits=3,
)
def rnn_back(
    g, x, h0, panels, reverse, relu, hidden, by_x, by_h, laid_slopes, laid_inputs, sums, number, first, last
):  # fmt: skip
    """The gradients of the input, the first state and the bias, and what those of the weights need; as `lstm_back`."""
    steps, batch, size = len(hidden), hidden.shape[1], by_h.shape[2]
    count = last - first
    rows, begin = round_up(count, ROWS), round_up(size, LANES)
    slopes = np.zeros((rows, round_up(size, ROWS)), np.float32)
    joint = np.zeros((rows, begin + round_up(by_x.shape[2], LANES)), np.float32)
    now = np.empty((count, size), np.float32)
    by_bias = np.zeros(size, np.float32)
    for step in range(steps):
        t = step if reverse else steps - 1 - step
        read_rows(hidden, t, first, last, now, 0)
        add_rows(g, t, first, last, joint)
        _rnn_slopes(now, joint, relu, slopes)
        total_rows(slopes, by_bias)
        if len(laid_slopes):
            sample, samples = t * batch + first, steps * batch
            lay_slopes(slopes, count, laid_slopes, sample, samples)
            states, place = (h0, 0) if step == steps - 1 else (hidden, t + 1 if reverse else t - 1)
            lay_inputs(states, place, first, last, 0, laid_inputs, sample, samples)
            lay_inputs(x, t, first, last, begin, laid_inputs, sample, samples)
        multiply_rows(slopes, 0, size, panels, joint, False)
        if len(by_x):
            write_rows(by_x, t, first, last, joint, begin)
    write_rows(by_h, 0, first, last, joint, 0)
    sums[number, :] = by_bias
