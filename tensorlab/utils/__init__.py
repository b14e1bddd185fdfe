"""Helpers around training: `data` (datasets and loaders), `checkpoint` (less memory for more work),
`hooks` (removable handles), `dlpack` (sharing memory)."""

from __future__ import annotations

from tensorlab.utils import checkpoint, data, dlpack, hooks

__all__ = ["checkpoint", "data", "dlpack", "hooks"]
