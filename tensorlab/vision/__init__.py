"""Images, with torchvision's names: `datasets`, `transforms`, `models`, `utils` and `ops`.

A program that says `import torchvision` runs with `from tensorlab import vision as torchvision`.
Each part is imported when it is first used.
"""

from __future__ import annotations

import importlib as _importlib
from typing import TYPE_CHECKING
from typing import Any as _Any

if TYPE_CHECKING:
    from tensorlab.vision import datasets, models, ops, transforms, utils

__all__ = ["datasets", "models", "ops", "transforms", "utils"]


def __getattr__(name: str) -> _Any:
    """Import a part when it is first used."""
    if name in __all__:
        return _importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
