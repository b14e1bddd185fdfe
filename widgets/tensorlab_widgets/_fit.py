"""`fit`: the usual training loop, watched, steered, stopped between two steps and resumed exactly."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any, Literal

from ._dashboard import Dashboard
from ._row import Status, plain
from ._stop import guard

Mode = Literal["sync", "async", "thread"]
Metrics = Mapping[str, Callable[..., Any]] | Iterable[Callable[..., Any]]


class Fit(Dashboard):
    """A training that `fit` began. It can be stopped, looked at, and resumed.

    Attributes:
        history: one dict per finished epoch: `epoch` (from 1), the mean `loss` and metrics over its
            examples, those of the validation with the prefix `val_`, and `lr`, the first rate.
        model, optimizer: what was given.
    """

    kind = "fit"
    resumable = True

    def __init__(
        self,
        model: Any,
        loader: Iterable[Any],
        loss_fn: Callable[..., Any],
        optimizer: Any,
        *,
        epochs: int,
        metrics: Metrics | None,
        validation: Iterable[Any] | None,
        scheduler: Any,
        clip_grad_norm: float | None,
        mode: Mode,
        gradients: bool,
        label: str,
        show: bool,
    ) -> None:
        super().__init__(
            optimizer, model=model, scheduler=scheduler, gradients=gradients, label=label, show=show
        )
        _check(model, loader, loss_fn, optimizer, epochs, validation, clip_grad_norm, mode)
        self.model = model
        self.optimizer = optimizer
        self.history: list[dict[str, Any]] = []
        self._loader = loader
        self._loss_fn = loss_fn
        self._metrics = _named(metrics)
        self._validation = validation
        self._scheduler = scheduler
        self._clip = clip_grad_norm
        self._mode: Mode = mode
        self._threaded = mode == "thread"
        self._epochs = epochs
        self._batch = 0.0  # examples per step, lately
        self._work: Generator[None, None, None] | None = None
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._length = len(loader) if hasattr(loader, "__len__") else None  # type: ignore[arg-type]
        self._row.total = None if self._length is None else epochs * self._length

    # What is done with it

    def resume(self, epochs: int | None = None, *, mode: Mode | None = None) -> Fit:
        """Go on after a stop, with the very next batch: as if nobody had stopped it.

        After an error or a second interrupt, in the middle of a step, the epoch begins anew.

        Args:
            epochs: how many epochs there shall be in all; by default as many as before.
            mode: as in `fit`; by default as before. With "async" await what is returned.

        Raises:
            RuntimeError: if it is running. ValueError: for a wrong `mode`, or fewer epochs than done.
        """
        if self.running:
            raise RuntimeError("fit: this training is running; stop it first")
        if mode is not None:
            _check_mode(mode)
            self._mode, self._threaded = mode, mode == "thread"
        if epochs is not None:
            if epochs < len(self.history):
                raise ValueError(
                    f"fit: epochs counts from the beginning; {len(self.history)} are done, got {epochs}"
                )
            self._epochs = epochs
            self._row.total = None if self._length is None else epochs * self._length
        return self._start()

    def wait(self, timeout: float | None = None) -> Fit:
        """Wait for a training in a thread, at most `timeout` seconds, and raise what it raised."""
        if self._thread is not None:
            self._thread.join(timeout)
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        return self

    def __await__(self) -> Generator[Any, None, Fit]:
        return self._run_async().__await__()

    # How it is driven: the work is a generator, which stays where it is when it is stopped.

    def _start(self) -> Fit:
        if self._mode == "sync":
            self._run()
        elif self._mode == "thread":
            self._failure = None
            self._enter()  # here, so that it is shown in this cell and `running` is true at once
            self._thread = threading.Thread(
                target=self._run_thread, name="tensorlab-fit", daemon=True
            )
            self._thread.start()
        return self

    def _begun(self) -> Generator[None, None, None]:
        if self._work is None or inspect.getgeneratorstate(self._work) == inspect.GEN_CLOSED:
            self._epoch = len(self.history)
            if self._length is not None:
                self._row.n = self._epoch * self._length
            self._work = self._train()
        elif self.model.training is False and self._in_training:
            self.model.train()  # somebody looked at the model meanwhile
        return self._work

    def _run(self) -> None:
        how: Status = "ended"
        self._enter()
        try:
            how = self._drive()
        finally:
            self._leave(how)

    def _drive(self) -> Status:
        for _ in self._begun():
            self._stops()
            self._wait()
            if self._leaves():
                return "stopped"
        return "done"

    async def _run_async(self) -> Fit:
        how: Status = "ended"
        self._enter()
        guard.awaited()
        try:
            for _ in self._begun():
                await self._wait_async()
                if self._leaves():
                    how = "stopped"
                    return self
            how = "done"
        finally:
            self._leave(how)
        return self

    def _run_thread(self) -> None:
        how: Status = "ended"
        try:
            how = self._drive()
        except BaseException as error:  # told by the widget, and raised by wait()
            self._failure = error
            self._error = f"{type(error).__name__}: {error}"
        finally:
            self._leave(how)

    def _leaves(self) -> bool:
        # After the last step only the validation is left to do.
        done = self._row.complete and self._validation is None
        return self.controls.asked_to_stop and not done

    # The work: each `yield` is a boundary at which everything is whole.

    _in_training = False

    def _train(self) -> Generator[None, None, None]:
        while len(self.history) < (self._epochs or 0):
            self._epoch = len(self.history)
            means = _Means()
            self.model.train()
            for batch in self._loader:
                self._in_training = True
                self._train_step(batch, means)
                self._step_ends()
                yield
            self._in_training = False
            record = {"epoch": self._epoch + 1, **means.all()}
            if self._validation is not None:
                validated = yield from self._validate(self._validation)
                record.update(validated)
                self._log(validated, self._row.n)
            rates = self._rate.values
            record["lr"] = rates[0] if rates else None
            self._adjust(record)
            self.history.append(record)

    def _train_step(self, batch: Any, means: _Means) -> None:
        inputs, target = self._split(batch)
        self.optimizer.zero_grad()
        output = self.model(*inputs)
        loss = self._loss_fn(output, target)
        loss.backward()
        if self._clip is not None:
            from tensorlab.nn.utils import clip_grad_norm_

            clip_grad_norm_(self.model.parameters(), self._clip)
        self.optimizer.step()
        count = _examples(inputs)
        self._batch = count if not self._batch else 0.9 * self._batch + 0.1 * count
        found = {"loss": plain("loss", loss), **self._measured(output, target)}
        means.add(found, count)
        self._log(found, self._row.n + 1)

    def _validate(self, loader: Iterable[Any]) -> Generator[None, None, dict[str, Any]]:
        import tensorlab

        means = _Means()
        for batch in loader:
            # Put back before each boundary: what is stopped there is in training mode, with gradients on.
            self.model.eval()
            try:
                with tensorlab.no_grad():
                    inputs, target = self._split(batch)
                    output = self.model(*inputs)
                    found = {"loss": plain("val_loss", self._loss_fn(output, target))}
                    found.update(self._measured(output, target))
            finally:
                self.model.train()
            means.add(found, _examples(inputs))
            yield
        return {f"val_{name}": value for name, value in means.all().items()}

    def _measured(self, output: Any, target: Any) -> dict[str, float | str]:
        if not self._metrics:
            return {}
        import tensorlab

        with tensorlab.no_grad():
            return {name: plain(name, f(output, target)) for name, f in self._metrics.items()}

    def _split(self, batch: Any) -> tuple[tuple[Any, ...], Any]:
        if not isinstance(batch, (tuple, list)) or len(batch) < 2:
            raise TypeError(
                "fit: the loader must give (input, target) or (input, …, target), got "
                f"{type(batch).__name__}; for other batches write the loop with dashboard()"
            )
        parameter = next(iter(self.model.parameters()), None)
        if parameter is not None:
            batch = [
                part.to(parameter.device)
                if getattr(part, "device", parameter.device) != parameter.device
                else part
                for part in batch
            ]
        return tuple(batch[:-1]), batch[-1]

    def _adjust(self, record: Mapping[str, Any]) -> None:
        """One step of the scheduler per epoch."""
        if self._scheduler is None:
            return
        from tensorlab.optim.lr_scheduler import ReduceLROnPlateau

        if isinstance(self._scheduler, ReduceLROnPlateau):
            self._scheduler.step(record.get("val_loss", record["loss"]))
        else:
            self._scheduler.step()

    def _samples(self, steps_per_second: float) -> float | None:
        return steps_per_second * self._batch if self._batch else None


class _Means:
    """Means over examples, of batches that may differ in size."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def add(self, values: Mapping[str, float | str], count: int) -> None:
        for name, value in values.items():
            if not isinstance(value, str):
                self._sums[name] = self._sums.get(name, 0.0) + value * count
                self._counts[name] = self._counts.get(name, 0) + count

    def all(self) -> dict[str, float]:
        return {name: total / max(self._counts[name], 1) for name, total in self._sums.items()}


def _examples(inputs: tuple[Any, ...]) -> int:
    shape = tuple(getattr(inputs[0], "shape", ()))
    return int(shape[0]) if shape else 1


def _named(metrics: Metrics | None) -> dict[str, Callable[..., Any]]:
    if metrics is None:
        return {}
    if isinstance(metrics, Mapping):
        named = dict(metrics)
    else:
        named = {getattr(each, "__name__", type(each).__name__): each for each in metrics}
    for name, metric in named.items():
        if not callable(metric):
            raise TypeError(
                f"fit: metric {name!r} must be a function of (output, target), got {type(metric).__name__}"
            )
    return named


def _check_mode(mode: str) -> None:
    if mode not in ("sync", "async", "thread"):
        raise ValueError(f"fit: mode must be 'sync', 'async' or 'thread', got {mode!r}")


def _check(
    model: Any,
    loader: Any,
    loss_fn: Any,
    optimizer: Any,
    epochs: Any,
    validation: Any,
    clip: Any,
    mode: str,
) -> None:
    _check_mode(mode)
    from tensorlab.nn import Module

    if not isinstance(model, Module):
        raise TypeError(f"fit: model must be a module, got {type(model).__name__}")
    for name, each in (("loader", loader), ("validation", validation)):
        if not isinstance(each, Iterable) and not (name == "validation" and each is None):
            raise TypeError(f"fit: {name} must give batches, got {type(each).__name__}")
        if hasattr(each, "__next__"):
            raise TypeError(
                f"fit: {name} must be iterable once per epoch, and an iterator is used up after one: "
                "give a DataLoader or a list"
            )
    if not callable(loss_fn):
        raise TypeError(
            f"fit: loss_fn must be a function of (output, target), got {type(loss_fn).__name__}"
        )
    if optimizer is None:
        raise TypeError("fit: optimizer is needed, such as optim.SGD(model.parameters(), lr=0.1)")
    if not isinstance(epochs, int) or isinstance(epochs, bool):
        raise TypeError(f"fit: epochs must be a whole number, got {epochs!r}")
    if epochs < 0:
        raise ValueError(f"fit: epochs must not be negative, got {epochs}")
    if clip is not None and not clip > 0:
        raise ValueError(f"fit: clip_grad_norm must be above 0, got {clip}")


def fit(
    model: Any,
    loader: Iterable[Any],
    loss_fn: Callable[..., Any],
    optimizer: Any,
    epochs: int = 1,
    metrics: Metrics | None = None,
    *,
    validation: Iterable[Any] | None = None,
    scheduler: Any = None,
    clip_grad_norm: float | None = None,
    mode: Mode = "sync",
    gradients: bool = True,
    label: str = "training",
    show: bool = True,
) -> Fit:
    """Train a model with a dashboard: live curves, learning rate, pause, and a stop that keeps all.

    Args:
        model: the module. Batches are moved to the device of its parameters.
        loader: gives batches (input, target), or (input, …, target), anew for each epoch.
        loss_fn: called with (output, target); returns a tensor of one number.
        optimizer: of the model's parameters.
        epochs: how often to go through `loader`.
        metrics: functions of (output, target) that return a number, in a dict by name or in a list.
        validation: batches to evaluate on after each epoch, in eval mode and without gradients.
        scheduler: of the learning rate; stepped once per epoch (`ReduceLROnPlateau` with `val_loss`,
            or `loss` if there is no validation).
        clip_grad_norm: the largest norm of all gradients together; None clips nothing.
        mode: "sync" comes back when it has ended. "async" is for ``await fit(..., mode="async")``: the
            kernel hears the widget's buttons between the steps. "thread" trains in a background thread
            and comes back at once; `wait()` waits for it. In an IPython kernel 6 only this one hears
            Pause and the learning rate; Stop works in all three.
        gradients: whether to watch gradients with `tensorlab.inspect.gradients`.
        label: the name of the run. show: False shows nothing; everything else works as ever.

    Returns:
        A `Fit`: ``history``, ``curve("loss")``, ``stopped``, ``resume()``, ``stop()``, ``set_lr(...)``.

    Stop, the kernel's or the one in the widget, ends it between two steps, and ``resume()`` goes on with
    the very next batch, so that the result is that of an undisturbed run. A second interrupt raises
    KeyboardInterrupt at once, and where the training is awaited CancelledError.

    >>> import tensorlab as tl
    >>> _ = tl.manual_seed(0)
    >>> model = tl.nn.Linear(1, 1)
    >>> x = tl.linspace(-1, 1, 16).reshape(16, 1)
    >>> optimizer = tl.optim.SGD(model.parameters(), lr=0.5)
    >>> run = fit(model, [(x, 3 * x + 1)], tl.nn.functional.mse_loss, optimizer, epochs=30, show=False)
    >>> run.n, len(run.history), run.history[-1]["loss"] < 1e-3
    (30, 30, True)

    Raises:
        TypeError, ValueError: for arguments that do not fit.
    """
    run = Fit(
        model, loader, loss_fn, optimizer, epochs=epochs, metrics=metrics, validation=validation,
        scheduler=scheduler, clip_grad_norm=clip_grad_norm, mode=mode, gradients=gradients,
        label=label, show=show,
    )  # fmt: skip
    return run._start()
