"""The still picture of a training: a panel for each metric, `val_` beside what it validates."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ._curves import Curve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_PANELS = 6
COLUMNS = 3


def panels(names: Mapping[str, object]) -> dict[str, list[str]]:
    """Which curves are drawn together: `loss` and `val_loss` under `loss`.

    >>> panels({"loss": 0, "accuracy": 0, "val_loss": 0})
    {'loss': ['loss', 'val_loss'], 'accuracy': ['accuracy']}
    """
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(name.removeprefix("val_"), []).append(name)
    return found


def training_figure(curves: Mapping[str, Curve], title: str) -> Figure | None:
    """Draw the curves; None if there are none with two points. Described by `alt_text`."""
    from tensorlab.inspect._figures import COLORS, STYLES, new_figure, plain

    drawn = {name: curve for name, curve in curves.items() if len(curve) > 1}
    groups = list(panels(drawn).items())
    # A rate that nobody moved is no news.
    groups = [
        (name, group)
        for name, group in groups
        if name != "learning rate" or len(set(drawn[name].values())) > 1
    ][:MOST_PANELS]
    if not groups:
        return None
    columns = min(len(groups), COLUMNS)
    rows = -(-len(groups) // columns)
    width = max(2.6 * columns, 4.0)
    figure = new_figure(
        "the training dashboard", width, 2.0 * rows + 0.4, f"Training curves. {title}."
    )
    all_axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, (name, group) in zip(all_axes, groups, strict=False):
        for i, each in enumerate(group):
            curve = drawn[each]
            marker = "." if len(curve) < 30 else ""
            axes.plot(
                curve.steps(), curve.values(), STYLES[i], color=COLORS[i], marker=marker,
                markersize=4, linewidth=1.2, label=plain(each),
            )  # fmt: skip
        if len(group) > 1:
            axes.legend(fontsize=7)
        axes.set_title(plain(name), fontsize=9)
        axes.set_xlabel("step", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.3)
    for axes in all_axes[len(groups) :]:
        axes.axis("off")
    figure.suptitle(plain("\n".join(textwrap.wrap(title, int(15 * width)))), fontsize=8)
    return figure
