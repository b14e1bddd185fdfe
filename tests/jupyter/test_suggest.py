"""A misspelt name is answered with the closest one, in a notebook and in a program."""

from __future__ import annotations

import subprocess
import sys

import pytest

import tensorlab as tl
from tensorlab import nn
from tensorlab.jupyter.suggest import suggestion
from tensorlab.nn import functional

MISSPELT = {
    "squeze": (tl.ones(2), "squeeze"),
    "requires_grd": (tl.ones(2), "requires_grad"),
    "Liner": (nn, "Linear"),
    "wieght": (nn.Linear(2, 2), "weight"),
    "relou": (functional, "relu"),
    "transpse": (tl.Tensor, "transpose"),
    "forwrad": (nn.Linear, "forward"),
}


@pytest.mark.parametrize("name", MISSPELT)
def test_the_closest_name(name):
    target, meant = MISSPELT[name]
    with pytest.raises(AttributeError, match=name) as caught:
        getattr(target, name)
    assert suggestion(caught.value) == meant


@pytest.mark.parametrize(
    "ask", [lambda: [].apend, lambda: tl.ones(1).__strange__, lambda: tl.ones(1).qqqqqq, lambda: tl.squeze],
    ids=["not ours", "protocol", "nothing close", "said already"],
)  # fmt: skip
def test_no_second_guess(ask):
    with pytest.raises(AttributeError) as caught:
        ask()
    assert suggestion(caught.value) is None


def test_in_a_notebook(shell, capsys):
    shell.run_cell("%load_ext tensorlab\nimport tensorlab as tl")
    failed = shell.run_cell("tl.ones(2).squeze()")
    assert isinstance(failed.error_in_exec, AttributeError)
    assert "no attribute 'squeze'. Did you mean: 'squeeze'?" in capsys.readouterr().out
    shell.run_cell("tl.squeze")
    assert capsys.readouterr().out.count("Did you mean: 'squeeze'?") == 1
    shell.run_cell("[].apend")
    assert "Did you mean" not in capsys.readouterr().out
    shell.run_cell("%unload_ext tensorlab")
    shell.run_cell("tl.ones(2).squeze()")
    assert "Did you mean" not in capsys.readouterr().out


def test_another_handler_keeps_its_work(shell, capsys):
    seen = []
    shell.set_custom_exc((AttributeError,), lambda *args, **kwargs: seen.append(str(args[2])))
    shell.run_cell("%load_ext tensorlab\nimport tensorlab as tl")
    shell.run_cell("tl.ones(2).squeze")
    assert seen == ["'Tensor' object has no attribute 'squeze'. Did you mean: 'squeeze'?"]
    shell.run_cell("%unload_ext tensorlab")
    shell.run_cell("tl.ones(2).squeze")
    assert seen[1:] == ["'Tensor' object has no attribute 'squeze'"]


@pytest.mark.parametrize(
    "code", ["tensorlab.squeze", "tensorlab.ones(2).squeze", "tensorlab.nn.functional.squeze"]
)
def test_in_a_program(code):
    done = subprocess.run(
        [sys.executable, "-c", f"import tensorlab, tensorlab.nn\n{code}"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stderr.count("Did you mean") <= 1
    if "functional" not in code:
        assert "Did you mean: 'squeeze'?" in done.stderr.splitlines()[-1]
