"""Channels as pixels and back; the functions are in `tensorlab.nn.functional`."""

from __future__ import annotations

from tensorlab._tensor import Tensor
from tensorlab.nn import functional as F
from tensorlab.nn.modules.module import Module

__all__ = ["PixelShuffle", "PixelUnshuffle"]


class PixelShuffle(Module):
    """Groups of r² channels of `(*, C · r², H, W)` laid out as squares of pixels: `(*, C, H · r, W · r)`.

    Args:
        upscale_factor: r.

    >>> import tensorlab
    >>> PixelShuffle(3)(tensorlab.zeros(1, 9, 4, 4)).shape
    tensorlab.Size([1, 1, 12, 12])
    """

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, input: Tensor) -> Tensor:
        return F.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """Undoes `PixelShuffle`: `(*, C, H · r, W · r)` to `(*, C · r², H, W)`.

    Args:
        downscale_factor: r.

    >>> import tensorlab
    >>> PixelUnshuffle(3)(tensorlab.zeros(1, 1, 12, 12)).shape
    tensorlab.Size([1, 9, 4, 4])
    """

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, input: Tensor) -> Tensor:
        return F.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"
