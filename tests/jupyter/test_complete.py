"""Tab completion of %tensorlab lines, asked of a real kernel."""

from __future__ import annotations

import pytest

pytest.importorskip("ipykernel", reason="the Jupyter part needs ipykernel: install the extra 'lab'")

from IPython.core import completer

from tensorlab.jupyter.arguments import build_parser
from tensorlab.jupyter.extension import load_ipython_extension, unload_ipython_extension
from tensorlab.learn import find_course

COMMANDS = list(build_parser().commands)
SETUP = """
import tensorlab as tl
from tensorlab import nn
loss = tl.ones(2)
alpha = 0.5
model = nn.Sequential(nn.Linear(2, 2))
_private = 1
"""


@pytest.fixture(scope="module")
def notebook(kernel):
    kernel.prepare(SETUP)
    return kernel


needs_context = pytest.mark.skipif(
    not hasattr(completer, "context_matcher"),
    reason="IPython before 8.6 mixes our completions with all others",
)


def ask(kernel, code: str, cursor: int | None = None) -> tuple[str, list[str], dict[str, str]]:
    """The text that would be replaced, the texts offered, and the type of each."""
    reply = kernel.complete(code, cursor)
    assert reply["status"] == "ok"
    typed = code[reply["cursor_start"] : reply["cursor_end"]]
    # JupyterLab would break a type at its blanks, so they are such that don't break.
    entries = reply["metadata"]["_jupyter_types_experimental"]
    assert not any(" " in entry["type"] for entry in entries)
    types = {entry["text"]: entry["type"].replace("\xa0", " ") for entry in entries}
    return typed, reply["matches"], types


def exercise_ids() -> list[str]:
    return [i for lesson in find_course().lessons for i in (*lesson.exercises, *lesson.milestones)]


@needs_context
def test_commands(notebook) -> None:
    typed, found, types = ask(notebook, "%tensorlab ")
    assert typed == ""
    assert found == [*COMMANDS, "--help"]
    assert types["doctor"] == "Examine the installation"
    assert ask(notebook, "%tensorlab pr")[:2] == ("pr", ["predict", "progress", "profile"])
    assert ask(notebook, "%%tensorlab prof")[:2] == ("prof", ["profile"])
    assert ask(notebook, "%tensorlab -")[:2] == ("-", ["--help"])


@needs_context
def test_the_name_of_the_magic(notebook) -> None:
    assert ask(notebook, "%tensorl")[1] == ["%tensorlab", "%%tensorlab"]
    assert ask(notebook, "%%tensorl")[1] == ["%%tensorlab"]


@needs_context
@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_every_command(notebook, command: str) -> None:
    parser = build_parser().commands[command]
    expected = {action.option_strings[-1] for action in parser.options}
    typed, found, types = ask(notebook, f"%%tensorlab {command} --")
    assert typed == "--"
    assert set(found) == expected
    assert all(types[option] for option in found)


@needs_context
@pytest.mark.parametrize("command", ["hint", "solution", "reset"])
def test_exercise_ids_with_their_titles(notebook, command: str) -> None:
    typed, found, types = ask(notebook, f"%tensorlab {command} ")
    assert typed == ""
    assert found == exercise_ids()
    first = next(iter(find_course().lesson("01").exercises.values()))
    assert types[first.id] == first.title
    assert ask(notebook, f"%tensorlab {command} 01.M")[:2] == ("01.M", ["01.M"])
    assert ask(notebook, f"%tensorlab {command} 01.1 ")[1] == ["--help"]  # one is enough


@needs_context
def test_check_takes_many_exercises_and_lessons(notebook) -> None:
    ids = exercise_ids()
    for line in ("%tensorlab check 01.1 ", "%tensorlab check 01.1 01.2 "):
        assert ask(notebook, line)[1] == [*ids, *find_course().ids]
    assert ask(notebook, "%tensorlab check 02")[0] == "02"
    assert all(text.startswith("02") for text in ask(notebook, "%tensorlab check 02")[1])


@needs_context
def test_predictions_and_lessons(notebook) -> None:
    predictions = [i for lesson in find_course().lessons for i in lesson.predictions]
    assert ask(notebook, "%tensorlab predict ")[1] == predictions
    assert ask(notebook, "%tensorlab predict 01.A ")[1] == ["--measured", "--help"]
    assert ask(notebook, "%tensorlab progress ")[1] == find_course().ids


@needs_context
def test_choices(notebook) -> None:
    assert ask(notebook, "%%tensorlab profile --by ")[1] == ["op", "module"]
    assert ask(notebook, "%%tensorlab profile --by=m")[:2] == ("m", ["module"])
    assert ask(notebook, "%%tensorlab profile --by op --sort n")[1] == ["name"]


@needs_context
def test_names_in_expressions_those_that_fit_first(notebook) -> None:
    _, found, types = ask(notebook, "%tensorlab graph ")
    assert found[0] == "loss"
    assert types["loss"] == "Tensor (2,)"
    assert {"alpha", "model", "nn", "tl"} <= set(found)
    assert not {"_private", "In", "Out", "get_ipython", "quit"} & set(found)
    assert ask(notebook, "%tensorlab summary ")[1][0] == "model"
    assert ask(notebook, "%tensorlab summary model ")[1][0] == "loss"
    assert ask(notebook, "%tensorlab graph lo")[:2] == ("lo", ["loss"])
    assert ask(notebook, "%tensorlab graph f(model, al")[:2] == ("al", ["alpha"])
    assert ask(notebook, "%tensorlab graph loss +al")[:2] == ("al", ["alpha"])
    assert ask(notebook, "%tensorlab predict 01.A --measured al")[:2] == ("al", ["alpha"])
    assert "loss.shape" in ask(notebook, "%tensorlab graph loss.sha")[1]
    assert "tl.ones" in ask(notebook, "%tensorlab graph tl.on")[1]
    assert ask(notebook, "%tensorlab graph loss --")[1] == ["--time", "--save", "--help"]


@needs_context
def test_the_cursor_in_the_middle_of_a_cell(notebook) -> None:
    code = "x = 1\n%tensorlab hint 01.M\ny = 2"
    typed, found, _ = ask(notebook, code, cursor=code.index("hint") + 2)
    assert (typed, found) == ("hi", ["hint"])
    assert ask(notebook, "text = %tensorlab doc")[:2] == ("doc", ["doctor"])


@needs_context
def test_other_lines_are_left_alone(notebook) -> None:
    assert "alpha" in ask(notebook, "alp")[1]
    assert "check" not in ask(notebook, "%%tensorlab profile\nche")[1]
    assert "doctor" not in ask(notebook, "# %tensorlab doc")[1]
    assert "doctor" not in ask(notebook, "%timeit tensorlab doc")[1]


def test_an_ipython_before_matchers_had_a_context(shell, monkeypatch) -> None:
    monkeypatch.delattr(completer, "context_matcher", raising=False)
    load_ipython_extension(shell)
    (matcher,) = shell.Completer.custom_matchers

    def complete(line: str, word: str) -> list[str]:
        shell.Completer.text_until_cursor = line
        return matcher(word)

    assert complete("%tensorlab ch", "ch") == ["check"]
    assert complete("%tensorlab check --s", "--s") == ["--seed"]
    assert complete("%%tensorlab profile --by=m", "m") == ["module"]
    assert complete("%tensorlab hint 01.1", "01.1")[0] == "01.1"
    assert complete("x = ch", "ch") == []
    unload_ipython_extension(shell)
    assert shell.Completer.custom_matchers == []
