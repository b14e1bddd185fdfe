"""Compiled kernels: when they are compiled, where they are kept, and what is done where that goes wrong."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import _apply

pytest.importorskip("numba", reason="the CPU kernels are compiled by Numba")

from tensorlab.kernels.cpu.native import cache, straight, team
from tensorlab.kernels.cpu.native.compile import KERNELS, compiled

MESSAGE = "tensorlab: compiling CPU kernels for this machine, once"
RELU = """
import tensorlab as tl
x = tl.linspace(-1, 1, 10_001).requires_grad_()
tl.nn.functional.leaky_relu(x, 0.5).sum().backward()
print(x.grad.sum().item())
"""
WANTED = f"{5_001 * 0.5 + 5_000}\n"


def run(code: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    own = {"TENSORLAB_CACHE": str(folder), "TENSORLAB_LIVE": "1", "TENSORLAB_KERNELS": ""}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **own, **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def store(monkeypatch, tmp_path):
    """A new store in a folder of its own, for kernels that are made in a test."""
    monkeypatch.setenv("TENSORLAB_CACHE", str(tmp_path))
    new = cache._Store()
    monkeypatch.setattr(cache, "_store", lambda: new)
    monkeypatch.setattr(cache, "_announce", lambda: announced.append(new))
    announced: list[object] = []
    new.announced = announced
    return new


def double(x, out):
    for i in range(len(out)):
        out[i] = x[i] + x[i]


def made():
    """The kernel of `double`, not compiled yet."""
    kernel = compiled("void(float32[::1], float32[::1])")(double)
    KERNELS.remove(kernel)
    return kernel


def doubled(kernel):
    out = np.zeros(3, np.float32)
    kernel(np.array([1, 2, 3], np.float32), out)
    return out.tolist()


def test_a_kernel_is_compiled_when_it_is_called(store):
    kernel = made()
    assert not kernel.overloads
    assert doubled(kernel) == [2, 4, 6]
    assert len(kernel.overloads) == len(store.announced) == 1
    assert doubled(kernel) == [2, 4, 6]
    with pytest.raises(TypeError, match="No matching definition"):
        kernel(np.zeros(3), np.zeros(3))
    assert len(kernel.overloads) == 1


def test_references_are_counted_only_where_arrays_are_made(store):
    double = made()

    @compiled("void(float32[:, ::1], float32[:, ::1], int64, int64)", limits=2)
    def rows(x, out, first, last):
        for i in range(first, last):
            double(x[i], out[i])

    @compiled("void(float32[::1])")
    def turned(x):
        room = np.empty(len(x), np.float32)
        double(x, room)
        for i in range(len(x)):
            x[i] = room[len(x) - 1 - i]

    def code(kernel):
        (found,) = kernel.overloads.values()
        return found.library.get_asm_str()

    team._entry.cache_clear()  # it may have been loaded, which hides its code
    entry, _ = team.entry_of(rows)
    assert "NRT_" not in code(rows) + code(entry)
    x, out = np.arange(6, dtype=np.float32).reshape(3, 2), np.empty((3, 2), np.float32)
    team.run_parts(rows, np.array([[0, 1], [1, 3]]), x, out)
    np.testing.assert_array_equal(out, 2 * x)
    turned(x[2])
    assert "NRT_decref" in code(turned)  # which frees `room`
    assert x[2].tolist() == [10, 8]


def test_threads_that_need_it_at_once(store):
    """One compiles it, the others wait."""
    kernel, found = made(), []
    together = threading.Barrier(4)

    def need():
        together.wait()
        found.append(doubled(kernel))

    users = [threading.Thread(target=need) for _ in range(4)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert found == [[2, 4, 6]] * 4
    assert len(store.announced) == 1


def test_another_process_finds_it(store):
    doubled(made())
    (file,) = store.write.iterdir()
    before = file.stat().st_mtime_ns
    assert doubled(made()) == [2, 4, 6]
    assert len(store.announced) == 1
    assert file.stat().st_mtime_ns == before


@pytest.mark.parametrize("damage", ["empty", "cut off", "another number", "not ours"])
def test_a_damaged_file_is_made_anew(store, damage):
    doubled(made())
    (file,) = store.write.iterdir()
    good = file.read_bytes()
    middle = len(good) // 2
    file.write_bytes({
        "empty": b"",
        "cut off": good[:middle],
        "another number": good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :],
        "not ours": b"hello",
    }[damage])  # fmt: skip
    assert doubled(made()) == [2, 4, 6]
    assert len(store.announced) == 2
    assert doubled(made()) == [2, 4, 6]
    assert len(store.announced) == 2


def test_a_full_disk_is_told_once_and_leaves_nothing_behind(store, monkeypatch):
    class Full:
        def __init__(self, file):
            self.file = file

        def write(self, content):
            self.file.write(content[:100])
            raise OSError(errno.ENOSPC, "No space left on device")

    real = cache.replacing

    def replacing(path):
        from contextlib import contextmanager

        @contextmanager
        def filling():
            with real(path) as file:
                yield Full(file)

        return filling()

    folder = store.write
    monkeypatch.setattr(cache, "replacing", replacing)
    with pytest.warns(
        RuntimeWarning, match="cannot be kept in .*No space left on device.*TENSORLAB_CACHE"
    ):
        assert doubled(made()) == [2, 4, 6]
    assert doubled(made()) == [2, 4, 6]  # a second warning would be an error
    assert list(folder.iterdir()) == []


def test_two_kernels_of_one_name_are_not_mixed_up(store):
    def factory(number):
        @compiled("void(float32[::1])")
        def fill(out):
            for i in range(len(out)):
                out[i] = number

        KERNELS.remove(fill)
        return fill

    for number in (1, 2, 1):
        out = np.zeros(2, np.float32)
        factory(number)(out)
        assert out.tolist() == [number] * 2
    assert len(list(store.write.iterdir())) == 2


def test_all_kernels_have_files_of_their_own():
    names = [kernel._cache.name for kernel in KERNELS]
    assert len(names) == len({*names})


# Which folder -----------------------------------------------------------------------------


@pytest.fixture
def chosen(monkeypatch, tmp_path):
    base = tmp_path / "chosen"
    monkeypatch.setenv("TENSORLAB_CACHE", str(base))
    monkeypatch.setattr(cache.tempfile, "gettempdir", lambda: str(tmp_path))
    return base


def test_the_folder_that_is_named(chosen):
    read, write = cache.folders()
    assert read == [write]
    assert write.parent == chosen


def test_a_folder_that_can_not_be_made(chosen, tmp_path):
    chosen.write_text("a file, not a folder")
    _, write = cache.folders()
    assert write.parent == tmp_path / f"tensorlab-{cache._user()}"


def test_a_folder_that_is_read_only_is_read(chosen, monkeypatch, tmp_path):
    """What is missing there is kept elsewhere."""
    _, filled = cache.folders()
    real = cache._writable
    monkeypatch.setattr(cache, "_writable", lambda f: not f.is_relative_to(chosen) and real(f))
    read, write = cache.folders()
    assert read == [filled, write]
    assert write.parent == tmp_path / f"tensorlab-{cache._user()}"


def test_nowhere_to_write(chosen, monkeypatch):
    monkeypatch.setattr(cache, "_writable", lambda folder: False)
    assert cache.folders() == ([], None)
    store = cache._Store()
    store.save("x.code", b"text")  # for this process only: no error and no warning
    assert store.load("x.code") is None


needs_owners = pytest.mark.skipif(
    not hasattr(os, "getuid"), reason="this system's files have no owner that is a number"
)


@needs_owners
def test_a_folder_that_others_may_write_to_is_not_used(chosen):
    """Anybody could have put code there, which would be run."""
    _, folder = cache.folders()
    folder.chmod(0o777)
    read, write = cache.folders()
    assert folder not in read
    assert write.name == f"{folder.name}-{os.getuid()}"


@needs_owners
def test_two_users_of_one_folder(chosen, monkeypatch):
    """In a place that all may write to, each has a folder; a third one's is read only if the place is theirs."""
    _, first = cache.folders()
    me = os.getuid()
    monkeypatch.setattr(cache.os, "getuid", lambda: me + 1)
    read, _ = cache.folders()
    assert first in read, (
        "it belongs to whom the folder above belongs to, who has made it for others"
    )
    real = Path.stat

    def stat(self, **options):
        found = real(self, **options)
        if self == chosen:  # now somebody else's
            fields = list(found)
            fields[4] = me + 2
            return os.stat_result(fields)
        return found

    monkeypatch.setattr(Path, "stat", stat)
    read, _ = cache.folders()
    assert first not in read


@pytest.mark.parametrize(
    ("what", "value"),
    [("get_host_cpu_name", "another"), ("get_process_triple", "another")],
)
def test_another_processor_has_code_of_its_own(monkeypatch, what, value):
    before = cache._fingerprint()
    assert cache._fingerprint() == before
    monkeypatch.setattr(cache.binding, what, lambda: value)
    assert cache._fingerprint() != before


def test_another_numba_or_another_tile_has_code_of_its_own(monkeypatch):
    before = cache._fingerprint()
    monkeypatch.setenv("TENSORLAB_LANES", "4" if os.environ.get("TENSORLAB_LANES") != "4" else "8")
    other = cache._fingerprint()
    monkeypatch.setattr(cache.numba, "__version__", "0.0.1")
    assert len({before, other, cache._fingerprint()}) == 3


# Whole processes --------------------------------------------------------------------------


def test_the_first_use_says_what_takes_time_and_later_ones_do_not(tmp_path):
    first = run(RELU, tmp_path)
    assert first.stdout == WANTED, first.stderr
    assert first.stderr.startswith(MESSAGE)
    assert str(tmp_path) in first.stderr
    assert first.stderr.count("\n") == 1
    second = run(RELU, tmp_path)
    assert (second.stdout, second.stderr) == (WANTED, "")
    # Of the module's kernels, those that were called.
    files = [file.name for file in tmp_path.glob("*/straight*")]
    assert sorted(name.partition("-")[0] for name in files) == [
        "straight._leaky_relu", "straight._leaky_relu_back",
    ]  # fmt: skip
    assert run(RELU, tmp_path / "other", TENSORLAB_LIVE="0").stderr == ""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer that signals")
def test_ctrl_c_while_compiling(tmp_path):
    """It comes when the kernel is compiled: in the middle it would bring LLVM down."""
    code = """
import signal
from tensorlab.kernels.cpu.native import norm
from tensorlab.kernels.cpu.native.compile import KERNELS

before = signal.getsignal(signal.SIGINT)
signal.signal(signal.SIGALRM, lambda number, frame: signal.raise_signal(signal.SIGINT))
kernels = [kernel for kernel in KERNELS if kernel.module == "norm"]
interrupted = 0
for i, kernel in enumerate(kernels):
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01 + 0.01 * i)
        kernel.ready()
        signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        interrupted += 1
for kernel in kernels:
    kernel.ready()
print(interrupted > 0, all(kernel.overloads for kernel in kernels), signal.getsignal(signal.SIGINT) is before)
"""
    done = run(code, tmp_path)
    assert done.stdout == "True True True\n", done.stderr


# A kernel that does not compile -----------------------------------------------------------


@pytest.fixture
def broken(monkeypatch):
    """The kernels of leaky_relu, as if this machine had no instruction for them."""
    monkeypatch.setattr(_apply, "_unavailable", set())
    for kernel in (straight._leaky_relu, straight._leaky_relu_back):
        monkeypatch.setattr(kernel, "_can_compile", True)
        monkeypatch.setattr(kernel, "failure", TypeError("no such instruction"))
        monkeypatch.setitem(straight._FORWARD, "leaky_relu", Failing(straight._leaky_relu))
        monkeypatch.setitem(straight._BACKWARD, "leaky_relu", Failing(straight._leaky_relu_back))


class Failing:
    """A kernel that is compiled already, as if it were not yet, and could not be."""

    def __init__(self, kernel):
        self.kernel, self.limits, self.cut = kernel, kernel.limits, kernel.cut

    def ready(self):
        self.kernel.ready()
        raise AssertionError("it was to fail")

    def __call__(self, *given):
        self.ready()


def test_the_generic_path_goes_on_and_a_warning_says_so_once(broken, monkeypatch):
    if not tl.kernels.enabled():
        pytest.skip("kernels are off")
    x = tl.linspace(-1, 1, 10_001).requires_grad_()
    with pytest.warns(RuntimeWarning, match="'straight._leaky_relu' could not be compiled"):
        y = tl.nn.functional.leaky_relu(x, 0.5)
    with pytest.warns(RuntimeWarning, match="_leaky_relu_back' .*no such instruction"):
        y.sum().backward()
    assert f"{x.grad.sum().item()}\n" == WANTED
    tl.nn.functional.leaky_relu(x, 0.5).sum().backward()  # a second warning would be an error


def test_an_optimizer_goes_on_without_its_kernel(monkeypatch):
    if not tl.kernels.enabled():
        pytest.skip("kernels are off")
    from tensorlab.kernels.cpu.native import optim

    monkeypatch.setattr(_apply, "_unavailable", set())
    p = tl.ones(10_000, requires_grad=True)
    p.grad = tl.ones(10_000)
    kernel = optim.kernel("sgd")
    monkeypatch.setattr(kernel, "_can_compile", True)
    monkeypatch.setattr(kernel, "failure", TypeError("no such instruction"))
    monkeypatch.setattr(optim, "kernel", lambda name: Failing(kernel))
    with pytest.warns(RuntimeWarning, match="optim._sgd"):
        tl.optim.SGD([p], lr=0.5).step()
    assert p.detach().eq(0.5).all()


def test_what_does_not_compile_is_tried_once(store):
    tried = []

    def wrong(x):
        return x.nothing

    kernel = compiled("float32(float32)")(wrong)
    KERNELS.remove(kernel)
    real = kernel.compile
    kernel.compile = lambda signature: tried.append(signature) or real(signature)
    for _ in range(2):
        with pytest.raises(_apply.KernelUnavailable, match="test_cache.wrong: TypingError"):
            kernel(1.0)
    assert len(tried) == 1
