"""A tensor shown in full on request: its numbers in a table, a histogram and a picture.

Plain printing stays PyTorch's; nobody gets this without asking for it. The picture of the elements
is Hinton's: the area of a square is the size of the number, filled squares are positive, hollow
ones negative, and a cross stands for nothing finite. So it can be read without colour. Both
pictures take their colours from JupyterLab's theme, and the same tensor gives the same text.

G. E. Hinton and T. Shallice, "Lesioning an attractor network", Psychological Review 98 (1991).
"""

from __future__ import annotations

from typing import Any

from tensorlab._tensor import Tensor
from tensorlab.inspect import Description, describe

from .report import Block, Markup, Paragraph, Report, State, Table, escape

__all__ = ["TensorView"]

_CELL = 14  # px, of a square in the picture
_BAR = 12  # px, of a bar's width
_HEIGHT = 72  # px, of the highest bar
_NARROWEST = 160  # px, so that both ends of the axis have room for a number
_BLOCKS = "▁▂▃▄▅▆▇█"
_INK = "var(--jp-ui-font-color1,#424242)"
_POSITIVE = "var(--jp-brand-color1,#1565c0)"
_NEGATIVE = "var(--jp-warn-color1,#b45309)"
_WRONG = "var(--jp-error-color1,#b3261e)"
_GROUND = "var(--jp-layout-color2,#eeeeee)"


class TensorView:
    """The rich view of one tensor: displays itself in a notebook, and prints as stable text.

    What is shown is the tensor as it is when the view is made.

    >>> import tensorlab
    >>> from tensorlab.jupyter.tensor_view import TensorView
    >>> print(str(TensorView(tensorlab.tensor([1.0, -2.0]), "x")).splitlines()[0])
    x: float32 [2]
    """

    def __init__(self, tensor: Tensor | Description, name: str = "tensor") -> None:
        self.description = tensor if isinstance(tensor, Description) else describe(tensor)
        self.name = name
        self._report = _report(self.description, name)

    def __repr__(self) -> str:
        return str(self._report)

    def _repr_html_(self) -> str:
        return self._report.html()


def _report(found: Description, name: str) -> Report:
    blocks: list[Block] = []
    wrong = [
        f"{count:,} {word}"
        for count, word in ((found.nan, "nan"), (found.infinite, "infinite"))
        if count
    ]
    if wrong:
        blocks.append(Paragraph(f"Not all elements are finite: {' and '.join(wrong)}.", State.WARN))
    blocks.append(Table(("property", "value"), found.rows()))
    if found.counts:
        blocks.append(Markup(histogram_svg(found), histogram_text(found)))
    if found.grid:
        blocks.append(Markup(picture_svg(found), picture_text(found)))
    return Report(f"{name}: {found.dtype} {list(found.shape)}", blocks)


# Histogram ----------------------------------------------------------------------------------


def histogram_text(found: Description) -> str:
    """The histogram as one line of bars, with the range it covers."""
    most = max(found.counts)
    bars = "".join(" " if n == 0 else _BLOCKS[(n * len(_BLOCKS) - 1) // most] for n in found.counts)
    return f"histogram  {found.edges[0]:.4g} │{bars}│ {found.edges[-1]:.4g}"


def histogram_svg(found: Description) -> str:
    """The histogram as an SVG figure."""
    most = max(found.counts)
    base = _HEIGHT + 2
    step = max(_BAR, _NARROWEST / len(found.counts)) if len(found.counts) > 1 else _BAR
    wide = max(step * len(found.counts), _NARROWEST)
    bars = []
    for i, n in enumerate(found.counts):
        height = n * _HEIGHT / most
        low, high = found.edges[i], found.edges[i + 1]
        bars.append(
            f'<rect x="{_n(i * step + 1)}" y="{_n(base - height)}" width="{_n(step - 2)}" height="{_n(height)}" '
            f'fill="{_POSITIVE}"><title>{low:.4g} to {high:.4g}: {n:,}</title></rect>'
        )
    label = (
        f"Histogram of {sum(found.counts):,} finite values from {found.edges[0]:.4g} to {found.edges[-1]:.4g}; "
        f"the fullest of {len(found.counts)} bins holds {most:,}"
    )
    axis = f'<path d="M0 {base}H{_n(wide)}" stroke="{_INK}" stroke-width="1"/>'
    ends = f'<text x="0" y="{base + 14}" fill="{_INK}">{found.edges[0]:.4g}</text>'
    if len(found.counts) > 1:
        ends += f'<text x="{_n(wide)}" y="{base + 14}" text-anchor="end" fill="{_INK}">{found.edges[-1]:.4g}</text>'
    return _figure(label, wide, base + 20, "".join(bars) + axis + ends, label + ".")


# Picture ------------------------------------------------------------------------------------


def picture_text(found: Description) -> str:
    """What the picture shows, in words."""
    rows, columns = len(found.grid), len(found.grid[0])
    down, across = found.grid_block
    part = f" of {found.grid_of}" if found.grid_of else ""
    of_blocks = f", means of {down} × {across} elements" if (down, across) != (1, 1) else ""
    return f"picture{part}: {rows} × {columns}{of_blocks}; the largest is {_largest(found):.4g}"


def picture_svg(found: Description) -> str:
    """The grid as Hinton's picture, an SVG figure."""
    most = _largest(found)
    parts = []
    for r, row in enumerate(found.grid):
        for c, value in enumerate(row):
            x, y = c * _CELL + _CELL / 2, r * _CELL + _CELL / 2
            parts.append(_cell(value, x, y, most))
    width, height = _CELL * len(found.grid[0]), _CELL * len(found.grid)
    ground = f'<rect width="{width}" height="{height}" fill="{_GROUND}"/>'
    caption = f"{picture_text(found)}. Filled: positive; hollow: negative; cross: not finite."
    label = caption[0].upper() + caption[1:]
    return _figure(label, width, height, ground + "".join(parts), label)


def _largest(found: Description) -> float:
    return max((abs(v) for row in found.grid for v in row if v is not None), default=0.0)


def _cell(value: float | None, x: float, y: float, most: float) -> str:
    if value is None:
        a = _CELL / 4
        path = f"M{_n(x - a)} {_n(y - a)}l{_n(2 * a)} {_n(2 * a)}m0 {_n(-2 * a)}l{_n(-2 * a)} {_n(2 * a)}"
        return f'<path d="{path}" stroke="{_WRONG}" stroke-width="2" fill="none"/>'
    if value == 0 or most == 0:
        return ""
    side = (_CELL - 2) * (abs(value) / most) ** 0.5
    if value > 0:
        return _square(x, y, side, f'fill="{_POSITIVE}"')
    line = min(1.5, side / 2)
    return _square(x, y, side - line, f'fill="none" stroke="{_NEGATIVE}" stroke-width="{_n(line)}"')


def _square(x: float, y: float, side: float, paint: str) -> str:
    return f'<rect x="{_n(x - side / 2)}" y="{_n(y - side / 2)}" width="{_n(side)}" height="{_n(side)}" {paint}/>'


def _figure(label: str, width: float, height: float, body: str, caption: str) -> str:
    return (
        f'<figure><svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(width)} {_n(height)}" width="{_n(width)}" '
        f'height="{_n(height)}" role="img" aria-label="{escape(label)}" font-size="11" '
        f'style="max-width:100%;height:auto">{body}</svg><figcaption>{escape(caption)}</figcaption></figure>'
    )


def _n(value: Any) -> str:
    """A coordinate, short and the same on every machine."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
