"""Other sizes, sampling at places, and shuffling, against PyTorch: values, gradients, printed forms, errors."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import nn

F = nn.functional
torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")
O = tl.ones
SIZES = {1: (11,), 2: (6, 9), 3: (4, 3, 5)}
TARGETS = {
    1: [(5,), (11,), (22,), (17,)],
    2: [(4, 13), (12, 18), (6, 2)],
    3: [(8, 2, 5), (3, 3, 7)],
}
FACTORS = {1: [2, 0.37, 1.7], 2: [(1.7, 0.8), 2, 0.5], 3: [(1.4, 1.7, 0.7), 1.5]}
MODES = {
    1: ["nearest", "nearest-exact", "area", "linear"],
    2: ["nearest", "nearest-exact", "area", "bilinear", "bicubic"],
    3: ["nearest", "nearest-exact", "area", "trilinear"],
}
ALIGNABLE = ("linear", "bilinear", "trilinear", "bicubic")


@pytest.fixture
def same(compare_functions):
    """`same(name, x, …)`: one function of both libraries with these arguments."""

    def same(name, *arrays, **options):
        compare_functions(lambda lib, *x: getattr(lib, name)(*x, **options), *arrays)

    return same


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_interpolate(same, normal, dims, dtype):
    x = normal(2, 3, *SIZES[dims], dtype=dtype)
    for mode in MODES[dims]:
        for align in (None, False, True) if mode in ALIGNABLE else (None,):
            for size in TARGETS[dims]:
                same("interpolate", x, size=size, mode=mode, align_corners=align)
            for factor, recompute in itertools.product(FACTORS[dims], (None, True)):
                same(
                    "interpolate", x, scale_factor=factor, mode=mode, align_corners=align,
                    recompute_scale_factor=recompute,
                )  # fmt: skip


@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("size", [(3, 4), (12, 20), (2, 18), (6, 5), (1, 2)])
def test_guarded_against_aliasing(same, normal, mode, size):
    x = normal(2, 3, 6, 9)
    for align in (None,) if mode == "lanczos" else (None, True):
        same("interpolate", x, size=size, mode=mode, align_corners=align, antialias=True)


def test_factors_that_leave_a_size_or_double_it(same, normal):
    """Which elements are the nearest then is a matter of convention, in one dimension another than in two."""
    x = normal(1, 2, 8, 5)
    same("interpolate", x, scale_factor=(2.1, 1.15))
    same("interpolate", x, scale_factor=(1.1, 1.15), mode="bilinear")
    for n in range(2, 40):
        place = np.arange(float(n))[None, None]
        for factor in (1.04, 1.99, 0.51, 2.03):
            ours = F.interpolate(tl.tensor(place), scale_factor=factor).flatten().tolist()
            theirs = torch.nn.functional.interpolate(torch.tensor(place), scale_factor=factor)
            assert ours == theirs.flatten().tolist()


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
def test_bytes_and_half_precision(mode):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (1, 3, 7, 9)).astype(np.uint8)
    half = rng.standard_normal((1, 3, 7, 9)).astype(np.float16)
    for x, slack in ((pixels, 1), (half, 2e-3)):
        ours = F.interpolate(tl.from_numpy(x), (5, 12), mode=mode)
        theirs = torch.nn.functional.interpolate(torch.tensor(x), (5, 12), mode=mode)
        assert ours.numpy().dtype == x.dtype
        np.testing.assert_allclose(
            ours.numpy().astype(float), theirs.numpy().astype(float), atol=slack
        )


def test_second_gradients_of_interpolation(compare_second, normal):
    for mode, antialias in (("bilinear", False), ("bicubic", True), ("nearest", False)):

        def cubed(lib, x, mode=mode, antialias=antialias):
            return lib.interpolate(x**3, (5, 3), mode=mode, antialias=antialias)

        compare_second(
            lambda x: cubed(F, x),
            lambda x: cubed(torch.nn.functional, x),
            normal(1, 2, 3, 4),
        )


@pytest.mark.parametrize(
    "make",
    [
        lambda lib: lib.Upsample(7),
        lambda lib: lib.Upsample((7, 4), mode="bilinear", align_corners=True),
        lambda lib: lib.Upsample(scale_factor=(2, 3.5), mode="bicubic"),
        lambda lib: lib.Upsample(
            scale_factor=1.7, mode="nearest-exact", recompute_scale_factor=True
        ),
        lambda lib: lib.UpsamplingNearest2d(scale_factor=2),
        lambda lib: lib.UpsamplingBilinear2d((4, 9)),
        lambda lib: lib.PixelShuffle(2),
        lambda lib: lib.PixelUnshuffle(2),
        lambda lib: lib.ChannelShuffle(4),
        lambda lib: lib.Sequential(lib.ChannelShuffle(1), lib.PixelShuffle(1)),
    ],
)
def test_layers(compare, normal, make):
    compare(make, normal(2, 8, 4, 6))


# Grids ------------------------------------------------------------------------------------


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize(
    ("mode", "dims"),
    [("bilinear", 2), ("nearest", 2), ("bicubic", 2), ("bilinear", 3), ("nearest", 3)],
)
def test_grid_sample(same, normal, mode, dims, padding, align):
    for size in ((5, 4, 3)[:dims], (1,) * dims, (2, 1, 6)[:dims]):
        x = normal(2, 3, *size, dtype=np.float64)
        anywhere = 1.3 * normal(2, *(3, 2, 4)[:dims], dims, dtype=np.float64, seed=1)
        for grid in (anywhere, np.round(2 * anywhere) / 2):  # between the elements, and on edges
            same("grid_sample", x, grid, mode=mode, padding_mode=padding, align_corners=align)


def test_places_that_are_no_numbers():
    x = np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2)
    grid = np.array([[[[np.nan, 0], [np.inf, -np.inf]]]], np.float32)
    for padding in ("zeros", "border", "reflection"):
        ours, theirs = (
            lib.nn.functional.grid_sample(make(x), make(grid), "bilinear", padding, False)
            for lib, make in ((tl, tl.from_numpy), (torch, torch.from_numpy))
        )
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_second_gradients_of_sampling(normal):
    for mode, padding in (("bilinear", "border"), ("bicubic", "reflection")):

        def rotated(lib, x, theta, mode=mode, padding=padding):
            grid = lib.affine_grid(theta, (1, 2, 3, 3), align_corners=False)
            return lib.grid_sample(x, grid, mode, padding, False)

        x = tl.from_numpy(normal(1, 2, 4, 5, dtype=np.float64)).requires_grad_()
        theta = tl.tensor([[[0.83, 0.21, 0.1], [-0.31, 0.72, 0.07]]], dtype=tl.float64)
        assert tl.autograd.gradcheck(lambda *t: rotated(F, *t), (x, theta.requires_grad_()))
        assert tl.autograd.gradgradcheck(lambda *t: rotated(F, *t), (x, theta))


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("size", [(2, 3, 4, 5), (2, 1, 3, 2, 4)])
def test_affine_grid(compare_functions, normal, size, align):
    dims = len(size) - 2
    compare_functions(
        lambda lib, theta: lib.affine_grid(theta, size, align_corners=align),
        normal(2, dims, dims + 1),
    )


def test_alignment_that_is_not_given_is_warned_of():
    theta = O(1, 2, 3)
    with pytest.warns(UserWarning, match="align_corners=False since 1.3.0"):
        grid = F.affine_grid(theta, (1, 1, 2, 2))
    with pytest.warns(UserWarning, match="align_corners=False since 1.3.0"):
        F.grid_sample(O(1, 1, 2, 2), grid)
    with pytest.warns(UserWarning, match="ill-defined"):
        F.affine_grid(theta, (1, 1, 1, 2), align_corners=True)


# Shuffling --------------------------------------------------------------------------------


def test_shuffling(compare_functions, normal):
    for lead in ((), (2,), (2, 3)):
        x = normal(*lead, 18, 4, 6)
        compare_functions(lambda lib, x: lib.pixel_shuffle(x, 3), x)
        compare_functions(lambda lib, x: lib.pixel_unshuffle(x, 2), x)
    for size in ((5,), (2, 3), (2, 1, 3)):
        compare_functions(lambda lib, x: lib.channel_shuffle(x, 3), normal(2, 6, *size))
    x = tl.arange(72).reshape(2, 4, 3, 3)
    assert tl.pixel_unshuffle(tl.pixel_shuffle(x, 2), 2).equal(x)
    assert tl.pixel_shuffle(x, 2).dtype is tl.int64


# Errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda o, F: F.interpolate(o(1, 1, 4)), "either size or scale_factor"),
        (lambda o, F: F.interpolate(o(1, 1, 4), 2, 2.0), "only one of size or scale_factor"),
        (lambda o, F: F.interpolate(o(1, 1, 4), (2, 2)), "same number of spatial dimensions"),
        (lambda o, F: F.interpolate(o(1, 1, 4), scale_factor=(2, 2)), "same number of spatial dimensions"),
        (lambda o, F: F.interpolate(o(1, 1, 4), [2.0]), "expected size to be one of int"),
        (lambda o, F: F.interpolate(o(1, 1, 4), scale_factor="a"), "scale_factor"),
        (lambda o, F: F.interpolate(o(1, 1, 4), 2, align_corners=True), "align_corners option"),
        (lambda o, F: F.interpolate(o(1, 1, 4), 2, recompute_scale_factor=True), "not meaningful"),
        (lambda o, F: F.interpolate(o(1, 1, 4), 2, antialias=True), "Anti-alias option"),
        (lambda o, F: F.interpolate(o(1, 1, 4), 2, mode="bilinear"), "Got 3D input, but bilinear mode needs 4D"),
        (lambda o, F: F.interpolate(o(1, 1, 4, 4), 2, mode="trilinear"), "needs 5D input"),
        (lambda o, F: F.interpolate(o(1, 4), 2), "got 2D"),
        (lambda o, F: F.interpolate(o(1, 1, 4), 2, mode="foo"), "got foo"),
        (lambda o, F: F.interpolate(o(1, 1, 4, 4), 2, mode="lanczos"), "requires antialias=True"),
        (lambda o, F: F.interpolate(o(1, 1, 4), 0), r"\(W: 4\) and output \(W: 0\)"),
        (lambda o, F: F.interpolate(o(1, 1, 4), scale_factor=0.1), "greater than 0"),
        (lambda o, F: F.interpolate(o(1, 0, 4), 2), "Non-empty 3D data tensor"),
        (lambda o, F: F.interpolate(o(1, 1, 4).long(), 2), "not implemented"),
        (lambda o, F: F.interpolate(o(1, 1, 4, 4).int(), 2, mode="area"), "not implemented"),
        (lambda o, F: F.grid_sample(o(1, 1, 2, 2), o(1, 1, 1, 2), "foo", align_corners=False), "expected mode"),
        (lambda o, F: F.grid_sample(o(1, 1, 2, 2), o(1, 1, 1, 2), padding_mode="foo", align_corners=False), "padding"),
        (lambda o, F: F.grid_sample(o(1, 1, 2, 2), o(1, 1, 2), align_corners=False), "same number of dimensions"),
        (lambda o, F: F.grid_sample(o(1, 1, 2, 2), o(1, 1, 2, 3), align_corners=False), "size 2 in last dimension"),
        (lambda o, F: F.grid_sample(o(1, 1, 2, 2), o(2, 1, 2, 2), align_corners=False), "same batch size"),
        (lambda o, F: F.grid_sample(o(1, 1, 2, 2), o(1, 1, 2, 2).double(), align_corners=False), "expected"),
        (lambda o, F: F.grid_sample(o(1, 1, 0, 2), o(1, 1, 2, 2), align_corners=False), "dimension 2 being empty"),
        (lambda o, F: F.grid_sample(o(1, 1, 2, 2, 2), o(1, 1, 2, 2, 3), "bicubic", align_corners=False), "supports 4D"),
        (lambda o, F: F.grid_sample(o(1, 1, 2, 2).int(), o(1, 1, 2, 2).int(), align_corners=False), "not implemented"),
        (lambda o, F: F.affine_grid(o(1, 2, 3).int(), (1, 1, 2, 2), align_corners=False), "floating point type"),
        (lambda o, F: F.affine_grid(o(1, 3, 3), (1, 1, 2, 2), align_corners=False), "shape Nx2x3"),
        (lambda o, F: F.affine_grid(o(1, 2, 3), (1, 1, 2), align_corners=False), "only supports 4D and 5D"),
        (lambda o, F: F.affine_grid(o(1, 2, 3), (1, 1, 0, 2), align_corners=False), "non-zero, positive"),
        (lambda o, F: F.affine_grid(o(2, 2, 3), (1, 1, 2, 2), align_corners=False), "[Ee]xpected"),
        (lambda o, F: F.pixel_shuffle(o(3, 2, 2), 2), "not divisible by 4"),
        (lambda o, F: F.pixel_shuffle(o(4, 2), 2), "at least 3 dimensions"),
        (lambda o, F: F.pixel_shuffle(o(4, 2, 2), 0), "positive upscale_factor"),
        (lambda o, F: F.pixel_shuffle(o(4, 2, 2), 2.0), "must be int, not float"),
        (lambda o, F: F.pixel_unshuffle(o(1, 3, 2), 2), "height to be divisible"),
        (lambda o, F: F.pixel_unshuffle(o(1, 2, 3), 2), "width to be divisible"),
        (lambda o, F: F.pixel_unshuffle(o(1, 2, 2), -1), "positive downscale_factor"),
        (lambda o, F: F.channel_shuffle(o(1, 4), 2), "> 2 dims"),
        (lambda o, F: F.channel_shuffle(o(1, 4, 2), 3), "4 channels and 3 groups"),
        (lambda o, F: F.channel_shuffle(o(1, 4, 2), 0), "must be positive"),
    ],
)  # fmt: skip
def test_wrong_calls_raise_what_pytorch_raises(call, message):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(Exception) as theirs:
            call(torch.ones, torch.nn.functional)
    with pytest.raises(theirs.type, match=message):
        call(tl.ones, F)
