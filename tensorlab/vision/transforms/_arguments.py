"""Reading the arguments of transforms, and drawing their random numbers."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.ops.creation import empty
from tensorlab.ops.random import rand, randint
from tensorlab.vision.transforms._images import get_dimensions


def two_sizes(size: Any, error: str) -> Any:
    """`(height, width)` of what is given as one number or two."""
    if isinstance(size, numbers.Number):
        return int(size), int(size)  # type: ignore[call-overload]
    if isinstance(size, Sequence) and len(size) == 1:
        return size[0], size[0]
    if len(size) != 2:
        raise ValueError(error)
    return size


def check_sequence(value: Any, name: str, lengths: tuple[int, ...]) -> None:
    """Raise unless it is a sequence of one of these lengths."""
    text = " or ".join(str(n) for n in lengths)
    if not isinstance(value, Sequence):
        raise TypeError(f"{name} should be a sequence of length {text}.")
    if len(value) not in lengths:
        raise ValueError(f"{name} should be a sequence of length {text}.")


def angles(value: Any, name: str, lengths: tuple[int, ...] = (2,)) -> list[float]:
    """A range of angles; one number stands for itself in both directions."""
    if isinstance(value, numbers.Number):
        if value < 0:  # type: ignore[operator]
            raise ValueError(f"If {name} is a single number, it must be positive.")
        return [float(-value), float(value)]  # type: ignore[operator,arg-type]
    check_sequence(value, name, lengths)
    return [float(v) for v in value]


def uniform(low: float, high: float) -> float:
    """A number from the global generator, as a float32 tensor of one element draws it."""
    return empty(1).uniform_(float(low), float(high)).item()  # type: ignore[return-value]


def whole(low: int, high: int) -> int:
    """An integer from `low` to `high - 1` from the global generator."""
    return int(randint(low, high, size=(1,)).item())


def happens(p: float) -> bool:
    """Whether something of this probability happens now."""
    return bool(rand(1) < p)


def fill_for(img: Any, fill: Any) -> Any:
    """The fill colour with one number for each channel, if the image is a tensor."""
    if not isinstance(img, Tensor):
        return fill
    channels = get_dimensions(img)[0]
    if isinstance(fill, (int, float)):
        return [float(fill)] * channels
    return [float(f) for f in fill]
