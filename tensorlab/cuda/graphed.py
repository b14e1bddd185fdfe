"""Functions and modules whose forward and backward are CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensorlab import autograd
from tensorlab._tensor import Tensor
from tensorlab.cuda.graphs import CUDAGraph, _cupy, graph, graph_pool_handle
from tensorlab.nn import Module
from tensorlab.ops.creation import empty_like

__all__ = ["make_graphed_callables"]


def make_graphed_callables(
    callables: Any,
    sample_args: tuple[Any, ...],
    num_warmup_iters: int = 3,
    allow_unused_input: bool = False,
    pool: Any = None,
) -> Any:
    """Versions of functions or modules that run as CUDA graphs, forward and backward.

    They take the place of the originals in an ordinary training loop: a part of a network whose shapes do
    not change is captured, the rest runs as always. A module is changed itself: its `forward` runs the graph
    as long as it is in the mode (training or not) in which it was captured.

    Args:
        callables: a function or `nn.Module`, or a tuple of them, in the order in which they will run.
        sample_args: a tuple of tensors for it (a tuple of such tuples for several) like those to come: of
            the same shapes, dtypes and `requires_grad`. They become the graph's own: do not use them again.
        num_warmup_iters: how often to run before capturing.
        allow_unused_input: whether an input may have no part in the outputs.
        pool: see `CUDAGraph.capture_begin`.

    Returns:
        What takes the place of `callables`: a module itself, or a function. Outputs stay valid until the
        next call. Second derivatives are not available.

    Raises:
        AssertionError: a module has hooks, or buffers that require gradients; an argument is no tensor.
        RuntimeError: something in it cannot be captured.
    """
    alone = not isinstance(callables, tuple)
    parts = (callables,) if alone else callables
    samples = (sample_args,) if alone else sample_args
    made = [_Part(c, args) for c, args in zip(parts, samples, strict=True)]
    memory = graph_pool_handle() if pool is None else pool
    _warm_up(made, num_warmup_iters, allow_unused_input)
    # In the order in which they will run: what one leaves in the pool's memory, the next may overwrite.
    for part in made:
        part.capture_forward(memory)
    for part in reversed(made):
        part.capture_backward(memory, allow_unused_input)
    found = tuple(part.replacement() for part in made)
    return found[0] if alone else found


def _warm_up(parts: list[_Part], times: int, allow_unused: bool) -> None:
    cupy = _cupy()
    cupy.cuda.Device().synchronize()
    with cupy.cuda.Stream(non_blocking=True):
        for part in parts:
            for _ in range(times):
                outputs = _flat(part.run(*part.args))
                part.gradients([o for o in outputs if o.requires_grad], None, allow_unused)
    cupy.cuda.Device().synchronize()


def _flat(value: Any) -> list[Any]:
    """The tensors of a tensor, or of tuples, lists and dicts of them, in order."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        return [t for v in value.values() for t in _flat(v)]
    if isinstance(value, (tuple, list)):
        return [t for v in value for t in _flat(v)]
    raise AssertionError(
        f"make_graphed_callables: outputs must be tensors, in tuples, lists or dicts, not {type(value).__name__}"
    )


def _like(value: Any, tensors: Any) -> Any:
    """The structure of `value` with other tensors, taken from an iterator."""
    if isinstance(value, Tensor):
        return next(tensors)
    if isinstance(value, dict):
        return {key: _like(v, tensors) for key, v in value.items()}
    parts = [_like(v, tensors) for v in value]
    if hasattr(value, "_fields"):  # a named tuple
        return type(value)(*parts)
    return type(value)(parts)


class _Part:
    """One function or module: its places for inputs and outputs, and its two graphs."""

    def __init__(self, function: Any, args: tuple[Any, ...]) -> None:
        self.function, self.args = function, tuple(args)
        is_module = isinstance(function, Module)
        # A module's own forward: once `forward` is replaced, calling the module would run the graph.
        self.run: Callable[..., Any] = function.forward if is_module else function
        if is_module:
            hooks = (function._backward_hooks, function._forward_hooks, function._forward_pre_hooks)
            if any(hooks):
                raise AssertionError(
                    "Modules must not have hooks registered at the time they are passed. However, registering "
                    "hooks on modules after passing them through make_graphed_callables is allowed."
                )
            if any(b.requires_grad for b in function.buffers()):
                raise AssertionError(
                    "In any module passed to make_graphed_callables, only parameters may be trainable. All "
                    "buffers must have requires_grad=False."
                )
        if not all(isinstance(a, Tensor) for a in self.args):
            raise AssertionError(
                "make_graphed_callables: sample_args for each callable must contain only Tensors. Other types "
                "are not allowed."
            )
        self.surface = (*self.args, *(function.parameters() if is_module else ()))
        self.wanted = [i for i, t in enumerate(self.surface) if t.requires_grad]
        self.forward, self.backward = CUDAGraph(), CUDAGraph()

    def gradients(self, outputs: list[Any], slopes: Any, allow_unused: bool) -> Any:
        inputs = [self.surface[i] for i in self.wanted]
        if not outputs or not inputs:
            return []
        slopes = [empty_like(o) for o in outputs] if slopes is None else slopes
        return autograd.grad(outputs, inputs, slopes, allow_unused=allow_unused)

    def capture_forward(self, memory: Any) -> None:
        with graph(self.forward, pool=memory):
            self.result = self.run(*self.args)
        self.outputs = _flat(self.result)

    def capture_backward(self, memory: Any, allow_unused: bool) -> None:
        with_slope = [o for o in self.outputs if o.requires_grad]
        slopes = [empty_like(o) for o in with_slope]
        found: Any = []
        self.runs_backward = bool(with_slope and self.wanted)
        if self.runs_backward:
            with graph(self.backward, pool=memory):
                found = self.gradients(with_slope, slopes, allow_unused)
        places = iter(slopes)
        self.slopes = [next(places) if o.requires_grad else None for o in self.outputs]
        gradients: list[Any] = [None] * len(self.surface)
        for i, gradient in zip(self.wanted, found, strict=False):
            gradients[i] = gradient
        self.found = gradients

    def replacement(self) -> Any:
        """The module, its forward replaced; or a function that does the same."""
        part = self

        class Graphed(autograd.Function):
            """Forward and backward of the part are a graph each."""

            @staticmethod
            def forward(ctx: Any, *inputs: Any) -> Any:
                for place, new in zip(part.args, inputs, strict=False):
                    if place._data is not new._data:
                        place.detach().copy_(new.detach())
                part.forward.replay()
                outputs = tuple(o.detach() for o in part.outputs)
                pairs = zip(outputs, part.outputs, strict=True)
                ctx.mark_non_differentiable(*[o for o, made in pairs if not made.requires_grad])
                return outputs

            @staticmethod
            def backward(ctx: Any, *slopes: Any) -> Any:
                for place, new in zip(part.slopes, slopes, strict=True):
                    if place is not None and new is not None and place._data is not new._data:
                        place.copy_(new)
                if part.runs_backward:
                    part.backward.replay()
                return tuple(None if g is None else g.detach() for g in part.found)

        def run(*args: Any) -> Any:
            if len(args) != len(part.args):
                raise TypeError(
                    f"this graphed callable was captured with {len(part.args)} arguments, but was called with "
                    f"{len(args)}"
                )
            found = Graphed.apply(*args, *part.surface[len(part.args) :])
            outputs = found if isinstance(found, tuple) else (found,)
            return _like(part.result, iter(outputs))

        function = self.function
        if not isinstance(function, Module):
            return run
        captured_in_training, original = function.training, self.run

        def forward(*args: Any, **kwargs: Any) -> Any:
            if function.training == captured_in_training and not kwargs:
                return run(*args)
            return original(*args, **kwargs)

        function.forward = forward  # type: ignore[method-assign]
        return function
