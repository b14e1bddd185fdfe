"""Operations that write into their first argument, and what that does to the graph.

`x.mul_(y)` computes `x * y` and stores it in x's memory. Three things must stay true:

1. Whoever saved the old x for a gradient finds out. Every storage has a version counter; a
   write adds one; the engine compares.
2. x's history is now that of the product. So x gets the node that `x * y` would have had.
3. If x is a view, its base changed too, in the part that x shows. So the base gets a node
   `CopySlices(old base, new values)`, and x, like every other view of the base, gets its
   history again by replaying its steps on the new base (`_view_history.current_history`).

This is PyTorch's design (https://docs.pytorch.org/docs/stable/notes/autograd.html#in-place-correctness-checks).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorlab import _backend, _dtypes
from tensorlab._apply import compute, record, unwrap
from tensorlab._calls import is_reflected, make_function
from tensorlab._graph import Node, leaf_node, mode, move_retained
from tensorlab._layout import address, shares_storage
from tensorlab._op import Op, on_register
from tensorlab._plan import INPUT, RECORDS, Plan
from tensorlab._tensor import Tensor, wrap
from tensorlab._view_history import current_history, overtaken_view, replay


def apply_inplace(op: Op, inputs: Sequence[Any], params: tuple[Any, ...]) -> Tensor:
    """Run `op` and store the result in `inputs[0]`, which is returned."""
    target = inputs[0]
    if not isinstance(target, Tensor):
        raise TypeError(
            f"{op.name}_(): argument 'input' (position 1) must be Tensor, not {type(target).__name__}"
        )
    if _backend.several:
        device = _backend.elsewhere((target._data,))
        if device is not None:
            with device:
                return apply_inplace(op, inputs, params)
    arrays, mask, xp = unwrap(op, inputs)
    mask = mask & op.differentiable if mode.grad else 0
    if mode.grad and (mask or target._requires_grad):
        _check_history(target)
    _check_overlap(op, target, inputs[1:])
    if target._data.dtype.kind not in "fcV":
        mask = 0
    if mask:
        if target._view is not None and _has_hooks(target):
            inputs = (_without_hooks(target), *inputs[1:])
        inputs, arrays = _keep_old_values(op, inputs, arrays, mask)
    out = compute(op, xp, arrays, params)
    _store(op, target, out)
    if mask:
        shown = (target._data, target._version_cell)
        node = record(
            op, inputs, arrays, params, mask, (target._data.shape,), (target._data.dtype,), (shown,)
        )
        _date_back(node, target)
        _rebase(target, node)
    return target


def write(target: Tensor, array: Any) -> Tensor:
    """Overwrite all of `target` with `array`, which carries no gradient: `normal_`, `fill_` and such."""
    from tensorlab._op import OPS

    return apply_inplace(OPS["copy"], (target, wrap(array)), ())


def _store(op: Op, target: Tensor, out: Any) -> None:
    data = target._data
    shape = getattr(out, "shape", ())
    if shape != data.shape:
        raise RuntimeError(
            f"output with shape {list(data.shape)} doesn't match the broadcast shape {list(shape)}: "
            f"{op.name}_() cannot change the shape of the tensor it writes to"
        )
    if op.result is not None:
        source = _dtypes.from_numpy_dtype(out.dtype)
        if not _dtypes.can_cast(source, target.dtype):
            raise RuntimeError(
                f"result type {_type_name(source)} can't be cast to the desired output type {_type_name(target.dtype)}"
            )
    data[...] = out
    target._version_cell[0] += 1


def _type_name(d: _dtypes.dtype) -> str:
    """PyTorch's name of a type in this error: Float, Long, Bool …"""
    names = {
        "float32": "Float", "float64": "Double", "float16": "Half", "int64": "Long", "int32": "Int",
        "int16": "Short", "int8": "Char", "uint8": "Byte", "bool": "Bool",
        "bfloat16": "BFloat16", "complex64": "ComplexFloat", "complex128": "ComplexDouble",
    }  # fmt: skip
    return names[d.name]


def _check_history(target: Tensor) -> None:
    """Refuse writes that autograd could not follow."""
    if target._requires_grad and target.is_leaf:
        raise RuntimeError(
            "a leaf Variable that requires grad is being used in an in-place operation."
        )
    view = target._view
    if view is None:
        return
    if view.origin:
        raise RuntimeError(overtaken_view(target, "is being"))
    if view.base._requires_grad and view.base.is_leaf:
        raise RuntimeError(
            "a view of a leaf Variable that requires grad is being used in an in-place operation."
        )


#: Operations that write here and there: not even the target itself may be what they read.
SCATTERS = frozenset({"index_set", "index_add", "index_copy", "scatter", "masked_scatter"})


def _check_overlap(op: Op, target: Tensor, others: Sequence[Any]) -> None:
    """Refuse a target with elements on top of each other, or one that overlaps an input in part."""
    data = target._data
    if op.name == "copy" and others[0] is target:
        return
    # A number may be written to one place twice, and PyTorch lets index writes do it too.
    twice = op.name in ("index_set", "masked_fill")
    if op.name == "fill" or op.name == "masked_fill":
        twice = twice or not isinstance(others[0], Tensor)
        others = ()  # their value is one number, read before anything is written
    if (
        data.size > 1
        and not twice
        and any(step == 0 and n > 1 for step, n in zip(data.strides, data.shape, strict=True))
    ):
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a "
            "single memory location. Please clone() the tensor before performing the operation."
        )
    for other in others:
        if not isinstance(other, Tensor) or type(other._data) is not type(data):
            continue
        array = other._data
        if isinstance(data, np.ndarray) and not np.may_share_memory(data, array):
            continue
        if array.size == 0 or data.size == 0:
            continue
        if other is not target and not (_is_dense(data) and _is_dense(array)):
            continue  # strided neighbours: the result is computed apart, so it is right anyway
        start, begin = address(data), address(array)
        same = start == begin and data.shape == array.shape and _steps(data) == _steps(array)
        if same and op.name not in SCATTERS:
            continue
        if start < begin + array.nbytes and begin < start + data.nbytes:
            raise RuntimeError(
                "unsupported operation: some elements of the input tensor and the written-to tensor "
                "refer to a single memory location. Please clone() the tensor before performing the operation."
            )


def _date_back(node: Node, target: Tensor) -> None:
    """An input on the target's memory was saved as it was before the write: `x.mul_(x)`."""
    cell = target._version_cell
    assert node.saved is not None
    node.saved = tuple(
        (v[0], cell, v[2] - 1) if w == INPUT and type(v) is tuple and v[1] is cell else v
        for (w, _), v in zip(node.plan.saves, node.saved, strict=True)
    )


def _steps(array: Any) -> list[int]:
    """The strides that mean something: those of dimensions that are stepped along."""
    return [s for s, n in zip(array.strides, array.shape, strict=True) if n > 1]


def _is_dense(array: Any) -> bool:
    """Whether the elements, in some order of the dimensions, fill their memory without gaps."""
    step = array.itemsize
    for stride, n in sorted(zip(array.strides, array.shape, strict=True)):
        if n > 1:
            if stride != step:
                return False
            step *= n
    return True


def _keep_old_values(
    op: Op, inputs: Sequence[Any], arrays: list[Any], mask: int
) -> tuple[list[Any], list[Any]]:
    """With a copy of the target, if its old value, which the write destroys, is to be saved.

    Another input on the same memory is not copied: as in PyTorch, its change is an error in backward.
    """
    plan = op.plans.get(mask) or op.plan(mask, len(inputs))
    if (INPUT, 0) not in plan.saves:
        return list(inputs), arrays
    target = inputs[0]
    copy = wrap(arrays[0].copy())
    copy._requires_grad, copy._index = target._requires_grad, target._index
    copy._node = (target._node or leaf_node(target)) if target._requires_grad else None
    return [copy, *inputs[1:]], [copy._data, *arrays[1:]]


def _has_hooks(target: Tensor) -> bool:
    """Whether there are hooks on a view, or on the views between it and its base."""
    assert target._view is not None
    node, base = target._node, target._view.base._node
    while node is not None and node is not base and node.op is not None:
        if node.hooks is not None:
            return True
        parent = node.parents[0]
        node = None if parent is None else parent[0]
    return False


def _without_hooks(target: Tensor) -> Tensor:
    """A view as it was before the write, with a node of its own.

    The hooks on a view's node do not see the gradient that a later write sends on to the base.
    """
    assert target._view is not None
    before = replay(target._view.base, target._view.steps)
    old = wrap(target._data)
    old._version_cell = target._version_cell
    old._node, old._index, old._requires_grad = before._node, before._index, before._requires_grad
    return old


def _rebase(target: Tensor, node: Node) -> None:
    """Give `target` the history `node`; through its base, if it is a view."""
    view = target._view
    if view is None:
        move_retained(target._node, target._index, node, 0)
        target._node, target._index, target._requires_grad = node, 0, True
        return
    base = view.base
    old = (base._node or leaf_node(base), base._index) if base._requires_grad else None
    layout = tuple(int(i) for i in np.argsort([-s for s in base._data.strides], kind="stable"))
    # The steps are saved, though they cost no memory, so that they are freed with the graph: a
    # second backward without retain_graph is PyTorch's error here too.
    saves = ((RECORDS, 0), (RECORDS, 1))
    plan = Plan(saves, (), (_copy_slices_rule, (0, 1, 2, 3)), (old is not None, True))
    made = Node(
        COPY_SLICES,
        (old, (node, 0)),
        plan,
        (view.steps, layout),
        (),
        (base._data.shape,),
        (base._data.dtype,),
    )
    move_retained(base._node, base._index, made, 0)
    base._node = made
    base._index, base._requires_grad = 0, True
    current_history(target)


def _copy_slices_rule(
    g: Any, steps: Any, layout: tuple[int, ...], needs: tuple[bool, bool]
) -> tuple[Any, Any]:
    """The written part passes its gradient to the new values, the rest to the old base."""
    # Memory in the base's order, so that every step of the view is a view here as well.
    inverse = tuple(int(i) for i in np.argsort(layout))
    if isinstance(g, Tensor):
        rest: Any = g.permute(layout).clone().permute(inverse)  # type: ignore[attr-defined]
    else:
        rest = g.transpose(layout).copy().transpose(inverse)
    region = replay(rest, steps)
    if not needs[0]:
        return None, region
    if not shares_storage(getattr(region, "_data", region), getattr(rest, "_data", rest)):
        raise RuntimeError(
            "internal error: the steps of a view did not give a view; please report it"
        )
    if isinstance(region, Tensor):
        values = region.clone()  # type: ignore[attr-defined]
        region.zero_()  # type: ignore[attr-defined]
    else:
        values = region.copy()
        region[...] = 0
    return rest, values


def _copy_slices(xp: Any, base: Any, values: Any, /, steps: Any, layout: Any) -> Any:
    """The base with the part that `steps` show replaced by `values`."""
    out = base.copy()
    replay(out, steps)[...] = values
    return out


COPY_SLICES = Op(_copy_slices, name="copy_slices", node_name="CopySlices", result=None)
COPY_SLICES.backward_name = "CopySlices"


def _add_inplace_forms(record: Op) -> None:
    """`Tensor.mul_` and `Tensor.__imul__` for an operation that has an in-place form."""
    if not record.inplace:
        return
    method = make_function(record, f"{record.name}_", apply_inplace, out=False)
    method.__doc__ = f"In-place version of `{record.name}`."
    for name in (record.name, *record.aliases):
        setattr(Tensor, f"{name}_", method)
    for name in record.dunder:
        if not is_reflected(name) and len(record.inputs) == 2:
            setattr(Tensor, f"__i{name[2:]}", method)


on_register.append(_add_inplace_forms)
