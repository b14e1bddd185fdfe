"""Every CUDA kernel compiles for the GPUs it is written for, without a warning. No GPU is needed.

With `nvcc` where there is one; else with NVRTC, which is what CuPy uses, from the wheel `nvidia-cuda-nvrtc`.
"""

from __future__ import annotations

import ctypes
import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tensorlab._op import OPS
from tensorlab.kernels import cuda
from tensorlab.kernels.cuda import chains, launch

from .on_host import instances

FILES = [*sorted(path.stem for path in launch.FOLDER.glob("*.cu")), "chains"]
#: A100 and H100.
ARCHITECTURES = ("sm_80", "sm_90")


def _nvrtc() -> Path | None:
    """The library of the wheel, wherever this version of it has put it."""
    found = importlib.util.find_spec("nvidia")
    for folder in found.submodule_search_locations or () if found else ():
        for library in sorted(Path(folder).glob("**/libnvrtc.so.*[0-9]")):
            return library
    return None


def _compile_with_nvcc(file: str, folder: Path) -> str:
    # A kernel whose address is taken is compiled, as one that is launched.
    kept = "\n".join(f"auto kept_{i} = &{name};" for i, name in enumerate(instances(file)))
    code = folder / f"{file}.cu"
    code.write_text(f"{launch.source(file)}\n{kept}\n", "utf-8")
    targets = [f"-gencode=arch=compute_{a[3:]},code={a}" for a in ARCHITECTURES]
    done = subprocess.run(
        ["nvcc", "-std=c++17", "-Werror", "all-warnings", "-Xptxas", "--warn-on-spills", *targets, "-fatbin", str(code),
         "-o", str(folder / "out.fatbin")],
        capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout + done.stderr if done.returncode or done.stderr else ""


def _compile_with_nvrtc(file: str, architecture: str) -> str:
    path = _nvrtc()
    assert path is not None
    for other in path.parent.glob("libnvrtc-builtins.so.*"):  # it would not look beside itself
        ctypes.CDLL(str(other), mode=ctypes.RTLD_GLOBAL)
    library = ctypes.CDLL(str(path))
    library.nvrtcGetErrorString.restype = ctypes.c_char_p

    def call(name: str, *arguments: object) -> int:
        return getattr(library, name)(*arguments)

    program, nothing = ctypes.c_void_p(), ctypes.c_void_p()
    text = launch.source(file).encode()
    assert not call(
        "nvrtcCreateProgram", ctypes.byref(program), text, f"{file}.cu".encode(), 0, nothing, nothing
    )  # fmt: skip
    for name in instances(file):
        assert not call("nvrtcAddNameExpression", program, name.encode())
    options = [b"-std=c++17", f"--gpu-architecture={architecture}".encode()]
    failed = call("nvrtcCompileProgram", program, 2, (ctypes.c_char_p * 2)(*options))
    size = ctypes.c_size_t()
    call("nvrtcGetProgramLogSize", program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    call("nvrtcGetProgramLog", program, log)
    said = log.value.decode()
    call("nvrtcDestroyProgram", ctypes.byref(program))
    return said if said or not failed else library.nvrtcGetErrorString(failed).decode()


@pytest.mark.parametrize("file", FILES)
def test_compiles_without_warnings(file, tmp_path):
    if shutil.which("nvcc"):
        said = _compile_with_nvcc(file, tmp_path)
    elif _nvrtc():
        said = "".join(_compile_with_nvrtc(file, a) for a in ARCHITECTURES)
    else:
        pytest.skip("no CUDA compiler: nvcc, or pip install nvidia-cuda-nvrtc (about 90 MB)")
    assert not said, said[:8000]


def test_every_file_has_instances_and_reads_no_other_file():
    for file in FILES:
        assert instances(file)
        assert not re.search(r"^#include", launch.source(file), re.MULTILINE)


def test_what_is_registered_is_there():
    for place in (*cuda.KERNELS.values(), *cuda.GRADIENTS.values()):
        module, name = place.split(".")
        assert callable(getattr(importlib.import_module(f"tensorlab.kernels.cuda.{module}"), name))
    for name in (*cuda.KERNELS, *(op for op, _ in cuda.GRADIENTS), *cuda.CHAINS):
        assert name in OPS
    for name in cuda.CHAINS:
        assert name in chains.FORWARD
        assert name in chains.BACKWARD
    for name, input in cuda.GRADIENTS:
        assert OPS[name].joint is not None if input is None else input in OPS[name].rules
