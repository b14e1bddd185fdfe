"""The lessons' drawings: their words are right and their pictures are pictures."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from tensorlab.learn import figures
from tensorlab.learn.figures import draw_cache_lines, draw_tape

pytest.importorskip("matplotlib", reason="the drawings need matplotlib")


def view(buffer, shape, strides, offset=0):
    return SimpleNamespace(buffer=buffer, shape=shape, strides=strides, offset=offset)


def test_matplotlib_is_imported_only_for_a_picture():
    code = "import sys, tensorlab.learn.figures; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24.0).reshape(2, 3, 4)[::-1, 1:, ::3],
        np.arange(12).reshape(3, 4).T,
        np.broadcast_to(np.arange(4), (3, 4)),
        np.lib.stride_tricks.sliding_window_view(np.arange(8), 3),
        np.array(5.0),
        np.arange(6)[2:2],
        np.zeros((0, 3)),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
    ],
    ids=["sliced", "transposed", "expanded", "windows", "0-d", "empty", "empty 2-d", "fortran"],
)
def test_numpy_views_are_drawn_with_their_places(array):
    drawing = draw_tape(array, path=True)
    data, metadata = drawing._repr_mimebundle_()
    assert data["text/plain"] == repr(drawing)
    assert drawing.png().startswith(b"\x89PNG")
    assert metadata["image/png"]["width"] > 0
    seen = figures._see(array, "")
    np.testing.assert_array_equal(seen.buffer[seen.places()], array)


def test_words_name_the_marked_place_and_the_numbers_below():
    tape = np.arange(10, 22)
    drawing = draw_tape(
        view(tape, (3, 4), (4, 1)), labels=["x"], mark=(1, 2), below=[None] * 11 + [7]
    )
    assert str(drawing).splitlines() == [
        "x: shape (3, 4)  strides (4, 1)  offset 0",
        "  places [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]",
        "place[1, 2] = 0 + 1·4 + 2·1 = 6",
        "tape of 12: 10 11 12 13 14 15 16 17 18 19 20 21",
        "below it: - - - - - - - - - - - 7",
    ]


def test_cells_replace_the_numbers_in_the_first_table_only():
    wide = np.broadcast_to(np.array([5, 6]), (2, 2))
    drawing = draw_tape(wide, cells=[[1, 2], [10, 20]], below=[11, 22])
    assert "  cells [[1, 2], [10, 20]]" in str(drawing).splitlines()
    written = [text.get_text() for text in drawing.figure.axes[0].texts]
    assert written.count("10") == 1  # in the table alone
    assert written.count("5") == 1  # on the tape alone


def test_cache_lines_count_what_is_fetched():
    tape = np.zeros(100, np.float32)
    drawing = draw_cache_lines(
        view(tape, (3,), (40,)), view(tape, (4,), (0,), 99), labels=["a", "b"]
    )
    assert str(drawing).splitlines() == [
        "a: 3 numbers used, 3 lines fetched, 48 numbers moved",
        "b: 1 number used, 1 line fetched, 4 numbers moved",
    ]
    assert drawing.png().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: draw_tape(), TypeError, "at least one view"),
        (lambda: draw_tape([1, 2]), TypeError, "got list"),
        (
            lambda: draw_tape(np.arange(3), np.arange(3), labels=["a", "b"]),
            ValueError,
            "b has its own",
        ),
        (lambda: draw_tape(np.arange(3), labels=["a", "b"]), ValueError, "one label per view: 1"),
        (lambda: draw_tape(np.arange(65)), ValueError, "up to 64 elements"),
        (lambda: draw_tape(np.zeros((1, 1, 1, 1))), ValueError, "3 dimensions"),
        (lambda: draw_tape(np.arange(3), mark=(3,)), ValueError, r"\(3,\) is not in \(3,\)"),
        (lambda: draw_tape(np.arange(3), below=[1]), ValueError, "one entry per place: 3, got 1"),
        (lambda: draw_tape(np.arange(3), cells=[1]), ValueError, r"shape \(3,\), got \(1,\)"),
        (lambda: draw_tape(view(np.arange(3), (2,), (3,))), ValueError, "places 0 to 3"),
        (lambda: draw_tape(view(np.arange(3), (2,), (1, 1))), ValueError, "one stride per dim"),
        (lambda: draw_cache_lines(np.arange(3), line=0), ValueError, "at least 1 element"),
    ],
)
def test_bad_input_is_explained(make, error, words):
    with pytest.raises(error, match=words):
        make()
