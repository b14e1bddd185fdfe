"""What is in a tensor: its range, its spread, what is wrong with it, and a small picture's numbers."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from tensorlab._backend import backend_of, runs_there, to_numpy
from tensorlab._tensor import Tensor

__all__ = ["Description", "describe"]


@dataclass(frozen=True, slots=True)
class Description:
    """Numbers about one tensor, all of them plain Python.

    Attributes:
        shape, dtype, device: as the tensor says, the last two as text.
        requires_grad, grad_fn: its place in the graph; grad_fn is the node's name or "".
        elements, bytes: how many, and their memory.
        minimum, maximum, mean, std: of the finite values; None if there are none (std: fewer than
            two). std divides by n − 1, as `tensor.std()` does. Of complex numbers the magnitudes.
        nan, infinite, zeros: how many elements are nan, ±infinity and 0.
        counts, edges: a histogram of the finite values in equal bins: counts[i] of them lie
            between edges[i] and edges[i + 1]. Both empty if there are none.
        grid: a small picture of the last two dimensions: rows of means of equal blocks of
            elements; None where a block holds no finite value. Empty for an empty tensor.
        grid_of: which part of the tensor the grid shows, such as "x[0, :, :]"; "" for all of it.
        grid_block: how many elements, down and across, one number of the grid stands for at most.

    As a dict, `to_dict()`: the same keys.
    """

    shape: tuple[int, ...]
    dtype: str
    device: str
    requires_grad: bool
    grad_fn: str
    elements: int
    bytes: int
    minimum: float | None
    maximum: float | None
    mean: float | None
    std: float | None
    nan: int
    infinite: int
    zeros: int
    counts: tuple[int, ...]
    edges: tuple[float, ...]
    grid: tuple[tuple[float | None, ...], ...]
    grid_of: str
    grid_block: tuple[int, int]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def rows(self) -> list[tuple[str, str]]:
        """What a table of it shows: names and values as text."""
        out = [
            ("shape", str(list(self.shape))),
            ("dtype", self.dtype),
            ("device", self.device),
            ("elements", f"{self.elements:,}"),
        ]
        if self.grad_fn or self.requires_grad:
            out.append(("gradient", self.grad_fn or "leaf that requires grad"))
        for name in ("minimum", "maximum", "mean", "std"):
            value = getattr(self, name)
            out.append((name, "–" if value is None else f"{value:.4g}"))
        for name, count in (("nan", self.nan), ("infinite", self.infinite), ("zeros", self.zeros)):
            share = f" ({count / self.elements:.1%})" if count else ""
            out.append((name, f"{count:,}{share}"))
        return out


@runs_there
def describe(tensor: Tensor, bins: int = 20, cells: tuple[int, int] = (16, 32)) -> Description:
    """Look at all elements of `tensor` once and say what they are like.

    bins: of the histogram. cells: the most rows and columns of the grid.

    It computes where the tensor is and waits for the result: on a GPU it synchronizes, which
    nothing else in tensorlab does just to show a tensor. The graph is not touched.

    Raises `TypeError` for anything but a tensor, and `ValueError` if bins or cells are not positive.

    >>> import tensorlab
    >>> from tensorlab.inspect import describe
    >>> found = describe(tensorlab.tensor([[1.0, 2.0], [3.0, float("nan")]]), bins=2)
    >>> found.mean, found.nan, found.counts
    (2.0, 1, (1, 2))
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"describe() expected a Tensor, got {type(tensor).__name__}")
    if bins < 1 or min(cells) < 1:
        raise ValueError(f"bins and cells must be at least 1, got bins={bins}, cells={cells}")
    array = tensor._data
    xp = backend_of(array).xp
    values = xp.abs(array) if array.dtype.kind == "c" else array
    values = values.astype(xp.float64)
    finite = xp.isfinite(values)
    kept = values[finite]
    count = int(kept.size)
    minimum = maximum = mean = std = None
    counts: tuple[int, ...] = ()
    edges: tuple[float, ...] = ()
    if count:
        minimum, maximum = float(kept.min()), float(kept.max())
        mean = _mean(kept)
        if count > 1:
            scale = _scale(kept)
            std = float(xp.std(kept / scale, ddof=1)) * scale
        counts, edges = _histogram(kept, minimum, maximum, bins, xp)
    grid, grid_of, block = _grid(values, cells)
    node = tensor.grad_fn
    return Description(
        shape=tuple(tensor.shape),
        dtype=tensor.dtype.name,
        device=str(tensor.device),
        requires_grad=tensor.requires_grad,
        grad_fn="" if node is None else node.name(),
        elements=tensor.numel(),
        bytes=tensor.nbytes,
        minimum=minimum,
        maximum=maximum,
        mean=mean,
        std=std,
        nan=int(xp.isnan(values).sum()),
        infinite=int(xp.isinf(values).sum()),
        zeros=int((values == 0).sum()),
        counts=counts,
        edges=edges,
        grid=grid,
        grid_of=grid_of,
        grid_block=block,
    )


def _mean(values: Any) -> float:
    scale = _scale(values)
    return float((values / scale).mean()) * scale


def _scale(values: Any) -> float:
    """A power of two by which the values are smaller than 1, so that no sum of them overflows.

    Dividing by it rounds nothing.
    """
    largest = max(abs(float(values.min())), abs(float(values.max())))
    return 2.0 ** min(math.frexp(largest)[1], 1023) if largest > 1 else 1.0


def _histogram(
    values: Any, low: float, high: float, bins: int, xp: Any
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Counts in equal bins from `low` to `high`; a single bin if all values are the same."""
    edges = tuple(low * ((bins - i) / bins) + high * (i / bins) for i in range(bins + 1))
    if any(a >= b for a, b in pairwise(edges)):
        return (int(values.size),), (low, high)  # too close together for more
    found = xp.histogram(values, bins=xp.asarray(edges))[0]
    return tuple(int(n) for n in to_numpy(found)), edges


def _grid(
    values: Any, cells: tuple[int, int]
) -> tuple[tuple[tuple[float | None, ...], ...], str, tuple[int, int]]:
    """The last two dimensions in at most `cells` blocks, of what stands first in the others."""
    if values.size == 0:
        return (), "", (0, 0)
    leading = max(values.ndim - 2, 0)
    part = values[(0,) * leading] if leading else values
    named = (
        f"x[{', '.join(['0'] * leading + [':', ':'])}]"
        if math.prod(values.shape[:leading]) > 1
        else ""
    )
    while part.ndim < 2:
        part = part[None]
    part = to_numpy(part)
    steps = tuple(math.ceil(n / c) for n, c in zip(part.shape, cells, strict=True))
    rows = []
    for top in range(0, part.shape[0], steps[0]):
        row = []
        for left in range(0, part.shape[1], steps[1]):
            block = part[top : top + steps[0], left : left + steps[1]]
            block = block[np.isfinite(block)]
            row.append(_mean(block) if block.size else None)
        rows.append(tuple(row))
    return tuple(rows), named, steps
