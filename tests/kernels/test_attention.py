"""The attention kernels against the generic path: values, normalisers, gradients, masks, layouts."""

from __future__ import annotations

import numpy as np
import pytest

import tensorlab as tl
from tensorlab._op import OPS

pytest.importorskip("numba", reason="the CPU kernels are compiled by Numba")

from tensorlab.kernels.cpu import attention
from tensorlab.kernels.cpu.native import attention as native

FORWARD, BACKWARD = (OPS["scaled_dot_product_attention" + end] for end in ("", "_backward"))


@pytest.fixture(autouse=True, params=[1, 2])
def thread_number(request, monkeypatch, use_threads):
    use_threads(request.param)
    monkeypatch.setattr(attention, "FEWEST", 0)


def heads(rng, batch, places, count, features):
    """(batch, head, place, feature), as a view of what a linear layer gives."""
    return rng.standard_normal((batch, places, count, features), np.float32).transpose(0, 2, 1, 3)


SIZES = [
    # batch, heads, queries, keys, features of queries and keys, of values
    (1, 1, 1, 1, 1, 1), (2, 3, 5, 7, 4, 3), (1, 2, 70, 70, 8, 8), (2, 2, 130, 90, 33, 50),
    (1, 2, 65, 200, 64, 64), (3, 1, 64, 64, 32, 32), (1, 1, 200, 3, 100, 17),
]  # fmt: skip


@pytest.mark.parametrize(
    "masked", [None, "numbers", "hidden", "of each batch", "of each head", "dropout", "both"]
)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("sizes", SIZES)
def test_against_the_generic_path(rng, sizes, causal, masked):
    batch, count, places, keys, width, features = sizes
    q, k = heads(rng, batch, places, count, width), heads(rng, batch, keys, count, width)
    v, scale = heads(rng, batch, keys, count, features), width**-0.5
    numbers = rng.standard_normal((places, keys), np.float32)
    if masked == "hidden":  # some queries see no key at all
        numbers[numbers > 0.5] = -np.inf
        numbers[0] = -np.inf
    dropout = None
    if masked in ("of each batch", "of each head"):
        shape = (batch, 1, 1, keys) if masked == "of each batch" else (count, places, keys)
        numbers = rng.standard_normal(shape, np.float32)
    if masked in ("dropout", "both"):
        dropout = (rng.random((batch, count, places, keys)) < 0.7).astype(np.float32) / 0.7
    mask = None if masked in (None, "dropout") else numbers
    given = (q, k, v, mask, dropout, causal, scale)
    with np.errstate(divide="ignore"):
        out, normaliser = FORWARD.kernels["cpu"](*given)
        wanted, sums = FORWARD.forward(np, *given)
    np.testing.assert_allclose(out, wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(normaliser, sums, rtol=1e-5, atol=1e-5)
    assert normaliser.dtype == np.float64
    assert out.strides == wanted.strides
    g, along = heads(rng, batch, places, count, features), rng.standard_normal(sums.shape)
    given = (g, along, q, k, v, wanted, sums, mask, dropout, causal, scale)
    found, generic = BACKWARD.kernels["cpu"](*given), BACKWARD.forward(np, *given)
    for a, b in zip(found, generic, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_three_dimensions(rng):
    q, k, v = (rng.standard_normal((4, n, 6), np.float32) for n in (9, 11, 11))
    out, sums = FORWARD.kernels["cpu"](q, k, v, None, None, False, 0.4)
    wanted, generic = FORWARD.forward(np, q, k, v, None, None, False, 0.4)
    np.testing.assert_allclose(out, wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(sums, generic, rtol=1e-5, atol=1e-5)


def test_nan_and_infinities_reach_what_they_reach_generically(rng):
    """Without a causal mask: with one, what is ahead is not looked at, not even to multiply it by 0."""
    q, k, v = (heads(rng, 1, 20, 2, 8) for _ in range(3))
    q[0, 0, 3, 2], k[0, 1, 4, 4], v[0, 0, 5, 5] = np.nan, np.nan, np.inf
    with np.errstate(invalid="ignore"):
        out, _ = FORWARD.kernels["cpu"](q, k, v, None, None, False, 0.3)
        wanted, _ = FORWARD.forward(np, q, k, v, None, None, False, 0.3)
    np.testing.assert_array_equal(np.isnan(out), np.isnan(wanted))
    np.testing.assert_array_equal(np.isinf(out), np.isinf(wanted))


def test_modules_use_it_and_what_it_is_not_made_for_goes_the_generic_way(rng, spy):
    used = spy(native, "attention", "attention_backward")
    attend = tl.nn.functional.scaled_dot_product_attention
    q, k, v = (tl.from_numpy(heads(rng, 2, 40, 2, 8)).requires_grad_() for _ in range(3))
    attend(q, k, v, is_causal=True).sum().backward()
    assert used == ["attention", "attention_backward"]
    attend(q, k[:, :1], v[:, :1])  # heads that share keys without saying so
    attend(q.double(), k.double(), v.double())
    assert len(used) == 2
    attend(q, k, v, dropout_p=0.5).sum().backward()
    attend(q, k[:, :1], v[:, :1], enable_gqa=True).sum().backward()
    assert len(used) == 6


@pytest.mark.parametrize("masked", [None, "numbers", "dropout"])
def test_groups_of_heads_share_keys(rng, masked):
    batch, groups, count, places, keys, width = 2, 3, 4, 33, 21, 8
    q, g = rng.standard_normal((2, batch, groups, count, places, width), np.float32)
    k, v = rng.standard_normal((2, batch, groups, 1, keys, width), np.float32)
    mask = rng.standard_normal((places, keys), np.float32) if masked == "numbers" else None
    dropout = rng.random((*q.shape[:-1], keys), np.float32) if masked == "dropout" else None
    given = (q, k, v, mask, dropout, False, 0.4)
    found, wanted = FORWARD.kernels["cpu"](*given), FORWARD.forward(np, *given)
    along = rng.standard_normal(wanted[1].shape)
    given = (g, along, q, k, v, *wanted, mask, dropout, False, 0.4)
    found = [*found, *BACKWARD.kernels["cpu"](*given)]
    for a, b in zip(found, [*wanted, *BACKWARD.forward(np, *given)], strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5)
