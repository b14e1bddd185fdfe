"""Kernels as they are taught: right values on ragged sizes, and nothing found against them."""

from __future__ import annotations

import numpy as np
import pytest

import tensorlab as tl
from tensorlab.cuda import jit

from . import kernels

SIZES = (1, 31, 32, 100, 128, 129, 1000)


def blocks(n: int, threads: int = kernels.BLOCK) -> int:
    return -(-n // threads)


def launched(kernel, configuration, *args):
    """Launch, and insist that the simulator finds nothing at all."""
    with jit.watch() as launches:
        kernel[configuration](*args)
    assert launches.findings == (), str(launches)
    return launches[0]


def floats(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("n", SIZES)
def test_vector_add(rng, n):
    x, y, out = floats(rng, n), floats(rng, n), np.zeros(n, np.float32)
    report = launched(kernels.add, (blocks(n), 128), x, y, out)
    assert np.array_equal(out, x + y)
    assert report.counts.global_loads == 2 * n
    assert report.counts.global_stores == n
    assert report.counts.flops == n


@pytest.mark.parametrize("n", SIZES)
def test_saxpy_with_fewer_threads_than_elements(rng, n):
    x, y = floats(rng, n), floats(rng, n)
    expected = y + np.float32(2.5) * x
    launched(kernels.saxpy, (2, 64), 2.5, x, y)
    assert np.array_equal(y, expected)


@pytest.mark.parametrize("shape", [(16, 16), (17, 33), (50, 31), (40, 100)])
def test_map_in_two_dimensions(rng, shape):
    image, out = floats(rng, *shape), np.zeros(shape, np.float32)
    height, width = shape
    launched(kernels.gradient_2d, ((blocks(width, 32), blocks(height, 4)), (32, 4)), image, out)
    padded = np.pad(image, ((0, 0), (1, 1)), mode="edge")
    assert np.array_equal(out, np.float32(0.5) * (padded[:, 2:] - padded[:, :-2]))


@pytest.mark.parametrize("n", SIZES)
def test_block_reduction(rng, n):
    x, out = floats(rng, n), np.zeros(blocks(n), np.float32)
    report = launched(kernels.block_sum, (blocks(n), 128), x, out)
    sums = np.add.reduceat(x.astype(np.float64), np.arange(0, n, 128))
    np.testing.assert_allclose(out, sums, rtol=1e-4, atol=1e-5)
    assert report.counts.global_loads == n
    assert report.counts.barriers == 8 * blocks(n)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("threads", [32, 64, 256])
def test_warp_shuffle_reduction(rng, n, threads):
    x, out = floats(rng, n), np.zeros(1, np.float32)
    launched(kernels.warp_reduce, (blocks(n, threads), threads), x, out)
    np.testing.assert_allclose(out[0], x.sum(dtype=np.float64), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("m", "k", "n"), [(16, 16, 16), (64, 64, 64), (33, 20, 47), (1, 5, 1), (17, 1, 16)]
)
def test_tiled_matmul(rng, m, k, n):
    a, b, c = floats(rng, m, k), floats(rng, k, n), np.zeros((m, n), np.float32)
    report = launched(kernels.matmul, ((blocks(n, 16), blocks(m, 16)), (16, 16)), a, b, c)
    np.testing.assert_allclose(c, a.astype(np.float64) @ b, rtol=1e-4, atol=1e-5)
    if (m, k, n) == (64, 64, 64):
        assert report.counts.global_loads == 2 * 64**3 // 16  # each tile is read once


@pytest.mark.parametrize("n", SIZES)
def test_histogram(rng, n):
    x = rng.integers(0, 10, n)
    counts = tl.zeros(10, dtype=tl.int32)
    launched(kernels.histogram, (2, 64), x, counts)
    assert counts.tolist() == np.bincount(x, minlength=10).tolist()


@pytest.mark.parametrize("n", SIZES)
def test_scans(rng, n):
    x, out = floats(rng, n), np.zeros(n, np.float32)
    for kernel, width in ((kernels.block_scan, 128), (kernels.warp_scan, 32)):
        launched(kernel, (blocks(n), 128), x, out)
        for start in range(0, n, width):
            part = slice(start, start + width)
            sums = np.cumsum(x[part], dtype=np.float64)
            np.testing.assert_allclose(out[part], sums, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(32, 32), (64, 96), (33, 40), (100, 1), (45, 70)])
def test_transpose(rng, shape):
    a, out = floats(rng, *shape), np.zeros(shape[::-1], np.float32)
    with jit.watch() as launches:
        kernels.transpose[(blocks(shape[1], 32), blocks(shape[0], 32)), (32, 32)](a, out)
    assert launches.ok
    assert launches.counts.bank_conflicts == 0
    assert np.array_equal(out, a.T)


@pytest.mark.parametrize("shape", [(1, 1), (3, 31), (4, 32), (5, 100)])
def test_online_softmax(rng, shape):
    x, out = 10 * floats(rng, *shape), np.zeros(shape, np.float32)
    report = launched(kernels.softmax, (shape[0], 32), x, out)
    wide = x.astype(np.float64)
    expected = np.exp(wide - wide.max(1, keepdims=True))
    np.testing.assert_allclose(out, expected / expected.sum(1, keepdims=True), rtol=1e-5, atol=1e-7)
    assert report.counts.global_loads == 2 * x.size


@pytest.mark.parametrize("n", SIZES)
def test_warps_that_meet_at_syncwarp(rng, n):
    x, out = floats(rng, n), np.zeros(n, np.float32)
    launched(kernels.warp_exchange, (blocks(n), 128), x, out)
    padded = np.pad(x, (0, -n % 2))
    pairs = 2 * padded.reshape(-1, 2)
    assert np.array_equal(out, np.repeat(pairs[:, 0] + pairs[:, 1], 2)[:n])


@pytest.mark.parametrize("n", SIZES)
def test_arrays_of_a_thread(rng, n):
    x, out = floats(rng, n), np.zeros(n, np.float32)
    launched(kernels.moving_median, (blocks(n), 128), x, out)
    padded = np.pad(x, 1, mode="edge")
    windows = np.stack([padded[:-2], padded[1:-1], padded[2:]])
    assert np.array_equal(out, np.median(windows, axis=0))


def test_tensors_and_views(rng):
    """Tensors, transposed and strided ones too, are read and written where they are."""
    x, y = tl.tensor(floats(rng, 6, 4)), tl.tensor(floats(rng, 4, 6))
    out = tl.zeros(6, 8)
    version = out._version

    @jit.kernel
    def add_2d(x, y, out):
        i, j = jit.grid(2)
        if i < x.shape[0] and j < x.shape[1]:
            out[i, j] = x[i, j] + y[i, j]

    add_2d[(1, 1), (8, 8)](x, y.T, out[:, ::2])
    assert tl.equal(out[:, ::2], x + y.T)
    assert not out[:, 1::2].any()
    assert add_2d.report.counts.global_stores == 24
    assert version == 0
