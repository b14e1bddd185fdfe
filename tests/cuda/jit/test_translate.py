"""What is handed to cupyx.jit: it takes it, and nvcc compiles the CUDA C that it makes of it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tensorlab as tl
from tensorlab.cuda import jit
from tensorlab.cuda.jit import _translate as translation
from tensorlab.cuda.jit import (
    activemask,
    all_sync,
    any_sync,
    atomic,
    ballot_sync,
    grid,
    gridsize,
    popc,
    rsqrt,
    shared,
    shfl_sync,
    shfl_up_sync,
    syncwarp,
)

from . import kernels

F = tl.zeros(4)
F2 = tl.zeros(4, 4)


@jit.kernel
def all_words(x, counts, half, n):
    """A kernel that has each word once that the others have not."""
    bits = shared.array((4, 32), tl.int64)
    i = grid(1)
    double = np.float64(0)
    if i < n:
        double = math_of(x[i]) ** 2 // 3 % 7
    lanes = ballot_sync(0xFFFFFFFF, i < n)
    count = popc(lanes) + popc(activemask())
    if any_sync(0xFFFFFFFF, double > 2) and not all_sync(0xFFFF, i != 3):
        count = -count + ~int(lanes) << 2
    bits[i // 32 % 4, i % 32] = count
    syncwarp(0xFFFF0000 | 0xFFFF)
    for register in range(n, 0, -2):
        if register == 7:
            continue
        if register > 12 or 0 < register <= 3:
            break
        count += atomic.add(bits, (1, register % 32), 1) > 0
    old = atomic.cas(counts, i % 4, 5, 6)
    atomic.add(counts, 0, old)
    atomic.max(counts, 1, old)
    atomic.min(counts, 2, count)
    atomic.exch(counts, 3, atomic.xor(counts, 3, atomic.or_(counts, 3, atomic.and_(counts, 3, 7))))
    count += shfl_sync(0xFFFFFFFF, count, 3, width=8) + shfl_up_sync(0xFFFFFFFF, count, 1)
    half[i % len(half)] = half[0] * 2 + (1.5 if count > 0 else -np.inf)
    w, h = gridsize(2)
    x[i % n] = float(w + h) + abs(-x[0]) + rsqrt(x[1]) + np.float32(double)


@jit.device
def math_of(x):
    import_free = np.exp(x) + np.sqrt(abs(x)) + np.hypot(x, 1.0) + np.floor(x)
    if np.isnan(import_free):
        return 0.0
    return min(import_free, 3.0)


CASES = {
    "add": (kernels.add, (F, F, F)),
    "saxpy": (kernels.saxpy, (2.5, F, F)),
    "gradient_2d": (kernels.gradient_2d, (F2, F2)),
    "block_sum": (kernels.block_sum, (F, F)),
    "warp_reduce": (kernels.warp_reduce, (F, F)),
    "matmul": (kernels.matmul, (F2, F2, F2)),
    "histogram": (kernels.histogram, (tl.zeros(4, dtype=tl.int64), tl.zeros(4, dtype=tl.int32))),
    "block_scan": (kernels.block_scan, (F, F)),
    "warp_scan": (kernels.warp_scan, (F, F)),
    "transpose": (kernels.transpose, (F2, F2)),
    "softmax": (kernels.softmax, (F2, F2)),
    "warp_exchange": (kernels.warp_exchange, (F, F)),
    "moving_median": (kernels.moving_median, (F, F)),
    "all_words": (all_words, (F, tl.zeros(4, dtype=tl.int64), np.zeros(4, np.float16), 9)),
}


@pytest.fixture
def cupy(monkeypatch):
    found = pytest.importorskip("cupy", reason="CuPy is not installed: nothing to translate for")
    # The one thing that translating asks the GPU: how many lanes its warps have.
    monkeypatch.setattr(found._core, "_full_mask", lambda: 0xFFFFFFFF)
    return found


def cuda_code(kernel: Any, args: tuple[Any, ...]) -> str:
    """The CUDA C that cupyx.jit makes of a kernel."""
    from cupyx.jit import _compile, _cuda_types  # pyright: ignore[reportMissingImports]

    program = kernel.program(*args)
    given = [
        _cuda_types.Scalar(param.dtype)
        if param.ndim is None
        else _cuda_types.CArray(param.dtype, param.ndim, True, True)
        for _, param in program.params
    ]
    made = translation.compiled(program)
    attributes = ['extern "C"', "__global__"]
    return _compile.transpile(made._func, attributes, "cuda", given, _cuda_types.void).code


@pytest.mark.parametrize("name", CASES)
def test_text_is_python(name):
    kernel, args = CASES[name]
    compile(kernel.cuda_text(*args), name, "exec")


@pytest.mark.parametrize("name", CASES)
def test_cupyx_takes_it(name, cupy):
    assert f"k_{CASES[name][0].__name__}(" in cuda_code(*CASES[name])


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
def test_nvcc_compiles_what_cupyx_makes(architecture, cupy, tmp_path):
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("nvcc is not on the path: the CUDA C is not compiled")
    headers = ("complex", "carray", "atomics", "float16")
    lines = [f'#include "cupy/{each}.cuh"' for each in headers]
    lines.append('#include "cupy/math_constants.h"')
    for number, case in enumerate(CASES.values()):  # helpers of the same name: each kernel apart
        code = [x for x in cuda_code(*case).splitlines() if not x.startswith("#include")]
        lines += [f"namespace kernel{number} {{", *code, "}"]
    file = tmp_path / "kernels.cu"
    file.write_text("\n".join(lines))
    include = Path(cupy.__file__).parent / "_core" / "include"
    command = [nvcc, "-ptx", "--std=c++17", f"-arch={architecture}", "-DCUPY_JIT_MODE",
               "-DCUPY_JIT_NVCC", f"-I{include}", "-o", str(tmp_path / "out.ptx"), str(file)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_launch_on_a_gpu_is_one_call(monkeypatch):
    """What cupyx.jit is handed: it is made once, numbers have their types, the arrays' GPU is chosen."""
    events: list[Any] = []

    class Gpu:
        def __enter__(self):
            events.append("enter")

        def __exit__(self, *exception: object):
            events.append("exit")

    class OnGpu:
        device = Gpu()

    def compiled(program):
        events.append("compiled")
        return lambda *launch: events.append(launch)

    monkeypatch.setattr(translation, "compiled", compiled)
    program = kernels.saxpy.program(2.5, F, F)
    kept: dict[Any, Any] = {}
    x, y = OnGpu(), OnGpu()
    for _ in range(2):
        translation.run(kept, program, (2, 1, 1), (64, 1, 1), [2.5, x, y])
    launch = ((2, 1, 1), (64, 1, 1), (np.float32(2.5), x, y))
    assert events == ["compiled", "enter", launch, "exit", "enter", launch, "exit"]
    assert events[2][2][0].dtype == np.float32


@pytest.mark.gpu
@pytest.mark.parametrize("name", CASES)
def test_gpu_gives_what_the_simulator_gives(name, rng):
    kernel, args = CASES[name]
    if not tl.cuda.is_available():
        pytest.skip("no CUDA GPU is available here")
    if name == "all_words":
        pytest.skip("its values depend on the order of atomic operations")
    config = (1, (16, 16)) if name in ("matmul", "gradient_2d") else (1, (32, 32))
    config = config if name in ("matmul", "gradient_2d", "transpose") else (4, 128)
    config = (4, 32) if name == "softmax" else config
    made = [
        tl.tensor(rng.integers(0, 4, a.shape)).to(a.dtype) if isinstance(a, tl.Tensor) else a
        for a in args
    ]
    on_gpu = [a.to("cuda") if isinstance(a, tl.Tensor) else a for a in made]
    kernel[config](*made)
    kernel[config](*on_gpu)
    for here, there in zip(made, on_gpu, strict=True):
        if isinstance(here, tl.Tensor):
            np.testing.assert_allclose(here.numpy(), there.cpu().numpy(), rtol=1e-5)
