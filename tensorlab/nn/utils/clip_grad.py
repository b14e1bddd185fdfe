"""Keeping gradients from exploding."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from types import ModuleType
from typing import Any

import numpy as np

from tensorlab import _backend
from tensorlab._backend import NUMPY, backend_of, on_device_of, to_device
from tensorlab._tensor import Tensor, wrap
from tensorlab.autograd import no_grad

__all__ = ["clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]


@no_grad()
def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all tensors together, as if they were one long vector.

    Args:
        tensors: a tensor or several.
        norm_type: the order; `math.inf` for the largest absolute value.
        error_if_nonfinite: raise if the norm is infinite or not a number.
        foreach: accepted for PyTorch's sake.

    Raises:
        RuntimeError: the norm is not finite, and `error_if_nonfinite`.

    >>> import tensorlab
    >>> get_total_norm([tensorlab.tensor([3.0]), tensorlab.tensor([4.0])])
    tensor(5.)
    """
    arrays = [t._data for t in ([tensors] if isinstance(tensors, Tensor) else tensors)]
    if not arrays:
        return wrap(np.zeros((), np.float32))
    xp, order = backend_of(arrays[0]).xp, float(norm_type)
    with on_device_of(arrays[0]):
        norms = xp.stack(_norms(xp, arrays, order))
        total = xp.asarray(xp.linalg.norm(norms, order), dtype=norms.dtype)
    if error_if_nonfinite and not math.isfinite(float(total)):
        raise RuntimeError(
            f"The total norm of order {order} for gradients from `parameters` is non-finite, so "
            "it cannot be clipped. To disable this error and scale the gradients by the "
            "non-finite norm anyway, set `error_if_nonfinite=False`"
        )
    return wrap(total)


def _norms(xp: ModuleType, arrays: list[Any], order: float) -> list[Any]:
    """The norm of each array, on the device of the first."""

    def norm(array: Any) -> Any:
        flat = array.ravel()
        return xp.linalg.norm(flat, order) if flat.size else flat.sum()

    if not _backend.several:
        return [norm(array) for array in arrays]
    where = backend_of(arrays[0]).device(arrays[0])
    found = []
    for array in arrays:
        with on_device_of(array):
            one = norm(array)
        found.append(to_device(one, where))
    return found


@no_grad()
def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    total_norm: Tensor,
    foreach: bool | None = None,
) -> None:
    """Scale all gradients by `max_norm / total_norm` if that is less than 1, in place."""
    backend = backend_of(total_norm._data)
    with on_device_of(total_norm._data):
        factor = max_norm / (total_norm._data + 1e-6)
        if backend is not NUMPY:  # to look whether it is less, the device would be waited for
            factor = backend.xp.minimum(factor, 1.0)
        elif factor >= 1:
            return
    for grad in _grads(parameters):
        if _backend.several:
            with on_device_of(grad._data):
                grad._data *= to_device(factor, grad.device).astype(grad._data.dtype)
        else:
            grad._data *= factor.astype(grad._data.dtype)
        grad._version_cell[0] += 1


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients, in place, so that their norm together is at most `max_norm`.

    Call it between `backward` and `step`. The direction of the gradient stays.

    Args:
        parameters: whose `.grad` to scale; those without one are left out.
        max_norm: the bound.
        norm_type: the order of the norm; `math.inf` for the largest absolute value.
        error_if_nonfinite: raise if the norm is infinite or not a number.
        foreach: accepted for PyTorch's sake.

    Returns:
        The norm before clipping.

    Source: R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty of training recurrent neural
    networks", ICML 2013.

    >>> import tensorlab
    >>> p = tensorlab.zeros(2, requires_grad=True)
    >>> p.grad = tensorlab.tensor([3.0, 4.0])
    >>> clip_grad_norm_(p, max_norm=1.0)
    tensor(5.)
    >>> p.grad
    tensor([0.6000, 0.8000])
    """
    parameters = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    total = get_total_norm(_grads(parameters), norm_type, error_if_nonfinite)
    clip_grads_with_norm_(parameters, max_norm, total)
    return total


@no_grad()
def clip_grad_value_(
    parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None
) -> None:
    """Cut every number of every gradient to `[-clip_value, clip_value]`, in place."""
    bound = float(clip_value)
    for grad in _grads(parameters):
        array = grad._data
        array.clip(-bound, bound, out=array)
        grad._version_cell[0] += 1


def _grads(parameters: Tensor | Iterable[Tensor]) -> list[Any]:
    parameters = [parameters] if isinstance(parameters, Tensor) else parameters
    return [p.grad for p in parameters if p.grad is not None]


def clip_grad_norm(
    parameters: Any,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Deprecated: `clip_grad_norm_`."""
    warnings.warn(
        "`nn.utils.clip_grad_norm` is now deprecated in favor of `nn.utils.clip_grad_norm_`.",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)
