"""Sharing memory with other array libraries, by PyTorch's older names: see `tensorlab.from_dlpack`."""

from __future__ import annotations

from tensorlab.ops.interop import from_dlpack, to_dlpack

__all__ = ["from_dlpack", "to_dlpack"]
