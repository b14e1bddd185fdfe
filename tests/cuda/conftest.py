"""A CUDA device that keeps books only, for the tests of what is asked of one."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tensorlab import _backend, _gpu
from tensorlab.kernels.cuda import launch
from tensorlab.testing.strict import StrictArray, _rules


def _fake_module() -> Any:
    spec = importlib.util.spec_from_file_location(
        "fake_cupy", Path(__file__).with_name("fake_cupy.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fake_cupy"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def fake_cuda(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`fake_cuda(devices=1, limit=2**20)`: for this test "cuda" is a device that keeps books only."""

    def install(**options: Any) -> Any:
        fake = _fake_module()
        cupy = fake.make(**options)
        cupy.LOG = fake.LOG
        monkeypatch.setitem(sys.modules, "cupy", cupy)
        monkeypatch.setattr(_gpu, "has_driver", lambda: True)
        monkeypatch.setattr(_gpu, "allocator", None)
        monkeypatch.setattr(_gpu, "allow_tf32", lambda xp, allow: cupy.LOG.append(f"tf32 {allow}"))
        monkeypatch.setattr(_backend, "several", False)
        monkeypatch.setattr(_rules, "devices", fake)
        monkeypatch.setattr(launch, "current", None)
        for name in ("_by_type", "_by_kind", "KIND_OF"):
            monkeypatch.setattr(_backend, name, dict(getattr(_backend, name)))
        monkeypatch.setattr("tensorlab._apply.KIND_OF", _backend.KIND_OF)
        _backend._by_kind.pop("cuda", None)
        _backend._by_type.pop(StrictArray, None)
        return cupy

    return install
