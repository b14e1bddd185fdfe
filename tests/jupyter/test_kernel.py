"""The "Python (tensorlab)" kernel, and loading and unloading the extension in a stock one."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytest.importorskip("ipykernel", reason="the Jupyter part needs ipykernel: install the extra 'lab'")

from jupyter_client.blocking.client import BlockingKernelClient

import tensorlab
from tensorlab.jupyter.extension import load_ipython_extension, unload_ipython_extension


def test_the_kernel_has_the_extension_loaded(start_kernel, tmp_path) -> None:
    # Files of a learner's that are called like modules of Python must not get in the way.
    for name in ("random", "token", "numbers", "calendar"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('shadowed')\n")
    kernel = start_kernel("tensorlab", cwd=tmp_path)
    info = kernel.info()
    assert info["implementation"] == "tensorlab"
    assert info["implementation_version"] == tensorlab.__version__
    assert info["banner"].startswith(f"tensorlab {tensorlab.__version__}")
    assert info["language_info"]["name"] == "python"
    assert "Random numbers" in kernel.run("%tensorlab seed 1").text
    assert "already loaded" in kernel.run("%load_ext tensorlab").text
    completed = kernel.complete("%tensorlab docto")
    assert completed["matches"] == ["doctor"]


def test_the_kernel_starts_by_its_module_too(tmp_path) -> None:
    file = tmp_path / "connection.json"
    process = subprocess.Popen([sys.executable, "-m", "tensorlab.jupyter.kernel", "-f", str(file)])
    try:
        client = BlockingKernelClient(connection_file=str(file))
        while not (file.exists() and file.stat().st_size):
            assert process.poll() is None
            time.sleep(0.1)
        client.load_connection_file()
        client.start_channels()
        client.wait_for_ready(timeout=100)
        assert (
            client.kernel_info(reply=True, timeout=100)["content"]["implementation"] == "tensorlab"
        )
        client.stop_channels()
    finally:
        process.kill()
        process.wait()


def test_the_kernelspec_is_complete() -> None:
    import tensorlab.jupyter.kernel

    KERNELSPEC = Path(tensorlab.jupyter.kernel.__file__).parent / "kernelspec"

    spec = json.loads((KERNELSPEC / "kernel.json").read_text(encoding="utf-8"))
    assert spec["display_name"] == "Python (tensorlab)"
    assert spec["argv"][0] == "python"
    assert "{connection_file}" in spec["argv"]
    for size in (32, 64):
        data = (KERNELSPEC / f"logo-{size}x{size}.png").read_bytes()
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        assert struct.unpack(">II", data[16:24]) == (size, size)
    ElementTree.parse(KERNELSPEC / "logo-svg.svg")


def test_loading_twice_is_loading_once(shell) -> None:
    before = len(shell.Completer.custom_matchers)
    load_ipython_extension(shell)
    load_ipython_extension(shell)
    assert len(shell.Completer.custom_matchers) == before + 1
    unload_ipython_extension(shell)
    assert len(shell.Completer.custom_matchers) == before


def test_unloading_leaves_nothing(shell) -> None:
    def state():
        manager = shell.magics_manager
        return (
            {kind: dict(magics) for kind, magics in manager.magics.items()},
            sorted(manager.registry),
            list(shell.Completer.custom_matchers),
            {event: list(functions) for event, functions in shell.events.callbacks.items()},
            shell.custom_exceptions,
            shell.CustomTB,
            sorted(vars(shell)),
        )

    @shell.register_magic_function
    def tensorlab(line):  # somebody's own magic of the same name
        return line

    before = state()
    load_ipython_extension(shell)
    assert state() != before
    unload_ipython_extension(shell)
    assert state() == before
    unload_ipython_extension(shell)
    assert state() == before


def test_a_stock_kernel_unloads_and_loads_again(start_kernel) -> None:
    kernel = start_kernel("python3")
    assert kernel.run("%load_ext tensorlab").status == "ok"
    assert kernel.run("%tensorlab seed 0").status == "ok"
    assert kernel.run("%unload_ext tensorlab").status == "ok"
    assert "not found" in kernel.run("%tensorlab seed 0").text
    assert kernel.complete("%tensorlab see")["matches"] != ["seed"]
    assert kernel.run("%load_ext tensorlab").status == "ok"
    assert kernel.run("%tensorlab seed 0").status == "ok"
