"""Putting saved tensors somewhere else between forward and backward: on the CPU, on disk, squeezed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from tensorlab._backend import Device, to_device, to_numpy
from tensorlab._graph import Node, mode, on_record
from tensorlab._tensor import Tensor, wrap


class Packed:
    """What `pack` made of a saved array, and how to get it back."""

    __slots__ = ("unpack_hook", "value", "version")

    def __init__(self, value: Any, unpack_hook: Callable[[Any], Tensor], version: int) -> None:
        self.value = value
        self.unpack_hook = unpack_hook
        self.version = version

    def unpack(self) -> Any:
        """The array, from the user's `unpack`."""
        out = self.unpack_hook(self.value)
        if not isinstance(out, Tensor):
            raise TypeError(
                "Output of saved tensor unpack_hook expected to be a Tensor "
                f"but got result of type {type(out).__name__}"
            )
        return out._data


class _Hooks(threading.local):
    def __init__(self) -> None:
        self.stack: list[tuple[Callable[..., Any], Callable[..., Any]]] = []


_hooks = _Hooks()


class saved_tensors_hooks:
    """In this block, keep `pack(tensor)` instead of each saved tensor; backward calls `unpack` on it.

    pack: takes a tensor, returns anything. unpack: takes that, returns a tensor of the same shape
    and dtype. Both run without recording. The innermost block counts; blocks are per thread.

    >>> import tensorlab
    >>> x = tensorlab.ones(2, requires_grad=True)
    >>> with saved_tensors_hooks(lambda t: t.tolist(), lambda kept: tensorlab.tensor(kept)):
    ...     y = tensorlab.exp(x)
    >>> y.sum().backward()
    >>> x.grad
    tensor([2.7183, 2.7183])
    """

    def __init__(
        self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]
    ) -> None:
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook

    def __enter__(self) -> None:
        _hooks.stack.append((self.pack_hook, self.unpack_hook))
        on_record.append(_pack_saved)

    def __exit__(self, *exc: object) -> None:
        _hooks.stack.pop()
        on_record.remove(_pack_saved)


class save_on_cpu(saved_tensors_hooks):
    """In this block, keep saved tensors in main memory: it frees GPU memory and costs transfers.

    pin_memory is accepted and has no effect.
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        def pack(t: Tensor) -> tuple[Device, Any]:
            return t.device, to_numpy(t._data)

        def unpack(kept: tuple[Device, Any]) -> Tensor:
            return wrap(to_device(kept[1], kept[0]))

        super().__init__(pack, unpack)


def innermost_hooks() -> tuple[Callable[..., Any], Callable[..., Any]] | None:
    """`(pack, unpack)` of the block that this thread is in, if it is in one."""
    return _hooks.stack[-1] if _hooks.stack else None


def _pack_saved(node: Node) -> None:
    """Replace the arrays a node saved by what the innermost block of this thread makes of them."""
    if not _hooks.stack or not node.saved:
        return
    pack, unpack = _hooks.stack[-1]
    if any(_is_packed(v) for v in node.saved):
        return  # two blocks are open: the innermost has packed already

    def packed(value: Any) -> Any:
        if _is_kept(value):
            array, cell, version, *more = value
            recording, mode.grad = mode.grad, False
            try:
                kept = pack(wrap(array))
            finally:
                mode.grad = recording
            # No version is −1, so the engine takes the careful way and finds the Packed there.
            return (Packed(kept, unpack, version), cell, -1, *more)
        if type(value) is tuple and any(map(_is_kept, value)):  # outputs, or a Function's tensors
            return tuple(map(packed, value))
        return value

    node.saved = tuple(map(packed, node.saved))


def _is_kept(value: Any) -> bool:
    """Whether it is an array with its version counter: `(array, counter, version)`, maybe with more."""
    return type(value) is tuple and len(value) > 2 and type(value[1]) is list


def _is_packed(value: Any) -> bool:
    if type(value) is not tuple or not value:
        return False
    return type(value[0]) is Packed or (not _is_kept(value) and any(map(_is_packed, value)))
