"""Windows of images as columns, and columns added up to images again.

Both are linear, and each is the other's gradient: `col2im(im2col(x))` counts every element as often as
windows contain it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorlab._op import ErrorSample, Sample, op
from tensorlab.ops.convolution import Ints, inside, padded, product, window_count, windows


def _two(name: str, value: Any) -> Ints:
    if not isinstance(value, Sequence):
        return (int(value),) * 2
    if len(value) != 2:
        raise RuntimeError(f"It is expected {name} equals to 2, but got size {len(value)}")
    return tuple(int(v) for v in value)


def _check(kernel: Ints, dilation: Ints, padding: Ints, stride: Ints) -> None:
    for what, short, values, least in (
        ("kernel size should be greater than zero", "kernel", kernel, 1),
        ("dilation should be greater than zero", "dilation", dilation, 1),
        ("padding should be non-negative", "pad", padding, 0),
        ("stride should be greater than zero", "stride", stride, 1),
    ):
        if min(values) < least:
            raise RuntimeError(
                f"{what}, but got {short}_height: {values[0]} {short}_width: {values[1]}"
            )


def _check_dtype(name: str, dtype: Any) -> None:
    if dtype.kind in "iu":
        raise NotImplementedError(
            f'"{name}" is not implemented for {dtype.name}: convert to a floating type with .float()'
        )


def _unfold_reference(x, kernel, dilation, padding, stride):
    count = window_count(x.shape[2:], kernel, stride, padding, dilation)
    around = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in padding)))
    out = np.zeros((x.shape[0], x.shape[1] * product(kernel), product(count)))
    for row, (c, *k) in enumerate(np.ndindex(x.shape[1], *kernel)):
        for column, p in enumerate(np.ndindex(*count)):
            at = tuple(i * s + j * d for i, s, j, d in zip(p, stride, k, dilation, strict=True))
            out[:, row, column] = around[(slice(None), c, *at)]
    return out


@op(
    samples=lambda r: [
        Sample(r(2, 2, 4, 5), (2, 3), (1, 1), (0, 1), (1, 2)), Sample(r(1, 1, 5, 4), (2, 1), (2, 1), (1, 0), (2, 1)),
        Sample(r(0, 1, 3, 3), (2, 2), (1, 1), (0, 0), (1, 1)),
    ],
    errors=lambda r: [
        ErrorSample(r(1, 1, 2, 2), (3, 3), (1, 1), (0, 0), (1, 1), error=RuntimeError, match="at least one"),
        ErrorSample(r(1, 0, 2, 2), (1, 1), (1, 1), (0, 0), (1, 1), error=RuntimeError, match="Expected 3D or 4D"),
        ErrorSample(r.int(1, 1, 2, 2), (1, 1), (1, 1), (0, 0), (1, 1), error=NotImplementedError, match="int64"),
    ],
    torch="nn.functional.unfold", result=None, ref=_unfold_reference, node_name="Im2Col",
)  # fmt: skip
def im2col(xp, input, /, kernel_size, dilation, padding, stride):
    """The windows of (N, C, H, W) as columns; see `nn.functional.unfold`."""
    if 0 in input.shape[1:]:
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions "
            f"for input, but got: {list(input.shape)}"
        )
    _check(kernel_size, dilation, padding, stride)
    _check_dtype("im2col", input.dtype)
    count = window_count(input.shape[2:], kernel_size, stride, padding, dilation)
    if min(count) < 1:
        raise RuntimeError(
            f"Given input with spatial size {tuple(input.shape[2:])}, kernel_size={kernel_size}, "
            f"dilation={dilation}, padding={padding}, calculated shape of the array of sliding blocks as "
            f"{count}, but its components must be at least one."
        )
    around = padded(xp, input, padding)
    found = windows(xp, around, kernel_size, count, stride, dilation)
    shape = (input.shape[0], input.shape[1] * product(kernel_size), product(count))
    return xp.ascontiguousarray(found.reshape(shape))


def _fold_reference(cols, size, kernel, dilation, padding, stride):
    """Element by element: unfolding is linear, and folding is its transpose."""
    channels = cols.shape[1] // product(kernel)
    out = np.zeros((cols.shape[0], channels, *size))
    for at in np.ndindex(channels, *size):
        unit = np.zeros((1, channels, *size))
        unit[(0, *at)] = 1
        out[(slice(None), *at)] = (
            _unfold_reference(unit, kernel, dilation, padding, stride) * cols
        ).sum((1, 2))
    return out


@op(
    samples=lambda r: [
        Sample(r(2, 12, 9), (4, 5), (2, 3), (1, 1), (0, 1), (1, 2)),
        Sample(r(1, 2, 12), (5, 4), (2, 1), (2, 1), (1, 0), (2, 1)),
        Sample(r(0, 4, 4), (3, 3), (2, 2), (1, 1), (0, 0), (1, 1)),
    ],
    errors=lambda r: [
        ErrorSample(r(1, 3, 4), (3, 3), (2, 2), (1, 1), (0, 0), (1, 1), error=RuntimeError, match="divisible"),
        ErrorSample(r(1, 4, 5), (3, 3), (2, 2), (1, 1), (0, 0), (1, 1), error=RuntimeError, match="2 . 2 = 4, but"),
        ErrorSample(r(1, 4, 4), (3, 3), (2, 2), (1, 1), (0, 0), (1, 0), error=RuntimeError, match="stride_width: 0"),
    ],
    torch="nn.functional.fold", result=None, ref=_fold_reference, node_name="Col2Im",
)  # fmt: skip
def col2im(xp, input, /, output_size, kernel_size, dilation, padding, stride):
    """Columns (N, C · window, windows) added up to (N, C, H, W); see `nn.functional.fold`."""
    _check(kernel_size, dilation, padding, stride)
    _check_dtype("col2im", input.dtype)
    area = product(kernel_size)
    if input.shape[1] % area or input.shape[1] == 0:
        raise RuntimeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got "
            f"input.size(1)={input.shape[1]} and kernel_size={kernel_size}."
        )
    count = window_count(output_size, kernel_size, stride, padding, dilation)
    if min(count) < 1 or product(count) != input.shape[2]:
        raise RuntimeError(
            f"Given output_size={output_size}, kernel_size={kernel_size}, dilation={dilation}, "
            f"padding={padding}, stride={stride}, expected size of input's dimension 2 to match the "
            f"calculated number of sliding blocks {count[0]} * {count[1]} = {product(count)}, but got "
            f"input.size(2)={input.shape[2]}."
        )
    lead = (input.shape[0], input.shape[1] // area)
    cols = input.reshape(*lead, *kernel_size, *count)
    size = tuple(n + 2 * p for n, p in zip(output_size, padding, strict=True))
    out = xp.zeros((*lead, *size), input.dtype)
    into = windows(xp, out, kernel_size, count, stride, dilation)
    for k in itertools.product(*map(range, kernel_size)):
        into[(slice(None), slice(None), *k)] += cols[(slice(None), slice(None), *k)]
    return xp.ascontiguousarray(out[(..., *inside(output_size, padding))])


im2col.vjp(
    input=lambda g, input_shape, kernel_size, dilation, padding, stride: col2im(
        g, tuple(input_shape[2:]), kernel_size, dilation, padding, stride
    )
)
col2im.vjp(
    input=lambda g, kernel_size, dilation, padding, stride: im2col(
        g, kernel_size, dilation, padding, stride
    )
)


def unfold(
    input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Any:
    """The windows of an image as columns ("im2col").

    Args:
        input: (N, C, H, W) or (C, H, W).
        kernel_size: size of a window, an int or (height, width).
        dilation: step between the elements of a window.
        padding: zeros added on both sides.
        stride: step from window to window.

    Returns:
        (N, C · window elements, windows) or, for one image, without N.

    Raises:
        RuntimeError: parameters that do not fit each other or the input.
        NotImplementedError: a dtype that is not floating.

    >>> import tensorlab as tl
    >>> tl.nn.functional.unfold(tl.arange(6.0).reshape(1, 1, 2, 3), 2)
    tensor([[[0., 1.],
             [1., 2.],
             [3., 4.],
             [4., 5.]]])
    """
    how = (
        _two("kernel_size", kernel_size), _two("dilation", dilation), _two("padding", padding),
        _two("stride", stride),
    )  # fmt: skip
    if input.ndim not in (3, 4):
        raise (IndexError if input.ndim < 3 else RuntimeError)(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions "
            f"for input, but got: {list(input.shape)}"
        )
    if input.ndim == 3:
        return im2col(input.unsqueeze(0), *how).squeeze(0)
    return im2col(input, *how)


def fold(
    input: Any,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Any:
    """Columns added up to an image, each element where `unfold` took it from ("col2im").

    Args:
        input: (N, C · window elements, windows), or without N.
        output_size: (H, W) of the image, or one int.
        kernel_size, dilation, padding, stride: those of `unfold`.

    Returns:
        (N, C, H, W) or (C, H, W). Where windows overlap, their elements are added.

    Raises:
        RuntimeError: parameters that do not fit each other or the input.
        NotImplementedError: a dtype that is not floating.

    >>> import tensorlab as tl
    >>> tl.nn.functional.fold(tl.ones(1, 4, 2), (2, 3), 2)
    tensor([[[[1., 2., 1.],
              [1., 2., 1.]]]])
    """
    how = (
        _two("output_size", output_size), _two("kernel_size", kernel_size), _two("dilation", dilation),
        _two("padding", padding), _two("stride", stride),
    )  # fmt: skip
    if input.ndim not in (2, 3):
        raise RuntimeError(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and non-zero "
            f"dimensions for input, but got: {list(input.shape)}"
        )
    if input.ndim == 2:
        return col2im(input.unsqueeze(0), *how).squeeze(0)
    return col2im(input, *how)
