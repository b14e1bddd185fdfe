"""SqueezeNet: AlexNet's accuracy with a fiftieth of its parameters.

Source: F. N. Iandola and others, "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and
<0.5MB model size" (2016), https://arxiv.org/abs/1602.07360. The weights' keys are torchvision's.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from tensorlab import nn
from tensorlab._tensor import Tensor
from tensorlab.ops.joining import cat
from tensorlab.vision.models._api import (
    WeightsEnum,
    classes_of,
    imagenet,
    load_weights,
    register_model,
)
from tensorlab.vision.transforms._presets import ImageClassification

__all__ = [
    "SqueezeNet",
    "SqueezeNet1_0_Weights",
    "SqueezeNet1_1_Weights",
    "squeezenet1_0",
    "squeezenet1_1",
]


class Fire(nn.Module):
    """Few channels, then many from 1×1 and from 3×3 convolutions, side by side."""

    def __init__(
        self, inplanes: int, squeeze_planes: int, expand1x1_planes: int, expand3x3_planes: int
    ) -> None:
        super().__init__()
        self.inplanes = inplanes
        self.squeeze = nn.Conv2d(inplanes, squeeze_planes, kernel_size=1)
        self.squeeze_activation = nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeeze_planes, expand1x1_planes, kernel_size=1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = nn.Conv2d(squeeze_planes, expand3x3_planes, kernel_size=3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze_activation(self.squeeze(x))
        small = self.expand1x1_activation(self.expand1x1(x))
        large = self.expand3x3_activation(self.expand3x3(x))
        return cat([small, large], 1)


# The fire modules, as (squeezed, expanded channels of each kind), and after which a pooling stands.
_FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
_POOLED_AFTER = {"1_0": (3, 7), "1_1": (2, 4)}


class SqueezeNet(nn.Module):
    """Fire modules and an average over all places: `(N, 3, H, W)` → `(N, num_classes)`.

    Args:
        version: "1_0", the paper's, or "1_1", with less than half of the computation.
        num_classes: of the result.
        dropout: probability, before the last convolution.

    Raises `ValueError` for another version.
    """

    def __init__(self, version: str = "1_0", num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        if version not in _POOLED_AFTER:
            raise ValueError(f"Unsupported SqueezeNet version {version}: 1_0 or 1_1 expected")
        self.num_classes = num_classes
        before, kernel = (96, 7) if version == "1_0" else (64, 3)
        layers: list[nn.Module] = [
            nn.Conv2d(3, before, kernel_size=kernel, stride=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True),
        ]
        for number, (squeezed, expanded) in enumerate(_FIRES, 1):
            layers.append(Fire(before, squeezed, expanded, expanded))
            before = 2 * expanded
            if number in _POOLED_AFTER[version]:
                layers.append(nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True))
        self.features = nn.Sequential(*layers)
        last = nn.Conv2d(512, num_classes, kernel_size=1)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout), last, nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d((1, 1))
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                if module is last:
                    nn.init.normal_(module.weight, mean=0.0, std=0.01)
                else:
                    nn.init.kaiming_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.constant_(module.bias, 0)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x)).flatten(1)


_PREPARE = partial(ImageClassification, crop_size=224)


class SqueezeNet1_0_Weights(WeightsEnum):
    """Weights of `squeezenet1_0`."""

    IMAGENET1K_V1 = imagenet(
        "squeezenet1_0-b66bff10.pth", _PREPARE, 1248424, 58.092, 80.420, min_size=(21, 21)
    )
    DEFAULT = IMAGENET1K_V1


class SqueezeNet1_1_Weights(WeightsEnum):
    """Weights of `squeezenet1_1`."""

    IMAGENET1K_V1 = imagenet(
        "squeezenet1_1-b8a52dc0.pth", _PREPARE, 1235496, 58.178, 80.624, min_size=(17, 17)
    )
    DEFAULT = IMAGENET1K_V1


def _squeezenet(
    version: str, weights: WeightsEnum | None, progress: bool, **kwargs: Any
) -> SqueezeNet:
    classes_of(weights, kwargs)
    model = SqueezeNet(version, **kwargs)
    load_weights(model, weights, progress)
    return model


@register_model(weights=SqueezeNet1_0_Weights)
def squeezenet1_0(
    *, weights: SqueezeNet1_0_Weights | None = None, progress: bool = True, **kwargs: Any
) -> SqueezeNet:
    """SqueezeNet 1.0, 1.2 million parameters.

    Args:
        weights: pre-trained weights, downloaded if they are not there yet: a member of
            `SqueezeNet1_0_Weights` or its name; none by default.
        progress: tell on stderr how far the download is.
        **kwargs: those of `SqueezeNet`.

    >>> import tensorlab
    >>> from tensorlab.vision.models import squeezenet1_0
    >>> squeezenet1_0(num_classes=5)(tensorlab.zeros(2, 3, 64, 64)).shape
    tensorlab.Size([2, 5])
    """
    return _squeezenet("1_0", weights, progress, **kwargs)


@register_model(weights=SqueezeNet1_1_Weights)
def squeezenet1_1(
    *, weights: SqueezeNet1_1_Weights | None = None, progress: bool = True, **kwargs: Any
) -> SqueezeNet:
    """SqueezeNet 1.1, as accurate with less than half of the computation."""
    return _squeezenet("1_1", weights, progress, **kwargs)
