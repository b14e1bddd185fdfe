"""What one eager operation costs beside its arithmetic: single small ones, long chains, tiny networks."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from tensorlab._cli.workloads import Run, Workload, normal


def add(library: ModuleType) -> Run:
    x, y = normal(library, 8, 8), normal(library, 8, 8)
    return lambda: x + y


def chain(library: ModuleType) -> Run:
    """20 rounds of three ops and a sum: 61 ops forward, 61 backward."""
    start = normal(library, 8, 8).requires_grad_()
    factor = normal(library, 8, 8)

    def run() -> Any:
        start.grad = None
        x = start
        for _ in range(20):
            x = (x * factor + start).tanh()
        x.sum().backward()
        return start.grad

    return run


def scalar_model(library: ModuleType) -> Run:
    """A net of 12 parameters, each a tensor of its own, as in micrograd: nothing but overhead."""
    p = [library.tensor(0.3 * (i % 3 - 1) + 0.1, requires_grad=True) for i in range(12)]

    def run() -> Any:
        for parameter in p:
            parameter.grad = None
        hidden = [(p[i] * 0.5 + p[i + 1] * -0.2 + p[i + 2]).tanh() for i in (0, 3, 6)]
        out = hidden[0] * p[9] + hidden[1] * p[10] + hidden[2] * p[11]
        loss = (out - 1.0) ** 2
        loss.backward()
        return p[0].grad

    return run


WORKLOADS = [
    Workload("add", "8×8 float32", add),
    Workload("chain", "61 ops of 8×8 float32, forward and backward", chain),
    Workload("scalar-model", "12 parameters, one loss, forward and backward", scalar_model),
]
