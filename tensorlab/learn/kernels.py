"""Judging exercises whose answer is a GPU kernel: values by an oracle, all else by the simulator.

`launch` runs a kernel under `tensorlab.cuda.jit`'s simulator, on any machine. The judges look at
what it gave: races, barriers and bounds first, since they make values a matter of luck; then the
values; then what was fetched, and whether the threads shared the work.

>>> import numpy as np
>>> from tensorlab.cuda import jit
>>> @jit.kernel
... def double(x, out):
...     i = jit.grid(1)
...     out[i] = 2 * x[i]
>>> run = launch(double, 1, 32, np.ones(20, np.float32), np.zeros(20, np.float32))
>>> judge_values("double", run, np.full(20, 2.0)).expected
'no errors'
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tensorlab.cuda import jit
from tensorlab.learn.declare import Answer, Failure

__all__ = [
    "KernelRun",
    "blocks_for",
    "ceil_div",
    "judge_advice",
    "judge_sharing",
    "judge_traffic",
    "judge_values",
    "launch",
    "quarters",
]


def ceil_div(count: int, size: int) -> int:
    """How many pieces of a size cover so many: count ÷ size, rounded up.

    >>> ceil_div(33, 32)
    2
    """
    return -(-count // size)


def blocks_for(count: int, threads: int) -> int:
    """As few blocks as there must be, and one even where there is nothing to do."""
    return max(1, ceil_div(count, threads))


def quarters(
    rng: np.random.Generator, shape: int | tuple[int, ...], dtype: Any = np.float32
) -> np.ndarray[Any, Any]:
    """Multiples of ¼ between -2 and 2: their products, and sums of these, are exact."""
    return (rng.integers(-8, 9, shape) / 4).astype(dtype)


@dataclass(frozen=True)
class KernelRun(Answer):
    """What a launch wrote, and what the simulator saw of it.

    Two are the same behaviour if they wrote the same values and had the same problems as often, and
    if both used atomics or neither did.

    Attributes:
        values: what was written, rounded to 5 digits, nan as a text.
        problems: how often what was found; of what is no kernel, its type's name.
        atomics: whether some thread changed a number by an atomic.
        written: the array that was written.
        report: the simulator's report; None if there was no kernel to launch.
    """

    values: tuple[Any, ...]
    problems: tuple[str, ...]
    atomics: bool
    written: np.ndarray = field(compare=False)
    report: jit.KernelReport | None = field(compare=False)


def launch(kernel: Any, blocks: Any, threads: Any, *args: Any) -> KernelRun:
    """Launch a kernel in the simulator. The last argument is the array that it shall write."""
    out = args[-1]
    if not isinstance(kernel, jit.Kernel):
        return KernelRun((), (type(kernel).__name__,), False, out, None)
    with jit.watch() as launches:
        kernel[blocks, threads](*args)
    report = launches[0]
    values = tuple("nan" if math.isnan(v) else float(f"{v:.5g}") for v in out.reshape(-1).tolist())
    problems = tuple(f"{f.count} × {f.kind}" for f in report.findings)
    atomics = report.counts.global_atomics + report.counts.shared_atomics > 0
    return KernelRun(values, problems, atomics, out, report)


def judge_values(
    name: str, run: KernelRun, want: np.ndarray, *, rtol: float = 1e-4, atol: float = 1e-6
) -> Failure | None:
    """What is wrong with a launch: what a GPU would choke on first, then the values."""
    if run.report is None:
        return Failure(
            f"`{name}` is no kernel but a {run.problems[0]}: leave the line `@jit.kernel` above "
            f"`def {name}`.",
            expected="a kernel",
            got=f"a {run.problems[0]}",
        )
    if run.report.errors:
        finding = run.report.errors[0]
        return Failure(
            f"{_where(finding)}: {finding.message}.",
            expected="no errors",
            got=f"{finding.kind} at {finding.count:,} place{'s' * (finding.count > 1)}",
            hint=_advice(finding),
        )
    wrong = ~np.isclose(run.written, want, rtol=rtol, atol=atol, equal_nan=True)
    if not wrong.any():
        return None
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    unwritten = np.isnan(run.written[index])
    return Failure(
        f"{int(wrong.sum()):,} of {wrong.size:,} element{'s' * (wrong.size > 1)} "
        f"{'are' if wrong.sum() > 1 else 'is'} wrong"
        + (", and nobody has written the first of them." if unwritten else "."),
        expected=want[index].item(),
        got=run.written[index].item(),
        index=index,
    )


def judge_traffic(run: KernelRun, loads: int, stores: int) -> Failure | None:
    """A failure if more elements than these travel between global memory and the chip."""
    assert run.report is not None
    counts = run.report.counts
    for what, got, most in [
        ("loads", counts.global_loads, loads),
        ("stores", counts.global_stores, stores),
    ]:
        if got > most:
            return Failure(
                f"The values are right, but there are {got / max(most, 1):.3g} times as many {what} "
                "of global memory as there need be.",
                expected=f"{most:,} {what}",
                got=f"{got:,} {what}",
            )
    return None


_WANTED = {
    "uncoalesced": "neighbouring threads at neighbouring elements",
    "bank-conflict": "every lane at a bank of its own",
    "divergence": "warps that stay together",
}


def judge_advice(run: KernelRun, *kinds: str) -> Failure | None:
    """A failure if the simulator has advice of one of these kinds: "uncoalesced", "bank-conflict".

    Lanes that leave gaps because a branch sent their neighbours elsewhere are no scattered access:
    they fetch no more sectors than a whole warp that stands side by side.
    """
    assert run.report is not None
    for finding in run.report.findings:
        if finding.kind in kinds and not _gaps_of_a_branch(run, finding):
            return Failure(
                f"The values are right, but slow. {_where(finding)}: {finding.message}.",
                expected=_WANTED[finding.kind],
                got=f"{finding.kind}: {finding.count:,} too many",
                hint=_advice(finding),
            )
    return None


def judge_sharing(run: KernelRun, most: int, *, of_one: int | None = None) -> Failure | None:
    """A failure if a line sent warps to memory more than `most` times, or one of them too often.

    Then a few threads do it all; or, if most lanes came along each time, all do the same again. If
    one warp went more than `of_one` times, it does the work of others, all its lanes together.
    """
    assert run.report is not None
    for access in run.report.accesses:
        if access.requests > most:
            crowd = access.elements > 16 * access.requests
            who = "many threads do the same work" if crowd else "a few threads do all the work"
            return Failure(
                f"The values are right, but {who}: for line {access.line} warps went to memory "
                f"{access.requests:,} times.",
                expected=f"at most {most:,} times, with the work shared by all",
                got=f"{access.requests:,} times, for {access.elements:,} elements",
            )
        if of_one is not None and access.busiest > of_one:
            return Failure(
                "The values are right, but a few warps do the work of all, and the others look on: "
                f"for line {access.line} one of them went to memory {access.busiest:,} times.",
                expected=f"each warp at most {of_one:,} times, with the work shared by all",
                got=f"{access.busiest:,} times, of {access.requests:,} by all warps together",
            )
    return None


def _gaps_of_a_branch(run: KernelRun, finding: jit.Finding) -> bool:
    assert run.report is not None
    # The exercises' arrays have elements of one size; one sector more if the first is not aligned.
    whole = run.written.itemsize + 1
    return finding.kind == "uncoalesced" and all(
        access.parts <= whole * access.requests
        for access in run.report.accesses
        if access.line == finding.line and access.space == "global"
    )


def _where(finding: jit.Finding) -> str:
    return f"{finding.kind} in line {finding.line} of the cell, `{finding.source}`"


def _advice(finding: jit.Finding) -> str:
    return finding.advice[:1].upper() + finding.advice[1:] + "."
