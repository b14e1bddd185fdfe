"""How types are called in error messages."""

from __future__ import annotations

from typing import Any

from tensorlab._tensor import Tensor

__all__ = ["typename"]


def typename(obj: Any) -> str:
    """The type of `obj` for an error message, as `torch.typename` has it.

    >>> typename([1, 2])
    'list'
    >>> import tensorlab
    >>> typename(tensorlab.zeros(1))
    'tensorlab.FloatTensor'
    """
    if isinstance(obj, Tensor):
        return obj.type()
    kind = type(obj)
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"
