"""Jacobians, Hessians and products, against PyTorch; anomaly detection; hooks on saved tensors."""

from __future__ import annotations

import numpy as np
import pytest

import tensorlab as tl
from tensorlab.autograd import functional

torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")


def run(lib, name, program, arrays, vector_like=None, **options):
    points = tuple(lib.tensor(a) for a in arrays)
    points = points[0] if len(points) == 1 else points
    tool = getattr(lib.autograd.functional, name)
    if vector_like is None:
        return tool(lambda *xs: program(lib, *xs), points, **options)
    vectors = tuple(lib.tensor(a) for a in vector_like)
    vectors = vectors[0] if len(vectors) == 1 else vectors
    return tool(lambda *xs: program(lib, *xs), points, vectors, **options)


def same(a, b):
    if isinstance(b, tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            same(x, y)
    else:
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-9, atol=1e-12)
        assert tuple(a.shape) == tuple(b.shape)


def one(lib, x):
    return lib.exp(x) * x.sum()


def two(lib, x, y):
    return (x * y).sum(0), lib.sin(x)


def scalar(lib, x, y):
    return (lib.exp(x) * y * y).sum() + (x**3).sum()


def data(*shapes, seed=0):
    random = np.random.default_rng(seed)
    return [random.standard_normal(s) for s in shapes]


@pytest.mark.parametrize(("program", "shapes"), [(one, [(3,)]), (two, [(2, 3), (2, 3)])])
def test_jacobian(program, shapes):
    arrays = data(*shapes)
    same(run(tl, "jacobian", program, arrays), run(torch, "jacobian", program, arrays))


def test_hessian():
    arrays = data((2,), (2,))
    same(run(tl, "hessian", scalar, arrays), run(torch, "hessian", scalar, arrays))
    cube = lambda lib, x: (x**3).sum()
    same(run(tl, "hessian", cube, arrays[:1]), run(torch, "hessian", cube, arrays[:1]))


@pytest.mark.parametrize("name", ["vhp", "hvp", "jvp"])
def test_products_with_vectors_of_the_inputs_shape(name):
    arrays, vectors = data((2,), (2,)), data((2,), (2,), seed=1)
    same(run(tl, name, scalar, arrays, vectors), run(torch, name, scalar, arrays, vectors))


def test_vjp():
    arrays, vectors = data((2, 3), (2, 3)), data((3,), (2, 3), seed=1)
    same(run(tl, "vjp", two, arrays, vectors), run(torch, "vjp", two, arrays, vectors))


def test_create_graph_lets_the_result_be_differentiated():
    x = tl.tensor([1.0, 2.0], dtype=tl.float64, requires_grad=True)
    functional.jacobian(lambda x: x**3, x, create_graph=True).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [6.0, 12.0])


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: functional.hessian(lambda x: x * 2, tl.ones(2)), RuntimeError, "single element"),
        (lambda: functional.vjp(lambda x: x, tl.ones(2)), RuntimeError, "v can only be None"),
        (lambda: functional.vjp(lambda x: x, tl.ones(2), tl.ones(3)), RuntimeError, r"v has shapes \[\[3\]\]"),
        (lambda: functional.jacobian(lambda x: tl.ones(1), tl.ones(1), strict=True), RuntimeError, "not require"),
        (lambda: functional.jacobian(lambda x: x, 3), TypeError, "not iterable|Tensor"),
    ],
)  # fmt: skip
def test_bad_calls(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_detect_anomaly_names_the_forward_line():
    def program():
        with tl.autograd.detect_anomaly():
            x = tl.zeros(1, requires_grad=True)
            y = tl.sqrt(x)
            (y * 0).backward()

    with pytest.raises(
        RuntimeError, match=r"'SqrtBackward0' returned nan .*functional.py:\d+: y = "
    ):
        program()
    assert not tl.autograd.is_anomaly_enabled()


def test_set_detect_anomaly_is_undone():
    tl.autograd.set_detect_anomaly(True)
    assert tl.autograd.is_anomaly_enabled()
    tl.autograd.set_detect_anomaly(False)
    assert not tl.autograd.is_anomaly_enabled()
    with tl.autograd.set_detect_anomaly(True):
        assert tl.autograd.is_anomaly_enabled()
    assert not tl.autograd.is_anomaly_enabled()


def test_saved_tensors_go_through_the_hooks():
    packed, unpacked = [], []

    def pack(t):
        packed.append(t.shape)
        return t * 1

    def unpack(t):
        unpacked.append(t.shape)
        return t

    x = tl.ones(2, requires_grad=True)
    y = tl.ones(2, requires_grad=True)
    with tl.autograd.graph.saved_tensors_hooks(pack, unpack):
        z = (x * y).sum()
    z.backward()
    assert len(packed) == len(unpacked) == 2
    assert x.grad.tolist() == [1.0, 1.0]


def test_packed_tensors_still_notice_in_place_changes():
    x = tl.ones(2, requires_grad=True)
    with tl.autograd.graph.save_on_cpu():
        h = tl.exp(x)
    h.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        h.sum().backward()


def test_packed_tensors_can_be_differentiated_twice():
    x = tl.tensor([2.0], dtype=tl.float64, requires_grad=True)
    with tl.autograd.graph.save_on_cpu():
        (g,) = tl.autograd.grad((x * x * x).sum(), x, create_graph=True)
        g.sum().backward()
    assert x.grad.item() == pytest.approx(12.0)
