"""Dimension arguments: checking them, and giving a reduced result its dimensions back."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, SupportsIndex, TypeVar

from tensorlab._tensor import normalize_dim

F = TypeVar("F", bound=Callable[..., Any])


def numpy_names(function: F) -> F:
    """Let a function that is no operation take `axis` for `dim` and `keepdims` for `keepdim` too."""

    @functools.wraps(function)
    def renamed(*args: Any, **kwargs: Any) -> Any:
        for theirs, ours in (("axis", "dim"), ("keepdims", "keepdim")):
            if theirs in kwargs:
                kwargs[ours] = kwargs.pop(theirs)
        return function(*args, **kwargs)

    return renamed  # type: ignore[return-value]


def named_size(function: F) -> F:
    """Let a function that takes a shape as `*size` take it as `size=` too."""

    @functools.wraps(function)
    def made(*args: Any, size: Any = None, **kwargs: Any) -> Any:
        return function(*args, **kwargs) if size is None else function(*args, size, **kwargs)

    return made  # type: ignore[return-value]


def as_dim(name: str, dim: Any, ndim: int) -> int:
    """`dim` counted from the front; `TypeError` if it is no integer."""
    # Most dims are plain ints, and asking for a protocol is slow.
    if type(dim) is not int and (isinstance(dim, bool) or not isinstance(dim, SupportsIndex)):
        raise TypeError(f"{name}(): argument 'dim' must be int, not {type(dim).__name__}")
    return normalize_dim(int(dim), ndim)


def as_dims(name: str, dim: Any, ndim: int) -> tuple[int, ...]:
    """All dimensions that `dim` names: every one for None, one for an int, those of a sequence."""
    if dim is None:
        return tuple(range(ndim))
    if type(dim) is int:
        found = normalize_dim(dim, ndim)
        return (found,) if ndim else ()
    if isinstance(dim, (str, bool)) or not isinstance(dim, (int, Sequence, SupportsIndex)):
        raise TypeError(
            f"{name}(): argument 'dim' must be int or tuple of ints, not {type(dim).__name__}"
        )
    listed = dim if isinstance(dim, Sequence) else [dim]
    dims = tuple(as_dim(name, d, ndim) for d in listed)
    for i, d in enumerate(dims):
        if d in dims[:i]:
            raise RuntimeError(f"{name}(): dim {d} appears multiple times in the list of dims")
    # A 0-dim tensor accepts dim 0, but there is no axis to reduce.
    return dims if ndim else ()


def check_flag(name: str, keepdim: Any) -> None:
    """`TypeError` for `x.sum(0, 1)`, which means `x.sum((0, 1))` and would pass as keepdim=True."""
    if keepdim is not False and keepdim is not True:
        raise TypeError(
            f"{name}(): argument 'keepdim' (position 2) must be bool, not {type(keepdim).__name__}; "
            "to reduce several dimensions, give them as a tuple"
        )


def reduced_shape(shape: tuple[int, ...], dims: tuple[int, ...]) -> tuple[int, ...]:
    """`shape` with 1 at each of `dims`: what a reduction with keepdim=True returns."""
    return tuple(1 if i in dims else n for i, n in enumerate(shape))


def count(shape: tuple[int, ...], dims: tuple[int, ...]) -> int:
    """How many elements go into one element of the result."""
    n = 1
    for d in dims:
        n *= shape[d]
    return n


def like(number: Any, g: Any) -> Any:
    """Counts (bool or whole numbers) as numbers of the type of `g`, so that dividing by them keeps it."""
    if hasattr(number, "_data"):
        return number.to(g.dtype)
    return number.astype(g.dtype)


def restore(g: Any, shape: tuple[int, ...], dim: Any, keepdim: bool) -> Any:
    """Give a reduction's result (or its gradient) the reduced dimensions back, with size 1.

    It then broadcasts against the reduction's input, whose shape is `shape`.
    """
    if keepdim or not shape:
        return g
    return g.reshape(reduced_shape(shape, as_dims("reduction", dim, len(shape))))
