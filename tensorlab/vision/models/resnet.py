"""ResNets: deep networks whose blocks add to what they are given.

Sources: K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition" (2016),
https://arxiv.org/abs/1512.03385; S. Zagoruyko, N. Komodakis, "Wide Residual Networks" (2016),
https://arxiv.org/abs/1605.07146; S. Xie and others, "Aggregated Residual Transformations for Deep
Neural Networks" (2017), https://arxiv.org/abs/1611.05431. The weights' keys are torchvision's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

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
    "ResNet",
    "BasicBlock",
    "Bottleneck",
    "ResNet18_Weights",
    "ResNet34_Weights",
    "ResNet50_Weights",
    "ResNet101_Weights",
    "ResNet152_Weights",
    "ResNeXt50_32X4D_Weights",
    "ResNeXt101_32X8D_Weights",
    "ResNeXt101_64X4D_Weights",
    "Wide_ResNet50_2_Weights",
    "Wide_ResNet101_2_Weights",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "wide_resnet50_2",
    "wide_resnet101_2",
]

NormLayer = Callable[..., nn.Module]


def conv3x3(
    in_planes: int, out_planes: int, stride: int = 1, groups: int = 1, dilation: int = 1
) -> nn.Conv2d:
    """A 3×3 convolution that keeps height and width at stride 1, without bias."""
    return nn.Conv2d(
        in_planes, out_planes, 3, stride, dilation, groups=groups, bias=False, dilation=dilation
    )


def conv1x1(in_planes: int, out_planes: int, stride: int = 1) -> nn.Conv2d:
    """A 1×1 convolution without bias."""
    return nn.Conv2d(in_planes, out_planes, 1, stride, bias=False)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions, and the input added: `(N, inplanes, H, W)` → `(N, planes, H/s, W/s)`.

    Args:
        inplanes, planes: channels of the input and of the result.
        stride: s, of the first convolution.
        downsample: what brings the input to the shape of the result, if they differ.
        groups, base_width, dilation: only 1, 64 and 1; `Bottleneck` has others.
        norm_layer: makes a normalization of so many channels; `BatchNorm2d` by default.

    Raises:
        ValueError: other groups or base_width.
        NotImplementedError: another dilation.
    """

    expansion: ClassVar[int] = 1

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: NormLayer | None = None,
    ) -> None:
        super().__init__()
        norm_layer = norm_layer or nn.BatchNorm2d
        if groups != 1 or base_width != 64:
            raise ValueError("BasicBlock only supports groups=1 and base_width=64")
        if dilation > 1:
            raise NotImplementedError("Dilation > 1 not supported in BasicBlock")
        self.conv1 = conv3x3(inplanes, planes, stride)
        self.bn1 = norm_layer(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = conv3x3(planes, planes)
        self.bn2 = norm_layer(planes)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 convolutions, and the input added: `(N, inplanes, H, W)` → `(N, 4·planes, H/s, W/s)`.

    The stride is in the 3×3 convolution and not, as in the paper, in the first: this is known as
    ResNet v1.5 and somewhat more accurate.

    Args:
        inplanes, planes: channels of the input, and a quarter of those of the result.
        stride: s, of the 3×3 convolution.
        downsample: what brings the input to the shape of the result, if they differ.
        groups, base_width: the 3×3 convolution has `planes · base_width / 64 · groups` channels in
            so many groups.
        dilation: of the 3×3 convolution.
        norm_layer: makes a normalization of so many channels; `BatchNorm2d` by default.
    """

    expansion: ClassVar[int] = 4

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: NormLayer | None = None,
    ) -> None:
        super().__init__()
        norm_layer = norm_layer or nn.BatchNorm2d
        width = int(planes * (base_width / 64.0)) * groups
        self.conv1 = conv1x1(inplanes, width)
        self.bn1 = norm_layer(width)
        self.conv2 = conv3x3(width, width, stride, groups, dilation)
        self.bn2 = norm_layer(width)
        self.conv3 = conv1x1(width, planes * self.expansion)
        self.bn3 = norm_layer(planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class ResNet(nn.Module):
    """A residual network: `(N, 3, H, W)` → `(N, num_classes)`, of any H and W.

    Args:
        block: `BasicBlock` or `Bottleneck`.
        layers: how many blocks the four stages have.
        num_classes: of the result.
        zero_init_residual: let each block begin as the identity (its last normalization is zero).
        groups, width_per_group: of the 3×3 convolutions of bottlenecks.
        replace_stride_with_dilation: for the last three stages, whether to dilate instead of
            halving height and width.
        norm_layer: makes a normalization of so many channels; `BatchNorm2d` by default.

    Raises:
        ValueError: `replace_stride_with_dilation` has not three elements.

    >>> import tensorlab
    >>> from tensorlab.vision.models import resnet18
    >>> model = resnet18(num_classes=10).eval()
    >>> model(tensorlab.zeros(1, 3, 64, 64)).shape
    tensorlab.Size([1, 10])
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        layers: Sequence[int],
        num_classes: int = 1000,
        zero_init_residual: bool = False,
        groups: int = 1,
        width_per_group: int = 64,
        replace_stride_with_dilation: Sequence[bool] | None = None,
        norm_layer: NormLayer | None = None,
    ) -> None:
        super().__init__()
        self._norm_layer = norm_layer or nn.BatchNorm2d
        self.inplanes = 64
        self.dilation = 1
        dilate = (
            [False] * 3 if replace_stride_with_dilation is None else replace_stride_with_dilation
        )
        if len(dilate) != 3:
            raise ValueError(
                "replace_stride_with_dilation should be None or a 3-element tuple, got "
                f"{replace_stride_with_dilation}"
            )
        self.groups = groups
        self.base_width = width_per_group
        self.conv1 = nn.Conv2d(3, self.inplanes, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = self._norm_layer(self.inplanes)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = self._make_layer(block, 64, layers[0])
        self.layer2 = self._make_layer(block, 128, layers[1], stride=2, dilate=dilate[0])
        self.layer3 = self._make_layer(block, 256, layers[2], stride=2, dilate=dilate[1])
        self.layer4 = self._make_layer(block, 512, layers[3], stride=2, dilate=dilate[2])
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512 * block.expansion, num_classes)
        self._initialize(zero_init_residual)

    def _initialize(self, zero_init_residual: bool) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, (nn.BatchNorm2d, nn.GroupNorm)) and module.weight is not None:
                nn.init.constant_(module.weight, 1)
                nn.init.constant_(module.bias, 0)
        if zero_init_residual:
            for module in self.modules():
                last: Any = None
                if isinstance(module, Bottleneck):
                    last = module.bn3
                elif isinstance(module, BasicBlock):
                    last = module.bn2
                if last is not None and last.weight is not None:
                    nn.init.constant_(last.weight, 0)

    def _make_layer(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        planes: int,
        blocks: int,
        stride: int = 1,
        dilate: bool = False,
    ) -> nn.Sequential:
        """One stage; its first block changes the channels and the size."""
        first_dilation = self.dilation
        if dilate:
            self.dilation *= stride
            stride = 1
        outplanes = planes * block.expansion
        downsample = None
        if stride != 1 or self.inplanes != outplanes:
            downsample = nn.Sequential(
                conv1x1(self.inplanes, outplanes, stride), self._norm_layer(outplanes)
            )
        make = partial(
            block, groups=self.groups, base_width=self.base_width, norm_layer=self._norm_layer
        )
        stage = [make(self.inplanes, planes, stride, downsample, dilation=first_dilation)]
        self.inplanes = outplanes
        stage += [make(outplanes, planes, dilation=self.dilation) for _ in range(1, blocks)]
        return nn.Sequential(*stage)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))


def _resnet(
    block: type[BasicBlock] | type[Bottleneck],
    layers: list[int],
    weights: WeightsEnum | None,
    progress: bool,
    **kwargs: Any,
) -> ResNet:
    classes_of(weights, kwargs)
    model = ResNet(block, layers, **kwargs)
    load_weights(model, weights, progress)
    return model


_V1 = partial(ImageClassification, crop_size=224)
_V2 = partial(ImageClassification, crop_size=224, resize_size=232)


# The numbers are the published accuracies, in percent, on the validation part of ImageNet.
class ResNet18_Weights(WeightsEnum):
    """Weights of `resnet18`."""

    IMAGENET1K_V1 = imagenet("resnet18-f37072fd.pth", _V1, 11689512, 69.758, 89.078)
    DEFAULT = IMAGENET1K_V1


class ResNet34_Weights(WeightsEnum):
    """Weights of `resnet34`."""

    IMAGENET1K_V1 = imagenet("resnet34-b627a593.pth", _V1, 21797672, 73.314, 91.420)
    DEFAULT = IMAGENET1K_V1


class ResNet50_Weights(WeightsEnum):
    """Weights of `resnet50`; V2 was trained with a newer recipe."""

    IMAGENET1K_V1 = imagenet("resnet50-0676ba61.pth", _V1, 25557032, 76.130, 92.862)
    IMAGENET1K_V2 = imagenet("resnet50-11ad3fa6.pth", _V2, 25557032, 80.858, 95.434)
    DEFAULT = IMAGENET1K_V2


class ResNet101_Weights(WeightsEnum):
    """Weights of `resnet101`."""

    IMAGENET1K_V1 = imagenet("resnet101-63fe2227.pth", _V1, 44549160, 77.374, 93.546)
    IMAGENET1K_V2 = imagenet("resnet101-cd907fc2.pth", _V2, 44549160, 81.886, 95.780)
    DEFAULT = IMAGENET1K_V2


class ResNet152_Weights(WeightsEnum):
    """Weights of `resnet152`."""

    IMAGENET1K_V1 = imagenet("resnet152-394f9c45.pth", _V1, 60192808, 78.312, 94.046)
    IMAGENET1K_V2 = imagenet("resnet152-f82ba261.pth", _V2, 60192808, 82.284, 96.002)
    DEFAULT = IMAGENET1K_V2


class ResNeXt50_32X4D_Weights(WeightsEnum):
    """Weights of `resnext50_32x4d`."""

    IMAGENET1K_V1 = imagenet("resnext50_32x4d-7cdf4587.pth", _V1, 25028904, 77.618, 93.698)
    IMAGENET1K_V2 = imagenet("resnext50_32x4d-1a0047aa.pth", _V2, 25028904, 81.198, 95.340)
    DEFAULT = IMAGENET1K_V2


class ResNeXt101_32X8D_Weights(WeightsEnum):
    """Weights of `resnext101_32x8d`."""

    IMAGENET1K_V1 = imagenet("resnext101_32x8d-8ba56ff5.pth", _V1, 88791336, 79.312, 94.526)
    IMAGENET1K_V2 = imagenet("resnext101_32x8d-110c445d.pth", _V2, 88791336, 82.834, 96.228)
    DEFAULT = IMAGENET1K_V2


class ResNeXt101_64X4D_Weights(WeightsEnum):
    """Weights of `resnext101_64x4d`."""

    IMAGENET1K_V1 = imagenet("resnext101_64x4d-173b62eb.pth", _V2, 83455272, 83.246, 96.454)
    DEFAULT = IMAGENET1K_V1


class Wide_ResNet50_2_Weights(WeightsEnum):
    """Weights of `wide_resnet50_2`."""

    IMAGENET1K_V1 = imagenet("wide_resnet50_2-95faca4d.pth", _V1, 68883240, 78.468, 94.086)
    IMAGENET1K_V2 = imagenet("wide_resnet50_2-9ba9bcbe.pth", _V2, 68883240, 81.602, 95.758)
    DEFAULT = IMAGENET1K_V2


class Wide_ResNet101_2_Weights(WeightsEnum):
    """Weights of `wide_resnet101_2`."""

    IMAGENET1K_V1 = imagenet("wide_resnet101_2-32ee1156.pth", _V1, 126886696, 78.848, 94.284)
    IMAGENET1K_V2 = imagenet("wide_resnet101_2-d733dc28.pth", _V2, 126886696, 82.510, 96.020)
    DEFAULT = IMAGENET1K_V2


@register_model(weights=ResNet18_Weights)
def resnet18(
    *, weights: ResNet18_Weights | None = None, progress: bool = True, **kwargs: Any
) -> ResNet:
    """ResNet-18: 18 layers with weights, 11.7 million parameters.

    Args:
        weights: pre-trained weights, downloaded if they are not there yet: a member of
            `ResNet18_Weights` or its name; none by default.
        progress: tell on stderr how far the download is.
        **kwargs: those of `ResNet`.

    Raises `ValueError` if `num_classes` is not that of the weights.

    A file that PyTorch saved is loaded with
    `model.load_state_dict(tensorlab.load("resnet18.pth"))`.

    >>> from tensorlab.vision.models import resnet18
    >>> len(resnet18().state_dict())
    122
    """
    return _resnet(BasicBlock, [2, 2, 2, 2], weights, progress, **kwargs)


@register_model(weights=ResNet34_Weights)
def resnet34(
    *, weights: ResNet34_Weights | None = None, progress: bool = True, **kwargs: Any
) -> ResNet:
    """ResNet-34, 21.8 million parameters; arguments as those of `resnet18`."""
    return _resnet(BasicBlock, [3, 4, 6, 3], weights, progress, **kwargs)


@register_model(weights=ResNet50_Weights)
def resnet50(
    *, weights: ResNet50_Weights | None = None, progress: bool = True, **kwargs: Any
) -> ResNet:
    """ResNet-50, of bottlenecks, 25.6 million parameters; arguments as those of `resnet18`."""
    return _resnet(Bottleneck, [3, 4, 6, 3], weights, progress, **kwargs)


@register_model(weights=ResNet101_Weights)
def resnet101(
    *, weights: ResNet101_Weights | None = None, progress: bool = True, **kwargs: Any
) -> ResNet:
    """ResNet-101, 44.5 million parameters; arguments as those of `resnet18`."""
    return _resnet(Bottleneck, [3, 4, 23, 3], weights, progress, **kwargs)


@register_model(weights=ResNet152_Weights)
def resnet152(
    *, weights: ResNet152_Weights | None = None, progress: bool = True, **kwargs: Any
) -> ResNet:
    """ResNet-152, 60.2 million parameters; arguments as those of `resnet18`."""
    return _resnet(Bottleneck, [3, 8, 36, 3], weights, progress, **kwargs)


@register_model(weights=ResNeXt50_32X4D_Weights)
def resnext50_32x4d(
    *, weights: ResNeXt50_32X4D_Weights | None = None, progress: bool = True, **kwargs: Any
) -> ResNet:
    """ResNeXt-50 with 32 groups of width 4; arguments as those of `resnet18`."""
    kwargs = {"groups": 32, "width_per_group": 4, **kwargs}
    return _resnet(Bottleneck, [3, 4, 6, 3], weights, progress, **kwargs)


@register_model(weights=ResNeXt101_32X8D_Weights)
def resnext101_32x8d(
    *, weights: ResNeXt101_32X8D_Weights | None = None, progress: bool = True, **kwargs: Any
) -> ResNet:
    """ResNeXt-101 with 32 groups of width 8; arguments as those of `resnet18`."""
    kwargs = {"groups": 32, "width_per_group": 8, **kwargs}
    return _resnet(Bottleneck, [3, 4, 23, 3], weights, progress, **kwargs)


@register_model(weights=ResNeXt101_64X4D_Weights)
def resnext101_64x4d(
    *, weights: ResNeXt101_64X4D_Weights | None = None, progress: bool = True, **kwargs: Any
) -> ResNet:
    """ResNeXt-101 with 64 groups of width 4; arguments as those of `resnet18`."""
    kwargs = {"groups": 64, "width_per_group": 4, **kwargs}
    return _resnet(Bottleneck, [3, 4, 23, 3], weights, progress, **kwargs)


@register_model(weights=Wide_ResNet50_2_Weights)
def wide_resnet50_2(
    *, weights: Wide_ResNet50_2_Weights | None = None, progress: bool = True, **kwargs: Any
) -> ResNet:
    """ResNet-50 with 3×3 convolutions twice as wide; arguments as those of `resnet18`."""
    kwargs = {"width_per_group": 128, **kwargs}
    return _resnet(Bottleneck, [3, 4, 6, 3], weights, progress, **kwargs)


@register_model(weights=Wide_ResNet101_2_Weights)
def wide_resnet101_2(
    *, weights: Wide_ResNet101_2_Weights | None = None, progress: bool = True, **kwargs: Any
) -> ResNet:
    """ResNet-101 with 3×3 convolutions twice as wide; arguments as those of `resnet18`."""
    kwargs = {"width_per_group": 128, **kwargs}
    return _resnet(Bottleneck, [3, 4, 23, 3], weights, progress, **kwargs)
