"""Settings of matrix products on a CUDA device."""

from __future__ import annotations

from tensorlab import _settings
from tensorlab import cuda as _cuda

__all__ = ["is_built", "matmul"]


def is_built() -> bool:
    """Whether tensors can be put on a CUDA device here.

    >>> import tensorlab
    >>> tensorlab.backends.cuda.is_built() == tensorlab.cuda.is_available()
    True
    """
    return _cuda.is_available()


class _Matmul:
    """The older way to say `tensorlab.set_float32_matmul_precision`."""

    @property
    def allow_tf32(self) -> bool:
        """Whether float32 products may be computed with less precision: "high" or "medium"."""
        return _settings.get_float32_matmul_precision() != "highest"

    @allow_tf32.setter
    def allow_tf32(self, allow: bool) -> None:
        _settings.set_float32_matmul_precision("high" if allow else "highest")


matmul = _Matmul()
