"""The settings that programs make at their beginning: accepted, remembered, and true about what is here."""

from __future__ import annotations

import importlib

import pytest

import tensorlab as tl


def seed_everything(lib, seed):
    """As programs have it."""
    lib.manual_seed(seed)
    lib.cuda.manual_seed_all(seed)
    lib.backends.cudnn.deterministic = True
    lib.backends.cudnn.benchmark = False


@pytest.fixture(autouse=True)
def _as_before():
    cudnn = tl.backends.cudnn
    before, precision = cudnn.deterministic, tl.get_float32_matmul_precision()
    yield
    cudnn.deterministic = before
    tl.set_float32_matmul_precision(precision)


def test_a_program_begins():
    seed_everything(tl, 0)
    assert tl.backends.cudnn.deterministic
    assert not tl.backends.cudnn.benchmark
    assert tl.rand(1).item() == pytest.approx(0.4962566)


def test_imported_by_name():
    assert importlib.import_module("tensorlab.backends.cudnn") is tl.backends.cudnn


def test_tf32_is_the_precision_of_products():
    matmul = tl.backends.cuda.matmul
    assert matmul.allow_tf32 is False
    matmul.allow_tf32 = True
    assert tl.get_float32_matmul_precision() == "high"
    matmul.allow_tf32 = False
    assert tl.get_float32_matmul_precision() == "highest"


def test_flags_come_back_after_an_error():
    cudnn = tl.backends.cudnn
    seen = []
    with pytest.raises(ZeroDivisionError), cudnn.flags(enabled=False, benchmark=True):
        seen = [cudnn.enabled, cudnn.benchmark, 1 / 0]
    assert not seen
    with cudnn.flags(enabled=False, benchmark=True):
        seen = [cudnn.enabled, cudnn.benchmark]
    assert seen == [False, True]
    assert [cudnn.enabled, cudnn.benchmark] == [True, False]


@pytest.mark.parametrize("name", ["enabled", "benchmark", "deterministic", "allow_tf32"])
def test_defaults(name):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    assert getattr(tl.backends.cudnn, name) == getattr(torch.backends.cudnn, name)


def test_what_is_here():
    assert not tl.backends.mps.is_available()
    assert not tl.backends.mps.is_built()
    assert not tl.backends.cudnn.is_available()
    assert tl.backends.cudnn.version() is None
    assert tl.backends.cuda.is_built() == tl.cuda.is_available()
