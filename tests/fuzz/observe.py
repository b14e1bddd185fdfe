"""What a user can see of the live tensors, as a flat table that two libraries can be compared by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Facts = dict[str, Any]  # "t3._version" → 2


#: Operations that are one here and several in PyTorch: names of nodes are compared up to these.
SYNONYMS = {
    "RsubBackward": "SubBackward",
    "SquareBackward": "PowBackward",
    "MmBackward": "MatmulBackward",
    "ZeroBackward": "CopyBackwards",
    "FillBackward": "CopyBackwards",
    "FlattenBackward": "ViewBackward",
    "UnsafeViewBackward": "ViewBackward",
}


def facts_of(names: dict[str, Any], lib: Any) -> Facts:
    """Everything about the tensors in `names`, by "name.fact", and the log that hooks wrote.

    Of gradients (names in `g`) less is compared: in what memory one lies, and what computed it, is
    nobody's promise.
    """
    # Sorted: which of two hooks comes first, if neither tensor depends on the other, is nobody's promise.
    log = [_values(entry) for entry in names["log"]]
    facts: Facts = {"log": sorted(log, key=lambda v: (v.shape, np.round(v, 3).tolist()))}
    tensors = {n: t for n, t in names.items() if isinstance(t, lib.Tensor)}
    for name, t in tensors.items():
        of_gradient = name.startswith("g")
        facts[f"{name}.requires_grad"] = t.requires_grad
        facts[f"{name}.is_leaf"] = _attempt(lambda t: t.is_leaf, t)
        facts[f"{name}.dtype"] = str(t.dtype).rpartition(".")[2]
        facts[f"{name}.shape"] = tuple(t.shape)
        facts[f"{name}.values"] = _values(t)
        facts[f"{name}.grad_fn"] = _attempt(
            lambda t, g=of_gradient: _node_name(t, g or t._is_view()), t
        )
        if of_gradient:
            continue
        facts[f"{name}._version"] = t._version
        facts[f"{name}.stride()"] = _strides(t)
        facts[f"{name}.is_contiguous()"] = t.is_contiguous()
        facts[f"{name}._base"] = _name_of(t._base, tensors)
        facts[f"{name}.retains_grad"] = t.retains_grad
        grad = _attempt(lambda t: t.grad, t)
        facts[f"{name}.grad"] = _values(grad)
        if isinstance(grad, lib.Tensor):
            facts[f"{name}.grad.requires_grad"] = grad.requires_grad
            facts[f"{name}.grad.shares"] = _first_sharing(grad, _others(name, tensors))
    shown = {n: t for n, t in tensors.items() if not n.startswith("g") and t.numel()}
    for name, t in shown.items():
        facts[f"{name}.memory"] = _first_sharing(t, shown)
    return facts


def differ(theirs: Facts, ours: Facts, tolerance: float) -> list[tuple[str, Any, Any]]:
    """The facts that differ, with both sides; `tolerance` is relative to a tensor's largest number."""
    found = []
    for what in theirs.keys() | ours.keys():
        left, right = theirs.get(what, "absent"), ours.get(what, "absent")
        if not _same(left, right, tolerance):
            found.append((what, left, right))
    # The cause before its effects: a wrong version rarely explains a wrong value, so values first.
    order = ["shape", "dtype", "values", "memory", "stride()", "_version"]
    rank = {fact: i for i, fact in enumerate(order)}
    return sorted(found, key=lambda f: (rank.get(f[0].partition(".")[2], len(order)), f[0]))


def _values(t: Any) -> Any:
    return t if not hasattr(t, "detach") else np.array(t.detach().numpy())


def _same(left: Any, right: Any, tolerance: float) -> bool:
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(
            _same(a, b, tolerance) for a, b in zip(left, right, strict=True)
        )
    if not (isinstance(left, np.ndarray) and isinstance(right, np.ndarray)):
        return type(left) is type(right) and left == right
    if left.shape != right.shape or left.dtype != right.dtype:
        return False
    finite = np.abs(left[np.isfinite(left)])
    scale = max(1.0, float(finite.max())) if finite.size else 1.0
    return np.allclose(right, left, rtol=tolerance, atol=tolerance * scale, equal_nan=True)


def _strides(t: Any) -> tuple[int, ...] | None:
    """The strides that mean something: those of dimensions that are stepped along."""
    if t.numel() == 0:
        return None
    return tuple(s if n > 1 else 0 for n, s in zip(t.shape, t.stride(), strict=True))


def _node_name(t: Any, only_presence: bool) -> str | None:
    """The name of the node that made a tensor, without the number of the overload."""
    node = t.grad_fn
    if node is None or only_presence:
        return None if node is None else "a node"
    name = node.name().removeprefix("torch::autograd::").rstrip("0123456789")
    return SYNONYMS.get(name, name)


def _attempt(fact: Callable[[Any], Any], t: Any) -> Any:
    """The fact, or RuntimeError: a view that was overtaken by a write to its base may not be asked."""
    try:
        return fact(t)
    except RuntimeError:
        return RuntimeError


def _name_of(tensor: Any, tensors: dict[str, Any]) -> str | None:
    """Its name in the program. One without a name, such as the copy inside `ravel`, is nobody's business."""
    return next((n for n, t in tensors.items() if t is tensor), None)


def _others(name: str, tensors: dict[str, Any]) -> dict[str, Any]:
    """All tensors, and all gradients but that of `name`."""
    found = {n: t for n, t in tensors.items() if not n.startswith("g")}
    for n in list(found):
        grad = _attempt(lambda t: t.grad, found[n])
        if found[n] is not tensors[name] and isinstance(grad, type(found[n])):
            found[f"{n}.grad"] = grad
    return found


def _first_sharing(tensor: Any, tensors: dict[str, Any]) -> tuple[str, int] | None:
    """The first named tensor in the same storage, and how many bytes further this one begins."""
    if not tensor.numel():
        return None
    storage = _storage(tensor)
    for name, other in tensors.items():
        if other.numel() and _storage(other) == storage:
            return name, tensor.data_ptr() - other.data_ptr()
    return None


def _storage(tensor: Any) -> int:
    if hasattr(tensor, "untyped_storage"):
        return tensor.untyped_storage().data_ptr()
    return tensor.data_ptr() - tensor.storage_offset() * tensor.element_size()
