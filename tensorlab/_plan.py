"""What a call leaves behind for its gradient: which values are kept, and which rules read them."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any, NamedTuple

# What a plan keeps: the value of an input or of the outputs (guarded by versions), the shape of
# an input, all inputs or shapes of an op on a sequence of tensors, or what a user's Function saved.
INPUT, OUTPUT, SHAPE, INPUTS, SHAPES, RECORDS = range(6)


class Plan(NamedTuple):
    """What one set of inputs that need gradients makes the graph keep and run.

    `pick(reads)` gives a rule's arguments out of the list `[g, *saved, *params]`, to which `needs`
    is added for a joint rule.
    """

    saves: tuple[tuple[int, int], ...]  # what to keep (INPUT, OUTPUT, …), and of which input
    rules: tuple[tuple[int, Callable[..., Any], Callable[..., Any]], ...]  # (input, rule, pick)
    joint: tuple[Callable[..., Any], Callable[..., Any]] | None  # (rule, pick)
    needs: tuple[bool, ...]


def picker(*positions: int) -> Callable[[list[Any]], tuple[Any, ...]]:
    """A function that picks these positions out of a list, as a tuple."""
    if len(positions) == 1:
        (only,) = positions
        return lambda reads: (reads[only],)
    return itemgetter(*positions) if positions else lambda reads: ()
