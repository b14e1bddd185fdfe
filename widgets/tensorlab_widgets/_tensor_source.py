"""Where a tensor's numbers lie and what they are: read in parts, so that large tensors stay where they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

import tensorlab
from tensorlab import Tensor, inspect
from tensorlab._backend import backend_of, to_numpy
from tensorlab._layout import address, element_strides
from tensorlab._storage import flat_memory, storage_of
from tensorlab.inspect import Description

__all__ = ["Difference", "Source", "read_plane"]

#: More elements than this are read in part for statistics, evenly spread.
MOST_READ = 4_000_000
#: A picture has at most so many cells down and across; in a larger plane a cell is a block.
MOST_ROWS, MOST_COLUMNS = 128, 256
BINS = 40


class Source:
    """A tensor, an array, or any object with buffer, shape, strides and offset; nothing is read yet.

    Attributes:
        name: what it is called.
        shape, strides, offset: how an index becomes a place, in elements.
        storage: all of its memory as a flat array; None for numbers that were computed.
        tensor: the tensor, if it is one.
    """

    def __init__(self, value: Any, name: str) -> None:
        self.name = name
        self.tensor: Tensor | None = value if isinstance(value, Tensor) else None
        if all(hasattr(value, each) for each in ("buffer", "shape", "strides", "offset")):
            self._of_view(value)
        elif isinstance(value, (Tensor, np.ndarray)):
            self._of_array(value._data if isinstance(value, Tensor) else value)
        else:
            raise TypeError(
                "view expects a tensor, a NumPy array or an object with buffer, shape, strides and "
                f"offset, got {type(value).__name__}"
            )
        self.dtype = self.tensor.dtype.name if self.tensor is not None else self._array.dtype.name
        self.device = str(self.tensor.device) if self.tensor is not None else "cpu"
        self.original = value

    def _of_array(self, array: Any) -> None:
        if array.dtype.kind not in "biufc" and array.dtype.names is not None:
            raise TypeError(f"view expects numbers, got an array of {array.dtype}")
        item = array.itemsize
        memory = storage_of(array)
        flat = flat_memory(memory.root).reshape(-1)
        self._array = array
        self.shape = tuple(map(int, array.shape))
        self.strides = tuple(map(int, element_strides(array)))
        self.offset = (address(array) - memory.data_ptr()) // item if array.size else 0
        whole = flat.nbytes - flat.nbytes % item
        self.storage = flat if flat.dtype == array.dtype else flat[:whole].view(array.dtype)

    def _of_view(self, value: Any) -> None:
        self.storage = np.asarray(value.buffer).reshape(-1)
        self.shape = tuple(map(int, value.shape))
        self.strides = tuple(map(int, value.strides))
        self.offset = int(value.offset)
        if len(self.shape) != len(self.strides):
            raise ValueError(f"expected one stride per dimension, got {self.shape}, {self.strides}")
        ends = [(size - 1) * step for size, step in zip(self.shape, self.strides, strict=True)]
        low = self.offset + sum(min(end, 0) for end in ends)
        high = self.offset + sum(max(end, 0) for end in ends)
        if 0 not in self.shape and not 0 <= low <= high < self.storage.size:
            raise ValueError(
                f"{self.name} leaves its tape: places {low} to {high}, but the tape has 0 to "
                f"{self.storage.size - 1}"
            )
        item = self.storage.itemsize
        start = self.storage[self.offset :] if 0 not in self.shape else self.storage[:0]
        self._array = np.lib.stride_tricks.as_strided(
            start, self.shape, [step * item for step in self.strides], writeable=False
        )

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    def shares(self, other: Source) -> bool:
        """Whether both read the same memory."""
        a, b = self.storage, other.storage
        if a is None or b is None or self.device != other.device or not a.size or not b.size:
            return False
        return address(a) < address(b) + b.nbytes and address(b) < address(a) + a.nbytes

    def part(self, key: tuple[Any, ...]) -> np.ndarray:
        """Some of the numbers as float64 in main memory, of complex ones the magnitudes; waits for a GPU."""
        found = self._array[(*key, ...)]  # of one element it is an array, too
        values = to_numpy(found) if not isinstance(found, np.ndarray) else found
        values = np.abs(values) if values.dtype.kind == "c" else values
        return np.asarray(values, np.float64)

    def sample(self) -> tuple[np.ndarray, list[int]]:
        """All of it, or of a large one each so-many-th element along each dimension, and those steps."""
        steps = _steps(self.shape, MOST_READ)
        return self.part(tuple(slice(None, None, step) for step in steps)), steps

    def described(self) -> tuple[Description, int]:
        """Statistics, and of how many elements; nan and infinity are counted in all of them."""
        values, _ = self.sample()
        found = inspect.describe(tensorlab.from_numpy(np.ascontiguousarray(values)), bins=BINS)
        found = replace(
            found,
            shape=self.shape,
            dtype=self.dtype,
            device=self.device,
            elements=self.elements,
            bytes=self.elements * (1 if self.storage is None else self.storage.itemsize),
            requires_grad=self.tensor is not None and self.tensor.requires_grad,
            grad_fn=self._grad_fn(),
        )
        return (
            (found, values.size) if values.size == self.elements else self._counted(found, values)
        )

    def _counted(self, found: Description, values: np.ndarray) -> tuple[Description, int]:
        array = self._array
        xp = backend_of(array).xp
        counts = {
            name: int(test(array).sum())
            for name, test in (("nan", xp.isnan), ("infinite", xp.isinf))
            if array.dtype.kind in "fc"
        }
        zeros = array.size - int(xp.count_nonzero(array))
        return replace(found, zeros=zeros, **counts), values.size

    def _grad_fn(self) -> str:
        node = None if self.tensor is None else self.tensor.grad_fn
        return "" if node is None else node.name()


class Difference(Source):
    """`a - b` in float64, element by element; what is the same on both sides, nan too, differs by 0."""

    def __init__(self, a: Source, b: Source) -> None:
        if a.shape != b.shape:
            raise ValueError(
                f"a difference needs two tensors of one shape, got {list(a.shape)} and {list(b.shape)}"
            )
        self.name = f"{a.name} − {b.name}"
        self.tensor = None
        self.storage = None
        self.shape, self.strides, self.offset = a.shape, (), 0
        self.dtype, self.device = "float64", a.device
        self._pair = (a, b)

    def part(self, key: tuple[Any, ...]) -> np.ndarray:
        a, b = (each._array[(*key, ...)] for each in self._pair)
        a, b = (each if isinstance(each, np.ndarray) else to_numpy(each) for each in (a, b))
        wide = np.complex128 if "c" in (a.dtype.kind, b.dtype.kind) else np.float64
        a, b = np.asarray(a, wide), np.asarray(b, wide)
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        with np.errstate(invalid="ignore", over="ignore"):
            found = np.where(same, 0, a - b)
        return np.abs(found) if wide is np.complex128 else found

    def _counted(self, found: Description, values: np.ndarray) -> tuple[Description, int]:
        return found, values.size

    def verdict(self) -> str:
        """How far the two are apart, in words: of all elements, or of those that were read."""
        values, steps = self.sample()
        gap = np.abs(values)
        of = "" if gap.size == self.elements else f" (of {gap.size:,} elements that were read)"
        differing = int((gap != 0).sum())
        if not differing:
            return f"Both are equal, element by element{of}."
        b = np.abs(self._pair[1].sample()[0])
        close = int(((gap != 0) & ~(gap <= 1e-8 + 1e-5 * b)).sum())
        # Where nan meets a number there is no distance, and nothing differs more.
        largest = int(np.where(np.isnan(gap), np.inf, gap).argmax())
        at = [
            int(i) * step
            for i, step in zip(np.unravel_index(largest, gap.shape), steps, strict=True)
        ]
        return (
            f"{differing:,} of {gap.size:,} elements differ, {close:,} by more than 1e-8 + 1e-5·|b|; the largest "
            f"difference is {gap.reshape(-1)[largest]:.4g}, at {at}{of}."
        )


def _steps(shape: Sequence[int], most: int) -> list[int]:
    """Take each `step`-th along each dimension so that at most about `most` are left."""
    steps = [1] * len(shape)
    left = list(shape)
    while math.prod(left) > most:
        axis = max(range(len(left)), key=left.__getitem__)
        steps[axis] *= 2
        left[axis] = -(-shape[axis] // steps[axis])
    return steps


def read_plane(
    source: Source, index: Sequence[int], window: Sequence[int] | None = None
) -> tuple[dict[str, Any], list[bytes]]:
    """A part of the last two dimensions in at most 128 × 256 cells, and how many of a cell are not finite.

    index: one number for each dimension before the last two. window: first row, row after the last,
    the same of columns. A cell of a larger part is the mean of a block's finite elements; `every`
    says if only each so-many-th row and column of it was read.
    """
    leading = max(len(source.shape) - 2, 0)
    index = tuple(int(i) for i in index)
    if len(index) != leading or not all(
        0 <= i < size for i, size in zip(index, source.shape, strict=False)
    ):
        raise IndexError(f"{list(index)} is no plane of shape {list(source.shape)}")
    rows, columns = (1, 1, *source.shape)[-2:]
    top, bottom, left, right = window or (0, rows, 0, columns)
    top, left = max(int(top), 0), max(int(left), 0)
    bottom, right = min(int(bottom), rows), min(int(right), columns)
    if top >= bottom or left >= right:
        return {"window": [0, 0, 0, 0], "block": [1, 1], "every": [1, 1]}, [b"", b""]
    down, every_row = _blocks(bottom - top, MOST_ROWS)
    across, every_column = _blocks(right - left, MOST_COLUMNS)
    if (bottom - top) * (right - left) <= MOST_READ:
        every_row = every_column = 1
    key: tuple[Any, ...] = (slice(top, bottom, every_row), slice(left, right, every_column))
    values = source.part((*index, *key[2 - min(len(source.shape), 2) :]))
    values = values.reshape(-(-(bottom - top) // every_row), -(-(right - left) // every_column))
    if (down, across) == (1, 1):
        means, bad = values, ~np.isfinite(values)
    else:
        means, bad = _means(values, down // every_row, across // every_column)
    about = {
        "window": [top, bottom, left, right],
        "block": [down, across],
        "every": [every_row, every_column],
    }
    return about, [
        np.ascontiguousarray(means, "<f8").tobytes(),
        np.ascontiguousarray(bad, "<i4").tobytes(),
    ]


def _blocks(size: int, most: int) -> tuple[int, int]:
    """The size of a block, and which of its rows are read where there are too many to read all."""
    block = -(-size // most)
    every = max(1, block // 8)
    return -(-block // every) * every, every


def _means(values: np.ndarray, down: int, across: int) -> tuple[np.ndarray, np.ndarray]:
    """Means of the finite values of blocks, and how many of each are not finite."""
    finite = np.isfinite(values)
    rows, columns = np.arange(0, values.shape[0], down), np.arange(0, values.shape[1], across)

    def total(numbers: np.ndarray) -> np.ndarray:
        return np.add.reduceat(np.add.reduceat(numbers, rows, axis=0), columns, axis=1)

    counts = total(finite.astype(np.int64))
    # Divided first: a sum of large numbers could overflow where their mean does not.
    sums = total(np.where(finite, values, 0) / (down * across))
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.where(counts > 0, sums * (down * across / np.maximum(counts, 1)), np.nan)
    return means, total((~finite).astype(np.int64))
