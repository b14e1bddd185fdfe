"""The "Python (tensorlab)" kernel: the stock IPython kernel with the extension already loaded.

Its kernelspec starts ipykernel's own launcher with `kernel_class` set to the class below. The
launcher keeps the notebook's folder off the path until Python's library is imported, so that a
learner's `random.py` beside the notebook cannot stop the kernel from starting.
"""

from __future__ import annotations

from typing import Any

from ipykernel.ipkernel import IPythonKernel

from tensorlab import __version__

__all__ = ["TensorlabKernel"]


class TensorlabKernel(IPythonKernel):
    """`IPythonKernel` after `%load_ext tensorlab`; nothing else differs, so every tool still fits."""

    implementation = "tensorlab"
    implementation_version = __version__

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        assert self.shell is not None, "IPythonKernel makes its shell in __init__"
        self.shell.run_line_magic("load_ext", "tensorlab")

    @property
    def banner(self) -> str:
        return f"tensorlab {__version__}: %tensorlab shows the next step.\n{super().banner}"
