"""Kernels on the processor, for the tests of this folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tensorlab.kernels.cuda import launch

from .on_host import COMPILER, HostRuntime


@pytest.fixture(scope="session")
def _host(tmp_path_factory: pytest.TempPathFactory) -> HostRuntime:
    if COMPILER is None:
        pytest.skip("no C++ compiler: g++ or clang++ compiles the kernels for the processor")
    base = tmp_path_factory.getbasetemp()
    # All workers of one run of tests share what is compiled.
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = Path(shared) / "cuda-on-host"
    folder.mkdir(exist_ok=True)
    return HostRuntime(folder)


@pytest.fixture(params=[False, True], ids=["ascending", "descending"])
def host(
    request: pytest.FixtureRequest, _host: HostRuntime, monkeypatch: pytest.MonkeyPatch
) -> HostRuntime:
    """Launchers run kernels on the processor, in either order of threads."""
    monkeypatch.setattr(launch, "current", _host)
    monkeypatch.setattr(launch, "CHECKED", 0)  # small cases are for the kernels too
    _host.descending = request.param
    _host.used.clear()
    return _host
