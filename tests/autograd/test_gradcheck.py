"""gradcheck itself: it must pass right rules and fail wrong ones."""

from __future__ import annotations

import numpy as np
import pytest

import tensorlab as tl
from tensorlab.autograd import GradcheckError, gradcheck, gradgradcheck


class Wrong(tl.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * x  # forgot the 2


class WrongTwice(tl.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 2 * g * x.detach()  # right once, wrong when differentiated


def leaf(*shape: int) -> tl.Tensor:
    return tl.tensor(np.random.default_rng(0).standard_normal(shape), requires_grad=True)


def test_wrong_rules_fail():
    with pytest.raises(
        GradcheckError, match="Jacobian mismatch for output 0 with respect to input 0"
    ):
        gradcheck(Wrong.apply, (leaf(3),))
    assert gradcheck(Wrong.apply, (leaf(3),), raise_exception=False) is False
    assert gradcheck(WrongTwice.apply, (leaf(3),))
    with pytest.raises(GradcheckError):
        gradgradcheck(WrongTwice.apply, (leaf(3),))


def test_single_precision_is_refused():
    with pytest.raises(ValueError, match="float64"):
        gradcheck(lambda x: x * 2, (tl.ones(2, requires_grad=True),))


def test_nothing_to_check_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        gradcheck(lambda x: x * 2, (tl.ones(2),))


def test_several_outputs_and_complex_numbers():
    z = tl.tensor([1 + 2j, 3 - 1j], dtype=tl.complex128, requires_grad=True)
    assert gradcheck(lambda z: (z * z, z * 2), (z,))
