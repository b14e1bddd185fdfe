"""How types are called in error messages."""

from __future__ import annotations

from typing import Any

from tensorlab._tensor import Tensor

__all__ = ["typename"]


def typename(obj: Any) -> str:
    """The type of `obj` for an error message: `tensorlab.Tensor`, `list`, `collections.OrderedDict`.

    As `torch.typename`, but one name for tensors of every dtype.

    >>> typename([1, 2])
    'list'
    """
    kind = type(obj)
    if kind is Tensor:
        return "tensorlab.Tensor"
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"
