"""The convolution kernels against the generic path, which is what a convolution means."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tensorlab._op import OPS
from tensorlab.kernels import threads

pytest.importorskip("numba", reason="the CPU kernels are compiled by Numba")

from tensorlab.kernels.cpu.native import conv as native


def close(found, generic, atol=1e-4):
    np.testing.assert_allclose(found, generic, rtol=1e-4, atol=atol)


@pytest.fixture(params=[1, 2, 3])
def thread_number(request, monkeypatch):
    """The number of threads, however small the work."""
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 0)
    monkeypatch.setattr(threads, "_count", request.param)
    return request.param


def configuration(rng):
    """Sizes of a convolution that exists: ragged, small, grouped, strided, dilated, padded."""
    dims, groups = int(rng.integers(1, 3)), int(rng.integers(1, 4))
    kernel = tuple(int(k) for k in rng.integers(1, 5, dims))
    stride = tuple(int(s) for s in rng.integers(1, 4, dims))
    dilation = tuple(int(d) for d in rng.integers(1, 3, dims))
    padding = tuple(int(p) for p in rng.integers(0, 4, dims))
    reach = [
        max(1, d * (k - 1) + 1 - 2 * p) for k, d, p in zip(kernel, dilation, padding, strict=True)
    ]
    size = tuple(int(rng.integers(r, r + 22)) for r in reach)
    channels, outputs = groups * int(rng.integers(1, 6)), groups * int(rng.integers(1, 20))
    x = rng.standard_normal((int(rng.integers(1, 5)), channels, *size), np.float32)
    w = rng.standard_normal((outputs, channels // groups, *kernel), np.float32)
    return x, w, stride, padding, dilation, groups


@pytest.mark.parametrize("repeat", range(8))
def test_random_convolutions(rng, thread_number, repeat):
    for _ in range(6):
        x, w, stride, padding, dilation, groups = configuration(rng)
        none = (0,) * len(stride)
        bias = rng.standard_normal(len(w), np.float32)
        generic = OPS["convolution"].forward(
            np, x, w, bias, stride, padding, dilation, False, none, groups
        )
        count = generic.shape[2:]
        found = native.forward(x, w, bias, count, stride, padding, dilation, groups)
        close(found, generic)
        y = rng.standard_normal(generic.shape, np.float32)
        how = (stride, padding, dilation, groups)
        generic = OPS["convolution_input"].forward(np, y, w, x.shape[2:], *how)
        close(native.by_input(y, w, x.shape[2:], *how), generic)
        generic = OPS["convolution_weight"].forward(np, x, y, w.shape[2:], *how)
        close(native.by_weight(x, y, w.shape[2:], *how), generic, atol=1e-3)


def test_any_layout_of_the_operands(rng):
    x = rng.standard_normal((3, 12, 10, 4), np.float32).transpose(0, 3, 2, 1)
    w = rng.standard_normal((3, 3, 4, 20), np.float32).transpose(3, 2, 0, 1)
    generic = OPS["convolution"].forward(np, x, w, None, (1, 1), (1, 1), (1, 1), False, (0, 0), 1)
    found = native.forward(x, w, None, generic.shape[2:], (1, 1), (1, 1), (1, 1), 1)
    close(found, generic)


def test_the_operation_uses_it_and_declines_what_it_is_not_made_for(rng, monkeypatch):
    taken = []
    monkeypatch.setattr(native, "forward", lambda *a: taken.append(1) or np.zeros(()))
    kernel = OPS["convolution"].kernels["cpu"]
    x, w = (
        rng.standard_normal((8, 3, 20, 20), np.float32),
        rng.standard_normal((4, 3, 3, 3), np.float32),
    )
    one, none = (1, 1), (0, 0)
    assert kernel(x, w, None, one, one, one, False, none, 1) is not NotImplemented
    assert taken == [1]
    declined = [
        (x.astype(np.float64), w.astype(np.float64), None, one, one, one, False, none, 1),
        (x, w, None, one, one, one, True, none, 1),
        (x[:1, :, :3, :3], w, None, one, none, one, False, none, 1),
        (x, w[:, :2], None, one, one, one, False, none, 1),
        (x, w, np.zeros(3, np.float32), one, one, one, False, none, 1),
        (x, w, None, (0, 1), one, one, False, none, 1),
        (x[:, :, :1], w, None, one, none, one, False, none, 1),
    ]
    for arguments in declined:
        assert kernel(*arguments) is NotImplemented
    assert taken == [1]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_infinities_and_nan_reach_exactly_what_they_reach_generically(rng, value):
    x = rng.standard_normal((4, 3, 14, 14), np.float32)
    x[2, 1, 5, 13] = value
    w = rng.standard_normal((8, 3, 3, 3), np.float32)
    how = ((1, 1), (1, 1), (1, 1))
    generic = OPS["convolution"].forward(np, x, w, None, *how, False, (0, 0), 1)
    close(native.forward(x, w, None, (14, 14), *how, 1), generic)
    y = rng.standard_normal(generic.shape, np.float32)
    generic = OPS["convolution_weight"].forward(np, x, y, (3, 3), *how, 1)
    found = OPS["convolution_weight"].kernels["cpu"](x, y, (3, 3), *how, 1)
    assert found is NotImplemented or np.array_equal(np.isnan(found), np.isnan(generic))


def test_same_numbers_from_run_to_run(rng, thread_number):
    x = rng.standard_normal((5, 3, 17, 13), np.float32)
    y = rng.standard_normal((5, 6, 17, 13), np.float32)
    how = ((3, 3), (1, 1), (1, 1), (1, 1), 1)
    runs = [native.by_weight(x, y, *how) for _ in range(5)]
    for first, second in itertools.pairwise(runs):
        np.testing.assert_array_equal(first, second)


def test_nothing_is_left_of_one_image_in_the_next(rng):
    """The rooms that images are laid out in are used again."""
    w = rng.standard_normal((4, 2, 3, 3), np.float32)
    x = np.zeros((3, 2, 9, 9), np.float32)
    x[0] = 1
    found = native.forward(x, w, None, (9, 9), (1, 1), (1, 1), (1, 1), 1)
    assert found[0].any()
    assert not found[1:].any()
