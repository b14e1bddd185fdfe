"""Kernels of your own, written in Python: `jit.kernel`, on a GPU or without one.

A kernel says what one thread does. `kernel[blocks, threads](*args)` runs it for all threads of all
blocks: on the GPU if its arrays are there (translated by `cupyx.jit`), else in a simulator that
gives the same values and finds what a GPU would not tell: data races, barriers that not all
threads come to, indices outside of arrays, shared memory that nobody wrote. It counts what the
warps do, too: sectors of memory, bank conflicts, branches that come apart. `kernel.report` has all
of that in words; `watch` collects the reports of several launches.

    from tensorlab.cuda import jit
    from tensorlab.cuda.jit import grid, shared, syncthreads, threadIdx, blockIdx, blockDim

    @jit.kernel
    def add(x, y, out):
        i = grid(1)
        if i < len(out):
            out[i] = x[i] + y[i]

    add[(n + 255) // 256, 256](x, y, out)
    print(add.report)

Words of a kernel:
    threadIdx, blockIdx, blockDim, gridDim (each .x, .y and .z), grid(n), gridsize(n), laneid(),
    warpsize; syncthreads(), syncwarp(mask); shared.array(shape, dtype), local.array(shape, dtype);
    atomic.add, sub, max, min, exch, cas, and_, or_, xor; shfl_sync, shfl_up_sync, shfl_down_sync,
    shfl_xor_sync, ballot_sync, any_sync, all_sync, activemask, popc, rsqrt.
Python of a kernel:
    numbers, names, + - * / // % ** << >> & | ^ ~, comparisons, and, or, not, x if c else y; if,
    while, for … in range(…), break, continue, return; a[i, j], a.shape[0], a.size, len(a);
    min, max, abs, pow, int(…), float(…), np.float64(…) and the functions of `math`; calls of
    `jit.device` functions. Numbers from outside of the kernel are constants in it.
Types:
    A variable keeps the type of its first value: start a float sum with 0.0. Numbers written alone
    are int32 and float32; beside others they take the others' type. `/` of whole numbers gives
    float32. threadIdx and its kind, sizes and `int(…)` are int32, which wraps around, as on a GPU.
    float16 is computed in float32. Compilers for GPUs join a product and a sum into one rounding
    (FMA), the simulator does not: last digits may differ.
"""

from __future__ import annotations

from tensorlab.cuda.jit._source import CompileError
from tensorlab.cuda.jit.language import (
    activemask,
    all_sync,
    any_sync,
    atomic,
    ballot_sync,
    blockDim,
    blockIdx,
    grid,
    gridDim,
    gridsize,
    laneid,
    local,
    popc,
    rsqrt,
    shared,
    shfl_down_sync,
    shfl_sync,
    shfl_up_sync,
    shfl_xor_sync,
    syncthreads,
    syncwarp,
    threadIdx,
    warpsize,
)
from tensorlab.cuda.jit.launch import (
    DeviceFunction,
    Kernel,
    KernelError,
    KernelWarning,
    device,
    kernel,
    watch,
)
from tensorlab.cuda.jit.report import Access, Branch, Counts, Finding, KernelReport, Place, Watch
from tensorlab.cuda.jit.trace import Step, Touch, Trace, TracedArray

__all__ = [
    "Access",
    "Branch",
    "CompileError",
    "Counts",
    "DeviceFunction",
    "Finding",
    "Kernel",
    "KernelError",
    "KernelReport",
    "KernelWarning",
    "Place",
    "Step",
    "Touch",
    "Trace",
    "TracedArray",
    "Watch",
    "activemask",
    "all_sync",
    "any_sync",
    "atomic",
    "ballot_sync",
    "blockDim",
    "blockIdx",
    "device",
    "grid",
    "gridDim",
    "gridsize",
    "kernel",
    "laneid",
    "local",
    "popc",
    "rsqrt",
    "shared",
    "shfl_down_sync",
    "shfl_sync",
    "shfl_up_sync",
    "shfl_xor_sync",
    "syncthreads",
    "syncwarp",
    "threadIdx",
    "warpsize",
    "watch",
]
