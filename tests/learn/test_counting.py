"""The counter of multiplications against counts made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tensorlab.learn.counting import Multiplications

G, Y = np.ones((3, 5)), np.ones((4, 5))

COUNTED = {
    "matmul": (lambda g: g @ Y.T, 3 * 5 * 4),
    "watched on the right": (lambda g: Y @ g.T, 4 * 5 * 3),
    "np.matmul": (lambda g: np.matmul(g, Y.T), 3 * 5 * 4),
    "np.dot": (lambda g: np.dot(g, Y.T), 3 * 5 * 4),
    "the method dot": (lambda g: g.dot(Y.T), 3 * 5 * 4),
    "einsum": (lambda g: np.einsum("ij,kj->ik", g, Y), 3 * 5 * 4),
    "einsum with ellipsis": (lambda g: np.einsum("...,...->...", g, g), 15),
    "einsum of lists": (lambda g: np.einsum(g, [0, 1], Y, [2, 1], [0, 2]), 3 * 5 * 4),
    "einsum that only sums": (lambda g: np.einsum("ij->i", g), 0),
    "product": (lambda g: g * g, 15),
    "product with broadcasting": (lambda g: g[:, :1] * np.ones(5), 15),
    "a number times": (lambda g: 2 * g, 15),
    "division": (lambda g: g / 2, 15),
    "in place": (lambda g: g.__imul__(2.0), 15),
    "square": (lambda g: np.square(g), 15),
    "cube": (lambda g: g**3, 30),
    "addition": (lambda g: g + 1, 0),
    "sum": (lambda g: g.sum(axis=0), 0),
    "tanh": (np.tanh, 0),
    "product over an axis": (lambda g: g.prod(axis=0), 10),
    "two in a row": (lambda g: (g * 2).sum(axis=0) * 3, 15 + 5),
    "through a view": (lambda g: g.T[1:] * 2, 12),
}


@pytest.mark.parametrize("name", COUNTED)
def test_counts(name):
    code, wanted = COUNTED[name]
    counter = Multiplications()
    watched = counter.watch(G.copy())
    result = code(watched)
    assert counter.total == wanted
    assert np.array_equal(np.asarray(result), np.asarray(code(G.copy())))


def test_counters_are_apart_and_can_start_again():
    one, two = Multiplications(), Multiplications()
    _ = one.watch(G) * 2
    _ = two.watch(Y) * 2
    assert (one.total, two.total) == (15, 20)
    assert one.reset() == 15
    assert one.total == 0


def test_watching_shares_the_memory():
    assert np.shares_memory(Multiplications().watch(G), G)
