"""Predictions: an answer that is locked before the measurement, and scored against it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from tensorlab.learn.lesson import Prediction
from tensorlab.learn.progress import Progress
from tensorlab.learn.values import as_array

__all__ = ["Locked", "Revealed", "describe", "lock", "parse_answer", "reveal"]

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Locked:
    """What became of an answer: `accepted`, or refused because another one is locked."""

    prediction_id: str
    value: float | str
    accepted: bool
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Revealed:
    """The locked answer beside the measurement; `revealed` is False if none was locked."""

    prediction_id: str
    revealed: bool
    text: str
    locked: float | str | None = None
    measured: float | str | None = None
    #: 1 for right (within the tolerance), ½ for a number within a factor of two, else 0.
    score: float | None = None

    def __str__(self) -> str:
        return self.text


def describe(prediction: Prediction, progress: Progress) -> str:
    """The question, how to answer it, and what is locked already."""
    lines = [f"Prediction {prediction.id}: {prediction.question}"]
    for letter, choice in zip(_LETTERS, prediction.choices, strict=False):
        lines.append(f"  {letter}) {choice}")
    locked = progress.item(prediction.id).locked
    if locked is not None:
        lines.append(f"Locked: {_told(prediction, locked)}.")
    else:
        example = "a" if prediction.kind == "choice" else "24"
        asked = "a letter" if prediction.kind == "choice" else "a number"
        if prediction.unit:
            asked += f", in {prediction.unit}"
        lines.append(
            f"Answer with {asked}; the first answer counts:\n"
            f"  %tensorlab predict {prediction.id} {example}"
        )
    return "\n".join(lines)


_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?")


def parse_answer(prediction: Prediction, answer: Any) -> float | str:
    """An answer as a learner types it: a number, or the letter or text of a choice.

    Raises:
        ValueError: it is neither; the message says what is asked for.

    >>> from tensorlab.learn import Lesson
    >>> lesson = Lesson("90", "example", title="An example")
    >>> size = lesson.predict("90.A", question="How many bytes?", unit="bytes")
    >>> parse_answer(size, "24 bytes"), parse_answer(size, "1e3"), parse_answer(size, "1/4")
    (24.0, 1000.0, 0.25)
    >>> colour = lesson.predict("90.B", question="?", kind="choice", choices=["red", "blue"])
    >>> parse_answer(colour, "b"), parse_answer(colour, "Red"), parse_answer(colour, 1)
    ('blue', 'red', 'blue')
    """
    if prediction.kind == "choice":
        return _parse_choice(prediction, answer)
    if isinstance(answer, str):
        text = answer.strip().removesuffix(prediction.unit).strip().replace("_", "")
        if _THOUSANDS.fullmatch(text):  # as the lessons print large numbers
            text = text.replace(",", "")
        try:
            value = float(Fraction(text)) if "/" in text else float(text)
        except (ValueError, ZeroDivisionError):
            unit = f" ({prediction.unit})" if prediction.unit else ""
            raise ValueError(
                f"prediction {prediction.id} asks for a number{unit}, got {answer!r}; "
                "write it like 24000, 24,000 or 2.4e4"
            ) from None
    else:
        array = as_array(answer)
        if array.size != 1 or array.dtype.kind not in "biuf":
            raise ValueError(
                f"prediction {prediction.id} asks for a number, got {type(answer).__name__}"
            )
        value = float(array.reshape(()))
    if not math.isfinite(value):
        raise ValueError(f"prediction {prediction.id} asks for a finite number, got {value}")
    return value


def _parse_choice(prediction: Prediction, answer: Any) -> str:
    choices = prediction.choices
    if isinstance(answer, bool) or not isinstance(answer, (int, str)):
        answer = str(answer)
    if isinstance(answer, int) and 0 <= answer < len(choices):
        return choices[answer]
    text = str(answer).strip().strip("\"'").rstrip(")").casefold()
    exact = [choice for choice in choices if choice.casefold() == text]
    if exact:
        return exact[0]
    if len(text) == 1 and text in _LETTERS[: len(choices)]:
        return choices[_LETTERS.index(text)]
    letters = ", ".join(f"{_LETTERS[i]} ({choice})" for i, choice in enumerate(choices))
    raise ValueError(f"prediction {prediction.id} asks for one of {letters}; got {answer!r}")


def lock(prediction: Prediction, answer: Any, progress: Progress) -> Locked:
    """Lock an answer. The first one stays; the same answer again is no change.

    Raises:
        ValueError: the answer is not of the kind that is asked for.
        ProgressError: it can't be written down.
    """
    value = parse_answer(prediction, answer)
    if progress.item(prediction.id).locked is None:
        progress.record("lock", prediction.id, value=value)
    # Read again: if two notebooks answered at once, the first line of the log counts.
    locked = _locked_value(prediction, progress)
    if locked is None:
        locked = value
    told = _told(prediction, locked)
    if locked == value:
        return Locked(prediction.id, locked, True, f"Prediction {prediction.id} is locked: {told}.")
    return Locked(
        prediction.id,
        locked,
        False,
        f"Prediction {prediction.id} was locked before: {told}. It stays "
        f"({_told(prediction, value)} is not taken).",
    )


def reveal(prediction: Prediction, measured: Any, progress: Progress) -> Revealed:
    """Put the locked answer beside the measurement and score it; without one, show nothing.

    Raises:
        ValueError: the measured value is not of the kind that the prediction asks for.
    """
    locked = _locked_value(prediction, progress)
    if locked is None:
        return Revealed(
            prediction.id,
            False,
            f"Predict first: answer {prediction.id} with %tensorlab predict {prediction.id} "
            "and your value, then run this cell again.",
        )
    value = parse_answer(prediction, measured)
    score, verdict = _score(prediction, locked, value)
    text = (
        f"Prediction {prediction.id}: you said {_told(prediction, locked)}, "
        f"measured {_told(prediction, value, digits=4)}: {verdict}."
    )
    if prediction.explain:
        text += f"\n{prediction.explain}"
    if progress.item(prediction.id).state != "revealed":
        progress.record("reveal", prediction.id, measured=value, score=score)
    return Revealed(prediction.id, True, text, locked, value, score)


def _locked_value(prediction: Prediction, progress: Progress) -> float | str | None:
    """The locked answer; None if there is none, or if the log's is of no use."""
    locked = progress.item(prediction.id).locked
    if locked is None:
        return None
    try:
        return parse_answer(prediction, locked)
    except ValueError:  # the question has changed since
        return None


def _score(prediction: Prediction, locked: float | str, measured: float | str) -> tuple[float, str]:
    if isinstance(locked, str) or isinstance(measured, str):
        return (1.0, "right") if locked == measured else (0.0, "not so")
    difference = abs(locked - measured)
    if difference <= prediction.tolerance * abs(measured) + 1e-9 * abs(measured):
        return 1.0, "right" if difference == 0 else "right, within the tolerance"
    if locked * measured > 0:
        ratio = locked / measured
        side = "too much" if ratio > 1 else "too little"
        factor = max(ratio, 1 / ratio)
        if factor < 2:
            return 0.5, f"close, {abs(ratio - 1):.0%} {side}"
        return 0.5 if factor == 2 else 0.0, f"{factor:.3g} times {side}"
    return 0.0, "not so"


def _told(prediction: Prediction, value: Any, digits: int = 10) -> str:
    """A value in words; `digits`: of a number that is not whole."""
    if prediction.kind == "choice":
        if value in prediction.choices:
            return f"{_LETTERS[prediction.choices.index(value)]}) {value}"
        return str(value)
    unit = f" {prediction.unit}" if prediction.unit else ""
    if not isinstance(value, (int, float)):
        return f"{value}{unit}"
    whole = float(value).is_integer() and abs(value) < 1e15
    return f"{value:,.0f}{unit}" if whole else f"{value:.{digits}g}{unit}"
