"""Single operations, forward and backward, from sizes where the call is the cost to those where memory is.

(Attention is in `bench_attention`, Adam in `bench_optim`.)
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from tensorlab._cli.bench import Workload

Run = Callable[[], Any]
Setup = Callable[[ModuleType], Run]


def _numbers(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def _both_ways(call: Callable[..., Any], *shapes: tuple[int, ...]) -> Setup:
    """`call(library, *inputs)` and its backward, the gradient of the output being random."""

    def setup(library: ModuleType) -> Run:
        inputs = [
            library.from_numpy(_numbers(i, *shape)).requires_grad_()
            for i, shape in enumerate(shapes)
        ]
        shape = tuple(call(library, *inputs).shape)
        slope = library.from_numpy(np.asarray(_numbers(len(shapes), *shape)))

        def run() -> Any:
            for x in inputs:
                x.grad = None
            call(library, *inputs).backward(slope)
            return inputs[0].grad

        return run

    return setup


# Products ---------------------------------------------------------------------------------


def _matmul(n: int) -> Workload:
    setup = _both_ways(lambda library, a, b: a @ b, (n, n), (n, n))
    return Workload(f"matmul-{n}", f"{n}×{n} · {n}×{n}", setup)


def _linear(batch: int, inputs: int, outputs: int) -> Workload:
    def call(library: ModuleType, x: Any, weight: Any, bias: Any) -> Any:
        return library.nn.functional.linear(x, weight, bias)

    setup = _both_ways(call, (batch, inputs), (outputs, inputs), (outputs,))
    return Workload(f"linear-{batch}", f"{inputs}→{outputs} with bias, batch {batch}", setup)


def _conv2d(
    name: str, x: tuple[int, ...], weight: tuple[int, ...], stride: int = 1, groups: int = 1
) -> Workload:
    def call(library: ModuleType, x: Any, weight: Any, bias: Any) -> Any:
        return library.nn.functional.conv2d(x, weight, bias, stride, weight.shape[-1] // 2, 1, groups)  # fmt: skip

    what = (
        f"{'×'.join(map(str, x))} by {'×'.join(map(str, weight))}, stride {stride}, {groups} groups"
    )
    return Workload(f"conv2d-{name}", what, _both_ways(call, x, weight, weight[:1]))


# Rows and channels ------------------------------------------------------------------------


def _softmax(*shape: int) -> Workload:
    setup = _both_ways(lambda library, x: library.softmax(x, -1), shape)
    return Workload(
        f"softmax-{shape[-1]}", f"{'×'.join(map(str, shape))}, the last dimension", setup
    )


def _cross_entropy(batch: int, classes: int) -> Workload:
    target = np.random.default_rng(0).integers(0, classes, batch)

    def call(library: ModuleType, x: Any) -> Any:
        return library.nn.functional.cross_entropy(x, library.from_numpy(target))

    setup = _both_ways(call, (batch, classes))
    return Workload(f"cross-entropy-{classes}", f"batch {batch}, {classes} classes", setup)


def _layer_norm(rows: int, size: int) -> Workload:
    def call(library: ModuleType, x: Any, weight: Any, bias: Any) -> Any:
        return library.nn.functional.layer_norm(x, (size,), weight, bias)

    setup = _both_ways(call, (rows, size), (size,), (size,))
    return Workload(f"layer-norm-{size}", f"{rows} rows of {size}", setup)


def _batch_norm(name: str, *shape: int) -> Workload:
    def call(library: ModuleType, x: Any, weight: Any, bias: Any) -> Any:
        return library.nn.functional.batch_norm(x, None, None, weight, bias, training=True)

    setup = _both_ways(call, shape, shape[1:2], shape[1:2])
    return Workload(f"batch-norm-{name}", f"{'×'.join(map(str, shape))}, training", setup)


def _embedding(rows: int, size: int, *indices: int) -> Workload:
    places = np.random.default_rng(0).integers(0, rows, indices)

    def call(library: ModuleType, weight: Any) -> Any:
        return library.nn.functional.embedding(library.from_numpy(places), weight)

    what = f"{'×'.join(map(str, indices))} of {rows} rows of {size}"
    return Workload(f"embedding-{rows}", what, _both_ways(call, (rows, size)))


def _reduction(name: str, dim: int, *shape: int) -> Workload:
    setup = _both_ways(lambda library, x: getattr(x, name)(dim), shape)
    return Workload(f"{name}-dim-{dim}", f"{'×'.join(map(str, shape))} over dimension {dim}", setup)


# Each element -----------------------------------------------------------------------------


def _elementwise(exponent: int) -> Workload:
    count = 10**exponent
    setup = _both_ways(lambda library, x, y: x * y + x, (count,), (count,))
    return Workload(f"elementwise-1e{exponent}", f"x·y + x of {count:,} numbers", setup)


def _activation(name: str) -> Workload:
    setup = _both_ways(lambda library, x: getattr(library.nn.functional, name)(x), (1000, 1000))
    return Workload(name, "1,000,000 numbers", setup)


def _loss(name: str, shown: str) -> Workload:
    target = np.random.default_rng(9).random((1000, 1000), dtype=np.float32)

    def call(library: ModuleType, x: Any) -> Any:
        return getattr(library.nn.functional, name)(x, library.from_numpy(target))

    return Workload(shown, "1,000,000 numbers", _both_ways(call, (1000, 1000)))


def _dropout(library: ModuleType, x: Any) -> Any:
    library.manual_seed(0)  # the same numbers are dropped in both libraries
    return library.nn.functional.dropout(x, 0.5, True)


WORKLOADS = [
    *(_matmul(n) for n in (64, 128, 256, 512, 1024, 2048)),
    _linear(64, 784, 128),
    _linear(1024, 128, 512),
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
    *(_reduction(name, dim, 1000, 1000) for name in ("sum", "mean") for dim in (0, 1)),
    *(_elementwise(exponent) for exponent in range(3, 8)),
    *(
        _activation(name)
        for name in ("relu", "gelu", "silu", "sigmoid", "tanh", "elu", "leaky_relu", "softplus", "hardswish")
    ),
    _loss("mse_loss", "mse-loss"),
    _loss("smooth_l1_loss", "smooth-l1-loss"),
    _loss("binary_cross_entropy_with_logits", "bce-with-logits"),
    Workload("dropout", "1,000,000 numbers, half of them kept", _both_ways(_dropout, (1000, 1000))),
]  # fmt: skip
