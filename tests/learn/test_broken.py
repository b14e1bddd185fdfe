"""The suspects of lesson 02 have the bugs that the lesson says they have, and no other."""

from __future__ import annotations

import numpy as np

from tensorlab.learn.broken import overwriting, suspects


class Leaf:
    parents, rule, saved, requires_grad = (), None, (), True

    def __init__(self, value):
        self.value, self.grad = np.array(value), None


class Product(Leaf):
    def __init__(self, x, y):
        super().__init__(x.value * y.value)
        self.parents, self.saved = (x, y), (x.value, y.value)

    def rule(self, g, x, y):
        return g * y, g * x


def test_overwriting_is_right_where_everything_is_used_once():
    x, y = Leaf(3.0), Leaf(2.0)
    z = Product(x, y)
    overwriting(lambda root: [z, x, y])(z)
    assert (x.grad, y.grad) == (2.0, 3.0)


def test_overwriting_loses_a_contribution():
    x = Leaf(3.0)
    z = Product(x, x)
    overwriting(lambda root: [z, x])(z)
    assert x.grad == 3.0  # and not 6


def test_three_suspects():
    mine = object()
    found = suspects(mine, list)
    assert list(found) == ["A", "B", "C"]
    assert [s.backward is mine for s in found.values()] == [True, False, True]
    assert [s.clear for s in found.values()] == [True, True, False]
