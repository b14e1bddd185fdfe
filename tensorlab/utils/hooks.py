"""Handles that take a hook off again, and the machinery of module backward hooks."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from tensorlab._handles import RemovableHandle
from tensorlab._tensor import Tensor
from tensorlab.autograd import Function, is_grad_enabled
from tensorlab.ops.creation import zeros_like

__all__ = ["BackwardHook", "RemovableHandle"]


class BackwardHookFunction(Function):
    """The identity on several tensors at once: one node where all their gradients meet."""

    @staticmethod
    def forward(ctx: Any, *tensors: Tensor) -> Any:
        ctx.mark_non_differentiable(*[t for t in tensors if not t.requires_grad])
        return tensors

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return grads


class BackwardHook:
    """Calls a module's backward hooks with the gradients of its inputs and of its outputs.

    The two arrive at different times, so the module is put between two identity nodes: the one
    behind the outputs notes their gradients, the one before the inputs calls the hooks.

    Args:
        module: the module, first argument of every hook.
        user_hooks: called as `hook(module, grad_input, grad_output)`.
        user_pre_hooks: called as `hook(module, grad_output)` before the module's backward.
    """

    def __init__(
        self,
        module: Any,
        user_hooks: Sequence[Callable[..., Any]],
        user_pre_hooks: Sequence[Callable[..., Any]],
    ) -> None:
        self.module = module
        self.user_hooks = user_hooks
        self.user_pre_hooks = user_pre_hooks
        self.grad_outputs: tuple[Any, ...] | None = None
        self.input_count = 0
        self.input_places: list[int] | None = None  # None: no input requires grad

    def setup_input_hook(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Put the identity node before the inputs; the inputs to use from now on."""

        def call_user_hooks(grad_inputs: tuple[Any, ...], _: Any) -> tuple[Any, ...] | None:
            if self.grad_outputs is None:
                return None  # the gradient came to the input without passing the output
            places = self.input_places
            assert places is not None
            # As in PyTorch, the hooks see zeros for an input that the gradient does not reach.
            shown = [
                zeros_like(x) if g is None else g for g, x in zip(grad_inputs, like, strict=True)
            ]
            found = _spread(shown, places, self.input_count)
            for hook in self.user_hooks:
                changed = hook(self.module, found, self.grad_outputs)
                if changed is None:
                    continue
                if isinstance(changed, Tensor):
                    changed = (changed,)
                if len(changed) != len(found):
                    raise RuntimeError(
                        "Backward hook returned an invalid number of grad_input, "
                        f"got {len(changed)}, but expected {len(found)}"
                    )
                found = changed
            self.grad_outputs = None
            return tuple(
                None if g is None else found[place]
                for g, place in zip(grad_inputs, places, strict=True)
            )

        like = [arg.detach() for arg in args if isinstance(arg, Tensor)]
        self.input_count = len(args)
        args, self.input_places, node = _through_identity(args)
        if node is not None:
            node.register_hook(call_user_hooks)
        return args

    def setup_output_hook(self, output: Any) -> Any:
        """Put the identity node behind the outputs; the outputs to return."""
        is_tuple = isinstance(output, tuple)
        outputs, places, node = _through_identity(output if is_tuple else (output,))
        if node is None:
            return output
        assert places is not None

        def note_grad_outputs(grads: tuple[Any, ...]) -> tuple[Any, ...]:
            found = _spread(grads, places, len(outputs))
            for hook in self.user_pre_hooks:
                changed = hook(self.module, found)
                if changed is None:
                    continue
                if isinstance(changed, Tensor):
                    changed = (changed,)
                if len(changed) != len(found):
                    raise RuntimeError(
                        "Backward pre hook returned an invalid number of grad_output, "
                        f"got {len(changed)}, but expected {len(found)}"
                    )
                found = changed
            self.grad_outputs = found
            if self.input_places is None:
                self._call_without_inputs()
            return tuple(found[place] for place in places)

        node.register_prehook(note_grad_outputs)
        return outputs if is_tuple else outputs[0]

    def _call_without_inputs(self) -> None:
        """No input takes part in the backward: call the hooks now, with no gradients for them."""
        warnings.warn(
            "Full backward hook is firing when gradients are computed with respect to module "
            "outputs since no inputs require gradients.",
            stacklevel=2,
        )
        nothing = (None,) * self.input_count
        for hook in self.user_hooks:
            changed = hook(self.module, nothing, self.grad_outputs)
            if changed is not None and not all(grad is None for grad in changed):
                raise RuntimeError(
                    "Backward hook for Modules where no input requires gradient should always "
                    "return None or None for all gradients."
                )
        self.grad_outputs = None


def _through_identity(values: tuple[Any, ...]) -> tuple[tuple[Any, ...], list[int] | None, Any]:
    """`values` with its tensors behind one node, the places of the tensors, and the node."""
    places = [i for i, value in enumerate(values) if isinstance(value, Tensor)]
    if not (is_grad_enabled() and any(values[i].requires_grad for i in places)):
        return values, None, None
    passed = BackwardHookFunction.apply(*[values[i] for i in places])
    node = next(t.grad_fn for t in passed if t.grad_fn is not None)
    renewed = list(values)
    for place, tensor in zip(places, passed, strict=True):
        renewed[place] = tensor
    made = type(values)
    # A named tuple takes its fields one by one.
    return made(*renewed) if hasattr(made, "_fields") else tuple(renewed), places, node


def _spread(values: Sequence[Any], places: Sequence[int], count: int) -> tuple[Any, ...]:
    """`values` at their places in a tuple of `count`, None elsewhere."""
    spread: list[Any] = [None] * count
    for place, value in zip(places, values, strict=True):
        spread[place] = value
    return tuple(spread)
