"""User-defined functions."""

from __future__ import annotations

import numpy as np
import pytest

import tensorlab as tl


class Cube(tl.autograd.Function):
    @staticmethod
    def forward(ctx, x, scale):
        out = scale * x**3
        ctx.save_for_backward(x, out)
        ctx.scale = scale
        return out

    @staticmethod
    def backward(ctx, g):
        x, _out = ctx.saved_tensors
        return 3 * ctx.scale * x * x * g, None


class MinMax(tl.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        index = x.argmax()
        ctx.mark_non_differentiable(index)
        ctx.save_for_backward(x, index)
        return x.max(), x.min(), index

    @staticmethod
    def backward(ctx, g_max, g_min, _):
        x, index = ctx.saved_tensors
        g = tl.zeros_like(x)
        g[index] = g_max
        g[x.argmin()] = g_min
        return g


def leaf(*shape: int) -> tl.Tensor:
    return tl.tensor(np.random.default_rng(0).standard_normal(shape), requires_grad=True)


def test_gradients_of_first_and_second_order():
    assert tl.autograd.gradcheck(lambda x: Cube.apply(x, 2.0), (leaf(3),))
    assert tl.autograd.gradgradcheck(lambda x: Cube.apply(x, 2.0), (leaf(3),))


def test_it_prints_its_name():
    assert "grad_fn=<CubeBackward>" in repr(Cube.apply(leaf(1), 1.0))


def test_several_outputs_and_ones_without_gradient():
    x = leaf(4)
    high, low, index = MinMax.apply(x)
    assert not index.requires_grad
    (high * 2).backward()
    assert x.grad.sum().item() == pytest.approx(2.0)
    assert low.requires_grad


def test_saved_tensors_are_checked_and_freed():
    x = leaf(2)
    h = x * 1
    y = Cube.apply(h, 1.0)
    h.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
    z = Cube.apply(x, 1.0).sum()
    z.backward()
    with pytest.raises(RuntimeError, match="second time"):
        z.backward()


def test_wrong_number_of_gradients_is_said():
    class Wrong(tl.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            return x * y

        @staticmethod
        def backward(ctx, g):
            return g

    with pytest.raises(RuntimeError, match=r"incorrect number of gradients \(expected 2, got 1\)"):
        Wrong.apply(leaf(2), leaf(2)).sum().backward()


def test_what_cannot_be_saved_is_said():
    class Wrong(tl.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(3)
            return x

    with pytest.raises(TypeError, match="set other values as attributes"):
        Wrong.apply(leaf(1))


def test_no_graph_without_need():
    assert Cube.apply(tl.ones(2), 1.0).grad_fn is None
    with tl.no_grad():
        assert Cube.apply(leaf(2), 1.0).grad_fn is None


@pytest.mark.parametrize("shape", [(7,), (2, 4), (3,), (5, 4, 1)])
@pytest.mark.parametrize("create_graph", [False, True])
def test_a_gradient_of_a_wrong_shape_names_it(shape, create_graph):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    for lib in (tl, torch):

        class Wrong(lib.autograd.Function):
            @staticmethod
            def forward(ctx, x, y):
                return x * 2

            @staticmethod
            def backward(ctx, grad):
                return grad.sum().expand(shape), None

        x = lib.ones(5, 4, requires_grad=True)
        with pytest.raises(
            RuntimeError, match=r"WrongBackward returned an invalid gradient at index 0 - got \["
        ):
            Wrong.apply(x, 3).sum().backward(create_graph=create_graph)


def test_a_gradient_that_broadcasting_made_is_summed():
    class Sums(tl.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.expand(2, 3) * 2

        @staticmethod
        def backward(ctx, grad):
            return grad * 2

    x = tl.ones(1, 3, requires_grad=True)
    Sums.apply(x).sum().backward()
    assert x.grad.tolist() == [[4.0, 4.0, 4.0]]
