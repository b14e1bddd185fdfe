"""Stop: the loop ends between two steps, state intact, and SIGINT is as it was."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator

import pytest

from tensorlab_widgets import progress
from tensorlab_widgets._stop import guard


@pytest.fixture(autouse=True)
def handler() -> Iterator[object]:
    """A handler of our own, to be found again after every test; and no test leaves a bar watched."""
    old = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    now = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, old)
    assert now is signal.default_int_handler
    assert guard._running == []


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def test_stops_at_the_step_boundary_with_the_step_complete() -> None:
    bar, halves = progress(range(10), label="steps"), []
    for i in bar:
        halves.append((i, "first half"))
        if i == 3:
            interrupt()
        halves.append((i, "second half"))
    assert bar.stopped
    assert bar.n == 4
    assert halves[-1] == (3, "second half"), "the step that was interrupted runs to its end"
    assert repr(bar) == "<progress steps: stopped after 4 of 10>"


def test_training_can_be_resumed_where_it_stopped() -> None:
    bar = progress(range(10))
    for i in bar:
        if i == 3:
            interrupt()
    rest = progress(range(bar.n, 10))
    assert list(rest) == [4, 5, 6, 7, 8, 9]
    assert not rest.stopped


def test_second_interrupt_raises_at_once() -> None:
    bar, reached = progress(range(10)), []

    def loop() -> None:
        for i in bar:
            interrupt()
            reached.append(i)
            interrupt()
            reached.append("never")

    with pytest.raises(KeyboardInterrupt):
        loop()
    assert reached == [0]
    assert not bar.stopped
    assert repr(bar) == "<progress progress: interrupted in step 1 of 10>"


def test_stop_in_the_last_step_is_no_stop() -> None:
    bar = progress(range(3))
    for i in bar:
        if i == 2:
            interrupt()
    assert bar.n == 3
    assert not bar.stopped


def test_interrupt_while_the_next_item_is_fetched() -> None:
    def loader() -> Iterator[int]:
        yield 0
        interrupt()
        yield 1
        yield 2

    bar, seen = progress(loader()), []
    for item in bar:
        seen.append(item)
    assert seen == [0, 1], "an item that was fetched is not lost"
    assert bar.stopped


def test_nested_bars_stop_together_and_the_code_between_runs() -> None:
    epochs, log = progress(range(5), label="epochs"), []
    for epoch in epochs:
        batches = progress(range(5), label="batches")
        for batch in batches:
            if (epoch, batch) == (1, 2):
                interrupt()
        evaluated = list(progress(range(3), label="evaluate"))
        log.append((epoch, batches.n, batches.stopped, evaluated))
    assert log == [(0, 5, False, [0, 1, 2]), (1, 3, True, [0, 1, 2])]
    assert epochs.stopped
    assert epochs.n == 2


def test_leaving_the_outer_loop_after_stop_counts_as_stopped() -> None:
    epochs = progress(range(5), label="epochs")
    for epoch in epochs:
        batches = progress(range(5), label="batches")
        for batch in batches:
            if (epoch, batch) == (1, 2):
                interrupt()
        if batches.stopped:
            break
    assert epochs.stopped
    assert repr(epochs) == "<progress epochs: stopped after 1 of 5>"


def test_handler_is_ours_only_while_the_loop_runs(handler: object) -> None:
    assert signal.getsignal(signal.SIGINT) is handler
    for _ in progress(range(2)):
        assert signal.getsignal(signal.SIGINT) is not handler
        for _ in progress(range(2)):
            pass
        assert signal.getsignal(signal.SIGINT) is not handler, "the outer bar is still running"
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.parametrize("how", ["break", "exception", "bad iterable", "closed"])
def test_handler_comes_back_however_the_loop_ends(how: str, handler: object) -> None:
    def items() -> Iterator[int]:
        yield 0
        if how == "bad iterable":
            raise ValueError(how)
        yield 1

    def loop() -> None:
        for _ in progress(items()):
            if how == "break":
                break
            if how == "exception":
                raise ValueError(how)

    if how == "closed":
        iterator = iter(progress(items()))
        next(iterator)
        iterator.close()
    elif how == "break":
        loop()
    else:
        with pytest.raises(ValueError, match=how):
            loop()
    assert signal.getsignal(signal.SIGINT) is handler


def test_someone_elses_handler_is_left_alone() -> None:
    def theirs(signum: int, frame: object) -> None: ...

    for _ in progress(range(1)):
        signal.signal(signal.SIGINT, theirs)
    assert signal.getsignal(signal.SIGINT) is theirs
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_a_forgotten_bar_does_not_take_stop_from_the_next() -> None:
    # `next(iter(bar))` in one cell: the kernel puts its own handler back when the cell ends.
    forgotten = iter(progress(range(10)))
    next(forgotten)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    bar = progress(range(10))
    for _ in bar:
        interrupt()
    assert bar.stopped
    forgotten.close()


def test_a_process_that_ignores_interrupts_goes_on_ignoring_them() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        bar = progress(range(3))
        for _ in bar:
            interrupt()
        assert bar.n == 3
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def test_off_the_main_thread_only_stop_ends_it(handler: object) -> None:
    bar = progress(range(1_000_000))
    started, seen = threading.Event(), []

    def train() -> None:
        for i in bar:
            seen.append(signal.getsignal(signal.SIGINT) is handler)
            started.set()
            if i > 1000:
                threading.Event().wait(0.001)

    thread = threading.Thread(target=train)
    thread.start()
    assert started.wait(60)
    bar.stop()
    thread.join(60)
    assert not thread.is_alive()
    assert bar.stopped
    assert all(seen)


def test_stop_called_by_the_program_ends_only_its_own_loop() -> None:
    outer = progress(range(3))
    for _ in outer:
        inner = progress(range(10))
        for i in inner:
            if i == 4:
                inner.stop()
        assert inner.stopped
        assert inner.n == 5
    assert not outer.stopped
    assert outer.n == 3


def test_asynchronous_loop_stops_too(handler: object) -> None:
    async def main() -> tuple[int, bool]:
        bar = progress(range(10))
        async for i in bar:
            if i == 3:
                interrupt()
        return bar.n, bar.stopped

    # asyncio.run puts a handler of its own in between, as the kernel does for asynchronous cells.
    assert asyncio.run(main()) == (4, True)


def test_second_interrupt_breaks_off_a_hanging_step_of_an_asynchronous_loop() -> None:
    # asyncio.run's own handler only cancels the task, and a step that hangs has no `await`.
    bar, reached = progress(range(10)), []

    async def main() -> None:
        async for i in bar:
            interrupt()
            reached.append(i)
            interrupt()
            reached.append("never")

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    assert reached == [0]
    assert repr(bar) == "<progress progress: interrupted in step 1 of 10>"
    assert not guard._tasks
