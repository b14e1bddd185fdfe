"""Lesson 01, tensors: views on a tape, broadcasting, and the sum that undoes it.

The oracles read a view element by element and let NumPy transpose, slice and window the copy,
so they know nothing of strides. A returned view is judged by what it shows *and* by where it
reads: its tape must be the tape it was given.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from tensorlab.learn import (
    Case,
    Exercise,
    Failure,
    Lesson,
    MilestoneResult,
    Raises,
    alternative,
    compare,
    mutant,
)

lesson = Lesson("01", "tensors", title="What is a tensor?")


# A view, as the notebook defines it ---------------------------------------------------------


class View:
    """The notebook's View: the learner's functions are called with these."""

    def __init__(self, buffer, shape, strides, offset=0):
        self.buffer = buffer
        self.shape = tuple(shape)
        self.strides = tuple(strides)
        self.offset = offset

    def place(self, index):
        index = index if isinstance(index, tuple) else (index,)
        place = self.offset + sum(i * s for i, s in zip(index, self.strides, strict=True))
        if not 0 <= place < self.buffer.size:
            raise IndexError(f"index {index} leads to place {place}, outside the tape")
        return place

    def __getitem__(self, index):
        return self.buffer[self.place(index)]

    def __setitem__(self, index, value):
        self.buffer[self.place(index)] = value

    def numpy(self):
        result = np.empty(self.shape, self.buffer.dtype)
        for index in np.ndindex(self.shape):
            result[index] = self[index]
        return result

    def __repr__(self):
        numbers = " ".join(f"{value:g}" for value in self.buffer)
        tape = "" if self.buffer.size > 12 else f" on the tape {numbers}"
        return f"View(shape={self.shape}, strides={self.strides}, offset={self.offset}){tape}"


def places(shape, strides, offset):
    """The place of every index, as an array of the view's shape."""
    grids = np.indices(shape).reshape(len(shape), *shape)
    found = np.full(shape, offset, dtype=np.int64)
    for grid, stride in zip(grids, strides, strict=True):
        found = found + grid * stride
    return found


class Said(str):
    """Words to show as they are, without the quotes of a string."""

    __repr__ = str.__str__


def report(result, x):
    """What a returned view is and shows, as plain data. A string says why it can't be read."""
    facts = [getattr(result, name, None) for name in ("buffer", "shape", "strides", "offset")]
    buffer, shape, strides, offset = facts
    if not isinstance(buffer, np.ndarray) or shape is None or strides is None or offset is None:
        name = type(result).__name__
        article = "an" if name[0].lower() in "aeiou" or name == "ndarray" else "a"
        return {"kind": "None" if result is None else f"{article} {name}"}
    try:
        shape, strides = tuple(map(int, shape)), tuple(map(int, strides))
        offset = int(offset)
    except (TypeError, ValueError):
        return {"kind": f"a View with shape {shape}, strides {strides}, offset {offset}"}
    shared = np.shares_memory(buffer, x.buffer) if x.buffer.size else buffer.size == 0
    seen = {
        "kind": "View",
        "shape": shape,
        "numbers": f"strides {strides}, offset {offset}",
        "copied": 0 if shared else int(buffer.nbytes),
    }
    if len(shape) != len(strides):
        return seen | {"values": f"it has {len(shape)} sizes but {len(strides)} strides"}
    if min(shape, default=0) < 0:
        return seen | {"values": "a size is negative"}
    if math.prod(shape) > 100_000:
        return seen | {"values": "it has far too many elements"}
    found = places(shape, strides, offset)
    if found.size and (found.min() < 0 or found.max() >= buffer.size):
        where = np.argwhere((found < 0) | (found >= buffer.size))[0]
        index = tuple(int(i) for i in where)
        return seen | {
            "values": f"index {index} leads to place {found[index]}, "
            f"but the tape has places 0 to {buffer.size - 1}"
        }
    return seen | {"values": buffer.ravel()[found]}


class ViewExercise(Exercise):
    """An exercise whose answer is a view on the tape of its first argument."""

    def call(self, ns, case):
        x = case.args[0]
        before = (x.shape, x.strides, x.offset, x.buffer.tobytes())
        result = ns[self.names[0]](*case.args, **case.kwargs)
        seen = report(result, x)
        if (x.shape, x.strides, x.offset, x.buffer.tobytes()) != before:
            seen["kind"] = "changed x"
        return seen

    def expected(self, x, *args):
        values = self.oracle(x.numpy(), *args)
        return {"kind": "View", "shape": values.shape, "copied": 0, "values": values}

    def oracle(self, array, *args):
        raise TypeError(f"{type(self).__name__} must define oracle(self, array, ...)")

    def judge(self, case, got, want):
        if got["kind"] == "changed x":
            return Failure(
                "Your function changed x itself. x must stay as it is: build a new View.",
                expected=Said("x unchanged"),
                got=Said("x changed"),
            )
        if got["kind"] != "View":
            none = " Did you forget `return`?" if got["kind"] == "None" else ""
            return Failure(
                f"Expected a View, got {got['kind']}.{none}",
                expected=Said("a View"),
                got=Said(got["kind"]),
            )
        told = Said(f"shape {got['shape']}, {got['numbers']}")
        if got["shape"] != want["shape"]:
            return Failure(
                f"Wrong shape: expected {want['shape']}, got {got['shape']}.",
                expected=Said(f"shape {want['shape']}"),
                got=told,
            )
        if isinstance(got["values"], str):
            return Failure(
                f"The view can't be read: {got['values']}.", expected=want["values"], got=told
            )
        wrong = compare(got["values"], want["values"])
        if wrong:
            wrong.message = f"Your view has {told}. {wrong.message}"
            wrong.expected, wrong.got = want["values"], got["values"]
            return wrong
        if got["copied"]:
            return Failure(
                "The values are right, but they stand on a tape of their own: "
                f"{got['copied']} bytes were copied. Give the new View x.buffer itself.",
                expected=Said("0 bytes copied"),
                got=Said(f"{got['copied']} bytes copied"),
            )
        return None


# Views to try things on ---------------------------------------------------------------------


def make_view(rng, shape, dtype, layout="plain"):
    """A view of this shape on a tape of shuffled numbers, no two the same.

    Layouts: "plain" is row-major from place 0; "inside" starts later on a longer tape;
    "transposed" has its dimensions stored in reverse; "gaps" takes every second or third
    element and starts later; "backward" runs against the tape in its first dimension.
    """
    steps = [1] * len(shape)
    starts = [0] * len(shape)
    if layout == "gaps":
        steps = [int(rng.integers(2, 4)) for _ in shape]
        starts = [int(rng.integers(1, 3)) for _ in shape]
    stored = [start + max(n, 1) * step for start, n, step in zip(starts, shape, steps, strict=True)]
    front = 0 if layout == "plain" else int(rng.integers(1, 4))
    order = "F" if layout == "transposed" else "C"
    tape = rng.permutation(front + math.prod(stored) + (front > 0)).astype(dtype)
    array = tape[front : front + math.prod(stored)].reshape(stored, order=order)
    cut = [
        slice(start, start + n * step, step)
        for start, n, step in zip(starts, shape, steps, strict=True)
    ]
    array = array[tuple(cut)]
    if layout == "backward" and shape:
        array = array[::-1]
    offset = (array.ctypes.data - tape.ctypes.data) // tape.itemsize if array.size else front
    strides = [s // tape.itemsize for s in array.strides]
    return View(tape, shape, strides, offset)


LAYOUTS = ("plain", "inside", "transposed", "gaps", "backward")


def each_layout(rng, shapes):
    """Every shape in two layouts (one of them plain or inside), in float32 and float64."""
    for number, shape in enumerate(shapes):
        dtypes = [np.float32, np.float64]
        rng.shuffle(dtypes)
        for layout, dtype in zip(
            (LAYOUTS[number % 2], LAYOUTS[2 + number % 3]), dtypes, strict=True
        ):
            yield make_view(rng, shape, dtype, layout), layout


def shown_size(count, *, odd=False):
    """The size of a case. Of all failing cases the learner sees the smallest: keep the empty
    ones and the odd layouts behind the plain ones, which show a mistake best."""
    return (count or 50) + 40 * odd


def labelled(x, layout, *args):
    sizes = "×".join(map(str, x.shape)) or "0 dimensions"
    return Case(
        args=(x, *args),
        size=shown_size(math.prod(x.shape), odd=layout != "plain"),
        label=f"{sizes}, {layout}, {x.buffer.dtype.name}",
    )


# 01.1 ---------------------------------------------------------------------------------------


@lesson.exercise("01.1", names=["transpose"], title="Transpose without copying")
class Transpose(ViewExercise):
    hints = (
        "Call the result y. You want y[i, j] to be x[j, i]. Write the place of y[i, j] with y's "
        "strides and the place of x[j, i] with x's strides, one under the other, and compare.",
        "The shape changes as the table does: rows become columns. The strides change in just "
        "the same way. The tape and the offset stay.",
        "Make lists: shape, strides = list(x.shape), list(x.strides). Exchange the entries dim0 "
        "and dim1 in both. Return View(x.buffer, shape, strides, x.offset).",
    )

    def cases(self, rng):
        shapes = [(2, 3), (3, 1), (1, 1), (4,), (0, 3), (2, 3, 4), (3, 1, 2), (2, 2), (2, 0, 3),
                  (2, 3, 2, 2), (3, 4)]  # fmt: skip
        for x, layout in each_layout(rng, shapes):
            n = len(x.shape)
            dims = (0, 1) if n == 2 else tuple(int(d) for d in rng.choice(n, 2, replace=n < 2))
            yield labelled(x, layout, *dims)
        for shape, dims in [((2, 3), (-1, 0)), ((2, 3, 4), (1, -1)), ((2, 3), (1, 1))]:
            yield labelled(make_view(rng, shape, np.float32), "plain", *dims)

    def expected(self, x, dim0, dim1):
        return super().expected(x, dim0, dim1)

    def oracle(self, array, dim0, dim1):
        return np.swapaxes(array, dim0, dim1)

    @mutant(
        "You exchange the sizes but not the strides. A new shape alone does not turn the table: "
        "one step down must now move along the tape as far as one step right did before."
    )
    def shape_only(x, dim0, dim1):
        shape = list(x.shape)
        shape[dim0], shape[dim1] = shape[dim1], shape[dim0]
        return View(x.buffer, shape, x.strides, x.offset)

    @mutant("You exchange the strides but not the sizes. A 2 × 3 table turned is 3 × 2.")
    def strides_only(x, dim0, dim1):
        strides = list(x.strides)
        strides[dim0], strides[dim1] = strides[dim1], strides[dim0]
        return View(x.buffer, x.shape, strides, x.offset)

    @mutant(
        "You write the turned table onto a new tape. The numbers come out right, but all of them "
        "were moved. Hand x.buffer to the new View and change only the strides."
    )
    def copies(x, dim0, dim1):
        turned = np.ascontiguousarray(np.swapaxes(x.numpy(), dim0, dim1))
        return View(turned.ravel(), turned.shape, row_major(turned.shape))

    @mutant("You lose the offset: x may start in the middle of its tape. Pass x.offset on.")
    def no_offset(x, dim0, dim1):
        shape, strides = swapped(x, dim0, dim1)
        return View(x.buffer, shape, strides)

    @mutant(
        "You reverse all dimensions. That is the same for two of them, but with three or more "
        "only dim0 and dim1 may change places."
    )
    def reverses(x, dim0, dim1):
        return View(x.buffer, x.shape[::-1], x.strides[::-1], x.offset)

    @mutant(
        "You work out row-major strides for the new shape. They read the tape from front to end, "
        "as a reshape does. A transpose keeps x's own strides, in another order."
    )
    def fresh_strides(x, dim0, dim1):
        shape, _ = swapped(x, dim0, dim1)
        return View(x.buffer, shape, row_major(shape), x.offset)

    @mutant(
        "You change x itself and return it. Someone may still be using x: leave it alone and "
        "return a new View on the same tape."
    )
    def in_place(x, dim0, dim1):
        shape, strides = swapped(x, dim0, dim1)
        x.shape, x.strides = tuple(shape), tuple(strides)
        return x

    @mutant(
        "Negative dimensions are missed: -1 means the last one. If you compare `k == dim0`, add "
        "len(x.shape) to a negative dim0 first; list indexing does it by itself."
    )
    def no_negative(x, dim0, dim1):
        order = [dim1 if k == dim0 else dim0 if k == dim1 else k for k in range(len(x.shape))]
        shape, strides = [x.shape[k] for k in order], [x.strides[k] for k in order]
        return View(x.buffer, shape, strides, x.offset)

    @alternative("builds the new order of the dimensions first")
    def by_order(x, dim0, dim1):
        order = list(range(len(x.shape)))
        order[dim0], order[dim1] = order[dim1], order[dim0]
        shape = tuple(x.shape[k] for k in order)
        return View(x.buffer, shape, tuple(x.strides[k] for k in order), x.offset)

    @alternative("lets NumPy exchange two columns of the table (sizes, strides)")
    def by_array(x, dim0, dim1):
        facts = np.array([x.shape, x.strides])
        facts[:, [dim0, dim1]] = facts[:, [dim1, dim0]]
        return View(x.buffer, facts[0], facts[1], x.offset)


def swapped(x, dim0, dim1):
    shape, strides = list(x.shape), list(x.strides)
    shape[dim0], shape[dim1] = shape[dim1], shape[dim0]
    strides[dim0], strides[dim1] = strides[dim1], strides[dim0]
    return shape, strides


def row_major(shape):
    strides, step = [], 1
    for size in reversed(shape):
        strides.insert(0, step)
        step *= size
    return tuple(strides)


# 01.2 ---------------------------------------------------------------------------------------


@lesson.exercise("01.2", names=["slice_dim"], title="Slice by changing three numbers")
class SliceDim(ViewExercise):
    hints = (
        "Start from s.indices(x.shape[dim]): it gives (start, stop, step) with every special case "
        "already settled. Which of x's facts does start change? Which does step? How many "
        "elements are left?",
        "One step in the slice is `step` steps in x, so the stride is multiplied by step. The "
        "first element is `start` steps away, so the offset grows by start times x's stride. The "
        "new size is len(range(start, stop, step)).",
        "shape[dim] = len(range(start, stop, step)); strides[dim] = x.strides[dim] * step; "
        "offset = x.offset + start * x.strides[dim].",
    )

    def cases(self, rng):
        fixed = [
            ((3,), 0, slice(1, None)),
            ((4,), 0, slice(None, None, 2)),
            ((5,), 0, slice(None, None, 2)),
            ((4,), 0, slice(None, None, -1)),
            ((5,), 0, slice(3, 0, -2)),
            ((4,), 0, slice(-2, None)),
            ((4,), 0, slice(1, 99)),
            ((3,), 0, slice(5, 9)),
            ((4,), 0, slice(3, 1)),
            ((1,), 0, slice(None)),
            ((0,), 0, slice(None, None, -1)),
            ((3, 4), 1, slice(1, 3)),
            ((3, 4), 0, slice(1, None)),
            ((2, 6), -1, slice(None, None, 4)),
            ((3, 1, 2), 2, slice(None, None, -1)),
        ]
        for number, (shape, dim, s) in enumerate(fixed):
            x, layout = make_view(rng, shape, np.float64, "plain"), "plain"
            yield labelled(x, layout, dim, s)
            layout = LAYOUTS[1 + number % 4]
            yield labelled(make_view(rng, shape, np.float32, layout), layout, dim, s)
        for number in range(20):
            shape = tuple(int(n) for n in rng.integers(1, 7, size=1 + number % 3))
            dim = int(rng.integers(-len(shape), len(shape)))
            start, stop = (None if rng.random() < 0.3 else int(rng.integers(-8, 9)) for _ in "ab")
            step = int(rng.choice([-3, -2, -1, 1, 2, 3]))
            layout = LAYOUTS[number % 5]
            x = make_view(rng, shape, (np.float32, np.float64)[number % 2], layout)
            yield labelled(x, layout, dim, slice(start, stop, step))

    def expected(self, x, dim, s):
        return super().expected(x, dim, s)

    def oracle(self, array, dim, s):
        return np.moveaxis(np.moveaxis(array, dim, 0)[s], 0, dim)

    @mutant(
        "Your size is stop - start. With a step of 2 only every second element is left: use "
        "len(range(start, stop, step))."
    )
    def size_without_step(x, dim, s):
        return sliced(x, dim, s, size=lambda start, stop, step: max(0, abs(stop - start)))

    @mutant(
        "You round down: 0, 2, 4 out of five elements are three of them, and 5 // 2 is two. Use "
        "len(range(start, stop, step)), which rounds up."
    )
    def rounds_down(x, dim, s):
        return sliced(x, dim, s, size=lambda start, stop, step: max(0, (stop - start) // step))

    @mutant(
        "(stop - start) // step rounds down, and where stop lies before start it goes below 0. "
        "len(range(start, stop, step)) rounds up, and counts nothing as 0."
    )
    def rounds_down_below_zero(x, dim, s):
        return sliced(x, dim, s, size=lambda start, stop, step: (stop - start) // step)

    @mutant(
        "Your count is right for positive steps only. len(range(start, stop, step)) counts "
        "backward as well."
    )
    def positive_only(x, dim, s):
        return sliced(
            x, dim, s, size=lambda start, stop, step: max(0, (stop - start + step - 1) // step)
        )

    @mutant("The offset stays where it was, so every slice begins at the first element of x.")
    def offset_stays(x, dim, s):
        return sliced(x, dim, s, offset=lambda x, start, stride: x.offset)

    @mutant(
        "You add start to the offset. Start counts steps along this dimension, the offset counts "
        "places on the tape: multiply start by the stride."
    )
    def start_without_stride(x, dim, s):
        return sliced(x, dim, s, offset=lambda x, start, stride: x.offset + start)

    @mutant(
        "You forget where x itself begins: the new offset is x.offset plus start times the stride."
    )
    def forgets_offset(x, dim, s):
        return sliced(x, dim, s, offset=lambda x, start, stride: start * stride)

    @mutant(
        "You move the offset by start times the *new* stride. The way to the first element is "
        "counted in steps of x: use x.strides[dim], not yet multiplied by step."
    )
    def new_stride_for_start(x, dim, s):
        step = s.indices(x.shape[dim])[2]
        return sliced(x, dim, s, offset=lambda x, start, stride: x.offset + start * stride * step)

    @mutant(
        "The stride does not know of the step: with ::2, one step of the slice is two steps of x."
    )
    def stride_stays(x, dim, s):
        return sliced(x, dim, s, stride=lambda stride, step: stride)

    @mutant(
        "The new stride is step itself. That is right only where x's own stride is 1: multiply "
        "the two."
    )
    def stride_is_step(x, dim, s):
        return sliced(x, dim, s, stride=lambda stride, step: step)

    @mutant(
        "You read s.start, s.stop and s.step as they stand. They may be None, negative or beyond "
        "the end: s.indices(x.shape[dim]) gives you three plain numbers."
    )
    def raw_slice(x, dim, s):
        start, step = s.start or 0, s.step or 1
        stop = x.shape[dim] if s.stop is None else s.stop
        shape, strides = list(x.shape), list(x.strides)
        shape[dim], strides[dim] = len(range(start, stop, step)), strides[dim] * step
        return View(x.buffer, shape, strides, x.offset + start * x.strides[dim])

    @mutant(
        "You cut the front off the tape itself. A slice leaves the tape whole and begins later on it: "
        "add start times the stride to the offset."
    )
    def cuts_the_tape(x, dim, s):
        view = sliced(x, dim, s)
        start = s.indices(x.shape[dim])[0]
        return View(x.buffer[start:], view.shape, view.strides, x.offset)

    @mutant("You always slice dimension 0. Use dim.")
    def first_dimension(x, dim, s):
        return sliced(x, 0, s)

    @mutant(
        "You gather the elements onto a new tape. A slice needs no copy: start changes the "
        "offset, step the stride, and the rest stays where it is."
    )
    def copies(x, dim, s):
        view = sliced(x, dim, s)
        return View(view.numpy().ravel(), view.shape, row_major(view.shape))

    @alternative("lets Python slice a range: it knows start, step and length")
    def by_range(x, dim, s):
        chosen = range(x.shape[dim])[s]
        shape, strides = list(x.shape), list(x.strides)
        shape[dim] = len(chosen)
        strides[dim] *= chosen.step
        return View(x.buffer, shape, strides, x.offset + chosen.start * x.strides[dim])

    @alternative("counts with a rounded-up division")
    def by_division(x, dim, s):
        return sliced(x, dim, s, size=lambda a, b, step: max(0, -((a - b) // step)))

    @alternative("walks along the dimension and notes the places")
    def by_walking(x, dim, s):
        steps = [i * x.strides[dim] for i in range(*s.indices(x.shape[dim]))]
        shape, strides = list(x.shape), list(x.strides)
        shape[dim] = len(steps)
        strides[dim] = steps[1] - steps[0] if len(steps) > 1 else 0
        return View(x.buffer, shape, strides, x.offset + (steps[0] if steps else 0))


def sliced(x, dim, s, size=None, offset=None, stride=None):
    """The right slice, with one of its three formulas replaced."""
    start, stop, step = s.indices(x.shape[dim])
    shape, strides = list(x.shape), list(x.strides)
    old = strides[dim]
    shape[dim] = size(start, stop, step) if size else len(range(start, stop, step))
    strides[dim] = stride(old, step) if stride else old * step
    return View(
        x.buffer, shape, strides, offset(x, start, old) if offset else x.offset + start * old
    )


# 01.3 ---------------------------------------------------------------------------------------


@lesson.exercise("01.3", names=["broadcast_shape"], title="The shape two shapes broadcast to")
class BroadcastShape(Exercise):
    hints = (
        "Write the two shapes one under the other, flush right, as you write numbers to add them. "
        "Fill the gaps on the left with 1. Then look at one column at a time.",
        "In each column: equal sizes stay; where one of them is 1, the other one wins (also if "
        "it is 0); anything else is a ValueError.",
        "n = max(len(a), len(b)); a = (1,) * (n - len(a)) + tuple(a), and b likewise. Then loop "
        "over zip(a, b): if p == 1 take q; elif q == 1 or p == q take p; else raise ValueError.",
    )

    def cases(self, rng):
        fixed = [
            ((3, 4), (4,)), ((4,), (3, 4)), ((3, 1), (1, 4)), ((3, 1), (4,)), ((), (2, 3)),
            ((), ()), ((2, 3), (2, 3)), ((1,), (5,)), ((5,), (1,)), ((2, 1, 3), (4, 1)),
            ((1, 1), (1,)), ((0,), (1,)), ((1,), (0,)), ((3, 0), (1, 1)), ((0, 3), (3,)),
            ((2,), (3,)), ((2, 3), (2,)), ((3, 4), (3,)), ((0,), (2,)), ((2, 1), (3, 2, 2, 5)),
            ((4, 3), (2, 3)), ((2, 3), (3, 2)),
        ]  # fmt: skip
        for a, b in fixed:
            yield self.case(a, b)
        for _ in range(20):
            full = tuple(int(n) for n in rng.integers(0, 6, size=rng.integers(1, 5)))
            pair = []
            for _ in "ab":
                kept = [1 if rng.random() < 0.4 else n for n in full]
                pair.append(tuple(kept[int(rng.integers(0, len(full))) :]))
            if rng.random() < 0.25 and pair[0]:  # and sometimes one that does not fit
                broken = list(pair[0])
                broken[int(rng.integers(len(broken)))] = 7
                pair[0] = tuple(broken)
            yield self.case(*pair)

    def case(self, a, b):
        size = shown_size(len(a) + len(b) + sum(a) + sum(b), odd=0 in a + b or () in (a, b))
        return Case(args=(a, b), label=f"{a} and {b}", size=size)

    def expected(self, a, b):
        try:
            return tuple(int(n) for n in np.broadcast_shapes(a, b))
        except ValueError:
            return Raises(ValueError)

    @mutant(
        "You line the shapes up on the left. Broadcasting lines them up on the right: in "
        "(3, 4) and (4,) the 4 stands under the 4."
    )
    def aligned_left(a, b):
        n = max(len(a), len(b))
        return columns(a + (1,) * (n - len(a)), b + (1,) * (n - len(b)))

    @mutant(
        "You take the larger of the two sizes. Think of 1 and 0: an empty dimension stays empty, "
        "so the one that is *not* 1 wins, and that is 0."
    )
    def takes_max(a, b):
        a, b = padded(a, b)
        columns(a, b)
        return tuple(max(p, q) for p, q in zip(a, b, strict=True))

    @mutant(
        "Shapes that do not fit go through without a word. 3 against 4 is an error, and it is "
        "much better found here than a hundred lines later: raise ValueError."
    )
    def never_raises(a, b):
        return tuple(q if p == 1 else p for p, q in zip(*padded(a, b), strict=True))

    @mutant(
        "zip stops at the shorter shape, so the leading dimensions of the longer one are lost. "
        "Fill the shorter one up with 1s on the left first."
    )
    def loses_leading(a, b):
        n = min(len(a), len(b))
        return columns(a[len(a) - n :], b[len(b) - n :])

    @mutant(
        "zip pairs the shapes from the left and stops at the end of the shorter one. Write them flush "
        "right first: fill the shorter one up with 1s on the left."
    )
    def pairs_from_the_left(a, b):
        n = min(len(a), len(b))
        return columns(a[:n], b[:n])

    @mutant("Different sizes are not always an error: a size of 1 is stretched to the other.")
    def ones_do_not_stretch(a, b):
        a, b = padded(a, b)
        if any(p != q for p, q in zip(a, b, strict=True) if len(a) > 0):
            raise ValueError("different sizes")
        return a

    @mutant(
        "Only the second shape may have a 1 in your version. Either of the two may be stretched, "
        "or even both, in different columns: (3, 1) and (1, 4) give (3, 4)."
    )
    def one_sided(a, b):
        a, b = padded(a, b)
        if any(q not in (p, 1) for p, q in zip(a, b, strict=True)):
            raise ValueError("b does not fit a")
        return a

    @mutant(
        "You use assert. It raises AssertionError, and `python -O` removes it altogether. A "
        "caller's mistake is a ValueError: if ...: raise ValueError(...)."
    )
    def asserts(a, b):
        try:
            return columns(*padded(a, b))
        except ValueError:
            raise AssertionError("shapes do not fit") from None

    @alternative("walks from the right with zip_longest")
    def from_the_right(a, b):
        from itertools import zip_longest

        result = []
        for p, q in zip_longest(reversed(a), reversed(b), fillvalue=1):
            if 1 not in (p, q) and p != q:
                raise ValueError(f"{p} does not fit {q}")
            result.append(p * q if 1 in (p, q) else p)
        return tuple(reversed(result))

    @alternative("works on the set of sizes of each column")
    def by_sets(a, b):
        result = []
        for column in zip(*padded(a, b), strict=True):
            sizes = set(column) - {1}
            if len(sizes) > 1:
                raise ValueError(f"{column} do not fit")
            result.append(sizes.pop() if sizes else 1)
        return tuple(result)


def padded(a, b):
    n = max(len(a), len(b))
    return (1,) * (n - len(a)) + tuple(a), (1,) * (n - len(b)) + tuple(b)


def columns(a, b):
    for p, q in zip(a, b, strict=True):
        if p != q and 1 not in (p, q):
            raise ValueError(f"{p} does not fit {q}")
    return tuple(q if p == 1 else p for p, q in zip(a, b, strict=True))


# 01.4 ---------------------------------------------------------------------------------------


@lesson.exercise("01.4", names=["unfold"], title="Sliding windows, 0 bytes copied")
class Unfold(ViewExercise):
    hints = (
        "Take one dimension and let s be its stride. Element k of window w is element "
        "w·step + k of x. Write its place on the tape and read off two strides.",
        "place = offset + w·(step·s) + k·s. So the dimension that counts windows has stride "
        "step·s, and the new last dimension has stride s. The offset stays.",
        "Windows: (n - size) // step + 1. shape[dim] = that, then shape.append(size); "
        "strides[dim] = step * s, then strides.append(s).",
    )

    def cases(self, rng):
        fixed = [
            ((3,), 0, 2, 1), ((4,), 0, 4, 1), ((3,), 0, 1, 1), ((5,), 0, 2, 2), ((6,), 0, 2, 3),
            ((7,), 0, 3, 2), ((1,), 0, 1, 1), ((2, 4), 1, 2, 1), ((4, 2), 0, 3, 1), ((3, 5), -1, 2, 2),
            ((2, 3, 4), 1, 2, 1), ((0, 4), 1, 2, 1), ((3, 1, 2), 0, 2, 2),
        ]  # fmt: skip
        for number, (shape, dim, size, step) in enumerate(fixed):
            yield self.case(make_view(rng, shape, np.float32), "plain", dim, size, step)
            layout = LAYOUTS[1 + number % 4]
            x = make_view(rng, shape, np.float64, layout)
            yield self.case(x, layout, dim, size, step)
        for number in range(14):
            shape = tuple(int(n) for n in rng.integers(1, 8, size=1 + number % 3))
            dim = int(rng.integers(len(shape)))
            size = int(rng.integers(1, shape[dim] + 1))
            layout = LAYOUTS[number % 5]
            x = make_view(rng, shape, (np.float32, np.float64)[number % 2], layout)
            yield self.case(x, layout, dim, size, int(rng.integers(1, 4)))

    def case(self, x, layout, dim, size, step):
        return labelled(x, layout, dim, size, step)

    def expected(self, x, dim, size, step):
        return super().expected(x, dim, size, step)

    def oracle(self, array, dim, size, step):
        moved = np.moveaxis(array, dim, 0)
        windows = [moved[first : first + size] for first in range(0, len(moved) - size + 1, step)]
        stacked = np.stack(windows)  # window, inside, the other dimensions
        return np.moveaxis(np.moveaxis(stacked, 1, -1), 0, dim % array.ndim)

    @mutant(
        "One window is missing: a stretch of exactly `size` elements is one window, not none. "
        "The count is (n - size) // step + 1."
    )
    def one_too_few(x, dim, size, step):
        return windowed(x, dim, size, step, count=lambda n: (n - size) // step)

    @mutant(
        "You count n windows, one from every element. The last ones would run over the end: only "
        "whole windows count, (n - size) // step + 1 of them."
    )
    def runs_over(x, dim, size, step):
        return windowed(x, dim, size, step, count=lambda n: -(-n // step))

    @mutant(
        "You count n // step windows, as if each were one element long. The last window must begin "
        "`size` elements before the end: (n - size) // step + 1."
    )
    def counts_starts_only(x, dim, size, step):
        return windowed(x, dim, size, step, count=lambda n: n // step)

    @mutant(
        "You round up, so the last window may run over the end. Only whole windows count: "
        "(n - size) // step + 1, rounded down."
    )
    def rounds_up(x, dim, size, step):
        return windowed(x, dim, size, step, count=lambda n: -(-(n - size) // step) + 1)

    @mutant(
        "The windows ignore step: one window further is `step` elements further, so the stride of "
        "the dimension that counts windows is step times the old one."
    )
    def ignores_step(x, dim, size, step):
        return windowed(x, dim, size, step, outer=1)

    @mutant(
        "Inside a window you take every step-th element. The elements of a window are "
        "neighbours in x: the new last dimension keeps x's stride. (Windows with holes exist "
        "too; they are called dilated.)"
    )
    def dilated(x, dim, size, step):
        return windowed(x, dim, size, step, inner=step)

    @mutant("Your windows do not overlap: you move on by `size` elements. Move on by `step`.")
    def no_overlap(x, dim, size, step):
        return windowed(x, dim, size, step, outer=size)

    @mutant(
        "You give the new dimension stride 1. That is the stride of neighbours only in a "
        "row-major last dimension: use x.strides[dim]."
    )
    def inner_stride_one(x, dim, size, step):
        view = windowed(x, dim, size, step)
        return View(x.buffer, view.shape, (*view.strides[:-1], 1), x.offset)

    @mutant(
        "You put the new dimension right behind dim. It belongs at the very end, behind all the "
        "others."
    )
    def in_the_middle(x, dim, size, step):
        view = windowed(x, dim, size, step)
        shape, strides = list(view.shape), list(view.strides)
        at = dim % len(x.shape) + 1
        shape.insert(at, shape.pop())
        strides.insert(at, strides.pop())
        return View(x.buffer, shape, strides, x.offset)

    @mutant(
        "You copy every window onto a new tape: with windows of 100 that is 100 times the "
        "memory. Keep x.buffer and let two strides do the work."
    )
    def copies(x, dim, size, step):
        view = windowed(x, dim, size, step)
        return View(view.numpy().ravel(), view.shape, row_major(view.shape))

    @alternative("counts the starts with a range")
    def by_range(x, dim, size, step):
        starts = range(0, x.shape[dim] - size + 1, step)
        shape, strides = [*x.shape, size], [*x.strides, x.strides[dim]]
        where = dim % len(x.shape)
        shape[where], strides[where] = len(starts), x.strides[dim] * step
        return View(x.buffer, shape, strides, x.offset)

    @alternative("lets NumPy work out shape and strides on an array of places")
    def by_numpy(x, dim, size, step):
        memory = np.empty(x.buffer.size + 1, np.int8)  # one byte each: NumPy's strides are ours
        array = np.lib.stride_tricks.as_strided(memory[x.offset :], x.shape, x.strides)
        windows = np.lib.stride_tricks.sliding_window_view(array, size, axis=dim)
        cut = [slice(None)] * windows.ndim
        cut[dim % len(x.shape)] = slice(None, None, step)
        windows = windows[tuple(cut)]
        return View(x.buffer, windows.shape, windows.strides, x.offset)


def windowed(x, dim, size, step, count=None, outer=None, inner=1):
    """The right windows, with one of their numbers replaced."""
    n, s = x.shape[dim], x.strides[dim]
    shape, strides = list(x.shape), list(x.strides)
    shape[dim] = count(n) if count else (n - size) // step + 1
    strides[dim] = s * (step if outer is None else outer)
    return View(x.buffer, [*shape, size], [*strides, s * inner], x.offset)


# 01.5 ---------------------------------------------------------------------------------------


@lesson.exercise("01.5", names=["unbroadcast"], title="Undo broadcasting: the sum on the way back")
class Unbroadcast(Exercise):
    hints = (
        "Which dimensions of g did broadcasting make or stretch? Those that `shape` lacks, on "
        "the left, and those where `shape` has 1. Sum over just these.",
        "With extra = g.ndim - len(shape), the first `extra` dimensions are new. Dimension d "
        "after them stands over shape[d - extra]. NumPy sums over several at once: "
        "g.sum(axis=(0, 2)).",
        "axes = tuple(d for d in range(g.ndim) if d < extra or shape[d - extra] == 1); then "
        "g.sum(axis=axes).reshape(shape).",
    )

    def cases(self, rng):
        fixed = [
            ((2, 3), (3,)), ((2, 3), (2, 1)), ((2, 3), (1, 3)), ((2, 3), (2, 3)), ((2, 3), ()),
            ((2, 3), (1, 1)), ((2, 3), (1,)), ((3,), ()), ((), ()), ((1, 3), (3,)), ((2, 2), (2,)),
            ((2, 2), (2, 1)), ((4, 2, 3), (2, 1)), ((4, 2, 3), (4, 1, 3)), ((4, 2, 3), (1, 3)),
            ((2, 1, 3), (1, 1)), ((0, 3), (3,)), ((0, 3), (1, 3)), ((2, 0), (2, 1)), ((2, 0), (0,)),
            ((5, 1, 2), (5, 1, 1)), ((32, 10), (10,)), ((2, 3, 2, 2), (3, 1, 2)),
        ]  # fmt: skip
        for number, (big, small) in enumerate(fixed):
            dtype = (np.float32, np.float64)[number % 2]
            yield self.case(rng.integers(1, 10, size=big).astype(dtype), small, "")
        for number in range(15):
            big = tuple(int(n) for n in rng.integers(1, 6, size=1 + number % 4))
            small = tuple(1 if rng.random() < 0.5 else n for n in big)
            small = small[int(rng.integers(0, len(small) + 1)) :]
            wide = rng.integers(1, 10, size=[2 * n for n in reversed(big)])
            g = wide.astype((np.float32, np.float64)[number % 2])[
                tuple([slice(None, None, 2)] * len(big))
            ].T
            yield self.case(g, small, ", strided")

    def case(self, g, shape, layout):
        return Case(
            args=(g, shape),
            size=shown_size(g.size, odd=bool(layout) or g.ndim < 2),
            label=f"{g.shape} to {shape}, {g.dtype}{layout}",
        )

    def expected(self, g, shape):
        # Number the elements of the small array, broadcast the numbers, and let each element
        # of g be added to the account it carries.
        accounts = np.broadcast_to(np.arange(math.prod(shape)).reshape(shape), g.shape)
        sums = np.bincount(accounts.ravel(), weights=g.ravel(), minlength=math.prod(shape))
        return sums[: math.prod(shape)].reshape(shape).astype(g.dtype)

    @mutant(
        "You sum over the new dimensions on the left, but not over those where `shape` has 1. A "
        "(2, 1) column that was stretched to (2, 3) was read three times in each row."
    )
    def leading_only(g, shape):
        g = g.sum(axis=tuple(range(g.ndim - len(shape))))
        return g

    @mutant(
        "You sum where `shape` has 1, but the new dimensions on the left are still there. A (3,) "
        "that became (2, 3) was read twice: sum over dimension 0 too."
    )
    def ones_only(g, shape):
        extra = g.ndim - len(shape)
        axes = tuple(d for d in range(extra, g.ndim) if shape[d - extra] == 1)
        return g.sum(axis=axes, keepdims=True)

    @mutant(
        "The dimensions of size 1 are gone: (2, 1) is not (2,). Sum with keepdims=True there, or "
        "reshape to `shape` at the end."
    )
    def loses_ones(g, shape):
        return g.sum(axis=stretched(g, shape))

    @mutant(
        "You take the mean. Each reader hands back its own share, and the shares add up: raise "
        "the bias by 1 and *every* row rises by 1."
    )
    def mean(g, shape):
        with np.errstate(all="ignore"):
            return (
                np.mean(g, axis=stretched(g, shape), keepdims=False).reshape(shape)
                if g.size
                else (np.full(shape, np.nan, g.dtype))
            )

    @mutant(
        "You keep the gradient of one row and drop the others. Every row has read the number, "
        "so every row's gradient counts: add them up."
    )
    def first_only(g, shape):
        axes = stretched(g, shape)
        pick = tuple(slice(0, 1) if d in axes else slice(None) for d in range(g.ndim))
        return g[pick].reshape(shape)

    @mutant(
        "You line the shapes up on the left. Broadcasting lines them up on the right, so the "
        "missing dimensions are the first ones of g."
    )
    def aligned_left(g, shape):
        full = tuple(shape) + (1,) * (g.ndim - len(shape))
        axes = tuple(d for d in range(g.ndim) if full[d] == 1)
        return g.sum(axis=axes, keepdims=True).reshape(shape)

    @mutant(
        "You sum over dimension 0, whatever the shapes are. Which dimensions were stretched "
        "depends on `shape`: there may be none, one or several, and they may stand anywhere."
    )
    def first_dimension(g, shape):
        return g.sum(axis=0)

    @mutant(
        "The sum is right, but it comes back as float64. A float32 number has a float32 gradient: "
        "keep the dtype of g."
    )
    def always_float64(g, shape):
        return g.sum(axis=stretched(g, shape), dtype=np.float64).reshape(shape)

    @alternative("sums in two steps, leading dimensions first")
    def two_steps(g, shape):
        while g.ndim > len(shape):
            g = g.sum(axis=0)
        for d, size in enumerate(shape):
            if size == 1:
                g = g.sum(axis=d, keepdims=True)
        return g

    @alternative("adds every element to the place that it was read from")
    def by_places(g, shape):
        total = np.zeros(shape, g.dtype)
        for index in np.ndindex(g.shape):
            tail = index[g.ndim - len(shape) :]
            total[tuple(0 if n == 1 else i for i, n in zip(tail, shape, strict=True))] += g[index]
        return total

    @alternative("lets einsum do the summing")
    def by_einsum(g, shape):
        letters = "abcdefgh"[: g.ndim]
        kept = "".join(c for d, c in enumerate(letters) if d not in stretched(g, shape))
        return np.einsum(f"{letters}->{kept}", g).reshape(shape)


def stretched(g, shape):
    extra = g.ndim - len(shape)
    return tuple(d for d in range(g.ndim) if d < extra or shape[d - extra] == 1)


# 01.6 ---------------------------------------------------------------------------------------


@lesson.exercise("01.6", names=["is_contiguous"], title="Does the tape already have this order?")
class IsContiguous(Exercise):
    hints = (
        "Go through the dimensions from the last to the first. What must the last stride be? "
        "And, if it is, what must the one before it be?",
        "Row-major strides are 1, then the last size, then the product of the last two, and so "
        "on. A dimension of size 1 never takes a step, so its stride may be anything. A view "
        "without elements has nothing out of order.",
        "if 0 in x.shape: return True. Then step = 1, and for size and stride from the back: if "
        "size != 1 and stride != step return False; step *= size. At the end return True.",
    )

    def cases(self, rng):
        tape = rng.permutation(60).astype(np.float32)
        fixed = [
            ((2, 3), (3, 1), 0, "row-major"),
            ((2, 3), (3, 1), 7, "row-major, starting later"),
            ((3, 2), (1, 3), 0, "transposed"),
            ((2, 2), (2, 1), 0, "row-major square"),
            ((2, 2), (1, 2), 0, "transposed square"),
            ((2, 2), (3, 1), 0, "columns cut off"),
            ((4,), (1,), 2, "a run of the tape"),
            ((3,), (2,), 0, "every second place"),
            ((3,), (-1,), 5, "backward"),
            ((2, 3), (-3, 1), 9, "rows backward"),
            ((3, 4), (0, 1), 0, "expanded rows"),
            ((3, 4), (1, 0), 0, "expanded columns"),
            ((4, 3), (1, 1), 0, "windows"),
            ((), (), 4, "a single number"),
            ((1,), (9,), 3, "one element, any stride"),
            ((1, 4), (11, 1), 0, "one row, any stride"),
            ((4, 1), (1, 7), 0, "one column, any stride"),
            ((2, 1, 3), (3, 50, 1), 1, "size 1 in the middle"),
            ((4, 1), (2, 1), 0, "one column of two"),
            ((1, 1), (0, 0), 0, "1 × 1, strides 0"),
            ((0,), (5,), 0, "empty"),
            ((3, 0), (1, 1), 0, "empty, two dimensions"),
            ((0, 3), (1, 4), 2, "empty, transposed"),
            ((2, 3, 4), (12, 4, 1), 0, "row-major, 3 dimensions"),
            ((2, 3, 4), (12, 1, 3), 0, "last two exchanged"),
            ((3, 2, 4), (4, 12, 1), 0, "first two exchanged"),
            ((2, 2, 4), (12, 4, 1), 0, "a block cut in the middle"),
            ((2, 3, 2), (12, 4, 2), 0, "every second place, 3 dimensions"),
        ]
        for shape, strides, offset, label in fixed:
            yield self.case(View(tape.copy(), shape, strides, offset), label)
        for number in range(16):
            shape = tuple(int(n) for n in rng.integers(1, 4, size=1 + number % 4))
            layout = LAYOUTS[number % 5]
            x = make_view(rng, shape, (np.float32, np.float64)[number % 2], layout)
            yield self.case(x, layout)

    def case(self, x, label):
        return Case(args=(x,), size=shown_size(math.prod(x.shape), odd=1 in x.shape), label=label)

    def expected(self, x):
        found = places(x.shape, x.strides, x.offset).ravel()
        return bool((found == x.offset + np.arange(found.size)).all())

    @mutant(
        "You ask for exactly the row-major strides. The stride of a dimension of size 1 is never "
        "used, and a view without elements uses none at all: they may be anything."
    )
    def exact_strides(x):
        return x.strides == row_major(x.shape)

    @mutant(
        "You have thought of empty views, but not of dimensions of size 1: their index is always "
        "0, so their stride never counts."
    )
    def ones_count(x):
        return 0 in x.shape or x.strides == row_major(x.shape)

    @mutant(
        "A view without elements has nothing out of order: if 0 is in x.shape, the answer is True."
    )
    def forgets_empty(x):
        step = 1
        for size, stride in zip(reversed(x.shape), reversed(x.strides), strict=True):
            if size != 1 and stride != step:
                return False
            step *= size
        return True

    @mutant(
        "You look only at the last stride. Rows may still have gaps between them: look at every "
        "dimension."
    )
    def last_stride(x):
        return 0 in x.shape or x.shape == () or x.shape[-1] == 1 or x.strides[-1] == 1

    @mutant(
        "You ask whether the strides descend. They must also fit: one row further has to be "
        "exactly one row's length further, or there are gaps."
    )
    def descending(x):
        strides = [s for n, s in zip(x.shape, x.strides, strict=True) if n != 1]
        return 0 in x.shape or list(strides) == sorted(strides, reverse=True)

    @mutant(
        "You ask that the view begin at place 0. It may begin anywhere, as long as it goes on "
        "without gaps."
    )
    def offset_zero(x):
        return x.offset == 0 and in_order(x)

    @mutant(
        "You compare with the size of the tape. A view may be a part of it and in order, or the "
        "whole of it and turned."
    )
    def whole_tape(x):
        return math.prod(x.shape) == x.buffer.size

    @mutant(
        "You multiply the sizes from the front: that is column-major order, Fortran's. Row-major "
        "starts with 1 at the *last* dimension."
    )
    def column_major(x):
        return in_order(View(x.buffer, x.shape[::-1], x.strides[::-1], x.offset))

    @alternative("drops the dimensions of size 1 and compares the rest")
    def by_dropping(x):
        if 0 in x.shape:
            return True
        kept = [(n, s) for n, s in zip(x.shape, x.strides, strict=True) if n != 1]
        return tuple(s for _, s in kept) == row_major([n for n, _ in kept])

    @alternative("walks through every index")
    def by_walking(x):
        walk = [
            sum(i * s for i, s in zip(index, x.strides, strict=True))
            for index in np.ndindex(x.shape)
        ]
        return walk == list(range(len(walk)))

    @alternative("compares each stride with the one after it")
    def by_pairs(x):
        kept = [(n, s) for n, s in zip(x.shape, x.strides, strict=True) if n != 1]
        follows = all(s == m * t for (_, s), (m, t) in pairwise(kept))
        return 0 in x.shape or not kept or (kept[-1][1] == 1 and follows)


def in_order(x):
    step = 1
    for size, stride in zip(reversed(x.shape), reversed(x.strides), strict=True):
        if size != 1 and stride != step and 0 not in x.shape:
            return False
        step *= size
    return True


# Predictions --------------------------------------------------------------------------------

lesson.predict(
    "01.A",
    question="A recording has 1,000,000 samples of 4 bytes each. You want every window of 100 "
    "neighbouring samples: a table of 999,901 rows and 100 columns. How many bytes of new memory "
    "do the numbers in that table need?",
    unit="bytes",
    explain="Each of the 99,990,100 entries is found on the recording's own tape. As a copy they "
    "would fill 399,960,400 bytes, a hundred times the recording.",
)
lesson.predict(
    "01.B",
    question="A bias b of 10 numbers is added to a batch of shape (32, 10). The loss is the sum "
    "of all 320 results. You raise b[0] by 1. By how much does the loss rise?",
    explain="b[0] is read once in each of the 32 rows, and every reader raises the loss by 1.",
)
lesson.predict(
    "01.C",
    question="You sum 1,500,000 float32 numbers: once neighbours on the tape, once every 16th "
    "number of a longer tape. Same count, same function. How much longer does the second take?",
    kind="choice",
    choices=["about the same (under 1.5 times)", "1.5 to 3 times", "more than 3 times"],
    explain="Memory comes in cache lines, usually of 64 bytes: 16 float32. Every 16th number "
    "means a whole line fetched for one number.",
)


# Milestone ----------------------------------------------------------------------------------

SHAPES, SAMPLES, WINDOW = 200, 1_000_000, 100


@lesson.milestone(
    "01.M",
    title="200 random shapes equal NumPy, a window copies 0 bytes",
    names=["transpose", "slice_dim", "broadcast_shape", "unfold", "unbroadcast", "is_contiguous"],
    hints=["Run the checks 01.1 to 01.6 again: one of them tells which function is not right."],
)
def milestone(ns):
    rng = np.random.default_rng()
    view_class = ns.get("View", View)
    for count in range(SHAPES):
        wrong = one_shape(rng, ns, view_class)
        if wrong:
            text = f"{count} of {SHAPES} random shapes equal NumPy, then {wrong}"
            return MilestoneResult(False, count, text)
    tape = np.zeros(SAMPLES, np.float32)
    windows = report_of_windows(ns, view_class, tape)
    if windows:
        return MilestoneResult(False, SHAPES, windows)
    text = (
        f"{SHAPES} of {SHAPES} random shapes equal NumPy; "
        f"{SAMPLES - WINDOW + 1:,} windows of {WINDOW} numbers: 0 bytes copied"
    )
    return MilestoneResult(True, SHAPES, text)


def one_shape(rng, ns, view_class):
    """Transpose, slice and window one random view, then sum it back. What went wrong, or None."""
    shape = tuple(int(n) for n in rng.integers(1, 6, size=rng.integers(1, 5)))
    made = make_view(rng, shape, rng.choice([np.float32, np.float64]), rng.choice(LAYOUTS))
    x = view_class(made.buffer, made.shape, made.strides, made.offset)
    array = made.numpy()

    dims = tuple(int(d) for d in rng.integers(0, len(shape), size=2))
    x, array = ns["transpose"](x, *dims), np.swapaxes(array, *dims)
    wrong = differs(x, made, array, f"transpose by {dims}")
    dim = int(rng.integers(len(shape)))
    n = array.shape[dim]  # after the transpose; a start in the dimension leaves an element
    s = slice(int(rng.integers(-n, n)), None, int(rng.choice([-2, -1, 1, 2])))
    if not wrong:
        x = ns["slice_dim"](x, dim, s)
        array = np.moveaxis(np.moveaxis(array, dim, 0)[s], 0, dim)
        wrong = differs(x, made, array, f"{s} along dimension {dim}")
    if not wrong:
        size, step = int(rng.integers(1, array.shape[dim] + 1)), int(rng.integers(1, 3))
        x = ns["unfold"](x, dim, size, step)
        array = np.lib.stride_tricks.sliding_window_view(array, size, axis=dim)
        array = np.moveaxis(np.moveaxis(array, dim, 0)[::step], 0, dim)
        wrong = differs(x, made, array, f"windows of {size} along dimension {dim}")
    if not wrong:
        found = places(x.shape, x.strides, x.offset).ravel()
        in_a_row = bool((np.diff(found) == 1).all())
        if bool(ns["is_contiguous"](x)) != in_a_row:
            wrong = f"is_contiguous is wrong for shape {x.shape}, strides {x.strides}"
    return wrong or sums_back(rng, ns, array.astype(np.float64))


def sums_back(rng, ns, g):
    small = tuple(1 if rng.random() < 0.5 else n for n in g.shape)
    small = small[int(rng.integers(0, g.ndim + 1)) :]
    shape = ns["broadcast_shape"](small, g.shape)
    if tuple(shape) != g.shape:
        return f"broadcast_shape({small}, {g.shape}) gave {shape}"
    want = Unbroadcast().expected(g, small)
    wrong = compare(ns["unbroadcast"](g, small), want)
    return f"unbroadcast {g.shape} to {small}: {wrong.message}" if wrong else None


def differs(result, given, array, what):
    seen = report(result, given)
    if seen["kind"] != "View":
        return f"{what} returned {seen['kind']}, not a View"
    if isinstance(seen["values"], str):
        return f"{what}: {seen['values']}"
    if seen["shape"] != array.shape or not np.array_equal(seen["values"], array):
        return f"{what} of shape {given.shape} differs"
    if seen["copied"]:
        return f"{what} copied {seen['copied']} bytes"
    return None


def report_of_windows(ns, view_class, tape):
    windows = ns["unfold"](view_class(tape, tape.shape, (1,)), 0, WINDOW, 1)
    if not np.shares_memory(windows.buffer, tape):
        return f"all shapes equal NumPy, but the windows copied {windows.buffer.nbytes:,} bytes"
    facts = (tuple(windows.shape), tuple(windows.strides), windows.offset)
    if facts != ((SAMPLES - WINDOW + 1, WINDOW), (1, 1), 0):
        return f"the long windows have shape, strides, offset {facts}"
    return None


@milestone.mutant("Your windows are copies.", names="unfold")
def copied_windows(x, dim, size, step):
    view = windowed(x, dim, size, step)
    array = np.lib.stride_tricks.as_strided(
        x.buffer[x.offset :], view.shape, [s * x.buffer.itemsize for s in view.strides]
    )
    return View(array.ravel(), view.shape, row_major(view.shape))


@milestone.mutant("The gradient of a bias is the sum over all rows.", names="unbroadcast")
def bias_from_one_row(g, shape):
    axes = stretched(g, shape)
    pick = tuple(slice(0, 1) if d in axes else slice(None) for d in range(g.ndim))
    return g[pick].reshape(shape)


@milestone.mutant("A slice must multiply the stride.", names="slice_dim")
def slice_without_step(x, dim, s):
    return sliced(x, dim, s, stride=lambda stride, step: stride)
