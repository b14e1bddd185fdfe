"""Finding where a NaN in the gradients comes from."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Any

from tensorlab import _apply
from tensorlab._graph import Node, on_record
from tensorlab._tensor import Tensor

_here = str(Path(__file__).resolve().parents[1])


class detect_anomaly:
    """In this block, `backward` stops at the first NaN and names the forward line that led to it.

    Forward and backward must both run in the block. It costs time: use it to find a fault.
    check_nan: look for NaN (default), or only note where nodes come from.

    >>> import tensorlab
    >>> x = tensorlab.zeros(1, requires_grad=True)
    >>> with tensorlab.autograd.detect_anomaly():
    ...     y = tensorlab.sqrt(x) * 0
    ...     y.backward()
    Traceback (most recent call last):
    RuntimeError: Function 'SqrtBackward0' returned nan values in its 0th output. ...
    """

    def __init__(self, check_nan: bool = True) -> None:
        self.check_nan = check_nan

    def __enter__(self) -> None:
        self._before = _state()
        _switch(True, self.check_nan)

    def __exit__(self, *exc: object) -> None:
        _switch(*self._before)


class set_detect_anomaly(detect_anomaly):
    """Switch anomaly detection by a flag: at once, and until the end of the block if there is one."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        super().__init__(check_nan)
        self._before = _state()
        _switch(mode, mode and check_nan)

    def __enter__(self) -> None:
        """It acts already."""


class _NaNWatch:
    """The observer that looks at what gradient rules return."""

    def before(self, op: Any, arrays: Any) -> None:
        """Forward values may be NaN: only gradients are looked at."""

    def after(self, op: Any, arrays: Any, outputs: Any, node: Any) -> None:
        """See `before`."""

    def before_backward(self, node: Node) -> None:
        """Nothing is known yet."""

    def after_backward(self, node: Node, grads: list[Any]) -> None:
        """Raise if a gradient is NaN."""
        _check(node, grads)


_watch = _NaNWatch()


def _state() -> tuple[bool, bool]:
    return note_origin in on_record, _watch in _apply.observers


def _switch(noting: bool, checking: bool) -> None:
    if noting != (note_origin in on_record):
        (on_record.append if noting else on_record.remove)(note_origin)
    others = tuple(o for o in _apply.observers if o is not _watch)
    _apply.observers = (*others, _watch) if checking else others


def is_anomaly_enabled() -> bool:
    """Whether nodes note where they come from."""
    return note_origin in on_record


def note_origin(node: Node) -> None:
    """Keep the stack of the user's code that made this node, innermost line last."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith((_here, "<tensorlab")):
        frame = frame.f_back
    stack = traceback.extract_stack(frame)
    if node.metadata is None:
        node.metadata = {}
    node.metadata["stack"] = stack


def _check(node: Node, grads: list[Any]) -> None:
    """Raise `RuntimeError` if a rule returned NaN, with the line that made its node."""
    for i, g in enumerate(grads):
        array = g._data if isinstance(g, Tensor) else g
        if array is None or not bool((array != array).any()):
            continue
        stack = (node.metadata or {}).get("stack")
        if stack:
            line = stack[-1]
            where = f"{line.filename}:{line.lineno}: {line.line}"
            origin = f"The forward call was at {where}"
        else:
            origin = "The forward pass ran outside detect_anomaly, so its line is not known."
        raise RuntimeError(
            f"Function '{node.name()}' returned nan values in its {i}th output. {origin} "
            f"(output shape {list(node.shapes[0])})"
        )
