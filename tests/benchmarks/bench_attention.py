"""Attention alone, as a layer, and in a block of a transformer, forward and backward.

Of a causal mask, the pairs of places that it leaves are counted.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from tensorlab._cli.workloads import NUMBER, Run, Workload, both_ways, normal, times


def _layer(make: Callable[[ModuleType], Callable[[Any], Any]]) -> Callable[[ModuleType], Run]:
    """A layer's run on (16, 64, 128) and its backward, the gradients of its parameters included."""

    def setup(library: ModuleType) -> Run:
        library.manual_seed(0)
        layer: Any = make(library)
        x = normal(library, 16, 64, 128).requires_grad_()
        slope = normal(library, 16, 64, 128, seed=1)
        held = [x, *layer.parameters()]

        def run() -> Any:
            for tensor in held:
                tensor.grad = None
            layer(x).backward(slope)
            return x.grad

        return run

    return setup


def _attention(name: str, batch: int, heads: int, length: int, size: int) -> Workload:
    def call(library: ModuleType, q: Any, k: Any, v: Any) -> Any:
        attend = library.nn.functional.scaled_dot_product_attention
        return attend(q, k, v, is_causal=True)

    shape = (batch, heads, length, size)
    pairs = batch * heads * length * (length + 1) // 2
    return Workload(
        name, f"{times(shape)}, causal", both_ways(call, shape, shape, shape), 6 * 2 * pairs * size
    )


def many_heads(library: ModuleType) -> Any:
    class SelfAttention(library.nn.MultiheadAttention):
        def forward(self, x: Any) -> Any:
            return super().forward(x, x, x, need_weights=False)[0]

    return SelfAttention(128, 4, batch_first=True)


def encoder_layer(library: ModuleType) -> Any:
    return library.nn.TransformerEncoderLayer(
        128, 4, 512, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )


def gpt_block(library: ModuleType) -> Any:
    """Width 128, 4 heads: as a course writes it, from its parts."""
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

    return Block()


def embedding_bag(library: ModuleType) -> Run:
    library.manual_seed(0)
    layer = library.nn.EmbeddingBag(10_000, 64)
    rows = library.from_numpy(np.random.default_rng(0).integers(0, 10_000, (256, 32)))
    slope = normal(library, 256, 64)

    def run() -> Any:
        layer.weight.grad = None
        layer(rows).backward(slope)
        return layer.weight.grad

    return run


# Products: in and out of attention 4 × 128 numbers at each place, and 4 × 128 up and down.
_PLACES, _PROJECTIONS, _FEED = 16 * 64, 4 * 128 * 128, 2 * 128 * 512
_ALL_PAIRS, _CAUSAL = 64 * 64, 64 * 65 // 2


def _flops(weights: int, pairs: int) -> int:
    return 6 * _PLACES * weights + 6 * 2 * 16 * pairs * 128


# Reads the rows and the gradient of each bag, adds at the rows, and writes the whole gradient.
_BAGS = (256 * 32 * 3 + 10_000) * 64 * NUMBER

WORKLOADS = [
    _attention("attention-64", 16, 4, 64, 32),
    _attention("attention-512", 4, 8, 512, 64),
    Workload(
        "many-heads",
        "width 128, 4 heads, 64 places, batch 16",
        _layer(many_heads),
        _flops(_PROJECTIONS, _ALL_PAIRS),
    ),
    Workload(
        "encoder-layer",
        "width 128, 4 heads, hidden 512, GELU",
        _layer(encoder_layer),
        _flops(_PROJECTIONS + _FEED, _ALL_PAIRS),
    ),
    Workload(
        "gpt-block",
        "width 128, 4 heads, hidden 512, causal",
        _layer(gpt_block),
        _flops(_PROJECTIONS + _FEED, _CAUSAL),
    ),
    Workload(
        "embedding-bag", "256 bags of 32 of 10,000 rows, size 64", embedding_bag, traffic=_BAGS
    ),
]
