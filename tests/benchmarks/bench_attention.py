"""Attention alone, as a layer, and in a block of a transformer, forward and backward."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from tensorlab._cli.bench import Workload

Run = Callable[[], Any]


def _step(call: Callable[..., Any], *inputs: Any) -> Run:
    """A run of `call` and its backward."""

    def run() -> Any:
        for x in inputs:
            x.grad = None
        call(*inputs).sum().backward()
        return inputs[0].grad

    return run


def _normal(library: ModuleType, *shape: int, seed: int = 0) -> Any:
    numbers = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    return library.from_numpy(numbers).requires_grad_()


def _attention(*shape: int) -> Callable[[ModuleType], Run]:
    def make(library: ModuleType) -> Run:
        attend = library.nn.functional.scaled_dot_product_attention
        inputs = [_normal(library, *shape, seed=i) for i in range(3)]
        return _step(lambda q, k, v: attend(q, k, v, is_causal=True), *inputs)

    return make


def many_heads(library: ModuleType) -> Run:
    library.manual_seed(0)
    layer = library.nn.MultiheadAttention(128, 4, batch_first=True)
    x = _normal(library, 16, 64, 128)
    return _step(lambda x: layer(x, x, x, need_weights=False)[0], x)


def encoder_layer(library: ModuleType) -> Run:
    library.manual_seed(0)
    layer = library.nn.TransformerEncoderLayer(
        128, 4, 512, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    return _step(layer, _normal(library, 16, 64, 128))


def gpt_block(library: ModuleType) -> Run:
    """Width 128, 4 heads, 64 places, a batch of 16: as a course writes it, from its parts."""
    nn, F = library.nn, library.nn.functional

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.before, self.after = nn.LayerNorm(128), nn.LayerNorm(128)
            self.inward, self.outward = nn.Linear(128, 384), nn.Linear(128, 128)
            self.up, self.down = nn.Linear(128, 512), nn.Linear(512, 128)

        def forward(self, x: Any) -> Any:
            batch, length, width = x.shape
            parts = self.inward(self.before(x)).split(width, dim=2)
            q, k, v = (p.view(batch, length, 4, width // 4).transpose(1, 2) for p in parts)
            seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.outward(seen.transpose(1, 2).reshape(batch, length, width))
            return x + self.down(F.gelu(self.up(self.after(x))))

    library.manual_seed(0)
    return _step(Block(), _normal(library, 16, 64, 128))


def embedding_bag(library: ModuleType) -> Run:
    library.manual_seed(0)
    layer = library.nn.EmbeddingBag(10_000, 64)
    rows = library.from_numpy(np.random.default_rng(0).integers(0, 10_000, (256, 32)))

    def run() -> Any:
        layer.weight.grad = None
        layer(rows).sum().backward()
        return layer.weight.grad

    return run


WORKLOADS = [
    Workload(
        "attention", "16×4 heads, 64×64, size 32, causal, both ways", _attention(16, 4, 64, 32)
    ),
    Workload("attention-long", "4×8 heads, 512×512, size 64, causal", _attention(4, 8, 512, 64)),
    Workload("many-heads", "width 128, 4 heads, 64 places, batch 16", many_heads),
    Workload("encoder-layer", "width 128, 4 heads, hidden 512, GELU", encoder_layer),
    Workload("gpt-block", "width 128, 4 heads, hidden 512, causal", gpt_block),
    Workload("embedding-bag", "256 bags of 32 of 10,000 rows, size 64", embedding_bag),
]
