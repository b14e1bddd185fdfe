"""Channels rearranged as pixels and back, and channels mixed among groups."""

from __future__ import annotations

from typing import Any


def _whole(name: str, argument: str, value: Any) -> int:
    if not isinstance(value, int):
        raise TypeError(
            f"{name}(): argument '{argument}' (position 2) must be int, not {type(value).__name__}"
        )
    return value


def _check_image(name: str, argument: str, input: Any, factor: int) -> None:
    if input.ndim < 3:
        raise RuntimeError(
            f"{name} expects input to have at least 3 dimensions, but got input with {input.ndim} "
            "dimension(s)"
        )
    if factor <= 0:
        raise RuntimeError(f"{name} expects a positive {argument}, but got {factor}")


def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    """Groups of r² channels laid out as squares of r × r pixels.

    Args:
        input: (*, C · r², H, W).
        upscale_factor: r.

    Returns:
        (*, C, H · r, W · r).

    Raises:
        RuntimeError: fewer than 3 dimensions, a factor of 0 or less, or channels that do not divide.

    Source: W. Shi et al., "Real-time single image and video super-resolution using an efficient sub-pixel
    convolutional neural network", arXiv:1609.05158.

    >>> import tensorlab as tl
    >>> tl.pixel_shuffle(tl.arange(4).reshape(4, 1, 1), 2)
    tensor([[[0, 1],
             [2, 3]]])
    """
    r = _whole("pixel_shuffle", "upscale_factor", upscale_factor)
    _check_image("pixel_shuffle", "upscale_factor", input, r)
    *lead, channels, height, width = input.shape
    if channels % (r * r):
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of "
            f"upscale_factor, but input.size(-3)={channels} is not divisible by {r * r}"
        )
    split = input.reshape(*lead, channels // (r * r), r, r, height, width)
    n = len(lead)
    mixed = split.permute(*range(n + 1), n + 3, n + 1, n + 4, n + 2)
    return mixed.reshape(*lead, channels // (r * r), height * r, width * r)


def pixel_unshuffle(input: Any, downscale_factor: int) -> Any:
    """Squares of r × r pixels as r² channels: undoes `pixel_shuffle`.

    Args:
        input: (*, C, H · r, W · r).
        downscale_factor: r.

    Returns:
        (*, C · r², H, W).

    Raises:
        RuntimeError: fewer than 3 dimensions, a factor of 0 or less, or sizes that do not divide.

    >>> import tensorlab as tl
    >>> tl.pixel_unshuffle(tl.arange(4).reshape(1, 2, 2), 2).flatten()
    tensor([0, 1, 2, 3])
    """
    r = _whole("pixel_unshuffle", "downscale_factor", downscale_factor)
    _check_image("pixel_unshuffle", "downscale_factor", input, r)
    *lead, channels, height, width = input.shape
    for what, dim, n in (("height", -2, height), ("width", -1, width)):
        if n % r:
            raise RuntimeError(
                f"pixel_unshuffle expects {what} to be divisible by downscale_factor, but "
                f"input.size({dim})={n} is not divisible by {r}"
            )
    split = input.reshape(*lead, channels, height // r, r, width // r, r)
    n = len(lead)
    mixed = split.permute(*range(n + 1), n + 2, n + 4, n + 1, n + 3)
    return mixed.reshape(*lead, channels * r * r, height // r, width // r)


def channel_shuffle(input: Any, groups: int) -> Any:
    """Channels dealt out, so that each group of the result has some of every group of the input.

    Args:
        input: (N, C, *), with at least one more dimension.
        groups: number of groups; divides C.

    Raises:
        RuntimeError: fewer than 3 dimensions, or a number of groups that does not fit.

    Source: X. Zhang et al., "ShuffleNet", arXiv:1707.01083.

    >>> import tensorlab as tl
    >>> tl.channel_shuffle(tl.arange(4).reshape(1, 4, 1), 2).flatten()
    tensor([0, 2, 1, 3])
    """
    groups = _whole("channel_shuffle", "groups", groups)
    shape = tuple(input.shape)
    if len(shape) <= 2:
        raise RuntimeError(
            f"channel_shuffle expects input with > 2 dims, but got input with sizes {list(shape)}"
        )
    if groups <= 0:
        raise RuntimeError(
            f"Number of groups to divide channels in must be positive. Value of groups:{groups}"
        )
    if shape[1] % groups:
        raise RuntimeError(
            f"Number of channels must be divisible by groups. Got {shape[1]} channels and {groups} groups."
        )
    dealt = input.reshape(shape[0], groups, shape[1] // groups, *shape[2:])
    return dealt.transpose(1, 2).reshape(shape)
