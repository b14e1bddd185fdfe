"""Products of matrices and vectors. Decompositions are not here: they live in `tensorlab.linalg`.

The gradient of C = A·B by A is G·Bᵀ, and by B it is Aᵀ·G (conjugated for complex numbers):
M. Giles, "An extended collection of matrix derivative results", Oxford 2008, section 2.2.1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorlab._op import ErrorSample, Sample, op
from tensorlab.ops import _names
from tensorlab.ops.elementwise import conj
from tensorlab.ops.shape import reshape, sum_to, transpose
from tensorlab.ops.views import unsqueeze


def _conj(x: Any) -> Any:
    """The conjugate; arrays of real numbers are not even asked for one."""
    return x if type(x) is np.ndarray and x.dtype.kind != "c" else conj(x)


def _h(x: Any) -> Any:
    """The conjugate transpose of the last two dimensions: a view for real numbers."""
    return _conj(x.T if x.ndim == 2 else transpose(x, -2, -1))


def _matmul_errors(r: Any) -> list[ErrorSample]:
    return [
        ErrorSample(
            r(2, 3), r(4, 2), error=RuntimeError, match=r"cannot be multiplied \(2x3 and 4x2\)"
        ),
        ErrorSample(r(3), r(), error=RuntimeError, match="at least 1D"),
        ErrorSample(r(3), r(4), error=RuntimeError, match="size"),
        ErrorSample(r(2, 2, 3), r(3, 3, 2), error=RuntimeError, match="batch|must match"),
    ]


def _check_product(a: Any, b: Any) -> None:
    for position, (name, x) in enumerate((("input", a), ("other", b)), 1):
        if not hasattr(x, "ndim"):
            raise TypeError(
                f"matmul(): argument '{name}' (position {position}) must be Tensor, not "
                f"{type(x).__name__}: multiply by a number with *"
            )
    if a.ndim == 0 or b.ndim == 0:
        raise RuntimeError(
            f"both arguments to matmul need to be at least 1D, but they are {a.ndim}D and {b.ndim}D"
        )
    if a.dtype != b.dtype:
        raise RuntimeError(
            f"expected m1 and m2 to have the same dtype, but got: {a.dtype.name} != {b.dtype.name}"
        )
    inner = b.shape[0] if b.ndim == 1 else b.shape[-2]
    if a.shape[-1] != inner:
        if a.ndim == 1 and b.ndim == 1:
            raise RuntimeError(
                f"inconsistent tensor size, expected tensor [{a.shape[0]}] and src [{b.shape[0]}] to have "
                "the same number of elements, but got "
                f"{a.shape[0]} and {b.shape[0]} elements respectively"
            )
        if b.ndim == 1:
            raise RuntimeError(
                f"size mismatch, got input ({a.shape[-2]}), mat ({a.shape[-2]}x{a.shape[-1]}), vec ({b.shape[0]})"
            )
        rows = 1 if a.ndim == 1 else a.shape[-2]
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({rows}x{a.shape[-1]} and {b.shape[-2]}x{b.shape[-1]})"
        )


@op(
    samples=lambda r: [
        Sample(r(2, 3), r(3, 4)), Sample(r(3), r(3)), Sample(r(2, 3), r(3)), Sample(r(3), r(3, 2)),
        Sample(r(2, 1, 2, 3), r(4, 3, 2)), Sample(r(5, 2, 3), r(3)), Sample(r(3), r(4, 3, 2)),
        Sample(r(2, 0), r(0, 3)), Sample(r(1, 1), r(1, 1)),
    ],
    errors=_matmul_errors, ref=np.matmul, result=None, method=True, dunder=("__matmul__", "__rmatmul__"),
)  # fmt: skip
def matmul(xp, input, other, /):
    """The matrix product, over the last two dimensions, the others broadcasting as batches.

    Shapes: (…, n, m) · (…, m, p) → (…, n, p). A 1-dim tensor is a row on the left, a column on
    the right, and that dimension is dropped from the result; two of them give the dot product.
    Raises `RuntimeError` if the inner sizes or the dtypes differ.

    >>> import tensorlab
    >>> tensorlab.matmul(tensorlab.ones(2, 3), tensorlab.ones(3))
    tensor([3., 3.])
    """
    _check_product(input, other)
    try:
        return xp.matmul(input, other)
    except ValueError:
        raise RuntimeError(
            f"the batch dimensions of {list(input.shape)} and {list(other.shape)} must match or be 1"
        ) from None


def _by_left(g: Any, other: Any, input_shape: tuple[int, ...]) -> Any:
    """The gradient of a product by its left operand: g · otherᴴ.

    Vectors become matrices, the rule for matrices applies, and the extra dimensions go again.
    """
    dims = len(input_shape), other.ndim
    if dims == (2, 2):
        return matmul(g, _h(other))
    if dims == (2, 1):
        # All products of two vectors: nothing is summed, so it is no work for `matmul`.
        return unsqueeze(g, -1) * unsqueeze(_conj(other), 0)
    rows = input_shape if dims[0] > 1 else (1, *input_shape)
    found = matmul(_as_matrix(g, dims), _h(unsqueeze(other, -1) if dims[1] == 1 else other))
    return reshape(sum_to(found, rows), input_shape)


def _by_right(g: Any, input: Any, other_shape: tuple[int, ...]) -> Any:
    """The gradient by its right operand: inputᴴ · g."""
    dims = input.ndim, len(other_shape)
    if dims[0] == 2 and dims[1] <= 2:
        return matmul(_h(input), g)
    g = _as_matrix(g, dims)
    if dims[0] > 2 and dims[1] <= 2:
        # One product over all batches at once, rather than a sum of small ones.
        return reshape(matmul(_h(_in_rows(input)), _in_rows(g)), other_shape)
    columns = other_shape if dims[1] > 1 else (*other_shape, 1)
    found = matmul(_h(unsqueeze(input, 0) if dims[0] == 1 else input), g)
    return reshape(sum_to(found, columns), other_shape)


def _as_matrix(g: Any, dims: tuple[int, int]) -> Any:
    """The gradient of a product with the dimensions that it dropped, because an operand was a vector."""
    if dims == (1, 1):
        return reshape(g, (1, 1))
    if dims[0] == 1:
        return unsqueeze(g, -2)
    return unsqueeze(g, -1) if dims[1] == 1 else g


def _in_rows(x: Any) -> Any:
    """All dimensions but the last as one."""
    return x if x.ndim == 2 else reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))


# What the left operand is needed for comes first: in a layer that is a large activation, which is freed then.
matmul.vjp(other=_by_right, input=_by_left)
matmul.op.names = _names.product


def _require_dims(name: str, **arrays: tuple[Any, int]) -> None:
    for argument, (array, dims) in arrays.items():
        if array.ndim != dims:
            raise RuntimeError(
                f"{name}: expected {argument} to be a {dims}-D tensor, got {array.ndim}-D of shape {list(array.shape)}"
            )


def _product(xp: Any, name: str, dims: tuple[int, int], a: Any, b: Any) -> Any:
    """`mm`, `bmm`, `mv` and `dot` are `matmul` for operands of fixed dimensions."""
    _require_dims(name, self=(a, dims[0]), mat2=(b, dims[1]))
    _check_product(a, b)
    if dims == (3, 3) and a.shape[0] != b.shape[0]:
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: "
            f"[{a.shape[0]}, {a.shape[2]}] but got: [{b.shape[0]}, {b.shape[1]}]."
        )
    return xp.matmul(a, b)


@op(
    samples=lambda r: [Sample(r(2, 3), r(3, 4)), Sample(r(0, 3), r(3, 2))],
    errors=lambda r: [
        ErrorSample(r(2), r(2, 3), error=RuntimeError, match="2-D"), *_matmul_errors(r)[:1],
    ],
    ref=np.matmul, result=None, method=True,
)  # fmt: skip
def mm(xp, input, mat2, /):
    """The product of two matrices: (n, m) · (m, p) → (n, p); no broadcasting.

    >>> import tensorlab
    >>> tensorlab.mm(tensorlab.ones(1, 2), tensorlab.ones(2, 1))
    tensor([[2.]])
    """
    return _product(xp, "mm", (2, 2), input, mat2)


@op(
    samples=lambda r: [Sample(r(2, 2, 3), r(2, 3, 4)), Sample(r(0, 2, 3), r(0, 3, 1))],
    errors=lambda r: [
        ErrorSample(r(2, 3), r(2, 3, 1), error=RuntimeError, match="3-D"),
        ErrorSample(r(1, 2, 3), r(2, 3, 1), error=RuntimeError, match="batch2"),
    ],
    ref=np.matmul, result=None, method=True,
)  # fmt: skip
def bmm(xp, input, mat2, /):
    """The products of two batches of matrices: (b, n, m) · (b, m, p) → (b, n, p).

    >>> import tensorlab
    >>> tensorlab.bmm(tensorlab.ones(2, 1, 3), tensorlab.ones(2, 3, 1)).shape
    tensorlab.Size([2, 1, 1])
    """
    return _product(xp, "bmm", (3, 3), input, mat2)


@op(
    samples=lambda r: [Sample(r(2, 3), r(3)), Sample(r(0, 3), r(3))],
    errors=lambda r: [ErrorSample(r(2, 3), r(2, 3), error=RuntimeError, match="1-D")],
    ref=np.matmul, result=None, method=True,
)  # fmt: skip
def mv(xp, input, vec, /):
    """The product of a matrix and a vector: (n, m) · (m) → (n).

    >>> import tensorlab
    >>> tensorlab.mv(tensorlab.eye(2), tensorlab.tensor([3.0, 4.0]))
    tensor([3., 4.])
    """
    return _product(xp, "mv", (2, 1), input, vec)


@op(
    samples=lambda r: [Sample(r(3), r(3)), Sample(r(0), r(0))],
    errors=lambda r: [
        ErrorSample(r(2, 3), r(3), error=RuntimeError, match="1-D"),
        ErrorSample(r(2), r(3), error=RuntimeError, match="size"),
    ],
    ref=np.dot, result=None, method=True,
)  # fmt: skip
def dot(xp, input, tensor, /):
    """The dot product of two vectors: Σ xᵢ·yᵢ.

    >>> import tensorlab
    >>> tensorlab.dot(tensorlab.tensor([1.0, 2.0]), tensorlab.tensor([3.0, 4.0]))
    tensor(11.)
    """
    return _product(xp, "dot", (1, 1), input, tensor)


for _product_of_two in (mm, bmm):
    _product_of_two.vjp(
        mat2=lambda g, input, mat2_shape: _by_right(g, input, mat2_shape),
        input=lambda g, mat2, input_shape: _by_left(g, mat2, input_shape),
    )
mv.vjp(
    vec=lambda g, input, vec_shape: _by_right(g, input, vec_shape),
    input=lambda g, vec, input_shape: _by_left(g, vec, input_shape),
)
dot.vjp(
    tensor=lambda g, input, tensor_shape: _by_right(g, input, tensor_shape),
    input=lambda g, tensor, input_shape: _by_left(g, tensor, input_shape),
)


@op(
    samples=lambda r: [Sample(r(3), r(4)), Sample(r(0), r(2))],
    errors=lambda r: [ErrorSample(r(2, 2), r(2), error=RuntimeError, match="1-D")],
    ref=np.outer, method=True, node_name="Mul",
)  # fmt: skip
def outer(xp, input, vec2, /):
    """All products of two vectors: out[i, j] = input[i] · vec2[j].

    >>> import tensorlab
    >>> tensorlab.outer(tensorlab.tensor([1, 2]), tensorlab.tensor([10, 1]))
    tensor([[10,  1],
            [20,  2]])
    """
    _require_dims("outer", self=(input, 1), vec2=(vec2, 1))
    return input[:, None] * vec2[None, :]


outer.vjp(
    input=lambda g, vec2: matmul(g, conj(vec2)),
    vec2=lambda g, input: matmul(transpose(g, 0, 1), conj(input)),
)


def _add_product(
    xp: Any, name: str, dims: int, input: Any, a: Any, b: Any, beta: float, alpha: float
) -> Any:
    _require_dims(name, mat1=(a, dims), mat2=(b, dims))
    _check_product(a, b)
    product = xp.matmul(a, b)
    if alpha != 1:
        product = alpha * product
    if beta == 0:  # as in BLAS, NaN in `input` is then ignored
        return product
    return product + (input if beta == 1 else beta * input)


def _add_product_samples(r: Any, *batch: int) -> list[Sample]:
    return [
        Sample(r(*batch, 2, 4), r(*batch, 2, 3), r(*batch, 3, 4)),
        Sample(r(4), r(*batch, 2, 3), r(*batch, 3, 4), beta=0.5, alpha=2.0),
    ]


def _add_product_errors(r: Any) -> list[ErrorSample]:
    return [ErrorSample(r(4), r(3), r(3, 4), error=RuntimeError, match="-D tensor")]


def _add_product_reference(x: Any, a: Any, b: Any, beta: float = 1, alpha: float = 1) -> Any:
    return beta * x + alpha * np.matmul(a, b)


@op(
    samples=_add_product_samples, errors=_add_product_errors, ref=_add_product_reference, method=True, inplace=True,
)  # fmt: skip
def addmm(xp, input, mat1, mat2, /, *, beta=1, alpha=1):
    """beta · input + alpha · (mat1 · mat2), `input` broadcasting to (n, p).

    >>> import tensorlab
    >>> tensorlab.addmm(tensorlab.ones(2), tensorlab.eye(2), tensorlab.eye(2))
    tensor([[2., 1.],
            [1., 2.]])
    """
    return _add_product(xp, "addmm", 2, input, mat1, mat2, beta, alpha)


addmm.vjp(
    input=lambda g, beta: g * beta,
    mat1=lambda g, mat2, alpha: matmul(g, _h(mat2)) * alpha,
    mat2=lambda g, mat1, alpha: matmul(_h(mat1), g) * alpha,
)


@op(
    samples=lambda r: _add_product_samples(r, 2), errors=_add_product_errors, ref=_add_product_reference, method=True,
    inplace=True,
)  # fmt: skip
def baddbmm(xp, input, batch1, batch2, /, *, beta=1, alpha=1):
    """beta · input + alpha · (batch1 · batch2) for batches of matrices.

    >>> import tensorlab
    >>> tensorlab.baddbmm(tensorlab.zeros(1), tensorlab.ones(1, 1, 2), tensorlab.ones(1, 2, 1))
    tensor([[[2.]]])
    """
    return _add_product(xp, "baddbmm", 3, input, batch1, batch2, beta, alpha)


baddbmm.vjp(
    input=lambda g, beta: g * beta,
    batch1=lambda g, batch2, alpha: matmul(g, _h(batch2)) * alpha,
    batch2=lambda g, batch1, alpha: matmul(_h(batch1), g) * alpha,
)


@op(
    samples=lambda r: [
        Sample(r(2, 3), r(4, 3), r(4)), Sample(r(2, 3), r(4, 3)), Sample(r(3), r(4, 3), r(4)),
        Sample(r(2, 5, 3), r(4, 3), r(4)), Sample(r(0, 3), r(4, 3), r(4)), Sample(r(2, 3), r(3), r()),
    ],
    errors=lambda r: [ErrorSample(r(2, 3), r(4, 5), error=RuntimeError, match=r"\(2x3 and 5x4\)")],
    ref=lambda x, w, b=None: x @ (w.T if w.ndim > 1 else w) + (0 if b is None else b),
    torch="nn.functional.linear", result=None, node_name="Addmm",
)  # fmt: skip
def linear(xp, input, weight, bias=None, /):
    """x·Wᵀ + b: shapes (…, in), (out, in), (out) → (…, out). One node in the graph.

    >>> import tensorlab
    >>> tensorlab.nn.functional.linear(tensorlab.ones(1, 2), tensorlab.ones(3, 2))
    tensor([[2., 2., 2.]])
    """
    _check_product(input, weight.T)
    out = xp.matmul(input, weight.T)
    if bias is not None:
        # The product is new, so the bias can be added in place.
        if bias.shape == out.shape[-1:]:
            out += bias
            return out
        if isinstance(out, np.generic) or out.shape != np.broadcast_shapes(out.shape, bias.shape):
            return out + bias
        out += bias
    return out


def _linear_by_weight(g: Any, input: Any, weight_shape: tuple[int, ...]) -> Any:
    if len(weight_shape) == 1:
        return _by_right(g, input, weight_shape)
    return matmul(_in_rows(g).T, _conj(_in_rows(input)))


def _linear_by_input(g: Any, weight: Any, input_shape: tuple[int, ...]) -> Any:
    if weight.ndim == 1:
        return _by_left(g, weight, input_shape)
    found = matmul(_in_rows(g), _conj(weight))
    return found if len(input_shape) == 2 else reshape(found, input_shape)


def _linear_backward(g: Any, input: Any, weight: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
    """The gradients that are needed by input, weight and bias."""
    by_weight = _linear_by_weight(g, input, tuple(weight.shape)) if needs[1] else None
    by_input = _linear_by_input(g, weight, tuple(input.shape)) if needs[0] else None
    return (by_input, by_weight, g)[: len(needs)]


linear.vjp(weight=_linear_by_weight, bias=lambda g, bias_shape: g, input=_linear_by_input)
linear.op.names = _names.layer
