"""What one eager step costs: single ops, a long chain of small ones, and a whole training step."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from tensorlab._cli.bench import Workload

Run = Callable[[], Any]


def _normal(library: ModuleType, *shape: int) -> Any:
    numbers = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    return library.from_numpy(numbers)


def add(library: ModuleType) -> Run:
    x, y = _normal(library, 8, 8), _normal(library, 8, 8)
    return lambda: x + y


def add_large(library: ModuleType) -> Run:
    x, y = _normal(library, 1024, 1024), _normal(library, 1024, 1024)
    return lambda: x + y


def matmul(library: ModuleType) -> Run:
    x, y = _normal(library, 512, 512), _normal(library, 512, 512)
    return lambda: x @ y


def softmax(library: ModuleType) -> Run:
    x = _normal(library, 512, 1000)
    return lambda: x.softmax(-1)


def chain(library: ModuleType) -> Run:
    """20 rounds of three ops and a sum: 61 ops forward, 61 backward."""
    start = _normal(library, 8, 8).requires_grad_()
    factor = _normal(library, 8, 8)

    def run() -> Any:
        start.grad = None
        x = start
        for _ in range(20):
            x = (x * factor + start).tanh()
        x.sum().backward()
        return start.grad

    return run


def cross_entropy(library: ModuleType) -> Run:
    logits = _normal(library, 256, 1000).requires_grad_()
    target = library.arange(256)

    def run() -> Any:
        logits.grad = None
        library.nn.functional.cross_entropy(logits, target).backward()
        return logits.grad

    return run


def training_step(library: ModuleType) -> Run:
    """A step of Adam on a classifier of 28×28 pictures."""
    nn = library.nn
    library.manual_seed(0)
    model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = library.optim.Adam(model.parameters(), lr=1e-3)
    pictures, labels = _normal(library, 64, 784), library.arange(64) % 10

    def run() -> Any:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(pictures), labels)
        loss.backward()
        optimizer.step()
        return loss.detach()

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
    Workload("add-large", "1024×1024 float32", add_large),
    Workload("matmul", "512×512 · 512×512 float32", matmul),
    Workload("softmax", "512×1000 float32, over rows", softmax),
    Workload("chain", "61 ops of 8×8 float32, forward and backward", chain),
    Workload("cross-entropy", "256 rows, 1000 classes, forward and backward", cross_entropy),
    Workload("training-step", "784→128→10 classifier, batch 64, Adam", training_step),
    Workload("scalar-model", "12 parameters, one loss, forward and backward", scalar_model),
]
