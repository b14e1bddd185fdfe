"""Type promotion as PyTorch's, over every pair of dtypes, 0-dim tensors and Python numbers."""

from __future__ import annotations

import operator
from typing import Any

import pytest

import tensorlab as tl
from tensorlab._dtypes import DTYPES

torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
pytestmark = pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")

NUMBERS = [True, 2, 2.5, 1 + 2j]
OPERATIONS = [operator.add, operator.mul, operator.truediv, operator.eq, operator.pow]


def operands(dtype: Any) -> list[tuple[Any, Any]]:
    """A tensor with dimensions and a 0-dim one, here and in PyTorch."""
    theirs = getattr(torch, dtype.name)
    return [
        (tl.ones(2, dtype=dtype), torch.ones(2, dtype=theirs)),
        (tl.ones((), dtype=dtype), torch.ones((), dtype=theirs)),
    ]


def name_of(dtype: Any) -> str:
    """Its bare name. There is no half-precision complex type here: complex64 stands for it."""
    return str(dtype).split(".")[-1].replace("complex32", "complex64")


def result(operation: Any, *arguments: Any) -> Any:
    """The result's dtype by name; None if the operation refuses."""
    try:
        return name_of(operation(*arguments).dtype)
    except (RuntimeError, TypeError, NotImplementedError):
        return None


def compare(operation: Any, ours: tuple[Any, ...], theirs: tuple[Any, ...]) -> None:
    want = result(operation, *theirs)
    if want is not None:  # what PyTorch refuses may work here
        assert result(operation, *ours) == want, f"{operation.__name__}{theirs}"


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("first", DTYPES, ids=lambda d: d.name)
def test_two_tensors(operation: Any, first: Any) -> None:
    for second in DTYPES:
        for a, x in operands(first):
            for b, y in operands(second):
                compare(operation, (a, b), (x, y))


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.name)
def test_a_tensor_and_a_number(operation: Any, dtype: Any) -> None:
    for number in NUMBERS:
        for a, x in operands(dtype):
            compare(operation, (a, number), (x, number))
            compare(operation, (number, a), (number, x))


def test_promote_types_and_can_cast_and_result_type() -> None:
    for first in DTYPES:
        for second in DTYPES:
            x, y = getattr(torch, first.name), getattr(torch, second.name)
            assert name_of(tl.promote_types(first, second)) == name_of(torch.promote_types(x, y))
            assert tl.can_cast(first, second) == torch.can_cast(x, y), (first, second)
            for a, p in operands(first):
                for b, q in operands(second):
                    assert name_of(tl.result_type(a, b)) == name_of(torch.result_type(p, q))


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.name)
def test_in_place_keeps_the_dtype_or_refuses(dtype: Any) -> None:
    for other in DTYPES:
        for operation in ("add_", "mul_", "div_"):
            a, x = tl.ones(2, dtype=dtype), torch.ones(2, dtype=getattr(torch, dtype.name))
            b, y = tl.ones(2, dtype=other), torch.ones(2, dtype=getattr(torch, other.name))
            if torch.can_cast(result_of(x, operation, y), x.dtype):
                getattr(a, operation)(b)
                assert a.dtype is dtype
            else:
                with pytest.raises(RuntimeError, match="can't be cast to the desired output type"):
                    getattr(a, operation)(b)


def result_of(x: Any, operation: str, y: Any) -> Any:
    """The dtype of the out-of-place form."""
    return getattr(x, operation.rstrip("_"))(y).dtype


def test_the_default_dtype_is_what_numbers_become() -> None:
    before = tl.get_default_dtype()
    try:
        tl.set_default_dtype(tl.float64)
        assert (tl.tensor([1, 2]) * 2.5).dtype is tl.float64
        assert (tl.tensor([1, 2]) / 2).dtype is tl.float64
        assert tl.tensor([1, 2]).mean(dtype=tl.float32).dtype is tl.float32
        assert (tl.ones(2, dtype=tl.float32) * 2.5).dtype is tl.float32
    finally:
        tl.set_default_dtype(before)
