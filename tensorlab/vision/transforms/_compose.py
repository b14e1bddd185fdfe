"""Transforms made of other transforms."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from tensorlab.nn.modules.container import ModuleList
from tensorlab.nn.modules.module import Module
from tensorlab.ops.random import rand

__all__ = ["Compose", "Lambda", "RandomApply", "RandomChoice", "RandomOrder"]


def _indented(name: str, lines: Sequence[Any]) -> str:
    body = "".join(f"\n    {line}" for line in lines)
    return f"{name}({body}\n)"


class Compose:
    """One transform after the other.

    >>> import tensorlab
    >>> from tensorlab.vision import transforms
    >>> prepare = transforms.Compose([transforms.CenterCrop(2), transforms.Normalize(0.5, 0.5)])
    >>> prepare(tensorlab.ones(1, 4, 4))
    tensor([[[1., 1.],
             [1., 1.]]])
    """

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = transforms

    def __call__(self, img: Any) -> Any:
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self) -> str:
        return _indented(type(self).__name__, self.transforms)


class Lambda:
    """A function as a transform.

    A function that has no name in a module, such as a `lambda`, can't be sent to the worker
    processes of a DataLoader on systems that do not fork.

    Raises `TypeError` if it can't be called.
    """

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        if not callable(lambd):
            raise TypeError(f"Argument lambd should be callable, got {type(lambd).__name__!r}")
        self.lambd = lambd

    def __call__(self, img: Any) -> Any:
        return self.lambd(img)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def _check_sequence(transforms: Any) -> None:
    if not isinstance(transforms, Sequence):
        raise TypeError("Argument transforms should be a sequence")


class RandomApply(Module):
    """All of the transforms, one after the other, with probability `p`; else none.

    Args:
        transforms: a sequence, or a `ModuleList`.
        p: a probability.
    """

    def __init__(self, transforms: Any, p: float = 0.5) -> None:
        super().__init__()
        if not isinstance(transforms, ModuleList):
            _check_sequence(transforms)
        self.transforms = transforms
        self.p = p

    def forward(self, img: Any) -> Any:
        if self.p < float(rand(1)):
            return img
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self) -> str:
        return _indented(type(self).__name__, [f"p={self.p}", *self.transforms])


class _RandomTransforms:
    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        _check_sequence(transforms)
        self.transforms = transforms

    def __repr__(self) -> str:
        return _indented(type(self).__name__, self.transforms)


class RandomOrder(_RandomTransforms):
    """All of the transforms, in a random order, which is drawn from Python's `random`."""

    def __call__(self, img: Any) -> Any:
        order = list(range(len(self.transforms)))
        random.shuffle(order)
        for index in order:
            img = self.transforms[index](img)
        return img


class RandomChoice(_RandomTransforms):
    """One of the transforms, which is drawn from Python's `random`.

    Args:
        transforms: a sequence.
        p: how likely each is, in any unit; equally by default.
    """

    def __init__(
        self, transforms: Sequence[Callable[[Any], Any]], p: Sequence[float] | None = None
    ) -> None:
        super().__init__(transforms)
        if p is not None and not isinstance(p, Sequence):
            raise TypeError("Argument p should be a sequence")
        self.p = p

    def __call__(self, *args: Any) -> Any:
        return random.choices(self.transforms, weights=self.p)[0](*args)

    def __repr__(self) -> str:
        return f"{super().__repr__()}(p={self.p})"
