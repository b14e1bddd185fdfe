"""The accelerator under its general name: CUDA's answers, or none."""

from __future__ import annotations

import pytest

import tensorlab as tl


def test_without_an_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tl.cuda, "is_available", lambda: False)
    monkeypatch.setattr(tl.cuda, "device_count", lambda: 0)
    assert not tl.accelerator.is_available()
    assert tl.accelerator.device_count() == 0
    assert tl.accelerator.current_accelerator() is None
    for ask in (tl.accelerator.current_device_index, tl.accelerator.synchronize):
        with pytest.raises(
            RuntimeError, match="Cannot access accelerator device when none is available"
        ):
            ask()


def test_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[object] = []
    monkeypatch.setattr(tl.cuda, "is_available", lambda: True)
    monkeypatch.setattr(tl.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(tl.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(tl.cuda, "synchronize", waited.append)
    found = tl.accelerator.current_accelerator()
    assert found is not None
    assert found == tl.device("cuda")
    assert found.type == "cuda"
    assert (tl.accelerator.device_count(), tl.accelerator.current_device_index()) == (2, 1)
    tl.accelerator.synchronize("cuda:1")
    assert waited == ["cuda:1"]
