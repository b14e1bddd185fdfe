"""Activation kernels against the generic path, and their elementary functions against float64."""

from __future__ import annotations

import numpy as np
import pytest

import tensorlab as tl
from tensorlab._op import _waiting

pytest.importorskip("numba", reason="the CPU kernels are compiled by Numba")

import numba

from tensorlab.kernels.cpu import activation
from tensorlab.kernels.cpu.native import activation as native
from tensorlab.kernels.cpu.native import maths

SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, -1e-40, 88.8, -104.5], np.float32)


@pytest.mark.parametrize(
    ("name", "ulps"),
    [("exp", 1.0), ("tanh", 2.3), ("erf", 1.0), ("sigmoid", 2.5), ("log", 1.0), ("log1p", 1.5), ("expm1", 1.0)],
)  # fmt: skip
def test_elementary_functions(name, ulps):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle, in float64")
    function = getattr(maths, name if name != "expm1" else "expm1_below")
    numbers = SPECIAL if name != "expm1" else np.where(SPECIAL > 1, np.float32(-50), SPECIAL)

    @numba.njit
    def run(x, out):
        for i in range(len(out)):
            out[i] = function(x[i])

    low, high = {
        "exp": (-103, 88.7), "log": (0, 1e30), "log1p": (-1, 1e30), "expm1": (-87, 0),
    }.get(name, (-87, 88))  # fmt: skip
    parts = [np.linspace(low, high, 200_001), np.linspace(max(-2, low), min(2, high), 200_001)]
    x = np.concatenate([*parts, np.geomspace(1e-44, 1e-3)] if low == 0 else parts).astype(
        np.float32
    )
    out = np.empty_like(x)
    run(x, out)
    exact = getattr(torch, name)(torch.from_numpy(x).double()).numpy()
    unit = np.spacing(np.abs(exact).astype(np.float32)).astype(np.float64)
    with np.errstate(invalid="ignore"):
        wrong = np.where(out == exact, 0, np.abs(out - exact) / unit)  # log of 0 is exact
    assert wrong.max() <= ulps
    few = np.empty_like(numbers)
    run(numbers, few)
    with np.errstate(over="ignore"):
        exact = getattr(torch, name)(torch.from_numpy(numbers).double()).numpy().astype(np.float32)
    np.testing.assert_allclose(few, exact, rtol=1e-6, atol=1e-44)
    assert np.array_equal(np.signbit(few[3:7]), np.signbit(exact[3:7])) or name == "log"


@pytest.fixture(params=[1, 2])
def thread_number(request, monkeypatch, use_threads, ask_about_few):
    use_threads(request.param)
    monkeypatch.setattr(activation, "FEWEST", 0)
    monkeypatch.setattr(activation, "FEWEST_SMOOTH", 0)
    ask_about_few()


PROGRAMS = {
    "relu": lambda x: tl.nn.functional.relu(x),
    "gelu": lambda x: tl.nn.functional.gelu(x),
    "gelu, tanh": lambda x: tl.nn.functional.gelu(x, approximate="tanh"),
}


@pytest.mark.parametrize("shape", [(0,), (1,), (7, 3), (5, 100, 9)])
@pytest.mark.parametrize("name", PROGRAMS)
def test_values_and_gradients(rng, thread_number, spy, name, shape):
    calls = spy(native, "relu", "relu_backward", "gelu", "gelu_backward")
    data = rng.standard_normal(shape, np.float32) * 3
    data.reshape(-1)[: SPECIAL.size - 4] = SPECIAL[: min(data.size, SPECIAL.size - 4)]
    seed = rng.standard_normal(shape, np.float32)
    results = []
    for dtype in (tl.float32, tl.float64):  # the kernels, and the generic path
        x = tl.from_numpy(data).to(dtype).requires_grad_()
        with np.errstate(all="ignore"):
            y = PROGRAMS[name](x)
            y.backward(tl.from_numpy(seed).to(dtype))
        assert x.grad is not None
        results.append((y.detach().numpy(), x.grad.numpy()))
    assert len(calls) == 2
    for found, generic in zip(*results, strict=True):
        np.testing.assert_allclose(found, generic, rtol=3e-6, atol=1e-5)
    if name == "relu":
        assert np.array_equal(*(np.signbit(y) for y, _ in results))


@pytest.mark.usefixtures("without_bfloat16")
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_gradient_that_nobody_else_needs_is_overwritten(rng, thread_number, monkeypatch, name):
    written: list[bool] = []
    for n in ("relu_backward", "gelu_backward"):
        real = getattr(native, n)

        def spy(g, *args, real=real):
            out = real(g, *args)
            written.append(out is g)
            return out

        monkeypatch.setattr(native, n, spy)
    data = rng.standard_normal((7, 33), np.float32)
    data.reshape(-1)[: SPECIAL.size - 4] = SPECIAL[: SPECIAL.size - 4]
    results = []
    for dtype in (tl.float32, tl.float64):
        x = tl.from_numpy(data).to(dtype).requires_grad_()
        with np.errstate(all="ignore"):
            (PROGRAMS[name](x) * 3).sum().backward()  # the product's rule makes the gradient
        assert x.grad is not None
        results.append(x.grad.numpy())
    np.testing.assert_allclose(*results, rtol=3e-6, atol=1e-5)
    assert written == [True]
    # One that is also the gradient of something else, or that a hook has kept, stays what it is (with hooks
    # the engine goes its careful way).
    kept = []
    x = tl.from_numpy(data).requires_grad_()
    other = tl.zeros_like(x, requires_grad=True)
    with np.errstate(all="ignore"):
        earlier = other * 2  # so its rule is run later
        ((PROGRAMS[name](x) + earlier) * 3).sum().backward()
        y = PROGRAMS[name](x)
        doubled = y * 2
        doubled.register_hook(kept.append)
        y.register_hook(kept.append)
        (doubled * 1.5).sum().backward()
    assert written == [True, False, False]
    assert other.grad is not None
    assert (other.grad == 6).all()
    assert [float(g.min()) for g in kept] == [1.5, 3.0] == [float(g.max()) for g in kept]


def test_second_gradients_take_the_rule(rng):
    x = tl.from_numpy(rng.standard_normal((100, 100), np.float32)).requires_grad_()
    (g,) = tl.autograd.grad(tl.nn.functional.gelu(x).sum(), x, create_graph=True)
    assert g is not None
    (h,) = tl.autograd.grad(g.sum(), x)
    assert h is not None
    at = x.detach().numpy()
    density = np.exp(-(at**2) / 2) / np.sqrt(2 * np.pi)
    np.testing.assert_allclose(h.numpy(), density * (2 - at**2), atol=1e-5)


def test_every_kernel_has_its_operation():
    """Kernels register by name: a name that no operation has would never be used."""
    import tensorlab.nn
    import tensorlab.vision  # noqa: F401 (all files of operations are loaded then)

    assert not _waiting


def test_the_normal_distribution_is_right_also_in_its_tail():
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle, in float64")

    @numba.njit
    def run(x, below, density):
        for i in range(len(x)):
            below[i], density[i] = maths.normal(x[i])

    x = np.linspace(-13, 13, 200_001, dtype=np.float32)
    below, density = np.empty_like(x), np.empty_like(x)
    run(x, below, density)
    wide = torch.from_numpy(x).double()
    exact = torch.erfc(-wide / 2**0.5).numpy() / 2
    np.testing.assert_allclose(below, exact, rtol=0, atol=4e-7)
    # 1 + erf would be 0 there.
    np.testing.assert_allclose(below[x < 0], exact[x < 0], rtol=5e-2, atol=1e-38)
    np.testing.assert_allclose(
        density, np.exp(-(wide.numpy() ** 2) / 2) / np.sqrt(2 * np.pi), rtol=1e-5, atol=1e-38
    )
