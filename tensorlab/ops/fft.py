"""Fourier transforms: what frequencies a signal is made of, and the signal that frequencies make.

The discrete Fourier transform of n numbers is X[k] = Σⱼ x[j]·exp(-2πi·jk/n); the inverse has
+2πi and is divided by n. The fast algorithm (J. W. Cooley and J. W. Tukey, "An algorithm for the
machine calculation of complex Fourier series", Math. Comp. 19, 1965) is NumPy's pocketfft on the
CPU and cuFFT on a GPU.

There are three kinds of transforms, each in both directions:

    c2c   complex to complex                                fft    ifft
    r2c   real to the first half of its spectrum            rfft   ihfft
    c2r   the first half of a spectrum to the real signal   irfft  hfft

The spectrum of a real signal is Hermitian (X[n-k] is the conjugate of X[k]), so its first
n//2 + 1 elements say everything. All are linear, so the gradient is the adjoint transform: the
other direction of c2c with the same factor in front, and for the other two each other's other
direction. There an element of the middle stands for two of the whole spectrum, which is where
the factors ½ and 2 in the rules come from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, SupportsIndex

import numpy as np

from tensorlab._backend import backend_of
from tensorlab._dtypes import from_numpy_dtype
from tensorlab._op import ErrorSample, Sample, op
from tensorlab._tensor import Tensor, wrap
from tensorlab.ops._dims import as_dim
from tensorlab.ops.padding import constant_pad_nd

# The same factor in the other direction: what "backward" leaves to the inverse is done by the
# forward transform of "forward".
_OTHER_WAY = {None: "forward", "backward": "forward", "forward": "backward", "ortho": "ortho"}


# Arguments --------------------------------------------------------------------------------


def _points(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise TypeError(
            f"{name}(): the number of data points must be int, not {type(value).__name__}"
        )
    return int(value)


def _signal(
    name: str, shape: Sequence[int], s: Any, dim: Any, half: bool, one: bool
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The sizes of the signal along the transformed dimensions, and these dimensions.

    `half`: the input holds half a spectrum, so the signal is about twice as long in the last of
    them. `one`: there is one dimension, so `s` and `dim` are not sequences, and -1 is no size.
    """
    ndim = len(shape)
    if one and ndim == 0:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    if isinstance(dim, SupportsIndex):
        dim = (dim,)
    if s is not None and not isinstance(s, Sequence):
        s = (s,)
    if dim is None:
        if s is not None and len(s) > ndim:
            raise RuntimeError(
                f"Got shape with {len(s)} values but input tensor only has {ndim} dimensions."
            )
        dims = tuple(range(ndim if s is None else len(s)))
        dims = tuple(d + ndim - len(dims) for d in dims)
    else:
        dims = tuple(as_dim(name, d, ndim) for d in dim)
        if len(set(dims)) < len(dims):
            raise RuntimeError(f"FFT dims must be unique, got dim={tuple(dim)}")
        if s is not None and len(s) != len(dims):
            raise RuntimeError(
                "When given, dim and shape arguments must have the same length, got "
                f"{len(dims)} dims and {len(s)} sizes"
            )
    sizes = [shape[d] for d in dims]
    if half and dims:
        sizes[-1] = 2 * (sizes[-1] - 1)
    if s is not None:
        asked = [_points(name, n) for n in s]
        sizes = [have if n == -1 and not one else n for n, have in zip(asked, sizes, strict=True)]
    for n in sizes:
        if n < 1:
            raise RuntimeError(f"Invalid number of data points ({n}) specified")
    return tuple(sizes), dims


def _check(name: str, input: Any, norm: Any, real: bool) -> None:
    """Raise PyTorch's errors for a dtype or a norm that no transform takes."""
    if norm not in _OTHER_WAY:
        raise RuntimeError(
            f'Invalid normalization mode: "{norm}"; expected "backward", "forward" or "ortho"'
        )
    if real and input.dtype.kind == "c":
        raise RuntimeError(
            f"{name} expects a real input tensor, but got {from_numpy_dtype(input.dtype)}; "
            f"use {name.replace('ih', 'i').replace('r', '')} for complex ones"
        )
    if input.dtype.itemsize == 2 and input.dtype.kind not in "iu":
        raise RuntimeError(
            f"Unsupported dtype {from_numpy_dtype(input.dtype)}: {name} needs float32, float64, "
            "complex64 or complex128; convert with .float()"
        )


# The transforms on arrays -----------------------------------------------------------------


def _compute(
    xp: Any, kind: str, inverse: bool, x: Any, sizes: Any, dims: Any, norm: str | None
) -> Any:
    """One transform over `dims`; NumPy crops the input, or fills it with zeros, to its sizes."""
    if kind == "r2c":
        if not inverse:
            return xp.fft.rfftn(x, sizes, dims, norm)
        return xp.conj(xp.fft.rfftn(x, sizes, dims, _OTHER_WAY[norm]))
    if x.dtype.kind != "c":
        x = x.astype(from_numpy_dtype(x.dtype).to_complex().numpy)
    if kind == "c2r":
        if inverse:
            return xp.fft.irfftn(x, sizes, dims, norm)
        return xp.fft.irfftn(xp.conj(x), sizes, dims, _OTHER_WAY[norm])
    if not dims:
        return x.copy()
    return (xp.fft.ifftn if inverse else xp.fft.fftn)(x, sizes, dims, norm)


# The gradient rules -----------------------------------------------------------------------


def _fitted(x: Any, shape: Sequence[int]) -> Any:
    """`x` cropped, or filled with zeros, at the ends: the adjoint of how the input was fitted."""
    if tuple(x.shape) == tuple(shape):
        return x
    sides = [(0, have - n) for n, have in zip(x.shape, shape, strict=True)]
    return constant_pad_nd(x, tuple(side for pair in reversed(sides) for side in pair))


def _middle(x: Any, dim: int, n: int, factor: float) -> Any:
    """Half a spectrum of `n` points along `dim`, with `factor` on all that stand for two."""
    array = x._data if isinstance(x, Tensor) else x
    factors = backend_of(array).xp.ones(n // 2 + 1, array.real.dtype)
    factors[1 : (n + 1) // 2] = factor
    factors = factors.reshape((-1,) + (1,) * (array.ndim - 1 - dim))
    return x * (wrap(factors) if isinstance(x, Tensor) else factors)


def _adjoint(
    kind: str, inverse: bool, g: Any, shape: Any, sizes: Any, dims: Any, norm: str | None
) -> Any:
    norm = _OTHER_WAY[norm]
    if kind == "c2c":
        back = (fftn if inverse else ifftn)(g, None, dims, norm)
    elif kind == "r2c":
        half = _middle(g, dims[-1], sizes[-1], 0.5)
        back = (hfftn if inverse else irfftn)(half, sizes, dims, norm)
    else:
        spectrum = (rfftn if inverse else ihfftn)(g, None, dims, norm)
        back = _middle(spectrum, dims[-1], sizes[-1], 2.0)
    return _fitted(back, shape)


# Tests ------------------------------------------------------------------------------------


def _reference(
    kind: str, inverse: bool, x: Any, sizes: Any, dims: Any, norm: str | None
) -> np.ndarray:
    """The sums of the definition, each a product with the matrix of exp(±2πi·jk/n)."""
    for i, (n, d) in enumerate(zip(sizes, dims, strict=True)):
        last = i == len(dims) - 1
        half = n // 2 + 1
        size = half if kind == "c2r" and last else n
        x = np.moveaxis(x, d, -1)[..., :size]
        x = np.concatenate([x, np.zeros((*x.shape[:-1], size - x.shape[-1]))], -1)
        turns = np.outer(np.arange(size), np.arange(n)) * (2j if inverse else -2j) * np.pi / n
        factor = {
            "forward": 1 if inverse else 1 / n, "ortho": n**-0.5,
        }.get(norm or "backward", 1 / n if inverse else 1)  # fmt: skip
        matrix = np.exp(turns) * factor
        if kind == "c2r" and last:
            twice = [1 if k == 0 or 2 * k == n else 2 for k in range(half)]
            x = ((x * twice) @ matrix).real
        else:
            x = x @ (matrix[:, :half] if kind == "r2c" and last else matrix)
        x = np.moveaxis(x, -1, d)
    return x.astype(np.complex128) if kind != "c2r" else x


def _samples(kind: str, rank: int) -> Callable[..., list[Sample]]:
    def samples(r: Any) -> list[Sample]:
        def z(*shape: int) -> Any:
            return r(*shape) if kind == "r2c" else np.asarray(r(*shape) + 1j * r(*shape))

        plain = [] if kind == "r2c" else [Sample(r(3, 4))]  # a real signal is a complex one too
        if rank == 1:
            return [
                Sample(z(5)), Sample(z(2, 4)), *plain, Sample(z(3, 2), dim=0),
                Sample(z(2, 5), 3, norm="ortho"), Sample(z(2, 3), 6, norm="forward"),
                Sample(z(2, 4), 7, norm="backward"), Sample(z(3), 1),
            ]  # fmt: skip
        if rank == 2:
            return [
                Sample(z(3, 4)), Sample(z(2, 4, 3), dim=(0, 1), norm="forward"), *plain,
                Sample(z(4, 3), (2, 5), norm="ortho"), Sample(z(2, 3, 2), (-1, 3), (2, 0)),
            ]  # fmt: skip
        return [
            Sample(z(2, 3, 2)), Sample(z(3, 4), norm="ortho"), Sample(z(2, 3, 4), dim=(2, 0)),
            Sample(z(3, 5), (4,)), Sample(z(3, 4), (2, -1), (1, 0), "forward"), *plain,
            Sample(z(3), (1,)), *([Sample(z()), Sample(z(2, 2), dim=())] if kind == "c2c" else []),
        ]  # fmt: skip

    return samples


def _errors(name: str, kind: str, rank: int) -> Callable[..., list[ErrorSample]]:
    def errors(r: Any) -> list[ErrorSample]:
        bad = [
            ErrorSample(r(3, 4), norm="x", error=RuntimeError, match='Invalid normalization mode: "x"'),
            ErrorSample(r(3, 4).astype(np.float16), error=RuntimeError, match="Unsupported dtype .*float16"),
        ]  # fmt: skip
        if kind == "r2c":
            bad.append(
                ErrorSample(r(3, 3) + 1j, error=RuntimeError, match=f"{name} expects a real input tensor, but got")
            )  # fmt: skip
        if kind == "c2r":
            bad.append(
                ErrorSample(r(3, 1), error=RuntimeError, match=r"Invalid number of data points \(0\)")
            )  # fmt: skip
        if rank == 1:
            return [
                *bad,
                ErrorSample(r(3), 0, error=RuntimeError, match=r"Invalid number of data points \(0\)"),
                ErrorSample(r(3), -1, error=RuntimeError, match=r"Invalid number of data points \(-1\)"),
                ErrorSample(r(3), 2.5, error=TypeError, match="must be int, not float"),
                ErrorSample(r(3), dim=1, error=IndexError, match="Dimension out of range"),
                ErrorSample(r(), error=IndexError, match="tensor has no dimensions"),
            ]  # fmt: skip
        bad += [
            ErrorSample(r(3, 4), (0, 2), dim=(0, 1), error=RuntimeError, match=r"data points \(0\)"),
            ErrorSample(r(3, 4), dim=(0, -2), error=RuntimeError, match="FFT dims must be unique"),
            ErrorSample(r(3, 4), (2,), dim=(0, 1), error=RuntimeError, match="must have the same length"),
            ErrorSample(r(3, 4), dim=(0, 2), error=IndexError, match="Dimension out of range"),
        ]  # fmt: skip
        if rank == 0:
            bad.append(ErrorSample(r(3), (2, 2), error=RuntimeError, match="only has 1 dimensions"))
        if kind != "c2c":
            bad.append(ErrorSample(r(3), dim=(), error=RuntimeError, match="at least one axis"))
        return bad

    return errors


# Declaring them ---------------------------------------------------------------------------

_ARGUMENTS = {
    1: "`n`: the signal is cropped, or filled with zeros at its end, to this length first.",
    2: "`s`: the signal is cropped, or filled with zeros, to these two lengths first (-1 keeps one).",
    0: "`s`: the signal is cropped, or filled with zeros, to these lengths first (-1 keeps one);\n"
       "    `dim`: all dimensions, or the last `len(s)`, unless given.",
}  # fmt: skip
_NORMS = """`norm`: where the factor 1/n goes: "backward" (the default) to the inverse transforms
    (ifft, irfft, ihfft), "forward" to the others, "ortho" 1/√n to both."""


def _transform(name: str, kind: str, inverse: bool, rank: int, doc: str, example: str) -> Any:
    """Declare one transform: over one dimension (rank 1), two (2) or any number (0)."""

    def plan(shape: Any, s: Any, dim: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
        sizes, dims = _signal(name, shape, s, dim, kind == "c2r", rank == 1)
        if not dims and kind != "c2c":
            raise RuntimeError(f"{name} must transform at least one axis")
        return sizes, dims

    def run(xp: Any, input: Any, s: Any, dim: Any, norm: Any) -> Any:
        _check(name, input, norm, kind == "r2c")
        sizes, dims = plan(input.shape, s, dim)
        return _compute(xp, kind, inverse, input, sizes, dims, norm)

    def back(g: Any, shape: Any, s: Any, dim: Any, norm: Any) -> Any:
        sizes, dims = plan(shape, s, dim)
        return _adjoint(kind, inverse, g, shape, sizes, dims, norm)

    # Three signatures, PyTorch's; the names of a rule's parameters are those of the call.
    def along_one(xp, input, /, n=None, dim=-1, norm=None):
        return run(xp, input, n, dim, norm)

    def along_two(xp, input, /, s=None, dim=(-2, -1), norm=None):
        return run(xp, input, s, dim, norm)

    def along_many(xp, input, /, s=None, dim=None, norm=None):
        return run(xp, input, s, dim, norm)

    def back_along_one(g, input_shape, n, dim, norm):
        return back(g, input_shape, n, dim, norm)

    def back_along_many(g, input_shape, s, dim, norm):
        return back(g, input_shape, s, dim, norm)

    default_dim = {1: -1, 2: (-2, -1), 0: None}[rank]

    def reference(x: Any, s: Any = None, dim: Any = default_dim, norm: Any = None) -> Any:
        sizes, dims = plan(x.shape, s, dim)
        return _reference(kind, inverse, x, sizes, dims, norm)

    forward = {1: along_one, 2: along_two, 0: along_many}[rank]
    forward.__name__ = name
    forward.__doc__ = (
        f"{doc}\n\n    {_ARGUMENTS[rank]}\n    {_NORMS}\n"
        "    Integers become the default float type; the result has the input's precision.\n\n"
        f"    Raises `RuntimeError` for an unknown norm, a length below 1 or a dtype without transform"
        f"{' (a complex one, too)' if kind == 'r2c' else ''}.\n\n"
        f"    >>> import tensorlab as tl\n{example}\n    "
    )
    made = op(
        samples=_samples(kind, rank), errors=_errors(name, kind, rank), ref=reference,
        torch=f"fft.{name}", result="float",
        node_name={"c2c": "FftC2C", "r2c": "FftR2C", "c2r": "FftC2R"}[kind],
    )(forward)  # fmt: skip
    made.vjp(input=back_along_one if rank == 1 else back_along_many)
    return made


fft = _transform(
    "fft", "c2c", False, 1,
    r"""The Fourier transform along one dimension: \(X_k = \sum_j x_j e^{-2\pi i\,jk/n}\).

    Shape: that of the input, with n along `dim`. The result is complex; element k belongs to k
    cycles over the signal, those above n/2 to k - n cycles (see `fftfreq`).""",
    """    >>> tl.fft.fft(tl.tensor([1., 0., -1., 0.]))
    tensor([0.+0.j, 2.+0.j, 0.+0.j, 2.+0.j])""",
)  # fmt: skip
ifft = _transform(
    "ifft", "c2c", True, 1,
    r"""The inverse of `fft`: \(x_j = \frac1n \sum_k X_k e^{2\pi i\,jk/n}\).""",
    """    >>> tl.fft.ifft(tl.tensor([0., 2., 0., 2.]))
    tensor([ 1.+0.j,  0.+0.j, -1.+0.j,  0.+0.j])""",
)  # fmt: skip
rfft = _transform(
    "rfft", "r2c", False, 1,
    """The first half of the Fourier transform of a real signal: elements 0 to n//2 of `fft`.

    The other half holds their conjugates. Twice as fast as `fft`, and half as large.""",
    """    >>> tl.fft.rfft(tl.tensor([1., 0., -1., 0.]))
    tensor([0.+0.j, 2.+0.j, 0.+0.j])""",
)  # fmt: skip
irfft = _transform(
    "irfft", "c2r", True, 1,
    """The inverse of `rfft`: the real signal of n points whose spectrum begins so.

    n is 2·(m - 1) unless given, for m elements: a signal of odd length needs `n`. Imaginary parts
    that no real signal has (of element 0 and, for even n, of the last) are ignored.""",
    """    >>> tl.fft.irfft(tl.tensor([0., 2., 0.]))
    tensor([ 1.,  0., -1.,  0.])""",
)  # fmt: skip
hfft = _transform(
    "hfft", "c2r", False, 1,
    """The real spectrum of a Hermitian signal, given by its first half.

    As `irfft`, but the forward transform. n is 2·(m - 1) unless given, for m elements.""",
    """    >>> tl.fft.hfft(tl.tensor([1., 1., 0.]))
    tensor([ 3.,  1., -1.,  1.])""",
)  # fmt: skip
ihfft = _transform(
    "ihfft", "r2c", True, 1,
    "The inverse of `hfft`: the first half of the Hermitian signal with this real spectrum.",
    """    >>> tl.fft.ihfft(tl.tensor([3., 1., -1., 1.]))
    tensor([1.-0.j, 1.-0.j, 0.-0.j])""",
)  # fmt: skip

_IMAGE = "    >>> image = tl.tensor([[1., 2.], [3., 4.]])\n"
fft2 = _transform(
    "fft2", "c2c", False, 2, "`fft` along two dimensions, the last two unless `dim` names others.",
    _IMAGE + """    >>> tl.fft.fft2(image)
    tensor([[10.+0.j, -2.+0.j],
            [-4.+0.j,  0.+0.j]])""",
)  # fmt: skip
ifft2 = _transform(
    "ifft2", "c2c", True, 2, "The inverse of `fft2`.",
    _IMAGE + """    >>> tl.fft.ifft2(tl.fft.fft2(image)).real
    tensor([[1., 2.],
            [3., 4.]])""",
)  # fmt: skip
rfft2 = _transform(
    "rfft2", "r2c", False, 2,
    "`rfft` of a real signal along two dimensions: `fft2` without the second half of the last of them.",
    _IMAGE + """    >>> tl.fft.rfft2(tl.cat([image, image], 1)).shape
    tensorlab.Size([2, 3])""",
)  # fmt: skip
irfft2 = _transform(
    "irfft2", "c2r", True, 2,
    "The inverse of `rfft2`. `s[-1]` is 2·(m - 1) unless given: an odd length needs it.",
    _IMAGE + """    >>> tl.fft.irfft2(tl.fft.rfft2(image), s=image.shape)
    tensor([[1., 2.],
            [3., 4.]])""",
)  # fmt: skip
hfft2 = _transform(
    "hfft2", "c2r", False, 2, "`hfft` along two dimensions: of a signal that is Hermitian in both together.",
    _IMAGE + """    >>> tl.fft.hfft2(image)
    tensor([[10., -2.],
            [-4.,  0.]])""",
)  # fmt: skip
ihfft2 = _transform(
    "ihfft2", "r2c", True, 2, "The inverse of `hfft2`.",
    _IMAGE + """    >>> tl.fft.ihfft2(tl.fft.hfft2(image)).real
    tensor([[1., 2.],
            [3., 4.]])""",
)  # fmt: skip

fftn = _transform(
    "fftn", "c2c", False, 0, "`fft` along several dimensions, one after the other.",
    _IMAGE + """    >>> tl.fft.fftn(image, dim=(0,))
    tensor([[ 4.+0.j,  6.+0.j],
            [-2.+0.j, -2.+0.j]])""",
)  # fmt: skip
ifftn = _transform(
    "ifftn", "c2c", True, 0, "The inverse of `fftn`.",
    _IMAGE + """    >>> tl.fft.ifftn(tl.fft.fftn(image)).real
    tensor([[1., 2.],
            [3., 4.]])""",
)  # fmt: skip
rfftn = _transform(
    "rfftn", "r2c", False, 0, "`rfft` along several dimensions: `fftn` without the second half of the last of them.",
    """    >>> tl.fft.rfftn(tl.ones(2, 3, 6)).shape
    tensorlab.Size([2, 3, 4])""",
)  # fmt: skip
irfftn = _transform(
    "irfftn", "c2r", True, 0, "The inverse of `rfftn`. `s[-1]` is 2·(m - 1) unless given: an odd length needs it.",
    _IMAGE + """    >>> tl.fft.irfftn(tl.fft.rfftn(image), s=image.shape)
    tensor([[1., 2.],
            [3., 4.]])""",
)  # fmt: skip
hfftn = _transform(
    "hfftn", "c2r", False, 0, "`hfft` along several dimensions: of a signal that is Hermitian in all of them together.",
    """    >>> tl.fft.hfftn(tl.ones(2, 3)).shape
    tensorlab.Size([2, 4])""",
)  # fmt: skip
ihfftn = _transform(
    "ihfftn", "r2c", True, 0, "The inverse of `hfftn`.",
    """    >>> tl.fft.ihfftn(tl.ones(2, 4)).shape
    tensorlab.Size([2, 3])""",
)  # fmt: skip
