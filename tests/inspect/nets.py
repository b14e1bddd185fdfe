"""Small models to be trained well, and badly, under inspect.gradients."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

import tensorlab as tl
from tensorlab import nn
from tensorlab.inspect import GradientRecorder, gradients
from tensorlab.nn import functional as F
from tensorlab.optim import SGD, Adam, AdamW

Batch = Callable[[], tuple[Any, Any]]


def train(
    model: nn.Module,
    batch: Batch,
    loss_of: Callable[..., Any],
    optimizer: Any,
    steps: int = 40,
    after_backward: Callable[[nn.Module], Any] | None = None,
    zero: bool = True,
) -> GradientRecorder:
    """The usual loop, every step of it looked at."""
    with gradients(model, every=1) as recorder:
        for _ in range(steps):
            x, y = batch()
            if zero:
                optimizer.zero_grad()
            loss_of(model(x), y).backward()
            if after_backward is not None:
                after_backward(model)
            optimizer.step()
    return recorder


def classes(rng: np.random.Generator, features: int, count: int, *shape: int) -> Batch:
    """Batches of 32 random points, labelled by a random linear map."""
    w = rng.normal(size=(features, count))

    def batch() -> tuple[Any, Any]:
        x = rng.normal(size=(32, features)).astype(np.float32)
        inputs = tl.tensor(x)
        return (inputs.reshape(32, *shape) if shape else inputs), tl.tensor((x @ w).argmax(1))

    return batch


def dense(*sizes: int, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in pairwise(sizes):
        layers += [nn.Linear(a, b), activation()]
    return nn.Sequential(*layers[:-1])


class Functional(nn.Module):
    """Three layers whose activations are functions."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(20, 32), nn.Linear(32, 32), nn.Linear(32, 5)

    def forward(self, x):
        return self.c(F.relu(self.b(F.relu(self.a(x)))))


class Recurrent(nn.Module):
    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.cell, self.out = kind(4, 16, batch_first=True), nn.Linear(16, 3)

    def forward(self, x):
        return self.out(self.cell(x)[0][:, -1])


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 16)
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.1, batch_first=True)
        self.out = nn.Linear(16, 20)

    def forward(self, x):
        return self.out(self.layer(self.embed(x))).flatten(0, 1)


def healthy(kind: str, rng: np.random.Generator) -> GradientRecorder:
    """Train a model of one kind as one should."""
    if kind in _DENSE:
        model = dense(20, 32, 32, 5, activation=_DENSE[kind])
        optimizer = [SGD(model.parameters(), lr=0.1), SGD(model.parameters(), lr=0.05, momentum=0.9),
                     Adam(model.parameters(), lr=3e-3)][rng.integers(3)]  # fmt: skip
        return train(model, classes(rng, 20, 5), F.cross_entropy, optimizer)
    return _OTHERS[kind](rng)


def _cnn(rng: np.random.Generator) -> GradientRecorder:
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3), nn.ReLU(),
        nn.Flatten(), nn.Linear(16, 5),
    )  # fmt: skip
    optimizer = Adam(model.parameters(), lr=1e-3)
    return train(model, classes(rng, 64, 5, 1, 8, 8), F.cross_entropy, optimizer)


def _functional(rng: np.random.Generator) -> GradientRecorder:
    model = Functional()
    return train(model, classes(rng, 20, 5), F.cross_entropy, SGD(model.parameters(), lr=0.1))


def _recurrent(kind: Any) -> Callable[[np.random.Generator], GradientRecorder]:
    def run(rng: np.random.Generator) -> GradientRecorder:
        def batch() -> tuple[Any, Any]:
            x = rng.normal(size=(16, 10, 4)).astype(np.float32)
            return tl.tensor(x), tl.tensor(x.sum(1)[:, :3].argmax(1))

        model = Recurrent(kind)
        return train(model, batch, F.cross_entropy, Adam(model.parameters(), lr=3e-3), 25)

    return run


def _attention(rng: np.random.Generator) -> GradientRecorder:
    def batch() -> tuple[Any, Any]:
        x = rng.integers(0, 20, size=(8, 10))
        return tl.tensor(x), tl.tensor(np.roll(x, 1, 1).reshape(-1))

    model = Attention()
    return train(model, batch, F.cross_entropy, AdamW(model.parameters(), lr=3e-3))


def _regression(rng: np.random.Generator) -> GradientRecorder:
    def batch() -> tuple[Any, Any]:
        x = rng.uniform(-3, 3, size=(32, 1)).astype(np.float32)
        return tl.tensor(x), tl.tensor(2 * np.sin(x))

    model = dense(1, 32, 1, activation=nn.Tanh)
    return train(model, batch, F.mse_loss, SGD(model.parameters(), lr=0.05))


def _autoencoder(rng: np.random.Generator) -> GradientRecorder:
    def batch() -> tuple[Any, Any]:
        x = tl.tensor((rng.random((32, 12)) > 0.5).astype(np.float32))
        return x, x

    model = nn.Sequential(nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 12), nn.Sigmoid())
    return train(model, batch, F.binary_cross_entropy, Adam(model.parameters(), lr=1e-2))


def _one_layer(rng: np.random.Generator) -> GradientRecorder:
    model = nn.Linear(10, 3)
    return train(model, classes(rng, 10, 3), F.cross_entropy, SGD(model.parameters(), lr=0.5))


_DENSE = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU, "sigmoid": nn.Sigmoid}
_OTHERS: dict[str, Callable[[np.random.Generator], GradientRecorder]] = {
    "cnn": _cnn, "functional": _functional, "rnn": _recurrent(nn.RNN), "lstm": _recurrent(nn.LSTM),
    "gru": _recurrent(nn.GRU), "attention": _attention, "regression": _regression,
    "autoencoder": _autoencoder, "one layer": _one_layer,
}  # fmt: skip
HEALTHY = (*_DENSE, *_OTHERS)
