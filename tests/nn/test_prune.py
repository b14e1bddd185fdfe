"""Pruning against PyTorch: every method, in several rounds, and what is left after `remove`."""

from __future__ import annotations

import copy
import importlib
import itertools

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import nn
from tensorlab.nn.utils import prune

METHODS = {
    "identity": lambda p, m: p.identity(m, "weight"),
    "random": lambda p, m: p.random_unstructured(m, "weight", 0.4),
    "random number": lambda p, m: p.random_unstructured(m, "weight", 3),
    "l1": lambda p, m: p.l1_unstructured(m, "weight", 0.3),
    "l1 number": lambda p, m: p.l1_unstructured(m, "weight", amount=2),
    "nothing": lambda p, m: p.l1_unstructured(m, "weight", 0),
    "random slices": lambda p, m: p.random_structured(m, "weight", 0.5, dim=0),
    "random slice": lambda p, m: p.random_structured(m, "weight", 1, dim=1),
    "ln": lambda p, m: p.ln_structured(m, "weight", 0.5, n=2, dim=0),
    "l infinity": lambda p, m: p.ln_structured(m, "weight", 1, n=float("inf"), dim=1),
    "l1 slices": lambda p, m: p.ln_structured(m, "weight", 1, n=1, dim=-1),
}


@pytest.fixture
def pair():
    """`pair(make)`: the same module of both libraries, with the same numbers."""
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")

    def pair(make):
        tl.manual_seed(5)
        torch.manual_seed(5)
        ours, theirs = make(nn), make(torch.nn)
        return ours, theirs, importlib.import_module("torch.nn.utils.prune")

    return pair


def same(ours, theirs):
    mine, reference = ours.state_dict(), theirs.state_dict()
    assert list(mine) == list(reference)
    for name, value in mine.items():
        np.testing.assert_allclose(value.numpy(), reference[name].numpy(), atol=1e-6, err_msg=name)


def same_output(ours, theirs, shape):
    import torch

    x = np.random.default_rng(2).standard_normal(shape).astype(np.float32)
    got, want = ours(tl.tensor(x)), theirs(torch.tensor(x))
    np.testing.assert_allclose(got.detach().numpy(), want.detach().numpy(), atol=1e-5)
    got.square().sum().backward()
    want.square().sum().backward()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), atol=1e-4)


SHAPES = {
    "linear": (lambda lib: lib.Linear(5, 4), (3, 5)),
    "conv": (lambda lib: lib.Conv1d(3, 4, 2), (2, 3, 4)),
}


@pytest.mark.parametrize("kind", list(SHAPES))
@pytest.mark.parametrize("rounds", [(n,) for n in METHODS] + list(itertools.permutations(
    ["random", "l1 number", "ln", "random slice"], 2)) + [("l1", "ln", "random number")])  # fmt: skip
def test_methods(pair, kind, rounds):
    make, shape = SHAPES[kind]
    ours, theirs, theirs_prune = pair(make)
    for name in rounds:
        METHODS[name](prune, ours)
        METHODS[name](theirs_prune, theirs)
        same(ours, theirs)
    assert prune.is_pruned(ours)
    same_output(ours, theirs, shape)
    for name in rounds:  # after a step of training the mask still holds
        with tl.no_grad():
            ours.weight_orig.add_(1)
        ours(tl.ones(*shape))
        assert (ours.weight.detach() == 0).sum() >= (ours.weight_mask == 0).sum(), name
    prune.remove(ours, "weight")
    assert not prune.is_pruned(ours)
    assert sorted(ours.state_dict()) == ["bias", "weight"]
    assert isinstance(ours.weight, nn.Parameter)


def test_masks_and_scores_that_are_given(pair, normal):
    import torch

    make, _ = SHAPES["linear"]
    ours, theirs, theirs_prune = pair(make)
    scores, mask = normal(4, 5), (normal(4, 5, seed=1) > 0).astype(np.float32)
    for p, m, lib in ((prune, ours, tl), (theirs_prune, theirs, torch)):
        p.l1_unstructured(m, "weight", 0.3, importance_scores=lib.tensor(scores))
        p.ln_structured(m, "weight", 1, 2, 0, importance_scores=lib.tensor(scores))
        p.custom_from_mask(m, "weight", lib.tensor(mask))
        p.custom_from_mask(m, "bias", lib.tensor([1, 0, 1, 1]))
    same(ours, theirs)
    pruned = prune.L1Unstructured(0.5).prune(tl.tensor(scores))
    want = theirs_prune.L1Unstructured(0.5).prune(torch.tensor(scores))
    np.testing.assert_allclose(pruned.numpy(), want.numpy())


@pytest.mark.parametrize("method", ["L1Unstructured", "RandomUnstructured"])
@pytest.mark.parametrize("amount", [0.4, 7])
def test_several_parameters_at_once(pair, method, amount):
    def make(lib):
        return lib.Sequential(lib.Linear(3, 4), lib.Linear(4, 2))

    ours, theirs, theirs_prune = pair(make)
    for p, m in ((prune, ours), (theirs_prune, theirs)):
        p.l1_unstructured(m[0], "weight", 2)
        pairs = [(m[0], "weight"), (m[1], "weight"), (m[1], "bias")]
        p.global_unstructured(pairs, getattr(p, method), amount=amount)
    same(ours, theirs)
    same_output(ours, theirs, (5, 3))


def test_rounds_are_kept_in_a_container():
    layer = prune.random_unstructured(
        prune.l1_unstructured(nn.Linear(3, 3), "weight", 2), "weight", 1
    )
    (container,) = layer._forward_pre_hooks.values()
    assert isinstance(container, prune.PruningContainer)
    assert [type(m).__name__ for m in container] == ["L1Unstructured", "RandomUnstructured"]
    assert len(container) == 2
    assert container[0].amount == 2
    assert (layer.weight_mask == 0).sum() == 3


def test_own_methods():
    class EveryOther(prune.BasePruningMethod):
        PRUNING_TYPE = "unstructured"

        def compute_mask(self, t, default_mask):
            mask = default_mask.clone()
            mask.view(-1)[::2] = 0
            return mask

    layer = nn.Linear(2, 2)
    EveryOther.apply(layer, "bias")
    assert layer.bias_mask.tolist() == [0, 1]


def test_copies_are_pruned_too():
    layer = prune.l1_unstructured(nn.Linear(3, 3), "weight", 4)
    other = nn.Linear(3, 3)
    prune.identity(other, "weight")
    other.load_state_dict(layer.state_dict())
    x = tl.rand(2, 3)
    assert tl.allclose(other(x), layer(x))
    layer = prune.l1_unstructured(nn.Linear(3, 3), "bias", 1)
    with tl.no_grad():
        layer.bias = layer.bias.detach()
    assert prune.is_pruned(copy.deepcopy(layer))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: prune.l1_unstructured(m, "weight", "1"), TypeError, "Invalid type for amount"),
        (lambda m: prune.l1_unstructured(m, "weight", 1.5), ValueError, "in the range"),
        (lambda m: prune.l1_unstructured(m, "weight", -1), ValueError, "non-negative"),
        (lambda m: prune.l1_unstructured(m, "weight", 99), ValueError, "smaller than the number"),
        (lambda m: prune.ln_structured(m, "bias", 1, 2, 0), ValueError, "multidimensional"),
        (lambda m: prune.ln_structured(m, "weight", 1, 2, 2), IndexError, "Invalid index 2"),
        (lambda m: prune.remove(m, "weight"), ValueError, "has to be pruned before"),
        (
            lambda m: prune.l1_unstructured(m, "weight", 1, tl.ones(2)),
            AssertionError,
            "should have the same shape",
        ),
        (lambda m: prune.custom_from_mask(m, "weight", tl.ones(2)), AssertionError, "must match"),
        (lambda m: prune.global_unstructured(3, prune.Identity), TypeError, "not an Iterable"),
        (
            lambda m: prune.global_unstructured([(m, "weight")], prune.Identity, 3),
            TypeError,
            "must be of type dict",
        ),
        (
            lambda m: prune.global_unstructured([(m, "weight")], prune.RandomStructured, amount=1),
            TypeError,
            'Only "unstructured"',
        ),
    ],
)
def test_wrong_calls(call, error, message):
    layer = nn.Linear(3, 3)
    with pytest.raises(error, match=message):
        call(layer)
    # Nothing of the layer has changed.
    assert list(layer.state_dict()) == ["weight", "bias"]
    assert not prune.is_pruned(layer)
