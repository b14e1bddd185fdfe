"""Helpers around training: `data` (datasets and loaders), `hooks` (removable handles), `dlpack` (sharing memory)."""

from __future__ import annotations

from tensorlab.utils import data, dlpack, hooks

__all__ = ["data", "dlpack", "hooks"]
