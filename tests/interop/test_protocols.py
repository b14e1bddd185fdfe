"""Python's and NumPy's protocols: each expression means the same to tensorlab as to PyTorch."""

from __future__ import annotations

import math
import operator
import warnings
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tensorlab as tl

torch: Any = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")

PYTHON = """
x + 2 ; 2 + x ; x - 2 ; 2 - x ; x * 2 ; 2 * x ; x / 2 ; 2 / x ; x // 2 ; 2 // x ; x % 2 ; 2 % x
x ** 2 ; 2 ** x ; pow(x, 2) ; pow(2, x) ; 1j * x ; True + x ; -x ; +x ; abs(x) ; +x is x
-b ; +b ; ~b ; ~i ; ~x ; b & True ; True | b ; b ^ True ; i & 6 ; 6 & i ; i | 6 ; 6 ^ i ; x & 1.5
i << 1 ; i >> 1 ; 1 << i.abs() ; 64 >> i.abs() ; x @ x ; x @ 2 ; 2 @ x ; m @ x ; x.__add__("a")
x + "a" ; "a" + x ; x + None ; x + [1, 2, 3] ; x == "a" ; x == None ; x != None ; x < "a" ; x < None
x < 1 ; 1 < x ; x <= x ; x > 0 ; x >= 0 ; c == c ; c < c ; x < 1j ; z < z ; m < x ; x < m[:, :2]
round(x) ; round(x, 1) ; round(x, ndigits=1) ; round(z) ; divmod(x, 2) ; divmod(2, x) ; divmod(x, x)
math.floor(z) ; math.ceil(z) ; math.trunc(z) ; math.floor(x) ; math.ceil(x) ; math.trunc(x)
math.floor(n) ; math.sqrt(n) ; math.isnan(z)
int(z) ; float(z) ; complex(z) ; bool(z) ; int(one) ; float(one) ; complex(one) ; bool(one) ; int(n)
int(x) ; float(x) ; complex(x) ; bool(x) ; bool(empty) ; int(empty) ; float(empty) ; not z
float(c[:1] * 0) ; int(c[:1] * 0 + 3) ; float(c[:1]) ; complex(c[:1]) ; int(b[:1]) ; float(b[:1])
operator.index(n) ; operator.index(i[:1]) ; operator.index(i) ; operator.index(z) ; operator.index(b[:1])
[10, 20, 30, 40][n] ; list(range(n)) ; "a" * n ; hex(n) ; x[n - 1] ; [1, 2, 3][z]
len(x) ; len(m) ; len(z) ; len(empty) ; list(x) ; list(m) ; list(z) ; list(empty)
list(reversed(x)) ; list(reversed(m)) ; reversed(m) ; reversed(z) ; sum(x) ; sum(m) ; max(x) ; min(x)
any(x) ; all(x) ; sorted(x) ; sorted([x, x]) ; max(x, x) ; tuple(m) ; dict(enumerate(x))
4.0 in x * 0 + 4 ; 5.0 in x ; True in b ; x[0] in x ; "a" in x ; None in x ; [1] in x ; x in m ; m[:, :2] in x
np.float64(4) in x * 0 + 4 ; z in [z] ; x in [1]
f"{z:.2f}" ; f"{one:.2f}" ; f"{x:.2f}" ; f"{n:d}" ; f"{n:5}" ; f"{n}" ; f"{z:>10.1f}" ; f"{leaf[0]:.1f}"
"%.2f" % z ; "%d" % n ; isinstance(hash(x), int) ; hash(x) == hash(x) ; x in {x: 1} ; len({x, x * 1})
x if z else 0 ; x and 1 ; x or 1 ; x.item() ; z.item() ; empty.item() ; leaf[1].item() ; m.tolist() ; z.tolist()
type(x).__name__ ; x.squeze ; del_shape(x) ; iter(z) ; x.__len__() ; m[0, 1] ; m[(0, 1)]
inplace(x, "+=", 2) ; inplace(x, "-=", 2) ; inplace(x, "*=", 2) ; inplace(x, "/=", 2) ; inplace(x, "//=", 2)
inplace(x, "%=", 2) ; inplace(x, "**=", 2) ; inplace(i, "&=", 6) ; inplace(i, "|=", 6) ; inplace(i, "^=", 6)
inplace(i, "<<=", 1) ; inplace(i, ">>=", 1) ; inplace(i, "/=", 2) ; inplace(i, "+=", 1.5) ; inplace(leaf, "+=", 1)
inplace(m[:, :2], "@=", m[:, :2]) ; inplace(2, "+=", x) ; inplace(b, "+=", 1) ; inplace(x, "+=", "a")
"""

NUMPY = """
np.asarray(x) ; np.asarray(x, dtype=np.float64) ; np.array(x) ; np.asarray(leaf) ; np.asarray(i, dtype=object)
np.asarray(m.T) ; np.asarray(z) ; np.asarray(empty) ; np.asarray(c) ; np.asarray(b)
np.exp(x) ; np.add(x, ones) ; np.add(ones, x) ; np.multiply(x, 2) ; np.add(x, x) ; np.exp(leaf) ; np.matmul(m, m.T)
np.dot(x, x) ; np.concatenate([x, x]) ; np.stack([x, x]) ; np.argmax(x) ; np.clip(x, 0, 1) ; np.reshape(x, (3, 1))
np.transpose(m) ; np.squeeze(m[:1]) ; np.ravel(m) ; np.shape(m) ; np.ndim(m) ; np.allclose(x, x) ; np.where(x > 0, 1, 0)
np.float32(z) ; np.float64(one[0]) ; np.linalg.norm(x) ; np.isnan(x).tolist() == [0, 0, 0] ; np.exp(z) ; np.cos(n)
np.float64(2.5) * x ; np.float64(2.5) + x ; np.float32(2.5) - x ; np.float32(2.5) / x ; np.float32(2.5) ** x
np.float64(2.5) // x ; np.float64(2.5) % x ; np.float64(2.5) < x ; np.float64(2.5) == x ; np.int64(2) * x
np.int64(2) + i ; np.float64(2) + i ; np.bool_(True) + x ; np.float64(2) * leaf ; np.float64(2) + leaf
x + np.float64(2.5) ; x * np.float64(2.5) ; x - np.float32(2.5) ; x / np.float32(2.5) ; x ** np.float64(2)
x // np.float64(2) ; x % np.float64(2) ; x < np.float64(2) ; x == np.float64(2) ; x != np.float64(2)
leaf * np.float64(2) ; x.add(np.float64(1)) ; inplace(x, "*=", np.float64(2)) ; inplace(x, "+=", np.float32(1))
x + ones ; x - ones ; x * ones ; x / ones ; x // ones ; x % ones ; x ** ones ; x == ones ; x + ones64
i & whole ; i | whole ; i ^ whole ; i << whole ; i >> whole
x[np.array([0, 1])] ; x[np.array([True, False, True])] ; x[np.int64(1)] ; x[np.array(1)] ; x[whole]
np.arange(9.0)[i.abs()] ; np.arange(3)[x > 0] ; np.arange(9.0)[n] ; setitem(x, slice(0, 2), np.float64(2))
setitem(np.ones(3), slice(0, 2), x[:2]) ; setitem(np.ones(3), 0, z) ; x.sum(np.int64(0)) ; m.sum(dim=np.int64(1))
m.reshape(np.int64(3), 2) ; m.view(np.int64(3), np.int64(2)) ; M.zeros(np.int64(2)) ; M.zeros((np.int64(2),))
M.zeros(n) ; M.full((2,), np.float64(1.5)) ; M.full((2,), z) ; M.arange(np.int64(3)) ; M.arange(np.float64(3))
M.clamp(x, np.float64(0), np.float32(1)) ; M.where(x > 0, np.float64(1), x) ; M.maximum(x, x * np.float64(0))
x.numpy() ; leaf.numpy() ; leaf.numpy(force=True) ; (leaf * 2).numpy() ; leaf.detach().numpy() ; c.numpy() ; b.numpy()
M.from_numpy(ones) ; M.from_numpy(np.float64(3)) ; M.from_numpy([1]) ; M.from_numpy(np.array(["a"]))
M.from_numpy(np.ones(4)[::-1]) ; M.from_numpy(np.ones(4)[::2]).stride() ; M.from_numpy(np.ones((2, 3)).T).stride()
M.from_numpy(np.array(3.0)) ; M.from_numpy(np.ones(3, ">f4")) ; M.as_tensor(ones) ; M.tensor(ones) ; M.asarray(ones)
M.tensor(np.float64(2)) ; M.tensor([np.float64(2), np.float64(3)]) ; M.tensor([np.float32(2)]) ; M.tensor([np.int32(2)])
M.tensor([z, z]) ; M.tensor([one, one]) ; M.tensor([x, x]) ; M.tensor([[one, z]]) ; M.tensor([ones, ones]) ; M.tensor(x)
M.tensor(1j, dtype=M.float32) ; M.tensor([1j], dtype=M.float32) ; M.tensor(2**70) ; M.tensor([-1, 1], dtype=M.uint8)
M.tensor([-256], dtype=M.uint8) ; M.tensor(300, dtype=M.uint8) ; M.tensor(2**70, dtype=M.int64)
M.tensor(2**70, dtype=M.float64)
M.zeros(2, dtype=float) ; M.zeros(2, dtype=int) ; M.zeros(2, dtype=bool) ; M.zeros(2, dtype=complex) ; x.to(float)
M.frombuffer(bytearray(8), dtype=M.float32) ; M.frombuffer(bytearray(8), dtype=M.int16, offset=2, count=2)
M.frombuffer(bytearray(7), dtype=M.float32) ; M.frombuffer(bytearray(8), dtype=M.float32, offset=8)
M.frombuffer(bytearray(8), dtype=M.float32, count=3) ; M.frombuffer(bytearray(), dtype=M.uint8)
M.frombuffer(3, dtype=M.uint8)
M.from_dlpack(ones) ; M.from_dlpack(np.ones((2, 3)).T).stride() ; M.from_dlpack(x) ; M.from_dlpack(x.__dlpack__())
M.utils.dlpack.from_dlpack(M.utils.dlpack.to_dlpack(x)) ; M.from_dlpack(3) ; np.from_dlpack(x) ; np.from_dlpack(m.T)
np.from_dlpack(leaf) ; np.from_dlpack(b) ; np.from_dlpack(c) ; np.from_dlpack(z) ; x.__dlpack_device__()[1]
M.is_tensor(x) ; M.is_tensor(ones) ; x.__array_priority__ ; hasattr(x, "__array_interface__") ; memoryview(x)
"""


def _expressions(text: str) -> list[str]:
    return [e for line in text.strip().splitlines() for e in line.split(" ; ")]


def _values(library: ModuleType) -> dict[str, Any]:
    """The names the expressions use, with the same numbers in either library."""

    def inplace(target: Any, symbol: str, other: Any) -> Any:
        scope = {"target": target, "other": other}
        exec(f"target {symbol} other", scope)
        return scope["target"], scope["target"] is target

    def setitem(target: Any, index: Any, value: Any) -> Any:
        target[index] = value
        return target

    def del_shape(target: Any) -> None:
        del target.shape

    make = library.tensor
    return {
        "M": library, "np": np, "math": math, "operator": operator,
        "x": make([-1.75, 0.5, 4.0]), "leaf": make([1.0, 2.0, 3.0], requires_grad=True),
        "m": make([[1.0, -2.0, 3.0], [0.5, 0.25, -4.0]]), "z": make(1.25), "one": make([2.5]), "n": make(3),
        "i": make([-5, 0, 3]), "b": make([True, False, True]), "c": make([1 + 2j, 0, -1j]), "empty": make([]),
        "ones": np.array([1.0, -2.0, 0.5], np.float32), "ones64": np.array([1.0, -2.0, 0.5]),
        "whole": np.array([1, 2, 0]), "inplace": inplace, "setitem": setitem, "del_shape": del_shape,
    }  # fmt: skip


def _plain(value: Any) -> Any:
    """A result in a form that compares across the libraries."""
    if hasattr(value, "detach"):
        kind = str(value.dtype).rpartition(".")[2]
        return ["tensor", kind, value.requires_grad, _plain(value.detach().tolist())]
    if isinstance(value, np.ndarray):
        return ["array", value.dtype.name, _plain(value.tolist())]
    if isinstance(value, np.generic):
        return ["scalar", value.dtype.name, _plain(value.item())]
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return [_plain(pair) for pair in value.items()]
    if isinstance(value, complex):
        return [_plain(value.real), _plain(value.imag)]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def _result(library: ModuleType, expression: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch warns of old names; what they do is compared
            return _plain(eval(expression, _values(library)))
    except Exception as error:
        return type(error).__name__


@pytest.mark.parametrize("expression", _expressions(PYTHON))
def test_python_as_pytorch(expression):
    assert repr(_result(tl, expression)) == repr(_result(torch, expression))


@pytest.mark.parametrize("expression", _expressions(NUMPY))
def test_numpy_as_pytorch(expression):
    assert repr(_result(tl, expression)) == repr(_result(torch, expression))


def test_an_array_on_the_left_leaves_the_operation_to_the_tensor():
    # PyTorch raises TypeError for these, with NumPy 2; here they work, gradients included.
    x = tl.tensor([1.0, 2.0], requires_grad=True)
    a = np.array([3.0, 4.0], np.float32)
    for out, grad in (
        (a + x, [1, 1]), (a - x, [-1, -1]), (a * x, [3, 4]), (a / x, [-3, -1]), (x * a, [3, 4]), (x - a, [1, 1]),
        (a @ x, [3, 4]), (a**x, (a ** [1, 2] * np.log(a)).tolist()),
    ):  # fmt: skip
        assert isinstance(out, tl.Tensor)
        (found,) = tl.autograd.grad(out.sum(), x)
        np.testing.assert_allclose(found.numpy(), grad, rtol=1e-6)
    for out in (a < x, a <= x, a == x, a != x, a > x, a >= x, x < a, x != a):
        assert isinstance(out, tl.Tensor)
        assert out.dtype is tl.bool
    whole, bits = np.array([6, 5]), tl.tensor([3, 3])
    assert [(whole & bits).tolist(), (whole | bits).tolist(), (whole ^ bits).tolist()] == [
        [2, 1], [7, 7], [5, 6],
    ]  # fmt: skip


def test_an_array_changes_a_tensor_in_place():
    x = tl.ones(2)
    same = x
    x += np.array([1.0, 2.0], np.float32)
    assert same is x
    assert x.tolist() == [2, 3]


def test_numpy_functions_share_no_memory_with_their_arguments():
    x = tl.ones(2)
    np.exp(x)[0] = 5
    assert x.tolist() == [1, 1]


def test_numpy_predicates_give_bool():
    assert np.isnan(tl.tensor([1.0, math.nan])).dtype is tl.bool


def test_array_shares_memory_and_copies_when_asked():
    x = tl.zeros(2)
    np.asarray(x)[0] = 1
    np.array(x)[1] = 1
    np.array(x, copy=False)[1] = 2
    assert x.tolist() == [1, 2]
    with pytest.raises(ValueError, match="copy"):
        np.array(x, dtype=np.float64, copy=False)


def test_an_array_outlives_the_memory_of_its_tensor():
    x = tl.arange(1000.0)
    a = np.asarray(x)
    x.data = tl.zeros(1)
    assert a.sum() == 499500


def test_a_read_only_array_stays_unwritten():
    array = np.ones(3)
    array.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        tl.from_numpy(array).add_(1)
    assert array.tolist() == [1, 1, 1]


def test_numpy_under_no_grad():
    x = tl.ones(2, requires_grad=True)
    with tl.no_grad():
        assert x.numpy().tolist() == [1, 1]


@pytest.mark.parametrize("make", [np, torch], ids=["numpy", "torch"])
def test_dlpack_shares_memory_both_ways(make):
    theirs = make.ones((2, 3))
    ours = tl.from_dlpack(theirs)
    ours[0, 1] = 5
    assert float(theirs[0, 1]) == 5
    back = make.from_dlpack(ours.T)
    back[2, 1] = 7
    assert ours[1, 2].item() == 7


@pytest.mark.parametrize(
    "name", ["float16", "float32", "float64", "int8", "uint8", "int64", "bool", "complex64"]
)
def test_dlpack_keeps_the_dtype(name):
    x = tl.ones(3, dtype=getattr(tl, name))
    theirs = torch.from_dlpack(x)
    assert str(theirs.dtype) == f"torch.{name}"
    assert tl.from_dlpack(theirs).dtype is x.dtype


def test_dlpack_capsules_are_used_once():
    capsule = tl.ones(2).__dlpack__()
    assert tl.from_dlpack(capsule).tolist() == [1, 1]
    with pytest.raises((ValueError, RuntimeError, BufferError)):
        tl.from_dlpack(capsule)
