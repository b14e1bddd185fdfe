"""What a step of an optimizer costs: over large parameters and over many small ones."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from tensorlab._cli.bench import Workload

Run = Callable[[], Any]


def _step(library: ModuleType, name: str, shapes: list[tuple[int, ...]], **settings: Any) -> Run:
    rng = np.random.default_rng(0)
    params = []
    for shape in shapes:
        numbers = rng.standard_normal((2, *shape), dtype=np.float32)
        p = library.from_numpy(numbers[0]).requires_grad_()
        p.grad = library.from_numpy(numbers[1])
        params.append(p)
    optimizer = getattr(library.optim, name)(params, lr=1e-4, **settings)

    group = optimizer.param_groups[0]

    def run() -> Any:
        # Up and down in turn: with one gradient for ever, running means would come so near to it
        # that the difference is denormal, and those are slow.
        group["maximize"] = not group["maximize"]
        optimizer.step()
        return params[0].detach()

    return run


def sgd_large(library: ModuleType) -> Run:
    return _step(library, "SGD", [(200_000,)] * 8, momentum=0.9)


def adam_large(library: ModuleType) -> Run:
    return _step(library, "Adam", [(200_000,)] * 8)


def adam_one(library: ModuleType) -> Run:
    return _step(library, "Adam", [(1_000_000,)])


def adam_small(library: ModuleType) -> Run:
    return _step(library, "Adam", [(64,)] * 200)


WORKLOADS = [
    Workload("sgd-large", "momentum, 8 parameters of 200,000 float32", sgd_large),
    Workload("adam-large", "8 parameters of 200,000 float32", adam_large),
    Workload("adam-1M", "1 parameter of 1,000,000 float32", adam_one),
    Workload("adam-small", "200 parameters of 64 float32", adam_small),
]
