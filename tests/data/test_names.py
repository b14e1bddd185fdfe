"""The public names of `utils.data` have PyTorch's arguments, defaults and paths."""

from __future__ import annotations

import importlib
import inspect

import pytest

import tensorlab as tl

OWN = {"CSVDataset"}
NAMES = sorted(set(tl.utils.data.__all__) - OWN)
# What PyTorch keeps of a project that it has given up.
DATAPIPES = {
    "DFIterDataPipe", "DataChunk", "IterDataPipe", "MapDataPipe", "_DatasetKind",
    "argument_validation", "functional_datapipe", "guaranteed_datapipes_determinism",
    "non_deterministic", "runtime_validation", "runtime_validation_disabled",
}  # fmt: skip
# A default that is an object of the library, here made when it is needed.
DEFAULTS = {("random_split", "generator")}


def parameters(thing):
    return [(p.name, p.kind, p.default) for p in inspect.signature(thing).parameters.values()]


@pytest.mark.parametrize("name", NAMES)
def test_arguments_and_defaults(name):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    ours, theirs = getattr(tl.utils.data, name), getattr(torch.utils.data, name)
    pairs = zip(parameters(ours), parameters(theirs), strict=True)
    for (own_name, own_kind, own_default), (their_name, their_kind, default) in pairs:
        assert (own_name, own_kind) == (their_name, their_kind)
        if (name, own_name) not in DEFAULTS:
            assert own_default == default


def test_nothing_is_missing():
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    assert set(torch.utils.data.__all__) - DATAPIPES <= set(NAMES)


@pytest.mark.parametrize("module", ["dataset", "sampler", "dataloader", "distributed"])
def test_paths(module):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    ours = importlib.import_module(f"tensorlab.utils.data.{module}")
    theirs = importlib.import_module(f"{torch.__name__}.utils.data.{module}")
    for name in set(theirs.__all__) & set(NAMES):
        assert getattr(ours, name) is getattr(tl.utils.data, name)
