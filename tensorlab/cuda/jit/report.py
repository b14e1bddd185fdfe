"""What a simulated launch found: problems in words, and counts of what the warps did."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from textwrap import fill
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tensorlab.cuda.jit.trace import Trace

__all__ = ["Access", "Branch", "Counts", "Finding", "KernelReport", "Place"]

Triple = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Place:
    """A thread: its `threadIdx` and the `blockIdx` of its block."""

    thread: Triple
    block: Triple

    def __str__(self) -> str:
        return f"thread {_short(self.thread)} of block {_short(self.block)}"


def _counted(count: int, unit: str) -> str:
    """1 sector, 1,000 sectors."""
    return f"{count:,} {unit}{'s' * (count != 1)}"


def _folded(sentence: str) -> str:
    """In lines that fit into a notebook's cell."""
    return fill(sentence, 96, subsequent_indent="    ", break_long_words=False)


def _short(index: Triple) -> str:
    """(5, 0, 0) as 5, (5, 1, 0) as (5, 1)."""
    if index[2]:
        return str(index)
    return str(index[:2]) if index[1] else str(index[0])


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know about a kernel, in words.

    Attributes:
        kind: "race", "out-of-bounds", "uninitialised", "barrier", "deadlock", "endless-loop" or
            "warp" (lanes that a warp's instruction needs are not there); of the speed
            "uncoalesced", "bank-conflict", "divergence"; and "precision".
        severity: "error" (on a GPU it would crash, hang or give wrong results), "advice" (right
            but slow), or "note".
        line: where in the file or cell.
        source: that line.
        message: what happens, which threads, which element.
        advice: what to do about it.
        count: how often it happened (for a race: at how many elements).
        threads: the threads that the message names.
        lines: all lines that it names.
        array: the array's name, or "".
        index: the index that the message names, or None.
    """

    kind: str
    severity: str
    line: int
    source: str
    message: str
    advice: str
    count: int = 1
    threads: tuple[Place, ...] = ()
    lines: tuple[int, ...] = ()
    array: str = ""
    index: tuple[int, ...] | None = None

    @property
    def mark(self) -> str:
        return {"error": "✗", "advice": "!", "note": "·"}[self.severity]

    def __str__(self) -> str:
        what = f"{self.mark} {self.kind}, line {self.line}: {self.message}"
        return f"{_folded(what)}\n    {self.line} | {self.source}\n{_folded(f'  → {self.advice}')}"

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "severity": self.severity,
            "line": self.line,
            "source": self.source,
            "message": self.message,
            "advice": self.advice,
            "count": self.count,
            "threads": [{"thread": list(p.thread), "block": list(p.block)} for p in self.threads],
            "lines": list(self.lines),
            "array": self.array,
            "index": None if self.index is None else list(self.index),
        }


@dataclass(frozen=True, slots=True)
class Access:
    """What one place in the source did to memory, all warps together.

    Attributes:
        line: where.
        text: the access as it is written.
        array: its array's name.
        space: "global" or "shared".
        kind: "read", "write" or "atomic".
        requests: how many warps asked; a warp asks once for all its lanes.
        elements: how many elements they asked for.
        parts: sectors of 32 bytes (global), or wavefronts (shared) that it took.
        ideal: how many it would take if the elements lay side by side (without bank conflicts).
        busiest: how many of the requests came from the warp that asked most.
    """

    line: int
    text: str
    array: str
    space: str
    kind: str
    requests: int
    elements: int
    parts: int
    ideal: int
    busiest: int

    @property
    def efficiency(self) -> float:
        """`ideal / parts`: 1.0 is as good as can be."""
        return self.ideal / self.parts if self.parts else 1.0

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Branch:
    """An `if` or a loop at which warps came apart.

    Attributes:
        line: where.
        warps: how many warps came by (once each time).
        divergent: how many of them had lanes on both sides.
        ran: how many warps ran the inside.
        needed: how many would, if the threads that go inside stood side by side.
        threads: how many threads went inside.
    """

    line: int
    warps: int
    divergent: int
    ran: int
    needed: int
    threads: int

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Counts:
    """What all threads of a launch did together.

    Loads and stores are counted in elements. A sector is 32 bytes of global memory, the least that
    can be fetched. `flops` counts one for each +, −, ×, ÷ and each function of floats.
    `instructions` counts statements that a warp ran, and `lanes` the threads that took part.
    """

    blocks: int = 0
    threads: int = 0
    warps: int = 0
    global_loads: int = 0
    global_stores: int = 0
    global_atomics: int = 0
    global_requests: int = 0
    sectors: int = 0
    ideal_sectors: int = 0
    bytes_loaded: int = 0
    bytes_stored: int = 0
    shared_loads: int = 0
    shared_stores: int = 0
    shared_atomics: int = 0
    wavefronts: int = 0
    ideal_wavefronts: int = 0
    atomic_collisions: int = 0
    branches: int = 0
    divergent_branches: int = 0
    barriers: int = 0
    instructions: int = 0
    lanes: int = 0
    flops: int = 0

    @property
    def bank_conflicts(self) -> int:
        """Wavefronts that shared memory needed on top of the ideal."""
        return self.wavefronts - self.ideal_wavefronts

    @property
    def coalescing(self) -> float:
        """`ideal_sectors / sectors`: the part of what was fetched that somebody had asked for."""
        return self.ideal_sectors / self.sectors if self.sectors else 1.0

    @property
    def lane_efficiency(self) -> float:
        """Of the lanes of the warps that ran, the part that was active."""
        return self.lanes / (32 * self.instructions) if self.instructions else 1.0

    @property
    def bytes_moved(self) -> int:
        """Bytes between global memory and the chip: 32 for each sector."""
        return 32 * self.sectors

    @property
    def intensity(self) -> float:
        """Arithmetic intensity: FLOP for each byte moved."""
        return self.flops / self.bytes_moved if self.bytes_moved else 0.0

    def to_dict(self) -> dict[str, Any]:
        derived = ("bank_conflicts", "coalescing", "lane_efficiency", "bytes_moved", "intensity")
        return {name: getattr(self, name) for name in (*self.__slots__, *derived)}


@dataclass(frozen=True, eq=False)
class KernelReport:
    """What the simulator saw of one launch.

    Attributes:
        kernel: the kernel's name.
        grid, block: how it was launched.
        findings: what there is to know, errors first.
        counts: what all threads did together.
        accesses: what each place that touches memory did.
        branches: where warps came apart.
        stopped: why the launch did not come to its end ("" if it did).
        trace: the steps of some warps, if the launch was watched with `trace=`.

    Printed, it is a table that stays the same for the same launch.
    """

    kernel: str
    grid: Triple
    block: Triple
    findings: tuple[Finding, ...]
    counts: Counts
    accesses: tuple[Access, ...]
    branches: tuple[Branch, ...]
    source: tuple[str, ...] = ()
    first_line: int = 1
    stopped: str = ""
    trace: Trace | None = field(default=None, repr=False)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Findings that make results wrong, or a GPU hang or crash."""
        return tuple(f for f in self.findings if f.severity == "error")

    @property
    def races(self) -> tuple[Finding, ...]:
        """The data races."""
        return tuple(f for f in self.findings if f.kind == "race")

    @property
    def ok(self) -> bool:
        """Whether there are no errors; the kernel may still be slower than it need be."""
        return not self.errors

    def of_kind(self, kind: str) -> tuple[Finding, ...]:
        """The findings of one kind, such as "bank-conflict"."""
        return tuple(f for f in self.findings if f.kind == kind)

    def accesses_of(self, array: str, kind: str | None = None) -> tuple[Access, ...]:
        """What was done to one array; `kind` "read", "write" or "atomic" narrows it."""
        return tuple(a for a in self.accesses if a.array == array and kind in (None, a.kind))

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema": "tensorlab.kernel/1",
            "kernel": self.kernel,
            "grid": list(self.grid),
            "block": list(self.block),
            "ok": self.ok,
            "stopped": self.stopped,
            "findings": [each.to_dict() for each in self.findings],
            "counts": self.counts.to_dict(),
            "accesses": [each.to_dict() for each in self.accesses],
            "branches": [each.to_dict() for each in self.branches],
            "source": list(self.source),
            "first_line": self.first_line,
        }

    def title(self) -> str:
        """One line: what was launched."""
        blocks, threads = (_size(each) for each in (self.grid, self.block))
        return f"{self.kernel}[{blocks}, {threads}]: {self.counts.threads:,} threads"

    def verdict(self) -> str:
        """One line: how it went."""
        errors = len(self.errors)
        advice = sum(f.severity == "advice" for f in self.findings)
        words = ["no errors" if not errors else _counted(errors, "error")]
        if advice:
            words.append(f"{_counted(advice, 'hint')} about speed")
        return f"{'✗' if errors else '✓'} {', '.join(words)}"

    def table(self) -> list[tuple[str, ...]]:
        """The accesses as rows of text, with the headings first."""
        rows = [("line", "access", "warps", "elements", "took", "ideal", "efficiency")]
        for each in self.accesses:
            unit = "sector" if each.space == "global" else "wavefront"
            rows.append(
                (
                    str(each.line),
                    f"{each.kind} {each.text}" if each.kind != "atomic" else each.text,
                    f"{each.requests:,}",
                    f"{each.elements:,}",
                    _counted(each.parts, unit),
                    f"{each.ideal:,}",
                    f"{each.efficiency:.0%}",
                )
            )
        return rows

    def summary(self) -> list[tuple[str, str]]:
        """The counts as (what, how much)."""
        c = self.counts
        rows = [
            (
                "global memory",
                f"{_counted(c.global_loads, 'load')}, {_counted(c.global_stores, 'store')}"
                + (f", {_counted(c.global_atomics, 'atomic')}" if c.global_atomics else "")
                + f"; {c.bytes_moved:,} bytes moved in {_counted(c.sectors, 'sector')}, "
                f"{c.coalescing:.0%} of them needed",
            )
        ]
        if c.shared_loads or c.shared_stores or c.shared_atomics:
            rows.append(
                (
                    "shared memory",
                    f"{_counted(c.shared_loads, 'load')}, {_counted(c.shared_stores, 'store')}"
                    + (f", {_counted(c.shared_atomics, 'atomic')}" if c.shared_atomics else "")
                    + f"; {_counted(c.wavefronts, 'wavefront')}, {c.bank_conflicts:,} of them for bank conflicts",
                )
            )
        if c.atomic_collisions:
            rows.append(("atomics", f"{c.atomic_collisions:,} waited for a lane of their own warp"))
        rows.append(
            (
                "warps",
                f"{c.lane_efficiency:.0%} of the lanes active; "
                f"{c.divergent_branches:,} of {c.branches:,} branches came apart; "
                f"{_counted(c.barriers, 'barrier')}",
            )
        )
        rows.append(("arithmetic", f"{c.flops:,} FLOP, {c.intensity:.3g} for each byte moved"))
        return rows

    def __str__(self) -> str:
        parts = [self.title(), self.verdict()]
        if self.stopped:
            parts.append(f"stopped: {self.stopped}")
        parts += [str(each) for each in self.findings]
        if self.accesses:
            parts += ["", *_aligned(self.table(), right={0, 2, 3, 4, 5, 6})]
        parts += ["", *_aligned(self.summary(), right=set())]
        return "\n".join(parts)

    __repr__ = __str__


class Watch(Sequence[KernelReport]):
    """The reports of the launches of a `with` block, in order; see `jit.watch`."""

    def __init__(self) -> None:
        self._reports: list[KernelReport] = []

    def add(self, report: KernelReport) -> None:
        self._reports.append(report)

    def __len__(self) -> int:
        return len(self._reports)

    def __getitem__(self, index: Any) -> Any:
        return self._reports[index]

    def __iter__(self) -> Iterator[KernelReport]:
        return iter(self._reports)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings of all launches."""
        return tuple(f for report in self for f in report.findings)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The errors of all launches."""
        return tuple(f for report in self for f in report.errors)

    @property
    def races(self) -> tuple[Finding, ...]:
        """The races of all launches."""
        return tuple(f for report in self for f in report.races)

    @property
    def ok(self) -> bool:
        """Whether no launch has errors."""
        return not self.errors

    @property
    def counts(self) -> Counts:
        """The counts of all launches together."""
        names = Counts.__slots__
        return Counts(*(sum(getattr(report.counts, name) for report in self) for name in names))

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema": "tensorlab.kernels/1",
            "launches": [report.to_dict() for report in self],
        }

    def __str__(self) -> str:
        if not self:
            return "no kernel was launched"
        return "\n\n".join(str(report) for report in self)

    __repr__ = __str__


def _size(sizes: Triple) -> str:
    if sizes[1:] == (1, 1):
        return str(sizes[0])
    return str(sizes[:2] if sizes[2] == 1 else sizes)


def _aligned(rows: Sequence[Sequence[str]], right: set[int]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
