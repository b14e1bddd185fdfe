"""A gradient that knows nothing of gradients: the oracle of exercises that have one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tensorlab.learn.values import as_array

__all__ = ["numeric_grad"]


def numeric_grad(
    fn: Callable[..., Any],
    *inputs: Any,
    wrt: int = 0,
    grad_output: Any = None,
    eps: float = 1e-6,
) -> np.ndarray:
    """The gradient of ``(fn(*inputs) * grad_output).sum()`` by central differences, in float64.

    An oracle for exercises with gradients: it knows nothing of how the gradient is computed.

    Args:
        fn: a function of arrays that returns an array or a number; it is given float64 arrays.
        inputs: arrays, tensors or numbers. Floating ones are converted to float64.
        wrt: the position of the input to differentiate with respect to.
        grad_output: the gradient that flows in, of the output's shape; default all ones.
        eps: the step. The error is about eps² plus rounding, near 1e-9 for values near 1.

    Returns:
        A float64 array of the shape of ``inputs[wrt]``.

    >>> numeric_grad(lambda x: x ** 2, np.array([1.0, 3.0])).round(6)
    array([2., 6.])
    >>> numeric_grad(lambda a, b: a @ b, np.ones((2, 3)), np.ones((3, 1)), wrt=1).round(6)
    array([[2.],
           [2.],
           [2.]])
    """

    def prepared(value: Any) -> Any:
        array = np.array(as_array(value))
        return array.astype(np.float64) if array.dtype.kind == "f" else array

    arrays = [prepared(value) for value in inputs]
    if not 0 <= wrt < len(arrays):
        raise ValueError(f"wrt={wrt}: there are {len(arrays)} inputs, counted from 0")
    x = arrays[wrt]
    if x.dtype.kind != "f":
        raise TypeError(f"can't differentiate with respect to an input of dtype {x.dtype}")
    weight = None if grad_output is None else np.asarray(as_array(grad_output), np.float64)
    grad = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        kept = x[index]
        ends = []
        for end in (kept + eps, kept - eps):
            x[index] = end
            ends.append(np.array(as_array(fn(*arrays)), dtype=np.float64))
        x[index] = kept
        difference = ends[0] - ends[1]
        if weight is not None:
            if weight.shape != difference.shape:
                raise ValueError(
                    f"grad_output has shape {weight.shape}, but the function returns shape "
                    f"{difference.shape}"
                )
            difference = difference * weight
        grad[index] = difference.sum() / (2 * eps)
    return grad
