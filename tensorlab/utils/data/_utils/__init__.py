"""Parts of the loader: making batches (`collate`) and reading samples (`fetch`)."""

from __future__ import annotations

from tensorlab.utils.data._utils import collate, fetch

__all__ = ["collate", "fetch"]
