"""Memory that a step frees is kept for the next one.

A training step allocates arrays of a few megabytes and frees them again, and the next step wants the
same. The allocator of Linux's C library gives such memory back to the system at once, and for every page
that is taken anew the system clears it and notes it: 2,500 pages in a step of a small convolutional
network, a sixth of its time. Told to keep some of it, the allocator hands the same pages out again.

That is a setting of the whole process, made when the first kernel is used. It is bounded: of what has been
freed, at most KEPT bytes stay at the end of the heap, and arrays beyond LARGEST are given back at once, as
ever. The peak is no higher. TENSORLAB_KEEP_MEMORY=off leaves the allocator as it is, and so do settings of
the user's own for it (MALLOC_TRIM_THRESHOLD_, MALLOC_MMAP_THRESHOLD_, GLIBC_TUNABLES).
"""

from __future__ import annotations

import os
import sys

#: Arrays up to this size come from the kept memory, and so much of it may lie unused, in bytes.
LARGEST, KEPT = 32 << 20, 512 << 20

# Names of parameters in the C library's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_SETTINGS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


def keep_freed() -> bool:
    """Tell the allocator of this process to keep memory that is freed; whether it will.

    Only the GNU C library is told. A user's own settings for it, in the environment, are left alone.

    >>> keep_freed() in (True, False)
    True
    """
    if os.environ.get("TENSORLAB_KEEP_MEMORY", "").lower() in ("off", "0", "no"):
        return False
    if not sys.platform.startswith("linux") or any(os.environ.get(name) for name in _SETTINGS):
        return False
    import ctypes

    library = ctypes.CDLL(None)
    try:
        library.gnu_get_libc_version  # noqa: B018 (another C library has other numbers)
        set_option = library.mallopt
    except AttributeError:
        return False
    return bool(set_option(_MMAP_THRESHOLD, LARGEST)) and bool(set_option(_TRIM_THRESHOLD, KEPT))
