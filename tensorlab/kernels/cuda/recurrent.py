"""The recurrence of an LSTM: matrix products of cuBLAS, and one kernel for the rest of each step."""

from __future__ import annotations

from typing import Any

from tensorlab._op import register_backward_kernel, register_kernel
from tensorlab.kernels.cuda.launch import (
    blocks,
    contiguous,
    i32,
    launch,
    like,
    suits,
    type_of,
    variants,
    xp,
)

INSTANCES = variants("lstm_step<{T}>", "lstm_step_backward<{T}>")
THREADS = 128


def _start(name: str, *arguments: Any, count: int, size: int) -> None:
    kind = type_of(arguments[0])
    launch(
        "recurrent", f"{name}<{kind}>", (blocks(count, THREADS),), (THREADS,), *arguments, count, i32(size)
    )  # fmt: skip


@register_kernel("lstm_sequence", "cuda")
def lstm_sequence(input: Any, h0: Any, c0: Any, weight: Any, bias: Any, reverse: bool) -> Any:
    size = h0.shape[-1]
    if not suits(input, h0, c0, weight, bias) or input.ndim != 3 or not input.size:
        return NotImplemented
    if input.shape[-1] != 4 * size or weight.shape != (4 * size, size):
        return NotImplemented
    if h0.shape != (input.shape[1], size) or c0.shape != h0.shape:
        return NotImplemented
    if bias is not None and bias.shape != (4 * size,):
        return NotImplemented
    input, h, c, bias = map(contiguous, (input, h0, c0, bias))
    hidden = like(input, (*input.shape[:2], size))
    cells, gates = like(hidden), like(input)
    from_state = like(input, input.shape[1:])
    for t in range(len(input))[:: -1 if reverse else 1]:
        xp().matmul(h, weight.T, out=from_state)
        _start(
            "lstm_step", input[t], from_state, bias, c, hidden[t], cells[t], gates[t], count=h.size, size=size
        )  # fmt: skip
        h, c = hidden[t], cells[t]
    return hidden, cells, gates


@register_backward_kernel("lstm_sequence", "cuda")
def lstm_backward(
    g: Any, h0: Any, c0: Any, weight: Any, out: Any, bias_shape: Any, reverse: bool, needs: Any
) -> Any:
    if not suits(h0, *g, c0, weight, *out) or out[0].ndim != 3 or not out[0].size:
        return NotImplemented
    hidden, cells, gates = map(contiguous, out)
    by_hidden, by_cells, by_gates = map(contiguous, g)
    c0 = contiguous(c0)
    steps, batch, size = hidden.shape
    order = list(range(steps))[:: -1 if reverse else 1]
    by_z, by_c, by_h = like(gates), xp().zeros_like(c0), xp().zeros(h0.shape, h0.dtype)
    for k in reversed(range(steps)):
        t = order[k]
        before = cells[order[k - 1]] if k else c0
        _start(
            "lstm_step_backward", by_hidden[t], by_cells[t], by_gates[t], by_h, by_c, before, cells[t], gates[t],
            by_z[t], count=by_h.size, size=size,
        )  # fmt: skip
        xp().matmul(by_z[t], weight, out=by_h)
    by_weight = by_bias = None
    flat = by_z.reshape(steps * batch, 4 * size)
    if needs[3]:
        # The state before each step: the steps moved by one, and the first state in front.
        parts = [hidden[1:], h0[None]] if reverse else [h0[None], hidden[:-1]]
        by_weight = xp().matmul(flat.T, xp().concatenate(parts).reshape(steps * batch, size))
    if needs[4]:
        by_bias = flat.sum(axis=0).astype(flat.dtype, copy=False)
    return (by_z, by_h, by_c, by_weight, by_bias)[: len(needs)]
