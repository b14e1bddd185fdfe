"""Dropout on the device: its random words are Philox's, and the kernel drops what the generic path drops."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import tensorlab as tl
from tensorlab._op import OPS
from tensorlab.kernels.cuda import dropout
from tensorlab.ops.dropout import philox

DTYPES = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
def test_values(host, rng, dtype):
    forward = OPS["philox_dropout"].forward
    for shape in [(1,), (3, 5), (4, 8), (1001,), (130, 77), (0, 3)]:
        x = rng.standard_normal(shape).astype(dtype)
        key = int(rng.integers(0, 2**63)) * 2
        for keep, scale in [(0.5, 2.0), (0.9, 1 / 0.9), (0.0, 1.0), (1.0, 1.0)]:
            wanted = forward(np, x, keep, scale, key)
            found = dropout.dropout(x, keep, scale, key)
            assert found.dtype == dtype
            np.testing.assert_array_equal(found, wanted)
            held = np.array([key], np.uint64)
            np.testing.assert_array_equal(dropout.dropout(x, keep, scale, held), wanted)
    assert dropout.dropout(x, 0.5, 2.0, np.array([1])) is NotImplemented
    assert dropout.dropout(np.ones(3, int), 0.5, 2.0, 1) is NotImplemented


def test_philox_gives_the_words_that_its_authors_publish(monkeypatch):
    # The known answers of Random123's test suite, for the counter 0 and key 0.
    words = [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert philox(np, 0, 4).tolist() == words
    assert philox(np, np.zeros(1, np.uint64), 3).tolist() == words[:3]


def test_words_look_random(rng):
    words = philox(np, int(rng.integers(2**62)), 40_000) / 2**32
    assert abs(words.mean() - 0.5) < 0.01
    assert abs((words[1:] * words[:-1]).mean() - 0.25) < 0.01
    assert len(np.unique(words)) > 39_900


def test_backward_drops_what_forward_dropped():
    x = tl.ones(1000, requires_grad=True)
    y = OPS["philox_dropout"].call(x, 0.7, 1 / 0.7, 12345)
    y.backward(tl.ones(1000))
    np.testing.assert_array_equal(x.grad.numpy(), y.detach().numpy())
    assert 600 < (y != 0).sum().item() < 800
