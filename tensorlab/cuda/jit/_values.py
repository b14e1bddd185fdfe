"""The values of a kernel's expressions, for all active lanes of a slot at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorlab.cuda.jit import _program as ir
from tensorlab.cuda.jit._arithmetic import BINARY, COMPARE, MATH
from tensorlab.cuda.jit._lanes import Lanes
from tensorlab.cuda.jit._memory import garbage

if TYPE_CHECKING:
    from tensorlab.cuda.jit._slot import Slot

__all__ = ["evaluate"]


def evaluate(slot: Slot, node: ir.Expr, lanes: Lanes) -> Any:
    """The value for each active lane: an array, or one number that they share."""
    return _VALUES[type(node)](slot, node, lanes)


def _of_lanes(held: Any, lanes: Lanes) -> Any:
    """Of what a variable holds, one element for each lane or one number for all, the lanes' part."""
    return lanes.pick(held) if isinstance(held, np.ndarray) else held


def _const(slot: Slot, node: ir.Const, lanes: Lanes) -> Any:
    return node.dtype.type(node.value)


def _scalar(slot: Slot, node: ir.Scalar, lanes: Lanes) -> Any:
    held = slot.frame.values.get(node.name)
    if held is None:
        held = slot.frame.scalars[node.name]
    return _of_lanes(held, lanes)


def _local(slot: Slot, node: ir.Local, lanes: Lanes) -> Any:
    frame = slot.frame
    held = frame.values.get(node.name)
    if held is None:
        if node.name in frame.scalars:
            return _of_lanes(frame.scalars[node.name], lanes)
        slot.problems.unset(slot.thread, node, lanes, np.ones(lanes.n, bool))
        return garbage(lanes.n, node.dtype)
    if frame.unset and node.name in frame.unset:
        missing = lanes.pick(frame.unset[node.name])
        if missing.any():
            slot.problems.unset(slot.thread, node, lanes, missing)
    return _of_lanes(held, lanes)


def _special_value(slot: Slot, node: ir.Special, lanes: Lanes) -> Any:
    key = (node.name, node.axis)
    found = lanes.kept.get(key)
    if found is None:
        held = slot.special[key]
        found = lanes.kept[key] = _of_lanes(held, lanes)
    return found


def _size(slot: Slot, node: ir.Size, lanes: Lanes) -> Any:
    shape = slot.frame.memories[node.array].shape
    return np.int32(np.prod(shape) if node.axis < 0 else shape[node.axis])


def _binary(slot: Slot, node: ir.Binary, lanes: Lanes) -> Any:
    left, right = evaluate(slot, node.left, lanes), evaluate(slot, node.right, lanes)
    if node.dtype.kind == "f":
        slot.tally.flops += lanes.n
    return BINARY[node.op](left, right)


def _unary(slot: Slot, node: ir.Unary, lanes: Lanes) -> Any:
    value = evaluate(slot, node.value, lanes)
    if node.op == "not":
        return np.logical_not(value)
    return np.negative(value) if node.op == "-" else np.invert(value)


def _compare(slot: Slot, node: ir.Compare, lanes: Lanes) -> Any:
    return COMPARE[node.op](evaluate(slot, node.left, lanes), evaluate(slot, node.right, lanes))


def _logic(slot: Slot, node: ir.Logic, lanes: Lanes) -> Any:
    left = evaluate(slot, node.left, lanes)
    stops = node.op == "or"
    if not isinstance(left, np.ndarray):
        return left if bool(left) == stops else evaluate(slot, node.right, lanes)
    asked = ~left if stops else left
    if not asked.any():
        return left
    if asked.all():
        return evaluate(slot, node.right, lanes)
    out = left.copy()
    out[asked] = evaluate(slot, node.right, lanes.where(asked))
    return out


def _select(slot: Slot, node: ir.Select, lanes: Lanes) -> Any:
    test = evaluate(slot, node.test, lanes)
    if not isinstance(test, np.ndarray) or test.all() or not test.any():
        yes = bool(test.all()) if isinstance(test, np.ndarray) else bool(test)
        return evaluate(slot, node.yes if yes else node.no, lanes)
    out = np.empty(lanes.n, node.dtype)
    out[test] = evaluate(slot, node.yes, lanes.where(test))
    out[~test] = evaluate(slot, node.no, lanes.where(~test))
    return out


def _math(slot: Slot, node: ir.Math, lanes: Lanes) -> Any:
    args = [evaluate(slot, each, lanes) for each in node.args]
    if args[0].dtype.kind == "f":
        slot.tally.flops += lanes.n
    value = MATH[node.name](*args)
    return value if value.dtype == node.dtype else value.astype(node.dtype)


def _cast(slot: Slot, node: ir.Cast, lanes: Lanes) -> Any:
    return evaluate(slot, node.value, lanes).astype(node.dtype)


def _load(slot: Slot, node: ir.Load, lanes: Lanes) -> Any:
    index = tuple([evaluate(slot, each, lanes) for each in node.index])
    return slot.frame.memories[node.array].load(slot, node.site, index, lanes)


def _atomic(slot: Slot, node: ir.Atomic, lanes: Lanes) -> Any:
    index = tuple([evaluate(slot, each, lanes) for each in node.index])
    values = tuple([evaluate(slot, each, lanes) for each in node.values])
    if node.dtype.kind == "f":
        slot.tally.flops += lanes.n
    return slot.frame.memories[node.array].atomic(slot, node, index, values, lanes)


def _shuffle(slot: Slot, node: ir.Shuffle, lanes: Lanes) -> Any:
    value = evaluate(slot, node.value, lanes)
    other = evaluate(slot, node.lane, lanes)
    assert isinstance(node.mask, ir.Const)
    slot.check_mask("shfl", node.line, node.mask.value, lanes)
    held = garbage(slot.width, node.dtype)
    lanes.put(held, value)
    here = lanes.lane & 31
    width = node.width
    first = here // width * width
    if node.kind == "idx":
        source = first + other % width
    elif node.kind == "up":
        source = np.where(here - other >= first, here - other, here)
    elif node.kind == "down":
        source = np.where(here + other < first + width, here + other, here)
    else:
        source = np.where((here ^ other) < first + width, here ^ other, here)
    source = source + (lanes.lane - here)
    active = np.zeros(slot.width, bool)
    lanes.put(active, True)
    silent = ~active[source]
    if silent.any():
        slot.problems.silent_lane(slot.thread, node, lanes, silent, source)
    return held[source]


def _vote(slot: Slot, node: ir.Vote, lanes: Lanes) -> Any:
    if node.kind == "active":
        return lanes.bits[lanes.warp]
    assert node.value is not None
    assert isinstance(node.mask, ir.Const)
    yes = np.broadcast_to(evaluate(slot, node.value, lanes), lanes.n)
    slot.check_mask(f"{node.kind}_sync", node.line, node.mask.value, lanes)
    mask = np.uint32(node.mask.value)
    found = lanes.gather_bits(yes) & mask
    if node.kind == "any":
        found = found != 0
    elif node.kind == "all":
        found = found == lanes.bits & mask
    return found[lanes.warp]


def _call(slot: Slot, node: ir.Call, lanes: Lanes) -> Any:
    return slot.call(node, lanes)


_VALUES: dict[type, Callable[[Slot, Any, Lanes], Any]] = {
    ir.Const: _const,
    ir.Scalar: _scalar,
    ir.Local: _local,
    ir.Special: _special_value,
    ir.Size: _size,
    ir.Binary: _binary,
    ir.Unary: _unary,
    ir.Compare: _compare,
    ir.Logic: _logic,
    ir.Select: _select,
    ir.Math: _math,
    ir.Cast: _cast,
    ir.Load: _load,
    ir.Atomic: _atomic,
    ir.Shuffle: _shuffle,
    ir.Vote: _vote,
    ir.Call: _call,
}
