"""Widgets for notebooks: what you watch while your model trains.

`progress` is a progress bar for training loops.  It shows metrics with small curves, and Stop
ends the loop between two steps, so that model, optimizer and history stay usable.

>>> from tensorlab_widgets import progress
>>> bar = progress(range(3), label="epochs")
>>> for epoch in bar:
...     bar.set(loss=1.0 / (epoch + 1))
>>> bar
<progress epochs: 3/3 · loss 0.3333>

In Jupyter the bar is a live widget; when the loop ends it turns into plain HTML and text, which
stays in the notebook when you save, export or share it.  In a terminal it is one line of text.
Set the environment variable ``TENSORLAB_LIVE=0`` to see the final form only.
"""

from __future__ import annotations

from ._progress import Progress, progress

__all__ = ["Progress", "progress"]
