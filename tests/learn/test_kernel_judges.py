"""The judges of kernels: what they refuse, in which words, and what they must not refuse."""

from __future__ import annotations

import numpy as np

from tensorlab.cuda import jit
from tensorlab.cuda.jit import atomic, blockDim, blockIdx, grid, threadIdx
from tensorlab.learn.kernels import (
    judge_advice,
    judge_sharing,
    judge_traffic,
    judge_values,
    launch,
)


@jit.kernel
def relu_in_two_branches(x, out):
    i = grid(1)
    if i < len(out):
        if x[i] > 0.0:
            out[i] = x[i]
        else:
            out[i] = 0.0


@jit.kernel
def scattered(x, out):
    i = grid(1)
    if i < len(out):
        at = i % 8 * (len(out) // 8) + i // 8
        out[at] = x[at]


@jit.kernel
def alone(x, out):
    if grid(1) == 0:
        for i in range(len(out)):
            out[i] = x[i]


@jit.kernel
def everybody(x, out):
    for i in range(len(out)):
        out[i] = x[i]


@jit.kernel
def one_warp_of_a_block(x, out):
    if threadIdx.x < 32:
        for t in range(threadIdx.x, blockDim.x, 32):
            i = blockIdx.x * blockDim.x + t
            if i < len(out):
                out[i] = x[i]


@jit.kernel
def one_block(x, out):
    if blockIdx.x == 0:
        for i in range(threadIdx.x, len(out), blockDim.x):
            out[i] = x[i]


@jit.kernel
def counts(x, out):
    atomic.add(out, 0, x[grid(1)])


def no_kernel(x, out):
    out[:] = x


def run(kernel, x, blocks=2):
    return launch(kernel, blocks, 128, x, np.full(x.shape, np.nan, x.dtype))


def test_gaps_that_a_branch_leaves_are_no_scattered_access():
    # Every third number is above 0, so both stores leave gaps.
    x = np.where(np.arange(256) % 3 == 0, 1.0, -1.0).astype(np.float32)
    got = run(relu_in_two_branches, x)
    assert judge_values("relu", got, np.maximum(x, 0)) is None
    assert got.report is not None
    assert "uncoalesced" in {finding.kind for finding in got.report.findings}
    assert judge_advice(got, "uncoalesced") is None


def test_scattered_access_is_refused(rng):
    got = run(scattered, rng.random(256).astype(np.float32))
    failure = judge_advice(got, "uncoalesced")
    assert failure is not None
    assert "slow. uncoalesced in line" in failure.message
    assert judge_advice(got, "bank-conflict") is None


def test_who_does_the_work(rng):
    x = rng.random(200).astype(np.float32)
    few, many = judge_sharing(run(alone, x), 16), judge_sharing(run(everybody, x), 16)
    assert few is not None
    assert "a few threads do all the work" in few.message
    assert many is not None
    assert "many threads do the same work" in many.message
    assert judge_sharing(run(scattered, x), 16) is None


def test_a_warp_that_works_for_others(rng):
    x = rng.random(1000).astype(np.float32)
    for kernel, often in [(one_warp_of_a_block, 4), (one_block, 8)]:
        got = run(kernel, x, blocks=8)
        assert judge_sharing(got, 64) is None
        failure = judge_sharing(got, 64, of_one=2)
        assert failure is not None
        assert "a few warps do the work of all, and the others look on" in failure.message
        assert f"one of them went to memory {often} times" in failure.message
        assert failure.got == f"{often} times, of 32 by all warps together"
    assert judge_sharing(run(scattered, x, blocks=8), 64, of_one=2) is None
    # Who does too much is still told from who does too little.
    few = judge_sharing(run(alone, x, blocks=8), 64, of_one=2)
    assert few is not None
    assert "a few threads do all the work" in few.message


def test_traffic(rng):
    got = run(scattered, rng.random(256).astype(np.float32))
    assert judge_traffic(got, 256, 256) is None
    failure = judge_traffic(got, 128, 256)
    assert failure is not None
    assert (failure.expected, failure.got) == ("128 loads", "256 loads")


def test_a_wrong_value_and_a_missing_decorator(rng):
    x = rng.random(1).astype(np.float32)
    failure = judge_values("copy", run(alone, x), x + 1)
    assert failure is not None
    assert failure.message == "1 of 1 element is wrong."
    failure = judge_values("copy", run(no_kernel, x), x)
    assert failure is not None
    assert "leave the line `@jit.kernel` above `def copy`" in failure.message
    assert (failure.expected, failure.got) == ("a kernel", "a function")


def test_behaviour_tells_atomics_from_plain_additions():
    x = np.ones(128, np.float32)
    by_atomics = launch(counts, 1, 128, x, np.zeros(1, np.float32))
    plainly = launch(alone, 1, 128, np.full(1, 128, np.float32), np.zeros(1, np.float32))
    assert by_atomics.values == plainly.values == (128.0,)
    assert by_atomics.problems == plainly.problems
    assert by_atomics != plainly
