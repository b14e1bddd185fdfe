"""Helpers around training: `data` (datasets and loaders) and `hooks` (removable handles)."""

from __future__ import annotations

from tensorlab.utils import data, hooks

__all__ = ["data", "hooks"]
