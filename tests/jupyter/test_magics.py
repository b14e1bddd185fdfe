"""The commands of %tensorlab, in a shell of this process."""

from __future__ import annotations

import json
import random
import re

import numpy as np
import pytest

pytest.importorskip("ipykernel", reason="the Jupyter part needs ipykernel: install the extra 'lab'")

from IPython.core.completer import provisionalcompleter
from IPython.utils.capture import capture_output

import tensorlab as tl
from tensorlab import learn
from tensorlab.jupyter.extension import load_ipython_extension
from tensorlab.learn.references import sliced_source
from tensorlab.learn.regions import solution

MODEL = """
import tensorlab as tl
from tensorlab import nn
model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
x = tl.ones(5, 4)
"""


class Notebook:
    """Runs cells; remembers what each showed."""

    def __init__(self, shell) -> None:
        self.shell = shell
        # A terminal's shell makes text alone; a kernel's makes everything, as here.
        shell.display_formatter.active_types = shell.display_formatter.format_types
        load_ipython_extension(shell)

    def run(self, cell: str, ok: bool = True) -> str:
        """All that a cell shows, as text."""
        with capture_output() as captured:
            result = self.shell.run_cell(cell)
        shown = captured.stdout + captured.stderr
        shown += "\n".join(output.data.get("text/plain", "") for output in captured.outputs)
        self.html = "".join(output.data.get("text/html", "") for output in captured.outputs)
        assert result.success == ok, shown
        return shown

    def refuse(self, cell: str) -> str:
        """What a cell says that ends in a usage error: one line, and no traceback."""
        shown = self.run(cell, ok=False).strip()
        assert shown.startswith("UsageError: ")
        assert "\n" not in shown
        assert "Traceback" not in shown
        return shown


@pytest.fixture
def notebook(shell) -> Notebook:
    return Notebook(shell)


def test_status(notebook) -> None:
    shown = notebook.run("%tensorlab")
    assert shown.startswith(f"tensorlab {tl.__version__} on NumPy {np.__version__}")
    assert "Course: 0 of" in shown
    assert "Start lesson 01" in shown


def test_mistakes_are_one_line(notebook) -> None:
    assert "did you mean 'check'" in notebook.refuse("%tensorlab chek")
    assert "required: ID" in notebook.refuse("%tensorlab hint")
    assert "there is no exercise" in notebook.refuse("%tensorlab check 99.1")
    assert "there is no lesson" in notebook.refuse("%tensorlab check nowhere")
    assert "Did you mean" in notebook.refuse("%tensorlab hint 01.99")
    assert "prediction" in notebook.refuse("%tensorlab check 01.A")
    assert "no prediction" in notebook.refuse("%tensorlab predict 01.1 3")
    assert "is a milestone" in notebook.refuse("%tensorlab solution 01.M")
    assert "is a milestone" in notebook.refuse("%tensorlab reset 01.M")
    assert "%%tensorlab profile" in notebook.refuse("%tensorlab profile")
    assert "only kernel and profile take a cell" in notebook.refuse("%%tensorlab doctor\nx")


def test_help(notebook) -> None:
    shown = notebook.run("%tensorlab --help")
    assert "usage: %tensorlab" in shown
    assert "usage: %%tensorlab profile" in notebook.run("%%tensorlab profile --help\nx")
    assert "time the operations" in notebook.shell.find_line_magic("tensorlab").__doc__


def test_check_passes_the_solution_and_stands_anywhere_in_a_cell(notebook) -> None:
    exercise = learn.find_course().lesson("01").exercises["01.1"]
    before = sliced_source(exercise.lesson.notebook_path, [*exercise.names, *exercise.uses])
    shown = notebook.run(f"{before}\n{solution(exercise)}\n%tensorlab check 01.1\nlast = 1")
    assert re.search(r"^✓ 01\.1 .*: passed \(\d+ cases\)$", shown, re.MULTILINE)
    assert learn.Progress().item("01.1").state == "passed"
    assert "passed" in notebook.html
    assert "✓  01.1" in notebook.run("%tensorlab progress 01")
    assert "1 of" in notebook.run("%tensorlab")


def test_check_of_a_whole_lesson_and_of_what_is_begun(notebook) -> None:
    lesson = learn.find_course().lesson("01")
    count = len(lesson.exercises) + len(lesson.milestones)
    shown = notebook.run("%tensorlab check 01")
    assert f"{count} checked: {count} unattempted" in shown
    assert "run the exercise's cell first" in notebook.refuse("%tensorlab check")
    notebook.run(f"def {lesson.exercises['01.1'].names[0]}(*args): return None")
    assert "✗ 01.1" in notebook.run("%tensorlab check")


def test_a_milestone_waits_for_exercises_that_raise(notebook) -> None:
    name = learn.find_course().exercise("01.1").names[0]
    notebook.run(f"def {name}(*args): raise ZeroDivisionError")
    shown = notebook.run("%tensorlab check 01")
    assert "01.M" in shown
    assert "waits until 01.1 runs without an error" in shown
    assert "1 waiting" in shown


def test_a_failure_shows_its_seed_and_can_be_repeated(notebook) -> None:
    name = learn.find_course().exercise("01.1").names[0]
    notebook.run(f"def {name}(*args): return 1")
    shown = notebook.run("%tensorlab check 01.1 --seed 5")
    assert "seed 5" in shown
    assert notebook.run("%tensorlab check 01.1 --seed 5") == shown


def test_hints_come_one_by_one(notebook) -> None:
    first, second = notebook.run("%tensorlab hint 01.1"), notebook.run("%tensorlab hint 01.1")
    assert first.startswith("Hint 1 of")
    assert second.startswith("Hint 2 of")


def test_the_solution_is_shown_and_noted(notebook) -> None:
    shown = notebook.run("%tensorlab solution 01.1")
    assert "def " in shown
    assert "SOLUTION" not in shown
    assert learn.Progress().item("01.1").solution_shown


def test_reset_offers_the_stub_and_overwrites_nothing(notebook) -> None:
    name = learn.find_course().exercise("01.1").names[0]
    notebook.run(f"{name} = 'mine'")
    shown = notebook.run("%tensorlab reset 01.1")
    assert "new cell below" in shown
    assert "raise NotImplementedError" in notebook.shell.rl_next_input
    assert notebook.shell.user_ns[name] == "mine"


def test_a_prediction_from_question_to_reveal(notebook) -> None:
    prediction = next(
        p for p in learn.find_course().lesson("01").predictions.values() if p.kind == "number"
    )
    line = f"%tensorlab predict {prediction.id}"
    assert prediction.question in notebook.run(line)
    # Without an answer nothing is evaluated, so that nothing is given away.
    assert "Predict first" in notebook.run(f"{line} --measured 1/0")
    assert "asks for a number" in notebook.refuse(f"{line} perhaps")
    assert "✓" in notebook.run(f"{line} 12 {prediction.unit}")
    assert "was locked before: 12" in notebook.run(f"{line} 13")
    assert "ZeroDivisionError" in notebook.refuse(f"{line} --measured 1/0")
    assert "not both" in notebook.refuse(f"{line} 3 --measured 3")
    shown = notebook.run(f"seen = [4, 8]\n{line} --measured sum(seen)")
    assert "right" in shown
    assert prediction.explain.split("\n")[0] in shown


def test_a_measurement_that_needs_an_unwritten_exercise(notebook) -> None:
    notebook.run("%tensorlab predict 01.A 12")
    notebook.run(
        "def f(): raise NotImplementedError('exercise 01.4: replace this line by your code')"
    )
    shown = notebook.run("%tensorlab predict 01.A --measured f()")
    assert "exercise 01.4 is still to be written" in shown
    assert "exercise 01.4 is still to be written" in notebook.run("%%tensorlab profile\nf()")


def test_seed(notebook) -> None:
    draws = []
    for _ in range(2):
        assert "start from seed 7" in notebook.run("%tensorlab seed 7")
        draws.append((random.random(), np.random.rand(), tl.rand(1).item()))
    assert draws[0] == draws[1]
    assert "below 2**32" in notebook.refuse(f"%tensorlab seed {2**32}")


def test_doctor(notebook) -> None:
    shown = notebook.run("%tensorlab doctor")
    assert "Python: " in shown
    assert "NumPy: " in shown
    assert "healthy" in shown.lower()


def test_graph(notebook, tmp_path) -> None:
    notebook.run(MODEL + "loss = model(x).sum()\nw = tl.ones(2, requires_grad=True)\nws = [w]")
    shown = notebook.run("%tensorlab graph loss")
    assert shown.startswith("Autograd graph of loss\n")
    assert "model.0.weight: leaf (3, 4) float32" in shown
    assert "<svg" in notebook.html
    assert "<summary>The same in words</summary>" in notebook.html
    assert notebook.run("%tensorlab graph loss") == shown
    assert "w: leaf" in notebook.run("%tensorlab graph (w * 2).sum() + 1")
    file = tmp_path / "a graph.svg"
    assert "Saved as" in notebook.run(f"%tensorlab graph loss --save '{file}'")
    assert file.read_text(encoding="utf-8").startswith("<svg")
    notebook.run("loss.backward()")
    assert "freed" in notebook.run("%tensorlab graph loss")


@pytest.mark.parametrize("option", ["", "--time"])
def test_graph_knows_modules_and_lines_of_what_it_computes(notebook, monkeypatch, option) -> None:
    from tensorlab import inspect

    made = []
    real = inspect.graph

    def spied(*args, **options):
        made.append(real(*args, **options))
        return made[-1]

    monkeypatch.setattr(inspect, "graph", spied)
    notebook.run(MODEL + "loss = model(x).sum()")
    if not option:
        notebook.run("%tensorlab graph loss")
        assert made.pop().recorded == 0
    notebook.run(f"%tensorlab graph model(x).sum() {option}")
    (records,) = made
    assert records.recorded == len(records.operations)
    assert not records.notes


def test_graph_with_times(notebook) -> None:
    notebook.run(MODEL + "loss = model(x).sum()")
    shown = notebook.run("%tensorlab graph model(x).sum() --time")
    assert re.search(r"The operations took .+s; longest: \w+ \(#\d+\) .+s", shown)
    # A tensor that is there already has times only if a timed cell has made it.
    assert "ran while it was timed" in notebook.refuse("%tensorlab graph loss --time")
    notebook.run("%%tensorlab profile\nloss = model(x).sum()")
    assert "longest: " in notebook.run("%tensorlab graph loss --time")
    assert "longest: " not in notebook.run("%tensorlab graph loss")


def test_graph_refuses_in_one_line(notebook, tmp_path) -> None:
    notebook.run(MODEL)
    assert "NameError" in notebook.refuse("%tensorlab graph lss")
    assert "SyntaxError" in notebook.refuse("%tensorlab graph loss +")
    assert "does not require grad" in notebook.refuse("%tensorlab graph x")
    assert "it is a leaf" in notebook.refuse("%tensorlab graph model[0].weight")
    assert "got Sequential" in notebook.refuse("%tensorlab graph model")
    assert "end in .svg" in notebook.refuse("%tensorlab graph model(x) --save graph.png")
    missing = tmp_path / "no" / "g.svg"
    assert "could not write" in notebook.refuse(f"%tensorlab graph model(x) --save {missing}")


TRAINING = """
def train(model, steps):
    recorder = tl.inspect.gradients(model)
    sgd = tl.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(steps):
        sgd.zero_grad()
        model(x).square().mean().backward()
        sgd.step()
    recorder.remove()
    return recorder
first, second = train(model, 5), train(model, 3)
"""


def test_grads(notebook) -> None:
    notebook.run(MODEL + TRAINING)
    shown = notebook.run("%tensorlab grads first")
    assert "5 steps" in shown
    assert "0.weight" in shown
    both = notebook.run("%tensorlab grads first second")
    assert "first" in both
    assert "second" in both
    assert "Nothing is being watched" in notebook.run("%tensorlab grads")
    # A model is watched from now on, until it is enough.
    assert "0 steps" in notebook.run("%tensorlab grads model")
    assert tl._apply.observers
    assert "No longer watched: model" in notebook.run("%tensorlab grads")
    assert tl._apply.observers == ()
    assert "NameError" in notebook.refuse("%tensorlab grads mdoel")
    assert "grads x: " in notebook.refuse("%tensorlab grads x")
    assert "one run or two, got 3" in notebook.refuse("%tensorlab grads first second first")


def test_summary(notebook) -> None:
    notebook.run(MODEL)
    shown = notebook.run("%tensorlab summary model x")
    lines = [line.split() for line in shown.splitlines()]
    assert ["0", "(Linear)", "(5,", "3)", "15", "15", "60", "B", "60", "B"] in lines
    assert ["total", "23", "23", "92", "B", "160", "B"] in lines
    assert notebook.run("%tensorlab summary model (5, 4)") == shown
    assert notebook.run("%tensorlab summary nn.Linear(4, 3) x")
    assert "0 (Linear) does not accept its input" in notebook.refuse(
        "%tensorlab summary model (5,5)"
    )
    assert "expects a module, got int" in notebook.refuse("%tensorlab summary 3 x")
    assert "write the shape of a batch as a tuple" in notebook.refuse("%tensorlab summary model 4")


def test_profile(notebook, tmp_path) -> None:
    notebook.run(MODEL)
    shown = notebook.run("%%tensorlab profile\ny = model(x).sum()\ny.backward()\n'the last value'")
    assert "the last value" in shown
    assert "Profile by op" in shown
    assert re.search(r"^relu +2 ", shown, re.MULTILINE)
    assert "y" in notebook.shell.user_ns
    shown = notebook.run("%%tensorlab profile --by module --sort name\nmodel(x).sum().backward()")
    rows = [line.split()[0] for line in shown.splitlines() if line.startswith(("model", "(out"))]
    assert rows == ["(outside", "model.0", "model.1", "model.2", "(outside"]
    assert "more rows" in notebook.run("%%tensorlab profile --top 1\nmodel(x).sum()")
    file = tmp_path / "trace.json"
    assert "Trace saved" in notebook.run(f"%%tensorlab profile --trace {file}\nmodel(x)")
    assert json.loads(file.read_text(encoding="utf-8"))["traceEvents"]
    assert "nothing to show" in notebook.run("%%tensorlab profile\n1 + 1")


def test_an_error_in_a_profiled_cell_is_the_learners(notebook) -> None:
    shown = notebook.run("%%tensorlab profile\na = 1\nb = a / 0", ok=False)
    assert "ZeroDivisionError" in shown
    assert "b = a / 0" in shown
    assert tl._apply.observers == ()
    shown = notebook.run("%%tensorlab profile\nthis is no Python", ok=False)
    assert "SyntaxError" in shown
    assert "this is no Python" in shown


def test_magics_work_inside_a_profiled_cell(notebook) -> None:
    assert "start from seed 3" in notebook.run("%%tensorlab profile\n%tensorlab seed 3\ntl = 1")


def test_progress_that_cannot_be_written(notebook, monkeypatch, tmp_path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("TENSORLAB_HOME", str(blocked / "home"))
    assert "progress can't be" in notebook.refuse("%tensorlab predict 01.A 3")


def test_a_broken_course_is_one_line_and_completes_to_nothing(notebook, monkeypatch) -> None:
    def broken(*args):
        raise learn.CourseError("this installation\nhas no course")

    monkeypatch.setattr(learn, "find_course", broken)
    for line in ("", "check", "check 01.1", "hint 01.1", "predict 01.A", "progress", "reset 01.1"):
        assert notebook.refuse(f"%tensorlab {line}").endswith("this installation has no course")
    with provisionalcompleter():
        found = [c.text for c in notebook.shell.Completer.completions("%tensorlab hint ", 16)]
    assert "--help" in found
    assert "01.1" not in found


KERNEL = """import tensorlab as tl
from tensorlab.cuda import jit
from tensorlab.cuda.jit import grid

@jit.kernel
def shift(x, out):
    i = grid(1)
    out[i] = x[i + 1]

shift[2, 32](tl.arange(64.0), tl.zeros(64))
"""


def test_kernel_reports_what_the_cell_launched(notebook) -> None:
    shown = notebook.run(f"%%tensorlab kernel\n{KERNEL}")
    assert "shift[2, 32]: 64 threads" in shown
    assert "✗ 1 error" in shown
    # The lines are those of the cell, whose first one is the magic.
    assert "out-of-bounds, line 9: thread 31 of block 1 reads x[64]" in shown
    assert "→ there are more threads than elements" in shown
    assert "9  write out[i]" in shown
    assert "problem: " in notebook.html
    assert "launch 2: shift" in notebook.run(f"%%tensorlab kernel --seed 3\n{KERNEL}{KERNEL}")
    assert "launched no kernel" in notebook.run("%%tensorlab kernel\n1 + 1")


def test_kernel_wants_a_cell_and_lets_errors_through(notebook) -> None:
    assert "%%tensorlab kernel as the cell's first line" in notebook.refuse("%tensorlab kernel")
    shown = notebook.run("%%tensorlab kernel\nraise KeyError('mine')", ok=False)
    assert "KeyError" in shown
    notebook.run(KERNEL.replace("x[i + 1]", "x[i]"))  # nobody watches any more
    assert "has 2 blocks" in notebook.refuse(f"%%tensorlab kernel --replay 7\n{KERNEL}")
