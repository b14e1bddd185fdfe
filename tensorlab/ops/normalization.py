"""Normalisation: each group of elements shifted and scaled to mean 0 and variance 1.

Batch, layer, group and instance normalisation differ only in which elements form a group: `_standardised`
makes one operation of each. With x̂ = (x − mean) / √(var + eps) and h = g · weight, the gradient is

    by x:       (h − mean(h) − x̂ · mean(h · x̂)) / √(var + eps)     (means over the group)
    by weight:  Σ g · x̂        by bias:  Σ g

S. Ioffe, C. Szegedy, "Batch normalization", arXiv:1502.03167, section 3, for groups of any kind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tensorlab._backend import backend_of
from tensorlab._op import Sample, op
from tensorlab._tensor import Tensor
from tensorlab.ops.convolution import product as _product
from tensorlab.ops.elementwise import _conj
from tensorlab.ops.functions import rsqrt
from tensorlab.ops.reduce import mean
from tensorlab.ops.shape import reshape, sum_to

Shape = tuple[int, ...]


class Layout(NamedTuple):
    """Which elements of an input are normalised together, and what weight and bias belong to."""

    rows: tuple[int, int, int]  # the input's shape as (outer, groups, inner)
    affine: Shape  # the shape in which weight and bias meet the input
    per_group: bool  # whether there is one weight for each group


def channels(shape: Shape) -> Shape:
    """The shape in which one number per channel meets (N, C, …)."""
    return (1, shape[1], *(1,) * (len(shape) - 2))


def _affine(x: Any, weight: Any, bias: Any, shape: Shape) -> Any:
    if weight is not None:
        x = x * weight.reshape(shape)
    return x if bias is None else x + bias.reshape(shape)


def _wide(x: Any) -> Any:
    """Half precision is too coarse for a mean of many."""
    return x.astype(np.float32) if x.dtype.itemsize < 4 else x


def _dot(xp: Any, x: Any, y: Any) -> Any:
    """Σ x · y over each group, (groups, 1)."""
    return xp.einsum("ogi,ogi->g", x, y)[:, None]


@op(
    samples=lambda r: [Sample(r(4, 3)), Sample(r(2, 3, 4)), Sample(r(2, 1, 3, 2))], torch="", result=None,
    ref=lambda x: tuple(
        f(x, axis=(0, *range(2, x.ndim))).reshape(-1, 1) for f in (np.mean, np.var)
    ),
)  # fmt: skip
def batch_moments(xp, input, /):
    """Mean and variance (with n in the divisor) of each channel of (N, C, …), each (C, 1)."""
    return _centred(xp, _wide(input).reshape(_by_batch(input.shape, None).rows), None)[1:]


def _centred(xp: Any, x: Any, known: Any) -> tuple[Any, Any, Any]:
    """x − mean, and mean and variance, unless they are known."""
    if known is not None:
        return x - known[0], *known
    mean = x.mean(axis=(0, 2), keepdims=True)[0]
    centred = x - mean
    n = max(x.shape[0] * x.shape[2], 1)
    return centred, mean, _dot(xp, centred, centred) / n


def _standardised(
    name: str, layout: Callable[..., Layout], doc: str, samples: Any, torch: Any
) -> Any:
    """Declare one kind of normalisation; `layout(shape, parameter)` says how it groups elements.

    `known` may hold the groups' mean and variance, where they have been computed already.
    """

    def forward(xp, input, weight=None, bias=None, /, parameter=None, eps=1e-5, known=None):
        how = layout(input.shape, parameter)
        out, _, variance = _centred(xp, _wide(input).reshape(how.rows), known)
        scale = 1 / xp.sqrt(variance + eps)
        if weight is not None and how.per_group:
            scale = scale * weight[:, None]
        out *= scale
        out = out.reshape(input.shape)
        if weight is not None and not how.per_group:
            out *= weight.reshape(how.affine)
        if bias is not None:
            out += bias.reshape(how.affine)
        return out.astype(input.dtype, copy=False)

    def rule(g, input, weight, weight_shape, bias_shape, parameter, eps, known, needs):
        how = layout(tuple(input.shape), parameter)
        run = _tensor_gradients if isinstance(g, Tensor) else _gradients
        return run(g, input, weight, weight_shape, bias_shape, how, eps, known, needs)

    forward.__name__ = name
    forward.__doc__ = doc
    made = op(samples=samples, torch=torch, ref=_reference(layout), result=None, name=name)(forward)
    made.vjp(rule)
    return made


def _gradients(
    g: Any, input: Any, weight: Any, weight_shape: Any, bias_shape: Any, how: Layout, eps: float, known: Any,
    needs: Any,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """The gradients of arrays, in as few passes over them as can be."""
    xp, shape, dtype = backend_of(g).xp, input.shape, g.dtype
    g, x = _wide(g), _wide(input).reshape(how.rows)
    n = max(x.shape[0] * x.shape[2], 1)
    unit, _, variance = _centred(xp, x, known)
    scale = 1 / xp.sqrt(variance + eps)
    unit *= scale
    h = g
    if weight is not None and how.per_group:
        scale = scale * weight[:, None]
    elif weight is not None:
        h = g * weight.reshape(how.affine)
    h = h.reshape(how.rows)
    along = _dot(xp, h, unit)
    total = xp.einsum("ogi->g", h)[:, None]
    by_input = by_weight = by_bias = None
    if needs[1]:
        by_weight = along if how.per_group else sum_to(g * unit.reshape(shape), how.affine)
        by_weight = by_weight.reshape(weight_shape).astype(dtype, copy=False)
    if needs[2]:
        by_bias = total if how.per_group else sum_to(g, how.affine)
        by_bias = by_bias.reshape(bias_shape).astype(dtype, copy=False)
    if needs[0]:
        unit *= along / n
        rest = xp.subtract(h, unit, out=unit)
        rest -= total / n
        rest *= scale
        by_input = rest.reshape(shape).astype(dtype, copy=False)
    return by_input, by_weight, by_bias


def _tensor_gradients(
    g: Any, input: Any, weight: Any, weight_shape: Any, bias_shape: Any, how: Layout, eps: float, known: Any,
    needs: Any,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """The same, written with operations, so that they have gradients themselves."""
    shape = tuple(input.shape)
    x = reshape(input, how.rows)
    centred = x - mean(x, (0, 2), True)
    scale = rsqrt(mean(centred * centred, (0, 2), True) + eps)
    unit = centred * scale
    by_input = by_weight = by_bias = None
    if needs[0]:
        h = reshape(g if weight is None else g * reshape(weight, how.affine), how.rows)
        along = mean(h * unit, (0, 2), True)
        by_input = reshape((h - mean(h, (0, 2), True) - unit * along) * scale, shape)
    if needs[1]:
        by_weight = reshape(sum_to(g * reshape(unit, shape), how.affine), tuple(weight_shape))
    if needs[2]:
        by_bias = reshape(sum_to(g, how.affine), tuple(bias_shape))
    return by_input, by_weight, by_bias


def _reference(layout: Callable[..., Layout]) -> Callable[..., Any]:
    def reference(x, weight=None, bias=None, parameter=None, eps=1e-5):
        how = layout(x.shape, parameter)
        rows = x.reshape(how.rows)
        out = (rows - rows.mean((0, 2), keepdims=True)) / np.sqrt(
            rows.var((0, 2), keepdims=True) + eps
        )
        return _affine(out.reshape(x.shape), weight, bias, how.affine)

    return reference


def _by_batch(shape: Shape, parameter: Any) -> Layout:
    return Layout((shape[0], shape[1], _product(shape[2:])), channels(shape), True)


def _by_layer(shape: Shape, normalized_shape: Any) -> Layout:
    lead = len(shape) - len(normalized_shape)
    rows = (1, _product(shape[:lead]), _product(shape[lead:]))
    return Layout(rows, tuple(normalized_shape), False)


def _by_group(shape: Shape, groups: int) -> Layout:
    rows = (1, shape[0] * groups, _product(shape[1:]) // groups)
    return Layout(rows, channels(shape), False)


native_batch_norm = _standardised(
    "native_batch_norm",
    _by_batch,
    "Each channel of (N, C, …) normalised over the batch and all positions; see `nn.functional.batch_norm`.",
    lambda r: [
        Sample(r(4, 3), r(3), r(3)), Sample(r(2, 3, 4)), Sample(r(3, 2, 2, 2), r(2), None, None, 0.1),
        Sample(r(3, 2, 2), None, r(2)),
    ],
    lambda x, w=None, b=None, parameter=None, eps=1e-5: _torch().batch_norm(
        x, None, None, w, b, True, 0.1, eps
    ),
)  # fmt: skip
native_layer_norm = _standardised(
    "native_layer_norm",
    _by_layer,
    "The last dimensions, of shape `parameter`, normalised together; see `nn.functional.layer_norm`.",
    lambda r: [
        Sample(r(2, 3), r(3), r(3), (3,)), Sample(r(2, 3, 4), r(3, 4), None, (3, 4)),
        Sample(r(4), None, None, (4,), 0.1), Sample(r(0, 3), None, None, (3,)),
    ],
    lambda x, w=None, b=None, parameter=None, eps=1e-5: _torch().layer_norm(
        x, parameter, w, b, eps
    ),
)  # fmt: skip
native_group_norm = _standardised(
    "native_group_norm",
    _by_group,
    "The channels of (N, C, …) in `parameter` groups, each normalised; see `nn.functional.group_norm`.",
    lambda r: [
        Sample(r(2, 4), r(4), r(4), 2), Sample(r(2, 6, 3), r(6), None, 3), Sample(r(1, 2, 2, 2), None, None, 1, 0.1),
    ],
    lambda x, w=None, b=None, parameter=None, eps=1e-5: _torch().group_norm(
        x, parameter, w, b, eps
    ),
)  # fmt: skip


def _torch() -> Any:
    from tensorlab.testing import _torch as torch

    return torch.module().nn.functional


@op(
    samples=lambda r: [
        Sample(r(2, 3), r(3), (3,), 1e-5), Sample(r(2, 3, 4), r(3, 4), (3, 4), 1e-3), Sample(r(4), None, (4,), 0.1),
    ],
    torch=lambda x, w=None, shape=(), eps=None: _torch().rms_norm(x, shape, w, eps),
    ref=lambda x, w=None, shape=(), eps=1e-5: (
        x / np.sqrt((x**2).mean(tuple(range(-len(shape), 0)), keepdims=True) + eps) * (1 if w is None else w)
    ),
    result=None,
)  # fmt: skip
def fused_rms_norm(xp, input, weight=None, /, normalized_shape=(), eps=1e-5):
    """The last dimensions divided by the root of the mean of their squares; see `nn.functional.rms_norm`."""
    dims = tuple(range(input.ndim - len(normalized_shape), input.ndim))
    wide = input.astype(np.float32) if input.dtype.itemsize < 4 else input
    out = wide / xp.sqrt(xp.square(wide).mean(axis=dims, keepdims=True) + eps)
    if weight is not None:
        out = out * weight
    return out.astype(input.dtype, copy=False)


def _rms_norm_backward(g, input, weight, weight_shape, normalized_shape, eps, needs):
    dims = tuple(range(len(input.shape) - len(normalized_shape), len(input.shape)))
    scale = rsqrt(mean(input * input, dims, True) + eps)
    unit = _conj(input * scale)  # conjugates matter for complex numbers only
    h = g if weight is None else g * _conj(weight)
    return (
        (h - unit * mean(h * unit, dims, True)) * _conj(scale) if needs[0] else None,
        sum_to(g * unit, tuple(weight_shape)) if needs[1] else None,
    )


fused_rms_norm.vjp(_rms_norm_backward)
