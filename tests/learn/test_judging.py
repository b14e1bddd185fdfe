"""The comparison: nothing wrong is accepted, nothing right refused, and the message says what."""

from __future__ import annotations

import re
import secrets

import numpy as np
import pytest

from tensorlab.learn import Raises, as_array, compare


def name(value):
    """A test's name from a value: the same in every process, so without addresses."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))[:40]


F32, F64 = np.float32, np.float64


class Tensor:
    """As much of a tensor as a comparison needs, refusing what real ones refuse."""

    def __init__(self, array, requires_grad=False):
        self.array, self.requires_grad = np.asarray(array), requires_grad

    @property
    def shape(self):
        return self.array.shape

    def detach(self):
        return Tensor(self.array)

    def cpu(self):
        return self

    def numpy(self):
        if self.requires_grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
        return self.array


RIGHT = [
    (np.array([1.0, np.nan, np.inf]), np.array([1.0, np.nan, np.inf])),
    (np.array([1.0 + 1e-9]), np.array([1.0])),
    (np.array([1.00001], F32), np.array([1.0], F32)),
    (np.zeros((0, 3)), np.zeros((0, 3))),
    (Tensor([1.0, 2.0], requires_grad=True), np.array([1.0, 2.0])),
    (np.array([1.0, 2.0]), Tensor([1.0, 2.0])),
    (np.array([1, 2], np.int32), np.array([1, 2], np.int64)),
    (np.float64(2.0), np.array(2.0)),
    (np.array(2.0), 2.0),
    (np.int64(3), 3),
    (3, np.int64(3)),
    (np.bool_(True), True),
    (10**30, 10**30),
    (1 + 2j, 1 + 2j),
    (float("nan"), float("nan")),
    ((1, (2.0, "a")), (1, (2.0, "a"))),
    ([np.ones(2), None], [np.ones(2), None]),
    ({"a": np.ones(2), 1: (1,)}, {1: (1,), "a": np.ones(2)}),
    ("text", "text"),
    (None, None),
    ({1, 2}, {2, 1}),
    (slice(0, 2), slice(0, 2)),
    (int, int),
]


@pytest.mark.parametrize(("got", "want"), RIGHT, ids=name)
def test_right_answers(got, want):
    assert compare(got, want) is None


class Liar(float):
    def __eq__(self, other):
        return True

    def __hash__(self):
        return 0


class LyingText(str):
    __slots__ = ()

    def __eq__(self, other):
        return True

    def __hash__(self):
        return 0


class LyingList(list):
    def __eq__(self, other):
        return True

    def __len__(self):
        return 2

    def __iter__(self):
        return iter([1, 2])


class LyingDict(dict):
    def __eq__(self, other):
        return True

    def __contains__(self, key):
        return True

    def __getitem__(self, key):
        return 1


WRONG = [
    # type
    ([1.0, 2.0], np.array([1.0, 2.0]), "got a list: make it one with np.array(...)"),
    ((1.0, 2.0), np.array([1.0, 2.0]), "got a tuple"),
    (1.0, np.array([1.0]), "got a single number, 1.0"),
    ("ab", np.array([1.0]), "got a str"),
    (np.array([[1.0]]).view(np.matrix), np.array([[1.0]]), "got a matrix: use a plain array"),
    (np.ma.masked_array([1.0], [True]), np.array([1.0]), "got a MaskedArray"),
    (object(), np.array([1.0]), "got an object"),
    (None, np.array([1.0]), "Did you forget `return`?"),
    (None, 3, "Did you forget `return`?"),
    (NotImplemented, 3, "NotImplemented"),
    (3, None, "Expected None, got an int, 3"),
    (np.array([1.0]), 1.0, "Expected a single number (a float), got an array of shape (1,)"),
    ([3, 2], (3, 2), "got a list of 2 items: use tuple(...)"),
    ((3, 2), [3, 2], "use list(...)"),
    (range(2), [0, 1], "use list(...)"),
    (map(abs, [1]), [1], "got a map object"),
    ((x for x in [1]), [1], "use list(...)"),
    ((x for x in [1]), np.array([1]), "got a generator"),
    (len, 3, "got a function (len), not its result"),
    (int, 3, "got the class int itself"),
    (Liar(2), 3.0, "Expected a single number (a float), got a Liar"),
    (LyingText("a"), "b", "got a LyingText"),
    (LyingList([5]), [1, 2], "Expected a list of 2 items, got a LyingList"),
    (LyingDict(b=5), {"a": 1}, "missing ['a']; not asked for: ['b']"),
    # kind of number
    (5.0, 5, "Expected an int, 5, got a float, 5.0"),
    (5, 5.0, "Expected a float, 5.0, got an int, 5"),
    (True, 1, "Expected an int, 1, got True"),
    (1, True, "Expected True or False, True, got an int, 1"),
    ("5", 5, "got a str, '5'"),
    (np.array([1, 2]), np.array([1.0, 2.0]), "Wrong dtype: expected float64 (float), got int64"),
    (np.array([1.0]), np.array([1]), "expected int64 (int), got float64 (float)"),
    (np.array([True]), np.array([1]), "got bool (bool)"),
    (np.array([1.0], object), np.array([1.0]), "got object (object)"),
    (np.array([1.0], F64), np.array([1.0], F32), "expected float32, got float64"),
    # shape
    (np.zeros((2, 3)), np.zeros((3, 2)), "Wrong shape: expected (3, 2), got (2, 3)"),
    (np.zeros((3, 1)), np.zeros(3), "Wrong shape: expected (3,), got (3, 1)"),
    (np.zeros(()), np.zeros(1), "Wrong shape: expected (1,), got ()"),
    (np.zeros((0, 2)), np.zeros((2, 0)), "Wrong shape"),
    # values
    (np.array([1.0, 5.0]), np.array([1.0, 2.0]), "at index (1,): expected 2.0, got 5.0"),
    (np.array([1.0 + 1e-5]), np.array([1.0]), "1 of 1 values is wrong"),
    (np.array([1.001], F32), np.array([1.0], F32), "1 of 1 values is wrong"),
    (np.array([np.nan]), np.array([1.0]), "got nan"),
    (np.array([1.0]), np.array([np.nan]), "expected nan"),
    (np.array([-np.inf]), np.array([np.inf]), "expected inf, got -inf"),
    (np.array([1e300]), np.array([np.inf]), "expected inf"),
    (np.array([[1, 2], [3, 5]]), np.array([[1, 2], [3, 4]]), "at index (1, 1): expected 4, got 5"),
    (3, 4, "Expected 4, got 3"),
    (10**30, 10**30 + 1, "Expected 1000"),
    (2.0, 3.0, "Expected 3.0, got 2.0"),
    ("a", "b", "Expected 'b', got 'a'"),
    ((1, 2), (1, 3), "Expected (1, 3), got (1, 2)"),
    ([np.ones(2), np.ones(3)], [np.ones(2), np.zeros(3)], "item 1 of the result: 3 of 3 values"),
    ({"a": np.ones(2)}, {"a": np.zeros(2)}, "entry 'a': 2 of 2 values"),
    ({"a": {"b": 1}}, {"a": {"b": 2}}, "entry 'b' of entry 'a': Expected 2, got 1"),
    ((1,), (1, 2), "Expected a tuple of 2 items, got a tuple of 1 item: (1,)"),
    ({1}, {2}, "Expected {2}, got {1}"),
    (7, Raises(ValueError), "This should raise ValueError, but it returned an int, 7"),
]


@pytest.mark.parametrize(("got", "want", "message"), WRONG, ids=name)
def test_wrong_answers(got, want, message):
    found = compare(got, want)
    assert found is not None
    assert message in found.message


@pytest.mark.parametrize(
    ("got", "want", "hint"),
    [
        (np.ones((2, 3)), np.ones((3, 2)), "reverse order"),
        (np.ones((2, 4, 3)), np.ones((2, 3, 4)), "right axes in the wrong order"),
        (np.ones((2, 1)), np.ones(2), "Only axes of length 1"),
        (2 * np.arange(4.0), np.arange(4.0), "Every value is 2 times the right one"),
        (-np.arange(4.0), np.arange(4.0), "wrong sign"),
        (np.zeros(3), np.ones(3), "Every value is 0"),
        (np.array([np.nan, 1]), np.array([1.0, 1.0]), "NaN comes from"),
    ],
    ids=name,
)
def test_hints_from_what_the_values_have_in_common(got, want, hint):
    found = compare(got, want)
    assert found is not None
    assert found.hint is not None
    assert hint in found.hint


def test_how_strict_dtypes_are_can_be_chosen():
    a, b, c = np.ones(2, F32), np.ones(2, F64), np.ones(2, np.int64)
    assert compare(a, b) is not None
    assert compare(a, b, dtype="kind") is None
    assert compare(c, b, dtype="kind") is not None
    assert compare(c, b, dtype="any") is None
    assert compare(1, 1.0, dtype="any") is None
    assert compare("1", 1.0, dtype="any") is not None
    with pytest.raises(ValueError, match='"same", "kind" or "any"'):
        compare(a, b, dtype="strict")


def test_tolerances_can_be_chosen():
    assert compare(1.05, 1.0, rtol=0.1) is None
    assert compare(1.05, 1.0, atol=0.1) is None
    assert compare(np.array([1.0 + 1e-9]), np.array([1.0]), rtol=0, atol=0) is not None


def test_any_single_wrong_value_is_found():
    seed = secrets.randbits(32)
    print("seed", seed)
    rng = np.random.default_rng(seed)
    for dtype in (F32, F64, np.int64, np.bool_, np.complex128):
        for _ in range(20):
            shape = tuple(rng.integers(1, 5, size=rng.integers(0, 4)))
            want = (rng.standard_normal(shape) * 5).astype(dtype)
            want = np.asarray(want)
            got = want.copy()
            index = tuple(int(rng.integers(n)) for n in shape)
            got[index] = ~got[index] if dtype is np.bool_ else got[index] + 1
            found = compare(got, want)
            assert found is not None
            assert found.index == (index if shape else None)
            assert compare(want.copy(), want) is None


def test_real_tensors_are_values():
    torch = pytest.importorskip("torch", reason="compares torch's tensors")
    got = torch.ones(2, 3, requires_grad=True)
    assert compare(got, np.ones((2, 3), F32)) is None
    assert compare(got * 2, np.ones((2, 3), F32)) is not None
    assert as_array(got).dtype == F32


def test_our_own_tensors_are_values():
    import tensorlab as tl

    got = tl.ones(2, 3, requires_grad=True)
    assert compare(got, np.ones((2, 3), F32)) is None
    assert compare(got * 2, np.ones((2, 3), F32)) is not None
