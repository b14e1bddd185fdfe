"""Findings about speed: right kernels that make the GPU do more than it need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tensorlab.cuda.jit import _program as ir
from tensorlab.cuda.jit.report import Access, Branch, Finding

if TYPE_CHECKING:
    from tensorlab.cuda.jit.simulator import Launch

__all__ = ["speed_findings"]

# What is reported costs at least this much more than it need; less may come from ragged edges.
_SECTORS, _WAVEFRONTS, _WARPS, _LANES = 2.0, 1.5, 2.0, 2.0
_FEWEST = 8  # and at least so many units in all


def speed_findings(
    launch: Launch,
    accesses: Sequence[Access],
    branches: Sequence[Branch],
    loops: dict[int, list[int]],
) -> list[Finding]:
    """What a launch spent on memory that lies badly and on warps that came apart."""
    found = [_uncoalesced(launch, a) for a in accesses if _wastes(a, "global", _SECTORS)]
    found += [_bank_conflict(launch, a) for a in accesses if _wastes(a, "shared", _WAVEFRONTS)]
    guards = {stmt.line for stmt in launch.program.body if _is_guard(stmt)}
    found += [
        _divergence(launch, b)
        for b in branches
        if b.line not in guards
        # One lane for its whole warp is no waste: somebody has to write what the warp has found.
        and b.divergent
        and b.threads > b.ran >= _WARPS * b.needed
        and b.ran - b.needed >= 2
    ]
    found += [
        _ragged_loop(launch, line, places, used)
        for line, (places, used) in sorted(loops.items())
        if places >= _LANES * used and places - used >= 32
    ]
    return found


def _is_guard(stmt: ir.Stmt) -> bool:
    """Whether it keeps threads away from beyond an array's end: `if x < width and y < height:`.

    At a ragged edge warps come apart there, and nothing can be done about it.
    """
    return isinstance(stmt, ir.If) and not stmt.orelse and _compares_places(stmt.test)


def _compares_places(test: ir.Expr) -> bool:
    if isinstance(test, ir.Logic):
        return _compares_places(test.left) and _compares_places(test.right)
    return isinstance(test, ir.Compare) and all(map(_is_place, (test.left, test.right)))


def _is_place(value: ir.Expr) -> bool:
    if isinstance(value, ir.Binary):
        return value.op in "+-*" and _is_place(value.left) and _is_place(value.right)
    return isinstance(value, (ir.Const, ir.Local, ir.Scalar, ir.Special, ir.Size))


def _wastes(access: Access, space: str, factor: float) -> bool:
    if access.space != space or access.kind == "atomic":
        return False
    enough = access.parts - access.ideal >= _FEWEST or access.parts >= 8 * access.ideal
    return enough and access.parts > factor * access.ideal * 0.999


def _uncoalesced(launch: Launch, access: Access) -> Finding:
    each = access.parts / access.requests
    ideal = access.ideal / access.requests
    verb = "reads" if access.kind == "read" else "writes"
    return launch.finding(
        "uncoalesced",
        "advice",
        access.line,
        f"a warp {verb} {access.text} in {each:.3g} sectors of 32 bytes; side by side its elements "
        f"would fill {ideal:.3g}. {access.parts - access.ideal:,} sectors of {access.parts:,} are wasted",
        "let neighbouring threads take neighbouring elements: the last index of "
        f"{access.array} should grow by 1 with threadIdx.x",
        count=access.parts - access.ideal,
        array=access.array,
    )


def _bank_conflict(launch: Launch, access: Access) -> Finding:
    array = next(s.array for s in launch.program.sites if s.text == access.text)
    ways = access.parts / access.ideal
    verb = "read" if access.kind == "read" else "write"
    if array.ndim == 2 and array.shape[1] % 2 == 0:
        rows, columns = array.shape
        advice = (
            f"pad the rows by one element, so that a column spreads over all banks: "
            f"{array.name} = shared.array(({rows}, {columns + 1}), …)"
        )
    else:
        advice = "let neighbouring lanes use neighbouring words, or let all lanes read the same one"
    return launch.finding(
        "bank-conflict",
        "advice",
        access.line,
        f"lanes of a warp {verb} {access.text} in {ways:.3g} rounds where one would do: they want "
        f"different words of the same bank. {access.parts - access.ideal:,} rounds of {access.parts:,} "
        "are wasted",
        advice,
        count=access.parts - access.ideal,
        array=access.array,
    )


def _divergence(launch: Launch, branch: Branch) -> Finding:
    return launch.finding(
        "divergence",
        "advice",
        branch.line,
        f"warps come apart here: {branch.divergent:,} of {branch.warps:,} have lanes on both sides, and "
        f"{branch.ran:,} warps run what {branch.needed:,} could, since idle lanes wait",
        "let the threads that go inside stand side by side: choose them by their number, such as "
        "threadIdx.x < count, not by a remainder",
        count=branch.ran - branch.needed,
    )


def _ragged_loop(launch: Launch, line: int, places: int, used: int) -> Finding:
    return launch.finding(
        "divergence",
        "advice",
        line,
        f"lanes leave this loop at different times: the warps go on for the last one, and only "
        f"{used / places:.0%} of their lanes work",
        "give the threads of a warp the same number of passes: let a warp share the long work, or "
        "sort the work by length",
        count=places - used,
    )
