"""Neural networks: modules, losses, initialisation, and the functions they are made of.

>>> import tensorlab
>>> from tensorlab import nn
>>> model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
>>> model(tensorlab.zeros(5, 64)).shape
tensorlab.Size([5, 10])
"""

from __future__ import annotations

from tensorlab.nn import functional, init, modules, parameter, utils
from tensorlab.nn.modules import *  # noqa: F403  (the names stand in modules.__all__, once)
from tensorlab.nn.parameter import Buffer, Parameter, UninitializedBuffer, UninitializedParameter

__all__ = [
    "Buffer",
    "Parameter",
    "UninitializedBuffer",
    "UninitializedParameter",
    "functional",
    "init",
    "modules",
    "parameter",
    "utils",
]
__all__ += modules.__all__
