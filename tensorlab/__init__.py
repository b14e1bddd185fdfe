"""tensorlab: a deep-learning library to learn from, with PyTorch's names and semantics."""

from __future__ import annotations

__version__ = "0.1.0"

from tensorlab import autograd, ops
from tensorlab._tensor import Size, Tensor

__all__ = ["Size", "Tensor", "autograd", "ops"]


def load_ipython_extension(ip: object) -> None:
    """What `%load_ext tensorlab` calls."""
    from tensorlab.jupyter import extension

    extension.load_ipython_extension(ip)


def unload_ipython_extension(ip: object) -> None:
    """What `%unload_ext tensorlab` calls."""
    from tensorlab.jupyter import extension

    extension.unload_ipython_extension(ip)
