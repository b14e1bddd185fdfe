"""Sums of products: einsum, tensordot, inner, kron, cross, trace, powers of matrices.

`einsum` names the dimensions of each operand by letters: equal letters run together, letters
that the output lacks are summed. Two operands at a time become one batched matrix product:
letters of both and of the output are the batch, letters of both alone are the inner dimension.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tensorlab._autocast import autocasts, autocasts_within
from tensorlab._tensor import Tensor
from tensorlab.ops._dims import as_dim
from tensorlab.ops._out import with_out
from tensorlab.ops.elementwise import conj, mul
from tensorlab.ops.joining import roll
from tensorlab.ops.linalg import bmm, matmul, mv, outer
from tensorlab.ops.reduce import sum as sum_
from tensorlab.ops.shape import expand, permute, reshape
from tensorlab.ops.strided import diagonal

# Letters of an ellipsis are numbers from the right: -1 is the last dimension it stands for.
Label = Any


def einsum(equation: Any, *operands: Any) -> Any:
    """The sum of products that `equation` describes, e.g. `"ij,jk->ik"` for the matrix product.

    equation: letters for the dimensions of each operand, comma between operands, `->` and the
        letters of the result. Without `->` the result has all letters that occur once, in
        alphabetical order. `...` stands for any further dimensions, which broadcast. A letter
        twice in one operand takes its diagonal.

    Raises `RuntimeError` if the letters don't fit the operands' dimensions or their sizes.

    >>> import tensorlab as tl
    >>> a, b = tl.ones(2, 3), tl.ones(3, 4)
    >>> tl.einsum("ij,jk->ik", a, b).shape
    tensorlab.Size([2, 4])
    """
    if not isinstance(equation, str):
        equation, operands = _from_sublists([equation, *operands])
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    terms, output = _parse(equation, operands)
    tensors = [_without_repeats(x, labels) for x, labels in zip(operands, terms, strict=True)]
    sizes = _sizes(tensors)
    left, labels = tensors[0]
    for i, (right, more) in enumerate(tensors[1:], start=1):
        later = {label for _, names in tensors[i + 1 :] for label in names} | set(output)
        left, labels = _pair(left, labels, right, more, later, sizes)
    return _arranged(left, labels, output)


def _from_sublists(arguments: list[Any]) -> tuple[str, tuple[Any, ...]]:
    """`einsum(x, [0, 1], y, [1, 2], [0, 2])`, the form with numbers, as an equation with letters."""
    if len(arguments) < 2 or not isinstance(arguments[0], Tensor):
        raise TypeError(
            f"einsum(): argument 'equation' (position 1) must be str, not {type(arguments[0]).__name__}"
        )

    def letters(numbers: Sequence[Any]) -> str:
        return "".join(
            "..." if n is Ellipsis else chr(ord("A") + n) if n < 26 else chr(ord("a") + n - 26)
            for n in numbers
        )

    pairs = len(arguments) // 2
    equation = ",".join(letters(arguments[2 * i + 1]) for i in range(pairs))
    if len(arguments) % 2:
        equation += "->" + letters(arguments[-1])
    return equation, tuple(arguments[2 * i] for i in range(pairs))


def _parse(equation: str, operands: Sequence[Any]) -> tuple[list[list[Label]], list[Label]]:
    """The labels of each operand's dimensions, and of the result's."""
    if not operands:
        raise RuntimeError("einsum(): must provide at least one operand")
    inputs, arrow, result = equation.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if len(terms) != len(operands):
        more = "more" if len(operands) > len(terms) else "fewer"
        raise RuntimeError(
            f"einsum(): {more} operands were provided than specified in the equation: {len(operands)} for {equation!r}"
        )
    labels = []
    for i, (term, x) in enumerate(zip(terms, operands, strict=True)):
        ndim, before, dots, after = len(x.shape), *term.partition("...")
        _require_letters(before + after, term)
        named = len(before) + len(after)
        if named > ndim or (not dots and named != ndim):
            hint = "" if dots else " and no ellipsis was given"
            raise RuntimeError(
                f"einsum(): the number of subscripts in the equation ({named}) does not match the number of dimensions "
                f"({ndim}) for operand {i}{hint}"
            )
        labels.append([*before, *range(named - ndim, 0), *after])
    covered = sorted({label for names in labels for label in names if isinstance(label, int)})
    if not arrow:
        every = [label for names in labels for label in names]
        once = sorted(
            {label for label in every if isinstance(label, str) and every.count(label) == 1}
        )
        return labels, [*covered, *once]
    before, dots, after = result.partition("...")
    _require_letters(before + after, result)
    output: list[Label] = [*before, *(covered if dots else []), *after]
    for label in output:
        if output.count(label) > 1:
            raise RuntimeError(
                f"einsum(): output subscript {label} appears more than once in the output"
            )
        if not any(label in names for names in labels):
            raise RuntimeError(
                f"einsum(): output subscript {label} does not appear in the equation for any input operand"
            )
    return labels, output


def _require_letters(term: str, shown: str) -> None:
    for letter in term:
        if not (letter.isascii() and letter.isalpha()):
            raise RuntimeError(
                f"einsum(): invalid subscript given: {letter!r} in {shown!r}, subscripts must be in [a-zA-Z]"
            )


def _without_repeats(x: Any, labels: list[Label]) -> tuple[Any, list[Label]]:
    """The diagonal over dimensions of one letter."""
    labels = list(labels)
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            a = labels.index(label)
            b = labels.index(label, a + 1)
            if x.shape[a] != x.shape[b]:
                raise RuntimeError(
                    f"einsum(): subscript {label} is repeated but the sizes don't match, {x.shape[b]} != {x.shape[a]}"
                )
            x = diagonal(x, 0, a, b)
            labels = [name for i, name in enumerate(labels) if i not in (a, b)] + [label]
    return x, labels


def _sizes(tensors: list[tuple[Any, list[Label]]]) -> dict[Label, int]:
    """The size of each label; size 1 broadcasts."""
    sizes: dict[Label, int] = {}
    for i, (x, labels) in enumerate(tensors):
        for label, n in zip(labels, x.shape, strict=True):
            before = sizes.get(label, 1)
            if before != 1 and n not in (1, before):
                raise RuntimeError(
                    f"einsum(): subscript {label} has size {n} for operand {i} which does not broadcast with "
                    f"previously seen size {before}"
                )
            sizes[label] = n if before == 1 else before
    return sizes


def _pair(
    left: Any,
    a: list[Label],
    right: Any,
    b: list[Label],
    later: set[Label],
    sizes: dict[Label, int],
) -> tuple[Any, list[Label]]:
    """The product of two operands, summed over the labels that nobody needs later."""
    left, a = _summed(left, a, {label for label in a if label not in later and label not in b})
    right, b = _summed(right, b, {label for label in b if label not in later and label not in a})
    batch = [label for label in a if label in b and label in later]
    inner = [label for label in a if label in b and label not in later]
    rows, columns = [x for x in a if x not in b], [x for x in b if x not in a]
    left = _stretched(
        permute(left, [a.index(x) for x in batch + rows + inner]), batch + rows + inner, sizes
    )
    right = _stretched(
        permute(right, [b.index(x) for x in batch + inner + columns]),
        batch + inner + columns,
        sizes,
    )

    def extent(names: list[Label]) -> tuple[int, ...]:
        return tuple(sizes[x] for x in names)

    n, m, k = math.prod(extent(rows)), math.prod(extent(columns)), math.prod(extent(inner))
    if not inner:
        # Nothing to sum: plain multiplication with broadcasting.
        product = mul(reshape(left, (*extent(batch), n, 1)), reshape(right, (*extent(batch), 1, m)))
    else:
        product = matmul(
            reshape(left, (*extent(batch), n, k)), reshape(right, (*extent(batch), k, m))
        )
    labels = batch + rows + columns
    return reshape(product, extent(labels)), labels


def _summed(x: Any, labels: list[Label], away: set[Label]) -> tuple[Any, list[Label]]:
    if not away:
        return x, labels
    return sum_(x, tuple(i for i, label in enumerate(labels) if label in away)), [
        x for x in labels if x not in away
    ]


def _stretched(x: Any, labels: list[Label], sizes: dict[Label, int]) -> Any:
    full = tuple(sizes[label] for label in labels)
    return x if tuple(x.shape) == full else expand(x, full)


def _arranged(x: Any, labels: list[Label], output: list[Label]) -> Any:
    x, labels = _summed(x, labels, {label for label in labels if label not in output})
    return permute(x, [labels.index(label) for label in output])


# Products with fixed letters --------------------------------------------------------------


@with_out
def tensordot(a: Any, b: Any, dims: Any = 2) -> Any:
    """The product summed over pairs of dimensions: the last `dims` of `a` with the first of `b`.

    dims: their number, or two lists: which of `a`, and which of `b` in the same order.

    >>> import tensorlab as tl
    >>> tl.tensordot(tl.ones(2, 3), tl.ones(3, 4), dims=1).shape
    tensorlab.Size([2, 4])
    """
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        of_a, of_b = list(range(len(a.shape) - dims, len(a.shape))), list(range(dims))
    else:
        of_a, of_b = ([d] if isinstance(d, int) else list(d) for d in dims)
    of_a = [as_dim("tensordot", d, len(a.shape)) for d in of_a]
    of_b = [as_dim("tensordot", d, len(b.shape)) for d in of_b]
    if len(of_a) != len(of_b):
        raise RuntimeError("both dimension lists should have same length")
    for i, j in zip(of_a, of_b, strict=True):
        if a.shape[i] != b.shape[j]:
            raise RuntimeError(
                f"contracted dimensions need to match, but first has size {a.shape[i]} in dim {i} and second "
                f"has size {b.shape[j]} in dim {j}"
            )
    rest_a = [d for d in range(len(a.shape)) if d not in of_a]
    rest_b = [d for d in range(len(b.shape)) if d not in of_b]
    k = math.prod(a.shape[d] for d in of_a)
    left = reshape(permute(a, rest_a + of_a), (math.prod(a.shape[d] for d in rest_a), k))
    right = reshape(permute(b, of_b + rest_b), (k, math.prod(b.shape[d] for d in rest_b)))
    return reshape(
        matmul(left, right), (*(a.shape[d] for d in rest_a), *(b.shape[d] for d in rest_b))
    )


@with_out
def inner(input: Any, other: Any) -> Any:
    """The products summed over the last dimension of both; of vectors the dot product.

    >>> import tensorlab as tl
    >>> tl.inner(tl.tensor([1., 2.]), tl.tensor([3., 4.]))
    tensor(11.)
    """
    if len(input.shape) == 0 or len(other.shape) == 0:
        return mul(input, other)
    return tensordot(input, other, ([-1], [-1]))


@with_out
def vdot(input: Any, other: Any) -> Any:
    """The dot product of two vectors, the first one conjugated.

    >>> import tensorlab as tl
    >>> tl.vdot(tl.tensor([1., 2.]), tl.tensor([3., 4.]))
    tensor(11.)
    """
    return tensordot(conj(input), other, 1)


@autocasts
@with_out
def vecdot(x: Any, y: Any, *, dim: int = -1) -> Any:
    """The dot products along `dim`, the first operand conjugated, with broadcasting.

    >>> import tensorlab as tl
    >>> tl.linalg.vecdot(tl.ones(2, 3), tl.ones(3))
    tensor([3., 3.])
    """
    return sum_(mul(conj(x), y), dim)


@with_out
def kron(input: Any, other: Any) -> Any:
    """The Kronecker product: each element of `input` times the whole of `other`, in place of the element.

    >>> import tensorlab as tl
    >>> tl.kron(tl.eye(2), tl.ones(1, 2))
    tensor([[1., 1., 0., 0.],
            [0., 0., 1., 1.]])
    """
    ndim = max(len(input.shape), len(other.shape))
    a = (1,) * (ndim - len(input.shape)) + tuple(input.shape)
    b = (1,) * (ndim - len(other.shape)) + tuple(other.shape)
    spread_a = reshape(input, [n for pair in zip(a, (1,) * ndim, strict=True) for n in pair])
    spread_b = reshape(other, [n for pair in zip((1,) * ndim, b, strict=True) for n in pair])
    return reshape(mul(spread_a, spread_b), tuple(m * n for m, n in zip(a, b, strict=True)))


@with_out
def cross(input: Any, other: Any, dim: int | None = None) -> Any:
    """The cross product of vectors of three elements along `dim` (the first of size 3 unless given).

    >>> import tensorlab as tl
    >>> tl.cross(tl.tensor([1., 0., 0.]), tl.tensor([0., 1., 0.]))
    tensor([0., 0., 1.])
    """
    if dim is None:
        dim = next((d for d, n in enumerate(input.shape) if n == 3), None)
        if dim is None:
            raise RuntimeError(f"no dimension of size 3 in input: {list(input.shape)}")
    if input.shape[dim] != 3 or other.shape[dim] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got {input.shape[dim]} and {other.shape[dim]}"
        )
    return mul(roll(input, -1, dim), roll(other, -2, dim)) - mul(
        roll(input, -2, dim), roll(other, -1, dim)
    )


@autocasts_within
def trace(input: Any) -> Any:
    """The sum of the diagonal of a matrix.

    >>> import tensorlab as tl
    >>> tl.trace(tl.tensor([[1., 2.], [3., 4.]]))
    tensor(5.)
    """
    if len(input.shape) != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {len(input.shape)}")
    return sum_(diagonal(input))


@with_out
def matrix_power(input: Any, n: int) -> Any:
    """The n-th power of square matrices, by squaring; a negative one of the inverse.

    >>> import tensorlab as tl
    >>> tl.matrix_power(tl.tensor([[1., 1.], [0., 1.]]), 3)
    tensor([[1., 3.],
            [0., 1.]])
    """
    from tensorlab.ops.creation import eye

    if len(input.shape) < 2 or input.shape[-1] != input.shape[-2]:
        raise RuntimeError(
            f"linalg.matrix_power: A must be batches of square matrices, but they are of shape {list(input.shape)}"
        )
    if n < 0:
        from tensorlab.ops.decompose import inv

        return matrix_power(inv(input), -n)
    if n == 0:
        one = eye(input.shape[-1], dtype=input.dtype, device=input.device)
        return expand(one, tuple(input.shape)) * 1
    result, square = None, input
    while n:
        if n & 1:
            result = square if result is None else matmul(result, square)
        n >>= 1
        if n:
            square = matmul(square, square)
    return result


@with_out
def addmv(input: Any, mat: Any, vec: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """`beta · input + alpha · mat @ vec`.

    >>> import tensorlab as tl
    >>> tl.addmv(tl.ones(2), tl.eye(2), tl.tensor([1., 2.]))
    tensor([2., 3.])
    """
    return input * beta + mv(mat, vec) * alpha


@with_out
def addr(input: Any, vec1: Any, vec2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """`beta · input + alpha · outer(vec1, vec2)`.

    >>> import tensorlab as tl
    >>> tl.addr(tl.zeros(1, 2), tl.tensor([2.]), tl.tensor([1., 3.]))
    tensor([[2., 6.]])
    """
    return input * beta + outer(vec1, vec2) * alpha


@autocasts
@with_out
def addbmm(input: Any, batch1: Any, batch2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """`beta · input` plus `alpha` times the sum over the batch of the products of matrices.

    >>> import tensorlab as tl
    >>> tl.addbmm(tl.zeros(1, 1), tl.ones(3, 1, 2), tl.ones(3, 2, 1))
    tensor([[6.]])
    """
    product = sum_(bmm(batch1, batch2), 0) * alpha
    return product if beta == 0 else input * beta + product


def chain_matmul(*matrices: Any) -> Any:
    """The product of matrices, in the order that multiplies least; see `linalg.multi_dot`.

    >>> import tensorlab as tl
    >>> tl.chain_matmul(tl.ones(2, 3), tl.ones(3, 1), tl.ones(1, 2)).shape
    tensorlab.Size([2, 2])
    """
    return multi_dot(matrices)


@with_out
def multi_dot(tensors: Sequence[Any]) -> Any:
    """The product of two or more matrices, in the order that multiplies least.

    The first and the last may be vectors. The order is found by dynamic programming (Cormen et al.,
    Introduction to Algorithms, section 15.2).

    >>> import tensorlab as tl
    >>> tl.linalg.multi_dot([tl.ones(2, 3), tl.ones(3, 1), tl.ones(1, 2)]).shape
    tensorlab.Size([2, 2])
    """
    n = len(tensors)
    if n < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {n}")
    first, last = tensors[0], tensors[-1]
    chain = [
        first.unsqueeze(0) if first.ndim == 1 else first,
        *tensors[1:-1],
        last.unsqueeze(1) if last.ndim == 1 else last,
    ]
    extents = [chain[0].shape[0], *(x.shape[1] for x in chain)]
    cost = {(i, i): (0, i) for i in range(n)}
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            cost[i, j] = min(
                (
                    cost[i, k][0]
                    + cost[k + 1, j][0]
                    + extents[i] * extents[k + 1] * extents[j + 1],
                    k,
                )
                for k in range(i, j)
            )

    def product(i: int, j: int) -> Any:
        if i == j:
            return chain[i]
        k = cost[i, j][1]
        return matmul(product(i, k), product(k + 1, j))

    out = product(0, n - 1)
    if last.ndim == 1:
        out = out.squeeze(1)
    return out.squeeze(0) if first.ndim == 1 else out


for _name, _method in {
    "inner": inner, "vdot": vdot, "kron": kron, "cross": cross, "trace": trace, "matrix_power": matrix_power,
    "addmv": addmv, "addr": addr, "addbmm": addbmm,
}.items():  # fmt: skip
    setattr(Tensor, _name, _method)
