"""Affine and bilinear maps, and small linear-algebra helpers."""

from __future__ import annotations

from typing import Any

from tensorlab._autocast import autocasts_within
from tensorlab._backend import backend_of, runs_there
from tensorlab._dtypes import int64
from tensorlab._tensor import Tensor, wrap
from tensorlab.ops.linalg import linear

__all__ = ["bilinear", "linear", "normalize", "one_hot"]


@autocasts_within
def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Tensor:
    r"""The bilinear map `yₖ = x₁ᵀ Aₖ x₂ + bₖ`.

    Args:
        input1: `(*, in1_features)`.
        input2: `(*, in2_features)` with the same leading dimensions.
        weight: `(out_features, in1_features, in2_features)`.
        bias: `(out_features,)` or None.

    Returns:
        `(*, out_features)`.

    Raises:
        RuntimeError: the leading dimensions differ, or the last ones do not fit the weight.

    >>> import tensorlab
    >>> bilinear(tensorlab.ones(2, 3), tensorlab.ones(2, 4), tensorlab.ones(1, 3, 4))
    tensor([[12.],
            [12.]])
    """
    if tuple(input1.shape[:-1]) != tuple(input2.shape[:-1]):
        raise RuntimeError(
            "bilinear(): input batch dimensions do not match: got "
            f"{list(input1.shape)} and {list(input2.shape)}"
        )
    outputs, in1, in2 = weight.shape
    if (input1.shape[-1], input2.shape[-1]) != (in1, in2):
        raise RuntimeError(
            f"bilinear(): inputs of size {input1.shape[-1]} and {input2.shape[-1]} do not fit a "
            f"weight of shape {list(weight.shape)}, which needs {in1} and {in2}"
        )
    halfway = input1 @ weight.permute(1, 0, 2).reshape(in1, outputs * in2)
    halfway = halfway.reshape((*input1.shape[:-1], outputs, in2))
    out = (halfway * input2.unsqueeze(-2)).sum(-1)
    return out if bias is None else out + bias


def normalize(
    input: Any, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: Any = None
) -> Tensor:
    """Divide by the `p`-norm along `dim`, or by `eps` if that is larger.

    >>> import tensorlab
    >>> normalize(tensorlab.tensor([[3.0, 4.0]]))
    tensor([[0.6000, 0.8000]])
    """
    result = input / input.norm(p, dim, keepdim=True).clamp(min=eps).expand_as(input)
    return result if out is None else out.copy_(result)


@runs_there
def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Class numbers as rows with a 1 at that class and 0 elsewhere.

    Args:
        tensor: class numbers (int64), any shape.
        num_classes: length of the rows; by default one more than the largest class.

    Returns:
        int64 tensor `(*, num_classes)`.

    Raises:
        RuntimeError: another dtype, a negative class, one beyond `num_classes`, or an empty
            tensor without `num_classes`.

    >>> import tensorlab
    >>> one_hot(tensorlab.tensor([0, 2]))
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    if tensor.dtype is not int64:
        raise RuntimeError(
            f"one_hot is only applicable to index tensor of type LongTensor, got {tensor.dtype}"
        )
    classes = tensor._data
    if classes.size == 0 and num_classes <= 0:
        raise RuntimeError(
            "Can not infer total number of classes from empty tensor: give num_classes"
        )
    if classes.size and classes.min() < 0:
        raise RuntimeError("Class values must be non-negative.")
    if num_classes == -1:
        num_classes = int(classes.max()) + 1
    elif classes.size and classes.max() >= num_classes:
        raise RuntimeError("Class values must be smaller than num_classes.")
    xp = backend_of(classes).xp
    return wrap((classes[..., None] == xp.arange(num_classes)).astype(xp.int64))
