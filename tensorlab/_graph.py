"""The records that autograd is made of, and the switch that turns recording on and off.

A `Node` says: this operation ran, on these parents, and kept these values for its gradient
rule. It is plain data. `_apply` writes nodes; the engine, the inspectors and the tests
read the same records.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import ref

if TYPE_CHECKING:
    from tensorlab._op import Op
    from tensorlab._tensor import Tensor

# Creation order is a topological order: a node is made after every node it depends on.
next_number = itertools.count().__next__


class Node:
    """One recorded operation, or one leaf that collects a gradient.

    Attributes
    ----------
    op: the operation; None for a leaf.
    parents: for each tensor input `(node, output_index)`, or None where no gradient flows.
    seq: creation number; sorting by it is a topological order.
    plan: which gradient rules run and what they read; chosen by which inputs need gradients.
    saved: what the rules need, in the order of `plan.saves`; None after the graph was freed.
        An array is kept as `(array, version_counter, version)`, so that the engine notices when it
        was changed. The tensor itself is not kept: it may own this very node, and the cycle would
        hold memory until the garbage collector ran. Its history is among the parents.
    params: the call's parameters (`dim`, `keepdim`, …) as a tuple in the op's order.
    shapes, dtypes: of each output, or of the leaf.
    hooks: None, or what must run when gradients arrive here (see `autograd.hooks`).
    metadata: None, or a dict of what observers noted, such as the line that made the node.
    leaf_ref: for a leaf that collects a gradient, a weak reference to its tensor.
    """

    __slots__ = (
        "__weakref__",
        "dtypes",
        "hooks",
        "leaf_ref",
        "metadata",
        "op",
        "params",
        "parents",
        "plan",
        "saved",
        "seq",
        "shapes",
    )
    op: Op | None
    parents: tuple[tuple[Node, int] | None, ...]
    saved: tuple[Any, ...] | None
    hooks: Any
    leaf_ref: ref[Tensor] | None
    metadata: dict[str, Any] | None

    def __init__(
        self,
        op: Op | None,
        parents: tuple[tuple[Node, int] | None, ...],
        plan: Any,
        saved: tuple[Any, ...],
        params: tuple[Any, ...],
        shapes: tuple[tuple[int, ...], ...],
        dtypes: tuple[Any, ...],
    ) -> None:
        self.op = op
        self.parents = parents
        self.plan = plan
        self.saved = saved
        self.params = params
        self.shapes = shapes
        self.dtypes = dtypes
        self.hooks = None
        self.leaf_ref = None
        self.metadata = None
        self.seq = next_number()

    def name(self) -> str:
        """PyTorch's name of the node: `MulBackward0`, or `AccumulateGrad` for a leaf."""
        op = self.op
        if op is None:
            return "AccumulateGrad"
        return op.backward_name if op.names is None else op.names(self)

    def saved_arrays(self) -> list[Any]:
        """The arrays kept for the gradient rules."""
        found = []
        for value in self.saved or ():
            entries = (
                value if type(value) is tuple and value and type(value[0]) is tuple else (value,)
            )
            found += [
                e[0] for e in entries if type(e) is tuple and len(e) > 2 and type(e[1]) is list
            ]
        return found

    def leaf(self) -> Tensor | None:
        """The leaf tensor this node collects for; None for an operation or a leaf that is gone."""
        return None if self.leaf_ref is None else self.leaf_ref()

    @property
    def variable(self) -> Tensor:
        """The leaf tensor, as PyTorch's AccumulateGrad has it."""
        found = self.leaf()
        if found is None:
            raise AttributeError(f"{self.name()} has no attribute 'variable'")
        return found

    @property
    def next_functions(self) -> tuple[tuple[Node | None, int], ...]:
        """The nodes this one passes gradients to, in PyTorch's form."""
        return tuple((None, 0) if p is None else (named(p[0]), p[1]) for p in self.parents)

    def register_hook(self, hook: Any) -> Any:
        """Run `hook(grad_inputs, grad_outputs)` after this node; it may return new grad_inputs."""
        from tensorlab.autograd.hooks import node_hooks

        return node_hooks(self).add_post(hook)

    def register_prehook(self, hook: Any) -> Any:
        """Run `hook(grad_outputs)` before this node; it may return new grad_outputs."""
        from tensorlab.autograd.hooks import node_hooks

        return node_hooks(self).add_pre(hook)

    def __repr__(self) -> str:
        return f"<{self.name()}>"


_classes: dict[str, type[Node]] = {}


def named(node: Node) -> Node:
    """The node as PyTorch shows it: an object of a class that has its name, such as `MulBackward0`.

    Nodes are made as plain `Node`s, which is cheaper; one that is looked at gets its class then.
    """
    if type(node) is Node:
        name = node.name()
        found = _classes.get(name)
        if found is None:
            found = _classes[name] = type(name, (Node,), {"__slots__": (), "__module__": __name__})
        node.__class__ = found
    return node


def leaf_node(tensor: Tensor) -> Node:
    """The node that collects `tensor.grad`, made on first use.

    It refers to the tensor weakly: the tensor owns the node, not the other way round. A view that
    requires grad only because its base does (made under `no_grad`) collects nothing: its node has
    no tensor and is not kept.
    """
    array = tensor._data
    node = Node(None, (), None, (), (), (array.shape,), (array.dtype,))
    view = tensor._view
    if view is None or view.own_flag:
        node.leaf_ref = ref(tensor)
        tensor._node = node
    return node


def leaf_edge(tensor: Tensor) -> tuple[Node, int] | None:
    """Where the gradient of a leaf goes: to its node; nowhere if it collects nothing."""
    node = leaf_node(tensor)
    return None if node.leaf_ref is None else (node, 0)


def move_retained(old: Node | None, index: int, new: Node, new_index: int) -> None:
    """When a write gave a tensor another node, what `retain_grad` asked for is wanted from that one."""
    if old is None or old.hooks is None or index not in old.hooks.retain:
        return
    if new.hooks is None:
        new.hooks = type(old.hooks)()
    new.hooks.retain[new_index] = old.hooks.retain.pop(index)


class _Mode(threading.local):
    grad = True


mode = _Mode()

#: Called with each new node. Almost always empty: `detect_anomaly` notes where nodes come from,
#: and `saved_tensors_hooks` puts away what they saved.
on_record: list[Callable[[Node], None]] = []
