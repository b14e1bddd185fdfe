"""What a check says about code that did not end, or that raised."""

from __future__ import annotations

import traceback

from tensorlab.learn.worker import Raised

__all__ = ["exception_text", "format_frames", "time_limit_text"]


def time_limit_text(limit: float, frames: list[traceback.FrameSummary], abandoned: bool) -> str:
    """What is said about code that was still running at the time limit, and where it was."""
    stopped = "" if abandoned else " and was stopped"
    where = f" It was in line {frames[-1].lineno} of `{frames[-1].name}`." if frames else ""
    cause = "Does it wait for something" if abandoned else "Is there a loop that never ends"
    return f"Your code was still running after {limit:g} s{stopped}.{where} {cause}?"


_SAID = {
    SystemExit: "Your code left with sys.exit() or exit(). A function hands back its result with "
    "`return`.",
    KeyboardInterrupt: "Your code raised KeyboardInterrupt itself.",
    RecursionError: "Your code calls itself without end (RecursionError): where does it stop?",
}


def exception_text(raised: Raised) -> str:
    """What is said about an exception, most of all about those that learners wonder at."""
    for kind, text in _SAID.items():
        if issubclass(raised.type, kind):
            return text
    # A message of several lines ends with a line of code, which takes no full stop.
    said = f"{raised}" if "\n" in raised.message else f"{raised}."
    if not raised.frames:
        if raised.type is TypeError and "argument" in raised.message:
            return f"The check could not call your code as the exercise asks: {raised.message}."
        return f"Using what you wrote raised {said}"
    return f"Your code raised {said}"


def format_frames(frames: list[traceback.FrameSummary]) -> str:
    """The learner's own lines of a traceback; calls of one line again and again are counted."""
    lines = []
    calls = [(frame.lineno, frame.name, frame.line) for frame in frames]
    position = 0
    while position < len(calls):
        line, name, text = calls[position]
        lines.append(f"line {line}, in {name}")
        if text:
            lines.append(f"  {text}")
        repeats = 1
        while position + repeats < len(calls) and calls[position + repeats] == calls[position]:
            repeats += 1
        if repeats > 3:
            lines.append(f"  … {repeats - 1} more calls from this line")
            position += repeats
        else:
            position += 1
    if len(lines) > 24:
        lines = [*lines[:12], "…", *lines[-12:]]
    return "\n".join(lines)
