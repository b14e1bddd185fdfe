"""`%tensorlab view`: a tensor's values and memory, or two tensors and what differs."""

from __future__ import annotations

import importlib.util
from argparse import Namespace
from collections.abc import Iterator

from IPython.core.error import UsageError

from tensorlab import Tensor

from .notebook import Notebook
from .tensor_view import TensorView

__all__ = ["view"]


def view(notebook: Notebook, args: Namespace) -> Iterator[object]:
    """Show one tensor, or two; the widget if there is one, else numbers, histogram and picture."""
    names = args.tensors
    if len(names) > 2:
        raise UsageError(
            f"view shows one tensor or two, got {len(names)}; write an expression with blanks in brackets"
        )
    values = [notebook.evaluate(name) for name in names]
    if importlib.util.find_spec("tensorlab_widgets") is not None:
        # Not a dependency of tensorlab: the widgets are a package of their own.
        from tensorlab_widgets import view as shown

        try:
            yield shown(*values, names=names)
        except (TypeError, ValueError) as error:
            raise UsageError(f"view {' '.join(names)}: {error}") from None
        return
    for name, value in zip(names, values, strict=True):
        if not isinstance(value, Tensor):
            raise UsageError(f"view {name}: expected a tensor, got {type(value).__name__}")
        yield TensorView(value, name)
