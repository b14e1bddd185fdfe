"""`tensorlab bench`: the workloads do the same work in both libraries, and the command reports it."""

from __future__ import annotations

import json

import numpy as np
import pytest

import tensorlab
from tensorlab._cli import bench as module
from tensorlab._cli.bench import Workload, find_workloads, measure
from tensorlab.cli import main

WORKLOADS = find_workloads()


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_a_workload_does_the_same_in_both_libraries(workload):
    torch = pytest.importorskip("torch", reason="PyTorch is the other side of the comparison")
    ours, theirs = workload.setup(tensorlab)(), workload.setup(torch)()
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-4, atol=1e-4)


def test_measure_reports_medians_and_their_ratio(monkeypatch):
    # A clock that moves only when work is done: 1 s of it in tensorlab, 4 s in PyTorch.
    now = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])

    def setup(library):
        def run():
            now[0] += 1.0 if library is tensorlab else 4.0

        return run

    result = measure(Workload("w", "what", setup), module.json, 10.0)
    assert (result.tensorlab, result.torch, result.ratio) == (1.0, 4.0, 0.25)


def test_measure_without_torch_has_no_ratio():
    result = measure(Workload("w", "what", lambda library: lambda: None), None, 0.01)
    assert result.tensorlab > 0
    assert (result.torch, result.ratio) == (None, None)


def test_the_list_names_every_workload(capsys):
    assert main(["bench", "--list"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert listed == [workload.name for workload in WORKLOADS]


def test_one_workload_as_json(capsys):
    assert main(["bench", "add", "--seconds", "0.01", "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)
    assert result["name"] == "add"
    assert result["tensorlab"] > 0


def test_the_table_has_a_row_for_each(capsys):
    assert main(["bench", "add", "chain", "--seconds", "0.01"]) == 0
    rows = capsys.readouterr().out.splitlines()[1:3]
    assert [row.split()[0] for row in rows] == ["add", "chain"]


def test_without_torch_the_table_says_so(capsys, monkeypatch):
    monkeypatch.setattr(module, "find_torch", lambda: None)
    assert main(["bench", "add", "--seconds", "0.01"]) == 0
    assert "PyTorch is not installed" in capsys.readouterr().out


def test_an_unknown_workload_is_refused_with_the_closest(capsys):
    assert main(["bench", "matmull"]) == 2
    assert "there is no workload 'matmull'; did you mean matmul?" in capsys.readouterr().err


def test_without_a_checkout_the_reason_is_given(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(tensorlab, "__file__", str(tmp_path / "tensorlab" / "__init__.py"))
    assert main(["bench"]) == 1
    assert "part of the source checkout" in capsys.readouterr().err
