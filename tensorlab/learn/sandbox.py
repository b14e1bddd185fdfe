"""Keep a learner's code from leaving traces: output, names, patches, random states.

This guards against accidents (a deleted name, a patched ``np.sum``, a million printed lines),
not against malice: learners run their code on their own machine.
"""

from __future__ import annotations

import builtins
import math
import os
import random
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.linalg

__all__ = ["Capture", "Guard", "redirected"]

# What IPython, Jupyter and the site module replace in builtins of their own accord.
_NOT_GUARDED = {"input", "exit", "quit", "help", "copyright", "credits", "license", "display"}


def _public(module: Any) -> dict[str, Any]:
    return {
        name: value
        for name, value in vars(module).items()
        if name not in _NOT_GUARDED and (not name.startswith("_") or name == "__import__")
    }


#: The modules that oracles are written with, as they were when the course was loaded.
_PRISTINE = {module: _public(module) for module in (builtins, math, np, numpy.linalg)}


class Capture:
    """The first lines of what code prints; the rest is only counted.

    >>> captured = Capture(max_lines=2)
    >>> for line in range(1000):
    ...     _ = captured.write(f"{line}\\n")
    >>> captured.text, captured.lines, captured.characters, captured.left_out
    ('0\\n1\\n', 1000, 3890, True)
    """

    def __init__(self, max_characters: int = 2000, max_lines: int = 20) -> None:
        self._max_characters = max_characters
        self._max_lines = max_lines
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._parts: list[str] = []
        self._room = self._max_characters
        #: Whether anything was left out, and how many characters and lines were printed in all.
        self.left_out = False
        self.characters = 0
        self.lines = 0

    def write(self, text: str) -> int:
        """Take a piece of text; returns its length, as the ``write`` of any stream does."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if not self.left_out and text:
            lines = text.splitlines(keepends=True)[: self._max_lines - self.lines]
            kept = "".join(lines)[: self._room]
            self._parts.append(kept)
            self._room -= len(kept)
            self.left_out = len(kept) < len(text)
        self.characters += len(text)
        self.lines += text.count("\n")
        return len(text)

    @property
    def text(self) -> str:
        """What was kept."""
        return "".join(self._parts)

    @property
    def note(self) -> str:
        """How much was printed, if not everything was kept."""
        if not self.left_out:
            return ""
        return (
            f"your code printed {self.lines:,} lines ({self.characters:,} characters); "
            "the beginning:"
        )


class _Routed:
    """Stands in for sys.stdout: one thread's output is captured, all other goes on as before."""

    def __init__(self, stream: Any, thread: int, capture: Capture) -> None:
        self._stream, self._thread, self._capture = stream, thread, capture

    def write(self, text: str) -> int:
        if threading.get_ident() == self._thread:
            return self._capture.write(text)
        return self._stream.write(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        if threading.get_ident() != self._thread and self._stream is not None:
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def redirected(thread: int, capture: Capture, still_running: Callable[[], bool]) -> Iterator[None]:
    """Capture what one thread prints.

    If its code could not be stopped, the redirection stays: an abandoned endless loop of
    prints must not flood the notebook.
    """
    before = sys.stdout, sys.stderr
    sys.stdout = _Routed(sys.stdout, thread, capture)
    sys.stderr = _Routed(sys.stderr, thread, capture)
    routed = sys.stdout, sys.stderr
    try:
        yield
    finally:
        sys.stdout, sys.stderr = routed if still_running() else before


class Guard:
    """Puts back what a learner's code changed around it, and says what that was.

    While the guard is entered, the modules that oracles are written with are as they were when
    the course was loaded; patches from before come back on leaving.

    Args:
        namespace: the learner's namespace.

    >>> names = {"f": abs}
    >>> with Guard(names) as guard:
    ...     del names["f"]
    ...     np.sum = None
    ...     changes = guard.restore()
    >>> changes
    ['Your code deleted the name `f`; it was put back.', 'Your code replaced numpy.sum; it was put back.']
    >>> names["f"] is abs
    True
    """

    def __init__(self, namespace: MutableMapping[str, Any]) -> None:
        self._namespace = namespace
        #: Patches that stood before, by module and name.
        self.patched: dict[Any, dict[str, Any]] = {}

    def __enter__(self) -> Guard:
        self._modules = dict(_PRISTINE)
        for name in [n for n in sys.modules if n == "tensorlab" or n.startswith("tensorlab.")]:
            module = sys.modules[name]
            if module not in self._modules and not name.startswith("tensorlab.learn"):
                # Functions and classes only: a mode or a cache may well change, and should.
                found = _public(module)
                self._modules[module] = {n: v for n, v in found.items() if callable(v)}
        self._states = _random_states()
        self._settings = sys.getrecursionlimit(), _working_directory()
        self._warnings = warnings.catch_warnings()
        self._warnings.__enter__()
        warnings.simplefilter("default")
        warnings.showwarning = _show_warning
        self._exits = {
            name: self._namespace[name] for name in ("exit", "quit") if name in self._namespace
        }
        self._replaced = {
            (place, name): getattr(place, name)
            for place, name in [
                (builtins, "input"),
                (builtins, "exit"),
                (builtins, "quit"),
                (os, "_exit"),
            ]
            if hasattr(place, name)
        }
        self.patched = {
            module: found
            for module, names in _PRISTINE.items()
            if (found := {n: getattr(module, n, _GONE) for n in _changed(vars(module), names)})
        }
        self._put_back_modules()
        for place, name in self._replaced:
            setattr(place, name, _no_input if name == "input" else _leave)
        for name in self._exits:
            self._namespace[name] = _leave
        self._snapshot = dict(self._namespace)
        return self

    def __exit__(self, *exc_info: object) -> None:
        try:
            self._leave()
        except KeyboardInterrupt:  # Stop was pressed twice: finish first, then obey
            self._leave()
            raise

    def _leave(self) -> None:
        self.restore()
        for (place, name), value in self._replaced.items():
            setattr(place, name, value)
        self._namespace.update(self._exits)
        for module, names in self.patched.items():
            for name, value in names.items():
                if value is _GONE:
                    vars(module).pop(name, None)
                else:
                    setattr(module, name, value)
        if self._warnings is not None:
            self._warnings.__exit__(None, None, None)
            self._warnings = None
        _restore_random_states(self._states)

    def seed(self, seed: int) -> None:
        """Seed the global random generators: the same for every code that gets this case."""
        random.seed(seed)
        np.random.seed(seed % 2**32)
        tensorlab = sys.modules.get("tensorlab")
        manual_seed = getattr(tensorlab, "manual_seed", None)
        if manual_seed is not None:
            manual_seed(seed)

    def restore(self) -> list[str]:
        """Put everything back; returns one sentence for each change."""
        told = []
        current, snapshot = self._namespace, self._snapshot
        # Python itself puts this where a warning was raised; whose code it was knows nothing of it.
        if "__warningregistry__" not in snapshot:
            current.pop("__warningregistry__", None)
        for name in _changed(current, snapshot):
            verb = "replaced" if name in current else "deleted"
            told.append(f"Your code {verb} the name `{name}`; it was put back.")
            current[name] = snapshot[name]
        for name in [name for name in current if name not in snapshot]:
            told.append(f"Your code made the global name `{name}`; it was removed.")
            del current[name]
        told += self._put_back_modules()
        limit, folder = self._settings
        if sys.getrecursionlimit() != limit:
            told.append(f"Your code changed the recursion limit; it is {limit} again.")
            sys.setrecursionlimit(limit)
        if folder is not None and _working_directory() != folder:
            told.append("Your code changed the working directory; it was set back.")
            os.chdir(folder)
        return told

    def _put_back_modules(self) -> list[str]:
        told = []
        for module, names in self._modules.items():
            for name in _changed(vars(module), names):
                told.append(f"Your code replaced {module.__name__}.{name}; it was put back.")
                setattr(module, name, names[name])
        return told


_GONE: Any = object()


def _changed(current: MutableMapping[str, Any], kept: dict[str, Any]) -> list[str]:
    return [name for name, value in kept.items() if current.get(name, _GONE) is not value]


def _working_directory() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it was deleted
        return None


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object
) -> None:
    """To where the code's output is captured, and without the path of a temporary file."""
    # A cell's source is no file. The line of a file is one of a library: it would mislead.
    where = "" if os.path.isfile(filename) else f" (line {lineno})"
    sys.stderr.write(f"{category.__name__}: {message}{where}\n")


def _no_input(prompt: object = "") -> str:
    raise RuntimeError("input() can't be asked for inside a check: take what you need as arguments")


def _leave(*_: object, **__: object) -> None:
    raise SystemExit


def _random_states() -> list[tuple[Callable[[Any], Any], Any]]:
    """Pairs of (function that sets a state, the state now) of all global generators."""
    states: list[tuple[Callable[[Any], Any], Any]] = [
        (random.setstate, random.getstate()),
        (np.random.set_state, np.random.get_state()),
    ]
    tensorlab = sys.modules.get("tensorlab")
    get, put = (getattr(tensorlab, f"{verb}_rng_state", None) for verb in ("get", "set"))
    if get is not None and put is not None:
        states.append((put, get()))
    return states


def _restore_random_states(states: list[tuple[Callable[[Any], Any], Any]]) -> None:
    for put, state in states:
        put(state)
