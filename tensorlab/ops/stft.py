"""The short-time Fourier transform: the spectrum of a signal as it changes in time, and the way back.

The signal is cut into overlapping frames, each is faded in and out by a window and transformed. Adding
the inverse transforms up again where they overlap, each weighted by the window once more, and
dividing by the sum of the squared windows, gives the signal that fits the frames best in the sense
of least squares: D. Griffin and J. Lim, "Signal estimation from modified short-time Fourier
transform", IEEE Trans. ASSP 32, 1984.

Both are made of operations that have gradients (padding, `unfold`, `fft`), so they have them too.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from tensorlab._autocast import autocasts_within
from tensorlab._backend import backend_of
from tensorlab._tensor import Tensor, wrap
from tensorlab.ops.complexes import view_as_real
from tensorlab.ops.cutting import narrow
from tensorlab.ops.fft import fft, ifft, irfft, rfft
from tensorlab.ops.padding import constant_pad_nd, pad
from tensorlab.ops.shape import reshape, transpose
from tensorlab.ops.strided import fold_windows, unfold
from tensorlab.ops.views import squeeze, unsqueeze


def _window(name: str, window: Any, win_length: int, n_fft: int, like: Any) -> Any:
    """The window at the length of a frame: ones if none is given, zeros around a shorter one."""
    if window is None:
        warnings.warn(
            f"{name}: no window was given, so the frames are cut out with hard ends, which spreads every "
            "frequency over the spectrum. Give one, such as window=tensorlab.hann_window(n_fft), or "
            "window=tensorlab.ones(n_fft) to mean just that.",
            stacklevel=3,
        )
        array = like._data
        window = wrap(backend_of(array).xp.ones(win_length, array.real.dtype))
    elif window.ndim != 1 or window.shape[0] != win_length:
        raise RuntimeError(
            f"{name}: expected a 1D window tensor of size equal to win_length={win_length}, but got "
            f"window with size {list(window.shape)}"
        )
    left = (n_fft - win_length) // 2
    if win_length < n_fft:
        window = constant_pad_nd(window, (left, n_fft - win_length - left))
    return window


def _check_lengths(name: str, n_fft: int, hop_length: int, win_length: int) -> None:
    for key, value in (("n_fft", n_fft), ("hop_length", hop_length)):
        if value <= 0:
            raise RuntimeError(f"{name}: expected {key} > 0, but got {key}={value}")
    if not 0 < win_length <= n_fft:
        raise RuntimeError(
            f"{name}: expected 0 < win_length <= n_fft={n_fft}, but got win_length={win_length}"
        )


@autocasts_within
def stft(
    input: Tensor, n_fft: int, hop_length: int | None = None, win_length: int | None = None,
    window: Tensor | None = None, center: bool = True, pad_mode: str = "reflect", normalized: bool = False,
    onesided: bool | None = None, return_complex: bool | None = None, align_to_window: bool | None = None,
) -> Tensor:  # fmt: skip
    r"""The short-time Fourier transform: \(X[f, t] = \sum_k w_k\, x_{t\cdot hop + k}\, e^{-2\pi i\,fk/n_{fft}}\).

    Args:
        input: the signal, (time) or (batch, time), real or complex.
        n_fft: how long a frame is, in samples.
        hop_length: how far apart frames begin; n_fft // 4 unless given.
        win_length: the length of the window, which stands in the middle of the frame; n_fft unless given.
        window: its weights, one dimension of `win_length`; a rectangle (with a warning) unless given.
        center: frame t is centred at sample t · hop_length, for which the signal is padded by n_fft // 2
            on both sides; otherwise it begins there.
        pad_mode: how: "reflect", "constant", "replicate" or "circular".
        normalized: divide by the root of n_fft.
        onesided: only the frequencies 0 to n_fft // 2; True unless signal or window is complex.
        return_complex: must be True for real signals; False gives the real and imaginary parts in a
            last dimension of size 2, the form of old code.
        align_to_window: with center=False, the first *window* begins at sample 0, not the first frame.

    Returns:
        Complex tensor (frequencies, frames) or (batch, frequencies, frames).

    Raises:
        RuntimeError: for lengths that do not fit, a signal shorter than a frame, or integers.

    >>> import tensorlab as tl
    >>> signal = tl.sin(2 * tl.pi * 4 / 16 * tl.arange(64))
    >>> spectrum = tl.stft(signal, 16, window=tl.hann_window(16), return_complex=True)
    >>> spectrum.shape
    tensorlab.Size([9, 17])
    >>> spectrum.abs()[:, 8].argmax()
    tensor(4)
    """
    hop_length = n_fft // 4 if hop_length is None else hop_length
    win_length = n_fft if win_length is None else win_length
    is_complex = input.is_complex() or (window is not None and window.is_complex())
    if center and align_to_window is not None:
        raise RuntimeError("stft align_to_window should only be set when center = false")
    if return_complex is None:
        if not is_complex:
            raise RuntimeError(
                "stft requires the return_complex parameter be given for real inputs: pass return_complex=True"
            )
        return_complex = True
    if not (input.is_complex() or input.is_floating_point()):
        raise RuntimeError(
            f"stft: expected a tensor of floating point or complex values, got {input.dtype}"
        )
    if input.ndim not in (1, 2):
        raise RuntimeError(f"stft: expected a 1D or 2D tensor, got shape {list(input.shape)}")
    if is_complex and onesided:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    _check_lengths("stft", n_fft, hop_length, win_length)
    onesided = not is_complex if onesided is None else onesided

    weights = _window("stft", window, win_length, n_fft, input)
    signal = input if input.ndim == 2 else unsqueeze(input, 0)
    if center:
        side = n_fft // 2
        signal = squeeze(pad(unsqueeze(signal, 0), (side, side), pad_mode), 0)
    elif align_to_window and win_length < n_fft:
        before = (n_fft - win_length) // 2
        signal = constant_pad_nd(signal, (before, n_fft - win_length - before))
    if signal.shape[1] < n_fft:
        raise RuntimeError(
            f"stft: expected 0 < n_fft <= {signal.shape[1]}, the length of the signal"
            f"{' with its padding' if center else ''}, but got n_fft={n_fft}"
        )
    frames = unfold(signal, 1, n_fft, hop_length) * weights
    norm = "ortho" if normalized else "backward"
    spectra = rfft(frames, norm=norm) if onesided else fft(frames, norm=norm)
    out = transpose(spectra, 1, 2)
    out = out if input.ndim == 2 else squeeze(out, 0)
    return out if return_complex else view_as_real(out)


def istft(
    input: Tensor, n_fft: int, hop_length: int | None = None, win_length: int | None = None,
    window: Tensor | None = None, center: bool = True, normalized: bool = False, onesided: bool | None = None,
    length: int | None = None, return_complex: bool = False,
) -> Tensor:  # fmt: skip
    """The inverse of `stft`: the signal with this short-time Fourier transform, or the nearest to it.

    Args:
        input: complex tensor (frequencies, frames) or (batch, frequencies, frames).
        n_fft, hop_length, win_length, window, center, normalized: as they were given to `stft`.
        onesided: the input has the frequencies 0 to n_fft // 2 only; True unless it has n_fft of them.
        length: of the result, which otherwise ends with the last whole frame; zeros (with a warning) fill
            what no frame covers.
        return_complex: the signal is complex, for which all frequencies are needed.

    Returns:
        Real (or complex) tensor (time) or (batch, time).

    Raises:
        RuntimeError: for sizes that do not fit each other, or where the windows leave a sample
            uncovered: their squares must not add up to 0 anywhere.

    >>> import tensorlab as tl
    >>> signal, window = tl.linspace(-1, 1, 16), tl.hann_window(8)
    >>> spectrum = tl.stft(signal, 8, window=window, return_complex=True)
    >>> tl.allclose(tl.istft(spectrum, 8, window=window), signal, atol=1e-6)
    True
    """
    hop_length = n_fft // 4 if hop_length is None else hop_length
    win_length = n_fft if win_length is None else win_length
    if not input.is_complex():
        raise RuntimeError(
            "istft requires a complex-valued input tensor matching the output from stft with return_complex=True."
        )
    if input.numel() == 0:
        raise RuntimeError("istft: input tensor cannot be empty.")
    if input.ndim not in (2, 3):
        raise RuntimeError(
            "istft: expected a tensor of shape (frequencies, frames) or (batch, frequencies, frames), but got "
            f"{list(input.shape)}"
        )
    found, frames = input.shape[-2:]
    onesided = found != n_fft if onesided is None else onesided
    expected = n_fft // 2 + 1 if onesided else n_fft
    if found != expected:
        formula = "n_fft / 2 + 1" if onesided else "n_fft"
        raise RuntimeError(
            f"istft: expected the frequency dimension of the input tensor to match {formula} = {expected} when "
            f"onesided={onesided}, but got {found}"
        )
    _check_lengths("istft", n_fft, hop_length, win_length)
    if hop_length > win_length:
        raise RuntimeError(
            f"istft: expected 0 < hop_length <= win_length={win_length}, but got hop_length={hop_length}"
        )
    if return_complex and onesided:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    if not return_complex and window is not None and window.is_complex():
        raise RuntimeError("Complex windows are incompatible with return_complex=False")

    weights = _window("istft", window, win_length, n_fft, input)
    spectra = transpose(input if input.ndim == 3 else unsqueeze(input, 0), 1, 2)
    norm = "ortho" if normalized else "backward"
    if return_complex:
        pieces = ifft(spectra, norm=norm)
    else:  # of all frequencies, too, a real signal needs the first half only
        pieces = irfft(narrow(spectra, 2, 0, n_fft // 2 + 1), n_fft, norm=norm)
    total = n_fft + hop_length * (frames - 1)
    signal = fold_windows(pieces * weights, (spectra.shape[0], total), 1, n_fft, hop_length)
    squares = reshape(weights * weights, (1, n_fft)).expand(frames, n_fft)
    cover = fold_windows(squares, (total,), 0, n_fft, hop_length)

    start = n_fft // 2 if center else 0
    end = start + length if length is not None else total - start
    kept = max(min(end, total) - start, 0)
    signal, cover = narrow(signal, 1, start, kept), narrow(cover, 0, start, kept)
    lowest = float(np.abs(cover.detach().cpu().numpy()).min(initial=np.inf))
    if lowest < 1e-11:
        raise RuntimeError(
            "istft: window overlap add min: the squared windows add up to "
            f"{lowest:g} at some sample, so nothing is known of it. Use a window and a hop_length "
            "that cover every sample (with center=False also the first and the last one)"
        )
    signal = signal / cover
    if end > total:
        warnings.warn(
            f"istft: the frames end {end - total} samples before length={length}; the rest is filled with zeros",
            stacklevel=2,
        )
        signal = constant_pad_nd(signal, (0, end - total))
    return signal if input.ndim == 3 else squeeze(signal, 0)


Tensor.stft = stft  # type: ignore[attr-defined]
Tensor.istft = istft  # type: ignore[attr-defined]
