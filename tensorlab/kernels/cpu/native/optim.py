"""The updates of the optimizers, each one pass over the parameters.

What the formulas are stands with the optimizers; here each number's new value is computed while it and
its buffers are in registers, so a step reads and writes memory once. The settings come as one array, in
the order in which the optimizer names them; those that are yes or no are 1 or 0.

All parameters take the step in one call, however many there are. They are counted as if they lay one behind
the other, as the numbers of the buffers do; of a part that begins or ends within a parameter, only that much of
it changes.

A kernel is compiled when its optimizer first takes a step: no program uses all of them.
"""

# Numba passes the first argument of an intrinsic itself.
# pyright: reportCallIssue=false

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba import njit

from tensorlab.kernels.cpu.native.compile import compiled
from tensorlab.kernels.cpu.native.objects import alike, numbers
from tensorlab.kernels.cpu.native.team import run_parts
from tensorlab.kernels.threads import pass_threads, split

__all__ = ["NAMES", "advance", "kernel", "warm"]

_f = np.float32
_ZERO, _ONE, _HALF = _f(0), _f(1), _f(0.5)
#: Operations for each parameter, about, and for each number of a buffer.
WORK, WORK_OF_BUFFERS = 4, 8


def _part(function: Any) -> Any:
    """Code that is put into the kernels that call it."""
    return njit(forceinline=True, fastmath={"contract"}, error_model="numpy")(function)


@_part
def _gradient(p: Any, g: Any, maximize: Any, decay: Any) -> Any:
    """The gradient with its sign turned and weight decay added where wanted."""
    turned = -g if maximize else g
    return turned + p * decay if decay != _ZERO else turned


@_part
def _towards(mean: Any, g: Any, weight: Any) -> Any:
    """`mean` moved by `weight` of the way to `g`, from whichever end is nearer: it rounds least."""
    away = g - mean
    return mean + away * weight if weight < _HALF else g - away * (_ONE - weight)


@_part
def _mean_of_squares(square: Any, g: Any, beta: Any, rest: Any) -> Any:
    return square * beta + g * rest * g


@_part
def _larger(a: Any, b: Any) -> Any:
    """The larger of two numbers; nan if one is."""
    return a if (a >= b) | (a != a) else b


@_part
def _sgd(settings, p, g):
    maximize, decay, lr = settings[0] != _ZERO, settings[1], settings[2]
    for i in range(len(p)):
        p[i] -= _gradient(p[i], g[i], maximize, decay) * lr


@_part
def _sgd_momentum(settings, p, g, velocity):
    maximize, decay, lr = settings[0] != _ZERO, settings[1], settings[2]
    momentum, share = settings[3], settings[4]
    nesterov, is_first = settings[5] != _ZERO, settings[6] != _ZERO
    for i in range(len(p)):
        slope = _gradient(p[i], g[i], maximize, decay)
        moved = slope if is_first else velocity[i] * momentum + slope * share
        velocity[i] = moved
        p[i] -= (slope + moved * momentum if nesterov else moved) * lr


@_part
def _adam(settings, p, g, mean, square):
    maximize, decay, shrink = settings[0] != _ZERO, settings[1], settings[2]
    weight, beta, rest = settings[3], settings[4], settings[5]
    step_size, eps = settings[6], settings[7]
    for i in range(len(p)):
        start = p[i] * shrink
        slope = _gradient(start, g[i], maximize, decay)
        m = _towards(mean[i], slope, weight)
        v = _mean_of_squares(square[i], slope, beta, rest)
        mean[i], square[i] = m, v
        p[i] = start - m * step_size / (np.sqrt(v) + eps)


@_part
def _amsgrad(settings, p, g, mean, square, largest):
    maximize, decay, shrink = settings[0] != _ZERO, settings[1], settings[2]
    weight, beta, rest = settings[3], settings[4], settings[5]
    step_size, eps = settings[6], settings[7]
    for i in range(len(p)):
        start = p[i] * shrink
        slope = _gradient(start, g[i], maximize, decay)
        m = _towards(mean[i], slope, weight)
        v = _mean_of_squares(square[i], slope, beta, rest)
        mean[i], square[i] = m, v
        top = _larger(largest[i], v)
        largest[i] = top
        p[i] = start - m * step_size / (np.sqrt(top) + eps)


@_part
def _nadam(settings, p, g, mean, square):
    maximize, decay, shrink = settings[0] != _ZERO, settings[1], settings[2]
    weight, beta, rest = settings[3], settings[4], settings[5]
    of_gradient, of_mean, eps = settings[6], settings[7], settings[8]
    for i in range(len(p)):
        start = p[i] * shrink
        slope = _gradient(start, g[i], maximize, decay)
        m = _towards(mean[i], slope, weight)
        v = _mean_of_squares(square[i], slope, beta, rest)
        mean[i], square[i] = m, v
        p[i] = start - (slope * of_gradient + m * of_mean) / (np.sqrt(v) + eps)


@_part
def _radam(settings, p, g, mean, square):
    maximize, decay, shrink = settings[0] != _ZERO, settings[1], settings[2]
    weight, beta, rest = settings[3], settings[4], settings[5]
    step_size, eps, divides = settings[6], settings[7], settings[8] != _ZERO
    for i in range(len(p)):
        start = p[i] * shrink
        slope = _gradient(start, g[i], maximize, decay)
        m = _towards(mean[i], slope, weight)
        v = _mean_of_squares(square[i], slope, beta, rest)
        mean[i], square[i] = m, v
        step = m * step_size
        p[i] = start - (step / (np.sqrt(v) + eps) if divides else step)


@_part
def _adamax(settings, p, g, mean, largest):
    maximize, decay = settings[0] != _ZERO, settings[1]
    weight, beta, step_size, eps = settings[2], settings[3], settings[4], settings[5]
    for i in range(len(p)):
        slope = _gradient(p[i], g[i], maximize, decay)
        m = _towards(mean[i], slope, weight)
        top = _larger(largest[i] * beta, abs(slope) + eps)
        mean[i], largest[i] = m, top
        p[i] -= m * step_size / top


@_part
def _adagrad(settings, p, g, total):
    maximize, decay, step_size, eps = settings[0] != _ZERO, settings[1], settings[2], settings[3]
    for i in range(len(p)):
        slope = _gradient(p[i], g[i], maximize, decay)
        s = total[i] + slope * slope
        total[i] = s
        p[i] -= slope / (np.sqrt(s) + eps) * step_size


@_part
def _adadelta(settings, p, g, square, deltas):
    maximize, decay, lr = settings[0] != _ZERO, settings[1], settings[2]
    rho, rest, eps = settings[3], settings[4], settings[5]
    for i in range(len(p)):
        slope = _gradient(p[i], g[i], maximize, decay)
        v = _mean_of_squares(square[i], slope, rho, rest)
        delta = np.sqrt(deltas[i] + eps) * slope / np.sqrt(v + eps)
        square[i], deltas[i] = v, _mean_of_squares(deltas[i], delta, rho, rest)
        p[i] -= delta * lr


@_part
def _rmsprop(settings, p, g, square):
    maximize, decay, lr = settings[0] != _ZERO, settings[1], settings[2]
    alpha, rest, eps = settings[3], settings[4], settings[5]
    for i in range(len(p)):
        slope = _gradient(p[i], g[i], maximize, decay)
        v = _mean_of_squares(square[i], slope, alpha, rest)
        square[i] = v
        p[i] -= slope / (np.sqrt(v) + eps) * lr


@_part
def _rmsprop_momentum(settings, p, g, square, buffer):
    maximize, decay, lr = settings[0] != _ZERO, settings[1], settings[2]
    alpha, rest, eps, momentum = settings[3], settings[4], settings[5], settings[6]
    for i in range(len(p)):
        slope = _gradient(p[i], g[i], maximize, decay)
        v = _mean_of_squares(square[i], slope, alpha, rest)
        moved = buffer[i] * momentum + slope / (np.sqrt(v) + eps)
        square[i], buffer[i] = v, moved
        p[i] -= moved * lr


@_part
def _rmsprop_centered(settings, p, g, square, mean):
    maximize, decay, lr = settings[0] != _ZERO, settings[1], settings[2]
    alpha, rest, eps = settings[3], settings[4], settings[5]
    for i in range(len(p)):
        slope = _gradient(p[i], g[i], maximize, decay)
        v = _mean_of_squares(square[i], slope, alpha, rest)
        m = _towards(mean[i], slope, rest)
        square[i], mean[i] = v, m
        p[i] -= slope / (np.sqrt(v - m * m) + eps) * lr


@_part
def _rmsprop_centered_momentum(settings, p, g, square, buffer, mean):
    maximize, decay, lr = settings[0] != _ZERO, settings[1], settings[2]
    alpha, rest, eps, momentum = settings[3], settings[4], settings[5], settings[6]
    for i in range(len(p)):
        slope = _gradient(p[i], g[i], maximize, decay)
        v = _mean_of_squares(square[i], slope, alpha, rest)
        m = _towards(mean[i], slope, rest)
        moved = buffer[i] * momentum + slope / (np.sqrt(v - m * m) + eps)
        square[i], mean[i], buffer[i] = v, m, moved
        p[i] -= moved * lr


@_part
def _asgd(settings, p, g, mean):
    maximize, decay = settings[0] != _ZERO, settings[1]
    shrink, size, weight = settings[2], settings[3], settings[4]
    for i in range(len(p)):
        slope = _gradient(p[i], g[i], maximize, decay)
        new = p[i] * shrink - slope * size
        p[i] = new
        mean[i] = new if weight == _ONE else mean[i] + (new - mean[i]) * weight


@_part
def _rprop(settings, p, g, before, size):
    maximize, lr, is_first = settings[0] != _ZERO, settings[1], settings[2] != _ZERO
    shrink, grow, smallest, largest = settings[3], settings[4], settings[5], settings[6]
    for i in range(len(p)):
        slope = _gradient(p[i], g[i], maximize, _ZERO)
        agree = slope * before[i]
        step = lr if is_first else size[i]
        step *= shrink if agree < _ZERO else (grow if agree > _ZERO else _ONE)
        step = smallest if step < smallest else (largest if step > largest else step)
        slope = _ZERO if agree < _ZERO else slope
        before[i], size[i] = slope, step
        sign = _ONE if slope > _ZERO else (-_ONE if slope < _ZERO else slope)  # nan stays
        p[i] -= sign * step


#: Name → the function to be compiled, and how many buffers it has.
_UPDATES = {
    "adadelta": (_adadelta, 2),
    "adagrad": (_adagrad, 1),
    "adam": (_adam, 2),
    "adamax": (_adamax, 2),
    "amsgrad": (_amsgrad, 3),
    "asgd": (_asgd, 1),
    "nadam": (_nadam, 2),
    "radam": (_radam, 2),
    "rmsprop": (_rmsprop, 1),
    "rmsprop_centered": (_rmsprop_centered, 2),
    "rmsprop_centered_momentum": (_rmsprop_centered_momentum, 3),
    "rmsprop_momentum": (_rmsprop_momentum, 2),
    "rprop": (_rprop, 2),
    "sgd": (_sgd, 0),
    "sgd_momentum": (_sgd_momentum, 1),
}
NAMES = tuple(_UPDATES)


@_part
def _no_buffers(arrays, first, last):
    return ()


@_part
def _one_buffer(arrays, first, last):
    return (numbers(arrays[0], first, last),)


@_part
def _two_buffers(arrays, first, last):
    return numbers(arrays[0], first, last), numbers(arrays[1], first, last)


@_part
def _three_buffers(arrays, first, last):
    one, two = _two_buffers(arrays, first, last)
    return one, two, numbers(arrays[2], first, last)


_BUFFERS = (_no_buffers, _one_buffer, _two_buffers, _three_buffers)


@functools.cache
def kernel(name: str) -> Any:
    """The compiled update of one of NAMES: `kernel(settings, arrays, starts, first, last)`.

    arrays: the ids of the parameters, the gradients and the buffers; contiguous arrays of float32.
    starts: where each parameter begins, and the end of the last.
    """
    update, buffers = _UPDATES[name]
    part_of_buffers = _BUFFERS[buffers]

    def step(settings, arrays, starts, first, last):
        count = len(starts) - 1
        for i in range(count):
            start = starts[i]
            low, high = max(first, start), min(last, starts[i + 1])
            if low < high:
                p = numbers(arrays[i], low - start, high - start)
                g = numbers(arrays[count + i], low - start, high - start)
                update(settings, p, g, *part_of_buffers(arrays[2 * count :], low, high))

    step.__name__ = step.__qualname__ = f"_{name}"
    return compiled("void(float32[::1], int64[::1], int64[::1], int64, int64)", limits=2)(step)


def warm() -> None:
    """Compile all of them."""
    for name in NAMES:
        kernel(name)


def advance(
    name: str, settings: tuple[float, ...], starts: np.ndarray, arrays: list[np.ndarray]
) -> bool:
    """One step; arrays: the parameters, the gradients and the buffers. See `kernel`.

    False, and nothing is done, if a gradient does not lie as its parameter does.
    """
    ids = np.array([*map(id, arrays)], np.int64)
    if not alike(ids, len(starts) - 1):
        return False
    count, buffers = int(starts[-1]), _UPDATES[name][1]
    work = WORK + WORK_OF_BUFFERS * buffers
    parts = split(count, pass_threads(work * count), 16)  # whole cache lines to each thread
    run_parts(kernel(name), parts, np.array(settings, np.float32), ids, starts)
    return True
