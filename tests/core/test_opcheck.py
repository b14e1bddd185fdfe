"""The suite itself: on an operation that is wrong in one way, the check for that way fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tensorlab as tl
from tensorlab._op import OPS, ErrorSample, Sample, op
from tensorlab._tensor import Tensor
from tensorlab.testing import CHECKS, opcheck


@pytest.fixture
def declare() -> Iterator[Callable[..., Any]]:
    """`@op` for one test: what it registers and attaches is taken away again."""
    before = set(OPS)
    yield op
    for name in set(OPS) - before:
        del OPS[name]
        for method in (name, f"{name}_"):
            if method in vars(Tensor):
                delattr(Tensor, method)


def samples(r: Any) -> list[Sample]:
    return [Sample(r(2, 3)), Sample(r())]


def good(declare: Any, **options: Any) -> Any:
    """A right operation; tests pass options that make it wrong."""

    def double(xp, input, /):
        """Twice each element.

        >>> 1 + 1
        2
        """
        return input * 2

    forward = options.pop("forward", double)
    rule = options.pop("rule", lambda g: g * 2)
    options = {
        "samples": samples,
        "ref": lambda x: x + x,
        "name": "double_test",
        "torch": "",
        "method": True,
        **options,
    }
    made = declare(**options)(forward)
    made.vjp(input=rule)
    return made


def test_a_right_operation_passes(declare: Any) -> None:
    opcheck(good(declare, inplace=True))


def test_the_target_may_be_a_name_or_a_record() -> None:
    opcheck("mul", checks=["declaration"])
    opcheck(tl.mul.op, checks=["declaration"])
    with pytest.raises(KeyError):
        opcheck("no such operation")


def without_docstring(xp, input, /):
    return input * 2


def changes_its_input(xp, input, /):
    """No example."""
    input *= 2
    return input


def reads_memory_in_order(xp, input, /):
    """Assumes contiguous memory."""
    return (
        np.ndarray(
            input.shape,
            input.dtype,
            input.base if input.base is not None and input.ndim else input.copy(),
        )
        * 2
    )


def one_dim_only(xp, input, /):
    """Adds a dimension to 0-dim input."""
    return np.atleast_1d(input) * 2


def leaks_tensors(xp, input, /):
    """Returns a tensor."""
    return tl.Tensor(input) * 2


def squares(xp, input, /):
    """The square."""
    return input * input


def detached(x: Any) -> Any:
    return x.detach() if isinstance(x, Tensor) else x


@pytest.mark.parametrize(
    ("check", "options"),
    [
        ("declaration", {"samples": lambda r: []}),
        ("declaration", {"forward": without_docstring}),
        ("declaration", {"forward": changes_its_input}),
        ("reference", {"ref": lambda x: x + 1}),
        ("torch", {"torch": "exp"}),
        ("torch_gradients", {"torch": "exp"}),
        ("gradients", {"rule": lambda g: g * 3}),
        (
            "second_gradients",
            {"forward": squares, "rule": lambda g, input: g * 2 * detached(input)},
        ),
        ("inputs_unmodified", {"forward": changes_its_input}),
        ("strides", {"forward": reads_memory_in_order}),
        ("edges", {"forward": one_dim_only}),
        ("errors", {"errors": lambda r: [ErrorSample(r(2), error=RuntimeError, match="x")]}),
        ("dtypes", {"torch": "sqrt"}),
    ],
)
def test_each_check_can_fail(declare: Any, check: str, options: dict[str, Any]) -> None:
    if options.get("torch"):
        pytest.importorskip("torch", reason="PyTorch is the oracle here")
    with pytest.raises(AssertionError):
        CHECKS[check](good(declare, **options).op, 0)


def test_an_error_of_another_class_or_text_fails(declare: Any) -> None:
    def fails(xp, input, /):
        """Always."""
        raise RuntimeError("three sizes")

    for error, match in ((IndexError, "three"), (RuntimeError, "four")):
        made = good(
            declare,
            forward=fails,
            errors=lambda r, e=error, m=match: [ErrorSample(r(2), error=e, match=m)],
        )
        with pytest.raises(AssertionError, match="expected"):
            CHECKS["errors"](made.op, 0)


def test_an_in_place_form_that_forgets_to_count_fails(
    declare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = good(declare, inplace=True)

    def silent(self: Tensor) -> Tensor:
        self._data *= 2
        return self

    monkeypatch.setattr(Tensor, "double_test_", silent)
    with pytest.raises(AssertionError, match="version counter"):
        CHECKS["in_place"](made.op, 0)


def test_a_rule_that_computes_in_float64_fails(declare: Any) -> None:
    made = good(declare, rule=lambda g: g * np.full(g.shape, 2.0) if g.ndim else g * 2)
    with pytest.raises(AssertionError, match="a rule of DoubleTestBackward0 returned float64"):
        CHECKS["gradient_dtypes"](made.op, 0)
