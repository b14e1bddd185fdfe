"""Fourier transforms: beyond the generic suite, identities, precision, errors and helpers."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

import tensorlab as tl

ONE = ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"]
ALL = [*ONE, *(f"{name}{end}" for name in ONE for end in ("2", "n"))]
REAL_INPUT = ("rfft", "ihfft")


def signal(rng: np.random.Generator, name: str, *shape: int) -> np.ndarray:
    x = rng.standard_normal(shape)
    return x if name.startswith(REAL_INPUT) else x + 1j * rng.standard_normal(shape)


@pytest.mark.parametrize("name", ALL)
def test_values_and_gradients_are_pytorchs(rng: np.random.Generator, name: str) -> None:
    """Over lengths, dimensions and norms at random; the gradient of a real loss, twice."""
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    for _ in range(12):
        shape = tuple(int(n) for n in rng.integers(2, 7, 3))
        array = signal(rng, name, *shape)
        if name in ONE:
            arguments: dict[str, Any] = {"dim": int(rng.integers(-3, 3))}
            if rng.random() < 0.6:
                arguments["n"] = int(rng.integers(1, 9))
        else:
            count = 2 if name.endswith("2") else int(rng.integers(1, 4))
            arguments = {"dim": tuple(int(d) - 3 for d in rng.permutation(3)[:count])}
            if rng.random() < 0.6:
                arguments["s"] = tuple(int(n) for n in rng.integers(1, 9, count))
        arguments["norm"] = [None, "backward", "ortho", "forward"][int(rng.integers(4))]
        message = f"{name}, shape {shape}, {arguments}"

        found = []
        for lib in (tl, torch):
            x = lib.tensor(array, requires_grad=True)
            out = getattr(lib.fft, name)(x, **arguments)
            loss = (out.abs() ** 3).sum()
            (first,) = lib.autograd.grad(loss, [x], create_graph=True)
            (second,) = lib.autograd.grad((first.abs() ** 2).sum(), [x])
            found.append([out.detach(), first.detach(), second])
        for ours, theirs in zip(*found, strict=True):
            want = theirs.resolve_conj().numpy()
            scale = max(np.abs(want).max(), 1.0)
            assert ours.dtype.name == want.dtype.name, message
            np.testing.assert_allclose(ours.numpy(), want, rtol=0, atol=1e-10 * scale, err_msg=message)  # fmt: skip


@pytest.mark.parametrize("name", ALL)
def test_float32_stays_float32(rng: np.random.Generator, name: str) -> None:
    array = signal(rng, name, 3, 4)
    narrow = array.astype(np.complex64 if array.dtype.kind == "c" else np.float32)
    x = tl.tensor(narrow, requires_grad=True)
    out = getattr(tl.fft, name)(x)
    assert out.dtype in (tl.float32, tl.complex64)
    assert out.dtype.itemsize == getattr(tl.fft, name)(tl.tensor(array)).dtype.itemsize // 2
    out.abs().sum().backward()
    assert x.grad is not None
    assert x.grad.dtype is x.dtype


@pytest.mark.parametrize("norm", [None, "ortho", "forward"])
@pytest.mark.parametrize("n", [1, 4, 5])
def test_inverses(rng: np.random.Generator, n: int, norm: str | None) -> None:
    x = tl.tensor(rng.standard_normal((2, n)))
    z = tl.complex(x, tl.tensor(rng.standard_normal((2, n))))
    f = tl.fft
    assert tl.allclose(f.ifft(f.fft(z, norm=norm), norm=norm), z)
    assert tl.allclose(f.irfft(f.rfft(x, norm=norm), n, norm=norm), x)
    assert tl.allclose(f.hfft(f.ihfft(x, norm=norm), n, norm=norm), x)
    assert tl.allclose(f.ifftn(f.fftn(z, norm=norm), norm=norm), z)
    assert tl.allclose(f.irfft2(f.rfft2(x, norm=norm), x.shape, norm=norm), x)
    assert tl.allclose(f.hfftn(f.ihfftn(x, norm=norm), x.shape, norm=norm), x)


def test_the_energy_is_the_same_in_time_and_in_frequency(rng: np.random.Generator) -> None:
    """Parseval's theorem."""
    x = tl.tensor(rng.standard_normal(12))
    spectrum = tl.fft.fft(x, norm="ortho")
    assert tl.allclose((spectrum.abs() ** 2).sum(), (x**2).sum())


def test_a_product_of_spectra_is_a_convolution(rng: np.random.Generator) -> None:
    """The gradient also goes through: a kernel is found again from what it did to a signal."""
    x, kernel = rng.standard_normal(8), rng.standard_normal(3)
    want = np.convolve(x, kernel)
    spectrum = tl.fft.rfft(tl.tensor(x), n=10) * tl.fft.rfft(tl.tensor(kernel), n=10)
    np.testing.assert_allclose(tl.fft.irfft(spectrum, n=10).numpy(), want, atol=1e-12)


def test_dtypes() -> None:
    assert tl.fft.fft(tl.tensor([1, 2, 3])).dtype is tl.complex64
    assert tl.fft.fft(tl.tensor([True, False])).dtype is tl.complex64
    assert tl.fft.irfft(tl.tensor([1, 2, 3])).dtype is tl.float32
    tl.set_default_dtype(tl.float64)
    try:
        assert tl.fft.rfft(tl.tensor([1, 2, 3])).dtype is tl.complex128
    finally:
        tl.set_default_dtype(tl.float32)
    assert tl.fft.fft(tl.zeros(0, 4)).shape == (0, 4)


def test_out() -> None:
    out = tl.empty(3, dtype=tl.complex64)
    assert tl.fft.fft(tl.ones(3), out=out) is out
    assert out.tolist() == [3, 0, 0]
    places = tl.empty(4)
    assert tl.fft.fftfreq(4, out=places) is places
    assert places.tolist() == [0.0, 0.25, -0.5, -0.25]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_frequencies(dtype: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    for name in ("fftfreq", "rfftfreq"):
        for n in (1, 2, 5, 8):
            for d in (1.0, 0.1):
                ours = getattr(tl.fft, name)(n, d, dtype=getattr(tl, dtype))
                theirs = getattr(torch.fft, name)(n, d, dtype=getattr(torch, dtype))
                assert ours.dtype.name == dtype
                np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)
    assert tl.fft.fftfreq(0).shape == (0,)
    assert tl.fft.fftfreq(3, 0.0).tolist()[1:] == [np.inf, -np.inf]
    assert tl.fft.rfftfreq(2, requires_grad=True).requires_grad


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: tl.fft.fftfreq(cast("Any", 2.5)), TypeError, "must be int, not float"),
        (lambda: tl.fft.fftfreq(-1), RuntimeError, "negative"),
        (lambda: tl.fft.rfftfreq(3, dtype=tl.int64), RuntimeError, "requires a floating point or complex"),
        (lambda: tl.fft.fftshift(tl.ones(2), 1), IndexError, "Dimension out of range"),
        (lambda: tl.fft.rfft(tl.ones(2) * 1j), RuntimeError, "use fft for complex ones"),
        (lambda: tl.fft.ihfft2(tl.ones(2, 2) * 1j), RuntimeError, "use ifft2 for complex ones"),
    ],
)  # fmt: skip
def test_errors(call: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call()


def test_shifts(rng: np.random.Generator) -> None:
    for shape in ((4,), (5,), (3, 4)):
        array = rng.standard_normal(shape)
        x = tl.tensor(array, requires_grad=True)
        shifted = tl.fft.fftshift(x)
        np.testing.assert_array_equal(shifted.detach().numpy(), np.fft.fftshift(array))
        assert tl.equal(tl.fft.ifftshift(shifted), x)
        weights = rng.standard_normal(shape)
        (shifted * tl.tensor(weights)).sum().backward()
        assert x.grad is not None
        np.testing.assert_array_equal(x.grad.numpy(), np.fft.ifftshift(weights))
    for dim in (0, -1, (1, 0)):
        array = rng.standard_normal((4, 5))
        got = tl.fft.ifftshift(tl.tensor(array), dim)
        np.testing.assert_array_equal(got.numpy(), np.fft.ifftshift(array, dim))
    assert tl.fft.fftshift(tl.tensor(2.0)).item() == 2.0


def test_the_graph_shows_pytorchs_nodes() -> None:
    x = tl.ones(4, requires_grad=True)
    names = {"fft": "FftC2C", "rfftn": "FftR2C", "hfft2": "FftC2R"}
    for name, node in names.items():
        out = getattr(tl.fft, name)(x if name != "hfft2" else tl.stack([x, x]))
        assert out.grad_fn is not None
        assert out.grad_fn.name() == f"{node}Backward0"
