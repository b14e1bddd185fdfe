"""All parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from tensorlab._tensor import Tensor
from tensorlab.ops.joining import cat
from tensorlab.utils._names import typename

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """One vector of all parameters, flattened and joined; differentiable.

    Raises:
        TypeError: the parameters are on different devices.

    >>> import tensorlab
    >>> parameters_to_vector([tensorlab.zeros(2, 2), tensorlab.ones(1)])
    tensor([0., 0., 0., 0., 1.])
    """
    parameters = list(parameters)
    _check_device(parameters)
    return cat([p.reshape(-1) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Make slices of `vec`, in order, the values of the parameters (which then share its memory).

    Raises:
        TypeError: `vec` is not a tensor, or the parameters are on different devices.
        RuntimeError: `vec` has fewer numbers than the parameters.
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected tensorlab.Tensor, but got: {typename(vec)}")
    parameters = list(parameters)
    _check_device(parameters)
    wanted = sum(p.numel() for p in parameters)
    if vec.numel() < wanted:
        raise RuntimeError(
            f"the parameters have {wanted} numbers together, but the vector only {vec.numel()}"
        )
    start = 0
    for p in parameters:
        end = start + p.numel()
        p.data = vec[start:end].view_as(p).data
        start = end


def _check_device(parameters: list[Tensor]) -> None:
    if len({str(p.device) for p in parameters}) > 1:
        raise TypeError(
            "Found two parameters on different devices, this is currently not supported."
        )
