"""Drawings of memory for the lessons: which index leads to which place.

Two drawings. :func:`draw_tape` shows views as tables above the one flat row of
numbers that they read. :func:`draw_cache_lines` folds the same row into the
lines in which a processor fetches it. Both say in words what they show, so a
reader without the picture (a screen reader, an untrusted notebook, a test)
loses nothing.

A view is anything with ``buffer``, ``shape``, ``strides`` and ``offset`` (the
learner's own class), a NumPy array or a tensorlab tensor. Strides and offset
count elements, not bytes. Matplotlib is imported when a picture is asked for,
never before, and pyplot not at all.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorlab.learn._pictures import Seen, fetched, lines_figure, number, sum_text, tape_figure

__all__ = ["Drawing", "draw_cache_lines", "draw_tape"]

MAX_TAPE = 64  # wider tapes cannot be read on a page
MAX_FOLDED = 1024
PIXELS_PER_INCH = 92  # on the page: a cell of the tape is 46 pixels wide


class Drawing:
    """A picture with its words: PNG in a notebook, text everywhere else."""

    def __init__(self, figure: Any, text: str) -> None:
        self.figure = figure
        self.text = text

    def __repr__(self) -> str:
        return self.text

    def png(self, dpi: int = 144) -> bytes:
        """The picture as the bytes of a PNG file, *dpi* dots per inch.

        It has a palette of 256 colours, which flat drawings do not exhaust: a third of the
        bytes of full colour, in every notebook that is saved.
        """
        from PIL import Image  # comes with matplotlib

        self.figure.set_dpi(dpi)
        self.figure.canvas.draw()
        picture = Image.fromarray(np.asarray(self.figure.canvas.buffer_rgba())).convert("RGB")
        out = io.BytesIO()
        picture.quantize(256, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
        return out.getvalue()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        width, height = (
            round(inches * PIXELS_PER_INCH) for inches in self.figure.get_size_inches()
        )
        data = {
            "image/png": base64.b64encode(self.png()).decode("ascii"),
            "text/plain": self.text,
        }
        return data, {"image/png": {"width": width, "height": height}}


def draw_tape(
    *views: Any,
    labels: Sequence[str] | None = None,
    mark: Sequence[int] | None = None,
    path: bool = False,
    cells: Any = None,
    below: Sequence[Any] | None = None,
) -> Drawing:
    """Draw views as tables of numbers above the tape (the buffer) they share.

    Every cell carries its number and, small, its place on the tape; equal
    places have equal colours. Under the tape stands how many indexes lead to
    a place, where that is more than one.

    Args:
        views: one or more views of the *same* buffer, of 0 to 3 dimensions.
            The buffer has at most 64 elements.
        labels: one name per view.
        mark: an index into the first view; its way to the tape is drawn and
            written out as a sum.
        path: draw the order in which the last view visits the tape.
        cells: an array of the first view's shape, written into its cells instead of
            the numbers on the tape (for example the gradient of each element).
        below: one entry per place, written under the tape instead of the
            counts (``None`` leaves the place empty).

    Returns:
        A :class:`Drawing`: shown by Jupyter as a picture; its ``repr`` is the
        same in words.

    Raises:
        TypeError: an argument is not a view.
        ValueError: the views do not share one buffer, have more than 3
            dimensions or places outside the tape, or the tape is too long.

    >>> import numpy as np
    >>> a = np.arange(6).reshape(2, 3)
    >>> draw_tape(a.T, labels=["a.T"])
    a.T: shape (3, 2)  strides (1, 3)  offset 0
      places [[0, 3], [1, 4], [2, 5]]
    tape of 6: 0 1 2 3 4 5
    """
    seen = _collect(views, labels, MAX_TAPE)
    tape = seen[0].buffer
    for view in seen:
        if len(view.shape) > 3:
            raise ValueError(f"draw_tape draws up to 3 dimensions, got shape {view.shape}")
    if below is not None and len(below) != tape.size:
        raise ValueError(f"below needs one entry per place: {tape.size}, got {len(below)}")
    if cells is not None and np.shape(cells) != seen[0].shape:
        raise ValueError(
            f"cells needs the first view's shape {seen[0].shape}, got {np.shape(cells)}"
        )
    figure = tape_figure(seen, mark, path, cells, below)
    return Drawing(figure, _tape_text(seen, mark, cells, below))


def draw_cache_lines(*views: Any, labels: Sequence[str] | None = None, line: int = 16) -> Drawing:
    """Draw the tape folded into cache lines, and which lines each view touches.

    A processor fetches memory in lines, usually of 64 bytes: 16 float32. To
    read one number it fetches its whole line.

    Args:
        views: one or more views of the same buffer, drawn side by side. The
            buffer has at most 1024 elements and is taken to start on a line.
        labels: one name per view.
        line: elements per cache line.

    Returns:
        A :class:`Drawing`; its ``repr`` counts numbers used, lines and numbers
        fetched.

    >>> import numpy as np
    >>> a = np.zeros((16, 16), np.float32)
    >>> draw_cache_lines(a[0], a[:, 0], labels=["a row", "a column"])
    a row: 16 numbers used, 1 line fetched, 16 numbers moved
    a column: 16 numbers used, 16 lines fetched, 256 numbers moved
    """
    if line < 1:
        raise ValueError(f"a cache line has at least 1 element, got line={line}")
    seen = _collect(views, labels, MAX_FOLDED)
    return Drawing(lines_figure(seen, line), "\n".join(_lines_text(view, line) for view in seen))


# Views ----------------------------------------------------------------------


def _collect(views: Sequence[Any], labels: Sequence[str] | None, limit: int) -> list[Seen]:
    if not views:
        raise TypeError("expected at least one view to draw, got none")
    names = list(labels) if labels is not None else [""] * len(views)
    if len(names) != len(views):
        raise ValueError(f"expected one label per view: {len(views)}, got {len(names)}")
    seen = [_see(view, name) for view, name in zip(views, names, strict=True)]
    tape = seen[0].buffer
    if tape.size > limit:
        raise ValueError(f"a tape of up to {limit} elements can be drawn, got {tape.size}")
    for view in seen:
        if not _same_memory(view.buffer, tape):
            raise ValueError(
                f"expected views of one tape, but {view.label or 'a view'} has its own"
            )
        places = view.places()
        if places.size and not (places.min() >= 0 and places.max() < tape.size):
            raise ValueError(
                f"{view.label or 'the view'} leaves its tape: places {places.min()} to "
                f"{places.max()}, but the tape has 0 to {tape.size - 1} ({view.heading()})"
            )
    return seen


def _see(view: Any, label: str) -> Seen:
    if all(hasattr(view, name) for name in ("buffer", "shape", "strides", "offset")):
        shape, strides = tuple(map(int, view.shape)), tuple(map(int, view.strides))
        if len(shape) != len(strides):
            raise ValueError(f"expected one stride per dimension, got {shape} and {strides}")
        return Seen(label, np.asarray(view.buffer).reshape(-1), shape, strides, int(view.offset))
    array = getattr(view, "_data", view)  # a tensorlab tensor keeps its array there
    if not isinstance(array, np.ndarray):
        raise TypeError(
            "expected a view (buffer, shape, strides, offset), a NumPy array or a CPU tensor, "
            f"got {type(view).__name__}"
        )
    root = owner = array
    while (owner := getattr(owner, "base", None)) is not None:
        root = owner if isinstance(owner, np.ndarray) else root  # as_strided puts a holder between
    if not (root.flags.c_contiguous or root.flags.f_contiguous):
        raise ValueError("the array's memory has gaps: draw a view of a contiguous array")
    item = array.itemsize
    start = (array.ctypes.data - root.ctypes.data) // item if array.size else 0
    strides = tuple(stride // item for stride in array.strides)
    return Seen(label, root.ravel(order="K"), array.shape, strides, start)


def _same_memory(a: np.ndarray, b: np.ndarray) -> bool:
    return a.size == b.size and a.ctypes.data == b.ctypes.data


# Words ----------------------------------------------------------------------


def _tape_text(
    seen: list[Seen], mark: Sequence[int] | None, cells: Any, below: Sequence[Any] | None
) -> str:
    lines = []
    for position, view in enumerate(seen):
        prefix = f"{view.label}: " if view.label else ""
        lines += [prefix + view.heading(), f"  places {view.places().tolist()}"]
        if cells is not None and position == 0:
            lines.append(f"  cells {np.asarray(cells).tolist()}")
    if mark is not None:
        lines.append(sum_text(seen[0], mark))
    tape = seen[0].buffer
    lines.append(f"tape of {tape.size}: " + " ".join(number(value) for value in tape))
    if below is not None:
        lines.append("below it: " + " ".join("-" if v is None else number(v) for v in below))
    return "\n".join(lines)


def _lines_text(view: Seen, line: int) -> str:
    prefix = f"{view.label}: " if view.label else ""
    used, lines, moved = fetched(view, line)
    return f"{prefix}{_many(used, 'number')} used, {_many(lines, 'line')} fetched, " + (
        f"{_many(moved, 'number')} moved"
    )


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
