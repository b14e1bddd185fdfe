"""`state_dict` and `load_state_dict`: PyTorch's keys, and one clear report of what does not fit."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import nn


def make(seed=0):
    tl.manual_seed(seed)
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2, bias=False))
    net.register_buffer("mean", tl.zeros(3))
    net.register_buffer("scratch", tl.zeros(1), persistent=False)
    return net


def test_keys_values_and_metadata():
    net = make()
    state = net.state_dict()
    assert list(state) == ["mean", "0.weight", "0.bias", "2.weight"]
    assert isinstance(state, OrderedDict)
    assert state._metadata[""] == {"version": 1}
    assert not state["0.weight"].requires_grad
    with tl.no_grad():
        net[0].weight.zero_()  # a state dict shares memory
    assert state["0.weight"].abs().sum().item() == 0
    assert net.state_dict(keep_vars=True)["0.weight"] is net[0].weight
    assert next(iter(net.state_dict(prefix="net."))) == "net.mean"
    given = {}
    assert net.state_dict(destination=given) is given
    assert len(given) == 4


def test_round_trip():
    a, b = make(1), make(2)
    weight = b[0].weight
    result = b.load_state_dict(a.state_dict())
    assert str(result) == "<All keys matched successfully>"
    assert b[0].weight is weight
    assert weight.tolist() == a[0].weight.tolist()
    x = tl.randn(5, 3)
    assert a(x).tolist() == b(x).tolist()


def test_keys_and_values_are_pytorchs():
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    ours = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.ModuleDict({"a": nn.Linear(4, 2)})["a"])
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    state = {k: tl.from_numpy(v.numpy().copy()) for k, v in theirs.state_dict().items()}
    ours.load_state_dict(state)
    x = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)
    np.testing.assert_allclose(
        ours(tl.from_numpy(x)).detach().numpy(),
        theirs(torch.tensor(x)).detach().numpy(),
        rtol=1e-5,
        atol=1e-6,
    )
    theirs.load_state_dict({k: torch.from_numpy(v.numpy()) for k, v in ours.state_dict().items()})


def test_the_report_is_pytorchs():
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    messages = []
    for lib, net in ((tl, nn.Linear(3, 2)), (torch, torch.nn.Linear(3, 2))):
        state = {"weight": lib.zeros(5, 3), "extra": lib.zeros(1), "child.weight": lib.zeros(1)}
        with pytest.raises(RuntimeError) as caught:
            net.load_state_dict(state)
        messages.append(str(caught.value).replace("tensorlab", "torch"))
    assert messages[0] == messages[1]
    assert 'Missing key(s) in state_dict: "bias". ' in messages[0]
    assert 'Unexpected key(s) in state_dict: "extra", "child.weight". ' in messages[0]
    assert "size mismatch for weight: copying a param with shape torch.Size([5, 3])" in messages[0]


def test_not_strict():
    net = nn.Linear(3, 2)
    result = net.load_state_dict({"weight": tl.ones(2, 3), "extra": tl.zeros(1)}, strict=False)
    assert result.missing_keys == ["bias"]
    assert result.unexpected_keys == ["extra"]
    assert repr(result) == "_IncompatibleKeys(missing_keys=['bias'], unexpected_keys=['extra'])"
    assert net.weight.tolist() == [[1.0] * 3] * 2
    with pytest.raises(RuntimeError, match="size mismatch for weight"):
        net.load_state_dict({"weight": tl.ones(3, 3)}, strict=False)


def test_dtype_is_the_models_when_copied_and_the_loaded_one_when_assigned():
    net = nn.Linear(3, 2)
    state = {"weight": tl.ones(2, 3, dtype=tl.float64), "bias": tl.zeros(2, dtype=tl.float64)}
    net.load_state_dict(state)
    assert net.weight.dtype is tl.float32
    net.requires_grad_(False)
    net.load_state_dict(state, assign=True)
    assert net.weight.dtype is tl.float64
    assert isinstance(net.weight, nn.Parameter)
    assert not net.weight.requires_grad
    state["weight"].fill_(7)
    assert net.weight[0, 0].item() == 7


def test_one_element_vectors_load_into_scalars():
    module = nn.Module()
    module.register_buffer("steps", tl.tensor(0))
    module.load_state_dict({"steps": tl.tensor([5])})
    assert module.steps.item() == 5


def test_bad_input():
    net = nn.Linear(3, 2)
    with pytest.raises(TypeError, match="Expected state_dict to be dict-like, got <class 'list'>"):
        net.load_state_dict([1])
    with pytest.raises(RuntimeError, match='While copying the parameter named "weight", expected'):
        net.load_state_dict({"weight": [1.0], "bias": tl.zeros(2)})


def test_extra_state():
    class Counting(nn.Linear):
        seen = 0

        def get_extra_state(self):
            return {"seen": self.seen}

        def set_extra_state(self, state):
            self.seen = state["seen"]

    a, b = nn.Sequential(Counting(1, 1)), nn.Sequential(Counting(1, 1))
    a[0].seen = 3
    assert "0._extra_state" in a.state_dict()
    b.load_state_dict(a.state_dict())
    assert b[0].seen == 3
    with pytest.raises(RuntimeError, match=r'Missing key.*"0._extra_state"'):
        b.load_state_dict(nn.Sequential(nn.Linear(1, 1)).state_dict())
    with pytest.raises(RuntimeError, match=r'Unexpected key.*"0._extra_state"'):
        nn.Sequential(nn.Linear(1, 1)).load_state_dict(a.state_dict())


def test_hooks():
    calls = []
    net = nn.Sequential(nn.Linear(1, 1))
    net.register_state_dict_pre_hook(lambda m, prefix, keep: calls.append(("pre", prefix)))
    net.register_state_dict_post_hook(lambda m, sd, prefix, meta: calls.append(("post", list(sd))))

    def rename(module, state, prefix, *rest):
        state["0.weight"] = state.pop("0.w")

    net.register_load_state_dict_pre_hook(rename)
    net._register_load_state_dict_pre_hook(
        lambda state, prefix, *rest: calls.append(("load", prefix))
    )
    net.register_load_state_dict_post_hook(lambda m, keys: keys.missing_keys.clear())
    state = net.state_dict()
    assert calls == [("pre", ""), ("post", ["0.weight", "0.bias"])]
    net.load_state_dict({"0.w": tl.ones(1, 1)})  # the missing bias is pardoned by the hook
    assert net[0].weight.item() == 1
    assert calls[-1] == ("load", "")
    assert "0.w" not in state
    net.register_state_dict_post_hook(lambda *args: 1)
    with pytest.raises(RuntimeError, match="state_dict post-hook must return None"):
        net.state_dict()
    net.register_load_state_dict_post_hook(lambda *args: 1)
    with pytest.raises(AssertionError, match="not expected to return new values"):
        net.load_state_dict({"0.w": tl.ones(1, 1)})


def test_old_keys_can_be_renamed_by_the_module():
    class New(nn.Linear):
        _version = 2

        def _load_from_state_dict(self, state_dict, prefix, local_metadata, *rest):
            if local_metadata.get("version", 1) < 2:
                state_dict[prefix + "weight"] = state_dict.pop(prefix + "kernel")
            super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)

    net = nn.Sequential(New(1, 1, bias=False))
    net.load_state_dict({"0.kernel": tl.full((1, 1), 4.0)})
    assert net[0].weight.item() == 4
    assert net.state_dict()._metadata["0"] == {"version": 2}


def test_the_older_hook_may_return_another_dict():
    def renamed(module, state, prefix, local_metadata):
        return {f"model.{name}": value for name, value in state.items()}

    net = nn.Sequential(nn.Linear(1, 1))
    net[0]._register_state_dict_hook(renamed)
    assert list(net.state_dict()) == ["0.weight", "0.bias"]  # of a child it does not count
    handle = net._register_state_dict_hook(renamed)
    assert list(net.state_dict()) == ["model.0.weight", "model.0.bias"]
    handle.remove()
    assert list(net.state_dict()) == ["0.weight", "0.bias"]
