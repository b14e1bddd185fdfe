"""A linear layer and the activation behind it as one operation, for devices that compute both in one pass.

After the product of matrices, bias and activation each read and write the whole result once more. Where one
kernel does both, it is read once and written once; and the gradient of the bias may be summed while that of
the activation is made. Here, operations are what they stand for: `activation(linear(input, weight, bias))`.
`tensorlab.nn.modules._activated` says where they are used.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab._op import ErrorSample, Sample, op
from tensorlab.ops.activation import _gelu_backward, _gelu_reference, gelu
from tensorlab.ops.compare import where
from tensorlab.ops.functions import relu
from tensorlab.ops.linalg import _linear_backward, linear


def _samples(r: Any, **options: Any) -> list[Sample]:
    return [
        Sample(r(2, 3), r(4, 3), r(4), **options), Sample(r(2, 3), r(4, 3), **options),
        Sample(r(2, 5, 3), r(4, 3), r(4), **options), Sample(r(3), r(4, 3), r(4), **options),
        Sample(r(0, 3), r(4, 3), r(4), **options),
    ]  # fmt: skip


def _errors(r: Any) -> list[ErrorSample]:
    return [ErrorSample(r(2, 3), r(4, 5), error=RuntimeError, match=r"\(2x3 and 5x4\)")]


def _torch() -> Any:
    from tensorlab.testing import _torch as torch

    return torch.module().nn.functional


@op(
    samples=_samples, errors=_errors, result=None, node_name="Relu",
    ref=lambda x, w, b=None: np.maximum(x @ w.T + (0 if b is None else b), 0),
    torch=lambda x, w, b=None: _torch().relu(_torch().linear(x, w, b)),
)  # fmt: skip
def linear_relu(xp, input, weight, bias=None, /):
    """relu(x·Wᵀ + b): shapes (…, in), (out, in), (out) → (…, out).

    >>> import tensorlab as tl
    >>> linear_relu(tl.ones(1, 2), tl.tensor([[1.0, 1.0], [-1.0, 0.0]]), tl.ones(2))
    tensor([[3., 0.]])
    """
    return relu(linear(input, weight, bias))


def _linear_relu_backward(g, input, weight, bias_shape, out, needs):
    return _linear_backward(where(out <= 0, 0.0, g), input, weight, needs)


linear_relu.vjp(_linear_relu_backward)


def _with_product(keep: bool, found: Any, product: Any) -> Any:
    return (found, product) if keep else found


def _linear_gelu_reference(
    x: Any, w: Any, b: Any = None, approximate: str = "none", keep: bool = True
) -> Any:
    product = x @ w.T
    found = _gelu_reference(product + (0 if b is None else b), approximate)
    return _with_product(keep, found, product)


@op(
    samples=lambda r: [
        *_samples(r), *_samples(r, approximate="tanh")[:2], *_samples(r, keep=False)[:2],
        *_samples(r, approximate="tanh", keep=False)[2:],
    ],
    errors=_errors, result=None, node_name="Gelu", ref=_linear_gelu_reference,
    torch=lambda x, w, b=None, approximate="none", keep=True: _with_product(
        keep, _torch().gelu(_torch().linear(x, w, b), approximate=approximate), _torch().linear(x, w)
    ),
)  # fmt: skip
def linear_gelu(xp, input, weight, bias=None, /, *, approximate="none", keep=True):
    """gelu(x·Wᵀ + b), and x·Wᵀ for its gradient: shapes (…, in), (out, in), (out) → (…, out), twice.

    With keep=False only the first: where no gradient is wanted, one pass makes it and there is no second array.

    >>> import tensorlab as tl
    >>> out, product = linear_gelu(tl.ones(1, 2), tl.ones(1, 2), tl.ones(1))
    >>> product
    tensor([[2.]])
    >>> bool(out == tl.nn.functional.gelu(product + 1))
    True
    """
    if not keep:
        return gelu(linear(input, weight, bias), approximate=approximate)
    product = linear(input, weight)
    return gelu(product if bias is None else product + bias, approximate=approximate), product


def _linear_gelu_backward(g, input, weight, bias, bias_shape, out, approximate, keep, needs):
    by_out, by_product = g if keep else (g, 0)
    product = out[1] if keep else linear(input, weight)
    by_sum = _gelu_backward(by_out, product if bias is None else product + bias, approximate)
    grads = _linear_backward(by_sum + by_product, input, weight, needs)
    return (*grads[:2], by_sum)[: len(needs)]


linear_gelu.vjp(_linear_gelu_backward)
