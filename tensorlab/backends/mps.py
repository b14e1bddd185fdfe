"""Apple's GPUs, which tensorlab cannot use: the answers are what a program asks for before it chooses."""

from __future__ import annotations

__all__ = ["is_available", "is_built"]


def is_built() -> bool:
    """Whether this library knows Apple's GPUs: no.

    >>> is_built()
    False
    """
    return False


def is_available() -> bool:
    """Whether tensors can be put on an Apple GPU: no.

    >>> device = "mps" if is_available() else "cpu"
    """
    return False
