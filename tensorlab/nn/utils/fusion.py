"""A batch normalisation in evaluation folded into the layer before it: the two are one affine map."""

from __future__ import annotations

import copy
from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.nn.parameter import Parameter
from tensorlab.ops.creation import ones_like, zeros_like

__all__ = [
    "fuse_conv_bn_eval",
    "fuse_conv_bn_weights",
    "fuse_linear_bn_eval",
    "fuse_linear_bn_weights",
]


def fuse_conv_bn_eval(conv: Any, bn: Any, transpose: bool = False) -> Any:
    """One convolution that computes what `conv` and then `bn` compute in evaluation.

    Args:
        conv: a convolution in evaluation mode.
        bn: a batch normalisation with running statistics, likewise.
        transpose: whether it is a transposed convolution.

    Returns:
        A new layer.

    Raises:
        AssertionError: one of them is in training mode, or there are no running statistics.

    >>> import tensorlab
    >>> from tensorlab import nn
    >>> conv, bn = nn.Conv2d(3, 8, 3).eval(), nn.BatchNorm2d(8).eval()
    >>> x = tensorlab.rand(1, 3, 5, 5)
    >>> tensorlab.allclose(fuse_conv_bn_eval(conv, bn)(x), bn(conv(x)), atol=1e-6)
    True
    """
    return _fused(conv, bn, transpose=transpose)


def fuse_linear_bn_eval(linear: Any, bn: Any) -> Any:
    """One linear layer that computes what `linear` and then `bn` compute in evaluation.

    Args:
        linear: a linear layer in evaluation mode.
        bn: a batch normalisation with running statistics, likewise.

    Returns:
        A new layer.

    Raises:
        AssertionError: one of them is in training mode, there are no running statistics, or the numbers of
            features differ.
    """
    if bn.num_features not in (1, linear.out_features):
        raise AssertionError(
            "To fuse, linear.out_features == bn.num_features or bn.num_features == 1, got "
            f"linear.out_features={linear.out_features} and bn.num_features={bn.num_features}"
        )
    return _fused(linear, bn)


def _fused(layer: Any, bn: Any, transpose: bool = False) -> Any:
    if layer.training or bn.training:
        raise AssertionError("Fusion only for eval!")
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("bn.running_mean and bn.running_var must not be None")
    made = copy.deepcopy(layer)
    made.weight, made.bias = fuse_conv_bn_weights(
        made.weight, made.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias, transpose
    )  # fmt: skip
    return made


def fuse_conv_bn_weights(
    conv_w: Tensor,
    conv_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:
    """Weight and bias of the fused layer, from those of the layer and the parameters of the normalisation.

    Args:
        conv_w, conv_b: of the layer; the bias may be None.
        bn_rm, bn_rv: running mean and variance. bn_eps: added to the variance.
        bn_w, bn_b: factor and summand, or None.
        transpose: the outputs lie in dimension 1 of the weight.
    """
    bias = zeros_like(bn_rm) if conv_b is None else conv_b
    scale = (ones_like(bn_rm) if bn_w is None else bn_w) * (bn_rv + bn_eps).rsqrt()
    shift = zeros_like(bn_rm) if bn_b is None else bn_b
    lead = (1, -1) if transpose else (-1, 1)
    weight = conv_w * scale.reshape(*lead, *[1] * (conv_w.dim() - 2))
    kind = conv_w.dtype if conv_b is None else conv_b.dtype
    moved = (bias - bn_rm) * scale + shift
    return (
        Parameter(weight.detach().to(conv_w.dtype), conv_w.requires_grad),
        Parameter(moved.detach().to(kind), bias.requires_grad),
    )


def fuse_linear_bn_weights(
    linear_w: Tensor,
    linear_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor,
    bn_b: Tensor,
) -> tuple[Parameter, Parameter]:
    """Weight and bias of the fused linear layer; see `fuse_conv_bn_weights`."""
    return fuse_conv_bn_weights(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b)
