"""The handle that every `register_…hook` returns: it takes the hook off again."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from typing import Any


class RemovableHandle:
    """Removes one hook from the dict that holds it; `with handle:` removes it at the end.

    Args:
        hooks_dict: the dict of hooks; this handle's `id` is the key of a new entry.
        extra_dict: one more dict, or a list of dicts, with the same key to be removed.

    >>> from collections import OrderedDict
    >>> hooks = OrderedDict()
    >>> handle = RemovableHandle(hooks)
    >>> hooks[handle.id] = print
    >>> handle.remove()
    >>> len(hooks)
    0
    """

    id: int
    next_id: int = 0

    def __init__(self, hooks_dict: Any, *, extra_dict: Any = None) -> None:
        extra = [extra_dict] if isinstance(extra_dict, dict) else extra_dict or []
        # Weak: a handle that is kept must not keep a whole model alive.
        self._dicts = tuple(weakref.ref(d) for d in (hooks_dict, *extra))
        self.id = RemovableHandle.next_id
        RemovableHandle.next_id += 1

    def remove(self) -> None:
        """Take the hook off; harmless if it is off already."""
        for reference in self._dicts:
            hooks = reference()
            if hooks is not None:
                hooks.pop(self.id, None)

    def __getstate__(self) -> tuple[Any, ...]:
        return self.id, tuple(reference() for reference in self._dicts)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.id, dicts = state
        self._dicts = tuple(weakref.ref(OrderedDict() if d is None else d) for d in dicts)
        RemovableHandle.next_id = max(RemovableHandle.next_id, self.id + 1)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.remove()
