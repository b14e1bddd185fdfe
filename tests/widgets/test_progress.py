"""The loop itself: what it yields, counts, reports and shows, without any front end."""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from tensorlab_widgets import Progress, _format, _history, _static, progress
from tensorlab_widgets import _progress as module
from tensorlab_widgets._display import Throttle
from tensorlab_widgets._row import Rate, Row

VECTORS = json.loads(
    (Path(__file__).parents[2] / "widgets" / "src" / "vectors.json").read_text("utf-8")
)


class Recorder:
    """A display that remembers what it was given."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.stop = lambda: None
        self.interruptible: bool | None = None

    def open(self, rows, *, interruptible, stop):
        self.stop, self.interruptible = stop, interruptible
        self.events.append("open")

    def update(self, rows):
        self.events.append("update")

    def close(self, rows):
        self.events.append(_static.text(rows))


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Recorder]:
    """The displays of all outermost bars of the test."""
    displays: list[Recorder] = []

    def choose() -> Recorder:
        displays.append(Recorder())
        return displays[-1]

    monkeypatch.setattr(module, "choose", choose)
    return displays


# ------------------------------------------------------------------------------- what it yields


def test_yields_every_item_and_counts(shown: list[Recorder]) -> None:
    bar = progress(["a", "b", "c"], label="letters")
    seen = []
    for letter in bar:
        seen.append((letter, bar.n))
    assert seen == [("a", 0), ("b", 1), ("c", 2)]
    assert (bar.n, bar.total, bar.stopped, len(bar)) == (3, 3, False, 3)
    assert shown[0].events[-1] == "✓ letters: 3/3"


def test_total_is_taken_given_or_unknown() -> None:
    assert progress([1, 2]).total == 2
    assert progress(iter([1, 2]), total=5).total == 5
    unknown = progress(iter([1, 2]))
    assert unknown.total is None
    with pytest.raises(TypeError, match="pass total="):
        len(unknown)
    assert list(unknown) == [1, 2]
    assert repr(unknown) == "<progress progress: 2>"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((20,), TypeError, r"got int; did you mean range\(20\)\?"),
        ((None,), TypeError, "expected something to iterate over, got NoneType"),
        (([1], -1), ValueError, "must not be negative, got -1"),
    ],
)
def test_bad_arguments(arguments: tuple, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        progress(*arguments)


def test_runs_again_but_not_twice_at_once() -> None:
    bar = progress([1, 2])
    assert list(bar) == list(bar) == [1, 2]
    for _ in bar:
        with pytest.raises(RuntimeError, match="already running"):
            next(iter(bar))
    assert bar.n == 2, "the refused run must not disturb the running one"


def test_exception_in_the_iterable_passes_through(shown: list[Recorder]) -> None:
    def broken():
        yield 1
        raise OSError("disk gone")

    with pytest.raises(OSError, match="disk gone"):
        for _ in progress(broken(), total=3, label="reading"):
            pass
    assert shown[0].events[-1] == "– reading: ended after 1 of 3"


def test_break_and_exception_end_it(shown: list[Recorder]) -> None:
    for i in progress(range(5), label="a"):
        if i == 2:
            break

    def fail() -> None:
        for _ in progress(range(5), label="b"):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert shown[0].events[-1] == "– a: ended after 2 of 5"
    assert shown[1].events[-1] == "– b: ended after 0 of 5"


def test_asynchronous_loops() -> None:
    async def numbers():
        for i in range(3):
            yield i

    async def collect(bar: Progress) -> list[int]:
        return [item async for item in bar]

    assert asyncio.run(collect(progress(range(3)))) == [0, 1, 2]
    bar = progress(numbers(), total=3)
    assert asyncio.run(collect(bar)) == [0, 1, 2]
    assert bar.n == 3
    with pytest.raises(TypeError, match="use `async for`"):
        list(progress(numbers()))


def test_asynchronous_loop_that_is_cancelled(shown: list[Recorder]) -> None:
    async def train() -> None:
        async for _ in progress(range(1_000_000), label="steps"):
            await asyncio.sleep(0)

    async def main() -> str:
        task = asyncio.ensure_future(train())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return shown[0].events[-1]  # while `task` still holds the traceback

    assert asyncio.run(main()).startswith("– steps: ended after ")


def test_asynchronous_loop_lets_others_run() -> None:
    async def main() -> list[str]:
        order: list[str] = []

        async def other() -> None:
            order.append("other")

        task = asyncio.ensure_future(other())
        async for i in progress(range(2)):
            order.append(str(i))
        await task
        return order

    assert asyncio.run(main()) == ["other", "0", "1"]


# ------------------------------------------------------------------------------------- metrics


def test_metrics_of_all_kinds() -> None:
    bar = progress(range(1))
    for _ in bar:
        bar.set(
            a=1,
            b=0.5,
            c=np.float32(0.25),
            d=np.array([2.0]),
            e="warming\nup",
            f=True,
            g=np.int64(3),
        )
        bar.set(b=0.125)
    assert bar.metrics == {
        "a": 1, "b": 0.125, "c": 0.25, "d": 2.0, "e": "warming up", "f": "True", "g": 3,
    }  # fmt: skip
    expected = "a 1 · b 0.1250 · c 0.2500 · d 2.000 · e warming up · f True · g 3"
    assert repr(bar) == f"<progress progress: 1/1 · {expected}>"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros((2, 3)), r"'loss' must be one number, got ndarray of shape \(2, 3\)"),
        (np.zeros(0), r"shape \(0,\)"),
        (None, "a one-element tensor or a string, got NoneType"),
        (1j, "got complex"),
        ([1.0], "got list"),
    ],
)
def test_what_is_no_metric(value: object, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        progress(range(1)).set(loss=value)


def test_torch_scalars() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    bar = progress(range(1))
    bar.set(loss=torch.tensor(0.5, requires_grad=True), one=torch.ones(1))
    assert bar.metrics == {"loss": 0.5, "one": 1.0}
    with pytest.raises(TypeError, match=r"shape \(2,\)"):
        bar.set(loss=torch.ones(2))


def test_long_text_is_cut() -> None:
    bar = progress(range(1))
    bar.set(note="x" * 1000)
    assert bar.metrics["note"] == "x" * 39 + "…"


def test_history_is_bounded_and_keeps_the_shape() -> None:
    history = _history.History()
    count = 100_000
    for i in range(count):
        history.add(float(i))
    points = history.points()
    assert len(points) <= _history.CAPACITY
    assert all(p is not None for p in points)
    assert points == sorted(points)
    assert points[0] < 0.05 * count
    assert points[-1] > 0.95 * count


def test_history_never_averages_a_nan_away() -> None:
    history = _history.History()
    for i in range(1000):
        history.add(math.nan if i == 500 else 1.0)
    assert history.points().count(None) == 1


@pytest.mark.parametrize(("points", "path"), VECTORS["spark"])
def test_spark_path(points: list, path: str) -> None:
    assert _history.spark_path(points, 72, 14) == path


@pytest.mark.parametrize(("seconds", "text"), VECTORS["duration"])
def test_duration(seconds: float, text: str) -> None:
    assert _format.duration(seconds) == text


@pytest.mark.parametrize(("per_second", "text"), VECTORS["rate"])
def test_rate(per_second: float, text: str) -> None:
    assert _format.rate(per_second) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (-0.5, "-0.5000"), (9999.4, "9999"), (9999.9, "1.000e+04"), (12345, "12345"),
        (10**12, "1.000e+12"), (1e-3, "0.001000"), (9.99e-4, "9.990e-04"), (math.inf, "inf"),
        (-math.inf, "-inf"), (math.nan, "nan"),
    ],
)  # fmt: skip
def test_number(value: float, text: str) -> None:
    assert _format.number(value) == text


# --------------------------------------------------------------------------------------- timing


def test_throttle_lets_at_most_ten_through_in_any_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("tensorlab_widgets._display.time.monotonic", lambda: now)
    throttle = Throttle()
    allowed = []
    for _ in range(5000):
        now += 0.001
        if throttle.allows():
            allowed.append(now)
    assert len(allowed) >= 35, "a fast loop is still shown"
    for start in allowed:
        assert sum(start <= t < start + 1 for t in allowed) <= 10


def test_throttle_shows_the_loss_and_the_end_of_a_slow_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr("tensorlab_widgets._display.time.monotonic", lambda: now)
    throttle = Throttle()
    for _ in range(3):
        now += 2.0
        assert throttle.allows()  # bar.set(loss=...)
        now += 0.001
        assert throttle.allows()  # the step ends


def test_rate_follows_a_loop_that_slows_down() -> None:
    rate, now = Rate(0.0), 0.0
    assert rate.per_second() is None
    for _ in range(100):
        now += 0.1
        rate.step(now)
    assert rate.per_second() == pytest.approx(10)
    for _ in range(30):
        now += 1.0
        rate.step(now)
    assert rate.per_second() == pytest.approx(1, rel=0.05)


def test_time_left() -> None:
    row = Row("epochs", 10)
    row.begin(10)
    assert row.remaining is None
    row.n = 4
    row._rate._weighted_steps, row._rate._weighted_time = 4.0, 8.0
    assert row.remaining == pytest.approx(12)
    row.end("done")
    assert row.remaining is None


# --------------------------------------------------------------------------------------- nesting


def test_nested_bars_share_one_picture(shown: list[Recorder]) -> None:
    epochs = progress(range(3), label="epochs")
    for epoch in epochs:
        batches = progress(range(4), label="batches")
        for _ in batches:
            batches.set(loss=1.0 / (epoch + 1))
        epochs.set(accuracy=0.5 + epoch / 10)
    assert len(shown) == 1
    assert shown[0].events[-1] == (
        "✓ epochs: 3/3 · accuracy 0.7000\n    batches: 4/4 · loss 0.3333"
    )
    assert [shown[0].events.count(e) for e in ("open",)] == [1]


def test_nested_metrics_keep_their_curve_over_the_epochs(shown: list[Recorder]) -> None:
    for epoch in progress(range(3)):
        batches = progress(range(2), label="batches")
        for _ in batches:
            batches.set(loss=epoch)
    assert batches._row.metrics["loss"].history.points() == [0, 0, 1, 1, 2, 2]


def test_nested_rows_stay_in_place_and_are_few(shown: list[Recorder]) -> None:
    bar = progress(range(2))
    orders = []
    for _ in bar:
        for label in ("train", "validate"):
            for _ in progress(range(2), label=label):
                pass
        orders.append([row.label for row in bar._board.rows])
    assert orders == [["progress", "train", "validate"]] * 2
    for i in progress(range(100), label="outer"):
        for _ in progress(range(1), label=f"epoch {i}"):
            pass
    assert shown[1].events[-1].split("\n    ")[1:] == [f"epoch {i}: 1/1" for i in (97, 98, 99)]


def test_a_bar_after_another_is_its_own(shown: list[Recorder]) -> None:
    for label in ("one", "two"):
        for _ in progress(range(1), label=label):
            pass
    assert [display.events[-1] for display in shown] == ["✓ one: 1/1", "✓ two: 1/1"]


def test_a_bar_that_is_not_shown_counts_and_hides_those_inside(shown: list[Recorder]) -> None:
    bar = progress(range(2), show=False)
    for _ in bar:
        for _ in progress(range(3), label="inside"):
            pass
    assert bar.n == 2
    assert shown == []


def test_threads_do_not_nest_in_each_other(shown: list[Recorder]) -> None:
    def train() -> None:
        list(progress(range(2), label="background"))

    for _ in progress(range(1), label="main"):
        thread = threading.Thread(target=train)
        thread.start()
        thread.join()
    assert {display.events[-1] for display in shown} == {"✓ main: 1/1", "✓ background: 2/2"}


def test_an_asynchronous_inner_loop_left_by_break(shown: list[Recorder]) -> None:
    async def main() -> None:
        for _ in progress(range(2), label="epochs"):
            async for _ in progress(range(3), label="batches"):
                break

    asyncio.run(main())
    assert len(shown) == 1
    assert shown[0].events[-1] == "✓ epochs: 2/2\n    batches: ended after 0 of 3"


# -------------------------------------------------------------------------------------- the rest


def test_static_form_escapes_and_has_no_times() -> None:
    row = Row("<script>", 10)
    row.begin(10)
    for i in range(4):
        row.set("loss & co", 1 / (i + 1))
        row.step()
    row.set("broken", math.nan)
    row.end("stopped")
    html = _static.html([row], times=False)
    assert "<script>" not in html
    assert "loss &amp; co" in html
    assert "⚠ nan" in html
    assert "stopped after 4 of 10" in html
    assert "width:40%" in html
    assert html == _static.html([row], times=False)
    assert "steps/s" not in html
    assert " s" not in _static.text([row]).replace(" stopped", "")
    assert "steps/s" in _static.html([row], times=True)


def test_import_is_light() -> None:
    code = (
        "import sys, tensorlab_widgets\n"
        "for x in tensorlab_widgets.progress([1, 2]): pass\n"
        "print([m for m in ('IPython', 'anywidget', 'ipywidgets', 'numpy') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=True,
        env={"PYTHONPATH": str(Path(module.__file__).parents[1])},
    )  # fmt: skip
    assert result.stdout == "[]\n"
    assert result.stderr == "", "silent where standard error is no terminal"
