"""Which embedding kernel runs: see `embedding.cu`."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab.kernels.cuda.launch import (
    blocks,
    checks_on_host,
    contiguous,
    i32,
    launch,
    like,
    ours,
    suits,
    type_of,
    variants,
    width,
    xp,
)

INSTANCES = variants("embedding<{T}, {N}>", "embedding_rows<{T}, {N}>")


def _suits(rows_of_numbers: Any, indices: Any) -> bool:
    return (
        suits(rows_of_numbers)
        and ours(indices)
        and indices.dtype in (np.int64, np.int32)
        and rows_of_numbers.size > 0
        and indices.size > 0
        and rows_of_numbers.shape[-1] < 2**31
    )


def _flat(indices: Any) -> Any:
    return contiguous(indices).reshape(-1).astype(np.int64, copy=False)


def embedding(
    weight: Any, indices: Any, padding_idx: Any, scale_grad_by_freq: Any, sparse: Any
) -> Any:
    if sparse or not _suits(weight, indices) or weight.ndim != 2 or checks_on_host(indices):
        return NotImplemented
    weight, flat = contiguous(weight), _flat(indices)
    rows, size = weight.shape
    out = like(weight, (*indices.shape, size))
    name = f"embedding<{type_of(weight)}, {width(size, weight)}>"
    grid, block = (blocks(flat.size, 8),), (32, 8)
    launch("embedding", name, grid, block, weight, flat, out, int(flat.size), rows, i32(size))
    return out


def embedding_rows(
    input: Any, indices: Any, rows: Any, padding_idx: Any, scale_grad_by_freq: Any
) -> Any:
    if not _suits(input, indices) or input.ndim < 1:
        return NotImplemented
    g, flat = contiguous(input), _flat(indices)
    size = g.shape[-1]
    order = xp().argsort(flat, kind="stable")
    out = xp().zeros((rows, size), g.dtype)
    launch(
        "embedding", f"embedding_rows<{type_of(g)}, {width(size, g, out)}>", (blocks(flat.size, 8),), (32, 8),
        g, flat[order], order, out, int(flat.size), i32(size), int(padding_idx), bool(scale_grad_by_freq),
    )  # fmt: skip
    return out


def embedding_backward(
    g: Any, indices: Any, weight_shape: Any, padding_idx: Any, scale_grad_by_freq: Any
) -> Any:
    return embedding_rows(g, indices, weight_shape[0], padding_idx, scale_grad_by_freq)
