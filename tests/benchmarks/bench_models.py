"""Training steps of the course's models: forward, backward and the optimizer, batch by batch.

Counted are the products of matrices and convolutions: two operations for each weight and each place where
it is used, and as much again for the gradient of the weight and for that of the input, where it is needed.
"""

from __future__ import annotations

import itertools
import math
from types import ModuleType
from typing import Any

from tensorlab._cli.workloads import NUMBER, Run, Setup, Workload, normal, training_step


def _products(places: int, *weights: tuple[int, int], first: bool = True) -> int:
    """Of layers that turn so many numbers into so many, at each of `places`; before the first is the data."""
    each = [2 * places * inputs * outputs for inputs, outputs in weights]
    return 3 * sum(each) - (each[0] if first else 0)


def _tokens(library: ModuleType, *shape: int, factor: int) -> Any:
    return (library.arange(math.prod(shape)) * factor % 64).reshape(shape)


# Pictures ---------------------------------------------------------------------------------


def _mlp(algorithm: str, batch: int, *sizes: int) -> Workload:
    def setup(library: ModuleType) -> Run:
        nn = library.nn
        library.manual_seed(0)
        layers = []
        for inputs, outputs in itertools.pairwise(sizes):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        model = nn.Sequential(*layers[:-1])
        return training_step(
            library, model, normal(library, batch, sizes[0]), library.arange(batch) % 10, algorithm
        )

    name = f"mlp-{algorithm.lower()}" if batch == 64 else "mlp-large"
    flops = _products(batch, *itertools.pairwise(sizes))
    shown = "→".join(map(str, sizes))
    return Workload(name, f"{shown}, batch {batch}, {algorithm}", setup, flops, step=True)


def cnn(library: ModuleType) -> Run:
    nn = library.nn
    library.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64 * 7 * 7, 10),
    )  # fmt: skip
    return training_step(library, model, normal(library, 64, 1, 28, 28), library.arange(64) % 10)


CNN_FLOPS = (
    _products(64 * 28 * 28, (9, 32))
    + _products(64 * 14 * 14, (9 * 32, 64), first=False)
    + _products(64, (64 * 49, 10), first=False)
)


def cifar_cnn(library: ModuleType) -> Run:
    nn = library.nn
    library.manual_seed(0)

    def block(inputs: int, outputs: int) -> list[Any]:
        return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]

    model = nn.Sequential(
        *block(3, 32), *block(32, 32), nn.MaxPool2d(2), nn.Dropout(0.25),
        *block(32, 64), *block(64, 64), nn.MaxPool2d(2), nn.Dropout(0.25),
        *block(64, 128), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(128 * 16, 256), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip
    return training_step(library, model, normal(library, 32, 3, 32, 32), library.arange(32) % 10)


CIFAR_FLOPS = (
    _products(32 * 32 * 32, (9 * 3, 32), (9 * 32, 32))
    + _products(32 * 16 * 16, (9 * 32, 64), (9 * 64, 64), first=False)
    + _products(32 * 8 * 8, (9 * 64, 128), first=False)
    + _products(32, (2048, 256), (256, 128), (128, 10), first=False)
)


# Text -------------------------------------------------------------------------------------


def lstm(library: ModuleType) -> Run:
    nn = library.nn
    library.manual_seed(0)

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(64, 64)
            self.lstm = nn.LSTM(64, 128, batch_first=True)
            self.head = nn.Linear(128, 64)

        def forward(self, tokens: Any) -> Any:
            return self.head(self.lstm(self.embedding(tokens))[0])

    tokens, targets = _tokens(library, 32, 32, factor=7), _tokens(library, 32 * 32, factor=5)
    return training_step(library, Model(), tokens, targets)


LSTM_FLOPS = _products(32 * 32, (64, 512), (128, 512), (128, 64), first=False)


def gpt(library: ModuleType) -> Run:
    nn = library.nn
    library.manual_seed(0)

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm_1, self.norm_2 = nn.LayerNorm(128), nn.LayerNorm(128)
            self.joint, self.project = nn.Linear(128, 384), nn.Linear(128, 128)
            self.feed = nn.Sequential(nn.Linear(128, 512), nn.GELU(), nn.Linear(512, 128))

        def forward(self, x: Any) -> Any:
            batch, length, width = x.shape
            parts = self.joint(self.norm_1(x)).split(128, -1)
            q, k, v = (p.reshape(batch, length, 4, 32).transpose(1, 2) for p in parts)
            y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.project(y.transpose(1, 2).reshape(batch, length, width))
            return x + self.feed(self.norm_2(x))

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token, self.place = nn.Embedding(64, 128), nn.Embedding(64, 128)
            self.blocks = nn.Sequential(*(Block() for _ in range(4)))
            self.norm, self.head = nn.LayerNorm(128), nn.Linear(128, 64)

        def forward(self, tokens: Any) -> Any:
            x = self.token(tokens) + self.place(library.arange(tokens.shape[1]))
            return self.head(self.norm(self.blocks(x)))

    tokens, targets = _tokens(library, 16, 64, factor=7), _tokens(library, 16 * 64, factor=5)
    return training_step(library, Model(), tokens, targets)


# Of attention, the pairs of places that a causal mask leaves.
GPT_FLOPS = 4 * _products(
    16 * 64, (128, 384), (128, 128), (128, 512), (512, 128), first=False
) + _products(16 * 64, (128, 64), first=False) + 4 * _products(
    16 * 4 * 64 * 65 // 2, (32, 1), (1, 32), first=False
)  # fmt: skip


# Arrays far beyond the caches ----------------------------------------------------------------


def elementwise_chain(library: ModuleType) -> Run:
    """28 operations on 4 Mi float32 (16 MiB each), and back; 16 passes over them in a round, and 18 back."""
    w = library.ones(4 << 20, requires_grad=True)

    def run() -> Any:
        w.grad = None
        x = w
        for _ in range(4):
            x = ((x * 1.01 + 0.1).tanh() * w).exp()
            x = x / (x + 1)
        loss = x.sum()
        loss.backward()
        return loss.detach()

    return run


def _step(name: str, what: str, setup: Setup, flops: int) -> Workload:
    return Workload(name, f"{what}, Adam", setup, flops, step=True)


WORKLOADS = [
    _mlp("SGD", 64, 784, 128, 10),
    _mlp("Adam", 64, 784, 128, 10),
    _step("cnn", "conv 1→32→64, pools, linear; 28×28, batch 64", cnn, CNN_FLOPS),
    _step("cifar-cnn", "5 conv-bn-relu, pools, dropout, 3 linear; 32×32, batch 32", cifar_cnn, CIFAR_FLOPS),
    _step("lstm", "embedding 64, hidden 128, 32 steps, batch 32", lstm, LSTM_FLOPS),
    _step("gpt", "4 layers, width 128, 4 heads, 64 tokens, batch 16", gpt, GPT_FLOPS),
    _mlp("Adam", 4096, 784, 1024, 1024, 10),
    Workload(
        "elementwise-chain", "28 operations on 4 Mi numbers, and back", elementwise_chain,
        traffic=4 * (16 + 18) * (4 << 20) * NUMBER, step=True,
    ),
]  # fmt: skip
