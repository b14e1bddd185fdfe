"""Workers that are no forks: what they need is pickled for them."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys

import pytest

import tensorlab as tl
from tensorlab.utils.data import DataLoader, TensorDataset
from tensorlab.utils.data._utils.pool import default_context


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_that_are_no_forks(method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"there is no {method} here")
    data = TensorDataset(tl.arange(5), tl.ones(5, 40_000))
    loader = DataLoader(data, 2, num_workers=1, multiprocessing_context=method, shuffle=True)
    tl.manual_seed(3)
    found = [x.tolist() for x, _ in loader]
    tl.manual_seed(3)
    assert found == [x.tolist() for x, _ in DataLoader(data, 2, shuffle=True)]
    loader.collate_fn = lambda batch: batch
    with pytest.raises(
        AttributeError, match=f"starts its workers by '{method}' here.*num_workers=0"
    ):
        iter(loader)
    assert multiprocessing.active_children() == []


def test_context_of_the_loader():
    loader = DataLoader([1], num_workers=1, multiprocessing_context="spawn")
    assert loader.multiprocessing_context is multiprocessing.get_context("spawn")
    loader.multiprocessing_context = None
    assert next(iter(loader)).item() == 1


@pytest.mark.skipif(sys.platform != "linux", reason="forks are the default on Linux only")
def test_fork_unless_asked_otherwise(monkeypatch):
    def chosen_with(method):
        monkeypatch.setattr(multiprocessing, "get_start_method", lambda allow_none: method)
        return default_context().get_start_method()

    assert chosen_with(None) == "fork"
    assert chosen_with(multiprocessing.get_all_start_methods()[0]) == "fork"
    assert chosen_with("spawn") == "spawn"


UNGUARDED = """
from tensorlab.utils.data import DataLoader
print(list(DataLoader([1, 2], num_workers=1, multiprocessing_context="spawn")))
"""


def test_a_program_without_a_guard_is_told_so(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(UNGUARDED)
    done = subprocess.run([sys.executable, program], capture_output=True, text=True)
    assert done.returncode == 1
    assert "exited unexpectedly with exit code 1" in done.stderr
    assert "put it under `if __name__ == '__main__':`" in done.stderr
