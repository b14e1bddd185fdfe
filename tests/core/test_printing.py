"""Printing, character for character as PyTorch's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tensorlab._printing import (
    get_printoptions,
    printoptions,
    set_printoptions,
    tensor_str,
)

DTYPES = [
    *("float16", "float32", "float64", "complex64", "complex128", "bool"),
    *("uint8", "int8", "int16", "int32", "int64"),
]


@pytest.fixture(autouse=True)
def default_options() -> Any:
    yield
    set_printoptions(profile="default")


def shown(values: Any, dtype: str = "float32", **options: Any) -> str:
    return tensor_str(np.array(values, dtype), dtype_name=dtype, **options)


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([0.2689414, 0.5, 0.880797], "float32", "tensor([0.2689, 0.5000, 0.8808])"),
        (1.5, "float32", "tensor(1.5000)"),
        ([1.0, 2.0], "float32", "tensor([1., 2.])"),
        ([1.0, math.nan, -math.inf], "float32", "tensor([1., nan, -inf])"),
        ([1e-5, 1.0], "float32", "tensor([1.0000e-05, 1.0000e+00])"),
        ([1, 20, -3], "int64", "tensor([ 1, 20, -3])"),
        ([True, False], "bool", "tensor([ True, False])"),
        ([1, 2], "uint8", "tensor([1, 2], dtype=tensorlab.uint8)"),
        ([1.0], "float64", "tensor([1.], dtype=tensorlab.float64)"),
        ([1 + 2j, 0.5j], "complex64", "tensor([1.+2.0000j, 0.+0.5000j])"),
        ([], "float32", "tensor([])"),
        ([], "int64", "tensor([], dtype=tensorlab.int64)"),
        ([[], []], "float32", "tensor([], size=(2, 0))"),
    ],
)
def test_known_forms(values: Any, dtype: str, expected: str) -> None:
    assert shown(values, dtype) == expected


def test_autograd_and_device_suffixes() -> None:
    assert shown([1.0], grad_fn="AddBackward0") == "tensor([1.], grad_fn=<AddBackward0>)"
    assert shown([1.0], requires_grad=True) == "tensor([1.], requires_grad=True)"
    assert shown([1.0], device="cuda:0") == "tensor([1.], device='cuda:0')"


def test_large_tensors_are_summarised() -> None:
    assert shown(np.arange(1001), "int64") == "tensor([   0,    1,    2,  ...,  998,  999, 1000])"
    assert shown(np.zeros((1000, 2))).count("\n") == 6


def test_the_shown_edges_alone_choose_the_format() -> None:
    middle = np.zeros(2001)
    middle[1000] = 1e30
    assert "e+" not in shown(middle)


def test_printoptions_restores_and_profiles_set_together() -> None:
    before = get_printoptions()
    with printoptions(precision=1):
        assert shown([0.25, 1.0]) == "tensor([0.2, 1.0])"
    assert get_printoptions() == before
    set_printoptions(profile="short", edgeitems=1)
    assert (get_printoptions()["precision"], get_printoptions()["edgeitems"]) == (2, 1)
    set_printoptions(profile="full")
    assert get_printoptions()["threshold"] == math.inf
    with pytest.raises(ValueError, match=r"unknown profile 'long'.*'default', 'short', 'full'"):
        set_printoptions(profile="long")


def random_values(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    n = math.prod(shape)
    makers = [
        lambda: rng.standard_normal(n),
        lambda: rng.standard_normal(n) * 10.0 ** rng.integers(-9, 12, n),
        lambda: rng.integers(-5, 5, n) * 1.0,
        lambda: rng.integers(-500000, 500000, n) * 1.0,
        lambda: rng.standard_normal(n) * 1e-3,
        lambda: np.zeros(n),
        lambda: rng.integers(-3, 5, n) * 10.0 ** rng.integers(0, 12),
    ]
    values = makers[rng.integers(len(makers))]()
    special = rng.random(n) < rng.choice([0.0, 0.3])
    values[special] = rng.choice([math.nan, math.inf, -math.inf, 0.0, -0.0], special.sum())
    return values.reshape(shape)


def random_array(rng: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    values = random_values(rng, shape)
    if dtype.startswith("complex"):
        return np.asarray(values + 1j * np.nan_to_num(random_values(rng, shape)), dtype)
    if not dtype.startswith("float"):
        finite = np.nan_to_num(values, posinf=3, neginf=-3)
        values = np.clip(finite, -(2**62), 2**62).astype(np.int64)
    return np.asarray(values).astype(dtype)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.filterwarnings("ignore:overflow encountered in cast", "ignore:invalid value")
def test_random_tensors_print_as_in_torch(seed: int) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    rng = np.random.default_rng(seed)
    try:
        for _ in range(150):
            dtype = str(rng.choice(DTYPES))
            shape = tuple(rng.integers(0, 9, rng.integers(0, 5)).tolist())
            if rng.random() < 0.1:
                shape = (int(rng.integers(990, 1100)),)
            array = random_array(rng, dtype, shape)
            options: dict[str, Any] = {"profile": "default"}
            if rng.random() < 0.4:
                options = {
                    "precision": int(rng.integers(0, 8)),
                    "threshold": int(rng.choice([0, 5, 50, 1000])),
                    "edgeitems": int(rng.integers(0, 5)),
                    "linewidth": int(rng.choice([10, 40, 80, 120])),
                    "sci_mode": [None, True, False][rng.integers(3)],
                }
            torch.set_printoptions(**options)
            set_printoptions(**options)
            differentiable = array.dtype.kind in "fc" and bool(rng.random() < 0.3)
            theirs = torch.from_numpy(np.array(array)).requires_grad_(differentiable)
            ours = tensor_str(
                array, dtype_name=dtype, requires_grad=differentiable, library="torch"
            )
            assert ours == repr(theirs), f"seed {seed}, {dtype}, {shape}, {options}"
    finally:
        torch.set_printoptions(profile="default")
