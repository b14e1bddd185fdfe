"""What the kernels of activations take over, on every device."""

from __future__ import annotations

from typing import Any

__all__ = ["accepts"]


def accepts(name: str, numbers: tuple[Any, ...]) -> bool:
    """Whether a kernel says what the activation `name` says, for such numbers as it is called with."""
    if not all(type(n) in (int, float) for n in numbers):
        return False
    if name == "softplus":
        return numbers[0] != 0
    return name != "elu" or numbers[2] > 0
