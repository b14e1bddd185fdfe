"""The short-time Fourier transform, its inverse, and window functions."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest

import tensorlab as tl
from tensorlab.autograd import gradcheck, gradgradcheck

LENGTHS = [(8, None, None), (9, 3, None), (8, 3, 5), (7, None, 4)]  # n_fft, hop_length, win_length


def pairs(rng: np.random.Generator, complex_: bool, *shape: int) -> np.ndarray:
    x = rng.standard_normal(shape)
    return x + 1j * rng.standard_normal(shape) if complex_ else x


@pytest.mark.parametrize(("n_fft", "hop_length", "win_length"), LENGTHS)
@pytest.mark.parametrize("complex_", [False, True])
def test_against_pytorch(
    rng: np.random.Generator, complex_: bool, n_fft: int, hop_length: int | None, win_length: int | None
) -> None:  # fmt: skip
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    modes = ["reflect", "constant", "replicate", "circular", None]  # None: not centered
    sides = [None, False] if complex_ else [None, True, False]
    for mode, normalized, onesided in itertools.product(modes, (False, True), sides):
        shape = [(20,), (2, 23)][int(rng.integers(2))]
        array, weights = pairs(rng, complex_, *shape), rng.random(win_length or n_fft) + 0.5
        options: dict[str, Any] = {
            "hop_length": hop_length, "win_length": win_length, "center": mode is not None,
            "normalized": normalized, "onesided": onesided,
        }  # fmt: skip
        forward = {**options, "pad_mode": mode or "reflect", "return_complex": True}
        message = f"shape {shape}, n_fft {n_fft}, {forward}"
        length = [None, 17, 20][int(rng.integers(3))]
        results = []
        for lib in (tl, torch):
            x = lib.tensor(array, requires_grad=True)
            w = lib.tensor(weights, requires_grad=True)
            spectrum = lib.stft(x, n_fft, window=w, **forward)
            (spectrum.abs() ** 3).sum().backward()
            result = [spectrum.detach(), x.grad, w.grad]
            if mode is not None or win_length is None:  # otherwise no frame covers the ends
                whole = spectrum.shape[-2] == n_fft and complex_
                back = {**options, "length": length}
                z = lib.tensor(spectrum.detach().resolve_conj().numpy(), requires_grad=True)
                v = lib.tensor(weights, requires_grad=True)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # not as long as `length`
                    y = lib.istft(z, n_fft, window=v, return_complex=whole, **back)
                (y.abs() ** 3).sum().backward()
                result += [y.detach(), z.grad, v.grad]
            results.append(result)
        for ours, theirs in zip(*results, strict=True):
            want = theirs.resolve_conj().numpy()
            assert ours.dtype.name == want.dtype.name, message
            scale = max(np.abs(want).max(), 1.0)
            np.testing.assert_allclose(ours.numpy(), want, rtol=0, atol=1e-10 * scale, err_msg=message)  # fmt: skip


def test_the_first_window_begins_at_the_first_sample(rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    array, weights = rng.standard_normal(20), rng.random(4)
    options = {
        "n_fft": 8,
        "hop_length": 2,
        "win_length": 4,
        "center": False,
        "align_to_window": True,
    }
    ours = tl.stft(tl.tensor(array), window=tl.tensor(weights), return_complex=True, **options)
    theirs = torch.stft(
        torch.tensor(array), window=torch.tensor(weights), return_complex=True, **options
    )
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-12)


def test_second_derivatives(rng: np.random.Generator) -> None:
    x = tl.tensor(rng.standard_normal(9), requires_grad=True)
    w = tl.tensor(rng.random(4) + 0.5, requires_grad=True)

    def there(x: Any, w: Any) -> Any:
        return tl.stft(x, 4, 2, window=w, return_complex=True)

    def back(z: Any, w: Any) -> Any:
        return tl.istft(z, 4, 2, window=w, length=8)

    z = there(x, w).detach().requires_grad_()
    for function, inputs in ((there, (x, w)), (back, (z, w))):
        assert gradcheck(function, inputs)
        assert gradgradcheck(function, inputs)


def test_there_and_back(rng: np.random.Generator) -> None:
    """In float32, from batches, and with the methods."""
    x = tl.tensor(rng.standard_normal((3, 64)).astype(np.float32))
    window = tl.hann_window(16)
    spectrum = x.stft(16, window=window, return_complex=True)
    assert spectrum.dtype is tl.complex64
    assert spectrum.shape == (3, 9, 17)
    again = spectrum.istft(16, window=window, length=64)
    assert again.dtype is tl.float32
    assert tl.allclose(again, x, atol=1e-5)


def test_a_tone_is_found_where_it_is() -> None:
    time = tl.arange(0, 1, 1 / 256)
    chirp = tl.cat([tl.sin(2 * tl.pi * 32 * time), tl.sin(2 * tl.pi * 64 * time)])
    spectrum = tl.stft(chirp, 64, 32, window=tl.hann_window(64), return_complex=True).abs()
    places = tl.fft.rfftfreq(64, 1 / 256)[spectrum.argmax(0)]
    assert places[1:7].tolist() == [32.0] * 6
    assert places[-7:-1].tolist() == [64.0] * 6


def test_the_form_of_old_code(rng: np.random.Generator) -> None:
    x, w = tl.tensor(rng.standard_normal(20)), tl.ones(8, dtype=tl.float64)
    parts = tl.stft(x, 8, window=w, return_complex=False)
    assert parts.shape == (5, 11, 2)
    assert tl.equal(tl.view_as_complex(parts.contiguous()), tl.stft(x, 8, window=w, return_complex=True))  # fmt: skip


def test_no_window_is_told() -> None:
    with pytest.warns(UserWarning, match="stft: no window was given"):
        spectrum = tl.stft(tl.ones(16), 8, return_complex=True)
    with pytest.warns(UserWarning, match="istft: no window was given"):
        assert tl.allclose(tl.istft(spectrum, 8), tl.ones(16))


def test_a_length_beyond_the_frames_is_told() -> None:
    window = tl.hann_window(8)
    spectrum = tl.stft(tl.ones(16), 8, window=window, return_complex=True)
    with pytest.warns(UserWarning, match="end 10 samples before length=30; the rest is filled"):
        y = tl.istft(spectrum, 8, window=window, length=30)
    assert y.shape == (30,)
    assert y[20:].abs().sum().item() == 0


def short(**options: Any) -> Any:
    options = {"window": tl.ones(options.get("win_length", 8)), "return_complex": True, **options}
    return tl.stft(options.pop("input", tl.ones(20)), options.pop("n_fft", 8), **options)


def inverse(**options: Any) -> Any:
    options = {"window": tl.ones(options.get("win_length", 8)), **options}
    return tl.istft(options.pop("input", tl.ones(5, 6) * 1j), options.pop("n_fft", 8), **options)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: short(return_complex=None), RuntimeError, "requires the return_complex parameter"),
        (lambda: short(input=tl.arange(20)), RuntimeError, "floating point or complex values"),
        (lambda: short(input=tl.ones(1, 2, 20)), RuntimeError, "expected a 1D or 2D tensor"),
        (lambda: short(onesided=True, input=tl.ones(20) * 1j), RuntimeError, "Cannot have onesided output"),
        (lambda: short(n_fft=0), RuntimeError, "expected n_fft > 0"),
        (lambda: short(hop_length=0), RuntimeError, "expected hop_length > 0"),
        (lambda: short(win_length=9), RuntimeError, "win_length <= n_fft"),
        (lambda: short(window=tl.ones(7)), RuntimeError, "1D window tensor of size equal to win_length=8"),
        (lambda: short(center=False, input=tl.ones(7)), RuntimeError, "n_fft <= 7"),
        (lambda: short(align_to_window=True), RuntimeError, "only be set when center = false"),
        (lambda: short(pad_mode="mirror"), NotImplementedError, "Unrecognised padding mode mirror"),
        (lambda: short(input=tl.ones(4)), RuntimeError, "Padding size should be less than"),
        (lambda: inverse(input=tl.ones(5, 6)), RuntimeError, "requires a complex-valued input"),
        (lambda: inverse(input=tl.ones(5, 0) * 1j), RuntimeError, "cannot be empty"),
        (lambda: inverse(input=tl.ones(1, 2, 5, 6) * 1j), RuntimeError, r"\(frequencies, frames\)"),
        (lambda: inverse(n_fft=12, window=tl.ones(12)), RuntimeError, r"n_fft / 2 \+ 1 = 7 .* but got 5"),
        (lambda: inverse(onesided=False), RuntimeError, "n_fft = 8 .* but got 5"),
        (lambda: inverse(hop_length=9), RuntimeError, "0 < hop_length <= win_length"),
        (lambda: inverse(return_complex=True), RuntimeError, "Cannot have onesided output"),
        (lambda: inverse(window=tl.ones(8) * 1j), RuntimeError, "Complex windows are incompatible"),
        (lambda: inverse(window=tl.hann_window(8), center=False), RuntimeError, "overlap add min"),
    ],
)  # fmt: skip
def test_errors(call: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call()


WINDOWS = ["hann_window", "hamming_window", "blackman_window", "bartlett_window", "kaiser_window"]


@pytest.mark.parametrize("name", WINDOWS)
def test_windows(name: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    tolerance = {"float16": 3e-3, "float32": 1e-6, "float64": 1e-12}
    for n, periodic, dtype in itertools.product((0, 1, 2, 5, 16), (True, False), tolerance):
        ours = getattr(tl, name)(n, periodic, dtype=getattr(tl, dtype))
        theirs = getattr(torch, name)(n, periodic, dtype=getattr(torch, dtype))
        assert ours.dtype.name == dtype
        message = f"{name}({n}, {periodic}, {dtype})"
        np.testing.assert_allclose(
            ours.numpy(), theirs.numpy(), rtol=0, atol=tolerance[dtype], err_msg=message
        )
    assert getattr(tl, name)(3).dtype is tl.get_default_dtype()
    assert getattr(tl, name)(3, requires_grad=True).requires_grad
    with pytest.raises(RuntimeError, match="non-negative window_length, got window_length=-1"):
        getattr(tl, name)(-1)
    with pytest.raises(RuntimeError, match="expects floating point dtypes"):
        getattr(tl, name)(4, dtype=tl.int64)


def test_window_parameters() -> None:
    assert tl.hamming_window(4, True, 0.5, 0.5).tolist() == tl.hann_window(4).tolist()
    np.testing.assert_allclose(
        tl.kaiser_window(7, False, 5.0, dtype=tl.float64).numpy(), np.kaiser(7, 5.0), atol=1e-14
    )
    assert tl.kaiser_window(3, False, beta=0.0).tolist() == [1.0, 1.0, 1.0]


def test_periodic_windows_add_up_to_a_constant() -> None:
    w = tl.hann_window(8, dtype=tl.float64)
    assert tl.allclose(w[:4] + w[4:], tl.ones(4, dtype=tl.float64))


PARAMETERS: dict[str, list[dict[str, Any]]] = {
    "bartlett": [{}],
    "blackman": [{}],
    "cosine": [{}],
    "exponential": [{}, {"tau": 2.5}, {"center": 1.0, "sym": False}],
    "gaussian": [{}, {"std": 3.0}],
    "general_cosine": [{"a": [0.3, 0.4, 0.3]}, {"a": (1.0,)}],
    "general_hamming": [{}, {"alpha": 0.7}],
    "hamming": [{}],
    "hann": [{}],
    "kaiser": [{}, {"beta": 3.0}],
    "nuttall": [{}],
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_windows_for_signals(name: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
    assert sorted(PARAMETERS) == tl.signal.windows.__all__ == sorted(torch.signal.windows.__all__)
    ours, theirs = getattr(tl.signal.windows, name), getattr(torch.signal.windows, name)
    for parameters, n, sym in itertools.product(PARAMETERS[name], (0, 1, 2, 5, 8), (True, False)):
        arguments = {"sym": sym, **parameters}
        got = ours(n, dtype=tl.float64, **arguments)
        want = theirs(n, dtype=torch.float64, **arguments)
        np.testing.assert_allclose(
            got.numpy(), want.numpy(), rtol=0, atol=1e-12, err_msg=f"{name}({n}, {arguments})"
        )
    assert ours(3, **PARAMETERS[name][0]).dtype is tl.float32
    for bad, error in (((-1,), ValueError), ((2.5,), TypeError)):
        with pytest.raises(error, match="non-negative window length|must be int"):
            ours(*bad, **PARAMETERS[name][0])
    with pytest.raises(ValueError, match="expects float32 or float64"):
        ours(3, dtype=tl.int64, **PARAMETERS[name][0])


@pytest.mark.parametrize(
    ("name", "arguments", "error", "match"),
    [
        ("exponential", {"tau": 0.0}, ValueError, "Tau must be positive"),
        ("exponential", {"center": 1.0}, ValueError, "Center must be None for symmetric windows"),
        ("gaussian", {"std": -1.0}, ValueError, "Standard deviation must be positive"),
        ("kaiser", {"beta": -1.0}, ValueError, "beta must be non-negative"),
        ("general_cosine", {"a": []}, ValueError, "Coefficients cannot be empty"),
        ("general_cosine", {"a": 0.5}, TypeError, "Coefficients must be a list/tuple"),
    ],
)
def test_window_errors(
    name: str, arguments: dict[str, Any], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        getattr(tl.signal.windows, name)(4, **arguments)
