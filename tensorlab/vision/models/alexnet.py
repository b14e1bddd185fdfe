"""AlexNet, the network that made deep learning known.

Source: A. Krizhevsky, "One weird trick for parallelizing convolutional neural networks" (2014),
https://arxiv.org/abs/1404.5997. The weights' keys are torchvision's.
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

__all__ = ["AlexNet", "AlexNet_Weights", "alexnet"]


class AlexNet(nn.Module):
    """Five convolutions and three linear layers: `(N, 3, H, W)` → `(N, num_classes)`.

    Args:
        num_classes: of the result.
        dropout: probability, before the first two linear layers.
    """

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(64, 192, kernel_size=5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(192, 384, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


_PREPARE = partial(ImageClassification, crop_size=224)


class AlexNet_Weights(WeightsEnum):
    """Weights of `alexnet`."""

    IMAGENET1K_V1 = imagenet(
        "alexnet-owt-7be5be79.pth", _PREPARE, 61100840, 56.522, 79.066, min_size=(63, 63)
    )
    DEFAULT = IMAGENET1K_V1


@register_model(weights=AlexNet_Weights)
def alexnet(
    *, weights: AlexNet_Weights | None = None, progress: bool = True, **kwargs: Any
) -> AlexNet:
    """AlexNet, 61.1 million parameters.

    Args:
        weights: pre-trained weights, downloaded if they are not there yet: a member of
            `AlexNet_Weights` or its name; none by default.
        progress: tell on stderr how far the download is.
        **kwargs: those of `AlexNet`.
    """
    classes_of(weights, kwargs)
    model = AlexNet(**kwargs)
    load_weights(model, weights, progress)
    return model
