"""Convolutions in float32, transposed ones too, and their gradients.

There are two forms: `native.gathered` has channels of the result in a vector, `native.planes` neighbouring
pixels of one channel. With many channels in a group the first wastes nothing; with few of them it would waste
most of a vector. Depthwise convolutions of pictures, the commonest of those, have a form of their own,
`native.depthwise`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorlab._op import register_kernel
from tensorlab.kernels.cpu.loading import all_float32, native

#: Below this many products of numbers the generic path is as fast.
FEWEST = 20_000
#: So many channels of the result in a group fill less of a vector than pixels do.
FEW = 8


def _form(kernel: Any, stride: Any, within: int, per_group: int) -> Any:
    """The form that suits a window, and so many channels in a group: of what is read, and of the result."""
    if per_group > FEW:
        return native("gathered")
    depthwise = native("depthwise")
    if depthwise is not None and depthwise.suits(kernel, stride, within, per_group):
        return depthwise
    return native("planes")


def _suits(x: Any, w: Any, products: int) -> bool:
    return x.ndim == w.ndim > 2 and products >= FEWEST and x.size > 0


@register_kernel("convolution", "cpu")
def _convolution(
    input: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool,
    output_padding: Any, groups: int,
) -> Any:  # fmt: skip
    if not all_float32(input, weight, bias) or not _suits(input, weight, FEWEST):
        return NotImplemented
    if min(*stride, *dilation, groups) < 1 or min(padding) < 0 or not weight.size:
        return NotImplemented  # the generic path says what is wrong
    within = weight.shape[1] * groups
    channels, outputs = (weight.shape[0], within) if transposed else (within, weight.shape[0])
    if weight.shape[0] % groups or input.shape[1] != channels:
        return NotImplemented
    if bias is not None and bias.shape != (outputs,):
        return NotImplemented
    from tensorlab.ops.convolution import input_size, window_count

    if transposed:
        count = input_size(input, weight, stride, padding, dilation, output_padding)
        products = input.size * weight.size // channels
    else:
        count = window_count(input.shape[2:], weight.shape[2:], stride, padding, dilation)
        products = input.shape[0] * weight.size * math.prod(count)
    if min(count) < 1 or products < FEWEST:
        return NotImplemented
    form = _form(weight.shape[2:], stride, channels // groups, outputs // groups)
    if form is None:
        return NotImplemented
    compute = form.by_input if transposed else form.forward
    return compute(input, weight, bias, count, stride, padding, dilation, groups)


@register_kernel("convolution_input", "cpu")
def _convolution_input(
    input: Any, weight: Any, size: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    if not weight.size or not all_float32(input, weight):
        return NotImplemented
    if not _suits(input, weight, input.size * weight.size // weight.shape[0]):
        return NotImplemented
    form = _form(weight.shape[2:], stride, input.shape[1] // groups, weight.shape[1])
    if form is None:
        return NotImplemented
    return form.by_input(input, weight, None, size, stride, padding, dilation, groups)


@register_kernel("convolution_weight", "cpu")
def _convolution_weight(
    input: Any, output: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    products = output.size * input.shape[1] // groups * math.prod(kernel_size)
    if not all_float32(input, output) or not _suits(input, output, products):
        return NotImplemented
    form = _form(kernel_size, stride, input.shape[1] // groups, output.shape[1] // groups)
    if form is None:
        return NotImplemented
    found = form.by_weight(input, output, kernel_size, stride, padding, dilation, groups)
    # By planes, the pixels at the ends of rows count with weight 0, which is not nothing if they are infinite.
    if output.shape[1] // groups <= FEW and not np.isfinite(found).all():
        return NotImplemented
    return found
