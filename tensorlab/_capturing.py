"""Whether CUDA work is being captured into a graph (`tensorlab.cuda.graph`), and by which.

What an operation draws or counts on the host would be the same in every replay of a captured graph. So
dropout and the optimizers look here, and let the graph put fresh numbers into device memory before each
replay: see `feed` of `tensorlab.cuda.graphs.CUDAGraph`. This is a module of its own because it must be
below all of them.
"""

from __future__ import annotations

from typing import Any

#: The graph that is being captured; None almost always.
current: Any = None


def refuse_reading() -> None:
    """`RuntimeError` if a graph is being captured: no value is there to be read then."""
    if current is not None:
        raise RuntimeError(
            "a tensor's values cannot be read on the host while a CUDA graph is being captured: nothing has been "
            "computed yet. Look for .item(), .cpu(), .numpy(), printing or `if tensor:` in the captured code, and "
            "read after replay()"
        )
