"""The LSTM kernel against the generic recurrence: states, gates and every gradient."""

from __future__ import annotations

import numpy as np
import pytest

import tensorlab as tl
from tensorlab._op import OPS
from tensorlab.kernels import threads
from tensorlab.ops.recurrent import lstm_sequence

pytest.importorskip("numba", reason="the CPU kernels are compiled by Numba")

from tensorlab.kernels.cpu.native import recurrent as native


@pytest.fixture(params=[1, 2, 3])
def thread_number(request, monkeypatch):
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 0)
    monkeypatch.setattr(threads, "_count", request.param)


def run(arrays, seeds, dtype, reverse):
    tensors = [None if a is None else tl.from_numpy(a).to(dtype).requires_grad_() for a in arrays]
    outs = lstm_sequence(*tensors, reverse=reverse)
    tl.autograd.backward(outs, [tl.from_numpy(s).to(dtype) for s in seeds])
    grads = [t.grad.numpy() for t in tensors if t is not None and t.grad is not None]
    return [o.detach().numpy() for o in outs], grads


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("steps", "batch", "size"), [(1, 1, 1), (5, 3, 7), (3, 20, 16), (2, 9, 50), (4, 1, 130)]
)
def test_against_the_generic_recurrence(
    rng, thread_number, monkeypatch, steps, batch, size, bias, reverse
):
    used = []
    for name in ("lstm_sequence", "lstm_backward"):
        real = getattr(native, name)
        monkeypatch.setattr(native, name, lambda *a, f=real: used.append(f.__name__) or f(*a))
    shapes = [(steps, batch, 4 * size), (batch, size), (batch, size), (4 * size, size), (4 * size,)]
    arrays = [rng.standard_normal(s, np.float32) for s in shapes]
    arrays[3] /= np.sqrt(size)
    if not bias:
        arrays[4] = None
    states = (steps, batch, size)
    seeds = [rng.standard_normal(s, np.float32) for s in (states, states, shapes[0])]
    fast, generic = (run(arrays, seeds, d, reverse) for d in (tl.float32, tl.float64))
    assert used == ["lstm_sequence", "lstm_backward"]
    for found, wanted in zip([*fast[0], *fast[1]], [*generic[0], *generic[1]], strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=2e-5)


def test_saturated_gates(rng):
    z = np.array([[[500.0, -500.0, 90.0, -104.0]]], np.float32)
    zero, w = np.zeros((1, 1), np.float32), np.zeros((4, 1), np.float32)
    with np.errstate(all="raise", under="ignore"):
        found = native.lstm_sequence(z, zero, zero, w, None, False)
    generic = OPS["lstm_sequence"].forward(np, z, zero, zero, w, None, False)
    for a, b in zip(found, generic, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-30)


def test_the_module_takes_it_and_what_it_is_not_made_for_goes_step_by_step(rng, monkeypatch):
    used = []
    real = native.lstm_sequence
    monkeypatch.setattr(native, "lstm_sequence", lambda *a: used.append(1) or real(*a))
    x = tl.from_numpy(rng.standard_normal((6, 4, 5), np.float32))
    tl.nn.LSTM(5, 8, num_layers=2, bidirectional=True)(x)
    assert len(used) == 4
    tl.nn.LSTM(5, 8, proj_size=3)(x)
    tl.nn.LSTM(5, 8, dtype=tl.float64)(x.double())
    packed = tl.nn.utils.rnn.pack_padded_sequence(x, [6, 3, 2, 1])
    tl.nn.LSTM(5, 8)(packed)
    assert len(used) == 4
