"""Convolution kernels, with and without (emulated) tensor cores, against the generic path in float64."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from tensorlab._op import OPS
from tensorlab.kernels.cuda import conv
from tensorlab.ops.convolution import window_count

WIDE = np.float64
# Of x and w; stride, padding, dilation, groups.
CASES = [
    ((2, 3, 7), (4, 3, 3), (1,), (1,), (1,), 1),
    ((1, 1, 1, 1), (1, 1, 1, 1), (1, 1), (0, 0), (1, 1), 1),
    ((2, 3, 9, 8), (5, 3, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((3, 4, 11, 7), (6, 2, 3, 2), (2, 3), (2, 0), (1, 2), 2),
    ((2, 6, 5, 6), (6, 1, 3, 3), (1, 1), (1, 1), (1, 1), 6),
    ((2, 17, 12, 13), (70, 17, 5, 3), (2, 1), (2, 1), (1, 1), 1),
    ((5, 40, 8, 8), (33, 40, 1, 1), (2, 2), (0, 0), (1, 1), 1),
]
ENGINES = [
    (np.float32, False), (np.float64, False), (np.float32, True), (np.float16, True), (ml_dtypes.bfloat16, True),
]  # fmt: skip


def _close(found, wanted, dtype, fast, terms):
    # Products are exact in what tensor cores add in; TF32 keeps 10 bits of each operand.
    eps = 2**-10 if fast and dtype == np.float32 else float(ml_dtypes.finfo(dtype).eps)
    scale = 4 * (float(np.abs(wanted).max()) + terms**0.5)
    assert found.dtype == dtype
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found.astype(WIDE), wanted, 4 * eps, 4 * eps * scale)


@pytest.mark.parametrize(
    ("dtype", "fast"), ENGINES, ids=lambda v: v if isinstance(v, bool) else np.dtype(v).name
)
def test_all_three_products(host, rng, monkeypatch, dtype, fast):
    monkeypatch.setattr(conv, "tf32_allowed", lambda: fast)
    monkeypatch.setattr(conv, "SHORTEST_PART", 32)  # so that small cases, too, cut K into parts
    for x_shape, w_shape, stride, padding, dilation, groups in CASES:
        how = (stride, padding, dilation, groups)
        x, w = (
            rng.standard_normal(x_shape).astype(dtype),
            rng.standard_normal(w_shape).astype(dtype),
        )
        bias = rng.standard_normal(w_shape[0]).astype(dtype)
        count = window_count(x_shape[2:], w_shape[2:], stride, padding, dilation)
        g = rng.standard_normal((x_shape[0], w_shape[0], *count)).astype(dtype)
        wide_x, wide_w, wide_bias, wide_g = (a.astype(WIDE) for a in (x, w, bias, g))
        none = (0,) * len(stride)
        forward = OPS["convolution"].forward
        for b, wide_b in ((bias, wide_bias), (None, None)):
            rest = (*how[:3], False, none, groups)
            found = conv.convolution(x, w, b, *rest)
            terms = float(np.prod(w_shape[1:]))
            _close(found, forward(np, wide_x, wide_w, wide_b, *rest), dtype, fast, terms)
        least = [
            (n - 1) * s - 2 * p + d * (k - 1) + 1
            for n, s, p, d, k in zip(count, stride, padding, dilation, w_shape[2:], strict=True)
        ]
        more = tuple(n - m for n, m in zip(x_shape[2:], least, strict=True))
        rest = (*how[:3], True, more, groups)
        back = rng.standard_normal(x_shape[1]).astype(dtype)
        for b, wide_b in ((back, back.astype(WIDE)), (None, None)):
            found = conv.convolution(g, w, b, *rest)
            terms = w_shape[0] * float(np.prod(w_shape[2:]))
            _close(found, forward(np, wide_g, wide_w, wide_b, *rest), dtype, fast, terms)
        found = conv.convolution_input(g, w, x_shape[2:], *how)
        wanted = OPS["convolution_input"].forward(np, wide_g, wide_w, x_shape[2:], *how)
        _close(found, wanted, dtype, fast, w_shape[0] * float(np.prod(w_shape[2:])))
        found = conv.convolution_weight(x, g, w_shape[2:], *how)
        wanted = OPS["convolution_weight"].forward(np, wide_x, wide_g, w_shape[2:], *how)
        _close(found, wanted, dtype, fast, x_shape[0] * float(np.prod(count)))
    engine = "TensorCores" if fast else "Simple"
    assert all(engine in name for name in host.used if name.startswith("convolution"))


def test_what_is_declined(host, rng):
    x, w = np.ones((1, 2, 5), np.float32), np.ones((3, 2, 3), np.float32)
    rest = ((0,), (1,), False, (0,), 1)
    assert conv.convolution(x, w, None, (0,), *rest) is NotImplemented
    back = ((1,), (0,), (1,), True, (0,), 1)
    assert conv.convolution(x, w, None, *back) is NotImplemented  # 2 channels, where it takes 3
    assert conv.convolution(w, w, np.ones(3, np.float32), *back) is NotImplemented
    assert conv.convolution(x, w.astype(WIDE), None, (1,), *rest) is NotImplemented
    assert conv.convolution(x[..., :2], w, None, (1,), *rest) is NotImplemented
    assert conv.convolution(x[:, :1], w, None, (1,), *rest) is NotImplemented
    volume = np.ones((1, 1, 3, 3, 3), np.float32)
    three = ((1,) * 3, (0,) * 3, (1,) * 3, False, (0,) * 3, 1)
    assert conv.convolution(volume, volume, None, *three) is NotImplemented
    assert not host.used
