"""`fit` and `dashboard`: the loop, its controls, and that a stopped training goes on as if undisturbed."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tensorlab as tl
from tensorlab import nn
from tensorlab.nn.functional import cross_entropy
from tensorlab_widgets import Fit, dashboard, fit


def data(rng: np.random.Generator, batches: int = 4) -> list[tuple[tl.Tensor, tl.Tensor]]:
    inputs = rng.standard_normal((batches, 8, 4)).astype(np.float32)
    return [(tl.tensor(x), tl.tensor((x[:, 0] > 0).astype(np.int64))) for x in inputs]


def start() -> tuple[nn.Module, tl.optim.Optimizer]:
    tl.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 2))
    return model, tl.optim.Adam(model.parameters(), lr=0.01)


def accuracy(output: tl.Tensor, target: tl.Tensor) -> tl.Tensor:
    return (output.argmax(1) == target).float().mean()


def weights(model: nn.Module) -> list[np.ndarray]:
    return [p.detach().numpy().copy() for p in model.parameters()]


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, which another thread brings about; fail if it does not come."""
    deadline = time.monotonic() + 100
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def by_hand(batches: list[Any], epochs: int) -> tuple[nn.Module, list[float]]:
    model, optimizer = start()
    losses = []
    for _ in range(epochs):
        for x, y in batches:
            optimizer.zero_grad()
            loss = cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return model, losses


class Stopper:
    """A metric that asks for something at given steps."""

    def __init__(self, ask: Any, at: set[int]) -> None:
        self.ask, self.at, self.calls = ask, at, 0

    def __call__(self, _output: Any, _target: Any) -> float:
        self.calls += 1
        if self.calls in self.at:
            self.ask()
        return 0.0


def test_it_trains_as_the_loop_written_by_hand(rng: np.random.Generator) -> None:
    batches = data(rng)
    wanted, losses = by_hand(batches, 3)
    model, optimizer = start()
    run = fit(model, batches, cross_entropy, optimizer, epochs=3)
    for ours, theirs in zip(weights(model), weights(wanted), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    steps, values = run.curve("loss")
    assert steps == list(range(1, 13))
    np.testing.assert_allclose(values, losses)
    assert [each["epoch"] for each in run.history] == [1, 2, 3]
    assert run.history[0]["loss"] == pytest.approx(np.mean(losses[:4]))


def test_means_are_over_examples_and_validation_leaves_the_model_in_training_mode(
    rng: np.random.Generator,
) -> None:
    (x, y), *_ = data(rng)
    batches = [(x, y), (x[:2], y[:2])]
    model, optimizer = start()
    optimizer.param_groups[0]["lr"] = 0.0
    run = fit(model, batches, cross_entropy, optimizer, 1, {"acc": accuracy}, validation=batches)
    model.eval()
    both = tl.cat([x, x[:2]]), tl.cat([y, y[:2]])
    record = run.history[0]
    assert record["val_loss"] == pytest.approx(
        cross_entropy(model(both[0]), both[1]).item(), rel=1e-5
    )
    assert record["val_acc"] == pytest.approx(accuracy(model(both[0]), both[1]).item())
    assert run.curve("val_loss")[0] == [2.0]
    assert record["lr"] == 0.0
    model, optimizer = start()
    fit(model, batches, cross_entropy, optimizer, validation=batches)
    assert model.training
    assert tl.is_grad_enabled()


@pytest.mark.parametrize("at", [1, 5, 8, 9])
@pytest.mark.parametrize("validated", [False, True])
def test_stopped_and_resumed_it_is_as_if_undisturbed(
    rng: np.random.Generator, at: int, validated: bool
) -> None:
    batches = data(rng)
    validation = batches[:2] if validated else None
    model, optimizer = start()
    plain = fit(model, batches, cross_entropy, optimizer, epochs=3, validation=validation)
    wanted, optimizer = start()
    run: Any = None
    stopper = Stopper(lambda: run.stop(), {at})
    run = Fit(
        wanted, batches, cross_entropy, optimizer, epochs=3, metrics={"m": stopper},
        validation=validation, scheduler=None, clip_grad_norm=None, mode="sync", gradients=True,
        label="training", show=True,
    )  # fmt: skip
    run._start()
    assert run.stopped
    assert not run.running
    assert "resume() goes on" in run._text()
    drawn = tl.get_rng_state()
    tl.rand(3)  # what happens between must not matter
    wanted.eval()
    tl.set_rng_state(drawn)
    assert run.resume() is run
    assert not run.stopped
    assert run.n == 12
    for ours, theirs in zip(weights(model), weights(wanted), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    losses = [[e["loss"], e.get("val_loss")] for e in run.history]
    assert losses == [[e["loss"], e.get("val_loss")] for e in plain.history]


def test_resume_for_more_epochs(rng: np.random.Generator) -> None:
    batches = data(rng)
    wanted, _ = by_hand(batches, 5)
    model, optimizer = start()
    run = fit(model, batches, cross_entropy, optimizer, epochs=2)
    run.resume(epochs=5)
    assert (run.n, run.total, len(run.history)) == (20, 20, 5)
    for ours, theirs in zip(weights(model), weights(wanted), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(ValueError, match="5 are done, got 2"):
        run.resume(epochs=2)


def test_an_error_in_a_step_is_raised_and_the_epoch_can_begin_anew(
    rng: np.random.Generator,
) -> None:
    batches = data(rng)
    model, optimizer = start()
    broken = Stopper(lambda: 1 / 0, {6})
    with pytest.raises(ZeroDivisionError):
        fit(model, batches, cross_entropy, optimizer, epochs=2, metrics={"m": broken})
    run = Fit(
        model, batches, cross_entropy, optimizer, epochs=2, metrics={"m": Stopper(lambda: 1 / 0, {6})},
        validation=None, scheduler=None, clip_grad_norm=None, mode="sync", gradients=True,
        label="training", show=True,
    )  # fmt: skip
    with pytest.raises(ZeroDivisionError):
        run._start()
    assert run._row.status == "ended"
    assert len(run.history) == 1
    run.resume()
    assert (run.n, len(run.history)) == (8, 2)


def test_commands_from_another_thread_while_it_trains(rng: np.random.Generator) -> None:
    model, optimizer = start()
    seen = threading.Event()
    metric = Stopper(seen.set, {3})
    run = fit(
        model,
        data(rng),
        cross_entropy,
        optimizer,
        epochs=100_000,
        metrics={"m": metric},
        mode="thread",
    )
    assert run.running
    with pytest.raises(RuntimeError, match="is running"):
        run.resume()
    assert seen.wait(100)
    run.set_lr(0.5)
    run.pause()
    wait_until(lambda: run.lr == [0.5] and run.paused)
    n = run.n
    threading.Event().wait(0.2)
    assert run.n == n, "it went on during the pause"
    run.go_on()
    wait_until(lambda: run.n > n)
    run.stop()
    run.wait(100)
    assert run.stopped
    assert run.lr == [0.5]
    run.set_lr(0.25)
    assert run.lr == [0.25], "between two trainings it is set at once"


def test_what_a_thread_raises_is_raised_by_wait(rng: np.random.Generator) -> None:
    model, optimizer = start()
    metric = Stopper(lambda: 1 / 0, {2})
    run = fit(model, data(rng), cross_entropy, optimizer, metrics={"m": metric}, mode="thread")
    with pytest.raises(ZeroDivisionError):
        run.wait(100)
    assert "ZeroDivisionError" in run._text()


def test_awaited_it_lets_others_run_and_trains_the_same(rng: np.random.Generator) -> None:
    batches = data(rng)
    wanted, _ = by_hand(batches, 3)
    model, optimizer = start()
    ticks = 0

    async def main() -> Fit:
        nonlocal ticks

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        other = asyncio.create_task(tick())
        run = await fit(model, batches, cross_entropy, optimizer, epochs=3, mode="async")
        other.cancel()
        return run

    run = asyncio.run(main())
    assert ticks >= run.n == 12
    for ours, theirs in zip(weights(model), weights(wanted), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("kind", ["StepLR", "ExponentialLR", "LambdaLR", "CosineAnnealingLR"])
def test_a_new_rate_is_not_undone_by_the_schedule(rng: np.random.Generator, kind: str) -> None:
    def scheduled(factor: float, when: int) -> list[float]:
        model, optimizer = start()
        made: dict[str, Any] = {
            "StepLR": {"step_size": 2},
            "ExponentialLR": {"gamma": 0.5},
            "LambdaLR": {"lr_lambda": lambda epoch: 1 / (epoch + 1)},
            "CosineAnnealingLR": {"T_max": 10},
        }[kind]
        scheduler = getattr(tl.optim.lr_scheduler, kind)(optimizer, **made)
        run: Any = None
        metric = Stopper(lambda: run.set_lr(run.lr[0] * factor), {when})
        run = Fit(
            model, data(rng, 2), cross_entropy, optimizer, epochs=6, metrics={"m": metric},
            validation=None, scheduler=scheduler, clip_grad_norm=None, mode="sync", gradients=False,
            label="training", show=False,
        )  # fmt: skip
        run._start()
        return [each["lr"] for each in run.history]

    plain, changed = scheduled(1.0, 0), scheduled(0.1, 5)
    np.testing.assert_allclose(changed[:2], plain[:2])
    np.testing.assert_allclose(changed[2:], 0.1 * np.array(plain[2:]), rtol=1e-6)


def test_rates_of_groups_keep_their_ratio_and_bad_ones_are_refused() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    groups = [{"params": model[0].parameters()}, {"params": model[1].parameters(), "lr": 0.4}]
    board = dashboard(tl.optim.SGD(groups, lr=0.1), show=False)
    board.set_lr(0.2)
    assert board.lr == pytest.approx([0.2, 0.8])
    board.set_lr(0.5, group=1)
    assert board.lr == pytest.approx([0.2, 0.5])
    for value, group, words in [
        (-1, None, "finite number"),
        (float("nan"), 0, "finite"),
        (1, 2, "group 2"),
    ]:
        board.set_lr(value, group)
        assert words in board.controls.refused
        assert board.lr == pytest.approx([0.2, 0.5])


def test_gradients_are_watched_and_nothing_is_left_behind(rng: np.random.Generator) -> None:
    from tensorlab import _apply
    from tensorlab.optim import optimizer as module

    def hooks() -> tuple[int, int, int]:
        registered = module._global_pre_hooks, module._global_post_hooks
        return (*map(len, registered), len(_apply.observers))

    before = hooks()
    model, optimizer = start()
    for p in model[0].parameters():
        p.requires_grad_(False)
    run = fit(model, data(rng), cross_entropy, optimizer, epochs=4)
    assert run.gradients.removed
    assert "frozen" in {flag.kind for flag in run.gradients.flags()}
    assert "frozen" in run._text()
    cells = run._state()["health"]["cells"]
    assert [cell["name"] for cell in cells] == [name for name, _ in model.named_parameters()]
    assert hooks() == before


def test_a_training_in_a_thread_is_watched_too(rng: np.random.Generator) -> None:
    model, optimizer = start()
    run = fit(model, data(rng), cross_entropy, optimizer, epochs=5, mode="thread").wait(100)
    assert len(run.gradients.steps) > 0
    assert np.isfinite(run.gradients.series("raw_norm")).all()
    assert np.isfinite(run.gradients.losses).all()


def test_a_loop_of_ones_own(rng: np.random.Generator) -> None:
    model, optimizer = start()
    board = dashboard(optimizer, model=model, label="mine")
    for epoch in board.epochs(3):
        for x, y in board.steps(data(rng)):
            optimizer.zero_grad()
            loss = cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            board.log(loss=loss, phase=f"epoch {epoch}")
            if board.n == 6:
                board.stop()
    assert board.stopped
    assert board.n == 7
    assert repr(board).startswith(
        "<training mine: stopped after 7 of 12 steps · epoch 2 of 3 · loss "
    )
    assert board.metrics["phase"] == "epoch 1"
    assert board.gradients.removed


def test_async_steps_left_by_break_end_at_once() -> None:
    async def main() -> Any:
        board = dashboard(label="mine")
        async for i in board.steps(range(10)):
            board.log(i=i)
            if i == 3:
                break
        return board

    board = asyncio.run(main())
    assert not board.running
    assert repr(board) == "<training mine: ended after 3 of 10 steps · i 3>"


def test_with_and_plain_loops(rng: np.random.Generator) -> None:
    with dashboard(total=3, label="mine") as board:
        for i in board.steps(iter(range(3))):
            board.log(loss=float(i))
    assert repr(board) == "<training mine: 3/3 steps · loss 2.000>"
    board = dashboard(label="mine")
    with pytest.raises(ZeroDivisionError), board:
        board.log(loss=1 / 0)
    assert board._row.status == "ended"
    board = dashboard(label="mine")
    with pytest.raises(TypeError, match="did you mean range\\(3\\)"):
        board.steps(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="negative"):
        board.epochs(-1)
    with pytest.raises(KeyError, match="there are: none yet"):
        board.curve("loss")


def test_what_the_browser_asks_is_answered() -> None:
    _, optimizer = start()
    board = dashboard(optimizer, show=False)
    assert board._answer("rate", {"value": 0.3, "group": None}) == {"running": False}
    assert board.lr == [0.3]
    for _ in board.steps(range(3)):
        assert board._answer("stop", {}) == {"running": True}
    assert board.n == 1
    with pytest.raises(LookupError, match="no 'explode'"):
        board._answer("explode", {})


def test_the_state_is_what_the_browser_reads(rng: np.random.Generator) -> None:
    model, optimizer = start()
    run = fit(model, data(rng), cross_entropy, optimizer, epochs=2, metrics=[accuracy])
    state = run._state()
    assert (state["n"], state["total"], state["status"], state["lr"]) == (8, 8, "done", [0.01])
    curves = {each["name"]: np.frombuffer(each["points"], "<f4") for each in state["curves"]}
    steps, values = run.curve("accuracy")
    np.testing.assert_allclose(curves["accuracy"], [*steps, *values], rtol=1e-6)
    assert state["metrics"][0] == {
        "name": "loss",
        "text": run._row.metrics["loss"].text,
        "bad": False,
    }


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"model": 3}, TypeError, "model must be a module, got int"),
        ({"loader": 3}, TypeError, "loader must give batches, got int"),
        ({"loader": iter([])}, TypeError, "an iterator is used up"),
        ({"loss_fn": 3}, TypeError, "loss_fn must be a function"),
        ({"optimizer": None}, TypeError, "optimizer is needed"),
        ({"optimizer": 3}, TypeError, "expected an optimizer"),
        ({"epochs": 1.5}, TypeError, "epochs must be a whole number, got 1.5"),
        ({"epochs": -1}, ValueError, "must not be negative"),
        ({"clip_grad_norm": 0}, ValueError, "above 0"),
        ({"mode": "now"}, ValueError, "'sync', 'async' or 'thread'"),
        ({"metrics": {"m": 3}}, TypeError, "metric 'm' must be a function"),
        ({"loader": [3]}, TypeError, "must give \\(input, target\\)"),
    ],
)
def test_bad_arguments(rng: np.random.Generator, change: Any, error: Any, words: str) -> None:
    model, optimizer = start()
    given: Any = {
        "model": model, "loader": data(rng), "loss_fn": cross_entropy, "optimizer": optimizer, **change
    }  # fmt: skip
    with pytest.raises(error, match=words):
        fit(**given)


def test_the_figure_has_a_panel_for_each_metric_and_one_for_a_rate_that_moved(
    rng: np.random.Generator,
) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    model, optimizer = start()
    run = fit(model, data(rng), cross_entropy, optimizer, epochs=2, validation=data(rng, 1))
    titles = [axes.get_title() for axes in run._figure().axes]
    assert titles == ["loss"]
    run.set_lr(0.5)
    run.resume(epochs=3)
    figure = run._figure()
    assert sorted(axes.get_title() for axes in figure.axes) == ["learning rate", "loss"]
    assert "12/12 steps" in figure.alt_text
    steps, values = run.curve("learning rate")
    assert (steps[-1], values[-1]) == (12.0, 0.5)
