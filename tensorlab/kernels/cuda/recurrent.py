"""Recurrent layers over whole sequences: matrix products of cuBLAS, and one kernel for the rest of each step."""

from __future__ import annotations

from typing import Any

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

INSTANCES = variants(
    "lstm_step<{T}>", "lstm_step_backward<{T}>", "gru_step<{T}>", "gru_step_backward<{T}>"
)
THREADS = 128


def _start(name: str, *arguments: Any, count: int, size: int) -> None:
    kind = type_of(arguments[0])
    launch(
        "recurrent", f"{name}<{kind}>", (blocks(count, THREADS),), (THREADS,), *arguments, count, i32(size)
    )  # fmt: skip


def _suits(gates: int, x: Any, states: tuple[Any, ...], w_ih: Any, w_hh: Any, *biases: Any) -> bool:
    """Arrays of one dtype, and of shapes that fit each other."""
    size, rows = states[0].shape[-1], gates * states[0].shape[-1]
    if not suits(x, *states, w_ih, w_hh, *biases) or x.ndim != 3 or not x.size or not size:
        return False
    if w_ih.shape != (rows, x.shape[-1]) or w_hh.shape != (rows, size):
        return False
    if any(b is not None and b.shape != (rows,) for b in biases):
        return False
    return all(h.shape == (x.shape[1], size) for h in states)


def _order(steps: int, reverse: bool) -> list[int]:
    return list(range(steps))[:: -1 if reverse else 1]


def _of_input(x: Any, w_ih: Any) -> Any:
    """What the input adds to the gates at all steps, without bias: one product."""
    steps, batch, features = x.shape
    return xp().matmul(x.reshape(-1, features), w_ih.T).reshape(steps, batch, -1)


def _gradients(
    of_input: Any, of_state: Any, x: Any, before: list[Any], w_ih: Any, needs: tuple[bool, ...]
) -> tuple[Any, ...]:
    """The gradients of input, both weights and both biases, for all steps at once."""
    flat_input, flat_state = (a.reshape(-1, a.shape[-1]) for a in (of_input, of_state))
    product = xp().matmul
    by_w_hh = None
    if needs[2]:
        by_w_hh = product(flat_state.T, xp().concatenate(before).reshape(len(flat_state), -1))
    return (
        product(flat_input, w_ih).reshape(x.shape) if needs[0] else None,
        product(flat_input.T, x.reshape(len(flat_input), -1)) if needs[1] else None,
        by_w_hh,
        flat_input.sum(axis=0).astype(x.dtype, copy=False) if needs[3] else None,
        flat_state.sum(axis=0).astype(x.dtype, copy=False) if needs[4] else None,
    )


def _before(hidden: Any, h0: Any, reverse: bool) -> list[Any]:
    """The state before each step: the steps moved by one, and the first state in front."""
    return [hidden[1:], h0[None]] if reverse else [h0[None], hidden[:-1]]


def lstm_sequence(
    x: Any, h0: Any, c0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, reverse: bool
) -> Any:
    if not _suits(4, x, (h0, c0), w_ih, w_hh, b_ih, b_hh):
        return NotImplemented
    x, h, c, b_ih, b_hh = map(contiguous, (x, h0, c0, b_ih, b_hh))
    gates, size = _of_input(x, w_ih), h.shape[-1]
    hidden = like(x, (*x.shape[:2], size))
    cells, from_state = like(hidden), like(gates, gates.shape[1:])
    for t in _order(len(x), reverse):
        xp().matmul(h, w_hh.T, out=from_state)
        _start(
            "lstm_step", from_state, b_ih, b_hh, c, hidden[t], cells[t], gates[t], count=h.size, size=size
        )  # fmt: skip
        h, c = hidden[t], cells[t]
    return hidden, cells, gates


def lstm_backward(
    g: Any, x: Any, h0: Any, c0: Any, w_ih: Any, w_hh: Any, out: Any, reverse: bool, needs: Any
) -> Any:
    if not _suits(4, x, (h0, c0), w_ih, w_hh) or not suits(x, *g, *out):
        return NotImplemented
    hidden, cells, gates = map(contiguous, out)
    by_hidden, by_cells, by_gates = map(contiguous, g)
    x, c0, size = contiguous(x), contiguous(c0), h0.shape[-1]
    order = _order(len(x), reverse)
    by_z, by_c, by_h = like(gates), xp().zeros_like(c0), xp().zeros(h0.shape, h0.dtype)
    for k in reversed(range(len(x))):
        t = order[k]
        before = cells[order[k - 1]] if k else c0
        _start(
            "lstm_step_backward", by_hidden[t], by_cells[t], by_gates[t], by_h, by_c, before, cells[t], gates[t],
            by_z[t], count=by_h.size, size=size,
        )  # fmt: skip
        xp().matmul(by_z[t], w_hh, out=by_h)
    wanted = (needs[0], *needs[3:], False, False)[:5]
    by_x, *others = _gradients(by_z, by_z, x, _before(hidden, h0, reverse), w_ih, wanted)
    return (by_x, by_h, by_c, *others)[: len(needs)]


def gru_sequence(x: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, reverse: bool) -> Any:
    if not _suits(3, x, (h0,), w_ih, w_hh, b_ih, b_hh):
        return NotImplemented
    x, h, b_ih, b_hh = map(contiguous, (x, h0, b_ih, b_hh))
    of_input, size = _of_input(x, w_ih), h.shape[-1]
    hidden, gates = (like(x, (*x.shape[:2], n * size)) for n in (1, 4))
    from_state = like(of_input, of_input.shape[1:])
    for t in _order(len(x), reverse):
        xp().matmul(h, w_hh.T, out=from_state)
        _start(
            "gru_step", of_input[t], from_state, b_ih, b_hh, h, hidden[t], gates[t], count=h.size, size=size
        )  # fmt: skip
        h = hidden[t]
    return hidden, gates


def gru_backward(
    g: Any, x: Any, h0: Any, w_ih: Any, w_hh: Any, out: Any, reverse: bool, needs: Any
) -> Any:
    if not _suits(3, x, (h0,), w_ih, w_hh) or not suits(x, *g, *out):
        return NotImplemented
    hidden, gates = map(contiguous, out)
    by_hidden, by_gates = map(contiguous, g)
    x, h0, size = contiguous(x), contiguous(h0), h0.shape[-1]
    order = _order(len(x), reverse)
    of_input, of_state = (like(x, (*x.shape[:2], 3 * size)) for _ in range(2))
    by_h, passed = (xp().zeros(h0.shape, h0.dtype) for _ in range(2))
    for k in reversed(range(len(x))):
        t = order[k]
        before = hidden[order[k - 1]] if k else h0
        _start(
            "gru_step_backward", by_hidden[t], by_gates[t], by_h, passed, before, gates[t], of_input[t],
            of_state[t], count=by_h.size, size=size,
        )  # fmt: skip
        xp().matmul(of_state[t], w_hh, out=by_h)
    wanted = (needs[0], *needs[2:], False, False)[:5]
    by_x, *others = _gradients(of_input, of_state, x, _before(hidden, h0, reverse), w_ih, wanted)
    return (by_x, by_h + passed, *others)[: len(needs)]
