"""Operations: how one is declared, and what happens when one is called.

An operation is declared once, in a file of `tensorlab.ops`, by its forward on arrays:

    @op(samples=…, ref=np.multiply, method=True, dunder=("__mul__", "__rmul__"), inplace=True)
    def mul(xp, input, other, /):
        return xp.multiply(input, other)

    mul.vjp(input=lambda g, other: g * other, other=lambda g, input: g * input)

Parameters before the `/` are tensors, those after it are the call's parameters. A gradient
rule ("vector-Jacobian product") receives the gradient `g` of the output and returns the
gradient of one input. The names of its parameters are what the graph has to keep for it:

    g              the gradient of the output (a tuple when there are several outputs)
    input, other   the value of an input
    out            the value of the output
    dim, keepdim   a parameter of the call
    input_shape    the shape of an input, which costs no memory
    needs          for a joint rule: which inputs want a gradient

In a plain `backward()` rules receive raw arrays; under `create_graph=True` they receive
tensors. So a rule is written with operators and with other operations, which accept both.

`apply` is the hot path of the whole library. It inspects no signature and builds no node
unless a gradient will be wanted.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from types import ModuleType
from typing import Any, NamedTuple, cast

import numpy as np

from tensorlab import _dtypes
from tensorlab._backend import backend_of, describe_devices
from tensorlab._dtypes import dtype, from_numpy_dtype
from tensorlab._graph import Node, leaf_edge, mode, on_record
from tensorlab._tensor import MULTI, NO_GRAD, Tensor, View, current_history, shares_storage, wrap

ndarray = np.ndarray

#: Every operation by name, in the order of declaration.
OPS: dict[str, Op] = {}

#: Called with each new operation; `tensorlab.autograd` adds the in-place forms this way.
on_register: list[Callable[[Op], None]] = []

#: Who watches operations run; see `observe`. Empty almost always, so looking costs nothing.
observers: tuple[Any, ...] = ()


class Sample:
    """One call of an operation for the generic tests: `Sample(r(3, 1), r(1, 4), dim=0)`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args = args
        self.kwargs = kwargs
        self.smooth = True

    def kink(self) -> Sample:
        """Mark a call at a point that has no derivative (a tie, a corner, nan).

        Finite differences mean nothing there; the gradient is compared with PyTorch's only.
        """
        self.smooth = False
        return self

    def __repr__(self) -> str:
        shown = [_describe(a) for a in self.args] + [f"{k}={v!r}" for k, v in self.kwargs.items()]
        return f"Sample({', '.join(shown)})"


class ErrorSample(Sample):
    """A call that must fail with `error`, its message matching the pattern `match`."""

    def __init__(self, *args: Any, error: type[Exception], match: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.error = error
        self.match = match


def _describe(value: Any) -> str:
    return f"{value.dtype}{list(value.shape)}" if isinstance(value, ndarray) else repr(value)


# What a plan keeps: the value of an input or of the outputs (guarded by versions), the shape of
# an input, all inputs or shapes of an op on a sequence of tensors, or what a user's Function saved.
INPUT, OUTPUT, SHAPE, INPUTS, SHAPES, RECORDS = range(6)


class Plan(NamedTuple):
    """What one set of inputs that need gradients makes the graph keep and run.

    `pick(reads)` gives a rule's arguments out of the list `[g, *saved, *params]`, to which `needs`
    is added for a joint rule.
    """

    saves: tuple[tuple[int, int], ...]  # what to keep (INPUT, OUTPUT, …), and of which input
    rules: tuple[tuple[int, Callable[..., Any], Callable[..., Any]], ...]  # (input, rule, pick)
    joint: tuple[Callable[..., Any], Callable[..., Any]] | None  # (rule, pick)
    needs: tuple[bool, ...]


def picker(*positions: int) -> Callable[[list[Any]], tuple[Any, ...]]:
    """A function that picks these positions out of a list, as a tuple."""
    if len(positions) == 1:
        (only,) = positions
        return lambda reads: (reads[only],)
    return itemgetter(*positions) if positions else lambda reads: ()


class Op:
    """An operation: its forward, gradient rules, kernels, and what tests need to know.

    Attributes: `name`, `forward(xp, *inputs, *params)`, `inputs` and `params` (names),
    `result` (how the output's dtype follows from the inputs': "same", "float", "bool",
    "int64", or None where the forward decides), `rules` by input name, `joint` rule,
    `kernels` by device type, `samples`, `errors`, `ref`, `call` (the public function).
    """

    def __init__(
        self,
        forward: Callable[..., Any],
        *,
        name: str | None = None,
        node_name: str | None = None,
        result: str | None = "same",
        promote: tuple[str, ...] | None = None,
        view: bool = False,
        variadic: bool = False,
        inplace: bool = False,
        method: bool = False,
        dunder: tuple[str, ...] = (),
        aliases: tuple[str, ...] = (),
        samples: Callable[..., list[Sample]] | None = None,
        errors: Callable[..., list[ErrorSample]] | None = None,
        ref: Callable[..., Any] | None = None,
        torch: str | Callable[..., Any] | None = None,
        named_tuple: Any = None,
    ) -> None:
        self.forward = forward
        self.name = name or forward.__name__
        words = "".join(w.title() for w in self.name.split("_"))
        self.backward_name = f"{node_name or words}Backward0"
        self.result = result
        self.view = view
        self.variadic = variadic
        self.inplace = inplace
        self.method = method
        self.dunder = dunder
        self.aliases = aliases
        self.samples = samples
        self.errors = errors
        self.ref = ref
        self.torch = torch
        self.named_tuple = named_tuple

        signature = list(inspect.signature(forward).parameters.values())[1:]
        self.inputs = tuple(p.name for p in signature if p.kind is p.POSITIONAL_ONLY)
        self.optional_inputs = {p.name: p.default for p in signature if p.default is not p.empty}
        self.parameters = [p for p in signature if p.kind is not p.POSITIONAL_ONLY]
        self.params = tuple(p.name for p in self.parameters)
        if any(p.kind is p.KEYWORD_ONLY for p in self.parameters):
            self.forward = _positional(forward, self.inputs, self.parameters)
        self.promoted = None if promote is None else tuple(n in promote for n in self.inputs)

        self.rules: dict[str, Callable[..., Any]] = {}
        self.joint: Callable[..., Any] | None = None
        self.kernels: dict[str, Callable[..., Any]] = {}
        self.plans: dict[int, Plan] = {}
        # One plain array out, no kernel to ask: see apply_one and apply_two.
        self.simple = not (view or variadic or named_tuple or self.promoted) and result is not None
        self.differentiable = 0  # bit i: input i has a rule
        self.call: Callable[..., Any] = forward  # replaced at registration

    def vjp(self, joint: Callable[..., Any] | None = None, /, **rules: Callable[..., Any]) -> None:
        """Declare gradient rules: one per input by name, or one joint rule that returns all."""
        if joint is not None:
            self.joint = joint
            self.differentiable = -1
            return
        for name, rule in rules.items():
            if name not in self.inputs:
                raise TypeError(f"{self.name} has no input {name!r}; its inputs are {self.inputs}")
            self.rules[name] = rule
            self.differentiable |= 1 << self.inputs.index(name)

    def plan(self, mask: int, count: int) -> Plan:
        """The plan for the inputs whose bits are set in `mask`, made once per mask."""
        saves: list[tuple[int, int]] = []
        needs = tuple(bool(mask >> i & 1) for i in range(count))

        def position(name: str) -> int:
            if name == "g":
                return 0
            if name == "needs":
                return -1
            if name in self.params:
                return ~(1 + self.params.index(name))  # resolved when all saves are known
            if name == "out":
                what = (OUTPUT, 0)
            elif name in self.inputs:
                what = (INPUTS, 0) if self.variadic else (INPUT, self.inputs.index(name))
            elif name.endswith("_shape") and name[:-6] in self.inputs:
                what = (SHAPES, 0) if self.variadic else (SHAPE, self.inputs.index(name[:-6]))
            else:
                raise TypeError(
                    f"a gradient rule of {self.name} reads {name!r}, which is neither g, out, "
                    f"needs, an input {self.inputs} nor a parameter {self.params}"
                )
            if what not in saves:
                saves.append(what)
            return 1 + saves.index(what)

        def reads(rule: Callable[..., Any]) -> tuple[int, ...]:
            return tuple(position(n) for n in inspect.signature(rule).parameters)

        wanted = [
            (i, self.rules[n])
            for i, n in enumerate(self.inputs)
            if n in self.rules and mask >> i & 1
        ]
        drafts = [(i, rule, reads(rule)) for i, rule in wanted] if self.joint is None else []
        joint = None if self.joint is None else (self.joint, reads(self.joint))

        def resolve(positions: tuple[int, ...]) -> Callable[..., Any]:
            return picker(*(p if p >= -1 else 1 + len(saves) + (~p - 1) for p in positions))

        found = Plan(
            tuple(saves),
            tuple((i, rule, resolve(p)) for i, rule, p in drafts),
            None if joint is None else (joint[0], resolve(joint[1])),
            needs,
        )
        self.plans[mask if not self.variadic else (count << 64) | mask] = found
        return found

    def __repr__(self) -> str:
        return f"<op {self.name}>"


def apply(op: Op, inputs: Sequence[Any], params: tuple[Any, ...]) -> Any:
    """Run `op`: unwrap, promote, compute, wrap, and record a node if a gradient may be wanted.

    With no tensor among `inputs` the operation is computed on raw arrays and nothing else
    happens: gradient rules use operations that way.
    """
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


_NUMBERS = (float, int)


def apply_two(op: Op, x: Any, y: Any, params: tuple[Any, ...]) -> Any:
    """`apply` for two operands, of which most calls need no loop and no promotion.

    Those are two CPU tensors of one dtype, or a float tensor and a Python number.
    """
    if not op.simple or observers:
        return apply(op, (x, y), params)
    a = x._data if isinstance(x, Tensor) and x._view is None else x
    b = y._data if isinstance(y, Tensor) and y._view is None else y
    if type(a) is ndarray and type(b) is ndarray:
        # Either was a tensor: raw arrays take the general way.
        plain = (a is not x or b is not y) and a.dtype is b.dtype
        plain = plain and (op.result != "float" or a.dtype.kind in "fc")
    elif type(b) in _NUMBERS:
        plain = a is not x and type(a) is ndarray and a.dtype.kind == "f"
    else:
        plain = type(a) in _NUMBERS and b is not y and type(b) is ndarray and b.dtype.kind == "f"
    if not plain:
        return apply(op, (x, y), params)
    try:
        out = op.forward(np, a, b, *params)
    except ValueError as error:
        raise _shape_error([a, b], error) from None
    if type(out) is not ndarray:
        out = np.asarray(out)  # NumPy turns 0-dim results into scalars
    result = wrap(out)
    if mode.grad:
        mask = (a is not x and x._requires_grad) + 2 * (b is not y and y._requires_grad)
        mask &= op.differentiable
        if mask:
            kept = ((out, result._version_cell),)
            result._node = record(
                op, (x, y), (a, b), params, mask, (out.shape,), (out.dtype,), kept
            )
            result._requires_grad = True
    return result


def apply_one(op: Op, x: Any, params: tuple[Any, ...]) -> Any:
    """`apply` for one operand, likewise."""
    if not isinstance(x, Tensor) or x._view is not None or not op.simple or observers:
        return apply(op, (x,), params)
    a = x._data
    if type(a) is not ndarray or (op.result == "float" and a.dtype.kind not in "fc"):
        return apply(op, (x,), params)
    out = op.forward(np, a, *params)
    if type(out) is not ndarray:
        out = np.asarray(out)
    result = wrap(out)
    if x._requires_grad and op.differentiable and mode.grad:
        kept = ((out, result._version_cell),)
        result._node = record(op, (x,), (a,), params, 1, (out.shape,), (out.dtype,), kept)
        result._requires_grad = True
    return result


def unwrap(op: Op, inputs: Sequence[Any]) -> tuple[list[Any], int, Any]:
    """The promoted arrays of a call, which inputs require grad (bits), and their array module.

    The bits are -1 when there is no tensor among the inputs.
    """
    mask = 0
    bit = 1
    tensors = False
    arrays = []
    for x in inputs:
        if isinstance(x, Tensor):
            tensors = True
            arrays.append(x._data)
            if x._view is not None and op.differentiable and mode.grad:
                current_history(x)
            if x._requires_grad:
                mask |= bit
        else:
            arrays.append(x)
        bit <<= 1
    if not tensors:
        return arrays, -1, None
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


def compute(op: Op, xp: ModuleType, arrays: list[Any], params: tuple[Any, ...]) -> Any:
    """The result on arrays: the registered kernel's, or the generic forward's if it declines."""
    finish = None
    if _dtypes.narrow is not None:
        arrays, params, finish = _dtypes.narrow.lowered(op, arrays, params)
    given = (arrays,) if op.variadic else arrays
    kernel = op.kernels.get("cpu" if xp is np else "cuda")
    out = NotImplemented if kernel is None else kernel(*given, *params)
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
        result._node = record(
            op, inputs, arrays, params, mask, (out.shape,), (out.dtype,), ((out, cell),)
        )
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
    results = [wrap(xp.asanyarray(out)) for out in outs]
    if op.view:
        for i, r in enumerate(results):
            if shares_storage(r._data, arrays[0]):
                r._version_cell = inputs[0]._version_cell
                r._view = _view_of(op, inputs[0], params, output=i)
    if mask and any(r._data.dtype.kind in "fcV" for r in results):
        shapes = tuple(r._data.shape for r in results)
        dtypes = tuple(r._data.dtype for r in results)
        kept = tuple((r._data, r._version_cell) for r in results)
        node = record(op, inputs, arrays, params, mask, shapes, dtypes, kept)
        for i, r in enumerate(results):
            if r._data.dtype.kind in "fcV":
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
        if not isinstance(inputs[i], Tensor) and not isinstance(a, ndarray):
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
    if op.result is None or not (dimensioned or zero_dim):
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
        raise RuntimeError(
            "Expected all tensors to be on the same device, but found at least two devices, "
            f"{describe_devices(found)}! ({op.name}); move them with .to(device)"
        )
    for i, a in enumerate(arrays):
        if isinstance(a, ndarray):
            arrays[i] = away.xp.asarray(a)
    return away.xp


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
    watching = observers
    for o in watching:
        o.before(op, arrays)
    result = _finish(op, inputs, arrays, params, mask, xp, compute(op, xp, arrays, params))
    outs = result if isinstance(result, tuple) else (result,)
    for o in reversed(watching):
        o.after(op, arrays, tuple(t._data for t in outs), outs[0]._node)
    return result


# Declaring --------------------------------------------------------------------------------


def op(
    *,
    samples: Callable[..., list[Sample]],
    errors: Callable[..., list[ErrorSample]] | None = None,
    ref: Callable[..., Any] | None = None,
    torch: str | Callable[..., Any] | None = None,
    name: str | None = None,
    node_name: str | None = None,
    result: str | None = "same",
    promote: tuple[str, ...] | None = None,
    view: bool = False,
    variadic: bool = False,
    inplace: bool = False,
    method: bool = False,
    dunder: tuple[str, ...] = (),
    varargs: str | None = None,
    aliases: tuple[str, ...] = (),
    named_tuple: Any = None,
) -> Callable[[Callable[..., Any]], Any]:
    """Declare an operation by its generic forward.

    samples: `samples(r)` gives `Sample`s; `r(*shape, …)` makes random arrays. Tests need them.
    errors: calls that must fail, as `ErrorSample`s.
    ref: an independent NumPy or SciPy function of the same arguments, if there is one.
    torch: PyTorch's dotted name, if it is not `torch.<name>`; or a function that does the same with it.
    node_name: the name that `grad_fn` shows, if it is not the op's.
    result: "same" (promote), "float" (integers become the default float type), "bool" and
        "int64" (promote the inputs; the forward makes that type), None (promote nothing).
    promote: the inputs that take part in promotion; all, unless named.
    view: the output shows the first input's memory whenever NumPy can do that.
    variadic: the first argument is a sequence of tensors.
    inplace: also make `name_`. method: also make `Tensor.name`. dunder: and these operators.
    varargs: the parameter that the method accepts spread out, as in `x.view(2, 3)`.
    """

    def declare(forward: Callable[..., Any]) -> Any:
        record = Op(
            forward, name=name, node_name=node_name, result=result, promote=promote, view=view,
            variadic=variadic, inplace=inplace, samples=samples, errors=errors, ref=ref,
            torch=torch, method=method, dunder=dunder, aliases=aliases, named_tuple=named_tuple,
        )  # fmt: skip
        function = make_function(record, record.name, apply)
        function.vjp = record.vjp  # type: ignore[attr-defined]
        record.call = function
        OPS[record.name] = record
        if method:
            as_method = function if varargs is None else _spread(function, varargs, record)
            for n in (record.name, *aliases):
                setattr(Tensor, n, as_method)
        for n in dunder:
            setattr(
                Tensor,
                n,
                _reflected(record)
                if is_reflected(n) and len(record.inputs) == 2
                else _operator(record),
            )
        for listener in on_register:
            listener(record)
        return function

    return declare


def register_kernel(name: str, kind: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Use the decorated function as the fast path of operation `name` on device type `kind`.

    It is called with the arrays and parameters, without `xp`; it may return `NotImplemented`
    to decline a case, and the generic forward runs.
    """

    def register(kernel: Callable[..., Any]) -> Callable[..., Any]:
        OPS[name].kernels[kind] = kernel
        OPS[name].simple = False
        return kernel

    return register


def _positional(
    forward: Callable[..., Any], inputs: tuple[str, ...], parameters: list[inspect.Parameter]
) -> Callable[..., Any]:
    """`forward` with its keyword-only parameters taken by position, as `apply` passes them."""
    names = ["xp", *inputs, *(p.name for p in parameters)]
    passed = ["xp", *inputs] + [
        f"{p.name}={p.name}" if p.kind is p.KEYWORD_ONLY else p.name for p in parameters
    ]
    scope = {"forward": forward}
    exec(f"def positional({', '.join(names)}):\n    return forward({', '.join(passed)})\n", scope)
    positional = cast("Callable[..., Any]", scope["positional"])
    positional.__doc__ = forward.__doc__
    positional.__module__ = forward.__module__
    positional.__wrapped__ = forward  # type: ignore[attr-defined]
    return positional


# As in PyTorch, NumPy's names are understood too: `x.sum(axis=1, keepdims=True)`.
_NUMPY_NAMES = {"dim": "axis", "keepdim": "keepdims"}


def make_function(
    record: Op, name: str, run: Callable[..., Any], out: bool = True
) -> Callable[..., Any]:
    """The public function of an operation, with its true signature.

    It is generated, as `dataclasses` generates `__init__`: the arguments then arrive in order
    without any inspection per call, and a wrong keyword is Python's own clear error.
    """
    scope: dict[str, Any] = {"run": run, "record": record, "out_to": _out_to}
    lane = (
        {1: apply_one, 2: apply_two}.get(len(record.inputs))
        if record.simple and run is apply
        else None
    )
    arguments = []
    for n in record.inputs:
        if n in record.optional_inputs:
            scope[f"default_{n}"] = record.optional_inputs[n]
            n = f"{n}=default_{n}"
        arguments.append(n)
    keyword_only = False
    renamed = ""
    aliases = []
    for i, p in enumerate(record.parameters):
        if p.kind is p.KEYWORD_ONLY and not keyword_only:
            arguments.append("*")
            keyword_only = True
        default = p.default
        alias = _NUMPY_NAMES.get(p.name)
        if alias is not None:
            if default is p.empty and all(
                q.default is not p.empty for q in record.parameters[i + 1 :]
            ):
                default = None  # the forward says what is missing
            if default is not p.empty:
                aliases.append(f"{alias}=None")
                renamed += f"    if {alias} is not None:\n        {p.name} = {alias}\n"
        if default is not p.empty:
            scope[f"default_{p.name}"] = default
        arguments.append(p.name if default is p.empty else f"{p.name}=default_{p.name}")
    if aliases:
        arguments += aliases if keyword_only else ["*", *aliases]
        keyword_only = True
    if record.variadic:
        inputs = record.inputs[0]
    else:
        inputs = f"({', '.join(record.inputs)},)" if record.inputs else "()"
    params = f"({', '.join(record.params)},)" if record.params else "()"
    call = f"run(record, {inputs}, {params})"
    if lane is not None:
        scope["run"] = lane
        call = f"run(record, {', '.join(record.inputs)}, {params})"
    body = f"    return {call}\n"
    if out:
        arguments += ["out=None"] if keyword_only else ["*", "out=None"]
        body = f"    if out is not None:\n        return out_to(out, {call})\n{body}"
    source = f"def {name}({', '.join(arguments)}):\n{renamed}{body}"
    exec(compile(source, f"<tensorlab op {name}>", "exec"), scope)
    function = scope[name]
    function.__doc__ = record.forward.__doc__
    function.__module__ = record.forward.__module__
    function.op = record
    return function


def _out_to(out: Any, result: Any) -> Any:
    """Store a result in the tensors given as `out=`, resizing empty ones, as PyTorch does."""
    if isinstance(result, tuple):
        return (
            type(result)(*map(_out_to, out, result))
            if hasattr(result, "_fields")
            else tuple(map(_out_to, out, result))
        )
    if not isinstance(out, Tensor):
        raise TypeError(f"argument 'out' must be Tensor, not {type(out).__name__}")
    if result._requires_grad or (out._requires_grad and mode.grad):
        raise RuntimeError(
            "functions with out=... arguments don't support automatic differentiation, "
            "but one of the arguments requires grad."
        )
    if not _dtypes.can_cast(result.dtype, out.dtype):
        raise RuntimeError(
            f"result type {result.dtype} can't be cast to the desired output type {out.dtype}"
        )
    if out._data.shape != result._data.shape:
        if out._data.size:
            raise RuntimeError(
                f"out= has shape {list(out.shape)} but the result has shape {list(result.shape)}; "
                "give an empty tensor or one of the right shape"
            )
        out._data = result._data.astype(out._data.dtype)
    else:
        out._data[...] = result._data
    out._version_cell[0] += 1
    return out


def _spread(function: Callable[..., Any], varargs: str, record: Op) -> Callable[..., Any]:
    """The method form that takes `x.view(2, 3)` as well as `x.view((2, 3))`."""

    def method(self, *args, **kwargs):
        if args:
            first = args[0]
            if (
                len(args) == 1
                and not isinstance(first, int)
                and not (isinstance(first, Tensor) and first._data.ndim == 0)
            ):
                return function(self, first, **kwargs)
            return function(self, args, **kwargs)
        if varargs not in kwargs and record.parameters[0].default is inspect.Parameter.empty:
            return function(self, (), **kwargs)
        return function(self, **kwargs)

    method.__name__ = record.name
    method.__qualname__ = f"Tensor.{record.name}"
    method.__doc__ = function.__doc__
    return method


def is_reflected(dunder: str) -> bool:
    """Whether this is the operator of the right operand: `__rsub__`, but not `__rshift__`."""
    return dunder.startswith("__r") and dunder != "__rshift__"


_NUMERIC = (Tensor, bool, int, float, complex, np.generic, ndarray)


def _operator(record: Op) -> Callable[..., Any]:
    if len(record.inputs) == 1:

        def unary(self):
            return apply_one(record, self, ())

        return unary
    params = tuple(p.default for p in record.parameters)

    def binary(self, other):
        if isinstance(other, _NUMERIC):
            return apply_two(record, self, other, params)
        return NotImplemented

    return binary


def _reflected(record: Op) -> Callable[..., Any]:
    params = tuple(p.default for p in record.parameters)

    def reflected(self, other):
        if isinstance(other, _NUMERIC):
            return apply_two(record, other, self, params)
        return NotImplemented

    return reflected
