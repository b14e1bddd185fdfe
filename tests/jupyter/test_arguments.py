"""The grammar of the %tensorlab line."""

from __future__ import annotations

import pytest

from tensorlab.jupyter.arguments import BadArguments, HelpAsked, build_parser, parse, split_words


def read(line: str):
    return parse(build_parser(), line)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", []),
        ("   ", []),
        ("check 01.1  01.2", ["check", "01.1", "01.2"]),
        ("graph f(x, y) + 1", ["graph", "f(x, y)", "+", "1"]),
        ("summary model (2, 3)", ["summary", "model", "(2, 3)"]),
        ("graph d['a b'] [1, 2]", ["graph", "d['a b']", "[1, 2]"]),
        ("graph f('(', x)", ["graph", "f('(', x)"]),
        (r"graph f('it\'s', x)", ["graph", r"f('it\'s', x)"]),
        ("graph f(x, y", ["graph", "f(x, y"]),
        ("graph 'open end", ["graph", "'open end"]),
        ("graph )x (y z)", ["graph", ")x", "(y z)"]),
        ("graph {'a': (1, 2)}['a']", ["graph", "{'a': (1, 2)}['a']"]),
    ],
)
def test_words_keep_brackets_and_quotes_whole(line: str, words: list[str]) -> None:
    assert split_words(line) == words


def test_the_line_alone_is_the_status() -> None:
    assert read("").command is None


def test_every_command_is_read() -> None:
    assert read("check").exercises == []
    assert read("check 01.1 02 --seed 7").exercises == ["01.1", "02"]
    assert read("check --seed 7").seed == 7
    assert read("hint 01.1").exercise == "01.1"
    assert read("solution '01.1'").exercise == "01.1"
    assert read("predict 01.A").value == []
    assert read("predict 01.A 24").value == ["24"]
    assert read("predict 01.A no copy at all").value == ["no", "copy", "at", "all"]
    assert read("predict 01.A --measured x.nbytes + 1").measured == ["x.nbytes", "+", "1"]
    assert read("progress").lesson is None
    assert read("progress 02").lesson == "02"
    assert read("reset 01.1").exercise == "01.1"
    assert read("seed 0").number == 0
    assert read("doctor").command == "doctor"
    assert read("graph loss.sum() --save 'my loss.svg'").save == "my loss.svg"
    assert read("summary model x (1, 2)").inputs == ["x", "(1, 2)"]
    assert read("profile --by module --top 3 --sort memory --trace t.json").top == 3


@pytest.mark.parametrize("number", ["-3", "-0.5", "-1e-3", "-2.5E+2", "-.5"])
def test_a_negative_number_is_a_prediction_and_not_an_option(number: str) -> None:
    assert float(read(f"predict 01.A {number}").value[0]) == float(number)


@pytest.mark.parametrize(
    ("line", "needed"),
    [
        ("chek 01.1", "did you mean 'check'?"),
        ("frobnicate", "the commands are check, hint"),
        ("hint", "required: ID"),
        ("hint 01.1 01.2", "unrecognized arguments: 01.2"),
        ("seed", "required: N"),
        ("seed two", "expected a whole number from 0 up, got 'two'"),
        ("seed -1", "expected a whole number from 0 up, got '-1'"),
        ("profile --top 0", "expected a whole number from 1 up, got '0'"),
        ("profile --by layer", "invalid choice: 'layer'"),
        ("profile --verbose", "unrecognized arguments: --verbose"),
        ("summary model", "required: INPUT"),
        ("graph x --save", "expected one argument"),
        ("doctor now", "unrecognized arguments: now"),
        ("--loud", "unrecognized arguments: --loud"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do(line: str, needed: str) -> None:
    with pytest.raises(BadArguments) as caught:
        read(line)
    message = str(caught.value)
    assert needed in message
    assert "\n" not in message
    assert "--help" in message or "command" in message


@pytest.mark.parametrize("command", [None, *build_parser().commands])
def test_every_command_has_help(command: str | None) -> None:
    with pytest.raises(HelpAsked) as caught:
        read(f"{command or ''} --help")
    text = caught.value.args[0]
    assert "usage:" in text
    assert "show this help" in text
    assert "\x1b" not in text
    if command is None:
        assert all(name in text for name in build_parser().commands)
