"""Convolutions of signals, images and volumes as PyTorch's functions name them."""

from __future__ import annotations

from typing import Any

from tensorlab.ops.convolution import Ints, as_ints, convolution
from tensorlab.ops.padding import constant_pad_nd
from tensorlab.ops.views import squeeze, unsqueeze


def _batched(name: str, dims: int, input: Any) -> Any:
    """`input` with its batch dimension, which may be left out."""
    ndim = len(input.shape)
    if ndim not in (dims + 1, dims + 2):
        raise RuntimeError(
            f"Expected {dims + 1}D (unbatched) or {dims + 2}D (batched) input to {name}, but got input of "
            f"size: {list(input.shape)}"
        )
    return input if ndim == dims + 2 else unsqueeze(input, 0)


def _same_padding(input: Any, kernel: Ints, stride: Ints, dilation: Ints) -> tuple[Any, Ints]:
    """Padding that keeps the size; where it is odd, the extra element is added on the right at once."""
    if any(s != 1 for s in stride):
        raise RuntimeError("padding='same' is not supported for strided convolutions")
    total = tuple(d * (k - 1) for d, k in zip(dilation, kernel, strict=True))
    if any(t % 2 for t in total):
        input = constant_pad_nd(input, tuple(n for t in reversed(total) for n in (0, t % 2)))
    return input, tuple(t // 2 for t in total)


def _conv(dims: int, letters: str, source: str) -> Any:
    name = f"conv{dims}d"

    def conv(
        input: Any,
        weight: Any,
        bias: Any = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Any:
        stride, dilation = as_ints("stride", stride, dims), as_ints("dilation", dilation, dims)
        x = _batched(name, dims, input)
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise RuntimeError(
                    f"Invalid padding string: '{padding}': expected 'same' or 'valid'"
                )
            if padding == "same":
                x, sides = _same_padding(x, tuple(weight.shape[2:]), stride, dilation)
            else:
                sides = (0,) * dims
        else:
            sides = as_ints("padding", padding, dims)
        none = (0,) * dims
        out = convolution(x, weight, bias, stride, sides, dilation, False, none, groups)
        return out if len(input.shape) == dims + 2 else squeeze(out, 0)

    spatial = ", ".join(letters)
    kernel = ", ".join(f"k{letter}" for letter in letters)
    conv.__name__ = conv.__qualname__ = name
    conv.__doc__ = f"""The convolution of {source} with filters (in fact the cross-correlation: no filter is flipped).

    out[n, o, p] = bias[o] + Σ over i, k of weight[o, i, k] · input[n, i, stride·p + dilation·k − padding]

    Args:
        input: (N, C, {spatial}), or (C, {spatial}) for one.
        weight: (O, C / groups, {kernel}).
        bias: (O) or None.
        stride, dilation: an int, or one per dimension.
        padding: zeros added on both sides: an int, one per dimension, "valid" (none) or "same" (the output
            has the input's size; only with stride 1).
        groups: the channels are split into so many groups, which do not see each other.

    Returns:
        (N, O, …), each size ⌊(size + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1.

    Raises:
        RuntimeError: for shapes or parameters that do not fit, saying which.

    >>> import tensorlab as tl
    >>> tl.{name}(tl.ones(1, 2, {", ".join(["4"] * dims)}), tl.ones(3, 2, {", ".join(["3"] * dims)})).shape
    tensorlab.Size([1, 3, {", ".join(["2"] * dims)}])
    """
    return conv


conv1d = _conv(1, "L", "signals")
conv2d = _conv(2, "HW", "images")
conv3d = _conv(3, "DHW", "volumes")


def _conv_transpose(dims: int, letters: str, source: str) -> Any:
    name = f"conv_transpose{dims}d"

    def conv_transpose(
        input: Any,
        weight: Any,
        bias: Any = None,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        dilation: Any = 1,
    ) -> Any:
        x = _batched(name, dims, input)
        out = convolution(
            x,
            weight,
            bias,
            as_ints("stride", stride, dims),
            as_ints("padding", padding, dims),
            as_ints("dilation", dilation, dims),
            True,
            as_ints("output_padding", output_padding, dims),
            groups,
        )
        return out if len(input.shape) == dims + 2 else squeeze(out, 0)

    spatial = ", ".join(letters)
    kernel = ", ".join(f"k{letter}" for letter in letters)
    conv_transpose.__name__ = conv_transpose.__qualname__ = name
    conv_transpose.__doc__ = f"""The transposed convolution of {source}: the gradient of `conv{dims}d` by its input.

    Every input element adds its weights to the output, at stride·p + dilation·k − padding. (It is also
    called deconvolution, but it does not undo a convolution.)

    Args:
        input: (N, C, {spatial}), or (C, {spatial}) for one.
        weight: (C, O / groups, {kernel}).
        bias: (O) or None.
        stride, padding, dilation: of the convolution that this is the transpose of.
        output_padding: added to the output's size on one side, because several input sizes of a strided
            convolution give one output size; smaller than stride or dilation.
        groups: the channels are split into so many groups, which do not see each other.

    Returns:
        (N, O, …), each size (size − 1)·stride − 2·padding + dilation·(kernel − 1) + output_padding + 1.

    Raises:
        RuntimeError: for shapes or parameters that do not fit, saying which.

    Source: V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning", arXiv:1603.07285.

    >>> import tensorlab as tl
    >>> tl.{name}(tl.ones(1, 2, {", ".join(["2"] * dims)}), tl.ones(2, 3, {", ".join(["3"] * dims)})).shape
    tensorlab.Size([1, 3, {", ".join(["4"] * dims)}])
    """
    return conv_transpose


conv_transpose1d = _conv_transpose(1, "L", "signals")
conv_transpose2d = _conv_transpose(2, "HW", "images")
conv_transpose3d = _conv_transpose(3, "DHW", "volumes")
