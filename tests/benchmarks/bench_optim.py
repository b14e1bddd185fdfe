"""What a step of an optimizer costs: over large parameters and over many small ones."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from tensorlab._cli.workloads import NUMBER, Run, Workload, normal


def _step(library: ModuleType, name: str, shapes: list[tuple[int, ...]], **settings: Any) -> Run:
    params = []
    for i, shape in enumerate(shapes):
        p = normal(library, *shape, seed=2 * i).requires_grad_()
        p.grad = normal(library, *shape, seed=2 * i + 1)
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


# Numbers that are read and written: the parameter, its gradient (only read) and one state or two.
_SGD, _ADAM = 5 * NUMBER, 7 * NUMBER
WORKLOADS = [
    Workload("sgd-large", "momentum, 8 parameters of 200,000 float32", sgd_large, traffic=1_600_000 * _SGD),
    Workload("adam-large", "8 parameters of 200,000 float32", adam_large, traffic=1_600_000 * _ADAM),
    Workload("adam-1M", "1 parameter of 1,000,000 float32", adam_one, traffic=1_000_000 * _ADAM),
    Workload("adam-small", "200 parameters of 64 float32", adam_small),
]  # fmt: skip
