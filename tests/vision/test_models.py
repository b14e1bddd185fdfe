"""The networks: torchvision's keys and shapes, PyTorch's numbers, weights from real .pth files."""

from __future__ import annotations

import hashlib
import importlib
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import tensorlab as tl
from tensorlab.vision import models
from tensorlab.vision.models import _api

# Keys ----------------------------------------------------------------------------------------


def norm(name, channels):
    return {
        f"{name}.weight": (channels,),
        f"{name}.bias": (channels,),
        f"{name}.running_mean": (channels,),
        f"{name}.running_var": (channels,),
        f"{name}.num_batches_tracked": (),
    }


def resnet_keys(counts, bottleneck, groups=1, width=64, classes=1000):
    """Name → shape of everything in a ResNet's state_dict, in order."""
    keys = {"conv1.weight": (64, 3, 7, 7), **norm("bn1", 64)}
    before = 64
    for stage, count in enumerate(counts):
        planes = 64 * 2**stage
        out = planes * (4 if bottleneck else 1)
        for block in range(count):
            at = f"layer{stage + 1}.{block}."
            if bottleneck:
                wide = planes * width // 64 * groups
                convs = [(wide, before, 1), (wide, wide // groups, 3), (out, wide, 1)]
            else:
                convs = [(planes, before, 3), (planes, planes, 3)]
            for i, (o, inputs, k) in enumerate(convs, 1):
                keys |= {f"{at}conv{i}.weight": (o, inputs, k, k), **norm(f"{at}bn{i}", o)}
            if block == 0 and (stage > 0 or before != out):
                keys |= {f"{at}downsample.0.weight": (out, before, 1, 1)}
                keys |= norm(f"{at}downsample.1", out)
            before = out
    return keys | {"fc.weight": (classes, before), "fc.bias": (classes,)}


RESNETS = {
    "resnet18": (122, 11_689_512, ([2, 2, 2, 2], False)),
    "resnet34": (218, 21_797_672, ([3, 4, 6, 3], False)),
    "resnet50": (320, 25_557_032, ([3, 4, 6, 3], True)),
    "resnet101": (626, 44_549_160, ([3, 4, 23, 3], True)),
    "resnext50_32x4d": (320, 25_028_904, ([3, 4, 6, 3], True, 32, 4)),
    "wide_resnet50_2": (320, 68_883_240, ([3, 4, 6, 3], True, 1, 128)),
}


@pytest.fixture
def no_draws(monkeypatch):
    """Models of which only names and shapes matter, made without drawing their numbers."""
    for name in ("kaiming_uniform_", "kaiming_normal_", "uniform_", "normal_"):
        monkeypatch.setattr(tl.nn.init, name, lambda tensor, *args, **kwargs: tensor)


@pytest.mark.parametrize("name", RESNETS)
def test_keys_and_shapes(name, no_draws):
    number, parameters, shape = RESNETS[name]
    model = getattr(models, name)()
    state = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    assert list(state.items()) == list(resnet_keys(*shape).items())
    assert len(state) == number
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert models.get_model_weights(name).DEFAULT.meta["num_params"] == parameters


# Numbers -------------------------------------------------------------------------------------


def twin(module):
    """The module's own source, with PyTorch's `nn` in the place of tensorlab's."""
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")
    source = Path(module.__file__).read_text("utf-8")
    assert source.count("from tensorlab import nn\n") == 1
    source = source.replace("from tensorlab.ops.joining import", "from torch import")
    names = {"__name__": f"twin of {module.__name__}", "nn": torch.nn}
    known = _api._BUILDERS.copy(), _api._WEIGHTS.copy()
    _api._BUILDERS.clear()
    try:
        exec(compile(source.replace("from tensorlab import nn\n", ""), "twin", "exec"), names)
    finally:
        _api._BUILDERS.update(known[0])
        _api._WEIGHTS.update(known[1])
    return SimpleNamespace(**names)


def close(ours, theirs, tolerance, what):
    theirs = theirs.detach().numpy()
    scale = max(1.0, float(np.abs(theirs).max()))
    np.testing.assert_allclose(
        ours.detach().numpy(), theirs, rtol=tolerance, atol=tolerance * scale, err_msg=what
    )


def compare(ours, theirs, shape, tolerance=1e-7):
    """Same printed form and numbers drawn; then outputs, gradients and running statistics.

    In float64, since a batch norm of a few pixels divides by what may be nearly nothing.
    """
    torch = pytest.importorskip("torch")
    assert repr(ours) == repr(theirs)
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state)
    for key, value in ours.state_dict().items():
        close(value, state[key], 1e-5, key)  # the same numbers drawn
    theirs.double()
    ours.double().load_state_dict(
        {key: tl.from_numpy(v.numpy().copy()) for key, v in theirs.state_dict().items()}
    )
    images = np.random.default_rng(1).standard_normal(shape)
    for mode in (True, False):
        ours.train(mode)
        theirs.train(mode)
        ours.zero_grad()
        theirs.zero_grad()
        x, u = tl.from_numpy(images.copy()).requires_grad_(), torch.tensor(images)
        u.requires_grad_()
        y, v = ours(x), theirs(u)
        close(y, v, tolerance, "output")
        (y * y).mean().backward()
        (v * v).mean().backward()
        close(x.grad, u.grad, tolerance, "gradient of the image")
        wanted = dict(theirs.named_parameters())
        for key, p in ours.named_parameters():
            close(p.grad, wanted[key].grad, tolerance, f"gradient of {key}")
        for key, value in ours.state_dict().items():
            close(value, theirs.state_dict()[key], tolerance, key)


def both(module, make):
    torch = pytest.importorskip("torch")
    tl.manual_seed(5)
    ours = make(module)
    torch.manual_seed(5)
    return ours, make(twin(module))


OPTIONS = {
    "basic": lambda m: m.ResNet(m.BasicBlock, [2, 1, 1, 1], num_classes=7),
    "bottleneck": lambda m: m.ResNet(m.Bottleneck, [1, 2, 1, 1], 7, zero_init_residual=True),
    "next": lambda m: m.ResNet(m.Bottleneck, [1, 1, 1, 1], 7, groups=4, width_per_group=8),
    "dilated": lambda m: m.ResNet(
        m.Bottleneck, [1, 2, 2, 1], 7, width_per_group=16,
        replace_stride_with_dilation=[False, True, True],
    ),
}  # fmt: skip


@pytest.mark.parametrize("option", OPTIONS)
def test_resnets_are_pytorchs(option):
    module = importlib.import_module("tensorlab.vision.models.resnet")
    compare(*both(module, OPTIONS[option]), (3, 3, 32, 40))


def test_options_of_resnets(no_draws):
    """The comparison above takes the same source for both: here is what it should say."""
    dilated = models.resnet50(replace_stride_with_dilation=[False, True, True])
    expected = {"layer2.0": (2, 1), "layer3.0": (1, 1), "layer3.1": (1, 2), "layer3.5": (1, 2)}
    expected |= {"layer4.0": (1, 2), "layer4.1": (1, 4), "layer4.2": (1, 4)}
    for name, (stride, dilation) in expected.items():
        conv = dilated.get_submodule(f"{name}.conv2")
        assert (conv.stride, conv.dilation, conv.padding) == ((stride,) * 2, *[(dilation,) * 2] * 2)
    for make, last in [(models.resnet18, "bn2"), (models.resnet50, "bn3")]:
        for zero in (False, True):
            model = make(zero_init_residual=zero)
            for block in ("layer1.0", "layer4.1"):
                assert float(model.get_submodule(f"{block}.{last}").weight.max()) == (not zero)
                assert float(model.get_submodule(f"{block}.bn1").weight.min()) == 1


def test_resnet18_from_the_functions_alone(tmp_path):
    """A ResNet written down from the paper, on a state_dict that PyTorch saved."""
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    F = torch.nn.functional
    generator = torch.Generator().manual_seed(3)
    state = {}
    for key, shape in resnet_keys([2, 2, 2, 2], False, classes=10).items():
        if key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(12)
        elif key.endswith("running_var"):
            state[key] = torch.rand(shape, generator=generator) + 0.5
        else:
            spread = (2 / np.prod(shape[1:])) ** 0.5 if len(shape) > 1 else 0.3
            state[key] = torch.randn(shape, generator=generator) * spread + (len(shape) == 1)

    def conv_norm(x, conv, bn, stride, padding):
        x = F.conv2d(x, state[f"{conv}.weight"], None, stride, padding)
        names = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(state[f"{bn}.{n}"] for n in names))

    def network(x):
        x = F.max_pool2d(conv_norm(x, "conv1", "bn1", 2, 3).relu(), 3, 2, 1)
        for stage in range(1, 5):
            for block in range(2):
                at = f"layer{stage}.{block}."
                stride = 2 if stage > 1 and block == 0 else 1
                y = conv_norm(x, f"{at}conv1", f"{at}bn1", stride, 1).relu()
                y = conv_norm(y, f"{at}conv2", f"{at}bn2", 1, 1)
                if stride == 2:
                    x = conv_norm(x, f"{at}downsample.0", f"{at}downsample.1", 2, 0)
                x = (x + y).relu()
        return F.linear(x.mean((2, 3)), state["fc.weight"], state["fc.bias"])

    model = models.resnet18(num_classes=10).eval()
    images = torch.randn(2, 3, 60, 70, generator=generator)
    for zipped in (True, False):
        path = tmp_path / f"resnet18-{zipped}.pth"
        torch.save(state, path, _use_new_zipfile_serialization=zipped)
        report = model.load_state_dict(tl.load(path))
        assert str(report) == "<All keys matched successfully>"
        close(model(tl.from_numpy(images.numpy())), network(images), 1e-4, "output")
    # The oldest published files do not count the batches.
    old = {key: v for key, v in state.items() if not key.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "old.pth")
    assert len(old) == 102
    model.load_state_dict(tl.load(tmp_path / "old.pth"))
    tl.save(model.state_dict(), tmp_path / "back.pth")
    back = torch.load(tmp_path / "back.pth", weights_only=True)
    assert list(back) == list(state)
    assert all(torch.equal(back[key], state[key]) for key in state)


def test_a_whole_picture():
    model = models.resnet18().eval()
    with tl.no_grad():
        out = model(tl.randn(1, 3, 224, 224))
    assert out.shape == (1, 1000)
    assert bool(out.isfinite().all())


def test_transfer_learning_with_a_frozen_body(rng):
    tl.manual_seed(0)
    model = models.resnet18().eval()
    for p in model.parameters():
        p.requires_grad = False
    model.fc = tl.nn.Linear(model.fc.in_features, 2)
    frozen = {key: v.clone() for key, v in model.state_dict().items() if not key.startswith("fc.")}
    x = tl.from_numpy(rng.standard_normal((8, 3, 32, 32)).astype(np.float32))
    y = tl.tensor([0, 1] * 4)
    x[1::2] += 1.0
    optimizer = tl.optim.SGD(
        [p for p in model.parameters() if p.requires_grad], lr=0.05, momentum=0.9
    )
    losses = []
    for _ in range(30):
        loss = tl.nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1
    assert all(bool((model.state_dict()[key] == v).all()) for key, v in frozen.items())
    assert all(p.grad is None for p in model.layer1.parameters())


def test_mobilenet_is_pytorchs():
    module = importlib.import_module("tensorlab.vision.models.mobilenetv2")
    make = lambda m: m.mobilenet_v2(num_classes=6, width_mult=0.35, dropout=0.0)
    ours, theirs = both(module, make)
    compare(ours, theirs, (4, 3, 40, 48))
    assert ours.last_channel == 1280
    with pytest.raises(ValueError, match="non-empty or a 4-element list"):
        models.mobilenet_v2(inverted_residual_setting=[(1, 2, 3)])


def test_mobilenets_keys(no_draws):
    model = models.mobilenet_v2()
    keys = list(model.state_dict())
    assert len(keys) == 314
    assert sum(p.numel() for p in model.parameters()) == 3_504_872
    assert keys[0] == "features.0.0.weight"
    assert {"features.1.conv.0.0.weight", "features.1.conv.1.weight", "features.18.1.bias"} <= {
        *keys
    }
    assert {"features.2.conv.1.1.running_var", "features.17.conv.3.num_batches_tracked"} <= {*keys}
    assert keys[-2:] == ["classifier.1.weight", "classifier.1.bias"]


@pytest.mark.parametrize("name", ["squeezenet1_0", "squeezenet1_1"])
def test_squeezenets_are_pytorchs(name):
    module = importlib.import_module("tensorlab.vision.models.squeezenet")
    make = lambda m: getattr(m, name)(num_classes=6, dropout=0.0)
    ours, theirs = both(module, make)
    compare(ours, theirs, (2, 3, 45, 52))
    keys = list(ours.state_dict())
    assert len(keys) == 52
    pooled = [i for i, layer in enumerate(ours.features) if isinstance(layer, tl.nn.MaxPool2d)]
    assert pooled == ([2, 6, 11] if name == "squeezenet1_0" else [2, 5, 8])
    assert keys[2:4] == ["features.3.squeeze.weight", "features.3.squeeze.bias"]
    assert keys[-4] == "features.12.expand3x3.weight"
    assert keys[-2:] == ["classifier.1.weight", "classifier.1.bias"]
    whole = sum(p.numel() for p in getattr(models, name)().parameters())
    assert whole == models.get_model_weights(name).DEFAULT.meta["num_params"]
    with pytest.raises(ValueError, match="Unsupported SqueezeNet version 2"):
        models.SqueezeNet("2")


class Small:
    """A namespace `nn` whose linear layers have 12 where these networks have 4096 elements."""

    def __init__(self, nn, seen):
        self._nn, self._seen = nn, seen

    def __getattr__(self, name):
        return getattr(self._nn, name)

    @property
    def Linear(self):
        nn, seen = self._nn, self._seen

        class Linear(nn.Linear):
            def __init__(self, a, b):
                seen.append((a, b))
                super().__init__(12 if a == 4096 else a, 12 if b == 4096 else b)

        return Linear


@pytest.mark.parametrize(
    ("name", "features", "size"),
    [
        ("alexnet", 10, (2, 3, 80, 72)),
        ("vgg11", 16, (2, 3, 32, 40)),
        ("vgg11_bn", 56, (2, 3, 32, 40)),
    ],
)
def test_alexnet_and_vgg_are_pytorchs(name, features, size, monkeypatch):
    torch = pytest.importorskip("torch")
    module = importlib.import_module(
        f"tensorlab.vision.models.{name[:3]}" + "xnet" * (name[0] == "a")
    )
    seen = []
    theirs_module = twin(module)
    build = vars(theirs_module)[name].__wrapped__
    monkeypatch.setitem(build.__globals__, "nn", Small(torch.nn, []))
    monkeypatch.setattr(module, "nn", Small(tl.nn, seen))
    torch.manual_seed(5)
    theirs = build(dropout=0.0)
    tl.manual_seed(5)
    ours = getattr(module, name)(dropout=0.0)
    first = (9216, 4096) if name == "alexnet" else (25088, 4096)
    assert seen == [first, (4096, 4096), (4096, 1000)]
    assert len(ours.features.state_dict()) == features
    compare(ours, theirs, size)
    layers = sum(a * b + b for a, b in seen) + sum(p.numel() for p in ours.features.parameters())
    assert layers == models.get_model_weights(name).DEFAULT.meta["num_params"]


@pytest.mark.parametrize(
    ("name", "features"), [("vgg13", 20), ("vgg13_bn", 70), ("vgg16", 26), ("vgg19_bn", 112)]
)
def test_other_vggs_have_the_published_number_of_parameters(name, features, no_draws, monkeypatch):
    module = importlib.import_module("tensorlab.vision.models.vgg")
    seen = []
    monkeypatch.setattr(module, "nn", Small(tl.nn, seen))
    model = getattr(module, name)()
    assert len(model.features.state_dict()) == features
    layers = sum(a * b + b for a, b in seen) + sum(p.numel() for p in model.features.parameters())
    assert layers == models.get_model_weights(name).DEFAULT.meta["num_params"]


def test_errors():
    with pytest.raises(ValueError, match="3-element tuple, got"):
        models.ResNet(models.BasicBlock, [1, 1, 1, 1], replace_stride_with_dilation=[True])
    with pytest.raises(NotImplementedError, match="Dilation > 1 not supported in BasicBlock"):
        models.BasicBlock(8, 8, dilation=2)
    with pytest.raises(ValueError, match="only supports groups=1 and base_width=64"):
        models.BasicBlock(8, 8, groups=2)
    with pytest.raises(TypeError, match="keyword arguments only"):
        models.resnet18(None, True)
    with pytest.raises(TypeError, match="num_clases"):
        models.resnet18(num_clases=3)


def test_norm_layer():
    model = models.resnet18(norm_layer=lambda channels: tl.nn.GroupNorm(4, channels))
    assert not any("running" in key for key in model.state_dict())
    assert model(tl.zeros(1, 3, 32, 32)).shape == (1, 1000)


# Weights and names ---------------------------------------------------------------------------


@pytest.fixture
def published(server, monkeypatch):
    """A small network whose weights are on the server under the name that their checksum gives."""

    def build(*, weights=None, progress=True, **kwargs):
        """A small network."""
        _api.classes_of(weights, kwargs)
        return _api.load_weights(tl.nn.Linear(2, kwargs.get("num_classes", 3)), weights, progress)

    monkeypatch.setattr(_api, "_BUILDERS", dict(_api._BUILDERS))
    monkeypatch.setattr(_api, "_WEIGHTS", dict(_api._WEIGHTS))
    monkeypatch.setattr(_api, "NUM_CLASSES", 5)

    class Small_Weights(_api.WeightsEnum):
        V1 = _api.Weights(f"{server.url}/small-PLACE.pth", dict, {"num_params": 15})
        DEFAULT = V1

    wanted = tl.nn.Linear(2, 5)
    path = Path(os.environ["TENSORLAB_HOME"]) / "made.pth"
    path.parent.mkdir(parents=True, exist_ok=True)
    tl.save(wanted.state_dict(), path)
    data = path.read_bytes()
    name = f"small-{hashlib.sha256(data).hexdigest()[:8]}.pth"
    server.files[name] = data
    object.__setattr__(Small_Weights.V1.value, "url", f"{server.url}/{name}")
    return _api.register_model("small", Small_Weights)(build), Small_Weights, wanted, name


def test_weights_are_downloaded_when_asked_for_and_once(server, published, capsys):
    build, enum, wanted, name = published
    build()
    assert server.seen == []
    folder = Path(os.environ["TENSORLAB_HOME"]) / "hub" / "checkpoints"
    for weights in (enum.V1, "DEFAULT", "Small_Weights.V1"):
        model = build(weights=weights)
        assert bool((model.weight == wanted.weight).all())
    assert os.listdir(folder) == [name]
    assert len(server.seen) == 1
    with pytest.warns(
        UserWarning, match=r"use 'weights' instead: small\(weights=Small_Weights.V1\)"
    ):
        assert bool((build(pretrained=True).weight == wanted.weight).all())
    with pytest.warns(UserWarning, match="'pretrained' is deprecated"):
        assert not bool((build(False).weight == wanted.weight[:3]).all())
    with pytest.raises(ValueError, match="'num_classes' expected value 5 but got 7"):
        build(weights="DEFAULT", num_classes=7)
    assert models.get_model("small", weights="V1").weight.shape == (5, 2)


def test_weights_that_are_not_the_published_ones(server, published):
    build, _, _, name = published
    server.files[name] += b"!"
    with pytest.raises(RuntimeError, match="its sha256 is"):
        build(weights="DEFAULT", progress=False)
    server.files.clear()
    with pytest.raises(RuntimeError, match="404 Not Found"):
        build(weights="DEFAULT", progress=False)


def test_weights_enums():
    enum = models.ResNet50_Weights
    assert [w.name for w in enum] == ["IMAGENET1K_V1", "IMAGENET1K_V2"]
    assert enum.DEFAULT is enum.IMAGENET1K_V2
    assert str(enum.DEFAULT) == "ResNet50_Weights.IMAGENET1K_V2"
    assert enum.verify(None) is None
    with pytest.raises(TypeError, match="expected ResNet50_Weights but received ResNet18_Weights"):
        models.resnet50(weights=models.ResNet18_Weights.DEFAULT)
    with pytest.raises(KeyError, match="has no weights 'V9'; it has IMAGENET1K_V1"):
        models.resnet50(weights="V9")
    assert models.get_weight("ResNet50_Weights.IMAGENET1K_V1") is enum.IMAGENET1K_V1
    for name in ("ResNet50_Weights", "Nothing.V1", "ResNet50_Weights.V9"):
        with pytest.raises(ValueError, match="Invalid weight name|was not found|has no weights"):
            models.get_weight(name)
    for name in models.list_models():
        for weights in models.get_model_weights(name):
            assert weights.url.startswith("https://download.pytorch.org/models/")
            digits = weights.url.rpartition("-")[2].removesuffix(".pth")
            assert len(digits) == 8
            int(digits, 16)
            assert weights.transforms().crop_size == [224]


def test_models_by_name():
    assert models.list_models(include=["resnet*", "vgg11*"], exclude="*_bn") == [
        "resnet101", "resnet152", "resnet18", "resnet34", "resnet50", "vgg11",
    ]  # fmt: skip
    resnet = importlib.import_module("tensorlab.vision.models.resnet")
    assert len(models.list_models(resnet)) == 10
    assert models.get_model_builder("ResNet18") is models.resnet18
    assert models.get_model_weights(models.resnet18) is models.ResNet18_Weights
    with pytest.raises(ValueError, match="Unknown model resnet19. Did you mean 'resnet18'"):
        models.get_model("resnet19")
    with pytest.raises(ValueError, match="already registered under the name 'resnet18'"):
        models.register_model("resnet18")(lambda **kwargs: None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="is not the function of a registered model"):
        models.get_model_weights(print)  # type: ignore[arg-type]
