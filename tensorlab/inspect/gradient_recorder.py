"""Gradients, updates and activations over the steps of a training run, recorded while it runs."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import ExitStack
from math import isfinite, nan
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorlab import _apply
from tensorlab._backend import on_device_of, runs_there
from tensorlab._tensor import Tensor
from tensorlab.inspect._activations import Activations
from tensorlab.inspect._leaf_hooks import on_gradient
from tensorlab.inspect._pace import Pace
from tensorlab.inspect._statistics import (
    EDGES,
    count_nonfinite,
    dot,
    norm,
    sample,
    summaries,
    zeros,
)
from tensorlab.inspect._watch import Watch
from tensorlab.inspect.health import Flag, examine
from tensorlab.nn import Module
from tensorlab.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

if TYPE_CHECKING:
    from tensorlab.optim import Optimizer

__all__ = ["ACTIVATION_STATISTICS", "STATISTICS", "GradientRecorder", "gradients"]

#: What is recorded of each parameter at each sampled step; see `GradientRecorder.series`.
STATISTICS = (
    "norm", "raw_norm", "mean", "std", "zeros", "nonfinite", "weight_norm", "update_norm", "ascent",
)  # fmt: skip
#: What is recorded of each activation.
ACTIVATION_STATISTICS = ("mean", "std", "zeros", "saturated", "dead")
_COLUMN = {name: i for i, name in enumerate(STATISTICS)}


class GradientRecorder:
    """What `inspect.gradients` returns: it watches a model being trained until it is removed.

    Attributes:
        names: of the parameters, in the model's order.
        kinds: the class of the module that each belongs to.
        sizes: how many numbers each has.
        count: optimizer steps so far. seconds: time spent in the recorder itself.
        edges: of the histograms' bins (`EDGES`): powers of 4, for both signs, and a bin for zero.

    As a dict, `to_dict()`, which JSON can hold: `schema` ("tensorlab.gradients/1"), `names`, `kinds`, `sizes`,
    `count`, `steps` (the steps looked at, from 0), `losses`, `statistics` (name → rows per step,
    columns per parameter), `edges` (the finite ones) and `histograms` (step × parameter × bin),
    `activations` (`names`, and `statistics` like those above) and `flags` (see `Flag`). What was not
    measured, nan and infinity are None.
    """

    def __init__(
        self,
        model: Module,
        every: int | None = None,
        *,
        scaler: Any = None,
        activations: bool = True,
        most: int = 400,
    ) -> None:
        if not isinstance(model, Module):
            raise TypeError(f"gradients expects a module, got {type(model).__name__}")
        if every is not None and (not isinstance(every, int) or every < 1):
            raise ValueError(f"every must be a whole number of steps from 1, got {every!r}")
        if most < 8:
            raise ValueError(f"most must be at least 8 steps, got {most}")
        self.edges = EDGES
        self.count = 0
        self.seconds = 0.0
        self._model = model
        self._every = every
        self._scaler = scaler
        self._most = most
        pairs = list(model.named_parameters())
        self.names = tuple(name for name, _ in pairs)
        self.kinds = [type(model.get_submodule(n.rpartition(".")[0])).__name__ for n in self.names]
        self.sizes = tuple(parameter.numel() for _, parameter in pairs)
        self._parameters: list[Tensor] = [parameter for _, parameter in pairs]
        self._columns = {id(parameter): i for i, parameter in enumerate(self._parameters)}
        self._optimized: set[int] = set()
        self._latest: Any = None  # the optimizer that made the last step
        # One entry per sampled step.
        self._steps: list[int] = []
        self._tables: list[np.ndarray] = []
        self._histograms: list[np.ndarray] = []
        self._losses: list[float] = []
        self._objectives: list[float] = []
        self._said: list[float] = []
        self._kept: list[bool | None] = []
        self._activation_rows: list[dict[str, tuple[float, ...]]] = []
        self._bad: list[tuple[int, tuple[str, ...], str]] = []  # step, parameters, origin
        self._said_now = nan
        self._before: dict[int, Any] = {}
        self._activations = Activations(model) if activations else None
        self._watch = Watch(self)
        self._armed: ExitStack | None = None
        self._pace = Pace(every)
        self._stack: ExitStack | None = None
        self._raw: dict[int, float] = {}
        self._start()

    # Being there and being gone.

    def _start(self) -> None:
        with ExitStack() as stack:
            stack.callback(register_optimizer_step_post_hook(self._after_step).remove)
            stack.callback(self._disarm)
            self._stack = stack.pop_all()
        self._arm()

    def remove(self) -> None:
        """Take all hooks off; what was recorded stays. Calling it again does nothing."""
        if self._stack is not None:
            self._stack.close()
            self._stack = None

    def __enter__(self) -> GradientRecorder:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()

    @property
    def removed(self) -> bool:
        return self._stack is None

    def _arm(self) -> None:
        """Look closely at the step that begins: only then is there anything in the way of it."""
        with ExitStack() as stack:
            stack.enter_context(_apply.observe(self._watch))
            stack.callback(register_optimizer_step_pre_hook(self._before_step).remove)
            if self._activations is not None:
                self._activations.modules.hooked(stack)
                self._activations.begin()
            for index, parameter in enumerate(self._parameters):
                on_gradient(stack, parameter, self._note_raw(index))
            self._armed = stack.pop_all()
        self._watch.begin()
        self._raw = {}

    def _disarm(self) -> None:
        if self._armed is not None:
            self._armed.close()
            self._armed = None
        self._before = {}

    def _note_raw(self, index: int) -> Any:
        def note(parameter: Tensor) -> None:
            begin = time.perf_counter()
            self._watch.accumulated()
            if parameter._grad is not None:
                with np.errstate(all="ignore"):
                    self._raw[index] = norm(parameter._grad._data) / self._watch.scale
            self.seconds += time.perf_counter() - begin

        return note

    def fresh_start(self) -> None:
        """A backward pass begins on zeroed gradients: what an earlier one left (a skipped step) goes."""
        self._raw = {}

    def scale(self) -> float:
        """By what the loss is multiplied at the moment."""
        if self._scaler is None:
            return 1.0
        get = getattr(self._scaler, "get_scale", None)
        return float(self._scaler if get is None else get()) or 1.0

    @property
    def parameters(self) -> list[Tensor]:
        """The parameters themselves, in the order of `names`."""
        return self._parameters

    # The steps.

    def note_loss(self, loss: Any) -> None:
        """Say what the loss of this step was, where it is not the tensor that `backward` is called on."""
        self._said_now = float(loss)

    def step(self, loss: Any = None) -> None:
        """A step without an optimizer of tensorlab: call it after `backward`, before the update."""
        if loss is not None:
            self.note_loss(loss)
        if self._armed is not None:
            begin = time.perf_counter()
            self._measure_gradients(range(len(self._parameters)))
            self._finish()
            self.seconds += time.perf_counter() - begin
        self._advance()

    def _before_step(self, optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        begin = time.perf_counter()
        columns = self._of(optimizer)
        if columns:
            self._measure_gradients(columns)
            self._before = {i: _copy(self._parameters[i]._data) for i in columns}
        self.seconds += time.perf_counter() - begin

    def _after_step(self, optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        if self._armed is not None:
            self._after_watched_step()
        elif optimizer is self._latest or self._of(optimizer):
            self._latest = optimizer
            self._advance()

    @np.errstate(all="ignore")
    def _after_watched_step(self) -> None:
        if not self._before:
            return  # another model's optimizer
        begin = time.perf_counter()
        table = self._table
        # Those that the step computed itself, by calling a closure.
        self._measure([i for i in self._before if table[i, 0] != table[i, 0]])
        for i, old in self._before.items():
            new = self._parameters[i]._data
            if new.shape == old.shape:
                with on_device_of(new):
                    change = new - old
                table[i, _COLUMN["update_norm"]] = norm(change)
                grad = self._parameters[i]._grad
                if grad is not None:
                    table[i, _COLUMN["ascent"]] = dot(change, grad._data)
        self._optimized.update(self._before)
        self._finish()
        self.seconds += time.perf_counter() - begin
        self._advance()

    def _of(self, optimizer: Optimizer) -> list[int]:
        found = (self._columns.get(id(p)) for g in optimizer.param_groups for p in g["params"])
        return [i for i in found if i is not None]

    @np.errstate(all="ignore")  # what overflows, or is nan, is what it is looking for
    def _measure_gradients(self, columns: Iterable[int]) -> None:
        self._table = np.full((len(self._parameters), len(STATISTICS)), nan)
        self._histogram = np.zeros((len(self._parameters), len(EDGES) - 1), np.int32)
        columns = list(columns)
        for i in columns:
            self._table[i, _COLUMN["weight_norm"]] = norm(self._parameters[i]._data)
        self._measure(columns)

    def _measure(self, columns: Iterable[int]) -> None:
        """Fill in what is to be said of the gradients, of those that there are."""
        grads = [(i, g._data) for i in columns if (g := self._parameters[i]._grad) is not None]
        if not grads:
            return
        means, stds, histograms = summaries([sample(g) for _, g in grads])
        for (i, g), mean, std, bins in zip(grads, means, stds, histograms, strict=True):
            size = norm(g)
            raw = self._raw.get(i, size)
            nonfinite = 0 if isfinite(size) else count_nonfinite(g)
            self._table[i, : _COLUMN["weight_norm"]] = size, raw, mean, std, zeros(g), nonfinite
            self._histogram[i] = bins

    def _finish(self) -> None:
        """Keep the step that was looked at."""
        watch = self._watch
        broken = np.flatnonzero(self._table[:, _COLUMN["nonfinite"]] > 0)
        if len(broken) or (watch.loss is not None and not isfinite(watch.loss)):
            names = tuple(self.names[i] for i in broken)
            self._bad = [*self._bad, (self.count, names, watch.origin)][:8]
        self._steps.append(self.count)
        self._tables.append(self._table.astype(np.float32))
        self._histograms.append(self._histogram)
        self._losses.append(nan if watch.loss is None else watch.loss)
        self._objectives.append(nan if watch.objective is None else watch.objective)
        self._said.append(self._said_now)
        self._kept.append(watch.kept)
        self._activation_rows.append(self._activations.end() if self._activations else {})
        self._said_now = nan
        if len(self._steps) > self._most:
            self._thin()

    def _thin(self) -> None:
        """Of the older half keep every second step, so that memory stays bounded."""
        half = self._most // 2
        for rows in (
            self._steps, self._tables, self._histograms, self._losses, self._objectives, self._said,
            self._kept, self._activation_rows,
        ):  # fmt: skip
            del rows[1:half:2]

    def _advance(self) -> None:
        """A step is over: close it, and decide whether to look at the next one."""
        looked = self._armed is not None
        if looked:
            self._disarm()
        self.count += 1
        if self._pace.look_next(self.count, looked):
            self._watch.remember()
            self._arm()

    # What was recorded.

    @property
    def steps(self) -> np.ndarray:
        """The steps that were looked at, int64, counted from 0."""
        return np.array(self._steps, np.int64)

    @property
    def losses(self) -> np.ndarray:
        """Their losses, float64: the number that `backward` began at, without loss scaling, added up
        over the backward passes of a step; or what `note_loss` said. nan if there was none."""
        pairs = zip(self._losses, self._said, strict=True)
        return np.array([seen if said != said else said for seen, said in pairs], np.float64)

    def series(self, statistic: str) -> np.ndarray:
        """One statistic of all parameters: float32 array, rows are `steps`, columns are `names`.

        statistic: "norm" (2-norm of the gradient that the optimizer was given: accumulated,
        unscaled, clipped), "raw_norm" (the same before clipping, without the loss scale), "mean" and
        "std" of its elements, "zeros" (which share of them is exactly 0), "nonfinite" (how many
        are nan or infinite), "weight_norm" (before the update), "update_norm", "ascent"
        (the scalar product of update and gradient; below 0 it goes downhill), "update_ratio"
        (update_norm / weight_norm), "rms" (of the gradient's elements that are not 0, before
        clipping). nan where a parameter had no gradient.

        Raises `KeyError` for another name.
        """
        shape = (-1, len(self.names), len(STATISTICS))
        table = np.array(self._tables, np.float32).reshape(shape)
        with np.errstate(divide="ignore", invalid="ignore"):
            if statistic == "update_ratio":
                return table[..., _COLUMN["update_norm"]] / table[..., _COLUMN["weight_norm"]]
            if statistic == "rms":
                used = np.array(self.sizes) * (1 - table[..., _COLUMN["zeros"]])
                return table[..., _COLUMN["raw_norm"]] / np.sqrt(np.maximum(used, 1))
        if statistic not in _COLUMN:
            known = ", ".join((*STATISTICS, "update_ratio and rms"))
            raise KeyError(f"no statistic {statistic!r}: there are {known}")
        return table[..., _COLUMN[statistic]]

    @property
    def histograms(self) -> np.ndarray:
        """Counts (of a sample of each gradient) in the bins of `edges`: steps × names × bins, int32."""
        if not self._histograms:
            return np.empty((0, len(self.names), len(EDGES) - 1), np.int32)
        return np.stack(self._histograms)

    @property
    def activations(self) -> tuple[str, ...]:
        """Names of the activations seen: the module's, or `module:operation` for a functional one."""
        return tuple(dict.fromkeys(name for row in self._activation_rows for name in row))

    def activation_series(self, statistic: str) -> np.ndarray:
        """One statistic of all activations: float64 array, rows are `steps`, columns `activations`.

        statistic: "mean", "std", "zeros" (which share is exactly 0), "saturated" (which share lies
        where the slope is almost none; nan for kinds that do not saturate), "dead" (which share of
        the units, features or channels, has been 0 for the last 256 examples and more, or in all of
        at least three steps with 64 examples; nan for kinds that have no dead units).
        """
        column = ACTIVATION_STATISTICS.index(statistic)
        missing = (nan,) * len(ACTIVATION_STATISTICS)
        names = self.activations
        rows = [[row.get(name, missing)[column] for name in names] for row in self._activation_rows]
        return np.array(rows, np.float64).reshape(len(rows), len(names))

    def flags(self) -> list[Flag]:
        """What looks wrong now, the gravest first; see `Flag`. Empty for a healthy run."""
        return examine(self)

    # What `health` reads.

    @property
    def objectives(self) -> np.ndarray:
        """The value of the first loss function that each step called; nan if none of the known ones."""
        return np.array(self._objectives, np.float64)

    @property
    def backward_losses(self) -> np.ndarray:
        """As `losses`, but always the number that `backward` began at."""
        return np.array(self._losses, np.float64)

    @property
    def kept_gradients(self) -> list[bool | None]:
        """Whether each step's first backward found the gradients of the step before; None: not known."""
        return list(self._kept)

    @property
    def accidents(self) -> list[tuple[int, tuple[str, ...], str]]:
        """Steps with nan or infinite gradients: step, parameters, and where it first showed."""
        return list(self._bad)

    @property
    def in_optimizer(self) -> list[bool]:
        """For each parameter whether an optimizer has been seen to step it."""
        return [i in self._optimized for i in range(len(self.names))]

    def to_dict(self) -> dict[str, Any]:
        names = (*STATISTICS, "update_ratio", "rms")
        return {
            "schema": "tensorlab.gradients/1",
            "names": list(self.names),
            "kinds": self.kinds,
            "sizes": list(self.sizes),
            "count": self.count,
            "steps": self.steps.tolist(),
            "losses": _jsonable(self.losses),
            "statistics": {name: _jsonable(self.series(name)) for name in names},
            "edges": list(EDGES[1:-1]),
            "histograms": self.histograms.tolist(),
            "activations": {
                "names": list(self.activations),
                "statistics": {
                    name: _jsonable(self.activation_series(name)) for name in ACTIVATION_STATISTICS
                },
            },
            "flags": [flag.to_dict() for flag in self.flags()],
        }

    def __repr__(self) -> str:
        state = "removed" if self.removed else "watching"
        return f"<gradients of {len(self.names)} parameters, {len(self._steps)} of {self.count} steps, {state}>"


def gradients(
    model: Module,
    every: int | None = None,
    *,
    scaler: Any = None,
    activations: bool = True,
    most: int = 400,
) -> GradientRecorder:
    """Watch a model's gradients, updates and activations while your own loop trains it.

    Nothing in the loop changes. A step is a `step()` of the optimizer, so under gradient
    accumulation, clipping and `GradScaler` the gradients are those that the optimizer uses; their
    norm before clipping is recorded too, and a step that the scaler skips is none. Without an
    optimizer call `recorder.step()` yourself.

    Args:
        model: the module.
        every: look at every so many steps; by default as often as it costs about 2 % of the
            time, and never at more than the memory of `most` steps. To judge a run of less than some
            hundred short steps, look at every one: `every=1`. A step that is not looked at
            runs as if the recorder was not there.
        scaler: the `GradScaler` in use, or the number that you multiply the loss with and divide
            the gradients by before `step()`.
        activations: whether to look at activation functions too.
        most: how many steps to keep; then every second of the older ones goes. About
            300 bytes a step and parameter.

    Returns:
        A `GradientRecorder`: a context manager with `series`, `histograms`, `activation_series`,
        `losses`, `flags()`, `to_dict()` and `remove()`.

    Raises:
        TypeError: `model` is not a module. ValueError: `every` or `most` is too small.

    Example:
        >>> import tensorlab as tl
        >>> from tensorlab import nn
        >>> model = nn.Linear(2, 1)
        >>> optimizer = tl.optim.SGD(model.parameters(), lr=0.1)
        >>> with gradients(model, every=1) as recorder:
        ...     for _ in range(3):
        ...         optimizer.zero_grad()
        ...         model(tl.ones(4, 2)).square().mean().backward()
        ...         optimizer.step()
        >>> recorder.names, recorder.series("norm").shape, recorder.flags()
        (('weight', 'bias'), (3, 2), [])
    """
    return GradientRecorder(model, every, scaler=scaler, activations=activations, most=most)


def _jsonable(array: np.ndarray) -> Any:
    """Nested lists, with None for nan and infinity."""
    finite = np.isfinite(array)
    values = array.astype(object)
    values[~finite] = None
    return values.tolist()


@runs_there
def _copy(array: Any) -> Any:
    """A copy on the same device."""
    return array.copy()
