"""Window functions: weights that fade a piece of a signal in and out before its Fourier transform.

Cutting a piece out of a signal gives it hard ends, which spread every frequency over the whole
spectrum. A window that goes to (nearly) 0 at both ends keeps each where it belongs: F. J. Harris,
"On the use of windows for harmonic analysis with the discrete Fourier transform", Proc. IEEE 66,
1978. These are the forms of `tensorlab.hann_window`; those of `tensorlab.signal.windows` call them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tensorlab import _dtypes
from tensorlab._tensor import Tensor
from tensorlab.ops.from_data import finish

# A window of length n as a function of the position in it: k = 0 … n-1, and n itself.
Shape = Callable[[np.ndarray, int], np.ndarray]


def make_window(
    name: str, length: int, periodic: bool, shape: Shape, dtype: Any, device: Any, requires_grad: bool
) -> Tensor:  # fmt: skip
    """`shape` at each place of a window; a periodic one is the start of one that is longer by 1.

    Raises `RuntimeError` for a negative length or a dtype that is not floating-point.
    """
    if length < 0:
        raise RuntimeError(
            f"{name} requires non-negative window_length, got window_length={length}"
        )
    to = _dtypes.get_default_dtype() if dtype is None else _dtypes.as_dtype(dtype)
    if not to.is_floating_point:
        raise RuntimeError(f"{name} expects floating point dtypes, got: {to}")
    if length < 2:  # nothing to fade
        return finish(np.ones(length, to.numpy), device, requires_grad)
    n = length + 1 if periodic else length
    # In float64, so that windows of low precision are as good as their dtype allows.
    values = shape(np.arange(n, dtype=np.float64), n)[:length]
    return finish(values.astype(to.numpy), device, requires_grad)


def cosine_sum(*coefficients: float) -> Shape:
    """The window a₀ - a₁ cos(2πk/(n-1)) + a₂ cos(4πk/(n-1)) - …"""

    def shape(k: np.ndarray, n: int) -> np.ndarray:
        total = np.zeros(n)
        for i, a in enumerate(coefficients):
            total += (-1) ** i * a * np.cos(2 * np.pi * i * k / (n - 1))
        return total

    return shape


def triangle(k: np.ndarray, n: int) -> np.ndarray:
    """Up to 1 in the middle and down again, in straight lines."""
    return 1 - np.abs(2 * k / (n - 1) - 1)


def kaiser(beta: float) -> Shape:
    """I₀(β √(1 - x²)) / I₀(β), where x runs from -1 to 1."""

    def shape(k: np.ndarray, n: int) -> np.ndarray:
        x = 2 * k / (n - 1) - 1
        return np.i0(beta * np.sqrt(np.maximum(1 - x * x, 0))) / np.i0(beta)

    return shape


def hann_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    r"""The Hann window \(\frac12 - \frac12\cos\frac{2\pi k}{n-1}\), which ends at 0 on both sides.

    Args:
        window_length: how many elements.
        periodic: n is `window_length + 1`, and the last element is left out. Such windows, shifted by
            a half or a quarter of their length, add up to a constant, as `istft` needs it; False gives the
            symmetric window with n = `window_length`, for designing filters.
        dtype: a floating-point type; the default dtype unless given.

    Raises:
        RuntimeError: for a negative length or another dtype.

    >>> import tensorlab as tl
    >>> tl.hann_window(4)
    tensor([0.0000, 0.5000, 1.0000, 0.5000])
    >>> tl.hann_window(3, periodic=False)
    tensor([0., 1., 0.])
    """
    return make_window(
        "hann_window", window_length, periodic, cosine_sum(0.5, 0.5), dtype, device, requires_grad
    )


def hamming_window(
    window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46, *, dtype: Any = None,
    layout: Any = None, device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    r"""The Hamming window \(\alpha - \beta\cos\frac{2\pi k}{n-1}\): a lower first side lobe than Hann's.

    It does not end at 0. `periodic`, dtypes and errors are those of `hann_window`.

    >>> import tensorlab as tl
    >>> tl.hamming_window(4)
    tensor([0.0800, 0.5400, 1.0000, 0.5400])
    """
    return make_window(
        "hamming_window", window_length, periodic, cosine_sum(alpha, beta), dtype, device, requires_grad
    )  # fmt: skip


def blackman_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    r"""The Blackman window \(0.42 - 0.5\cos\frac{2\pi k}{n-1} + 0.08\cos\frac{4\pi k}{n-1}\).

    `periodic`, dtypes and errors are those of `hann_window`.

    >>> import tensorlab as tl
    >>> tl.blackman_window(5, periodic=False).round(decimals=4).abs()
    tensor([0.0000, 0.3400, 1.0000, 0.3400, 0.0000])
    """
    return make_window(
        "blackman_window", window_length, periodic, cosine_sum(0.42, 0.5, 0.08), dtype, device, requires_grad
    )  # fmt: skip


def bartlett_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    r"""The Bartlett window \(1 - |\frac{2k}{n-1} - 1|\): a triangle that ends at 0 on both sides.

    `periodic`, dtypes and errors are those of `hann_window`.

    >>> import tensorlab as tl
    >>> tl.bartlett_window(4)
    tensor([0.0000, 0.5000, 1.0000, 0.5000])
    """
    return make_window(
        "bartlett_window", window_length, periodic, triangle, dtype, device, requires_grad
    )


def kaiser_window(
    window_length: int, periodic: bool = True, beta: float = 12.0, *, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    r"""The Kaiser window \(I_0(\beta\sqrt{1 - x^2})\,/\,I_0(\beta)\) with x from -1 to 1.

    \(I_0\) is the modified Bessel function of order 0. The larger `beta`, the wider the main lobe and
    the lower the side lobes; 0 is a rectangle, 5 near Hamming's, 8.6 near Blackman's.
    `periodic`, dtypes and errors are those of `hann_window`.

    >>> import tensorlab as tl
    >>> tl.kaiser_window(3, periodic=False, beta=5.0)
    tensor([0.0367, 1.0000, 0.0367])
    """
    return make_window(
        "kaiser_window", window_length, periodic, kaiser(beta), dtype, device, requires_grad
    )
