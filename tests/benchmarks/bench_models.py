"""Training steps of the course's models: forward, backward and Adam, batch by batch."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from tensorlab._cli.bench import Workload

Run = Callable[[], Any]


def _step(library: ModuleType, model: Any, inputs: Any, targets: Any, classes: int) -> Run:
    optimizer = library.optim.Adam(model.parameters(), lr=1e-3)

    def run() -> Any:
        optimizer.zero_grad()
        logits = model(inputs).reshape(-1, classes)
        loss = library.nn.functional.cross_entropy(logits, targets)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return run


def _tokens(library: ModuleType, *shape: int, factor: int) -> Any:
    count = 1
    for n in shape:
        count *= n
    return (library.arange(count) * factor % 64).reshape(shape)


def mlp(library: ModuleType) -> Run:
    nn = library.nn
    library.manual_seed(0)
    model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    return _step(library, model, library.randn(64, 784), library.arange(64) % 10, 10)


def cnn(library: ModuleType) -> Run:
    nn = library.nn
    library.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64 * 7 * 7, 10),
    )  # fmt: skip
    return _step(library, model, library.randn(64, 1, 28, 28), library.arange(64) % 10, 10)


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
    return _step(library, model, library.randn(32, 3, 32, 32), library.arange(32) % 10, 10)


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
    return _step(library, Model(), tokens, targets, 64)


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
    return _step(library, Model(), tokens, targets, 64)


WORKLOADS = [
    Workload("mlp", "784→128→10, batch 64", mlp),
    Workload("cnn", "conv 1→32→64, pools, linear; 28×28, batch 64", cnn),
    Workload(
        "cifar-cnn", "5 convolutions with batch norm, dropout, 3 linear; 32×32, batch 32", cifar_cnn
    ),
    Workload("lstm", "embedding 64, hidden 128, 32 steps, batch 32", lstm),
    Workload("gpt", "4 layers, width 128, 4 heads, 64 tokens, batch 16", gpt),
]
