"""Automatic differentiation: `backward`, `grad`, modes, hooks, user functions, gradient checks."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorlab._backend import on_device_of
from tensorlab._graph import leaf_node
from tensorlab._tensor import Tensor, wrap
from tensorlab._view_history import current_history
from tensorlab.autograd import functional, graph, hooks, inplace
from tensorlab.autograd.anomaly import detect_anomaly, is_anomaly_enabled, set_detect_anomaly
from tensorlab.autograd.engine import run
from tensorlab.autograd.function import Function
from tensorlab.autograd.gradcheck import GradcheckError, gradcheck, gradgradcheck
from tensorlab.autograd.mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)

__all__ = [
    "Function",
    "GradcheckError",
    "Variable",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "graph",
    "hooks",
    "inference_mode",
    "inplace",
    "is_anomaly_enabled",
    "is_grad_enabled",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
]


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Add the gradients of `tensors` to the `.grad` of the leaves they were computed from.

    grad_tensors: the vectors of the vector-Jacobian product, one per tensor, of its shape;
        a tensor of one element may go without (1).
    retain_graph: keep the graph for another backward; default: `create_graph`.
    create_graph: record the gradient computation, for higher derivatives.
    inputs: accumulate into these leaves only.

    Raises `RuntimeError` if a tensor does not require grad, if a vector is missing or has the
    wrong shape, if the graph was freed, or if a saved value was changed in place.

    >>> import tensorlab
    >>> x = tensorlab.tensor([1.0, 2.0], requires_grad=True)
    >>> tensorlab.autograd.backward((x * x).sum())
    >>> x.grad
    tensor([2., 4.])
    """
    outputs = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    vectors = _vectors(outputs, grad_tensors)
    roots, seeds = _roots(outputs, vectors, create_graph)
    keep = create_graph if retain_graph is None else retain_graph
    if inputs is None:
        run(roots, seeds, keep_graph=keep, create_graph=create_graph)
        return
    leaves = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    if not leaves:
        raise RuntimeError("'inputs' argument to backward() cannot be empty.")
    found = _gradients(roots, seeds, leaves, keep, create_graph)
    for leaf, g in zip(leaves, found, strict=True):
        if g is None:
            continue
        if leaf._grad is None:
            leaf._grad = g
        elif create_graph:
            leaf._grad = leaf._grad + g
        else:
            leaf._grad._data += g._data
            leaf._grad._version_cell[0] += 1
        if leaf._node is not None and leaf._node.op is None and leaf._node.hooks is not None:
            leaf._node.hooks.accumulated(leaf)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The gradients of `outputs` by `inputs`, returned and not accumulated.

    grad_outputs, retain_graph, create_graph: as in `backward`.
    only_inputs: deprecated, and without effect.
    allow_unused: give None for an input that the outputs do not depend on, rather than raise.
    is_grads_batched: grad_outputs have one more dimension in front, of vectors that are taken one after
        another; so have the gradients.
    materialize_grads: give zeros instead of None.

    >>> import tensorlab
    >>> x = tensorlab.tensor(3.0, requires_grad=True)
    >>> (first,) = tensorlab.autograd.grad(x**3, x, create_graph=True)
    >>> tensorlab.autograd.grad(first, x)
    (tensor(18.),)
    """
    if not only_inputs:
        warnings.warn(
            "only_inputs argument is deprecated and is ignored now (defaults to True). To accumulate gradient "
            "for other parts of the graph, please use tensorlab.autograd.backward.",
            FutureWarning,
            stacklevel=2,
        )
    outs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    ins = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    if is_grads_batched:
        return _for_each(
            outs, ins, grad_outputs, retain_graph, create_graph, allow_unused, materialize_grads
        )
    if materialize_grads:
        if allow_unused is False:
            raise ValueError(
                "Expected allow_unused to be True or not passed when materialize_grads=True, "
                "but got: allow_unused=False"
            )
        allow_unused = True
    vectors = _vectors(outs, grad_outputs)
    roots, seeds = _roots(outs, vectors, create_graph)
    keep = create_graph if retain_graph is None else retain_graph
    found = _gradients(roots, seeds, ins, keep, create_graph)
    if not allow_unused and any(g is None for g in found):
        missing = next(i for i, g in enumerate(found) if g is None)
        raise RuntimeError(
            "One of the differentiated Tensors appears to not have been used in the graph "
            f"(inputs[{missing}]). Set allow_unused=True if this is the desired behavior."
        )
    if materialize_grads:
        return tuple(
            functional.zeros_like(x) if g is None else g for g, x in zip(found, ins, strict=True)
        )
    return tuple(found)


def _for_each(
    outs: list[Tensor], ins: list[Tensor], grad_outputs: Any, retain_graph: bool | None, create_graph: bool,
    allow_unused: bool | None, materialize_grads: bool,
) -> tuple[Any, ...]:  # fmt: skip
    """`grad` for each of the vectors that lie along the first dimension of grad_outputs, stacked."""
    batches = [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs or ())
    sizes = {b.shape[0] for b in batches if b is not None and b.dim()}
    if len(sizes) != 1 or any(b is not None and not b.dim() for b in batches):
        raise RuntimeError(
            "is_grads_batched=True needs grad_outputs with the same number of vectors along their first "
            f"dimension, got shapes {[None if b is None else list(b.shape) for b in batches]}"
        )
    count = sizes.pop()
    keep = create_graph if retain_graph is None else retain_graph
    rows = [
        grad(
            outs, ins, [None if b is None else b[i] for b in batches], keep or i < count - 1, create_graph,
            allow_unused=allow_unused, materialize_grads=materialize_grads,
        )
        for i in range(count)
    ]  # fmt: skip
    found: list[Any] = []
    for column in zip(*rows, strict=True):
        if column[0] is None:
            found.append(None)
            continue
        whole = column[0].new_empty((count, *column[0].shape))
        for i, g in enumerate(column):
            whole[i] = g
        found.append(whole)
    return tuple(found)


def _gradients(
    roots: Any, seeds: Any, inputs: list[Tensor], keep: bool, create_graph: bool
) -> list[Tensor | None]:
    wanted: dict[Any, int] = {}
    positions = []
    for x in inputs:
        if x._view is not None:
            current_history(x)
        if not x._requires_grad:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
        where = (x._node or leaf_node(x), x._index)
        positions.append(wanted.setdefault(where, len(wanted)) if _is_connected(x) else None)
    found = run(roots, seeds, keep_graph=keep, create_graph=create_graph, wanted=wanted)
    out: list[Tensor | None] = []
    for p in positions:
        g: Any = None if p is None else found[p]
        if g is not None and not isinstance(g, Tensor):
            if g.base is not None or sum(g is x for x in (*seeds, *found)) > 1:  # shared
                with on_device_of(g):
                    g = g.copy()
            g = wrap(g)
        out.append(g)
    return out


def _is_connected(tensor: Tensor) -> bool:
    """Whether a gradient can reach it: not so for a view made under `no_grad` on what requires grad."""
    node = tensor._node or leaf_node(tensor)
    return node.op is not None or node.leaf_ref is not None


def _vectors(outputs: list[Tensor], given: Any) -> list[Tensor | None]:
    if given is None:
        return [None] * len(outputs)
    vectors: list[Tensor | None] = [given] if isinstance(given, Tensor) else list(given)
    if len(vectors) != len(outputs):
        raise RuntimeError(f"got {len(outputs)} tensors and {len(vectors)} gradients")
    return vectors


def _roots(
    outputs: list[Tensor], vectors: list[Tensor | None], create_graph: bool
) -> tuple[list[Any], list[Any]]:
    roots, seeds = [], []
    for i, (out, v) in enumerate(zip(outputs, vectors, strict=True)):
        if out._view is not None:
            current_history(out)
        if not out._requires_grad or not _is_connected(out):
            raise RuntimeError(
                f"element {i} of tensors does not require grad and does not have a grad_fn"
            )
        if v is None:
            array = out._data
            if array.dtype.kind == "c":
                raise RuntimeError(
                    f"grad can be implicitly created only for real scalar outputs but got {out.dtype}; "
                    "pass the gradient, or take .real or .abs() first"
                )
            if array.size != 1:
                raise RuntimeError(
                    "grad can be implicitly created only for scalar outputs, this one has shape "
                    f"{list(out.shape)}: reduce it (.sum(), .mean()) or give a gradient of that shape"
                )
            v = _one(out)
        elif v._data.shape != out._data.shape:
            raise RuntimeError(
                f"Mismatch in shape: grad_output[{i}] has a shape of {v.shape} "
                f"and output[{i}] has a shape of {out.shape}."
            )
        roots.append((out._node or leaf_node(out), out._index))
        seeds.append(v if create_graph else v._data)
    return roots, seeds


def _one(out: Tensor) -> Tensor:
    """The gradient of a tensor of one element by itself."""
    array = out._data
    if type(array) is np.ndarray:  # as below, without the calls: every training step comes here
        return wrap(np.array(1, array.dtype, ndmin=array.ndim))
    return functional.ones_like(out)


def _tensor_backward(
    self: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Add the gradients of this tensor to the `.grad` of its leaves; see `autograd.backward`."""
    backward(self, gradient, retain_graph, create_graph, inputs)


Tensor.backward = _tensor_backward  # type: ignore[attr-defined]


def Variable(data: Tensor, requires_grad: bool = False) -> Tensor:
    """PyTorch's old constructor, kept for old code: `data`, detached, with the flag set."""
    return data.detach().requires_grad_(requires_grad)
