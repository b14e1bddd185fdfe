"""inspect.summary: a model's modules, measured by running it once."""

from __future__ import annotations

import json

import pytest

import tensorlab as tl
from tensorlab import nn
from tensorlab.inspect import describe, summary


class Twice(nn.Module):
    """One layer, used two times; its other layer is never used."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.unused = nn.Linear(4, 2)

    def forward(self, x):
        return self.layer(self.layer(x))


def test_rows_and_totals() -> None:
    model = nn.Sequential(nn.Linear(8, 4), nn.Sequential(nn.ReLU(), nn.Linear(4, 3, bias=False)))
    s = summary(model, tl.zeros(5, 8))
    assert [(r.name, r.type, r.depth) for r in s.rows] == [
        ("", "Sequential", 0),
        ("0", "Linear", 1),
        ("1", "Sequential", 1),
        ("1.0", "ReLU", 2),
        ("1.1", "Linear", 2),
    ]
    assert [r.output_shapes for r in s.rows] == [
        ((5, 3),),
        ((5, 4),),
        ((5, 3),),
        ((5, 4),),
        ((5, 3),),
    ]
    assert [r.parameters for r in s.rows] == [0, 36, 0, 0, 12]
    assert [r.output_bytes for r in s.rows] == [0, 80, 0, 80, 60]
    assert s.parameters == s.trainable == sum(p.numel() for p in model.parameters()) == 48
    assert s.parameter_bytes == 48 * 4
    assert s.output_bytes == 220
    assert s.input_shapes == ((5, 8),)
    assert s.input_bytes == 160


def test_a_shape_stands_for_zeros() -> None:
    model = nn.Linear(8, 4)
    assert summary(model, (5, 8)) == summary(model, tl.zeros(5, 8))


def test_shared_parameters_count_once() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    s = summary(model, (1, 4))
    assert [r.parameters for r in s.rows] == [0, 20, 4]
    assert [r.shares_parameters for r in s.rows] == [False, False, True]
    assert s.parameters == 24


def test_a_module_used_twice_and_one_never_used() -> None:
    s = summary(Twice(), (2, 4))
    rows = {row.name: row for row in s.rows}
    assert rows["layer"].calls == 2
    assert rows["layer"].output_bytes == 2 * 2 * 4 * 4
    assert rows["unused"].calls == 0
    assert rows["unused"].output_shapes == ()
    assert rows["unused"].parameters == 10


def test_frozen_parameters_are_not_trainable() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    model[0].requires_grad_(False)
    s = summary(model, (1, 4))
    assert (s.parameters, s.trainable) == (30, 10)


def test_nothing_is_left_behind() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.ReLU())
    model[1].eval()  # a mix of modes, which has to come back
    modes = [module.training for module in model.modules()]
    tl.manual_seed(3)
    expected = tl.rand(2).tolist()
    tl.manual_seed(3)
    summary(model, (2, 4))
    assert tl.rand(2).tolist() == expected  # dropout drew nothing
    assert [module.training for module in model.modules()] == modes
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
    assert all(p.grad is None and p.grad_fn is None for p in model.parameters())
    assert model(tl.zeros(1, 4)).requires_grad


def test_a_refusal_names_the_module_and_leaves_nothing_behind() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.ReLU(), nn.Linear(5, 2)))
    with pytest.raises(RuntimeError, match=r"1\.1 \(Linear\) does not accept its input"):
        summary(model, (2, 4))
    for module in model.modules():
        assert module.training
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


def test_what_is_no_module() -> None:
    with pytest.raises(TypeError, match="expects a module, got int"):
        summary(3, (1, 2))  # type: ignore[arg-type]


def test_dictionaries_and_tuples_of_outputs() -> None:
    class Two(nn.Module):
        def forward(self, x):
            return {"double": x * 2, "rest": (x[:1], [x + 1])}

    s = summary(Two(), (3, 2))
    assert s.rows[0].output_shapes == ((3, 2), (1, 2), (3, 2))
    assert summary(Two(), tl.zeros(3, 2, dtype=tl.float64)).rows[0].output_bytes >= 2 * 48


def test_as_a_dict() -> None:
    document = json.loads(json.dumps(summary(nn.Linear(4, 2), (3, 4)).to_dict(), allow_nan=False))
    assert document["schema"] == "tensorlab.summary/1"
    assert document["rows"][0]["output_shapes"] == [[3, 2]]
    assert document["parameters"] == 10
    found = describe(tl.tensor([1.0, float("nan")])).to_dict()
    assert json.loads(json.dumps(found, allow_nan=False))["nan"] == 1
