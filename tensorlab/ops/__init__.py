"""Every operation, each declared once: forward, gradient rules, samples, reference, docstring.

`elementwise` arithmetic and functions of each element · `reduce` sums, means, extremes, scans
and sorting · `shape` views and joining · `index` reading and writing elements · `linalg` matrix
products · `loss` softmax and loss functions · `creation` new tensors · `random` random ones ·
`convert` dtype, device and Python numbers.
"""

from __future__ import annotations

from tensorlab.ops import convert, creation, elementwise, index, shape

__all__ = ["convert", "creation", "elementwise", "index", "shape"]
