"""Is this installation fit to run the course? One examination, for the terminal and the notebook.

    tensorlab doctor          the same findings, printed, with an exit status
    %tensorlab doctor         the same findings, shown in a notebook

Each examiner looks at one thing and returns a `Finding`. A finding is `ok`, a `note` (worth knowing,
nothing to mend: a machine without a GPU) or a `problem` (something of the course will not work), and
a problem always comes with what to do about it.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

__all__ = ["Finding", "as_json", "as_text", "examine", "examine_gpu", "healthy", "warm"]

State = Literal["ok", "note", "problem"]

LAB_REMEDY = 'install the extra "lab": in the checkout, pip install -e ".[lab]"'
KERNEL_NAME = "tensorlab"
# Which packages the course needs beside NumPy, and the first version that works.
LAB_PACKAGES = {
    "jupyterlab": (4, 2),
    "ipykernel": (6, 29),
    "anywidget": (0, 9),
    "matplotlib": (3, 9),
    "nbformat": (5, 10),
    "nbclient": (0, 10),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one examiner found: how it stands, what was looked at, what is there and what to do."""

    state: State
    name: str
    text: str
    remedy: str = ""


def examine() -> list[Finding]:
    """Examine the installation that runs this code; takes about two seconds.

    >>> examine()[0].name
    'Python'
    """
    return [_guarded(name, examiner) for name, examiner in _examiners()]


def healthy(findings: Iterable[Finding]) -> bool:
    """Whether nothing found is a problem.

    >>> healthy([Finding("note", "GPU", "none")])
    True
    """
    return all(finding.state != "problem" for finding in findings)


def as_text(findings: Iterable[Finding]) -> str:
    """The findings as aligned lines, remedies below their problem, and a verdict at the end.

    >>> print(as_text([Finding("ok", "NumPy", "2.1.0")]))
    ok       NumPy  2.1.0
    healthy: nothing stands in the way of the course
    """
    rows = list(findings)
    width = max((len(row.name) for row in rows), default=0)
    lines = []
    for row in rows:
        lines.append(f"{row.state:<7}  {row.name:<{width}}  {row.text}")
        if row.remedy:
            lines.append(f"{'':7}  {'':{width}}  → {row.remedy}")
    count = sum(row.state == "problem" for row in rows)
    if count:
        lines.append(f"not healthy: {count} problem{'s' if count > 1 else ''}")
    else:
        lines.append("healthy: nothing stands in the way of the course")
    return "\n".join(lines)


def as_json(findings: Iterable[Finding]) -> str:
    """The findings as JSON: `{"healthy": bool, "findings": [{state, name, text, remedy}, …]}`."""
    rows = list(findings)
    report = {"healthy": healthy(rows), "findings": [asdict(row) for row in rows]}
    return json.dumps(report, indent=2, ensure_ascii=False)


def _examiners() -> list[tuple[str, Callable[[], Finding]]]:
    return [
        ("Python", _python),
        ("tensorlab", _tensorlab),
        ("NumPy", _numpy),
        *((name, lambda name=name: _package(name)) for name in LAB_PACKAGES),
        ("kernel", _kernel),
        ("widgets", _widgets),
        ("course", _course),
        ("progress", _progress),
        ("CPU", _cpu),
        ("BLAS", _blas),
        ("CPU kernels", _kernels),
        ("GPU", examine_gpu),
    ]


def _guarded(name: str, examiner: Callable[[], Finding]) -> Finding:
    """What `examiner` finds; an examination that itself fails is a problem to show, not a crash."""
    try:
        return examiner()
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        return Finding("problem", name, f"could not be examined: {reason}", "reinstall tensorlab")


def _python() -> Finding:
    text = f"{platform.python_version()}, {sys.executable}"
    if (3, 11) <= sys.version_info < (3, 15):
        return Finding("ok", "Python", text)
    return Finding("problem", "Python", text, "tensorlab needs Python 3.11 to 3.14")


def _tensorlab() -> Finding:
    import tensorlab

    return Finding("ok", "tensorlab", f"{tensorlab.__version__}, {Path(tensorlab.__file__).parent}")


def _numpy() -> Finding:
    import numpy

    if int(numpy.__version__.split(".")[0]) >= 2:
        return Finding("ok", "NumPy", numpy.__version__)
    return Finding("problem", "NumPy", numpy.__version__, 'pip install "numpy>=2.0"')


def _package(name: str) -> Finding:
    """Whether a package of the extra `lab` is installed, recent enough and can be imported."""
    least = LAB_PACKAGES[name]
    wanted = ".".join(map(str, least))
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Finding("problem", name, "not installed", LAB_REMEDY)
    if _leading_numbers(version) < least:
        return Finding("problem", name, version, f'pip install "{name}>={wanted}"')
    if importlib.util.find_spec(name) is None:
        text = f"{version} is recorded as installed but cannot be imported"
        return Finding("problem", name, text, f"pip install --force-reinstall {name}")
    return Finding("ok", name, version)


def _leading_numbers(version: str) -> tuple[int, ...]:
    """The numbers a version starts with.

    >>> _leading_numbers("4.2.0rc1")
    (4, 2)
    """
    numbers = []
    for part in version.split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)


def _kernel() -> Finding:
    """The kernelspec "Python (tensorlab)": where it is, which interpreter it starts, if that works."""
    if importlib.util.find_spec("jupyter_client") is None:
        return Finding("problem", "kernel", "jupyter_client is not installed", LAB_REMEDY)
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        spec = KernelSpecManager().get_kernel_spec(KERNEL_NAME)
    except NoSuchKernel:
        text = (
            f'the kernelspec "{KERNEL_NAME}" is not found; "%load_ext tensorlab" works without it'
        )
        return Finding(
            "problem",
            "kernel",
            text,
            "reinstall tensorlab: installing it puts the kernelspec in place",
        )
    # A bare "python" means, to Jupyter, the interpreter that Jupyter itself runs in.
    named = spec.argv[0]
    interpreter = sys.executable if named in ("python", f"python{sys.version_info[0]}") else named
    text = f"{spec.display_name}, {spec.resource_dir}, starts {interpreter}"
    reason = _kernel_failure(interpreter)
    if reason:
        remedy = (
            f"remove {spec.resource_dir} and reinstall tensorlab in the environment that you use"
        )
        return Finding("problem", "kernel", f"{text}: {reason}", remedy)
    return Finding("ok", "kernel", text)


def _kernel_failure(interpreter: str) -> str:
    """Why `interpreter` could not run the kernel of this very tensorlab; empty if it can."""
    import tensorlab

    probe = "import tensorlab.jupyter.kernel; print(tensorlab.__version__)"
    try:
        # From another folder, so that the one we are in cannot stand in for an installed package.
        done = subprocess.run(
            [interpreter, "-c", probe],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=Path(sys.prefix),
            check=False,
        )
    except OSError as error:
        return f"it cannot be started ({error.strerror})"
    except subprocess.TimeoutExpired:
        return "it did not answer within 60 s"
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    version = done.stdout.strip()
    if version != tensorlab.__version__:
        return f"it has tensorlab {version}, not {tensorlab.__version__}"
    return ""


def _widgets() -> Finding:
    """The front end of the widgets: our built scripts, and the two extensions that load them."""
    spec = importlib.util.find_spec("tensorlab_widgets")
    if spec is None or spec.origin is None:
        return Finding(
            "problem", "widgets", "the package tensorlab_widgets is missing", "reinstall tensorlab"
        )
    static = Path(spec.origin).parent / "static"
    scripts = sorted(static.glob("*.js"))
    if not scripts:
        return Finding("problem", "widgets", f"no built script in {static}", "reinstall tensorlab")
    if importlib.util.find_spec("jupyter_core") is None:
        return Finding("problem", "widgets", "jupyter_core is not installed", LAB_REMEDY)
    from jupyter_core.paths import jupyter_path

    folders = [Path(folder) for folder in jupyter_path("labextensions")]
    for extension in ("anywidget", "@jupyter-widgets/jupyterlab-manager"):
        if not any((folder / extension / "package.json").is_file() for folder in folders):
            text = f"JupyterLab's extension {extension} is not found"
            return Finding("problem", "widgets", text, LAB_REMEDY)
    kib = sum(script.stat().st_size for script in scripts) / 1024
    plural = "" if len(scripts) == 1 else "s"
    return Finding("ok", "widgets", f"{len(scripts)} script{plural}, {kib:.0f} KiB, {static}")


def _course() -> Finding:
    from tensorlab.learn import find_course

    course = find_course()
    count = len(course.lessons)
    if not count:
        return Finding("problem", "course", f"no lesson in {course.folder}", "reinstall tensorlab")
    return Finding("ok", "course", f"{count} lesson{'s' if count > 1 else ''}, {course.folder}")


def _progress() -> Finding:
    """Whether the learner's progress can be kept where it belongs."""
    from tensorlab.learn import Progress

    folder = Progress().home
    # The folder is made with the first entry. Until then, what counts is where it will be made.
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        text = f"cannot be kept in {folder}: {error.strerror or error}"
        return Finding("problem", "progress", text, "set TENSORLAB_HOME to a folder of your own")
    return Finding("ok", "progress", f"kept in {folder}")


def _numpy_build() -> dict[str, Any]:
    import numpy

    return numpy.show_config(mode="dicts") or {}  # pyright: ignore[reportReturnType]


def _cpu() -> Finding:
    simd = _numpy_build().get("SIMD Extensions", {})
    features = [*simd.get("baseline", []), *simd.get("found", [])]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    named = ", ".join(features) or "no vector extension that NumPy knows"
    return Finding("ok", "CPU", f"{platform.machine()}, {cores} cores, {named}")


def _blas() -> Finding:
    blas = _numpy_build().get("Build Dependencies", {}).get("blas", {})
    if not blas.get("found"):
        text = "NumPy was built without a BLAS: matrix products will be slow"
        return Finding("note", "BLAS", text, "pip install --force-reinstall numpy")
    limits = [
        f"{name}={os.environ[name]}"
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        if name in os.environ
    ]
    return Finding(
        "ok", "BLAS", ", ".join([f"{blas['name']} {blas.get('version', '')}".strip(), *limits])
    )


def _kernels() -> Finding:
    """The compiled CPU kernels: by what, for which vectors, for how many threads, and kept where."""
    from tensorlab import kernels

    if not kernels.enabled():
        return Finding("note", "CPU kernels", "switched off by TENSORLAB_KERNELS")
    if importlib.util.find_spec("numba") is None:
        text = "none: Numba is not installed, and everything works without, only slower"
        return Finding("note", "CPU kernels", text, 'pip install "numba>=0.62"')
    from tensorlab.kernels.cpu.native.cache import cache_folder
    from tensorlab.kernels.cpu.native.tile import LANES

    folder = cache_folder()
    count = kernels.get_num_threads()
    text = (
        f"Numba {importlib.metadata.version('numba')}, vectors of {LANES} float32 numbers, "
        f"{count} thread{'' if count == 1 else 's'}"
    )
    if folder is None:
        text += ", compiled anew in every process: no folder to keep them in can be written to"
        return Finding("note", "CPU kernels", text, "set TENSORLAB_CACHE to a folder of your own")
    return Finding("ok", "CPU kernels", f"{text}, kept in {folder}")


def warm() -> bool:
    """Compile all CPU kernels and say how it goes, module by module; whether all of them compiled.

    Nothing is compiled, which is no failure, if they are off or Numba is missing.
    """
    from tensorlab import kernels
    from tensorlab.kernels.cpu import warm as all_kernels

    if not kernels.enabled():
        print("CPU kernels are switched off by TENSORLAB_KERNELS: there is nothing to compile")
        return True
    if importlib.util.find_spec("numba") is None:
        print("Numba is not installed: there is nothing to compile")
        return True
    start = before = time.perf_counter()
    total = len(all_kernels.names())
    failed = []
    for i, (name, failures) in enumerate(all_kernels.warm(), 1):
        now = time.perf_counter()
        print(f"{i:2}/{total}  {name:<16}  {now - before:5.1f} s", flush=True)
        for error in failures:
            print(f"       {'failed':<16}  {error}", flush=True)
        if failures:
            failed.append(name)
        before = now
    if failed:
        print(
            f"not compiled: {', '.join(failed)}. Results are the same without, only slower; "
            'pip install --upgrade "numba" "llvmlite" may help'
        )
        return False
    print(f"CPU kernels are ready, after {before - start:.1f} s")
    return True


def examine_gpu() -> Finding:
    """The GPU that `device="cuda"` would use, or why there is none. Having none is no problem."""
    from tensorlab import _gpu

    cupy, missing = _gpu.find()
    if missing is not None:
        none = "" if missing.reason.startswith("none") else "none: "
        return Finding("note", "GPU", f"{none}{missing.reason}", missing.remedy)
    runtime = cupy.cuda.runtime
    count = runtime.getDeviceCount()
    names = [runtime.getDeviceProperties(i)["name"].decode() for i in range(count)]
    return Finding("ok", "GPU", f"{', '.join(names)}, CuPy {cupy.__version__}")
