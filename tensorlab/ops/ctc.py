"""Connectionist temporal classification: the likelihood of a label sequence under frames of scores.

A path names one class per frame; leaving out repetitions and then blanks gives the labels. The loss
is −log of the summed probability of all paths that give the target. With the target spread out by
blanks, l = (blank, y₁, blank, y₂, …, blank), the sum runs over states s with the recursion

    α_t(s) = p_t(l_s) · (α_{t−1}(s) + α_{t−1}(s−1) + α_{t−1}(s−2) if l_s is no blank and l_s ≠ l_{s−2})

Source: A. Graves et al., "Connectionist temporal classification", ICML 2006, sections 3 and 4. All
of it is computed in logarithms and for the whole batch at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorlab._backend import backend_of, runs_there, to_numpy
from tensorlab._graph import mode
from tensorlab._op import Sample, op
from tensorlab._tensor import Tensor, wrap
from tensorlab.autograd.function import _DifferentiatedOnce
from tensorlab.ops.functions import _reject
from tensorlab.ops.gathering import gather_backward

_NOTHING = -math.inf


def _states(xp: Any, targets: Any, target_lengths: Sequence[int], blank: int) -> tuple[Any, Any]:
    """The labels spread out by blanks (N, 2S+1), and where a blank may be skipped."""
    count, longest = targets.shape
    lengths = xp.asarray(target_lengths, dtype=np.int64)
    labels = xp.full((count, 2 * longest + 1), blank, np.int64)
    inside = xp.arange(longest) < lengths[:, None]
    labels[:, 1::2] = xp.where(inside, targets, blank)
    skips = xp.zeros(labels.shape, bool)
    skips[:, 2:] = (labels[:, 2:] != blank) & (labels[:, 2:] != labels[:, :-2])
    return labels, skips


def _log_add(xp: Any, *terms: Any) -> Any:
    """log of the sum of exp of each, −inf where all are."""
    top = terms[0]
    for t in terms[1:]:
        top = xp.maximum(top, t)
    safe = xp.where(top == _NOTHING, 0, top)
    total = xp.exp(terms[0] - safe)
    for t in terms[1:]:
        total = total + xp.exp(t - safe)
    return xp.log(total) + safe


def _moved(xp: Any, a: Any, by: int) -> Any:
    """The states `by` places on (or back, if negative); nothing comes in from outside."""
    out = xp.full(a.shape, _NOTHING, a.dtype)
    if by > 0:
        out[:, by:] = a[:, :-by]
    else:
        out[:, :by] = a[:, -by:]
    return out


def _frames(xp: Any, log_probs: Any, labels: Any) -> Any:
    """The scores of the states' labels in every frame, (T, N, 2S+1)."""
    shape = (log_probs.shape[0], *labels.shape)
    return xp.take_along_axis(log_probs, xp.broadcast_to(labels, shape), 2)


def _ctc_samples(r: Any) -> list[Sample]:
    def scores(*shape: int) -> Any:
        x = r(*shape)
        return (x - np.log(np.exp(x).sum(-1, keepdims=True))).astype(x.dtype)

    two = np.array([[1, 2], [3, 3]])
    # The gradient is PyTorch's: right for scores that come out of log_softmax, and no other.
    return [
        Sample(scores(6, 2, 4), two, (6, 6), (2, 2)).kink(),
        Sample(scores(6, 3, 4), np.array([[1, 2, 1], [3, 3, 0], [2, 0, 0]]), (6, 4, 1), (3, 2, 0)).kink(),
        Sample(scores(5, 2, 3), np.array([[0, 1], [0, 0]]), (5, 4), (2, 1), 2).kink(),
    ]  # fmt: skip


def _torch_ctc(x: Any, targets: Any, frames: Any, lengths: Any, blank: int = 0) -> Any:
    import torch  # type: ignore[import-not-found]

    if targets.dtype is not torch.int64 or (targets >= x.shape[2]).any():
        raise RuntimeError("whole numbers in range are wanted here: ctc_losses sees to that")
    return torch.nn.functional.ctc_loss(x, targets, frames, lengths, blank, "none")


@op(
    samples=_ctc_samples,
    torch=lambda *arguments: _torch_ctc(*arguments),
    result=None, name="ctc_loss",
)  # fmt: skip
def _ctc_loss(
    xp, log_probs, targets, /, input_lengths, target_lengths, blank=0, zero_infinity=False
):
    """−log of the probability of each target: (T, N, C) and (N, S), with two lengths each, to (N,).

    `zero_infinity` says that a target which cannot be reached has no gradient, rather than nan.
    """
    return _forward(xp, log_probs, targets, input_lengths, target_lengths, blank)[0]


def _forward(
    xp: Any,
    log_probs: Any,
    targets: Any,
    input_lengths: Sequence[int],
    target_lengths: Sequence[int],
    blank: int,
) -> tuple[Any, Any]:
    """The losses, and log α for every frame, sample and state."""
    labels, skips = _states(xp, targets, target_lengths, blank)
    scores = _frames(xp, log_probs, labels)
    alpha = xp.full(scores.shape, _NOTHING, log_probs.dtype)
    alpha[0, :, :2] = scores[0, :, :2]
    for t in range(1, len(alpha)):
        before = alpha[t - 1]
        skipped = xp.where(skips, _moved(xp, before, 2), _NOTHING)
        alpha[t] = _log_add(xp, before, _moved(xp, before, 1), skipped) + scores[t]
    rows = xp.arange(len(labels))
    lengths = xp.asarray(target_lengths, dtype=np.int64)
    frames = xp.asarray(input_lengths, dtype=np.int64)
    end = alpha[xp.maximum(frames - 1, 0), rows]
    last = end[rows, 2 * lengths]
    label = xp.where(lengths > 0, end[rows, xp.maximum(2 * lengths - 1, 0)], _NOTHING)
    loss = -_log_add(xp, last, label)
    empty = xp.where(lengths == 0, 0, math.inf).astype(log_probs.dtype)
    return xp.where(frames == 0, empty, loss), alpha


@op(
    samples=lambda r: [
        Sample(r(2), s.args[0], s.args[1], *s.args[2:]).kink() for s in _ctc_samples(r)[:1]
    ],
    torch="", result=None,
)  # fmt: skip
def ctc_loss_backward(
    xp, grad, log_probs, targets, /, input_lengths, target_lengths, blank=0, zero_infinity=False
):
    """The gradient of `ctc_loss` by its scores, as PyTorch has it.

    That is exp(score) less the probability of being at this class in this frame, given the target
    (Graves et al., equation 16): the gradient by what was given to `log_softmax`.
    """
    loss, alpha = _forward(xp, log_probs, targets, input_lengths, target_lengths, blank)
    labels, skips = _states(xp, targets, target_lengths, blank)
    scores = _frames(xp, log_probs, labels)
    lengths = xp.asarray(target_lengths, dtype=np.int64)[:, None]
    frames = xp.asarray(input_lengths, dtype=np.int64)[:, None]
    places = xp.arange(labels.shape[1])
    final = (places == 2 * lengths) | ((places == 2 * lengths - 1) & (lengths > 0))
    out = xp.zeros(log_probs.shape, log_probs.dtype)
    beta = xp.full(labels.shape, _NOTHING, log_probs.dtype)
    # A state is skipped to by its second successor.
    skipped_from = xp.zeros(skips.shape, bool)
    skipped_from[:, :-2] = skips[:, 2:]
    for t in range(len(alpha) - 1, -1, -1):
        skipped = xp.where(skipped_from, _moved(xp, beta, -2), _NOTHING)
        beta = _log_add(xp, beta, _moved(xp, beta, -1), skipped)
        beta = xp.where(frames - 1 == t, xp.where(final, 0, _NOTHING), beta) + scores[t]
        beta = xp.where(frames - 1 < t, _NOTHING, beta).astype(log_probs.dtype)
        at_state = alpha[t] + beta - xp.where(scores[t] == _NOTHING, 0, scores[t]) + loss[:, None]
        at_class = gather_backward(xp.exp(at_state), labels, log_probs.shape[1:], 1)
        out[t] = xp.where(frames - 1 < t, 0, xp.exp(log_probs[t]) - at_class)
    unreachable = xp.isinf(loss)[:, None]
    used = xp.arange(len(alpha))[:, None, None] < frames
    out = xp.where(unreachable & used, 0 if zero_infinity else math.nan, out)
    slope = xp.where(unreachable[:, 0], 0, grad) if zero_infinity else grad
    return (out * slope[:, None]).astype(log_probs.dtype)


def _by_scores(g, log_probs, targets, input_lengths, target_lengths, blank, zero_infinity):
    given = (g, log_probs, targets, input_lengths, target_lengths, blank, zero_infinity)
    found = ctc_loss_backward(*given)
    if isinstance(found, Tensor) and mode.grad and (g.requires_grad or log_probs.requires_grad):
        # It is no true derivative, so it must not be differentiated as if it were one.
        return _DifferentiatedOnce.apply(found, g, log_probs)[0]
    return found


_ctc_loss.vjp(log_probs=_by_scores)


# With checked arguments -------------------------------------------------------------------


def _lengths(name: str, given: Any, count: int, most: int | None) -> tuple[int, ...]:
    if isinstance(given, Tensor):
        if given.dtype.is_floating_point or given.dtype.is_complex:
            raise RuntimeError(f"{name} must be integral, got {given.dtype}")
        given = to_numpy(given._data).reshape(-1).tolist()
    lengths = tuple(int(n) for n in given)
    if len(lengths) != count:
        raise RuntimeError(f"{name} must be of size batch_size, {count}, got {len(lengths)}")
    for n in lengths:
        if n < 0:
            raise RuntimeError(f"Expected {name} to have value at least 0, but got value {n}")
        if most is not None and n > most:
            raise RuntimeError(f"Expected {name} to have value at most {most}, but got value {n}")
    return lengths


def _padded(targets: Tensor, lengths: tuple[int, ...]) -> Tensor:
    """Targets as rows (N, S), also where they were given one after the other."""
    longest = max(lengths, default=0)
    if targets.dim() == 1:
        if targets.size(0) != sum(lengths):
            raise RuntimeError(
                f"Expected tensor to have size {sum(lengths)} at dimension 0, but got size "
                f"{targets.size(0)} for argument #2 'targets': the lengths add up to {sum(lengths)}"
            )
        xp = backend_of(targets._data).xp
        rows = xp.zeros((len(lengths), longest), np.int64)
        start = 0
        for i, n in enumerate(lengths):
            rows[i, :n] = targets._data[start : start + n]
            start += n
        return wrap(rows)
    if targets.dim() != 2:
        raise RuntimeError(
            f"Expected 1 to 2 dimensions, but got {targets.dim()}-dimensional tensor for argument #2 'targets'"
        )
    if targets.size(0) != len(lengths):
        raise RuntimeError(
            f"Expected tensor to have size {len(lengths)} at dimension 0, but got size {targets.size(0)} "
            "for argument #2 'targets'"
        )
    if targets.size(1) < longest:
        raise RuntimeError(
            f"Expected tensor to have size at least {longest} at dimension 1, but got size {targets.size(1)} "
            "for argument #2 'targets'"
        )
    return wrap(targets._data.astype(np.int64))


@runs_there
def ctc_losses(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    zero_infinity: bool = False,
) -> tuple[Tensor, tuple[int, ...]]:
    """The loss of each sample of a batch (T, N, C), and the lengths of the targets.

    targets: (N, S), or all of them one after the other, (sum of lengths,). Lengths: tensors or
    sequences of whole numbers. Raises `RuntimeError` for what does not belong together.

    >>> import tensorlab as tl
    >>> frames = tl.log_softmax(tl.zeros(2, 1, 2), 2)
    >>> ctc_losses(frames, tl.tensor([[1]]), (2,), (1,))  # 3 of 4 paths: (0, 1), (1, 0), (1, 1)
    (tensor([0.2877]), (1,))
    """
    if log_probs.dim() != 3 or log_probs.numel() == 0:
        raise RuntimeError(
            f"log_probs tensor must not be empty, and (T, N, C): got shape {list(log_probs.shape)}"
        )
    time, count, classes = log_probs.shape
    if not 0 <= blank < classes:
        raise RuntimeError(f"blank must be in label range, 0 to {classes - 1}, got {blank}")
    frames = _lengths("input_lengths", input_lengths, count, time)
    lengths = _lengths("target_lengths", target_lengths, count, None)
    rows = _padded(targets, lengths)
    _reject("ctc_loss", log_probs._data, "biuc")
    for i, n in enumerate(lengths):
        used = rows._data[i, :n]
        if n and bool(((used < 0) | (used >= classes)).any()):
            raise RuntimeError(
                f"targets must be in label range, 0 to {classes - 1}, got {used.tolist()} in sample {i}"
            )
    return _ctc_loss(log_probs, rows, frames, lengths, blank, zero_infinity), lengths
