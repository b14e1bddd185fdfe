"""What is wrong with a training run, read off its gradients: flags, each with its reason and a way out.

The limits are wide on purpose: a flag should mean something. They were chosen so that common small
models (dense, convolutional, recurrent, attention), well initialised and trained with usual learning
rates, raise none, and each of the faults below raises its own.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tensorlab.inspect.gradient_recorder import GradientRecorder

__all__ = ["KINDS", "Flag", "examine"]

#: Kinds of flags, the gravest first.
KINDS = (
    "nonfinite", "wrong_sign", "zero_grad", "exploding", "rising_loss", "vanishing", "dead", "saturated",
    "frozen",
)  # fmt: skip
#: Gradients and activations are judged by their last so many sampled steps; the loss by more.
WINDOW, LOSS_WINDOW = 10, 40
#: A flag about gradients needs at least so many sampled steps.
ENOUGH = 3

VANISHING = 1e-4  # of the largest root mean square gradient of any weight matrix
VANISHED = 1e-7  # norm of all gradients over norm of all weights, at the start
EXPLODING = 100.0  # norm of all gradients over norm of all weights
GROWN = 1e4  # times the gradient norm of the first steps
ROUNDING = 1e-5  # of the largest root mean square gradient: less is rounding, and moves nothing
DEAD = 0.75  # share of a layer's units
SATURATED = 0.8  # share of an activation's values
STEADY, LONG = 0.85, 16  # rank correlation of loss and step, over at least so many steps


@dataclass(frozen=True, slots=True)
class Flag:
    """Something that looks wrong.

    Attributes:
        kind: one of `KINDS`: "nonfinite" (nan or infinity), "wrong_sign" (training climbs),
            "zero_grad" (gradients of old steps are still there), "exploding", "rising_loss",
            "vanishing", "dead" (ReLU units that are never active), "saturated" (sigmoid or tanh at
            their ends), "frozen" (a parameter that does not learn).
        severity: "error" (training can't work), "warning", or "note" (perhaps on purpose).
        where: names of the parameters or activations concerned; empty for the whole run.
        step: the optimizer step at which it was last seen; for "nonfinite" first seen.
        reason: what was seen, with numbers.
        suggestion: what to try.

    As a dict, `to_dict()`: the same keys.
    """

    kind: str
    severity: str
    where: tuple[str, ...]
    step: int
    reason: str
    suggestion: str

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "severity": self.severity,
            "where": list(self.where),
            "step": self.step,
            "reason": self.reason,
            "suggestion": self.suggestion,
        }

    def __str__(self) -> str:
        return f"{self.severity}: {self.reason} {self.suggestion}"


def examine(record: GradientRecorder) -> list[Flag]:
    """All flags of a recording, the gravest first."""
    if not len(record.steps):
        return []
    found: list[Flag] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # medians of nothing are nan, on purpose
        # After a nan everything else is nan, or 0, or dead, and says nothing more.
        for look in _LOOKS if not record.accidents else (_nonfinite, _blown_up, _loss, _zero_grad):
            found += look(record)
        if not any(flag.kind in ("dead", "vanishing", "nonfinite") for flag in found):
            found += _unmoved(record)  # else that is why they do not move
    return sorted(found, key=lambda flag: KINDS.index(flag.kind))


def _nonfinite(record: GradientRecorder) -> list[Flag]:
    if not record.accidents:
        return []
    step, names, origin = record.accidents[0]
    what = f"the gradients of {_listed(names)}" if names else "the loss"
    reason = f"At step {step} {what} became nan or infinite."
    if origin:
        reason += f" {origin[0].upper()}{origin[1:]}."
    suggestion = (
        "Keep arguments of log, division and sqrt away from 0 (add a small eps, or use log_softmax, "
        "logsumexp or a loss on logits), lower the learning rate, or clip gradients; "
        "autograd.detect_anomaly() names the line."
    )
    return [Flag("nonfinite", "error", names, step, reason, suggestion)]


def _blown_up(record: GradientRecorder) -> list[Flag]:
    """Gradients that were far too large before nan and infinity came of it."""
    before = record.steps < record.accidents[0][0]
    ratio = _total(record.series("raw_norm")[before]) / _total(record.series("weight_norm")[before])
    large = np.flatnonzero(ratio > EXPLODING)
    if not large.size:
        return []
    step = int(record.steps[before][large[-1]])
    reason = (
        f"At step {step}, before that, the gradients were {ratio[large[-1]]:.3g} times as large as the "
        "weights (norms)."
    )
    return [Flag("exploding", "error", (), step, reason, _EXPLODING_ADVICE)]


# The loss ----------------------------------------------------------------------------------


def _loss(record: GradientRecorder) -> list[Flag]:
    end = len(record.steps)
    if record.accidents:  # what came after a nan says nothing
        end = int(np.searchsorted(record.steps, record.accidents[0][0]))
    live = slice(max(0, end - LOSS_WINDOW), end)
    losses, driven, objective = (
        each[live] for each in (record.losses, record.backward_losses, record.objectives)
    )
    step = int(record.steps[-1])
    change = (
        "Check the sign of the loss, that the optimizer minimizes (no maximize=True), and that the "
        "update subtracts the gradient."
    )
    if _rises(objective) and _falls(driven):
        reason = (
            f"The loss function's value rises, from {_first(objective):.3g} to {_last(objective):.3g}, while "
            f"what backward() is called on falls, from {_first(driven):.3g} to {_last(driven):.3g}: "
            "it is minimized with the opposite sign."
        )
        return [Flag("wrong_sign", "error", (), step, reason, change)]
    if _rises(losses) and _falls(driven):
        reason = (
            f"The loss rises, from {_first(losses):.3g} to {_last(losses):.3g}, while what backward() "
            "is called on falls."
        )
        return [Flag("wrong_sign", "error", (), step, reason, change)]
    ascent = record.series("ascent")[live]
    ascent = np.nansum(ascent[np.isfinite(ascent).any(axis=1)], axis=1)
    if ascent.size >= 8 and np.mean(ascent > 0) > 0.9:
        reason = f"{np.mean(ascent > 0):.0%} of the updates go along the gradient, uphill."
        return [Flag("wrong_sign", "error", (), step, reason, change)]
    if _is_negative_of(driven, objective):
        reason = (
            f"What backward() is called on, {_last(driven):.3g}, is the loss function's value, {_last(objective):.3g}, "
            "with the opposite sign: training makes the loss larger."
        )
        return [Flag("wrong_sign", "warning", (), step, reason, change)]
    if _rises(losses):
        reason = (
            f"The loss rises steadily, from {_first(losses):.3g} to {_last(losses):.3g}, though the updates go against "
            "the gradient."
        )
        suggestion = "The learning rate is probably too large: divide it by 10."
        return [Flag("rising_loss", "warning", (), step, reason, suggestion)]
    if _falls_without_end(driven):
        finite = driven[np.isfinite(driven)]
        reason = (
            "The loss was below 0 from the start and falls without end, "
            f"from {finite[0]:.3g} to {finite[-1]:.3g}: "
            "a loss usually has a lower bound, near which training slows down."
        )
        return [Flag("wrong_sign", "error", (), step, reason, change)]
    if record.accidents:
        return _lost_below_zero(driven, record.backward_losses[end:], step, change)
    return []


def _lost_below_zero(before: np.ndarray, after: np.ndarray, step: int, change: str) -> list[Flag]:
    """A loss that was below 0 when it was last seen: too seldom before that to see it fall."""
    finite = before[np.isfinite(before)]
    if not finite.size or not np.all(finite < 0):
        return []
    reason = f"The loss was below 0, {finite[-1]:.3g}, when it was last a finite number"
    if np.isneginf(after).any():
        return [Flag("wrong_sign", "error", (), step, f"{reason}, and fell to -inf.", change)]
    reason += ": one that is minimized with the wrong sign falls until it is none."
    suggestion = f"If this loss can't be below 0 when all is well: {change[0].lower()}{change[1:]}"
    return [Flag("wrong_sign", "note", (), step, reason, suggestion)]


def _falls_without_end(driven: np.ndarray) -> bool:
    """Whether a loss that began below 0 is many times as far below by now."""
    finite = driven[np.isfinite(driven)]
    if finite.size < 2 or not np.all(finite < 0):
        return False
    if _falls(driven):
        return abs(_last(finite)) > 10 * max(abs(finite[0]), 1e-3)
    # Of a short run, or one that is looked at seldom, there are too few for a trend.
    far = 30 if finite.size >= 4 else 100
    return bool(np.all(np.diff(finite) < 0)) and abs(finite[-1]) > far * max(abs(finite[0]), 0.1)


def _trend(values: np.ndarray) -> float:
    """Spearman's rank correlation of the values with their order; 0 if there are too few."""
    values = values[np.isfinite(values)]
    if values.size < LONG or np.ptp(values) == 0:
        return 0.0
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    return float(np.corrcoef(ranks, np.arange(values.size))[0, 1])


def _is_negative_of(driven: np.ndarray, objective: np.ndarray) -> bool:
    """Whether one is the other times the same number below 0, at every step."""
    known = np.isfinite(driven) & np.isfinite(objective) & (objective > 0)
    if not known.any():
        return False
    ratio = driven[known] / objective[known]
    if known.sum() == 1:
        return abs(ratio[0] + 1) < 1e-6
    return bool(np.all(ratio < 0) and np.ptp(ratio) < 0.01 * abs(ratio.mean()))


def _first(values: np.ndarray) -> float:
    values = values[np.isfinite(values)]
    return float(np.median(values[: max(1, values.size // 4)]))


def _last(values: np.ndarray) -> float:
    values = values[np.isfinite(values)]
    return float(np.median(values[-max(1, values.size // 4) :]))


def _rises(values: np.ndarray) -> bool:
    return _trend(values) > STEADY and _last(values) - _first(values) > 0.05 * abs(_first(values))


def _falls(values: np.ndarray) -> bool:
    return _trend(values) < -STEADY and _last(values) < _first(values)


def _zero_grad(record: GradientRecorder) -> list[Flag]:
    kept = [each for each in record.kept_gradients[-WINDOW:] if each is not None]
    if len(kept) < ENOUGH or sum(kept) < 0.8 * len(kept):
        return []
    reason = (
        f"In {sum(kept)} of the last {len(kept)} sampled steps backward() found the gradients of the step before "
        "still there, and added to them."
    )
    suggestion = "Call optimizer.zero_grad() once per step, before backward()."
    return [Flag("zero_grad", "error", (), int(record.steps[-1]), reason, suggestion)]


# Gradients ---------------------------------------------------------------------------------


def _sizes(record: GradientRecorder) -> list[Flag]:
    """Gradients that are large or small as a whole, compared with the weights."""
    raw = _total(record.series("raw_norm"))
    weights = _total(record.series("weight_norm"))
    ratio = raw / weights
    step = int(record.steps[-1])
    recent = ratio[np.isfinite(ratio)][-3 * WINDOW :]
    if recent.size == 0:
        return []
    # The worst three steps in a row: once it has blown up, what is left may well be small.
    rows = [recent[i : recent.size - ENOUGH + 1 + i] for i in range(ENOUGH)]
    now = float(np.max(np.median(rows, axis=0))) if recent.size >= ENOUGH else 0.0
    if now > EXPLODING:
        reason = (
            f"The gradients are {now:.3g} times as large as the weights (norms over the last sampled "
            "steps)."
        )
        return [Flag("exploding", "error", (), step, reason, _EXPLODING_ADVICE)]
    finite = raw[np.isfinite(raw)]
    if finite.size >= 2 * ENOUGH:
        early, late = float(np.median(finite[:ENOUGH])), float(np.median(finite[-ENOUGH:]))
        if early > 0 and late > GROWN * early and now > 1:
            reason = f"The norm of the gradients grew from {early:.3g} to {late:.3g}."
            return [Flag("exploding", "error", (), step, reason, _EXPLODING_ADVICE)]
    sizes = np.array([n > 1 for n in record.sizes])
    updates = np.nanmedian(record.series("update_ratio")[-WINDOW:], axis=0)
    large = np.isfinite(updates) & (updates > 1) & _matrices(record) & sizes
    if large.any() and len(record.steps) >= ENOUGH:
        names = _names(record, large)
        worst = float(np.max(updates[large]))
        reason = (
            f"One step changes {_listed(names)} by more than the weights themselves ({worst:.3g} "
            "times)."
        )
        return [Flag("exploding", "error", names, step, reason, _EXPLODING_ADVICE)]
    begin = ratio[:ENOUGH]
    if len(begin) >= ENOUGH and np.all(begin < VANISHED) and np.all(raw[:ENOUGH] > 0):
        reason = (
            f"From the first step on all gradients together are {float(np.median(begin)):.2g} of the "
            "weights."
        )
        return [Flag("vanishing", "warning", (), step, reason, _VANISHING_ADVICE)]
    return []


_EXPLODING_ADVICE = (
    "Lower the learning rate, initialise with smaller weights (nn.init.kaiming_normal_, "
    "xavier_uniform_), normalise inputs and layers, or clip with nn.utils.clip_grad_norm_."
)
_VANISHING_ADVICE = (
    "Use ReLU or GELU rather than sigmoid and tanh, an initialisation that fits "
    "(nn.init.kaiming_normal_), normalisation layers or residual connections."
)


def _layers(record: GradientRecorder) -> list[Flag]:
    """Layers whose gradients are lost among those of later layers."""
    rms = np.nanmedian(record.series("rms")[-WINDOW:], axis=0)
    known = np.isfinite(rms) & (rms > 0) & _matrices(record)
    if known.sum() < 3 or len(record.steps) < ENOUGH:
        return []
    later = np.maximum.accumulate(np.where(known, rms, 0)[::-1])[::-1]
    small = known & (rms < VANISHING * later)
    if not small.any():
        return []
    names = _names(record, small)
    worst = float(np.min(rms[small] / later[small]))
    reason = (
        f"The gradients of {_listed(names)} are down to {worst:.1g} of those of later layers: they vanish on the way "
        "back."
    )
    return [Flag("vanishing", "error", names, int(record.steps[-1]), reason, _VANISHING_ADVICE)]


def _frozen(record: GradientRecorder) -> list[Flag]:
    step = int(record.steps[-1])
    wanted = np.array([bool(p.requires_grad) for p in record.parameters], bool)
    found = []
    if not wanted.all():
        names = _names(record, ~wanted)
        reason = f"{_listed(names)} {_are(names)} told not to learn (requires_grad is False)."
        suggestion = "If that is not on purpose, call requires_grad_(True)."
        found.append(Flag("frozen", "note", names, step, reason, suggestion))
    if len(record.steps) < ENOUGH:
        return found
    absent = wanted & np.isnan(record.series("norm")).all(axis=0)
    optimized = np.array(record.in_optimizer, bool)
    left_out = wanted & ~optimized if optimized.any() else np.zeros_like(wanted)
    if (absent & ~left_out).any():
        names = _names(record, absent & ~left_out)
        reason = (
            f"{_listed(names)} never got a gradient: the loss does not depend on "
            f"{'them' if len(names) > 1 else 'it'}."
        )
        suggestion = (
            "Look for detach(), no_grad(), .data or .item() on the way, and for modules that "
            "forward() does not use."
        )
        found.append(Flag("frozen", "warning", names, step, reason, suggestion))
    if left_out.any():
        names = _names(record, left_out)
        reason = f"{_listed(names)} {_are(names)} in no optimizer that has made a step."
        suggestion = "Give the optimizer model.parameters(), after all layers were made."
        found.append(Flag("frozen", "warning", names, step, reason, suggestion))
    return found


def _unmoved(record: GradientRecorder) -> list[Flag]:
    """Parameters that have gradients and stay what they are."""
    norms, updates = record.series("norm")[-WINDOW:], record.series("update_norm")[-WINDOW:]
    if len(norms) < 5:
        return []
    step = int(record.steps[-1])
    known = np.isfinite(norms).any(axis=0)
    found = []
    zero = known & np.all((norms == 0) | np.isnan(norms), axis=0)
    if zero.any():
        names = _names(record, zero)
        reason = f"The gradient of {_listed(names)} is exactly 0: a change there does not reach the loss."
        suggestion = (
            "Look for units that are dead or saturated behind it, a factor 0, or an argmax or "
            "rounding on the way."
        )
        found.append(Flag("frozen", "warning", names, step, reason, suggestion))
    # A bias before a normalisation has no effect: what it gets is what rounding left of 0.
    rms = np.nanmedian(record.series("rms")[-WINDOW:], axis=0)
    matters = rms > ROUNDING * np.nanmax(rms, initial=0)
    stuck = known & ~zero & matters & np.all(updates == 0, axis=0)
    if stuck.any():
        names = _names(record, stuck)
        reason = (
            f"{_listed(names)} {'get' if len(names) > 1 else 'gets'} gradients, but no step changes a "
            "number there."
        )
        suggestion = (
            "The learning rate is 0, or so small that the updates are lost in the precision of the "
            "weights."
        )
        found.append(Flag("frozen", "warning", names, step, reason, suggestion))
    return found


# Activations -------------------------------------------------------------------------------


def _activations(record: GradientRecorder) -> list[Flag]:
    names = np.array(record.activations, object)
    if not len(names) or len(record.steps) < ENOUGH:
        return []
    step = int(record.steps[-1])
    found = []
    dead = _latest(record.activation_series("dead"))
    if (dead >= DEAD).any():
        which = tuple(names[dead >= DEAD])
        reason = (
            f"{np.min(dead[dead >= DEAD]):.0%} of the units of {_listed(which)} have been 0 for "
            "all examples that were seen lately: their gradients are 0 too, so they stay dead."
        )
        suggestion = (
            "Lower the learning rate, start biases at 0 or above, normalise the inputs, or use "
            "LeakyReLU or GELU."
        )
        found.append(Flag("dead", "error", which, step, reason, suggestion))
    saturated = np.nanmedian(record.activation_series("saturated")[-WINDOW:], axis=0)
    # The last activation may well be an answer that is sure of itself.
    far = saturated[:-1] >= SATURATED
    if far.any():
        which = tuple(names[:-1][far])
        reason = (
            f"{np.min(saturated[:-1][far]):.0%} of the values of {_listed(which)} lie at its ends, "
            "where the slope is almost 0."
        )
        suggestion = (
            "Initialise with smaller weights, normalise the inputs, or use another activation "
            "function."
        )
        found.append(Flag("saturated", "warning", which, step, reason, suggestion))
    return found


def _latest(series: np.ndarray) -> np.ndarray:
    """The last known number of each column; −1 if there is none."""
    out = np.full(series.shape[1], -1.0)
    for row in series[-WINDOW:]:
        out = np.where(np.isfinite(row), row, out)
    return out


_LOOKS = (_nonfinite, _loss, _zero_grad, _sizes, _layers, _activations, _frozen)


# Words and sums ----------------------------------------------------------------------------


def _total(norms: np.ndarray) -> np.ndarray:
    """The norm of everything from the norms of the parts, step by step."""
    return np.sqrt(np.nansum(np.square(norms.astype(np.float64)), axis=1))


def _matrices(record: GradientRecorder) -> np.ndarray:
    """Which parameters are weights, not biases and scales, whose gradients mean something else."""
    return np.array([p.ndim >= 2 for p in record.parameters], bool)


def _names(record: GradientRecorder, which: np.ndarray) -> tuple[str, ...]:
    return tuple(name for name, wanted in zip(record.names, which, strict=True) if wanted)


def _listed(names: Sequence[str], most: int = 3) -> str:
    if len(names) <= most:
        return " and ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else str(names[0])
    return f"{', '.join(names[:most])} and {len(names) - most} more"


def _are(names: Sequence[str]) -> str:
    return "are" if len(names) > 1 else "is"
