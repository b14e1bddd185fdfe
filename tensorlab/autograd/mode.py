"""Turning the recording of operations on and off: `no_grad`, `enable_grad` and relatives.

The switch is per thread.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from tensorlab._graph import mode


def is_grad_enabled() -> bool:
    """Whether operations are recorded now in this thread."""
    return mode.grad


class _GradContext:
    """A context manager that is a decorator too, for functions, generators and coroutines."""

    def __init__(self) -> None:
        self._before: list[bool] = []

    target = True

    def __enter__(self) -> None:
        self._before.append(mode.grad)
        mode.grad = self.target

    def __exit__(self, *exc: object) -> None:
        mode.grad = self._before.pop()

    def clone(self) -> Any:
        return type(self)()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.isgeneratorfunction(function):
            return self._wrap_generator(function)

        if type(self).clone is not _GradContext.clone:  # what it sets is found out at each call
            return self._wrap_in_block(function)
        target = self.target

        # Written out, and not `with`: an interrupt that arrives as `__exit__` begins would leave
        # the mode as it was in the block, and a training that was stopped could not go on.
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            before, mode.grad = mode.grad, target
            try:
                return function(*args, **kwargs)
            finally:
                mode.grad = before

        return wrapper

    def _wrap_in_block(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with self.clone():
                return function(*args, **kwargs)

        return wrapper

    def _wrap_generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            # The caller's mode comes back at every yield, ours at every resumption.
            generator = function(*args, **kwargs)
            send, value = generator.send, None
            while True:
                try:
                    with self.clone():
                        item = send(value)
                except StopIteration as stop:
                    return stop.value
                try:
                    send, value = generator.send, (yield item)
                except GeneratorExit:
                    with self.clone():
                        generator.close()
                    raise
                except BaseException as error:
                    send, value = generator.throw, error

        return wrapper


class no_grad(_GradContext):
    """Do not record operations: results do not require grad and keep nothing for backward.

    >>> import tensorlab
    >>> x = tensorlab.ones(1, requires_grad=True)
    >>> with tensorlab.no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """

    target = False

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        # `@no_grad` without brackets works too, as in PyTorch.
        made = super().__new__(cls)
        if function is None:
            return made
        made.__init__()
        return made(function)


class enable_grad(no_grad):
    """Record operations again inside a `no_grad` block."""

    target = True


class inference_mode(_GradContext):
    """Like `no_grad`; `inference_mode(False)` does nothing."""

    def __init__(self, mode: bool = True) -> None:
        super().__init__()
        self._on = mode
        self.target = not mode and is_grad_enabled()

    def clone(self) -> Any:
        return type(self)(self._on)


class set_grad_enabled(_GradContext):
    """Record or not, by a flag: at once, and until the end of the `with` block if there is one.

    >>> import tensorlab
    >>> with tensorlab.set_grad_enabled(False):
    ...     tensorlab.is_grad_enabled()
    False
    """

    def __init__(self, mode: bool) -> None:
        super().__init__()
        self.target = bool(mode)
        self._outer = _swap(self.target)

    def __enter__(self) -> None:
        self._before.append(self._outer)
        mode.grad = self.target

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        mode.grad = self._outer  # as a decorator it acts in the function only
        return super().__call__(function)

    def clone(self) -> Any:
        return type(self)(self.target)


def _swap(value: bool) -> bool:
    before, mode.grad = mode.grad, value
    return before
