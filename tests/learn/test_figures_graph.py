"""Drawings of graphs: their places, their words, and that they are real pictures."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="the drawings need matplotlib")

from tensorlab.learn.figures_graph import (
    backward_steps,
    draw_backward,
    draw_graph,
    draw_reach,
    layout,
)


class Node:
    def __init__(self, value, parents=(), op="", rule=None):
        self.value, self.parents, self.op, self.rule = value, parents, op, rule
        self.saved = tuple(p.value for p in parents)
        self.grad = None


def add(x, y):
    return Node(x.value + y.value, (x, y), "add", lambda g, x, y: (g, g))


def mul(x, y):
    return Node(x.value * y.value, (x, y), "mul", lambda g, x, y: (g * y, g * x))


@pytest.fixture
def example():
    x, w = Node(3.0), Node(2.0)
    a = mul(x, w)
    s = add(a, x)
    loss = mul(a, s)
    return {"x": x, "w": w, "a": a, "s": s, "L": loss}


def order_of(example):
    return [example[name] for name in "Lsawx"]


def test_words_tell_the_whole_graph(example):
    example["x"].grad = 36.0
    drawing = draw_graph(example["L"], names=example)
    assert repr(drawing).splitlines() == [
        "x = 3   grad 36",
        "w = 2",
        "a = mul(x, w) = 6",
        "s = add(a, x) = 9",
        "L = mul(a, s) = 54",
    ]


def test_words_tell_the_backward_pass(example):
    drawing = draw_backward(example["L"], order_of(example), names=example)
    assert repr(drawing).splitlines() == [
        "step 1: L has grad 1, sends 9 to a, 6 to s",
        "step 2: s has grad 6, sends 6 to a, 6 to x",
        "step 3: a has grad 15, sends 30 to x, 45 to w",
        "the end: x has grad 36, w has grad 45",
    ]
    assert all(node.grad is None for node in example.values())


def test_steps_know_what_has_arrived_so_far(example):
    grads = [step["grads"].get(id(example["x"])) for step in backward_steps(order_of(example))]
    assert grads == [None, 6.0, 36.0, 36.0, 36.0]


def test_results_stand_right_of_what_they_were_made_from(example):
    place = layout(example["L"])
    for node in place.nodes:
        for parent in node.parents:
            assert place.at[id(parent)][0] < place.at[id(node)][0]
    places = list(place.at.values())
    assert len(set(places)) == len(places), "two boxes on one place"


def test_depth_is_no_limit():
    node = Node(1.0)
    for _ in range(3000):
        node = Node(1.0, (node,), "tanh")
    assert len(layout(node).nodes) == 3001


def test_pictures_are_png_and_not_blank(example):
    for drawing in (
        draw_graph(example["L"], names=example),
        draw_backward(example["L"], order_of(example)),
        draw_reach(2, 3, 4),
    ):
        assert drawing.png().startswith(b"\x89PNG")
        drawing.figure.canvas.draw()
        assert np.ptp(np.asarray(drawing.figure.canvas.buffer_rgba())) > 100


def test_arrays_are_named_by_their_shape():
    node = Node(np.zeros((2, 3)))
    assert repr(draw_graph(node, names={"x": node})) == "x = 2×3"


@pytest.mark.parametrize("bad", [(0, 2, 2), (2, 9, 2), (2, 2, -1)])
def test_reach_refuses_sizes_that_can_not_be_read(bad):
    with pytest.raises(ValueError, match="must be from 1 to 8"):
        draw_reach(*bad)


def test_reach_refuses_an_entry_outside():
    with pytest.raises(ValueError, match="not an entry"):
        draw_reach(2, 2, 2, row=2)


def test_matplotlib_is_imported_only_to_draw():
    code = "import sys, tensorlab.learn.figures_graph; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
