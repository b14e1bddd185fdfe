"""Max pooling, a row of windows at a time, so that neighbours in memory are compared side by side."""

# Numba passes the first argument of an intrinsic itself.
# pyright: reportCallIssue=false

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab.kernels.cpu.native.compile import compiled
from tensorlab.kernels.cpu.native.tile import at, copy_row
from tensorlab.kernels.threads import run_parts, split, thread_count

_HOW = "int64, int64, int64, int64, int64, int64, int64, int64"  # kernel, stride, padding, dilation


@compiled(f"void(float32[:, :, ::1], float32[:, :, ::1], int64, int64, {_HOW})")
def largest(x, out, first, last, kh, kw, sh, sw, ph, pw, dh, dw):
    """The largest of every window of planes first…last; nan is the largest."""
    height, width = x.shape[1:]
    rows, columns = out.shape[1:]
    for plane in range(first, last):
        for i in range(rows):
            for c in range(columns):
                out[plane, i, c] = -np.inf
            for k in range(kh):
                row = i * sh - ph + k * dh
                if row < 0 or row >= height:
                    continue
                for m in range(kw):
                    # Columns whose window has its element m inside the image.
                    offset = m * dw - pw
                    begin = max(0, (sw - 1 - offset) // sw)
                    end = min(columns, (width - 1 - offset) // sw + 1)
                    for c in range(begin, end):
                        value, best = x[plane, row, offset + c * sw], out[plane, i, c]
                        stays = (best >= value) | (best != best)
                        out[plane, i, c] = best if stays else value


@compiled(f"void(float32[:, :, ::1], int64[:, :, ::1], int64, int64, {_HOW})")
def positions(x, out, first, last, kh, kw, sh, sw, ph, pw, dh, dw):
    """Where in its plane the largest of every window is: of equals the first, of nans the last."""
    height, width = x.shape[1:]
    rows, columns = out.shape[1:]
    best = np.empty(columns, np.float32)
    # The number of the element within its window, kept as a float: then all that the inner loop
    # chooses between is of one size, and a whole vector of windows is decided at once.
    which = np.empty(columns, np.float32)
    for plane in range(first, last):
        for i in range(rows):
            for c in range(columns):
                which[c] = -1
                best[c] = -np.inf
            for k in range(kh):
                row = i * sh - ph + k * dh
                if row < 0 or row >= height:
                    continue
                for m in range(kw):
                    offset = m * dw - pw
                    begin = max(0, (sw - 1 - offset) // sw)
                    end = min(columns, (width - 1 - offset) // sw + 1)
                    number = np.float32(k * kw + m)
                    for c in range(begin, end):
                        value, so_far = x[plane, row, offset + c * sw], best[c]
                        wins = (value > so_far) | (value != value)
                        best[c] = value if wins else so_far
                        which[c] = number if wins else which[c]
            top = i * sh - ph
            for c in range(columns):
                left = c * sw - pw
                if which[c] >= 0:
                    k, m = divmod(int(which[c]), kw)
                    out[plane, i, c] = (top + k * dh) * width + left + m * dw
                else:  # nothing is larger than the padding: PyTorch names the first that is none
                    down = (max(0, -top) + dh - 1) // dh * dh
                    right = (max(0, -left) + dw - 1) // dw * dw
                    out[plane, i, c] = (top + down) * width + left + right


@compiled("void(float32[:, :, ::1], float32[:, :, ::1], int64[:, :, ::1], boolean, int64, int64)")
def halves(x, out, places, find, first, last):
    """2 × 2 windows side by side in an even width: the largest, and its place if `find`.

    The commonest case, and rows are often shorter than a vector. The upper rows of all windows are
    put behind each other, and so are the lower ones: then a plane is one long row.
    """
    width = x.shape[2]
    rows, columns = out.shape[1:]
    upper = np.zeros(rows * width, np.float32)
    lower = np.zeros(rows * width, np.float32)
    best = np.empty(rows * columns, np.float32)
    which = np.empty(rows * columns, np.float32)
    zero = np.float32(-0.0)  # adding it leaves every number as it is, -0.0 too
    for plane in range(first, last):
        for i in range(rows):
            source = (plane * x.shape[1] + 2 * i) * width
            copy_row(at(x, source), at(upper, i * width), width, zero)
            copy_row(at(x, source + width), at(lower, i * width), width, zero)
        for p in range(rows * columns):
            a, b, c, d = upper[2 * p], upper[2 * p + 1], lower[2 * p], lower[2 * p + 1]
            wins = (b > a) | (b != b)
            most = b if wins else a
            number = np.float32(1) if wins else np.float32(0)
            wins = (c > most) | (c != c)
            most = c if wins else most
            number = np.float32(2) if wins else number
            wins = (d > most) | (d != d)
            best[p] = d if wins else most
            which[p] = np.float32(3) if wins else number
        if find:
            for i in range(rows):
                for c in range(columns):
                    number = int(which[i * columns + c])
                    row, column = 2 * i + (number >> 1), 2 * c + (number & 1)
                    places[plane, i, c] = row * width + column
        else:
            copy_row(at(best, 0), at(out, plane * rows * columns), rows * columns, zero)


@compiled("void(float32[:, ::1], int64[:, ::1], float32[:, ::1], boolean[::1], int64, int64)")
def scatter(g, places, out, outside, first, last):
    """Each plane of `out` is zero but for the gradients added at their places.

    A place that is outside its plane is noted, and nothing written there.
    """
    area = out.shape[1]
    for plane in range(first, last):
        for p in range(area):
            out[plane, p] = 0
        for p in range(g.shape[1]):
            place = places[plane, p]
            if 0 <= place < area:
                out[plane, place] += g[plane, p]
            else:
                outside[0] = True


def _planes(x: np.ndarray, dims: int) -> np.ndarray:
    """(…, *size) as contiguous (planes, rows, columns)."""
    size = x.shape[x.ndim - dims :] if dims == 2 else (1, x.shape[-1])
    return np.ascontiguousarray(x).reshape(-1, *size)


def _each(part: Any, planes: int, work: int) -> None:
    run_parts(part, split(planes, thread_count(work)))


def _how(kernel: Any, stride: Any, padding: Any, dilation: Any) -> tuple[int, ...]:
    fill = (1, 1, 0, 1) if len(kernel) == 1 else ()
    given = (kernel, stride, padding, dilation)
    if fill:
        return tuple(n for f, v in zip(fill, given, strict=True) for n in (f, v[0]))
    return tuple(n for v in given for n in v)


def _is_halving(planes: np.ndarray, numbers: tuple[int, ...]) -> bool:
    return numbers == (2, 2, 2, 2, 0, 0, 1, 1) and planes.shape[2] % 2 == 0


def max_pool(x: np.ndarray, count: Any, *how: Any) -> np.ndarray:
    """The largest of every window of x (…, *size): (…, *count)."""
    dims = len(count)
    planes = _planes(x, dims)
    out = np.empty((planes.shape[0], count[0] if dims == 2 else 1, count[-1]), np.float32)
    numbers = _how(*how)
    work = 2 * out.size * numbers[0] * numbers[1]
    if _is_halving(planes, numbers):
        none = np.empty((0, 0, 0), np.int64)
        _each(lambda a, b: halves(planes, out, none, False, a, b), len(planes), work)
    else:
        _each(lambda a, b: largest(planes, out, a, b, *numbers), len(planes), work)
    return out.reshape(*x.shape[: x.ndim - dims], *count)


def max_pool_positions(x: np.ndarray, count: Any, *how: Any) -> np.ndarray:
    """Where the largest of every window is, counted within each image."""
    dims = len(count)
    planes = _planes(x, dims)
    out = np.empty((planes.shape[0], count[0] if dims == 2 else 1, count[-1]), np.int64)
    numbers = _how(*how)
    work = 4 * out.size * numbers[0] * numbers[1]
    if _is_halving(planes, numbers):
        sizes = np.empty(out.shape, np.float32)
        _each(lambda a, b: halves(planes, sizes, out, True, a, b), len(planes), work)
    else:
        _each(lambda a, b: positions(planes, out, a, b, *numbers), len(planes), work)
    return out.reshape(*x.shape[: x.ndim - dims], *count)


def pool_scatter(g: np.ndarray, places: np.ndarray, size: Any) -> Any:
    """The gradients g at their places in images of `size`; NotImplemented if one is outside."""
    lead = g.shape[: g.ndim - len(size)]
    out = np.empty((int(np.prod(lead)), int(np.prod(size))), np.float32)
    rows = np.ascontiguousarray(g).reshape(len(out), -1)
    where = np.ascontiguousarray(places).reshape(len(out), -1)
    outside = np.zeros(1, np.bool_)
    _each(lambda a, b: scatter(rows, where, out, outside, a, b), len(out), out.size)
    return NotImplemented if outside[0] else out.reshape(*lead, *size)
