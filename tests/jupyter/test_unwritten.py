"""A cell that reaches an unwritten exercise stops kindly; everything else keeps its traceback."""

from __future__ import annotations

import pytest

pytest.importorskip("ipykernel", reason="the Jupyter part needs ipykernel: install the extra 'lab'")

STUB = "raise NotImplementedError('exercise 01.1: replace this line by your code')"
DEFINE = f"""
def transpose(x):
    {STUB}

class Box:
    def open(self):
        {STUB}

def other():
    raise NotImplementedError("only square images")
"""


@pytest.fixture(scope="module")
def notebook(kernel):
    kernel.prepare(DEFINE)
    return kernel


@pytest.mark.parametrize(
    "cell",
    [
        "transpose(1)",
        "Box().open()",
        "y = list(map(transpose, [1, 2]))\nprint('not reached')",
        "def later():\n    return transpose(2) + 1\nlater()",
        "import asyncio\nawait asyncio.sleep(0)\ntranspose(3)",
        STUB,
    ],
)
def test_the_cell_ends_with_a_message_and_does_not_fail(notebook, cell: str) -> None:
    reply = notebook.run(cell)
    assert reply.status == "ok"
    assert reply.traceback == ""
    assert "exercise 01.1 is still to be written" in reply.text
    assert "run this cell again" in reply.text
    assert "not reached" not in reply.text
    html = [output["data"]["text/html"] for output in reply.outputs if "data" in output]
    assert "exercise 01.1 is still to be written" in html[0]


@pytest.mark.parametrize(
    "cell",
    [
        "other()",  # the learner's own, unrelated
        "raise NotImplementedError",
        "raise NotImplementedError('exercise your patience')",
        "import numpy as np\nnp.random.BitGenerator()",  # a library's
        f"exec({STUB!r}, {{}})",  # the same words from elsewhere
        f"class Mine(NotImplementedError): pass\nraise Mine({STUB[27:-1]})",
        "try:\n    transpose(1)\nexcept NotImplementedError as e:\n    raise ValueError('x') from e",
    ],
)
def test_any_other_error_keeps_its_traceback(notebook, cell: str) -> None:
    reply = notebook.run(cell)
    assert reply.status == "error"
    assert reply.traceback
    assert "still to be written" not in "".join(
        output.get("data", {}).get("text/plain", "") for output in reply.outputs
    )


def test_cells_after_it_run(notebook) -> None:
    assert notebook.run("transpose(1)").status == "ok"
    assert notebook.run("1 + 1").text == "2"


def test_plain_ipython(shell, capsys) -> None:
    from tensorlab.jupyter.extension import load_ipython_extension

    load_ipython_extension(shell)
    shell.run_cell(DEFINE)
    result = shell.run_cell("transpose(1)")
    assert result.success
    assert shell.last_execution_succeeded
    assert "exercise 01.1 is still to be written" in capsys.readouterr().out
    result = shell.run_cell("other()")
    assert not result.success
    assert "only square images" in capsys.readouterr().out


def test_another_extensions_handler_keeps_its_work(shell, capsys) -> None:
    from tensorlab.jupyter.extension import load_ipython_extension, unload_ipython_extension

    seen = []

    def handler(shell, kind, error, trace, tb_offset=None):
        seen.append(kind)

    shell.set_custom_exc((KeyError, NotImplementedError), handler)
    before = shell.CustomTB
    load_ipython_extension(shell)
    shell.run_cell(DEFINE)
    shell.run_cell("{}['x']")
    shell.run_cell("other()")
    assert seen == [KeyError, NotImplementedError]
    assert shell.run_cell("transpose(1)").success
    unload_ipython_extension(shell)
    assert shell.CustomTB == before
    assert shell.custom_exceptions == (KeyError, NotImplementedError)


def test_unload_leaves_a_newer_handler_alone(shell) -> None:
    from tensorlab.jupyter.extension import load_ipython_extension, unload_ipython_extension

    load_ipython_extension(shell)
    shell.set_custom_exc((KeyError,), lambda *args, **options: None)
    newer = shell.CustomTB
    unload_ipython_extension(shell)
    assert shell.CustomTB == newer
    assert shell.custom_exceptions == (KeyError,)
