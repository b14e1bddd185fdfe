"""The program as a whole: help, versions, statuses, and one line for every mistake."""

from __future__ import annotations

import subprocess
import sys

import pytest

import tensorlab
from tensorlab import cli

COMMANDS = ["lab", "doctor", "check", "bench"]


def run(*words: str, **options) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tensorlab", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def status(*words: str) -> int:
    """The status that the program ends with, called in this process."""
    try:
        return cli.main(words)
    except SystemExit as stop:  # argparse's own way out
        return int(str(stop.code or 0))


def test_the_version_is_that_of_the_library():
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"tensorlab {tensorlab.__version__}\n")


def test_help_lists_every_command(capsys):
    assert status("--help") == 0
    out = capsys.readouterr().out
    assert [command for command in COMMANDS if f"\n    {command} " in out] == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(capsys, command):
    assert status(command, "--help") == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"usage: tensorlab {command}")
    assert err == ""


def test_without_a_command_it_shows_the_help(capsys):
    assert status() == 2
    assert "usage: tensorlab" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lba"], "there is no command 'lba'; did you mean 'lab'?"),
        (["zzz"], "there is no command 'zzz'; the commands are lab, doctor, check, bench"),
        (["--verson"], "unexpected argument '--verson'"),
        (["doctor", "now"], "unexpected argument 'now'"),
        (["doctor", "--jsn"], "unexpected argument '--jsn'"),
        (["doctor", "--js"], "unexpected argument '--js'"),
        (["doctor", "--", "x"], "unexpected argument 'x'"),
        (["check"], "the following arguments are required: NOTEBOOK"),
        (["bench", "--rounds", "0"], "expected a number from 1"),
        (["bench", "--threads", "-1"], "expected a number from 1"),
        (["check", "x.ipynb", "--timeout", "soon"], "expected seconds, more than 0"),
    ],
)
def test_a_wrong_command_line_is_answered_in_one_line(capsys, words, said):
    assert status(*words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert said in err


def test_an_interrupt_is_no_traceback(capsys, monkeypatch):
    def interrupted(words):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_run", interrupted)
    assert status("doctor") == 130
    assert capsys.readouterr().err == ""


def test_a_reader_that_goes_away_is_no_error():
    command = f"{sys.executable} -m tensorlab bench --list | head -n 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1
