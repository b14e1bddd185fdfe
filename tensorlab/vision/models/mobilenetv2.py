"""MobileNetV2: bottlenecks the other way round, for computers with little power.

Source: M. Sandler and others, "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (2018),
https://arxiv.org/abs/1801.04381. The weights' keys are torchvision's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

__all__ = ["MobileNetV2", "MobileNet_V2_Weights", "mobilenet_v2"]

NormLayer = Callable[..., nn.Module]


def _divisible(value: float, divisor: int) -> int:
    """`value` rounded to a multiple of `divisor`, but not down by more than a tenth."""
    new = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return new + divisor if new < 0.9 * value else new


class Conv2dNormActivation(nn.Sequential):
    """A convolution without bias that keeps height and width at stride 1, a normalization, ReLU6."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        groups: int = 1,
        norm_layer: NormLayer = nn.BatchNorm2d,
    ) -> None:
        padding = (kernel_size - 1) // 2
        super().__init__(
            nn.Conv2d(
                in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=False
            ),
            norm_layer(out_channels),
            nn.ReLU6(inplace=True),
        )
        self.out_channels = out_channels


class InvertedResidual(nn.Module):
    """More channels, a convolution of each channel by itself, fewer channels, and the input added."""

    def __init__(
        self,
        inp: int,
        oup: int,
        stride: int,
        expand_ratio: int,
        norm_layer: NormLayer | None = None,
    ) -> None:
        super().__init__()
        if stride not in (1, 2):
            raise ValueError(f"stride should be 1 or 2 instead of {stride}")
        norm_layer = norm_layer or nn.BatchNorm2d
        self.stride = stride
        self.use_res_connect = stride == 1 and inp == oup
        hidden = round(inp * expand_ratio)
        layers: list[nn.Module] = []
        if expand_ratio != 1:
            layers.append(Conv2dNormActivation(inp, hidden, kernel_size=1, norm_layer=norm_layer))
        layers += [
            Conv2dNormActivation(
                hidden, hidden, stride=stride, groups=hidden, norm_layer=norm_layer
            ),
            nn.Conv2d(hidden, oup, 1, 1, 0, bias=False),
            norm_layer(oup),
        ]
        self.conv = nn.Sequential(*layers)
        self.out_channels = oup

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


# Expansion, channels, blocks and first stride of each stage: table 2 of the paper.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class MobileNetV2(nn.Module):
    """MobileNetV2: `(N, 3, H, W)` → `(N, num_classes)`.

    Args:
        num_classes: of the result.
        width_mult: a factor of all numbers of channels.
        inverted_residual_setting: expansion, channels, blocks and first stride of each stage.
        round_nearest: what the numbers of channels are multiples of.
        block: makes a block.
        norm_layer: makes a normalization of so many channels; `BatchNorm2d` by default.
        dropout: probability, before the linear layer.

    Raises `ValueError` if `inverted_residual_setting` is not made of four numbers each.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        width_mult: float = 1.0,
        inverted_residual_setting: Sequence[Sequence[int]] | None = None,
        round_nearest: int = 8,
        block: Callable[..., nn.Module] | None = None,
        norm_layer: NormLayer | None = None,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        block = block or InvertedResidual
        norm_layer = norm_layer or nn.BatchNorm2d
        stages = _STAGES if inverted_residual_setting is None else inverted_residual_setting
        if not stages or any(len(stage) != 4 for stage in stages):
            raise ValueError(
                "inverted_residual_setting should be non-empty or a 4-element list, got "
                f"{inverted_residual_setting}"
            )
        before = _divisible(32 * width_mult, round_nearest)
        self.last_channel = _divisible(1280 * max(1.0, width_mult), round_nearest)
        layers: list[nn.Module] = [Conv2dNormActivation(3, before, stride=2, norm_layer=norm_layer)]
        for expansion, channels, count, first_stride in stages:
            after = _divisible(channels * width_mult, round_nearest)
            for number in range(count):
                stride = first_stride if number == 0 else 1
                layers.append(
                    block(before, after, stride, expand_ratio=expansion, norm_layer=norm_layer)
                )
                before = after
        layers.append(
            Conv2dNormActivation(before, self.last_channel, kernel_size=1, norm_layer=norm_layer)
        )
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout), nn.Linear(self.last_channel, num_classes)
        )
        self._initialize()

    def _initialize(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
            elif isinstance(module, (nn.BatchNorm2d, nn.GroupNorm)):
                nn.init.ones_(module.weight)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.01)
            else:
                continue
            if module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        return self.classifier(nn.functional.adaptive_avg_pool2d(x, (1, 1)).flatten(1))


_V1 = partial(ImageClassification, crop_size=224)
_V2 = partial(ImageClassification, crop_size=224, resize_size=232)


class MobileNet_V2_Weights(WeightsEnum):
    """Weights of `mobilenet_v2`; V2 was trained with a newer recipe."""

    IMAGENET1K_V1 = imagenet("mobilenet_v2-b0353104.pth", _V1, 3504872, 71.878, 90.286)
    IMAGENET1K_V2 = imagenet("mobilenet_v2-7ebf99e0.pth", _V2, 3504872, 72.154, 90.822)
    DEFAULT = IMAGENET1K_V2


@register_model(weights=MobileNet_V2_Weights)
def mobilenet_v2(
    *, weights: MobileNet_V2_Weights | None = None, progress: bool = True, **kwargs: Any
) -> MobileNetV2:
    """MobileNetV2, 3.5 million parameters.

    Args:
        weights: pre-trained weights, downloaded if they are not there yet: a member of
            `MobileNet_V2_Weights` or its name; none by default.
        progress: tell on stderr how far the download is.
        **kwargs: those of `MobileNetV2`.

    >>> from tensorlab.vision.models import mobilenet_v2
    >>> sum(p.numel() for p in mobilenet_v2().parameters())
    3504872
    """
    classes_of(weights, kwargs)
    model = MobileNetV2(**kwargs)
    load_weights(model, weights, progress)
    return model
