"""The functions, methods and operators that users call, made from an operation's declaration."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from tensorlab import _dtypes
from tensorlab._apply import OPERANDS, apply, lane_one, lane_two
from tensorlab._backend import is_array, on_device_of
from tensorlab._graph import mode
from tensorlab._tensor import Tensor

if TYPE_CHECKING:
    from tensorlab._op import Op


def positional(forward: Callable[..., Any]) -> Callable[..., Any]:
    """`forward` with its keyword-only parameters taken by position, as `apply` passes them.

    The same code, in which they count among the others: they come right after them anyway.
    """
    code: CodeType = forward.__code__
    code = code.replace(co_argcount=code.co_argcount + code.co_kwonlyargcount, co_kwonlyargcount=0)
    made = FunctionType(code, forward.__globals__, forward.__name__, None, forward.__closure__)
    made.__doc__, made.__module__ = forward.__doc__, forward.__module__
    made.__wrapped__ = forward  # type: ignore[attr-defined]
    return made


# As in PyTorch, NumPy's names are understood too: `x.sum(axis=1, keepdims=True)`.
_NUMPY_NAMES = {"dim": "axis", "keepdim": "keepdims"}


# Compiling is what importing the library spends most of its time on, and operations of the same
# arguments have the same source.
_compiled: dict[str, CodeType] = {}


def make_function(
    record: Op, name: str, run: Callable[..., Any], out: bool = True
) -> Callable[..., Any]:
    """The public function of an operation, with its true signature.

    It is generated, as `dataclasses` generates `__init__`: the arguments then arrive in order
    without any inspection per call, and a wrong keyword is Python's own clear error.
    """
    scope: dict[str, Any] = {"run": run, "record": record, "out_to": out_to}
    lane = lane_of(record) if run is apply else None
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
        call = f"run({', '.join(record.inputs)}, {params})"
    body = f"    return {call}\n"
    if out:
        arguments += ["out=None"] if keyword_only else ["*", "out=None"]
        body = f"    if out is not None:\n        return out_to(out, {call})\n{body}"
    source = f"def function({', '.join(arguments)}):\n{renamed}{body}"
    code = _compiled.get(source)
    if code is None:
        code = _compiled[source] = compile(source, "<tensorlab op>", "exec")
    exec(code, scope)
    function = scope["function"]
    function.__name__ = function.__qualname__ = name
    function.__code__ = function.__code__.replace(
        co_name=name, co_qualname=name, co_filename=f"<tensorlab op {name}>"
    )
    function.__doc__ = record.forward.__doc__
    function.__module__ = record.forward.__module__
    function.op = record
    return function


def out_to(out: Any, result: Any) -> Any:
    """Store a result in the tensors given as `out=`, resizing empty ones, as PyTorch does."""
    if isinstance(result, tuple):
        return (
            type(result)(*map(out_to, out, result))
            if hasattr(result, "_fields")
            else tuple(map(out_to, out, result))
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
        with on_device_of(result._data):
            out._data = result._data.astype(out._data.dtype)
    else:
        with on_device_of(out._data):
            out._data[...] = result._data
    out._version_cell[0] += 1
    return out


def spread(function: Callable[..., Any], varargs: str, record: Op) -> Callable[..., Any]:
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


#: Operations of two operands that give the same either way.
COMMUTATIVE = frozenset({"add", "mul", "bitwise_and", "bitwise_or", "bitwise_xor"})


def is_reflected(dunder: str) -> bool:
    """Whether this is the operator of the right operand: `__rsub__`, but not `__rshift__`."""
    return dunder.startswith("__r") and dunder != "__rshift__"


def lane_of(record: Op) -> Callable[..., Any] | None:
    """The fast way to call an operation that has one; made once for all its public forms."""
    if record.lane is None and record.simple and len(record.inputs) in (1, 2):
        record.lane = (lane_one if len(record.inputs) == 1 else lane_two)(record)
    return record.lane


def operator(record: Op) -> Callable[..., Any]:
    """`Tensor.__mul__` and the like."""
    params = tuple(p.default for p in record.parameters)
    if len(record.inputs) == 1:

        def unary(self):
            return apply(record, (self,), params)

        return _seen_as(unary, lane_one(record)) if record.simple else unary

    def binary(self, other):
        if isinstance(other, OPERANDS) or is_array(other):
            return apply(record, (self, other), params)
        return NotImplemented

    return _seen_as(binary, lane_two(record, params, operator=True)) if record.simple else binary


def _seen_as(shown: Callable[..., Any], lane: Callable[..., Any]) -> Callable[..., Any]:
    """A lane, whose further argument is nobody's business, with the name and signature of `shown`."""
    lane.__name__, lane.__annotations__ = shown.__name__, shown.__annotations__
    lane.__signature__ = inspect.signature(shown)  # type: ignore[attr-defined]
    return lane


def reflected(record: Op) -> Callable[..., Any]:
    """`Tensor.__rmul__` and the like.

    Where the order makes no difference the tensor comes first, as in PyTorch: code that follows
    `grad_fn.next_functions[0]` finds it there.
    """
    params = tuple(p.default for p in record.parameters)
    run_two = lane_of(record) or (lambda x, y, params: apply(record, (x, y), params))
    commutes = record.name in COMMUTATIVE

    def reflected(self, other):
        if isinstance(other, OPERANDS) or is_array(other):
            return run_two(self, other, params) if commutes else run_two(other, self, params)
        return NotImplemented

    return reflected
