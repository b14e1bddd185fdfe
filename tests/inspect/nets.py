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
from tensorlab.optim import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, NAdam, RAdam, RMSprop
from tensorlab.optim.lr_scheduler import LambdaLR

Batch = Callable[[], tuple[Any, Any]]


#: What a model is usually trained with.
OPTIMIZERS: tuple[Callable[..., Any], ...] = (
    lambda p: SGD(p, lr=0.1),
    lambda p: SGD(p, lr=0.01),
    lambda p: SGD(p, lr=0.05, momentum=0.9),
    lambda p: SGD(p, lr=0.02, momentum=0.9, nesterov=True, weight_decay=5e-4),
    lambda p: Adam(p, lr=1e-3),
    lambda p: AdamW(p, lr=1e-4, weight_decay=0.1),
    RMSprop, Adagrad, Adadelta, NAdam, RAdam, Adamax,
)  # fmt: skip


def any_optimizer(model: nn.Module, rng: np.random.Generator) -> Any:
    return OPTIMIZERS[rng.integers(len(OPTIMIZERS))](model.parameters())


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


def classes(
    rng: np.random.Generator, features: int, count: int, *shape: int, size: int = 32
) -> Batch:
    """Batches of `size` random points, labelled by a random linear map."""
    w = rng.normal(size=(features, count))

    def batch() -> tuple[Any, Any]:
        x = rng.normal(size=(size, features)).astype(np.float32)
        inputs = tl.tensor(x)
        return (inputs.reshape(size, *shape) if shape else inputs), tl.tensor((x @ w).argmax(1))

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
        return train(model, classes(rng, 20, 5), F.cross_entropy, any_optimizer(model, rng))
    return _OTHERS[kind](rng)


def _classifier(
    make: Callable[[], nn.Module], size: int = 32, *shape: int
) -> Callable[[np.random.Generator], GradientRecorder]:
    """Of 5 classes, from 20 features or from pictures, with any of the optimizers."""

    def run(rng: np.random.Generator) -> GradientRecorder:
        model = make()
        batch = classes(rng, 64 if shape else 20, 5, *shape, size=size)
        return train(model, batch, F.cross_entropy, any_optimizer(model, rng))

    return run


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels),
        )  # fmt: skip

    def forward(self, x):
        return F.relu(x + self.inner(x))


def _resnet() -> nn.Module:
    # The biases before the normalisations get gradients that are rounding alone.
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), Residual(8), Residual(8),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5),
    )  # fmt: skip


def _dropout() -> nn.Module:
    return nn.Sequential(
        nn.Linear(20, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(64, 5),
    )  # fmt: skip


def _batch_norm() -> nn.Module:
    return nn.Sequential(
        nn.Linear(20, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(),
        nn.Linear(64, 5),
    )  # fmt: skip


def _warm_up(rng: np.random.Generator) -> GradientRecorder:
    model = dense(20, 32, 32, 5)
    optimizer = AdamW(model.parameters(), lr=1e-2)
    schedule = LambdaLR(
        optimizer, lambda step: min(1.0, step / 20)
    )  # the first step changes nothing
    batch = classes(rng, 20, 5)
    optimizer.register_step_post_hook(lambda *_: schedule.step())
    return train(model, batch, F.cross_entropy, optimizer)


def _one_batch(rng: np.random.Generator) -> GradientRecorder:
    """Learnt by heart, to a loss of almost 0."""
    model = dense(20, 64, 64, 5)
    x, y = classes(rng, 20, 5)()
    optimizer = Adam(model.parameters(), lr=3e-3)
    return train(model, lambda: (x, y), F.cross_entropy, optimizer, 120)


def _binary(rng: np.random.Generator) -> GradientRecorder:
    model = nn.Sequential(dense(20, 16, 1), nn.Flatten(0))
    batch = classes(rng, 20, 2)
    loss = F.binary_cross_entropy_with_logits
    return train(model, batch, lambda out, y: loss(out, y.float()), any_optimizer(model, rng))


class Decoder(nn.Module):
    """A small GPT: causal blocks with the normalisation first."""

    def __init__(self) -> None:
        super().__init__()
        self.token, self.place = nn.Embedding(20, 16), nn.Embedding(10, 16)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(16, 2, 64, 0.1, "gelu", batch_first=True, norm_first=True)
            for _ in range(3)
        )
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 20, bias=False)
        self.mask = nn.Transformer.generate_square_subsequent_mask(10)

    def forward(self, x):
        y = self.token(x) + self.place(tl.arange(10))
        for block in self.blocks:
            y = block(y, src_mask=self.mask)
        return self.head(self.norm(y)).flatten(0, 1)


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


def _tokens(make: Callable[[], nn.Module]) -> Callable[[np.random.Generator], GradientRecorder]:
    """Tell the token that came before."""

    def run(rng: np.random.Generator) -> GradientRecorder:
        def batch() -> tuple[Any, Any]:
            x = rng.integers(0, 20, size=(8, 10))
            return tl.tensor(x), tl.tensor(np.roll(x, 1, 1).reshape(-1))

        model = make()
        return train(model, batch, F.cross_entropy, AdamW(model.parameters(), lr=3e-3))

    return run


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
    "gru": _recurrent(nn.GRU), "attention": _tokens(Attention), "decoder": _tokens(Decoder),
    "regression": _regression, "autoencoder": _autoencoder, "one layer": _one_layer,
    "deep": _classifier(lambda: dense(20, 32, 32, 32, 32, 32, 5)), "dropout": _classifier(_dropout),
    "batch norm": _classifier(_batch_norm), "resnet": _classifier(_resnet, 16, 1, 8, 8),
    "small batch": _classifier(lambda: dense(20, 32, 32, 5), 4),
    "large batch": _classifier(lambda: dense(20, 32, 32, 5), 512),
    "warm-up": _warm_up, "one batch": _one_batch, "binary": _binary,
}  # fmt: skip
HEALTHY = (*_DENSE, *_OTHERS)
#: Those that take a while are trained less often.
SLOW = frozenset({"lstm", "gru", "rnn", "attention", "decoder", "resnet", "cnn"})
