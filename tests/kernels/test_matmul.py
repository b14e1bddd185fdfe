"""The matrix product kernel against NumPy's, on ragged sizes and every layout of the operands."""

from __future__ import annotations

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import nn
from tensorlab._op import OPS
from tensorlab.kernels.cpu import matmul, reduce

pytest.importorskip("numba", reason="the CPU kernels are compiled by Numba")

from tensorlab.kernels.cpu.native import gemm, narrow
from tensorlab.kernels.cpu.native import reduce as native_reduce
from tensorlab.kernels.cpu.native.tile import tile

SIZES = [
    (1, 1, 1), (3, 5, 7), (8, 16, 48), (9, 17, 49), (64, 784, 128), (100, 33, 257), (7, 800, 100),
    (13, 400, 3100), (400, 3, 20), (250, 530, 60), (16, 0, 16), (0, 4, 5), (4, 4, 0),
]  # fmt: skip


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("sizes", SIZES)
def test_every_layout(rng, use_threads, sizes, count):
    use_threads(count)
    m, k, n = sizes
    a = rng.standard_normal((2 * m, 3 * k), np.float32)
    b = rng.standard_normal((2 * k, 3 * n), np.float32)
    bias = rng.standard_normal(2 * n, np.float32)
    left = [a[:m, :k], a[:m, :k].T.copy().T, a[::2, ::3], a[:m, :k][::-1]]
    right = [b[:k, :n], b[:k, :n].T.copy().T, b[::2, ::3], b[:k, :n][:, ::-1]]
    for x in left:
        for y in right:
            exact = x.astype(np.float64) @ y.astype(np.float64)
            np.testing.assert_allclose(gemm.matmul(x, y), exact, rtol=1e-4, atol=1e-5 * (k + 1))
            biased = gemm.matmul(x, y, bias[::2])
            np.testing.assert_allclose(biased, exact + bias[::2], rtol=1e-4, atol=1e-5 * (k + 1))


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize(
    "sizes",
    [
        (1, 1, 1), (64, 3136, 10), (5, 300, 3), (4, 33, 4), (3, 129, 70), (1, 500, 257), (257, 500, 1), (7, 16, 9),
        (0, 200, 3), (4, 200, 0), (13, 0, 5),
    ],
)  # fmt: skip
def test_narrow_results_of_rows_that_begin_anywhere(rng, use_threads, sizes, count):
    use_threads(count)
    m, k, n = sizes
    a = rng.standard_normal((2 * m, k + 5), np.float32)
    b = rng.standard_normal((2 * n, k + 3), np.float32)
    bias = rng.standard_normal(2 * n, np.float32)
    for x in (a[:m, :k], a[::2, 5:], a[:m, 2 : k + 2][::-1]):
        for y in (b[:n, :k], b[::2, 3:], b[:n, 1 : k + 1][::-1]):
            exact = x.astype(np.float64) @ y.astype(np.float64).T
            np.testing.assert_allclose(narrow.matmul(x, y.T), exact, rtol=1e-4, atol=1e-5 * (k + 1))
            biased = narrow.matmul(x, y.T, bias[::2])
            np.testing.assert_allclose(biased, exact + bias[::2], rtol=1e-4, atol=1e-5 * (k + 1))


ACTIVATIONS = {
    "identity": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "gelu": lambda x: OPS["gelu"].forward(np, x, "none"),
    "tanh_gelu": lambda x: OPS["gelu"].forward(np, x, "tanh"),
}


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_an_activation_behind_the_product(rng, use_threads, activation, count):
    use_threads(count)
    function = ACTIVATIONS[activation]
    for m, k, n in [
        (3, 0, 4),
        (5, 300, 3),
        (64, 700, 33),
        (250, 530, 60),
    ]:  # a block is 192 rows, and 512 deep
        a, b = rng.standard_normal((m, k), np.float32), rng.standard_normal((n, k), np.float32).T
        bias = rng.standard_normal(n, np.float32)
        a[m // 2, k // 2 :][:1] = np.nan
        exact = a.astype(np.float64) @ b
        for kernel in (gemm, narrow):
            found = kernel.matmul(a, b, None, activation)
            np.testing.assert_allclose(found, function(exact), rtol=1e-4, atol=1e-5 * (k + 1))
            found = kernel.matmul(a, b, bias, activation)
            np.testing.assert_allclose(
                found, function(exact + bias), rtol=1e-4, atol=1e-5 * (k + 1)
            )


@pytest.mark.parametrize(
    ("make", "called"),
    [
        (nn.ReLU, "relu"), (nn.GELU, "gelu"), (lambda: nn.GELU("tanh"), "tanh_gelu"), (nn.Tanh, "identity"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("rows", [(6,), (64,), (2, 32)])
def test_where_no_graph_is_recorded_layers_in_a_row_have_it(rng, monkeypatch, rows, make, called):
    taken, real = [], matmul.product
    monkeypatch.setattr(matmul, "product", lambda *given: taken.append(given[3]) or real(*given))
    model = nn.Sequential(nn.Linear(784, 128), make())
    x = tl.from_numpy(rng.standard_normal((*rows, 784), np.float32))
    apart = model(x)
    assert taken == ["identity"]
    with tl.no_grad():
        joined = model(x)
        assert taken == ["identity", called]
        model(x.reshape(-1, 784)[:1])
        assert taken[2:] == ["identity"]  # a call less is worth nothing
    np.testing.assert_allclose(joined.numpy(), apart.detach().numpy(), 1e-5, 1e-6)


def test_a_sum_of_a_narrow_result_does_not_depend_on_the_block_that_it_is_in(rng):
    a, b = rng.standard_normal((11, 999), np.float32), rng.standard_normal((999, 7), np.float32)
    b = np.asfortranarray(b)
    whole = narrow.matmul(a, b)
    alone = [
        [narrow.matmul(a[i : i + 1], b[:, j : j + 1])[0, 0] for j in range(7)] for i in range(11)
    ]
    np.testing.assert_array_equal(whole, alone)


def test_narrow_results_keep_nan_and_infinities(rng):
    a, b = rng.standard_normal((20, 131), np.float32), rng.standard_normal((5, 131), np.float32)
    a[3, 4], a[5, 130], b[2, 129], a[9, 7], b[3, 7] = np.nan, np.inf, -np.inf, np.inf, 0
    with np.errstate(invalid="ignore"):
        exact = a @ b.T
    found = narrow.matmul(a, b.T)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(exact))
    np.testing.assert_array_equal(found[np.isinf(exact)], exact[np.isinf(exact)])


@pytest.mark.parametrize(
    ("call", "shapes", "kernel"),
    [
        (tl.nn.functional.linear, [(64, 400), (10, 400), (10,)], "narrow"),
        (tl.nn.functional.linear, [(3, 5, 400), (600, 400)], "narrow"),
        (tl.nn.functional.linear, [(4, 400), (600, 400), (600,)], "narrow"),
        (tl.mv, [(300, 400), (400,)], "narrow"),
        (tl.matmul, [(300, 400), (400,)], "narrow"),
        (tl.dot, [(40_000,), (40_000,)], "narrow"),
        (tl.matmul, [(400,), (400, 300)], "one thread"),
        (tl.nn.functional.linear, [(64, 100), (10, 100)], None),
        (tl.mv, [(20, 400), (400,)], None),
    ],
)
def test_which_products_are_narrow(rng, spy, monkeypatch, call, shapes, kernel):
    taken = spy(narrow, "matmul")
    real = matmul.in_one_thread
    monkeypatch.setattr(matmul, "in_one_thread", lambda *a: taken.append("one thread") or real(*a))
    arrays = [rng.standard_normal(shape, np.float32) for shape in shapes]
    found = call(*map(tl.from_numpy, arrays))
    wide = [tl.from_numpy(a.astype(np.float64)) for a in arrays]
    np.testing.assert_allclose(found.numpy(), call(*wide).numpy(), rtol=1e-4, atol=2e-3)
    assert taken == ([] if kernel is None else ["matmul" if kernel == "narrow" else kernel])


@pytest.mark.parametrize("bias", [None, (4,)])
def test_sums_of_nothing_are_zero(bias):
    x, w = tl.ones(2, 3, 0), tl.ones(4, 0)
    given = () if bias is None else (tl.ones(bias),)
    wanted = np.zeros((2, 3, 4)) if bias is None else np.ones((2, 3, 4))
    np.testing.assert_array_equal(tl.nn.functional.linear(x, w, *given).numpy(), wanted)
    np.testing.assert_array_equal((x @ w.t()).numpy(), np.zeros((2, 3, 4)))


def test_vectors_of_no_numbers_are_left_to_the_generic_path():
    none, one = np.empty(0, np.float32), np.empty((5, 0), np.float32)
    for a, b in ((none, none), (one, none), (none, one.T), (np.float32(1) + none.sum(), none)):
        assert matmul._by_vector(np.asarray(a), b) is NotImplemented


def test_nan_and_infinities(rng):
    a, b = rng.standard_normal((20, 30), np.float32), rng.standard_normal((30, 40), np.float32)
    a[3, 4], a[5, 6], b[7, 8] = np.nan, np.inf, -np.inf
    with np.errstate(invalid="ignore"):
        exact = a @ b
    np.testing.assert_array_equal(np.isnan(gemm.matmul(a, b)), np.isnan(exact))
    np.testing.assert_array_equal(np.isinf(gemm.matmul(a, b)), np.isinf(exact))


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize(
    "sizes",
    [
        (1, 1, 1, 1, 1), (2, 3, 9, 17, 49), (4, 1, 64, 32, 64), (1, 5, 8, 400, 10), (2, 2, 3, 0, 5),
        (0, 3, 2, 2, 2),
    ],
)  # fmt: skip
def test_batches_in_every_layout(rng, use_threads, sizes, count):
    use_threads(count)
    p, q, m, k, n = sizes
    a = rng.standard_normal((q, m, p, 2 * k), np.float32)[..., ::2].transpose(2, 0, 1, 3)
    b = rng.standard_normal((p, n, q, k), np.float32).transpose(0, 2, 3, 1)
    for x in (a, a.copy()):
        for y in (b, b.copy(), b[:, :, :, ::-1]):
            exact = x.astype(np.float64) @ y.astype(np.float64)
            found = gemm.matmul_batch(x, y)
            np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-5 * (k + 1))


@pytest.mark.parametrize("name", ["matmul", "mm", "bmm", "addmm", "baddbmm", "attention's"])
def test_operations_of_products_use_it(rng, spy, name):
    taken = spy(gemm, "matmul", "matmul_batch")

    def numbers(*shape):
        return tl.from_numpy(rng.standard_normal(shape, np.float32))

    a, b = numbers(8, 64, 48), numbers(8, 48, 80)
    q, k = numbers(2, 64, 4, 32), numbers(2, 64, 4, 32)
    scores = tl.einsum("bqhc,bkhc->bhqk", q, k)
    c, rest = numbers(64, 1), {"beta": 0.5, "alpha": 2.0}
    call, exact = {
        "matmul": (lambda: tl.matmul(a, b), a @ b),
        "mm": (lambda: tl.mm(a[0], b[0]), a[0] @ b[0]),
        "bmm": (lambda: tl.bmm(a, b), a @ b),
        "addmm": (lambda: tl.addmm(c, a[0], b[0], **rest), 0.5 * c + 2 * (a[0] @ b[0])),
        "baddbmm": (lambda: tl.baddbmm(c, a, b, **rest), 0.5 * c + 2 * (a @ b)),
        "attention's": (lambda: q.transpose(1, 2) @ k.permute(0, 2, 3, 1), scores),
    }[name]
    taken.clear()
    np.testing.assert_allclose(call().numpy(), exact.numpy(), rtol=1e-4, atol=1e-4)
    assert taken, "the kernel"


def test_what_is_no_product_is_refused_as_without_it():
    for call in (
        lambda: tl.bmm(tl.ones(4, 64, 64), tl.ones(3, 64, 64)),
        lambda: tl.matmul(tl.ones(4, 64, 64), tl.ones(4, 63, 64)),
        lambda: tl.mm(tl.ones(4, 64, 64), tl.ones(64, 64)),
        lambda: tl.addmm(tl.ones(63, 64), tl.ones(64, 64), tl.ones(64, 64)),
    ):
        with pytest.raises(RuntimeError):
            call()


def test_products_of_tensors_use_it(rng, monkeypatch):
    taken = []
    real = gemm.matmul
    monkeypatch.setattr(gemm, "matmul", lambda a, *bc: taken.append(a.shape) or real(a, *bc))
    x = tl.from_numpy(rng.standard_normal((4, 25, 60), np.float32)).requires_grad_()
    layer = tl.nn.Linear(60, 70)
    layer(x).sum().backward()
    assert (100, 60) in taken, "the forward"
    assert len(taken) == 3, "and both gradients"
    tl.matmul(x.double(), tl.ones(60, 70, dtype=tl.float64))
    tl.matmul(x[:1, :1], layer.weight.t())
    assert len(taken) == 3, "neither float64 nor a small product"


def test_large_narrow_products_are_done_by_one_thread_of_blas(rng, monkeypatch):
    """Its threads would look for work on the processors of the kernels' helpers, long after it."""
    done = []
    real = matmul.in_one_thread
    monkeypatch.setattr(matmul, "in_one_thread", lambda *a: done.append(a[1].shape) or real(*a))
    for m, k, n, taken in [
        (64, 3136, 8, True),
        (64, 128, 8, False),
        (300, 128, 1, True),
        (1, 40, 50, False),
    ]:
        x = rng.standard_normal((m, k), np.float32)
        w = rng.standard_normal((k, 2 * n), np.float32)[:, ::2].T  # so that it does not lie along k
        bias = rng.standard_normal(n, np.float32)
        done.clear()
        found = tl.nn.functional.linear(*map(tl.from_numpy, (x, w, bias)))
        np.testing.assert_allclose(found.numpy(), x @ w.T + bias, rtol=1e-4, atol=1e-3)
        assert done == [(m, k)] * taken
        done.clear()
        found = matmul.products(np.stack([x, x]), np.stack([w.T, w.T]))
        assert done == [(2, m, k)] * taken
        if taken:
            np.testing.assert_allclose(found, [x @ w.T] * 2, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    "forms", [("rows", "strided"), ("strided", "packed"), ("strided", "strided", "shifted")]
)
def test_a_tile_knows_how_its_operands_may_lie(forms):
    with pytest.raises(ValueError, match="of a tile lies in one of the forms"):
        tile(1, *forms)


def test_arrays_for_reading_only_are_left_to_numpy(rng):
    a = rng.standard_normal((80, 80), np.float32)
    b = a.copy()
    b.flags.writeable = False
    assert matmul._mm(b, a) is NotImplemented
    assert matmul._mm(a, a) is not NotImplemented


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(
    ("rows", "size", "by_kernel"),
    [((70,), 33, True), ((5, 14), 64, True), ((70,), 3, False), ((0,), 33, False)],
)
def test_the_gradient_of_a_bias(rng, use_threads, spy, monkeypatch, rows, size, by_kernel, count):
    use_threads(count)
    monkeypatch.setattr(reduce, "FEWEST", 1)
    used = spy(native_reduce, "column_sums")
    given = [rng.standard_normal(s, np.float32) for s in ((*rows, 20), (size, 20), (size,))]
    seed = rng.standard_normal((*rows, size), np.float32)
    seed.reshape(-1)[:1], seed.reshape(-1)[1:2] = np.nan, np.inf
    results = []
    for dtype in (tl.float32, tl.float64):
        inputs = [tl.from_numpy(a).to(dtype).requires_grad_() for a in given]
        with np.errstate(invalid="ignore"):
            tl.nn.functional.linear(*inputs).backward(tl.from_numpy(seed).to(dtype))
        results.append([x.grad.numpy() for x in inputs if x.grad is not None])
    for found, wanted in zip(*results, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
    assert used == ["column_sums"] * by_kernel
    # A bias of one number for all outputs is summed over them, too.
    one = tl.ones(1, requires_grad=True)
    tl.nn.functional.linear(*(tl.from_numpy(a) for a in given[:2]), one).sum().backward()
    assert one.grad is not None
    assert one.grad.tolist() == [seed.size]
