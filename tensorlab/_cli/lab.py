"""`tensorlab lab`: put the course into a folder and open it in JupyterLab.

JupyterLab runs in this process and is told everything through its own command line, so that the
token stands in no list of processes. It listens on the loopback address only; options that would
open it further are refused.
"""

from __future__ import annotations

import difflib
import os
import secrets
import socket
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tensorlab import __version__
from tensorlab._cli import CommandError, course_faults, need
from tensorlab._cli.folder import CourseFolder, Delivery, LearnerNotebook

if TYPE_CHECKING:
    from tensorlab.learn import Course, Lesson

__all__ = ["lab"]

LOOPBACK = "127.0.0.1"
FIRST_PORT = 8888

# Options that would let others in, or that this program sets itself, by the end of their name.
OWN_OPTIONS = {
    "ip": "the course is served on this computer only",
    "sock": "the course is served on this computer only",
    "allow_remote_access": "the course is served on this computer only",
    "token": "a random token is made at every start",
    "password": "a random token is made at every start",
    "hashed_password": "a random token is made at every start",
    "identity_provider_class": "a random token is made at every start",
    "allow_unauthenticated_access": "a random token is made at every start",
    "disable_check_xsrf": "it would let other web pages command the server",
    "root_dir": "give the folder as DIR",
    "notebook-dir": "give the folder as DIR",
    "notebook_dir": "give the folder as DIR",
    "port": "write --port N",
    "port_retries": "write --port N",
    "open_browser": "write --no-browser",
}


def lab(
    directory: Path,
    *,
    reset: Sequence[str] = (),
    browser: bool = True,
    port: int | None = None,
    start: bool = True,
    options: Sequence[str] = (),
) -> int:
    """Deliver the course into `directory` and serve it until it is stopped.

    Args:
        directory: the learner's folder; made where there is none.
        reset: lessons to start again, each as the learner may name it: `01`, `1`, `tensors`.
        browser: whether to open the browser.
        port: the port to use; None takes the first free one from 8888 on.
        start: False only delivers the notebooks.
        options: further options, for JupyterLab.

    Returns the exit status. Raises `CommandError` for everything that stands in the way.
    """
    need("nbformat")
    if start:
        need("jupyterlab")
        _check_options(options)
        if port:
            _check_port(port)
    elif options:
        raise CommandError(f"{options[0]} is for JupyterLab, which --no-start does not start", 2)

    with course_faults():
        course, to_reset = _course(reset)
        notebooks = {lesson.id: _notebook(lesson) for lesson in course.lessons}
    folder = CourseFolder(directory)
    if folder.lost_manifest:
        _say("the record of delivered notebooks was unreadable: every notebook now counts as yours")
    # First the resets: what is to be thrown away needs no newer lesson beside it.
    deliveries = [folder.reset(notebooks[lesson.id], __version__) for lesson in to_reset]
    deliveries += folder.deliver(notebooks.values(), __version__)
    _report(deliveries, directory)
    _trust({delivery.ours for delivery in deliveries if delivery.ours})
    if not start:
        return 0
    lesson = to_reset[-1] if to_reset else _next_lesson(course)
    notebook = f"{lesson.folder_name}.ipynb"
    return _serve(folder.path, notebook, browser=browser, port=port, options=options)


def _course(reset: Sequence[str]) -> tuple[Course, list[Lesson]]:
    """The installed course, and the lessons that `reset` names."""
    from tensorlab.learn import CourseError, UnknownLesson, find_course

    course = find_course()
    if not course.lessons:
        raise CourseError(f"there is no lesson in {course.folder}")
    try:
        return course, [course.lesson(name.removesuffix(".ipynb")) for name in reset]
    except UnknownLesson as error:
        raise CommandError(str(error), 2) from error


def _next_lesson(course: Course) -> Lesson:
    """The lesson that the learner is at: the first one with something left to do."""
    from tensorlab.learn import Progress, ProgressError

    try:
        step = Progress().next_step(course)
    except ProgressError as error:
        _say(str(error))
        return course.lessons[0]
    return course.lesson(step.lesson_id) if step.lesson_id else course.lessons[-1]


def _notebook(lesson: Lesson) -> LearnerNotebook:
    import nbformat

    from tensorlab.learn.notebooks import learner_notebook

    text = nbformat.writes(learner_notebook(lesson.notebook_path))
    return LearnerNotebook(lesson.folder_name, text + "\n")


def _report(deliveries: Sequence[Delivery], directory: Path) -> None:
    new = sum(delivery.action == "new" for delivery in deliveries)
    if new:
        _say(f"{new} lesson{'s' if new > 1 else ''} put into {directory}")
    for delivery in deliveries:
        name = delivery.path.name
        if delivery.action == "updated":
            _say(f"{name}: replaced by the newer lesson; you had not changed it")
        elif delivery.action == "beside" and delivery.other:
            _say(f"{name}: yours, untouched; the newer lesson is beside it, {delivery.other.name}")
        elif delivery.action == "reset" and delivery.other:
            backup = delivery.other.relative_to(delivery.path.parent)
            _say(f"{name}: started again; your notebook is kept as {backup}")
        elif delivery.action == "reset":
            _say(f"{name}: started again; there was nothing of yours to keep")


def _say(line: str) -> None:
    print(line, flush=True)


def _trust(notebooks: Iterable[Path]) -> None:
    """Sign notebooks for Jupyter: only those that hold exactly what this program wrote."""
    import nbformat
    from jupyter_core.paths import jupyter_data_dir
    from nbformat.sign import NotebookNotary

    data = Path(jupyter_data_dir())
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        notary = NotebookNotary(data_dir=str(data))
        for path in notebooks:
            notary.sign(nbformat.read(path, as_version=4))
        notary.store.close()
    except OSError as error:
        # The course works all the same; only rich outputs stay hidden until a cell is run.
        _say(f"the notebooks could not be marked as trusted: {data}: {error.strerror}")


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        # As the server will: a port that a closed connection still lingers on is free.
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise CommandError(
                f"port {port} cannot be used: {(error.strerror or str(error)).lower()}; "
                "choose another one, or leave --port out"
            ) from error


def _check_options(options: Sequence[str]) -> None:
    """Refuse what JupyterLab would silently ignore, and what would open it to others."""
    if not options:
        return
    from jupyterlab.labapp import LabApp

    known = {*LabApp.flags, *LabApp.aliases}
    for option in options:
        name, equals, value = option.lstrip("-").partition("=")
        if not option.startswith("-"):
            raise CommandError(f"unexpected argument {option!r}: only one DIR can be given", 2)
        reason = OWN_OPTIONS.get(name.rpartition(".")[2])
        if reason and not (name.endswith("ip") and value in (LOOPBACK, "localhost")):
            raise CommandError(f"{option.partition('=')[0]} is not passed on: {reason}", 2)
        if "." not in name and name not in known:
            close = difflib.get_close_matches(name, [*known, "port", "reset", "no-start"], n=1)
            hint = f"did you mean --{close[0]}?" if close else "see tensorlab lab --help"
            raise CommandError(f"unknown option {option}: {hint}", 2)
        if not equals and ("." in name or name in LabApp.aliases):
            raise CommandError(f"{option} needs a value: write {option}=VALUE", 2)


def _serve(
    folder: Path, notebook: str, *, browser: bool, port: int | None, options: Sequence[str]
) -> int:
    from jupyter_core.application import NoStart
    from jupyterlab.labapp import LabApp

    own = {
        "ServerApp.ip": LOOPBACK,
        "ServerApp.port": FIRST_PORT if port is None else port,
        "ServerApp.port_retries": 50 if port is None else 0,
        "ServerApp.root_dir": folder,
        "ServerApp.allow_remote_access": False,
        "IdentityProvider.token": secrets.token_urlsafe(24),
        "LabApp.default_url": f"/lab/tree/{notebook}",
    }
    defaults = {"ServerApp.log_level": "WARN", "LabApp.log_level": "WARN"}
    if not any(option.startswith(("--debug", "--log-level")) for option in options):
        own = {**defaults, **own}
    # Jupyter refuses to run as root unless told to. The one who runs this is root already, and
    # whoever learns in a container has no other user.
    root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    quiet = [] if browser else ["--no-browser"]
    # Of two settings Jupyter takes the later one, so ours come last.
    arguments = [*quiet, *root, *options, *(f"--{name}={value}" for name, value in own.items())]
    try:
        server = LabApp.initialize_server(argv=arguments)
        server.web_app.settings["page_config_hook"] = _without_announcements
        url = f"http://{LOOPBACK}:{server.port}{server.base_url}lab/tree/{notebook}"
        # The server opens its port when its loop starts: only then is there something to announce.
        server.io_loop.add_callback(_announce, f"{url}?token={server.identity_provider.token}")
        server.start()
    except NoStart:
        return 0
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CommandError(f"JupyterLab could not start: {error}") from error
    return 0


def _without_announcements(handler: Any, page_config: dict[str, Any]) -> dict[str, Any]:
    """Nothing leaves this computer: JupyterLab does not ask for its news or a newer version."""
    announcements = "@jupyterlab/apputils-extension:announcements"
    disabled = [*page_config.get("disabledExtensions", []), announcements]
    return {**page_config, "disabledExtensions": disabled}


def _announce(url: str) -> None:
    _say(f"JupyterLab serves the course at\n    {url}")
    # Where nobody types, there is nobody to press keys.
    if sys.stdin is not None and sys.stdin.isatty():
        _say("To stop it, press Ctrl+C twice. What you have saved stays in your folder.")
