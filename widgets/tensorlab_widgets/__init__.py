"""Widgets for notebooks: what you watch while your model trains.

`progress` is a progress bar for training loops.  It shows metrics with small curves, and Stop
ends the loop between two steps, so that model, optimizer and history stay usable.

>>> from tensorlab_widgets import progress
>>> bar = progress(range(3), label="epochs")
>>> for epoch in bar:
...     bar.set(loss=1.0 / (epoch + 1))
>>> bar
<progress epochs: 3/3 · loss 0.3333>

`fit` trains a model with a dashboard, and `dashboard` puts one around a loop of your own: live curves,
gradient health, learning rate, pause and stop.  `gradients` shows how gradients flow through the layers.
`graph` shows what `backward()` will do, node by node.  `view` shows a tensor's values and its memory, or what
differs between two.  `replay` goes through a GPU kernel step by step.

In Jupyter the bar is a live widget; when the loop ends it turns into plain HTML and text, which
stays in the notebook when you save, export or share it.  In a terminal it is one line of text.
Set the environment variable ``TENSORLAB_LIVE=0`` to see the final form only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._progress import Progress, progress

if TYPE_CHECKING:
    from ._dashboard import Dashboard, dashboard
    from ._fit import Fit, fit
    from ._gradient_flow import GradientFlow, gradients
    from ._graph import GraphInspector, graph
    from ._replay import Replay, replay
    from ._tensor_view import TensorView, view

__all__ = [
    "Dashboard",
    "Fit",
    "GradientFlow",
    "GraphInspector",
    "Progress",
    "Replay",
    "TensorView",
    "dashboard",
    "fit",
    "gradients",
    "graph",
    "progress",
    "replay",
    "view",
]

# Loaded when first used: a progress bar needs no tensorlab.
_LATER = {
    "Dashboard": "_dashboard",
    "dashboard": "_dashboard",
    "Fit": "_fit",
    "fit": "_fit",
    "GradientFlow": "_gradient_flow",
    "gradients": "_gradient_flow",
    "GraphInspector": "_graph",
    "graph": "_graph",
    "Replay": "_replay",
    "replay": "_replay",
    "TensorView": "_tensor_view",
    "view": "_tensor_view",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f".{_LATER[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
