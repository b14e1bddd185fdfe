"""VGG: deep stacks of 3×3 convolutions.

Source: K. Simonyan, A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
Recognition" (2014), https://arxiv.org/abs/1409.1556. The weights' keys are torchvision's.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from tensorlab import nn
from tensorlab._tensor import Tensor
from tensorlab.vision.models._api import (
    WeightsEnum,
    classes_of,
    imagenet,
    load_weights,
    register_model,
)
from tensorlab.vision.transforms._presets import ImageClassification

__all__ = [
    "VGG",
    "VGG11_BN_Weights",
    "VGG11_Weights",
    "VGG13_BN_Weights",
    "VGG13_Weights",
    "VGG16_BN_Weights",
    "VGG16_Weights",
    "VGG19_BN_Weights",
    "VGG19_Weights",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
]


class VGG(nn.Module):
    """Convolutions, and three linear layers on a 7×7 average: `(N, 3, H, W)` → `(N, num_classes)`.

    Args:
        features: the convolutions, with 512 channels at the end.
        num_classes: of the result.
        init_weights: draw the weights as the paper does.
        dropout: probability, after the first two linear layers.
    """

    def __init__(
        self,
        features: nn.Module,
        num_classes: int = 1000,
        init_weights: bool = True,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, num_classes),
        )
        if init_weights:
            self._initialize()

    def _initialize(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.constant_(module.weight, 1)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.01)
            else:
                continue
            if module.bias is not None:
                nn.init.constant_(module.bias, 0)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


# How many convolutions stand before each of the five poolings, which have 64, 128, 256, 512 and
# 512 channels.
_CHANNELS = (64, 128, 256, 512, 512)
_COUNTS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


def _features(depth: int, batch_norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    before = 3
    for channels, count in zip(_CHANNELS, _COUNTS[depth], strict=True):
        for _ in range(count):
            layers.append(nn.Conv2d(before, channels, kernel_size=3, padding=1))
            if batch_norm:
                layers.append(nn.BatchNorm2d(channels))
            layers.append(nn.ReLU(inplace=True))
            before = channels
        layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
    return nn.Sequential(*layers)


def _vgg(
    depth: int, batch_norm: bool, weights: WeightsEnum | None, progress: bool, **kwargs: Any
) -> VGG:
    classes_of(weights, kwargs)
    if weights is not None:
        kwargs["init_weights"] = False
    model = VGG(_features(depth, batch_norm), **kwargs)
    load_weights(model, weights, progress)
    return model


_PREPARE = partial(ImageClassification, crop_size=224)
_imagenet = partial(imagenet, transforms=_PREPARE, min_size=(32, 32))


class VGG11_Weights(WeightsEnum):
    """Weights of `vgg11`."""

    IMAGENET1K_V1 = _imagenet("vgg11-8a719046.pth", num_params=132863336, top1=69.020, top5=88.628)
    DEFAULT = IMAGENET1K_V1


class VGG11_BN_Weights(WeightsEnum):
    """Weights of `vgg11_bn`."""

    IMAGENET1K_V1 = _imagenet(
        "vgg11_bn-6002323d.pth", num_params=132868840, top1=70.370, top5=89.810
    )
    DEFAULT = IMAGENET1K_V1


class VGG13_Weights(WeightsEnum):
    """Weights of `vgg13`."""

    IMAGENET1K_V1 = _imagenet("vgg13-19584684.pth", num_params=133047848, top1=69.928, top5=89.246)
    DEFAULT = IMAGENET1K_V1


class VGG13_BN_Weights(WeightsEnum):
    """Weights of `vgg13_bn`."""

    IMAGENET1K_V1 = _imagenet(
        "vgg13_bn-abd245e5.pth", num_params=133053736, top1=71.586, top5=90.374
    )
    DEFAULT = IMAGENET1K_V1


class VGG16_Weights(WeightsEnum):
    """Weights of `vgg16`."""

    IMAGENET1K_V1 = _imagenet("vgg16-397923af.pth", num_params=138357544, top1=71.592, top5=90.382)
    DEFAULT = IMAGENET1K_V1


class VGG16_BN_Weights(WeightsEnum):
    """Weights of `vgg16_bn`."""

    IMAGENET1K_V1 = _imagenet(
        "vgg16_bn-6c64b313.pth", num_params=138365992, top1=73.360, top5=91.516
    )
    DEFAULT = IMAGENET1K_V1


class VGG19_Weights(WeightsEnum):
    """Weights of `vgg19`."""

    IMAGENET1K_V1 = _imagenet("vgg19-dcbb9e9d.pth", num_params=143667240, top1=72.376, top5=90.876)
    DEFAULT = IMAGENET1K_V1


class VGG19_BN_Weights(WeightsEnum):
    """Weights of `vgg19_bn`."""

    IMAGENET1K_V1 = _imagenet(
        "vgg19_bn-c79401a0.pth", num_params=143678248, top1=74.218, top5=91.842
    )
    DEFAULT = IMAGENET1K_V1


@register_model(weights=VGG11_Weights)
def vgg11(*, weights: VGG11_Weights | None = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG with 11 layers that have weights, 132.9 million parameters.

    Args:
        weights: pre-trained weights, downloaded if they are not there yet: a member of
            `VGG11_Weights` or its name; none by default.
        progress: tell on stderr how far the download is.
        **kwargs: those of `VGG`, without `features`.
    """
    return _vgg(11, False, weights, progress, **kwargs)


@register_model(weights=VGG11_BN_Weights)
def vgg11_bn(
    *, weights: VGG11_BN_Weights | None = None, progress: bool = True, **kwargs: Any
) -> VGG:
    """`vgg11` with batch normalization after each convolution."""
    return _vgg(11, True, weights, progress, **kwargs)


@register_model(weights=VGG13_Weights)
def vgg13(*, weights: VGG13_Weights | None = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG with 13 layers; arguments as those of `vgg11`."""
    return _vgg(13, False, weights, progress, **kwargs)


@register_model(weights=VGG13_BN_Weights)
def vgg13_bn(
    *, weights: VGG13_BN_Weights | None = None, progress: bool = True, **kwargs: Any
) -> VGG:
    """`vgg13` with batch normalization after each convolution."""
    return _vgg(13, True, weights, progress, **kwargs)


@register_model(weights=VGG16_Weights)
def vgg16(*, weights: VGG16_Weights | None = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG with 16 layers; arguments as those of `vgg11`."""
    return _vgg(16, False, weights, progress, **kwargs)


@register_model(weights=VGG16_BN_Weights)
def vgg16_bn(
    *, weights: VGG16_BN_Weights | None = None, progress: bool = True, **kwargs: Any
) -> VGG:
    """`vgg16` with batch normalization after each convolution."""
    return _vgg(16, True, weights, progress, **kwargs)


@register_model(weights=VGG19_Weights)
def vgg19(*, weights: VGG19_Weights | None = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG with 19 layers; arguments as those of `vgg11`."""
    return _vgg(19, False, weights, progress, **kwargs)


@register_model(weights=VGG19_BN_Weights)
def vgg19_bn(
    *, weights: VGG19_BN_Weights | None = None, progress: bool = True, **kwargs: Any
) -> VGG:
    """`vgg19` with batch normalization after each convolution."""
    return _vgg(19, True, weights, progress, **kwargs)
