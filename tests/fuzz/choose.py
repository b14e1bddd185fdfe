"""Choosing what a line of a program speaks of: tensors, numbers, sizes, and keys for indexing."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

LARGE = 30.0  # beyond this, only operations that make numbers smaller


class Chooser:
    """Random choices among the tensors that a program has so far, as text for its next line."""

    def __init__(self, number: int, lib: Any) -> None:
        self.rng = np.random.default_rng(number)
        self.lib = lib
        self.names: dict[str, Any] = {"lib": lib, "log": [], "observe": lambda: None}
        self.made = 0

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def integer(self, low: int, high: int) -> int:
        """From `low` up to and including `high`."""
        return int(self.rng.integers(low, high + 1))

    def choose(self, options: Any) -> Any:
        return options[self.integer(0, len(options) - 1)]

    def tensors(self, want: Callable[[Any], bool] = lambda t: True) -> list[str]:
        """The tensors there are (gradients apart), those made last counting more often."""
        found = [n for n, t in self.names.items() if n[0] in "at" and self.is_fit(t, want)]
        return found + found[len(found) // 2 :]

    def is_fit(self, t: Any, want: Callable[[Any], bool]) -> bool:
        try:
            return want(t)
        except RuntimeError:  # a view that was overtaken by a write to its base may not be asked
            return self.chance(0.1)

    def live(self) -> list[Any]:
        return [t for t in self.names.values() if isinstance(t, self.lib.Tensor)]

    def pick(self, want: Callable[[Any], bool] = lambda t: True) -> str | None:
        found = self.tensors(want)
        return self.choose(found) if found else None

    def fresh(self, letter: str = "t") -> str:
        self.made += 1
        return f"{letter}{self.made}"

    def number(self) -> float:
        return float(self.integer(-6, 6)) / 4 or 0.25

    def dim(self, ndim: int) -> int:
        """A dimension, from either end; rarely one that does not exist."""
        beyond = 1 if self.chance(0.03) else 0
        return self.integer(-max(ndim, 1) - beyond, max(ndim, 1) - 1 + beyond)

    def literal(self, shape: tuple[int, ...], dtype: str, requires_grad: bool = False) -> str:
        if 0 in shape:
            text = f"lib.zeros({shape}, dtype=lib.{dtype}"
        else:
            low = 0 if dtype == "bool" else -8
            values = self.rng.integers(low, 2 if dtype == "bool" else 9, shape)
            if dtype == "bool":
                values = values.astype(bool)
            elif dtype.startswith("float"):
                values = values / 4
            text = f"lib.tensor({values.tolist()}, dtype=lib.{dtype}"
        return text + (
            ", requires_grad=True)" if requires_grad and dtype.startswith("float") else ")"
        )

    # Sizes and keys ------------------------------------------------------------------------

    def key(self, shape: tuple[int, ...]) -> str:
        """A basic key as text: ints, slices with steps, None and an ellipsis."""
        items: list[str] = []
        for n in shape:
            if self.chance(0.25):
                break
            if self.chance(0.1):
                items.append("None")
            items.append(self.position(n) if n and self.chance(0.35) else self.slice(n))
        if len(items) < len(shape) and self.chance(0.3):
            items.append("...")
        if self.chance(0.1):
            items.insert(self.integer(0, len(items)), "None")
        return ", ".join(items) or "..."

    def position(self, n: int) -> str:
        beyond = 1 if self.chance(0.02) else 0
        return str(self.integer(-n - beyond, n - 1 + beyond))

    def slice(self, n: int) -> str:
        if self.chance(0.2):
            return ":"
        start = str(self.integer(-n, max(n - 1, 0))) if self.chance(0.6) else ""
        stop = str(self.integer(-n + 1, n + 1)) if self.chance(0.4) else ""
        return f"{start}:{stop}" + (":2" if self.chance(0.3) else "")

    def factors(self, count: int) -> str:
        """Sizes whose product is `count`; sometimes one of them is -1, rarely they are wrong."""
        sizes, rest = [], count
        for _ in range(self.integer(0, 2)):
            divisors = [k for k in range(1, rest + 1) if rest % k == 0] or [1]
            sizes.append(self.choose(divisors))
            rest //= sizes[-1]
        sizes.append(rest + (1 if self.chance(0.02) else 0))
        self.rng.shuffle(sizes)
        if count and self.chance(0.3):
            sizes[self.integer(0, len(sizes) - 1)] = -1
        return ", ".join(map(str, sizes)) + ("," if len(sizes) == 1 else "")

    def expansion(self, shape: tuple[int, ...]) -> str:
        sizes = [self.integer(1, 3) if n == 1 else self.choose([-1, n]) for n in shape]
        if self.chance(0.5) or not sizes:
            sizes.insert(0, self.integer(1, 2))
        return ", ".join(map(str, sizes))

    def advanced_key(self, shape: tuple[int, ...]) -> str:
        """A key with an index tensor or mask among ints, slices and None."""
        at = self.integer(0, len(shape) - 1)
        items = [
            self.choose([":", self.slice(n), self.position(n) if n else ":"]) for n in shape[:at]
        ]
        n = shape[at]
        if self.chance(0.3):
            items.append(f"lib.tensor({(self.rng.random(n) < 0.6).tolist()})")
        else:
            size = self.choose([(), (2,), (3,), (2, 2)])
            items.append(f"lib.tensor({self.rng.integers(-n, n, size).tolist()})" if n else ":")
        if at + 1 < len(shape) and self.chance(0.5):
            m = shape[at + 1]
            items.append(self.choose([":", f"lib.tensor({self.rng.integers(0, m, 1).tolist()})" if m else ":",
                                      self.slice(m)]))  # fmt: skip
        if self.chance(0.1):
            items.insert(self.integer(0, len(items)), "None")
        return ", ".join(items)

    # Magnitude -----------------------------------------------------------------------------

    def is_large(self, t: Any) -> bool:
        values = t.detach().double()
        return bool((~(values.abs() < LARGE)).any())

    def fits_exp(self, t: Any) -> bool:
        return not bool((t.detach().double() > 3).any())


def overlaps_itself(t: Any) -> bool:
    """Whether windows of `unfold` lie on top of each other: a write then depends on the order of elements."""
    steps = [(s, n) for s, n in zip(t.stride(), t.shape, strict=True) if n > 1 and s > 0]
    return t.numel() > 1 and len(
        {sum(p) for p in itertools.product(*(range(0, s * n, s) for s, n in steps))}
    ) < math.prod(n for _, n in steps)


def overlap_unseen(t: Any, other: Any) -> bool:
    """Whether two tensors may overlap where PyTorch does not look: one of them has gaps.

    What comes out when one is written from the other then depends on PyTorch's order of elements.
    Nor is anything defined where PyTorch looks at strides that mean nothing: of dimensions of size 1.
    """
    same = t.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()
    if not same or t is other:
        return False
    odd = _steps(t) == _steps(other) and t.stride() != other.stride()
    return odd or not (t.is_contiguous() and other.is_contiguous())


def _steps(t: Any) -> list[tuple[int, int]]:
    return [(n, s) for n, s in zip(t.shape, t.stride(), strict=True) if n > 1]
