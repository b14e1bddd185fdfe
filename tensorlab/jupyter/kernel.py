"""The "Python (tensorlab)" kernel: the stock IPython kernel with the extension already loaded.

Its kernelspec starts ipykernel's own launcher with `kernel_class` set to the class below. The
launcher keeps the notebook's folder off the path until Python's library is imported, so that a
learner's `random.py` beside the notebook cannot stop the kernel from starting. To start it by hand:

    python -m tensorlab.jupyter.kernel -f connection.json
"""

from __future__ import annotations

from typing import Any

from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp

from tensorlab import __version__

__all__ = ["TensorlabKernel", "main"]


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


def main() -> None:
    """Start the kernel; the arguments on the command line are ipykernel's own."""
    IPKernelApp.launch_instance(kernel_class=TensorlabKernel)


if __name__ == "__main__":
    main()
