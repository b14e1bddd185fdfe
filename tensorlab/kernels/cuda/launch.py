"""From Python to a kernel: finding the text, compiling it at first use, and starting it.

A launcher (`softmax.py` and its neighbours) decides which kernel of a `.cu` file runs, on how many
threads, and asks for it by what C++ calls it:

    launch("softmax", "softmax_rows<float, 4>", grid, block, x, y, rows, n, False)

Arrays arrive in the kernel as pointers, Python's int as `long long` (or as `int` if wrapped in `i32`),
float as `double`, bool as `bool`, None as a null pointer, and a structured NumPy array as a struct.

Who compiles and starts it is a `Runtime`. On a GPU that is CuPy (NVRTC compiles the one instance that is
asked for, about half a second, and CuPy keeps it on disk). The tests have another, which runs the same
text on the processor, so launchers ask nothing of arrays that NumPy's do not have.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tensorlab import _capturing

FOLDER = Path(__file__).parent

#: What kernels call the dtypes they take.
TYPES = {"float32": "float", "float64": "double", "float16": "float16", "bfloat16": "bfloat16"}

Shape = tuple[int, ...]
i32 = np.int32


class Runtime(Protocol):
    """What compiles and starts kernels for one class of arrays."""

    array_type: type
    xp: Any

    @property
    def processors(self) -> int:
        """Of the current device; each runs blocks of its own."""
        ...

    @property
    def shared_limit(self) -> int:
        """Bytes of shared memory that a block can ask for."""
        ...

    def launch(
        self, file: str, name: str, grid: Shape, block: Shape, arguments: tuple[Any, ...], shared: int, on: Any
    ) -> None: ...  # fmt: skip


class _CuPy:
    """Kernels on the GPU."""

    def __init__(self, cupy: Any) -> None:
        self.xp = cupy
        self.array_type = cupy.ndarray
        self._kernels: dict[tuple[str, str, int], Any] = {}

    @property
    def processors(self) -> int:
        return _attributes(self.xp, self.xp.cuda.runtime.getDevice())["MultiProcessorCount"]

    @property
    def shared_limit(self) -> int:
        found = _attributes(self.xp, self.xp.cuda.runtime.getDevice())
        return found["MaxSharedMemoryPerBlockOptin"]

    def launch(
        self, file: str, name: str, grid: Shape, block: Shape, arguments: tuple[Any, ...], shared: int, on: Any
    ) -> None:  # fmt: skip
        first = (
            on if on is not None else next(a for a in arguments if isinstance(a, self.array_type))
        )
        device = first.device
        if device.id == self.xp.cuda.runtime.getDevice():
            self._start(self._kernel(file, name, device.id), grid, block, arguments, shared)
        else:
            with device:
                self._start(self._kernel(file, name, device.id), grid, block, arguments, shared)

    def _kernel(self, file: str, name: str, device: int) -> Any:
        """A kernel as it is loaded on the current device, whose number is `device`."""
        kernel = self._kernels.get((file, name, device))
        if kernel is None:
            # Of the chains only the one that is asked for: the text is what CuPy's cache goes by.
            text = f"chains:{name.partition('<')[0]}" if file == "chains" else file
            module = self.xp.RawModule(
                code=source(text), options=("-std=c++17",), name_expressions=(name,)
            )
            kernel = self._kernels[file, name, device] = module.get_function(name)
        return kernel

    @staticmethod
    def _start(
        kernel: Any, grid: Shape, block: Shape, arguments: tuple[Any, ...], shared: int
    ) -> None:
        if shared > 48 * 1024 and kernel.max_dynamic_shared_size_bytes < shared:
            kernel.max_dynamic_shared_size_bytes = shared  # more than that has to be asked for
        kernel(grid, block, arguments, shared_mem=shared)


@functools.cache
def _attributes(cupy: Any, device: int) -> dict[str, int]:
    return cupy.cuda.Device(device).attributes


#: Kernels that `chain.py` has written, by name; together they are the file "chains".
CHAINS: dict[str, str] = {}

#: The runtime in use: CuPy's from the first CUDA array on.
current: Runtime | None = None


def runtime() -> Runtime | None:
    """The runtime in use; None while there is none, since CuPy has not been imported."""
    global current
    if current is None:
        cupy = sys.modules.get("cupy")
        if cupy is not None:
            current = _CuPy(cupy)
    return current


def suits(*arrays: Any) -> bool:
    """Whether kernels take these arrays: of the runtime's class and of one dtype of `TYPES`, None not counted.

    The first may not be None.
    """
    found = runtime()
    if found is None:
        return False
    dtype = getattr(arrays[0], "dtype", None)
    return (
        dtype is not None
        and dtype.name in TYPES
        and all(a is None or (isinstance(a, found.array_type) and a.dtype == dtype) for a in arrays)
    )


def ours(*arrays: Any) -> bool:
    """Whether these are arrays of the runtime's class, of any dtype, None not counted."""
    found = runtime()
    return found is not None and all(a is None or isinstance(a, found.array_type) for a in arrays)


#: Below this many indices the generic path takes them: it looks at them on the host, and its error names
#: the index. Above, that would keep the device waiting, and kernels stop the program instead, as PyTorch's.
CHECKED = 256


def checks_on_host(indices: Any) -> bool:
    """Whether the generic path shall look at these indices; never while a graph is being captured."""
    return indices.size < CHECKED and _capturing.current is None


def xp() -> Any:
    """The array module of the runtime in use."""
    assert current is not None, "kernels are asked for after `suits` has said yes"
    return current.xp


def contiguous(array: Any) -> Any:
    """`array` with its elements in one row, which is what kernels read; a copy where they are not."""
    return array if array is None or array.flags.c_contiguous else xp().ascontiguousarray(array)


def aligned(array: Any) -> Any:
    """As `contiguous`, and starting at a multiple of 16 bytes: a copy of part of another array is."""
    array = contiguous(array)
    return array if pointer(array) % 16 == 0 else array.copy()


def like(array: Any, shape: Shape | None = None) -> Any:
    """A new array of that dtype, in plain order, with any contents."""
    return xp().empty(array.shape if shape is None else shape, array.dtype)


def type_of(array: Any) -> str:
    """What kernels call the dtype of `array`."""
    return TYPES[array.dtype.name]


def width(n: int, *arrays: Any) -> int:
    """How many numbers a thread may take at once from rows of `n` numbers: what 16 bytes hold, or 1.

    Rows must start at multiples of 16 bytes for that, and so must the arrays.
    """
    fitting = 16 // arrays[0].dtype.itemsize
    aligned = all(a is None or pointer(a) % 16 == 0 for a in arrays)
    return fitting if aligned and n % fitting == 0 else 1


def pointer(array: Any) -> int:
    """The address of the first element."""
    return array.ctypes.data if isinstance(array, np.ndarray) else array.data.ptr


def launch(
    file: str,
    name: str,
    grid: Shape,
    block: Shape,
    *arguments: Any,
    shared: int = 0,
    on: Any = None,
) -> None:
    """Start kernel `name` of `file`.cu on `grid` blocks of `block` threads.

    shared: bytes of dynamic shared memory. on: an array on the device to run on, if none is among the
    arguments. Nothing is started for an empty grid.
    """
    assert current is not None, "kernels are asked for after `suits` has said yes"
    if 0 not in grid:
        given = tuple(map(_argument, arguments))
        current.launch(file, name, grid, block, given, shared, on)


def _argument(value: Any) -> Any:
    kind = type(value)
    if kind is int:
        return np.int64(value)
    if kind is float:
        return np.float64(value)
    if value is None:
        return np.uint64(0)
    return np.bool_(value) if kind is bool else value


def blocks(count: int, size: int) -> int:
    """How many blocks of `size` hold `count`."""
    return -(-count // size)


def strided_grid(count: int, size: int) -> tuple[int]:
    """Blocks of `size` threads for a loop over `count` things, of which a thread takes several.

    More blocks than run at a time gain nothing, and each would set up its loop anew.
    """
    found = runtime()
    most = 8 * (1 if found is None else found.processors)
    return (max(1, min(blocks(count, size), most)),)


@functools.cache
def source(file: str) -> str:
    """The text of `file`.cu, with what it includes put in its place: the compiler looks for no file.

    "chains" is the text of all chains, and "chains:name" that of one.
    """
    if file.startswith("chains"):
        wanted = [file[7:]] if file[7:] else CHAINS
        return "\n".join([*_lines("activation.cuh", set()), *(CHAINS[name] for name in wanted)])
    return "\n".join(_lines(f"{file}.cu", set())) + "\n"


def _lines(name: str, seen: set[str]) -> Iterator[str]:
    yield f'#line 1 "{name}"'
    for number, line in enumerate((FOLDER / name).read_text("utf-8").splitlines(), 1):
        found = re.fullmatch(r'#include "(.+)"', line)
        if found is None:
            yield line if line != "#pragma once" else ""
        elif found[1] not in seen:
            seen.add(found[1])
            yield from _lines(found[1], seen)
            yield f'#line {number + 1} "{name}"'


#: How many numbers of each type 16 bytes hold.
_IN_16_BYTES = {"float": 4, "double": 2, "float16": 8, "bfloat16": 8}


def variants(*templates: str) -> list[str]:
    """Each template for each type: "{T}" is the type, "{N}" what 16 bytes hold of it, and 1.

    >>> variants("run<{T}, {N}>")[:4]
    ['run<float, 4>', 'run<float, 1>', 'run<double, 2>', 'run<double, 1>']
    """
    found = [
        template.format(T=t, N=n)
        for template in templates
        for t in TYPES.values()
        for n in (_IN_16_BYTES[t], 1)
    ]
    return list(dict.fromkeys(found))


def wide_variants(*names: str) -> list[str]:
    """Each kernel for each type and what 16 bytes hold of it.

    >>> wide_variants("run")
    ['run<float, 4>', 'run<double, 2>', 'run<float16, 8>', 'run<bfloat16, 8>']
    """
    return [f"{name}<{t}, {_IN_16_BYTES[t]}>" for name in names for t in TYPES.values()]
