"""`axis` and `keepdims` are understood wherever PyTorch understands them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import tensorlab as tl

X = tl.arange(6.0).reshape(2, 3)


@pytest.mark.parametrize(
    "call",
    [
        lambda **k: X.sum(**k),
        lambda **k: X.mean(**k),
        lambda **k: X.var(**k),
        lambda **k: X.argmax(**k),
        lambda **k: X.all(**k),
        lambda **k: X.amax(**k),
        lambda **k: X.logsumexp(**k),
        lambda **k: X.norm(**k),
        lambda **k: X.max(**k).values,
        lambda **k: tl.median(X, **k).indices,
        lambda **k: tl.quantile(X, 0.5, **k),
    ],
)
def test_reductions(call: Callable[..., Any]) -> None:
    assert tl.equal(call(axis=1, keepdims=True), call(dim=1, keepdim=True))


@pytest.mark.parametrize(
    "call",
    [
        lambda **k: tl.cat([X, X], **k),
        lambda **k: tl.stack([X, X], **k),
        lambda **k: X.softmax(**k),
        lambda **k: X.cumsum(**k),
        lambda **k: X.sort(**k).values,
        lambda **k: X.argsort(**k),
        lambda **k: X.unsqueeze(**k),
        lambda **k: X.split(1, **k)[0],
        lambda **k: X.chunk(2, **k)[0],
        lambda **k: X.diff(**k),
    ],
)
def test_one_dimension(call: Callable[..., Any]) -> None:
    assert tl.equal(call(axis=1), call(dim=1))


def test_an_unknown_keyword_is_still_an_error() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'axes'"):
        X.sum(axes=1)


def test_a_required_dimension_is_still_required() -> None:
    for call in (X.softmax, X.cumsum, X.logsumexp, X.unsqueeze):
        with pytest.raises(TypeError, match="dim"):
            call()
