"""The host build of kernels catches what it is there to catch: planted mistakes."""

from __future__ import annotations

import os
import sys
from types import ModuleType

import numpy as np
import pytest

from tensorlab.kernels.cuda import launch

from .on_host import SANITIZED

KERNELS = r"""
template <typename T> __global__ void reverse(const T* x, T* y) {  // right
    __shared__ T tile[64];
    tile[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = tile[63 - threadIdx.x];
}
template <typename T> __global__ void no_barrier(const T* x, T* y) {
    __shared__ T tile[64];
    tile[threadIdx.x] = x[threadIdx.x];
    y[threadIdx.x] = tile[63 - threadIdx.x];
}
template <typename T> __global__ void early_return(const T* x, T* y) {
    if (threadIdx.x == 5) return;
    __syncthreads();
    y[threadIdx.x] = x[threadIdx.x];
}
template <typename T> __global__ void two_barriers(const T* x, T* y) {
    if (threadIdx.x < 32) {
        __syncthreads();
    } else {
        __syncthreads();
    }
    y[threadIdx.x] = x[threadIdx.x];
}
template <typename T> __global__ void one_too_far(const T* x, T* y) {
    __shared__ T tile[63];
    tile[threadIdx.x] = x[threadIdx.x];
    y[threadIdx.x] = x[threadIdx.x];
}
template <typename T> __global__ void row_too_far(const T* x, T* y) {
    __shared__ T tile[4][16];
    tile[1 + threadIdx.x / 16][threadIdx.x % 16] = x[threadIdx.x];
    y[threadIdx.x] = x[threadIdx.x];
}
template <typename T> __global__ void behind_dynamic(const T* x, T* y) {
    extern __shared__ unsigned char room[];
    reinterpret_cast<T*>(room)[threadIdx.x] = 1;
    y[threadIdx.x] = x[threadIdx.x];
}
template <typename T> __global__ void behind_output(const T* x, T* y) {
    y[threadIdx.x + 1] = x[threadIdx.x];
}
template <typename T> __global__ void behind_input(const T* x, T* y) {
    y[threadIdx.x] = x[threadIdx.x + 1];
}
template <typename T> __global__ void unwritten(const T* x, T* y) {
    __shared__ T tile[64];
    if (threadIdx.x % 2) tile[threadIdx.x] = x[threadIdx.x];
    y[threadIdx.x] = tile[threadIdx.x];
}
template <typename T> __global__ void own_array(const T* x, T* y) {
    T mine[4];
    for (int i = 0; i <= (int)x[4]; i++) mine[i] = x[i];  // that is 4
    y[threadIdx.x] = mine[threadIdx.x % 4];
}
template <typename T> __global__ void half_a_warp(const T* x, T* y) {
    T sum = x[threadIdx.x];
    if (threadIdx.x % 2) sum += __shfl_xor_sync(0xffffffffu, sum, 2);
    y[threadIdx.x] = sum;
}
template <typename T> __global__ void votes(const T* x, T* y) {  // right
    unsigned odd = __ballot_sync(0xffffffffu, threadIdx.x % 2);
    bool all = __all_sync(0xffffffffu, threadIdx.x < 64), any = __any_sync(0xffffffffu, threadIdx.x > 63);
    y[threadIdx.x] = odd == 0xaaaaaaaau && all && !any ? x[threadIdx.x] : T(0);
}
template <typename T> __global__ void shuffles(const T* x, T* y) {  // right
    T mine = x[threadIdx.x];
    T up = __shfl_up_sync(0xffffffffu, mine, 1), down = __shfl_down_sync(0xffffffffu, mine, 1);
    T first = __shfl_sync(0xffffffffu, mine, 0);
    y[threadIdx.x] = up + down + first;
}
template <typename T> __global__ void counted(const T* x, T* y) {  // right
    __shared__ int count[1];
    if (threadIdx.x == 0) count[0] = 0;
    __syncthreads();
    atomicAdd(&count[0], 2);
    __syncthreads();
    y[threadIdx.x] = count[0];
}
"""
NAMES = [line.split("(")[0].split()[-1] for line in KERNELS.splitlines() if "__global__" in line]


@pytest.fixture
def run(host, monkeypatch):
    """Runs a kernel on 64 threads of one block and 64 numbers."""
    module = ModuleType("tensorlab.kernels.cuda.planted")
    module.INSTANCES = [f"{name}<float>" for name in NAMES]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    real = launch.source
    monkeypatch.setattr(launch, "source", lambda file: KERNELS if file == "planted" else real(file))
    x = np.arange(64, dtype=np.float32)

    def run(name, shared=0):
        y = np.zeros_like(x)
        launch.launch("planted", f"{name}<float>", (1,), (64,), x, y, shared=shared)
        return y

    return run


def test_what_is_right(run):
    x = np.arange(64, dtype=np.float32)
    np.testing.assert_array_equal(run("reverse"), x[::-1])
    np.testing.assert_array_equal(run("votes"), x)
    assert (run("counted") == 128).all()
    lane, warp = x % 32, x // 32 * 32
    wanted = np.maximum(lane - 1, 0) + np.minimum(lane + 1, 31) + 3 * warp
    np.testing.assert_array_equal(run("shuffles"), wanted)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "early_return",
            r"thread \(0, .* at the barrier of line \d+, but thread \(5, .* has ended",
        ),
        (
            "two_barriers",
            r"thread \(0, .* waits at the barrier .*, but thread \(32, .* waits at line \d+",
        ),
        ("one_too_far", r"thread \(63, 0, 0\) .*index 63 of a shared array of 63"),
        ("row_too_far", "index 4 of a shared array of 4"),
        ("behind_dynamic", "bytes behind dynamic shared memory of 252"),
        ("behind_output", "wrote outside of an array"),
        ("half_a_warp", "waits for ever at line .* for other lanes"),
        ("unknown", "not among the instances"),
    ],
)
def test_a_planted_mistake_is_caught(run, name, message):
    with pytest.raises(AssertionError, match=message):
        run(name, shared=252)


def test_a_missing_barrier_shows_in_the_numbers(run):
    assert np.isnan(run("no_barrier")).any()


def test_reading_what_nobody_wrote_gives_nan(run):
    assert np.isnan(run("unwritten")[::2]).all()
    assert np.isnan(run("behind_input")[-1])


@pytest.mark.skipif(
    SANITIZED not in os.environ, reason="test_sanitized.py runs it where it is seen"
)
def test_own_array_too_far(run):
    run("own_array")


def test_arguments_are_counted_and_measured(run):
    x = np.ones(64, np.float32)
    with pytest.raises(AssertionError, match="takes 2 arguments, not 1"):
        launch.launch("planted", "reverse<float>", (1,), (64,), x)
    with pytest.raises(AssertionError, match="argument 1 has 8 bytes, not 4"):
        launch.launch("planted", "reverse<float>", (1,), (64,), x, np.int32(1))
    with pytest.raises(AssertionError, match="at most 1024 threads"):
        launch.launch("planted", "reverse<float>", (1,), (2048,), x, x)
