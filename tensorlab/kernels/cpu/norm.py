"""Layer, RMS, batch and group normalisation in float32."""

from __future__ import annotations

import math
from typing import Any

from tensorlab._op import register_backward_kernel, register_kernel
from tensorlab.kernels.cpu.loading import all_float32, native

#: Below this many numbers, or for rows this short, the generic path is as fast.
FEWEST, SHORTEST = 512, 12


def _kernels(x: Any, row: int, size: int, *parameters: Any) -> Any:
    """The compiled functions, if rows of this length and parameters of this size suit them."""
    if x.size < FEWEST or not x.size or row < SHORTEST or not all_float32(x, *parameters):
        return None
    for p in parameters:
        if p is not None and p.size != size:
            return None
    return native("norm")


def _chosen(gradients: Any, needs: Any, *shapes: Any) -> Any:
    """Of the gradients those that are needed, in the shapes of what they belong to."""
    return tuple(
        found.reshape(shape) if needed else None
        for found, needed, shape in zip(gradients, needs, shapes, strict=True)
    )


# Rows -------------------------------------------------------------------------------------


def _in_rows(x: Any, shape: Any, *parameters: Any) -> tuple[Any, int]:
    n = math.prod(shape)
    if not len(shape) or tuple(shape) != x.shape[x.ndim - len(shape) :]:
        return None, n
    return _kernels(x, n, n, *parameters), n


@register_kernel("native_layer_norm", "cpu")
def _layer_norm(input: Any, weight: Any, bias: Any, parameter: Any, eps: Any, known: Any) -> Any:
    found, n = _in_rows(input, parameter, weight, bias) if known is None else (None, 0)
    return NotImplemented if found is None else found.rows(input, n, weight, bias, eps, True)


@register_backward_kernel("native_layer_norm", "cpu")
def _layer_norm_backward(
    g: Any, input: Any, weight: Any, weight_shape: Any, bias_shape: Any, parameter: Any, eps: Any, known: Any,
    needs: Any,
) -> Any:  # fmt: skip
    found, n = (None, 0)
    if known is None and all_float32(g):
        found, n = _in_rows(input, parameter, weight)
    if found is None:
        return NotImplemented
    gradients = found.rows_backward(g, input, n, weight, eps, True)
    return _chosen(gradients, needs, input.shape, weight_shape, bias_shape)


@register_kernel("fused_rms_norm", "cpu")
def _rms_norm(input: Any, weight: Any, normalized_shape: Any, eps: Any) -> Any:
    found, n = _in_rows(input, normalized_shape, weight)
    return NotImplemented if found is None else found.rows(input, n, weight, None, eps, False)


@register_backward_kernel("fused_rms_norm", "cpu")
def _rms_norm_backward(
    g: Any, input: Any, weight: Any, weight_shape: Any, normalized_shape: Any, eps: Any, needs: Any
) -> Any:
    found, n = _in_rows(input, normalized_shape, weight) if all_float32(g) else (None, 0)
    if found is None:
        return NotImplemented
    gradients = found.rows_backward(g, input, n, weight, eps, False)[:2]
    return _chosen(gradients, needs, input.shape, weight_shape)


# Channels ---------------------------------------------------------------------------------


def _in_columns(x: Any, groups: Any, *parameters: Any) -> Any:
    """The compiled functions, if these are rows of one number for each channel."""
    return None if x.ndim != 2 or groups is not None else _kernels(x, x.shape[1], x.shape[1], *parameters)  # fmt: skip


def _in_channels(x: Any, groups: Any, *parameters: Any) -> tuple[Any, Any]:
    """The compiled functions and what is normalised together: channels, or `groups` of a sample's."""
    if x.ndim < 3 or (groups is not None and x.shape[1] % groups):
        return None, None
    found = _kernels(x, math.prod(x.shape[2:]), x.shape[1], *parameters)
    if found is None:
        return None, None
    return found, (
        found.by_channel(*x.shape[:2]) if groups is None else found.by_group(*x.shape[:2], groups)
    )


@register_kernel("batch_moments", "cpu")
def _batch_moments(input: Any) -> Any:
    plain = _in_columns(input, None)
    if plain is not None:
        return plain.column_moments(input)
    found, how = _in_channels(input, None)
    return NotImplemented if found is None else found.moments(input, how)


@register_kernel("native_batch_norm", "cpu")
@register_kernel("native_group_norm", "cpu")
def _channel_norm(input: Any, weight: Any, bias: Any, parameter: Any, eps: Any, known: Any) -> Any:
    if not all_float32(*(known or ())):
        return NotImplemented
    plain = _in_columns(input, parameter, weight, bias)
    if plain is not None:
        return plain.columns(input, weight, bias, eps, known)
    found, how = _in_channels(input, parameter, weight, bias)
    if found is None:
        return NotImplemented
    return found.pieces(input, how, weight, bias, eps, known)


@register_backward_kernel("native_batch_norm", "cpu")
@register_backward_kernel("native_group_norm", "cpu")
def _channel_norm_backward(
    g: Any, input: Any, weight: Any, weight_shape: Any, bias_shape: Any, parameter: Any, eps: Any, known: Any,
    needs: Any,
) -> Any:  # fmt: skip
    if not all_float32(g, *(known or ())):
        return NotImplemented
    plain = _in_columns(input, parameter, weight)
    if plain is not None:
        gradients = plain.columns_backward(g, input, weight, eps, known)
        return _chosen(gradients, needs, input.shape, weight_shape, bias_shape)
    found, how = _in_channels(input, parameter, weight)
    if found is None:
        return NotImplemented
    gradients = found.pieces_backward(g, input, how, weight, eps, known)
    return _chosen(gradients, needs, input.shape, weight_shape, bias_shape)
