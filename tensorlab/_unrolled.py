"""A plan, unrolled into straight-line Python: what it records, and how its rules are run.

Recording a node and running its rules happen once for each operation of a program, and most
operations are small: what they cost is the loops around the arithmetic, over inputs, saved values
and rules, whose outcome the plan knows beforehand. So the two functions are written out for each
plan when it is first used, as `dataclasses` writes `__init__`. For `mul`, of which both inputs need
gradients, they are

    def record(x0, x1, a0, a1, params, out, cell):
        node = new(Node)
        node.op, node.plan, node.params = op, plan, params
        node.shapes, node.dtypes = (out.shape,), (out.dtype,)
        node.hooks = node.leaf_ref = node.metadata = None
        n = x0._node
        e0 = leaf_edge(x0) if n is None else (n, x0._index)
        n = x1._node
        e1 = leaf_edge(x1) if n is None else (n, x1._index)
        node.parents = (e0, e1)
        node.seq = next_number()
        c1 = x1._version_cell
        s0 = (a1, c1, c1[0])
        c0 = x0._version_cell
        s1 = (a0, c0, c0[0])
        node.saved = (s0, s1)
        for listener in on_record:
            listener(node)
        return node

    def pull(node, g, keep, over):
        if node.saved is None:
            return None
        s0, s1 = node.saved
        …                              # s0 and s1: the arrays, checked to be unchanged
        if not keep:
            node.saved = None
        g0 = rule0(g, s0)
        del s0
        g1 = rule1(g, s1)
        return g0, g1

`tensorlab._apply.record` and the engine's `_read` and `_apply_rules` say the same with loops, for
every operation: those with several outputs or any number of inputs, tensors as gradients, hooks and
observers. `pull` returns None when a saved value is gone or not as it was left, and the engine goes
that way. A value that no further rule reads is let go before the next one makes its gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import unwrap
from typing import TYPE_CHECKING, Any

from tensorlab._graph import Node, leaf_edge, next_number, on_record
from tensorlab._plan import INPUT, OUTPUT, Plan
from tensorlab._tensor import Tensor

if TYPE_CHECKING:
    from tensorlab._op import Op


def recorder(op: Op, plan: Plan) -> Callable[..., Node]:
    """`record(*tensors, *arrays, params, out, version_cell)`: the node of one call with one output."""
    count = len(plan.needs)
    lines = [
        "node = new(Node)",
        "node.op, node.plan, node.params = op, plan, params",
        "node.shapes, node.dtypes = (out.shape,), (out.dtype,)",
        "node.hooks = node.leaf_ref = node.metadata = None",
    ]
    edges = ["None"] * count
    for i, need in enumerate(plan.needs):
        if need:
            lines.append(f"n = x{i}._node")
            lines.append(f"e{i} = leaf_edge(x{i}) if n is None else (n, x{i}._index)")
            edges[i] = f"e{i}"
    # The number comes after those of leaves that are first used here.
    lines += [f"node.parents = {_tuple(edges)}", "node.seq = next_number()"]
    for j, (what, i) in enumerate(plan.saves):
        if what == OUTPUT:
            lines.append(f"s{j} = (out, cell, cell[0])")
        elif what == INPUT:
            kept = [f"c{i} = x{i}._version_cell", f"s{j} = (a{i}, c{i}, c{i}[0])"]
            if plan.needs[i]:
                lines += kept
            else:  # it may be a number, or None
                lines += [
                    f"s{j} = a{i}",
                    f"if isinstance(x{i}, Tensor):",
                    *(f"    {k}" for k in kept),
                ]
        else:
            lines.append(f"s{j} = getattr(a{i}, 'shape', ())")
    lines += [
        f"node.saved = {_tuple(f's{j}' for j in range(len(plan.saves)))}",
        "if on_record:",
        "    for listener in on_record:",
        "        listener(node)",
        "return node",
    ]
    inputs = [f"x{i}" for i in range(count)] + [f"a{i}" for i in range(count)]
    scope = {
        "Node": Node,
        "Tensor": Tensor,
        "leaf_edge": leaf_edge,
        "new": object.__new__,
        "next_number": next_number,
        "on_record": on_record,
        "op": op,
        "plan": plan,
    }
    return _compiled("record", [*inputs, "params", "out", "cell"], lines, scope)


def puller(op: Op, plan: Plan) -> Callable[..., Any]:
    """`pull(node, g, keep, over)`: the gradient of each input; None if a saved value was changed.

    What the node saved is freed, unless it is to `keep` it. over: whether a kernel may write over `g`.
    """
    scope: dict[str, Any] = {"needs": plan.needs}
    values = [f"s{j}" for j in range(len(plan.saves))]
    lines = ["if node.saved is None:", "    return None"] if plan.guards else []
    if values:
        lines.append(f"{_tuple(values)} = node.saved")
    for value, (what, _) in zip(values, plan.saves, strict=True):
        if what in (INPUT, OUTPUT):
            unpack = [f"{value}, cell, version = {value}", "if cell[0] != version:", "    return None"]  # fmt: skip
            if what == INPUT:
                lines.append(f"if type({value}) is tuple:")
                unpack = [f"    {line}" for line in unpack]
            lines += unpack
    if plan.guards:
        lines += ["if not keep:", "    node.saved = None"]
    names = ["g", *values, *(f"node.params[{k}]" for k in range(len(op.params)))]

    def call(name: str, rule: Callable[..., Any], positions: tuple[int, ...]) -> str:
        scope[name] = rule
        return f"{name}({', '.join('needs' if p < 0 else names[p] for p in positions)})"

    if plan.joint is not None:
        rule, positions = plan.joint
        scope["check"] = check_count
        lines.append(f"return check({call('rule', rule, positions)}, needs)")
    else:
        gradients = ["None"] * len(plan.needs)
        for at, (i, rule, positions) in enumerate(plan.rules):
            gradients[i] = f"g{i}"
            found = call(f"rule{i}", rule, positions)
            if plan.over:
                found = f"{found[:-1]}, over=over)"
            fewest = op.fewest.get(op.inputs[i])
            if fewest:  # the rule that the one with kernels was made of
                few = call(f"few{i}", unwrap(rule), positions)
                found = f"{few} if g.size < {fewest} else {found}"
            lines.append(f"g{i} = {found}")
            later = {p for _, _, others in plan.rules[at + 1 :] for p in others}
            read = sorted(p for p in positions if 1 <= p <= len(values))
            if later:
                lines += [f"del {names[p]}" for p in read if p not in later]
        lines.append(f"return {_tuple(gradients)}")
    return _compiled("pull", ["node", "g", "keep", "over"], lines, scope)


def check_count(gradients: Any, needs: tuple[bool, ...]) -> Any:
    """What a joint rule returned, if it is one gradient for each input; else `RuntimeError`."""
    if len(gradients) != len(needs):
        raise RuntimeError(
            f"a joint gradient rule returned {len(gradients)} gradients for {len(needs)} inputs"
        )
    return gradients


def _tuple(items: Any) -> str:
    return "(" + "".join(f"{item}, " for item in items) + ")"


def _compiled(
    name: str, arguments: list[str], lines: list[str], scope: dict[str, Any]
) -> Callable[..., Any]:
    source = f"def {name}({', '.join(arguments)}):\n" + "".join(f"    {line}\n" for line in lines)
    exec(compile(source, f"<tensorlab {name}>", "exec"), scope)
    return scope[name]
