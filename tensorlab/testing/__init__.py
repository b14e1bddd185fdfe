"""Testing operations, the library's and your own.

`opcheck` runs everything that the library's own suite checks of an operation: values against a
reference and PyTorch, first and second gradients against finite differences, edge shapes,
strides, dtypes, in-place forms and errors. `Sampler` makes the random arrays of its samples.
`python -m tensorlab.testing.table` lists what every operation can do.
"""

from __future__ import annotations

from tensorlab.testing.opcheck import CHECKS, opcheck
from tensorlab.testing.sampler import Sampler

__all__ = ["CHECKS", "Sampler", "opcheck"]
