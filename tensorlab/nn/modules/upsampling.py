"""Layers that resize signals, images and volumes; the function is `nn.functional.interpolate`."""

from __future__ import annotations

from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.nn import functional as F
from tensorlab.nn.modules.module import Module

__all__ = ["Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d"]


class Upsample(Module):
    """Signals `(N, C, W)`, images `(N, C, H, W)` or volumes `(N, C, D, H, W)` at another size.

    Args:
        size: of the output's spatial dimensions, one number or one per dimension; or
        scale_factor: how many times as large they shall be.
        mode: "nearest", "nearest-exact", "linear", "bilinear", "bicubic", "trilinear" or "area".
        align_corners: whether the outermost elements' centres keep their places.
        recompute_scale_factor: whether places follow from the sizes rather than from `scale_factor`.

    See `functional.interpolate` for all of them.

    >>> import tensorlab
    >>> Upsample(scale_factor=2)(tensorlab.zeros(1, 3, 4, 4)).shape
    tensorlab.Size([1, 3, 8, 8])
    >>> Upsample(scale_factor=2, mode="bilinear")
    Upsample(scale_factor=2.0, mode='bilinear')
    """

    def __init__(
        self,
        size: Any = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        super().__init__()
        self.name = type(self).__name__
        self.size = size
        if isinstance(scale_factor, tuple):
            self.scale_factor: Any = tuple(float(factor) for factor in scale_factor)
        else:
            self.scale_factor = float(scale_factor) if scale_factor else None
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: Tensor) -> Tensor:
        return F.interpolate(
            input, self.size, self.scale_factor, self.mode, self.align_corners,
            self.recompute_scale_factor,
        )  # fmt: skip

    def extra_repr(self) -> str:
        given = "scale_factor" if self.scale_factor is not None else "size"
        return f"{given}={getattr(self, given)!r}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """Images `(N, C, H, W)` at another size, each element the nearest one: `Upsample(mode="nearest")`.

    Args:
        size: of the output, one number or (H, W); or
        scale_factor: how many times as large it shall be.
    """

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, mode="nearest")


class UpsamplingBilinear2d(Upsample):
    """Images `(N, C, H, W)` at another size, interpolated, with the corners kept in place.

    `Upsample(mode="bilinear", align_corners=True)`.

    Args:
        size: of the output, one number or (H, W); or
        scale_factor: how many times as large it shall be.

    >>> import tensorlab
    >>> UpsamplingBilinear2d((1, 3))(tensorlab.tensor([[[[0.0, 1.0]]]]))
    tensor([[[[0.0000, 0.5000, 1.0000]]]])
    """

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)
