"""Calling an operation: the hot path of the whole library.

A call unwraps the tensors, promotes their dtypes, computes on arrays, wraps the result and, only
if a gradient may be wanted, records a node. It inspects no signature: what an operation is was
found out when it was declared (`_op`). Most calls are on one or two CPU tensors that need no
promotion; `lane_one` and `lane_two` take those without loops, and `apply` takes all others.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorlab import _backend, _dtypes
from tensorlab._backend import KIND_OF, backend_of, describe_devices, is_array
from tensorlab._dtypes import dtype, from_numpy_dtype
from tensorlab._graph import Node, leaf_edge, mode, on_record
from tensorlab._layout import shares_storage
from tensorlab._plan import INPUT, OUTPUT, SHAPE, SHAPES
from tensorlab._tensor import Tensor, wrap
from tensorlab._view_history import MULTI, NO_GRAD, View, current_history

if TYPE_CHECKING:
    from tensorlab._op import Op

ndarray = np.ndarray
new = object.__new__

#: Who watches operations run; see `observe`. Empty almost always, so looking costs nothing.
observers: tuple[Any, ...] = ()

#: While autocast is on it is among the observers, and this is asked what to compute in:
#: `casting(op, inputs, params)` gives the inputs as they are wanted.
casting: Callable[..., Any] | None = None


def apply(op: Op, inputs: Sequence[Any], params: tuple[Any, ...]) -> Any:
    """Run `op`: unwrap, promote, compute, wrap, and record a node if a gradient may be wanted.

    With no tensor among `inputs` the operation is computed on raw arrays and nothing else
    happens: gradient rules use operations that way.
    """
    if _backend.several:
        device = _backend.elsewhere(map(storage, inputs))
        if device is not None:
            with device:
                return apply(op, inputs, params)
    arrays, mask, xp = unwrap(op, inputs)
    if mask < 0:
        return _apply_raw(op, arrays, params)
    if observers:
        return _observed(op, inputs, arrays, params, mask, xp)
    if op.kernels or op.variadic or _dtypes.narrow is not None:
        out = compute(op, xp, arrays, params)
    else:
        try:
            out = op.forward(xp, *arrays, *params)
        except ValueError as error:
            raise _shape_error(arrays, error) from None
    return _finish(op, inputs, arrays, params, mask, xp, out)


def storage(value: Any) -> Any:
    """The array of a tensor; anything else as it is."""
    return value._data if isinstance(value, Tensor) else value


#: What an operator takes on its other side.
OPERANDS = (Tensor, bool, int, float, complex, np.generic, ndarray)

#: No kernel is asked about an elementwise operation on so few numbers, unless it is made for fewer.
SMALL = 4096
#: Sums and products of so many numbers are worth a second thread: the engine then asks kernels to add gradients.
MANY = 81_920


def lane_two(op: Op, defaults: tuple[Any, ...] = (), operator: bool = False) -> Callable[..., Any]:
    """`apply` for an operation of two operands, most calls of which need no loop and no promotion.

    Those are calls on two CPU tensors of one dtype, or on a float tensor and a Python number. An
    `operator` such as `Tensor.__mul__` leaves what it does not know to the other operand.
    """
    forward, plans, to_float = op.forward, op.plans, op.result == "float"

    def general(x: Any, y: Any, params: tuple[Any, ...]) -> Any:
        if operator and not isinstance(y, OPERANDS) and not is_array(y):
            return NotImplemented
        return apply(op, (x, y), params)

    def call(x: Any, y: Any, params: tuple[Any, ...] = defaults) -> Any:
        if observers:
            return general(x, y, params)
        a, b, needed = x, y, 0
        if isinstance(x, Tensor):
            if x._view is not None and mode.grad and op.differentiable:
                current_history(x)
            a, needed = x._data, x._requires_grad
        if isinstance(y, Tensor):
            if y._view is not None and mode.grad and op.differentiable:
                current_history(y)
            b = y._data
            if y._requires_grad:
                needed += 2
        if type(a) is ndarray and type(b) is ndarray:
            if a is x and b is y:
                return _apply_raw(op, [a, b], params)
            plain = a.dtype is b.dtype and not (to_float and a.dtype.kind not in "fc")
        elif type(b) is float or type(b) is int:
            plain = a is not x and type(a) is ndarray and a.dtype.kind == "f"
        elif type(a) is float or type(a) is int:
            plain = b is not y and type(b) is ndarray and b.dtype.kind == "f"
        else:
            plain = False
        if not plain:
            return general(x, y, params)
        if (a if type(a) is ndarray else b).size > op.small:  # type: ignore[union-attr] # one is an array
            out = compute(op, np, [a, b], params)
        else:
            try:
                out = forward(np, a, b, *params)
            except ValueError as error:
                raise _shape_error([a, b], error) from None
        if type(out) is not ndarray:
            out = np.asarray(out)  # NumPy turns 0-dim results into scalars
        result = new(Tensor)
        result._data = out
        result._index = 0
        result._version_cell = cell = [0]
        result._view = result._grad = None
        if needed and mode.grad:
            needed &= op.differentiable
            if needed:
                plan = plans.get(needed) or op.plan(needed, 2)
                result._node = plan.record(x, y, a, b, params, out, cell)
                result._requires_grad = True
                return result
        result._node = None
        result._requires_grad = False
        return result

    return call


def lane_one(op: Op) -> Callable[..., Any]:
    """`apply` for an operation of one operand, likewise."""
    forward, plans, to_float = op.forward, op.plans, op.result == "float"
    fixed = op.result is not None  # else the forward may make other numbers, which have no gradient

    def call(x: Any, params: tuple[Any, ...] = ()) -> Any:
        if not isinstance(x, Tensor) or observers:
            return apply(op, (x,), params)
        if x._view is not None and mode.grad and op.differentiable:
            current_history(x)
        a = x._data
        if type(a) is not ndarray or (to_float and a.dtype.kind not in "fc"):
            return apply(op, (x,), params)
        if a.size > op.small:
            out = compute(op, np, [a], params)
        else:
            out = forward(np, a, *params)
        if type(out) is not ndarray:
            out = np.asarray(out)
        result = new(Tensor)
        result._data = out
        result._index = 0
        result._version_cell = cell = [0]
        result._view = result._grad = None
        if (
            x._requires_grad
            and mode.grad
            and op.differentiable
            and (fixed or out.dtype.kind in "fcV")
        ):
            plan = plans.get(1) or op.plan(1, 1)
            result._node = plan.record(x, a, params, out, cell)
            result._requires_grad = True
            return result
        result._node = None
        result._requires_grad = False
        return result

    return call


def unwrap(op: Op, inputs: Sequence[Any]) -> tuple[list[Any], int, Any]:
    """The promoted arrays of a call, which inputs require grad (bits), and their array module.

    The bits are -1 when there is no tensor among the inputs.
    """
    mask = 0
    bit = 1
    tensors = False
    ready = op.result is None  # arrays of NumPy, of which nothing is promoted
    arrays = []
    for x in inputs:
        if isinstance(x, Tensor):
            tensors = True
            a = x._data
            arrays.append(a)
            if type(a) is not ndarray:
                ready = False
            if x._view is not None and op.differentiable and mode.grad:
                current_history(x)
            if x._requires_grad:
                mask |= bit
        else:
            arrays.append(x)
            if x is not None or op.variadic or not op.optional_inputs:
                ready = False
        bit <<= 1
    if not tensors:
        return arrays, -1, None
    if ready:
        return arrays, mask, np
    first = arrays[0]
    if len(arrays) == 2:
        second = arrays[1]
        if type(first) is not ndarray:
            first, second = second, first
        if type(first) is ndarray:
            if type(second) is ndarray:
                if first.dtype is second.dtype and (
                    op.result != "float" or first.dtype.kind in "fc"
                ):
                    return arrays, mask, np
            elif first.dtype.kind == "f" and type(second) in (float, int):
                return arrays, mask, np  # NumPy, too, takes the number at the array's precision
    elif len(arrays) == 1 and type(first) is ndarray:
        if op.result == "float" and first.dtype.kind not in "fc":
            arrays[0] = first.astype(_dtypes.get_default_dtype().numpy)
        return arrays, mask, np
    return arrays, mask, _prepare(op, inputs, arrays)


class KernelUnavailable(RuntimeError):
    """A kernel turns out, when it is first needed, not to work on this machine: `name` and why.

    The generic path goes on; whoever catches it says so, once.
    """

    def __init__(self, name: str, reason: Exception) -> None:
        super().__init__(f"{name}: {type(reason).__name__}: {reason}")
        self.name, self.reason = name, reason


def instead(error: KernelUnavailable) -> Any:
    """`NotImplemented`, after a warning that this kernel is not used; each kernel is warned of once."""
    if error.name not in _unavailable:
        _unavailable.add(error.name)
        warnings.warn(
            f"the CPU kernel {error.name!r} could not be compiled and is not used; the results are the "
            f"same, only slower ({type(error.reason).__name__}: {error.reason})",
            RuntimeWarning,
            stacklevel=2,
        )
    return NotImplemented


_unavailable: set[str] = set()


def compute(op: Op, xp: ModuleType, arrays: list[Any], params: tuple[Any, ...]) -> Any:
    """The result on arrays: the registered kernel's, or the generic forward's if it declines."""
    finish = None
    kernel = op.kernels.get(KIND_OF[xp])
    if _dtypes.narrow is not None:
        if kernel is not None and xp is not np:
            # Kernels of GPUs take bfloat16 as it is; those of the CPU are made for float32.
            out = kernel(*((arrays,) if op.variadic else arrays), *params)
            if out is not NotImplemented:
                return out
        asked = arrays, params
        arrays, params, finish = _dtypes.narrow.lowered(op, arrays, params)
        if xp is not np and arrays is asked[0] and params is asked[1]:
            kernel = None  # it has declined just these
    given = (arrays,) if op.variadic else arrays
    try:
        out = NotImplemented if kernel is None else kernel(*given, *params)
    except KernelUnavailable as error:
        out = instead(error)
    if out is NotImplemented:
        try:
            out = op.forward(xp, *given, *params)
        except ValueError as error:
            raise _shape_error(arrays, error) from None
    return out if finish is None else finish(out)


def _shape_error(arrays: list[Any], error: ValueError) -> Exception:
    """PyTorch's error for shapes that do not broadcast; any other error as it is."""
    if "broadcast" not in str(error):
        return error
    shapes = [a.shape for a in arrays if hasattr(a, "shape")]
    ndim = max(map(len, shapes))
    full = [(1,) * (ndim - len(s)) + tuple(s) for s in shapes]
    for d in reversed(range(ndim)):
        first: int | None = None
        for shape in full:
            if shape[d] == 1:
                continue
            if first is not None and shape[d] != first:
                return RuntimeError(
                    f"The size of tensor a ({first}) must match the size of tensor b ({shape[d]}) at "
                    f"non-singleton dimension {d}: got shapes {' and '.join(str(list(s)) for s in shapes)}"
                )
            first = shape[d]
    return error


def _apply_raw(op: Op, arrays: list[Any], params: tuple[Any, ...]) -> Any:
    for a in arrays:
        if type(a) is ndarray or isinstance(a, np.generic):
            out = compute(op, np, arrays, params)
            return np.asarray(out) if isinstance(out, np.generic) else out
    for a in arrays:
        if a is not None and not isinstance(a, (bool, int, float, complex, str, list)):
            return compute(op, backend_of(a).xp, arrays, params)
    name = op.inputs[0] if op.inputs else "input"
    got = type(arrays[0]).__name__ if arrays else "nothing"
    raise TypeError(f"{op.name}(): argument '{name}' (position 1) must be Tensor, not {got}")


def _finish(
    op: Op,
    inputs: Sequence[Any],
    arrays: list[Any],
    params: tuple[Any, ...],
    mask: int,
    xp: ModuleType,
    out: Any,
) -> Any:
    """Wrap the result; record the node when an input requires grad."""
    mask &= op.differentiable
    if type(out) is tuple:
        return _finish_many(op, inputs, arrays, params, mask if mode.grad else 0, xp, out)
    if type(out) is not ndarray and isinstance(out, (np.generic, bool, int, float, complex)):
        out = np.asarray(out)  # NumPy turns 0-dim results into scalars
    is_view = op.view and shares_storage(out, arrays[0])
    result = object.__new__(Tensor)
    result._data = out
    result._index = 0
    result._version_cell = cell = inputs[0]._version_cell if is_view else [0]
    result._view = None
    result._grad = None
    if mask and mode.grad and out.dtype.kind in "fcV":
        result._requires_grad = True
        if op.variadic:
            result._node = record(
                op, inputs, arrays, params, mask, (out.shape,), (out.dtype,), ((out, cell),)
            )
        else:
            plan = op.plans.get(mask) or op.plan(mask, len(inputs))
            result._node = plan.record(*inputs, *arrays, params, out, cell)
    else:
        result._requires_grad = False
        result._node = None
    if is_view:
        result._view = _view_of(op, inputs[0], params)
    return result


def _finish_many(
    op: Op,
    inputs: Sequence[Any],
    arrays: list[Any],
    params: tuple[Any, ...],
    mask: int,
    xp: ModuleType,
    outs: tuple[Any, ...],
) -> Any:
    results = [wrap(out if type(out) is ndarray else xp.asanyarray(out)) for out in outs]
    if op.view:
        for i, r in enumerate(results):
            if shares_storage(r._data, arrays[0]):
                r._version_cell = inputs[0]._version_cell
                r._view = _view_of(op, inputs[0], params, output=i)
    sloped = [i for i, r in enumerate(results) if r._data.dtype.kind in "fcV"] if mask else None
    if sloped:
        shapes = tuple([r._data.shape for r in results])
        dtypes = tuple([r._data.dtype for r in results])
        kept = tuple([(r._data, r._version_cell) for r in results])
        node = record(op, inputs, arrays, params, mask, shapes, dtypes, kept)
        for i in sloped:
            r = results[i]
            r._requires_grad, r._node, r._index = True, node, i
    return tuple(results) if op.named_tuple is None else op.named_tuple(*results)


def record(
    op: Op,
    inputs: Sequence[Any],
    arrays: Sequence[Any],
    params: tuple[Any, ...],
    mask: int,
    shapes: tuple[tuple[int, ...], ...],
    dtypes: tuple[Any, ...],
    outs: tuple[tuple[Any, list[int]], ...],
) -> Node:
    """The node of one call: parents of the inputs in `mask`, and just the values its rules read."""
    plan = op.plans.get(mask if not op.variadic else (len(inputs) << 64) | mask)
    if plan is None:
        plan = op.plan(mask, len(inputs))
    parents = []
    for x, need in zip(inputs, plan.needs):  # noqa: B905 (the plan was made for these inputs)
        if need:
            node = x._node
            parents.append(leaf_edge(x) if node is None else (node, x._index))
        else:
            parents.append(None)
    saved = []
    for what, i in plan.saves:
        if what == INPUT:
            x = inputs[i]
            if isinstance(x, Tensor):
                cell = x._version_cell
                saved.append((arrays[i], cell, cell[0]))
            else:
                saved.append(arrays[i])
        elif what == OUTPUT:
            kept = tuple([(a, cell, cell[0]) for a, cell in outs])
            saved.append(kept[0] if len(kept) == 1 else kept)
        elif what == SHAPE:
            saved.append(getattr(arrays[i], "shape", ()))
        elif what == SHAPES:
            saved.append(tuple([a.shape for a in arrays]))
        else:
            saved.append(
                tuple(
                    [(a, x._version_cell, x._version) for a, x in zip(arrays, inputs, strict=True)]
                )
            )
    made = Node(op, tuple(parents), plan, tuple(saved), params, shapes, dtypes)
    if on_record:
        for listener in on_record:
            listener(made)
    return made


def _view_of(op: Op, source: Tensor, params: tuple[Any, ...], output: int | None = None) -> View:
    """The record of a view on `source`: its base, and how to make it from there again."""
    origin = NO_GRAD if not mode.grad else MULTI if output is not None else ""
    version = source._version_cell[0]
    if source._view is None:
        return View(source, ((op, params, output),), version, origin)
    base, steps, _, older_origin, _ = source._view
    return View(base, (*steps, (op, params, output)), version, origin or older_origin)


# Arguments that are not two tensors of one dtype -----------------------------------------


def _prepare(op: Op, inputs: Sequence[Any], arrays: Any) -> ModuleType:
    """Check argument kinds and devices, promote dtypes; changes `arrays`, returns `xp`."""
    dimensioned: list[dtype] = []
    zero_dim: list[dtype] = []
    numbers: list[int] = []
    xp: ModuleType | None = None
    taking_part: list[int] = []  # the positions of what is promoted
    for i, a in enumerate(arrays):
        if a is None and (op.variadic or op.inputs[i] in op.optional_inputs):
            continue
        if isinstance(a, np.generic):
            arrays[i] = a.item()
        a = arrays[i]
        promoted = op.promoted is None or op.promoted[i]
        if type(a) in (float, int, bool, complex):
            if promoted:
                numbers.append(_dtypes.category_of_number(a))
                taking_part.append(i)
            continue
        if not isinstance(inputs[i], Tensor) and not is_array(a):
            name = op.inputs[0 if op.variadic else i]
            number = "" if op.variadic else " or number"
            raise TypeError(
                f"{op.name}(): argument '{name}' (position {i + 1}) must be Tensor{number}, not {type(a).__name__}"
            )
        here = backend_of(a).xp
        if xp is not None and here is not xp:
            here = _one_device(op, arrays)
        xp = here
        if promoted:
            (dimensioned if a.ndim else zero_dim).append(from_numpy_dtype(a.dtype))
            taking_part.append(i)
    assert xp is not None  # apply is only here with a tensor among the inputs
    if _backend.several and xp is not np:
        _one_gpu(op, arrays)
    if op.check is not None:
        op.check(arrays)
    if op.result is None or not taking_part:
        return xp
    target = _dtypes.result_dtype(dimensioned, zero_dim, numbers)
    if op.result == "float" and target.category < _dtypes.FLOATING:
        target = _dtypes.get_default_dtype()
    for i in taking_part:
        arrays[i] = _converted(xp, arrays[i], target.numpy)
    return xp


def _converted(xp: ModuleType, value: Any, to: np.dtype) -> Any:
    """An operand at the dtype of the operation; a Python number as NumPy will take it."""
    if type(value) in (float, int, bool, complex):
        if type(value) is bool or to.kind in "iub":
            return xp.asarray(value).astype(to)  # out of range it wraps around, as in PyTorch
        return xp.asarray(value, dtype=to)
    return value if value.dtype == to else value.astype(to)


def _one_device(op: Op, arrays: list[Any]) -> ModuleType:
    """Move 0-dim CPU tensors to the others' device; `RuntimeError` if that does not make one device."""
    found = [a for a in arrays if hasattr(a, "dtype") and hasattr(a, "shape")]
    away = next((backend_of(a) for a in found if backend_of(a).kind != "cpu"), None)
    if away is None or any(a.ndim and backend_of(a) is not away for a in found):
        raise RuntimeError(_two_devices(op, found))
    for i, a in enumerate(arrays):
        if isinstance(a, ndarray):
            arrays[i] = away.xp.asarray(a)
    return away.xp


def _one_gpu(op: Op, arrays: list[Any]) -> None:
    """Raise PyTorch's error for arrays on two GPUs."""
    found = [a for a in arrays if is_array(a)]
    if len({backend_of(a).device(a) for a in found}) > 1:
        raise RuntimeError(_two_devices(op, found))


def _two_devices(op: Op, arrays: list[Any]) -> str:
    return (
        "Expected all tensors to be on the same device, but found at least two devices, "
        f"{describe_devices(arrays)}! ({op.name}); move them with .to(device)"
    )


# Watching ---------------------------------------------------------------------------------


@contextmanager
def observe(observer: Any) -> Iterator[Any]:
    """Let `observer` see every operation while the block runs, in every thread.

    It has `before(op, arrays)` and `after(op, arrays, outputs, node)` around each forward,
    and `before_backward(node)` and `after_backward(node, grads)` around each node of
    `backward`. The profiler is such an observer.
    """
    global observers
    observers = (*observers, observer)
    try:
        yield observer
    finally:
        observers = tuple(o for o in observers if o is not observer)


def _observed(
    op: Op,
    inputs: Sequence[Any],
    arrays: list[Any],
    params: tuple[Any, ...],
    mask: int,
    xp: ModuleType,
) -> Any:
    if casting is not None:
        wanted = casting(op, inputs, params)
        if wanted is not inputs:
            inputs = wanted
            arrays, mask, xp = unwrap(op, inputs)
    watching = observers
    for o in watching:
        o.before(op, arrays)
    result = _finish(op, inputs, arrays, params, mask, xp, compute(op, xp, arrays, params))
    outs = result if isinstance(result, tuple) else (result,)
    for o in reversed(watching):
        o.after(op, arrays, tuple(t._data for t in outs), outs[0]._node)
    return result
