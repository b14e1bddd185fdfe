"""What the magics show: one description, rendered as accessible HTML and as stable plain text.

A `Report` is a title and blocks. Each block renders both forms from the same data, so the text a
screen reader, a terminal, an untrusted notebook or nbval gets says what the HTML says. A state is
always a word with its mark, never a colour alone.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

__all__ = ["Block", "Code", "Items", "Markup", "Paragraph", "Report", "State", "Table", "escape"]


def escape(text: object) -> str:
    """Text made safe to stand in HTML, in an attribute as well."""
    return html.escape(str(text), quote=True)


class State(StrEnum):
    """How something stands; the value is the word shown."""

    GOOD = "ok"
    BAD = "problem"
    WARN = "note"
    OPEN = "open"

    @property
    def mark(self) -> str:
        return {"ok": "✓", "problem": "✗", "note": "!", "open": "○"}[self.value]


class Block(Protocol):
    """A part of a report, in both forms."""

    def text(self) -> str: ...
    def html(self) -> str: ...


@dataclass(frozen=True)
class Paragraph:
    """A paragraph, with a state's mark in front where it has one."""

    words: str
    state: State | None = None

    def text(self) -> str:
        return f"{self.state.mark} {self.words}" if self.state else self.words

    def html(self) -> str:
        return f"<p>{_mark(self.state)}{_lines(self.words)}</p>"


@dataclass(frozen=True)
class Items:
    """A list, each item with the state whose mark stands in front of it (or None)."""

    items: Sequence[tuple[State | None, str]]

    def text(self) -> str:
        return "\n".join(f"{state.mark if state else '-'} {words}" for state, words in self.items)

    def html(self) -> str:
        rows = "".join(f"<li>{_mark(state)}{_lines(words)}</li>" for state, words in self.items)
        return f'<ul class="tl-items">{rows}</ul>'


@dataclass(frozen=True)
class Code:
    """Source text, shown as it is."""

    source: str
    label: str = "code"

    def text(self) -> str:
        return self.source

    def html(self) -> str:
        # With tabindex it scrolls by keyboard; what can be focused needs a role and a name.
        attributes = f'class="tl-code" tabindex="0" role="region" aria-label="{escape(self.label)}"'
        return f"<pre {attributes}><code>{escape(self.source)}</code></pre>"


@dataclass(frozen=True)
class Markup:
    """HTML made elsewhere (a picture, a check's own form) with the text that stands for it."""

    markup: str
    words: str

    def text(self) -> str:
        return self.words

    def html(self) -> str:
        return self.markup


@dataclass(frozen=True)
class Table:
    """Rows under headings. Columns named in `right` are numbers, set flush right in both forms."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: frozenset[int] = frozenset()
    caption: str = ""
    total: Sequence[str] | None = None

    def text(self) -> str:
        lines = [self.headings, *self.rows, *([self.total] if self.total else [])]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.headings))]

        def line(cells: Sequence[str]) -> str:
            padded = [
                cell.rjust(width) if column in self.right else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
            ]
            return "  ".join(padded).rstrip()

        rule = "─" * (sum(widths) + 2 * (len(widths) - 1))
        parts = [line(self.headings), rule, *(line(row) for row in self.rows)]
        if self.total:
            parts += [rule, line(self.total)]
        return "\n".join([*([self.caption] if self.caption else []), *parts])

    def html(self) -> str:
        caption = f"<caption>{escape(self.caption)}</caption>" if self.caption else ""
        head = "".join(
            f'<th scope="col"{self._side(column)}>{escape(heading)}</th>'
            for column, heading in enumerate(self.headings)
        )
        body = "".join(f"<tr>{self._cells(row)}</tr>" for row in self.rows)
        foot = f"<tfoot><tr>{self._cells(self.total)}</tr></tfoot>" if self.total else ""
        # Without tabindex a wide table could be scrolled only with a pointer.
        name = escape(self.caption or "table")
        return (
            f'<div class="tl-scroll" tabindex="0" role="region" aria-label="{name}">'
            f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody>{foot}</table></div>"
        )

    def _cells(self, row: Sequence[str]) -> str:
        first, *rest = row
        cells = [f'<th scope="row"{self._side(0)}>{_lines(first)}</th>']
        cells += [
            f"<td{self._side(column)}>{_lines(cell)}</td>"
            for column, cell in enumerate(rest, start=1)
        ]
        return "".join(cells)

    def _side(self, column: int) -> str:
        return ' class="tl-right"' if column in self.right else ""


def _mark(state: State | None) -> str:
    if state is None:
        return ""
    return (
        f'<span class="tl-mark tl-{state.name.lower()}"><span aria-hidden="true">{state.mark}</span>'
        f'<span class="tl-hidden">{state.value}: </span></span> '
    )


def _lines(words: str) -> str:
    """Text with its line breaks and indents kept: they show nesting."""
    lines = ((line, line.lstrip(" ")) for line in words.split("\n"))
    return "<br>".join("&nbsp;" * (len(line) - len(body)) + escape(body) for line, body in lines)


# Every colour comes from JupyterLab's theme, with a fallback for other front ends. Marks differ by
# shape and by a hidden word too. `.tl-report` keeps the rules away from other outputs;
# written twice it makes them stronger than JupyterLab's own for outputs.
STYLE = """
.tl-report{--tl-good:var(--jp-success-color0,#1b6e20);--tl-bad:var(--jp-error-color0,#b3261e);
--tl-warn:var(--jp-warn-color0,#8a4b00);--tl-line:var(--jp-border-color1,#9e9e9e);
--tl-soft:var(--jp-layout-color2,#eee);color:var(--jp-ui-font-color0,inherit);
font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:var(--jp-ui-font-size1,13px);line-height:1.5;
max-width:100%;border-left:3px solid var(--tl-line);padding:2px 0 2px 12px;margin:4px 0}
.tl-report h4{font-size:1.08em;font-weight:600;margin:0 0 4px;color:inherit}
.tl-report p{margin:4px 0}
.tl-report .tl-items{list-style:none;margin:4px 0;padding:0}
.tl-report .tl-mark{font-weight:700;display:inline-block;min-width:1em}
.tl-report .tl-good{color:var(--tl-good)}
.tl-report .tl-bad{color:var(--tl-bad)}
.tl-report .tl-warn{color:var(--tl-warn)}
.tl-report .tl-hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.tl-report .tl-code{margin:6px 0;padding:8px 10px;background:var(--tl-soft);color:inherit;overflow:auto;
font-family:var(--jp-code-font-family,monospace);font-size:var(--jp-code-font-size,13px)}
.tl-report .tl-code code{background:none;color:inherit}
.tl-report .tl-scroll{overflow-x:auto;max-width:100%}
.tl-report table{border-collapse:collapse;margin:6px 0;font-size:inherit;
font-variant-numeric:tabular-nums;color:inherit}
.tl-report caption{text-align:left;padding:2px 0 4px;color:inherit}
.tl-report .tl-picture{max-height:80vh;overflow:auto}
.tl-report .tl-scroll th,.tl-report .tl-scroll td{text-align:left;padding:2px 14px 2px 0;border:0;vertical-align:top;
white-space:nowrap;background:none;max-width:none}
.tl-report .tl-scroll tbody th{font-weight:400}
.tl-report .tl-scroll thead th,.tl-report .tl-scroll tfoot th,.tl-report .tl-scroll tfoot td{font-weight:600}
.tl-report .tl-scroll thead tr{border-bottom:1px solid var(--tl-line)}
.tl-report .tl-scroll tfoot tr{border-top:1px solid var(--tl-line)}
.tl-report .tl-scroll .tl-right{text-align:right}
.tl-report summary{cursor:pointer}
.tl-report figure{margin:4px 0}
""".replace("\n", "").replace(".tl-report .", ".tl-report.tl-report .")


@dataclass(frozen=True)
class Report:
    """A title and blocks, displayable anywhere: `_repr_mimebundle_` gives HTML and text."""

    title: str
    blocks: Sequence[Block] = ()
    state: State | None = None

    @classmethod
    def of_text(cls, text: str, state: State | None = None) -> Report:
        """A report of a ready text, without a title."""
        return cls("", [Paragraph(text, state)])

    def __str__(self) -> str:
        head = f"{self.state.mark} {self.title}" if self.state else self.title
        return "\n".join(part for part in (head, *(block.text() for block in self.blocks)) if part)

    def __repr__(self) -> str:
        return str(self)

    def html(self) -> str:
        title = f"<h4>{_mark(self.state)}{escape(self.title)}</h4>" if self.title else ""
        body = "".join(block.html() for block in self.blocks)
        return f'<div class="tl-report"><style>{STYLE}</style>{title}{body}</div>'

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {"text/plain": str(self), "text/html": self.html()}
