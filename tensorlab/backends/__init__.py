"""What computes: questions to, and settings of, the libraries behind the tensors.

Programs written for PyTorch set these at their beginning (`backends.cudnn.deterministic = True`).
What a setting does here, each module says; one that has nothing to act on is remembered and no more.

>>> import tensorlab
>>> tensorlab.backends.cudnn.benchmark = False
>>> tensorlab.backends.mps.is_available()
False
"""

from __future__ import annotations

from tensorlab.backends import cuda, cudnn, mps

__all__ = ["cuda", "cudnn", "mps"]
