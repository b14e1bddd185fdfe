"""Recurrent layers over a whole sequence in one direction, each as one operation.

What the input adds to the gates needs no state: it is one product for all steps. What the last hidden
state adds comes step by step. With x and h the input and the last state, ⊙ the elementwise product, and
biases left out:

    LSTM    i, f, g, o = σ, σ, tanh, σ of W x + U h      c ← f ⊙ c + i ⊙ g      h ← o ⊙ tanh(c)
    GRU     r, z = σ of W x + U h    n = tanh(W x + r ⊙ U h)    h ← (1 − z) ⊙ n + z ⊙ h
    RNN     h ← tanh(W x + U h), or relu

The gradient goes back through the steps in the same way; all states and gates are outputs, so that
nothing is computed twice, and so that it has a gradient itself. Once those of the gates are known, the
gradients of input, weights and biases are one product or sum for all steps.

S. Hochreiter, J. Schmidhuber, "Long short-term memory", Neural Computation 9 (1997), with the forget
gate of F. Gers et al. (2000); K. Cho et al., arXiv:1406.1078; J. L. Elman, Cognitive Science 14 (1990).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab._op import ErrorSample, Sample, op
from tensorlab.ops.functions import tanh
from tensorlab.ops.joining import cat, stack
from tensorlab.ops.linalg import matmul
from tensorlab.ops.reduce import sum as sum_
from tensorlab.ops.shape import reshape, transpose


def _sample(
    r: Any, gates: int, states: int, sizes: tuple[int, ...], bias: bool, **options: Any
) -> Sample:
    steps, batch, features, size = sizes
    rows = gates * size
    return Sample(
        r(steps, batch, features), *(r(batch, size) for _ in range(states)), r(rows, features), r(rows, size),
        *((r(rows), r(rows)) if bias else (None, None)), **options,
    )  # fmt: skip


def _samples(gates: int, states: int) -> Any:
    return lambda r: [
        _sample(r, gates, states, (3, 2, 3, 2), True, reverse=False),
        _sample(r, gates, states, (2, 1, 1, 3), False, reverse=True),
        _sample(r, gates, states, (1, 2, 2, 1), True, reverse=False),
    ]


def _errors(gates: int, states: int) -> Any:
    def samples(r: Any) -> list[ErrorSample]:
        start = [r(3, 3)] * states
        return [
            ErrorSample(
                r(2, 3, 2), *start, r(gates * 2, 2), r(gates * 3, 3), error=RuntimeError, match="gates of"
            ),
            ErrorSample(
                r(2, 3, 4), *start, r(gates * 3, 2), r(gates * 3, 3), error=RuntimeError, match="gates of"
            ),
        ]  # fmt: skip

    return samples


def _check(name: str, gates: int, input: Any, h0: Any, w_ih: Any, w_hh: Any) -> None:
    rows, size = gates * h0.shape[-1], h0.shape[-1]
    if w_ih.shape != (rows, input.shape[-1]) or w_hh.shape != (rows, size):
        raise RuntimeError(
            f"{name}: expected weights for {gates} gates of {size} numbers, of shapes "
            f"{[rows, input.shape[-1]]} and {[rows, size]}, but got {list(w_ih.shape)} and {list(w_hh.shape)}"
        )


def _sigmoid(xp: Any, x: Any) -> Any:
    """1 / (1 + e⁻ˣ), without overflow on either side."""
    e = xp.exp(-xp.abs(x))
    return xp.where(x >= 0, 1, e) / (1 + e)


def _of_input(xp: Any, input: Any, w_ih: Any, b_ih: Any) -> Any:
    """What the input adds to the gates, at all steps."""
    z = xp.matmul(input, w_ih.T)
    return z if b_ih is None else z + b_ih


def _of_state(xp: Any, h: Any, w_hh: Any, b_hh: Any) -> Any:
    z = xp.matmul(h, w_hh.T)
    return z if b_hh is None else z + b_hh


def _parts(x: Any, size: int) -> list[Any]:
    """The gates, of `size` numbers each."""
    return [x[:, start : start + size] for start in range(0, x.shape[-1], size)]


def _gradients(
    of_input: Any, of_state: Any, input: Any, before: Any, w_ih: Any, needs: tuple[bool, ...]
) -> tuple[Any, ...]:
    """The gradients of input, both weights and both biases from those of what was added to the gates.

    `before` has the hidden state before each step; `needs` is about those five.
    """
    steps, batch, features = input.shape
    by_input, by_state = (reshape(x, (steps * batch, w_ih.shape[0])) for x in (of_input, of_state))
    return (
        reshape(matmul(by_input, w_ih), (steps, batch, features)) if needs[0] else None,
        matmul(transpose(by_input, 0, 1), reshape(input, (steps * batch, features)))
        if needs[1]
        else None,
        matmul(transpose(by_state, 0, 1), reshape(before, (steps * batch, before.shape[-1])))
        if needs[2]
        else None,
        sum_(by_input, 0) if needs[3] else None,
        sum_(by_state, 0) if needs[4] else None,
    )


def _order(steps: int, reverse: bool) -> range:
    return range(steps)[:: -1 if reverse else 1]


# LSTM -------------------------------------------------------------------------------------


def _lstm_reference(
    x: Any, h: Any, c: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None, reverse: bool = False
) -> Any:  # fmt: skip
    found: list[Any] = []
    for now in x[::-1] if reverse else x:
        z = np.einsum("bi,gi->bg", now, w_ih) + np.einsum("bh,gh->bg", h, w_hh)
        z = z + (0 if b_ih is None else b_ih) + (0 if b_hh is None else b_hh)
        i, f, g, o = np.split(z, 4, axis=1)
        i, f, o = (1 / (1 + np.exp(-x)) for x in (i, f, o))
        g = np.tanh(g)
        c = f * c + i * g
        h = o * np.tanh(c)
        found.append((h, c, np.concatenate([i, f, g, o], 1)))
    return tuple(np.stack(x) for x in zip(*(found[::-1] if reverse else found), strict=True))


@op(
    samples=_samples(4, 2), ref=_lstm_reference, torch="", result=None, name="lstm_sequence", errors=_errors(4, 2),
)  # fmt: skip
def lstm_sequence(xp, input, h0, c0, w_ih, w_hh, b_ih=None, b_hh=None, /, *, reverse=False):
    """Hidden states, cell states and gates of an LSTM at every step.

    input: (T, B, I). h0, c0: (B, H). w_ih: (4·H, I), of the input. w_hh: (4·H, H), of the hidden state.
    b_ih, b_hh: (4·H). reverse: from the last step to the first.
    Returns the states h and c, (T, B, H) each, and the gates i, f, g, o after their functions,
    (T, B, 4·H). Raises `RuntimeError` if the sizes do not fit.

    >>> import tensorlab as tl
    >>> from tensorlab.ops.recurrent import lstm_sequence
    >>> start = tl.zeros(1, 2)
    >>> h, c, gates = lstm_sequence(tl.ones(3, 1, 5), start, start, tl.zeros(8, 5), tl.zeros(8, 2))
    >>> h.shape, gates.shape
    (tensorlab.Size([3, 1, 2]), tensorlab.Size([3, 1, 8]))
    """
    _check("lstm_sequence", 4, input, h0, w_ih, w_hh)
    size = h0.shape[-1]
    gates = _of_input(xp, input, w_ih, b_ih)
    hidden = xp.empty((*input.shape[:2], size), gates.dtype)
    cells = xp.empty_like(hidden)
    h, c = h0, c0
    for t in _order(len(input), reverse):
        z = gates[t] + _of_state(xp, h, w_hh, b_hh)
        i, f, g, o = _parts(gates[t], size)
        i[...], f[...], g[...], o[...] = (
            xp.tanh(part) if k == 2 else _sigmoid(xp, part)
            for k, part in enumerate(_parts(z, size))
        )
        c = cells[t] = f * c + i * g
        h = hidden[t] = o * xp.tanh(c)
    return hidden, cells, gates


def _lstm_backward(g, input, h0, c0, w_ih, w_hh, out, reverse, needs):
    """Back through the steps: each passes on what it owes to the states before it."""
    hidden, cells, gates = out
    steps, _, size = hidden.shape
    order = list(_order(steps, reverse))
    by_gates: list[Any] = [None] * steps
    before: list[Any] = [None] * steps
    by_h: Any = 0
    by_c: Any = 0
    for k in reversed(range(steps)):
        t = order[k]
        before[t] = hidden[order[k - 1]] if k else h0
        c_before = cells[order[k - 1]] if k else c0
        i, f, new, o = _parts(gates[t], size)
        g_i, g_f, g_new, g_o = _parts(g[2][t], size)
        squashed = tanh(cells[t])
        by_h = by_h + g[0][t]
        by_c = by_c + g[1][t] + by_h * o * (1 - squashed * squashed)
        of_i, of_f = by_c * new + g_i, by_c * c_before + g_f
        of_new, of_o = by_c * i + g_new, by_h * squashed + g_o
        by_gates[t] = cat(
            [of_i * i * (1 - i), of_f * f * (1 - f), of_new * (1 - new * new), of_o * o * (1 - o)],
            1,
        )
        by_h, by_c = matmul(by_gates[t], w_hh), by_c * f
    found = stack(by_gates)
    wanted = (needs[0], *needs[3:])
    by_input, *others = _gradients(found, found, input, stack(before), w_ih, wanted)
    return by_input, by_h, by_c, *others


lstm_sequence.vjp(_lstm_backward)


# GRU --------------------------------------------------------------------------------------


def _gru_reference(
    x: Any, h: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None, reverse: bool = False
) -> Any:
    found: list[Any] = []
    for now in x[::-1] if reverse else x:
        a = np.einsum("bi,gi->bg", now, w_ih) + (0 if b_ih is None else b_ih)
        b = np.einsum("bh,gh->bg", h, w_hh) + (0 if b_hh is None else b_hh)
        (a_r, a_z, a_n), (b_r, b_z, b_n) = np.split(a, 3, axis=1), np.split(b, 3, axis=1)
        r, z = 1 / (1 + np.exp(-a_r - b_r)), 1 / (1 + np.exp(-a_z - b_z))
        n = np.tanh(a_n + r * b_n)
        h = n - z * n + z * h
        found.append((h, np.concatenate([r, z, n, b_n], 1)))
    return tuple(np.stack(x) for x in zip(*(found[::-1] if reverse else found), strict=True))


@op(
    samples=_samples(3, 1), ref=_gru_reference, torch="", result=None, name="gru_sequence", errors=_errors(3, 1),
)  # fmt: skip
def gru_sequence(xp, input, h0, w_ih, w_hh, b_ih=None, b_hh=None, /, *, reverse=False):
    """Hidden states and gates of a GRU at every step.

    input: (T, B, I). h0: (B, H). w_ih: (3·H, I). w_hh: (3·H, H). b_ih, b_hh: (3·H).
    reverse: from the last step to the first.
    Returns the states, (T, B, H), and the gates r, z and n after their functions and what the state
    added to n before it was multiplied by r, (T, B, 4·H). Raises `RuntimeError` if the sizes do not fit.

    >>> import tensorlab as tl
    >>> from tensorlab.ops.recurrent import gru_sequence
    >>> h, gates = gru_sequence(tl.ones(3, 1, 5), tl.ones(1, 2), tl.zeros(6, 5), tl.zeros(6, 2))
    >>> h[:, 0, 0], gates.shape
    (tensor([0.5000, 0.2500, 0.1250]), tensorlab.Size([3, 1, 8]))
    """
    _check("gru_sequence", 3, input, h0, w_ih, w_hh)
    size = h0.shape[-1]
    of_input = _of_input(xp, input, w_ih, b_ih)
    hidden = xp.empty((*input.shape[:2], size), of_input.dtype)
    gates = xp.empty((*input.shape[:2], 4 * size), of_input.dtype)
    h = h0
    for t in _order(len(input), reverse):
        of_state = _of_state(xp, h, w_hh, b_hh)
        gates[t, :, : 2 * size] = _sigmoid(xp, of_input[t, :, : 2 * size] + of_state[:, : 2 * size])
        gates[t, :, 3 * size :] = of_state[:, 2 * size :]
        r, z, n, state_part = _parts(gates[t], size)
        n[...] = xp.tanh(of_input[t, :, 2 * size :] + r * state_part)
        h = hidden[t] = (h - n) * z + n
    return hidden, gates


def _gru_backward(g, input, h0, w_ih, w_hh, out, reverse, needs):
    hidden, gates = out
    steps, _, size = hidden.shape
    order = list(_order(steps, reverse))
    of_input: list[Any] = [None] * steps
    of_state: list[Any] = [None] * steps
    before: list[Any] = [None] * steps
    by_h: Any = 0
    for k in reversed(range(steps)):
        t = order[k]
        h = before[t] = hidden[order[k - 1]] if k else h0
        r, z, n, state_part = _parts(gates[t], size)
        g_r, g_z, g_n, g_part = _parts(g[1][t], size)
        by_h = by_h + g[0][t]
        by_n = (by_h * (1 - z) + g_n) * (1 - n * n)
        by_r = (by_n * state_part + g_r) * r * (1 - r)
        by_z = (by_h * (h - n) + g_z) * z * (1 - z)
        of_input[t] = cat([by_r, by_z, by_n], 1)
        of_state[t] = cat([by_r, by_z, by_n * r + g_part], 1)
        by_h = by_h * z + matmul(of_state[t], w_hh)
    wanted = (needs[0], *needs[2:])
    by_input, *others = _gradients(
        stack(of_input), stack(of_state), input, stack(before), w_ih, wanted
    )
    return by_input, by_h, *others


gru_sequence.vjp(_gru_backward)


# RNN --------------------------------------------------------------------------------------


def _rnn_reference(
    x: Any, h: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None, reverse: bool = False,
    relu: bool = False,
) -> Any:  # fmt: skip
    found: list[Any] = []
    for now in x[::-1] if reverse else x:
        z = np.einsum("bi,gi->bg", now, w_ih) + np.einsum("bh,gh->bg", h, w_hh)
        z = z + (0 if b_ih is None else b_ih) + (0 if b_hh is None else b_hh)
        h = np.maximum(z, 0) if relu else np.tanh(z)
        found.append(h)
    return np.stack(found[::-1] if reverse else found)


@op(
    samples=lambda r: [
        *_samples(1, 1)(r),
        _sample(r, 1, 1, (3, 2, 3, 2), True, reverse=True, relu=True),
    ],
    ref=_rnn_reference, torch="", result=None, name="rnn_sequence", errors=_errors(1, 1),
)  # fmt: skip
def rnn_sequence(xp, input, h0, w_ih, w_hh, b_ih=None, b_hh=None, /, *, reverse=False, relu=False):
    """Hidden states of Elman's network at every step.

    input: (T, B, I). h0: (B, H). w_ih: (H, I). w_hh: (H, H). b_ih, b_hh: (H).
    reverse: from the last step to the first. relu: instead of tanh.
    Returns the states, (T, B, H). Raises `RuntimeError` if the sizes do not fit.

    >>> import tensorlab as tl
    >>> from tensorlab.ops.recurrent import rnn_sequence
    >>> rnn_sequence(tl.ones(3, 1, 1), tl.zeros(1, 1), tl.ones(1, 1), tl.ones(1, 1), relu=True).flatten()
    tensor([1., 2., 3.])
    """
    _check("rnn_sequence", 1, input, h0, w_ih, w_hh)
    hidden = _of_input(xp, input, w_ih, b_ih)
    h = h0
    for t in _order(len(input), reverse):
        z = hidden[t] + _of_state(xp, h, w_hh, b_hh)
        h = hidden[t] = xp.where(z < 0, 0, z) if relu else xp.tanh(z)
    return hidden


def _rnn_backward(g, input, h0, w_ih, w_hh, out, reverse, relu, needs):
    steps = len(out)
    order = list(_order(steps, reverse))
    by_sum: list[Any] = [None] * steps
    before: list[Any] = [None] * steps
    by_h: Any = 0
    for k in reversed(range(steps)):
        t = order[k]
        before[t] = out[order[k - 1]] if k else h0
        by_h = by_h + g[t]
        by_sum[t] = by_h * (out[t] > 0) if relu else by_h * (1 - out[t] * out[t])
        by_h = matmul(by_sum[t], w_hh)
    found = stack(by_sum)
    wanted = (needs[0], *needs[2:])
    by_input, *others = _gradients(found, found, input, stack(before), w_ih, wanted)
    return by_input, by_h, *others


rnn_sequence.vjp(_rnn_backward)
