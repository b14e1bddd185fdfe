"""`%tensorlab graph` as a live widget, where a notebook can show one."""

from __future__ import annotations

import importlib.util
from typing import Any

from tensorlab import inspect

from .notebook import Notebook

__all__ = ["live_graph"]


def live_graph(
    notebook: Notebook, value: Any, title: str, words: str, measured: inspect.profile | None
) -> object | None:
    """The graph inspector of `value`; None where only the static form can be shown, or is wanted.

    words: what its output says where no widget can be: the text of the static form.
    measured: the profile in which the graph was made, if there was one.
    """
    if importlib.util.find_spec("tensorlab_widgets") is None:
        return None
    from tensorlab_widgets._display import live_widgets

    if not live_widgets():
        return None
    from tensorlab_widgets import GraphInspector

    types = {
        f"{name}.{path}" if path else name: type(module).__name__
        for name, model in notebook.models().items()
        for path, module in model.named_modules()
    }
    return GraphInspector(
        value,
        params=notebook.tensor_names(),
        profile=measured,
        title=title,
        text=words,
        types=types,
    )
