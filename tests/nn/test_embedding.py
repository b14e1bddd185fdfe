"""Embeddings against PyTorch: draws, values, gradients, renormalisation, printed forms, errors."""

from __future__ import annotations

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import nn

ROWS = np.array([[1, 2, 4], [4, 4, 0]])


@pytest.mark.parametrize("padding_idx", [None, 0, 4, -1])
@pytest.mark.parametrize(
    "options",
    [{}, {"scale_grad_by_freq": True}, {"max_norm": 0.5}, {"max_norm": 0.9, "norm_type": 1.0}],
    ids=str,
)
def test_embedding(compare, padding_idx, options):
    for rows in (ROWS, ROWS[0].astype(np.int32), np.array(3)):
        compare(lambda lib: lib.Embedding(5, 3, padding_idx, **options), rows)


def test_pretrained_tables():
    table = tl.eye(3)
    layer = nn.Embedding.from_pretrained(table, padding_idx=0)
    assert layer(tl.tensor([2])).tolist() == [[0, 0, 1]]
    assert not layer.weight.requires_grad
    assert nn.Embedding.from_pretrained(table, freeze=False).weight.requires_grad


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.Embedding(3, 2, padding_idx=5), AssertionError, "within num_embeddings"),
        (lambda: nn.Embedding(3, 2, _weight=tl.ones(2, 2)), AssertionError, "does not match"),
        (lambda: nn.Embedding.from_pretrained(tl.ones(3)), AssertionError, "2-dimensional"),
        (lambda: nn.Embedding(3, 2)(tl.tensor([3])), IndexError, "index out of range in self: 3"),
        (lambda: nn.Embedding(3, 2)(tl.tensor([0.5])), RuntimeError, "Long, Int"),
        (lambda: nn.Embedding(3, 2, sparse=True)(tl.tensor([1])), NotImplementedError, "sparse"),
        (
            lambda: nn.functional.embedding(tl.tensor([1]), tl.ones(3, 2), 7),
            AssertionError,
            "within num_embeddings",
        ),
    ],
)
def test_wrong_calls(call, error, message):
    with pytest.raises(error, match=message):
        call()
