"""`view`: look at a tensor's values and at where they lie in memory; or at two tensors and what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

import tensorlab
from tensorlab import inspect
from tensorlab.inspect import Description

from ._base import Instrument
from ._tensor_images import images_of
from ._tensor_source import Difference, Source, read_plane

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["TensorView", "view"]

#: Tensors up to this size, with planes up to a picture's cells, go to the browser as a whole.
MOST_WHOLE = 16_384
#: Storage up to this size is shown with its numbers, and up to MOST_WORDS also in words.
MOST_TAPE, MOST_WORDS = 4096, 64


class TensorView(Instrument):
    """A tensor to look at. Made by `view`; see there."""

    _bundle: ClassVar[str] = "tensor"

    def __init__(self, values: Sequence[Any], names: Sequence[str]) -> None:
        super().__init__()
        self._sources = [Source(value, name) for value, name in zip(values, names, strict=True)]
        self._difference: Difference | None = None
        self._shared = False
        if len(self._sources) == 2:
            a, b = self._sources
            self._shared = a.shares(b)
            if a.shape == b.shape:
                self._difference = Difference(a, b)
            elif not self._shared:
                raise ValueError(
                    "view of two expects tensors of one shape, to compare them, or of one memory; "
                    f"got shapes {list(a.shape)} and {list(b.shape)}, each in memory of its own"
                )
        self._read: tuple[list[tuple[Description, int]], str] | None = None

    def update(self) -> None:
        """Read the tensors again and show what is in them now."""
        self._read = None
        self.push(now=True)

    # What is shown: see Instrument

    def _title(self) -> str:
        return " and ".join(each.name for each in self._sources)

    def __repr__(self) -> str:
        # Says nothing that must be read from a GPU.
        parts = [f"{each.name}: {each.dtype} {list(each.shape)}" for each in self._sources]
        return f"<view of {', '.join(parts)}>"

    def _panels(self) -> list[Source]:
        return [*self._sources, *([self._difference] if self._difference else [])]

    def _known(self) -> tuple[list[tuple[Description, int]], str]:
        """What reading the tensors gave: once, when it is first shown."""
        if self._read is None:
            verdict = self._difference.verdict() if self._difference and self._elements() else ""
            self._read = [each.described() for each in self._panels()], verdict
        return self._read

    def _elements(self) -> int:
        return self._sources[0].elements

    def _text(self) -> str:
        described, verdict = self._known()
        lines = []
        for source, (found, read) in zip(self._panels(), described, strict=True):
            lines.append(f"{source.name}: {source.dtype} {list(source.shape)} on {source.device}")
            if source.storage is not None:
                lines.append(f"  {_memory(source)}")
            lines += [f"  {_values(found)}"] if source.elements else ["  no elements"]
            if read != source.elements:
                lines.append(f"  {_sampled(read, source.elements)}")
        lines += [verdict] if verdict else []
        if self._shared:
            lines.append("Both lie in the same memory: who writes to one writes to the other.")
        tape = self._tape()
        if tape is not None and 0 < len(tape) <= MOST_WORDS:
            lines.append(f"tape of {len(tape)}: {' '.join(f'{value:.4g}' for value in tape)}")
        return "\n".join(lines)

    def _state(self) -> dict[str, Any]:
        described, verdict = self._known()
        tape = self._tape()
        return {
            "title": self._title(),
            "panels": [
                self._panel(source, found, read)
                for source, (found, read) in zip(self._panels(), described, strict=True)
            ],
            "verdict": verdict,
            "shared": self._shared,
            "tape": None if tape is None else np.ascontiguousarray(tape, "<f8").tobytes(),
        }

    def _panel(self, source: Source, found: Description, read: int) -> dict[str, Any]:
        rows, columns = (1, 1, *source.shape)[-2:]
        whole = 0 < source.elements <= MOST_WHOLE and rows <= 128 and columns <= 256
        about, plane = (
            read_plane(source, [0] * max(len(source.shape) - 2, 0))
            if (source.elements and not whole)
            else (None, [])
        )
        return {
            "name": source.name,
            "shape": list(source.shape),
            "strides": list(source.strides) if source.storage is not None else None,
            "offset": source.offset,
            "storage": 0 if source.storage is None else int(source.storage.size),
            "memory": "" if source.storage is None else _memory(source),
            "rows": [list(row) for row in found.rows()],
            "sampled": "" if read == source.elements else _sampled(read, source.elements),
            "range": self._range(source, found),
            "bad": found.nan + found.infinite,
            "counts": list(found.counts),
            "edges": list(found.edges),
            "values": np.ascontiguousarray(source.part(()), "<f8").tobytes() if whole else None,
            "plane": None if about is None else {**about, "values": plane[0], "bad": plane[1]},
            "images": images_of(source, found),
        }

    def _range(self, source: Source, found: Description) -> list[float] | None:
        """The values between which colours run: the same for both that are compared, 0 in the middle of a
        difference."""
        if found.minimum is None or found.maximum is None:
            return None
        low, high = found.minimum, found.maximum
        if source is self._difference:
            low, high = min(low, -high), max(high, -low)
        elif self._difference is not None:
            both = [each for each, _ in self._known()[0][:2] if each.minimum is not None]
            low = min(each.minimum for each in both if each.minimum is not None)
            high = max(each.maximum for each in both if each.maximum is not None)
        return [low, high]

    def _tape(self) -> np.ndarray | None:
        """All of the storage, if it is small and can be drawn on."""
        flat = self._sources[0].storage
        if self._difference is not None and not self._shared:
            return None
        if flat is None or not 0 < flat.size <= MOST_TAPE:
            return None
        return Source(flat, "tape").part(())

    def _figure(self) -> Figure | None:
        if not self._elements():
            return None
        if self._difference is None and (self._shared or self._sources[0].tensor is None):
            drawn = self._drawn_tape()
            if drawn is not None:
                return drawn
        source = self._difference or self._sources[0]
        values, steps = source.sample()
        figure = inspect.plot_tensor(tensorlab.from_numpy(np.ascontiguousarray(values)))
        notes = [source.name] if self._difference is not None else []
        notes += [_sampled(values.size, source.elements)] if max(steps, default=1) > 1 else []
        if notes:
            figure.supxlabel("; ".join(notes), fontsize=8)
        return figure

    def _drawn_tape(self) -> Figure | None:
        from tensorlab.learn.figures import MAX_TAPE, draw_tape

        tape = self._tape()
        if tape is None or len(tape) > MAX_TAPE or any(len(s.shape) > 3 for s in self._sources):
            return None
        labels = [source.name for source in self._sources]
        return draw_tape(*(source.original for source in self._sources), labels=labels).figure

    def _answer(self, method: str, args: Mapping[str, Any]) -> Any:
        if method == "plane":
            source = self._panels()[int(args["panel"])]
            return read_plane(source, args["index"], args.get("window"))
        return super()._answer(method, args)


def _memory(source: Source) -> str:
    strides = f"strides {tuple(source.strides)}, offset {source.offset}"
    return f"{strides}, in a storage of {source.storage.size:,} elements"


def _sampled(read: int, elements: int) -> str:
    return f"range, mean, std and histogram are of {read:,} of {elements:,} elements, evenly spread"


def _values(found: Description) -> str:
    parts = [f"{name} {value}" for name, value in found.rows()[4:] if name != "gradient"]
    return ", ".join(parts)


def view(tensor: Any, other: Any = None, *, names: Sequence[str] | None = None) -> TensorView:
    """Look at a tensor: its values, their spread, and where each of them lies in memory.

    In Jupyter it is a live widget. Sliders go through the dimensions before the last two; pointing
    at a cell shows its index, its value and the sum that leads to its place in storage; what has the
    shape of images can be shown as images; nan and infinity are marked. Elsewhere, and in a saved
    notebook, it is a picture and text. Nothing is read, and no GPU waited for, before it is shown; a
    large tensor is read in part, and says so.

    Args:
        tensor: a tensor, a NumPy array, or any object with `buffer`, `shape`, `strides` and `offset`.
        other: a second one. Of the same shape: what differs is shown, and where. In the same
            memory: both are shown above the storage that they share.
        names: what they are called.

    Raises:
        TypeError: an argument is none of these.
        ValueError: the two have neither shape nor memory in common, or there are not as many names.

    Example:
        >>> import tensorlab as tl
        >>> x = tl.arange(6).reshape(2, 3)
        >>> shown = view(x, x.T, names=["x", "x.T"])
        >>> shown
        <view of x: int64 [2, 3], x.T: int64 [3, 2]>
        >>> print(shown._text().splitlines()[-2])
        Both lie in the same memory: who writes to one writes to the other.
    """
    values = [tensor] if other is None else [tensor, other]
    known = ["tensor"] if other is None else ["a", "b"]
    if names is not None:
        if len(names) != len(values):
            raise ValueError(f"expected {len(values)} names, one for each tensor, got {len(names)}")
        known = list(names)
    return TensorView(values, known)
