"""Complex numbers: every operation that PyTorch has for them, with its values and its gradients."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

import tensorlab as tl
import tensorlab.nn
from tensorlab._op import OPS, Op, Sample
from tensorlab.autograd import gradcheck, gradgradcheck
from tensorlab.testing import Sampler, _torch

torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
opcheck: Any = importlib.import_module("tensorlab.testing.opcheck")

# Operations on complex numbers that PyTorch has and tensorlab has not: an order of complex numbers,
# which PyTorch takes from NumPy, logarithms of sums, which it adds up for them only, and attention,
# whose weights would be no weights.
REFUSED = {
    "amax",
    "amin",
    "max_all",
    "min_all",
    "mode",
    "logaddexp",
    "logcumsumexp",
    "soft_margin_loss",
    "scatter_reduce",
    "scaled_dot_product_attention",
}
# Where PyTorch means something else, and why.
OTHER = {
    "pow": "0 to the power 0 is nan for PyTorch's complex numbers, 1 for all others and here",
    "cholesky": "the samples are Hermitian only if they are real",
}


def complex_samples(op: Op) -> list[Sample]:
    """The samples with complex numbers where floats were, as far as PyTorch takes them."""
    assert op.samples is not None
    function: Any = _torch.counterpart(op)
    kept = []
    for sample in op.samples(Sampler(np.complex128, 0)) if function else []:
        if not any(a.dtype.kind == "c" for a in opcheck.arrays_of(op, sample)):
            continue
        try:
            taken = _torch.call(op, function, sample)
        except NotImplementedError:
            taken = None
        if taken is not None:
            kept.append(sample)
    return kept


@pytest.mark.parametrize("name", sorted(set(OPS) - REFUSED - set(OTHER)))
def test_values_and_gradients(name: str) -> None:
    op = OPS[name]
    function: Any = _torch.counterpart(op)
    for sample in complex_samples(op):
        message = opcheck.where_at(op, sample, 0)
        theirs: Any = _torch.call(op, function, sample)
        for got, want in zip(opcheck.outputs(opcheck.call(op, sample)), theirs, strict=True):
            opcheck.same(got, want.detach().resolve_conj().resolve_neg().numpy(), message, 1e-9)
        gradients = _torch.gradients(op, function, sample) if op.differentiable else None
        for got, want in zip(
            opcheck._gradients(op, sample) if gradients else [], gradients or [], strict=True
        ):
            if want is not None:
                opcheck.same(np.zeros_like(want) if got is None else got, want, message, 1e-8)


DERIVED = [
    "abs", "acos", "acosh", "add", "addcdiv", "addcmul", "addmm", "asin", "asinh", "atan", "atanh", "bmm", "cat",
    "complex", "conj", "cos", "cosh", "cumprod", "cumsum", "det", "diagonal", "div", "dot", "exp", "exp2", "expm1",
    "fft", "flip", "hfft", "ifft", "imag", "inv", "irfft", "lerp", "linear", "log", "log10", "log1p", "log2",
    "logsumexp", "matmul", "mean", "mul", "mv", "neg", "outer", "permute", "polar", "pow", "prod", "real",
    "reciprocal", "rsqrt", "select", "sgn", "sigmoid", "sin", "sinc", "sinh", "slogdet", "sqrt", "square", "std",
    "sub", "sum", "tan", "tanh", "tril", "unfold", "var", "vector_norm", "view_as_complex", "view_as_real", "where",
]  # fmt: skip


@pytest.mark.parametrize("name", DERIVED)
def test_derivatives(name: str) -> None:
    """First and second, against finite differences: both parts of the numbers are moved."""
    op = OPS[name]
    checked = 0
    for sample in complex_samples(op) or opcheck.samples_of(op, 0):
        arrays = opcheck.arrays_of(op, sample)
        if not sample.smooth or sum(a.size for a in arrays) > 26:
            continue
        inputs = [tl.tensor(a, requires_grad=a.dtype.kind in "fc") for a in arrays]

        def function(*tensors: Any, sample: Sample = sample) -> Any:
            feed = iter(tensors)
            return opcheck.call(op, sample, lambda _: next(feed))

        assert gradcheck(function, inputs), opcheck.where_at(op, sample, 0)
        assert gradgradcheck(function, inputs), opcheck.where_at(op, sample, 0)
        checked += 1
    assert checked


def test_views_share_memory_both_ways() -> None:
    z = tl.tensor([1 + 2j, 3 + 4j])
    pairs = tl.view_as_real(z)
    pairs[0, 1] = 20
    assert z.tolist() == [1 + 20j, 3 + 4j]
    back = tl.view_as_complex(pairs)
    back[1] = 7
    assert z.tolist() == [1 + 20j, 7 + 0j]
    assert back.data_ptr() == pairs.data_ptr() == z.data_ptr()
    assert z._version == pairs._version == back._version == 2


def test_writing_through_a_view_has_its_gradient() -> None:
    def program(lib: Any, z: Any, w: Any) -> Any:
        z = z * 1
        lib.view_as_real(z)[..., 0].mul_(w)
        return (z * z).abs().sum()

    arrays = (np.array([1 + 2j, 3 - 1j]), np.array([2.0, -3.0]))
    ours = [tl.tensor(a, requires_grad=True) for a in arrays]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    program(tl, *ours).backward()
    program(torch, *theirs).backward()
    for got, want in zip(ours, theirs, strict=True):
        assert got.grad is not None
        np.testing.assert_allclose(got.grad.numpy(), want.grad.numpy())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_precision_is_kept(dtype: str) -> None:
    x = tl.ones(2, dtype=getattr(tl, dtype))
    wide = {"float32": "complex64", "float64": "complex128"}[dtype]
    z = tl.complex(x, x)
    assert z.dtype.name == tl.polar(x, x).dtype.name == tl.view_as_complex(x).dtype.name == wide
    assert z.abs().dtype.name == z.angle().dtype.name == tl.view_as_real(z).dtype.name == dtype
    assert z.real.dtype.name == z.imag.dtype.name == dtype


def test_a_pair_must_lie_together_to_be_viewed() -> None:
    with pytest.raises(RuntimeError, match="last dimension with stride 1"):
        tl.view_as_complex(tl.ones(2, 3).T)
    with pytest.raises(RuntimeError, match="stride divisible by 2 for all but last dimension"):
        tl.view_as_complex(tl.ones(3, 3)[:, :2])
    assert tl.view_as_complex(tl.ones(3, 3)[:, :2].contiguous()).shape == (3,)


def test_a_conjugate_is_resolved_at_once() -> None:
    z = tl.tensor([1 + 2j])
    assert z.conj().resolve_conj().tolist() == tl.conj_physical(z).tolist() == [1 - 2j]
    assert tl.resolve_conj(z) is z
    assert tl.resolve_neg(z.conj().imag).tolist() == [-2.0]
    assert tl.is_complex(z)
    assert not tl.is_complex(z.real)


def test_a_real_function_of_complex_numbers_is_minimized() -> None:
    """Gradient descent goes the right way: the gradient points uphill."""
    z = tl.tensor([3 + 4j, -2 + 1j], dtype=tl.complex128, requires_grad=True)
    target = tl.tensor([1 - 1j, 0.5j], dtype=tl.complex128)
    for _ in range(60):
        (loss_gradient,) = tl.autograd.grad(((z - target).abs() ** 2).sum(), [z])
        z = (z - 0.2 * loss_gradient).detach().requires_grad_()
    np.testing.assert_allclose(z.detach().numpy(), target.numpy(), atol=1e-9)
