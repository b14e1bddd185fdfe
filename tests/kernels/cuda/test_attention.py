"""Attention kernels against the generic path in float64."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from tensorlab._op import OPS
from tensorlab.kernels.cuda import attention

WIDE = np.float64
# Lead, queries, keys, E and D.
CASES = [
    ((1,), 16, 16, 4, 4), ((2, 3), 70, 67, 9, 20), ((2,), 33, 130, 64, 33), ((1, 2), 65, 40, 100, 128)
]  # fmt: skip
# Those that (emulated) tensor cores take, of short numbers.
ON_CORES = [
    ((1,), 16, 16, 8, 8), ((1, 2), 70, 67, 24, 32), ((2,), 33, 130, 64, 40), ((1,), 65, 40, 96, 128)
]  # fmt: skip


def _masks(rng, lead, queries, keys):
    yield None, False
    yield None, True
    for shape in [(queries, keys), (*lead[:1], *[1] * (len(lead) - 1), 1, keys)]:
        mask = np.where(rng.random(shape) < 0.3, -np.inf, rng.standard_normal(shape))
        mask[..., -1] = 0  # the last key is seen by all: but see below
        yield mask, False


@pytest.mark.parametrize(
    "dtype", [np.float32, np.float16, ml_dtypes.bfloat16], ids=lambda d: np.dtype(d).name
)
@pytest.mark.parametrize("cases", [CASES, ON_CORES], ids=["any", "cores"])
def test_values_and_gradients(host, rng, dtype, cases):
    eps = max(float(ml_dtypes.finfo(dtype).eps), 2e-6)
    forward = OPS["scaled_dot_product_attention"].forward
    backward = OPS["scaled_dot_product_attention_backward"].forward
    for lead, queries, keys, depth, width in cases:
        q = rng.standard_normal((*lead, queries, depth)).astype(dtype)
        k = rng.standard_normal((*lead, keys, depth)).astype(dtype)
        v, g = (rng.standard_normal((*lead, n, width)).astype(dtype) for n in (keys, queries))
        scale = depth**-0.5
        for mask, causal in _masks(rng, lead, queries, keys):
            short = [q, k, v, None if mask is None else mask.astype(dtype)]
            wide = [None if a is None else a.astype(WIDE) for a in short]
            out, normaliser = attention.attention(*short, None, causal, scale)
            wanted = forward(np, *wide, None, causal, scale)
            assert out.dtype == dtype
            assert normaliser.dtype == WIDE
            np.testing.assert_allclose(out.astype(WIDE), wanted[0], 4 * eps, 4 * eps)
            np.testing.assert_allclose(normaliser, wanted[1], 1e-5, 1e-5)
            by_normaliser = rng.standard_normal(normaliser.shape)
            rest = (None, causal, scale)
            found = attention.attention_backward(
                g, by_normaliser, *short[:3], out, normaliser, short[3], *rest
            )
            wanted = backward(np, g.astype(WIDE), by_normaliser, *wide[:3], *wanted, wide[3], *rest)
            for a, b in zip(found, wanted, strict=True):
                assert a.dtype == dtype
                size = float(np.abs(b).max())
                np.testing.assert_allclose(a.astype(WIDE), b, 8 * eps, 16 * eps * max(size, 1))
    used = {name.partition("<")[0] for name in host.used} - {"attention_delta"}
    engine = (
        "attention_cores" if cases is ON_CORES and np.dtype(dtype).itemsize == 2 else "attention"
    )
    assert used == {engine, f"{engine}_by_query", f"{engine}_by_key"}


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_a_query_that_sees_no_key(host, rng, dtype):
    q, k, v, g = (rng.standard_normal((1, 20, 8)).astype(dtype) for _ in range(4))
    mask = np.zeros((20, 20), dtype)
    mask[3] = -np.inf
    out, normaliser = attention.attention(q, k, v, mask, None, False, 1.0)
    assert not out[0, 3].any()
    assert normaliser[0, 3] == -np.inf
    zero = np.zeros((1, 20))
    found = attention.attention_backward(g, zero, q, k, v, out, normaliser, mask, None, False, 1.0)
    assert not found[0][0, 3].any()
    assert all(np.isfinite(a).all() for a in found)


def test_arrays_that_start_anywhere(host, rng):
    whole = rng.standard_normal((3, 1, 21, 8)).astype(np.float16)
    q, k, v = (
        a.reshape(-1)[4:-4].reshape(1, 20, 8) for a in whole
    )  # 8 bytes behind a multiple of 16
    found, _ = attention.attention(q, k, v, None, None, False, 1.0)
    wanted, _ = attention.attention(*(a.copy() for a in (q, k, v)), None, None, False, 1.0)
    np.testing.assert_array_equal(found, wanted)


def test_no_matrix_of_scores_is_ever_made(host, rng, monkeypatch):
    q, k, v = (rng.standard_normal((1, 200, 8)).astype(np.float32) for _ in range(3))
    made = []
    real = np.empty

    def empty(shape, *args, **kwargs):
        made.append(int(np.prod(shape)))
        return real(shape, *args, **kwargs)

    monkeypatch.setattr(np, "empty", empty)
    out, normaliser = attention.attention(q, k, v, None, None, True, 1.0)
    attention.attention_backward(
        out, normaliser * 0, q, k, v, out, normaliser, None, None, True, 1.0
    )
    assert max(made) < 200 * 200


def test_what_is_declined(host):
    def run(*shapes, dtype=np.float32, mask=None, dropout=None):
        arrays = [np.ones(s, dtype) for s in shapes]
        return attention.attention(*arrays, mask, dropout, False, 1.0)

    same = [(1, 20, 8)] * 3
    assert run(*same, dtype=np.float64) is NotImplemented
    assert run(*same, dropout=np.ones((1, 20, 20), np.float32)) is NotImplemented
    assert run(*same, mask=np.ones((3, 20), np.float32)) is NotImplemented
    assert run((1, 20, 129), (1, 20, 129), (1, 20, 8)) is NotImplemented
    assert run((2, 20, 8), (1, 20, 8), (1, 20, 8)) is NotImplemented
    assert run((1, 8, 8), (1, 20, 8), (1, 20, 8)) is NotImplemented
    assert run((20, 8), (20, 8), (20, 8)) is NotImplemented
    assert not host.used
