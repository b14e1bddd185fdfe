"""Optimizers on each device: where our tensors are, and how many steps are enough there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tensorlab as tl

_device = "cpu"


@pytest.fixture
def where(device: str) -> None:
    """The test runs with our tensors on each device: those that `here` makes."""
    global _device
    _device = device


def here(array: np.ndarray) -> Any:
    """A tensor of these numbers on the device of now."""
    return tl.from_numpy(array).to(_device)


def as_many(steps: int) -> int:
    """So many steps on the CPU; on other devices, where each takes long, a few."""
    return steps if _device == "cpu" else min(steps, 10)
