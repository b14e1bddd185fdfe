"""Kernels as they are taught: each is right on every size. Tests launch them, and break them."""

from __future__ import annotations

import math

import tensorlab as tl
from tensorlab.cuda import jit
from tensorlab.cuda.jit import (
    atomic,
    blockDim,
    blockIdx,
    grid,
    gridsize,
    laneid,
    local,
    shared,
    shfl_down_sync,
    shfl_up_sync,
    shfl_xor_sync,
    syncthreads,
    syncwarp,
    threadIdx,
)

BLOCK = 128
TILE = 16
FULL = 0xFFFFFFFF


@jit.kernel
def add(x, y, out):
    i = grid(1)
    if i < len(out):
        out[i] = x[i] + y[i]


@jit.kernel
def saxpy(a, x, y):
    """A loop over the grid: any number of threads does for any size."""
    for i in range(grid(1), len(x), gridsize(1)):
        y[i] += a * x[i]


@jit.kernel
def gradient_2d(image, out):
    x, y = grid(2)
    height, width = image.shape
    if x < width and y < height:
        left = image[y, max(x - 1, 0)]
        right = image[y, min(x + 1, width - 1)]
        out[y, x] = 0.5 * (right - left)


@jit.kernel
def block_sum(x, out):
    parts = shared.array(BLOCK, tl.float32)
    t = threadIdx.x
    i = grid(1)
    parts[t] = x[i] if i < len(x) else 0.0
    syncthreads()
    stride = BLOCK // 2
    while stride > 0:
        if t < stride:
            parts[t] += parts[t + stride]
        syncthreads()
        stride //= 2
    if t == 0:
        out[blockIdx.x] = parts[0]


@jit.device
def warp_sum(value):
    for step in range(5):
        value += shfl_xor_sync(FULL, value, 16 >> step)
    return value


@jit.kernel
def warp_reduce(x, out):
    """Each warp by shuffles, the warps of a block through shared memory."""
    parts = shared.array(32, tl.float32)
    t = threadIdx.x
    i = grid(1)
    value = x[i] if i < len(x) else 0.0
    value = warp_sum(value)
    if laneid() == 0:
        parts[t // 32] = value
    syncthreads()
    if t < 32:
        value = parts[t] if t < blockDim.x // 32 else 0.0
        for step in range(5):
            value += shfl_down_sync(FULL, value, 16 >> step)
        if t == 0:
            atomic.add(out, 0, value)


@jit.kernel
def matmul(a, b, c):
    a_tile = shared.array((TILE, TILE), tl.float32)
    b_tile = shared.array((TILE, TILE), tl.float32)
    tx = threadIdx.x
    ty = threadIdx.y
    column, row = grid(2)
    total = 0.0
    for start in range(0, a.shape[1], TILE):
        k = start + tx
        a_tile[ty, tx] = a[row, k] if row < a.shape[0] and k < a.shape[1] else 0.0
        k = start + ty
        b_tile[ty, tx] = b[k, column] if k < b.shape[0] and column < b.shape[1] else 0.0
        syncthreads()
        for j in range(TILE):
            total += a_tile[ty, j] * b_tile[j, tx]
        syncthreads()
    if row < c.shape[0] and column < c.shape[1]:
        c[row, column] = total


@jit.kernel
def histogram(x, counts):
    """Each block counts in shared memory first."""
    mine = shared.array(32, tl.int32)
    t = threadIdx.x
    if t < 32:
        mine[t] = 0
    syncthreads()
    for i in range(grid(1), len(x), gridsize(1)):
        atomic.add(mine, x[i], 1)
    syncthreads()
    if t < len(counts):
        atomic.add(counts, t, mine[t])


@jit.kernel
def block_scan(x, out):
    """Sums from the start of the block up to each element (Hillis and Steele)."""
    held = shared.array((2, BLOCK), tl.float32)
    t = threadIdx.x
    i = grid(1)
    now = 0
    held[now, t] = x[i] if i < len(x) else 0.0
    syncthreads()
    step = 1
    while step < BLOCK:
        value = held[now, t]
        if t >= step:
            value += held[now, t - step]
        now = 1 - now
        held[now, t] = value
        syncthreads()
        step *= 2
    if i < len(x):
        out[i] = held[now, t]


@jit.kernel
def warp_scan(x, out):
    """Sums within each warp, by shuffles."""
    i = grid(1)
    value = x[i] if i < len(x) else 0.0
    step = 1
    while step < 32:
        other = shfl_up_sync(FULL, value, step)
        if laneid() >= step:
            value += other
        step *= 2
    if i < len(x):
        out[i] = value


@jit.kernel
def transpose(a, out):
    """Through a tile with padded rows, so that reading columns hits different banks."""
    tile = shared.array((32, 33), tl.float32)
    tx = threadIdx.x
    ty = threadIdx.y
    x, y = grid(2)
    if y < a.shape[0] and x < a.shape[1]:
        tile[ty, tx] = a[y, x]
    syncthreads()
    x = blockIdx.y * 32 + tx
    y = blockIdx.x * 32 + ty
    if y < out.shape[0] and x < out.shape[1]:
        out[y, x] = tile[tx, ty]


@jit.kernel
def softmax(x, out):
    """Online softmax: one warp a row, and each element is read twice (M. Milakov, N. Gimelshein, 2018)."""
    row = blockIdx.x
    lane = threadIdx.x
    columns = x.shape[1]
    largest = -math.inf
    total = 0.0
    for j in range(lane, columns, 32):
        value = x[row, j]
        new = max(largest, value)
        total = total * math.exp(largest - new) + math.exp(value - new)
        largest = new
    for step in range(5):
        other = shfl_xor_sync(FULL, largest, 16 >> step)
        other_total = shfl_xor_sync(FULL, total, 16 >> step)
        new = max(largest, other)
        if new > -math.inf:
            total = total * math.exp(largest - new) + other_total * math.exp(other - new)
        largest = new
    for j in range(lane, columns, 32):
        out[row, j] = math.exp(x[row, j] - largest) / total


@jit.kernel
def warp_exchange(x, out):
    """Lanes of a warp hand numbers on through shared memory, with nothing but syncwarp."""
    held = shared.array(BLOCK, tl.float32)
    t = threadIdx.x
    i = grid(1)
    held[t] = x[i] if i < len(x) else 0.0
    syncwarp()
    value = held[t ^ 1]
    syncwarp()
    held[t] = 2 * value
    syncwarp()
    if i < len(x):
        out[i] = held[t] + held[t ^ 1]


@jit.kernel
def moving_median(x, out):
    """The median of three, in an array of the thread's own."""
    window = local.array(3, tl.float32)
    i = grid(1)
    n = len(x)
    if i < n:
        for j in range(3):
            window[j] = x[min(max(i + j - 1, 0), n - 1)]
        for j in range(2):
            for k in range(2 - j):
                low = min(window[k], window[k + 1])
                high = max(window[k], window[k + 1])
                window[k] = low
                window[k + 1] = high
        out[i] = window[1]
