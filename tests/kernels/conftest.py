"""Kernels at work on few numbers: on so many threads, and which of them were called."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from tensorlab import _apply
from tensorlab._op import OPS
from tensorlab.kernels import threads


@pytest.fixture
def use_threads(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """`use_threads(count)`: kernels use so many threads, however small the work."""

    def use_threads(count: int) -> None:
        monkeypatch.setattr(threads, "WORTH_A_THREAD", 0)
        monkeypatch.setattr(threads, "_count", count)

    return use_threads


@pytest.fixture
def ask_about_few(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """`ask_about_few()`: kernels are asked about operations on any number of elements."""

    def ask_about_few() -> None:
        monkeypatch.setattr(_apply, "SMALL", -1)
        for op in OPS.values():
            if op.kernels:
                monkeypatch.setattr(op, "small", -1)

    return ask_about_few


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """`spy(module, *names)`: from now on, calls of these functions are noted and made.

    It returns the names of the functions that were called, one list for all modules of a test.
    """
    called: list[str] = []

    def spy(module: ModuleType, *names: str) -> list[str]:
        for name in names:
            monkeypatch.setattr(module, name, _noting(getattr(module, name), name, called))
        return called

    return spy


def _noting(real: Callable[..., Any], name: str, called: list[str]) -> Callable[..., Any]:
    def noting(*args: Any) -> Any:
        called.append(name)
        return real(*args)

    return noting
