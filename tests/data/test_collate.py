"""Collating, with PyTorch's results, types and errors."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from types import MappingProxyType

import numpy as np
import pytest

import tensorlab as tl
from tensorlab.utils.data import default_collate, default_convert

Point = namedtuple("Point", "x y")


class MyList(list):
    """Keeps an attribute, so that the type and what is with it can be checked."""


def plain(value):
    """Tensors as (dtype, list), so that results of both libraries compare."""
    if hasattr(value, "tolist") and hasattr(value, "dtype") and not isinstance(value, np.generic):
        return (str(value.dtype).split(".")[-1], value.tolist())
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return ("Point", *map(plain, value))
    if isinstance(value, (list, tuple)):
        return [type(value).__name__, *map(plain, value)]
    if hasattr(value, "items"):
        return {k: plain(v) for k, v in value.items()}
    return value


BATCHES = {
    "ints": [1, 2, 3],
    "bools": [True, False],
    "floats": [0.5, 1.5],
    "strings": ["a", "b"],
    "bytes": [b"a", b"b"],
    "arrays": [np.arange(3), np.arange(3)],
    "float32 arrays": [np.ones((2, 2), np.float32)] * 2,
    "array numbers": [np.float32(1), np.float32(2)],
    "array ints": [np.int16(1), np.int16(2)],
    "tuples": [(1, "a", 0.5), (2, "b", 1.5)],
    "lists": [[1, [2.0]], [3, [4.0]]],
    "dicts": [{"x": 1, "y": {"z": 0.5}}, {"x": 2, "y": {"z": 1.5}}],
    "ordered dicts": [OrderedDict(a=1), OrderedDict(a=2)],
    "read-only dicts": [MappingProxyType({"a": 1}), MappingProxyType({"a": 2})],
    "named tuples": [Point(1, np.zeros(2)), Point(2, np.ones(2))],
    "ranges": [range(2), range(2, 4)],
    "own lists": [MyList([1, 2]), MyList([3, 4])],
    "one": [(1, 2)],
}


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("function", ["default_collate", "default_convert"])
def test_results_are_pytorchs(name, function):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    ours = getattr(tl.utils.data, function)(BATCHES[name])
    theirs = getattr(torch.utils.data, function)(BATCHES[name])
    assert plain(ours) == plain(theirs)
    assert type(ours).__name__ == type(theirs).__name__


def test_tensors_are_stacked():
    batch = default_collate([(tl.ones(2), tl.tensor(1)), (tl.zeros(2), tl.tensor(2))])
    assert [t.tolist() for t in batch] == [[[1.0, 1.0], [0.0, 0.0]], [1, 2]]
    p = tl.ones(1, requires_grad=True)
    default_collate([p, p * 2]).sum().backward()
    assert p.grad.item() == 3


def test_types_are_kept():
    first = MyList([1, 2])
    first.note = "kept"
    batch = default_collate([first, MyList([3, 4])])
    assert isinstance(batch, MyList)
    assert batch.note == "kept"
    assert first == [1, 2]
    assert isinstance(default_collate([Point(1, 2)]), Point)


@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        (
            [None],
            TypeError,
            "batch must contain tensors, numpy arrays, numbers, dicts or lists; found .*NoneType",
        ),
        ([object()], TypeError, "found <class 'object'>"),
        ([np.array(["a"])], TypeError, "found <U1"),
        ([[1, 2], [3]], RuntimeError, "each element in list of batch should be of equal size"),
        ([(1,), (1, 2)], RuntimeError, "each element in list of batch should be of equal size"),
        ([tl.ones(2), tl.ones(3)], RuntimeError, "stack expects each tensor to be equal size"),
        ([{"a": 1}, {"b": 1}], KeyError, "a"),
    ],
)
def test_errors(batch, error, message):
    with pytest.raises(error, match=message):
        default_collate(batch)


def test_convert_leaves_alone_what_it_does_not_know():
    thing = object()
    assert default_convert(thing) is thing
    assert default_convert("text") == "text"
    text = np.array(["a"])
    assert default_convert(text) is text
    t = tl.ones(1)
    assert default_convert(t) is t
