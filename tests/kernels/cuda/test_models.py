"""Whole trainings that run on the CUDA kernels, against the same on NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import _apply, _op
from tensorlab.kernels.cuda import conv, launch
from tensorlab.ops import classification
from tensorlab.optim import fused

nn, F = tl.nn, tl.nn.functional


@pytest.fixture
def as_if_on_cuda(host, monkeypatch):
    """Operations on the CPU ask the CUDA kernels, forward and backward, which run on the processor."""
    monkeypatch.setattr(_apply, "SMALL", -1)
    for op in _op.OPS.values():
        monkeypatch.setattr(op, "plans", {})
        monkeypatch.setattr(op, "small", -1)
        cuda = op.kernels.get("cuda")
        # The dictionaries are held elsewhere too: they are changed, and put back.
        monkeypatch.delitem(op.kernels, "cpu", raising=False)
        if cuda is not None:
            monkeypatch.setitem(op.kernels, "cpu", cuda)
        for kernels in op.backward_kernels.values():
            monkeypatch.delitem(kernels, "cpu", raising=False)
            if "cuda" in kernels:
                monkeypatch.setitem(kernels, "cpu", kernels["cuda"])
    return host


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(50, 32)
        layer = nn.TransformerEncoderLayer(32, 4, 64, 0.0, "gelu", batch_first=True)
        self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(32, 50)

    def forward(self, tokens: Any) -> Any:
        mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
        return self.head(self.body(self.words(tokens), mask=mask, is_causal=True))


class Convolutional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.GroupNorm(4, 16), nn.SiLU(),
            nn.Conv2d(16, 16, 1, groups=2), nn.Flatten(), nn.Linear(16 * 16, 20), nn.ReLU(), nn.Linear(20, 10),
        )  # fmt: skip

    def forward(self, images: Any) -> Any:
        return self.body(images)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.body = nn.Embedding(20, 12), nn.LSTM(12, 24, 2, bidirectional=True)
        self.second, self.head = nn.GRU(48, 16), nn.Linear(16, 20)

    def forward(self, tokens: Any) -> Any:
        states = self.second(self.body(self.words(tokens))[0])[0]
        return self.head(F.softmax(states, -1))


def _data(name: str, rng: Any) -> tuple[Any, Any]:
    if name == "Convolutional":
        x = rng.standard_normal((6, 3, 8, 8), np.float32)
        return tl.from_numpy(x), tl.from_numpy(rng.integers(0, 10, 6))
    shape, classes = ((3, 20), 50) if name == "Transformer" else ((5, 4), 20)
    return tuple(tl.from_numpy(rng.integers(0, classes, shape)) for _ in range(2))  # type: ignore[return-value]


def _train(make: Callable[[], Any], seed: int, loss: Any) -> tuple[list[float], list[Any]]:
    tl.manual_seed(seed)
    model = make()
    x, y = _data(make.__name__, np.random.default_rng(seed))
    optimizer = tl.optim.AdamW(model.parameters(), 1e-2)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        out = model(x)
        found = loss(out.reshape(-1, out.shape[-1]), y.reshape(-1))
        found.backward()
        optimizer.step()
        losses.append(found.item())
    return losses, [p.grad.numpy() for p in model.parameters()]


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (Transformer, {"embedding_rows", "norm_rows_backward", "attention_by_key", "bias_activation"}),
        (Convolutional, {"convolution", "plane_norm_backward", "bias_activation_backward", "silu_backward"}),
        (Recurrent, {"lstm_step_backward", "gru_step", "gru_step_backward", "softmax_rows"}),
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)  # fmt: skip
def test_a_training(as_if_on_cuda, monkeypatch, seed, make, wanted):
    monkeypatch.setattr(conv, "tf32_allowed", lambda: False)
    losses, grads = _train(make, seed, classification.fused_cross_entropy)
    used = {name.partition("<")[0] for name in as_if_on_cuda.used}
    assert used >= wanted | {"cross_entropy", "cross_entropy_backward", "optimizer_step"}
    monkeypatch.setattr(launch, "runtime", lambda: None)  # now all kernels decline
    monkeypatch.setattr(fused, "enabled", lambda: False)
    same_losses, same_grads = _train(make, seed, F.cross_entropy)
    np.testing.assert_allclose(losses, same_losses, 1e-3)
    for a, b in zip(grads, same_grads, strict=True):
        np.testing.assert_allclose(a, b, 2e-2, 2e-3 * max(1e-2, float(np.abs(b).max())))
