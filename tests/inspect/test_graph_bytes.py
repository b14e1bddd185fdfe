"""inspect.graph counts bytes: of what each operation makes, and of what it keeps for its gradient.

Twice: against sizes counted by hand, from PyTorch's documentation of what each rule needs; and against what
Python's own tracer finds allocated, which knows nothing of graphs.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

import tensorlab as tl
from tensorlab.inspect import graph
from tensorlab.nn import functional as F

F32, I64, BOOL = 4, 8, 1  # bytes of an element

# x, y: 4 × 6. w: 5 × 6. b: 5. row: 6. image: 2 × 3 × 8 × 8. filters: 4 × 3 × 3 × 3.
# table: 10 × 6. q: 2 × 2 × 5 × 4 (batch, heads, length, width).
X, W, ROW, IMAGE, FILTERS, Q = 24 * F32, 30 * F32, 6 * F32, 384 * F32, 108 * F32, 80 * F32
LABELS = tl.tensor([0, 1, 2, 3])
WORDS = tl.tensor([[0, 1, 2], [3, 2, 1]])
FAMILIES: dict[str, tuple[Callable[..., Any], int, int]] = {
    # name: what is computed; bytes of its result; bytes that it keeps
    "a rule that needs the result": (lambda v: v["x"].exp(), X, X),
    "a rule that needs the input": (lambda v: v["x"].log(), X, X),
    "a rule that needs neither": (lambda v: v["x"] + v["y"], X, 0),
    "a product": (lambda v: v["x"] * v["y"], X, 2 * X),
    "a product with a row": (lambda v: v["x"] * v["row"], X, X + ROW),
    "a product with a number": (lambda v: v["x"] * 2, X, 0),
    "a quotient": (lambda v: v["x"] / v["y"], X, 2 * X),
    "the same twice": (lambda v: v["x"] * v["x"], X, X),
    "an activation": (lambda v: F.gelu(v["x"]), X, X),
    "float64": (lambda v: v["double"].exp(), 2 * X, 2 * X),
    "a sum": (lambda v: v["x"].sum(), F32, 0),
    "a mean over rows": (lambda v: v["x"].mean(0), ROW, 0),
    "a largest value": (lambda v: v["x"].amax(1), 4 * F32, X + 4 * F32),
    "values and places": (lambda v: v["x"].max(dim=1).values, 4 * (F32 + I64), 4 * (F32 + I64)),
    "a matrix product": (lambda v: v["x"] @ v["w"].T, 4 * 5 * F32, X + W),
    "a layer": (lambda v: F.linear(v["x"], v["w"], v["b"]), 4 * 5 * F32, X + W),
    "a convolution": (
        lambda v: F.conv2d(v["image"], v["filters"], padding=1),
        2 * 4 * 8 * 8 * F32,
        IMAGE + FILTERS,
    ),
    "a mean of windows": (lambda v: F.avg_pool2d(v["image"], 2), IMAGE // 4, 0),
    "softmax": (lambda v: v["x"].softmax(1), X, X),
    "a loss on labels": (lambda v: F.nll_loss(v["x"], LABELS), F32, 4 * I64),
    "a loss on values": (lambda v: F.mse_loss(v["x"], v["y"]), F32, 2 * X),
    "dropout": (lambda v: F.dropout(v["x"], 0.5), X, X),
    "a table": (lambda v: F.embedding(WORDS, v["table"]), 6 * 6 * F32, 6 * I64),
    "an index for each row": (lambda v: v["x"].gather(1, LABELS[:, None]), 4 * F32, 4 * I64),
    "rows by their numbers": (lambda v: v["x"][LABELS[:2]], 2 * ROW, 4 * I64),
    "a choice": (lambda v: tl.where(v["mask"], v["x"], v["y"]), X, 24 * BOOL),
    "a join": (lambda v: tl.cat([v["x"], v["y"]]), 2 * X, 0),
    "a copy": (lambda v: v["x"].clone(), X, 0),
    "another dtype": (lambda v: v["x"].double(), 2 * X, 0),
    "a view": (lambda v: v["x"].view(6, 4), 0, 0),
    "a transpose": (lambda v: v["x"].T, 0, 0),
    "a slice": (lambda v: v["x"][1:3], 0, 0),
    "attention": (
        # For each query the logarithm of its sum of exponentials as well, in float64.
        lambda v: F.scaled_dot_product_attention(v["q"], v["k"], v["v"]),
        Q + 20 * 8,
        4 * Q + 20 * 8,
    ),
}  # fmt: skip


def values() -> dict[str, Any]:
    shapes = {
        "x": (4, 6), "y": (4, 6), "w": (5, 6), "b": (5,), "row": (6,), "image": (2, 3, 8, 8),
        "filters": (4, 3, 3, 3), "table": (10, 6), "q": (2, 2, 5, 4), "k": (2, 2, 5, 4), "v": (2, 2, 5, 4),
    }  # fmt: skip
    made: dict[str, Any] = {
        name: tl.rand(shape).add(0.5).requires_grad_() for name, shape in shapes.items()
    }
    made["double"] = tl.rand(4, 6, dtype=tl.float64, requires_grad=True)
    made["mask"] = tl.rand(4, 6) > 0.5
    return made


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_of_operations(family: str) -> None:
    compute, made, kept = FAMILIES[family]
    (*_, node) = graph(compute(values())).operations
    assert (node.bytes, node.saved_bytes) == (made, kept)
    if family != "the same twice":  # one array under two names
        assert sum(each.bytes for each in node.saved) <= node.saved_bytes


BIG = 256  # so that what Python itself allocates beside the arrays does not count


@pytest.mark.parametrize(
    ("compute", "kept"),
    [
        (lambda x, y: x.exp(), 0),  # its result
        (lambda x, y: x.log(), 0),  # its input
        (lambda x, y: x + y, 0),
        (lambda x, y: x.T, 0),
        (lambda x, y: x @ y, 0),
        (lambda x, y: x.softmax(1), 0),
        (lambda x, y: tl.cat([x, y]), 0),
        (lambda x, y: x.double(), 0),
        (lambda x, y: F.dropout(x, 0.5), F32),  # the mask, of which nobody else knows
        (lambda x, y: x[tl.arange(BIG)[:, None], tl.arange(BIG)[None].repeat(BIG, 1)], I64),
        (lambda x, y: tl.where(x > 0, x, y), BOOL),
        (lambda x, y: x.sort(0).values, 0),  # values and places are both results
    ],
    ids=[
        "exp", "log", "add", "view", "matmul", "softmax", "cat", "cast", "dropout", "index", "where",
        "sort",
    ],
)  # fmt: skip
def test_what_is_counted_is_what_is_allocated(compute: Callable[..., Any], kept: int) -> None:
    x = tl.randn(BIG, BIG, requires_grad=True)
    y = tl.randn(BIG, BIG, requires_grad=True)
    compute(x, y)  # kernels are compiled
    tracemalloc.start()
    try:
        result = compute(x, y)
        allocated = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    (*_, node) = graph(result).operations
    assert allocated == pytest.approx(node.bytes + kept * BIG * BIG, abs=20_000)
    assert node.saved_bytes >= kept * BIG * BIG
