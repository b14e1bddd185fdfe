"""A runtime of kernels that runs them on the processor, on NumPy's arrays."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tensorlab.kernels.cuda import launch

HEADER = Path(__file__).with_name("host") / "cuda_on_host.h"
#: On Windows there is no such thing as `ucontext`, with which the host build changes between threads.
COMPILER = None if sys.platform == "win32" else shutil.which("g++") or shutil.which("clang++")
#: The type of which to run kernels under AddressSanitizer, which takes long to build them for all, and has to
#: be loaded before anything else: see `test_sanitized.py`.
SANITIZED = "TENSORLAB_CUDA_ASAN"

#: Bytes before and behind each array that a kernel may neither write, nor read without meeting nan.
GUARD = 256

_ENTRY = """
#include <typeinfo>
static host::Kernel table[] = {
%s
};
extern "C" int host_launch(const char* name, const unsigned* grid, const unsigned* block, size_t shared,
                           void** given, const size_t* sizes, int count, int descending, char* text) {
    for (host::Kernel& kernel : table) {
        if (strcmp(kernel.name, name) != 0) continue;
        if ((int)kernel.sizes.size() != count) {
            snprintf(text, 1000, "takes %%d arguments, not %%d", (int)kernel.sizes.size(), count);
            return 1;
        }
        for (int i = 0; i < count; i++)
            if (kernel.sizes[i] != sizes[i]) {
                snprintf(text, 1000, "argument %%d has %%d bytes, not %%d", i, (int)kernel.sizes[i], (int)sizes[i]);
                return 1;
            }
        std::function<void()> body = [&] { kernel.run(given); };
        host::launch(body, grid, block, shared, descending);
        snprintf(text, 1000, "%%s", host::failure.c_str());
        return host::failed;
    }
    snprintf(text, 1000, "is not among the instances that its launcher names");
    return 1;
}
"""

_EXTERN = re.compile(r"extern __shared__ (?:__align__\(\d+\) )?(\w+(?: \w+)?) (\w+)\[\];")
_SHARED = re.compile(r"__shared__ (?:__align__\(\d+\) )?(\w+(?: \w+)?) (\w+)((?:\[[^\]]+\])+);")


def host_text(text: str) -> str:
    """Kernels as the host compiler takes them: shared arrays become objects that know their size."""
    text = _EXTERN.sub(r"\1* \2 = reinterpret_cast<\1*>(host::dynamic());", text)

    def declared(match: re.Match[str]) -> str:
        kind = match[1] + match[3]
        return (
            f'host::Shared<{kind}> {match[2]} = host::shared<{kind}>("{match[2]} {match.start()}");'
        )

    return _SHARED.sub(declared, text)


class HostRuntime:
    """Runs kernels of launchers on the processor; the launchers see one GPU of four processors.

    Attributes: `used`, the names of the kernels that ran; `descending`, whether threads with higher numbers
    run first. A kernel that does what it must not raises `AssertionError`.
    """

    array_type = np.ndarray
    xp = np
    processors = 4
    shared_limit = 99 * 1024

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.used: list[str] = []
        self.descending = False
        self._libraries: dict[str, Any] = {}

    def launch(
        self,
        file: str,
        name: str,
        grid: Any,
        block: Any,
        arguments: tuple[Any, ...],
        shared: int,
        on: Any,
    ) -> None:
        grid, block = ((*size, 1, 1)[:3] for size in (grid, block))
        assert np.prod(block) <= 1024, f"{name}: a block has at most 1024 threads, not {block}"
        assert block[2] <= 64, f"{name}: a block is at most 64 threads deep, not {block}"
        assert max(grid[1:]) <= 65535, f"{name}: a grid of {grid} is too large"
        assert shared <= self.shared_limit, f"{name}: {shared} bytes of shared memory are too many"
        self.used.append(name)
        guarded: dict[int, tuple[np.ndarray, np.ndarray, int]] = {}
        places: list[Any] = []
        sizes: list[int] = []
        for value in arguments:
            if isinstance(value, np.ndarray) and value.dtype.names is None:
                assert value.flags.c_contiguous, f"{name}: an array is not in one row"
                places.append(ctypes.c_void_p(self._guard(value, guarded)))
                sizes.append(8)
            else:
                data = np.asarray(value).tobytes()
                places.append(ctypes.create_string_buffer(data, len(data)))
                sizes.append(len(data))
        text = ctypes.create_string_buffer(1000)
        count = len(places)
        failed = self._library(file).host_launch(
            name.encode(),
            (ctypes.c_uint * 3)(*grid),
            (ctypes.c_uint * 3)(*block),
            ctypes.c_size_t(shared),
            (ctypes.c_void_p * count)(*[ctypes.addressof(p) for p in places]),
            (ctypes.c_size_t * count)(*sizes),
            count,
            int(self.descending),
            text,
        )
        assert not failed, f"{name}: {text.value.decode()}"
        for array, room, start in guarded.values():
            end = start + array.nbytes
            outside = np.concatenate([room[:start], room[end:]])
            assert (outside == 255).all(), (
                f"{name}: wrote outside of an array of {array.shape} {array.dtype}"
            )
            if array.flags.writeable:
                array.view(np.ndarray).reshape(-1).view(np.uint8)[...] = room[start:end]

    def _guard(self, array: np.ndarray, guarded: dict[int, Any]) -> int:
        """A copy of `array` between guards, aligned as it is, and that once per array; its address."""
        at = array.ctypes.data
        if at not in guarded or guarded[at][0].nbytes < array.nbytes:
            room = np.full(array.nbytes + 2 * GUARD + 32, 255, np.uint8)
            start = GUARD + (at - room.ctypes.data - GUARD) % 16
            room[start : start + array.nbytes] = np.frombuffer(array.tobytes(), np.uint8)
            guarded[at] = array, room, start
        room, start = guarded[at][1:]
        return room.ctypes.data + start

    def _library(self, file: str) -> Any:
        if file not in self._libraries:
            self._libraries[file] = ctypes.CDLL(str(build(file, self.folder)))
        return self._libraries[file]


def instances(file: str) -> list[str]:
    """The kernels of `file` that its launcher may ask for."""
    import importlib

    return importlib.import_module(f"tensorlab.kernels.cuda.{file}").INSTANCES


def _built(file: str) -> list[str]:
    """The kernels to build: all of them, or those of one type."""
    kind = os.environ.get(SANITIZED)
    return [n for n in instances(file) if not kind or re.search(rf"\b{kind}\b", n)]


def build(file: str, folder: Path) -> Path:
    """A shared library of all instances of the kernels of `file`, made unless it is there already."""
    rows = "\n".join(f'    host::kernel("{name}", &{name}),' for name in _built(file))
    text = f'#include "{HEADER}"\n{host_text(launch.source(file))}\n{_ENTRY % rows}'
    flags = ["-std=c++20", "-O1", "-g1", "-fPIC", "-shared", "-Wall", "-Wno-unknown-pragmas"]
    flags += ["-Wno-unused", "-Wno-sign-compare", "-fno-strict-aliasing", "-U_FORTIFY_SOURCE"]
    if os.environ.get(SANITIZED):
        flags += ["-fsanitize=address", "-O0"]
    key = hashlib.sha256("\n".join([*flags, text, HEADER.read_text("utf-8")]).encode()).hexdigest()
    library = folder / f"{file}-{key[:16]}.so"
    with _alone(library.with_suffix(".lock")):  # another worker may be at it
        if not library.exists():
            code = library.with_suffix(".cpp")
            code.write_text(text, "utf-8")
            made = library.with_suffix(".new")
            command = [str(COMPILER), *flags, str(code), "-o", str(made)]
            # Compilers, too, would be checked, and slow.
            environment = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
            done = subprocess.run(command, capture_output=True, text=True, env=environment)
            said = f"{file}.cu on the host:\n{done.stderr[:8000]}"
            assert done.returncode == 0, f"does not compile: {said}"
            assert not done.stderr, f"compiles with warnings: {said}"
            made.replace(library)
    return library


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait for all others that are in such a block for the same path."""
    import fcntl

    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
