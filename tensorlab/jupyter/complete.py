"""Tab completion of `%tensorlab` lines, generated from the argument parser.

The words before the cursor decide which argument the cursor is in; that argument's `type` (a
`Kind`) or its `choices` decide what can stand there. So a new option completes by being declared.

IPython 8.6 brought matchers that see the whole line and describe what they offer. Before it, as
still on Colab, a matcher gets a word and returns words; then the descriptions are lost, no more.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from IPython.core.interactiveshell import InteractiveShell

from tensorlab import Tensor
from tensorlab.learn import CourseError
from tensorlab.nn import Module

from . import coursework
from .arguments import (
    EXERCISE,
    EXERCISE_OR_LESSON,
    EXPRESSION,
    FILE,
    LESSON,
    PREDICTION,
    Kind,
    Parser,
    split_words,
)
from .notebook import Notebook

if TYPE_CHECKING:
    from IPython.core.completer import CompletionContext, SimpleMatcherResult

__all__ = ["Completion"]

# An assignment may stand before a line magic: text = %tensorlab …
_LINE = re.compile(r"\s*(?:[\w.\[\], ]+=\s*)?%{1,2}tensorlab\s+(?P<rest>.*)", re.DOTALL)
_PATH = re.compile(r"[A-Za-z_]\w*(\.\w*)*$")


class Completion:
    """The matcher, and its place in a shell's completer."""

    def __init__(self, shell: InteractiveShell, parser: Parser, notebook: Notebook) -> None:
        self._shell = shell
        self._parser = parser
        self._notebook = notebook
        self._matcher = self._make_matcher()
        self._words: dict[Kind, Callable[[], Iterator[tuple[str, str]]]] = {
            EXERCISE: coursework.exercise_ids,
            LESSON: coursework.lesson_ids,
            EXERCISE_OR_LESSON: coursework.exercise_and_lesson_ids,
            PREDICTION: coursework.prediction_ids,
        }

    def install(self) -> None:
        self._shell.Completer.custom_matchers.append(self._matcher)

    def remove(self) -> None:
        self._shell.Completer.custom_matchers.remove(self._matcher)

    def _make_matcher(self) -> Callable[..., Any]:
        try:
            from IPython.core.completer import context_matcher
        except ImportError:
            return self._match_word
        # The decorator marks a function; a bound method can't be marked.
        return context_matcher(identifier="tensorlab")(lambda context: self._match(context))

    def _match(self, context: CompletionContext) -> SimpleMatcherResult:
        """Complete the word at the cursor if the line is one of ours; else leave it to the others."""
        from IPython.core.completer import SimpleCompletion

        line = _LINE.fullmatch(context.text_until_cursor)
        if line is None:
            return {"completions": [], "suppress": False}
        fragment, found = self._complete(line["rest"])
        return {
            "completions": [SimpleCompletion(text, type=_type(words)) for text, words in found],
            "matched_fragment": fragment,
            "suppress": True,
            "ordered": True,
        }

    def _match_word(self, word: str) -> list[str]:
        """The same for IPython before 8.6: what can stand in the place of `word`."""
        line = _LINE.fullmatch(self._shell.Completer.text_until_cursor)
        if line is None:
            return []
        fragment, found = self._complete(line["rest"])
        before = word.removesuffix(fragment)
        return [before + text for text, _ in found] if word.endswith(fragment) else []

    def _complete(self, text: str) -> tuple[str, list[tuple[str, str]]]:
        """The part of the text that is replaced, and what can stand in its place."""
        words = split_words(text)
        last = "" if not words or not text.endswith(words[-1]) else words.pop()
        if not words:
            commands = [(name, each.summary) for name, each in self._parser.commands.items()]
            return last, _starting(last, [*commands, *_options(self._parser)])
        parser = self._parser.commands.get(words[0])
        if parser is None:
            return last, []
        if last.startswith("-") and "=" not in last:
            return last, _starting(last, _options(parser))
        option, equals, value = last.partition("=")
        if equals and option.startswith("-"):
            words, last = [*words, option], value
        action = _argument_at(parser, words[1:])
        if action is not None and action.type is EXPRESSION:
            return self._expression(last, action.dest)
        if action is not None and action.type is FILE:
            return last, []  # IPython completes paths itself
        found = list(self._candidates(action)) if action is not None else []
        # An argument that nothing is known about, or none: say what else the command takes.
        return last, _starting(last, found or _options(parser))

    def _candidates(self, action: argparse.Action) -> Iterator[tuple[str, str]]:
        """What can stand for an argument, each with a few words about it."""
        for choice in action.choices or ():
            yield str(choice), action.dest
        if isinstance(action.type, Kind) and action.type in self._words:
            try:
                yield from self._words[action.type]()
            except CourseError:
                return  # the command itself says what is wrong with the course

    def _expression(self, text: str, dest: str) -> tuple[str, list[tuple[str, str]]]:
        """Names in the namespace, those that fit the argument first; attributes after a dot."""
        path = _PATH.search(text)
        if path is None:
            if text and (text[-1].isalnum() or text[-1] in ".)]}'\""):
                return text, []  # in a number or behind a finished value: nothing of ours fits
            fragment = ""
        else:
            fragment = path[0]
        if "." in fragment:
            found = self._shell.Completer.attr_matches(fragment)
            return fragment, [(name, "attribute") for name in found]
        wanted = _WANTED.get(dest, object)
        names = sorted(
            self._notebook.names(), key=lambda item: (not isinstance(item[1], wanted), item[0])
        )
        return fragment, _starting(fragment, ((name, _describe(value)) for name, value in names))


_WANTED: dict[str, type] = {"expression": Tensor, "model": Module, "inputs": Tensor}


def _options(parser: Parser) -> list[tuple[str, str]]:
    """The options by their long spelling, `--help` last."""
    found = [(action.option_strings[-1], action.help or "") for action in parser.options]
    return sorted(found, key=lambda option: option[0] == "--help")


def _starting(fragment: str, found: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(text, words) for text, words in found if text.startswith(fragment)]


def _type(words: str) -> str:
    """Words about a completion, as its type: there, front ends show them beside it, on one line.

    JupyterLab would wrap at blanks and set the lines on top of each other.
    """
    short = words if len(words) <= 50 else words[:49].rstrip() + "…"
    return short.replace(" ", "\N{NO-BREAK SPACE}")


def _describe(value: Any) -> str:
    kind = type(value).__name__
    return f"{kind} {tuple(value.shape)}" if isinstance(value, Tensor) else kind


def _argument_at(parser: Parser, words: list[str]) -> argparse.Action | None:
    """The argument that the next word belongs to, after `words`; None if no more may come."""
    positionals = list(parser.positionals)
    open_option: argparse.Action | None = None
    for word in words:
        option = next((a for a in parser.options if word in a.option_strings), None)
        if option is not None:
            open_option = option if option.nargs != 0 else None
        elif open_option is not None:
            if open_option.nargs is None:
                open_option = None
        elif positionals and not word.startswith("-") and positionals[0].nargs not in ("*", "+"):
            positionals.pop(0)
    if open_option is not None:
        return open_option
    return positionals[0] if positionals else None
