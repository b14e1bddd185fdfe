"""Containers behave, and print, as PyTorch's."""

from __future__ import annotations

from collections import OrderedDict

import pytest

import tensorlab as tl
from tensorlab import nn


@pytest.fixture(params=["tensorlab", "torch"])
def lib(request):
    """The same test with both: what PyTorch does is what is asked of tensorlab."""
    return pytest.importorskip(request.param, reason="PyTorch is the oracle of this test")


def names(modules):
    return [type(m).__name__ for m in modules]


def test_sequential(lib):
    s = lib.nn.Sequential(lib.nn.ReLU(), lib.nn.Tanh())
    assert len(s) == 2
    assert s(lib.tensor([-1.0])).item() == 0
    assert type(s[0]).__name__ == "ReLU"
    assert type(s[-1]).__name__ == "Tanh"
    assert isinstance(s[:1], lib.nn.Sequential)
    s.append(lib.nn.Sigmoid())
    s.insert(0, lib.nn.Identity())
    s.insert(-1, lib.nn.Flatten())
    assert names(s) == ["Identity", "ReLU", "Tanh", "Flatten", "Sigmoid"]
    assert list(s._modules) == ["0", "1", "2", "3", "4"]
    del s[0]
    del s[2:]
    assert list(s._modules) == ["0", "1"]
    s[0] = lib.nn.GELU()
    assert names(s) == ["GELU", "Tanh"]
    assert type(s.pop(0)).__name__ == "GELU"
    s.extend([lib.nn.ReLU()])
    assert names(s + s) == ["Tanh", "ReLU"] * 2
    assert names(2 * s * 2) == ["Tanh", "ReLU"] * 4
    s *= 2
    s += lib.nn.Sequential(lib.nn.Identity())
    assert names(s) == ["Tanh", "ReLU", "Tanh", "ReLU", "Identity"]
    assert s[0] is s[2]


def test_sequential_with_names(lib):
    s = lib.nn.Sequential(OrderedDict(a=lib.nn.ReLU(), b=lib.nn.Tanh()))
    assert s.a is s[0]
    assert [n for n, _ in s.named_children()] == ["a", "b"]
    assert list(s[1:]._modules) == ["b"]
    assert repr(s) == "Sequential(\n  (a): ReLU()\n  (b): Tanh()\n)"


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda s, n: s[5], IndexError, "index 5 is out of range"),
        (lambda s, n: s.insert(9, n.ReLU()), IndexError, "Index out of range: 9"),
        (lambda s, n: s.insert(0, 3), AssertionError, "module should be of type"),
        (lambda s, n: s.append(3), TypeError, "int is not a Module subclass"),
        (lambda s, n: s + [n.ReLU()], ValueError, "supports only objects of Sequential class"),  # noqa: RUF005
        (lambda s, n: s * 1.5, TypeError, "unsupported operand"),
        (lambda s, n: s * 0, ValueError, "Non-positive multiplication factor 0"),
        (
            lambda s, n: n.ModuleList().extend(3),
            TypeError,
            "should be called with an iterable, but got int",
        ),
        (
            lambda s, n: n.ModuleDict(3),
            TypeError,
            "should be called with an iterable of key/value pairs",
        ),
        (lambda s, n: n.ModuleDict([("a",)]), ValueError, "has length 1; 2 is required"),
        (lambda s, n: n.ModuleDict([3]), TypeError, "should be Iterable; is"),
        (
            lambda s, n: n.ParameterList(3),
            TypeError,
            "should be called with an iterable, but got int",
        ),
        (
            lambda s, n: n.ParameterDict({1: 3}),
            TypeError,
            "cannot be used as a key as it is not a string",
        ),
        (lambda s, n: n.ParameterList()(1), RuntimeError, "ParameterList should not be called"),
        (lambda s, n: n.ParameterDict()(1), RuntimeError, "ParameterDict should not be called"),
    ],
)
def test_errors(lib, act, error, message):
    with pytest.raises(error, match=message):
        act(lib.nn.Sequential(lib.nn.ReLU()), lib.nn)


def test_module_list(lib):
    layers = lib.nn.ModuleList([lib.nn.Linear(2, 2) for _ in range(3)])
    assert len(layers) == 3
    assert len(list(layers.parameters())) == 6
    layers.append(lib.nn.ReLU())
    layers.insert(0, lib.nn.Tanh())
    layers += [lib.nn.ReLU()]
    assert names(layers) == ["Tanh", "Linear", "Linear", "Linear", "ReLU", "ReLU"]
    assert isinstance(layers[1:3], lib.nn.ModuleList)
    assert repr(layers) == (
        "ModuleList(\n"
        "  (0): Tanh()\n"
        "  (1-3): 3 x Linear(in_features=2, out_features=2, bias=True)\n"
        "  (4-5): 2 x ReLU()\n"
        ")"
    )
    del layers[0]
    assert type(layers.pop(-1)).__name__ == "ReLU"
    assert names(layers + [lib.nn.Tanh()]) == ["Linear"] * 3 + ["ReLU", "Tanh"]  # noqa: RUF005
    layers[-1] = lib.nn.GELU()
    assert names(layers) == ["Linear"] * 3 + ["GELU"]
    assert repr(lib.nn.ModuleList()) == "ModuleList()"
    nested = lib.nn.ModuleList(lib.nn.Sequential(lib.nn.ReLU()) for _ in range(2))
    assert repr(nested) == "ModuleList(\n  (0-1): 2 x Sequential(\n    (0): ReLU()\n  )\n)"
    with pytest.raises(NotImplementedError):
        layers(1)


def test_module_dict(lib):
    d = lib.nn.ModuleDict({"b": lib.nn.ReLU(), "a": lib.nn.Tanh()})
    d["c"] = lib.nn.Sigmoid()
    d.update([("d", lib.nn.GELU())])
    assert list(d) == list(d.keys()) == ["b", "a", "c", "d"]
    assert "a" in d
    assert len(d) == 4
    assert names(d.values()) == ["ReLU", "Tanh", "Sigmoid", "GELU"]
    assert [k for k, _ in d.items()] == ["b", "a", "c", "d"]
    assert type(d.pop("a")).__name__ == "Tanh"
    del d["b"]
    other = lib.nn.ModuleDict(d)
    d.clear()
    assert (len(d), len(other)) == (0, 2)
    assert repr(other) == "ModuleDict(\n  (c): Sigmoid()\n  (d): GELU(approximate='none')\n)"
    with pytest.raises(KeyError):
        d["zzz"]


def test_parameter_list(lib):
    p = lib.nn.ParameterList([lib.ones(2), lib.nn.Parameter(lib.zeros(2, 3)), "text"])
    assert isinstance(p[0], lib.nn.Parameter)
    assert p[2] == "text"
    assert [n for n, _ in p.named_parameters()] == ["0", "1"]
    p.append(lib.ones(1))
    p += [lib.ones(4)]
    p[0] = lib.zeros(5)
    assert p[-1].shape == (4,)
    assert len(p[1:3]) == 2
    assert [tuple(x.shape) for x in p if not isinstance(x, str)] == [(5,), (2, 3), (1,), (4,)]
    text = f"ParameterList(\n    (0): Parameter containing: [{lib.__name__}.float32 of size 5]\n"
    assert repr(p).startswith(text)
    assert "    (2): Object of type: str\n" in repr(p)


def test_parameter_dict(lib):
    p = lib.nn.ParameterDict({"b": lib.ones(2), "a": lib.zeros(3), "note": 3})
    assert list(p) == ["a", "b", "note"]  # plain dicts are put in by key
    assert isinstance(p["a"], lib.nn.Parameter)
    p["c"] = lib.ones(1)
    assert [n for n, _ in p.named_parameters()] == ["a", "b", "c"]
    assert p.get("zzz", 5) == 5
    assert p.setdefault("note", 9) == 3
    assert p.pop("note") == 3
    assert p.popitem()[0] == "c"
    assert "c" not in p
    both = p | lib.nn.ParameterDict({"z": lib.ones(1)})
    assert list(both) == ["a", "b", "z"]
    assert list(reversed(both)) == ["z", "b", "a"]
    assert list(p.copy().keys()) == ["a", "b"]
    assert [k for k, _ in p.items()] == ["a", "b"]
    assert len(list(p.values())) == 2
    p |= lib.nn.ParameterDict({"y": lib.ones(1)})
    assert len(p) == 3
    p.clear()
    assert len(p) == 0
    assert list(p.fromkeys(["u", "v"], 1).items()) == [("u", 1), ("v", 1)]


def test_parameter_containers_in_a_state_dict():
    net = nn.Module()
    net.list = nn.ParameterList([tl.ones(1)])
    net.dict = nn.ParameterDict({"x": tl.ones(1)})
    assert list(net.state_dict()) == ["list.0", "dict.x"]
    text = "ParameterDict(  (a): Parameter containing: [tensorlab.FloatTensor of size 2x3])"
    assert repr(nn.ParameterDict({"a": tl.zeros(2, 3)})) == text
