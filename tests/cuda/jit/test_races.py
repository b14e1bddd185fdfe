"""The race detector against the definition: every pair of accesses, looked at one by one."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from tensorlab.cuda.jit import _races
from tensorlab.cuda.jit._races import ATOMIC, READ, WRITE, AccessLog

KINDS = [READ, READ, ATOMIC, WRITE, WRITE]
BLOCK = 64  # two warps


def conflict(a, b, per_block: bool) -> bool:
    """Whether two accesses race; rows are (address, thread, epoch, turn, value, site)."""
    if a[0] != b[0] or a[1] == b[1]:
        return False
    kinds = {KINDS[a[5]], KINDS[b[5]]}
    if kinds in ({READ}, {ATOMIC}):
        return False
    if a[1] // BLOCK != b[1] // BLOCK:
        return not per_block
    if a[2] != b[2]:
        return False
    return a[1] // 32 != b[1] // 32 or a[3] == b[3]


def random_log(rng, threads: int, addresses: int):
    rows = []
    for _ in range(int(rng.integers(1, 25))):
        thread = int(rng.integers(threads))
        site = int(rng.choice(5, p=[0.4, 0.2, 0.2, 0.1, 0.1]))
        rows.append(
            (
                int(rng.integers(addresses)),
                thread,
                int(rng.integers(3)),
                int(rng.integers(2)),
                0,
                site,
            )
        )
    return rows


def logged(rows, per_block: bool) -> AccessLog:
    log = AccessLog(KINDS, BLOCK, per_block)
    for address, thread, epoch, turn, value, site in rows:
        written = np.float32(value) if KINDS[site] == WRITE else None
        log.add(site, np.array([address]), np.array([thread]), epoch, np.array([turn]), written)
    return log


@pytest.mark.parametrize("per_block", [False, True])
def test_random_logs(rng, per_block):
    with_races = 0
    for _ in range(600):
        rows = random_log(rng, *((64, 3), (160, 12))[int(rng.integers(2))])
        racy = {a[0] for a, b in combinations(rows, 2) if conflict(a, b, per_block)}
        found = logged(rows, per_block).races()
        assert bool(found) == bool(racy), rows
        with_races += bool(racy)
        for race in found:
            assert race.address in racy
            ours = [r for r in rows if r[0] == race.address]
            one = [r for r in ours if (r[1], r[5]) == (race.threads[0], race.sites[0])]
            two = [r for r in ours if (r[1], r[5]) == (race.threads[1], race.sites[1])]
            assert any(conflict(a, b, per_block) for a in one for b in two), (race, rows)
            assert race.same_block == (race.threads[0] // BLOCK == race.threads[1] // BLOCK)
    assert 100 < with_races < 550


def test_what_is_said_twice_is_dropped_without_a_loss(rng, monkeypatch):
    monkeypatch.setattr(_races, "_TOO_MANY", 8)
    for _ in range(100):
        rows = random_log(rng, 96, 4) * 3
        racy = any(conflict(a, b, False) for a, b in combinations(rows, 2))
        assert bool(logged(rows, False).races()) == racy


def test_a_log_is_empty_after_it_was_asked():
    log = logged([(0, 0, 0, 0, 1, 3), (0, 33, 0, 0, 2, 3)], False)
    (race,) = log.races()
    assert (race.threads, race.same_value) == ((0, 33), False)
    assert log.races() == []


@pytest.mark.parametrize("per_block", [False, True])
def test_a_log_that_is_settled_at_barriers_finds_the_same(rng, monkeypatch, per_block):
    monkeypatch.setattr(_races, "_SOON", 1)
    for _ in range(300):
        rows = sorted(random_log(rng, 160, 6), key=lambda row: row[2])  # all blocks in step
        log = AccessLog(KINDS, BLOCK, per_block)
        found = []
        for epoch in range(3):
            for address, thread, _, turn, value, site in (r for r in rows if r[2] == epoch):
                written = np.float32(value) if KINDS[site] == WRITE else None
                log.add(site, np.array([address]), np.array([thread]), epoch, turn, written)
            found += log.settle()
        found += log.races()
        racy = {a[0] for a, b in combinations(rows, 2) if conflict(a, b, per_block)}
        assert bool(found) == bool(racy), rows
        assert {race.address for race in found} <= racy
