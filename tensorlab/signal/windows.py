"""Window functions of M points, symmetric (for filters) or periodic (`sym=False`, for spectra).

>>> import tensorlab as tl
>>> tl.signal.windows.hann(5)
tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])

All take `sym`, `dtype` (float32 or float64; the default dtype unless given), `device` and
`requires_grad`, and raise `ValueError` for a negative M, another dtype or a parameter out of its
range. A periodic window is the start of the symmetric one of M + 1 points. Formulas: F. J. Harris,
"On the use of windows for harmonic analysis with the discrete Fourier transform", Proc. IEEE 66,
1978; A. H. Nuttall, "Some windows with very good sidelobe behavior", IEEE Trans. ASSP 29, 1981.
`tensorlab.hann_window` and its like are the same windows, periodic unless asked otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tensorlab import _dtypes
from tensorlab._tensor import Tensor
from tensorlab.ops import windows as _windows
from tensorlab.ops.from_data import finish as _finish

__all__ = [
    "bartlett",
    "blackman",
    "cosine",
    "exponential",
    "gaussian",
    "general_cosine",
    "general_hamming",
    "hamming",
    "hann",
    "kaiser",
    "nuttall",
]


def _make(
    name: str, M: int, shape: _windows.Shape, sym: bool, dtype: Any, device: Any, requires_grad: bool,
    alone: float = 1.0,
) -> Tensor:  # fmt: skip
    """`shape` at each of the M places; `alone` where there is but one, whatever the formula says."""
    if isinstance(M, bool) or not isinstance(M, (int, np.integer)):
        raise TypeError(f"{name}(): argument 'M' must be int, not {type(M).__name__}")
    if M < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={M}")
    to = _dtypes.get_default_dtype() if dtype is None else _dtypes.as_dtype(dtype)
    if to not in (_dtypes.float32, _dtypes.float64):
        raise ValueError(f"{name} expects float32 or float64 dtypes, got: {to}")
    n = M if sym else M + 1
    places = np.arange(n, dtype=np.float64)
    values = np.full(M, alone) if M < 2 else shape(places, n)[:M]
    return _finish(values.astype(to.numpy), device, requires_grad)


def _positive(what: str, value: float) -> None:
    if not value > 0:
        raise ValueError(f"{what} must be positive, got: {value} instead.")


def general_cosine(
    M: int, *, a: Sequence[float], sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    r"""The sum of cosines \(\sum_i (-1)^i a_i \cos\frac{2\pi i k}{M-1}\) with the coefficients `a`.

    >>> import tensorlab as tl
    >>> tl.signal.windows.general_cosine(3, a=[0.5, 0.5])
    tensor([0., 1., 0.])
    """
    if not isinstance(a, (list, tuple)):
        raise TypeError(f"Coefficients must be a list/tuple, got {type(a).__name__}")
    if not a:
        raise ValueError("Coefficients cannot be empty")
    return _make(
        "general_cosine", M, _windows.cosine_sum(*a), sym, dtype, device, requires_grad
    )  # fmt: skip


def general_hamming(
    M: int, *, alpha: float = 0.54, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    r"""The window \(\alpha - (1 - \alpha)\cos\frac{2\pi k}{M-1}\).

    >>> import tensorlab as tl
    >>> tl.signal.windows.general_hamming(3, alpha=0.75)
    tensor([0.5000, 1.0000, 0.5000])
    """
    shape = _windows.cosine_sum(alpha, 1.0 - alpha)
    return _make("general_hamming", M, shape, sym, dtype, device, requires_grad)


def _named(name: str, doc: str, shape: _windows.Shape) -> Callable[..., Tensor]:
    """A window without parameters of its own."""

    def window(
        M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
        requires_grad: bool = False,
    ) -> Tensor:  # fmt: skip
        return _make(name, M, shape, sym, dtype, device, requires_grad)

    window.__name__ = window.__qualname__ = name
    window.__doc__ = doc
    return window


hann = _named(
    "hann",
    r"""The Hann window \(\frac12 - \frac12\cos\frac{2\pi k}{M-1}\).

    >>> import tensorlab as tl
    >>> tl.signal.windows.hann(3)
    tensor([0., 1., 0.])
    """,
    _windows.cosine_sum(0.5, 0.5),
)
hamming = _named(
    "hamming",
    r"""The Hamming window \(0.54 - 0.46\cos\frac{2\pi k}{M-1}\).

    >>> import tensorlab as tl
    >>> tl.signal.windows.hamming(3)
    tensor([0.0800, 1.0000, 0.0800])
    """,
    _windows.cosine_sum(0.54, 0.46),
)
blackman = _named(
    "blackman",
    r"""The Blackman window \(0.42 - 0.5\cos\frac{2\pi k}{M-1} + 0.08\cos\frac{4\pi k}{M-1}\).

    >>> import tensorlab as tl
    >>> tl.signal.windows.blackman(5)[1:4]
    tensor([0.3400, 1.0000, 0.3400])
    """,
    _windows.cosine_sum(0.42, 0.5, 0.08),
)
nuttall = _named(
    "nuttall",
    """Nuttall's sum of four cosines, whose side lobes lie 93 dB below the main one.

    >>> import tensorlab as tl
    >>> tl.signal.windows.nuttall(3)
    tensor([3.6280e-04, 1.0000e+00, 3.6280e-04])
    """,
    _windows.cosine_sum(0.3635819, 0.4891775, 0.1365995, 0.0106411),
)
bartlett = _named(
    "bartlett",
    r"""The Bartlett window \(1 - |\frac{2k}{M-1} - 1|\), a triangle.

    >>> import tensorlab as tl
    >>> tl.signal.windows.bartlett(5)
    tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """,
    _windows.triangle,
)
cosine = _named(
    "cosine",
    r"""Half a wave: \(\sin\frac{\pi(k + 1/2)}{M}\), which does not reach 0.

    >>> import tensorlab as tl
    >>> tl.signal.windows.cosine(3)
    tensor([0.5000, 1.0000, 0.5000])
    """,
    lambda k, n: np.sin(np.pi * (k + 0.5) / n),
)


def exponential(
    M: int, *, center: float | None = None, tau: float = 1.0, sym: bool = True, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    r"""The window \(e^{-|k - center|/\tau}\); `center` is the middle, and given for periodic windows only.

    >>> import tensorlab as tl
    >>> tl.signal.windows.exponential(3)
    tensor([0.3679, 1.0000, 0.3679])
    """
    _positive("Tau", tau)
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")

    def shape(k: np.ndarray, n: int) -> np.ndarray:
        return np.exp(-np.abs(k - ((n - 1) / 2 if center is None else center)) / tau)

    alone = 1.0 if center is None else float(np.exp(-abs(center) / tau))
    return _make("exponential", M, shape, sym, dtype, device, requires_grad, alone)


def gaussian(
    M: int, *, std: float = 1.0, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    r"""The bell curve \(e^{-(k - m)^2 / (2\,std^2)}\) around the middle m; `std` in elements.

    >>> import tensorlab as tl
    >>> tl.signal.windows.gaussian(3)
    tensor([0.6065, 1.0000, 0.6065])
    """
    _positive("Standard deviation", std)

    def shape(k: np.ndarray, n: int) -> np.ndarray:
        return np.exp(-(((k - (n - 1) / 2) / std) ** 2) / 2)

    return _make("gaussian", M, shape, sym, dtype, device, requires_grad)


def kaiser(
    M: int, *, beta: float = 12.0, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The Kaiser window; see `tensorlab.kaiser_window`. `beta` is not negative.

    >>> import tensorlab as tl
    >>> tl.signal.windows.kaiser(3, beta=5.0)
    tensor([0.0367, 1.0000, 0.0367])
    """
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")
    return _make("kaiser", M, _windows.kaiser(beta), sym, dtype, device, requires_grad)
