"""Convolutions against PyTorch: values, gradients, printed forms, draws and errors."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import nn
from tensorlab.ops import convolution

F = nn.functional
SIZES = {1: (9,), 2: (7, 8), 3: (5, 4, 6)}


def random_options(rng: np.random.Generator, dims: int, transposed: bool) -> dict:
    def each(low, high):
        if rng.random() < 0.5:
            return int(rng.integers(low, high))
        return tuple(int(n) for n in rng.integers(low, high, dims))

    groups = int(rng.integers(1, 3))
    options = {
        "in_channels": groups * int(rng.integers(1, 3)),
        "out_channels": groups * int(rng.integers(1, 3)),
        "kernel_size": each(1, 4),
        "stride": each(1, 4),
        "padding": each(0, 2),
        "dilation": int(rng.integers(1, 2 + (dims < 3))),
        "groups": groups,
        "bias": bool(rng.integers(2)),
    }
    if transposed:
        kernel = options["kernel_size"]
        least = kernel if isinstance(kernel, int) else min(kernel)
        options["padding"] = min(1, least // 2)
        stride = options["stride"]
        widest = stride if isinstance(stride, int) else min(stride)
        options["output_padding"] = int(rng.integers(0, max(widest, options["dilation"])))
    return options


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_random_convolutions(compare, normal, dims, transposed, seed):
    rng = np.random.default_rng([seed, dims, transposed])
    options = random_options(rng, dims, transposed)
    print(options)
    name = f"Conv{'Transpose' if transposed else ''}{dims}d"
    lead = (options["in_channels"],) if seed == 5 else (2, options["in_channels"])
    size = tuple(2 + n // 3 for n in SIZES[dims]) if transposed else SIZES[dims]
    compare(lambda lib: getattr(lib, name)(**options), normal(*lead, *size), tolerance=3e-5)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_second_gradients(compare_second, normal, dims, transposed, seed):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    rng = np.random.default_rng([seed, dims, transposed, 2])
    options = random_options(rng, dims, transposed)
    print(options)
    name = f"Conv{'Transpose' if transposed else ''}{dims}d"
    ours = getattr(nn, name)(**options).double()
    theirs = getattr(torch.nn, name)(**options).double()
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    size = tuple(2 + n // 3 for n in SIZES[dims]) if transposed else SIZES[dims]
    compare_second(ours, theirs, normal(2, options["in_channels"], *size))


def test_depthwise(compare, normal):
    compare(lambda lib: lib.Conv2d(6, 6, 3, padding=1, groups=6), normal(2, 6, 5, 7))
    compare(lambda lib: lib.Conv2d(3, 6, 3, stride=2, groups=3), normal(2, 3, 7, 6))
    compare(lambda lib: lib.ConvTranspose1d(4, 4, 3, groups=4), normal(2, 4, 5))


def test_a_batch_that_goes_through_in_portions(compare, normal, monkeypatch):
    """The columns of one image, of two, or of all at a time: the results are the same."""
    for room in (1, 2 * 18 * 30 * 4, 1 << 22):
        monkeypatch.setitem(convolution._ROOM, "numpy", room)
        compare(lambda lib: lib.Conv2d(2, 3, 3, padding=1), normal(5, 2, 5, 6))
        compare(lambda lib: lib.ConvTranspose2d(2, 3, 3, stride=2), normal(5, 2, 5, 6))


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # PyTorch's
@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("padding", ["same", "valid", 1])
@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_padding_modes(compare, normal, dims, padding, mode):
    compare(
        lambda lib: getattr(lib, f"Conv{dims}d")(
            2, 3, (2, 3, 4)[:dims], padding=padding, dilation=1 + (dims == 1), padding_mode=mode
        ),
        normal(2, 2, *SIZES[dims]),
        tolerance=3e-5,
    )


def test_float64_and_an_empty_batch(compare, normal):
    compare(lambda lib: lib.Conv2d(2, 3, 3).double(), normal(2, 2, 5, 5, dtype=np.float64))
    assert nn.Conv2d(2, 3, 3)(tl.zeros(0, 2, 5, 5)).shape == (0, 3, 3, 3)


def test_functions(compare_functions, normal):
    x, w, b = normal(2, 4, 6, 5), normal(6, 2, 3, 2, seed=1), normal(6, seed=2)
    compare_functions(lambda lib, *t: lib.conv2d(*t, (2, 1), "valid", 1, 2), x, w, b)
    compare_functions(
        lambda lib, x, w: lib.conv_transpose2d(x, w, None, [2], (1, 0), 1, 2, 1),
        x,
        normal(4, 3, 3, 2),
    )


def test_integers_and_the_node():
    x = tl.arange(5).reshape(1, 1, 5)
    assert F.conv1d(x, tl.tensor([[[1, -1]]])).tolist() == [[[-1, -1, -1, -1]]]
    out = F.conv1d(tl.ones(1, 1, 5, requires_grad=True), tl.ones(1, 1, 2))
    assert out.grad_fn.name() == "ConvolutionBackward0"


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_output_sizes_of_transposed_convolutions(compare, normal, dims):
    """All that a stride can give."""
    for extra in range(3):
        size = tuple((n - 1) * 3 - 2 + 3 + extra for n in (4, 3, 2)[:dims])
        for whole in (size, (2, 5, *size)):

            def call(lib, whole=whole):
                layer = getattr(lib, f"ConvTranspose{dims}d")(2, 5, 3, 3, padding=1)
                layer.forward = functools.partial(layer.forward, output_size=whole)
                return layer

            compare(call, normal(2, 2, *(4, 3, 2)[:dims]), tolerance=3e-5)


def test_the_output_size_of_a_transposed_convolution_is_chosen():
    layer = nn.ConvTranspose2d(3, 4, 3, stride=2)
    x = tl.zeros(1, 3, 5, 5)
    assert layer(x).shape == (1, 4, 11, 11)
    assert layer(x, output_size=(12, 11)).shape == (1, 4, 12, 11)
    assert layer(x, output_size=(1, 4, 12, 12)).shape == (1, 4, 12, 12)
    with pytest.raises(ValueError, match=r"valid sizes range from \[11, 11\] to \[12, 12\]"):
        layer(x, output_size=(100, 100))
    with pytest.raises(ValueError, match="must have 2 or 4 elements"):
        layer(x, output_size=(3,))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": 2}, "in_channels must be divisible"),
        ({"in_channels": 4, "out_channels": 3, "groups": 2}, "out_channels must be divisible"),
        ({"groups": 0}, "positive integer"),
        ({"padding": "foo"}, "Invalid padding string"),
        ({"padding": "same", "stride": 2}, "not supported for strided"),
        ({"padding_mode": "foo"}, "padding_mode must be one of"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        nn.Conv2d(**{"in_channels": 3, "out_channels": 4, "kernel_size": 3, **options})


def test_wrong_calls():
    with pytest.raises(ValueError, match='Only "zeros"'):
        nn.ConvTranspose2d(3, 4, 3, padding_mode="circular")
    x, w = tl.ones(1, 2, 5, 5), tl.ones(4, 2, 3, 3)
    for call, message in [
        (
            lambda: F.conv2d(tl.ones(5), w),
            "Expected 3D .unbatched. or 4D .batched. input to conv2d",
        ),
        (lambda: F.conv2d(x, w, stride=(1, 2, 3)), "expected stride to be a single integer"),
        (lambda: F.conv2d(x, w, padding="foo"), "Invalid padding string: 'foo'"),
        (lambda: F.conv2d(x, w, padding="same", stride=2), "not supported for strided"),
        (lambda: F.conv2d(x.double(), w), "should be the same"),
    ]:
        with pytest.raises(RuntimeError, match=message):
            call()


@pytest.mark.parametrize(
    "call",
    [
        lambda o, F: F.conv2d(o(5), o(4, 2, 3, 3)),
        lambda o, F: F.conv2d(o(1, 2, 5, 5), o(4, 3, 3, 3)),
        lambda o, F: F.conv2d(o(1, 2, 2, 2), o(4, 2, 3, 3)),
        lambda o, F: F.conv2d(o(1, 2, 5, 5), o(4, 2, 3, 3), o(3)),
        lambda o, F: F.conv2d(o(1, 2, 5, 5), o(4, 2, 3, 3), stride=0),
        lambda o, F: F.conv2d(o(1, 2, 5, 5), o(4, 2, 3, 3), padding=-1),
        lambda o, F: F.conv2d(o(1, 2, 5, 5), o(4, 2, 3, 3), dilation=0),
        lambda o, F: F.conv2d(o(1, 2, 5, 5), o(4, 2, 3, 3), groups=0),
        lambda o, F: F.conv2d(o(1, 4, 5, 5), o(3, 2, 3, 3), groups=2),
        lambda o, F: F.conv2d(o(1, 2, 5, 5), o(4, 2, 3, 3).double()),
        lambda o, F: F.conv2d(o(1, 2, 5, 5), o(4, 2, 3, 3), padding="foo"),
        lambda o, F: F.conv2d(o(1, 2, 5, 5), o(4, 2, 3, 3), padding="same", stride=2),
        lambda o, F: F.conv1d(o(1, 2, 5), o(4, 2, 3), stride=(1, 2)),
        lambda o, F: F.conv3d(o(1, 2, 5), o(4, 2, 3)),
        lambda o, F: F.conv_transpose2d(o(1, 3, 5, 5), o(2, 4, 3, 3)),
        lambda o, F: F.conv_transpose2d(o(1, 2, 5, 5), o(2, 4, 3, 3), output_padding=1),
        lambda o, F: F.conv_transpose2d(o(1, 2, 1, 1), o(2, 4, 1, 1), padding=2),
        lambda o, F: F.conv_transpose2d(o(1, 2, 5, 5), o(2, 4, 3, 3), o(3)),
        lambda o, F: F.conv_transpose2d(o(2, 5), o(2, 4, 3, 3)),
    ],
)
def test_wrong_calls_raise_what_pytorch_raises(call):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    with pytest.raises(Exception) as theirs:
        call(torch.ones, torch.nn.functional)
    with pytest.raises(theirs.type):
        call(tl.ones, F)
