"""Checkpointing: less memory for more work, by computing saved values again in the backward pass.

A backward pass needs the intermediate values of the forward pass, and they are most of the memory
that training takes. Inside `checkpoint(function, ...)` none of them is kept: each is replaced by
its number in the order of saving. The first gradient rule that asks for one runs `function` again
on the same inputs, with the same random numbers, and what it saves this time is dealt out by
number. A chain of n operations in √n checkpointed pieces so keeps about 2·√n values and costs one
more forward pass.

T. Chen, B. Xu, C. Zhang and C. Guestrin, "Training Deep Nets with Sublinear Memory Cost",
arXiv:1604.06174 (2016). This is PyTorch's `use_reentrant=False` form: it stands on
`autograd.graph.saved_tensors_hooks` alone, so keyword arguments, nesting, `autograd.grad`, double
backward and inputs that need no gradient all work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any
from weakref import WeakKeyDictionary, ref

from tensorlab._graph import mode
from tensorlab._random import get_rng_state, set_rng_state
from tensorlab._tensor import Tensor
from tensorlab.autograd.saved import innermost_hooks, saved_tensors_hooks

__all__ = [
    "CheckpointError",
    "checkpoint",
    "checkpoint_sequential",
    "noop_context_fn",
    "set_checkpoint_early_stop",
]


class CheckpointError(RuntimeError):
    """The function did something else when it was run again than it did the first time."""


class _EnoughError(BaseException):
    """Ends a recomputation when the last saved value is there; no `except Exception` stops it."""


def noop_context_fn() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    """Two contexts that do nothing: the default `context_fn` of `checkpoint`."""
    return nullcontext(), nullcontext()


_early_stop: bool | None = None


@contextmanager
def set_checkpoint_early_stop(enable: bool) -> Iterator[None]:
    """In this block, whether recomputations end at the last value that is needed, for all checkpoints.

    >>> from tensorlab.utils.checkpoint import set_checkpoint_early_stop
    >>> with set_checkpoint_early_stop(False):
    ...     pass
    """
    global _early_stop
    before, _early_stop = _early_stop, enable
    try:
        yield
    finally:
        _early_stop = before


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[
        [], tuple[AbstractContextManager[Any], AbstractContextManager[Any]]
    ] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """`function(*args, **kwargs)`, keeping none of its intermediate values for the backward pass.

    They are computed again when the backward pass needs them, so `function` runs twice: it must
    do the same both times, and what it changes outside (a running mean, say) is changed twice.

    use_reentrant: accepted as PyTorch's; there is one form here, which is PyTorch's `False`.
    context_fn: makes two context managers, one for the forward pass, one for the recomputation.
    determinism_check: "default" compares shape, dtype and device of each saved value with the
        first run's; "none" does not. debug: accepted; errors always name the value.
    early_stop: end a recomputation as soon as the last value is there.
    preserve_rng_state: draw the same random numbers (a dropout's) from the default generator.

    Raises `ValueError` for an unknown determinism_check. In the backward pass, `CheckpointError`
    if the second run differs, and `RuntimeError` if an argument was changed in place in between.

    >>> import tensorlab
    >>> from tensorlab.utils.checkpoint import checkpoint
    >>> x = tensorlab.tensor([1.0, 2.0], requires_grad=True)
    >>> checkpoint(lambda t: (t.exp() * t).sum(), x, use_reentrant=False).backward()
    >>> x.grad
    tensor([ 5.4366, 22.1672])
    """
    if determinism_check not in ("default", "none"):
        raise ValueError(
            f"determinism_check should be one of ['default', 'none'], got {determinism_check!r}"
        )
    forward_context, recompute_context = context_fn()
    if not mode.grad:
        with forward_context:
            return function(*args, **kwargs)
    run = _Run(function, args, kwargs, recompute_context, preserve_rng_state)
    run.checked = determinism_check == "default"
    run.early_stop = early_stop if _early_stop is None else _early_stop
    with forward_context, saved_tensors_hooks(run.keep_number, run.give_back):
        return function(*args, **kwargs)


def checkpoint_sequential(
    functions: Any,
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
) -> Any:
    """`functions`, one after the other, on `input`, all segments but the last one checkpointed.

    functions: an `nn.Sequential`, or a sequence of modules and functions of one argument.
    segments: how many pieces of equal length; the last one, whose values are needed first,
        takes what remains and keeps its values.

    Raises `ValueError` if there are fewer functions than segments.

    >>> import tensorlab
    >>> from tensorlab.utils.checkpoint import checkpoint_sequential
    >>> x = tensorlab.tensor([0.0], requires_grad=True)
    >>> checkpoint_sequential([tensorlab.exp, tensorlab.sin, tensorlab.exp], 3, x).backward()
    >>> x.grad
    tensor([1.2534])
    """
    steps: Sequence[Callable[[Any], Any]] = list(
        functions.children() if hasattr(functions, "children") else functions
    )
    if not 1 <= segments <= max(len(steps), 1):
        raise ValueError(
            f"segments must be between 1 and the number of functions, {len(steps)}; got {segments}"
        )
    size = len(steps) // segments

    def piece(start: int, end: int) -> Callable[[Any], Any]:
        def forward(value: Any) -> Any:
            for step in steps[start:end]:
                value = step(value)
            return value

        return forward

    for i in range(segments - 1):
        input = checkpoint(
            piece(i * size, (i + 1) * size),
            input,
            use_reentrant=use_reentrant,
            preserve_rng_state=preserve_rng_state,
        )
    return piece((segments - 1) * size, len(steps))(input)


class _Number:
    """What the graph keeps in place of a saved value: which one it was, and what it looked like."""

    __slots__ = ("__weakref__", "index", "looks")

    def __init__(self, index: int, looks: tuple[Any, ...]) -> None:
        self.index = index
        self.looks = looks


class _Argument:
    """A tensor that the function is called with, as it was at the time of the call.

    Inside another checkpoint it is given away like a saved value, so that the outer one keeps no
    intermediate value either.
    """

    def __init__(self, tensor: Tensor) -> None:
        self.cell, self.version = tensor._version_cell, tensor._version
        self.needs_grad = tensor.requires_grad
        hooks = innermost_hooks()
        self.kept: Any = tensor if hooks is None else hooks[0](tensor.detach())
        self.unpack = None if hooks is None else hooks[1]

    def again(self) -> Tensor:
        if self.cell[0] != self.version:
            raise RuntimeError(
                "one of the variables needed for gradient computation has been modified by an inplace "
                f"operation: an argument of a checkpointed function is at version {self.cell[0]}; "
                f"expected version {self.version} instead. Hint: clone() it before changing it."
            )
        if self.unpack is None:
            return self.kept
        tensor = self.unpack(self.kept).detach()
        # Not a leaf: the function may write to it.
        return tensor.requires_grad_().clone() if self.needs_grad else tensor


class _Run:
    """One call of a checkpointed function: how to repeat it, and what the repetition found."""

    checked = True
    early_stop = True

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        context: AbstractContextManager[Any],
        preserve_rng_state: bool,
    ) -> None:
        def noted(value: Any) -> Any:
            return _Argument(value) if isinstance(value, Tensor) else value

        self.function = function
        self.args = tuple(map(noted, args))
        self.kwargs = {name: noted(value) for name, value in kwargs.items()}
        self.context = context
        self.rng_state = get_rng_state() if preserve_rng_state else None
        # The graph owns the numbers; when a part of it is freed, so are its values here.
        self.numbers: list[ref[_Number]] = []
        self.values: WeakKeyDictionary[_Number, Tensor] = WeakKeyDictionary()

    def keep_number(self, tensor: Tensor) -> _Number:
        """Forward pass: let the value go, keep its number."""
        number = _Number(len(self.numbers), _looks(tensor))
        self.numbers.append(ref(number))
        return number

    def give_back(self, number: _Number) -> Tensor:
        """Backward pass: the value with this number, once; asked again, it is computed again."""
        if number not in self.values:
            self._repeat()
        return self.values.pop(number)

    def _repeat(self) -> None:
        count = 0

        def keep_value(tensor: Tensor) -> Tensor:
            nonlocal count
            if count < len(self.numbers):
                number = self.numbers[count]()
                if number is not None:
                    self._check(number, tensor)
                    self.values[number] = tensor
            count += 1
            if self.early_stop and count == len(self.numbers):
                raise _EnoughError
            return tensor

        recording, mode.grad = mode.grad, True
        try:
            with self._same_random_numbers(), self.context:
                args = [a.again() if isinstance(a, _Argument) else a for a in self.args]
                kwargs = {
                    k: a.again() if isinstance(a, _Argument) else a for k, a in self.kwargs.items()
                }
                with saved_tensors_hooks(keep_value, lambda tensor: tensor):
                    self.function(*args, **kwargs)
        except _EnoughError:
            pass
        finally:
            mode.grad = recording
        if count != len(self.numbers):
            raise CheckpointError(
                "a checkpointed function saved a different number of tensors when it was run again: "
                f"{len(self.numbers)} in the forward pass, {count} in the recomputation. It has to do "
                "the same both times: does it depend on something that changed in between?"
            )

    def _check(self, number: _Number, tensor: Tensor) -> None:
        found = _looks(tensor)
        if self.checked and found != number.looks:
            raise CheckpointError(
                "a checkpointed function computed something else when it was run again. Saved tensor "
                f"{number.index} had (shape, dtype, device) {_shown(number.looks)} in the forward pass "
                f"and {_shown(found)} in the recomputation."
            )

    @contextmanager
    def _same_random_numbers(self) -> Iterator[None]:
        if self.rng_state is None:
            yield
            return
        now = get_rng_state()
        set_rng_state(self.rng_state)
        try:
            yield
        finally:
            set_rng_state(now)


def _looks(tensor: Tensor) -> tuple[Any, ...]:
    return tuple(tensor.shape), tensor.dtype, tensor.device


def _shown(looks: tuple[Any, ...]) -> str:
    shape, dtype, device = looks
    return f"({list(shape)}, {dtype}, {device})"
