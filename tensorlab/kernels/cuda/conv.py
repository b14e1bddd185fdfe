"""Which convolution kernel runs: see `conv.cu`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorlab.kernels.cuda.launch import (
    blocks,
    contiguous,
    i32,
    launch,
    like,
    runtime,
    suits,
    type_of,
    variants,
    xp,
)

#: Tiles of `Simple` and `TensorCores` of conv.cu: rows, columns.
SIMPLE, TENSOR_CORES = (64, 64), (64, 128)
#: Depth of a slice that is worth a block of its own when K is cut into parts.
SHORTEST_PART = 256

_MATRICES = ("Forward", "ByInput", "ByWeight")
_ENGINES = {"Simple": ("float", "double"), "TensorCores": ("float", "float16", "bfloat16")}
INSTANCES = [
    f"convolution<{t}, {matrices}, {engine}>"
    for engine, types in _ENGINES.items()
    for t in types
    for matrices in _MATRICES
]
INSTANCES += variants("add_rows<{T}>")

_NAMES = (
    "batch", "channels", "height", "width", "filters", "out_height", "out_width", "kernel_height",
    "kernel_width", "stride_y", "stride_x", "padding_y", "padding_x", "dilation_y", "dilation_x", "groups",
    "parts",
)  # fmt: skip
#: `Geometry` of conv.cu.
_GEOMETRY = np.dtype([(name, np.int32) for name in _NAMES])


def tf32_allowed() -> bool:
    """Whether convolutions of float32 may round their operands to TF32: `backends.cudnn.allow_tf32`."""
    from tensorlab.backends import cudnn

    return bool(getattr(cudnn, "allow_tf32", False))


def _pair(values: Any, fill: int) -> tuple[int, ...]:
    """Of a signal, which is an image of height 1, both numbers."""
    values = tuple(map(int, values))
    return values if len(values) == 2 else (fill, *values)


def _geometry(
    x_shape: Any, y_shape: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    found = np.zeros((), _GEOMETRY)
    numbers = (
        x_shape[0], x_shape[1], *_pair(x_shape[2:], 1), y_shape[1], *_pair(y_shape[2:], 1), *_pair(kernel, 1),
        *_pair(stride, 1), *_pair(padding, 0), *_pair(dilation, 1), groups, 1,
    )  # fmt: skip
    for name, number in zip(_NAMES, numbers, strict=True):
        found[name] = number
    return found


def _fits(*shapes: Any) -> bool:
    """Whether indices of pixels and of elements of a filter are ints, and grids not too large."""
    return all(
        math.prod(s) // s[1] < 2**31 and math.prod(s) // max(s[0], 1) < 2**31 and math.prod(s) > 0
        for s in shapes
    )


def _start(matrices: str, geometry: Any, rows: int, columns: int, arrays: Any, result: Any) -> None:
    kind = type_of(arrays[0])
    fast = kind in ("float16", "bfloat16") or (kind == "float" and tf32_allowed())
    tile = TENSOR_CORES if fast else SIMPLE
    grid = (
        blocks(columns, tile[1]), blocks(rows, tile[0]), int(geometry["groups"]) * int(geometry["parts"]),
    )  # fmt: skip
    name = f"convolution<{kind}, {matrices}, {'TensorCores' if fast else 'Simple'}>"
    launch("conv", name, grid, (256,), geometry, *arrays, result)


def _suits(x: Any, w: Any, *others: Any) -> bool:
    return suits(x, w, *others) and x.ndim in (3, 4) and w.ndim == x.ndim


def convolution(
    input: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool,
    output_padding: Any, groups: int,
) -> Any:  # fmt: skip
    if not _suits(input, weight, bias):
        return NotImplemented
    if min(*stride, *dilation, groups) < 1 or min(padding) < 0 or weight.shape[0] % groups:
        return NotImplemented  # the generic path says what is wrong
    channels = weight.shape[0], weight.shape[1] * groups
    if input.shape[1] != channels[not transposed]:
        return NotImplemented
    if bias is not None and bias.shape != (channels[transposed],):
        return NotImplemented
    from tensorlab.ops.convolution import input_size, window_count

    if transposed:
        size = input_size(input, weight, stride, padding, dilation, output_padding)
        return _to_input(input, weight, bias, size, stride, padding, dilation, groups)
    count = window_count(input.shape[2:], weight.shape[2:], stride, padding, dilation)
    shape = (input.shape[0], weight.shape[0], *count)
    if min(count) < 1 or not _fits(input.shape, weight.shape, shape):
        return NotImplemented
    x, w, bias = map(contiguous, (input, weight, bias))
    out = like(x, shape)
    how = _geometry(x.shape, shape, w.shape[2:], stride, padding, dilation, groups)
    rows, columns = shape[1] // groups, shape[0] * math.prod(count)
    _start("Forward", how, rows, columns, (w, x, bias), out)
    return out


def convolution_input(
    input: Any, weight: Any, size: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    if not _suits(input, weight):
        return NotImplemented
    return _to_input(input, weight, None, size, stride, padding, dilation, groups)


def _to_input(
    y: Any, w: Any, bias: Any, size: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    """From what a convolution gives to what it takes."""
    y, w, bias = map(contiguous, (y, w, bias))
    shape = (y.shape[0], w.shape[1] * groups, *size)
    if not _fits(y.shape, w.shape, shape):
        return NotImplemented
    out = like(y, shape)
    how = _geometry(shape, y.shape, w.shape[2:], stride, padding, dilation, groups)
    _start("ByInput", how, w.shape[1], shape[0] * math.prod(size), (w, y, bias), out)
    return out


def convolution_weight(
    input: Any, output: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    if not _suits(input, output):
        return NotImplemented
    x, y = contiguous(input), contiguous(output)
    shape = (y.shape[1], x.shape[1] // groups, *kernel_size)
    if not _fits(x.shape, y.shape, shape):
        return NotImplemented
    how = _geometry(x.shape, y.shape, kernel_size, stride, padding, dilation, groups)
    rows, columns = shape[0] // groups, math.prod(shape[1:])
    depth = y.shape[0] * math.prod(y.shape[2:])
    how["parts"] = parts = _parts(blocks(rows, 64) * blocks(columns, 64) * groups, depth)
    sums = xp().empty(
        (parts, math.prod(shape)), np.float64 if x.dtype.itemsize == 8 else np.float32
    )
    _start("ByWeight", how, rows, columns, (y, x, None), sums)
    out = like(x, shape)
    n = sums.shape[1]
    launch(
        "conv", f"add_rows<{type_of(x)}>", (blocks(n, 32),), (32, 8), sums, out, i32(parts), i32(n)
    )
    return out


def _parts(tiles: int, depth: int) -> int:
    """Into how many stretches K is cut, for all processors to have work."""
    found = runtime()
    wanted = blocks(4 * (1 if found is None else found.processors), tiles)
    return max(1, min(wanted, depth // SHORTEST_PART, 256))
