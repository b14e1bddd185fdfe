"""Padding: elements added around a tensor, constant or taken from it."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorlab._dtypes import bool_
from tensorlab._op import ErrorSample, Sample, op
from tensorlab.ops.resample import Table, resample


def _sides(pad: Sequence[int], ndim: int) -> list[tuple[int, int]]:
    """(before, after) for every dimension; `pad` lists them from the last dimension on."""
    sides = [(0, 0)] * ndim
    for i in range(len(pad) // 2):
        sides[ndim - 1 - i] = (int(pad[2 * i]), int(pad[2 * i + 1]))
    return sides


@op(
    samples=lambda r: [
        Sample(r(2, 3), (1, 2)), Sample(r(2, 3), (0, 1, 2, 0), 3.0), Sample(r(2, 3, 4), (-1, 1)),
        Sample(r(2, 3), (-1, -1, 1, 0)),
        Sample(r.int(3), (1, 1), 7), Sample(r(0, 2), (1, 1)),
    ],
    errors=lambda r: [
        ErrorSample(r(3), (1,), error=RuntimeError, match="Padding length must be divisible by 2"),
        ErrorSample(r(3), (1, 1, 1, 1), error=RuntimeError, match="two times the input dimension"),
        ErrorSample(r(3), (-2, -2), error=RuntimeError, match="resulted in a negative output size"),
    ],
    torch=lambda x, pad, value=0.0: _torch_pad(x, pad, value), node_name="ConstantPadNd",
)  # fmt: skip
def constant_pad_nd(xp, input, /, pad, value=0.0):
    """`value` added on the sides that `pad` lists; negative numbers cut off. `nn.functional.pad` is the public form."""
    if len(pad) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    if len(pad) > 2 * input.ndim:
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension but got padding "
            f"length {len(pad)} and input of dimension {input.ndim}"
        )
    shape, source, target = [], [], []
    for n, (before, after) in zip(input.shape, _sides(pad, input.ndim), strict=True):
        size = n + before + after
        if size < 0:
            raise RuntimeError(
                f"The input size {n}, plus negative padding {before} and {after}, resulted in a negative output size, "
                "which is invalid"
            )
        shape.append(size)
        source.append(slice(max(-before, 0), max(n + min(after, 0), max(-before, 0))))
        target.append(slice(max(before, 0), max(size - max(after, 0), max(before, 0))))
    out = xp.full(tuple(shape), value, input.dtype)
    out[tuple(target)] = input[tuple(source)]
    return out


def _torch_pad(x: Any, pad: Any, value: float) -> Any:
    from tensorlab.testing import _torch

    return _torch.module().nn.functional.pad(x, pad, value=value)


constant_pad_nd.vjp(input=lambda g, pad: constant_pad_nd(g, tuple(-p for p in pad)))


@functools.lru_cache(maxsize=256)
def _table(mode: str, n: int, before: int, after: int) -> Table:
    """Where each element of a padded dimension comes from, as `resample` takes it."""
    at = np.arange(-before, n + after)
    if mode == "circular":  # what negative numbers cut off is not there to go round to either
        first, last = max(-before, 0), n - max(-after, 0)
        at = first + (at - first) % (last - first) if last > first else at[:0]
    elif mode == "replicate":
        at = np.clip(at, 0, n - 1)
    else:  # mirrored at the first and the last element
        at = n - 1 - np.abs(n - 1 - np.abs(at))
    return at[:, None], np.ones((len(at), 1))


def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """The tensor with elements added on the sides of its last dimensions.

    Args:
        pad: (left, right) for the last dimension, (left, right, top, bottom) for the last two, and so on;
            negative numbers cut off.
        mode: "constant" (`value`, 0 unless given), "reflect" (mirrored, the edge not repeated),
            "replicate" (the edge repeated) or "circular" (from the other end). The last three pad the
            last one to three dimensions of tensors with one or two more.

    Raises:
        RuntimeError: for an odd number of sides, or more padding than the tensor can give.
        TypeError: for sides that are not whole numbers.
        NotImplementedError: for an unknown mode, or dimensions that a mode does not pad.

    >>> import tensorlab as tl
    >>> tl.nn.functional.pad(tl.tensor([[1, 2, 3]]), (1, 2))
    tensor([[0, 1, 2, 3, 0, 0]])
    >>> tl.nn.functional.pad(tl.tensor([[1, 2, 3]]), (1, 2), mode="reflect")
    tensor([[2, 1, 2, 3, 2, 1]])
    """
    sides = _whole_numbers(pad)
    if mode == "constant":
        return constant_pad_nd(input, sides, 0.0 if value is None else value)
    if len(sides) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    ndim = len(input.shape)
    if ndim - len(sides) // 2 not in (1, 2) or not 2 <= len(sides) <= 6:
        raise NotImplementedError(
            f"Padding size {len(sides)} is not supported for {ndim}D input tensor: mode {mode!r} pads the last "
            "n dimensions (2n sides) of tensors of n + 1 or n + 2 dimensions, n = 1, 2 or 3"
        )
    if mode not in ("reflect", "replicate", "circular"):
        raise NotImplementedError(
            f"Unrecognised padding mode {mode}: use constant, reflect, replicate or circular"
        )
    if value is not None and value != 0:
        raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument')
    if mode != "circular" and input.dtype is bool_:
        raise NotImplementedError(f"padding mode {mode!r} is not implemented for bool: use .byte()")
    _check_sides(mode, tuple(input.shape), sides)
    for d, (before, after) in enumerate(_sides(sides, ndim)):
        if (before, after) != (0, 0):
            n = input.shape[d]
            input = resample(input, d, n, _table(mode, n, before, after))
    return input if any(sides) else input.clone()


def _whole_numbers(pad: Any) -> tuple[int, ...]:
    try:
        return tuple(operator.index(p) for p in pad)
    except TypeError:
        raise TypeError(
            f"pad(): argument 'pad' (position 2) must be tuple of ints, not {pad!r}"
        ) from None


def _check_sides(mode: str, shape: tuple[int, ...], pad: tuple[int, ...]) -> None:
    """Raise for more padding than the tensor can give."""
    ndim, dims = len(shape), len(pad) // 2
    if mode != "circular" and 0 in shape[ndim - dims - 1 :]:
        raise RuntimeError(
            f"Expected {dims + 1}D or {dims + 2}D (batch mode) tensor with possibly 0 batch size and other "
            f"non-zero dimensions for input, but got: {list(shape)}"
        )
    for d, (before, after) in enumerate(_sides(pad, ndim)):
        if d < ndim - dims:
            continue
        n, widest = shape[d], max(before, after)
        if mode == "reflect" and widest >= n:
            raise RuntimeError(
                "Padding size should be less than the corresponding input dimension, but got: padding "
                f"({before}, {after}) at dimension {d} of input {list(shape)}"
            )
        if mode == "circular" and widest > n:
            raise RuntimeError("Padding value causes wrapping around more than once.")
        size = n + before + after
        nothing_left = mode == "circular" and n + min(before, 0) + min(after, 0) <= 0 < size
        if nothing_left or size < (mode != "circular"):
            raise RuntimeError(
                f"input of shape {list(shape)} is too small: calculated output size {size} at dimension {d}"
            )
