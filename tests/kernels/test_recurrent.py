"""The kernels of recurrent layers against the generic recurrence: states, gates and every gradient."""

from __future__ import annotations

import numpy as np
import pytest

import tensorlab as tl
from tensorlab._op import OPS

pytest.importorskip("numba", reason="the CPU kernels are compiled by Numba")

from tensorlab.kernels.cpu.native import recurrent as native


@pytest.fixture(params=[1, 2, 3])
def thread_number(request, use_threads):
    use_threads(request.param)


SIZES = [(1, 1, 1, 1), (5, 3, 2, 7), (3, 20, 50, 16), (2, 9, 17, 50), (4, 1, 70, 130)]
#: Gates, states, and the functions that are called, by operation.
KINDS = {
    "lstm_sequence": (4, 2, ["lstm_sequence", "lstm_backward"], {}),
    "gru_sequence": (3, 1, ["gru_sequence", "gru_backward"], {}),
    "rnn_sequence": (1, 1, ["rnn_sequence", "rnn_backward"], {}),
    "rnn_sequence with relu": (1, 1, ["rnn_sequence", "rnn_backward"], {"relu": True}),
}


def inputs_of(kind, sizes, bias, rng):
    gates, states, *_ = KINDS[kind]
    steps, batch, features, size = sizes
    rows = gates * size
    arrays = [rng.standard_normal((batch, steps, features), np.float32).transpose(1, 0, 2)]
    arrays += [rng.standard_normal((batch, size), np.float32) for _ in range(states)]
    arrays += [rng.standard_normal((rows, n), np.float32) / n**0.5 for n in (features, size)]
    return arrays + [rng.standard_normal(rows, np.float32) if bias else None for _ in range(2)]


def run(kind, arrays, seeds, dtype, reverse):
    operation = OPS[kind.split()[0]].call
    tensors = [None if a is None else tl.from_numpy(a).to(dtype).requires_grad_() for a in arrays]
    outs = operation(*tensors, reverse=reverse, **KINDS[kind][3])
    outs = outs if isinstance(outs, tuple) else (outs,)
    slopes = [tl.from_numpy(s).to(dtype) for s in seeds]
    tl.autograd.backward(outs[: len(slopes)], slopes)
    grads = [t.grad.numpy() for t in tensors if t is not None and t.grad is not None]
    return [o.detach().numpy() for o in outs], grads


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("only_states", [True, False])
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_against_the_generic_recurrence(
    rng, thread_number, spy, kind, sizes, bias, only_states, reverse
):
    _, states, names, _ = KINDS[kind]
    used = spy(native, *names)
    arrays = inputs_of(kind, sizes, bias, rng)
    steps, batch, _, size = sizes
    seeds = [rng.standard_normal((steps, batch, size), np.float32) for _ in range(states)]
    if only_states:
        seeds = seeds[:1]
    elif not kind.startswith("rnn"):
        seeds.append(rng.standard_normal((steps, batch, 4 * size), np.float32))
    fast, generic = (run(kind, arrays, seeds, d, reverse) for d in (tl.float32, tl.float64))
    assert used == names
    assert len(fast[1]) == sum(a is not None for a in arrays)
    for found, wanted in zip([*fast[0], *fast[1]], [*generic[0], *generic[1]], strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=5e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_is_wanted_and_a_gradient_of_one_number(rng, kind):
    arrays = inputs_of(kind, (3, 4, 5, 6), True, rng)
    found = []
    for dtype in (tl.float32, tl.float64):
        tensors = [tl.from_numpy(a).to(dtype) for a in arrays]
        weight = tensors[-3].requires_grad_()  # of the hidden state
        outs = OPS[kind.split()[0]].call(*tensors, **KINDS[kind][3])
        (outs[0] if isinstance(outs, tuple) else outs).sum().backward()
        assert weight.grad is not None
        found.append(weight.grad.numpy())
    np.testing.assert_allclose(*found, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_states_lie_in_memory_in_the_order_of_the_input(rng, thread_number, kind):
    batch_first, *others = inputs_of(kind, (5, 9, 20, 17), True, rng)
    time_first = np.ascontiguousarray(batch_first)
    features_first = np.asfortranarray(batch_first)  # is copied
    seeds = [rng.standard_normal((5, 9, 17), np.float32)]
    (states, *_), wanted = run(kind, [time_first, *others], seeds, tl.float32, False)
    assert states.flags.c_contiguous
    for x in (batch_first, features_first):
        (found, *_), grads = run(kind, [x, *others], seeds, tl.float32, False)
        assert found.transpose(1, 0, 2).flags.c_contiguous
        for a, b in zip([states, *wanted], [found, *grads], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", KINDS)
def test_saturated_gates_and_nan(rng, kind):
    gates, states, *_ = KINDS[kind]
    z = np.array([[[500.0, -500.0, 90.0, -104.0][:gates]], [[np.nan, 0, np.inf, 0][:gates]]], np.float32)  # fmt: skip
    start = [np.zeros((1, 1), np.float32)] * states
    weights = [np.eye(gates, dtype=np.float32), np.zeros((gates, 1), np.float32)]
    rest = (True,) if KINDS[kind][3] else (False,) if kind.startswith("rnn") else ()
    name = kind.split()[0]
    with np.errstate(all="ignore"):
        found = getattr(native, name)(z, *start, *weights, None, None, False, *rest)
        wanted = OPS[name].forward(np, z, *start, *weights, None, None, False, *rest)
    if name == "rnn_sequence":
        found, wanted = (found,), (wanted,)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN"])
def test_the_module_takes_it_and_what_it_is_not_made_for_goes_another_way(rng, spy, name):
    used = spy(native, f"{name.lower()}_sequence")
    x = tl.from_numpy(rng.standard_normal((6, 4, 5), np.float32))
    module = getattr(tl.nn, name)
    module(5, 8, num_layers=2, bidirectional=True)(x)
    assert len(used) == 4
    module(5, 8, dtype=tl.float64)(x.double())
    module(5, 8)(tl.nn.utils.rnn.pack_padded_sequence(x, [6, 3, 2, 1]))
    with tl.autocast("cpu"):
        module(5, 8)(x)
    assert len(used) == 4
    module(5, 8)(tl.nn.utils.rnn.pack_padded_sequence(x, [6, 6, 6, 6]))
    assert len(used) == 5


def test_a_projection_goes_step_by_step(rng, monkeypatch):
    monkeypatch.setattr(native, "lstm_sequence", None)
    assert tl.nn.LSTM(5, 8, proj_size=3)(tl.ones(6, 4, 5))[0].shape == (6, 4, 3)
