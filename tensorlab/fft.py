"""Fourier transforms, and the frequencies that their elements belong to.

>>> import tensorlab as tl
>>> tl.fft.rfft(tl.tensor([1., 0., -1., 0.])).abs()
tensor([0., 2., 0.])

In all of them `n` (or `s`) crops the signal or fills it with zeros first, `dim` says along which
dimensions, and `norm` where the factor 1/n goes: "backward", "ortho" or "forward".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorlab import _dtypes
from tensorlab._calls import out_to
from tensorlab._tensor import Tensor
from tensorlab.ops._dims import as_dims
from tensorlab.ops.convert import clone
from tensorlab.ops.fft import (
    fft,
    fft2,
    fftn,
    hfft,
    hfft2,
    hfftn,
    ifft,
    ifft2,
    ifftn,
    ihfft,
    ihfft2,
    ihfftn,
    irfft,
    irfft2,
    irfftn,
    rfft,
    rfft2,
    rfftn,
)
from tensorlab.ops.from_data import finish as _finish
from tensorlab.ops.joining import roll

__all__ = [
    "fft",
    "fft2",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "hfft2",
    "hfftn",
    "ifft",
    "ifft2",
    "ifftn",
    "ifftshift",
    "ihfft",
    "ihfft2",
    "ihfftn",
    "irfft",
    "irfft2",
    "irfftn",
    "rfft",
    "rfft2",
    "rfftfreq",
    "rfftn",
]


def _frequencies(
    name: str, counts: Any, n: Any, d: float, out: Any, dtype: Any, device: Any, requires_grad: bool
) -> Tensor:  # fmt: skip
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)):
        raise TypeError(f"{name}(): argument 'n' (position 1) must be int, not {type(n).__name__}")
    if n < 0:
        raise RuntimeError(f"{name}(): n must not be negative, got {n}")
    to = _dtypes.get_default_dtype() if dtype is None else _dtypes.as_dtype(dtype)
    if to.category < _dtypes.FLOATING:
        raise RuntimeError(f"{name} requires a floating point or complex dtype, got {to}")
    with np.errstate(all="ignore"):  # of no points, or points without distance: inf and nan
        values = counts(n) * (np.float64(1.0) / (np.float64(n) * d))
    result = _finish(values.astype(to.numpy), device, requires_grad)
    return result if out is None else out_to(out, result)


def fftfreq(
    n: int, d: float = 1.0, *, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The frequency of each element of `fft` of n samples that are `d` apart, in cycles per unit of d.

    They are 0, 1, … and then the negative ones from -(n//2) up to -1, divided by n·d.
    Raises `RuntimeError` for an integer dtype.

    >>> import tensorlab as tl
    >>> tl.fft.fftfreq(4)
    tensor([ 0.0000,  0.2500, -0.5000, -0.2500])
    """

    def counts(n: int) -> np.ndarray:
        return np.concatenate([np.arange((n + 1) // 2), np.arange(-(n // 2), 0)])

    return _frequencies("fftfreq", counts, n, d, out, dtype, device, requires_grad)


def rfftfreq(
    n: int, d: float = 1.0, *, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The frequency of each element of `rfft` of n samples that are `d` apart: 0 to n//2, divided by n·d.

    Raises `RuntimeError` for an integer dtype.

    >>> import tensorlab as tl
    >>> tl.fft.rfftfreq(4)
    tensor([0.0000, 0.2500, 0.5000])
    """

    def counts(n: int) -> np.ndarray:
        return np.arange(n // 2 + 1)

    return _frequencies("rfftfreq", counts, n, d, out, dtype, device, requires_grad)


def _shifted(name: str, input: Tensor, dim: Any, there: bool) -> Tensor:
    dims = as_dims(name, dim, len(input.shape))
    if not dims:
        return clone(input)
    sizes = [input.shape[d] for d in dims]
    return roll(input, tuple(n // 2 if there else (n + 1) // 2 for n in sizes), dims)


def fftshift(input: Tensor, dim: Any = None) -> Tensor:
    """A spectrum with frequency 0 in the middle of `dim` (an int or several), of all unless given.

    >>> import tensorlab as tl
    >>> tl.fft.fftshift(tl.fft.fftfreq(4))
    tensor([-0.5000, -0.2500,  0.0000,  0.2500])
    """
    return _shifted("fftshift", input, dim, True)


def ifftshift(input: Tensor, dim: Any = None) -> Tensor:
    """The inverse of `fftshift`, also for odd sizes.

    >>> import tensorlab as tl
    >>> tl.fft.ifftshift(tl.tensor([-2, -1, 0, 1, 2]))
    tensor([ 0,  1,  2, -2, -1])
    """
    return _shifted("ifftshift", input, dim, False)
