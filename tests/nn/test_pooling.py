"""Pooling against PyTorch: values, positions, gradients, printed forms and errors."""

from __future__ import annotations

import numpy as np
import pytest

import tensorlab as tl

F = tl.nn.functional
SIZES = {1: (11,), 2: (7, 8), 3: (5, 4, 6)}


def each(rng, dims, low, high):
    if rng.random() < 0.5:
        return int(rng.integers(low, high))
    return tuple(int(n) for n in rng.integers(low, high, dims))


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("seed", range(6))
def test_max_pooling(compare, normal, dims, seed):
    rng = np.random.default_rng([seed, dims])
    kernel = each(rng, dims, 2, 4)
    options = {
        "kernel_size": kernel,
        "stride": each(rng, dims, 1, 4) if seed % 2 else None,
        "padding": int(rng.integers(0, 2)),
        "dilation": int(rng.integers(1, 3)) if dims == 1 else 1,
        "return_indices": seed > 2,
        "ceil_mode": bool(rng.integers(2)),
    }
    print(options)
    lead = (3,) if seed == 5 else (2, 3)
    compare(lambda lib: getattr(lib, f"MaxPool{dims}d")(**options), normal(*lead, *SIZES[dims]))


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("seed", range(6))
def test_average_pooling(compare, normal, dims, seed):
    rng = np.random.default_rng([seed, dims])
    options = {
        "kernel_size": each(rng, dims, 2, 4),
        "stride": each(rng, dims, 1, 4) if seed % 2 else None,
        "padding": int(rng.integers(0, 2)),
        "ceil_mode": bool(rng.integers(2)),
        "count_include_pad": bool(rng.integers(2)),
    }
    if dims > 1 and seed > 3:
        options["divisor_override"] = 3
    print(options)
    lead = (3,) if seed == 5 else (2, 3)
    compare(lambda lib: getattr(lib, f"AvgPool{dims}d")(**options), normal(*lead, *SIZES[dims]))


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 3, "mixed", "larger"])
def test_adaptive_pooling(compare, normal, dims, size):
    target = {"mixed": (None, 2, 3)[3 - dims :], "larger": 9}.get(size, size)
    if dims == 1 and size == "mixed":
        target = 3
    for lead in ((2, 3), (3,)):
        x = normal(*lead, *SIZES[dims])
        compare(lambda lib: getattr(lib, f"AdaptiveAvgPool{dims}d")(target), x)
        compare(lambda lib: getattr(lib, f"AdaptiveMaxPool{dims}d")(target), x)
        compare(lambda lib: getattr(lib, f"AdaptiveMaxPool{dims}d")(target, True), x)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("p", [1, 2, 3.5])
def test_power_average_pooling(compare, normal, dims, p):
    x = np.abs(normal(2, 3, *SIZES[dims])) + 0.1
    compare(lambda lib: getattr(lib, f"LPPool{dims}d")(p, 2), x)
    compare(lambda lib: getattr(lib, f"LPPool{dims}d")(p, 3, stride=2, ceil_mode=True), x)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_second_gradients(compare_second, normal, dims):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    for name, options in (
        ("MaxPool", {"kernel_size": 3, "stride": 2, "padding": 1}),
        ("AvgPool", {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}),
        ("AvgPool", {"kernel_size": 2, "count_include_pad": False}),
        ("LPPool", {"norm_type": 3, "kernel_size": 2}),
        ("AdaptiveAvgPool", {"output_size": 3}),
        ("AdaptiveMaxPool", {"output_size": 2}),
    ):
        ours, theirs = (getattr(lib, f"{name}{dims}d")(**options) for lib in (tl.nn, torch.nn))
        x = np.abs(normal(2, 2, *SIZES[dims])) + 0.1
        compare_second(lambda x, f=ours: f(x**2), lambda x, f=theirs: f(x**2), x)


def test_many_places_in_a_window(compare_functions, normal):
    x = normal(1, 2, 40, 41)
    compare_functions(lambda lib, x: lib.max_pool2d(x, 17, 3, 8, return_indices=True), x)
    x[:, :, 3, 5] = x[:, :, 30, 12] = np.nan
    compare_functions(lambda lib, x: lib.max_pool2d(x, 16, 3, return_indices=True), x)


def test_what_was_pooled_may_be_changed_but_not_what_it_came_from():
    """As in PyTorch: the gradient needs the input, and not the output."""
    x = tl.tensor([[[1.0, 3.0, 2.0, 5.0]]], requires_grad=True)
    y = x * 1
    F.max_pool1d(y, 2).relu_().sum().backward()
    assert x.grad.tolist() == [[[0, 1, 0, 1]]]
    y = x * 1
    pooled = F.max_pool1d(y, 2)
    y.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        pooled.sum().backward()


def test_nan_and_infinity(compare_functions):
    x = np.array([[[1, np.nan, 2, -np.inf, -np.inf, 3]]], np.float32)
    compare_functions(lambda lib, x: lib.max_pool1d(x, 2, return_indices=True), x)
    compare_functions(lambda lib, x: lib.max_pool1d(x, 3, 1, 1, return_indices=True), x)


def test_ties_go_to_the_first(compare_functions):
    x = np.ones((1, 1, 4, 4), np.float32)
    compare_functions(lambda lib, x: lib.max_pool2d(x, 2, return_indices=True), x)
    compare_functions(lambda lib, x: lib.adaptive_max_pool2d(x, 3, return_indices=True), x)


def test_integers():
    x = tl.tensor([[[1, -4, 3, 2]]])
    assert F.max_pool1d(x, 2).tolist() == [[[1, 3]]]
    assert F.max_pool1d(x, 2).dtype is tl.int64
    assert F.avg_pool2d(x.unsqueeze(0), (1, 2)).tolist() == [[[[-1, 2]]]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: F.max_pool2d(tl.ones(1, 2, 5, 5), 3, padding=2), "at most half of effective"),
        (lambda: F.max_pool2d(tl.ones(1, 2, 2, 2), 3), "2x2x2.*2x0x0.*too small"),
        (lambda: F.max_pool2d(tl.ones(5), 3), "max_pool2d.*non-empty 3D or 4D"),
        (lambda: F.max_pool2d(tl.ones(1, 1, 5, 5), 2, 0), "stride should not be zero"),
        (lambda: F.max_pool2d(tl.ones(1, 1, 5, 5), (1, 2, 3)), "kernel_size must either be"),
        (lambda: F.avg_pool2d(tl.ones(1, 1, 5, 5), 2, divisor_override=0), "must be not zero"),
        (lambda: F.adaptive_avg_pool2d(tl.ones(5), 3), "Expected 3D or 4D tensor, but got .5."),
        (lambda: F.adaptive_avg_pool2d(tl.ones(1, 2, 0, 5), 3), "non-zero size"),
        (lambda: F.adaptive_avg_pool2d(tl.ones(1, 2, 5, 5), (3, 2, 1)), "output_size must be 2"),
        (lambda: F.adaptive_max_pool2d(tl.ones(1, 2, 5, 5), -1), "greater than or equal to 0"),
    ],
)
def test_wrong_calls(call, message):
    with pytest.raises(RuntimeError, match=message):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda o, F: F.max_pool2d(o(1, 2, 5, 5), 3, padding=2),
        lambda o, F: F.max_pool2d(o(1, 2, 5, 5), 3, padding=-1),
        lambda o, F: F.max_pool2d(o(1, 2, 2, 2), 3),
        lambda o, F: F.max_pool2d(o(5), 3),
        lambda o, F: F.max_pool2d(o(1, 2, 0, 5), 3),
        lambda o, F: F.max_pool2d(o(1, 2, 5, 5), 2, 0),
        lambda o, F: F.max_pool2d(o(1, 2, 5, 5), 0),
        lambda o, F: F.max_pool2d(o(1, 2, 5, 5), 2, dilation=0),
        lambda o, F: F.max_pool2d(o(1, 2, 5, 5), (1, 2, 3)),
        lambda o, F: F.max_pool1d(o(2, 5), 6),
        lambda o, F: F.max_pool3d(o(2, 5), 6),
        lambda o, F: F.avg_pool1d(o(5), 2),
        lambda o, F: F.avg_pool2d(o(1, 2, 5, 5), 2, divisor_override=0),
        lambda o, F: F.avg_pool2d(o(1, 2, 5, 5), 2, 0),
        lambda o, F: F.avg_pool2d(o(1, 2, 5, 5), 2, padding=2),
        lambda o, F: F.avg_pool3d(o(1, 2, 5, 5), 6),
        lambda o, F: F.adaptive_avg_pool2d(o(5), 3),
        lambda o, F: F.adaptive_avg_pool2d(o(1, 2, 0, 5), 3),
        lambda o, F: F.adaptive_avg_pool2d(o(1, 2, 5, 5), (3, 2, 1)),
        lambda o, F: F.adaptive_avg_pool2d(o(1, 2, 5, 5), -1),
        lambda o, F: F.adaptive_max_pool1d(o(5), 3),
        lambda o, F: F.adaptive_max_pool3d(o(1, 2, 5), 3),
    ],
)
def test_wrong_calls_raise_what_pytorch_raises(call):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    with pytest.raises(Exception) as theirs:
        call(torch.ones, torch.nn.functional)
    with pytest.raises(theirs.type):
        call(tl.ones, F)
