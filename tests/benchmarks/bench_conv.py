"""Convolutions, pooling, batch norm and resizing, forward and backward, at sizes that models of pictures have.

What is read and written is counted in passes over the input and the output, as in `bench_ops`.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

from tensorlab._cli.workloads import NUMBER, Workload, both_ways, times


def _conv(
    name: str, x: tuple[int, ...], weight: tuple[int, ...], stride: int = 1, padding: int | None = None,
    dilation: int = 1, groups: int = 1, transposed: bool = False,
) -> Workload:  # fmt: skip
    """A convolution with bias; unless given, the padding that keeps the size at stride 1."""
    around = dilation * (weight[-1] // 2) if padding is None else padding
    kind = f"conv{'_transpose' * transposed}{len(x) - 2}d"

    def call(library: ModuleType, x: Any, weight: Any, bias: Any) -> Any:
        function = getattr(library.nn.functional, kind)
        options = {"stride": stride, "padding": around, "dilation": dilation, "groups": groups}
        return function(x, weight, bias, **options)

    notes = {"stride": stride, "dilation": dilation, "groups": groups}
    said = [f"{times(x)} by {times(weight)}", *(f"{n} {v}" for n, v in notes.items() if v > 1)]
    outputs = weight[1] * groups if transposed else weight[0]
    reach = dilation * (weight[-1] - 1)
    sizes = [
        (n - 1) * stride - 2 * around + reach + 1
        if transposed
        else (n + 2 * around - reach - 1) // stride + 1
        for n in x[2:]
    ]
    places = math.prod(x[2:] if transposed else sizes)
    return Workload(
        f"{kind.replace('_', '-')}-{name}",
        ", ".join(said),
        both_ways(call, x, weight, (outputs,)),
        flops=6 * x[0] * places * math.prod(weight),
        traffic=(2 * math.prod(x) + 3 * x[0] * outputs * math.prod(sizes)) * NUMBER,
    )


def _function(
    name: str, kind: str, shape: tuple[int, ...], scale: float, *arguments: Any, **options: Any
) -> Workload:
    """`nn.functional.kind`, whose result is `scale` times as large as its input."""

    def call(library: ModuleType, x: Any) -> Any:
        return getattr(library.nn.functional, kind)(x, *arguments, **options)

    said = [times(shape), *map(str, arguments), *(f"{n} {v}" for n, v in options.items())]
    traffic = 2 * (1 + scale) * math.prod(shape) * NUMBER
    return Workload(name, ", ".join(said), both_ways(call, shape), traffic=traffic)


def _batch_norm(name: str, shape: tuple[int, ...], relu: bool = False) -> Workload:
    def call(library: ModuleType, x: Any, weight: Any, bias: Any) -> Any:
        F = library.nn.functional
        out = F.batch_norm(x, None, None, weight, bias, training=True)
        return F.relu(out) if relu else out

    what = f"{times(shape)}, training{', then relu' * relu}"
    traffic = (10 if relu else 5) * math.prod(shape) * NUMBER
    return Workload(name, what, both_ways(call, shape, shape[1:2], shape[1:2]), traffic=traffic)


WORKLOADS = [
    _conv("mnist", (64, 1, 28, 28), (32, 1, 3, 3)),
    _conv("mnist-2", (64, 32, 14, 14), (64, 32, 3, 3)),
    _conv("stem", (4, 3, 224, 224), (64, 3, 7, 7), stride=2),
    _conv("56", (4, 64, 56, 56), (64, 64, 3, 3)),
    _conv("56-strided", (4, 64, 56, 56), (128, 64, 3, 3), stride=2),
    _conv("56-1x1", (4, 64, 56, 56), (256, 64, 1, 1)),
    _conv("56-1x1-back", (4, 256, 56, 56), (64, 256, 1, 1)),
    _conv("56-1x1-strided", (4, 256, 56, 56), (512, 256, 1, 1), stride=2),
    _conv("56-depthwise", (8, 64, 56, 56), (64, 1, 3, 3), groups=64),
    _conv("56-depthwise-strided", (8, 64, 56, 56), (64, 1, 3, 3), stride=2, groups=64),
    _conv("14-depthwise-5", (16, 128, 14, 14), (128, 1, 5, 5), groups=128),
    _conv("56-grouped", (4, 128, 56, 56), (128, 4, 3, 3), groups=32),
    _conv("14-grouped", (8, 512, 14, 14), (512, 16, 3, 3), groups=32),
    _conv("28-dilated", (4, 64, 28, 28), (64, 64, 3, 3), dilation=2),
    _conv("7", (8, 512, 7, 7), (512, 512, 3, 3)),
    _conv("patches", (8, 3, 224, 224), (192, 3, 16, 16), stride=16, padding=0),
    _conv("sound", (16, 64, 1000), (128, 64, 5)),
    _conv("sound-causal", (16, 64, 1000), (64, 64, 3), dilation=4),
    _conv("volume", (4, 16, 16, 16, 16), (32, 16, 3, 3, 3)),
    _conv("14-up", (16, 128, 14, 14), (128, 64, 4, 4), stride=2, padding=1, transposed=True),
    _conv("7-up", (64, 64, 7, 7), (64, 32, 3, 3), stride=2, padding=1, transposed=True),
    _function("max-pool-2", "max_pool2d", (64, 32, 28, 28), 1 / 4, 2),
    _function("max-pool-3-strided", "max_pool2d", (4, 64, 112, 112), 1 / 4, 3, 2, 1),
    _function("max-pool-1d", "max_pool1d", (32, 64, 1000), 1 / 2, 2),
    _function("max-pool-3d", "max_pool3d", (4, 16, 16, 32, 32), 1 / 8, 2),
    _function("avg-pool-2", "avg_pool2d", (64, 32, 28, 28), 1 / 4, 2),
    _function("avg-pool-3", "avg_pool2d", (8, 64, 56, 56), 1, 3, 1, 1),
    _function("avg-pool-1d", "avg_pool1d", (32, 64, 1000), 1 / 2, 2),
    _function("adaptive-avg-pool-1", "adaptive_avg_pool2d", (32, 512, 7, 7), 1 / 49, 1),
    _function("adaptive-avg-pool-7", "adaptive_avg_pool2d", (8, 256, 14, 14), 1 / 4, 7),
    _function("adaptive-avg-pool-5", "adaptive_avg_pool2d", (8, 64, 28, 28), 25 / 784, 5),
    _function("adaptive-max-pool-1", "adaptive_max_pool2d", (32, 512, 7, 7), 1 / 49, 1),
    _function("adaptive-max-pool-7", "adaptive_max_pool2d", (8, 256, 14, 14), 1 / 4, 7),
    _batch_norm("batch-norm-56", (4, 64, 56, 56)),
    _batch_norm("batch-norm-7", (32, 512, 7, 7)),
    _batch_norm("batch-norm-relu-28", (16, 128, 28, 28), relu=True),
    _function("upsample-nearest", "interpolate", (8, 64, 28, 28), 4, scale_factor=2),
    _function(
        "upsample-bilinear", "interpolate", (8, 64, 28, 28), 4, scale_factor=2, mode="bilinear",
        align_corners=False,
    ),
]  # fmt: skip
