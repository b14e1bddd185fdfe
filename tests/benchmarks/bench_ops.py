"""Single operations, forward and backward, from sizes where the call is the cost to those where memory is.

What is read and written is counted in passes over the input: an elementwise function of one input makes
five, two forward (in, out) and three backward (the slope in, the input in, the gradient out).
(Attention is in `bench_attention`, Adam in `bench_optim`.)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from tensorlab._cli.workloads import NUMBER, Workload, both_ways, normal, times


def _passes(
    name: str, what: str, call: Callable[..., Any], count: float, *shapes: tuple[int, ...]
) -> Workload:
    """A workload of `count` passes over the first of its inputs."""
    traffic = count * math.prod(shapes[0]) * NUMBER
    return Workload(name, what, both_ways(call, *shapes), traffic=traffic)


# Products ---------------------------------------------------------------------------------


def _matmul(n: int) -> Workload:
    setup = both_ways(lambda library, a, b: a @ b, (n, n), (n, n))
    return Workload(f"matmul-{n}", f"{n}×{n} · {n}×{n}", setup, 6 * n**3)


def _linear(batch: int, inputs: int, outputs: int, name: str = "") -> Workload:
    def call(library: ModuleType, x: Any, weight: Any, bias: Any) -> Any:
        return library.nn.functional.linear(x, weight, bias)

    setup = both_ways(call, (batch, inputs), (outputs, inputs), (outputs,))
    what = f"{inputs}→{outputs} with bias, batch {batch}"
    return Workload(f"linear-{name or batch}", what, setup, 6 * batch * inputs * outputs)


def _inference(name: str) -> Workload:
    """A linear layer and an activation that are only asked for their result."""

    def setup(library: ModuleType) -> Callable[[], Any]:
        library.manual_seed(0)
        model = library.nn.Sequential(library.nn.Linear(128, 512), getattr(library.nn, name)())
        x = normal(library, 1024, 128)

        def run() -> Any:
            with library.no_grad():
                return model(x)

        return run

    what = "128→512 and the activation, batch 1024, forward only"
    return Workload(f"inference-{name.lower()}", what, setup, 2 * 1024 * 128 * 512)


def _conv2d(
    name: str, x: tuple[int, ...], weight: tuple[int, ...], stride: int = 1, groups: int = 1
) -> Workload:
    def call(library: ModuleType, x: Any, weight: Any, bias: Any) -> Any:
        return library.nn.functional.conv2d(x, weight, bias, stride, weight.shape[-1] // 2, 1, groups)  # fmt: skip

    what = f"{times(x)} by {times(weight)}, stride {stride}, {groups} groups"
    pixels = x[0] * math.ceil(x[2] / stride) * math.ceil(x[3] / stride)
    passes = 2 * math.prod(x) + 3 * pixels * weight[0]
    return Workload(
        f"conv2d-{name}",
        what,
        both_ways(call, x, weight, weight[:1]),
        flops=6 * pixels * math.prod(weight),
        traffic=passes * NUMBER,
    )


# Rows and channels ------------------------------------------------------------------------


def _softmax(*shape: int) -> Workload:
    what = f"{times(shape)}, the last dimension"
    return _passes(
        f"softmax-{shape[-1]}", what, lambda library, x: library.softmax(x, -1), 5, shape
    )


def _cross_entropy(batch: int, classes: int) -> Workload:
    target = np.random.default_rng(0).integers(0, classes, batch)

    def call(library: ModuleType, x: Any) -> Any:
        return library.nn.functional.cross_entropy(x, library.from_numpy(target))

    what = f"batch {batch}, {classes} classes"
    return _passes(f"cross-entropy-{classes}", what, call, 3, (batch, classes))


def _layer_norm(rows: int, size: int) -> Workload:
    def call(library: ModuleType, x: Any, weight: Any, bias: Any) -> Any:
        return library.nn.functional.layer_norm(x, (size,), weight, bias)

    what = f"{rows} rows of {size}"
    return _passes(f"layer-norm-{size}", what, call, 5, (rows, size), (size,), (size,))


def _batch_norm(name: str, *shape: int) -> Workload:
    def call(library: ModuleType, x: Any, weight: Any, bias: Any) -> Any:
        return library.nn.functional.batch_norm(x, None, None, weight, bias, training=True)

    what = f"{times(shape)}, training"
    return _passes(f"batch-norm-{name}", what, call, 5, shape, shape[1:2], shape[1:2])


def _embedding(rows: int, size: int, *indices: int) -> Workload:
    places = np.random.default_rng(0).integers(0, rows, indices)

    def call(library: ModuleType, weight: Any) -> Any:
        return library.nn.functional.embedding(library.from_numpy(places), weight)

    what = f"{times(indices)} of {rows} rows of {size}"
    # Of each row that is asked for three passes, and the gradient of the whole table is written.
    count = 1 + 3 * math.prod(indices) / rows
    return _passes(f"embedding-{rows}", what, call, count, (rows, size))


def _places(name: str, size: int) -> Workload:
    """Reading `size` rows or numbers of each row at random places; the gradient adds where it read."""
    shape = (size,) if name == "index_select" else (size, size)
    places = np.random.default_rng(0).integers(0, size, shape)
    dim = 0 if name == "index_select" else 1

    def call(library: ModuleType, x: Any) -> Any:
        return getattr(library, name)(x, dim, library.from_numpy(places))

    what = f"{size}×{size}, dimension {dim} at random places"
    return _passes(name.replace("_", "-"), what, call, 5, (size, size))


def _recurrent(kind: str) -> Workload:
    """A recurrent layer by itself; the LSTM is in `bench_models`."""
    shapes = (32, 32, 64), (128, 64), (128, 128)

    def setup(library: ModuleType) -> Callable[[], Any]:
        library.manual_seed(0)
        layer = getattr(library.nn, kind.upper())(64, 128)
        return both_ways(lambda _, x: layer(x)[0], shapes[0])(library)

    gates = {"gru": 3, "rnn": 1}[kind]
    products = 32 * 32 * gates * sum(math.prod(shape) for shape in shapes[1:])
    return Workload(kind, "64→128, 32 steps, batch 32", setup, 6 * products)


def _reduction(name: str, dim: int, *shape: int) -> Workload:
    what = f"{times(shape)} over dimension {dim}"
    return _passes(f"{name}-dim-{dim}", what, lambda library, x: getattr(x, name)(dim), 2, shape)


def _topk(rows: int, size: int, k: int) -> Workload:
    # The gradient is 0 but for the picked numbers.
    what = f"the {k} largest of each of {rows} rows of {size}"
    return _passes(f"topk-{size}", what, lambda library, x: x.topk(k, -1)[0], 2, (rows, size))


def _norm(library: ModuleType, x: Any) -> Any:
    return library.linalg.vector_norm(x, dim=1)


# Each element -----------------------------------------------------------------------------


def _elementwise(exponent: int) -> Workload:
    count = 10**exponent
    # Two operations: each reads two and writes one; only the product's slopes take reading again.
    return _passes(
        f"elementwise-1e{exponent}",
        f"x·y + x of {count:,} numbers",
        lambda library, x, y: x * y + x,
        11,
        (count,),
        (count,),
    )


def _masked_fill(library: ModuleType, x: Any) -> Any:
    return x.masked_fill(library.from_numpy(_MASK), -math.inf)


def _addcmul(library: ModuleType, x: Any, y: Any, z: Any) -> Any:
    return library.addcmul(x, y, z, value=0.5)


def _activation(name: str, *shape: int) -> Workload:
    def call(library: ModuleType, x: Any) -> Any:
        return getattr(library.nn.functional, name)(x)

    count = math.prod(shape)
    shown = name if count >= 1_000_000 else f"{name}-{count}"
    return _passes(shown, f"{count:,} numbers", call, 5, shape)


def _loss(name: str, shown: str) -> Workload:
    target = np.random.default_rng(9).random((1000, 1000), dtype=np.float32)

    def call(library: ModuleType, x: Any) -> Any:
        return getattr(library.nn.functional, name)(x, library.from_numpy(target))

    return _passes(shown, "1,000,000 numbers", call, 5, (1000, 1000))


def _dropout(library: ModuleType, x: Any) -> Any:
    library.manual_seed(0)  # the same numbers are dropped in both libraries
    return library.nn.functional.dropout(x, 0.5, True)


_MASK = np.random.default_rng(8).random((1000, 1000)) < 0.5
WORKLOADS = [
    *(_matmul(n) for n in (64, 128, 256, 512, 1024, 2048)),
    _linear(64, 784, 128),
    _linear(1024, 128, 512),
    _linear(64, 3136, 10, "narrow"),
    *(_inference(name) for name in ("ReLU", "GELU")),
    _conv2d("first", (64, 1, 28, 28), (32, 1, 3, 3)),
    _conv2d("wide", (32, 32, 32, 32), (64, 32, 3, 3)),
    _conv2d("1x1", (32, 64, 16, 16), (128, 64, 1, 1)),
    _conv2d("strided", (32, 64, 16, 16), (128, 64, 3, 3), stride=2),
    _conv2d("depthwise", (32, 64, 16, 16), (64, 1, 3, 3), groups=64),
    _softmax(64, 10),
    _softmax(16, 4, 64, 64),
    _softmax(1000, 1000),
    _cross_entropy(64, 10),
    _cross_entropy(1024, 64),
    _cross_entropy(256, 10_000),
    _layer_norm(1024, 128),
    _layer_norm(512, 1024),
    _batch_norm("2d", 32, 64, 16, 16),
    _batch_norm("1d", 64, 256),
    _embedding(64, 64, 32, 32),
    _embedding(10_000, 128, 32, 64),
    _places("index_select", 1000),
    _places("gather", 1000),
    _recurrent("gru"),
    _recurrent("rnn"),
    *(_reduction(name, dim, 1000, 1000) for name in ("sum", "mean", "cumsum") for dim in (0, 1)),
    _topk(128, 10, 5),
    _topk(1000, 1000, 10),
    _topk(64, 50_000, 50),
    _passes("flip-dim-1", "1000×1000", lambda library, x: library.flip(x, (1,)), 4, (1000, 1000)),
    _passes("tril", "1000×1000", lambda library, x: library.tril(x), 4, (1000, 1000)),
    _passes("norm-dim-1", "1000×1000 over dimension 1", _norm, 4, (1000, 1000)),
    *(_elementwise(exponent) for exponent in range(3, 8)),
    _passes("add-row", "1000×1000 + 1000", lambda _, x, y: x + y, 3, (1000, 1000), (1000,)),
    _passes("mul-column", "1000×1000 · 1000×1", lambda _, x, y: x * y, 7, (1000, 1000), (1000, 1)),
    _passes("addcmul", "x + y·z / 2 of 1,000,000 numbers", _addcmul, 10, *[(1000, 1000)] * 3),
    *(
        _activation(name, 1000, 1000)
        for name in ("relu", "gelu", "silu", "sigmoid", "tanh", "elu", "leaky_relu", "softplus", "hardswish")
    ),
    *(_activation(name, 4, 16) for name in ("gelu", "silu")),
    _passes("masked-fill", "1,000,000 numbers, half of them -inf", _masked_fill, 4.5, (1000, 1000)),
    _loss("mse_loss", "mse-loss"),
    _loss("smooth_l1_loss", "smooth-l1-loss"),
    _loss("binary_cross_entropy_with_logits", "bce-with-logits"),
    _passes("dropout", "1,000,000 numbers, half of them kept", _dropout, 4.5, (1000, 1000)),
]  # fmt: skip
