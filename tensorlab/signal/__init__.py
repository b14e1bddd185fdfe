"""Signal processing: window functions, in `tensorlab.signal.windows`."""

from __future__ import annotations

from tensorlab.signal import windows

__all__ = ["windows"]
