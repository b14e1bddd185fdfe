"""Nothing of `nn` and `optim` is public that no test compares with PyTorch; the table that says so is right."""

from __future__ import annotations

import subprocess
import sys

import pytest

import tensorlab as tl
from tensorlab.testing import coverage

pytest.importorskip("torch", reason="PyTorch's names are what the table lists")

#: Classes that are made to be derived from; what derives from them is compared.
BASES = {"RNNCellBase", "LRScheduler"}


@pytest.fixture(scope="module")
def entries() -> list[coverage.Entry]:
    return coverage.entries()


@pytest.mark.parametrize("namespace", ["nn", "optim", "optim.lr_scheduler"])
def test_every_class_is_compared_with_pytorch(namespace, entries):
    wanted = {"nn": tl.nn.Module, "optim": tl.optim.Optimizer}.get(namespace, object)
    home = {"nn": tl.nn, "optim": tl.optim, "optim.lr_scheduler": tl.optim.lr_scheduler}[namespace]
    found = [e for e in entries if e.namespace == namespace and e.here and e.name not in BASES]
    found = [e for e in found if issubclass(getattr(home, e.name), wanted)]
    assert len(found) > 10
    alone = [e.name for e in found if not e.tests]
    assert not alone, f"add a test that compares these with PyTorch: {alone}"


def test_every_activation_dropout_and_loss_of_pytorch_is_here(entries):
    import torch

    for family in ("activation", "dropout", "loss", "distance", "adaptive"):
        theirs = getattr(torch.nn.modules, family).__all__
        ours = getattr(tl.nn.modules, family)
        missing = [n for n in theirs if not hasattr(tl.nn, n) and n != "MultiheadAttention"]
        assert not missing
        assert {n for n in theirs if n != "MultiheadAttention"} <= set(ours.__all__)


def test_a_module_that_no_test_names_is_found():
    files = coverage.comparisons()
    assert "nn/test_coverage.py" not in coverage.comparing("ReLU", "nn", files)
    assert "nn/test_activations.py" in coverage.comparing("ReLU", "nn", files)
    unnamed = "Unheard" + "OfModule3d"  # in two parts, so that this test does not name it
    assert coverage.comparing(unnamed, "nn", files) == ()


def test_a_file_without_pytorch_compares_nothing(tmp_path):
    (tmp_path / "test_alone.py").write_text("def test(): assert nn.ReLU()\n", "utf-8")
    (tmp_path / "test_beside.py").write_text("torch.nn.GELU(), f'Conv{n}d', f'{n}d'\n", "utf-8")
    files = coverage.comparisons(tmp_path)
    assert list(files) == ["test_beside.py"]
    for name, expected in (("GELU", True), ("Conv3d", True), ("ReLU", False), ("MaxPool2d", False)):
        assert bool(coverage.comparing(name, "nn", files)) is expected


def test_without_tests_it_says_where_they_are(tmp_path):
    with pytest.raises(FileNotFoundError, match="run this in a checkout"):
        coverage.entries(tmp_path / "tests")


@pytest.mark.parametrize("missing", [ModuleNotFoundError, FileNotFoundError])
def test_what_it_needs_is_said_in_one_line(missing, monkeypatch, capsys):
    from tensorlab.testing import table

    def entries():
        raise missing("PyTorch is what this table compares with")

    monkeypatch.setattr(coverage, "entries", entries)
    assert table.main(["--nn"]) == 1
    assert capsys.readouterr() == ("", "PyTorch is what this table compares with\n")


def test_the_table_is_printed():
    done = subprocess.run(
        [sys.executable, "-m", "tensorlab.testing.table", "--nn"],
        capture_output=True, text=True, check=True, encoding="utf-8",
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert "| `CTCLoss` | nn/test_losses.py |" in lines
    assert "| `GLU` | nn/test_activations.py |" in lines
    assert any(line.startswith("## optim: ") for line in lines)
