"""The convolution kernels against the generic path, which is what a convolution means."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import tensorlab as tl
from tensorlab._op import OPS

pytest.importorskip("numba", reason="the CPU kernels are compiled by Numba")

from tensorlab.kernels.cpu import conv
from tensorlab.kernels.cpu.native import depthwise, gathered, gathered_tables, planes


def close(found, generic, atol=1e-4):
    np.testing.assert_allclose(found, generic, rtol=1e-4, atol=atol)


@pytest.fixture(params=[1, 2, 3])
def thread_number(request, use_threads):
    """The number of threads, however small the work."""
    use_threads(request.param)
    return request.param


@pytest.fixture(params=[planes, gathered], ids=["planes", "gathered"])
def form(request):
    """Both forms compute any convolution, also those for which the other one is faster."""
    return request.param


def configuration(rng, dims, most):
    """Sizes of a convolution that exists: ragged, small, grouped, strided, dilated, padded."""
    groups = int(rng.integers(1, 4))
    kernel = tuple(int(k) for k in rng.integers(1, 5 if dims < 3 else 4, dims))
    stride = tuple(int(s) for s in rng.integers(1, 4, dims))
    dilation = tuple(int(d) for d in rng.integers(1, 3, dims))
    padding = tuple(int(p) for p in rng.integers(0, 4, dims))
    reach = [
        max(1, d * (k - 1) + 1 - 2 * p) for k, d, p in zip(kernel, dilation, padding, strict=True)
    ]
    more = {1: 600, 2: 22, 3: 8}[dims]
    size = tuple(int(rng.integers(r, r + more)) for r in reach)
    channels, outputs = groups * int(rng.integers(1, 6)), groups * int(rng.integers(1, most))
    x = rng.standard_normal((int(rng.integers(1, 6)), channels, *size), np.float32)
    w = rng.standard_normal((outputs, channels // groups, *kernel), np.float32)
    return x, w, stride, padding, dilation, groups


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("repeat", range(3))
def test_random_convolutions(rng, thread_number, form, dims, repeat):
    for _ in range(4):
        x, w, stride, padding, dilation, groups = configuration(rng, dims, 20 if repeat else 260)
        how = (stride, padding, dilation, groups)
        none = (0,) * len(stride)
        bias = rng.standard_normal(len(w), np.float32)
        generic = OPS["convolution"].forward(
            np, x, w, bias, stride, padding, dilation, False, none, groups
        )
        # Sums of thousands of numbers in another order: what is nearly 0 may differ by more than its 1e-4.
        close(form.forward(x, w, bias, generic.shape[2:], *how), generic, atol=1e-3)
        y = rng.standard_normal(generic.shape, np.float32)
        plus = rng.standard_normal(x.shape[1], np.float32)
        generic = OPS["convolution_input"].forward(np, y, w, x.shape[2:], *how)
        generic += plus.reshape(-1, *[1] * dims)
        close(form.by_input(y, w, plus, x.shape[2:], *how), generic, atol=2e-3)
        generic = OPS["convolution_weight"].forward(np, x, y, w.shape[2:], *how)
        close(form.by_weight(x, y, w.shape[2:], *how), generic, atol=1e-3)


@pytest.mark.parametrize(
    ("x", "w", "how"),
    [
        ((9, 40, 7, 7), (70, 40, 3, 3), ((1, 1), (1, 1), (1, 1), 1)),  # many images in a block
        ((1, 3, 45, 61), (20, 3, 7, 7), ((2, 2), (3, 3), (1, 1), 1)),  # many blocks in an image
        (
            (3, 300, 5, 6),
            (33, 300, 1, 1),
            ((1, 1), (0, 0), (1, 1), 1),
        ),  # more taps than a block has
        ((3, 30, 9, 8), (40, 30, 1, 1), ((2, 2), (0, 0), (1, 1), 1)),  # pixels that no tap reaches
        ((2, 24, 20, 50), (24, 1, 3, 3), ((2, 2), (1, 1), (1, 1), 24)),
        ((5, 24, 13, 13), (48, 1, 5, 5), ((1, 1), (2, 2), (1, 1), 24)),
    ],
)
def test_sizes_that_models_have(rng, thread_number, form, x, w, how):
    x, w = rng.standard_normal(x, np.float32), rng.standard_normal(w, np.float32)
    stride, padding, dilation, groups = how
    generic = OPS["convolution"].forward(
        np, x, w, None, stride, padding, dilation, False, (0, 0), groups
    )
    close(form.forward(x, w, None, generic.shape[2:], *how), generic, atol=1e-3)
    y = rng.standard_normal(generic.shape, np.float32)
    generic = OPS["convolution_input"].forward(np, y, w, x.shape[2:], *how)
    close(form.by_input(y, w, None, x.shape[2:], *how), generic, atol=1e-3)
    generic = OPS["convolution_weight"].forward(np, x, y, w.shape[2:], *how)
    close(form.by_weight(x, y, w.shape[2:], *how), generic, atol=1e-3)


@pytest.mark.skipif(not depthwise.SIZES, reason="vectors of this processor have no masks")
@pytest.mark.parametrize("window", [3, 5, 7])
def test_depthwise(rng, thread_number, window):
    """Rows of less than a vector, of one and of several; windows that reach beyond all edges; bias and none."""
    for _ in range(6):
        padding, dilation = (
            tuple(int(n) for n in rng.integers(*limits, 2)) for limits in ((0, 9), (1, 4))
        )
        least = [
            max(1, (window - 1) * d + 1 - 2 * p) for d, p in zip(dilation, padding, strict=True)
        ]
        size = tuple(n + int(rng.integers(0, 40)) for n in least)
        channels = int(rng.integers(1, 7))
        x = rng.standard_normal((int(rng.integers(1, 6)), channels, *size), np.float32)
        w = rng.standard_normal((channels, 1, window, window), np.float32)
        assert depthwise.suits(w.shape[2:], (1, 1), 1, 1)
        bias = rng.standard_normal(channels, np.float32) if rng.integers(2) else None
        how = ((1, 1), padding, dilation)
        generic = OPS["convolution"].forward(np, x, w, bias, *how, False, (0, 0), channels)
        close(depthwise.forward(x, w, bias, generic.shape[2:], *how, channels), generic, atol=1e-3)
        y = rng.standard_normal(generic.shape, np.float32)
        generic = OPS["convolution_input"].forward(np, y, w, size, *how, channels)
        if bias is not None:
            generic += bias[:, None, None]
        close(depthwise.by_input(y, w, bias, size, *how, channels), generic, atol=1e-3)
        generic = OPS["convolution_weight"].forward(np, x, y, w.shape[2:], *how, channels)
        close(depthwise.by_weight(x, y, w.shape[2:], *how, channels), generic, atol=2e-3)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_infinities_and_nan_in_depthwise_convolutions(rng, value):
    x = rng.standard_normal((4, 3, 14, 14), np.float32)
    w = rng.standard_normal((3, 1, 3, 3), np.float32)
    how = ((1, 1), (1, 1), (1, 1))
    x[2, 1, 5, 13] = value
    found = OPS["convolution"].kernels["cpu"](x, w, None, *how, False, (0, 0), 3)
    close(found, OPS["convolution"].forward(np, x, w, None, *how, False, (0, 0), 3))
    found = OPS["convolution_input"].kernels["cpu"](x, w, (14, 14), *how, 3)
    close(found, OPS["convolution_input"].forward(np, x, w, (14, 14), *how, 3))
    # A row's last number in a vector that ends beyond it: generically it meets some taps, here all of them.
    y = rng.standard_normal(x.shape, np.float32)
    assert OPS["convolution_weight"].kernels["cpu"](x, y, (3, 3), *how, 3) is NotImplemented


@pytest.fixture
def taken(monkeypatch):
    """The compiled functions that are asked for, none of which runs."""
    names = []
    for form in (planes, gathered, depthwise):
        for name in ("forward", "by_input", "by_weight"):
            note = f"{form.__name__.rpartition('.')[2]}.{name}"
            monkeypatch.setattr(form, name, lambda *a, note=note: names.append(note) or np.ones(1))
    monkeypatch.setattr(conv, "FEWEST", 0)
    return names


def test_few_channels_go_by_planes_and_many_are_gathered(taken):
    forward, by_input, by_weight = (
        OPS[name].kernels["cpu"]
        for name in ("convolution", "convolution_input", "convolution_weight")
    )
    x, y = np.ones((1, 3, 8, 8), np.float32), np.ones((1, 40, 8, 8), np.float32)
    w = np.ones((40, 3, 1, 1), np.float32)
    how = ((1, 1), (0, 0), (1, 1))
    forward(x, w, None, *how, False, (0, 0), 1)
    forward(y, w, None, *how, True, (0, 0), 1)
    forward(y, w[:, :1], None, *how, False, (0, 0), 40)
    by_input(y, w, (8, 8), *how, 1)
    by_weight(x, y, (1, 1), *how, 1)
    by_weight(y, x, (1, 1), *how, 1)
    by_weight(y, y, (1, 1), *how, 40)
    window, around = np.ones((40, 1, 3, 3), np.float32), ((1, 1), (1, 1), (1, 1))
    forward(y, window, None, *around, False, (0, 0), 40)
    by_input(y, window, (8, 8), *around, 40)
    by_weight(y, y, (3, 3), *around, 40)
    forward(y, window, None, (2, 2), *around[1:], False, (0, 0), 40)
    assert taken == [
        "gathered.forward", "planes.by_input", "planes.forward", "planes.by_input", "gathered.by_weight",
        "planes.by_weight", "planes.by_weight",
        *(f"{'depthwise' if depthwise.SIZES else 'planes'}.{n}" for n in ("forward", "by_input", "by_weight")),
        "planes.forward",
    ]  # fmt: skip


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_transposed(rng, dims):
    """Through the operation, which has the size from `output_padding`, forward and back."""
    size, kernel = (120, 9, 8)[:dims], (4, 3, 2)[:dims]
    x = rng.standard_normal((3, 8, *size), np.float32)
    w = rng.standard_normal((8, 10, *kernel), np.float32)
    bias = rng.standard_normal(20, np.float32)
    how = ((2,) * dims, (1,) * dims, (1,) * dims, True, (1,) * dims, 2)
    op = OPS["convolution"]
    close(op.kernels["cpu"](x, w, bias, *how), op.forward(np, x, w, bias, *how))
    inputs = [tl.from_numpy(a).requires_grad_() for a in (x, w, bias)]
    found = tl.convolution(*inputs, *how)
    slope = rng.standard_normal(tuple(found.shape), np.float32)
    found.backward(tl.from_numpy(slope))
    doubles = [tl.from_numpy(a.astype(np.float64)).requires_grad_() for a in (x, w, bias)]
    tl.convolution(*doubles, *how).backward(tl.from_numpy(slope.astype(np.float64)))
    for a, b in zip(inputs, doubles, strict=True):
        assert a.grad is not None
        assert b.grad is not None
        close(a.grad.numpy(), b.grad.numpy(), atol=1e-3)


def test_any_layout_of_the_operands(rng, form):
    x = rng.standard_normal((3, 12, 10, 4), np.float32).transpose(0, 3, 2, 1)
    w = rng.standard_normal((3, 3, 4, 20), np.float32).transpose(3, 2, 0, 1)
    generic = OPS["convolution"].forward(np, x, w, None, (1, 1), (1, 1), (1, 1), False, (0, 0), 1)
    close(form.forward(x, w, None, generic.shape[2:], (1, 1), (1, 1), (1, 1), 1), generic)


def test_the_operation_declines_what_it_is_not_made_for(rng, taken):
    kernel = OPS["convolution"].kernels["cpu"]
    x, w = (
        rng.standard_normal((8, 3, 20, 20), np.float32),
        rng.standard_normal((4, 3, 3, 3), np.float32),
    )
    one, none = (1, 1), (0, 0)
    assert kernel(x, w, None, one, one, one, False, none, 1) is not NotImplemented
    assert len(taken) == 1
    declined = [
        (x.astype(np.float64), w.astype(np.float64), None, one, one, one, False, none, 1),
        (x, w, None, one, one, one, True, none, 1),  # transposed, it would need 4 channels
        (x[:0], w, None, one, none, one, False, none, 1),
        (x, w[:, :2], None, one, one, one, False, none, 1),
        (x, w, np.zeros(3, np.float32), one, one, one, False, none, 1),
        (x, w, None, (0, 1), one, one, False, none, 1),
        (x[:, :, :1], w, None, one, none, one, False, none, 1),
    ]
    for arguments in declined:
        assert kernel(*arguments) is NotImplemented
    assert len(taken) == 1


def test_little_work_is_left_to_the_generic_path(rng):
    x, w = (
        rng.standard_normal((1, 3, 3, 3), np.float32),
        rng.standard_normal((4, 3, 3, 3), np.float32),
    )
    one, none = (1, 1), (0, 0)
    kernel = OPS["convolution"].kernels["cpu"]
    assert kernel(x, w, None, one, none, one, False, none, 1) is NotImplemented


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("channels", [4, 20])
def test_infinities_and_nan_reach_exactly_what_they_reach_generically(rng, value, channels):
    x = rng.standard_normal((4, 3, 14, 14), np.float32)
    x[2, 1, 5, 13] = value
    w = rng.standard_normal((channels, 3, 3, 3), np.float32)
    how = ((1, 1), (1, 1), (1, 1))
    generic = OPS["convolution"].forward(np, x, w, None, *how, False, (0, 0), 1)
    form = planes if channels == 4 else gathered
    close(form.forward(x, w, None, (14, 14), *how, 1), generic)
    y = rng.standard_normal(generic.shape, np.float32)
    y[1, 2, 0, 13] = value
    generic = OPS["convolution_input"].forward(np, y, w, (14, 14), *how, 1)
    close(form.by_input(y, w, None, (14, 14), *how, 1), generic)
    generic = OPS["convolution_weight"].forward(np, x, y, (3, 3), *how, 1)
    found = OPS["convolution_weight"].kernels["cpu"](x, y, (3, 3), *how, 1)
    if channels == 4:
        assert found is NotImplemented
    else:
        close(found, generic, atol=1e-3)


def test_same_numbers_from_run_to_run(rng, thread_number, form):
    x = rng.standard_normal((5, 3, 17, 13), np.float32)
    y = rng.standard_normal((5, 6, 17, 13), np.float32)
    how = ((3, 3), (1, 1), (1, 1), (1, 1), 1)
    runs = [form.by_weight(x, y, *how) for _ in range(5)]
    for first, second in itertools.pairwise(runs):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("most", "batch", "threads", "images"),
    [(6, 32, 1, 6), (6, 32, 2, 4), (1, 7, 2, 1), (4, 8, 2, 4), (7, 7, 1, 7), (6, 16, 3, 6)],
)
def test_no_thread_has_more_images_than_others(most, batch, threads, images):
    assert gathered_tables._images(most, batch, threads) == images


def test_nothing_is_left_of_one_image_in_the_next(rng, form):
    """The rooms that images are laid out in are used again."""
    w = rng.standard_normal((4, 2, 3, 3), np.float32)
    x = np.zeros((3, 2, 9, 9), np.float32)
    x[0] = 1
    found = form.forward(x, w, None, (9, 9), (1, 1), (1, 1), (1, 1), 1)
    assert found[0].any()
    assert not found[1:].any()
