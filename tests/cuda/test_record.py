"""The record of GPU runs: true to the report, and not written where nothing ran."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

import tensorlab as tl
from tensorlab import _gpu

REPORT = """<?xml version="1.0"?><testsuites><testsuite>
<testcase classname="tests.a" name="test_one"/>
<testcase classname="tests.a" name="test_two[cuda]"><failure message="x"/></testcase>
<testcase classname="tests.b" name="test_three"><skipped message="there is no device 1 here"/></testcase>
<testcase classname="tests.b" name="test_four"><error message="x"/></testcase>
</testsuite></testsuites>"""


@pytest.fixture
def record():
    spec = importlib.util.spec_from_file_location("record", Path(__file__).with_name("record.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_summary(record, tmp_path):
    (tmp_path / "r.xml").write_text(REPORT, "utf-8")
    text = record.summary(tmp_path / "r.xml", {"device": "Test GPU"})
    assert "- device: Test GPU\n- tests: 1 passed, 2 failed, 1 skipped\n" in text
    assert "- `tests.a::test_two[cuda]`\n- `tests.b::test_four`\n" in text
    assert text.endswith("Skipped because:\n- there is no device 1 here\n")


def test_nothing_is_written_without_a_gpu(record, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(_gpu, "has_driver", lambda: False)
    monkeypatch.setattr(tl.cuda, "is_available", lambda: False)
    monkeypatch.setattr(record, "RESULTS", tmp_path / "RESULTS.md")
    monkeypatch.setattr(record, "run", lambda report: pytest.fail("it ran"))
    assert record.main() == 1
    assert capsys.readouterr().out.startswith("nothing was run: ")
    assert not (tmp_path / "RESULTS.md").exists()
