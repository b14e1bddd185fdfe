"""Exercises of lesson 02: a small reverse-mode autograd on NumPy arrays.

Two oracles, neither of which knows a gradient rule:

* the complex step (Squire and Trapp, "Using complex variables to estimate derivatives of real
  functions", SIAM Review 1998): Im f(x + ih) / h with h = 1e-30 has no difference of nearly equal
  numbers in it, and so it is exact to rounding;
* numpy.bincount, for what un-broadcasting collects.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import defaultdict, deque

import numpy as np

from tensorlab.learn import (
    Case,
    Exercise,
    Failure,
    Lesson,
    MilestoneResult,
    alternative,
    compare,
    mutant,
)

lesson = Lesson("02", "autograd", title="Autograd")


# -- oracles ---------------------------------------------------------------------------------


def complex_step(fn, arrays, g=1.0):
    """The gradients of sum(g * fn(*arrays)), one per array, without a rule."""
    step = 1e-30
    grads = []
    for k, x in enumerate(arrays):
        grad = np.zeros(x.shape)
        for index in np.ndindex(x.shape):
            moved = [np.array(a, dtype=complex) for a in arrays]
            moved[k][index] += 1j * step
            grad[index] = np.sum(g * fn(*moved)).imag / step
        grads.append(grad.astype(x.dtype))
    return tuple(grads)


def spread(rng, shape, dtype, layout="plain"):
    """Quarters between -2 and 2, never 0, in an array of the given shape and memory layout."""

    def quarters(shape):
        return (rng.choice([-1, 1], shape) * rng.integers(1, 9, shape) / 4).astype(dtype)

    if layout == "transposed":
        return quarters(shape[::-1]).T
    if layout == "strided":
        return quarters((*shape[:-1], 2 * shape[-1]))[..., ::2]
    return np.asarray(quarters(shape))


def sized(shape):
    return "×".join(map(str, shape)) or "a single number"


def case(*args, label):
    """A case; empty arrays count as large, so that a failure is shown on real numbers."""
    count = sum(a.size for a in args)
    return Case(args, label=label, size=count if all(a.size for a in args) else count + 1000)


FLOATS = (np.float64, np.float32)


# -- 02.1 to 02.3: rules -----------------------------------------------------------------------


@lesson.exercise("02.1", names=["mul_rule"], title="The rule of multiplication")
class MulRule(Exercise):
    hints = (
        "Nudge x alone by a small h. How much does x * y move, and so how much does L move?",
        "x * y moves by h * y. L moves g times as much. What stands in front of h?",
        "The gradient for x is g * y. Now nudge y alone. Return both as a tuple, x first.",
    )

    def cases(self, rng):
        shapes = [(), (1,), (3,), (0,), (2, 3), (1, 4), (0, 3), (2, 1, 2)]
        for shape, dtype in itertools.product(shapes, FLOATS):
            g, x, y = (spread(rng, shape, dtype) for _ in range(3))
            yield case(g, x, y, label=f"{sized(shape)}, {np.dtype(dtype)}")
        for layout, dtype in itertools.product(("transposed", "strided"), FLOATS):
            g, x, y = (spread(rng, (3, 2), dtype, layout) for _ in range(3))
            yield case(g, x, y, label=f"3×2, {layout}, {np.dtype(dtype)}")
        g, x, y = (spread(rng, (4,), np.float64) for _ in range(3))
        x[1] = y[2] = g[3] = 0.0
        yield case(g, x, y, label="4, with zeros")

    def expected(self, g, x, y):
        return complex_step(lambda a, b: a * b, (x, y), g)

    @mutant(
        "The two answers are swapped. When x moves by h, x * y moves by h times y: the slope for x "
        "is the *other* factor."
    )
    def own_factor(g, x, y):
        return g * x, g * y

    @mutant(
        "These are the local slopes alone. The chain rule multiplies each by g, the gradient that "
        "arrives from above."
    )
    def forgets_g(g, x, y):
        return y, x

    @mutant("That is the rule of addition. In a product the slope for x depends on y.")
    def as_addition(g, x, y):
        return g, g

    @mutant("You multiply by both factors. Only the other one is the slope.")
    def both_factors(g, x, y):
        return g * x * y, g * x * y

    @mutant(
        "You divide by x, and where x is 0 this gives nan. The slope needs no division: it is y.",
    )
    def divides(g, x, y):
        z = x * y
        with np.errstate(all="ignore"):
            return g * z / x, g * z / y

    @mutant("Two numbers went in, so two gradients come out: return a tuple, the one for x first.")
    def one_answer(g, x, y):
        return g * y

    @mutant(
        "Each element has its own slope. Don't add them up: the gradient has the shape of x.",
    )
    def sums(g, x, y):
        return np.sum(g * y), np.sum(g * x)

    @mutant("You change x and y themselves. Others still need them: write g * y, not y *= g.")
    def in_place(g, x, y):
        y *= g
        x *= g
        return y, x

    @alternative("with np.multiply, factors in the other order")
    def with_multiply(g, x, y):
        return np.multiply(y, g), np.multiply(x, g)

    @alternative("with einsum")
    def with_einsum(g, x, y):
        return np.einsum("...,...->...", g, y), np.einsum("...,...->...", g, x)

    @alternative("a loop over the factors")
    def with_loop(g, x, y):
        return tuple(g * other for other in (y, x))


@lesson.exercise("02.2", names=["matmul_rule"], title="The rule of the matrix product")
class MatmulRule(Exercise):
    hints = (
        "Write the sum in the text with one index at a time. Which entries of z contain y[k, j]?",
        "∂L/∂y[k, j] = Σᵢ g[i, j] · x[i, k]. Which matrix product sums over i, the rows of both?",
        "The gradient for x is g @ y.T. For y, the sum runs over the rows of x: x.T @ ...",
    )

    def cases(self, rng):
        shapes = [(1, 1, 1), (2, 2, 2), (1, 2, 1), (2, 1, 3), (1, 3, 2), (3, 2, 1), (3, 3, 3)]
        shapes += [(2, 3, 4), (4, 3, 2), (2, 0, 3), (0, 2, 3), (2, 3, 0)]
        for (m, k, n), dtype in itertools.product(shapes, FLOATS):
            g, x, y = (spread(rng, s, dtype) for s in ((m, n), (m, k), (k, n)))
            yield case(g, x, y, label=f"{m}×{k} @ {k}×{n}, {np.dtype(dtype)}")
        for layout in ("transposed", "strided"):
            g, x, y = (spread(rng, s, np.float64, layout) for s in ((3, 2), (3, 4), (4, 2)))
            yield case(g, x, y, label=f"3×4 @ 4×2, {layout}")

    def expected(self, g, x, y):
        return complex_step(lambda a, b: a @ b, (x, y), g)

    @mutant(
        "There is no transpose. z[i, j] sums over k; the gradient for x[i, k] sums over j. The "
        "index that is summed has moved to the other side, and that is a transpose."
    )
    def no_transposes(g, x, y):
        return g @ y, x @ g

    @mutant(
        "The transposes sit on the wrong operand: g arrives as it is, and x and y are transposed."
    )
    def transposes_g(g, x, y):
        return g.T @ y, x @ g.T

    @mutant(
        "The right factors in the wrong order. Matrix products do not commute: g stays on the side "
        "where z was, left of yᵀ and right of xᵀ."
    )
    def wrong_order(g, x, y):
        return y.T @ g, g @ x.T

    @mutant("Both are right, but in the wrong order: the gradient for x comes first.")
    def swapped_answers(g, x, y):
        return x.T @ g, g @ y.T

    @mutant(
        "Each answer is transposed. A gradient has the shape of the thing it is the gradient of: "
        "x is m×k, and so is its gradient."
    )
    def transposed_answers(g, x, y):
        return y @ g.T, g.T @ x

    @mutant(
        "reshape makes the shapes fit, but it only re-reads the numbers in the same order. A "
        "transpose moves them: use y.T."
    )
    def reshapes(g, x, y):
        return g @ y.reshape(y.shape[::-1]), x.reshape(x.shape[::-1]) @ g

    @mutant("You treat g as if it were all ones. It holds the slope of L with respect to each z.")
    def ignores_g(g, x, y):
        return np.ones_like(g) @ y.T, x.T @ np.ones_like(g)

    @mutant("That is the rule of the elementwise product. Here every x[i, k] meets a row of y.")
    def elementwise(g, x, y):
        return g * y, g * x

    @alternative("with einsum, straight from the indices")
    def with_einsum(g, x, y):
        return np.einsum("ij,kj->ik", g, y), np.einsum("ij,ik->kj", g, x)

    @alternative("with transposed products")
    def with_transposed(g, x, y):
        return (y @ g.T).T, (g.T @ x).T

    @alternative("with swapaxes and matmul")
    def with_swapaxes(g, x, y):
        return np.matmul(g, np.swapaxes(y, 0, 1)), np.matmul(np.swapaxes(x, 0, 1), g)

    @alternative("a sum of outer products, as one would do it by hand")
    def with_outer(g, x, y):
        gx, gy = np.zeros_like(x), np.zeros_like(y)
        for i, j in np.ndindex(g.shape):
            gx[i] += g[i, j] * y[:, j]
            gy[:, j] += g[i, j] * x[i]
        return gx, gy


def collect(g, shape):
    """Un-broadcasting by counting: every number of g goes to the place it was copied from."""
    place = np.broadcast_to(np.arange(int(np.prod(shape))).reshape(shape), g.shape)
    total = np.bincount(place.ravel(), g.ravel(), minlength=int(np.prod(shape)))
    return total.reshape(shape).astype(g.dtype)


def right_unbroadcast(g, shape):
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    kept = tuple(i for i, n in enumerate(shape) if n == 1 and g.shape[i] != 1)
    return g.sum(axis=kept, keepdims=True)


def adding_with(unbroadcast):
    """The two functions of exercise 02.3, made from one way to un-broadcast."""

    def add_rule(g, x, y):
        return unbroadcast(g, x.shape), unbroadcast(g, y.shape)

    return {"unbroadcast": unbroadcast, "add_rule": add_rule}


@lesson.exercise(
    "02.3", names=["unbroadcast", "add_rule"], title="Addition, with broadcasting", points=2
)
class AddRule(Exercise):
    hints = (
        "How often is each element of y used, and what happens with the gradients of several uses?",
        "Broadcasting did two things: it put new axes in front, and it stretched axes of length 1. "
        "Sum over exactly those: the new ones vanish, the stretched ones stay with length 1.",
        "while g.ndim > len(shape): g = g.sum(axis=0). Then for each axis i with shape[i] == 1: "
        "g = g.sum(axis=i, keepdims=True). add_rule calls this for x.shape and for y.shape.",
    )

    def cases(self, rng):
        pairs = [
            ((), ()),
            ((2,), (2,)),
            ((2,), (1,)),
            ((2,), ()),
            ((1,), (3,)),
            ((2, 2), (2,)),
            ((2, 1), (1, 2)),
            ((2, 3), (3,)),
            ((3,), (2, 1)),
            ((2, 3), (2, 3)),
            ((3, 3), (3, 1)),
            ((1, 1), (2, 3)),
            ((2, 1, 3), (2, 1)),
            ((2, 2, 2), (1, 2)),
            ((1,), ()),
            ((1, 1), (1,)),
            ((0, 3), (3,)),
            ((2, 0), (2, 1)),
            ((0,), (1,)),
        ]
        for (a, b), dtype in itertools.product(pairs, FLOATS):
            yield self._case(rng, a, b, dtype)
        for layout in ("transposed", "strided"):
            yield self._case(rng, (3, 4), (3, 1), np.float64, layout)

    def _case(self, rng, a, b, dtype, layout="plain"):
        x, y = spread(rng, a, dtype), spread(rng, b, dtype)
        g = spread(rng, np.broadcast_shapes(a, b), dtype, layout)
        return case(g, x, y, label=f"{sized(a)} + {sized(b)}, {layout}, {np.dtype(dtype)}")

    def call(self, ns, case):
        g, x, y = case.args
        return {
            "unbroadcast(g, x.shape)": ns["unbroadcast"](g, x.shape),
            "unbroadcast(g, y.shape)": ns["unbroadcast"](g, y.shape),
            "add_rule(g, x, y)": ns["add_rule"](g, x, y),
        }

    def expected(self, g, x, y):
        gx, gy = collect(g, x.shape), collect(g, y.shape)
        return {
            "unbroadcast(g, x.shape)": gx,
            "unbroadcast(g, y.shape)": gy,
            "add_rule(g, x, y)": (gx, gy),
        }

    @mutant(
        "Your unbroadcast is right, but add_rule hands on g as it came. Where x or y was "
        "broadcast, its gradient must be brought back to its own shape.",
        bundle=True,
    )
    def rule_forgets():
        return {"unbroadcast": right_unbroadcast, "add_rule": lambda g, x, y: (g, g)}

    @mutant(
        "You take one row of the gradient. Every row used the value, and their gradients add up: "
        "sum, don't select.",
        bundle=True,
    )
    def first_row():
        def unbroadcast(g, shape):
            while g.ndim > len(shape):
                g = g[0]
            for i, n in enumerate(shape):
                if n == 1:
                    g = g.take([0], axis=i)
            return g

        return adding_with(unbroadcast)

    @mutant(
        "A mean divides by the number of uses. The chain rule does not: every use adds its full "
        "share.",
        bundle=True,
    )
    def mean():
        def unbroadcast(g, shape):
            while g.ndim > len(shape):
                g = g.sum(axis=0) / max(1, len(g))
            for i, n in enumerate(shape):
                if n == 1:
                    g = g.sum(axis=i, keepdims=True) / max(1, g.shape[i])
            return g

        return adding_with(unbroadcast)

    @mutant(
        "The axes that were put in front must vanish: sum over them without keepdims.",
        bundle=True,
    )
    def keeps_leading():
        def unbroadcast(g, shape):
            for i in range(g.ndim - len(shape)):
                g = g.sum(axis=i, keepdims=True)
            front = g.ndim - len(shape)
            for i, n in enumerate(shape):
                if n == 1:
                    g = g.sum(axis=front + i, keepdims=True)
            return g

        return adding_with(unbroadcast)

    @mutant(
        "A stretched axis keeps its length of 1: sum over it with keepdims=True.",
        bundle=True,
    )
    def loses_ones():
        def unbroadcast(g, shape):
            while g.ndim > len(shape):
                g = g.sum(axis=0)
            return g.sum(axis=tuple(i for i, n in enumerate(shape) if n == 1))

        return adding_with(unbroadcast)

    @mutant(
        "You sum over the axes that were put in front, but not over those of length 1 that were "
        "stretched.",
        bundle=True,
    )
    def only_leading():
        def unbroadcast(g, shape):
            while g.ndim > len(shape):
                g = g.sum(axis=0)
            return g

        return adding_with(unbroadcast)

    @mutant(
        "You sum over stretched axes, but not over those that broadcasting put in front.",
        bundle=True,
    )
    def only_stretched():
        def unbroadcast(g, shape):
            front = g.ndim - len(shape)
            for i, n in enumerate(shape):
                if n == 1:
                    g = g.sum(axis=front + i, keepdims=True)
            return g

        return adding_with(unbroadcast)

    @mutant(
        "You take the extra axes away at the end. Shapes are aligned at the right: the new axes "
        "are in front.",
        bundle=True,
    )
    def aligned_left():
        def unbroadcast(g, shape):
            while g.ndim > len(shape):
                g = g.sum(axis=-1)
            for i, n in enumerate(shape):
                if n == 1:
                    g = g.sum(axis=i, keepdims=True)
            return g

        return adding_with(unbroadcast)

    @mutant(
        "You sum over everything and fill the shape with the total. Only the copies of one value "
        "belong together.",
        bundle=True,
    )
    def sums_all():
        def unbroadcast(g, shape):
            return g if g.shape == shape else np.full(shape, g.sum(), dtype=g.dtype)

        return adding_with(unbroadcast)

    @alternative("all axes in one sum, then a reshape", bundle=True)
    def one_sum():
        def unbroadcast(g, shape):
            padded = (1,) * (g.ndim - len(shape)) + tuple(shape)
            axes = tuple(i for i, n in enumerate(padded) if n == 1)
            return g.sum(axis=axes, keepdims=True).reshape(shape)

        return adding_with(unbroadcast)

    @alternative("with np.add.at, as the copies were made", bundle=True)
    def add_at():
        def unbroadcast(g, shape):
            out = np.zeros(shape, dtype=g.dtype)
            for index in np.ndindex(g.shape):
                back = index[g.ndim - len(shape) :]
                out[tuple(0 if n == 1 else i for i, n in zip(back, shape, strict=True))] += g[index]
            return out

        return adding_with(unbroadcast)

    @alternative("add_rule written on its own, unbroadcast with einsum", bundle=True)
    def with_einsum():
        def unbroadcast(g, shape):
            front = g.ndim - len(shape)
            axes = list(range(g.ndim))
            keep = [front + i for i, n in enumerate(shape) if n != 1]
            return np.einsum(g, axes, keep).reshape(shape)

        return {
            "unbroadcast": unbroadcast,
            "add_rule": lambda g, x, y: tuple(unbroadcast(g, a.shape) for a in (x, y)),
        }


# -- 02.4: the order ---------------------------------------------------------------------------


class Node:
    """A tensor as the lesson's class makes it, without the lesson's operators."""

    def __init__(self, value, parents=(), op="", rule=None, saved=(), requires_grad=True):
        self.value = value
        self.grad = None
        self.requires_grad = requires_grad
        self.op, self._parents, self.rule, self.saved = op, tuple(parents), rule, saved
        self.name, self.visits = "", 0

    @property
    def parents(self):
        self.visits += 1
        return self._parents

    def __repr__(self):
        return f"<tensor {self.name}>"


class Graph:
    """A graph as plain data: for each tensor the numbers of its parents; the last is the root."""

    def __init__(self, *parents):
        self.parents = parents

    def build(self):
        nodes = []
        for i, parents in enumerate(self.parents):
            # Equal values on purpose: two tensors with the same value are still two tensors.
            nodes.append(Node(np.array(float(i % 2)), [nodes[p] for p in parents]))
            nodes[-1].name = self.called(i)
        return nodes

    def called(self, i):
        return "root" if i == len(self.parents) - 1 else "abcdefghijklm"[i] if i < 13 else f"t{i}"

    def __repr__(self):
        if len(self.parents) > 12:
            return f"root of a graph of {len(self.parents)} tensors"
        lines = []
        for i, parents in enumerate(self.parents):
            inside = ", ".join(self.called(p) for p in parents)
            lines.append(f"{self.called(i)} = op({inside})" if parents else f"{self.called(i)}")
        return "; ".join(lines)


def chain(length):
    return Graph((), *((i,) for i in range(length - 1)))


def ladder(rungs):
    return Graph((), *((i, i) for i in range(rungs)))


def random_graph(rng, size):
    """A random graph in which every tensor is on some way to the root."""
    parents, unused = [()], {0}
    for i in range(1, size):
        picked = [int(p) for p in rng.integers(0, i, rng.integers(1, 3))]
        parents.append(tuple(picked))
        unused = (unused - set(picked)) | {i}
    last = sorted(unused)
    return Graph(*parents, tuple(last) if len(last) > 1 else (last[0], 0))


def kahn(root):
    """Kahn's algorithm (1962): a tensor is ready when all its users have been visited."""
    users = defaultdict(int)
    seen, stack = {root}, [root]
    while stack:
        for parent in stack.pop().parents:
            users[parent] += 1
            if parent not in seen:
                seen.add(parent)
                stack.append(parent)
    order, ready = [], deque([root])
    while ready:
        node = ready.popleft()
        order.append(node)
        for parent in node.parents:
            users[parent] -= 1
            if not users[parent]:
                ready.append(parent)
    return order


@lesson.exercise("02.4", names=["topological_order"], title="The order of the walk", points=2)
class TopologicalOrder(Exercise):
    hints = (
        "A tensor may be visited only after everything that was computed from it. Turned round: "
        "list a tensor after all its parents, and reverse the list at the end.",
        "Without recursion: keep your own stack of pairs (tensor, done). Pop one; if it is not "
        "done, push it back as done and then push its parents.",
        "Pop (t, done). If done: append t to the list. Else if t is new: remember it, push "
        "(t, True), then (p, False) for each parent. Return the list reversed.",
    )

    def cases(self, rng):
        named = {
            "a leaf alone": Graph(()),
            "a chain of 3": chain(3),
            "one tensor used twice by the same op": Graph((), (0, 0)),
            "two leaves": Graph((), (), (0, 1)),
            "a diamond": Graph((), (0,), (0,), (1, 2)),
            "a short and a long way": Graph((), (0,), (0, 1)),
            "a long and a short way": Graph((), (0,), (1, 0)),
            "a leaf used early and late": Graph((), (), (0, 1), (2, 0), (3, 1)),
            "the picture of the lesson": Graph((), (), (0, 1), (2, 0), (2, 3)),
            "a ladder of 16 rungs": ladder(16),
        }
        for label, graph in named.items():
            yield self._case(graph, label)
        for size in range(4, 16):
            yield self._case(random_graph(rng, size), f"random graph of {size + 1} tensors")
        yield self._case(random_graph(rng, 300), "random graph of 301 tensors")
        yield self._case(chain(10_000), "a chain of 10,000 tensors")

    def _case(self, graph, label):
        return Case((graph,), label=label, size=len(graph.parents))

    def call(self, ns, case):
        (graph,) = case.args
        nodes = graph.build()
        order = ns["topological_order"](nodes[-1])
        if not isinstance(order, (list, tuple, deque)):
            return order
        number = {id(node): i for i, node in enumerate(nodes)}
        numbers = [number.get(id(node), node) for node in order]
        # A right walk asks a tensor for its parents once or twice, whatever the graph.
        if max(node.visits for node in nodes) > 100:
            return {"every way": numbers}
        return numbers

    def expected(self, graph):
        nodes = graph.build()
        number = {id(node): i for i, node in enumerate(nodes)}
        return [number[id(node)] for node in kahn(nodes[-1])]

    def judge(self, case, got, want):
        (graph,) = case.args
        if isinstance(got, dict):
            return self.judge(case, got["every way"], want) or Failure(
                "The order is right, but you follow every way through the graph: a tensor was "
                "visited more than a hundred times, and with each rung of a ladder it is twice as "
                "often.",
                expected="one visit for each tensor",
                got="a visit for each way to it",
            )
        if not isinstance(got, list):
            return compare(got, want)

        def told(message, hint=None):
            short = len(want) <= 12
            return Failure(
                message,
                expected=[graph.called(i) for i in want] if short else f"{len(want)} tensors",
                got=[graph.called(i) if isinstance(i, int) else i for i in got]
                if short
                else f"{len(got)} tensors",
                hint=hint,
            )

        strange = [item for item in got if not isinstance(item, int)]
        if strange:
            return told(f"The list holds something that is no tensor of the graph: {strange[0]!r}.")
        if len(set(got)) < len(got):
            twice = next(i for i in got if got.count(i) > 1)
            return told(f"{graph.called(twice)} is in the list {got.count(twice)} times.")
        missing = sorted(set(want) - set(got))
        if missing:
            return told(f"{graph.called(missing[0])} is missing from the list.")
        place = {i: k for k, i in enumerate(got)}
        for child, parents in enumerate(graph.parents):
            for parent in parents:
                if place[parent] < place[child]:
                    a, b = graph.called(parent), graph.called(child)
                    return told(f"{a} comes before {b}, but {b} was computed from {a}.")
        return None

    @mutant(
        "The order is right, but it runs the wrong way: parents first is the way forward. Backward "
        "starts at the root: reverse the list."
    )
    def parents_first(root):
        return kahn(root)[::-1]

    @mutant(
        "You list a tensor when you first meet it. If it is used in two places, it may then come "
        "before one of its users. It is ready only when *all* its users are listed."
    )
    def preorder(root):
        order, seen, stack = [], set(), [root]
        while stack:
            node = stack.pop()
            if node not in seen:
                seen.add(node)
                order.append(node)
                stack.extend(reversed(node.parents))
        return order

    @mutant(
        "You visit level by level, nearest to the root first. A tensor that is near to the root on "
        "one way and far on another comes too early: its far users are not yet listed."
    )
    def breadth_first(root):
        order, seen, queue = [], {root}, deque([root])
        while queue:
            node = queue.popleft()
            order.append(node)
            for parent in node.parents:
                if parent not in seen:
                    seen.add(parent)
                    queue.append(parent)
        return order

    @mutant(
        "You list a tensor once for every way that leads to it. Remember which ones you have seen: "
        "the number of ways doubles with every rung of a ladder."
    )
    def every_path(root):
        order, stack = [], [(root, False)]
        while stack:
            node, done = stack.pop()
            if done:
                order.append(node)
            else:
                stack.append((node, True))
                stack.extend((parent, False) for parent in node.parents)
        return order[::-1]

    @mutant(
        "Right for small graphs, but each step of the recursion is one call deeper, and Python "
        "stops at about 1000. Keep your own stack in a list instead."
    )
    def recursive(root):
        order, seen = [], set()

        def visit(node):
            if node not in seen:
                seen.add(node)
                for parent in node.parents:
                    visit(parent)
                order.append(node)

        visit(root)
        return order[::-1]

    @mutant(
        "The leaves are missing. They have no rule, but they are where the gradients are wanted."
    )
    def without_leaves(root):
        return [node for node in kahn(root) if node.parents]

    @mutant(
        "You remember how deep a tensor lies, but you walk on from it each time you come by. Go on "
        "only from tensors that are new: on a ladder of 20 rungs there are a million ways."
    )
    def follows_every_way(root):
        depth, stack = {}, [(root, 0)]
        while stack:
            node, below = stack.pop()
            depth[node] = max(below, depth.get(node, 0))
            stack.extend((parent, below + 1) for parent in node.parents)
        return sorted(depth, key=depth.get)

    @mutant("The root itself is missing. The walk starts with it: its gradient is 1.")
    def without_root(root):
        return kahn(root)[1:]

    @mutant(
        "You compare values. Two tensors with equal values are still two tensors: remember the "
        "tensor itself, or its id()."
    )
    def by_value(root):
        order, seen, stack = [], set(), [(root, False)]
        while stack:
            node, done = stack.pop()
            if done:
                order.append(node)
            elif float(node.value) not in seen:
                seen.add(float(node.value))
                stack.append((node, True))
                stack.extend((parent, False) for parent in node.parents)
        return order[::-1]

    @alternative("Kahn's algorithm: count the users")
    def with_kahn(root):
        return kahn(root)

    @alternative("depth first with a stack of iterators")
    def with_iterators(root):
        order, seen, stack = [], {id(root)}, [(root, iter(root.parents))]
        while stack:
            _, rest = stack[-1]
            for parent in rest:
                if id(parent) not in seen:
                    seen.add(id(parent))
                    stack.append((parent, iter(parent.parents)))
                    break
            else:
                order.append(stack.pop()[0])
        order.reverse()
        return order

    @alternative("a deque that is filled from the left")
    def with_deque(root):
        order, seen, stack = deque(), set(), [(root, False)]
        while stack:
            node, done = stack.pop()
            if done:
                order.appendleft(node)
            elif node not in seen:
                seen.add(node)
                stack.append((node, True))
                stack += [(parent, False) for parent in node.parents]
        return list(order)


# -- 02.5: the walk ----------------------------------------------------------------------------

#: The operations of a program: on arrays, real or complex. This is all that the oracle knows.
FORWARD = {
    "add": lambda x, y: x + y,
    "mul": lambda x, y: x * y,
    "matmul": lambda x, y: x @ y,
    "tanh": np.tanh,
    "sum": np.sum,
}


def _rule(op):
    """The gradient rule for `Program.build`: so that 02.5 judges the walk, not the rules."""

    def rule(g, *saved):
        if op == "add":
            return right_like(g, *saved)
        if op == "mul":
            x, y = saved
            return right_unbroadcast(g * y, x.shape), right_unbroadcast(g * x, y.shape)
        if op == "matmul":
            x, y = saved
            return g @ y.T, x.T @ g
        if op == "tanh":
            return (g * (1 - np.tanh(saved[0]) ** 2),)
        return (np.broadcast_to(g, saved[0].shape),)

    return rule


def right_like(g, x, y):
    """As the lesson's add_rule: with equal shapes both answers are one and the same array."""
    return tuple(g if g.shape == a.shape else right_unbroadcast(g, a.shape) for a in (x, y))


class Program:
    """An expression as plain data: leaves (arrays), then steps (operation, operands).

    `roots` are the numbers of the tensors that backward() is called on, one after the other.
    """

    def __init__(self, leaves, steps, roots=(-1,), constants=()):
        self.leaves, self.steps = list(leaves), list(steps)
        self.roots, self.constants = tuple(roots), frozenset(constants)

    def run(self, *leaves):
        values = list(leaves)
        for op, *operands in self.steps:
            values.append(FORWARD[op](*(values[i] for i in operands)))
        return sum(np.sum(values[root]) for root in self.roots)

    def build(self):
        nodes = []
        for i, leaf in enumerate(self.leaves):
            nodes.append(Node(leaf, requires_grad=i not in self.constants))
        for op, *operands in self.steps:
            parents = [nodes[i] for i in operands]
            saved = tuple(parent.value for parent in parents)
            value = np.asarray(FORWARD[op](*saved))
            needed = any(parent.requires_grad for parent in parents)
            kept = (parents, op, Counted(_rule(op)), saved) if needed else ()
            nodes.append(Node(value, *kept, requires_grad=needed))
        return nodes

    def used(self):
        """The numbers of the leaves from which a root can be reached."""
        leaves, total = len(self.leaves), len(self.leaves) + len(self.steps)
        found, stack = set(), [root % total for root in self.roots]
        while stack:
            i = stack.pop()
            if i not in found:
                found.add(i)
                stack += self.steps[i - leaves][1:] if i >= leaves else ()
        return {i for i in found if i < leaves}

    def called(self, i):
        leaves = len(self.leaves)
        return f"x{i}" if i < leaves else f"t{i - leaves}"

    def __repr__(self):
        if len(self.steps) > 10:
            return f"a program of {len(self.steps)} steps"
        parts = []
        for i, leaf in enumerate(self.leaves):
            kind = " (constant)" if i in self.constants else ""
            text = f"{leaf.item():.3g}" if leaf.ndim == 0 else f"array {sized(leaf.shape)}"
            parts.append(f"{self.called(i)} = {text}{kind}")
        for k, (op, *operands) in enumerate(self.steps):
            inside = ", ".join(self.called(i) for i in operands)
            parts.append(f"{self.called(k + len(self.leaves))} = {op}({inside})")
        total = len(self.leaves) + len(self.steps)
        parts += [f"backward({self.called(root % total)})" for root in self.roots]
        return "; ".join(parts)


class Counted:
    """A rule that counts its calls."""

    def __init__(self, rule):
        self.rule, self.calls = rule, 0

    def __call__(self, *args):
        self.calls += 1
        return self.rule(*args)


def random_program(rng, steps, *, matrices=True):
    """A random expression with broadcasting, matrix products and values used many times."""
    shapes = [(3, 3), (3,), (1, 3), (3, 1), ()] if matrices else [(), (), ()]
    leaves = [spread(rng, shape, np.float64) for shape in shapes]
    values, program = list(leaves), []
    for _ in range(steps):
        i, j = (int(k) for k in rng.integers(0, len(values), 2))
        op = str(rng.choice(["add", "mul", "tanh", "matmul"]))
        if op == "matmul":
            square = [k for k, value in enumerate(values) if value.shape == (3, 3)]
            if not square:
                continue
            i, j = (int(k) for k in rng.choice(square, 2))
        operands = (i,) if op == "tanh" else (i, j)
        value = FORWARD[op](*(values[k] for k in operands))
        program.append((op, *operands))
        values.append(np.asarray(value))
        if np.abs(value).max() > 3:  # keep numbers and slopes near 1
            program.append(("tanh", len(values) - 1))
            values.append(np.tanh(value))
    program.append(("sum", len(values) - 1))
    return Program(leaves, program)


def right_walk(root, grads=None):
    """A right backward: the walk over the tensors, leaves collect."""
    grads = {root: np.ones_like(root.value)}
    for node in kahn(root):
        g = grads.pop(node, None)
        if g is None or not node.requires_grad:
            continue
        if not node.parents:
            node.grad = g if node.grad is None else node.grad + g
            continue
        for parent, part in zip(node.parents, node.rule(g, *node.saved), strict=True):
            grads[parent] = grads[parent] + part if parent in grads else part


@lesson.exercise("02.5", names=["backward"], title="Walk back and accumulate", points=3)
class Backward(Exercise):
    rtol, atol = 1e-9, 1e-9
    hints = (
        "Keep a dict: tensor → the gradient that has arrived so far. It starts with the root and "
        "ones. Walk over topological_order(root); what do you do at a leaf, what elsewhere?",
        "Elsewhere: parts = t.rule(grads[t], *t.saved). Each part belongs to one of t.parents: "
        "store it if it is the first to arrive there, else store old + part (a new array).",
        "At a leaf that requires a gradient: t.grad = g if t.grad is None else t.grad + g. Skip "
        "every tensor that does not require a gradient.",
    )

    def cases(self, rng):
        def number():
            return np.asarray(rng.integers(2, 9) / 4)

        def program(leaves, *steps, **more):
            return Program(leaves, steps, **more)

        one, two, three = [number()], [number(), number()], [number() for _ in range(3)]
        named = {
            "a leaf alone": program(one),
            "one product": program(two, ("mul", 0, 1)),
            "a square: the same tensor twice": program(one, ("mul", 0, 0)),
            "twice a sum": program(one, ("add", 0, 0)),
            "used by two ops": program(one, ("mul", 0, 0), ("add", 1, 0)),
            "used early and late": program(two, ("mul", 0, 1), ("add", 2, 0), ("mul", 2, 3)),
            "late before early": program(two, ("mul", 0, 1), ("add", 2, 0), ("mul", 3, 2)),
            "a diamond": program(one, ("tanh", 0), ("tanh", 0), ("mul", 1, 2)),
            "a sum, and again its part": program(two, ("add", 0, 1), ("add", 2, 0)),
            "and the other part": program(two, ("add", 0, 1), ("add", 0, 2)),
            "with a constant": program(three, ("mul", 0, 1), ("add", 3, 2), constants=[1]),
            "only constants beside it": program(two, ("tanh", 1), ("mul", 0, 2), constants=[1]),
            "backward twice": program(two, ("mul", 0, 1), ("mul", 2, 2), roots=[-1, -1]),
            "a sum, backward twice": program(two, ("add", 0, 1), roots=[-1, -1]),
            "two losses": program(two, ("mul", 0, 1), ("tanh", 0), ("add", 3, 2), roots=[2, 4]),
        }
        for label, made in named.items():
            yield self._case(made, label)
        for steps in range(2, 12):
            made = random_program(rng, steps, matrices=False)
            yield self._case(made, f"random numbers, {steps} steps")
        for steps in range(3, 13, 3):
            yield self._case(random_program(rng, steps), f"random arrays, {steps} steps")
        array = [spread(rng, (3,), np.float64), spread(rng, (2, 3), np.float64)]
        yield self._case(program(array, ("mul", 0, 1), ("add", 2, 0), ("sum", 3)), "broadcast")
        empty = [np.zeros((0, 3)), np.zeros(3)]
        yield self._case(program(empty, ("mul", 0, 1), ("sum", 2)), "empty arrays")
        deep = program(two, *(("add", i + 1 if i else 0, 1) for i in range(10_000)))
        yield self._case(deep, "a chain of 10,000 additions")

    def _case(self, program, label):
        return Case((program,), label=label, size=len(program.steps) + len(program.leaves))

    def call(self, ns, case):
        (program,) = case.args
        nodes = program.build()
        for root in program.roots:
            ns["backward"](nodes[root])
        asked = len(program.roots)
        calls = max((node.rule.calls for node in nodes if node.rule), default=0)
        leaves = len(program.leaves)
        grads = {program.called(i): nodes[i].grad for i in range(leaves)}
        middle = [program.called(i) for i in range(leaves, len(nodes)) if nodes[i].grad is not None]
        return {"grads": grads, "too many calls": calls > asked, "middle": middle[:1]}

    def expected(self, program):
        grads = complex_step(program.run, program.leaves)
        wanted = program.used() - program.constants
        return {program.called(i): grad if i in wanted else None for i, grad in enumerate(grads)}

    def judge(self, case, got, want):
        for name, right in want.items():
            answer = got["grads"][name]
            if right is None and answer is not None:
                constant = name in map(case.args[0].called, case.args[0].constants)
                reason = "is a constant" if constant else "is not a part of the graph"
                return Failure(f"{name} {reason}, so {name}.grad must stay None.", None, answer)
            if right is not None and answer is None:
                return Failure(f"{name}.grad is None: no gradient arrived.", right, None)
            found = compare(answer, right, rtol=self.rtol, atol=self.atol, where=f"{name}.grad")
            if found:
                return Failure(found.message, right, answer, found.index, found.hint)
        if got["middle"]:
            return Failure(
                f"The gradients of the leaves are right, but {got['middle'][0]}, which was "
                "computed, has a .grad too.",
                "None: only leaves keep a .grad",
                "an array",
                hint="Keep what arrives in the middle in a dict that belongs to this call: "
                "otherwise all of it stays in memory as long as the graph.",
            )
        if got["too many calls"]:
            return Failure(
                "The gradients are right, but a rule was applied more than once in one walk.",
                "one call per tensor",
                "several calls",
                hint="Wait until everything has arrived at a tensor, then apply its rule once.",
            )
        return None

    @mutant(
        "You overwrite the gradient instead of adding to it. A tensor that is used twice gets two "
        "contributions, and the gradient is their sum."
    )
    def overwrites(root):
        grads = {root: np.ones_like(root.value)}
        for node in kahn(root):
            if not node.requires_grad:
                continue
            if not node.parents:
                node.grad = grads[node] if node.grad is None else node.grad + grads[node]
                continue
            for parent, part in zip(node.parents, node.rule(grads[node], *node.saved), strict=True):
                grads[parent] = part

    @mutant(
        "A second backward() must add to .grad, not replace it: two losses that share a tensor "
        "both have a say."
    )
    def replaces_grad(root):
        for node in kahn(root):
            if not node.parents:
                node.grad = None
        right_walk(root)

    @mutant(
        "You collect in .grad of every tensor, also of those in the middle. On the second "
        "backward() the old gradients there are passed on once more. Collect in a dict that "
        "belongs to this call."
    )
    def keeps_middle(root):
        def give(node, part):
            node.grad = part if node.grad is None else node.grad + part

        give(root, np.ones_like(root.value))
        for node in kahn(root):
            if node.requires_grad and node.parents:
                for parent, part in zip(
                    node.parents, node.rule(node.grad, *node.saved), strict=True
                ):
                    if parent.requires_grad:
                        give(parent, part)

    @mutant(
        "You add in place, with +=. But the rule of addition gave the *same* array to both "
        "parents: what you add for one, the other gets too. Write old + part, a new array."
    )
    def adds_in_place(root):
        grads = {root: np.ones_like(root.value)}
        for node in kahn(root):
            if not node.requires_grad:
                continue
            g = grads[node]
            if not node.parents:
                node.grad = g if node.grad is None else node.grad + g
                continue
            for parent, part in zip(node.parents, node.rule(g, *node.saved), strict=True):
                if parent not in grads:
                    grads[parent] = part
                    continue
                with np.errstate(over="ignore"):
                    grads[parent] += part

    @mutant(
        "You add to .grad in place. But the rule of addition gave the *same* array to both leaves: "
        "with +=, what you add to one .grad, the other gets too. Write .grad = .grad + g."
    )
    def grad_in_place(root):
        grads = {root: np.ones_like(root.value)}
        for node in kahn(root):
            if not node.requires_grad:
                continue
            g = np.asarray(grads[node])
            if node.parents:
                for parent, part in zip(node.parents, node.rule(g, *node.saved), strict=True):
                    grads[parent] = grads[parent] + part if parent in grads else part
            elif node.grad is None:
                node.grad = g
            else:
                node.grad += g

    @mutant(
        "You pass every contribution on as soon as it arrives. The sums come out right, but a rule "
        "is applied once for every way to it, and there may be a million ways. Wait until all "
        "contributions are there: that is what the order is for."
    )
    def every_path(root):
        stack = [(root, np.ones_like(root.value))]
        while stack:
            node, g = stack.pop()
            if not node.requires_grad:
                continue
            if not node.parents:
                node.grad = g if node.grad is None else node.grad + g
                continue
            stack.extend(zip(node.parents, node.rule(g, *node.saved), strict=True))

    @mutant(
        "The walk starts with the value of the root. The slope of L with respect to itself is 1, "
        "whatever its value."
    )
    def seeds_value(root):
        grads = {root: root.value}
        for node in kahn(root):
            if not node.requires_grad:
                continue
            g = grads[node]
            if not node.parents:
                node.grad = g if node.grad is None else node.grad + g
                continue
            for parent, part in zip(node.parents, node.rule(g, *node.saved), strict=True):
                grads[parent] = grads[parent] + part if parent in grads else part

    @mutant(
        "You collect in .grad of every tensor and clear the middle at the beginning. The sums come "
        "out right, but every array of the walk stays in memory, as long as the graph does. "
        "Collect in a dict that belongs to this call."
    )
    def clears_the_middle(root):
        order = kahn(root)
        for node in order:
            if node.parents:
                node.grad = None
        root.grad = np.ones_like(root.value) if root.grad is None else root.grad + 1
        for node in order:
            if node.requires_grad and node.parents:
                for parent, part in zip(
                    node.parents, node.rule(node.grad, *node.saved), strict=True
                ):
                    if parent.requires_grad:
                        parent.grad = part if parent.grad is None else parent.grad + part

    @mutant("You give a gradient to a constant. Where requires_grad is False, .grad stays None.")
    def feeds_constants(root):
        grads = {root: np.ones_like(root.value)}
        for node in kahn(root):
            g = grads[node]
            if not node.parents:
                node.grad = g if node.grad is None else node.grad + g
            elif node.rule is not None:
                for parent, part in zip(node.parents, node.rule(g, *node.saved), strict=True):
                    grads[parent] = grads[parent] + part if parent in grads else part

    @mutant(
        "You walk level by level from the root and not in topological_order: a tensor passes its "
        "gradient on before all of it has arrived."
    )
    def breadth_first(root):
        grads, queue, seen = {root: np.ones_like(root.value)}, deque([root]), {root}
        while queue:
            node = queue.popleft()
            if not node.requires_grad:
                continue
            g = grads.pop(node)
            if not node.parents:
                node.grad = g if node.grad is None else node.grad + g
                continue
            for parent, part in zip(node.parents, node.rule(g, *node.saved), strict=True):
                grads[parent] = grads[parent] + part if parent in grads else part
                if parent not in seen:
                    seen.add(parent)
                    queue.append(parent)

    @alternative("a dict by id, and a sum that starts at 0")
    def by_id(root):
        grads = defaultdict(float)
        grads[id(root)] = np.ones_like(root.value)
        for node in kahn(root):
            if not node.requires_grad:
                continue
            g = np.asarray(grads[id(node)])
            if node.rule is None:
                node.grad = g.copy() if node.grad is None else node.grad + g
                continue
            for parent, part in zip(node.parents, node.rule(g, *node.saved), strict=True):
                grads[id(parent)] = grads[id(parent)] + part

    @alternative("collects lists, and sums them when their turn comes")
    def by_lists(root):
        arrived = defaultdict(list)
        arrived[root].append(np.ones_like(root.value))
        for node in kahn(root):
            if not node.requires_grad:
                continue
            g = arrived[node][0] if len(arrived[node]) == 1 else sum(arrived[node])
            if node.parents:
                parts = node.rule(g, *node.saved)
                for parent, part in zip(node.parents, parts, strict=True):
                    arrived[parent].append(part)
            elif node.grad is None:
                node.grad = g
            else:
                node.grad = node.grad + g

    @alternative("finds its own order as it goes: counts users, as Kahn did")
    def ready_queue(root):
        users = defaultdict(int)
        for node in kahn(root):
            for parent in node.parents:
                users[parent] += 1
        grads, ready = {root: np.ones_like(root.value)}, [root]
        while ready:
            node = ready.pop()
            g = grads.pop(node)
            if not node.parents:
                if node.requires_grad:
                    node.grad = g if node.grad is None else node.grad + g
                continue
            for parent, part in zip(node.parents, node.rule(g, *node.saved), strict=True):
                grads[parent] = grads[parent] + part if parent in grads else part
                users[parent] -= 1
                if users[parent] == 0:
                    ready.append(parent)


# -- 02.6: the switch --------------------------------------------------------------------------


class Boom(Exception):
    """What the check raises inside the block."""


def _scenario_plain(no_grad, look):
    look("before")
    with no_grad():
        look("inside")
    look("after")


def _scenario_made_not_entered(no_grad, look):
    no_grad()
    look("made, not entered")


def _scenario_nested(no_grad, look):
    with no_grad():
        with no_grad():
            look("in the inner block")
        look("between")
    look("after")


def _scenario_exception(no_grad, look):
    try:
        with no_grad():
            look("inside")
            raise Boom
    except Boom:
        look("caught outside")
    else:
        look("the exception was swallowed")
    look("after")


def _scenario_return(no_grad, look):
    def early():
        with no_grad():
            look("inside")
            return 1

    early()
    look("after a return from inside")


def _scenario_again(no_grad, look):
    for turn in (1, 2, 3):
        with no_grad():
            look(f"inside, turn {turn}")
        look(f"after turn {turn}")


def _scenario_nested_exception(no_grad, look):
    with no_grad():
        with contextlib.suppress(Boom), no_grad():
            raise Boom
        look("between")
    look("after")


def _scenario_made_early(no_grad, look):
    early = no_grad()
    with no_grad():
        with early:
            look("in the inner block, made early")
        look("between")
    look("after")


SCENARIOS = {
    "one block": _scenario_plain,
    "made but never entered": _scenario_made_not_entered,
    "a block in a block": _scenario_nested,
    "an exception inside": _scenario_exception,
    "a return inside": _scenario_return,
    "three blocks, one after the other": _scenario_again,
    "an exception in the inner block": _scenario_nested_exception,
    "made outside, entered inside": _scenario_made_early,
}


@lesson.exercise("02.6", names=["no_grad"], uses=["Tensor"], title="Switch the tape off")
class NoGrad(Exercise):
    hints = (
        "A with block calls __enter__ at its start and __exit__ at its end, also when an exception "
        "ends it. What must __enter__ remember?",
        "__enter__ notes Tensor.recording and sets it to False; __exit__ puts back what was noted. "
        "Not True: the block may stand inside another one.",
        "def __enter__(self): self.before = Tensor.recording; Tensor.recording = False. "
        "def __exit__(self, *details): Tensor.recording = self.before.",
    )

    def cases(self, rng):
        for size, label in enumerate(SCENARIOS):
            yield Case((label,), label=label, size=size)

    def call(self, ns, case):
        tensor, seen = ns["Tensor"], []
        was = tensor.recording

        def look(when):
            x = tensor(np.array([1.0, 2.0]), requires_grad=True)
            recorded = bool((x + x).parents)
            if recorded == tensor.recording:
                seen.append(f"{when}: tape {'on' if recorded else 'off'}")
            else:
                seen.append(f"{when}: Tensor.recording is {tensor.recording!r}")

        tensor.recording = True
        try:
            SCENARIOS[case.args[0]](ns["no_grad"], look)
        finally:
            tensor.recording = was
        return seen

    def expected(self, label):
        seen, depth = [], 0

        @contextlib.contextmanager
        def counting():
            nonlocal depth
            depth += 1
            try:
                yield
            finally:
                depth -= 1

        def look(when):
            seen.append(f"{when}: tape {'off' if depth else 'on'}")

        SCENARIOS[label](counting, look)
        return seen

    def judge(self, case, got, want):
        if isinstance(got, list) and len(got) == len(want):
            for answer, right in zip(got, want, strict=True):
                if answer != right:
                    return Failure(f"Expected {right!r}, got {answer!r}.")
        return compare(got, want)

    @mutant(
        "After an exception in the block the tape stays off, and all that follows is silently not "
        "recorded. Put it back in every case: in __exit__ whatever its arguments are, or, after "
        "a yield, in finally.",
        bundle=True,
    )
    def no_finally(ns):
        tensor = ns["Tensor"]

        @contextlib.contextmanager
        def no_grad():
            before = tensor.recording
            tensor.recording = False
            yield
            tensor.recording = before

        return {"no_grad": no_grad}

    @mutant(
        "At the end you always switch the tape on. A block inside another block must leave it off: "
        "put back what was there before.",
        bundle=True,
    )
    def always_on(ns):
        tensor = ns["Tensor"]

        class no_grad:
            def __enter__(self):
                tensor.recording = False

            def __exit__(self, *details):
                tensor.recording = True

        return {"no_grad": no_grad}

    @mutant(
        "Your __exit__ returns True, and that tells Python to drop the exception. Return nothing.",
        bundle=True,
    )
    def swallows(ns):
        tensor = ns["Tensor"]

        class no_grad:
            def __enter__(self):
                self.before = tensor.recording
                tensor.recording = False

            def __exit__(self, *details):
                tensor.recording = self.before
                return True

        return {"no_grad": no_grad}

    @mutant(
        "The tape goes off when no_grad() is made, not when the block begins. Move it from "
        "__init__ to __enter__.",
        bundle=True,
    )
    def at_creation(ns):
        tensor = ns["Tensor"]

        class no_grad:
            def __init__(self):
                self.before = tensor.recording
                tensor.recording = False

            def __enter__(self):
                return self

            def __exit__(self, *details):
                tensor.recording = self.before

        return {"no_grad": no_grad}

    @mutant(
        "You note how the switch stands when no_grad() is made. What counts is how it stands when "
        "the block begins: note it in __enter__.",
        bundle=True,
    )
    def notes_at_creation(ns):
        tensor = ns["Tensor"]

        class no_grad:
            def __init__(self):
                self.before = tensor.recording

            def __enter__(self):
                tensor.recording = False

            def __exit__(self, *details):
                tensor.recording = self.before

        return {"no_grad": no_grad}

    @mutant("The tape is never switched on again: __exit__ has to put it back.", bundle=True)
    def never_back(ns):
        tensor = ns["Tensor"]

        class no_grad:
            def __enter__(self):
                tensor.recording = False

            def __exit__(self, *details):
                pass

        return {"no_grad": no_grad}

    @mutant(
        "Nothing is switched: you set an attribute or a variable of your own. The switch that "
        "record() reads is Tensor.recording.",
        bundle=True,
    )
    def own_variable(ns):
        class no_grad:
            def __enter__(self):
                self.recording = False

            def __exit__(self, *details):
                self.recording = True

        return {"no_grad": no_grad}

    @alternative("a generator with try and finally", bundle=True)
    def with_generator(ns):
        tensor = ns["Tensor"]

        @contextlib.contextmanager
        def no_grad():
            before, tensor.recording = tensor.recording, False
            try:
                yield
            finally:
                tensor.recording = before

        return {"no_grad": no_grad}

    @alternative("a class that also works as a decorator", bundle=True)
    def with_decorator(ns):
        tensor = ns["Tensor"]

        class no_grad(contextlib.ContextDecorator):
            def __enter__(self):
                self.before = tensor.recording
                tensor.recording = False
                return self

            def __exit__(self, *details):
                tensor.recording = self.before
                return False

        return {"no_grad": no_grad}

    @alternative("counts how deep it is", bundle=True)
    def with_depth(ns):
        tensor, depth = ns["Tensor"], []

        class no_grad:
            def __enter__(self):
                depth.append(tensor.recording)
                tensor.recording = False

            def __exit__(self, *details):
                tensor.recording = depth.pop()

        return {"no_grad": no_grad}


# -- predictions -------------------------------------------------------------------------------

lesson.predict(
    "02.A",
    question="The network of the first section has 9,377 parameters. Count multiplications alone. "
    "How many forward passes' worth of multiplications does it take to get all 9,377 slopes?",
    unit="forward passes",
    tolerance=0.25,
    explain="A matrix product goes forward once and comes back twice: once for each factor. The "
    "number of parameters does not appear in this count.",
)
lesson.predict(
    "02.B",
    question="Start with x, and twenty times say: the new value is the old value plus itself. Now "
    "walk back from the end to x along every way there is. How many times do you arrive at x?",
    unit="arrivals",
    explain="At every rung there are two ways down: 2 to the power of 20. The graph itself has only "
    "21 tensors.",
)
lesson.predict(
    "02.C",
    question="How many of the three training runs A, B and C compute the right gradients in every "
    "step?",
    kind="choice",
    choices=["none", "one", "two", "all three"],
    explain="C is wrong from its second step on, and its curve shows it. B is wrong in every step, "
    "and its curve looks as good as A's. A falling loss is no proof of a right gradient.",
)


# -- the milestone -----------------------------------------------------------------------------

GRAPHS, BAR, SEEDS = 50, 1e-6, (0, 1, 2)
XOR_IN = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
XOR_OUT = np.array([[0.0], [1.0], [1.0], [0.0]])


def xor_network(w1, b1, w2, b2):
    """The network of the lesson on plain arrays, real or complex."""
    return np.tanh(XOR_IN @ w1 + b1) @ w2 + b2


def xor_loss(*parameters):
    return np.sum((xor_network(*parameters) - XOR_OUT) ** 2) / 4


@lesson.milestone(
    "02.M",
    title="gradients right to 1e-6 on random graphs, and XOR learned",
    names=["Tensor", "backward", "no_grad", "xor_parameters", "xor_loss", "train_xor"],
    points=3,
    hints=["Run the checks 02.1 to 02.6 again: one of them tells which part is not right."],
)
def milestone(ns):
    rng = np.random.default_rng()
    for count in range(GRAPHS):
        error = error_on_random_graph(ns, random_program(rng, 3 + count % 10))
        if not error < BAR:
            text = f"on random graph {count + 1} the gradient is wrong by {error:.1e}"
            return MilestoneResult(False, count, text)
    for count, seed in enumerate(SEEDS):
        wrong = wrong_with_xor(ns, seed)
        if wrong:
            return MilestoneResult(False, count, f"XOR with seed {seed}: {wrong}")
    text = (
        f"{GRAPHS} of {GRAPHS} random graphs right to better than {BAR:.0e}; "
        f"XOR learned on {len(SEEDS)} of {len(SEEDS)} seeds"
    )
    return MilestoneResult(True, len(SEEDS), text)


def error_on_random_graph(ns, program):
    """The largest error of the learner's gradients, as a share of the slope where that is > 1."""
    tensors = [ns["Tensor"](leaf.copy(), requires_grad=True) for leaf in program.leaves]
    steps = {
        "add": lambda x, y: x + y,
        "mul": lambda x, y: x * y,
        "matmul": lambda x, y: x @ y,
        "tanh": lambda x: x.tanh(),
        "sum": lambda x: x.sum(),
    }
    values = list(tensors)
    for op, *operands in program.steps:
        values.append(steps[op](*(values[i] for i in operands)))
    ns["backward"](values[-1])
    worst, used = 0.0, program.used()
    for i, want in enumerate(complex_step(program.run, program.leaves)):
        if i in used:
            got = tensors[i].grad
            if got is None or np.shape(got) != want.shape:
                return np.inf
            error = np.abs(got - want) / np.maximum(1, np.abs(want))
            worst = max(worst, float(error.max(initial=0.0)))
    return worst


def wrong_with_xor(ns, seed):
    """What is wrong with the learner's XOR network, or None: the mechanism first, then the number.

    The bar, 0.05: over 100 seeds of the reference the largest error of an output was 1.2e-5.
    """
    start = [np.array(p.value) for p in ns["xor_parameters"](seed)]
    parameters = ns["xor_parameters"](seed)
    ns["backward"](ns["xor_loss"](parameters))
    wanted = complex_step(xor_loss, start)
    for i, (parameter, want) in enumerate(zip(parameters, wanted, strict=True)):
        if parameter.grad is None or compare(parameter.grad, want, atol=1e-8):
            return f"the first gradient of parameter {i} is not right"

    by_hand = [p.copy() for p in start]
    for _ in range(3):
        by_hand = [
            p - 0.2 * g for p, g in zip(by_hand, complex_step(xor_loss, by_hand), strict=True)
        ]
    after, _ = ns["train_xor"](seed, steps=3, lr=0.2)
    for i, (parameter, want) in enumerate(zip(after, by_hand, strict=True)):
        if compare(np.asarray(parameter.value), want, atol=1e-8):
            return f"after three steps parameter {i} is not where gradient descent would be"

    trained, losses = ns["train_xor"](seed)
    arrays = [np.asarray(p.value) for p in trained]
    for i, (before, now) in enumerate(zip(start, arrays, strict=True)):
        if not np.abs(now - before).max() > 1e-3:
            return f"parameter {i} did not move"
    if any(p.parents for p in trained):
        return "the updates are on the tape: parameters must stay leaves"
    error = float(np.abs(xor_network(*arrays) - XOR_OUT).max())
    if not error < 0.05:
        return f"an output is off by {error:.2f}, the bar is 0.05 (final loss {losses[-1]:.2g})"
    return None


@milestone.mutant("You overwrite where you should add.", bundle=True)
def milestone_overwrites(ns):
    def backward(root):
        grads = {root: np.ones_like(root.value)}
        for node in kahn(root):
            if node.requires_grad and node.parents:
                grads.update(zip(node.parents, node.rule(grads[node], *node.saved), strict=True))
            elif node.requires_grad:
                node.grad = grads[node] if node.grad is None else node.grad + grads[node]

    return {"backward": backward}


@milestone.mutant("The gradients are never cleared: each step adds to the old ones.", bundle=True)
def never_cleared(ns):
    def train_xor(seed, steps=500, lr=0.2):
        parameters, losses = ns["xor_parameters"](seed), []
        for _ in range(steps):
            loss = ns["xor_loss"](parameters)
            ns["backward"](loss)
            losses.append(float(loss.value))
            for p in parameters:
                p.value = p.value - lr * p.grad
        return parameters, losses

    return {"train_xor": train_xor}


@milestone.mutant(
    "The first layer is never updated. The output layer alone cannot do XOR.", bundle=True
)
def frozen_layer(ns):
    def train_xor(seed, steps=500, lr=0.2):
        parameters, losses = ns["xor_parameters"](seed), []
        for _ in range(steps):
            loss = ns["xor_loss"](parameters)
            ns["backward"](loss)
            losses.append(float(loss.value))
            for p in parameters:
                p.value, p.grad = p.value - lr * p.grad * (p.value.shape[-1] == 1), None
        return parameters, losses

    return {"train_xor": train_xor}
