"""The functions on tensors and PIL images: against Pillow, PyTorch, NumPy and each other."""

from __future__ import annotations

import colorsys
import math

import numpy as np
import pytest

import tensorlab as tl
from tensorlab.vision.transforms import InterpolationMode
from tensorlab.vision.transforms import functional as F

Image = pytest.importorskip("PIL.Image", reason="images are PIL images")
from PIL import ImageEnhance, ImageOps  # noqa: E402

MODES = {"L": 1, "RGB": 3, "RGBA": 4}


def picture(rng, mode="RGB", size=(25, 18)):
    """A PIL image of noise that is not too sharp, `size` is (width, height)."""
    bands = MODES[mode]
    coarse = rng.integers(0, 256, (6, 8, bands), np.uint8)
    coarse = coarse[:, :, 0] if bands == 1 else coarse
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def both(rng, mode="RGB", size=(25, 18)):
    img = picture(rng, mode, size)
    return img, F.pil_to_tensor(img)


def pixels(img):
    """The numbers, `(C, H, W)`, of a PIL image or a tensor."""
    return (img if isinstance(img, tl.Tensor) else F.pil_to_tensor(img)).numpy().astype(float)


def same(tensor, img, most=0.0, mean=None):
    """Whether a tensor and a PIL image differ by at most `most`, and by `mean` on average."""
    a, b = pixels(tensor), pixels(img)
    assert a.shape == b.shape
    difference = np.abs(a - b)
    assert difference.max() <= most
    if mean is not None:
        assert difference.mean() <= mean


# Conversion -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_to_tensor_and_back(rng, mode):
    img = picture(rng, mode)
    t = F.to_tensor(img)
    assert t.dtype is tl.float32
    assert t.shape == (MODES[mode], 18, 25)
    assert t.is_contiguous()
    wanted = np.asarray(img).reshape(18, 25, -1).transpose(2, 0, 1) / 255
    np.testing.assert_allclose(t.numpy(), wanted, rtol=1e-6)
    for other in (t, F.pil_to_tensor(img), np.asarray(img)):
        back = F.to_pil_image(other)
        assert back.mode == mode
        np.testing.assert_array_equal(np.asarray(back), np.asarray(img))


def test_pil_to_tensor_keeps_numbers_and_owns_its_memory(rng):
    img = picture(rng)
    t = F.pil_to_tensor(img)
    before = np.asarray(img).copy()
    t.zero_()
    np.testing.assert_array_equal(np.asarray(img), before)


def test_other_modes(rng):
    numbers = rng.integers(0, 70_000, (4, 5)).astype(np.int32)
    t = F.to_tensor(Image.fromarray(numbers))
    assert t.dtype is tl.int32
    np.testing.assert_array_equal(t[0].numpy(), numbers)
    assert F.to_pil_image(t).mode == "I"
    floats = rng.standard_normal((4, 5)).astype(np.float32)
    t = F.to_tensor(Image.fromarray(floats))
    np.testing.assert_array_equal(t[0].numpy(), floats)
    assert F.to_pil_image(t, "F").mode == "F"
    np.testing.assert_array_equal(np.asarray(F.to_pil_image(t, "F")), floats)
    bits = Image.fromarray(floats > 0)
    np.testing.assert_array_equal(F.to_tensor(bits)[0].numpy(), (floats > 0).astype(np.float32))
    deep = Image.fromarray(numbers.astype(np.uint16))
    np.testing.assert_array_equal(F.pil_to_tensor(deep)[0].numpy(), numbers.astype(np.uint16))
    small = tl.tensor([[1, 2], [3, 400]], dtype=tl.int16)
    np.testing.assert_array_equal(np.asarray(F.to_pil_image(small)), small.numpy())
    for mode in ("YCbCr", "HSV", "LA", "CMYK", "RGBX"):
        channels = {"YCbCr": 3, "HSV": 3, "LA": 2}.get(mode, 4)
        t = tl.randint(0, 256, (channels, 3, 4), dtype=tl.uint8)
        img = F.to_pil_image(t, mode)
        assert img.mode == mode
        np.testing.assert_array_equal(F.pil_to_tensor(img).numpy(), t.numpy())
    assert F.to_pil_image(t[:2]).mode == "LA"


def test_arrays(rng):
    array = rng.integers(0, 256, (4, 5, 3), np.uint8)
    assert F.to_tensor(array).shape == (3, 4, 5)
    doubles = rng.standard_normal((4, 5))
    t = F.to_tensor(doubles)
    assert t.dtype is tl.float64
    np.testing.assert_array_equal(t[0].numpy(), doubles)


def test_conversion_errors(rng):
    for wrong in (3, [1, 2], tl.zeros(3, 4, 4)):
        with pytest.raises(TypeError, match="pic should be PIL Image or ndarray. Got <class"):
            F.to_tensor(wrong)
    with pytest.raises(TypeError, match="pic should be PIL Image. Got"):
        F.pil_to_tensor(np.zeros((3, 3)))
    with pytest.raises(ValueError, match="pic should be 2/3 dimensional. Got 4 dimensions."):
        F.to_tensor(np.zeros((1, 2, 3, 4)))
    for wrong, error, message in [
        (3, TypeError, "pic should be Tensor or ndarray"),
        (tl.zeros(1, 3, 4, 4), ValueError, "2/3 dimensional. Got 4"),
        (tl.zeros(5, 4, 4), ValueError, "not have > 4 channels. Got 5"),
        (tl.zeros(4, 4, dtype=tl.int64), TypeError, "Input type int64 is not supported"),
        (np.zeros((4, 4, 3)), TypeError, "Input type float64 is not supported"),
    ]:
        with pytest.raises(error, match=message):
            F.to_pil_image(wrong)
    with pytest.raises(ValueError, match="Only modes .*'RGB', 'YCbCr', 'HSV'.* are supported"):
        F.to_pil_image(tl.zeros(3, 4, 4), "CMYK")
    with pytest.raises(ValueError, match=r"Incorrect mode \(I\) supplied .* Should be L"):
        F.to_pil_image(tl.zeros(1, 4, 4), "I")
    for function in (F.hflip, F.invert, F.get_dimensions, lambda x: F.resize(x, 3)):
        with pytest.raises(TypeError, match="img should be PIL Image or Tensor. Got"):
            function(np.zeros((3, 3)))
    with pytest.raises(TypeError, match="expected shape"):
        F.hflip(tl.zeros(3))


KINDS = [tl.uint8, tl.int8, tl.int16, tl.int32, tl.int64, tl.float32, tl.float64]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", KINDS)
def test_convert_image_dtype(kind, other):
    white = 1.0 if kind.is_floating_point else tl.iinfo(kind).max
    full = 1.0 if other.is_floating_point else tl.iinfo(other).max
    t = tl.tensor([0, white], dtype=kind)
    unsafe = kind.is_floating_point and (
        other is tl.int64 or (kind, other) == (tl.float32, tl.int32)
    )
    if unsafe:
        with pytest.raises(RuntimeError, match="The cast from .* cannot be performed safely"):
            F.convert_image_dtype(t, other)
        return
    out = F.convert_image_dtype(t, other)
    assert out.dtype is other
    assert float(out[0]) == 0
    widening = not kind.is_floating_point and not other.is_floating_point and full > white
    least = white * ((full + 1) // (white + 1)) if widening else full
    assert float(out[1]) == float(least)


def test_convert_image_dtype_gives_each_number_its_share():
    steps = tl.linspace(0, 1, 256 * 64, dtype=tl.float64)
    counts = np.bincount(F.convert_image_dtype(steps, tl.uint8).numpy(), minlength=256)
    assert counts.min() >= 63
    assert counts.max() <= 65
    bytes_ = tl.arange(256, dtype=tl.uint8)
    there = F.convert_image_dtype(bytes_, tl.float32)
    assert bool((F.convert_image_dtype(there, tl.uint8) == bytes_).all())
    assert bool(
        (F.convert_image_dtype(F.convert_image_dtype(bytes_, tl.int32), tl.uint8) == bytes_).all()
    )


def test_normalize(rng):
    t = tl.from_numpy(rng.standard_normal((2, 3, 4, 5)).astype(np.float32))
    mean, std = [0.1, 0.2, 0.3], (0.5, 0.6, 0.7)
    wanted = (t.numpy() - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    before = t.numpy().copy()
    out = F.normalize(t, mean, std)
    np.testing.assert_allclose(out.numpy(), wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(t.numpy(), before)
    assert F.normalize(t, mean, std, inplace=True) is t
    np.testing.assert_allclose(t.numpy(), wanted, rtol=1e-5, atol=1e-6)
    assert F.normalize(t.double(), [0.5], [0.5]).dtype is tl.float64
    tensors = F.normalize(t, tl.tensor(mean), tl.tensor(std))
    np.testing.assert_array_equal(tensors.numpy(), F.normalize(t, mean, std).numpy())
    half = F.normalize(t.to(tl.bfloat16), mean, std)
    assert half.dtype is tl.bfloat16
    for value, arguments, error, message in [
        (np.zeros((3, 4, 5)), (mean, std), TypeError, "img should be Tensor Image"),
        (t.to(tl.uint8), (mean, std), TypeError, "should be a float tensor. Got tensorlab.uint8"),
        (t[0, 0], (mean, std), ValueError, "tensor image of size"),
        (t, (mean, (0.5, 1e-60, 1)), ValueError, "std evaluated to zero"),
        (t, (mean, (0.5, 0, 1)), ValueError, "std evaluated to zero after conversion"),
        (t, (mean[:2], std), RuntimeError, "one mean for each of the 3 channels, got 2"),
    ]:
        with pytest.raises(error, match=message):
            F.normalize(value, *arguments)


def test_normalize_passes_gradients():
    t = tl.ones(3, 2, 2, requires_grad=True)
    F.normalize(t, [0.0] * 3, [0.5, 0.25, 2.0]).sum().backward()
    assert t.grad[:, 0, 0].tolist() == [2.0, 4.0, 0.5]


# Sizes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [7, 40, (11, 30), [50, 9], (9,), (18, 25)])
@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("kind", ["L", "RGB"])
def test_resize_of_tensors_is_pillows(rng, size, mode, kind):
    mode = InterpolationMode(mode)
    img, t = both(rng, kind)
    a, b = F.resize(img, size, mode), F.resize(t, size, mode)
    assert b.dtype is tl.uint8
    if mode is InterpolationMode.NEAREST:
        # Pillow looks at the middle of a pixel, PyTorch at its corner: that is "nearest-exact".
        b = F.resize(t, size, InterpolationMode.NEAREST_EXACT)
        same(b, a)
    else:
        # Pillow rounds after each of the two directions, and cuts off what overshoots.
        same(b, a, most=1 if mode is InterpolationMode.BILINEAR else 8, mean=0.6)


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic"])
@pytest.mark.parametrize("antialias", [True, False])
def test_resize_is_pytorchs(rng, mode, antialias):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    smooth = mode in ("bilinear", "bicubic")
    for shape, size in [
        ((2, 3, 20, 31), (7, 40)),
        ((1, 15, 9), (30, 30)),
        ((2, 2, 1, 8, 6), (5, 3)),
    ]:
        array = rng.standard_normal(shape).astype(np.float32)
        batch = torch.tensor(array).reshape(-1, *shape[-3:])
        wanted = torch.nn.functional.interpolate(
            batch, size, mode=mode, align_corners=False if smooth else None,
            antialias=antialias and smooth,
        )  # fmt: skip
        out = F.resize(tl.from_numpy(array), size, InterpolationMode(mode), antialias=antialias)
        np.testing.assert_allclose(
            out.numpy(), wanted.reshape(*shape[:-2], *size).numpy(), rtol=1e-4, atol=1e-5
        )


def test_resize_keeps_proportions():
    t = tl.zeros(3, 30, 50)
    for size, max_size, wanted in [
        (15, None, (15, 25)), (40, None, (40, 66)), ([20], None, (20, 33)), (20, 25, (15, 25)),
        (30, 50, (30, 50)),
    ]:  # fmt: skip
        for img in (t, t.transpose(1, 2), F.to_pil_image(t)):
            out = F.get_dimensions(F.resize(img, size, max_size=max_size))[1:]
            assert out == list(wanted if F.get_dimensions(img)[1] == 30 else wanted[::-1])
    assert F.resize(t, (30, 50)) is t
    assert F.resize(t[0], (3, 5)).shape == (3, 5)
    assert F.resize(tl.zeros(2, 3, 8, 8, dtype=tl.float64), 4).dtype is tl.float64


def test_resize_errors(rng):
    img, t = both(rng)
    for value in (img, t):
        for size, more, error, message in [
            ("big", {}, ValueError, "1 or 2 element"),
            (3.5, {}, TypeError, "Size should be int or sequence"),
            ((1, 2, 3), {}, ValueError, "not a 3 element tuple"),
            ((5, 6), {"max_size": 9}, ValueError, "max_size should only be passed if size"),
            (20, {"max_size": 20}, ValueError, "must be strictly greater than the requested size"),
            (5, {"interpolation": "bilinear"}, TypeError, "should be a InterpolationMode"),
            (5, {"interpolation": 17}, TypeError, "should be a InterpolationMode"),
        ]:  # fmt: skip
            with pytest.raises(error, match=message):
                F.resize(value, size, **more)
    with pytest.raises(ValueError, match="not with lanczos"):
        F.resize(t, 5, InterpolationMode.LANCZOS)
    for mode in InterpolationMode:
        assert F.resize(img, 5, mode).size == (6, 5)
    same(F.resize(img, 5, 3), F.resize(img, 5, InterpolationMode.BICUBIC))  # Pillow's number


PADDINGS = [2, (1, 3), (1, 2, 3, 4), [5], (-2, 3), (-1, -2, -3, 4)]


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric"])
@pytest.mark.parametrize("kind", MODES)
def test_pad(rng, padding, mode, kind):
    img, t = both(rng, kind)
    fill = 77 if mode == "constant" else 0
    given = [padding] if isinstance(padding, int) else list(padding)
    left, top, right, bottom = given * (4 // len(given))
    array = pixels(img)[:, max(-top, 0) : 18 - max(-bottom, 0), max(-left, 0) : 25 - max(-right, 0)]
    wide = [(0, 0), (max(top, 0), max(bottom, 0)), (max(left, 0), max(right, 0))]
    more = {"constant_values": 77} if mode == "constant" else {}
    wanted = np.pad(array, wide, mode=mode, **more)
    for value in (img, t, t[None].float()):
        out = F.pad(value, padding, fill, mode)
        np.testing.assert_array_equal(pixels(out).reshape(wanted.shape), wanted)
    assert F.pad(t, padding, fill, mode).dtype is tl.uint8
    assert F.pad(img, padding, fill, mode).mode == kind


def test_pad_colours_and_palettes(rng):
    img, t = both(rng)
    out = F.pad(img, 1, (10, 20, 30))
    assert out.getpixel((0, 0)) == (10, 20, 30)
    assert F.pad(img, 1, 9).getpixel((0, 0)) == (9, 9, 9)
    assert float(F.pad(t, 1, (9,))[0, 0, 0]) == 9
    palette = img.quantize(16)
    for mode in ("constant", "edge"):
        padded = F.pad(palette, 2, 3, mode)
        assert padded.mode == "P"
        assert padded.getpalette() == palette.getpalette()
        assert padded.crop((2, 2, 27, 20)).tobytes() == palette.tobytes()
    bits = img.convert("1")
    assert F.pad(bits, 2, padding_mode="edge").crop((2, 2, 27, 20)).tobytes() == bits.tobytes()
    for value, arguments, error, message in [
        (img, ("1",), TypeError, "Got inappropriate padding arg"),
        (img, ((1, 2, 3),), ValueError, "not a 3 element tuple"),
        (img, (1, "red"), TypeError, "Got inappropriate fill arg"),
        (img, (1, 0, 3), TypeError, "Got inappropriate padding_mode arg"),
        (img, (1, 0, "wrap"), ValueError, "constant, edge, reflect or symmetric"),
        (img, (1, (1, 2)), ValueError, "does not match the number of channels"),
        (t, (1, (1, 2, 3)), TypeError, "filled with one number"),
        (t, (18, 0, "reflect"), ValueError, "a border of 18 pixels can't mirror 17"),
        (img, (19, 0, "symmetric"), ValueError, "a border of 19 pixels can't mirror 18"),
    ]:
        with pytest.raises(error, match=message):
            F.pad(value, *arguments)


@pytest.mark.parametrize(
    "box",
    [(2, 3, 5, 6), (0, 0, 18, 25), (-2, -3, 9, 9), (10, 20, 20, 20), (-30, 0, 5, 5), (40, 3, 4, 6)],
)  # fmt: skip
def test_crop(rng, box):
    img, t = both(rng)
    same(F.crop(t, *box), F.crop(img, *box))
    assert F.crop(t, *box).shape == (3, *box[2:])


@pytest.mark.parametrize("size", [5, (9, 4), (18, 25), (30, 10), (19, 40), [7]])
def test_center_crop(rng, size):
    img, t = both(rng)
    same(F.center_crop(t, size), F.center_crop(img, size))
    h, w = (size, size) if isinstance(size, int) else (tuple(size) * 2)[:2]
    assert F.center_crop(t, size).shape == (3, h, w)
    if h <= 18 and w <= 25:
        top, left = round((18 - h) / 2), round((25 - w) / 2)
        same(F.center_crop(t, size), F.crop(t, top, left, h, w))


def test_flips_and_crops(rng):
    img, t = both(rng)
    np.testing.assert_array_equal(pixels(F.hflip(t)), pixels(img)[:, :, ::-1])
    np.testing.assert_array_equal(pixels(F.vflip(t)), pixels(img)[:, ::-1])
    same(F.hflip(t), F.hflip(img))
    same(F.vflip(t), F.vflip(img))
    for a, b in zip(F.ten_crop(t, (5, 7)), F.ten_crop(img, (5, 7)), strict=True):
        same(a, b)
    five = F.five_crop(t, 6)
    assert len(five) == 5
    same(five[1], F.crop(t, 0, 19, 6, 6))
    same(five[2], F.crop(t, 12, 0, 6, 6))
    same(five[3], F.crop(t, 12, 19, 6, 6))
    same(five[4], F.center_crop(t, 6))
    upside = F.ten_crop(t, 6, vertical_flip=True)
    same(upside[5], F.crop(F.vflip(t), 0, 0, 6, 6))
    with pytest.raises(
        ValueError, match=r"crop size \(30, 30\) is bigger than input size \(18, 25\)"
    ):
        F.five_crop(t, 30)
    with pytest.raises(ValueError, match="only two dimensions"):
        F.five_crop(t, (1, 2, 3))
    same(F.resized_crop(t, 2, 3, 9, 12, (5, 6)), F.resized_crop(img, 2, 3, 9, 12, (5, 6)), 1)
    assert F.get_image_size(t) == [25, 18]
    assert F.get_image_size(img) == [25, 18]
    assert F.get_image_num_channels(t[0]) == 1


# Maps of the plane ----------------------------------------------------------------------------


@pytest.mark.parametrize("turns", range(-4, 5))
def test_right_angles(rng, turns):
    _, t = both(rng, size=(18, 18))
    for mode in (InterpolationMode.NEAREST, InterpolationMode.BILINEAR):
        np.testing.assert_array_equal(
            F.rotate(t, 90 * turns, mode).numpy(), np.rot90(t.numpy(), turns, (1, 2))
        )
    _, t = both(rng, size=(24, 18))
    wanted = np.rot90(t.numpy(), turns, (1, 2))
    np.testing.assert_array_equal(F.rotate(t, 90 * turns, expand=True).numpy(), wanted)


def near(function, img, t, mode):
    """Compare the two where the four neighbours are inside: at the edge they weigh otherwise."""
    a, b = pixels(function(img)), pixels(function(t))
    assert a.shape == b.shape
    inside = function(tl.ones(1, *t.shape[1:])).numpy()[0] > 0.999
    inside &= function(tl.ones(1, *t.shape[1:]), InterpolationMode.BILINEAR).numpy()[0] > 0.999
    assert inside.mean() > 0.1
    difference = np.abs(a - b)[:, inside]
    if mode is InterpolationMode.BILINEAR:
        assert difference.max() <= 2
    else:
        assert (difference > 0).mean() < 0.01  # they round the middle between two pixels otherwise
    assert (np.abs(a - b) > 6).mean() < 0.12


@pytest.mark.parametrize("angle", [-170, -44, 3, 37.5, 200])
@pytest.mark.parametrize("expand", [False, True])
@pytest.mark.parametrize("center", [None, (3, 14.5)])
@pytest.mark.parametrize("mode", [InterpolationMode.NEAREST, InterpolationMode.BILINEAR])
def test_rotate(rng, angle, expand, center, mode):
    if expand:
        center = None  # about another point Pillow finds another size
    img, t = both(rng, size=(42, 30))
    near(lambda x, m=mode: F.rotate(x, angle, m, expand, center), img, t, mode)


@pytest.mark.parametrize("fill", [None, 100, (10, 20, 30), [7]])
def test_fill(rng, fill):
    img, t = both(rng)
    colour = [0] * 3 if fill is None else list(fill) * 3 if isinstance(fill, list) else fill
    colour = list(np.broadcast_to(colour, 3))
    for mode in (InterpolationMode.NEAREST, InterpolationMode.BILINEAR):
        turned = F.rotate(t, 45, mode, fill=fill)
        assert turned[:, 0, 0].tolist() == colour
        moved = F.affine(t, 0, [6, 0], 1.0, 0, mode, fill)
        assert moved[:, 3, 2].tolist() == colour
        np.testing.assert_array_equal(moved[:, :, 6:].numpy(), t[:, :, :-6].numpy())
        assert F.rotate(img, 45, mode, fill=fill).getpixel((0, 0)) == tuple(colour)
        assert F.affine(img, 0, [6, 0], 1.0, 0, mode, fill).getpixel((2, 3)) == tuple(colour)
    with pytest.raises(ValueError, match="number of channels"):
        F.rotate(t, 45, fill=(1, 2))
    with pytest.raises(ValueError, match="number of channels"):
        F.rotate(img, 45, fill=(1, 2))


@pytest.mark.parametrize(
    "map",
    [
        (30, [0, 0], 1.0, [0.0, 0.0]), (0, [5, -3], 1.0, [0.0, 0.0]), (0, [0, 0], 1.57, [0.0, 0.0]),
        (0, [0, 0], 0.53, 0.0), (0, [0, 0], 1.0, [20.0, 0.0]), (0, [0, 0], 1.0, [0.0, -15.0]),
        (-130, (4, 2), 0.8, (12, 7)), (15, [0, 0], 1.0, 25),
    ],
)  # fmt: skip
@pytest.mark.parametrize("center", [None, (8, 21)])
@pytest.mark.parametrize("mode", [InterpolationMode.NEAREST, InterpolationMode.BILINEAR])
def test_affine(rng, map, center, mode):
    img, t = both(rng, size=(42, 30))
    near(lambda x, m=mode: F.affine(x, *map, interpolation=m, center=center), img, t, mode)


def test_maps_are_pytorchs(rng):
    """The grid built as its documentation says, from the same matrices."""
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    array = rng.standard_normal((2, 3, 12, 17))
    for angle, move, scale in [(33.0, (2, -1), 1.2), (-160.0, (0, 3), 0.7)]:
        a = math.radians(angle)
        forward = scale * np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]])
        back = np.linalg.inv(forward)
        half = np.array([17 / 2, 12 / 2])
        theta = np.concatenate([back * half / half[:, None], (-back @ move / half)[:, None]], 1)
        grid = torch.nn.functional.affine_grid(
            torch.tensor(np.stack([theta] * 2)), [2, 3, 12, 17], align_corners=False
        )
        for mode in (InterpolationMode.NEAREST, InterpolationMode.BILINEAR):
            wanted = torch.nn.functional.grid_sample(
                torch.tensor(array), grid, mode=mode.value, align_corners=False
            )
            out = F.affine(tl.from_numpy(array), angle, move, scale, 0, mode)
            np.testing.assert_allclose(out.numpy(), wanted.numpy(), rtol=1e-7, atol=1e-9)


def test_affine_is_where_the_points_go():
    """A single bright pixel lands where shearing, scaling, turning and moving it by hand puts it."""
    t = tl.zeros(1, 101, 101)
    t[0, 70, 60] = 1.0  # 10 right and 20 down of the middle
    for angle, move, scale, shear in [
        (90, (0, 0), 1.0, (0, 0)),
        (0, (5, 7), 2.0, (0, 0)),
        (-30, (3, 0), 1.0, (20, 0)),
        (10, (0, 0), 1.1, (15, -25)),
    ]:
        out = F.affine(t, angle, move, scale, shear, InterpolationMode.BILINEAR)
        x, y = 10.0, 20.0
        x -= math.tan(math.radians(shear[0])) * y
        y -= math.tan(math.radians(shear[1])) * x
        x, y = x * scale, y * scale
        a = math.radians(angle)
        x, y = x * math.cos(a) - y * math.sin(a), x * math.sin(a) + y * math.cos(a)
        mass = out[0].numpy() / out.sum().item()
        rows, columns = np.mgrid[0:101, 0:101]
        assert abs((mass * columns).sum() - (50 + x + move[0])) < 0.1
        assert abs((mass * rows).sum() - (50 + y + move[1])) < 0.1


def test_perspective(rng):
    img, t = both(rng, size=(41, 30))
    start = [[0, 0], [40, 0], [40, 29], [0, 29]]
    end = [[4, 3], [35, 1], [38, 27], [2, 25]]
    for mode in (InterpolationMode.NEAREST, InterpolationMode.BILINEAR):
        near(lambda x, m=mode: F.perspective(x, start, end, m), img, t, mode)
        same(F.perspective(t, start, start, mode), t)
    assert F.perspective(t, start, end, fill=9)[0, 0, 0].item() == 9
    with pytest.raises(ValueError, match="expected four points"):
        F.perspective(t, start[:3], end[:3])
    with pytest.raises(ValueError, match="three of the points lie on a line"):
        F.perspective(t, start, [[0, 0], [1, 1], [2, 2], [0, 5]])


def test_maps_pass_gradients_and_keep_dtypes(rng):
    t = tl.from_numpy(rng.random((2, 3, 8, 9)).astype(np.float64)).requires_grad_()
    out = F.affine(t, 20, [1, 0], 1.1, 5, InterpolationMode.BILINEAR)
    assert out.dtype is tl.float64
    assert out.shape == t.shape
    out.sum().backward()
    assert float(t.grad.abs().sum()) > 1
    assert F.rotate(tl.zeros(5, 7, dtype=tl.uint8), 10).shape == (5, 7)
    with pytest.raises(ValueError, match="tensors are mapped with nearest or bilinear"):
        F.rotate(t, 10, InterpolationMode.BICUBIC)


def test_map_errors():
    t = tl.zeros(3, 8, 8)
    for call, error, message in [
        (lambda: F.rotate(t, "10"), TypeError, "Argument angle should be float or int"),
        (lambda: F.rotate(t, 10, center=3), TypeError, "Argument center should be a sequence"),
        (lambda: F.rotate(t, 10, center=(1, 2, 3)), ValueError, "center should be two numbers"),
        (
            lambda: F.affine(t, "1", [0, 0], 1, 0),
            TypeError,
            "Argument angle should be int or float",
        ),
        (lambda: F.affine(t, 1, 3, 1, 0), TypeError, "Argument translate should be a sequence"),
        (
            lambda: F.affine(t, 1, [1], 1, 0),
            ValueError,
            "translate should be a sequence of length 2",
        ),
        (lambda: F.affine(t, 1, [0, 0], 0, 0), ValueError, "Argument scale should be positive"),
        (
            lambda: F.affine(t, 1, [0, 0], 1, "a"),
            TypeError,
            "Shear should be either a single value",
        ),
        (lambda: F.affine(t, 1, [0, 0], 1, [1, 2, 3]), ValueError, "containing two values"),
    ]:
        with pytest.raises(error, match=message):
            call()


# Colours --------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [0, 0.3, 1, 1.7, 4])
@pytest.mark.parametrize("kind", ["L", "RGB"])
def test_adjust(rng, factor, kind):
    img, t = both(rng, kind)
    # Pillow mixes with the mean grey rounded to a whole number, so its contrast moves the
    # whole picture by up to half a step of that.
    rounded = 0.5 * abs(1 - factor)
    for function, enhance, most, mean in [
        (F.adjust_brightness, ImageEnhance.Brightness, 1, 1.5),
        (F.adjust_contrast, ImageEnhance.Contrast, 4, 1.5 + rounded),
        (F.adjust_saturation, ImageEnhance.Color, 4, 1.5),
        (F.adjust_sharpness, ImageEnhance.Sharpness, 4, 1.5),
    ]:
        a, b = function(img, factor), function(t, factor)
        assert b.dtype is tl.uint8
        np.testing.assert_array_equal(pixels(a), pixels(enhance(img).enhance(factor)))
        same(b, a, most=most, mean=mean)
        floats = function(F.to_tensor(img), factor) * 255
        same(floats, a, most=most + 1, mean=mean)
        if factor == 1:
            same(b, img)


@pytest.mark.parametrize("factor", [-0.5, -0.2, 0, 0.1, 0.5])
def test_adjust_hue(rng, factor):
    img, _ = both(rng)
    t = F.to_tensor(img)
    t[:, 0, :3] = tl.tensor([0.4, 0.0, 1.0])  # grey, black and white stay
    wanted = np.empty(t.shape)
    for i, j in np.ndindex(18, 25):
        h, s, v = colorsys.rgb_to_hsv(*(float(c) for c in t[:, i, j]))
        wanted[:, i, j] = colorsys.hsv_to_rgb((h + factor) % 1.0, s, v)
    np.testing.assert_allclose(F.adjust_hue(t, factor).numpy(), wanted, atol=1e-5)
    # Pillow has 256 hues, so it is only near.
    moved = F.adjust_hue(img, factor)
    same(F.adjust_hue(F.pil_to_tensor(img), factor), moved, most=30, mean=4)
    grey, g = both(rng, "L")
    assert F.adjust_hue(grey, factor) is grey
    assert F.adjust_hue(g, factor) is g


@pytest.mark.parametrize("gamma", [0, 0.5, 1, 2.2])
@pytest.mark.parametrize("gain", [1, 0.6, 1.5])
def test_adjust_gamma(rng, gamma, gain):
    img, t = both(rng)
    a, b = F.adjust_gamma(img, gamma, gain), F.adjust_gamma(t, gamma, gain)
    same(b, a, most=1)
    wanted = np.clip(gain * F.to_tensor(img).numpy() ** gamma, 0, 1)
    np.testing.assert_allclose(
        F.adjust_gamma(F.to_tensor(img), gamma, gain).numpy(), wanted, atol=1e-5
    )


def test_grey(rng):
    img, t = both(rng)
    same(F.rgb_to_grayscale(t), F.rgb_to_grayscale(img), most=1)
    three = F.rgb_to_grayscale(t, 3)
    assert three.shape == t.shape
    same(three, F.to_grayscale(img, 3), most=1)
    assert F.to_grayscale(img).mode == "L"
    grey = F.rgb_to_grayscale(t)
    same(F.rgb_to_grayscale(grey), grey)
    for call, error, message in [
        (lambda: F.rgb_to_grayscale(t, 2), ValueError, "should be either 1 or 3"),
        (lambda: F.to_grayscale(img, 2), ValueError, "should be either 1 or 3"),
        (lambda: F.to_grayscale(t), TypeError, "Input should be PIL Image"),
        (lambda: F.rgb_to_grayscale(t[0]), TypeError, "at least 3 dimensions, but found 2"),
        (lambda: F.rgb_to_grayscale(t[:2]), TypeError, r"channel values are \[1, 3\], but found 2"),
    ]:
        with pytest.raises(error, match=message):
            call()


def test_pointwise(rng):
    img, t = both(rng)
    same(F.invert(t), ImageOps.invert(img))
    np.testing.assert_allclose(F.invert(F.to_tensor(img)).numpy(), 1 - F.to_tensor(img).numpy())
    for bits in range(1, 9):
        same(F.posterize(t, bits), ImageOps.posterize(img, bits))
    assert float(F.posterize(t, 0).max()) == 0
    for threshold in (0, 100, 255):
        same(F.solarize(t, threshold), ImageOps.solarize(img, threshold))
    same(F.autocontrast(t), ImageOps.autocontrast(img), most=1)
    same(F.equalize(t), ImageOps.equalize(img))
    flat = tl.full((3, 4, 4), 9, dtype=tl.uint8)
    same(F.autocontrast(flat), flat)
    same(F.equalize(flat), flat)
    batch = tl.stack([t, F.invert(t)])
    same(F.equalize(batch)[1], F.equalize(F.invert(t)))


def test_colour_errors(rng):
    img, t = both(rng)
    for call, error, message in [
        (
            lambda: F.adjust_brightness(t, -1),
            ValueError,
            r"brightness_factor \(-1\) is not non-neg",
        ),
        (lambda: F.adjust_contrast(t, -1), ValueError, "contrast_factor"),
        (lambda: F.adjust_saturation(t, -1), ValueError, "saturation_factor"),
        (lambda: F.adjust_sharpness(t, -1), ValueError, "sharpness_factor"),
        (lambda: F.adjust_hue(t, 0.6), ValueError, r"hue_factor \(0.6\) is not in \[-0.5, 0.5\]"),
        (lambda: F.adjust_gamma(img, -1), ValueError, "Gamma should be a non-negative"),
        (lambda: F.adjust_brightness(t[:2], 1), TypeError, "but found 2"),
        (lambda: F.posterize(t, 9), ValueError, "between 0 and 8"),
        (lambda: F.posterize(t.float(), 2), TypeError, "Only .*uint8 image tensors are supported"),
        (lambda: F.equalize(t.float()), TypeError, "Only .*uint8 image tensors are supported"),
        (lambda: F.solarize(t, 256), TypeError, "Threshold should be less than bound"),
        (lambda: F.erase(img, 0, 0, 1, 1, tl.zeros(1)), TypeError, "img should be Tensor Image"),
    ]:
        with pytest.raises(error, match=message):
            call()


@pytest.mark.parametrize("kernel", [3, (5, 3), [1, 7]])
@pytest.mark.parametrize("sigma", [None, 0.8, (0.5, 2.0), [1.5]])
def test_gaussian_blur(rng, kernel, sigma):
    img, t = both(rng)
    sizes = (kernel, kernel) if isinstance(kernel, int) else kernel
    given = [None, None] if sigma is None else list(np.broadcast_to(sigma, 2))
    curves = []
    for k, s in zip(sizes, given, strict=True):
        s = 0.3 * ((k - 1) * 0.5 - 1) + 0.8 if s is None else s
        x = np.arange(k) - k // 2
        curves.append(np.exp(-0.5 * (x / s) ** 2) / np.exp(-0.5 * (x / s) ** 2).sum())
    across, down = curves
    padded = np.pad(pixels(img), [(0, 0), (sizes[1] // 2,) * 2, (sizes[0] // 2,) * 2], "reflect")
    wanted = np.zeros((3, 18, 25))
    for i, j in np.ndindex(sizes[1], sizes[0]):
        wanted += down[i] * across[j] * padded[:, i : i + 18, j : j + 25]
    out = F.gaussian_blur(t.double(), kernel, sigma)
    np.testing.assert_allclose(out.numpy(), wanted, rtol=1e-6)
    same(F.gaussian_blur(t, kernel, sigma), F.gaussian_blur(img, kernel, sigma))
    assert np.abs(pixels(F.gaussian_blur(t, kernel, sigma)) - wanted).max() < 0.51


def test_gaussian_blur_errors():
    t = tl.zeros(3, 8, 8)
    for kernel, sigma, error, message in [
        ("3", None, TypeError, "kernel_size should be int or a sequence"),
        ((3, 3, 3), None, ValueError, "its length should be 2. Got 3"),
        (4, None, ValueError, "odd and positive integers. Got 4"),
        (3, "a", TypeError, "sigma should be either float or sequence"),
        (3, (1, 2, 3), ValueError, "its length should be 2. Got 3"),
        (3, 0.0, ValueError, "positive values"),
    ]:
        with pytest.raises(error, match=message):
            F.gaussian_blur(t, kernel, sigma)


def test_erase():
    t = tl.ones(2, 3, 6, 7)
    out = F.erase(t, 1, 2, 3, 4, tl.tensor([5.0, 6.0, 7.0])[:, None, None])
    assert float(t.sum()) == 2 * 3 * 6 * 7
    wanted = np.ones((2, 3, 6, 7))
    wanted[:, :, 1:4, 2:6] = np.array([5, 6, 7]).reshape(3, 1, 1)
    np.testing.assert_array_equal(out.numpy(), wanted)
    assert F.erase(t, 0, 0, 1, 1, tl.zeros(1), inplace=True) is t
    assert float(t[1, 2, 0, 0]) == 0
