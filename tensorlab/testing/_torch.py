"""PyTorch as an oracle, where it is installed: the same call there, and its gradients."""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

from tensorlab._dtypes import DTYPES, dtype
from tensorlab._op import Op, Sample
from tensorlab._tensor import Tensor


@functools.cache
def module() -> Any:
    """The module `torch`, or None where it is not installed."""
    return importlib.import_module("torch") if importlib.util.find_spec("torch") else None


def counterpart(op: Op) -> Callable[..., Any] | None:
    """PyTorch's function for an operation; None where PyTorch is missing or has none."""
    torch = module()
    if torch is None or op.torch == "":
        return None
    if callable(op.torch):
        return op.torch
    path = op.torch or op.name
    found: Any = torch
    for part in path.split("."):
        found = getattr(found, part, None)
        if found is None:
            return getattr(torch.Tensor, path, None)
    return found


def convert(value: Any) -> Any:
    """An argument as PyTorch takes it."""
    torch = module()
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.array(value))
    if isinstance(value, Tensor):
        return torch.from_numpy(np.array(value._data))
    if isinstance(value, dtype):
        return getattr(torch, value.name)
    if isinstance(value, np.dtype):
        return getattr(torch, value.name)
    if isinstance(value, (list, tuple)):
        return type(value)(convert(v) for v in value)
    return value


def _arguments(
    op: Op, sample: Sample, leaves: list[Any] | None
) -> tuple[list[Any], dict[str, Any]]:
    def tensor(x: np.ndarray) -> Any:
        made = convert(x)
        if leaves is not None and x.dtype.kind in "fc":
            leaves.append(made.requires_grad_())
        return made

    from tensorlab.testing.opcheck import map_inputs

    args, kwargs = map_inputs(op, sample, tensor)
    return [convert(a) for a in args], {k: convert(v) for k, v in kwargs.items()}


def _results(found: Any) -> list[Any]:
    return list(found) if isinstance(found, (tuple, list)) else [found]


def call(op: Op, function: Callable[..., Any], sample: Sample) -> list[Any] | None:
    """PyTorch's results on a sample; None where it refuses operands that are accepted here."""
    args, kwargs = _arguments(op, sample, None)
    try:
        return _results(function(*args, **kwargs))
    except RuntimeError:
        return None


def weights(shape: tuple[int, ...], kind: np.dtype) -> np.ndarray:
    """Fixed, unequal weights, to make one number of an output."""
    n = int(np.prod(shape))
    values = np.cos(np.arange(n) + 1.0).reshape(shape)
    if kind.kind == "c":
        values = values + 1j * np.sin(np.arange(n)).reshape(shape)
    return np.asarray(values, kind)


def gradients(
    op: Op, function: Callable[..., Any], sample: Sample
) -> list[np.ndarray | None] | None:
    """PyTorch's gradients of Σ weight·output; None where there are none."""
    torch = module()
    leaves: list[Any] = []
    args, kwargs = _arguments(op, sample, leaves)
    if not leaves:
        return None
    try:
        results = [out for out in _results(function(*args, **kwargs)) if out.requires_grad]
    except RuntimeError:
        return None
    if not results:
        return None
    seeds = [
        torch.from_numpy(weights(tuple(out.shape), out.detach().resolve_conj().numpy().dtype))
        for out in results
    ]
    try:
        found = torch.autograd.grad(results, leaves, seeds, allow_unused=True)
    except RuntimeError as error:
        if "is not implemented" in str(error) or "returned an invalid gradient" in str(error):
            return None  # PyTorch itself has no gradient here
        raise
    return [None if g is None else g.resolve_conj().numpy(force=True) for g in found]


# Where another dtype than PyTorch's is meant.
OTHER_DTYPES = {
    "sum_to": "it is the gradient of broadcasting: it keeps the dtype",
    "binary_cross_entropy_with_logits": "operands of two float types are promoted, not cast to the target's",
    "huber_loss": "operands of two float types are promoted; the public function casts to the input's",
    "soft_margin_loss": "operands of two float types are promoted, not cast to the input's",
}


def compare_dtypes(op: Op, function: Callable[..., Any], sample: Sample, message: str) -> None:
    """Assert that every dtype of the sample's arrays gives the result dtype PyTorch gives."""
    from tensorlab.testing.opcheck import arrays_of, map_inputs, outputs, tensor_of

    count = len(arrays_of(op, sample))
    if count == 0 or count > 2 or op.name in OTHER_DTYPES:
        return
    for first in DTYPES:
        for second in DTYPES if count == 2 else (None,):
            kinds = iter((first, second))

            def cast(x: np.ndarray, kinds: Any = kinds) -> np.ndarray:
                return np.abs(np.nan_to_num(x) * 3 + 1).astype(next(kinds).numpy)

            args, kwargs = map_inputs(op, sample, cast)
            typed = Sample(*args, **kwargs)
            try:
                found = call(op, function, typed)
            except Exception:  # PyTorch has many classes for "not for this dtype"
                found = None
            if found is None:
                continue
            # There is no half-precision complex type here: complex64 stands for it.
            names = [str(out.dtype).removeprefix("torch.") for out in found]
            want = [name.replace("complex32", "complex64") for name in names]
            args, kwargs = map_inputs(op, typed, tensor_of)
            try:
                got: Any = [out.dtype.name for out in outputs(op.call(*args, **kwargs))]
            except Exception as error:
                got = type(error).__name__
            if isinstance(got, str) and any(
                d is not None and d.is_complex for d in (first, second)
            ):
                continue  # PyTorch has complex versions of some functions that are real here
            named = ", ".join(d.name for d in (first, second) if d is not None)
            assert got == want, f"{message}: for {named} expected {want}, got {got}"
