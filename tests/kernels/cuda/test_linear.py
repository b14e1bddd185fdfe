"""Bias and activation after a product, their gradients, and sums over rows, against the generic path in float64."""

from __future__ import annotations

import importlib

import ml_dtypes
import numpy as np
import pytest

import tensorlab as tl
from tensorlab._op import OPS
from tensorlab.kernels.cuda import linear

nn, F = tl.nn, tl.nn.functional
DTYPES = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]
WIDE = np.float64
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
# Of x, and features of the result.
CASES = [
    ((1, 1), 1),
    ((5, 3), 8),
    ((2, 7, 4), 33),
    ((700, 2), 40),
    ((3, 2, 2, 5), 129),
    ((9, 8), 1024),
]


def _close(found, wanted, dtype, size=1.0):
    """Equal up to the rounding of `dtype`, of numbers that were added up to `size`."""
    eps = float(ml_dtypes.finfo(dtype).eps)
    tolerance = 1e-12 if np.dtype(dtype).itemsize == 8 else max(4 * eps, 4e-6)
    assert found.dtype == dtype
    assert found.shape == wanted.shape
    largest = size * max(1.0, float(np.abs(wanted).max(initial=0)))
    np.testing.assert_allclose(found.astype(WIDE), wanted, tolerance, tolerance * largest)


def _inputs(rng, x_shape, n, dtype, biased):
    shapes = [x_shape, (n, x_shape[-1]), (n,) if biased else None]
    short = [None if s is None else rng.standard_normal(s).astype(dtype) for s in shapes]
    return short, [None if a is None else a.astype(WIDE) for a in short]


@each_dtype
def test_a_layer_without_an_activation(host, rng, dtype):
    for x_shape, n in CASES:
        for biased in (True, False):
            short, wide = _inputs(rng, x_shape, n, dtype, biased)
            _close(linear.linear(*short), OPS["linear"].forward(np, *wide), dtype)
            g = rng.standard_normal((*x_shape[:-1], n)).astype(dtype)
            rules, wide_g = OPS["linear"].rules, g.astype(WIDE)
            found = linear.linear_by_input(g, short[1], x_shape)
            _close(found, rules["input"](wide_g, wide[1], x_shape), dtype)
            found = linear.linear_by_weight(g, short[0], short[1].shape)
            wanted = rules["weight"](wide_g, wide[0], short[1].shape)
            _close(found, wanted, dtype, (g.size // n) ** 0.5)
    assert {name.partition("<")[0] for name in host.used} == {"bias_activation"}


@each_dtype
def test_products_with_a_matrix(host, rng, dtype):
    for shape in [(2, 3), (4, 2, 3), (2, 1, 5, 3)]:
        a, b = rng.standard_normal(shape).astype(dtype), rng.standard_normal((3, 7)).astype(dtype)
        _close(linear.matmul(a, b), a.astype(WIDE) @ b.astype(WIDE), dtype)
        _close(linear.matmul(a, b.T.copy().T), a.astype(WIDE) @ b.astype(WIDE), dtype)
    for other in (b[0], np.ones((2, 3, 4), dtype), b[:2], b.astype(int), b[:, :0]):
        assert linear.matmul(a, other) is NotImplemented


@each_dtype
def test_relu(host, rng, dtype):
    op = OPS["linear_relu"]
    for x_shape, n in CASES:
        for biased in (True, False):
            short, wide = _inputs(rng, x_shape, n, dtype, biased)
            out = linear.linear_relu(*short)
            _close(out, op.forward(np, *wide), dtype)
            g = rng.standard_normal(out.shape).astype(dtype)
            bias_shape = (n,) if biased else ()
            for needs in [(True, True, biased), (False, True, biased), (False, False, True)][
                : 2 + biased
            ]:
                found = linear.linear_relu_backward(g, *short[:2], bias_shape, out, needs)
                wanted = op.joint(g.astype(WIDE), *wide[:2], bias_shape, out.astype(WIDE), needs)
                _compare(found, wanted, wide, needs, dtype)


def _compare(found, wanted, wide, needs, dtype):
    rows = max(1, wide[0].size // wide[0].shape[-1])
    for a, b, value, needed in zip(found, wanted, wide, needs, strict=True):
        if not needed:
            assert a is None
        elif value.ndim == 1:  # the engine adds up what the rule leaves to it
            _close(a, b.reshape(-1, value.size).sum(0), dtype, rows**0.5)
        else:
            _close(a, b, dtype, rows**0.5)


@each_dtype
@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu(host, rng, dtype, approximate):
    op = OPS["linear_gelu"]
    for x_shape, n in CASES:
        for biased in (True, False):
            short, wide = _inputs(rng, x_shape, n, dtype, biased)
            out, product = linear.linear_gelu(*short, approximate)
            alone = linear.linear_gelu(*short, approximate, False)
            np.testing.assert_array_equal(alone, out)
            # Of the product as it was rounded: its rounding is not this kernel's.
            summed = product.astype(WIDE) + (wide[2] if biased else 0)
            _close(out, OPS["gelu"].forward(np, summed, approximate), dtype)
            _close(product, op.forward(np, *wide, approximate, True)[1], dtype)
            g = rng.standard_normal(out.shape).astype(dtype)
            more = rng.standard_normal(out.shape).astype(dtype)
            bias_shape, needs = (n,) if biased else (), (True, True, biased)
            for by_product in (np.broadcast_to(np.asarray(0.5, dtype), out.shape), more):
                found = linear.linear_gelu_backward(
                    (g, by_product), *short, bias_shape, (out, product), approximate, True, needs
                )
                wide_g, wide_out = (
                    [a.astype(WIDE) for a in pair] for pair in [(g, by_product), (out, product)]
                )
                wanted = op.joint(wide_g, *wide, bias_shape, wide_out, approximate, True, needs)
                _compare(found, wanted, wide, needs, dtype)


@each_dtype
def test_sums_over_rows(host, rng, dtype):
    for shape, to in [
        ((5, 3), (3,)), ((700, 40), (1, 40)), ((4, 3, 2), (3, 2)), ((4, 3, 2), (2,)), ((1, 8), (8,)),
        ((2, 3, 33), (1, 1, 33)), ((1000, 1), (1,)), ((90, 515), (515,)),
    ]:  # fmt: skip
        x = rng.standard_normal(shape).astype(dtype)
        found = linear.sum_to(x, to)
        if to == (1,):
            assert found is NotImplemented
        else:
            _close(found, OPS["sum_to"].forward(np, x.astype(WIDE), to), dtype, shape[0] ** 0.5)
    turned = rng.standard_normal((6, 5)).astype(dtype).T
    _close(linear.sum_to(turned, (6,)), turned.astype(WIDE).sum(0), dtype, 4)


def test_what_is_declined(host):
    x, w, b = np.ones((2, 3), np.float32), np.ones((4, 3), np.float32), np.ones(4, np.float32)
    for run in (linear.linear, linear.linear_relu, linear.linear_gelu):
        assert run(x[0], w, b) is NotImplemented
        assert run(x, w[0], None) is NotImplemented
        assert run(x, w, np.ones((2, 4), np.float32)) is NotImplemented
        assert run(x, w, b.astype(WIDE)) is NotImplemented
        assert run(x[:, :2], w, b) is NotImplemented
        assert run(x[:0], w, b) is NotImplemented
        assert run(x.astype(int), w.astype(int), None) is NotImplemented
    assert linear.linear_gelu(x, w, b, "cubic") is NotImplemented
    g, needs = np.ones((2, 4), np.float32), (True, True, True)
    assert linear.linear_relu_backward(g, x, w, (1,), g, needs) is NotImplemented
    assert linear.linear_relu_backward(g.astype(WIDE), x, w, (4,), g, needs) is NotImplemented
    for shape in [(2, 1), (1, 1), (), (2, 4), (1, 2, 4)]:
        assert linear.sum_to(g, shape) is NotImplemented
    assert linear.sum_to(g.astype(int), (4,)) is NotImplemented
    assert not host.used


# Where layers use them --------------------------------------------------------------------


@pytest.fixture
def joined(monkeypatch):
    """A device like a GPU has kernels of linear layers with activations: what they were called with."""
    importlib.import_module("tensorlab.testing.strict")
    calls = []
    for name in ("linear_relu", "linear_gelu"):

        def kernel(*given, name=name):
            calls.append((name, given[3] if name == "linear_gelu" else None))
            return NotImplemented

        monkeypatch.setitem(OPS[name].kernels, "strict", kernel)
    return calls


def _gradients(model, x):
    model.zero_grad()
    out = model(x)
    (out * out).sum().backward()
    return [a.detach().cpu().numpy() for a in (out, *(p.grad for p in model.parameters()))]


MODELS = {
    "relu": (lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True)), 1),
    "gelu": (lambda: nn.Sequential(nn.Linear(3, 4, bias=False), nn.GELU("tanh"), nn.Linear(4, 2)), 1),
    "rows": (lambda: nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2), nn.ReLU()), 2),
    "none": (lambda: nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.ReLU(), nn.Linear(3, 4)), 0),
    "transformer": (lambda: nn.TransformerEncoderLayer(3, 1, 5, 0.0, nn.functional.gelu, batch_first=True), 1),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_layers_are_joined_with_their_activations(joined, monkeypatch, rng, seed, name):
    make, count = MODELS[name]
    tl.manual_seed(seed)
    model, x = (
        make().to("strict"),
        tl.from_numpy(rng.standard_normal((2, 5, 3), np.float32)).to("strict"),
    )
    found = _gradients(model, x)
    assert len(joined) == count
    assert [a for n, a in joined if n == "linear_gelu"] == {
        "gelu": ["tanh"],
        "transformer": ["none"],
    }.get(name, [])
    for op in ("linear_relu", "linear_gelu"):
        monkeypatch.delitem(OPS[op].kernels, "strict")
    for a, b in zip(found, _gradients(model, x), strict=True):
        np.testing.assert_allclose(a, b, 1e-4, 1e-5)


def test_layers_that_somebody_looks_into_are_not_joined(joined):
    from tensorlab import inspect

    model, x = (
        nn.Sequential(nn.Linear(3, 4), nn.ReLU()).to("strict"),
        tl.ones(2, 3, device="strict"),
    )

    def count():
        joined.clear()
        model(x)
        return len(joined)

    assert count() == 1
    for module in model:
        with module.register_forward_hook(lambda *given: None):
            assert count() == 0
    with nn.modules.module.register_module_forward_hook(lambda *given: None):
        assert count() == 0
    with inspect.profile():
        assert count() == 0
    model[1].forward = F.relu
    assert count() == 0
    model[1] = type("MyReLU", (nn.ReLU,), {})()
    assert count() == 0
    model[1] = nn.ReLU()
    assert count() == 1


def test_autocast_does_not_keep_layers_apart(joined, monkeypatch):
    monkeypatch.setitem(OPS["linear_relu"].kernels, "cpu", OPS["linear_relu"].kernels["strict"])
    model, x = nn.Sequential(nn.Linear(100, 4), nn.ReLU()), tl.ones(50, 100)
    with tl.no_grad(), tl.autocast("cpu"):
        assert model(x).dtype == tl.bfloat16
    assert len(joined) == 1


def test_what_nodes_are_called(joined):
    x = tl.ones(2, 3, device="strict", requires_grad=True)
    for activation, name in [(nn.ReLU(), "ReluBackward0"), (nn.GELU(), "GeluBackward0")]:
        out = nn.Sequential(nn.Linear(3, 4), activation).to("strict")(x)
        assert out.grad_fn.name() == name
    assert len(joined) == 2
