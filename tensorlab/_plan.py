"""What a call leaves behind for its gradient: which values are kept, and which rules read them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# What a plan keeps: the value of an input or of the outputs (guarded by versions), the shape of
# an input, all inputs or shapes of an op on a sequence of tensors, or what a user's Function saved.
INPUT, OUTPUT, SHAPE, INPUTS, SHAPES, RECORDS = range(6)

#: A gradient rule, and where its arguments stand in the list `[g, *saved, *params, needs]`.
Reader = tuple[Callable[..., Any], tuple[int, ...]]


class Plan:
    """What one set of inputs that need gradients makes the graph keep and run.

    saves: what to keep (INPUT, OUTPUT, …), and of which input. guards: whether any of it is more
    than shapes. rules: `(input, rule, positions)` for each input that needs a gradient; or joint:
    `(rule, positions)` of the rule that gives all of them. needs: which inputs need a gradient.
    over: whether a kernel of the one rule can write over the gradient that it is given.
    record, pull: the same in straight-line code, see `_unrolled`; None where there is no such code.
    """

    __slots__ = ("guards", "joint", "needs", "over", "pull", "record", "rules", "saves")
    record: Callable[..., Any]
    pull: Callable[..., Any] | None

    def __init__(
        self,
        saves: tuple[tuple[int, int], ...],
        rules: tuple[tuple[int, Callable[..., Any], tuple[int, ...]], ...],
        joint: Reader | None,
        needs: tuple[bool, ...],
    ) -> None:
        self.saves = saves
        self.guards = any(what != SHAPE and what != SHAPES for what, _ in saves)
        self.rules = rules
        self.joint = joint
        self.needs = needs
        self.over = False
        self.pull = None
