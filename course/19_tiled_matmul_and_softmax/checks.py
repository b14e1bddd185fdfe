"""Exercises of lesson 19: kernels that fetch each number as seldom as can be.

NumPy judges the values. The simulator of `tensorlab.cuda.jit` judges the rest: races, barriers and
bounds, and whether numbers are loaded as often as the lesson's arithmetic says, not once more.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

import tensorlab as tl
from tensorlab.cuda import jit
from tensorlab.cuda.jit import (
    blockIdx,
    grid,
    gridDim,
    shared,
    shfl_xor_sync,
    syncthreads,
    threadIdx,
)
from tensorlab.learn import (
    Case,
    Exercise,
    Lesson,
    MilestoneResult,
    alternative,
    mutant,
)
from tensorlab.learn.kernels import (
    ceil_div,
    judge_advice,
    judge_sharing,
    judge_traffic,
    judge_values,
    launch,
    quarters,
)

lesson = Lesson("19", "tiled_matmul_and_softmax", title="Tiled matmul, fused softmax")

TILE = 16
SIDE = 32
THREADS = 64
COLUMNS = 1024
ALL = 0xFFFFFFFF


# -- oracles and traffic -----------------------------------------------------------------------


def by_columns(a, b):
    """a @ b as a sum of outer products, in float64."""
    out = np.zeros((a.shape[0], b.shape[1]))
    for k in range(a.shape[1]):
        out += np.multiply.outer(a[:, k].astype(np.float64), b[k].astype(np.float64))
    return out.astype(np.float32)


def matmul_traffic(a, b):
    """Loads and stores of a tiled product: a once for each column of blocks, b for each row."""
    (m, k), n = a.shape, b.shape[1]
    return m * k * ceil_div(n, TILE) + k * n * ceil_div(m, TILE), m * n


def matmul_requests(case):
    """Accesses of warps to a tile: in each step, each of a block's warps reads TILE numbers of it."""
    warps = TILE * TILE // 32
    steps = max(1, ceil_div(case.args[0].shape[1], TILE))
    return math.prod(case.data) * steps * warps * TILE


def row_requests(case):
    """Twice the accesses of a row's two warps: they stride over it, and join what all threads have."""
    rows, columns = case.args[0].shape
    return rows * (4 * ceil_div(columns, THREADS) + 2 * THREADS)


# -- 19.1: tiles ---------------------------------------------------------------------------------


@lesson.exercise(
    "19.1", names=["matmul_tiles"], title="Fetch a tile, use it sixteen times", points=2
)
class MatmulTiles(Exercise):
    hints = (
        "Each step of the loop has four parts: every thread fetches one number of a and one of b "
        "into the tiles, all meet, every thread adds TILE products, all meet again.",
        "Thread (tx, ty) fetches a[row, start + tx] into ta[ty, tx], and b[start + ty, col] into "
        "tb[ty, tx].",
        "The products are ta[ty, k] * tb[k, tx], for k in range(TILE). A syncthreads() before this "
        "loop, and one after it.",
    )

    def cases(self, rng):
        for m, k, n in [(16, 16, 16), (16, 32, 16), (32, 16, 16), (16, 16, 48), (32, 48, 32)]:
            args = (quarters(rng, (m, k)), quarters(rng, (k, n)))
            yield Case(args, label=f"{m}×{k} @ {k}×{n}", data=(n // TILE, m // TILE))
        a, b = quarters(rng, (32, 16)).T, quarters(rng, (32, 32))[:, ::2]
        yield Case((a, b), label="16×32 @ 32×16, transposed and strided", data=(1, 1))

    def call(self, ns, case):
        a, b = case.args
        out = np.full((a.shape[0], b.shape[1]), np.nan, np.float32)
        return launch(ns["matmul_tiles"], case.data, (TILE, TILE), a, b, out)

    def expected(self, a, b):
        return by_columns(a, b)

    def judge(self, case, got, want):
        a, b = case.args
        failure = judge_values("matmul_tiles", got, want) or judge_traffic(
            got, *matmul_traffic(a, b)
        )
        if failure is not None:
            return failure
        # Of turned or strided matrices no reading order is coalesced.
        scattered = judge_advice(got, "uncoalesced") if a.flags.c_contiguous else None
        return scattered or judge_sharing(got, matmul_requests(case))

    @jit.kernel
    def solved(a, b, out):
        ta = shared.array((TILE, TILE), np.float32)
        tb = shared.array((TILE, TILE), np.float32)
        col, row = grid(2)
        tx, ty = threadIdx.x, threadIdx.y
        total = 0.0
        for start in range(0, a.shape[1], TILE):
            ta[ty, tx] = a[row, start + tx]
            tb[ty, tx] = b[start + ty, col]
            syncthreads()  # filled
            for k in range(TILE):
                total += ta[ty, k] * tb[k, tx]
            syncthreads()  # used
        out[row, col] = total

    reads_too_soon = mutant(
        "Threads multiply before their neighbours have fetched the tile. A syncthreads() belongs "
        "between filling the tiles and reading them.",
        of=solved,
        edits={"syncthreads()  # filled": ""},
    )

    fills_too_soon = mutant(
        "A fast warp fills the tiles for the next step while a slow one still reads the old ones. A "
        "second syncthreads() belongs at the end of each step.",
        of=solved,
        edits={"syncthreads()  # used": ""},
    )

    @mutant(
        "The product is right, but every thread fetches its whole row and its whole column from "
        "global memory. Let the block fetch each tile once and share it."
    )
    @jit.kernel
    def without_tiles(a, b, out):
        col, row = grid(2)
        total = 0.0
        for k in range(a.shape[1]):
            total += a[row, k] * b[k, col]
        out[row, col] = total

    shares_only_a = mutant(
        "The tile of a is shared, but b is still fetched by every thread for itself. Both want a "
        "tile.",
        of=solved,
        edits={
            "tb = shared.array((TILE, TILE), np.float32)": "",
            "tb[ty, tx] = b[start + ty, col]": "",
            "tb[k, tx]": "b[start + k, col]",
        },
    )

    always_the_first_tile = mutant(
        "Every step fetches the first tile again. Along k, both tiles move by TILE each step: start "
        "+ tx in a, start + ty in b.",
        of=solved,
        edits={"a[row, start + tx]": "a[row, tx]", "b[start + ty, col]": "b[ty, col]"},
    )

    b_stands_still = mutant(
        "The tile of a moves along its row, the tile of b stands still: fetch b[start + ty, col].",
        of=solved,
        edits={"b[start + ty, col]": "b[ty, col]"},
    )

    starts_anew = mutant(
        "`total` is set to 0 in every step, so only the last tile counts. Set it once, before the "
        "loop.",
        of=solved,
        edits={"total = 0.0": "", "ta[ty, tx] =": "total = 0.0\nta[ty, tx] ="},
    )

    rows_of_b = mutant(
        "In the tiles, row ty of a meets *column* tx of b: tb[k, tx], if b was put there as it "
        "stands, tb[ty, tx].",
        of=solved,
        edits={"tb[k, tx]": "tb[tx, k]"},
    )

    columns_of_a = mutant(
        "Row ty of the tile of a: ta[ty, k]. You walk down its columns.",
        of=solved,
        edits={"ta[ty, k]": "ta[k, ty]"},
    )

    half_a_tile = mutant(
        "The inner loop ends too soon: a tile has TILE columns, and all of them count.",
        of=solved,
        edits={"range(TILE)": "range(TILE // 2)"},
    )

    @mutant(
        "One thread fetches both tiles while 255 wait for it. Every thread fetches one number of "
        "each."
    )
    @jit.kernel
    def one_thread_fetches(a, b, out):
        ta = shared.array((TILE, TILE), np.float32)
        tb = shared.array((TILE, TILE), np.float32)
        col, row = grid(2)
        tx, ty = threadIdx.x, threadIdx.y
        total = 0.0
        for start in range(0, a.shape[1], TILE):
            if tx == 0 and ty == 0:
                for i in range(TILE):
                    for j in range(TILE):
                        ta[i, j] = a[row + i, start + j]
                        tb[i, j] = b[start + i, col + j]
            syncthreads()
            for k in range(TILE):
                total += ta[ty, k] * tb[k, tx]
            syncthreads()
        out[row, col] = total

    fetches_columns = mutant(
        "The tiles are fetched down their columns: neighbouring threads, whose tx differs by 1, "
        "stand a whole row apart in memory. Let tx run along the rows of a and b: a[row, start + "
        "tx] and b[start + ty, col].",
        of=solved,
        edits={
            "ta[ty, tx] =": "ta[tx, ty] =",
            "a[row, start + tx]": "a[blockIdx.y * TILE + tx, start + ty]",
            "tb[ty, tx] =": "tb[tx, ty] =",
            "b[start + ty, col]": "b[start + tx, blockIdx.x * TILE + ty]",
        },
    )

    @alternative("row and column worked out by hand, a loop over the number of the tile")
    @jit.kernel
    def by_hand(a, b, out):
        ta = shared.array((TILE, TILE), np.float32)
        tb = shared.array((TILE, TILE), np.float32)
        tx = threadIdx.x
        ty = threadIdx.y
        row = blockIdx.y * TILE + ty
        col = blockIdx.x * TILE + tx
        total = 0.0
        for tile in range(a.shape[1] // TILE):
            tb[ty, tx] = b[tile * TILE + ty, col]
            ta[ty, tx] = a[row, tile * TILE + tx]
            syncthreads()
            for k in range(TILE):
                total = total + tb[k, tx] * ta[ty, k]
            syncthreads()
        out[row, col] = total

    barrier_first = alternative(
        "the second barrier stands at the begin of the step",
        of=solved,
        edits={"ta[ty, tx] =": "syncthreads()\nta[ty, tx] =", "syncthreads()  # used": ""},
    )

    padded = alternative(
        "tiles with a column to spare",
        of=solved,
        edits={
            "ta = shared.array((TILE, TILE)": "ta = shared.array((TILE, TILE + 1)",
            "tb = shared.array((TILE, TILE)": "tb = shared.array((TILE, TILE + 1)",
        },
    )


# -- 19.2: tails ---------------------------------------------------------------------------------


@lesson.exercise("19.2", names=["matmul"], title="Any shape")
class Matmul(Exercise):
    hints = (
        "There are three edges: rows of a, columns of b, and the end of k, which both share. Which "
        "thread may step over which?",
        "A thread without a number to fetch must not leave: others need its barrier. It puts 0.0 "
        "into the tile, which adds nothing.",
        "`ta[ty, tx] = a[row, start + tx] if row < rows and start + tx < inner else 0.0`, likewise "
        "for tb, and at the end only `if row < rows and col < cols` is stored.",
    )

    def cases(self, rng):
        shapes = [(1, 1, 1), (1, 20, 1), (5, 3, 7), (16, 17, 16), (17, 16, 16), (16, 16, 17)]
        shapes += [(20, 40, 33), (33, 5, 20), (2, 0, 3)]
        for m, k, n in shapes:
            args = (quarters(rng, (m, k)), quarters(rng, (k, n)))
            blocks = (ceil_div(n, TILE), ceil_div(m, TILE))
            size = sum(x.size for x in args) or 9000
            yield Case(args, label=f"{m}×{k} @ {k}×{n}", size=size, data=blocks)

    def call(self, ns, case):
        a, b = case.args
        out = np.full((a.shape[0], b.shape[1]), np.nan, np.float32)
        return launch(ns["matmul"], case.data, (TILE, TILE), a, b, out)

    def expected(self, a, b):
        return by_columns(a, b)

    def judge(self, case, got, want):
        failure = judge_values("matmul", got, want)
        loads, stores = matmul_traffic(*case.args)
        return (
            failure
            or judge_traffic(got, max(loads, 1), stores)
            or judge_advice(got, "uncoalesced")
            or judge_sharing(got, matmul_requests(case))
        )

    @jit.kernel
    def solved(a, b, out):
        ta = shared.array((TILE, TILE), np.float32)
        tb = shared.array((TILE, TILE), np.float32)
        col, row = grid(2)
        tx, ty = threadIdx.x, threadIdx.y
        rows, inner, cols = a.shape[0], a.shape[1], b.shape[1]
        total = 0.0
        for start in range(0, inner, TILE):
            ta[ty, tx] = a[row, start + tx] if row < rows and start + tx < inner else 0.0
            tb[ty, tx] = b[start + ty, col] if start + ty < inner and col < cols else 0.0
            syncthreads()  # filled
            for k in range(TILE):
                total += ta[ty, k] * tb[k, tx]
            syncthreads()  # used
        if row < rows and col < cols:
            out[row, col] = total

    no_guards = mutant(
        "The tiles reach over the edges of a and b. Who has no number to fetch puts 0.0 into the "
        "tile.",
        of=solved,
        edits={
            " if row < rows and start + tx < inner else 0.0": "",
            " if start + ty < inner and col < cols else 0.0": "",
        },
    )

    only_outer_edges = mutant(
        "Rows and columns of the result are guarded, but the last tile along k reaches over the end "
        "as well: start + tx < inner, and start + ty < inner.",
        of=solved,
        edits={
            "row < rows and start + tx < inner": "row < rows",
            "start + ty < inner and col < cols": "col < cols",
        },
    )

    only_inner_edge = mutant(
        "The end along k is guarded, but not the rows of a and the columns of b: row < rows, col < "
        "cols.",
        of=solved,
        edits={
            "row < rows and start + tx < inner": "start + tx < inner",
            "start + ty < inner and col < cols": "start + ty < inner",
        },
    )

    stores_beyond = mutant(
        "All threads store, also those that stand outside of the result. Guard the last line: row < "
        "rows and col < cols.",
        of=solved,
        edits={"row < rows and col < cols": "True"},
    )

    goes_home = mutant(
        "Threads outside of the result leave, and the others wait for them at the barrier. They "
        "must stay: they fetch numbers that others need.",
        of=solved,
        edits={"total = 0.0": "if row >= rows or col >= cols:\n    return\ntotal = 0.0"},
    )

    leaves_old_numbers = mutant(
        "Where there is no number to fetch, the tile keeps what it held in the step before, or "
        "anything at all in the first. Put 0.0 there.",
        of=solved,
        edits={
            "ta[ty, tx] =": "if row < rows and start + tx < inner:\n    ta[ty, tx] =",
            " if row < rows and start + tx < inner else 0.0": "",
            "tb[ty, tx] =": "if start + ty < inner and col < cols:\n    tb[ty, tx] =",
            " if start + ty < inner and col < cols else 0.0": "",
        },
    )

    whole_tiles_only = mutant(
        "Only whole tiles are added up: what is left over at the end of k is missing. Let `start` "
        "run to `inner`, not to its whole tiles.",
        of=solved,
        edits={"range(0, inner, TILE)": "range(0, inner // TILE * TILE, TILE)"},
    )

    one_pads_with_one = mutant(
        "Padding with 1.0 adds numbers that are not there. What adds nothing is 0.0.",
        of=solved,
        edits={
            "start + tx < inner else 0.0": "start + tx < inner else 1.0",
            "col < cols else 0.0": "col < cols else 1.0",
        },
    )

    wrong_length = mutant(
        "The loop along k ends with the *columns* of a, a.shape[1]; you took its rows.",
        of=solved,
        edits={"a.shape[1]": "a.shape[0]"},
    )

    @mutant(
        "Right, but without tiles: every thread fetches its whole row and column. Start from your "
        "matmul_tiles and add guards."
    )
    @jit.kernel
    def without_tiles(a, b, out):
        col, row = grid(2)
        total = 0.0
        if row < out.shape[0] and col < out.shape[1]:
            for k in range(a.shape[1]):
                total += a[row, k] * b[k, col]
            out[row, col] = total

    @alternative("only what is there is fetched, and only as many products are added")
    @jit.kernel
    def short_last_step(a, b, out):
        ta = shared.array((TILE, TILE), np.float32)
        tb = shared.array((TILE, TILE), np.float32)
        col, row = grid(2)
        tx, ty = threadIdx.x, threadIdx.y
        rows, inner, cols = a.shape[0], a.shape[1], b.shape[1]
        total = 0.0
        for start in range(0, inner, TILE):
            if row < rows and start + tx < inner:
                ta[ty, tx] = a[row, start + tx]
            if start + ty < inner and col < cols:
                tb[ty, tx] = b[start + ty, col]
            syncthreads()
            if row < rows and col < cols:
                for k in range(min(TILE, inner - start)):
                    total += ta[ty, k] * tb[k, tx]
            syncthreads()
        if row < rows and col < cols:
            out[row, col] = total

    @alternative("zeros first, and the inner loop stops at the end of k")
    @jit.kernel
    def stops_at_the_edge(a, b, out):
        ta = shared.array((TILE, TILE), np.float32)
        tb = shared.array((TILE, TILE), np.float32)
        tx = threadIdx.x
        ty = threadIdx.y
        row = blockIdx.y * TILE + ty
        col = blockIdx.x * TILE + tx
        total = 0.0
        for tile in range((a.shape[1] + TILE - 1) // TILE):
            start = tile * TILE
            ta[ty, tx] = 0.0
            tb[ty, tx] = 0.0
            if row < a.shape[0] and start + tx < a.shape[1]:
                ta[ty, tx] = a[row, start + tx]
            if start + ty < b.shape[0] and col < b.shape[1]:
                tb[ty, tx] = b[start + ty, col]
            syncthreads()
            for k in range(min(TILE, a.shape[1] - start)):
                total += ta[ty, k] * tb[k, tx]
            syncthreads()
        if row < out.shape[0]:
            if col < out.shape[1]:
                out[row, col] = total

    barrier_first = alternative(
        "the second barrier at the begin of the step",
        of=solved,
        edits={"ta[ty, tx] =": "syncthreads()\nta[ty, tx] =", "syncthreads()  # used": ""},
    )


# -- 19.3: coalescing ----------------------------------------------------------------------------


@lesson.exercise("19.3", names=["transpose"], title="Rows in, rows out")
class Transpose(Exercise):
    hints = (
        "Reading along rows of x and writing along rows of out can't both be done by one thread for "
        "one element. What if one thread fetches an element, and another one stores it?",
        "Fill a tile by rows, meet, then write it by rows of `out`: in the second half thread "
        "(tx, ty) takes tile[tx, ty], and the block stands at the mirrored place.",
        "Second half: `col = blockIdx.y * SIDE + tx`, `row = blockIdx.x * SIDE + ty`, guarded by the "
        "shape of out. And a tile of (SIDE, SIDE + 1): why?",
    )

    def cases(self, rng):
        for m, n in [(1, 1), (32, 32), (5, 9), (32, 64), (33, 40), (70, 1), (1, 50), (64, 96)]:
            blocks = (ceil_div(n, SIDE), ceil_div(m, SIDE))
            yield Case((quarters(rng, (m, n)),), label=f"{m}×{n}", data=blocks)

    def call(self, ns, case):
        (x,) = case.args
        out = np.full(x.shape[::-1], np.nan, np.float32)
        return launch(ns["transpose"], case.data, (SIDE, SIDE), x, out)

    def expected(self, x):
        return np.array([list(column) for column in zip(*x.tolist(), strict=True)], np.float32)

    def judge(self, case, got, want):
        size = case.args[0].size
        return (
            judge_values("transpose", got, want)
            or judge_traffic(got, size, size)
            or judge_advice(got, "uncoalesced", "bank-conflict")
            or judge_sharing(got, 2 * math.prod(case.data) * SIDE, of_one=2)
        )

    @jit.kernel
    def solved(x, out):
        tile = shared.array((SIDE, SIDE + 1), np.float32)
        tx, ty = threadIdx.x, threadIdx.y
        col = blockIdx.x * SIDE + tx
        row = blockIdx.y * SIDE + ty
        if row < x.shape[0] and col < x.shape[1]:
            tile[ty, tx] = x[row, col]
        syncthreads()
        col = blockIdx.y * SIDE + tx
        row = blockIdx.x * SIDE + ty
        if row < out.shape[0] and col < out.shape[1]:
            out[row, col] = tile[tx, ty]

    @mutant(
        "Reading goes along the rows, writing goes down a column: each of the 32 lanes writes to "
        "another sector. Write rows too: exchange rows and columns inside of the tile."
    )
    @jit.kernel
    def scatters(x, out):
        col, row = grid(2)
        if row < x.shape[0] and col < x.shape[1]:
            out[col, row] = x[row, col]

    @mutant(
        "Writing goes along the rows, reading goes down a column: each of the 32 lanes reads from "
        "another sector. Read rows too: exchange rows and columns inside of the tile."
    )
    @jit.kernel
    def gathers(x, out):
        col, row = grid(2)
        if row < out.shape[0] and col < out.shape[1]:
            out[row, col] = x[col, row]

    unpadded = mutant(
        "Global memory is read and written well, but the lanes that read a column of the tile all "
        "want the same bank. Give the tile a column to spare: (SIDE, SIDE + 1).",
        of=solved,
        edits={"SIDE + 1": "SIDE"},
    )

    no_barrier = mutant(
        "Threads read what others have not yet put into the tile: a syncthreads() belongs between "
        "the two halves.",
        of=solved,
        edits={"syncthreads()": ""},
    )

    tile_stays = mutant(
        "Inside of the tile all is exchanged, but the tile itself must go to the mirrored place: "
        "its row of blocks is blockIdx.x now, its column blockIdx.y.",
        of=solved,
        edits={
            "blockIdx.y * SIDE + tx": "blockIdx.x * SIDE + tx",
            "blockIdx.x * SIDE + ty": "blockIdx.y * SIDE + ty",
        },
    )

    not_exchanged = mutant(
        "The tile goes to the right place, but inside of it nothing is exchanged: read tile[tx, "
        "ty].",
        of=solved,
        edits={"tile[tx, ty]": "tile[ty, tx]"},
    )

    no_guard_at_reading = mutant(
        "The last tiles reach over the edge of x: guard the reading.",
        of=solved,
        edits={"row < x.shape[0] and col < x.shape[1]": "True"},
    )

    no_guard_at_writing = mutant(
        "The last tiles reach over the edge of out: guard the writing, with out's own shape.",
        of=solved,
        edits={"row < out.shape[0] and col < out.shape[1]": "True"},
    )

    guards_by_x_twice = mutant(
        "The second guard must ask the shape of out: row and col are places in out now.",
        of=solved,
        edits={
            "row < out.shape[0] and col < out.shape[1]": "row < x.shape[0] and col < x.shape[1]"
        },
    )

    goes_home = mutant(
        "Threads outside of x leave, but in the second half they have an element of out to write, "
        "and the others wait for them at the barrier.",
        of=solved,
        edits={
            "if row < x.shape[0] and col < x.shape[1]:": "if row >= x.shape[0] or col >= x.shape[1]:\n    return\nif True:"
        },
    )

    @mutant(
        "The first warp of a block fetches the whole tile, row by row, and writes it, while 31 others "
        "look on. Let warp ty fetch row ty and write row ty, all at the same time."
    )
    @jit.kernel
    def one_warp_for_a_tile(x, out):
        tile = shared.array((SIDE, SIDE + 1), np.float32)
        tx = threadIdx.x
        if threadIdx.y == 0:
            col = blockIdx.x * SIDE + tx
            for ty in range(SIDE):
                row = blockIdx.y * SIDE + ty
                if row < x.shape[0] and col < x.shape[1]:
                    tile[ty, tx] = x[row, col]
        syncthreads()
        if threadIdx.y == 0:
            col = blockIdx.y * SIDE + tx
            for ty in range(SIDE):
                row = blockIdx.x * SIDE + ty
                if row < out.shape[0] and col < out.shape[1]:
                    out[row, col] = tile[tx, ty]

    exchanged_at_writing = alternative(
        "exchanged when the tile is filled",
        of=solved,
        edits={"tile[ty, tx] =": "tile[tx, ty] =", "= tile[tx, ty]": "= tile[ty, tx]"},
    )

    @alternative("a tile in one dimension")
    @jit.kernel
    def flat_tile(x, out):
        tile = shared.array(SIDE * (SIDE + 1), np.float32)
        tx = threadIdx.x
        ty = threadIdx.y
        col, row = grid(2)
        if row < x.shape[0]:
            if col < x.shape[1]:
                tile[ty * (SIDE + 1) + tx] = x[row, col]
        syncthreads()
        row = blockIdx.x * SIDE + ty
        col = blockIdx.y * SIDE + tx
        if row < x.shape[1] and col < x.shape[0]:
            out[row, col] = tile[tx * (SIDE + 1) + ty]

    @alternative("loops by strides of the whole grid, a tile at a time")
    @jit.kernel
    def strides(x, out):
        tile = shared.array((SIDE, SIDE + 1), np.float32)
        tx, ty = threadIdx.x, threadIdx.y
        for down in range(blockIdx.y * SIDE, x.shape[0], gridDim.y * SIDE):
            for across in range(blockIdx.x * SIDE, x.shape[1], gridDim.x * SIDE):
                if down + ty < x.shape[0] and across + tx < x.shape[1]:
                    tile[ty, tx] = x[down + ty, across + tx]
                syncthreads()
                if across + ty < out.shape[0] and down + tx < out.shape[1]:
                    out[across + ty, down + tx] = tile[tx, ty]
                syncthreads()


# -- 19.4: softmax ---------------------------------------------------------------------------------


@lesson.exercise("19.4", names=["softmax"], title="One read, one write", points=2)
class Softmax(Exercise):
    hints = (
        "Write down how the sum of exponentials so far changes when a number comes that is larger "
        "than all before. By which factor was everything too large?",
        "A thread carries a pair (m, s): the largest so far, and the sum of exp(value - m). A new "
        "largest multiplies s by exp(m - new). Two threads' pairs are joined in the same way.",
        "In the tournament: `new = max(m1, m2)`, `s = s1 * exp(m1 - new) + s2 * exp(m2 - new)`. Only "
        "where new > -inf: a thread without numbers has m = -inf and s = 0.",
    )

    def cases(self, rng):
        for rows, cols in [(1, 1), (2, 5), (1, 64), (3, 63), (2, 65), (2, 200), (1, 1024)]:
            yield self._case(rng.standard_normal((rows, cols)), rows, f"{rows}×{cols}")
        yield self._case(100 * rng.standard_normal((2, 70)), 2, "2×70, of the order of 100")
        yield self._case(rng.standard_normal((2, 40)) - 1e4, 2, "2×40, near -10,000")
        yield self._case(np.sort(rng.standard_normal((1, 300)) * 5), 1, "1×300, rising")
        masked = rng.standard_normal((2, 90))
        masked[:, ::3] = -np.inf
        yield self._case(masked, 2, "2×90, a third of it -inf")

    def _case(self, x, rows, label):
        return Case((x.astype(np.float32),), label=label, data=rows)

    def call(self, ns, case):
        (x,) = case.args
        out = np.full(x.shape, np.nan, np.float32)
        return launch(ns["softmax"], case.data, THREADS, x, out)

    def expected(self, x):
        # By sigmoids, without a largest: p_i = 1 / Σ_j exp(x_j - x_i), in float64.
        wide = x.astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            differences = np.exp(np.clip(wide[:, None, :] - wide[:, :, None], None, 700))
        shares = 1 / np.nansum(differences, axis=2)
        return np.where(np.isneginf(wide), 0, shares).astype(np.float32)

    def judge(self, case, got, want):
        size = case.args[0].size
        return (
            judge_values("softmax", got, want)
            or judge_traffic(got, size, size)
            or judge_advice(got, "uncoalesced")
            or judge_sharing(got, row_requests(case))
        )

    @jit.kernel
    def solved(x, out):
        cache = shared.array(COLUMNS, np.float32)
        largest = shared.array(THREADS, np.float32)
        sums = shared.array(THREADS, np.float32)
        t, row = threadIdx.x, blockIdx.x
        m = -math.inf
        s = 0.0
        for col in range(t, x.shape[1], THREADS):  # fetch
            value = x[row, col]
            cache[col] = value
            new = max(m, value)
            if new > -math.inf:  # a number has come
                s = s * math.exp(m - new) + math.exp(value - new)
            m = new
        largest[t] = m
        sums[t] = s
        syncthreads()  # all pairs are down
        step = THREADS // 2
        while step > 0:
            if t < step:
                new = max(largest[t], largest[t + step])
                if new > -math.inf:  # one of the two has numbers
                    mine = sums[t] * math.exp(largest[t] - new)
                    sums[t] = mine + sums[t + step] * math.exp(largest[t + step] - new)
                largest[t] = new
            syncthreads()  # the round is over
            step //= 2
        for col in range(t, x.shape[1], THREADS):  # store
            out[row, col] = math.exp(cache[col] - largest[0]) / sums[0]

    @mutant(
        "exp(100) is more than float32 can hold. Subtract the largest of the row first: it changes "
        "nothing in the result, and no exponent is above 0."
    )
    @jit.kernel
    def no_largest(x, out):
        cache = shared.array(COLUMNS, np.float32)
        sums = shared.array(THREADS, np.float32)
        t, row = threadIdx.x, blockIdx.x
        s = 0.0
        for col in range(t, x.shape[1], THREADS):
            cache[col] = x[row, col]
            s += math.exp(cache[col])
        sums[t] = s
        syncthreads()
        step = THREADS // 2
        while step > 0:
            if t < step:
                sums[t] += sums[t + step]
            syncthreads()
            step //= 2
        for col in range(t, x.shape[1], THREADS):
            out[row, col] = math.exp(cache[col]) / sums[0]

    old_sum_stays = mutant(
        "When a larger number comes, what was summed so far was measured from the old largest. "
        "Rescale it: s * exp(m - new).",
        of=solved,
        edits={"s * math.exp(m - new)": "s"},
    )

    pairs_not_rescaled = mutant(
        "Two threads' sums are measured from two different numbers. Before adding, rescale both to "
        "the larger: s * exp(m - new).",
        of=solved,
        edits={" * math.exp(largest[t] - new)": "", " * math.exp(largest[t + step] - new)": ""},
    )

    minus_infinity_twice = mutant(
        "A thread without numbers has m = -inf, and -inf - (-inf) is nan. Rescale only where `new` "
        "is above -inf.",
        of=solved,
        edits={
            "new > -math.inf:  # a number has come": "True:",
            "new > -math.inf:  # one of the two has numbers": "True:",
        },
    )

    starts_at_zero = mutant(
        "The largest starts at a number that may be more than any of the row: then all exponentials "
        "vanish, and 0 / 0 is nan. Start at -math.inf.",
        of=solved,
        edits={"m = -math.inf": "m = 0.0"},
    )

    reads_twice = mutant(
        "The result is right, but every number is fetched twice. Keep it in `cache` when it comes "
        "by.",
        of=solved,
        edits={
            "cache = shared.array(COLUMNS, np.float32)": "",
            "cache[col] = value": "",
            "cache[col] -": "x[row, col] -",
        },
    )

    no_barrier = mutant(
        "The tournament begins before all threads have put their sums down: a syncthreads() belongs "
        "before it.",
        of=solved,
        edits={"syncthreads()  # all pairs are down": ""},
    )

    no_barrier_between_rounds = mutant(
        "Each round reads what the round before wrote: syncthreads() inside of the loop.",
        of=solved,
        edits={"syncthreads()  # the round is over": ""},
    )

    first_columns_only = mutant(
        "A row may have more columns than the block has threads: each thread takes every THREADS-th "
        "column.",
        of=solved,
        edits={
            "range(t, x.shape[1], THREADS):  # fetch": "range(t, min(x.shape[1], THREADS), THREADS):",
            "range(t, x.shape[1], THREADS):  # store": "range(t, min(x.shape[1], THREADS), THREADS):",
        },
    )

    own_sum = mutant(
        "Each thread divides by a sum of its own. The sum of the whole row stands in sums[0], its "
        "largest number in largest[0].",
        of=solved,
        edits={"largest[0]": "m", "sums[0]": "s"},
    )

    not_divided = mutant(
        "These are the exponentials. Divide by the sum of the row, sums[0].",
        of=solved,
        edits={" / sums[0]": ""},
    )

    largest_of_a_pair = mutant(
        "`largest[t]` is not updated in the tournament, so later rounds rescale from the wrong "
        "number.",
        of=solved,
        edits={"largest[t] = new": ""},
    )

    @mutant(
        "Thread 0 does the whole row while 63 look on. Each thread takes every THREADS-th column, "
        "and their pairs are joined in a tournament."
    )
    @jit.kernel
    def one_thread_for_a_row(x, out):
        cache = shared.array(COLUMNS, np.float32)
        row = blockIdx.x
        if threadIdx.x == 0:
            m = -math.inf
            for col in range(x.shape[1]):
                cache[col] = x[row, col]
                m = max(m, cache[col])
            s = 0.0
            for col in range(x.shape[1]):
                s += math.exp(cache[col] - m)
            for col in range(x.shape[1]):
                out[row, col] = math.exp(cache[col] - m) / s

    takes_pieces = mutant(
        "Each thread takes a piece of the row, so neighbouring threads stand far apart in memory. "
        "Deal the columns like cards: thread t takes t, t + THREADS, ...",
        of=solved,
        edits={
            "m = -math.inf": "piece = (x.shape[1] + THREADS - 1) // THREADS\nm = -math.inf",
            "range(t, x.shape[1], THREADS):  # fetch": "range(t * piece, min((t + 1) * piece, x.shape[1])):",
            "range(t, x.shape[1], THREADS):  # store": "range(t * piece, min((t + 1) * piece, x.shape[1])):",
        },
    )

    @alternative("first the largest, then the sum, from the cached row")
    @jit.kernel
    def two_tournaments(x, out):
        cache = shared.array(COLUMNS, np.float32)
        work = shared.array(THREADS, np.float32)
        t, row = threadIdx.x, blockIdx.x
        m = -math.inf
        for col in range(t, x.shape[1], THREADS):
            cache[col] = x[row, col]
            m = max(m, cache[col])
        work[t] = m
        step = THREADS // 2
        while step > 0:
            syncthreads()
            if t < step:
                work[t] = max(work[t], work[t + step])
            step //= 2
        syncthreads()
        m = work[0]
        syncthreads()
        s = 0.0
        for col in range(t, x.shape[1], THREADS):
            s += math.exp(cache[col] - m)
        work[t] = s
        step = THREADS // 2
        while step > 0:
            syncthreads()
            if t < step:
                work[t] += work[t + step]
            step //= 2
        syncthreads()
        for col in range(t, x.shape[1], THREADS):
            out[row, col] = math.exp(cache[col] - m) / work[0]

    @alternative("within the two warps by shuffles")
    @jit.kernel
    def by_shuffles(x, out):
        cache = shared.array(COLUMNS, np.float32)
        both = shared.array((2, 2), np.float32)
        t, row = threadIdx.x, blockIdx.x
        m = -1e30
        s = 0.0
        for col in range(t, x.shape[1], THREADS):
            cache[col] = x[row, col]
            if cache[col] > m:
                s = s * math.exp(m - cache[col])
                m = cache[col]
            s += math.exp(cache[col] - m)
        for k in range(5):
            other = shfl_xor_sync(ALL, m, 16 >> k)
            more = shfl_xor_sync(ALL, s, 16 >> k)
            new = max(m, other)
            s = s * math.exp(m - new) + more * math.exp(other - new)
            m = new
        if t % 32 == 0:
            both[t // 32, 0] = m
            both[t // 32, 1] = s
        syncthreads()
        new = max(both[0, 0], both[1, 0])
        first = both[0, 1] * math.exp(both[0, 0] - new)
        s = first + both[1, 1] * math.exp(both[1, 0] - new)
        for col in range(t, x.shape[1], THREADS):
            out[row, col] = math.exp(cache[col] - new) / s


# -- 19.5: softmax, backward -----------------------------------------------------------------------


@lesson.exercise("19.5", names=["softmax_backward"], title="The way back, one read each")
class SoftmaxBackward(Exercise):
    hints = (
        "How does p_j change with x_i? For i = j it grows by p_i (1 - p_i), for all others it falls "
        "by p_i p_j. Multiply by g_j, add up over j, and take p_i out.",
        "The gradient is y (g - Σ g·y), with the sum over the row. That is the same plan as before: "
        "fetch and keep, a tournament for the sum, write.",
        "`s += ys[col] * gs[col]` while fetching; after the tournament `grad[row, col] = ys[col] * "
        "(gs[col] - sums[0])`.",
    )

    def cases(self, rng):
        for rows, cols in [(1, 1), (2, 5), (1, 64), (3, 63), (2, 65), (2, 200), (1, 1024)]:
            y = rng.random((rows, cols)) ** 3 + 1e-3
            y /= y.sum(axis=1, keepdims=True)
            g = rng.standard_normal((rows, cols))
            args = (y.astype(np.float32), g.astype(np.float32))
            yield Case(args, label=f"{rows}×{cols}", data=rows)

    def call(self, ns, case):
        y, g = case.args
        grad = np.full(y.shape, np.nan, np.float32)
        return launch(ns["softmax_backward"], case.data, THREADS, y, g, grad)

    def expected(self, y, g):
        # The whole matrix of derivatives of each row, times g: no formula for the product.
        rows = [
            (np.diag(p) - np.multiply.outer(p, p)) @ slope
            for p, slope in zip(y.astype(np.float64), g.astype(np.float64), strict=True)
        ]
        return np.array(rows)

    def judge(self, case, got, want):
        size = case.args[0].size
        return (
            judge_values("softmax_backward", got, want)
            or judge_traffic(got, 2 * size, size)
            or judge_advice(got, "uncoalesced")
            or judge_sharing(got, row_requests(case))
        )

    @jit.kernel
    def solved(y, g, grad):
        ys = shared.array(COLUMNS, np.float32)
        gs = shared.array(COLUMNS, np.float32)
        sums = shared.array(THREADS, np.float32)
        t, row = threadIdx.x, blockIdx.x
        s = 0.0
        for col in range(t, y.shape[1], THREADS):  # fetch
            ys[col] = y[row, col]
            gs[col] = g[row, col]
            s += ys[col] * gs[col]
        sums[t] = s
        syncthreads()  # all sums are down
        step = THREADS // 2
        while step > 0:
            if t < step:
                sums[t] += sums[t + step]
            syncthreads()  # the round is over
            step //= 2
        for col in range(t, y.shape[1], THREADS):  # store
            grad[row, col] = ys[col] * (gs[col] - sums[0])

    diagonal_only = mutant(
        "That is the slope of each exponential alone. Each output also falls when another input "
        "rises, since all share one sum: subtract Σ g·y.",
        of=solved,
        edits={"ys[col] * (gs[col] - sums[0])": "ys[col] * gs[col]"},
    )

    sigmoid_rule = mutant(
        "y (1 - y) g is the rule of the sigmoid, which has one input. In a softmax the sum runs "
        "over the row: y (g - Σ g·y).",
        of=solved,
        edits={"ys[col] * (gs[col] - sums[0])": "ys[col] * (1.0 - ys[col]) * gs[col]"},
    )

    sum_of_g = mutant(
        "What is subtracted is the sum of g·y, the mean of g with the weights y, not the sum of g.",
        of=solved,
        edits={"s += ys[col] * gs[col]": "s += gs[col]"},
    )

    g_outside = mutant(
        "y (g - Σ g·y): the sum is subtracted from g itself. You subtract it from 1.",
        of=solved,
        edits={"(gs[col] - sums[0])": "gs[col] * (1.0 - sums[0])"},
    )

    without_y = mutant(
        "The factor y is missing: an output that is nearly 0 hardly moves.",
        of=solved,
        edits={"ys[col] * (gs[col] - sums[0])": "gs[col] - sums[0]"},
    )

    other_sign = mutant(
        "The sign is wrong: g minus the sum.",
        of=solved,
        edits={"gs[col] - sums[0]": "sums[0] - gs[col]"},
    )

    roles_exchanged = mutant(
        "y and g have changed places: y (g - Σ g·y), with y in front.",
        of=solved,
        edits={"ys[col] * (gs[col] - sums[0])": "gs[col] * (ys[col] - sums[0])"},
    )

    no_barrier = mutant(
        "The tournament begins before all threads have put their sums down: a syncthreads() belongs "
        "before it.",
        of=solved,
        edits={"syncthreads()  # all sums are down": ""},
    )

    no_barrier_between_rounds = mutant(
        "Each round reads what the round before wrote: syncthreads() inside of the loop.",
        of=solved,
        edits={"syncthreads()  # the round is over": ""},
    )

    own_sum = mutant(
        "Each thread subtracts a sum of its own columns only. The sum of the whole row stands in "
        "sums[0].",
        of=solved,
        edits={"sums[0]": "s"},
    )

    @mutant(
        "The result is right, but y and g are fetched twice. Keep them in shared memory when they "
        "come by."
    )
    @jit.kernel
    def reads_twice(y, g, grad):
        sums = shared.array(THREADS, np.float32)
        t, row = threadIdx.x, blockIdx.x
        s = 0.0
        for col in range(t, y.shape[1], THREADS):
            s += y[row, col] * g[row, col]
        sums[t] = s
        syncthreads()
        step = THREADS // 2
        while step > 0:
            if t < step:
                sums[t] += sums[t + step]
            syncthreads()
            step //= 2
        for col in range(t, y.shape[1], THREADS):
            grad[row, col] = y[row, col] * (g[row, col] - sums[0])

    first_columns_only = mutant(
        "A row may have more columns than the block has threads: each thread takes every THREADS-th "
        "column.",
        of=solved,
        edits={
            "range(t, y.shape[1], THREADS):  # fetch": "range(t, min(y.shape[1], THREADS), THREADS):",
            "range(t, y.shape[1], THREADS):  # store": "range(t, min(y.shape[1], THREADS), THREADS):",
        },
    )

    @mutant(
        "Thread 0 does the whole row while 63 look on. Each thread takes every THREADS-th column, "
        "and their sums are joined in a tournament."
    )
    @jit.kernel
    def one_thread_for_a_row(y, g, grad):
        ys = shared.array(COLUMNS, np.float32)
        gs = shared.array(COLUMNS, np.float32)
        row = blockIdx.x
        if threadIdx.x == 0:
            s = 0.0
            for col in range(y.shape[1]):
                ys[col] = y[row, col]
                gs[col] = g[row, col]
                s += ys[col] * gs[col]
            for col in range(y.shape[1]):
                grad[row, col] = ys[col] * (gs[col] - s)

    @alternative("every thread adds up the sums of all threads by itself")
    @jit.kernel
    def each_for_itself(y, g, grad):
        ys = shared.array(COLUMNS, np.float32)
        gs = shared.array(COLUMNS, np.float32)
        sums = shared.array(THREADS, np.float32)
        t, row = threadIdx.x, blockIdx.x
        s = 0.0
        for col in range(t, y.shape[1], THREADS):
            ys[col] = y[row, col]
            gs[col] = g[row, col]
            s += ys[col] * gs[col]
        sums[t] = s
        syncthreads()
        s = 0.0
        for other in range(THREADS):
            s += sums[other]
        for col in range(t, y.shape[1], THREADS):
            grad[row, col] = ys[col] * (gs[col] - s)

    products_kept = alternative(
        "y·g is kept instead of g",
        of=solved,
        edits={
            "gs[col] = g[row, col]": "gs[col] = g[row, col] * ys[col]",
            "s += ys[col] * gs[col]": "s += gs[col]",
            "ys[col] * (gs[col] - sums[0])": "gs[col] - ys[col] * sums[0]",
        },
    )

    @alternative("within the two warps by shuffles")
    @jit.kernel
    def by_shuffles(y, g, grad):
        ys = shared.array(COLUMNS, np.float32)
        gs = shared.array(COLUMNS, np.float32)
        halves = shared.array(2, np.float32)
        t, row = threadIdx.x, blockIdx.x
        s = 0.0
        for col in range(t, y.shape[1], THREADS):
            ys[col] = y[row, col]
            gs[col] = g[row, col]
            s += gs[col] * ys[col]
        for k in range(5):
            s += shfl_xor_sync(ALL, s, 16 >> k)
        if t % 32 == 0:
            halves[t // 32] = s
        syncthreads()
        s = halves[0] + halves[1]
        for col in range(t, y.shape[1], THREADS):
            grad[row, col] = (gs[col] - s) * ys[col]


# -- predictions -------------------------------------------------------------------------------

lesson.predict(
    "19.A",
    question="Two 64×64 matrices have 8,192 numbers. How many times, on average, does the plain "
    "kernel load each of them to multiply the two?",
    unit="times",
    explain="Each of the 4,096 threads loads a row of 64 and a column of 64: 524,288 loads.",
)
lesson.predict(
    "19.B",
    question="The 32 lanes of a warp read a column of a shared tile of 32×32 float32. In how many "
    "rounds?",
    unit="rounds",
    explain="Shared memory has 32 banks, and neighbouring words are in neighbouring banks. A row of "
    "32 words goes once around, so a whole column is in one bank: one lane a round.",
)
lesson.predict(
    "19.C",
    question="Softmax as it is written in books: the largest of a row, the sum of exponentials, the "
    "division. How many times is each number read from global memory?",
    unit="times",
    explain="Once for each of the three passes. A fused kernel reads it once.",
)


# -- the milestone -----------------------------------------------------------------------------

ROUNDS = 6


@lesson.milestone(
    "19.M",
    title="loads ÷ tile, one read and one write, and gradients that agree",
    names=[
        "matmul_tiles",
        "matmul",
        "transpose",
        "softmax",
        "softmax_backward",
        "TiledMatmul",
        "FusedSoftmax",
    ],
    points=3,
    hints=["Run the checks 19.1 to 19.5 again: one of them tells which kernel is not right."],
)
def milestone(ns):
    rng = np.random.default_rng()
    wrong = wrong_with_loads(ns, rng)
    if wrong:
        return MilestoneResult(False, 0, wrong)
    for count in range(ROUNDS):
        m, k, n = (int(size) for size in rng.integers(1, 40, 3))
        wrong = wrong_with_gradients(ns, rng, m, k, n)
        if wrong:
            return MilestoneResult(False, count, f"{m}×{k} @ {k}×{n}: {wrong}")
    text = (
        f"64×64 matrices multiplied with 1/{TILE} of the loads; softmax reads and writes each number "
        f"once; {ROUNDS} of {ROUNDS} ragged shapes have the right gradients; 0 races"
    )
    return MilestoneResult(True, ROUNDS, text)


def wrong_with_loads(ns, rng):
    a, b = quarters(rng, (64, 64)), quarters(rng, (64, 64))
    for name in ("matmul_tiles", "matmul"):
        out = np.zeros((64, 64), np.float32)
        run = launch(ns[name], (4, 4), (TILE, TILE), a, b, out)
        failure = judge_values(name, run, by_columns(a, b)) or judge_traffic(
            run, 2 * 64**3 // TILE, 64 * 64
        )
        if failure is not None:
            return f"{name}: {failure.message}"
    for id in ("19.3", "19.4", "19.5"):
        exercise = lesson.exercises[id]
        for case in itertools.islice(exercise.cases(rng), 3, 6):
            failure = exercise.judge(case, exercise.call(ns, case), exercise.expected(*case.args))
            if failure is not None:
                return f"{exercise.names[0]}, {case.label}: {failure.message}"
    return None


def wrong_with_gradients(ns, rng, m, k, n):
    """Compare softmax(a @ b), and the gradients of its sum with weights, with formulas in NumPy."""
    a, b, weights = quarters(rng, (m, k)), quarters(rng, (k, n)), quarters(rng, (m, n))
    leaves = [tl.tensor(x, requires_grad=True) for x in (a, b)]
    with jit.watch() as launches:
        p = ns["FusedSoftmax"].apply(ns["TiledMatmul"].apply(*leaves))
        (p * tl.tensor(weights)).sum().backward()
    if launches.errors:
        return f"the simulator found: {launches.errors[0].message}"
    if len(launches) < 4:
        return f"{len(launches)} kernels were launched; forward and backward need more"
    want = lesson.exercises["19.4"].expected(by_columns(a, b))
    if not np.allclose(p.detach().numpy(), want, rtol=1e-4, atol=1e-6):
        return "softmax(a @ b) is wrong"
    g = lesson.exercises["19.5"].expected(want, weights).astype(np.float32)
    for name, leaf, grad in [("a", leaves[0], g @ b.T), ("b", leaves[1], a.T @ g)]:
        if leaf.grad is None or leaf.grad.shape != grad.shape:
            return f"{name} has no gradient of its shape"
        if not np.allclose(leaf.grad.numpy(), grad, rtol=1e-3, atol=1e-4):
            return f"the gradient of {name} is wrong"
    return None


@milestone.mutant("The product loads every number anew for every thread.", bundle=True)
def without_tiles(ns):
    return {"matmul": Matmul.without_tiles.body}


@milestone.mutant("A transpose that scatters its writes.", bundle=True)
def scatters(ns):
    return {"transpose": Transpose.scatters.body}


@milestone.mutant("The gradients of a and b are exchanged in their transposes.", bundle=True)
def forgets_the_transposes(ns):
    class TiledMatmul(ns["TiledMatmul"]):
        @staticmethod
        def backward(ctx, g):
            a, b = ctx.saved_tensors
            return tl.zeros_like(a), tl.zeros_like(b)

    return {"TiledMatmul": TiledMatmul}


@milestone.mutant("tensorlab's own softmax, and no kernel.", bundle=True)
def not_a_kernel(ns):
    class FusedSoftmax:
        @staticmethod
        def apply(x):
            return x.softmax(1)

    class TiledMatmul:
        @staticmethod
        def apply(a, b):
            return a @ b

    return {"FusedSoftmax": FusedSoftmax, "TiledMatmul": TiledMatmul}
