"""Channels mixed among groups; the function is `nn.functional.channel_shuffle`."""

from __future__ import annotations

from tensorlab._tensor import Tensor
from tensorlab.nn import functional as F
from tensorlab.nn.modules.module import Module

__all__ = ["ChannelShuffle"]


class ChannelShuffle(Module):
    """The channels of `(N, C, *)` dealt out, so that each group gets some of every other one.

    Args:
        groups: number of groups; divides C.

    >>> import tensorlab
    >>> ChannelShuffle(2)(tensorlab.arange(4).reshape(1, 4, 1)).flatten()
    tensor([0, 2, 1, 3])
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, input: Tensor) -> Tensor:
        return F.channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"
