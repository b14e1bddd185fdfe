"""`tensorlab bench`: the workloads do the same work in both libraries, and the command reports it."""

from __future__ import annotations

import json
import threading
import time

import numpy as np
import pytest

import tensorlab
from tensorlab._cli import bench as module
from tensorlab._cli import machine, measuring, step_memory
from tensorlab._cli.measuring import measure
from tensorlab._cli.workloads import Workload, find_workloads
from tensorlab.cli import main

GROUPS = find_workloads()
WORKLOADS = [workload for group in GROUPS.values() for workload in group]
# One round of a 10 ms sample each.
QUICK = ("--rounds", "1")


@pytest.fixture(autouse=True)
def as_many_threads_as_before():
    before = tensorlab.get_num_threads()
    yield
    tensorlab.set_num_threads(before)


@pytest.fixture
def torch():
    torch = pytest.importorskip("torch", reason="PyTorch is the other side of the comparison")
    before = torch.get_num_threads()
    yield torch
    torch.set_num_threads(before)


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_a_workload_does_the_same_in_both_libraries(workload, torch):
    ours, theirs = workload.setup(tensorlab)(), workload.setup(torch)()
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-4, atol=1e-4)


def test_names_are_unique():
    names = [*GROUPS, *(workload.name for workload in WORKLOADS)]
    assert len({*names}) == len(names)


@pytest.mark.parametrize(
    "name", ["mlp-adam", "cnn", "cifar-cnn", "lstm", "gpt", "conv2d-wide", "matmul-64", "gpt-block"]
)
def test_the_products_are_counted_as_pytorch_counts_them(name, torch):
    """Its counter sees each product and convolution that runs, those of gradients too."""
    from torch.utils.flop_counter import FlopCounterMode

    (workload,) = (w for w in WORKLOADS if w.name == name)
    run = workload.setup(torch)
    with FlopCounterMode(display=False) as counter:
        run()
    found = counter.get_total_flops()
    # It has no formula for the LSTM's own products, and counts attention without its causal mask,
    # forward as one that is not fused.
    if name == "lstm":
        assert found < workload.flops
    else:
        assert workload.flops == pytest.approx(found, rel=0.06 if "gpt" in name else 1e-3)


def test_measure_reports_medians_and_their_ratio(monkeypatch):
    # A clock that moves only when work is done: 1 s of it in tensorlab, 4 s in PyTorch.
    now = [0.0]
    monkeypatch.setattr(machine, "clock", lambda: now[0])

    def setup(library):
        def run():
            now[0] += 1.0 if library is tensorlab else 4.0

        return run

    result = measure(Workload("w", "what", setup), json, 3)
    assert (result.tensorlab, result.torch, result.ratio) == (1.0, 4.0, 0.25)
    assert (result.compiled, result.share) == (None, None)


def test_all_take_a_turn_in_each_round(monkeypatch):
    monkeypatch.setattr(measuring, "SAMPLE_SECONDS", 0.0)
    turns = []
    measure(Workload("w", "what", lambda library: lambda: turns.append(library.__name__)), json, 7)
    # The first run of a turn is not timed.
    assert turns[-28:] == ["tensorlab", "tensorlab", "json", "json"] * 7


def test_a_turn_begins_when_the_threads_of_the_last_one_sleep(monkeypatch):
    """As PyTorch's, which look for more work for a while."""
    monkeypatch.setattr(measuring, "SAMPLE_SECONDS", 0.0)
    looking: list[threading.Thread] = []
    seen = []

    def look():
        until = time.perf_counter() + 0.02
        while time.perf_counter() < until:
            pass

    def setup(library):
        def ours():
            seen.append(any(thread.is_alive() for thread in looking))

        def theirs():
            looking.append(threading.Thread(target=look))
            looking[-1].start()

        return ours if library is tensorlab else theirs

    measure(Workload("w", "what", setup), json, 3)
    assert len(seen) > 6
    assert not any(seen[-6:])


def test_measure_without_torch_has_no_ratio():
    result = measure(Workload("w", "what", lambda library: lambda: None), None, 1)
    assert result.tensorlab > 0
    assert (result.torch, result.ratio) == (None, None)


def test_the_share_of_the_limit(monkeypatch):
    """Of computing and moving the slower one: 2 s and 3 s at best, in a run of 6 s."""
    now = [0.0]
    monkeypatch.setattr(machine, "clock", lambda: now[0])
    monkeypatch.setattr(machine, "peak_flops", lambda threads: 10.0)
    monkeypatch.setattr(machine, "bandwidth", lambda threads, size: 5.0)

    def run():
        now[0] += 6.0

    found = measure(Workload("w", "what", lambda library: run, 20, 15), None, 1)
    assert found.share == 0.5
    found = measure(Workload("w", "what", lambda library: run, 30, 5), None, 1)
    assert found.share == 0.5


def test_the_limits_of_this_machine():
    """Nothing is near what no processor does."""
    copied = machine.bandwidth(1, machine.LARGEST)
    assert 1e8 < copied < 1e13
    peak = machine.peak_flops(1)
    if peak is None:
        pytest.skip("the peak is measured by a kernel, and there is no Numba here or it is off")
    assert 1e8 < peak < 1e13
    assert machine.limit(0, 0, 1) is None
    assert machine.limit(peak, 0, 1) == 1.0


def test_without_kernels_the_peak_is_not_known(monkeypatch):
    monkeypatch.setattr(machine, "enabled", lambda: False)
    assert machine.peak_flops.__wrapped__(1) is None
    monkeypatch.setattr(machine, "peak_flops", machine.peak_flops.__wrapped__)
    assert machine.limit(100, 0, 1) is None


def test_the_list_names_every_workload(capsys):
    assert main(["bench", "--list"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert listed == [workload.name for workload in WORKLOADS]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["add"], ["add"]),
        (["eager"], [workload.name for workload in GROUPS["eager"]]),
        (["mlp-*", "add", "mlp-sgd"], ["mlp-sgd", "mlp-adam", "mlp-large", "add"]),
    ],
)
def test_names_patterns_and_groups(capsys, words, named):
    assert main(["bench", "--list", *words]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == named


def test_one_workload_as_json(capsys):
    assert main(["bench", "add", "matmul-64", *QUICK, "--threads", "1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["threads"], report["rounds"]) == (1, 1)
    assert report["processor"]
    first, second = report["results"]
    assert (first["name"], first["flops"], first["share"]) == ("add", 0, None)
    assert (second["name"], second["flops"]) == ("matmul-64", 6 * 64**3)
    assert second["tensorlab"] > 0


def test_the_table_has_a_row_for_each(capsys):
    assert main(["bench", "add", "chain", *QUICK]) == 0
    rows = capsys.readouterr().out.splitlines()[2:4]
    assert [row.split()[0] for row in rows] == ["add", "chain"]


def test_the_number_of_threads_is_that_of_both_libraries(torch, monkeypatch):
    seen = []

    def looking(workload, library, rounds, compile):
        seen.append((tensorlab.get_num_threads(), library.get_num_threads()))
        return measure(Workload("w", "what", lambda library: lambda: None), None, 1)

    monkeypatch.setattr(module, "measure", looking)
    assert main(["bench", "add", "--threads", "1"]) == 0
    assert main(["bench", "add", "--threads", "2"]) == 0
    assert seen == [(1, 1), (2, 2)]


def test_the_processors_time(monkeypatch, capsys):
    """It is what each measurement reads: sleeping takes none of it."""
    monkeypatch.setattr(machine, "clock", machine.clock)
    monkeypatch.setattr(module, "find_torch", lambda: None)
    seen = []

    def looking(workload, library, rounds, compile):
        seen.append(machine.clock)
        return measure(Workload("w", "what", lambda library: lambda: sum(range(1000))), None, 1)

    monkeypatch.setattr(module, "measure", looking)
    assert main(["bench", "add", "--processor-time", "--threads", "1"]) == 0
    assert seen == [time.process_time]
    assert main(["bench", "add", "--processor-time"]) == 2
    assert "add --threads 1" in capsys.readouterr().err


def test_without_torch_the_table_says_so(capsys, monkeypatch):
    monkeypatch.setattr(module, "find_torch", lambda: None)
    assert main(["bench", "add", *QUICK]) == 0
    assert "PyTorch is not installed" in capsys.readouterr().out
    assert main(["bench", "add", "--compile"]) == 1
    assert "--compile needs PyTorch" in capsys.readouterr().err


def test_compiling_needs_a_compiler(capsys, monkeypatch, torch):
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    assert main(["bench", "add", "--compile"]) == 1
    assert "--compile needs a C++ compiler" in capsys.readouterr().err


def test_what_does_not_compile_is_told_and_the_rest_measured(capsys, monkeypatch, torch):
    def refuse(run):
        def fail():
            raise RuntimeError("no such thing\nand more")

        return fail

    monkeypatch.setattr(torch, "compile", refuse)
    found = measure(
        Workload("w", "what", lambda library: lambda: None), torch, rounds=1, compile=True
    )
    assert found.torch is not None
    assert found.compiled is None
    assert capsys.readouterr().err == "torch.compile of w: RuntimeError: no such thing\n"


def test_the_memory_of_a_step(monkeypatch, capsys):
    """Activations of 16 MiB, of which a good dozen are held for the backward pass."""
    if not step_memory.can_measure():
        pytest.skip("only Linux tells the peak of resident memory")
    monkeypatch.setenv("TENSORLAB_KERNELS", "off")  # nothing to compile
    rise = step_memory.rise_of_step("tensorlab", "elementwise-chain", 1)
    assert 12 * 16 * module.MIB < rise < 40 * 16 * module.MIB
    with pytest.raises(
        Exception, match="the memory of nothing in tensorlab was not measured: .*nothing"
    ):
        step_memory.rise_of_step("tensorlab", "nothing", 1)


def test_memory_stands_beside_the_time(monkeypatch, capsys):
    monkeypatch.setattr(module, "can_measure", lambda: True)
    rises = {"tensorlab": 3 << 20, "torch": 5 << 20}
    monkeypatch.setattr(module, "rise_of_step", lambda library, name, threads: rises[library])
    assert main(["bench", "mlp-sgd", "add", *QUICK, "--memory"]) == 0
    steps, other = capsys.readouterr().out.splitlines()[2:]
    assert "3.0" in steps.split()
    assert "3.0" not in other.split()
    monkeypatch.setattr(module, "can_measure", lambda: False)
    assert main(["bench", "add", "--memory"]) == 1
    assert "on Linux only" in capsys.readouterr().err


def test_an_unknown_workload_is_refused_with_the_closest(capsys):
    assert main(["bench", "matmull-64"]) == 2
    assert "there is no workload 'matmull-64'; did you mean matmul-64?" in capsys.readouterr().err


def test_without_a_checkout_the_reason_is_given(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(tensorlab, "__file__", str(tmp_path / "tensorlab" / "__init__.py"))
    assert main(["bench"]) == 1
    assert "part of the source checkout" in capsys.readouterr().err
