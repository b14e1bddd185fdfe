"""Finding where a NaN in the gradients comes from."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

from tensorlab._graph import Node, on_record
from tensorlab._tensor import Tensor

#: Whether the engine looks for NaN in what rules return.
checking = False

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
        self.target = check_nan
        self._active = True

    def __enter__(self) -> None:
        global checking
        self._before = checking
        checking = self._active and self.target
        if self._active:
            on_record.append(note_origin)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        global checking
        checking = self._before
        if self._active:
            on_record.remove(note_origin)


class set_detect_anomaly(detect_anomaly):
    """Switch anomaly detection on or off, by a flag: at once, and until the end of the block if there is one."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        super().__init__(check_nan)
        global checking
        self._outer = (checking, note_origin in on_record)
        checking = mode and check_nan
        _listen(mode)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        global checking
        checking = self._outer[0]
        _listen(self._outer[1])


def is_anomaly_enabled() -> bool:
    """Whether nodes note where they come from."""
    return note_origin in on_record


def _listen(on: bool) -> None:
    if on and note_origin not in on_record:
        on_record.append(note_origin)
    elif not on and note_origin in on_record:
        on_record.remove(note_origin)


def note_origin(node: Node) -> None:
    """Keep the stack of the user's code that made this node, innermost line last."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith((_here, "<tensorlab")):
        frame = frame.f_back
    stack = traceback.extract_stack(frame)
    if node.metadata is None:
        node.metadata = {}
    node.metadata["stack"] = stack


def check(node: Node, grads: list[Any]) -> None:
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
