"""What `grad_fn` calls a node where PyTorch has several functions for one operation here.

`y.sum()` shows SumBackward0 and `y.sum(0)` SumBackward1: PyTorch numbers the overloads of a function.
A name is asked for when somebody looks at a node, so finding it out costs the operations nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensorlab._graph import Node
from tensorlab._plan import INPUT


def by_parameter(name: str, parameter: int = 0) -> Callable[[Node], str]:
    """Overload 1 if this parameter of the call was given: `y.sum(0)`."""
    return lambda node: f"{name}Backward{int(node.params[parameter] is not None)}"


def by_operand(name: str, operand: int = 1) -> Callable[[Node], str]:
    """Overload 1 if this operand was a tensor and not a number: `y % y`."""
    return lambda node: f"{name}Backward{int(is_tensor(node, operand))}"


def is_tensor(node: Node, operand: int) -> bool:
    """Whether an operand was a tensor, as far as the node still knows it."""
    if node.parents[operand] is not None:
        return True
    return type(_saved(node, operand)) is tuple


def ndim(node: Node, operand: int) -> int | None:
    """The number of dimensions of an operand; None if the node does not know it."""
    parent = node.parents[operand]
    if parent is not None:
        return len(parent[0].shapes[parent[1]])
    saved = _saved(node, operand)
    return saved[0].ndim if type(saved) is tuple else None


def _saved(node: Node, operand: int) -> Any:
    """What the node kept of an operand for its rules, if it did."""
    if node.saved is None or node.plan is None:
        return None
    what = (INPUT, operand)
    return node.saved[node.plan.saves.index(what)] if what in node.plan.saves else None


def power(node: Node) -> str:
    """0 for a number as exponent, 1 for two tensors, 2 for a number as base."""
    if node.parents[0] is None and not is_tensor(node, 0):
        return "PowBackward2"
    return f"PowBackward{int(is_tensor(node, 1))}"


def clamped(node: Node) -> str:
    """0 for tensors as limits, 1 for numbers."""
    return f"ClampBackward{int(not (is_tensor(node, 1) or is_tensor(node, 2)))}"


def squeezed(node: Node) -> str:
    """0 for all dimensions, 1 for one, 2 for several."""
    dim = node.params[0]
    return f"SqueezeBackward{0 if dim is None else 1 if isinstance(dim, int) else 2}"


def product(node: Node) -> str:
    """The product that `@` stands for: of vectors, of matrices, of batches."""
    kinds = ndim(node, 0), ndim(node, 1)
    if None in kinds:
        kinds = {0: (1, 1), 1: (2, 1), 2: (2, 2)}.get(len(node.shapes[0]), (3, 3))
    names = {(1, 1): "Dot", (2, 1): "Mv", (2, 2): "Mm", (1, 2): "Squeeze"}
    name = names.get((kinds[0] or 0, kinds[1] or 0), "UnsafeView")
    return f"{name}Backward{4 if name == 'Squeeze' else 0}"


def layer(node: Node) -> str:
    """A linear layer: one call of addmm for rows, a reshaped one for batches of them."""
    biased = len(node.parents) > 2 and node.parents[2] is not None
    if len(node.shapes[0]) == 2:
        return "AddmmBackward0" if biased else "MmBackward0"
    return "ViewBackward0" if biased else "UnsafeViewBackward0"


def pieces(node: Node) -> str:
    """Pieces of one size, or of a list of sizes."""
    return "SplitBackward0" if isinstance(node.params[0], int) else "SplitWithSizesBackward0"


def indexed(node: Node) -> str:
    """The last step of a basic index, which goes through the dimensions one by one."""
    key = node.params[0]
    last = "Alias"
    for k in key if isinstance(key, tuple) else (key,):
        if k is None:
            last = "Unsqueeze"
        elif isinstance(k, slice):
            whole = k.start in (None, 0) and k.stop is None and k.step in (None, 1)
            last = last if whole and isinstance(key, tuple) and len(key) > 1 else "Slice"
        elif k is not Ellipsis:
            last = "Select"
    return f"{last}Backward0"
