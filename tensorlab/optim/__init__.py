"""Optimizers: how gradients become steps."""

from __future__ import annotations

from tensorlab.optim import lr_scheduler
from tensorlab.optim.adadelta import Adadelta
from tensorlab.optim.adagrad import Adagrad
from tensorlab.optim.adam import Adam
from tensorlab.optim.adamax import Adamax
from tensorlab.optim.adamw import AdamW
from tensorlab.optim.optimizer import Optimizer
from tensorlab.optim.radam import RAdam
from tensorlab.optim.rmsprop import RMSprop
from tensorlab.optim.rprop import Rprop
from tensorlab.optim.sgd import SGD

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "lr_scheduler",
]
