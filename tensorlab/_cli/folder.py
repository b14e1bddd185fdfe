"""The learner's folder: their notebooks, and how a newer course reaches it without touching them.

What was put there is remembered in `.tensorlab/manifest.json` as one fingerprint for each notebook.
A notebook that still has its fingerprint is ours to replace; any other one belongs to the learner
and is never written to: a newer lesson is put beside it.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tensorlab._cli import CommandError
from tensorlab._files import write_text

__all__ = ["CourseFolder", "Delivery", "LearnerNotebook", "fingerprint"]

MANIFEST = Path(".tensorlab") / "manifest.json"
FORMAT = 1

Action = Literal["new", "same", "updated", "kept", "beside", "reset"]


@dataclass(frozen=True, slots=True)
class LearnerNotebook:
    """A notebook to deliver: its name without the ending, such as `01_tensors`, and its text."""

    name: str
    content: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """What happened to one lesson.

    Attributes:
        action: `new` (there was none), `same` (it was there), `updated` (a newer one replaced one
            that the learner had not changed), `kept` (the learner's own), `beside` (the learner's
            own, with a newer one beside it) or `reset`.
        path: the notebook that the learner works in.
        other: with `beside` the newer notebook, with `reset` the backup (None: nothing to back up).
        ours: the file that holds exactly what was delivered; None where the learner's work stands.
    """

    action: Action
    path: Path
    other: Path | None = None
    ours: Path | None = None


def fingerprint(text: str) -> str:
    """A hash of what a learner can change in a notebook: the cells' kinds, texts and outputs.

    Opening and saving a notebook renumbers its cells and rewrites its metadata; that is no change
    of the learner's, so neither is part of the hash. A text that is no notebook is hashed as it is.

    >>> empty = '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'
    >>> saved = '{"nbformat": 4, "nbformat_minor": 5, "metadata": {"a": 1}, "cells": []}'
    >>> fingerprint(empty) == fingerprint(saved)
    True
    """
    try:
        cells = [_essence(cell) for cell in json.loads(text)["cells"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
    return hashlib.sha256(json.dumps(cells, sort_keys=True).encode()).hexdigest()


def _essence(cell: dict[str, Any]) -> list[Any]:
    outputs = [
        {key: value for key, value in output.items() if key != "execution_count"}
        for output in cell.get("outputs", [])
    ]
    # The format allows a text as one string or as its lines.
    return [cell["cell_type"], "".join(cell["source"]), outputs, cell.get("attachments", {})]


class CourseFolder:
    """A folder that holds, or is to hold, a learner's notebooks.

    Raises `CommandError` if the folder cannot be made or written to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        if self.path.exists() and not self.path.is_dir():
            raise CommandError(
                f"{path} is a file, not a folder: choose another one, tensorlab lab DIR"
            )
        try:
            (self.path / MANIFEST).parent.mkdir(parents=True, exist_ok=True)
            # An existing folder can still be closed to us; better to learn it before Jupyter does.
            with tempfile.TemporaryFile(dir=self.path):
                pass
        except OSError as error:
            raise self._refused(error) from error
        #: Whether the manifest was there but unreadable; every notebook then counts as the learner's.
        self.lost_manifest = False
        self._manifest = self._read_manifest()

    def deliver(self, notebooks: Iterable[LearnerNotebook], version: str) -> list[Delivery]:
        """Bring every lesson of the course's `version` into the folder; nobody's work is touched."""
        try:
            return [self._deliver(notebook, version) for notebook in notebooks]
        except OSError as error:
            raise self._refused(error) from error
        finally:
            self._write_manifest()

    def reset(self, notebook: LearnerNotebook, version: str) -> Delivery:
        """Put a fresh copy in place of the learner's notebook, which moves to `backups/`."""
        path = self._path(notebook)
        try:
            backup = None
            if path.exists() and _read(path) != notebook.content:
                backup = self._back_up(path)
            self._put(path, notebook, version)
            self._remove_same(path, notebook)
        except OSError as error:
            raise self._refused(error) from error
        finally:
            self._write_manifest()
        return Delivery("reset", path, other=backup, ours=path)

    def _deliver(self, notebook: LearnerNotebook, version: str) -> Delivery:
        path = self._path(notebook)
        if not path.exists():
            self._put(path, notebook, version)
            return Delivery("new", path, ours=path)
        here, newest = fingerprint(_read(path)), fingerprint(notebook.content)
        entry = self._manifest.get(path.name, {})
        if here == newest:
            self._record(path, newest, version)
            return Delivery("same", path, ours=path)
        if here == entry.get("fingerprint"):
            self._put(path, notebook, version)
            return Delivery("updated", path, ours=path)
        if newest in (entry.get("fingerprint"), entry.get("offered")):
            return Delivery("kept", path)
        beside = self._put_beside(path, notebook, version)
        # Offered once: a learner who has deleted the newer one does not get it again.
        self._manifest[path.name] = {**entry, "offered": newest}
        return Delivery("beside", path, other=beside, ours=beside)

    def _put_beside(self, path: Path, notebook: LearnerNotebook, version: str) -> Path:
        for candidate in _numbered(path.with_suffix(".new.ipynb")):
            shipped = self._manifest.get(candidate.name, {}).get("fingerprint")
            replaceable = (shipped, fingerprint(notebook.content))
            if not candidate.exists() or fingerprint(_read(candidate)) in replaceable:
                self._put(candidate, notebook, version)
                return candidate
        raise AssertionError("unreachable: there is always a next number")

    def _remove_same(self, path: Path, notebook: LearnerNotebook) -> None:
        """Remove the copy that lay beside `path`, if nobody has written in it: they are now one."""
        for candidate in _numbered(path.with_suffix(".new.ipynb")):
            if not candidate.exists():
                return
            if fingerprint(_read(candidate)) == fingerprint(notebook.content):
                candidate.unlink()
                self._manifest.pop(candidate.name, None)
                return

    def _back_up(self, path: Path) -> Path:
        folder = self.path / "backups"
        folder.mkdir(exist_ok=True)
        stamp = time.strftime("%Y%m%d-%H%M%S")
        for backup in _numbered(folder / f"{path.stem}-{stamp}.ipynb"):
            try:
                with backup.open("xb") as file:  # "x": a backup never replaces another one
                    file.write(path.read_bytes())
                    file.flush()
                    os.fsync(file.fileno())
            except FileExistsError:
                continue
            return backup
        raise AssertionError("unreachable: there is always a next number")

    def _path(self, notebook: LearnerNotebook) -> Path:
        return self.path / f"{notebook.name}.ipynb"

    def _put(self, path: Path, notebook: LearnerNotebook, version: str) -> None:
        write_text(path, notebook.content)
        self._record(path, fingerprint(notebook.content), version)

    def _record(self, path: Path, shipped: str, version: str) -> None:
        entry = {"fingerprint": shipped, "version": version}
        if self._manifest.get(path.name, {}).get("fingerprint") != shipped:
            self._manifest[path.name] = entry

    def _read_manifest(self) -> dict[str, dict[str, str]]:
        """What was delivered before, by file name."""
        try:
            known = json.loads((self.path / MANIFEST).read_text("utf-8"))
            notebooks = known["notebooks"] if known["format"] == FORMAT else {}
            return {name: dict(entry) for name, entry in notebooks.items()}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._refused(error) from error
        except (ValueError, KeyError, TypeError, AttributeError):
            self.lost_manifest = True
            return {}

    def _write_manifest(self) -> None:
        manifest = {"format": FORMAT, "notebooks": self._manifest}
        text = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
        file = self.path / MANIFEST
        try:
            if not file.exists() or _read(file) != text:
                write_text(file, text)
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> CommandError:
        reason = error.strerror or str(error)
        return CommandError(
            f"cannot write in {self.path}: {reason}; choose another folder, tensorlab lab DIR"
        )


def _numbered(path: Path) -> Iterator[Path]:
    """`a.ipynb`, `a-2.ipynb`, `a-3.ipynb` …: names to try until one is free."""
    yield path
    number = 2
    while True:
        yield path.with_name(f"{path.stem}-{number}{path.suffix}")
        number += 1


def _read(path: Path) -> str:
    # Whatever bytes a learner's file has, reading it must not fail.
    return path.read_text("utf-8", "surrogateescape")
