"""The learner's folder: what is theirs is never written to, whatever the course brings."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tensorlab._cli import CommandError
from tensorlab._cli import folder as module
from tensorlab._cli.folder import CourseFolder, LearnerNotebook, fingerprint


def notebook(*sources: str, name: str = "01_tensors") -> LearnerNotebook:
    cells = [
        {
            "cell_type": "code",
            "source": s,
            "metadata": {},
            "outputs": [],
            "execution_count": None,
            "id": f"c{i}",
        }
        for i, s in enumerate(sources)
    ]
    document = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    return LearnerNotebook(name, json.dumps(document))


OLD, NEW, NEWER = notebook("x = 1"), notebook("x = 2"), notebook("x = 3")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "course"


def deliver(home: Path, notebook: LearnerNotebook, version: str = "1"):
    (delivery,) = CourseFolder(home).deliver([notebook], version)
    return delivery


def edit(path: Path, text: str = "# mine") -> str:
    """Change a notebook as a learner does in JupyterLab; returns the new text."""
    document = json.loads(path.read_text())
    document["cells"][0]["source"] = text
    path.write_text(json.dumps(document, indent=1))
    return path.read_text()


def files(home: Path) -> set[str]:
    return {
        str(p.relative_to(home))
        for p in home.rglob("*")
        if p.is_file() and ".tensorlab" not in p.parts
    }


def test_a_new_folder_gets_every_lesson(home):
    second = notebook("y", name="02_autograd")
    deliveries = CourseFolder(home).deliver([OLD, second], "1")
    assert [d.action for d in deliveries] == ["new", "new"]
    assert files(home) == {"01_tensors.ipynb", "02_autograd.ipynb"}
    assert (home / "01_tensors.ipynb").read_text() == OLD.content


def test_the_same_course_again_changes_no_file(home):
    deliver(home, OLD)
    before = {p: p.stat().st_mtime_ns for p in home.rglob("*")}
    assert deliver(home, OLD).action == "same"
    assert {p: p.stat().st_mtime_ns for p in home.rglob("*")} == before


def test_an_untouched_lesson_is_replaced_by_a_newer_one(home):
    deliver(home, OLD)
    assert deliver(home, NEW, "2").action == "updated"
    assert files(home) == {"01_tensors.ipynb"}
    assert (home / "01_tensors.ipynb").read_text() == NEW.content


def test_a_lesson_only_opened_and_saved_counts_as_untouched(home):
    path = deliver(home, OLD).path
    document = json.loads(path.read_text())
    document["metadata"] = {"kernelspec": {"name": "python3"}}
    document["cells"][0] |= {
        "execution_count": 3,
        "metadata": {"trusted": True},
        "source": ["x = 1"],
    }
    path.write_text(json.dumps(document, indent=1))
    assert deliver(home, NEW, "2").action == "updated"


def test_outputs_are_the_learners_too(home):
    path = deliver(home, OLD).path
    document = json.loads(path.read_text())
    document["cells"][0]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "1\n"}]
    path.write_text(json.dumps(document))
    assert deliver(home, NEW, "2").action == "beside"


def test_a_changed_lesson_stays_and_the_newer_one_stands_beside_it(home):
    path = deliver(home, OLD).path
    mine = edit(path)
    delivery = deliver(home, NEW, "2")
    assert delivery.action == "beside"
    assert delivery.ours == delivery.other == home / "01_tensors.new.ipynb"
    assert path.read_text() == mine
    assert (home / "01_tensors.new.ipynb").read_text() == NEW.content


def test_a_changed_lesson_of_the_same_course_is_only_kept(home):
    path = deliver(home, OLD).path
    mine = edit(path)
    delivery = deliver(home, OLD)
    assert (delivery.action, delivery.ours) == ("kept", None)
    assert path.read_text() == mine
    assert files(home) == {"01_tensors.ipynb"}


def test_a_newer_lesson_is_offered_once(home):
    path = deliver(home, OLD).path
    edit(path)
    deliver(home, NEW, "2").other.unlink()
    assert deliver(home, NEW, "2").action == "kept"
    assert files(home) == {"01_tensors.ipynb"}


def test_an_offer_that_the_learner_changed_is_theirs_as_well(home):
    edit(deliver(home, OLD).path)
    first = deliver(home, NEW, "2").other
    mine = edit(first, "# also mine")
    second = deliver(home, NEWER, "3").other
    assert second == home / "01_tensors.new-2.ipynb"
    assert first.read_text() == mine


def test_an_untouched_offer_is_replaced_by_a_newer_one(home):
    edit(deliver(home, OLD).path)
    deliver(home, NEW, "2")
    assert deliver(home, NEWER, "3").other == home / "01_tensors.new.ipynb"
    assert (home / "01_tensors.new.ipynb").read_text() == NEWER.content


def test_a_file_that_was_there_first_is_not_touched(home):
    home.mkdir()
    (home / "01_tensors.ipynb").write_text("my shopping list")
    assert deliver(home, OLD).action == "beside"
    assert (home / "01_tensors.ipynb").read_text() == "my shopping list"


@pytest.mark.parametrize(
    "broken", ["", "{", "[]", '{"format": 1}', '{"format": 99, "notebooks": {}}']
)
def test_without_a_readable_manifest_everything_counts_as_the_learners(home, broken):
    path = deliver(home, OLD).path
    (home / ".tensorlab" / "manifest.json").write_text(broken)
    assert deliver(home, NEW, "2").action == "beside"
    assert path.read_text() == OLD.content


def test_a_broken_manifest_is_noticed(home):
    deliver(home, OLD)
    assert not CourseFolder(home).lost_manifest
    (home / ".tensorlab" / "manifest.json").write_text("{")
    assert CourseFolder(home).lost_manifest


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe\x00", b'{"cells": 3}', b'{"cells": [{}]}']
)
def test_a_damaged_notebook_is_kept_as_it_is(home, content):
    path = deliver(home, OLD).path
    path.write_bytes(content)
    assert deliver(home, OLD).action == "kept"
    assert path.read_bytes() == content


def test_a_deleted_lesson_comes_back(home):
    deliver(home, OLD).path.unlink()
    assert deliver(home, OLD).action == "new"


def test_reset_keeps_the_learners_notebook_and_starts_afresh(home):
    path = deliver(home, OLD).path
    mine = edit(path)
    delivery = CourseFolder(home).reset(OLD, "1")
    assert path.read_text() == OLD.content
    assert delivery.other.parent == home / "backups"
    assert delivery.other.read_text() == mine


def test_every_reset_has_its_own_backup(home, monkeypatch):
    monkeypatch.setattr(module.time, "strftime", lambda _: "20260101-120000")
    path = deliver(home, OLD).path
    texts = set()
    for number in range(3):
        texts.add(edit(path, f"# attempt {number}"))
        CourseFolder(home).reset(OLD, "1")
    assert {p.read_text() for p in (home / "backups").iterdir()} == texts
    assert len(texts) == 3


def test_reset_of_an_untouched_lesson_makes_no_backup(home):
    deliver(home, OLD)
    assert CourseFolder(home).reset(OLD, "1").other is None
    assert files(home) == {"01_tensors.ipynb"}


def test_after_a_reset_the_lesson_is_ours_to_update(home):
    edit(deliver(home, OLD).path)
    CourseFolder(home).reset(OLD, "1")
    assert deliver(home, NEW, "2").action == "updated"


def test_a_reset_to_the_newer_lesson_leaves_no_second_copy_of_it(home):
    edit(deliver(home, OLD).path)
    beside = deliver(home, NEW, "2").other
    CourseFolder(home).reset(NEW, "2")
    assert not beside.exists()
    assert (home / "01_tensors.ipynb").read_text() == NEW.content


def test_a_reset_leaves_a_newer_copy_in_which_the_learner_has_written(home):
    edit(deliver(home, OLD).path)
    beside = deliver(home, NEW, "2").other
    mine = edit(beside)
    CourseFolder(home).reset(NEW, "2")
    assert beside.read_text() == mine


def test_a_crash_while_writing_leaves_the_old_file_and_no_other(home, monkeypatch):
    deliver(home, OLD)

    def crash(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "replace", crash)
    with pytest.raises(CommandError, match="No space left on device"):
        deliver(home, NEW, "2")
    assert (home / "01_tensors.ipynb").read_text() == OLD.content
    assert files(home) == {"01_tensors.ipynb"}


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandError, match="is a file, not a folder"):
        CourseFolder(tmp_path / "file")


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandError, match="cannot write in .*choose another folder"):
        CourseFolder(tmp_path / "file" / "below")


def test_a_folder_closed_to_us_is_refused(home, monkeypatch):
    home.mkdir(mode=0o555)
    if os.geteuid() == 0:  # root may write anywhere, so it has to be told no

        def closed(**_):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(module.tempfile, "TemporaryFile", closed)
    with pytest.raises(CommandError, match="cannot write in .*Permission denied"):
        CourseFolder(home)


def test_files_get_the_permissions_any_new_file_gets(home):
    path = deliver(home, OLD).path
    other = home / "other"
    other.write_text("")
    assert path.stat().st_mode == other.stat().st_mode


def test_fingerprint_sees_every_change_of_a_cell():
    prints = {
        fingerprint(notebook(*sources).content)
        for sources in [(), ("a",), ("b",), ("a", "b"), ("b", "a")]
    }
    assert len(prints) == 5
