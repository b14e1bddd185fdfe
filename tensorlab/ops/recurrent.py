"""The recurrence of an LSTM over a whole sequence, as one operation.

What the input adds to the gates is known for all steps at once; what the last hidden state adds is
not. With z = input[t] + h · Wᵀ + b, and ⊙ the elementwise product:

    i, f, g, o = σ(z₁), σ(z₂), tanh(z₃), σ(z₄)      c ← f ⊙ c + i ⊙ g      h ← o ⊙ tanh(c)

S. Hochreiter, J. Schmidhuber, "Long short-term memory", Neural Computation 9 (1997), with the forget
gate of F. Gers et al. (2000). The gradient goes back through the steps in the same way; all states and
gates are outputs, so that nothing is computed twice, and so that it has a gradient itself.
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


def _samples(r: Any) -> list[Sample]:
    def sample(steps: int, batch: int, size: int, bias: bool, reverse: bool) -> Sample:
        return Sample(
            r(steps, batch, 4 * size), r(batch, size), r(batch, size), r(4 * size, size),
            r(4 * size) if bias else None, reverse=reverse,
        )  # fmt: skip

    return [
        sample(3, 2, 2, True, False),
        sample(2, 1, 3, False, True),
        sample(1, 2, 1, True, False),
    ]


def _sigmoid(xp: Any, x: Any) -> Any:
    """1 / (1 + e⁻ˣ), without overflow on either side."""
    e = xp.exp(-xp.abs(x))
    return xp.where(x >= 0, 1, e) / (1 + e)


def _reference(
    gates: Any, h: Any, c: Any, weight: Any, bias: Any = None, reverse: bool = False
) -> Any:
    found: list[Any] = []
    for z in gates[::-1] if reverse else gates:
        z = z + np.einsum("bh,gh->bg", h, weight) + (0 if bias is None else bias)
        i, f, g, o = np.split(z, 4, axis=1)
        i, f, o = (1 / (1 + np.exp(-x)) for x in (i, f, o))
        g = np.tanh(g)
        c = f * c + i * g
        h = o * np.tanh(c)
        found.append((h, c, np.concatenate([i, f, g, o], 1)))
    return tuple(np.stack(x) for x in zip(*(found[::-1] if reverse else found), strict=True))


@op(
    samples=_samples, ref=_reference, torch="", result=None, name="lstm_sequence",
    errors=lambda r: [
        ErrorSample(r(2, 3, 8), r(3, 3), r(3, 3), r(12, 3), error=RuntimeError, match="4 · 3 gates"),
    ],
)  # fmt: skip
def lstm_sequence(xp, input, h0, c0, weight, bias=None, /, *, reverse=False):
    """Hidden states, cell states and gates of an LSTM at every step.

    input: (T, B, 4·H), what the input adds to the gates. h0, c0: (B, H). weight: (4·H, H), of the
    hidden state. bias: (4·H). reverse: from the last step to the first.
    Returns the states h and c, (T, B, H) each, and the gates i, f, g, o after their functions,
    (T, B, 4·H). Raises `RuntimeError` if the sizes do not fit.

    >>> import tensorlab as tl
    >>> from tensorlab.ops.recurrent import lstm_sequence
    >>> start = tl.zeros(1, 2)
    >>> h, c, gates = lstm_sequence(tl.ones(3, 1, 8), start, start, tl.zeros(8, 2))
    >>> h.shape, gates.shape
    (tensorlab.Size([3, 1, 2]), tensorlab.Size([3, 1, 8]))
    """
    size = h0.shape[-1]
    if input.shape[-1] != 4 * size or weight.shape != (4 * size, size):
        raise RuntimeError(
            f"lstm_sequence: expected 4 · {size} gates for states of size {size}, but got input of "
            f"shape {list(input.shape)} and weight of shape {list(weight.shape)}"
        )
    hidden = xp.empty((*input.shape[:2], size), input.dtype)
    cells, gates = xp.empty_like(hidden), xp.empty_like(input)
    h, c = h0, c0
    for t in range(len(input))[:: -1 if reverse else 1]:
        z = input[t] + xp.matmul(h, weight.T)
        if bias is not None:
            z += bias
        now = gates[t]
        now[:, : 2 * size] = _sigmoid(xp, z[:, : 2 * size])
        now[:, 2 * size : 3 * size] = xp.tanh(z[:, 2 * size : 3 * size])
        now[:, 3 * size :] = _sigmoid(xp, z[:, 3 * size :])
        i, f, g, o = (now[:, k * size : (k + 1) * size] for k in range(4))
        c = cells[t] = f * c + i * g
        h = hidden[t] = o * xp.tanh(c)
    return hidden, cells, gates


def _lstm_backward(g, h0, c0, weight, out, bias_shape, reverse, needs):
    """Back through the steps: each passes on what it owes to the states before it."""
    hidden, cells, gates = out
    steps, batch, size = hidden.shape
    order = list(range(steps))[:: -1 if reverse else 1]
    by_gates: list[Any] = [None] * steps
    before: list[Any] = [None] * steps
    by_h: Any = 0
    by_c: Any = 0
    for k in reversed(range(steps)):
        t = order[k]
        before[t] = hidden[order[k - 1]] if k else h0
        c_before = cells[order[k - 1]] if k else c0
        i, f, new, o = (gates[t][:, m * size : (m + 1) * size] for m in range(4))
        g_i, g_f, g_new, g_o = (g[2][t][:, m * size : (m + 1) * size] for m in range(4))
        squashed = tanh(cells[t])
        by_h = by_h + g[0][t]
        by_c = by_c + g[1][t] + by_h * o * (1 - squashed * squashed)
        of_i, of_f = by_c * new + g_i, by_c * c_before + g_f
        of_new, of_o = by_c * i + g_new, by_h * squashed + g_o
        by_gates[t] = cat(
            [of_i * i * (1 - i), of_f * f * (1 - f), of_new * (1 - new * new), of_o * o * (1 - o)],
            1,
        )
        by_h, by_c = matmul(by_gates[t], weight), by_c * f
    found = stack(by_gates)
    return _lstm_gradients(
        found, stack(before), by_h, by_c, (steps * batch, size), bias_shape, needs
    )


def _lstm_gradients(
    by_gates: Any, before: Any, by_h: Any, by_c: Any, rows: tuple[int, int], bias_shape: Any, needs: Any
) -> tuple[Any, ...]:  # fmt: skip
    """All gradients from those of the gates: weight and bias have one product and sum for all steps."""
    by_weight = by_bias = None
    flat = reshape(by_gates, (rows[0], 4 * rows[1]))
    if needs[3]:
        by_weight = matmul(transpose(flat, 0, 1), reshape(before, rows))
    if needs[4]:
        by_bias = sum_(flat, 0)
    return by_gates, by_h, by_c, by_weight, by_bias


lstm_sequence.vjp(_lstm_backward)
