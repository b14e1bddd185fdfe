"""How far to go along a direction: a line search for the strong Wolfe conditions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tensorlab._tensor import Tensor

__all__ = ["strong_wolfe"]


class _Point(NamedTuple):
    """A tried length, and the loss, the gradient and the slope along the direction there."""

    t: Any
    loss: float
    gradient: Tensor
    slope: Tensor


def strong_wolfe(
    evaluate: Callable[[Any], tuple[float, Tensor]],
    t: Any,
    direction: Tensor,
    start: tuple[float, Tensor, Tensor],
    c1: float = 1e-4,
    c2: float = 0.9,
    tolerance_change: float = 1e-9,
    max_ls: int = 25,
) -> tuple[float, Tensor, Any, int]:
    """A length where the loss has fallen enough (Armijo) and the slope is flat enough.

    First the length grows until a good point or an interval that must contain one is found; then
    the interval is narrowed. The next length to try is the minimum of a cubic.

    Args:
        evaluate: loss and gradient as a function of the length.
        t: the first length to try.
        direction: where to.
        start: loss, gradient and slope at length 0.
        c1: the share of the slope at 0 by which the loss must fall.
        c2: the share of the slope at 0 that may remain.
        tolerance_change: narrower intervals are not searched.
        max_ls: how many lengths to try after the first.

    Returns:
        Loss, gradient, length, and how often `evaluate` was called.

    Source: J. Nocedal, S. J. Wright, "Numerical Optimization", 2nd edition, algorithms 3.5
    and 3.6, with the safeguards of Mark Schmidt's minFunc.
    """
    origin = _Point(0, *start)

    def look(t: Any) -> _Point:
        loss, gradient = evaluate(t)
        return _Point(t, loss, gradient, gradient.dot(direction))

    def too_high(point: _Point) -> bool:
        return bool(point.loss > origin.loss + c1 * point.t * origin.slope)

    def flat_enough(point: _Point) -> bool:
        return bool(abs(point.slope) <= -c2 * origin.slope)

    before, now = origin, look(t)
    calls, tried = 1, 0
    done = False
    bracket = [origin, now]
    while tried < max_ls:
        if too_high(now) or (tried > 1 and now.loss >= before.loss):
            bracket = [before, now]
            break
        if flat_enough(now):
            bracket, done = [now], True
            break
        if now.slope >= 0:
            bracket = [before, now]
            break
        bounds = (now.t + 0.01 * (now.t - before.t), now.t * 10)
        before, now = now, look(_minimum_of_cubic(before, now, bounds))
        calls += 1
        tried += 1
    else:
        bracket = [origin, now]

    width = direction.abs().max()
    stalled = False
    low, high = (0, 1) if bracket[0].loss <= bracket[-1].loss else (1, 0)
    while not done and tried < max_ls:
        ends = (bracket[0].t, bracket[1].t)
        if abs(ends[1] - ends[0]) * width < tolerance_change:
            break
        t = _minimum_of_cubic(bracket[0], bracket[1], (min(ends), max(ends)))
        margin = 0.1 * (max(ends) - min(ends))
        if min(max(ends) - t, t - min(ends)) < margin:
            # At the edge of the interval again, or beyond: step inside.
            if stalled or t >= max(ends) or t <= min(ends):
                nearer_to_max = abs(t - max(ends)) < abs(t - min(ends))
                t = max(ends) - margin if nearer_to_max else min(ends) + margin
                stalled = False
            else:
                stalled = True
        else:
            stalled = False
        now = look(t)
        calls += 1
        tried += 1
        if too_high(now) or now.loss >= bracket[low].loss:
            bracket[high] = now
            low, high = (0, 1) if bracket[0].loss <= bracket[1].loss else (1, 0)
        else:
            if flat_enough(now):
                done = True
            elif now.slope * (bracket[high].t - bracket[low].t) >= 0:
                bracket[high] = bracket[low]
            bracket[low] = now
    best = bracket[low]
    return best.loss, best.gradient, best.t, calls


def _minimum_of_cubic(a: _Point, b: _Point, bounds: tuple[Any, Any]) -> Any:
    """The minimum, within `bounds`, of the cubic with the losses and slopes of two points."""
    if a.t > b.t:
        a, b = b, a
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = d1**2 - a.slope * b.slope
    if square < 0:
        return (bounds[0] + bounds[1]) / 2.0
    d2 = square.sqrt()
    t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2))
    return min(max(t, bounds[0]), bounds[1])
