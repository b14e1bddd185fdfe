"""The "Python (tensorlab)" kernel: the stock IPython kernel with the extension already loaded.

python -m tensorlab.jupyter.kernel -f connection.json
"""

from __future__ import annotations

from typing import Any

from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp

from tensorlab import __version__

__all__ = ["TensorlabKernel", "main"]


class TensorlabKernel(IPythonKernel):
    """`IPythonKernel` plus `%load_ext tensorlab`; nothing else differs, so every Python tool still fits."""

    implementation = "tensorlab"
    implementation_version = __version__

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shell.extension_manager.load_extension("tensorlab")

    @property
    def banner(self) -> str:
        return f"tensorlab {__version__}: %tensorlab shows the next step.\n{super().banner}"


def main() -> None:
    """Start the kernel; the arguments are ipykernel's own."""
    IPKernelApp.launch_instance(kernel_class=TensorlabKernel)


if __name__ == "__main__":
    main()
