"""Adding at places that may repeat, and reading along a dimension, in float32."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab._op import register_kernel
from tensorlab.kernels.cpu.loading import all_float32, native

#: Below this many numbers the generic path is as fast.
FEWEST = 256


def _is_places(x: Any) -> bool:
    return type(x) is np.ndarray and x.dtype == np.int64


def _one_dim(key: Any, ndim: int) -> int | None:
    """The dimension that `key` picks slices of by a vector of places, if that is all it does."""
    key = key if type(key) is tuple else (key,)
    last = len(key) - 1
    if not 0 <= last < ndim or not _is_places(key[last]) or key[last].ndim != 1:
        return None
    return last if all(type(k) is slice and k == slice(None) for k in key[:last]) else None


def _add_at(out: Any, key: Any, more: Any, factor: Any = 1) -> Any:
    """`more` added to `out`, a new array, at a key that picks slices of one dimension."""
    dim = _one_dim(key, out.ndim)
    if dim is None or type(factor) not in (int, float) or not all_float32(more):
        return NotImplemented
    places = key[dim] if type(key) is tuple else key
    if more.shape != (*out.shape[:dim], len(places), *out.shape[dim + 1 :]):
        return NotImplemented
    found = native("scatter")
    return (
        NotImplemented if found is None else found.add_slices(out, dim, places, more, float(factor))
    )


@register_kernel("index", "cpu")
def _index(input: Any, indices: Any) -> Any:
    dim = _one_dim(indices, input.ndim) if all_float32(input) else None
    if not dim or input.size < FEWEST or not input.size:
        return NotImplemented  # whole rows are what NumPy is fast at
    found = native("scatter")
    return NotImplemented if found is None else found.read_slices(input, dim, indices[dim])


@register_kernel("index_accumulate", "cpu")
def _index_accumulate(input: Any, values: Any, indices: Any, alpha: Any) -> Any:
    if not all_float32(input, values) or values.size < FEWEST or not values.size:
        return NotImplemented
    return _add_at(input.copy("C"), indices, values, alpha)


@register_kernel("scatter_to", "cpu")
def _scatter_to(input: Any, shape: Any, key: Any) -> Any:
    if not all_float32(input) or input.size < FEWEST or not input.size:
        return NotImplemented
    if _one_dim(key, len(shape)) is None:
        return NotImplemented
    return _add_at(np.zeros(shape, np.float32), key, input)


def _fits(x: Any, places: Any, dim: Any) -> bool:
    """Whether `places` along `dim` are those of all other positions of x."""
    if not _is_places(places) or places.size < FEWEST or not places.size or type(dim) is not int:
        return False
    if x.ndim != places.ndim or not -x.ndim <= dim < x.ndim:
        return False
    dim %= x.ndim
    return x.shape[:dim] == places.shape[:dim] and x.shape[dim + 1 :] == places.shape[dim + 1 :]


@register_kernel("gather", "cpu")
def _gather(input: Any, index: Any, dim: Any) -> Any:
    if not all_float32(input) or not _fits(input, index, dim):
        return NotImplemented
    found = native("scatter")
    return NotImplemented if found is None else found.read_along(input, dim % input.ndim, index)


def _add_along(out: Any, more: Any, index: Any, dim: Any) -> Any:
    if not all_float32(more) or more.shape != index.shape or not _fits(out, index, dim):
        return NotImplemented
    found = native("scatter")
    return NotImplemented if found is None else found.add_along(out, dim % out.ndim, index, more)


@register_kernel("gather_backward", "cpu")
def _gather_backward(input: Any, index: Any, shape: Any, dim: Any) -> Any:
    return _add_along(np.zeros(shape, np.float32), input, index, dim)


@register_kernel("scatter_add", "cpu")
def _scatter_add(input: Any, src: Any, index: Any, dim: Any) -> Any:
    if not all_float32(input, src) or not _fits(input, index, dim):
        return NotImplemented
    return _add_along(input.copy("C"), src, index, dim)
