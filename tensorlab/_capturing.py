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
