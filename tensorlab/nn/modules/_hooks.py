"""Hooks: functions that run before or after a module's forward or backward.

They let you look at (or change) what flows through a model without editing it: profilers,
gradient plots and feature extractors are hooks. Every `register_*` returns a handle whose
`remove()` takes the hook off again; the handle is also a context manager.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tensorlab._tensor import Tensor
from tensorlab.utils.hooks import BackwardHook, RemovableHandle

if TYPE_CHECKING:
    from tensorlab.nn.modules.module import Module

__all__ = [
    "Hooks",
    "register_module_buffer_registration_hook",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
    "register_module_module_registration_hook",
    "register_module_parameter_registration_hook",
]

Hook = Callable[..., Any]
_HookDict = OrderedDict[int, Any]

# Hooks on all modules; for debugging and profiling.
global_forward_pre_hooks: _HookDict = OrderedDict()
global_forward_hooks: _HookDict = OrderedDict()
global_backward_pre_hooks: _HookDict = OrderedDict()
global_backward_hooks: _HookDict = OrderedDict()
_global_with_kwargs: _HookDict = OrderedDict()
_global_always_called: _HookDict = OrderedDict()
global_registration_hooks: dict[str, _HookDict] = {
    "buffer": OrderedDict(),
    "module": OrderedDict(),
    "parameter": OrderedDict(),
}


def _register(hooks: _HookDict, hook: Hook, prepend: bool = False, **flags: Any) -> RemovableHandle:
    """Add `hook`; `flags` is `name=(the dict that marks such hooks, whether this one is marked)`."""
    marks = [mark for mark, _ in flags.values()]
    handle = RemovableHandle(hooks, extra_dict=marks)
    hooks[handle.id] = hook
    for mark, wanted in flags.values():
        if wanted:
            mark[handle.id] = True
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


def register_module_forward_pre_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, args)` before the forward of every module; see `register_forward_pre_hook`."""
    return _register(global_forward_pre_hooks, hook)


def register_module_forward_hook(
    hook: Hook, *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Call `hook(module, args, output)` after the forward of every module; see `register_forward_hook`.

    >>> from tensorlab import nn
    >>> import tensorlab
    >>> seen = []
    >>> with register_module_forward_hook(lambda m, args, out: seen.append(type(m).__name__)):
    ...     _ = nn.Sequential(nn.Linear(2, 2), nn.ReLU())(tensorlab.zeros(1, 2))
    >>> seen
    ['Linear', 'ReLU', 'Sequential']
    """
    return _register(
        global_forward_hooks,
        hook,
        with_kwargs=(_global_with_kwargs, with_kwargs),
        always_call=(_global_always_called, always_call),
    )


def register_module_full_backward_pre_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, grad_output)` before the backward of every module."""
    return _register(global_backward_pre_hooks, hook)


def register_module_full_backward_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, grad_input, grad_output)` after the backward of every module."""
    return _register(global_backward_hooks, hook)


def register_module_buffer_registration_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, name, buffer)` whenever a buffer is registered; it may return another."""
    return _register(global_registration_hooks["buffer"], hook)


def register_module_module_registration_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, name, submodule)` whenever a module is registered; it may return another."""
    return _register(global_registration_hooks["module"], hook)


def register_module_parameter_registration_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, name, parameter)` whenever a parameter is registered; it may return another."""
    return _register(global_registration_hooks["parameter"], hook)


class Hooks:
    """The part of `Module` that keeps hooks and runs a call through them."""

    forward: Callable[..., Any]
    _forward_hooks: _HookDict
    _forward_hooks_with_kwargs: _HookDict
    _forward_hooks_always_called: _HookDict
    _forward_pre_hooks: _HookDict
    _forward_pre_hooks_with_kwargs: _HookDict
    _backward_hooks: _HookDict
    _backward_pre_hooks: _HookDict

    def register_forward_pre_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before each `forward`.

        The hook may return new positional arguments (a tuple, or a single value).

        Args:
            hook: the function.
            prepend: run it before the hooks that are there already.
            with_kwargs: call `hook(module, args, kwargs)` instead, which may return
                `(new_args, new_kwargs)`.
        """
        marks = self._forward_pre_hooks_with_kwargs
        return _register(self._forward_pre_hooks, hook, prepend, with_kwargs=(marks, with_kwargs))

    def register_forward_hook(
        self,
        hook: Hook,
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` after each `forward`.

        The hook may return another output, which takes the place of this one.

        Args:
            hook: the function.
            prepend: run it before the hooks that are there already.
            with_kwargs: call `hook(module, args, kwargs, output)` instead.
            always_call: run it even if the forward raises (with what is known of the output).

        >>> from tensorlab import nn
        >>> import tensorlab
        >>> layer = nn.ReLU()
        >>> handle = layer.register_forward_hook(lambda module, args, output: output + 1)
        >>> layer(tensorlab.tensor([-1.0, 2.0]))
        tensor([1., 3.])
        >>> handle.remove()
        >>> layer(tensorlab.tensor([-1.0, 2.0]))
        tensor([0., 2.])
        """
        return _register(
            self._forward_hooks,
            hook,
            prepend,
            with_kwargs=(self._forward_hooks_with_kwargs, with_kwargs),
            always_call=(self._forward_hooks_always_called, always_call),
        )

    def register_full_backward_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_output)` before the module's backward; it may return new gradients."""
        return _register(self._backward_pre_hooks, hook, prepend)

    def register_full_backward_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` when the gradients of the inputs are known.

        Both are tuples with one entry per positional input or output, None for what is not a
        tensor or has no gradient. The hook may return a new `grad_input`. The tensors that go
        in and out pass through an identity node for this, so they can't be changed in place.
        """
        return _register(self._backward_hooks, hook, prepend)

    def register_backward_hook(self, hook: Hook) -> RemovableHandle:
        """Deprecated: the same as `register_full_backward_hook`, with a `FutureWarning`.

        PyTorch's reports incomplete gradients for modules of more than one operation.
        """
        warnings.warn(
            "register_backward_hook is deprecated: use register_full_backward_hook, which this "
            "call is taken for",
            FutureWarning,
            stacklevel=2,
        )
        return self.register_full_backward_hook(hook)

    def _is_hooked(self) -> bool:
        """Whether a call runs hooks, the module's own or those of all modules, besides `forward`."""
        hooks = (
            self._forward_hooks, self._forward_pre_hooks, self._backward_hooks, self._backward_pre_hooks,
            global_forward_hooks, global_forward_pre_hooks, global_backward_hooks, global_backward_pre_hooks,
        )  # fmt: skip
        return any(hooks)

    def _call_with_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run `forward` with all hooks, the slow path of `Module.__call__`."""
        called: set[int] = set()
        results: list[Any] = [None]
        try:
            return self._run_hooks_and_forward(args, kwargs, called, results)
        except Exception:
            self._run_always_called(args, kwargs, called, results)
            raise

    def _run_hooks_and_forward(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], called: set[int], results: list[Any]
    ) -> Any:
        for hook_id, hook in (*global_forward_pre_hooks.items(), *self._forward_pre_hooks.items()):
            if hook_id in self._forward_pre_hooks_with_kwargs:
                changed = hook(self, args, kwargs)
                if changed is not None:
                    if not (isinstance(changed, tuple) and len(changed) == 2):
                        raise RuntimeError(
                            "forward pre-hook must return None or a tuple of "
                            f"(new_args, new_kwargs), but got {changed}."
                        )
                    args, kwargs = changed
            else:
                changed = hook(self, args)
                if changed is not None:
                    args = changed if isinstance(changed, tuple) else (changed,)

        backward = None
        backward_hooks = [*global_backward_hooks.values(), *self._backward_hooks.values()]
        backward_pre_hooks = [
            *global_backward_pre_hooks.values(),
            *self._backward_pre_hooks.values(),
        ]
        if backward_hooks or backward_pre_hooks:
            backward = BackwardHook(self, backward_hooks, backward_pre_hooks)
            args = backward.setup_input_hook(args)

        result = results[0] = self.forward(*args, **kwargs)

        for hook_id, hook in (*global_forward_hooks.items(), *self._forward_hooks.items()):
            called.add(hook_id)
            changed = self._call_forward_hook(hook_id, hook, args, kwargs, result)
            if changed is not None:
                result = results[0] = changed

        if backward is not None:
            if not isinstance(result, (Tensor, tuple)):
                warnings.warn(
                    "For backward hooks to be called, module output should be a Tensor or a tuple "
                    f"of Tensors but received {type(result)}",
                    stacklevel=4,
                )
            result = backward.setup_output_hook(result)
        return result

    def _call_forward_hook(
        self, hook_id: int, hook: Hook, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
    ) -> Any:
        if hook_id in self._forward_hooks_with_kwargs or hook_id in _global_with_kwargs:
            return hook(self, args, kwargs, result)
        return hook(self, args, result)

    def _run_always_called(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], called: set[int], results: list[Any]
    ) -> None:
        """The forward raised: run the hooks that asked to be called even so, once each."""
        for kind, hooks, marks in (
            ("global module", global_forward_hooks, _global_always_called),
            ("module", self._forward_hooks, self._forward_hooks_always_called),
        ):
            for hook_id, hook in hooks.items():
                if hook_id not in marks or hook_id in called:
                    continue
                try:
                    changed = self._call_forward_hook(hook_id, hook, args, kwargs, results[0])
                    if changed is not None:
                        results[0] = changed
                except Exception as error:
                    warnings.warn(
                        f"{kind} forward hook with ``always_call=True`` raised an exception that "
                        f"was silenced as another error was raised in forward: {error}",
                        stacklevel=4,
                    )


def apply_registration_hooks(kind: str, module: Module, name: str, value: Any) -> Any:
    """What the global registration hooks make of `value` before `module` registers it."""
    for hook in global_registration_hooks[kind].values():
        changed = hook(module, name, value)
        if changed is not None:
            value = changed
    return value
