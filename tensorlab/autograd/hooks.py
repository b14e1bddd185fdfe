"""Functions that users hang into the backward pass: on tensors, on nodes, after accumulation."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from tensorlab._graph import Node, leaf_node
from tensorlab._handles import RemovableHandle
from tensorlab._tensor import Tensor, wrap
from tensorlab._view_history import current_history

HookDict = OrderedDict[int, Callable[..., Any]]


def _add(hooks: HookDict, hook: Callable[..., Any]) -> RemovableHandle:
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    return handle


class Hooks:
    """All hooks of one node. The engine calls `before`, `after` and `accumulated`."""

    __slots__ = ("accumulate", "multi", "post", "pre", "retain", "tensor")

    def __init__(self) -> None:
        self.tensor: dict[int, HookDict] = {}  # by output index
        self.retain: dict[int, Any] = {}  # weak references to tensors, by output index
        self.pre: HookDict = OrderedDict()
        self.post: HookDict = OrderedDict()
        self.accumulate: HookDict = OrderedDict()

    def add_pre(self, hook: Callable[..., Any]) -> RemovableHandle:
        return _add(self.pre, hook)

    def add_post(self, hook: Callable[..., Any]) -> RemovableHandle:
        return _add(self.post, hook)

    def before(self, received: list[Any]) -> list[Any]:
        """Run tensor hooks on the gradient of each output, then the node's pre-hooks."""
        received = list(received)
        for index, hooks in self.tensor.items():
            if received[index] is not None:
                for hook in tuple(hooks.values()):
                    received[index] = _call(hook, received[index])
        for index, reference in self.retain.items():
            tensor, g = reference(), received[index]
            if tensor is not None and g is not None:
                new = g if isinstance(g, Tensor) else wrap(g.copy())
                tensor._grad = new if tensor._grad is None else tensor._grad + new
        for hook in tuple(self.pre.values()):
            received = _call_many(hook, received)
        return received

    def after(self, grads: list[Any], received: list[Any]) -> list[Any]:
        """Run the node's post-hooks on the gradients it passes on."""
        for hook in tuple(self.post.values()):
            grads = _call_many(hook, grads, received)
        return grads

    def accumulated(self, leaf: Tensor) -> None:
        """Run the leaf's post-accumulation hooks."""
        for hook in tuple(self.accumulate.values()):
            if hook(leaf) is not None:
                raise RuntimeError("post accumulate grad hooks should return None.")


def node_hooks(node: Node) -> Hooks:
    """The hooks of a node, made on first use."""
    if node.hooks is None:
        node.hooks = Hooks()
    return node.hooks


def _wrapped(g: Any) -> Any:
    return g if g is None or isinstance(g, Tensor) else wrap(g)


def _like(new: Any, old: Any) -> Any:
    """What a hook returned, in the form the engine works in: an array, or a tensor."""
    if not isinstance(new, Tensor):
        raise TypeError(f"expected a hook to return a Tensor or None, got {type(new).__name__}")
    return new if isinstance(old, Tensor) else new._data


def _call(hook: Callable[..., Any], g: Any) -> Any:
    new = hook(_wrapped(g))
    if new is None:
        return g
    shape = new.shape if isinstance(new, Tensor) else None
    if shape is not None and shape != g.shape:
        raise RuntimeError(
            f"hook '{getattr(hook, '__name__', hook)}' has changed the size of value: "
            f"expected {list(g.shape)}, got {list(shape)}"
        )
    return _like(new, g)


def _call_many(hook: Callable[..., Any], grads: list[Any], *others: list[Any]) -> list[Any]:
    new = hook(tuple(map(_wrapped, grads)), *(tuple(map(_wrapped, o)) for o in others))
    if new is None:
        return grads
    new = (new,) if isinstance(new, Tensor) else tuple(new)
    if len(new) != len(grads):
        raise RuntimeError(
            f"hook '{getattr(hook, '__name__', hook)}' has returned an incorrect number of values: "
            f"expected {len(grads)}, got {len(new)}"
        )
    return [
        n if n is None else _like(n, o if o is not None else n)
        for n, o in zip(new, grads, strict=True)
    ]


def register_hook(self: Tensor, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
    """Run `hook(grad)` whenever this tensor's gradient is computed; it may return another one.

    Returns a handle; `handle.remove()` takes the hook off. The hook must not change its
    argument in place. Raises `RuntimeError` if the tensor does not require grad.

    >>> import tensorlab
    >>> x = tensorlab.ones(2, requires_grad=True)
    >>> handle = x.register_hook(lambda g: g * 10)
    >>> (x * 3).sum().backward()
    >>> x.grad
    tensor([30., 30.])
    """
    hooks = node_hooks(_history(self, "register a hook on"))
    return _add(hooks.tensor.setdefault(self._index, OrderedDict()), hook)


def register_post_accumulate_grad_hook(
    self: Tensor, hook: Callable[[Tensor], None]
) -> RemovableHandle:
    """Run `hook(tensor)` each time `backward` has added to this leaf's `.grad`.

    Raises `RuntimeError` if the tensor is not a leaf that requires grad.
    """
    node = _history(self, "register a hook on")
    if node.op is not None:
        raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    return _add(node_hooks(node).accumulate, hook)


def retain_grad(self: Tensor) -> None:
    """Make `backward` keep this non-leaf tensor's gradient in `.grad`; no effect on a leaf.

    Raises `RuntimeError` if the tensor does not require grad.
    """
    from weakref import ref

    if self.requires_grad and (self._node is None or self._node.op is None):
        return  # a leaf; its history, if it is a view, may be open, and nobody asks
    node = _history(self, "retain_grad on")
    if node.op is not None:
        node_hooks(node).retain[self._index] = ref(self)


def retains_grad(self: Tensor) -> bool:
    """Whether `retain_grad` was called on this non-leaf tensor."""
    node = self._node
    return (
        node is not None
        and node.op is not None
        and node.hooks is not None
        and self._index in node.hooks.retain
    )


def _history(tensor: Tensor, what: str) -> Node:
    if tensor._view is not None:
        current_history(tensor)
    if not tensor._requires_grad:
        raise RuntimeError(f"cannot {what} a tensor that doesn't require gradient")
    return tensor._node or leaf_node(tensor)


Tensor.register_hook = register_hook  # type: ignore[attr-defined]
Tensor.register_post_accumulate_grad_hook = register_post_accumulate_grad_hook  # type: ignore[attr-defined]
Tensor.retain_grad = retain_grad  # type: ignore[attr-defined]
Tensor.retains_grad = property(retains_grad)  # type: ignore[attr-defined]
