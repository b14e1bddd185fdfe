"""The LSTM's recurrence: one small matrix product a step, on weights packed once, and fused gates.

The sequences of a batch do not depend on each other: each thread takes some of them through all steps.
"""

# Numba passes the first argument of an intrinsic itself.
# pyright: reportCallIssue=false

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab.kernels.cpu.native.compile import compiled
from tensorlab.kernels.cpu.native.gemm import matmul, multiply_panels, pack_columns, pack_rows
from tensorlab.kernels.cpu.native.maths import sigmoid, tanh
from tensorlab.kernels.cpu.native.tile import LANES, ROWS, VECTORS
from tensorlab.kernels.threads import run_parts, split, thread_count

WIDTH = LANES * VECTORS
_ONE = np.float32(1)


@compiled(
    "void(float32[:, :, ::1], float32[:, ::1], float32[:, ::1], float32[::1], float32[::1], boolean,"
    " float32[:, :, ::1], float32[:, :, ::1], float32[:, :, ::1], int64, int64)"
)
def _steps(z, h0, c0, panels, bias, reverse, hidden, cells, gates, first, last):
    """All steps of the sequences first…last of the batch; `panels` holds Wᵀ, packed."""
    steps, size, count = len(z), h0.shape[1], last - first
    room = np.empty((count + ROWS) * size, np.float32)
    product = np.empty((count, 4 * size), np.float32)
    corner = np.empty(ROWS * WIDTH, np.float32)
    h, c = h0, c0
    for step in range(steps):
        t = steps - 1 - step if reverse else step
        pack_rows(h, first, last, 0, size, room)
        multiply_panels(room, panels, size, product, 0, count, 0, 4 * size, False, corner)
        for n in range(count):
            b = first + n
            z_now, sums, gate = z[t, b], product[n], gates[t, b]
            before, cell, state = c[b], cells[t, b], hidden[t, b]
            for j in range(size):
                i = sigmoid(z_now[j] + sums[j] + bias[j])
                f = sigmoid(z_now[size + j] + sums[size + j] + bias[size + j])
                new = tanh(z_now[2 * size + j] + sums[2 * size + j] + bias[2 * size + j])
                o = sigmoid(z_now[3 * size + j] + sums[3 * size + j] + bias[3 * size + j])
                gate[j], gate[size + j], gate[2 * size + j], gate[3 * size + j] = i, f, new, o
                value = f * before[j] + i * new
                cell[j] = value
                state[j] = o * tanh(value)
        h, c = hidden[t], cells[t]


@compiled(
    "void(float32[:, :, ::1], float32[:, :, ::1], float32[:, :, ::1], float32[:, ::1], float32[::1], boolean,"
    " float32[:, :, ::1], float32[:, :, ::1], float32[:, :, ::1], float32[:, ::1], float32[:, ::1], int64, int64)"
)
def _steps_back(g_h, g_c, g_gates, c0, panels, reverse, cells, gates, out, by_h, by_c, first, last):
    """The gradients of the gates, `out`, and of the first states, by_h and by_c, which begin as zero."""
    steps, size, count = len(g_h), c0.shape[1], last - first
    room = np.empty((count + ROWS) * 4 * size, np.float32)
    corner = np.empty(ROWS * WIDTH, np.float32)
    for step in range(steps):
        t = step if reverse else steps - 1 - step
        for n in range(count):
            b = first + n
            before = c0[b]
            if step < steps - 1:
                before = cells[t + 1 if reverse else t - 1, b]
            gate, found, cell = gates[t, b], out[t, b], cells[t, b]
            more, of_h, of_c = g_gates[t, b], by_h[b], by_c[b]
            g_hidden, g_cell = g_h[t, b], g_c[t, b]
            for j in range(size):
                i, f, new, o = gate[j], gate[size + j], gate[2 * size + j], gate[3 * size + j]
                squashed = tanh(cell[j])
                dh = of_h[j] + g_hidden[j]
                dc = of_c[j] + g_cell[j] + dh * o * (_ONE - squashed * squashed)
                found[j] = (dc * new + more[j]) * i * (_ONE - i)
                found[size + j] = (dc * before[j] + more[size + j]) * f * (_ONE - f)
                found[2 * size + j] = (dc * i + more[2 * size + j]) * (_ONE - new * new)
                found[3 * size + j] = (dh * squashed + more[3 * size + j]) * o * (_ONE - o)
                of_c[j] = dc * f
        pack_rows(out[t], first, last, 0, 4 * size, room)
        multiply_panels(room, panels, 4 * size, by_h, first, last, 0, size, False, corner)


def _packed(matrix: np.ndarray) -> np.ndarray:
    """The columns of a matrix as the tiles read them."""
    rows, columns = matrix.shape
    out = np.empty(-(-columns // WIDTH) * WIDTH * rows, np.float32)
    pack_columns(matrix, 0, rows, 0, columns, out)
    return out


def _parts(steps: int, batch: int, size: int) -> list[tuple[int, int]]:
    return split(batch, thread_count(8 * steps * batch * size * size), ROWS)


def lstm_sequence(
    z: np.ndarray, h0: np.ndarray, c0: np.ndarray, weight: np.ndarray, bias: Any, reverse: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hidden states, cell states and gates at every step."""
    steps, batch, _ = z.shape
    size = h0.shape[1]
    hidden = np.empty((steps, batch, size), np.float32)
    cells, gates = np.empty_like(hidden), np.empty((steps, batch, 4 * size), np.float32)
    z, h0, c0 = np.ascontiguousarray(z), np.ascontiguousarray(h0), np.ascontiguousarray(c0)
    panels = _packed(weight.T)
    plus = np.zeros(4 * size, np.float32) if bias is None else np.ascontiguousarray(bias)

    def part(first: int, last: int) -> None:
        _steps(z, h0, c0, panels, plus, reverse, hidden, cells, gates, first, last)

    run_parts(part, _parts(steps, batch, size))
    return hidden, cells, gates


def lstm_backward(
    g: tuple[np.ndarray, ...], c0: np.ndarray, weight: np.ndarray, cells: np.ndarray, gates: np.ndarray,
    reverse: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """The gradients of the gates' input, and of the first states."""
    steps, batch, size = cells.shape
    given = [np.ascontiguousarray(a) for a in (*g, c0, cells, gates)]
    g_h, g_c, g_gates, c0, cells, gates = given
    out = np.empty((steps, batch, 4 * size), np.float32)
    by_h, by_c = np.zeros((batch, size), np.float32), np.zeros((batch, size), np.float32)
    panels = _packed(weight)

    def part(first: int, last: int) -> None:
        _steps_back(
            g_h, g_c, g_gates, c0, panels, reverse, cells, gates, out, by_h, by_c, first, last
        )

    run_parts(part, _parts(steps, batch, size))
    return out, by_h, by_c


def weight_gradient(by_gates: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Σ over all steps of (gradient of the gates)ᵀ · hidden state."""
    flat = by_gates.reshape(-1, by_gates.shape[-1])
    return matmul(flat.T, before.reshape(-1, before.shape[-1]))
