"""`%tensorlab grads`: the gradients of a model's layers over the steps, or those of two runs."""

from __future__ import annotations

import importlib.util
from argparse import Namespace
from collections.abc import Iterator
from typing import Any

from IPython.core.error import UsageError

from tensorlab.nn import Module

from .notebook import Notebook
from .report import Report

__all__ = ["grads"]

#: What this magic has begun to watch, by the expression for the model.
_watching: dict[str, Any] = {}


def grads(notebook: Notebook, args: Namespace) -> Iterator[object]:
    """Show the gradient flow of a model, which is watched from now on, or of runs that were recorded.

    Without an argument it ends the watching.
    """
    names = args.runs
    if not names:
        yield Report.of_text(_stop())
        return
    if len(names) > 2:
        raise UsageError(
            f"grads shows one run or two, got {len(names)}; write an expression with blanks in brackets"
        )
    runs = [notebook.evaluate(name) for name in names]
    if importlib.util.find_spec("tensorlab_widgets") is None:
        raise UsageError(
            "grads needs the package tensorlab_widgets, which comes with the course: "
            'pip install -e ".[lab]". Without it, tensorlab.inspect.gradients(model) has the numbers'
        )
    # Not a dependency of tensorlab: the widgets are a package of their own.
    from tensorlab_widgets import gradients

    try:
        if len(runs) == 2:
            yield gradients(*runs, labels=(names[0], names[1]))
        else:
            flow = gradients(*runs)
            if isinstance(runs[0], Module):
                _stop(names[0])
                _watching[names[0]] = flow
            yield flow
    except (TypeError, ValueError) as error:
        raise UsageError(f"grads {' '.join(names)}: {error}") from None


def _stop(*names: str) -> str:
    """End the watching of these models, or of all; says of which."""
    ended = [name for name in names or tuple(_watching) if name in _watching]
    for name in ended:
        _watching.pop(name).remove()
    return f"No longer watched: {', '.join(ended)}." if ended else "Nothing is being watched."
