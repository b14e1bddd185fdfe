"""Private copies, what counts as changed, rendering, and the numeric gradient."""

from __future__ import annotations

import secrets

import numpy as np
import pytest

from tensorlab.learn import Case, numeric_grad
from tensorlab.learn.rendering import render, render_arguments
from tensorlab.learn.values import element_count, freeze, private_copy, unchanged

BASE = np.arange(24.0).reshape(2, 3, 4)
LAYOUTS = {
    "contiguous": BASE,
    "fortran": np.asfortranarray(BASE),
    "transposed": BASE.transpose(2, 0, 1),
    "stepped": BASE[:, ::2, 1::2],
    "reversed": BASE[::-1, :, ::-1],
    "stretched": np.broadcast_to(np.arange(3.0), (4, 3)),
    "stretched column": np.broadcast_to(np.arange(3.0)[:, None], (3, 5)),
    "empty": BASE[:, :0],
    "scalar": np.array(3.0),
    "windows": np.lib.stride_tricks.sliding_window_view(np.arange(6.0), 3),
    "unaligned": np.frombuffer(bytes(range(25)), np.uint8)[1:].view(np.float32),
    "bool": np.array([True, False])[::-1],
}


@pytest.mark.parametrize("x", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_a_private_copy_keeps_values_and_layout(x):
    y = private_copy(x)
    assert (y.shape, y.dtype) == (x.shape, x.dtype)
    assert y.strides == x.strides or x.size == 0
    assert y.flags.writeable == x.flags.writeable
    assert not np.shares_memory(x, y)
    np.testing.assert_array_equal(x, y)


def test_writing_to_a_copy_leaves_the_original():
    for name, x in LAYOUTS.items():
        if not x.flags.writeable or not x.size:
            continue
        before, y = x.copy(), private_copy(x)
        y[...] = 0
        np.testing.assert_array_equal(x, before, err_msg=name)


def test_what_is_one_object_stays_one_object():
    x = np.ones(3)
    a, (b, c), d = private_copy((x, [x, "text"], {"x": x}))
    assert a is b
    assert d["x"] is a
    assert a is not x
    assert c == "text"


def test_generators_and_objects_are_copied():
    rng = np.random.default_rng(0)
    copied = private_copy(rng)
    assert copied is not rng
    assert copied.random() == rng.random()
    assert private_copy(len) is len
    assert private_copy(np) is np


def test_every_change_of_an_argument_is_seen():
    x = np.array([1.0, np.nan, -0.0])
    assert unchanged(x, private_copy(x))
    changes = [
        np.array([1.0, np.nan, 0.0]),
        np.array([1.0, 2.0, -0.0]),
        x.reshape(3, 1),
        x.astype(np.float32),
        [1.0, np.nan, -0.0],
    ]
    assert not any(unchanged(x, change) for change in changes)
    nested = {"a": [x, (1, "b")], "n": float("nan")}
    assert unchanged(nested, private_copy(nested))
    for key, value in [("a", [x]), ("n", 0.0), ("new", 1)]:
        assert not unchanged(nested, {**private_copy(nested), key: value})
    assert not unchanged({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert not unchanged(1, True)


def test_a_frozen_result_does_not_change_later():
    buffer = np.zeros(3)
    frozen = freeze({"a": (buffer, [buffer])})
    buffer[:] = 1
    assert frozen["a"][0].sum() == 0
    assert frozen["a"][1][0].sum() == 0


def test_sizes_of_cases():
    assert element_count((np.zeros((2, 3)), 5)) == 6
    assert element_count(((2, 3), (4,))) == 3
    assert element_count(("abc", None)) == 3
    assert Case(args=(1, 2)).size == 2
    assert Case(args=(np.zeros(3),), size=99).size == 99
    with pytest.raises(TypeError, match=r"write args=\(x,\)"):
        Case(args=np.zeros(3))  # type: ignore[arg-type]


def test_small_arrays_are_shown_whole_and_big_ones_summarised():
    assert render(np.array([[1, 2], [3, 4]])) == "array([[1, 2],\n       [3, 4]])"
    assert "dtype=float32" in render(np.ones(2, np.float32))
    assert render(np.zeros((0, 2))) == "array([], shape=(0, 2), dtype=float64)"
    big = render(np.full((300, 400), np.nan))
    assert big.startswith("float64 array of shape (300, 400), 120000 NaN")
    assert len(big) < 1000
    assert "around (7, 9)" in render(np.zeros((300, 400)), index=(7, 9))
    assert len(render(list(range(10**6)))) < 400
    assert len(render("x" * 10**6)) < 400
    assert "item" not in render({"w": np.ones(2)})
    assert "'w': array([1., 1.])" in render({"w": np.ones(2)})


def test_rendering_ignores_the_learners_print_options():
    x = np.array([1 / 3, 1e-9, 12345.678])
    want = render(x)
    with np.printoptions(precision=1, suppress=True, threshold=1):
        assert render(x) == want


def test_rendering_survives_a_broken_repr():
    class Broken:
        def __repr__(self):
            raise ValueError

    assert "Broken" in render(Broken())


def test_arguments_are_named_and_their_layout_told():
    text = render_arguments(["x"], (np.ones((2, 3)).T, 5), {"axis": 1})
    assert text.startswith("x = array([[1., 1.],")
    assert "not contiguous: strides (8, 24)" in text
    assert "argument 2 = 5" in text
    assert text.endswith("axis = 1")


def test_numeric_gradient_against_formulas():
    seed = secrets.randbits(32)
    print("seed", seed)
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((3, 4)), rng.standard_normal((4, 2))
    g = rng.standard_normal((3, 2))
    found = numeric_grad(lambda a, b: a @ b, a, b, wrt=0, grad_output=g)
    np.testing.assert_allclose(found, g @ b.T, atol=1e-7)
    found = numeric_grad(lambda a, b: a @ b, a, b, wrt=1, grad_output=g)
    np.testing.assert_allclose(found, a.T @ g, atol=1e-7)
    x = rng.standard_normal(5)
    np.testing.assert_allclose(numeric_grad(lambda x: np.tanh(x).sum(), x), 1 / np.cosh(x) ** 2)
    assert numeric_grad(np.exp, np.float32(0)).shape == ()
    assert numeric_grad(lambda x, i: x[i], x, np.array([0, 0, 1]), wrt=0).tolist() == pytest.approx(
        [2, 1, 0, 0, 0]
    )


def test_numeric_gradient_of_float32_arguments_is_taken_in_float64():
    x = np.ones(3, np.float32)
    np.testing.assert_allclose(numeric_grad(lambda x: x**3, x), 3, atol=1e-8)
    assert x.dtype == np.float32


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: numeric_grad(np.exp, np.ones(2), wrt=1), ValueError, "there are 1 inputs"),
        (lambda: numeric_grad(np.exp, np.ones(2, int)), TypeError, "dtype int64"),
        (
            lambda: numeric_grad(np.exp, np.ones(2), grad_output=np.ones(3)),
            ValueError,
            "grad_output has shape (3,)",
        ),
    ],
)
def test_numeric_gradient_refuses_bad_input(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert message in str(caught.value)
