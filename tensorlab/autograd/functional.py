"""Derivatives of functions rather than of tensors: Jacobians, Hessians and products with them.

Each takes a function of tensors and the point to differentiate at. Forward products (`jvp`,
`hvp`) use the double-backward trick: the vector-Jacobian product is linear in its vector, so its
own derivative by the vector is the Jacobian-vector product (J. Townsend, "A new trick for
calculating Jacobian vector products", 2017).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tensorlab._backend import backend_of, runs_there, to_device
from tensorlab._tensor import Tensor, wrap

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Tensors = Tensor | tuple[Tensor, ...]


def vjp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The function's value and the product vᵀ·J of a vector with its Jacobian.

    v: of the output's shape; may be left out if the output has one element.
    create_graph: record the computation, so that the result can be differentiated.
    strict: raise `RuntimeError` if an output does not depend on an input, rather than give zeros.

    >>> import tensorlab
    >>> from tensorlab.autograd.functional import vjp
    >>> vjp(lambda x: x * x, tensorlab.tensor([1.0, 2.0]), tensorlab.tensor([1.0, 1.0]))
    (tensor([1., 4.]), tensor([2., 4.]))
    """
    single, points = _points(inputs, create_graph)
    out_single, outputs = _evaluate(func, points, strict)
    vectors = _vectors(v, outputs, "output")
    grads = _gradients(outputs, points, vectors, create_graph, strict)
    return _result(out_single, outputs, create_graph), _result(single, grads, create_graph)


def jvp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The function's value and the product J·v of its Jacobian with a vector.

    v: of the input's shape; may be left out if the input has one element.

    >>> import tensorlab
    >>> from tensorlab.autograd.functional import jvp
    >>> jvp(lambda x: x * x, tensorlab.tensor([1.0, 2.0]), tensorlab.tensor([1.0, 0.0]))
    (tensor([1., 4.]), tensor([2., 0.]))
    """
    _single, points = _points(inputs, create_graph)
    vectors = _vectors(v, points, "input")
    out_single, outputs = _evaluate(func, points, strict)
    dummies = [zeros_like(o).requires_grad_() for o in outputs]
    grads = _gradients(outputs, points, dummies, True, strict)
    products = _gradients([g for g in grads if g.requires_grad], dummies, [
        v for g, v in zip(grads, vectors, strict=True) if g.requires_grad
    ], create_graph, strict)  # fmt: skip
    return _result(out_single, outputs, create_graph), _result(out_single, products, create_graph)


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The Jacobian: for each output and input a tensor of shape (*output, *input).

    One backward pass per element of the output. A single input gives a tensor, a tuple a tuple,
    and likewise for outputs. vectorize and strategy are accepted; the result is the same.

    >>> import tensorlab
    >>> from tensorlab.autograd.functional import jacobian
    >>> jacobian(lambda x: x * x, tensorlab.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    from tensorlab.ops.joining import stack

    single, points = _points(inputs, create_graph)
    out_single, outputs = _evaluate(func, points, strict)
    table = []
    for out in outputs:
        rows: list[list[Tensor]] = [[] for _ in points]
        for i in range(out.numel()):
            seed = np.zeros(out.shape, out._data.dtype)
            seed.reshape(-1)[i] = 1
            found = _gradients(
                [out], points, [_on_device_of(seed, out)], create_graph, strict, keep=True
            )
            for row, g in zip(rows, found, strict=True):
                row.append(g)
        blocks = [
            stack(row).reshape((*out.shape, *x.shape))
            if row
            else wrap(np.zeros((*out.shape, *x.shape), x._data.dtype))
            for row, x in zip(rows, points, strict=True)
        ]
        table.append(_result(single, blocks, create_graph))
    return table[0] if out_single else tuple(table)


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The matrix of second derivatives of a function with one output element.

    A single input gives a tensor of shape (*input, *input), a tuple a tuple of tuples.

    >>> import tensorlab
    >>> from tensorlab.autograd.functional import hessian
    >>> hessian(lambda x: (x**3).sum(), tensorlab.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    single, _ = _points(inputs, create_graph)

    def first(*xs: Tensor) -> tuple[Tensor, ...]:
        found = jacobian(_one_element(func), xs, create_graph=True, strict=strict)
        return tuple(g.reshape(x.shape) for g, x in zip(found, xs, strict=True))

    given = (inputs,) if single else tuple(inputs)
    found = jacobian(first, given, create_graph=create_graph, strict=strict)
    return found[0][0] if single else found


def vhp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The function's value and the product vᵀ·H of a vector with its Hessian.

    >>> import tensorlab
    >>> from tensorlab.autograd.functional import vhp
    >>> vhp(lambda x: (x**3).sum(), tensorlab.tensor([1.0, 2.0]), tensorlab.tensor([1.0, 1.0]))
    (tensor(9.), tensor([ 6., 12.]))
    """
    single, points = _points(inputs, create_graph)
    vectors = _vectors(v, points, "input")
    out_single, outputs = _evaluate(_one_element(func), points, strict)
    first = _gradients(outputs, points, [None], True, strict)
    live = [(g, v) for g, v in zip(first, vectors, strict=True) if g.requires_grad]
    second = _gradients([g for g, _ in live], points, [v for _, v in live], create_graph, strict)
    return _result(out_single, outputs, create_graph), _result(single, second, create_graph)


def hvp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The function's value and the product H·v of its Hessian with a vector.

    The Hessian of a function with continuous second derivatives is symmetric (Schwarz), so this
    is `vhp`, which needs one backward pass less.

    >>> import tensorlab
    >>> from tensorlab.autograd.functional import hvp
    >>> hvp(lambda x: (x**3).sum(), tensorlab.tensor([1.0, 2.0]), tensorlab.tensor([1.0, 1.0]))
    (tensor(9.), tensor([ 6., 12.]))
    """
    return vhp(func, inputs, v, create_graph, strict)


@runs_there
def zeros_like(x: Tensor) -> Tensor:
    """Zeros of the same shape, dtype and device, with no history."""
    return wrap(backend_of(x._data).xp.zeros_like(x._data))


@runs_there
def ones_like(x: Tensor) -> Tensor:
    """Ones of the same shape, dtype and device, with no history."""
    return wrap(backend_of(x._data).xp.ones_like(x._data))


# Parts ------------------------------------------------------------------------------------


def _points(inputs: Any, create_graph: bool) -> tuple[bool, list[Tensor]]:
    """The inputs as fresh points to differentiate at; connected to the caller's if `create_graph`."""
    single = isinstance(inputs, Tensor)
    given = [inputs] if single else list(inputs)
    for x in given:
        if not isinstance(x, Tensor):
            raise TypeError(
                f"The inputs must be a Tensor or a tuple of Tensors, got {type(x).__name__}"
            )
    if create_graph:
        return single, [
            x.view_as(x) if x.requires_grad else x.detach().requires_grad_() for x in given
        ]
    return single, [x.detach().clone().requires_grad_() for x in given]


def _evaluate(
    func: Callable[..., Any], points: Sequence[Tensor], strict: bool
) -> tuple[bool, list[Tensor]]:
    result = func(*points)
    single = isinstance(result, Tensor)
    outputs = [result] if single else list(result)
    for i, out in enumerate(outputs):
        if not isinstance(out, Tensor):
            raise TypeError(
                f"The function must return Tensors, got {type(out).__name__} as output {i}"
            )
        if strict and not out.requires_grad:
            raise RuntimeError(
                f"Output {i} of the user-provided function does not require gradients."
            )
    return single, outputs


def _one_element(func: Callable[..., Any]) -> Callable[..., Tensor]:
    def checked(*xs: Tensor) -> Tensor:
        out = func(*xs)
        if not isinstance(out, Tensor) or out.numel() != 1:
            shape = list(out.shape) if isinstance(out, Tensor) else type(out).__name__
            raise RuntimeError(
                f"The Tensor returned by the function given to hessian should contain a single element, got {shape}"
            )
        return out.reshape(())

    return checked


def _vectors(v: Any, likes: Sequence[Tensor], what: str) -> list[Tensor]:
    if v is None:
        if len(likes) != 1 or likes[0].numel() != 1:
            raise RuntimeError(
                f"The vector v can only be None if the user-provided function has a single {what} with a single element"
            )
        return [ones_like(likes[0])]
    vectors = [v] if isinstance(v, Tensor) else list(v)
    if len(vectors) != len(likes) or any(
        a.shape != b.shape for a, b in zip(vectors, likes, strict=False)
    ):
        raise RuntimeError(
            f"v has shapes {[list(a.shape) for a in vectors]}, expected those of the {what}s: "
            f"{[list(b.shape) for b in likes]}"
        )
    return vectors


def _gradients(
    outputs: Sequence[Tensor], points: Sequence[Tensor], vectors: Sequence[Any], create_graph: bool,
    strict: bool, keep: bool = False,
) -> list[Tensor]:  # fmt: skip
    """The gradients, zeros where there is no dependence (an error if `strict`)."""
    from tensorlab.autograd import grad

    live = [(o, v) for o, v in zip(outputs, vectors, strict=True) if o.requires_grad]
    found: Sequence[Any] = [None] * len(points)
    if live:
        found = grad(
            [o for o, _ in live], list(points), [v for _, v in live], retain_graph=keep or create_graph,
            create_graph=create_graph, allow_unused=True,
        )  # fmt: skip
    out = []
    for i, (g, x) in enumerate(zip(found, points, strict=True)):
        if g is None and strict:
            raise RuntimeError(
                f"The output of the user-provided function is independent of input {i}."
            )
        out.append(zeros_like(x) if g is None else g)
    return out


def _result(single: bool, tensors: Sequence[Tensor], create_graph: bool) -> Any:
    shown = [t if create_graph else t.detach() for t in tensors]
    return shown[0] if single else tuple(shown)


def _on_device_of(array: np.ndarray, like: Tensor) -> Tensor:
    return wrap(to_device(array, like.device))
