"""Hooks on the gradients of parameters that go without leaving anything in the engine's way."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from tensorlab._graph import leaf_node
from tensorlab._tensor import Tensor
from tensorlab.autograd.hooks import register_post_accumulate_grad_hook

__all__ = ["on_gradient"]


def on_gradient(stack: ExitStack, parameter: Tensor, hook: Callable[[Tensor], None]) -> None:
    """Call `hook(parameter)` whenever `backward` added to its `.grad`, until `stack` closes.

    A tensor that collects no gradient is left alone.
    """
    if parameter._requires_grad and parameter.is_leaf:
        stack.callback(_tidy, parameter)
        stack.callback(register_post_accumulate_grad_hook(parameter, hook).remove)


def _tidy(parameter: Tensor) -> None:
    """Without hooks a leaf's node needs no place for them, and the engine takes its short way again."""
    node = parameter._node or leaf_node(parameter)
    hooks = node.hooks
    if hooks is not None and not (
        hooks.tensor or hooks.retain or hooks.pre or hooks.post or hooks.accumulate
    ):
        node.hooks = None
