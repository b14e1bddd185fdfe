"""Comparing modules with PyTorch's: printed form, draws, values, gradients, state, both modes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tensorlab as tl


def close(ours: Any, theirs: Any, tolerance: float, what: str) -> None:
    ours, theirs = ours.detach(), theirs.detach()
    assert tuple(ours.shape) == tuple(theirs.shape), what
    assert str(ours.dtype).split(".")[1] == str(theirs.dtype).split(".")[1], what
    np.testing.assert_allclose(
        ours.numpy(force=True),
        theirs.numpy(force=True),
        rtol=tolerance,
        atol=tolerance,
        err_msg=what,
    )


def tensors(result: Any) -> list[Any]:
    found = result if isinstance(result, (tuple, list)) else [result]
    return [x for x in found if x is not None]


def there(array: np.ndarray, device: str) -> Any:
    """A tensor with a copy of these numbers on a device."""
    return tl.from_numpy(array.copy()).to(device)


def leaf(array: np.ndarray, torch: Any, device: str = "cpu") -> tuple[Any, Any]:
    """An array as a leaf of both libraries."""
    ours, theirs = there(array, device), torch.tensor(array)
    if array.dtype.kind == "f":
        ours.requires_grad_()
        theirs.requires_grad_()
    return ours, theirs


@contextlib.contextmanager
def made_on(device: str) -> Iterator[None]:
    """Tensors that are made within are made there."""
    tl.set_default_device(device)
    try:
        yield
    finally:
        tl.set_default_device(None)


def run(
    ours: Any,
    theirs: Any,
    arrays: tuple[Any, ...],
    tolerance: float,
    torch: Any,
    device: str,
) -> None:
    """One forward and backward of both."""
    pairs = [leaf(a, torch, device) if isinstance(a, np.ndarray) else (a, a) for a in arrays]
    with made_on(device):
        results = tensors(ours(*(a for a, _ in pairs)))
    expected = tensors(theirs(*(b for _, b in pairs)))
    assert len(results) == len(expected)
    assert {a.device.type for a in results} <= {device}
    for i, (a, b) in enumerate(zip(results, expected, strict=True)):
        close(a, b, tolerance, f"output {i}")
    rng = np.random.default_rng(9)
    total: Any = 0
    reference: Any = 0
    for a, b in zip(results, expected, strict=True):
        if b.requires_grad:
            weight = rng.standard_normal(tuple(b.shape)).astype(b.detach().numpy().dtype)
            total = total + (a * there(weight, device)).sum()
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
            if wanted[name].grad is None:
                assert p.grad is None, f"gradient of {name}"
            else:
                close(p.grad, wanted[name].grad, tolerance, f"gradient of {name}")


def state(ours: Any, theirs: Any, tolerance: float) -> None:
    mine, reference = ours.state_dict(), theirs.state_dict()
    assert list(mine) == list(reference)
    for name, value in mine.items():
        close(value, reference[name], tolerance, name)


@pytest.fixture
def compare(device: str) -> Any:
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
        ours.to(device)
        ours.load_state_dict({k: tl.from_numpy(v.copy()) for k, v in other.items()})
        theirs.load_state_dict(
            {k: torch.tensor(v.numpy(force=True)) for k, v in ours.state_dict().items()}
        )
        for mode in (True, False):
            ours.train(mode)
            theirs.train(mode)
            ours.zero_grad()
            theirs.zero_grad()
            tl.manual_seed(7)
            torch.manual_seed(7)
            run(ours, theirs, arrays, tolerance, torch, device)
            state(ours, theirs, tolerance)
        return ours

    return compare


@pytest.fixture
def compare_functions(device: str) -> Any:
    """`compare_functions(call, *arrays)`: `call(F, *tensors)` with the functions of both libraries."""
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")

    def compare_functions(call: Any, *arrays: Any, tolerance: float = 1e-5) -> None:
        run(
            lambda *x: call(tl.nn.functional, *x),
            lambda *x: call(torch.nn.functional, *x),
            arrays,
            tolerance,
            torch,
            device,
        )

    return compare_functions


@pytest.fixture
def compare_second(device: str) -> Any:
    """`compare_second(ours, theirs, *arrays)`: gradients of gradients of two functions or modules.

    Everything is float64, and all inputs and parameters are differentiated by, twice.
    """
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")

    def gradients(lib: Any, call: Any, leaves: list[Any]) -> list[Any]:
        rng = np.random.default_rng(4)

        def weighted(x: Any) -> Any:
            weight = lib.tensor(rng.standard_normal(tuple(x.shape)))
            return (x * weight.to(x.device)).sum()

        total = sum(weighted(r) for r in tensors(call()) if r.requires_grad)
        first = lib.autograd.grad(total, leaves, create_graph=True, allow_unused=True)
        total = sum(weighted(g) for g in first if g is not None and g.requires_grad)
        if isinstance(total, int):  # linear: nothing depends on anything
            return [np.zeros(())] * len(leaves)
        found = lib.autograd.grad(total, leaves, allow_unused=True)
        return [np.zeros(()) if g is None else g.numpy(force=True) for g in found]

    def compare_second(ours: Any, theirs: Any, *arrays: Any, tolerance: float = 1e-8) -> None:
        doubles = [np.array(a, np.float64) for a in arrays]
        mine = [there(a, device).requires_grad_() for a in doubles]
        reference = [torch.tensor(a, requires_grad=True) for a in doubles]
        modules = isinstance(theirs, torch.nn.Module)
        if modules:
            ours.to(device)
        with made_on(device):
            found = gradients(
                tl, lambda: ours(*mine), [*mine, *(ours.parameters() if modules else ())]
            )
        wanted = gradients(
            torch,
            lambda: theirs(*reference),
            [*reference, *(theirs.parameters() if modules else ())],
        )
        for i, (a, b) in enumerate(zip(found, wanted, strict=True)):
            np.testing.assert_allclose(a, b, tolerance, tolerance, err_msg=f"leaf {i}")

    return compare_second


@pytest.fixture
def normal() -> Any:
    """`normal(*shape)`: float32 numbers from a fixed seed."""

    def normal(*shape: int, dtype: Any = np.float32, seed: int = 20_240_602) -> np.ndarray:
        return np.random.default_rng(seed).standard_normal(shape).astype(dtype)

    return normal


def _second_pair(ours: Any, theirs: Any, weights: Any, torch: Any) -> tuple[Any, Any]:
    """Both sums of `weights` times tensors, of those that depend on something."""
    total: Any = 0
    reference: Any = 0
    for a, b, w in zip(ours, theirs, weights, strict=True):
        if b is not None and b.requires_grad:
            if a is not None:
                total = total + (a * there(w, a.device)).sum()
            reference = reference + (b * torch.tensor(w)).sum()
    return total, reference


def _same_gradients(ours: Any, theirs: Any, leaves: Any, tolerance: float, what: str) -> None:
    for i, (a, b, leaf) in enumerate(zip(ours, theirs, leaves, strict=True)):
        # No gradient is the gradient zero.
        a = tl.zeros_like(leaf[0]) if a is None else a
        b = leaf[1] * 0 if b is None else b
        close(a, b, tolerance, f"{what} of input {i}")


@pytest.fixture
def agree(device: str) -> Any:
    """`agree(call, *arrays)`: `call(lib, *tensors)` has PyTorch's value and first and second gradients.

    Second gradients are left out where PyTorch has none, or with `second=False`.
    """
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")

    def agree(call: Any, *arrays: Any, tolerance: float = 1e-5, second: bool = True) -> None:
        pairs = [leaf(a, torch, device) if isinstance(a, np.ndarray) else (a, a) for a in arrays]
        with made_on(device):
            out = call(tl, *(a for a, _ in pairs))
        expected = call(torch, *(b for _, b in pairs))
        close(out, expected, tolerance, "value")
        leaves = [(a, b) for a, b in pairs if isinstance(b, torch.Tensor) and b.requires_grad]
        assert out.requires_grad == expected.requires_grad
        if not expected.requires_grad:
            return
        rng = np.random.default_rng(11)

        def draw(tensors: Any) -> list[np.ndarray]:
            return [
                rng.standard_normal(tuple(b.shape)).astype(b.detach().numpy().dtype)
                if b is not None
                else np.zeros(0)
                for b in tensors
            ]

        total, reference = _second_pair([out], [expected], draw([expected]), torch)
        mine = tl.autograd.grad(
            total, [a for a, _ in leaves], create_graph=second, allow_unused=True
        )
        theirs = torch.autograd.grad(
            reference, [b for _, b in leaves], create_graph=second, allow_unused=True
        )
        _same_gradients(mine, theirs, leaves, tolerance, "gradient")
        if not second:
            return
        total, reference = _second_pair(mine, theirs, draw(theirs), torch)
        if isinstance(reference, int):
            return
        try:
            wanted = torch.autograd.grad(reference, [b for _, b in leaves], allow_unused=True)
        except RuntimeError as error:
            if "not implemented" not in str(error):
                raise
            return
        depends = not isinstance(total, int) and total.requires_grad
        inputs = [a for a, _ in leaves]
        found = (
            tl.autograd.grad(total, inputs, allow_unused=True) if depends else [None] * len(inputs)
        )
        _same_gradients(found, wanted, leaves, 10 * tolerance, "second gradient")

    return agree


@pytest.fixture
def same_error() -> Any:
    """`same_error(call)`: `call(lib)` fails in both libraries with one class; returns our message."""
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")

    def same_error(call: Any) -> str:
        with pytest.raises(Exception) as theirs:
            call(torch)
        with pytest.raises(type(theirs.value)) as ours:
            call(tl)
        assert type(ours.value) is type(theirs.value)
        return str(ours.value)

    return same_error
