"""Numbers in words, for pictures and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tensorlab.inspect.graph_records import Graph

__all__ = ["alternative", "count", "duration", "size"]


def alternative(graph: Graph) -> str:
    """One sentence that says what the picture shows."""
    operations, leaves = len(graph.operations), len(graph.leaves)
    return (
        f"{count(operations, 'operation')}, {count(leaves, 'leaf', 'leaves')}, "
        f"{size(graph.saved_bytes)} saved for backward"
    )


def count(number: int, one: str, many: str = "") -> str:
    """A number with its noun: `1 leaf`, `2 leaves`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def size(count: int) -> str:
    """Bytes in the largest unit that keeps the number at or above 1, powers of 1024.

    >>> size(0), size(1023), size(1536)
    ('0 B', '1023 B', '1.5 KiB')
    """
    if count < 1024:
        return f"{count} B"
    value, unit = count / 1024, 0
    while value >= 1023.95 and unit < 3:  # what would be printed as 1024.0
        value, unit = value / 1024, unit + 1
    return f"{value:.1f} {('KiB', 'MiB', 'GiB', 'TiB')[unit]}"


def duration(seconds: float) -> str:
    """A time with three significant digits and its unit.

    >>> duration(0.00123), duration(2.5)
    ('1.23 ms', '2.5 s')
    """
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"
