"""Exercises of lesson 18: kernels that map and reduce, judged without a GPU.

Two judges that know nothing of the learner's way: NumPy, which has no threads, for the values; and
the simulator of `tensorlab.cuda.jit`, which sees every access of every thread, for races, barriers,
bounds, and for what the warps fetched.
"""

from __future__ import annotations

import math

import numpy as np

from tensorlab.cuda import jit
from tensorlab.cuda.jit import (
    atomic,
    blockDim,
    blockIdx,
    grid,
    gridDim,
    gridsize,
    shared,
    shfl_down_sync,
    syncthreads,
    threadIdx,
)
from tensorlab.learn import (
    Case,
    Exercise,
    Failure,
    Lesson,
    MilestoneResult,
    alternative,
    mutant,
)
from tensorlab.learn.kernels import (
    blocks_for,
    ceil_div,
    judge_advice,
    judge_sharing,
    judge_traffic,
    judge_values,
    launch,
    quarters,
)

lesson = Lesson("18", "cuda_map_and_reduce", title="CUDA: map and reduce")

THREADS = 128
WARPS = THREADS // 32
BINS = 10
ALL = 0xFFFFFFFF


def many(count, word):
    return f"{count} {word}{'s' * (count != 1)}"


# -- 18.1: a map ---------------------------------------------------------------------------------


@lesson.exercise("18.1", names=["axpy"], title="One thread, one element")
class Axpy(Exercise):
    hints = (
        "`grid(1)` is the number of this thread in the whole grid. Which element should it take?",
        "There may be more threads than elements. Those without an element must touch nothing.",
        "`i = grid(1)`, then `if i < len(out):`, and inside `out[i] = a * x[i] + y[i]`.",
    )

    def cases(self, rng):
        sizes = [(1, 32), (31, 32), (32, 32), (33, 32), (5, 256), (100, 64), (1000, 256), (0, 32)]
        for n, threads in sizes:
            for dtype in (np.float32, np.float64):
                yield self._case(rng, n, threads, dtype, 0)
        yield self._case(rng, 70, 32, np.float32, 2)
        x, y = quarters(rng, 90)[::2], quarters(rng, 135)[::-3]
        yield Case((0.5, x, y), label="45 elements of longer arrays", data=(2, 32))

    def _case(self, rng, n, threads, dtype, extra):
        blocks = blocks_for(n, threads) + extra
        label = f"{many(n, 'element')}, {many(blocks, 'block')} of {threads}, {np.dtype(dtype)}"
        args = (float(rng.integers(2, 5)) / 2, quarters(rng, n, dtype), quarters(rng, n, dtype))
        return Case(args, label=label, size=n or 5000, data=(blocks, threads))

    def call(self, ns, case):
        a, x, y = case.args
        out = np.full(x.shape, np.nan, x.dtype)
        return launch(ns["axpy"], *case.data, a, x, y, out)

    def expected(self, a, x, y):
        return np.asarray(a, x.dtype) * x + y

    def judge(self, case, got, want):
        failure = judge_values("axpy", got, want)
        if failure is not None or case.args[1].strides != want.strides:
            return failure
        blocks, threads = case.data
        warps = blocks * ceil_div(threads, 32)
        return judge_advice(got, "uncoalesced") or judge_sharing(got, 2 * warps, of_one=2)

    @jit.kernel
    def solved(a, x, y, out):
        i = grid(1)
        if i < len(out):
            out[i] = a * x[i] + y[i]

    without_guard = mutant(
        "The last block has threads without an element, and they write beyond the end. Let only "
        "those work whose number is below len(out).",
        of=solved,
        edits={"i < len(out)": "True"},
    )

    off_by_one = mutant(
        "The elements are numbered from 0, so the last is len(out) - 1: write <, not <=.",
        of=solved,
        edits={"i < len(out)": "i <= len(out)"},
    )

    last_one_missing = mutant(
        "The guard shuts out one thread too many: the last element has number len(out) - 1.",
        of=solved,
        edits={"i < len(out)": "i < len(out) - 1"},
    )

    forgets_the_block = mutant(
        "threadIdx.x starts from 0 again in every block, so all blocks do the first elements and "
        "nobody does the rest. Add the threads of the blocks before: blockIdx.x * blockDim.x.",
        of=solved,
        edits={"grid(1)": "threadIdx.x"},
    )

    @mutant(
        "Before block number blockIdx.x stand as many threads as its predecessors have: multiply "
        "by blockDim.x, the size of a block, not by gridDim.x, the number of blocks."
    )
    @jit.kernel
    def grid_for_block(a, x, y, out):
        i = blockIdx.x * gridDim.x + threadIdx.x
        if i < len(out):
            out[i] = a * x[i] + y[i]

    size_written_in = mutant(
        "A block may be of any size: write blockDim.x where you wrote a number.",
        of=solved,
        edits={"grid(1)": "blockIdx.x * 32 + threadIdx.x"},
    )

    dealt_like_cards = mutant(
        "Each element is done once, but neighbouring threads stand gridDim.x elements apart, so a "
        "warp fetches 32 scattered pieces of memory. Exchange the two: blocks far apart, threads "
        "side by side.",
        of=solved,
        edits={"grid(1)": "threadIdx.x * gridDim.x + blockIdx.x"},
    )

    @mutant(
        "One thread does everything in a loop, and all the others do nothing. There is no loop in "
        "a map: every thread does one element."
    )
    @jit.kernel
    def alone(a, x, y, out):
        if grid(1) == 0:
            for i in range(len(out)):
                out[i] = a * x[i] + y[i]

    @mutant(
        "One warp does the work of its block, a piece at a time, while the others look on. There is "
        "no loop over a block in a map: every thread does one element, and all at the same time."
    )
    @jit.kernel
    def one_warp_for_a_block(a, x, y, out):
        if threadIdx.x < 32:
            for t in range(threadIdx.x, blockDim.x, 32):
                i = blockIdx.x * blockDim.x + t
                if i < len(out):
                    out[i] = a * x[i] + y[i]

    multiplies_the_sum = mutant(
        "a multiplies x alone: a * x[i] + y[i].",
        of=solved,
        edits={"a * x[i] + y[i]": "a * (x[i] + y[i])"},
    )

    multiplies_y = mutant(
        "a multiplies x, not y: a * x[i] + y[i].",
        of=solved,
        edits={"a * x[i] + y[i]": "x[i] + a * y[i]"},
    )

    adds_to_out = mutant(
        "You add to what stands in out, and nothing stands there yet. Write =, not +=.",
        of=solved,
        edits={"out[i] =": "out[i] +="},
    )

    @alternative("the number of the thread worked out by hand")
    @jit.kernel
    def by_hand(a, x, y, out):
        i = blockIdx.x * blockDim.x + threadIdx.x
        if i < len(out):
            out[i] = y[i] + x[i] * a

    @alternative("threads without an element leave first")
    @jit.kernel
    def leaves_early(a, x, y, out):
        i = grid(1)
        if i >= out.shape[0]:
            return
        out[i] = a * x[i] + y[i]

    @alternative("a loop by strides of the whole grid")
    @jit.kernel
    def strides(a, x, y, out):
        for i in range(grid(1), out.size, gridsize(1)):
            out[i] = a * x[i] + y[i]


# -- 18.2: a map in two dimensions ---------------------------------------------------------------


@lesson.exercise("18.2", names=["bias_relu"], title="Rows, columns, and who stands beside whom")
class BiasRelu(Exercise):
    hints = (
        "`grid(2)` gives two numbers: first x, across the columns, then y, down the rows.",
        "The grid has too many threads in both directions. So the guard has two conditions.",
        "`col, row = grid(2)`, then `if row < out.shape[0] and col < out.shape[1]:`. The bias "
        "belongs to a column.",
    )

    def cases(self, rng):
        shapes = [(1, 1), (1, 40), (40, 1), (7, 33), (33, 7), (16, 16), (20, 50), (64, 96), (0, 5)]
        for number, (rows, cols) in enumerate(shapes):
            threads = [(32, 4), (16, 8), (8, 8)][number % 3]
            dtype = [np.float32, np.float64][number % 2]
            yield self._case(rng, rows, cols, threads, dtype)
        yield self._case(rng, 64, 64, (32, 8), np.float32)
        yield self._case(rng, 3, 5, (32, 8), np.float32)

    def _case(self, rng, rows, cols, threads, dtype):
        x, bias = quarters(rng, (rows, cols), dtype), quarters(rng, cols, dtype)
        blocks = (blocks_for(cols, threads[0]), blocks_for(rows, threads[1]))
        label = f"{rows}×{cols}, blocks of {threads[0]}×{threads[1]}, {np.dtype(dtype)}"
        return Case((x, bias), label=label, size=x.size or 9000, data=(blocks, threads))

    def call(self, ns, case):
        x, bias = case.args
        out = np.full(x.shape, np.nan, x.dtype)
        return launch(ns["bias_relu"], *case.data, x, bias, out)

    def expected(self, x, bias):
        return np.where(x > -bias, x + bias, 0).astype(x.dtype)

    def judge(self, case, got, want):
        failure = judge_values("bias_relu", got, want)
        if failure is not None:
            return failure
        blocks, threads = case.data
        warps = math.prod(blocks) * ceil_div(math.prod(threads), 32)
        return judge_advice(got, "uncoalesced") or judge_sharing(got, 2 * warps, of_one=2)

    @jit.kernel
    def solved(x, bias, out):
        col, row = grid(2)
        if row < out.shape[0] and col < out.shape[1]:
            out[row, col] = max(x[row, col] + bias[col], 0.0)

    row_first = mutant(
        "x runs across the columns and y down the rows: grid(2) gives the column first. So `col, "
        "row = grid(2)`; the array is still indexed [row, col].",
        of=solved,
        edits={"col, row = grid(2)": "row, col = grid(2)"},
    )

    guards_columns = mutant(
        "Columns are guarded, rows are not: the last blocks reach below the bottom too.",
        of=solved,
        edits={"row < out.shape[0] and col < out.shape[1]": "col < out.shape[1]"},
    )

    guards_rows = mutant(
        "Rows are guarded, columns are not: the last blocks reach over the right edge too.",
        of=solved,
        edits={"row < out.shape[0] and col < out.shape[1]": "row < out.shape[0]"},
    )

    either_will_do = mutant(
        "A thread needs a row *and* a column: with `or` it may work where it has only one.",
        of=solved,
        edits={" and ": " or "},
    )

    sizes_exchanged = mutant(
        "The two sizes are exchanged: shape[0] counts rows, shape[1] columns.",
        of=solved,
        edits={
            "row < out.shape[0] and col < out.shape[1]": "row < out.shape[1] and col < out.shape[0]"
        },
    )

    bias_of_the_row = mutant(
        "There is one bias for each column, the same in all rows: bias[col].",
        of=solved,
        edits={"bias[col]": "bias[row]"},
    )

    relu_first = mutant(
        "The bias comes first and then the ReLU, as in a layer: max(x + bias, 0).",
        of=solved,
        edits={"max(x[row, col] + bias[col], 0.0)": "max(x[row, col], 0.0) + bias[col]"},
    )

    no_relu = mutant(
        "The ReLU is missing: what is below 0 becomes 0.",
        of=solved,
        edits={"max(x[row, col] + bias[col], 0.0)": "x[row, col] + bias[col]"},
    )

    @mutant(
        "Elements that are 0 are never written: `out` held anything before. Write 0 where the sum "
        "is not above it."
    )
    @jit.kernel
    def writes_only_positive(x, bias, out):
        col, row = grid(2)
        if row < out.shape[0] and col < out.shape[1]:
            if x[row, col] + bias[col] > 0.0:
                out[row, col] = x[row, col] + bias[col]

    @mutant(
        "The first rows of threads of a block do the work of all of them, in a loop, while the other "
        "warps look on. Every thread does one element: row and column from grid(2)."
    )
    @jit.kernel
    def one_warp_for_a_block(x, bias, out):
        col = blockIdx.x * blockDim.x + threadIdx.x
        down = 32 // blockDim.x  # rows of a warp
        if threadIdx.y < down:
            for t in range(threadIdx.y, blockDim.y, down):
                row = blockIdx.y * blockDim.y + t
                if row < out.shape[0] and col < out.shape[1]:
                    out[row, col] = max(x[row, col] + bias[col], 0.0)

    @alternative("both numbers worked out by hand")
    @jit.kernel
    def by_hand(x, bias, out):
        row = blockIdx.y * blockDim.y + threadIdx.y
        col = blockIdx.x * blockDim.x + threadIdx.x
        if row >= x.shape[0] or col >= x.shape[1]:
            return
        value = x[row, col] + bias[col]
        out[row, col] = value if value > 0.0 else 0.0

    @alternative("two branches that store, one for each side of the ReLU")
    @jit.kernel
    def two_branches(x, bias, out):
        col, row = grid(2)
        if row < out.shape[0] and col < out.shape[1]:
            value = x[row, col] + bias[col]
            if value > 0.0:
                out[row, col] = value
            else:
                out[row, col] = 0.0

    @alternative("loops by strides of the whole grid, both ways")
    @jit.kernel
    def strides(x, bias, out):
        first_col, first_row = grid(2)
        across, down = gridsize(2)
        for row in range(first_row, out.shape[0], down):
            for col in range(first_col, out.shape[1], across):
                out[row, col] = max(x[row, col] + bias[col], 0.0)

    @alternative("nested guards")
    @jit.kernel
    def nested(x, bias, out):
        col, row = grid(2)
        if col < len(bias):
            if row < len(out):
                out[row, col] = max(0.0, bias[col] + x[row, col])


# -- 18.3: a reduction -----------------------------------------------------------------------------


@lesson.exercise("18.3", names=["block_sum"], title="A sum in seven steps", points=2)
class BlockSum(Exercise):
    hints = (
        "Three parts, with a barrier after the first and in each step of the second: fetch, add up "
        "by halves, write. Every thread must come to every barrier.",
        "A thread without an element writes 0.0 to the cache: that harms no sum, and the others can "
        "read it.",
        "`step` starts as THREADS // 2. In each round `if t < step: cache[t] += cache[t + step]`, "
        "then, outside of the if, `syncthreads()`, then `step //= 2`.",
    )

    def cases(self, rng):
        for n in (1, 2, 33, 127, 128, 129, 300, 512, 1000, 0):
            blocks = blocks_for(n, THREADS)
            label = f"{many(n, 'number')}, {many(blocks, 'block')} of {THREADS}"
            yield Case((quarters(rng, n),), label=label, size=n or 9000, data=blocks)
        yield Case((quarters(rng, 280)[::2],), label="every second number of 280", data=2)

    def call(self, ns, case):
        (x,) = case.args
        partial = np.full(case.data, np.nan, np.float32)
        return launch(ns["block_sum"], case.data, THREADS, x, partial)

    def expected(self, x):
        starts = range(0, max(1, len(x)), THREADS)
        return np.array([math.fsum(x[i : i + THREADS]) for i in starts], np.float32)

    def judge(self, case, got, want):
        failure = judge_values("block_sum", got, want)
        if failure is not None:
            return failure
        counts = got.report.counts
        if counts.global_atomics + counts.shared_atomics > WARPS * case.data:
            return Failure(
                "The sums are right, but the threads of a block queue up for one place, and add one "
                "after the other.",
                expected="a tournament: 7 rounds",
                got=f"{counts.global_atomics:,} atomics on global memory, "
                f"{counts.shared_atomics:,} on shared memory",
            )
        traffic = judge_traffic(got, len(case.args[0]), case.data)
        return traffic or judge_sharing(got, 40 * case.data)

    @jit.kernel
    def solved(x, partial):
        cache = shared.array(THREADS, np.float32)
        t = threadIdx.x
        i = grid(1)
        cache[t] = x[i] if i < len(x) else 0.0
        syncthreads()  # all numbers are there
        step = THREADS // 2
        while step > 0:
            if t < step:
                cache[t] += cache[t + step]
            syncthreads()  # the round is over
            step //= 2
        if t == 0:
            partial[blockIdx.x] = cache[0]

    no_barrier_before = mutant(
        "A thread adds its neighbour's number before the neighbour has written it. Between writing "
        "to the cache and reading what others wrote belongs a syncthreads().",
        of=solved,
        edits={"syncthreads()  # all numbers are there": ""},
    )

    no_barrier_between = mutant(
        "Each round reads what the round before wrote, and other warps may not be so far. All must "
        "meet after every round: syncthreads() inside of the loop.",
        of=solved,
        edits={"syncthreads()  # the round is over": ""},
    )

    barrier_in_the_if = mutant(
        "Half of the threads never come to the barrier, because it stands inside of the if. All of "
        "a block must: move syncthreads() out, under the if.",
        of=solved,
        edits={
            "cache[t] += cache[t + step]": "cache[t] += cache[t + step]\nsyncthreads()",
            "syncthreads()  # the round is over": "",
        },
    )

    no_tail = mutant(
        "Threads beyond the end of x fetch what is not there. They bring 0.0 instead.",
        of=solved,
        edits={" if i < len(x) else 0.0": ""},
    )

    tail_left_open = mutant(
        "Threads beyond the end write nothing, and their places hold what was there before. Shared "
        "memory is not empty at the start: they must write 0.0.",
        of=solved,
        edits={"cache[t] = x[i] if i < len(x) else 0.0": "if i < len(x):\n    cache[t] = x[i]"},
    )

    tail_goes_home = mutant(
        "Threads beyond the end leave the kernel, and the others wait for them at the barrier. They "
        "must stay, bring 0.0, and come to every syncthreads().",
        of=solved,
        edits={
            "cache[t] = x[i] if i < len(x) else 0.0": "cache[t] = 0.0\nif i >= len(x):\n    return\ncache[t] = x[i]"
        },
    )

    all_write = mutant(
        "All 128 threads write the block's sum to one place. They write the same number, so it "
        "comes out right, but one store is enough: if t == 0.",
        of=solved,
        edits={"t == 0": "True"},
    )

    all_blocks_to_one = mutant(
        "Every block writes to partial[0]. Each has a place of its own: partial[blockIdx.x].",
        of=solved,
        edits={"partial[blockIdx.x]": "partial[0]"},
    )

    first_block_again = mutant(
        "Every block sums the first 128 numbers: fetch x[grid(1)], not x[threadIdx.x].",
        of=solved,
        edits={"grid(1)": "t"},
    )

    starts_too_far = mutant(
        "The first step reaches beyond the end of the cache: with THREADS places, half of them away "
        "is THREADS // 2.",
        of=solved,
        edits={"step = THREADS // 2": "step = THREADS"},
    )

    stops_too_soon = mutant(
        "The last step is missing: with step = 1, cache[1] still has to go to cache[0].",
        of=solved,
        edits={"step > 0": "step > 1"},
    )

    everybody_adds = mutant(
        "All threads add in every round, and so they read what others are just changing. In a round "
        "only the first half adds: if t < step.",
        of=solved,
        edits={"t < step": "t + step < THREADS"},
    )

    @mutant(
        "Thread 0 adds up everything while 127 others look on. Let half of the threads add in each "
        "round: that takes 7 rounds, not 128."
    )
    @jit.kernel
    def alone(x, partial):
        cache = shared.array(THREADS, np.float32)
        t = threadIdx.x
        i = grid(1)
        cache[t] = x[i] if i < len(x) else 0.0
        syncthreads()
        if t == 0:
            total = 0.0
            for k in range(THREADS):
                total += cache[k]
            partial[blockIdx.x] = total

    starts_with_a_warp = mutant(
        "The first round has to fold the cache in the middle, and it has THREADS places: start with "
        "step = THREADS // 2. From 32 on, half of the numbers are never added.",
        of=solved,
        edits={"step = THREADS // 2": "step = 32"},
    )

    @mutant(
        "atomic.add lets one thread after the other add: 128 turns, where a tournament has 7 rounds. "
        "And floats added in the order of arrival differ in the last digits from run to run."
    )
    @jit.kernel
    def queues_up(x, partial):
        total = shared.array(1, np.float32)
        t = threadIdx.x
        i = grid(1)
        if t == 0:
            total[0] = 0.0
        syncthreads()
        atomic.add(total, 0, x[i] if i < len(x) else 0.0)
        syncthreads()
        if t == 0:
            partial[blockIdx.x] = total[0]

    @alternative("a sum for each warp by shuffles, and these four by atomics")
    @jit.kernel
    def warps_by_atomics(x, partial):
        total = shared.array(1, np.float32)
        t = threadIdx.x
        i = grid(1)
        if t == 0:
            total[0] = 0.0
        syncthreads()
        value = x[i] if i < len(x) else 0.0
        for k in range(5):
            value += shfl_down_sync(ALL, value, 16 >> k)
        if t % 32 == 0:
            atomic.add(total, 0, value)
        syncthreads()
        if t == 0:
            partial[blockIdx.x] = total[0]

    @alternative("neighbours first: steps of 1, 2, 4 ...")
    @jit.kernel
    def neighbours_first(x, partial):
        cache = shared.array(THREADS, np.float32)
        t = threadIdx.x
        i = grid(1)
        cache[t] = x[i] if i < len(x) else 0.0
        step = 1
        while step < THREADS:
            syncthreads()
            if t % (2 * step) == 0:
                cache[t] += cache[t + step]
            step *= 2
        if t == 0:
            partial[blockIdx.x] = cache[0]

    @alternative("a for loop over the seven rounds, the tail by an if")
    @jit.kernel
    def for_loop(x, partial):
        cache = shared.array(THREADS, np.float32)
        t = threadIdx.x
        i = grid(1)
        cache[t] = 0.0
        if i < len(x):
            cache[t] = x[i]
        for k in range(7):
            syncthreads()
            half = THREADS >> (k + 1)
            if t < half:
                cache[t] = cache[t] + cache[t + half]
        if t == 0:
            partial[blockIdx.x] = cache[0]

    @alternative("within a warp by shuffles, without shared memory")
    @jit.kernel
    def shuffles(x, partial):
        sums = shared.array(4, np.float32)
        t = threadIdx.x
        i = grid(1)
        value = x[i] if i < len(x) else 0.0
        for k in range(5):
            value += shfl_down_sync(ALL, value, 16 >> k)
        if t % 32 == 0:
            sums[t // 32] = value
        syncthreads()
        if t == 0:
            partial[blockIdx.x] = sums[0] + sums[1] + sums[2] + sums[3]


# -- 18.4: a race to mend --------------------------------------------------------------------------


@lesson.exercise("18.4", names=["histogram"], title="Mend the histogram", points=2)
class Histogram(Exercise):
    hints = (
        "Read the report of `leaky_histogram` once more: each ✗ names a line and two threads.",
        "Where several threads change one element, use `atomic.add`. Where one part reads what "
        "another part wrote, put a `syncthreads()` between them.",
        "`atomic.add(bins, values[i], 1)` to count, `atomic.add(counts, t, bins[t])` to collect, "
        "and a barrier after setting to 0 and one before collecting.",
    )

    def cases(self, rng):
        for n in (1, 5, 40, 128, 129, 500, 1000, 0):
            blocks = blocks_for(n, THREADS)
            values = rng.integers(0, BINS, n).astype(np.int32)
            label = f"{many(n, 'digit')}, {many(blocks, 'block')} of {THREADS}"
            yield Case((values,), label=label, size=n or 9000, data=blocks)
        same = np.full(300, 7, np.int32)
        yield Case((same,), label="300 times the digit 7", data=3)

    def call(self, ns, case):
        (values,) = case.args
        counts = np.zeros(BINS, np.int32)
        return launch(ns["histogram"], case.data, THREADS, values, counts)

    def expected(self, values):
        return np.bincount(values, minlength=BINS).astype(np.int32)

    def judge(self, case, got, want):
        failure = judge_values("histogram", got, want)
        if failure is not None:
            return failure
        c, n = got.report.counts, len(case.args[0])
        if c.global_loads > n:
            return Failure(
                "The counts are right, but digits are fetched more than once.",
                expected=f"{n:,} loads",
                got=f"{c.global_loads:,} loads",
            )
        if c.global_atomics > BINS * case.data:
            return Failure(
                "The counts are right, but every digit is counted in global memory, where all "
                "threads of all blocks queue up.",
                expected=f"at most {BINS * case.data:,} atomics on `counts`: {BINS} a block",
                got=f"{c.global_atomics:,}",
            )
        return judge_sharing(got, 40 * case.data)

    @jit.kernel
    def solved(values, counts):
        bins = shared.array(BINS, np.int32)
        t = threadIdx.x
        i = grid(1)
        if t < BINS:  # set to 0
            bins[t] = 0
        syncthreads()  # all bins are 0
        if i < len(values):
            atomic.add(bins, values[i], 1)
        syncthreads()  # all is counted
        if t < BINS:  # collect
            atomic.add(counts, t, bins[t])

    loses_counts = mutant(
        "`bins[v] += 1` reads, adds and writes; another thread comes between, and its 1 is lost. "
        "Make it one step: atomic.add(bins, v, 1).",
        of=solved,
        edits={"atomic.add(bins, values[i], 1)": "bins[values[i]] += 1"},
    )

    no_barrier_after_zeros = mutant(
        "Some warps count before the bins are set to 0, and their counts are wiped out. A "
        "syncthreads() belongs after the zeros.",
        of=solved,
        edits={"syncthreads()  # all bins are 0": ""},
    )

    no_barrier_before_collecting = mutant(
        "The first threads collect the bins while other warps still count. A syncthreads() belongs "
        "before the last part.",
        of=solved,
        edits={"syncthreads()  # all is counted": ""},
    )

    blocks_race = mutant(
        "Inside of a block all is right, but the blocks collect at the same time, and `counts[t] "
        "+= bins[t]` is a race between them. syncthreads() does not reach over blocks: use "
        "atomic.add.",
        of=solved,
        edits={"atomic.add(counts, t, bins[t])": "counts[t] += bins[t]"},
    )

    overwrites = mutant(
        "Each block overwrites what the others collected: add to counts, don't set it.",
        of=solved,
        edits={"atomic.add(counts, t, bins[t])": "counts[t] = bins[t]"},
    )

    no_zeros = mutant(
        "Shared memory is not 0 at the start: the first threads must set the bins to 0.",
        of=solved,
        edits={
            "if t < BINS:  # set to 0": "",
            "    bins[t] = 0": "",
            "syncthreads()  # all bins are 0": "",
        },
    )

    more_threads_than_bins = mutant(
        "There are 128 threads and 10 bins: only the threads with t < BINS have one to handle.",
        of=solved,
        edits={"t < BINS:  # set to 0": "True:", "t < BINS:  # collect": "True:"},
    )

    arguments_exchanged = mutant(
        "First the array, then where, then how much: atomic.add(bins, values[i], 1).",
        of=solved,
        edits={"values[i], 1": "1, values[i]"},
    )

    all_collect_all = mutant(
        "Every thread collects all bins, so each is added 128 times. Ten threads collect, one bin "
        "each.",
        of=solved,
        edits={
            "if t < BINS:  # collect": "for k in range(BINS):",
            "atomic.add(counts, t, bins[t])": "atomic.add(counts, k, bins[k])",
        },
    )

    without_guard = mutant(
        "The last block has threads without a digit: guard the line with i < len(values).",
        of=solved,
        edits={"i < len(values)": "True"},
    )

    @mutant(
        "Right, and free of races, but slow: all threads of all blocks queue up for ten elements of "
        "global memory. Count in the block's own bins first, then add these: ten atomics a block."
    )
    @jit.kernel
    def all_in_global_memory(values, counts):
        i = grid(1)
        if i < len(values):
            atomic.add(counts, values[i], 1)

    @alternative("one thread sets all bins to 0, empty bins are not collected")
    @jit.kernel
    def careful(values, counts):
        bins = shared.array(BINS, np.int32)
        t = threadIdx.x
        i = blockIdx.x * blockDim.x + t
        if t == 0:
            for k in range(BINS):
                bins[k] = 0
        syncthreads()
        if i < len(values):
            v = values[i]
            atomic.add(bins, v, 1)
        syncthreads()
        if t < BINS and bins[t] > 0:
            atomic.add(counts, t, bins[t])

    @alternative("loops by strides of the block and of the grid")
    @jit.kernel
    def strides(values, counts):
        bins = shared.array(BINS, np.int32)
        for k in range(threadIdx.x, BINS, blockDim.x):
            bins[k] = 0
        syncthreads()
        for i in range(grid(1), len(values), gridsize(1)):
            atomic.add(bins, values[i], 1)
        syncthreads()
        for k in range(threadIdx.x, BINS, blockDim.x):
            atomic.add(counts, k, bins[k])


# -- predictions -------------------------------------------------------------------------------

lesson.predict(
    "18.A",
    question="1,024 threads each do counter[0] = counter[0] + 1, and it starts at 0. What is in "
    "counter[0] afterwards?",
    kind="choice",
    choices=["1,024", "something between 1 and 1,023", "1,024, but after a long wait"],
    explain="Each thread reads, adds and writes, in three steps, and others come between. Most "
    "ones are lost, and how many depends on who comes when.",
)
lesson.predict(
    "18.B",
    question="How many times as much memory does a warp fetch if its threads read every 8th "
    "float32 in place of neighbours?",
    unit="times",
    explain="Memory comes in sectors of 32 bytes: 8 float32. With a stride of 8, each number costs "
    "a sector of its own.",
)
lesson.predict(
    "18.C",
    question="block_sum turns 128 numbers into one. How many launches, one after the other, turn "
    "1,000,000 numbers into one?",
    unit="launches",
    explain="1,000,000 → 7,813 → 62 → 1: each launch divides by 128.",
)


# -- the milestone -----------------------------------------------------------------------------

SIZES = 30


def fewest_loads(n):
    """Global loads of a sum that fetches every number, and every partial sum, once."""
    loads = n
    while n > 1:
        n = ceil_div(n, THREADS)
        loads += n if n > 1 else 0
    return loads


@lesson.milestone(
    "18.M",
    title="right on ragged sizes, no race, and no number fetched twice",
    names=["axpy", "bias_relu", "block_sum", "histogram", "total"],
    points=3,
    hints=["Run the checks 18.1 to 18.4 again: one of them tells which kernel is not right."],
)
def milestone(ns):
    rng = np.random.default_rng()
    for count in range(SIZES):
        n = int(rng.integers(1, 40) if count % 3 == 0 else rng.integers(1, 40_000))
        wrong = wrong_with_total(ns, quarters(rng, n)) or wrong_with_maps(ns, rng, n)
        if wrong:
            return MilestoneResult(False, count, f"with {n:,} numbers {wrong}")
    text = (
        f"{SIZES} of {SIZES} ragged sizes right; 0 races; each number and each partial sum loaded "
        "once"
    )
    return MilestoneResult(True, SIZES, text)


def wrong_with_total(ns, x):
    with jit.watch() as launches:
        got = ns["total"](x)
    if launches.errors:
        return f"the simulator found: {launches.errors[0].message}"
    if got is None:
        return "total gave None: return the one number that is left"
    if np.shape(got) != ():
        return f"total gave an array of shape {np.shape(got)}; return the number in it: x[0]"
    want = math.fsum(x)
    if float(got) != want:
        return f"total gave {float(got):g}, and the sum is {want:g}"
    loads, fewest = launches.counts.global_loads, fewest_loads(len(x))
    if len(x) > 1 and loads > fewest:
        return f"total loaded {loads:,} numbers from global memory; {fewest:,} are enough"
    if len(x) > 1 and loads < fewest:
        return (
            f"the sum is right, but the kernels loaded {loads:,} numbers, and with block_sum alone "
            f"it is {fewest:,}: something else added up the rest"
        )
    return None


def wrong_with_maps(ns, rng, n):
    exercises = lesson.exercises
    rows, cols = 1 + n % 37, 1 + n % 61
    x, bias = quarters(rng, (rows, cols)), quarters(rng, cols)
    blocks = (blocks_for(cols, 32), blocks_for(rows, 4))
    long, short = quarters(rng, (2, n % 5000)), rng.integers(0, BINS, n % 5000).astype(np.int32)
    for id, args, data in [
        ("18.1", (0.5, *long), (blocks_for(n % 5000, 64), 64)),
        ("18.2", (x, bias), (blocks, (32, 4))),
        ("18.4", (short,), blocks_for(n % 5000, THREADS)),
    ]:
        exercise, case = exercises[id], Case(args, data=data)
        failure = exercise.judge(case, exercise.call(ns, case), exercise.expected(*args))
        if failure is not None:
            return f"{exercise.names[0]} is not right: {failure.message}"
    return None


@milestone.mutant("What does not fill a block is forgotten.", bundle=True)
def forgets_the_rest(ns):
    return {"total": lambda x: ns["total"](x[: len(x) // 32 * 32]) if len(x) >= 32 else 0.0}


@milestone.mutant("Every number is fetched, copied, and fetched again.", bundle=True)
def copies_first(ns):
    def total(x):
        copy = np.zeros_like(x)
        ns["axpy"][blocks_for(len(x), 64), 64](1.0, x, copy.copy(), copy)
        return ns["total"](copy)

    return {"total": total}


@milestone.mutant("The sum is NumPy's: no kernel was launched.", bundle=True)
def by_numpy(ns):
    return {"total": lambda x: float(x.sum())}


@milestone.mutant("One launch of block_sum, and NumPy adds the partial sums.", bundle=True)
def numpy_adds_the_rest(ns):
    def total(x):
        partial = np.empty(blocks_for(len(x), THREADS), np.float32)
        ns["block_sum"][len(partial), THREADS](x, partial)
        return partial.sum()

    return {"total": total}


@milestone.mutant("An array with the sum in it, not the sum.", bundle=True)
def still_an_array(ns):
    return {"total": lambda x: np.array([ns["total"](x)])}


@milestone.mutant("A histogram that loses counts.", bundle=True)
def racy_histogram(ns):
    return {"histogram": Histogram.loses_counts.body}
