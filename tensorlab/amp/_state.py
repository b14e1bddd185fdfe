"""What autocast is set to, in each thread: on or off, and to which dtype, per type of device."""

from __future__ import annotations

import threading
from typing import Any

from tensorlab import _apply
from tensorlab import _dtypes as dtypes
from tensorlab._backend import Device
from tensorlab._dtypes import dtype

__all__ = [
    "autocast_decrement_nesting",
    "autocast_increment_nesting",
    "clear_autocast_cache",
    "get_autocast_dtype",
    "is_autocast_available",
    "is_autocast_cache_enabled",
    "is_autocast_enabled",
    "set_autocast_cache_enabled",
    "set_autocast_dtype",
    "set_autocast_enabled",
    "state",
]


class _State(threading.local):
    def __init__(self) -> None:
        self.enabled = {"cpu": False, "cuda": False}
        self.dtypes: dict[str, dtype] = {"cuda": dtypes.float16}  # the CPU's is loaded when used
        self.cache_enabled = True
        self.nesting = 0
        # Casts of parameters, by the id of the parameter: (parameter, its version, the cast).
        self.cache: dict[tuple[int, dtype], tuple[Any, int, Any]] = {}


state = _State()
_lock = threading.Lock()
_enabled_anywhere = 0


class _Watcher:
    """An observer that does nothing: while there is one, operations ask what to cast.

    See `tensorlab._apply.observe`.
    """

    looks = False  # so operations may be joined while it is there

    def before(self, op: Any, arrays: Any) -> None: ...
    def after(self, op: Any, arrays: Any, outputs: Any, node: Any) -> None: ...
    def before_backward(self, node: Any) -> None: ...
    def after_backward(self, node: Any, grads: Any) -> None: ...


_watcher = _Watcher()


def _known(device_type: str) -> str:
    """The type of device; `RuntimeError` if there is none of that name."""
    return Device(device_type).type


def is_autocast_available(device_type: str) -> bool:
    """Whether there is autocast for this type of device: for `"cpu"` and `"cuda"`.

    >>> is_autocast_available("cpu")
    True
    """
    return _known(device_type) in state.enabled


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether autocast is on in this thread, for this type of device.

    >>> is_autocast_enabled("cpu")
    False
    """
    return state.enabled[_known(device_type)]


def set_autocast_enabled(device_type: Any, enabled: Any = None) -> None:
    """Turn autocast on or off in this thread; `autocast` does it for a block and puts it back.

    >>> set_autocast_enabled("cpu", False)
    """
    global _enabled_anywhere
    if enabled is None:  # PyTorch's old form, with the value alone
        device_type, enabled = "cuda", device_type
    device_type = _known(device_type)
    change = int(bool(enabled)) - int(state.enabled[device_type])
    state.enabled[device_type] = bool(enabled)
    if change:
        with _lock:
            _enabled_anywhere += change
            others = tuple(o for o in _apply.observers if o is not _watcher)
            _apply.observers = (*others, _watcher) if _enabled_anywhere else others


def get_autocast_dtype(device_type: str) -> dtype:
    """What autocast computes in: bfloat16 on the CPU and float16 on CUDA, unless set otherwise.

    >>> get_autocast_dtype("cpu")
    tensorlab.bfloat16
    """
    device_type = _known(device_type)
    if device_type == "cpu" and "cpu" not in state.dtypes:
        import tensorlab

        return tensorlab.bfloat16
    return state.dtypes[device_type]


def set_autocast_dtype(device_type: str, dtype: dtype) -> None:
    """Set what autocast computes in.

    >>> import tensorlab
    >>> set_autocast_dtype("cuda", tensorlab.float16)
    """
    state.dtypes[_known(device_type)] = dtype


def is_autocast_cache_enabled() -> bool:
    """Whether a parameter is cast only once per region.

    >>> is_autocast_cache_enabled()
    True
    """
    return state.cache_enabled


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Set whether a parameter is cast only once per region.

    >>> set_autocast_cache_enabled(True)
    """
    state.cache_enabled = enabled


def clear_autocast_cache() -> None:
    """Forget the casts of parameters; this happens at the end of the outermost region.

    >>> clear_autocast_cache()
    """
    state.cache.clear()


def autocast_increment_nesting() -> int:
    """Note that a region began; how many there are now, one in the other."""
    state.nesting += 1
    return state.nesting


def autocast_decrement_nesting() -> int:
    """Note that a region ended; how many there still are."""
    state.nesting -= 1
    return state.nesting
