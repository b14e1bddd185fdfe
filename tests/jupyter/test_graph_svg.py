"""The still picture of an autograd graph."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest

pytest.importorskip("ipykernel", reason="the Jupyter part needs ipykernel: install the extra 'lab'")

from tensorlab.inspect import Graph, GraphEdge, GraphNode
from tensorlab.jupyter import graph_svg

SVG = "{http://www.w3.org/2000/svg}"


def make(parents: list[list[int]], names: list[str] | None = None) -> Graph:
    """A graph whose node i was computed from parents[i]; a node without parents is a leaf."""
    last = len(parents) - 1
    nodes = tuple(
        GraphNode(
            index=i,
            name="MulBackward0" if before else "AccumulateGrad",
            op="mul" if before else "",
            label="" if before or names is None else names[i],
            shapes=((2, 3),),
            dtypes=("float32",),
            saved_bytes=24 if before else 0,
            freed=False,
            is_output=i == last,
        )
        for i, before in enumerate(parents)
    )
    edges = tuple(
        GraphEdge(source, target, 0, position)
        for target, before in enumerate(parents)
        for position, source in enumerate(before)
    )
    return Graph(nodes, edges)


def boxes(picture: str) -> list[tuple[float, float, float, float]]:
    """x, y, width and height of each node's frame."""
    root = ElementTree.fromstring(picture)
    found = []
    for group in root.iter(f"{SVG}g"):
        frame = group.find(f"{SVG}rect")
        assert frame is not None
        found.append(tuple(float(frame.attrib[key]) for key in ("x", "y", "width", "height")))
    return found


def random_graph(rng: np.random.Generator, size: int) -> Graph:
    parents: list[list[int]] = [[]]
    for i in range(1, size):
        count = int(rng.integers(0, 3)) if i < size - 1 else 2
        recent = rng.integers(max(0, i - 8), i, size=count)
        parents.append([int(each) for each in recent])
    return make(parents)


def test_every_node_is_a_box_inside_the_picture_and_boxes_do_not_touch(rng) -> None:
    for size in (2, 7, 40, 150):
        picture = graph_svg.svg(random_graph(rng, size))
        found = boxes(picture)
        assert len(found) == size
        view = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', picture)
        assert view is not None
        for x, y, width, height in found:
            assert x >= 0
            assert y >= 0
            assert x + width <= float(view[1]) + 0.1
            assert y + height <= float(view[2]) + 0.1
        rows: dict[float, list[tuple[float, float]]] = {}
        for x, y, width, _ in found:
            rows.setdefault(y, []).append((x, x + width))
        for row in rows.values():
            for left, right in pairwise(sorted(row)):
                assert left[1] < right[0]


def test_data_flows_downwards(rng) -> None:
    graph = random_graph(rng, 60)
    found = boxes(graph_svg.svg(graph))
    for edge in graph.edges:
        assert found[edge.source][1] < found[edge.target][1]


def test_the_same_records_give_the_same_text(rng) -> None:
    graph = random_graph(rng, 80)
    assert graph_svg.svg(graph) == graph_svg.svg(graph)
    assert graph_svg.outline(graph) == graph_svg.outline(graph)
    assert " id=" not in graph_svg.svg(graph)


def test_a_chain_is_a_straight_line() -> None:
    found = boxes(graph_svg.svg(make([[], [0], [1], [2]])))
    centres = {round(x + width / 2) for x, _, width, _ in found}
    assert len(centres) == 1


def test_a_weight_stands_just_above_what_uses_it() -> None:
    # 0 → 1 → 2 → 3 is the trunk; leaf 4 joins it only at node 5.
    graph = make([[], [0], [1], [2], [], [3, 4]])
    found = boxes(graph_svg.svg(graph))
    assert found[4][1] == found[3][1]


def test_text_is_escaped() -> None:
    picture = graph_svg.svg(make([[], [0]], names=['<b>&"w"', ""]), title="a < b & c")
    ElementTree.fromstring(picture)  # well formed
    assert "<b>" not in picture
    assert "&lt;b&gt;&amp;" in picture


def test_a_huge_graph_shows_the_nodes_nearest_the_output() -> None:
    graph = make([[], *([i] for i in range(1000))])
    picture = graph_svg.svg(graph)
    assert len(boxes(picture)) == graph_svg.MOST_NODES
    assert f"{1001 - graph_svg.MOST_NODES} earlier nodes are not shown" in picture
    assert "#1000 MulBackward0" in picture
    lines = graph_svg.outline(graph).splitlines()
    assert lines[0].startswith("#1000 MulBackward0 from #999")
    assert lines[-1] == f"… and {1001 - graph_svg.MOST_NODES} lines more"


def test_the_picture_speaks_for_itself() -> None:
    graph = make([[], [], [0, 1]], names=["w", "b", ""])
    root = ElementTree.fromstring(graph_svg.svg(graph, "graph of loss"))
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == "graph of loss"
    described = root.find(f"{SVG}desc")
    assert described is not None
    assert described.text == "1 operation, 2 leaves, 24 B saved for backward"
    background = root.find(f"{SVG}rect")
    assert background is not None
    assert background.attrib["fill"] == "#ffffff"


def test_the_outline_lists_operations_with_their_leaves() -> None:
    graph = make([[], [], [0, 1], [2, 2], [3, 2]], names=["w", "b", "", "", ""])
    assert graph_svg.outline(graph).splitlines() == [
        "#4 MulBackward0 from #3, #2: (2, 3) float32, saves 24 B",
        "#3 MulBackward0 from #2: (2, 3) float32, saves 24 B",
        "#2 MulBackward0: (2, 3) float32, saves 24 B",
        "  #0 w: leaf (2, 3) float32",
        "  #1 b: leaf (2, 3) float32",
    ]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1024 * 1024 - 1, "1.0 MiB"),
        (3 * 2**30 // 2, "1.5 GiB"),
        (5 * 2**50, "5120.0 TiB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert graph_svg.size(count) == text
