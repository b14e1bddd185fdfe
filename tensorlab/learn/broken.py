"""Three trainings, of which some have a bug: lesson 02 asks how to tell which.

If you are a learner: read this file after the lesson has asked for your prediction, not before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Suspect", "overwriting", "suspects"]

Engine = Callable[[Any], None]


class Suspect(NamedTuple):
    """How one training computes its gradients.

    Attributes:
        backward: the engine, a function of the loss.
        clear: whether each step begins with fresh gradients.
    """

    backward: Engine
    clear: bool


def overwriting(topological_order: Callable[[Any], Iterable[Any]]) -> Engine:
    """An engine like lesson 02's that keeps only the last of several contributions."""

    def backward(root: Any) -> None:
        grads = {root: np.ones_like(root.value)}
        for tensor in topological_order(root):
            if not tensor.requires_grad:
                continue
            g = grads[tensor]
            if not tensor.parents:
                tensor.grad = g if tensor.grad is None else tensor.grad + g
                continue
            parts = tensor.rule(g, *tensor.saved)
            for parent, part in zip(tensor.parents, parts, strict=True):
                grads[parent] = part

    return backward


def suspects(
    backward: Engine, topological_order: Callable[[Any], Iterable[Any]]
) -> dict[str, Suspect]:
    """The three trainings of lesson 02, made from the learner's own `backward` and order."""
    return {
        "A": Suspect(backward, clear=True),
        "B": Suspect(overwriting(topological_order), clear=True),
        "C": Suspect(backward, clear=False),
    }
