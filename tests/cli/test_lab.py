"""`tensorlab lab`: what it delivers and serves, and every way in which it says no."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import nbformat
import pytest
from jupyter_core.paths import jupyter_data_dir
from nbformat.sign import NotebookNotary

from tensorlab._cli import lab as module
from tensorlab.cli import main
from tensorlab.learn import CourseError, Progress, find_course

NAMES = [lesson.folder_name for lesson in find_course().lessons]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with nothing in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lab(*words: str) -> int:
    return main(["lab", *words])


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """The status and the one line with which the command says no."""
    try:
        status = lab(*words)
    except SystemExit as stop:  # argparse's own way out
        status = int(str(stop.code))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    return status, err


# -- the notebooks ---------------------------------------------------------------------------


def test_puts_every_lesson_into_the_default_folder(home, capsys):
    assert lab("--no-start") == 0
    assert sorted(p.stem for p in (home / "tensorlab-course").glob("*.ipynb")) == NAMES
    assert f"{len(NAMES)} lessons put into tensorlab-course" in capsys.readouterr().out


def test_puts_them_into_dir(home):
    assert lab("--no-start", "deep/er") == 0
    assert sorted(p.stem for p in (home / "deep" / "er").glob("*.ipynb")) == NAMES


def test_no_solution_is_delivered(home):
    lab("--no-start", "d")
    for path in (home / "d").glob("*.ipynb"):
        assert "BEGIN SOLUTION" not in path.read_text("utf-8")


def test_the_delivered_notebooks_are_valid_and_trusted(home):
    lab("--no-start", "d")
    notary = NotebookNotary(data_dir=jupyter_data_dir())
    for path in (home / "d").glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        assert notary.check_signature(notebook)
    notary.store.close()


def test_a_notebook_that_the_learner_changed_is_not_signed(home):
    lab("--no-start", "d")
    path = home / "d" / f"{NAMES[0]}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("something_else()"))
    nbformat.write(notebook, path)
    lab("--no-start", "d")
    notary = NotebookNotary(data_dir=jupyter_data_dir())
    assert not notary.check_signature(nbformat.read(path, as_version=4))
    notary.store.close()


def test_a_data_folder_closed_to_us_costs_only_the_trust(home, capsys, monkeypatch):
    (home / "file").write_text("")
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(home / "file" / "data"))
    assert lab("--no-start", "d") == 0
    assert "could not be marked as trusted" in capsys.readouterr().out


def test_a_second_start_says_nothing_and_changes_nothing(home, capsys):
    lab("--no-start", "d")
    before = {p: p.read_bytes() for p in (home / "d").rglob("*") if p.is_file()}
    capsys.readouterr()
    assert lab("--no-start", "d") == 0
    assert capsys.readouterr().out == ""
    assert {p: p.read_bytes() for p in (home / "d").rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("name", ["01", "1", "tensors", "01_tensors", "01_tensors.ipynb"])
def test_reset_takes_a_lesson_by_any_name_and_keeps_a_backup(home, capsys, name):
    lab("--no-start", "d")
    path = home / "d" / "01_tensors.ipynb"
    fresh = path.read_text("utf-8")
    path.write_text("my work")
    assert lab("--no-start", "d", "--reset", name) == 0
    assert path.read_text("utf-8") == fresh
    (backup,) = (home / "d" / "backups").iterdir()
    assert backup.read_text() == "my work"
    assert f"your notebook is kept as backups/{backup.name}" in capsys.readouterr().out


def test_a_newer_lesson_is_put_beside_a_changed_one_and_said(home, capsys, monkeypatch):
    lab("--no-start", "d")
    path = home / "d" / "01_tensors.ipynb"
    path.write_text("my work")
    original = module._notebook

    def newer(lesson):
        notebook = original(lesson)
        return module.LearnerNotebook(
            notebook.name, notebook.content.replace("tensor", "tensor!", 1)
        )

    monkeypatch.setattr(module, "_notebook", newer)
    capsys.readouterr()
    assert lab("--no-start", "d") == 0
    assert path.read_text() == "my work"
    assert "the newer lesson is beside it, 01_tensors.new.ipynb" in capsys.readouterr().out
    assert (home / "d" / "01_tensors.new.ipynb").exists()


def test_an_unreadable_manifest_is_said(home, capsys):
    lab("--no-start", "d")
    (home / "d" / ".tensorlab" / "manifest.json").write_text("{")
    assert lab("--no-start", "d") == 0
    assert "every notebook now counts as yours" in capsys.readouterr().out


# -- saying no -------------------------------------------------------------------------------


def test_an_unknown_lesson(home, capsys):
    status, line = refusal(capsys, "--no-start", "--reset", "01_tensor")
    assert status == 2
    assert "there is no lesson '01_tensor'. Did you mean 01_tensors?" in line
    assert not (home / "tensorlab-course").exists()


def test_a_file_as_dir(home, capsys):
    (home / "file").write_text("mine")
    assert refusal(capsys, "--no-start", "file") == (
        1,
        "tensorlab: file is a file, not a folder: choose another one, tensorlab lab DIR\n",
    )
    assert (home / "file").read_text() == "mine"


def test_a_dir_that_cannot_be_written(home, capsys):
    (home / "file").write_text("")
    status, line = refusal(capsys, "file/below")
    assert status == 1
    assert "cannot write in" in line
    assert "choose another folder" in line


def test_a_port_that_is_taken(home, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, line = refusal(capsys, "--port", str(port))
    assert status == 1
    assert f"port {port} cannot be used: address already in use; choose another one" in line
    assert not (home / "tensorlab-course").exists()


@pytest.mark.parametrize("port", ["-1", "65536", "eighty", "8e3", ""])
def test_a_port_that_is_none(home, capsys, port):
    status, line = refusal(capsys, f"--port={port}")
    assert status == 2
    assert "expected a number from 0" in line


@pytest.mark.parametrize("package", ["jupyterlab", "nbformat"])
def test_without_jupyterlab(home, capsys, monkeypatch, package):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == package else find(name)
    )
    status, line = refusal(capsys)
    assert status == 1
    assert f"{package} is not installed" in line
    assert 'pip install -e ".[lab]"' in line
    assert not (home / "tensorlab-course").exists()


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("--ip=0.0.0.0", "on this computer only"),
        ("--ServerApp.ip=*", "on this computer only"),
        ("--ServerApp.allow_remote_access=True", "on this computer only"),
        ("--IdentityProvider.token=", "a random token"),
        ("--ServerApp.token=x", "a random token"),
        ("--ServerApp.password=", "a random token"),
        ("--ServerApp.allow_unauthenticated_access=True", "a random token"),
        ("--ServerApp.disable_check_xsrf=True", "other web pages"),
        ("--notebook-dir=/", "give the folder as DIR"),
        ("--ServerApp.root_dir=/", "give the folder as DIR"),
        ("--ServerApp.port=1", "write --port N"),
        ("--prot=8000", "did you mean --port?"),
        ("--no-browsr", "did you mean --no-browser?"),
        ("--log-level", "write --log-level=VALUE"),
        ("--ServerApp.log_level", "write --ServerApp.log_level=VALUE"),
    ],
)
def test_an_option_that_is_not_passed_on(home, capsys, option, reason):
    for words in [option], ["--", option]:
        status, line = refusal(capsys, *words)
        assert status == 2
        assert reason in line
    assert not (home / "tensorlab-course").exists()


def test_an_option_for_jupyterlab_without_jupyterlab(home, capsys):
    status, line = refusal(capsys, "--no-start", "--debug")
    assert status == 2
    assert "--debug is for JupyterLab, which --no-start does not start" in line


def test_a_broken_course(home, capsys, monkeypatch):
    def broken(lesson):
        raise CourseError("lesson.ipynb can't be read")

    monkeypatch.setattr(module, "_notebook", broken)
    status, line = refusal(capsys, "--no-start")
    assert status == 1
    assert "the installed course is broken: lesson.ipynb can't be read" in line


def test_two_folders(home, capsys):
    status, line = refusal(capsys, "a", "b")
    assert status == 2
    assert "only one DIR" in line


# -- serving ---------------------------------------------------------------------------------


@pytest.fixture
def server(home):
    """Start `tensorlab lab` with further words; gives its process and address. Ended afterwards."""
    started = []

    def start(*words: str) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-m", "tensorlab", "lab", "--no-browser", *words]
        process = subprocess.Popen(
            command, cwd=home, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        for line in process.stdout:
            if found := re.search(r"http://\S+", line):
                return process, found.group()
        pytest.fail(f"no address: {process.stderr.read()}")

    yield start
    for process in started:
        process.kill()
        process.communicate()


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=100) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_serves_the_course_to_those_with_the_token_only(server, home):
    process, url = server("--port", "0", "--LabApp.expose_app_in_browser=True")
    base, token = re.fullmatch(
        r"(http://127\.0\.0\.1:\d+)/lab/tree/01_tensors\.ipynb\?token=(.{32})", url
    ).groups()
    assert _status(url) == 200
    assert _status(f"{base}/api/contents/01_tensors.ipynb?token={token}") == 200
    assert _status(f"{base}/api/contents/01_tensors.ipynb") == 403
    assert _status(f"{base}/api/contents/01_tensors.ipynb?token={token[::-1]}") == 403
    with urllib.request.urlopen(url, timeout=100) as page:
        assert '"exposeAppInBrowser": true' in page.read().decode()
    # The token is in no list of processes.
    words = Path(f"/proc/{process.pid}/cmdline")
    assert not words.exists() or token.encode() not in words.read_bytes()


def test_opens_the_lesson_that_the_learner_is_at(server):
    progress = Progress()
    first = find_course().lessons[0]
    for id in [*first.exercises, *first.milestones]:
        progress.record("check", id, outcome="passed")
    _, url = server("--port", "0")
    assert f"/lab/tree/{NAMES[1]}.ipynb?" in url


def test_opens_the_lesson_that_was_reset(server):
    _, url = server("--port", "0", "--reset", NAMES[-1])
    assert f"/lab/tree/{NAMES[-1]}.ipynb?" in url


def test_listens_on_the_loopback_address_only(server):
    _, url = server("--port", "0")
    port = int(re.search(r":(\d+)/", url).group(1))
    tables = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
    if not tables[0].exists():
        pytest.skip("only Linux lists its sockets in /proc")
    listening = [
        line.split()[1].split(":")
        for table in tables if table.exists()
        for line in table.read_text().splitlines()[1:]
        if line.split()[3] == "0A"
    ]  # fmt: skip
    assert [address for address, number in listening if int(number, 16) == port] == ["0100007F"]


def test_every_start_has_its_own_token_and_its_own_port(server):
    first, second = server()[1], server()[1]
    assert first.partition("token=")[2] != second.partition("token=")[2]
    assert re.search(r":(\d+)/", first).group() != re.search(r":(\d+)/", second).group()


def test_ends_when_told_to(server):
    process, _ = server("--port", "0")
    process.send_signal(signal.SIGTERM)
    assert process.wait(100) in (0, -signal.SIGTERM)


def test_nobody_is_asked_about_news(server):
    _, url = server("--port", "0")
    with urllib.request.urlopen(url, timeout=100) as page:
        config = re.search(r'"disabledExtensions": \[[^]]*\]', page.read().decode())
    assert "@jupyterlab/apputils-extension:announcements" in config.group()


@pytest.mark.skipif(os.name != "posix", reason="needs a terminal as POSIX has it")
def test_the_browser_is_opened_unless_told_otherwise(home, monkeypatch):
    note = home / "opened"
    script = home / "browser"
    script.write_text(f'#!/bin/sh\nprintf "%s" "$1" > "{note}.part"\nmv "{note}.part" "{note}"\n')
    script.chmod(0o755)
    monkeypatch.setenv("BROWSER", str(script))
    process = subprocess.Popen(
        [sys.executable, "-m", "tensorlab", "lab", "--port", "0"],
        cwd=home, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        while not note.exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        assert note.read_text().startswith("file://")
    finally:
        process.kill()
        process.communicate()
