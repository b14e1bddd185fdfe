"""Planted mistakes: each is caught, says which threads and lines, and what to do."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import tensorlab as tl
from tensorlab.cuda import jit
from tensorlab.cuda.jit import (
    atomic,
    blockIdx,
    grid,
    laneid,
    shared,
    shfl_down_sync,
    syncthreads,
    syncwarp,
    threadIdx,
)

from . import kernels


def line_of(kernel, text: str) -> int:
    """The number of the one line of a kernel that has this text."""
    source = kernel.source
    (at,) = [n for n, line in enumerate(source.lines) if text in line]
    return source.first + at


def watched(kernel, configuration, *args):
    with jit.watch() as launches:
        kernel[configuration](*args)
    return launches[0]


def zeros(*shape: int, dtype: Any = np.float32):
    return np.zeros(shape, dtype)


# Races --------------------------------------------------------------------------------------


@jit.kernel
def sum_without_barrier(x, out):
    parts = shared.array(128, tl.float32)
    t = threadIdx.x
    parts[t] = x[grid(1)]
    syncthreads()
    stride = 64
    while stride > 0:
        if t < stride:
            parts[t] += parts[t + stride]  # sums
        stride //= 2
    if t == 0:
        out[blockIdx.x] = parts[0]


def test_missing_barrier_in_a_loop(rng):
    x, out = rng.standard_normal(512).astype(np.float32), zeros(4)
    report = watched(sum_without_barrier, (4, 128), x, out)
    (race,) = report.races
    line = line_of(sum_without_barrier, "# sums")
    assert (race.kind, race.severity, race.line, race.array) == ("race", "error", line, "parts")
    assert race.threads[0].block == race.threads[1].block
    assert race.threads[0].thread[0] // 32 != race.threads[1].thread[0] // 32
    loop = line_of(sum_without_barrier, "while stride")
    assert f"syncthreads() at the end of the loop of line {loop}" in race.advice
    assert not report.ok
    # The simulator lets warps run apart, so the values are wrong, as a GPU's could be.
    assert not np.allclose(out, x.reshape(4, 128).sum(1), rtol=1e-3)


def test_values_of_a_race_depend_on_the_order_of_warps(rng):
    x = rng.standard_normal(512).astype(np.float32)
    found = set()
    for seed in range(8):
        out = zeros(4)
        with jit.watch(seed=seed):
            sum_without_barrier[4, 128](x, out)
        found.add(out.tobytes())
    assert len(found) > 1


@jit.kernel
def reverse_without_barrier(x):
    held = shared.array(64, tl.float32)
    t = threadIdx.x
    held[t] = x[t]  # fills
    x[t] = held[63 - t]  # reads


def test_missing_barrier_between_two_lines():
    report = watched(reverse_without_barrier, (1, 64), zeros(64))
    (race,) = [r for r in report.races if r.array == "held"]
    fills = line_of(reverse_without_barrier, "# fills")
    reads = line_of(reverse_without_barrier, "# reads")
    assert set(race.lines) == {fills, reads}
    # Half of the time the reader's warp came first.
    assert "put syncthreads() " in race.advice
    assert "syncthreads" not in " ".join(f.message for f in report.findings)


@jit.kernel
def matmul_without_second_barrier(a, b, c):
    tile = shared.array((8, 8), tl.float32)
    x = threadIdx.x
    y = threadIdx.y
    total = 0.0
    for start in range(0, 16, 8):
        tile[y, x] = b[start + y, x]  # fills
        syncthreads()
        for k in range(8):
            total += a[y, start + k] * tile[k, x]  # uses
    c[y, x] = total


def test_missing_barrier_before_the_next_pass(rng):
    a, b = rng.standard_normal((2, 8, 16)).astype(np.float32)
    report = watched(matmul_without_second_barrier, (1, (8, 8)), a, b.T.copy(), zeros(8, 8))
    (race,) = report.races
    uses, fills = (line_of(matmul_without_second_barrier, t) for t in ("# uses", "# fills"))
    assert set(race.lines) == {uses, fills}
    assert f"after line {uses}" in race.advice


@jit.kernel
def count_plainly(counts):
    counts[0] += 1


@jit.kernel
def count_atomically(counts):
    atomic.add(counts, 0, 1)


def test_counter_that_all_threads_change():
    counts = zeros(1, dtype=np.int32)
    report = watched(count_plainly, (4, 64), counts)
    (race,) = report.races
    assert "atomic.add(counts" in race.advice
    assert counts[0] < 256
    counts[0] = 0
    report = watched(count_atomically, (4, 64), counts)
    assert report.ok
    assert counts[0] == 256
    assert report.counts.atomic_collisions == 8 * 31


@jit.kernel
def neighbours(x):
    i = grid(1)
    if 0 < i < len(x):
        x[i] = x[i - 1] + 1.0


def test_race_between_blocks_needs_another_launch():
    report = watched(neighbours, (2, 32), zeros(64))
    across = [r for r in report.races if r.threads[0].block != r.threads[1].block]
    assert [r.count for r in across] == [1]
    assert "blocks run in any order" in across[0].message
    # Inside of a warp it is a race too: lanes need not run in step.
    within = [r for r in report.races if r.threads[0].block == r.threads[1].block]
    assert "one warp" in within[0].message


@jit.kernel
def warp_swap(x, out):
    held = shared.array(32, tl.float32)
    held[laneid()] = x[laneid()]
    out[laneid()] = held[31 - laneid()]


def test_race_inside_of_a_warp_and_syncwarp():
    report = watched(warp_swap, (1, 32), zeros(32), zeros(32))
    (race,) = report.races
    assert "syncwarp() or syncthreads()" in race.advice


@jit.kernel
def everybody_writes(out, same):
    out[0] = 1.0 if same else float(threadIdx.x)


def test_many_threads_write_one_element():
    same = watched(everybody_writes, (1, 64), zeros(1), True)
    assert same.ok
    assert [f.severity for f in same.races] == ["note"]
    apart = watched(everybody_writes, (1, 64), zeros(1), False)
    assert [f.severity for f in apart.races] == ["error"]


@jit.kernel
def overlapping(x, y):
    i = grid(1)
    if i < len(y):
        y[i] = x[i]


def test_two_arguments_that_share_memory():
    x = zeros(65)
    report = watched(overlapping, (1, 64), x[:-1], x[1:])
    assert report.races
    assert watched(overlapping, (1, 64), x[:32], x[32:64]).ok


@jit.kernel
def atomic_then_plain(counts, out):
    held = shared.array(4, tl.int32)
    t = threadIdx.x
    if t < 4:
        held[t] = 0
    syncthreads()
    atomic.add(held, t % 4, 1)
    if t < 4:
        out[t] = held[t]


def test_plain_read_beside_atomic_accesses():
    report = watched(atomic_then_plain, (1, 64), zeros(4), zeros(4, dtype=np.int32))
    (race,) = report.races
    assert "between the atomic accesses and the others" in race.advice


# Barriers -----------------------------------------------------------------------------------


@jit.kernel
def two_barriers(x):
    t = threadIdx.x
    if t < 32:
        x[t] = 1.0
        syncthreads()  # one
    else:
        x[t] = 2.0
        syncthreads()  # other


@jit.kernel
def half_a_warp(x):
    t = threadIdx.x
    if t < 16:
        x[t] = 1.0
        syncthreads()
    x[t] = 2.0


@pytest.mark.parametrize(
    ("kernel", "words"),
    [
        (two_barriers, ["threads 0–31 wait", "threads 32–63 wait"]),
        (
            half_a_warp,
            ["threads 0–15 wait", "threads 16–31 did not come", "threads 32–63 have ended"],
        ),
    ],
)
def test_deadlock_says_where_each_thread_waits(kernel, words):
    report = watched(kernel, (3, 64), zeros(64))
    (found,) = report.of_kind("deadlock")
    assert all(each in found.message for each in words), found.message
    assert report.stopped.startswith("deadlock")
    with pytest.raises(jit.KernelError, match="waits for ever") as caught:
        kernel[3, 64](zeros(64))
    assert caught.value.report.stopped


@jit.kernel
def early_return(x, n):
    t = threadIdx.x
    if t >= n:
        return  # leaves
    x[t] = 1.0
    syncthreads()  # waits


def test_threads_that_left_before_a_barrier():
    report = watched(early_return, (1, 96), zeros(96), 50)
    (found,) = report.of_kind("barrier")
    assert found.line == line_of(early_return, "# waits")
    assert str(line_of(early_return, "# leaves")) in found.message
    assert "46 of the 96 threads" in found.message
    assert watched(early_return, (1, 96), zeros(96), 96).ok


@jit.kernel
def blocks_apart(x, out):
    """Branches that differ between blocks, never inside of one."""
    held = shared.array(64, tl.float32)
    t = threadIdx.x
    b = blockIdx.x
    x_next = 0.0
    for step in range(b + 1):
        held[t] = x[t] + step
        syncthreads()
        x_next = held[63 - t]
        syncthreads()
        if b % 2 == 0:
            held[t] = x_next
            syncthreads()
            x_next = held[63 - t]
            syncthreads()
    out[b, t] = x_next


def test_blocks_may_take_different_ways_to_their_barriers(rng):
    x, out = rng.standard_normal(64).astype(np.float32), zeros(5, 64)
    report = watched(blocks_apart, (5, 64), x, out)
    assert report.ok, str(report)
    for b in range(5):
        expected = x + np.float32(b)
        assert np.array_equal(out[b], expected if b % 2 == 0 else expected[::-1])


@jit.kernel
def never_ends(x):
    while x[0] < 1.0:
        x[1] = 0.0


def test_endless_loop_is_stopped():
    with jit.watch(limit=1000) as launches:
        never_ends[1, 32](zeros(2))
    (found,) = launches[0].of_kind("endless-loop")
    assert found.line == line_of(never_ends, "while")
    assert "1,000 times" in found.message


@jit.kernel
def step_of_nothing(x, each):
    for i in range(0, 3, x[0] if each else x[threadIdx.x]):
        x[1] = i


@pytest.mark.parametrize("each", [True, False])
def test_a_step_of_zero_never_ends(each):
    report = watched(step_of_nothing, (1, 2), zeros(2, dtype=np.int32), each)
    (found,) = report.of_kind("endless-loop")
    assert "a step of 0" in found.message


@jit.kernel
def wait_for_a_flag(flag, out):
    """The second warp waits for the first one, without a barrier."""
    if threadIdx.x < 32:
        out[threadIdx.x] = 1.0
        atomic.exch(flag, 0, 1)
    else:
        while atomic.add(flag, 0, 0) == 0:
            syncwarp()
        out[threadIdx.x] = 2.0


@pytest.mark.parametrize("seed", range(4))
def test_a_warp_may_wait_for_another_one(seed):
    out = zeros(64)
    with jit.watch(seed=seed) as launches:
        wait_for_a_flag[1, 64](zeros(1, dtype=np.int32), out)
    assert not launches[0].stopped
    assert out.tolist() == [1.0] * 32 + [2.0] * 32


# Memory -------------------------------------------------------------------------------------


@jit.kernel
def unguarded(x, out):
    i = grid(1)
    out[i] = x[i - 1]


def test_out_of_bounds_says_who_what_and_how_long():
    report = watched(unguarded, (2, 64), zeros(100), zeros(100))
    read = next(f for f in report.findings if "thread 0 of block 0 reads x[-1]" in f.message)
    assert "does not count from the end" in read.advice
    assert read.count == 28
    write = next(f for f in report.findings if "writes out[100]" in f.message)
    assert (write.count, write.index, write.array) == (28, (100,), "out")
    assert write.threads[0] == jit.Place((36, 0, 0), (1, 0, 0))
    with pytest.raises(jit.KernelError, match=r"but x has 100 elements"):
        unguarded[2, 64](zeros(100), zeros(100))


@jit.kernel
def column(a, out, j):
    out[threadIdx.x] = a[threadIdx.x, j]


def test_each_dimension_is_checked():
    """In memory the element would be inside of the array: on a GPU this is a wrong number."""
    report = watched(column, (1, 3), zeros(4, 5), zeros(3), 5)
    (found,) = report.of_kind("out-of-bounds")
    assert "a[0, 5], but a has 5 elements along dimension 1" in found.message


@jit.kernel
def half_filled(x):
    held = shared.array((2, 32), tl.float32)
    t = threadIdx.x
    if t < 32:
        held[0, t] = x[t]
    syncthreads()
    x[t] = held[t // 32, t % 32]


def test_shared_memory_that_nobody_wrote():
    x = zeros(64)
    report = watched(half_filled, (1, 64), x)
    (found,) = report.of_kind("uninitialised")
    assert "held[1, 0]" in found.message
    assert found.count == 32
    assert np.isnan(x[32:]).all()
    with pytest.warns(jit.KernelWarning, match=r"reads held\[1, 0\]"):
        half_filled[1, 64](zeros(64))


@jit.kernel
def sometimes_set(x):
    if threadIdx.x < 3:
        value = 2.0
    x[threadIdx.x] = value  # pyright: ignore[reportPossiblyUnboundVariable]


def test_variable_without_a_value():
    report = watched(sometimes_set, (1, 8), zeros(8))
    (found,) = report.of_kind("uninitialised")
    assert "thread 3 of block 0 reads value" in found.message


@jit.kernel
def shuffle_in_a_branch(x, n):
    i = threadIdx.x
    if i < n:
        x[i] = shfl_down_sync(0xFFFFFFFF, x[i], 1)


def test_shuffle_that_not_all_lanes_come_to():
    report = watched(shuffle_in_a_branch, (1, 32), zeros(32), 20)
    missing, silent = report.of_kind("warp")
    assert "lanes 20–31" in missing.message
    assert "asks lane 20" in silent.message
    assert watched(shuffle_in_a_branch, (1, 32), zeros(32), 32).ok


# Speed --------------------------------------------------------------------------------------


@jit.kernel
def read_by_columns(a, out):
    row, column = grid(2)  # the wrong way round
    if row < a.shape[0] and column < a.shape[1]:
        out[row, column] = a[row, column]


def test_uncoalesced_access():
    report = watched(read_by_columns, ((2, 8), (32, 8)), zeros(64, 64), zeros(64, 64))
    assert report.ok
    assert {f.array for f in report.of_kind("uncoalesced")} == {"a", "out"}
    (read,) = report.accesses_of("a")
    assert (read.requests, read.elements, read.parts, read.ideal) == (128, 4096, 4096, 512)
    assert read.efficiency == 0.125


@jit.kernel
def strided(x, out, step):
    i = grid(1)
    out[i] = x[i * step]


@pytest.mark.parametrize(("step", "sectors"), [(1, 4), (2, 8), (8, 32), (32, 32), (0, 1)])
def test_sectors_of_a_warp(step, sectors):
    report = watched(strided, (1, 32), zeros(1024), zeros(32), step)
    (read,) = report.accesses_of("x")
    assert read.parts == sectors
    assert read.ideal == (1 if step == 0 else 4)


def test_a_view_that_does_not_start_at_a_sector():
    report = watched(strided, (1, 32), zeros(64)[1:], zeros(32), 1)
    (read,) = report.accesses_of("x")
    assert (read.parts, read.ideal) == (5, 4)


@jit.kernel
def ramp(out, times):
    held = shared.array(64, tl.float32)
    t = threadIdx.x
    held[t] = 0.0
    syncthreads()
    if blockIdx.x % 2 == 1:
        for _ in range(t // 32 * times + 1):
            held[t] += 1.0  # more by the second warp
    syncthreads()
    out[grid(1)] = held[t]


def test_the_warp_that_asked_most():
    report = watched(ramp, (6, 64), zeros(384), 4)
    initial, *more = report.accesses_of("held", "write")
    assert (initial.requests, initial.busiest) == (12, 1)
    assert {(each.requests, each.busiest) for each in more} == {(3 * (1 + 5), 5)}
    (last,) = report.accesses_of("out")
    assert (last.requests, last.busiest) == (12, 1)
    assert last.to_dict()["busiest"] == 1


@jit.kernel
def writes_and_waits(out):
    for i in range(threadIdx.x, 160, 32):
        out[i] = 1.0
    while out[0] > 0.0:
        syncthreads()


def test_the_warp_that_asked_most_of_a_launch_that_was_stopped():
    with jit.watch(limit=50) as launches:
        writes_and_waits[1, 32](zeros(160))
    assert launches[0].stopped
    (write,) = launches[0].accesses_of("out", "write")
    assert (write.requests, write.busiest) == (5, 5)


@jit.kernel
def bank_pattern(out, step, offset):
    held = shared.array(2048, tl.float32)
    t = threadIdx.x
    held[(t * step + offset) % 2048] = 1.0


@pytest.mark.parametrize(
    ("step", "rounds"), [(0, 1), (1, 1), (2, 2), (3, 1), (4, 4), (16, 16), (32, 32), (33, 1)]
)
@pytest.mark.parametrize("offset", [0, 7])
def test_bank_conflicts(step, rounds, offset):
    report = watched(bank_pattern, (1, 32), zeros(1), step, offset)
    (write,) = report.accesses_of("held")
    assert (write.parts, write.ideal) == (rounds, 1)
    assert bool(report.of_kind("bank-conflict")) == (rounds >= 8)


@jit.kernel
def bank_pattern_64(out, step):
    held = shared.array(1024, tl.float64)
    held[threadIdx.x * step] = np.float64(1)


@pytest.mark.parametrize(("step", "rounds"), [(1, 2), (2, 4), (16, 32), (17, 2)])
def test_bank_conflicts_of_wide_elements(step, rounds):
    report = watched(bank_pattern_64, (1, 32), zeros(1), step)
    (write,) = report.accesses_of("held")
    assert (write.parts, write.ideal) == (rounds, 2)


@jit.kernel
def transpose_unpadded(a, out):
    tile = shared.array((32, 32), tl.float32)
    x, y = grid(2)
    tile[threadIdx.y, threadIdx.x] = a[y, x]
    syncthreads()
    out[y, x] = tile[threadIdx.x, threadIdx.y]


def test_bank_conflict_suggests_padding():
    report = watched(transpose_unpadded, (1, (32, 32)), zeros(32, 32), zeros(32, 32))
    (found,) = report.of_kind("bank-conflict")
    assert "32 rounds" in found.message
    assert "shared.array((32, 33), …)" in found.advice


@jit.kernel
def even_and_odd(x):
    i = grid(1)
    if i % 2 == 0:
        x[i] = x[i] * 2.0
    else:
        x[i] = x[i] + 1.0


def test_divergence():
    report = watched(even_and_odd, (2, 128), zeros(256))
    (found,) = report.of_kind("divergence")
    assert found.line == line_of(even_and_odd, "if i % 2")
    (branch,) = report.branches
    assert (branch.warps, branch.divergent, branch.ran, branch.needed) == (8, 8, 16, 8)


@jit.kernel
def different_lengths(out):
    total = 0
    for k in range(threadIdx.x):
        total += k
    out[threadIdx.x] = total


def test_loop_that_lanes_leave_at_different_times():
    out = zeros(32, dtype=np.int32)
    report = watched(different_lengths, (1, 32), out)
    assert out.tolist() == [k * (k - 1) // 2 for k in range(32)]
    assert report.of_kind("divergence")


def test_arithmetic_intensity_of_a_matmul(rng):
    a, b = rng.standard_normal((2, 64, 64)).astype(np.float32)
    counts = watched(kernels.matmul, ((4, 4), (16, 16)), a, b, zeros(64, 64)).counts
    assert counts.flops == 2 * 64**3
    assert counts.bytes_moved == (2 * 64**3 // 16 + 64**2) * 4
    assert counts.intensity == counts.flops / counts.bytes_moved


# The report ---------------------------------------------------------------------------------


def test_report_is_text_and_json():
    report = watched(unguarded, (2, 64), zeros(100), zeros(100))
    text = str(report)
    assert text == repr(report)
    assert text.splitlines()[0] == "unguarded[2, 64]: 128 threads"
    assert "✗ out-of-bounds, line" in text
    assert json.loads(json.dumps(report.to_dict()))["schema"] == "tensorlab.kernel/1"
    again = watched(unguarded, (2, 64), zeros(100), zeros(100))
    assert str(again) == text


def test_watch_collects_launches():
    with jit.watch() as launches:
        unguarded[2, 64](zeros(128), zeros(128))
        count_atomically[2, 64](zeros(1, dtype=np.int32))
    assert [r.kernel for r in launches] == ["unguarded", "count_atomically"]
    assert launches.counts.threads == 256
    assert not launches.ok
    assert len(launches.findings) == len(launches[0].findings)
    assert json.loads(json.dumps(launches.to_dict()))["launches"]
    assert unguarded.report is launches[0]


def test_trace_of_a_block():
    with jit.watch(trace=(1, 0)) as launches:
        kernels.block_sum[2, 128](zeros(256), zeros(2))
    trace = launches[0].trace
    assert trace is not None
    assert (trace.index, trace.warps, trace.complete) == ((1, 0, 0), 4, True)
    names = [a.name for a in trace.arrays]
    assert set(names) == {"x", "out", "parts"}
    loads = [t for s in trace.steps for t in s.touches if names[t.array] == "x"]
    assert sorted(e for t in loads for e in t.elements) == list(range(128, 256))
    assert {t.parts for t in loads} == {4}
    assert sum(s.what == "barrier opens" for s in trace.steps) == 8
    assert json.loads(json.dumps(trace.to_dict()))["schema"] == "tensorlab.kernel-trace/1"
