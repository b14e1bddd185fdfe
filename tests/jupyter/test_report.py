"""What the magics show: text and HTML from the same data."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

pytest.importorskip("ipykernel", reason="the Jupyter part needs ipykernel: install the extra 'lab'")

from tensorlab.jupyter.report import Code, Items, Markup, Paragraph, Report, State, Table


class Words(HTMLParser):
    """The words of an HTML text, and a check that its tags are balanced."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(markup)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs) -> None:
        if tag != "br":
            self._open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data) -> None:
        if self._open[-1] != "style":
            self.words += data.split()


def make() -> Report:
    table = Table(
        ("layer", "bytes"),
        [("Linear", "1,024"), ("  a<b & c", "8")],
        right=frozenset({1}),
        caption="Memory",
        total=("total", "1,032"),
    )
    items = Items([(State.GOOD, "NumPy: 2.1"), (State.BAD, "GPU: none\n→ buy one"), (None, "x")])
    return Report(
        "A <title>", [Paragraph("one & two", State.WARN), table, items, Code("x < 1")], State.OPEN
    )


def test_the_text() -> None:
    assert str(make()).splitlines() == [
        "○ A <title>",
        "! one & two",
        "Memory",
        "layer      bytes",
        "────────────────",
        "Linear     1,024",
        "  a<b & c      8",
        "────────────────",
        "total      1,032",
        "✓ NumPy: 2.1",
        "✗ GPU: none",
        "→ buy one",
        "- x",
        "x < 1",
    ]
    assert repr(make()) == str(make())


def test_the_html_says_the_same_and_is_well_formed() -> None:
    words = Words(make().html()).words
    text = str(make()).replace("─", "").replace("- x", "x").split()
    for state in State:  # the hidden words beside the marks
        words = [word for word in words if word != f"{state.value}:"]
    assert words == text


def test_a_state_is_never_a_colour_alone() -> None:
    for state in State:
        markup = Report("title", state=state).html()
        assert f'aria-hidden="true">{state.mark}<' in markup
        assert f"{state.value}: " in markup
    assert len({state.mark for state in State}) == len(State)


def test_everything_is_escaped() -> None:
    nasty = '<script>alert("x")</script>'
    report = Report(
        nasty,
        [
            Paragraph(nasty),
            Items([(None, nasty)]),
            Code(nasty, nasty),
            Table((nasty,), [(nasty,)], caption=nasty, total=(nasty,)),
        ],
        State.BAD,
    )
    assert "<script" not in report.html()


def test_tables_are_marked_up_for_screen_readers() -> None:
    markup = make().html()
    assert '<th scope="col"' in markup
    assert '<th scope="row"' in markup
    assert "<caption>Memory</caption>" in markup
    assert 'tabindex="0"' in markup  # a wide table scrolls with the keyboard


def test_the_bundle_has_both_forms() -> None:
    report = Report("t", [Markup("<b>x</b>", "x in words")])
    bundle = report._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    assert bundle["text/plain"] == "t\nx in words"
    assert "<b>x</b>" in bundle["text/html"]


def test_no_colour_without_the_theme_and_a_fallback() -> None:
    from tensorlab.jupyter.report import STYLE

    assert "@import" not in STYLE
    assert "url(" not in STYLE
    for use in STYLE.split("var(--jp-")[1:]:
        assert "," in use.split(")")[0]  # var(--jp-…, fallback)


def test_a_ready_text() -> None:
    assert str(Report.of_text("one\n  two", State.GOOD)) == "✓ one\n  two"
    assert "one<br>&nbsp;&nbsp;two" in Report.of_text("one\n  two").html()
