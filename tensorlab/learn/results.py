"""What a check found, as text and as HTML."""

from __future__ import annotations

import enum
import html
import re
from dataclasses import dataclass, field
from typing import Any

from tensorlab.learn.declare import Mutant
from tensorlab.learn.rendering import indent

__all__ = ["CheckResult", "Outcome"]


class Outcome(enum.StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    UNATTEMPTED = "unattempted"


# A sign and a word: colour is never the only difference.
_SIGNS = {
    Outcome.PASSED: "✓",
    Outcome.FAILED: "✗",
    Outcome.ERROR: "!",
    Outcome.UNATTEMPTED: "○",
}
_COLOURS = {
    Outcome.PASSED: "var(--jp-success-color1, #388e3c)",
    Outcome.FAILED: "var(--jp-error-color1, #d32f2f)",
    Outcome.ERROR: "var(--jp-error-color1, #d32f2f)",
    Outcome.UNATTEMPTED: "var(--jp-warn-color1, #b26a00)",
}


@dataclass(slots=True)
class CheckResult:
    """The result of a check. ``str(result)`` is what learners read.

    The text of a passed or unattempted check is the same every time: no times, no seeds.
    """

    exercise_id: str
    title: str
    outcome: Outcome
    #: One or two sentences; empty where the outcome says it all.
    message: str = ""
    #: Cases that were run.
    cases: int = 0
    #: The label of the smallest failing case, its input as text, and its seed.
    case: str | None = None
    inputs: str = ""
    seed: int | None = None
    #: Expected and returned value of that case, and both as text (empty: not worth showing).
    expected: Any = None
    got: Any = None
    expected_text: str = ""
    got_text: str = ""
    #: The learner's own lines of a traceback.
    traceback: str = ""
    #: The class of the exception that ended it, by name.
    raised: str = ""
    #: The mutant that behaves just like the learner's code, and the sentence that helps.
    mutant: Mutant | None = None
    hint: str | None = None
    #: What else the learner should know: names that were put back, code that runs on ...
    notes: list[str] = field(default_factory=list)
    #: What the code printed in that case (the beginning), and how much if that is not all.
    stdout: str = ""
    stdout_note: str = ""
    #: Seconds that the learner's code took.
    seconds: float = 0.0
    #: Number and sentence of a milestone.
    number: float | None = None
    #: The check itself is broken: a bug in the course, not the learner's.
    course_error: bool = False

    @property
    def passed(self) -> bool:
        return self.outcome is Outcome.PASSED

    @property
    def headline(self) -> str:
        """The first line: sign, id, title, outcome and number of cases."""
        line = f"{_SIGNS[self.outcome]} {self.exercise_id} {self.title}: {self.outcome}"
        if self.passed and self.cases:
            line += f" ({self.cases} case{'' if self.cases == 1 else 's'})"
        return line

    def _sections(self) -> list[tuple[str, str]]:
        """What follows the headline, as pairs of heading (may be empty) and text."""
        made = [("", self.message)] if self.message else []
        if self.traceback:
            made.append(("in your code", self.traceback))
        if self.case is not None:
            seed = f" (seed {self.seed})" if self.seed is not None else ""
            made.append((f"smallest failing case: {self.case}{seed}", self.inputs))
        if self.expected_text:
            made.append(("expected", self.expected_text))
        if self.got_text:
            made.append(("got", self.got_text))
        if self.stdout and not self.passed:
            made.append((self.stdout_note or "your code printed", self.stdout.rstrip("\n")))
        if self.hint:
            made.append(("", f"Hint: {self.hint}"))
        made += [("", f"Note: {note}") for note in self.notes]
        return made

    def __str__(self) -> str:
        lines = [self.headline]
        for heading, text in self._sections():
            if heading:
                lines.append(f"  {heading}")
            if text:
                lines.append(indent(text, "    " if heading else "  "))
        return "\n".join(lines)

    def to_html(self) -> str:
        """The same as ``str(result)``, as HTML that follows the notebook's theme."""
        colour = _COLOURS[self.outcome]
        parts = [
            f'<div class="tensorlab-check" role="status" style="border-left:4px solid {colour};'
            'padding:4px 12px;font-family:var(--jp-ui-font-family, sans-serif)">',
            f'<div style="font-weight:600">{html.escape(self.headline)}</div>',
        ]
        for heading, text in self._sections():
            if not heading:
                parts.append(f'<p style="margin:4px 0">{_prose(text)}</p>')
                continue
            parts.append(f'<div style="margin-top:6px">{html.escape(heading)}</div>')
            if text:
                parts.append(
                    '<pre style="margin:2px 0 2px 16px;white-space:pre-wrap">'
                    f"{html.escape(text)}</pre>"
                )
        return "\n".join([*parts, "</div>"])

    def _repr_html_(self) -> str:
        return self.to_html()

    def __repr__(self) -> str:
        return str(self)


def _prose(text: str) -> str:
    """Sentences as HTML: `names` in the font of code, *words* stressed, line breaks kept."""
    marked = re.sub(r"`([^`\n]+)`", r"<code>\1</code>", html.escape(text))
    # A word alone: in formulas, as in a*b*c or 2 * a * b, a star is a star.
    marked = re.sub(r"(?<![\w*/)\]])\*(\w+)\*(?![\w*/(])", r"<em>\1</em>", marked)
    return marked.replace("\n", "<br>")
