"""Convolutions of one and two dimensions in float32."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab._op import register_kernel
from tensorlab.kernels.cpu.loading import all_float32, native

#: Below this many products of numbers the generic path is as fast.
FEWEST = 20_000


def _suits(x: Any, w: Any, products: int) -> bool:
    return x.ndim in (3, 4) and x.ndim == w.ndim and products >= FEWEST and x.size > 0


@register_kernel("convolution", "cpu")
def _convolution(
    input: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool,
    output_padding: Any, groups: int,
) -> Any:  # fmt: skip
    if not all_float32(input, weight, bias) or transposed or not _suits(input, weight, FEWEST):
        return NotImplemented
    if min(*stride, *dilation, groups) < 1 or min(padding) < 0:
        return NotImplemented  # the generic path says what is wrong
    if weight.shape[0] % groups or input.shape[1] != weight.shape[1] * groups:
        return NotImplemented
    if bias is not None and bias.shape != (weight.shape[0],):
        return NotImplemented
    from tensorlab.ops.convolution import window_count

    count = window_count(input.shape[2:], weight.shape[2:], stride, padding, dilation)
    if min(count) < 1 or input.shape[0] * weight.size * int(np.prod(count)) < FEWEST:
        return NotImplemented
    conv = native("conv")
    if conv is None:
        return NotImplemented
    return conv.forward(input, weight, bias, count, stride, padding, dilation, groups)


@register_kernel("convolution_input", "cpu")
def _convolution_input(
    input: Any, weight: Any, size: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    products = input.size * weight.size // weight.shape[0]
    if not all_float32(input, weight) or not _suits(input, weight, products):
        return NotImplemented
    conv = native("conv")
    if conv is None:
        return NotImplemented
    return conv.by_input(input, weight, size, stride, padding, dilation, groups)


@register_kernel("convolution_weight", "cpu")
def _convolution_weight(
    input: Any, output: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    products = output.size * input.shape[1] // groups * int(np.prod(kernel_size))
    if not all_float32(input, output) or not _suits(input, output, products):
        return NotImplemented
    conv = native("conv")
    if conv is None:
        return NotImplemented
    found = conv.by_weight(input, output, kernel_size, stride, padding, dilation, groups)
    # The pixels at the ends of rows count with weight 0, which is not nothing if they are infinite.
    return found if np.isfinite(found).all() else NotImplemented
