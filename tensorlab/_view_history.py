"""How views came from their bases, and how their history follows when somebody writes to the memory."""

from __future__ import annotations

from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from tensorlab._graph import mode, move_retained
from tensorlab._layout import address

# `_tensor.Tensor`, which is written with this file: a type checker sees it in the stub only, and
# takes that for another class.
Tensor = Any

# One step from a base to its view: an operation, its parameters, and which output if it has several.
Step = tuple[Any, tuple[Any, ...], "int | None"]


class View(NamedTuple):
    """How a view came from its base: applying `steps` to the base gives the view again.

    `version` is the storage's version when the view's history was last known to be right: when it
    has another one, somebody wrote to the base or to another view of it.
    """

    base: Tensor
    steps: tuple[Step, ...]
    version: int
    origin: str = ""  # MULTI or NO_GRAD, which make writing under autograd ambiguous
    own_flag: bool = False  # whether the user called requires_grad_() on the view itself


MULTI = "one of several outputs of split, unbind or chunk"
NO_GRAD = "made under no_grad"


def view_requires_grad(tensor: Tensor) -> bool:
    """Whether a view requires grad: by its own history, its own flag, or because its base does."""
    view, node = tensor._view, tensor._node
    assert view is not None
    return view.base._requires_grad or view.own_flag or (node is not None and node.op is not None)


def current_history(tensor: Tensor) -> None:
    """Bring the history of a view up to date with its base.

    When somebody wrote to the base, or to another view of it, the view's node is stale: it is made
    again by replaying the view's steps on the base as it is now. `RuntimeError` if the way in which
    the view was made leaves open what its history should be.
    """
    view = tensor._view
    assert view is not None
    base = view.base
    if not (base._requires_grad or tensor._requires_grad):
        return
    tensor._requires_grad = view_requires_grad(tensor)
    version = tensor._version_cell[0]
    if view.version == version or not tensor._requires_grad:
        return
    is_leaf = tensor._node is None or tensor._node.op is None
    if is_leaf and not base._requires_grad:
        return  # a leaf of its own
    if view.origin:
        raise RuntimeError(overtaken_view(tensor, "its base or another view of its base has been"))
    if not base._requires_grad:
        return  # made from such a leaf: the base has no history to follow
    recording, mode.grad = mode.grad, True
    try:
        fresh = replay(base, view.steps)
    except (RuntimeError, ValueError, IndexError):
        if reshaped.get(id(base)) is base:
            raise RuntimeError(_reshaped_base(base)) from None
        raise
    finally:
        mode.grad = recording
    if reshaped.get(id(base)) is base and _place(fresh._data) != _place(tensor._data):
        raise RuntimeError(_reshaped_base(base))
    if fresh._node is not None:
        move_retained(tensor._node, tensor._index, fresh._node, fresh._index)
    tensor._node, tensor._index = fresh._node, fresh._index
    tensor._requires_grad = fresh._requires_grad or view.own_flag
    tensor._view = view._replace(version=version)


#: By their ids, the tensors of which `t_`, `squeeze_` or the like changed what they show of their memory.
reshaped: WeakValueDictionary[int, Tensor] = WeakValueDictionary()


def _place(array: Any) -> tuple[Any, ...]:
    return address(array), array.shape, array.strides


def _reshaped_base(base: Tensor) -> str:
    """Why a view can't be made again from a base that is no longer what it was made from."""
    return (
        f"the base of a view was given another shape in place (it has {list(base.shape)} now), and then written to: "
        "what the view's gradient is can't be told. Use x = x.t(), x.squeeze() and so on instead of the in-place "
        "form, or make the view afterwards"
    )


def overtaken_view(tensor: Tensor, what: str) -> str:
    """Why a view made by `unbind`, or under `no_grad`, cannot be followed through a write."""
    view = tensor._view
    assert view is not None
    if view.origin == MULTI:
        return (
            f"Output {tensor._index} of {view.steps[-1][0].backward_name} is a view and {what} modified inplace. "
            "This view is the output of a function that returns multiple views. Such functions do not allow "
            "the output views to be modified inplace. You should replace the inplace operation by an "
            "out-of-place one."
        )
    return (
        f"A view was created in no_grad mode and {what} modified inplace with grad mode enabled. "
        "It is not clear whether the change should be recorded: move both the view and the inplace "
        "operation into the no_grad block (if it should not be), or both out of it (if it should)."
    )


def replay(base: Any, steps: tuple[Step, ...]) -> Any:
    """Apply the steps of a view to a tensor or an array of the base's shape."""
    for op, params, output in steps:
        base = op.call(base, *params)
        if output is not None:
            base = base[output]
    return base
