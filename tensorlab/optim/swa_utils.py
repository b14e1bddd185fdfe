"""Averages of a model's parameters over training: plain (SWA) or exponential (EMA).

The mean of the parameters along the last part of training often generalizes better than the
last ones. `AveragedModel` holds it, `SWALR` brings the learning rate to the constant that suits
it, and `update_bn` computes the statistics of batch norm layers for the averaged parameters.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from typing import Any

from tensorlab._backend import Device
from tensorlab._dtypes import int64
from tensorlab._tensor import Tensor
from tensorlab.autograd import no_grad
from tensorlab.nn.modules.batchnorm import _BatchNorm
from tensorlab.nn.modules.module import Module
from tensorlab.ops.from_data import tensor
from tensorlab.optim._schedule import LRScheduler, one_per_group
from tensorlab.optim.optimizer import Optimizer

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]

Average = Callable[[Tensor, Tensor, Any], Tensor]
MultiAverage = Callable[[Sequence[Tensor], Sequence[Tensor], Any], None]


def get_ema_multi_avg_fn(decay: float = 0.999) -> MultiAverage:
    """A function `(averaged, current, number)` that moves a list of tensors to their EMA, in place.

    `averaged ← decay · averaged + (1 - decay) · current`

    Args:
        decay: from 0 to 1.

    Raises:
        ValueError: `decay` is out of range.

    >>> import tensorlab
    >>> mean, now = tensorlab.tensor([0.0]), tensorlab.tensor([1.0])
    >>> get_ema_multi_avg_fn(decay=0.75)([mean], [now], 1)
    >>> mean
    tensor([0.2500])
    """
    _check_decay(decay)

    @no_grad()
    def ema_update(averaged: Sequence[Tensor], current: Sequence[Tensor], _: Any) -> None:
        for mean, now in zip(averaged, current, strict=True):
            if mean.is_floating_point() or mean.is_complex():
                mean.lerp_(now, 1 - decay)
            else:
                mean.copy_(mean * decay + now * (1 - decay))

    return ema_update


def get_swa_multi_avg_fn() -> MultiAverage:
    """A function `(averaged, current, number)` that takes one more model into a mean, in place.

    `averaged ← averaged + (current - averaged) / (number + 1)`

    >>> import tensorlab
    >>> mean, now = tensorlab.tensor([0.0]), tensorlab.tensor([1.0])
    >>> get_swa_multi_avg_fn()([mean], [now], 1)
    >>> mean
    tensor([0.5000])
    """

    @no_grad()
    def swa_update(averaged: Sequence[Tensor], current: Sequence[Tensor], number: Any) -> None:
        weight = float(1 / (number + 1))
        for mean, now in zip(averaged, current, strict=True):
            if mean.is_floating_point() or mean.is_complex():
                mean.lerp_(now, weight)
            else:
                mean.copy_(mean + (now - mean) * weight)

    return swa_update


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """As `get_ema_multi_avg_fn`, for one tensor, and returning the new mean.

    >>> import tensorlab
    >>> get_ema_avg_fn(decay=0.75)(tensorlab.tensor([0.0]), tensorlab.tensor([1.0]), 1)
    tensor([0.2500])
    """
    _check_decay(decay)

    @no_grad()
    def ema_update(averaged: Tensor, current: Tensor, _: Any) -> Tensor:
        return decay * averaged + (1 - decay) * current

    return ema_update


def get_swa_avg_fn() -> Average:
    """As `get_swa_multi_avg_fn`, for one tensor, and returning the new mean.

    >>> import tensorlab
    >>> get_swa_avg_fn()(tensorlab.tensor([0.0]), tensorlab.tensor([1.0]), 1)
    tensor([0.5000])
    """

    @no_grad()
    def swa_update(averaged: Tensor, current: Tensor, number: Any) -> Tensor:
        return averaged + (current - averaged) / (number + 1)

    return swa_update


def _check_decay(decay: float) -> None:
    if decay < 0.0 or decay > 1.0:
        raise ValueError(
            f"Invalid decay value {decay} provided. Please provide a value in [0,1] range."
        )


class AveragedModel(Module):
    """A copy of a model whose parameters are a running average of the model's.

    The first `update_parameters` copies the parameters, each further one averages.

    Args:
        model: what to average. It is copied, and not changed.
        device: where the average is kept; by default where the model is.
        avg_fn: `(averaged, current, number) -> tensor`, the new mean of one tensor. Without a
            function, all models count alike.
        multi_avg_fn: `(averaged, current, number)`, which changes a list of tensors in place.
        use_buffers: average the buffers too. Otherwise they are copied from the model.

    Attributes:
        module: the averaged model.
        n_averaged: how many models went into it, a 0-dim tensor.

    Raises:
        AssertionError: both functions are given.

    Source: P. Izmailov et al., "Averaging Weights Leads to Wider Optima and Better
    Generalization", UAI 2018, arXiv:1803.05407.

    >>> import tensorlab
    >>> from tensorlab import nn
    >>> model = nn.Linear(1, 1, bias=False)
    >>> averaged = AveragedModel(model)
    >>> for value in (1.0, 2.0, 6.0):
    ...     _ = nn.init.constant_(model.weight, value)
    ...     averaged.update_parameters(model)
    >>> averaged.module.weight.item()
    3.0
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: int | str | Device | None = None,
        avg_fn: Average | None = None,
        multi_avg_fn: MultiAverage | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", tensor(0, dtype=int64, device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the averaged model says."""
        return self.module(*args, **kwargs)

    @no_grad()
    def update_parameters(self, model: Module) -> None:
        """Take the parameters that `model` has now into the average."""
        averaged = [t.detach() for t in self._averaged_of(self.module)]
        current = [
            now.detach().to(mean.device)
            for mean, now in zip(averaged, self._averaged_of(model), strict=True)
        ]
        if self.n_averaged == 0:
            for mean, now in zip(averaged, current, strict=True):
                mean.copy_(now)
        elif self.multi_avg_fn is not None:
            groups: dict[Any, tuple[list[Tensor], list[Tensor]]] = {}
            for mean, now in zip(averaged, current, strict=True):
                means, nows = groups.setdefault((mean.device, mean.dtype), ([], []))
                means.append(mean)
                nows.append(now)
            for (device, _), (means, nows) in groups.items():
                self.multi_avg_fn(means, nows, self.n_averaged.to(device))
        else:
            average = self.avg_fn or get_swa_avg_fn()
            for mean, now in zip(averaged, current, strict=True):
                mean.copy_(average(mean, now, self.n_averaged.to(mean.device)))
        if not self.use_buffers:
            for kept, now in zip(self.module.buffers(), model.buffers(), strict=True):
                kept.detach().copy_(now.detach().to(kept.device))
        self.n_averaged += 1

    def _averaged_of(self, model: Module) -> list[Tensor]:
        """What is averaged of a model: the parameters, and the buffers if wanted."""
        buffers = model.buffers() if self.use_buffers else ()
        return list(itertools.chain(model.parameters(), buffers))


@no_grad()
def update_bn(
    loader: Iterable[Any], model: Module, device: int | str | Device | None = None
) -> None:
    """Compute the running statistics of batch norm layers anew, in one pass over data.

    Args:
        loader: batches: tensors, or lists or tuples of which the first element goes in.
        model: the layers' statistics are reset, and then the mean over all batches.
        device: where to move each batch first.

    >>> import tensorlab
    >>> from tensorlab import nn
    >>> model = nn.BatchNorm1d(1)
    >>> update_bn([tensorlab.tensor([[1.0], [3.0]]), tensorlab.tensor([[5.0], [7.0]])], model)
    >>> model.running_mean
    tensor([4.])
    """
    momenta: dict[Any, Any] = {}
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.reset_running_stats()
            momenta[module] = module.momentum
    if not momenta:
        return
    was_training = model.training
    model.train()
    for module in momenta:
        module.momentum = None  # a mean in which all batches count alike
    for batch in loader:
        if isinstance(batch, (list, tuple)):
            batch = batch[0]
        if device is not None:
            batch = batch.to(device)
        model(batch)
    for module, momentum in momenta.items():
        module.momentum = momentum
    model.train(was_training)


class SWALR(LRScheduler):
    """The rate goes from what it is to a constant, which then stays, for averaging.

    Args:
        optimizer: see `LRScheduler`.
        swa_lr: the constant, or one for each group.
        anneal_epochs: how many epochs to take.
        anneal_strategy: `"cos"` or `"linear"`: the form of the change.
        last_epoch: see `LRScheduler`.

    Raises:
        ValueError: the strategy is unknown, or the epochs are no number of epochs.

    >>> import tensorlab
    >>> from tensorlab import optim
    >>> optimizer = optim.SGD([tensorlab.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = SWALR(optimizer, 0.5, anneal_epochs=2, anneal_strategy="linear")
    >>> rates = []
    >>> for epoch in range(4):
    ...     rates += scheduler.get_last_lr()
    ...     optimizer.step()
    ...     scheduler.step()
    >>> rates
    [1.0, 0.75, 0.5, 0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        ends = one_per_group("swa_lr", optimizer, swa_lr)
        for end, group in zip(ends, optimizer.param_groups, strict=True):
            group["swa_lr"] = end
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        self._anneal_strategy = anneal_strategy
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        self._check_called_by_step()
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._share(step - 1), self._share(step)
        rates = []
        for group in self.optimizer.param_groups:
            rate, end = group["lr"], group["swa_lr"]
            # Where the rate started, so that other schedules may have acted on it meanwhile.
            start = end if before == 1 else (rate - before * end) / (1 - before)
            rates.append(end * now + start * (1 - now))
        return rates

    def _share(self, step: int) -> float:
        """The share of the way that is done after `step` epochs."""
        t = max(0, min(1, step / max(1, self.anneal_epochs)))
        return t if self._anneal_strategy == "linear" else (1 - math.cos(math.pi * t)) / 2
