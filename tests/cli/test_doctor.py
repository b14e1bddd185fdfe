"""`tensorlab doctor`: it finds what ails an installation, and says what to do."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import tensorlab
from tensorlab import _doctor as doctor
from tensorlab import _gpu
from tensorlab.cli import main


def test_it_looks_at_everything_that_the_course_needs():
    names = [finding.name for finding in doctor.examine()]
    assert names == [
        "Python", "tensorlab", "NumPy", "jupyterlab", "ipykernel", "anywidget", "matplotlib", "nbformat",
        "nbclient", "kernel", "widgets", "course", "progress", "CPU", "BLAS", "CPU kernels", "GPU",
    ]  # fmt: skip


def test_every_problem_comes_with_a_remedy():
    assert all(finding.remedy for finding in doctor.examine() if finding.state == "problem")


def test_text_and_status_when_healthy(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "examine", lambda: [doctor.Finding("note", "GPU", "none")])
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out == (
        "note     GPU  none\nhealthy: nothing stands in the way of the course\n"
    )


def test_text_and_status_when_not(monkeypatch, capsys):
    found = [
        doctor.Finding("ok", "Python", "3.12"),
        doctor.Finding("problem", "kernel", "none", "mend it"),
    ]
    monkeypatch.setattr(doctor, "examine", lambda: found)
    assert main(["doctor"]) == 1
    assert capsys.readouterr().out == (
        "ok       Python  3.12\n"
        "problem  kernel  none\n"
        "                 → mend it\n"
        "not healthy: 1 problem\n"
    )  # fmt: skip


def test_kernels(monkeypatch, tmp_path):
    monkeypatch.setenv("TENSORLAB_KERNELS", "off")
    assert doctor._kernels().state == "note"
    monkeypatch.delenv("TENSORLAB_KERNELS")
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None)
    found = doctor._kernels()
    assert (found.state, found.remedy) == ("note", 'pip install "numba>=0.62"')


def test_kernels_that_are_there(monkeypatch, tmp_path):
    native = pytest.importorskip("tensorlab.kernels.cpu.native.cache")
    monkeypatch.delenv("TENSORLAB_KERNELS", raising=False)
    monkeypatch.setenv("TENSORLAB_CACHE", str(tmp_path))
    found = doctor._kernels()
    assert found.state == "ok"
    assert found.text.endswith(f"kept in {native.cache_folder()}")
    assert str(tmp_path) in found.text
    monkeypatch.setattr(native, "cache_folder", lambda: None)
    assert doctor._kernels().state == "note"


def test_warm_says_what_it_compiles(monkeypatch, capsys):
    pytest.importorskip("numba", reason="the CPU kernels are compiled by Numba")
    from tensorlab.kernels.cpu import warm

    monkeypatch.delenv("TENSORLAB_KERNELS", raising=False)
    monkeypatch.setattr(warm, "names", lambda: ["embedding", "reduce"])
    assert main(["doctor", "--warm"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines[:-1]] == ["embedding", "reduce"]
    assert lines[-1].startswith("CPU kernels are ready")


def test_warm_fails_where_a_kernel_does_not_compile_and_names_it(monkeypatch, capsys):
    pytest.importorskip("numba", reason="the CPU kernels are compiled by Numba")
    from tensorlab.kernels.cpu import warm
    from tensorlab.kernels.cpu.native import embedding, reduce

    monkeypatch.delenv("TENSORLAB_KERNELS", raising=False)
    monkeypatch.setattr(warm, "names", lambda: ["embedding", "reduce", "missing"])
    monkeypatch.setattr(embedding._pick, "_can_compile", True)
    monkeypatch.setattr(embedding._pick, "failure", TypeError("no such instruction"))
    assert main(["doctor", "--warm"]) == 1
    out = capsys.readouterr().out
    assert "failed            embedding._pick: TypeError: no such instruction" in out
    assert "failed            No module named 'tensorlab.kernels.cpu.native.missing'" in out
    assert out.splitlines()[-1].startswith("not compiled: embedding, missing. ")
    assert reduce._row_sums.failure is None


def test_warm_without_kernels(monkeypatch, capsys):
    monkeypatch.setenv("TENSORLAB_KERNELS", "off")
    assert main(["doctor", "--warm"]) == 0
    assert "switched off" in capsys.readouterr().out


def test_json(monkeypatch, capsys):
    monkeypatch.setattr(
        doctor, "examine", lambda: [doctor.Finding("problem", "kernel", "none", "mend")]
    )
    assert main(["doctor", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "healthy": False,
        "findings": [{"state": "problem", "name": "kernel", "text": "none", "remedy": "mend"}],
    }


def test_an_examination_that_fails_is_a_problem_and_no_crash(monkeypatch):
    def broken():
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(doctor, "_examiners", lambda: [("CPU", broken)])
    (finding,) = doctor.examine()
    assert finding.state == "problem"
    assert "ZeroDivisionError: by nothing" in finding.text


# -- the parts -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "state"),
    [((3, 10), "problem"), ((3, 11), "ok"), ((3, 14), "ok"), ((3, 15), "problem")],
)
def test_python(monkeypatch, version, state):
    monkeypatch.setattr(doctor.sys, "version_info", (*version, 0))
    assert doctor._python().state == state


@pytest.mark.parametrize(
    ("version", "state"), [("1.26.4", "problem"), ("2.0.0", "ok"), ("10.0", "ok")]
)
def test_numpy(monkeypatch, version, state):
    monkeypatch.setattr("numpy.__version__", version)
    assert doctor._numpy().state == state


@pytest.mark.parametrize(
    ("version", "state"),
    [
        ("4.1.9", "problem"),
        ("4.2", "ok"),
        ("4.2.0rc1", "ok"),
        ("4.10.0", "ok"),
        ("5.0a1", "ok"),
        ("3", "problem"),
    ],
)
def test_a_package_that_is_too_old(monkeypatch, version, state):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: version)
    assert doctor._package("jupyterlab").state == state


def test_a_package_that_is_missing(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    finding = doctor._package("jupyterlab")
    assert (finding.state, finding.text) == ("problem", "not installed")
    assert 'pip install -e ".[lab]"' in finding.remedy


def test_a_package_whose_files_are_gone(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    finding = doctor._package("jupyterlab")
    assert finding.state == "problem"
    assert "cannot be imported" in finding.text


@pytest.fixture
def kernelspec(tmp_path, monkeypatch):
    """Put a kernelspec named tensorlab, with the given argv, where Jupyter looks first."""
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))

    def put(*argv: str) -> Path:
        folder = tmp_path / "kernels" / "tensorlab"
        folder.mkdir(parents=True)
        spec = {"argv": [*argv], "display_name": "Python (tensorlab)", "language": "python"}
        (folder / "kernel.json").write_text(json.dumps(spec))
        return folder

    return put


def test_a_kernel_that_starts_this_interpreter(kernelspec):
    folder = kernelspec("python", "-m", "tensorlab.jupyter.kernel")
    finding = doctor._kernel()
    assert finding == doctor.Finding(
        "ok", "kernel", f"Python (tensorlab), {folder}, starts {sys.executable}"
    )


def test_a_kernel_whose_interpreter_is_gone(kernelspec, tmp_path):
    kernelspec(str(tmp_path / "gone" / "python"))
    finding = doctor._kernel()
    assert finding.state == "problem"
    assert "it cannot be started (No such file or directory)" in finding.text


def test_a_kernel_whose_interpreter_lacks_tensorlab(kernelspec, tmp_path):
    lacking = tmp_path / "python"
    lacking.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "$@"\n')
    lacking.chmod(0o755)
    kernelspec(str(lacking))
    finding = doctor._kernel()
    assert finding.state == "problem"
    assert "No module named 'tensorlab'" in finding.text


def test_a_kernel_with_another_version(kernelspec, tmp_path):
    other = tmp_path / "python"
    other.write_text("#!/bin/sh\necho 0.0.1\n")
    other.chmod(0o755)
    kernelspec(str(other))
    finding = doctor._kernel()
    assert finding.state == "problem"
    assert f"it has tensorlab 0.0.1, not {tensorlab.__version__}" in finding.text


def test_no_kernel(monkeypatch):
    monkeypatch.setattr(doctor, "KERNEL_NAME", "no-such-kernel")
    finding = doctor._kernel()
    assert finding.state == "problem"
    assert "is not found" in finding.text


def test_widgets():
    finding = doctor._widgets()
    assert finding.state == "ok", finding
    assert "KiB" in finding.text


def test_widgets_without_their_package(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert doctor._widgets().state == "problem"


def test_widgets_without_their_built_script(monkeypatch, tmp_path):
    empty = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: empty)
    finding = doctor._widgets()
    assert finding.state == "problem"
    assert "no built script" in finding.text


def test_widgets_without_jupyterlabs_extension(monkeypatch):
    monkeypatch.setattr("jupyter_core.paths.jupyter_path", lambda *_: [])
    finding = doctor._widgets()
    assert finding.state == "problem"
    assert "extension anywidget is not found" in finding.text


def test_course():
    finding = doctor._course()
    assert finding.state == "ok"
    assert "lesson" in finding.text


def test_blas_tells_of_limits_to_its_threads(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert "OMP_NUM_THREADS=1" in doctor._blas().text


def test_numpy_without_blas(monkeypatch):
    monkeypatch.setattr(doctor, "_numpy_build", dict)
    assert doctor._blas().state == "note"
    assert doctor._cpu().state == "ok"


def test_progress_that_cannot_be_kept_is_a_problem(monkeypatch, tmp_path):
    monkeypatch.setenv("TENSORLAB_HOME", str(tmp_path / "new" / "home"))
    assert doctor._progress().state == "ok"
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").touch()
    monkeypatch.setenv("TENSORLAB_HOME", str(tmp_path / "file" / "home"))
    found = doctor._progress()
    assert (found.state, found.remedy) == (
        "problem",
        "set TENSORLAB_HOME to a folder of your own",
    )
    assert "Not a directory" in found.text


# -- the GPU, which this machine may or may not have ---------------------------------------------


def _found(monkeypatch, *, driver: bool, cupy) -> doctor.Finding:
    monkeypatch.setattr(_gpu, "has_driver", lambda: driver)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: cupy)
    monkeypatch.setattr(importlib, "import_module", lambda name: cupy)
    return doctor.examine_gpu()


class CUDARuntimeError(Exception):
    pass


def _cupy(count, version="14.0"):
    def devices():
        if isinstance(count, Exception):
            raise count
        return count

    runtime = SimpleNamespace(
        CUDARuntimeError=CUDARuntimeError,
        getDeviceCount=devices,
        getDeviceProperties=lambda i: {"name": b"Test GPU"},
        runtimeGetVersion=lambda: 13000,
        driverGetVersion=lambda: 12020,
    )
    return SimpleNamespace(__version__=version, cuda=SimpleNamespace(runtime=runtime))


@pytest.mark.parametrize(
    ("driver", "cupy", "state", "said"),
    [
        (False, None, "note", "no NVIDIA driver"),
        (False, _cupy(1), "note", "no NVIDIA driver on this machine (CuPy is installed)"),
        (True, None, "note", "CuPy is not installed"),
        (True, _cupy(0), "note", "lists no device"),
        (
            True,
            _cupy(CUDARuntimeError("cudaErrorUnknown")),
            "note",
            "none that works: cudaErrorUnknown",
        ),
        (
            True,
            _cupy(CUDARuntimeError("cudaErrorInsufficientDriver: too old")),
            "note",
            "made for CUDA 13.0, the driver offers CUDA 12.2",
        ),
        (True, _cupy(1, "13.6.0"), "note", "CuPy 13.6.0 is too old"),
        (True, _cupy(2), "ok", "Test GPU, Test GPU, CuPy 14.0"),
    ],
)
def test_gpu(monkeypatch, driver, cupy, state, said):
    finding = _found(monkeypatch, driver=driver, cupy=cupy)
    assert finding.state == state
    assert said in finding.text
