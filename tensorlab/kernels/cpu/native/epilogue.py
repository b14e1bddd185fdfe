"""What follows a product of matrices while its numbers are still in the cache: a bias and an activation."""

from __future__ import annotations

import numpy as np

from tensorlab.kernels.cpu.native.activation import gelu_of, relu_of, tanh_gelu_of
from tensorlab.kernels.cpu.native.compile import compiled

__all__ = ["ACTIVATIONS", "IDENTITY", "NO_BIAS", "finish"]

IDENTITY, RELU, GELU, TANH_GELU = range(4)
ACTIVATIONS = {"identity": IDENTITY, "relu": RELU, "gelu": GELU, "tanh_gelu": TANH_GELU}
NO_BIAS = np.empty(0, np.float32)


@compiled("void(float32[:, ::1], float32[::1], int64, int64, int64, int64, int64)")
def finish(c, bias, activation, top, bottom, left, right):
    """c[top:bottom, left:right] = activation(c + bias)[…]; `bias` has a number for each column, or none."""
    if len(bias) == 0 and activation == IDENTITY:
        return
    for i in range(top, bottom):
        line = c[i, left:right]
        if len(bias):
            added = bias[left:right]
            for j in range(len(line)):
                line[j] += added[j]
        if activation == RELU:
            for j in range(len(line)):
                line[j] = relu_of(line[j])
        elif activation == GELU:
            for j in range(len(line)):
                line[j] = gelu_of(line[j])
        elif activation == TANH_GELU:
            for j in range(len(line)):
                line[j] = tanh_gelu_of(line[j])
