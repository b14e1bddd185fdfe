"""The transforms: torchvision's printed forms and errors, PyTorch's draws in torchvision's order."""

from __future__ import annotations

import copy
import math
import pickle
import random

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import nn
from tensorlab.utils.data import DataLoader
from tensorlab.vision import transforms as T
from tensorlab.vision.datasets import FakeData
from tensorlab.vision.transforms import functional as F

Image = pytest.importorskip("PIL.Image", reason="images are PIL images")

REPRS = [
    (lambda: T.ToTensor(), "ToTensor()"),
    (lambda: T.PILToTensor(), "PILToTensor()"),
    (lambda: T.ConvertImageDtype(tl.float32), "ConvertImageDtype()"),
    (lambda: T.ToPILImage(), "ToPILImage()"),
    (lambda: T.ToPILImage("RGB"), "ToPILImage(mode=RGB)"),
    (lambda: T.Normalize([0.5], [0.25]), "Normalize(mean=[0.5], std=[0.25])"),
    (
        lambda: T.Resize((4, 5), T.InterpolationMode.BICUBIC, antialias=None),
        "Resize(size=(4, 5), interpolation=bicubic, max_size=None, antialias=None)",
    ),
    (lambda: T.Resize(8, max_size=9), "Resize(size=8, interpolation=bilinear, max_size=9, antialias=True)"),
    (lambda: T.CenterCrop(10), "CenterCrop(size=(10, 10))"),
    (lambda: T.Pad(3, 1, "edge"), "Pad(padding=3, fill=1, padding_mode=edge)"),
    (lambda: T.RandomCrop(32, padding=4), "RandomCrop(size=(32, 32), padding=4)"),
    (
        lambda: T.RandomResizedCrop(224),
        "RandomResizedCrop(size=(224, 224), scale=(0.08, 1.0), ratio=(0.75, 1.3333), "
        "interpolation=bilinear, antialias=True)",
    ),
    (lambda: T.RandomHorizontalFlip(), "RandomHorizontalFlip(p=0.5)"),
    (lambda: T.RandomVerticalFlip(0.1), "RandomVerticalFlip(p=0.1)"),
    (
        lambda: T.RandomRotation(10),
        "RandomRotation(degrees=[-10.0, 10.0], interpolation=nearest, expand=False, fill=0)",
    ),
    (
        lambda: T.RandomRotation((0, 90), center=(1, 2), expand=True, fill=(1, 2, 3)),
        "RandomRotation(degrees=[0.0, 90.0], interpolation=nearest, expand=True, center=(1, 2), fill=(1, 2, 3))",
    ),
    (lambda: T.RandomAffine(0), "RandomAffine(degrees=[0.0, 0.0])"),
    (
        lambda: T.RandomAffine(
            5, (0.1, 0.2), (0.5, 2), 10, T.InterpolationMode.BILINEAR, 9, (3, 4)
        ),
        "RandomAffine(degrees=[-5.0, 5.0], translate=(0.1, 0.2), scale=(0.5, 2), shear=[-10.0, 10.0], "
        "interpolation=bilinear, fill=9, center=(3, 4))",
    ),
    (lambda: T.RandomPerspective(), "RandomPerspective(p=0.5)"),
    (
        lambda: T.ColorJitter(0.5, (0.25, 1.5), 2),
        "ColorJitter(brightness=(0.5, 1.5), contrast=(0.25, 1.5), saturation=(0.0, 3), hue=None)",
    ),
    (lambda: T.ColorJitter(hue=0.1), "ColorJitter(brightness=None, contrast=None, saturation=None, hue=(-0.1, 0.1))"),
    (lambda: T.Grayscale(3), "Grayscale(num_output_channels=3)"),
    (lambda: T.RandomGrayscale(), "RandomGrayscale(p=0.1)"),
    (lambda: T.FiveCrop(3), "FiveCrop(size=(3, 3))"),
    (lambda: T.TenCrop((3, 4)), "TenCrop(size=(3, 4), vertical_flip=False)"),
    (
        lambda: T.RandomErasing(),
        "RandomErasing(p=0.5, scale=(0.02, 0.33), ratio=(0.3, 3.3), value=0, inplace=False)",
    ),
    (lambda: T.GaussianBlur(3), "GaussianBlur(kernel_size=(3, 3), sigma=(0.1, 2.0))"),
    (lambda: T.GaussianBlur((3, 5), 0.5), "GaussianBlur(kernel_size=(3, 5), sigma=(0.5, 0.5))"),
    (lambda: T.Lambda(abs), "Lambda()"),
    (lambda: T.Compose([]), "Compose(\n)"),
    (lambda: T.Compose([T.ToTensor(), abs]), "Compose(\n    ToTensor()\n    <built-in function abs>\n)"),
    (lambda: T.RandomApply([T.Lambda(abs)], 0.3), "RandomApply(\n    p=0.3\n    Lambda()\n)"),
    (lambda: T.RandomOrder([T.ToTensor()]), "RandomOrder(\n    ToTensor()\n)"),
    (lambda: T.RandomChoice([T.ToTensor()]), "RandomChoice(\n    ToTensor()\n)(p=None)"),
    (lambda: T.RandomInvert(), "RandomInvert(p=0.5)"),
    (lambda: T.RandomPosterize(4), "RandomPosterize(bits=4,p=0.5)"),
    (lambda: T.RandomSolarize(128), "RandomSolarize(threshold=128,p=0.5)"),
    (lambda: T.RandomAdjustSharpness(2), "RandomAdjustSharpness(sharpness_factor=2,p=0.5)"),
    (lambda: T.RandomAutocontrast(), "RandomAutocontrast(p=0.5)"),
    (lambda: T.RandomEqualize(), "RandomEqualize(p=0.5)"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "text"), REPRS, ids=[text.split("(")[0] for _, text in REPRS])
def test_printed_forms(make, text):
    assert repr(make()) == text
    assert repr(copy.deepcopy(make())) == text
    assert repr(pickle.loads(pickle.dumps(make()))) == text


def test_all_that_is_public_is_printed_somewhere():
    names = {name for name in T.__all__ if name not in ("functional", "InterpolationMode")}
    assert names == {text.split("(")[0] for _, text in REPRS}


def test_module_paths():
    from tensorlab.vision.transforms import transforms as module

    assert {*module.__all__} == {*T.__all__} - {"functional"}
    assert all(getattr(module, name) is getattr(T, name) for name in module.__all__)


def image(rng, channels=3, size=(30, 40)):
    return tl.from_numpy(rng.integers(0, 256, (channels, *size), np.uint8))


# Draws ----------------------------------------------------------------------------------------


class Draws:
    """The numbers that torchvision's documentation says are drawn, from PyTorch's own generator."""

    def __init__(self, seed):
        self.torch = pytest.importorskip("torch", reason="PyTorch is the oracle of what is drawn")
        self.torch.manual_seed(seed)
        tl.manual_seed(seed)

    def uniform(self, low, high):
        return self.torch.empty(1).uniform_(low, high).item()

    def below(self, low, high):
        return self.torch.randint(low, high, (1,)).item()

    def happens(self, p):
        return self.torch.rand(1).item() < p


@pytest.fixture
def draws(seed):
    return Draws(seed)


def test_random_crop(rng, draws):
    t = image(rng)
    transform = T.RandomCrop((20, 25), padding=4, fill=7)
    padded = F.pad(t, 4, 7)
    for _ in range(5):
        top, left = draws.below(0, 38 - 20 + 1), draws.below(0, 48 - 25 + 1)
        wanted = padded[:, top : top + 20, left : left + 25]
        np.testing.assert_array_equal(transform(t).numpy(), wanted.numpy())
    same = T.RandomCrop((30, 40))(t)  # nothing is drawn if there is nothing to choose
    np.testing.assert_array_equal(same.numpy(), t.numpy())
    assert draws.happens(0.5) == (float(tl.rand(1)) < 0.5)
    with pytest.raises(
        ValueError, match=r"crop size \(31, 5\) is larger than input image size \(30, 40\)"
    ):
        T.RandomCrop((31, 5))(t)
    assert T.RandomCrop((50, 60), pad_if_needed=True, padding_mode="edge")(t).shape == (3, 50, 60)
    assert T.RandomCrop(35, pad_if_needed=True)(F.to_pil_image(t)).size == (35, 35)


def resized_crop(draws, height, width, scale, ratio):
    low, high = math.log(ratio[0]), math.log(ratio[1])
    for _ in range(10):
        area = height * width * draws.uniform(*scale)
        proportion = math.exp(draws.uniform(low, high))
        w, h = round(math.sqrt(area * proportion)), round(math.sqrt(area / proportion))
        if 0 < w <= width and 0 < h <= height:
            top = draws.below(0, height - h + 1)
            return top, draws.below(0, width - w + 1), h, w
    return None


def test_random_resized_crop(rng, draws):
    t = image(rng)
    for scale, ratio in [((0.08, 1.0), (3 / 4, 4 / 3)), ((0.9, 1.0), (0.5, 2.0))] * 3:
        wanted = resized_crop(draws, 30, 40, scale, ratio)
        found = T.RandomResizedCrop.get_params(t, scale, ratio)
        if wanted is None:
            wanted = (0, 0, 30, 40)
        assert found == wanted
    for scale, ratio, wanted in [
        ((5, 6), (1, 1.0001), (0, 5, 30, 30)),
        ((5, 6), (2, 3), (5, 0, 20, 40)),
        ((5, 6), (0.1, 4), (0, 0, 30, 40)),
    ]:
        assert T.RandomResizedCrop.get_params(t, scale, ratio) == wanted
    assert T.RandomResizedCrop((8, 9))(t).shape == (3, 8, 9)
    assert T.RandomResizedCrop(8)(F.to_pil_image(t)).size == (8, 8)
    with pytest.warns(UserWarning, match="should be of kind \\(min, max\\)"):
        T.RandomResizedCrop(8, (1, 0.5))


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0])
def test_flips_and_other_things_that_happen_or_not(rng, draws, p):
    t = image(rng)
    for transform, function in [
        (T.RandomHorizontalFlip(p), F.hflip),
        (T.RandomVerticalFlip(p), F.vflip),
        (T.RandomGrayscale(p), lambda x: F.rgb_to_grayscale(x, 3)),
        (T.RandomInvert(p), F.invert),
        (T.RandomPosterize(3, p), lambda x: F.posterize(x, 3)),
        (T.RandomSolarize(90, p), lambda x: F.solarize(x, 90)),
        (T.RandomAdjustSharpness(2, p), lambda x: F.adjust_sharpness(x, 2)),
        (T.RandomAutocontrast(p), F.autocontrast),
        (T.RandomEqualize(p), F.equalize),
        (T.RandomApply([T.Lambda(F.invert), F.hflip], p), lambda x: F.hflip(F.invert(x))),
    ]:
        for value in (t, F.to_pil_image(t)):
            for _ in range(3):
                wanted = function(value) if draws.happens(p) else value
                np.testing.assert_array_equal(np.asarray(transform(value)), np.asarray(wanted))


def test_random_rotation(rng, draws):
    t = image(rng)
    transform = T.RandomRotation((-30, 70), fill=5)
    for value in (t, F.to_pil_image(t)):
        wanted = F.rotate(value, draws.uniform(-30, 70), fill=5)
        np.testing.assert_array_equal(np.asarray(transform(value)), np.asarray(wanted))


def test_random_affine(rng, draws):
    t = image(rng)
    transform = T.RandomAffine(20, (0.1, 0.3), (0.5, 2), (-5, 5, 0, 10), fill=(1, 2, 3))
    for value in (t, F.to_pil_image(t)):
        angle = draws.uniform(-20, 20)
        x = round(draws.uniform(-0.1 * 40, 0.1 * 40))
        move = (x, round(draws.uniform(-0.3 * 30, 0.3 * 30)))
        scale = draws.uniform(0.5, 2)
        shear = [draws.uniform(-5, 5), draws.uniform(0, 10)]
        wanted = F.affine(value, angle, move, scale, shear, fill=(1, 2, 3))
        np.testing.assert_array_equal(np.asarray(transform(value)), np.asarray(wanted))
    assert T.RandomAffine.get_params((9, 9), None, None, None, [4, 4]) == (9, (0, 0), 1.0, (0, 0))


def test_random_perspective(rng, draws):
    t = image(rng)
    transform = T.RandomPerspective(0.4, p=0.7, fill=3)
    for value in (t, F.to_pil_image(t)) * 3:
        wanted = value
        if draws.happens(0.7):
            dx, dy = 8, 6
            end = []
            for right, bottom in [(0, 0), (1, 0), (1, 1), (0, 1)]:
                x = draws.below(40 - dx - 1, 40) if right else draws.below(0, dx + 1)
                end.append([x, draws.below(30 - dy - 1, 30) if bottom else draws.below(0, dy + 1)])
            start = [[0, 0], [39, 0], [39, 29], [0, 29]]
            wanted = F.perspective(value, start, end, fill=3)
        np.testing.assert_array_equal(np.asarray(transform(value)), np.asarray(wanted))


def test_color_jitter(rng, draws):
    t = image(rng)
    transform = T.ColorJitter(0.4, (0.5, 2), 0.2, 0.3)
    functions = [F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue]
    for value in (t, F.to_pil_image(t)) * 3:
        order = draws.torch.randperm(4).tolist()
        bounds = [(0.6, 1.4), (0.5, 2), (0.8, 1.2), (-0.3, 0.3)]
        amounts = [draws.uniform(*b) for b in bounds]
        wanted = value
        for index in order:
            wanted = functions[index](wanted, amounts[index])
        np.testing.assert_array_equal(np.asarray(transform(value)), np.asarray(wanted))
    draws.torch.randperm(4)
    np.testing.assert_array_equal(T.ColorJitter()(t).numpy(), t.numpy())
    assert draws.happens(0.5) == (float(tl.rand(1)) < 0.5)


@pytest.mark.parametrize("value", [0, 0.5, (0.1, 0.2, 0.3), "random"])
def test_random_erasing(rng, draws, value):
    t = image(rng).float() / 255
    transform = T.RandomErasing(0.8, (0.1, 0.3), (0.3, 3.3), value)
    for _ in range(5):
        wanted = t
        if draws.happens(0.8):
            low, high = math.log(0.3), math.log(3.3)
            while True:
                area = 30 * 40 * draws.uniform(0.1, 0.3)
                proportion = math.exp(draws.uniform(low, high))
                h, w = round(math.sqrt(area * proportion)), round(math.sqrt(area / proportion))
                if h < 30 and w < 40:
                    break
            if value == "random":
                new = tl.from_numpy(draws.torch.empty(3, h, w).normal_().numpy())
            else:
                new = tl.tensor(np.broadcast_to(value, 3).tolist())[:, None, None]
            top = draws.below(0, 30 - h + 1)
            wanted = F.erase(t, top, draws.below(0, 40 - w + 1), h, w, new)
        np.testing.assert_allclose(transform(t).numpy(), wanted.numpy(), rtol=1e-5, atol=1e-6)
    inplace = T.RandomErasing(1.0, value=1, inplace=True)
    assert inplace(t) is t


def test_gaussian_blur(rng, draws):
    t = image(rng)
    transform = T.GaussianBlur((5, 3), (0.5, 3))
    for value in (t, F.to_pil_image(t)):
        wanted = F.gaussian_blur(value, [5, 3], draws.uniform(0.5, 3))
        np.testing.assert_array_equal(np.asarray(transform(value)), np.asarray(wanted))


def test_random_choice_and_order_draw_from_python(seed):
    names = [lambda x, c=c: x + c for c in "abcdef"]
    random.seed(seed)
    order = list(range(6))
    random.shuffle(order)
    picked = [random.choices("abcdef")[0] for _ in range(3)]
    weighted = random.choices("abcdef", weights=[0, 0, 1, 0, 0, 0])[0]
    random.seed(seed)
    assert T.RandomOrder(names)("") == "".join("abcdef"[i] for i in order)
    assert [T.RandomChoice(names)("") for _ in range(3)] == picked
    assert T.RandomChoice(names, [0, 0, 1, 0, 0, 0])("") == weighted == "c"


# The rest -------------------------------------------------------------------------------------


def test_the_usual_pipelines(rng):
    img = F.to_pil_image(image(rng, size=(300, 280)))
    prepare = T.Compose([
        T.Resize(256), T.CenterCrop(224), T.ToTensor(),
        T.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
    ])  # fmt: skip
    x = prepare(img)
    assert x.shape == (3, 224, 224)
    assert x.dtype is tl.float32
    from tensorlab.vision.models import ResNet18_Weights

    preset = ResNet18_Weights.DEFAULT.transforms()
    np.testing.assert_allclose(preset(img).numpy(), x.numpy(), atol=1e-5)
    # On a tensor it is rounded once more than in Pillow.
    assert np.abs(preset(F.pil_to_tensor(img)).numpy() - x.numpy()).max() < 0.02
    assert preset(tl.stack([F.pil_to_tensor(img)] * 2)).shape == (2, 3, 224, 224)
    assert repr(preset) == (
        "ImageClassification(\n    crop_size=[224]\n    resize_size=[256]\n    mean=[0.485, 0.456, 0.406]\n"
        "    std=[0.229, 0.224, 0.225]\n    interpolation=InterpolationMode.BILINEAR\n)"
    )
    augment = T.Compose([
        T.RandomResizedCrop(32), T.RandomHorizontalFlip(), T.RandomApply([T.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
        T.RandomGrayscale(p=0.2), T.GaussianBlur(3), T.RandomRotation(10), T.ToTensor(), T.RandomErasing(),
    ])  # fmt: skip
    assert augment(img).shape == (3, 32, 32)


def test_modules_of_modules(rng):
    t = image(rng).float() / 255
    steps = nn.Sequential(T.CenterCrop(10), T.Normalize([0.5] * 3, [0.5] * 3))
    assert steps(t).shape == (3, 10, 10)
    apply = T.RandomApply(nn.ModuleList([T.ColorJitter()]), p=1.0)
    assert apply(t).shape == t.shape
    crops = T.Compose(
        [T.FiveCrop(8), T.Lambda(lambda c: tl.stack([T.Normalize(0.5, 0.5)(x) for x in c]))]
    )
    assert crops(t).shape == (5, 3, 8, 8)
    assert len(T.TenCrop(8, True)(t)) == 10


def flip_a_coin(x):
    return x


def test_in_a_data_loader(seed):
    data = FakeData(
        12,
        (3, 20, 22),
        transform=T.Compose([T.RandomCrop(16), T.ToTensor(), T.Lambda(flip_a_coin)]),
    )
    tl.manual_seed(seed)
    first = [x for x, _ in DataLoader(data, batch_size=5)]
    tl.manual_seed(seed)
    again = [x for x, _ in DataLoader(data, batch_size=5)]
    assert [tuple(x.shape) for x in first] == [(5, 3, 16, 16), (5, 3, 16, 16), (2, 3, 16, 16)]
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: T.Resize(8.5), TypeError, "Size should be int or sequence"),
        (lambda: T.Resize((1, 2, 3)), ValueError, "it should have 1 or 2 values"),
        (lambda: T.CenterCrop((1, 2, 3)), ValueError, "only two dimensions"),
        (lambda: T.Pad("3"), TypeError, "inappropriate padding arg"),
        (lambda: T.Pad((1, 2, 3)), ValueError, "not a 3 element tuple"),
        (lambda: T.Pad(1, padding_mode="wrap"), ValueError, "Padding mode should be either"),
        (lambda: T.Pad(1, {}), TypeError, "inappropriate fill arg"),
        (lambda: T.Lambda(3), TypeError, "Argument lambd should be callable, got 'int'"),
        (lambda: T.RandomApply(T.ToTensor()), TypeError, "transforms should be a sequence"),
        (lambda: T.RandomOrder(3), TypeError, "transforms should be a sequence"),
        (lambda: T.RandomChoice([abs], 3), TypeError, "Argument p should be a sequence"),
        (lambda: T.RandomResizedCrop(3, 0.5), TypeError, "Scale should be a sequence"),
        (lambda: T.RandomRotation(-3), ValueError, "single number, it must be positive"),
        (lambda: T.RandomRotation((1, 2, 3)), ValueError, "degrees should be a sequence of length 2"),
        (lambda: T.RandomRotation("a"), ValueError, "degrees should be a sequence of length 2"),
        (lambda: T.RandomRotation(3, center=(1,)), ValueError, "center should be a sequence of length 2"),
        (lambda: T.RandomRotation(3, fill={}), TypeError, "Fill should be either a sequence or a number"),
        (lambda: T.RandomAffine(3, (0.1, 2)), ValueError, "translation values should be between 0 and 1"),
        (lambda: T.RandomAffine(3, scale=(0, 1)), ValueError, "scale values should be positive"),
        (lambda: T.RandomAffine(3, shear=(1, 2, 3)), ValueError, "shear should be a sequence of length 2 or 4"),
        (lambda: T.ColorJitter(-1), ValueError, "If brightness is a single number, it must be non neg"),
        (lambda: T.ColorJitter(hue=0.6), ValueError, r"hue values should be between \(-0.5, 0.5\)"),
        (lambda: T.ColorJitter(contrast=(2, 1)), ValueError, "contrast values should be between"),
        (lambda: T.ColorJitter(saturation="a"), TypeError, "saturation should be a single number or"),
        (lambda: T.RandomErasing(2), ValueError, "probability should be between 0 and 1"),
        (lambda: T.RandomErasing(value="x"), ValueError, "it should be 'random'"),
        (lambda: T.RandomErasing(value={}), TypeError, "value should be either a number or str"),
        (lambda: T.RandomErasing(scale=(0, 2)), ValueError, "Scale should be between 0 and 1"),
        (lambda: T.RandomErasing(1.0, value=(1, 2))(tl.zeros(3, 9, 9)), ValueError, r"3 \(number of input"),
        (lambda: T.GaussianBlur(4), ValueError, "odd and positive number"),
        (lambda: T.GaussianBlur((1, 2, 3)), ValueError, "two integers"),
        (lambda: T.GaussianBlur(3, 0), ValueError, "must be positive"),
        (lambda: T.GaussianBlur(3, (2, 1)), ValueError, "of the form"),
        (lambda: T.GaussianBlur(3, (1, 2, 3)), TypeError, "length 2"),
    ],
)  # fmt: skip
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
