"""The description of a tensor, and its rich view."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

import tensorlab as tl
from tensorlab.inspect import describe

SVG = "{http://www.w3.org/2000/svg}"


def test_numbers(rng):
    values = rng.standard_normal((7, 11)).astype(np.float32)
    values[0, :3] = np.nan, np.inf, -np.inf
    values[1, :4] = 0
    found = describe(tl.tensor(values, requires_grad=True), bins=9)
    finite = values[np.isfinite(values)].astype(np.float64)
    assert (found.shape, found.dtype, found.device) == ((7, 11), "float32", "cpu")
    assert (found.requires_grad, found.grad_fn) == (True, "")
    assert (found.elements, found.bytes) == (77, 308)
    assert (found.minimum, found.maximum) == (finite.min(), finite.max())
    assert found.mean == pytest.approx(finite.mean())
    assert found.std == pytest.approx(finite.std(ddof=1))
    assert (found.nan, found.infinite, found.zeros) == (1, 2, 4)
    counts, edges = np.histogram(finite, bins=9)
    assert found.counts == tuple(counts)
    assert found.edges == pytest.approx(edges)
    assert found.edges[-1] == found.maximum
    assert sum(found.counts) == 74


@pytest.mark.parametrize(
    "shape", [(), (5,), (3, 4), (40, 100), (2, 3, 4), (1, 17, 33), (0,), (3, 0, 2)]
)
def test_the_grid_holds_the_means_of_blocks(shape, rng):
    values = rng.standard_normal(shape)
    found = describe(tl.tensor(values), cells=(16, 32))
    if values.size == 0:
        assert (found.grid, found.counts, found.minimum, found.std) == ((), (), None, None)
        return
    matrix = np.atleast_2d(values[(0,) * max(values.ndim - 2, 0)] if values.ndim > 2 else values)
    down, across = found.grid_block
    assert len(found.grid) <= 16
    assert len(found.grid[0]) <= 32
    for i, row in enumerate(found.grid):
        for j, value in enumerate(row):
            block = matrix[i * down : (i + 1) * down, j * across : (j + 1) * across]
            assert value == pytest.approx(block.mean())
    assert found.grid_of == ("x[0, :, :]" if shape == (2, 3, 4) else "")


@pytest.mark.parametrize(
    ("values", "minimum", "maximum", "mean", "counts"),
    [
        ([2.0], 2, 2, 2, (1,)),
        ([2.0, 2.0], 2, 2, 2, (2,)),
        ([math.nan], None, None, None, ()),
        ([3, 5], 3, 5, 4, (1, 1)),
        ([True, False], 0, 1, 0.5, (1, 1)),
        ([3 + 4j, 0], 0, 5, 2.5, (1, 1)),
        ([1.7e308, 1.7e308, 1e308], 1e308, 1.7e308, 1.7e308 / 3 * 2 + 1e308 / 3, (1, 2)),
        ([1e-310, 3e-310], 1e-310, 3e-310, 2e-310, (1, 1)),
        ([-1.7e308, 1.7e308], -1.7e308, 1.7e308, 0, (1, 1)),
    ],
)  # fmt: skip
def test_extremes(values, minimum, maximum, mean, counts):
    dtype = tl.float64 if any(type(v) is float for v in values) else None
    found = describe(tl.tensor(values, dtype=dtype), bins=2)
    assert (found.minimum, found.maximum, found.counts) == (minimum, maximum, counts)
    assert found.mean == (mean if mean is None else pytest.approx(mean))


def test_every_dtype():
    for name in (
        "float16",
        "bfloat16",
        "float32",
        "float64",
        "uint8",
        "int8",
        "int64",
        "bool",
        "complex64",
    ):
        found = describe(tl.ones(2, 2, dtype=getattr(tl, name)))
        assert (found.dtype, found.mean, found.grid) == (name, 1, ((1, 1), (1, 1)))


def test_rows():
    x = tl.tensor([0.0, math.nan], requires_grad=True) * 2
    rows = dict(describe(x).rows())
    assert rows["gradient"] == "MulBackward0"
    assert rows["nan"] == "1 (50.0%)"
    assert rows["zeros"] == "1 (50.0%)"
    assert rows["std"] == "–"
    assert "gradient" not in dict(describe(tl.ones(1)).rows())


def test_it_leaves_the_tensor_alone():
    x = tl.ones(3, requires_grad=True)
    y = x * 2
    describe(y)
    assert y._version == 0
    y.sum().backward()
    assert x.grad.tolist() == [2, 2, 2]


def test_errors():
    with pytest.raises(TypeError, match="expected a Tensor, got list"):
        describe([1.0])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least 1, got bins=0"):
        describe(tl.ones(1), bins=0)
    with pytest.raises(ValueError, match=r"cells=\(0, 4\)"):
        describe(tl.ones(1), cells=(0, 4))


# The view ---------------------------------------------------------------------------------

SOME = {
    "matrix": lambda: tl.linspace(-1, 1, 12).reshape(3, 4),
    "wrong": lambda: tl.tensor([1.0, math.nan, -math.inf]),
    "zeros": lambda: tl.zeros(2, 2),
    "scalar": lambda: tl.tensor(-3.5),
    "empty": lambda: tl.zeros(0, 3),
    "large": lambda: tl.arange(300 * 200.0).reshape(300, 200),
    "stack": lambda: tl.ones(2, 3, 4, dtype=tl.int64),
}


@pytest.fixture
def view():
    pytest.importorskip(
        "ipykernel", reason="the Jupyter part needs ipykernel: install the extra 'lab'"
    )
    from tensorlab.jupyter.tensor_view import TensorView

    return TensorView


def test_only_on_request():
    assert not hasattr(tl.ones(1), "_repr_html_")
    assert not hasattr(tl.ones(1), "_repr_mimebundle_")


def test_text(view):
    assert str(view(tl.tensor([[1.0, -2.0], [math.nan, 4.0]]), "x")) == (
        "x: float32 [2, 2]\n"
        "! Not all elements are finite: 1 nan.\n"
        "property  value\n"
        "───────────────────\n"
        "shape     [2, 2]\n"
        "dtype     float32\n"
        "device    cpu\n"
        "elements  4\n"
        "minimum   -2\n"
        "maximum   4\n"
        "mean      1\n"
        "std       3\n"
        "nan       1 (25.0%)\n"
        "infinite  0\n"
        "zeros     0\n"
        "histogram  -2 │█         █        █│ 4\n"
        "picture: 2 × 2; the largest is 4"
    )


@pytest.mark.parametrize("name", SOME)
def test_html_is_well_formed_themed_and_the_same_each_time(view, name):
    html = view(SOME[name](), "<x>")._repr_html_()
    assert html == view(SOME[name](), "<x>")._repr_html_()
    assert "<x>" not in html
    assert "0x" not in html
    for svg in re.findall(r"<svg.*?</svg>", html):
        root = ElementTree.fromstring(svg)
        assert root.attrib["role"] == "img"
        assert root.attrib["aria-label"]
        colours = re.findall(r'(?:fill|stroke)="([^"]*)"', svg)
        assert all(c == "none" or c.startswith("var(--jp-") for c in colours)
        _, _, width, height = map(float, root.attrib["viewBox"].split())
        for box in root.iter(f"{SVG}rect"):
            x, y, w, h = (float(box.get(k, 0)) for k in ("x", "y", "width", "height"))
            assert x >= 0 and y >= 0 and x + w <= width + 0.01 and y + h <= height + 0.01  # noqa: PT018
    assert len(html) < 120_000


def test_the_picture_can_be_read_without_colour(view):
    html = view(tl.tensor([[4.0, -1.0], [math.nan, 0.0]]))._repr_html_()
    picture = ElementTree.fromstring(re.findall(r"<svg.*?</svg>", html)[-1])
    ground, plus, minus = picture.findall(f"{SVG}rect")
    assert plus.attrib["fill"] != "none"
    assert minus.attrib["fill"] == "none"
    area = float(minus.attrib["width"]) + float(minus.attrib["stroke-width"])
    assert area**2 / float(plus.attrib["width"]) ** 2 == pytest.approx(1 / 4)
    assert len(picture.findall(f"{SVG}path")) == 1  # the cross; 0 leaves its place empty
    assert ground is not None


def test_bars_are_as_high_as_their_counts(view):
    html = view(tl.tensor([0.0, 0.0, 0.0, 10.0]))._repr_html_()
    bars = ElementTree.fromstring(re.findall(r"<svg.*?</svg>", html)[0]).findall(f"{SVG}rect")
    heights = [float(bar.attrib["height"]) for bar in bars]
    assert heights[0] == pytest.approx(3 * heights[-1])
    assert set(heights[1:-1]) == {0}
    assert bars[0].find(f"{SVG}title").text == "0 to 0.5: 3"
