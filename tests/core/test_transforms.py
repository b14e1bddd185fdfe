"""Fourier transforms, padding and special functions against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tensorlab as tl

torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")


def compare(name: str, array: np.ndarray, **arguments: Any) -> None:
    """Values, dtype and gradient of one function of `fft`."""
    ours, theirs = tl.tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)
    got, want = (
        getattr(tl.fft, name)(ours, **arguments),
        getattr(torch.fft, name)(theirs, **arguments),
    )
    message = f"{name}, shape {array.shape}, {arguments}"
    assert str(got.dtype).split(".")[-1] == str(want.dtype).split(".")[-1], message
    np.testing.assert_allclose(
        got.detach(), want.detach().resolve_conj(), rtol=1e-10, atol=1e-10, err_msg=message
    )
    weights = np.cos(np.arange(got.numel())).reshape(got.shape).astype(got.detach().numpy().dtype)
    (got * tl.tensor(weights)).abs().sum().backward()
    (want * torch.tensor(weights)).abs().sum().backward()
    np.testing.assert_allclose(
        ours.grad, theirs.grad.resolve_conj(), rtol=1e-8, atol=1e-8, err_msg=message
    )


@pytest.mark.parametrize("norm", [None, "forward", "ortho"])
@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
def test_one_dimension(rng: np.random.Generator, name: str, norm: str | None) -> None:
    for shape, arguments in (
        ((6,), {}),
        ((5,), {"n": 8}),
        ((2, 7), {"n": 4, "dim": 1}),
        ((3, 2), {"dim": 0}),
    ):
        array = rng.standard_normal(shape)
        if name not in ("rfft", "ihfft"):
            array = array + 1j * rng.standard_normal(shape)
        compare(name, array, norm=norm, **arguments)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("fftn", {}),
        ("ifftn", {"dim": (0, 2)}),
        ("rfftn", {"s": (4, 6)}),
        ("irfftn", {"s": (4, 5), "dim": (0, 2)}),
        ("fft2", {"norm": "ortho"}),
        ("ifft2", {}),
        ("rfft2", {}),
        ("irfft2", {"s": (3, 6)}),
    ],
)
def test_several_dimensions(rng: np.random.Generator, name: str, arguments: dict[str, Any]) -> None:
    array = rng.standard_normal((3, 4, 5))
    if not name.startswith("rfft"):
        array = array + 1j * rng.standard_normal(array.shape)
    compare(name, array, **arguments)


def test_frequencies_and_shifts() -> None:
    for n in (4, 5):
        np.testing.assert_allclose(tl.fft.fftfreq(n, 0.5), torch.fft.fftfreq(n, 0.5))
        np.testing.assert_allclose(tl.fft.rfftfreq(n, 0.5), torch.fft.rfftfreq(n, 0.5))
        x, y = tl.arange(2 * n).reshape(2, n), torch.arange(2 * n).reshape(2, n)
        for dim in (None, 1, (0, 1)):
            assert tl.fft.fftshift(x, dim).tolist() == torch.fft.fftshift(y, dim).tolist()
            assert tl.fft.ifftshift(x, dim).tolist() == torch.fft.ifftshift(y, dim).tolist()


def test_transform_errors() -> None:
    with pytest.raises(RuntimeError, match="Invalid number of data points"):
        tl.fft.fft(tl.ones(3), n=0)
    with pytest.raises(RuntimeError, match="normalization mode"):
        tl.fft.fft(tl.ones(3), norm="x")
    with pytest.raises(RuntimeError, match="expects a real input"):
        tl.fft.rfft(tl.ones(3) * 1j)


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_padding(rng: np.random.Generator, mode: str) -> None:
    for shape, pad in (
        ((2, 4), (2, 1)),
        ((1, 2, 4), (3, 0)),
        ((2, 3, 4), (1, 2, 2, 0)),
        ((1, 2, 3, 3), (0, 1, 2, 1)),
    ):
        array = rng.standard_normal(shape)
        ours, theirs = tl.tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)
        got = tl.nn.functional.pad(ours, pad, mode=mode)
        want = torch.nn.functional.pad(theirs, pad, mode=mode)
        np.testing.assert_array_equal(got.detach(), want.detach())
        weights = rng.standard_normal(got.shape)
        (got * tl.tensor(weights)).sum().backward()
        (want * torch.tensor(weights)).sum().backward()
        np.testing.assert_allclose(ours.grad, theirs.grad, rtol=1e-12)


@pytest.mark.parametrize(
    ("pad", "arguments", "error", "match"),
    [
        ((1, 1), {"mode": "mirror"}, NotImplementedError, "Unrecognised padding mode mirror"),
        ((1, 1), {"mode": "reflect", "value": 2.0}, RuntimeError, "doesn't take in value"),
        ((4, 4), {"mode": "reflect"}, RuntimeError, "Padding size should be less than"),
        ((4, 0), {"mode": "circular"}, RuntimeError, "wrapping around more than once"),
        (
            (1, 1, 1, 1),
            {"mode": "replicate"},
            NotImplementedError,
            "Padding size 4 is not supported for 2D",
        ),
    ],
)
def test_padding_errors(
    pad: Any, arguments: dict[str, Any], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        tl.nn.functional.pad(tl.ones(2, 3), pad, **arguments)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("erfc", -6, 28),
        ("erfinv", -1, 1),
        ("lgamma", -20, 200),
        ("digamma", -20, 200),
        ("i0", -60, 60),
    ],
)
def test_special_functions_over_their_range(name: str, low: float, high: float) -> None:
    x = np.linspace(low, high, 4001) + 1e-4
    want = getattr(torch, name)(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(getattr(tl, name)(tl.tensor(x)), want, rtol=2e-10, atol=2e-12)


def test_polygamma_over_its_range() -> None:
    x = np.linspace(0.1, 40, 500)
    for n in (1, 2, 3):
        want = torch.polygamma(n, torch.from_numpy(x)).numpy()
        np.testing.assert_allclose(tl.polygamma(n, tl.tensor(x)), want, rtol=1e-9)
