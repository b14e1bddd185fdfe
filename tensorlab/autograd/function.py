"""User-defined operations: `Function` with a `forward` and a `backward` of its own."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any
from weakref import ref

from tensorlab._graph import Node, leaf_node, mode, on_record
from tensorlab._op import Op
from tensorlab._plan import RECORDS, Plan
from tensorlab._tensor import Tensor, wrap
from tensorlab._view_history import current_history
from tensorlab.autograd.mode import no_grad
from tensorlab.autograd.saved import Packed


class FunctionCtx:
    """What `forward` hands to `backward`: saved tensors and any attribute the user sets."""

    def __init__(self) -> None:
        self.needs_input_grad: tuple[bool, ...] = ()
        self._to_save: tuple[Any, ...] = ()
        self._node: Any = None
        self._non_differentiable: set[int] = set()
        self._dirty: tuple[Tensor, ...] = ()
        self._materialize = True
        self._shapes: tuple[tuple[int, ...] | None, ...] = ()  # of the inputs that need gradients

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep input or output tensors for `backward`; call it at most once, in `forward`."""
        for t in tensors:
            if t is not None and not isinstance(t, Tensor):
                raise TypeError(
                    f"save_for_backward can only save variables, but argument is of type {type(t).__name__}; "
                    "set other values as attributes of ctx"
                )
        self._to_save = tensors

    def _keep(self, node: Node, inputs: tuple[Any, ...], outputs: tuple[Any, ...]) -> None:
        """Turn the saved tensors into records that do not own them: an output owns this node."""
        records = []
        for t in self._to_save:
            if t is None:
                records.append(None)
                continue
            output = next((i for i, o in enumerate(outputs) if o is t), None)
            is_input = any(x is t for x in inputs)
            if output is not None and not is_input:
                edge = ("output", output)
            else:
                edge = (t._node or leaf_node(t), t._index) if t._requires_grad else None
            records.append((t._data, t._version_cell, t._version, edge))
        self._to_save = ()
        self._node = ref(node)
        node.saved = (tuple(records),)

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """The saved tensors; `RuntimeError` if one was changed in place or the graph was freed."""
        if self._node is None:
            return self._to_save
        node = self._node()
        if node is None or node.saved is None:
            raise RuntimeError(
                "Trying to backward through the graph a second time (or directly access saved tensors "
                "after they have already been freed). Specify retain_graph=True if you need that."
            )
        return tuple(None if r is None else self._restore(r) for r in node.saved[0])

    def _restore(self, record: tuple[Any, list[int], int, Any]) -> Tensor:
        array, cell, version, edge = record
        if type(array) is Packed:
            array, version = array.unpack(), array.version
        if cell[0] != version:
            raise RuntimeError(
                "one of the variables needed for gradient computation has been modified by an inplace "
                f"operation: a saved tensor of shape {list(array.shape)} is at version {cell[0]}; expected "
                f"version {version} instead. Hint: clone() it before changing it."
            )
        out = wrap(array)
        out._version_cell = cell
        if edge is not None:
            node = self._node() if edge[0] == "output" else edge[0]
            if node is not None and array.dtype.kind in "fcV":
                out._node, out._index, out._requires_grad = node, edge[1], True
        return out

    def mark_non_differentiable(self, *outputs: Tensor) -> None:
        """Say which outputs carry no gradient (indices, say)."""
        self._non_differentiable = {id(t) for t in outputs}

    def mark_dirty(self, *inputs: Tensor) -> None:
        """Say which inputs `forward` changed in place and returns."""
        self._dirty = inputs

    def set_materialize_grads(self, value: bool) -> None:
        """Whether the gradient of an unused output comes as zeros (default) or as None."""
        self._materialize = value


class Function:
    """Base of user-defined differentiable operations. Subclass it and call `apply`.

    >>> import tensorlab
    >>> class Square(tensorlab.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x
    ...     @staticmethod
    ...     def backward(ctx, grad):
    ...         (x,) = ctx.saved_tensors
    ...         return 2 * x * grad
    >>> x = tensorlab.tensor([3.0], requires_grad=True)
    >>> Square.apply(x).backward()
    >>> x.grad
    tensor([6.])
    """

    @staticmethod
    def forward(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs. To be defined by the subclass."""
        raise NotImplementedError(  # the contract of PyTorch's class
            "You must implement the forward function for custom autograd.Function."
        )

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Return one gradient (or None) per argument of `forward`. To be defined by the subclass."""
        raise NotImplementedError(
            "You must implement the backward function for your custom autograd.Function to use it "
            "in a graph."
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Fill `ctx` after a `forward` that takes no ctx itself. Optional."""

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Run `forward` and record this function in the graph."""
        for a in args:
            if isinstance(a, Tensor) and a._view is not None:
                current_history(a)
        ctx = FunctionCtx()
        ctx.needs_input_grad = tuple(isinstance(a, Tensor) and a._requires_grad for a in args)
        ctx._shapes = tuple(
            a._data.shape if need else None
            for a, need in zip(args, ctx.needs_input_grad, strict=True)
        )
        recording, mode.grad = mode.grad, False
        try:
            if cls.setup_context is Function.setup_context:
                outputs = cls.forward(ctx, *args)
            else:
                outputs = cls.forward(*args)
                cls.setup_context(ctx, args, outputs)
        finally:
            mode.grad = recording
        if not (recording and any(ctx.needs_input_grad)):
            return outputs
        return cls._record(ctx, args, outputs)

    @classmethod
    def _record(cls, ctx: FunctionCtx, args: tuple[Any, ...], outputs: Any) -> Any:
        many = isinstance(outputs, tuple)
        given = outputs if many else (outputs,)
        results = []
        inputs = {id(a) for a in args if isinstance(a, Tensor)}
        for t in given:
            dirty = any(t is d for d in ctx._dirty)
            # An input that is returned unchanged must not get this node as its own history.
            results.append(
                t.detach() if isinstance(t, Tensor) and id(t) in inputs and not dirty else t
            )
        tensors = [t for t in results if isinstance(t, Tensor)]
        parents = tuple(
            (a._node or leaf_node(a), a._index) if need else None
            for a, need in zip(args, ctx.needs_input_grad, strict=True)
        )
        node = Node(
            cls._op(), parents, Plan(((RECORDS, 0),), (), (_backward_rule, (0, 2, 3)), ctx.needs_input_grad),
            (), (ctx, cls), tuple(t._data.shape for t in tensors), tuple(t._data.dtype for t in tensors),
        )  # fmt: skip
        for i, t in enumerate(tensors):
            if t._data.dtype.kind in "fcV" and id(given[i]) not in ctx._non_differentiable:
                t._node, t._index, t._requires_grad = node, i, True
                if any(t is d for d in ctx._dirty):
                    t._version_cell[0] += 1
        ctx._keep(node, args, given)
        for listener in on_record:
            listener(node)
        return tuple(results) if many else results[0]

    @classmethod
    def _op(cls) -> Op:
        found = cls.__dict__.get("_op_record")
        if found is None:
            found = Op(_no_forward, name=cls.__name__)
            found.backward_name = f"{cls.__name__}Backward"
            cls._op_record = found  # type: ignore[attr-defined]
        return found


class _DifferentiatedOnce(Function):
    """Passes gradients through, and refuses to be differentiated."""

    @staticmethod
    def forward(ctx: Any, *grads: Any) -> Any:
        return tuple(None if g is None else g.detach() for g in grads)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        raise RuntimeError(
            "trying to differentiate twice a function that was marked with @once_differentiable: "
            "its backward is not made of recorded operations"
        )


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a Function's `backward` as one that cannot be differentiated itself.

    It then runs without recording, and may compute with NumPy; a double backward through it
    raises `RuntimeError` rather than give wrong second derivatives. Write it below `@staticmethod`.

    >>> import numpy, tensorlab
    >>> from tensorlab.autograd.function import once_differentiable
    >>> class Cube(tensorlab.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x**3
    ...     @staticmethod
    ...     @once_differentiable
    ...     def backward(ctx, grad):
    ...         (x,) = ctx.saved_tensors
    ...         return tensorlab.from_numpy(3 * numpy.square(x.numpy())) * grad
    >>> x = tensorlab.tensor([2.0], requires_grad=True)
    >>> Cube.apply(x).backward()
    >>> x.grad
    tensor([12.])
    """

    @functools.wraps(backward)
    def wrapper(ctx: Any, *grads: Any) -> Any:
        with no_grad():
            out = backward(ctx, *grads)
        if not mode.grad or not any(isinstance(g, Tensor) and g.requires_grad for g in grads):
            return out
        outs = out if isinstance(out, tuple) else (out,)
        marked = _DifferentiatedOnce.apply(
            *(g.detach().requires_grad_() if isinstance(g, Tensor) else g for g in outs)
        )
        return marked if isinstance(out, tuple) else marked[0]

    return wrapper


def _no_forward(xp: Any, /) -> Any:
    """A user function is recorded by `Function.apply`; nothing else calls it."""
    raise TypeError("call the Function's apply method")


def _backward_rule(g: Any, ctx: FunctionCtx, cls: type[Function]) -> tuple[Any, ...]:
    """Run the user's `backward` on tensors, and give the engine what it works in."""
    grads = g if isinstance(g, tuple) else (g,)
    raw = not any(isinstance(x, Tensor) for x in grads)
    out = cls.backward(ctx, *(x if x is None or isinstance(x, Tensor) else wrap(x) for x in grads))
    out = out if isinstance(out, tuple) else (out,)
    count = len(ctx.needs_input_grad)
    if len(out) > count and all(x is None for x in out[count:]):
        out = out[:count]
    if len(out) != count:
        raise RuntimeError(
            f"function {cls.__name__}Backward returned an incorrect number of gradients "
            f"(expected {count}, got {len(out)})"
        )
    for x in out:
        if x is not None and not isinstance(x, Tensor):
            raise TypeError(
                f"function {cls.__name__}Backward: expected a Tensor or None as gradient, got {type(x).__name__}"
            )
    _check_shapes(cls, ctx, out)
    return tuple(x._data if raw and x is not None else x for x in out)


def _check_shapes(cls: type[Function], ctx: FunctionCtx, grads: tuple[Any, ...]) -> None:
    """A gradient has the shape of its argument, or one that sums to it as broadcasting's gradients do."""
    for i, (x, shape) in enumerate(zip(grads, ctx._shapes, strict=True)):
        if x is None or shape is None or x._data.shape == shape:
            continue
        given = x._data.shape
        missing = len(given) - len(shape)
        if missing < 0 or any(m not in (1, n) for m, n in zip(shape, given[missing:], strict=True)):
            raise RuntimeError(
                f"Function {cls.__name__}Backward returned an invalid gradient at index {i} - got {list(given)} "
                f"but expected shape compatible with {list(shape)}: backward has to return, for each argument "
                "of forward, a gradient of its shape"
            )
