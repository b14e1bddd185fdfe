"""The generic suite over every operation in the registry, from its samples."""

from __future__ import annotations

import pytest

import tensorlab.nn  # noqa: F401  registers the operations of neural networks too
from tensorlab._op import OPS
from tensorlab.testing import CHECKS


@pytest.mark.parametrize("name", list(OPS))
@pytest.mark.parametrize("check", list(CHECKS))
def test_operation(name: str, check: str) -> None:
    CHECKS[check](OPS[name], 0)
