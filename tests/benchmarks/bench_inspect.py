"""What it costs to watch a training run: the same steps with and without `inspect.gradients`.

PyTorch runs the plain steps both times; the two times of tensorlab, or where the machine is busy the
two ratios, tell the recorder's share.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from tensorlab._cli.workloads import Run, Setup, Workload, normal, training_step
from tensorlab.inspect import gradients

STEPS = 300


def _classifier(library: ModuleType) -> tuple[Any, tuple[int, ...]]:
    nn = library.nn
    return nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)), (64, 784)


def _pictures(library: ModuleType) -> tuple[Any, tuple[int, ...]]:
    nn = library.nn
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(784, 10),
    )  # fmt: skip
    return model, (64, 1, 28, 28)


def _transformer(library: ModuleType) -> tuple[Any, tuple[int, ...]]:
    nn = library.nn
    blocks = (
        nn.TransformerEncoderLayer(64, 4, 256, 0.0, "gelu", batch_first=True) for _ in range(4)
    )
    model = nn.Sequential(nn.Linear(16, 64), *blocks, nn.Flatten(), nn.Linear(64 * 16, 10))
    return model, (64, 16, 16)


def steps(make: Callable[..., Any], watched: bool, count: int = STEPS) -> Setup:
    """`count` training steps of SGD. A recorder starts anew each time, so its dense first looks count too."""

    def setup(library: ModuleType) -> Run:
        library.manual_seed(0)
        model, shape = make(library)
        step = training_step(
            library, model, normal(library, *shape), library.arange(64) % 10, "SGD"
        )

        def plain() -> Any:
            for _ in range(count - 1):
                step()
            return step()

        def with_recorder() -> Any:
            with gradients(model):
                return plain()

        return with_recorder if watched and library.__name__ == "tensorlab" else plain

    return setup


WORKLOADS = [
    Workload("steps-classifier", "300 steps, 784→128→10, batch 64", steps(_classifier, False)),
    Workload("watched-classifier", "the same under inspect.gradients", steps(_classifier, True)),
    Workload("steps-short", "100 of these steps", steps(_classifier, False, 100)),
    Workload("watched-short", "the same under inspect.gradients", steps(_classifier, True, 100)),
    Workload("steps-cnn", "300 steps, two convolutions, 28×28, batch 64", steps(_pictures, False)),
    Workload("watched-cnn", "the same under inspect.gradients", steps(_pictures, True)),
    Workload("steps-blocks", "60 steps, 4 transformer blocks", steps(_transformer, False, 60)),
    Workload("watched-blocks", "the same under inspect.gradients", steps(_transformer, True, 60)),
]
