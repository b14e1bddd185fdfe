"""One kernel for the step of many parameters, against the optimizers' own array operations."""

from __future__ import annotations

import ml_dtypes  # noqa: F401 (NumPy knows bfloat16 from here on)
import numpy as np
import pytest

import tensorlab as tl
from tensorlab.kernels import enabled
from tensorlab.kernels.cuda import launch
from tensorlab.kernels.cuda import optim as kernels
from tensorlab.optim import fused

pytestmark = pytest.mark.skipif(not enabled(), reason="kernels are off")

OPTIMIZERS = {
    "sgd": lambda p: tl.optim.SGD(p, 0.1, weight_decay=0.1),
    "momentum": lambda p: tl.optim.SGD(p, 0.1, momentum=0.9, dampening=0.1, maximize=True),
    "nesterov": lambda p: tl.optim.SGD(p, 0.1, momentum=0.9, nesterov=True),
    "adam": lambda p: tl.optim.Adam(p, 0.1, weight_decay=0.1, betas=(0.4, 0.99)),
    "adamw": lambda p: tl.optim.AdamW(p, 0.1),
    "amsgrad": lambda p: tl.optim.Adam(p, 0.1, amsgrad=True),
    "nadam": lambda p: tl.optim.NAdam(p, 0.1, weight_decay=0.1, decoupled_weight_decay=True),
    "radam": lambda p: tl.optim.RAdam(p, 0.1, betas=(0.5, 0.6), weight_decay=0.1),
    "adamax": lambda p: tl.optim.Adamax(p, 0.1, weight_decay=0.1),
    "adagrad": lambda p: tl.optim.Adagrad(p, 0.1, lr_decay=0.1, maximize=True),
    "adadelta": lambda p: tl.optim.Adadelta(p, 0.1, weight_decay=0.1),
    "rmsprop": lambda p: tl.optim.RMSprop(p, 0.1, weight_decay=0.1),
    "rmsprop_momentum": lambda p: tl.optim.RMSprop(p, 0.1, momentum=0.5),
    "rmsprop_centered": lambda p: tl.optim.RMSprop(p, 0.1, 0.4, centered=True),
    "rmsprop_centered_momentum": lambda p: tl.optim.RMSprop(p, 0.1, momentum=0.5, centered=True),
    "asgd": lambda p: tl.optim.ASGD(p, 0.1, weight_decay=0.1, t0=1),
    "rprop": lambda p: tl.optim.Rprop(p, 0.1),
}
# Seventy parameters do not fit into one table; of the sizes some are no multiples of what is read at once.
SIZES = [(1,), (3, 5), (4096,), (4097,), (2, 3, 4), (20_000,)] + [(i,) for i in range(2, 66)]


def _train(make, dtype, seed, steps=3):
    rng = np.random.default_rng(seed)
    params = [tl.tensor(rng.standard_normal(s), dtype=dtype, requires_grad=True) for s in SIZES]
    optimizer = make(params)
    for _ in range(steps):
        for p in params:
            g = rng.standard_normal(tuple(p.shape))
            # Decay never cancels it: what is left would be rounding, and some divide by its size.
            p.grad = tl.tensor(g + np.sign(g), dtype=dtype)
        optimizer.step()
    return [p.detach().double().numpy() for p in params], optimizer


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_steps(host, seed, monkeypatch, name, dtype):
    dtype = getattr(tl, dtype)
    found, optimizer = _train(OPTIMIZERS[name], dtype, seed)
    assert len(host.used) == 2 * 3  # two tables, three steps
    states = [{k: v.double().numpy() for k, v in s.items()} for s in optimizer.state.values()]
    monkeypatch.setattr(launch, "suits", lambda *arrays: False)
    monkeypatch.setattr(kernels, "suits", launch.suits)
    monkeypatch.setattr(fused, "_kernels", lambda params: None)
    wanted, other = _train(OPTIMIZERS[name], dtype, seed)
    tolerance = {8: 1e-12, 4: 1e-5}.get(dtype.itemsize, 8 * tl.finfo(dtype).eps)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, tolerance, tolerance)
    for state, values in zip(states, other.state.values(), strict=True):
        assert state.keys() == values.keys()
        for key, value in values.items():
            np.testing.assert_allclose(state[key], value.double().numpy(), tolerance, tolerance)


def test_the_numbers_of_a_captured_step_are_read_from_memory(host, rng):
    p, g, twin = (rng.standard_normal(10).astype(np.float32) for _ in range(3))
    twin[:] = p
    assert kernels.advance("sgd", (0.0, 0.0, 0.5), [p], [g], [])
    held = np.zeros(kernels.NUMBERS)
    held[2] = 0.5
    assert kernels.advance("sgd", held, [twin], [g], [])
    np.testing.assert_array_equal(p, twin)


def test_every_update_that_the_cpu_has_compiled_has_a_kernel():
    from tensorlab.kernels.cpu.native.optim import NAMES

    assert set(kernels.ALGORITHMS) == set(NAMES)


def test_what_is_declined(host):
    p = np.ones((3, 3), np.float32)
    assert not kernels.advance("unheard_of", (), [p], [p], [])
    assert not kernels.advance("sgd", (0.0, 0.0, 1.0), [p.T[:2]], [p[:2]], [])
    assert not kernels.advance("sgd", (0.0, 0.0, 1.0), [p], [p.astype(np.float64)], [])
    assert not kernels.advance("adam", (0.0,) * 8, [p], [p], [p.reshape(-1)])
    assert not host.used


class Plain(fused.FusedOptimizer):
    """Gradient descent without the name of a kernel."""

    def __init__(self, params):
        super().__init__(params, {"lr": 0.1})

    def make_update(self, xp, group, numbers, is_first):
        def update(p, g, work, work2):
            p -= xp.multiply(g, group["lr"], out=work)

        return fused.Update(update)


def test_an_update_without_a_kernel_runs_as_anywhere(host, seed):
    found, _ = _train(Plain, tl.float32, seed)
    assert not host.used
    launch.current = None
    wanted, _ = _train(Plain, tl.float32, seed)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, 1e-5, 1e-6)
