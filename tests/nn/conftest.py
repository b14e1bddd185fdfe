"""Comparing modules with PyTorch's: printed form, draws, values, gradients, state, both modes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tensorlab as tl


def close(ours: Any, theirs: Any, tolerance: float, what: str) -> None:
    ours, theirs = ours.detach(), theirs.detach()
    assert tuple(ours.shape) == tuple(theirs.shape), what
    assert str(ours.dtype).split(".")[1] == str(theirs.dtype).split(".")[1], what
    np.testing.assert_allclose(
        ours.numpy(), theirs.numpy(), rtol=tolerance, atol=tolerance, err_msg=what
    )


def tensors(result: Any) -> list[Any]:
    found = result if isinstance(result, (tuple, list)) else [result]
    return [x for x in found if x is not None]


def leaf(array: np.ndarray, torch: Any) -> tuple[Any, Any]:
    """An array as a leaf of both libraries."""
    ours, theirs = tl.from_numpy(array.copy()), torch.tensor(array)
    if array.dtype.kind == "f":
        ours.requires_grad_()
        theirs.requires_grad_()
    return ours, theirs


def run(ours: Any, theirs: Any, arrays: tuple[Any, ...], tolerance: float, torch: Any) -> None:
    """One forward and backward of both."""
    pairs = [leaf(a, torch) if isinstance(a, np.ndarray) else (a, a) for a in arrays]
    results = tensors(ours(*(a for a, _ in pairs)))
    expected = tensors(theirs(*(b for _, b in pairs)))
    assert len(results) == len(expected)
    for i, (a, b) in enumerate(zip(results, expected, strict=True)):
        close(a, b, tolerance, f"output {i}")
    rng = np.random.default_rng(9)
    total: Any = 0
    reference: Any = 0
    for a, b in zip(results, expected, strict=True):
        if b.requires_grad:
            weight = rng.standard_normal(tuple(b.shape)).astype(b.detach().numpy().dtype)
            total = total + (a * tl.from_numpy(weight)).sum()
            reference = reference + (b * torch.tensor(weight)).sum()
    if isinstance(reference, int):
        assert not any(a.requires_grad for a in results)
        return
    total.backward()
    reference.backward()
    for i, (a, b) in enumerate(pairs):
        if isinstance(b, torch.Tensor) and b.grad is not None:
            close(a.grad, b.grad, tolerance, f"gradient of input {i}")
    if isinstance(theirs, torch.nn.Module):
        wanted = dict(theirs.named_parameters())
        for name, p in ours.named_parameters():
            close(p.grad, wanted[name].grad, tolerance, f"gradient of {name}")


def state(ours: Any, theirs: Any, tolerance: float) -> None:
    mine, reference = ours.state_dict(), theirs.state_dict()
    assert list(mine) == list(reference)
    for name, value in mine.items():
        close(value, reference[name], tolerance, name)


@pytest.fixture
def compare() -> Any:
    """`compare(make, *arrays)`: `make(nn)` builds the same module in both libraries from one seed."""
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")

    def compare(make: Any, *arrays: Any, tolerance: float = 1e-5) -> Any:
        tl.manual_seed(5)
        torch.manual_seed(5)
        ours, theirs = make(tl.nn), make(torch.nn)
        assert repr(ours) == repr(theirs)
        state(ours, theirs, 1e-6)
        # Another state, so that what is all zeros or ones at first is seen to take part.
        rng = np.random.default_rng(3)
        other = {
            name: rng.random(tuple(v.shape)).astype(v.numpy().dtype)
            for name, v in theirs.state_dict().items()
        }
        ours.load_state_dict({k: tl.from_numpy(v.copy()) for k, v in other.items()})
        theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
        for mode in (True, False):
            ours.train(mode)
            theirs.train(mode)
            ours.zero_grad()
            theirs.zero_grad()
            tl.manual_seed(7)
            torch.manual_seed(7)
            run(ours, theirs, arrays, tolerance, torch)
            state(ours, theirs, tolerance)
        return ours

    return compare


@pytest.fixture
def compare_functions() -> Any:
    """`compare_functions(call, *arrays)`: `call(F, *tensors)` with the functions of both libraries."""
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")

    def compare_functions(call: Any, *arrays: Any, tolerance: float = 1e-5) -> None:
        run(
            lambda *x: call(tl.nn.functional, *x),
            lambda *x: call(torch.nn.functional, *x),
            arrays,
            tolerance,
            torch,
        )

    return compare_functions


@pytest.fixture
def normal() -> Any:
    """`normal(*shape)`: float32 numbers from a fixed seed."""

    def normal(*shape: int, dtype: Any = np.float32, seed: int = 20_240_602) -> np.ndarray:
        return np.random.default_rng(seed).standard_normal(shape).astype(dtype)

    return normal
