"""The past of a metric in bounded memory, and the small curve drawn from it."""

from __future__ import annotations

import math

CAPACITY = 64


class History:
    """Every value of a metric, kept as at most `CAPACITY` means of neighbours.

    When it is full, neighbouring means are merged and each new point stands for twice as many
    values: a million steps take no more memory than a hundred, and the curve still shows the whole
    run.  A NaN or infinity anywhere in a group makes that point a gap: it must not be averaged away.

    >>> history = History()
    >>> for value in [3.0, 2.0, float("nan"), 1.0]:
    ...     history.add(value)
    >>> history.points()
    [3.0, 2.0, None, 1.0]
    """

    __slots__ = ("_count", "_means", "_stride", "_sum")

    def __init__(self) -> None:
        self._means: list[float] = []
        self._stride = 1
        self._sum = 0.0
        self._count = 0

    def add(self, value: float) -> None:
        self._sum += value
        self._count += 1
        if self._count < self._stride:
            return
        self._means.append(self._sum / self._count)
        self._sum, self._count = 0.0, 0
        if len(self._means) == CAPACITY:
            pairs = zip(self._means[::2], self._means[1::2], strict=True)
            self._means = [(a + b) / 2 for a, b in pairs]
            self._stride *= 2

    def points(self) -> list[float | None]:
        """The means, oldest first; the group still filling counts too. None where not finite."""
        means = self._means + ([self._sum / self._count] if self._count else [])
        return [mean if math.isfinite(mean) else None for mean in means]


def spark_path(points: list[float | None], width: int, height: int) -> str:
    """An SVG path through the points, scaled to a box of `width` × `height`, with gaps at None.

    Coordinates are whole pixels: the same training run on another machine, which differs in the
    last bits of its floats, draws the same curve.

    >>> spark_path([0.0, 1.0, None, 0.5], 30, 10)
    'M0 10L10 0M30 5h0'
    """
    finite = [p for p in points if p is not None]
    if not finite:
        return ""
    # Halved, so that the span of the largest floats does not overflow.
    low, high = min(finite) / 2, max(finite) / 2
    step = width / max(len(points) - 1, 1)
    path: list[str] = []
    pen_down = False
    for i, point in enumerate(points):
        if point is None:
            pen_down = False
            continue
        x = math.floor(i * step + 0.5)
        y = (
            math.floor((high - point / 2) / (high - low) * height + 0.5)
            if high > low
            else height // 2
        )
        alone = not pen_down and (i + 1 == len(points) or points[i + 1] is None)
        path.append(f"{'L' if pen_down else 'M'}{x} {y}" + ("h0" if alone else ""))
        pen_down = True
    return "".join(path)
