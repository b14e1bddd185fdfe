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

What happens in a call is in `_apply`, what a gradient keeps in `_plan`, and how the public
functions are made in `_calls`.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any, Self

import numpy as np

from tensorlab import _dtypes
from tensorlab._apply import SMALL, KernelUnavailable, apply, instead
from tensorlab._backend import backend_of
from tensorlab._calls import is_reflected, make_function, operator, positional, reflected, spread
from tensorlab._plan import INPUT, INPUTS, OUTPUT, SHAPE, SHAPES, Plan
from tensorlab._tensor import Tensor
from tensorlab._unrolled import puller, recorder

#: Every operation by name, in the order of declaration.
OPS: dict[str, Op] = {}

#: Called with each new operation; `tensorlab.autograd` adds the in-place forms this way.
on_register: list[Callable[[Op], None]] = []


class Sample:
    """One call of an operation for the generic tests: `Sample(r(3, 1), r(1, 4), dim=0)`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args = args
        self.kwargs = kwargs
        self.smooth = True
        self.by_value = False

    def kink(self) -> Sample:
        """Mark a call at a point that has no derivative (a tie, a corner, nan).

        Finite differences mean nothing there; the gradient is compared with PyTorch's only.
        """
        self.smooth = False
        return self

    def looks(self) -> Self:
        """Mark an error that only a look at the values tells: on a GPU, which would have to be waited for
        first, nobody looks.
        """
        self.by_value = True
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
    return f"{value.dtype}{list(value.shape)}" if isinstance(value, np.ndarray) else repr(value)


class Op:
    """An operation: its forward, gradient rules, kernels, and what tests need to know.

    Attributes: `name`, `forward(xp, *inputs, *params)`, `inputs` and `params` (names),
    `result` (how the output's dtype follows from the inputs': "same", "float", "bool",
    "int64", or None where the forward decides), `rules` by input name, `joint` rule,
    `kernels` by device type, `small` (an operation of one or two operands asks no kernel about so
    few numbers), `samples`, `errors`, `ref`, `call` (the public function).
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
        simple: bool | None = None,
    ) -> None:
        self.forward = forward
        self.name = name or forward.__name__
        words = "".join(w.title() for w in self.name.split("_"))
        self.backward_name = f"{node_name or words}Backward0"
        self.names: Callable[[Any], str] | None = None  # of single nodes, where they differ
        self.check: Callable[[Any], None] | None = None  # of the operands, before they are promoted
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
            self.forward = positional(forward)
        self.promoted = None if promote is None else tuple(n in promote for n in self.inputs)

        self.rules: dict[str, Callable[..., Any]] = {}
        self.joint: Callable[..., Any] | None = None
        self.kernels: dict[str, Callable[..., Any]] = {}
        self.small = sys.maxsize
        # By the input whose rule they stand in for (None: the joint rule), then by device type.
        self.backward_kernels: dict[str | None, dict[str, Callable[..., Any]]] = {}
        # Of gradients with fewer numbers than these the kernels of an input are not asked.
        self.fewest: dict[str | None, int] = {}
        self.overwriting: set[Callable[..., Any]] = set()  # those of them that take `over`
        self.plans: dict[int, Plan] = {}
        # One plain array out: see `_apply.lane_one`.
        plain = result is not None if simple is None else simple
        self.simple = plain and not (view or variadic or named_tuple or self.promoted)
        self.lane: Callable[..., Any] | None = None
        self.differentiable = 0  # bit i: input i has a rule
        self.call: Callable[..., Any] = forward  # replaced at registration

    def vjp(self, joint: Callable[..., Any] | None = None, /, **rules: Callable[..., Any]) -> None:
        """Declare gradient rules: one per input by name, or one joint rule that returns all.

        Rules of single inputs run in the order in which they are given. The one that is the last to read
        a large value comes first, so that the value is freed before the others make theirs.
        """
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

        def resolve(positions: tuple[int, ...]) -> tuple[int, ...]:
            return tuple(p if p >= -1 else 1 + len(saves) + (~p - 1) for p in positions)

        wanted = [(self.inputs.index(n), rule) for n, rule in self.rules.items()]
        wanted = [(i, rule) for i, rule in wanted if mask >> i & 1 and self.joint is None]
        drafts = [(i, rule, reads(rule)) for i, rule in wanted]
        joint = None if self.joint is None else (self.joint, reads(self.joint))
        for name, kernels in self.backward_kernels.items():
            drafts = [
                (i, _with_kernels(self, rule, kernels) if self.inputs[i] == name else rule, where)
                for i, rule, where in drafts
            ]
            if joint is not None and name is None:
                joint = (_with_kernels(self, joint[0], kernels), joint[1])
        found = Plan(
            tuple(saves),
            tuple((i, rule, resolve(p)) for i, rule, p in drafts),
            None if joint is None else (joint[0], resolve(joint[1])),
            needs,
        )
        if len(wanted) == 1:
            kernels = self.backward_kernels.get(self.inputs[wanted[0][0]], {})
            found.over = not self.overwriting.isdisjoint(kernels.values())
        if not self.variadic:
            found.record = recorder(self, found)
            found.pull = puller(self, found)
        self.plans[mask if not self.variadic else (count << 64) | mask] = found
        return found

    def __repr__(self) -> str:
        return f"<op {self.name}>"


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
    simple: bool | None = None,
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
    simple: whether the result is one new array, though `result` is None (of one operand).
    """

    def declare(forward: Callable[..., Any]) -> Any:
        record = Op(
            forward, name=name, node_name=node_name, result=result, promote=promote, view=view,
            variadic=variadic, inplace=inplace, samples=samples, errors=errors, ref=ref,
            torch=torch, method=method, dunder=dunder, aliases=aliases, named_tuple=named_tuple, simple=simple,
        )  # fmt: skip
        function = make_function(record, record.name, apply)
        function.vjp = record.vjp  # type: ignore[attr-defined]
        record.call = function
        OPS[record.name] = record
        for use in _waiting.pop(record.name, ()):
            use(record)
        if method:
            as_method = function if varargs is None else spread(function, varargs, record)
            for n in (record.name, *aliases):
                setattr(Tensor, n, as_method)
        for n in dunder:
            setattr(
                Tensor,
                n,
                reflected(record)
                if is_reflected(n) and len(record.inputs) == 2
                else operator(record),
            )
        for listener in on_register:
            listener(record)
        return function

    return declare


#: Kernels of operations that are not declared yet: their files are imported when they are needed.
_waiting: dict[str, list[Callable[[Op], None]]] = {}


def _when_declared(name: str, use: Callable[[Op], None]) -> None:
    if name in OPS:
        use(OPS[name])
    else:
        _waiting.setdefault(name, []).append(use)


def register_kernel(
    name: str, kind: str, small: int = SMALL
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Use the decorated function as the fast path of operation `name` on device type `kind`.

    It is called with the arrays and parameters, without `xp`; it may return `NotImplemented`
    to decline a case, or raise `KernelUnavailable`, and the generic forward runs. An operation of
    one or two operands does not even ask on small arrays: those of up to `small` numbers.
    """

    def register(kernel: Callable[..., Any]) -> Callable[..., Any]:
        def use(op: Op) -> None:
            op.kernels[kind] = kernel
            op.small = min(op.small, small)

        _when_declared(name, use)
        return kernel

    return register


def register_backward_kernel(
    name: str, kind: str, input: str | None = None, over: bool = False, fewest: int = 0
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Use the decorated function as the fast path of a gradient rule on arrays of device type `kind`.

    input: the input whose rule it is; None for a joint rule. The kernel takes what the rule takes,
    in the same order, and may return `NotImplemented`. Under `create_graph` gradients are tensors,
    and the rule itself runs.
    over: the kernel also takes a keyword `over`. It is true where nobody else needs the gradient it is
    given: then the result may be written over it, which spares the memory.
    fewest: in plain backward the rule runs, and no kernel is asked, where the gradient has fewer numbers.
    """

    def register(kernel: Callable[..., Any]) -> Callable[..., Any]:
        def use(op: Op) -> None:
            op.backward_kernels.setdefault(input, {})[kind] = kernel
            if over:
                op.overwriting.add(kernel)
            if fewest:
                op.fewest[input] = fewest

        _when_declared(name, use)
        return kernel

    return register


def _with_kernels(
    op: Op, rule: Callable[..., Any], kernels: dict[str, Callable[..., Any]]
) -> Callable[..., Any]:
    """A gradient rule that asks the kernel first, if there is one for the device of the gradients."""

    @functools.wraps(rule)  # the plan reads the rule's parameters
    def run(g: Any, *values: Any, over: bool = False) -> Any:
        first = g[0] if type(g) is tuple else g
        if type(first) is np.ndarray:
            kernel = kernels.get("cpu")
        else:
            kernel = None if isinstance(first, Tensor) else kernels.get(backend_of(first).kind)
        if kernel is not None:
            try:
                if over and kernel in op.overwriting:
                    found = kernel(g, *values, over=True)
                else:
                    found = kernel(g, *values)
            except KernelUnavailable as error:
                found = instead(error)
            if found is not NotImplemented:
                return found
        if _dtypes.narrow is not None:  # the kernel may have been asked about bfloat16
            return rule(*map(_dtypes.narrow.lower, (g, *values)))
        return rule(g, *values)

    run.kernels = kernels  # type: ignore[attr-defined]
    return run
