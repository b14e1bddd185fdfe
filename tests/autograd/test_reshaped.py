"""Shapes changed in place (`t_`, `unsqueeze_` …) and gradients: as in PyTorch, or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tensorlab as tl

CHANGES = {
    "t_": lambda x: x.t_(),
    "transpose_": lambda x: x.transpose_(0, 1),
    "swapaxes_": lambda x: x.swapaxes_(0, 1),
    "unsqueeze_": lambda x: x.unsqueeze_(1),
    "squeeze_": lambda x: x.unsqueeze_(0).squeeze_(0),
    "as_strided_": lambda x: x.as_strided_((2, 2), (3, 1)),
}
USES = {
    "of a result": lambda lib, x, change: change(x * 1),
    "of a view": lambda lib, x, change: change((x * 1)[:2, 1:]),
    "then written to": lambda lib, x, change: change(x * 1).mul_(3),
    "of a view, then written to": lambda lib, x, change: change((x * 1)[:2, 1:]).mul_(3),
    "a view made afterwards, written to": lambda lib, x, change: _with_first_doubled(change(x * 1)),
}


def _with_first_doubled(y: Any) -> Any:
    y[0].mul_(2)
    return y


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("change", CHANGES)
def test_gradients(change: str, use: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    found = []
    for lib in (torch, tl):
        x = lib.arange(9.0).view(3, 3).requires_grad_()
        y = USES[use](lib, x, CHANGES[change])
        (y * y * lib.arange(float(y.numel())).view(y.shape)).sum().backward()
        assert x.grad is not None
        found.append((y.detach().numpy(), x.grad.numpy(), y.stride()))
    for theirs, ours in zip(*found, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("shape", [(2, 3), (2, 2)])
def test_a_view_made_before_is_refused_rather_than_wrong(shape: tuple[int, int]) -> None:
    y = tl.ones(shape, requires_grad=True) * 1
    view = y[0]
    y.t_()
    with pytest.raises(RuntimeError, match="given another shape in place"):
        view.mul_(2)


def test_leaves_that_require_grad_keep_their_shape() -> None:
    x = tl.ones(2, 3, requires_grad=True)
    for change in CHANGES.values():
        with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
            change(x)
    with pytest.raises(RuntimeError, match="cannot resize variables that require grad"):
        x.resize_(6)
