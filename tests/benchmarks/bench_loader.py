"""What one pass of a DataLoader costs: from memory and from a slow dataset, with and without workers."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from tensorlab._cli.workloads import Run, Workload

PICTURES = 4096


def _pictures(library: ModuleType) -> Any:
    numbers = np.random.default_rng(0).standard_normal((PICTURES, 1, 28, 28), dtype=np.float32)
    pictures = library.from_numpy(numbers)
    return library.utils.data.TensorDataset(pictures, library.arange(PICTURES) % 10)


class _Slow:
    """A map-style dataset whose samples take work: 28×28 pictures, blurred by Python and NumPy."""

    def __init__(self, library: ModuleType) -> None:
        self.library = library
        generator = np.random.default_rng(0)
        self.pictures = generator.standard_normal((512, 28, 28), dtype=np.float32)

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Any:
        picture = self.pictures[index]
        for _ in range(60):
            picture = (picture + np.roll(picture, 1, 0) + np.roll(picture, 1, 1)) / 3
        return self.library.from_numpy(picture), index % 10


def _epochs(library: ModuleType, dataset: Any, **options: Any) -> Run:
    """One pass over all batches of 64."""
    library.manual_seed(0)
    loader = library.utils.data.DataLoader(dataset, batch_size=64, shuffle=True, **options)

    def run() -> Any:
        return [labels for _, labels in loader][-1]

    return run


def memory(library: ModuleType) -> Run:
    return _epochs(library, _pictures(library))


def memory_by_workers(library: ModuleType) -> Run:
    return _epochs(library, _pictures(library), num_workers=2, persistent_workers=True)


def memory_new_workers(library: ModuleType) -> Run:
    return _epochs(library, _pictures(library), num_workers=2)


def slow(library: ModuleType) -> Run:
    return _epochs(library, _Slow(library))


def slow_by_workers(library: ModuleType) -> Run:
    return _epochs(library, _Slow(library), num_workers=2, persistent_workers=True)


_MEMORY = f"{PICTURES} pictures of 28×28 in a TensorDataset, batches of 64"
_SLOW = "512 pictures that take work, batches of 64"
WORKLOADS = [
    Workload("loader-memory", f"{_MEMORY}, in this process", memory),
    Workload("loader-workers", f"{_MEMORY}, 2 workers that stay", memory_by_workers),
    Workload("loader-new-workers", f"{_MEMORY}, 2 new workers", memory_new_workers),
    Workload("loader-slow", f"{_SLOW}, in this process", slow),
    Workload("loader-slow-workers", f"{_SLOW}, 2 workers that stay", slow_by_workers),
]
