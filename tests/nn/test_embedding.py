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


# Bags -------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("padding_idx", [None, 1, -1])
def test_bags(compare, rng, mode, padding_idx):
    for _ in range(8):
        options = {"mode": mode, "padding_idx": padding_idx}
        if rng.integers(2):
            options |= {"max_norm": 0.8, "norm_type": float(rng.integers(1, 3))}
        kind = [np.int64, np.int32][rng.integers(2)]
        if rng.integers(2):
            arguments = [rng.integers(0, 5, tuple(rng.integers(1, 5, 2))).astype(kind)]
        else:
            size = int(rng.integers(0, 9))
            starts = np.sort(rng.integers(0, size + 1, int(rng.integers(1, 5))))
            starts[0] = 0
            if rng.integers(2):
                options["include_last_offset"] = True
                starts = np.append(starts, size)
            arguments = [rng.integers(0, 5, size).astype(kind), starts.astype(kind)]
        if mode == "sum" and rng.integers(2):
            arguments += [None] * (2 - len(arguments))
            arguments.append(rng.standard_normal(arguments[0].shape).astype(np.float32))
        compare(lambda lib, o=options: lib.EmbeddingBag(5, 3, **o), *arguments)


@pytest.mark.parametrize("mode", ["sum", "mean"])
def test_bags_by_frequency(mode):
    """Each row's gradient is divided by how often it is in the input (PyTorch confuses the rows)."""
    rows = tl.tensor([0, 1, 1, 4, 1])
    grads = []
    for by_frequency in (False, True):
        weight = tl.ones(5, 2).requires_grad_()
        out = nn.functional.embedding_bag(
            rows, weight, tl.tensor([0, 3]), mode=mode, scale_grad_by_freq=by_frequency
        )
        out.sum().backward()
        grads.append(weight.grad.numpy())
    np.testing.assert_allclose(grads[1], grads[0] / [[1], [3], [1], [1], [1]])


def test_pretrained_bags():
    layer = nn.EmbeddingBag.from_pretrained(tl.eye(3), mode="max")
    assert layer(tl.tensor([[0, 2]])).tolist() == [[1, 0, 1]]
    assert not layer.weight.requires_grad


def test_old_order_of_arguments_warns():
    with pytest.warns(UserWarning, match="Argument order"):
        out = nn.functional.embedding_bag(tl.eye(2), tl.tensor([[1]]))
    assert out.tolist() == [[0, 1]]


def _bag(*arguments, **options):
    def made(value):
        return tl.tensor(value) if isinstance(value, list) else value

    options = {name: made(value) for name, value in options.items()}
    return nn.functional.embedding_bag(*map(made, arguments), **options)


TABLE = tl.ones(5, 2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: _bag([0, 1], TABLE), ValueError, "1D Tensor but got None"),
        (lambda: _bag([0, 1], TABLE, [[0]]), ValueError, "offsets has to be a 1D"),
        (lambda: _bag([[0, 1]], TABLE, [0]), ValueError, "offsets has to be None"),
        (lambda: _bag([[[0]]], TABLE), ValueError, "1D or 2D"),
        (lambda: _bag([[0]], TABLE[0]), ValueError, "weight has to be a 2D"),
        (lambda: _bag([[0]], TABLE, mode="median"), ValueError, "sum, mean or max"),
        (lambda: _bag([[0]], TABLE, mode="max", scale_grad_by_freq=True), ValueError, "frequency"),
        (lambda: _bag([[0]], TABLE, mode="max", sparse=True), ValueError, "sparse weights"),
        (lambda: _bag([[0]], TABLE, sparse=True), NotImplementedError, "sparse"),
        (lambda: _bag([0, 1], TABLE, [1]), RuntimeError, "has to be 0"),
        (lambda: _bag([0, 1], TABLE, [0, 3]), RuntimeError, "greater than input's length 2"),
        (lambda: _bag([0, 1, 1], TABLE, [0, 2, 1]), RuntimeError, "ascending"),
        (
            lambda: _bag([0, 1], TABLE, [0, 1], include_last_offset=True),
            RuntimeError,
            "last offset",
        ),
        (lambda: _bag([0, 9], TABLE, [0]), RuntimeError, "Index 1 of input takes value 9"),
        (lambda: _bag([0, -1], TABLE, [0]), RuntimeError, "takes value -1"),
        (lambda: _bag([[0]], TABLE, padding_idx=7), RuntimeError, "through 4, but got 7"),
        (lambda: _bag([[0]], TABLE, per_sample_weights=[[1.0, 2.0]]), ValueError, "same shape"),
        (
            lambda: _bag([[0]], TABLE, per_sample_weights=[[1.0]]),
            NotImplementedError,
            "only supported for mode='sum'",
        ),
        (
            lambda: _bag([[0]], TABLE.double(), per_sample_weights=[[1.0]], mode="sum"),
            RuntimeError,
            "of the same type",
        ),
        (lambda: nn.EmbeddingBag(3, 2, padding_idx=3), AssertionError, "within num_embeddings"),
    ],
)
def test_wrong_calls_of_bags(call, error, message):
    with pytest.raises(error, match=message):
        call()
