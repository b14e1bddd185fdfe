"""The grammar of `%tensorlab`: one argparse tree that parses, prints the help and feeds completion.

argparse was made for programs that may exit and print to the terminal. Here it must do neither: a
slip of the pen in a notebook is answered by one line, so `Parser` raises `BadArguments` where
argparse would exit, and `HelpAsked` where it would print.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NoReturn

__all__ = [
    "EXERCISE",
    "EXERCISE_OR_LESSON",
    "EXPRESSION",
    "FILE",
    "LESSON",
    "PREDICTION",
    "BadArguments",
    "HelpAsked",
    "Kind",
    "Parser",
    "build_parser",
    "parse",
    "split_words",
]


class BadArguments(ValueError):
    """The line does not fit the grammar; the message is one line and says what to write instead."""


class HelpAsked(Exception):
    """`--help` was given; the help is `args[0]`."""


@dataclass(frozen=True)
class Kind:
    """What a word on the line stands for: how it is read, and (in complete.py) what may complete it."""

    name: str
    read: Callable[[str], Any] = str

    def __call__(self, word: str) -> Any:
        return self.read(word)


def _unquoted(word: str) -> str:
    """The text of a word that may be written as a Python string, as a file name with spaces must be."""
    if len(word) >= 2 and word[0] == word[-1] and word[0] in "'\"":
        try:
            return str(ast.literal_eval(word))
        except (SyntaxError, ValueError) as error:
            raise argparse.ArgumentTypeError(f"{word} is not a readable string") from error
    return word


def _whole(least: int) -> Callable[[str], int]:
    def read(word: str) -> int:
        try:
            number = int(word)
        except ValueError:
            number = least - 1
        if number < least:
            raise argparse.ArgumentTypeError(
                f"expected a whole number from {least} up, got {word!r}"
            )
        return number

    return read


EXERCISE = Kind("exercise", _unquoted)
LESSON = Kind("lesson", _unquoted)
EXERCISE_OR_LESSON = Kind("exercise or lesson", _unquoted)
PREDICTION = Kind("prediction", _unquoted)
EXPRESSION = Kind("expression")
FILE = Kind("file", _unquoted)
COUNT = Kind("whole number", _whole(1))
SEED = Kind("seed", _whole(0))


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` that raises instead of exiting and lists its own arguments and subcommands."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.arguments: list[argparse.Action] = []
        self.commands: dict[str, Parser] = {}
        self.summary = ""
        # One spelling per option: an abbreviation would complete to nothing and age badly.
        super().__init__(*args, allow_abbrev=False, add_help=False, **kwargs)
        self.color = False  # Python 3.14 would colour the help by the terminal it runs in
        self.add_argument("-h", "--help", action=_Help, nargs=0, help="show this help")

    def add_argument(self, *args: Any, **kwargs: Any) -> argparse.Action:
        action = super().add_argument(*args, **kwargs)
        self.arguments.append(action)
        return action

    @property
    def options(self) -> list[argparse.Action]:
        return [action for action in self.arguments if action.option_strings]

    @property
    def positionals(self) -> list[argparse.Action]:
        return [action for action in self.arguments if not action.option_strings]

    def error(self, message: str) -> NoReturn:
        raise BadArguments(f"{self.prog}: {message}; see {self.prog} --help")


class _Help(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        raise HelpAsked(parser.format_help())


def build_parser() -> Parser:
    """Build the grammar of the magic. `parser.commands` maps each subcommand to its own parser."""
    top = Parser(
        prog="%tensorlab",
        description="The tensorlab course and its instruments. Alone it shows where you stand and the next step.",
    )
    subparsers = top.add_subparsers(
        dest="command", metavar="COMMAND", title="commands", parser_class=Parser
    )

    def command(name: str, summary: str, description: str, prog: str | None = None) -> Parser:
        parser = subparsers.add_parser(
            name,
            prog=prog or f"%tensorlab {name}",
            help=summary,
            description=f"{summary}. {description}",
        )
        parser.summary = summary
        top.commands[name] = parser
        return parser

    check = command(
        "check",
        "Check exercises against fresh random cases",
        "Reads the functions and classes that your notebook defines now. Without an ID it checks every exercise that "
        "has something of yours to check.",
    )
    check.add_argument(
        "exercises",
        metavar="ID",
        nargs="*",
        type=EXERCISE_OR_LESSON,
        help="an exercise (01.1) or a whole lesson (01)",
    )
    check.add_argument(
        "--seed", metavar="N", type=SEED, help="repeat the random cases of an earlier check"
    )

    hint = command("hint", "Show the next hint", "Hints come one by one, the gentlest first.")
    hint.add_argument("exercise", metavar="ID", type=EXERCISE, help="an exercise, such as 01.1")

    solution = command(
        "solution", "Show the course's solution", "Other ways can be right too: the check decides."
    )
    solution.add_argument("exercise", metavar="ID", type=EXERCISE, help="an exercise, such as 01.1")

    predict = command(
        "predict",
        "Lock in a prediction, or compare it with the measurement",
        "A prediction is locked once; only then is the answer shown. With the ID alone it shows the question.",
    )
    predict.add_argument(
        "prediction", metavar="ID", type=PREDICTION, help="a prediction, such as 01.A"
    )
    predict.add_argument(
        "value", metavar="VALUE", nargs="*", help="what you expect: a number, or one of the choices"
    )
    predict.add_argument(
        "--measured",
        metavar="EXPR",
        nargs="+",
        type=EXPRESSION,
        help="what came out: a Python expression",
    )

    progress = command("progress", "Show what you have done", "Nothing of it leaves your machine.")
    progress.add_argument(
        "lesson", metavar="LESSON", nargs="?", type=LESSON, help="only this lesson, such as 01"
    )

    reset = command(
        "reset",
        "Start an exercise again",
        "Puts the empty exercise into a new cell below; your own cell stays as it is.",
    )
    reset.add_argument("exercise", metavar="ID", type=EXERCISE, help="an exercise, such as 01.1")

    seed = command(
        "seed",
        "Seed the random numbers of Python, NumPy and tensorlab",
        "The same seed, the same numbers.",
    )
    seed.add_argument("number", metavar="N", type=SEED, help="a whole number, 0 or more")

    command(
        "doctor",
        "Examine the installation",
        "Versions, kernel, widgets, CPU and GPU, and what to do if one ails.",
    )

    graph = command(
        "graph",
        "Draw the autograd graph of a tensor",
        "A notebook shows it live: modules open, a click shows values, backward can be stepped through. "
        "Call it before backward() frees the graph.",
    )
    graph.add_argument(
        "expression", metavar="EXPR", nargs="+", type=EXPRESSION, help="an expression for a tensor"
    )
    graph.add_argument(
        "--time",
        action="store_true",
        help="time the expression, and colour its operations by their time",
    )
    graph.add_argument(
        "--save", metavar="FILE", type=FILE, help="also write the picture to this .svg file"
    )

    view = command(
        "view",
        "Look at a tensor's values and where they lie in memory, or at what differs between two",
        "It reads the tensor when it is shown: on a GPU this waits.",
    )
    view.add_argument(
        "tensors",
        metavar="TENSOR",
        nargs="+",
        type=EXPRESSION,
        help="an expression for a tensor, or two; one with blanks in brackets",
    )

    grads = command(
        "grads",
        "Show the gradients of a model's layers over the steps of a training",
        "Before the training: the model is watched from then on, and the picture follows. Without a "
        "model the watching ends. Two recorded runs (tensorlab.inspect.gradients) are compared.",
    )
    grads.add_argument(
        "runs",
        metavar="RUN",
        nargs="*",
        type=EXPRESSION,
        help="an expression for a model or a recorder, or two recorders; one with blanks in brackets",
    )

    summary = command(
        "summary",
        "List a model's layers, output shapes, parameters and memory",
        "Runs the model once, in eval mode and without gradients.",
    )
    summary.add_argument(
        "model", metavar="MODEL", type=EXPRESSION, help="an expression for the module"
    )
    summary.add_argument(
        "inputs",
        metavar="INPUT",
        nargs="+",
        type=EXPRESSION,
        help="its inputs: expressions for tensors, or shapes such as (64,1,8,8) to be filled with zeros",
    )

    profile = command(
        "profile",
        "Time the operations of a cell, forward and backward",
        "Write it as the first line of a cell.",
        prog="%%tensorlab profile",
    )
    profile.add_argument(
        "--by",
        choices=("op", "module"),
        default="op",
        help="one row per op (default) or per module",
    )
    profile.add_argument(
        "--sort",
        choices=("time", "memory", "calls", "name"),
        default="time",
        help="the order of the rows (default: time)",
    )
    profile.add_argument(
        "--top", metavar="N", type=COUNT, default=20, help="at most N rows (default: 20)"
    )
    profile.add_argument(
        "--trace", metavar="FILE", type=FILE, help="write a Chrome trace (.json) for Perfetto"
    )

    kernel = command(
        "kernel",
        "Run a cell's GPU kernels in the simulator and report what they did",
        "Data races, barriers, indices, memory traffic, bank conflicts, divergence: of every launch. "
        "Write it as the first line of a cell that launches kernels of tensorlab.cuda.jit; no GPU is needed.",
        prog="%%tensorlab kernel",
    )
    kernel.add_argument(
        "--replay",
        metavar="BLOCK",
        nargs="?",
        type=SEED,
        const=0,
        help="also show the last launch step by step: of block 0, or of that number",
    )
    kernel.add_argument(
        "--seed",
        metavar="N",
        type=SEED,
        default=0,
        help="draw another order of warps: a race may then show other values",
    )
    return top


def parse(parser: Parser, line: str) -> argparse.Namespace:
    """Parse what follows `%tensorlab` on its line.

    Raises `BadArguments` for a line outside the grammar and `HelpAsked` for `--help`.

    >>> parse(build_parser(), "graph f(x, y) + 1").expression
    ['f(x, y)', '+', '1']
    """
    words = [_plain_number(word) for word in split_words(line)]
    if words and not words[0].startswith("-") and words[0] not in parser.commands:
        raise BadArguments(
            f"{parser.prog}: no command {words[0]!r}; {_nearest(words[0], list(parser.commands))}"
        )
    try:
        return parser.parse_args(words)
    except argparse.ArgumentError as error:  # Python 3.11 lets some of these through past error()
        raise BadArguments(f"{parser.prog}: {error}") from error


def _nearest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"the commands are {', '.join(known)}"


_NEGATIVE = re.compile(r"-(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def _plain_number(word: str) -> str:
    """Write -1e-3 as -0.001: argparse (before Python 3.14) takes the first form for an option."""
    return f"{Decimal(word):f}" if _NEGATIVE.fullmatch(word) else word


_OPENING = {"(": ")", "[": "]", "{": "}"}


def split_words(line: str) -> list[str]:
    """Split a line at blanks, but neither inside brackets nor inside quotes, so that expressions stay whole.

    Quotes and brackets are kept; an unclosed one runs to the end of the line.

    >>> split_words("summary model (2, 3) x['a b']")
    ['summary', 'model', '(2, 3)', "x['a b']"]
    """
    words: list[str] = []
    word = ""
    closing: list[str] = []
    quote = ""
    escaped = False
    for char in line:
        if quote:
            word += char
            if escaped:
                escaped = False
            elif char == "\\":
                escaped = True
            elif char == quote:
                quote = ""
            continue
        if char.isspace() and not closing:
            if word:
                words.append(word)
            word = ""
            continue
        word += char
        if char in "'\"":
            quote = char
        elif char in _OPENING:
            closing.append(_OPENING[char])
        elif closing and char == closing[-1]:
            closing.pop()
    return [*words, word] if word else words
