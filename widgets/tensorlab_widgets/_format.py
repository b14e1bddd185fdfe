"""Numbers and times as people read them."""

from __future__ import annotations

import math


def number(value: float) -> str:
    """Four significant digits, or the integer itself.

    >>> number(0.97222222), number(1234.56), number(3), number(2.5e-7), number(float("nan"))
    ('0.9722', '1235', '3', '2.500e-07', 'nan')
    """
    if isinstance(value, int):
        return str(value) if abs(value) < 10**9 else f"{value:.3e}"
    if not math.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 9999.5:
        return f"{value:#.4g}".rstrip(".")
    return f"{value:.3e}"


def duration(seconds: float) -> str:
    """A time span, coarser the longer it is.

    >>> duration(3.21), duration(75), duration(7384), duration(200_000)
    ('3.2 s', '1 min 15 s', '2 h 3 min', '2 d 8 h')
    """
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24} h"


def rate(steps_per_second: float) -> str:
    """Throughput, turned round when a step takes longer than a second.

    >>> rate(1234.0), rate(42.26), rate(0.5)
    ('1234 steps/s', '42.3 steps/s', '2.0 s/step')
    """
    if steps_per_second < 1:
        return f"{1 / steps_per_second:.1f} s/step"
    digits = 0 if steps_per_second >= 100 else 1
    return f"{steps_per_second:.{digits}f} steps/s"
