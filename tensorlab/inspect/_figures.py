"""Matplotlib figures that carry their description, look the same on every machine, and need no pyplot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["COLORS", "INK", "STYLES", "new_figure", "plain"]

#: Colours that differ for colour-blind eyes and in grey (Okabe and Ito), with a line style of their own.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
STYLES = ("-", "--", "-.", ":")
INK = "#222222"

#: What a user's own settings may not change: the same data gives the same picture.
SETTINGS: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "svg.hashsalt": "tensorlab",
    "svg.fonttype": "path",
    "text.usetex": False,
}

_class: Any = None


def plain(text: str) -> str:
    """Text of the user's in which a dollar sign is a dollar sign, and no formula begins."""
    return text.replace("$", r"\$")


def new_figure(
    caller: str, width: float, height: float, alt: str, layout: Any = "constrained"
) -> Figure:
    """An empty figure, sizes in inches, with `alt_text`; `ImportError` if matplotlib is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{caller} needs matplotlib, which is not installed: pip install matplotlib"
        ) from error
    figure = _figure_class()(figsize=(width, height), layout=layout, facecolor="white")
    figure.alt_text = alt
    return figure


def _figure_class() -> Any:
    """The class, made when matplotlib is first needed."""
    global _class
    if _class is not None:
        return _class
    from io import BytesIO

    import matplotlib as mpl
    from matplotlib.figure import Figure

    class DescribedFigure(Figure):
        """A figure whose description goes into the files it is saved to.

        alt_text: the description, for people who do not see the picture.
        """

        alt_text = ""

        def savefig(self, fname: Any, **kwargs: Any) -> None:
            """As matplotlib's, with `alt_text` in the file's metadata, and no date."""
            kind = kwargs.get("format") or str(fname).rpartition(".")[2].lower()
            given = {
                "png": {"Description": self.alt_text, "Software": None},
                "svg": {"Description": self.alt_text, "Date": None},
                "pdf": {"Subject": self.alt_text, "CreationDate": None},
            }.get(kind)
            if given is not None:
                kwargs["metadata"] = {**given, **(kwargs.get("metadata") or {})}
            with mpl.rc_context(SETTINGS):
                super().savefig(fname, **kwargs)

        def _repr_png_(self) -> bytes:
            file = BytesIO()
            self.savefig(file, format="png", dpi=110)
            return file.getvalue()

    _class = DescribedFigure
    return _class
