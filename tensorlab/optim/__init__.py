"""Optimizers: how gradients become steps."""

from __future__ import annotations

from tensorlab.optim import lr_scheduler
from tensorlab.optim.adam import Adam
from tensorlab.optim.adamw import AdamW
from tensorlab.optim.optimizer import Optimizer
from tensorlab.optim.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "lr_scheduler"]
