"""Seeded random numbers: :class:`Generator`, the default one, and the streams drawn from it.

The same seed gives the numbers that PyTorch gives on the CPU. Both libraries run the
Mersenne Twister MT19937 (Matsumoto and Nishimura, "Mersenne Twister", ACM TOMACS 8(1),
1998); NumPy has it too, so the twister itself is NumPy's and what stands here is how its
32-bit words become samples:

=============  ====================================================================
stream         from the words
=============  ====================================================================
uniform        24 (float64: 53) low bits of a word (of two words), as a fraction
normal         Box-Muller transform of two uniforms, in two layouts, see `normal`
integers       word modulo the width of the range; two words for wide ranges
permutation    Fisher-Yates shuffle with one word per swap
bernoulli      uniform < p
exponential    -log(1 - uniform) / rate; the other named distributions likewise
=============  ====================================================================

What is made of the bits alone agrees with PyTorch bit for bit. The last digit may differ
where log, sin or cos come in (normals and the other named distributions), since the two
libraries use different code for those, and in float64 uniforms over a range other than
[0, 1), which PyTorch scales in one rounding.

Streams return one-dimensional NumPy arrays in drawing order. For tensors on other devices
the numbers are drawn on the host and then moved: the same seed means the same numbers
everywhere.
"""

from __future__ import annotations

import secrets
from typing import Any

import numpy as np

from tensorlab import _dtypes
from tensorlab._backend import Device, backend_for
from tensorlab._tensor import Tensor, wrap

# What PyTorch seeds a generator with that nobody has seeded.
UNSEEDED = 67280421310721

_WORDS = 624
# PyTorch's serialised CPU generator: a fixed C struct, see `Generator.get_state`.
_STATE = np.dtype(
    {
        "names": ["seed", "left", "seeded", "next", "words", "cached", "is_cached"],
        "formats": ["<u8", "<i4", "<i4", "<u8", ("<u8", _WORDS), "<f8", "<i4"],
        "offsets": [0, 8, 12, 16, 24, 5024, 5040],
        "itemsize": 5056,
    }
)


class Generator:
    """A source of random numbers that can be seeded, saved and restored.

    Args:
        device: the device whose tensors are filled from it. The numbers are made on the
            host whatever it is, and are the same for all.

    >>> import tensorlab as tl
    >>> g = tl.Generator().manual_seed(0)
    >>> tl.rand(3, generator=g)
    tensor([0.4963, 0.7682, 0.0885])
    """

    __slots__ = ("_bits", "_cached_normal", "_seed", "device")

    def __init__(self, device: str | Device = "cpu") -> None:
        self.device = Device(device)
        if self.device.type == "cuda":
            backend_for(self.device)  # there must be one
        self._bits = np.random.MT19937(0)
        self._restart(UNSEEDED)

    def manual_seed(self, seed: int) -> Generator:
        """Start the sequence that belongs to `seed`; return the generator itself.

        Negative seeds count down from 2**64, as in PyTorch.

        Raises:
            RuntimeError: if `seed` is no integer.
            ValueError: if it needs more than 64 bits.
        """
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
            raise RuntimeError(f"manual_seed expected a long, but got {type(seed).__name__}")
        if not -(2**63) <= seed < 2**64:
            raise ValueError(f"manual_seed: the seed must fit in 64 bits, got {seed}")
        self._restart(int(seed) % 2**64)
        return self

    def seed(self) -> int:
        """Seed from the operating system's entropy and return that seed."""
        self._restart(secrets.randbits(64))
        return self._seed

    def initial_seed(self) -> int:
        """The seed that the current sequence started from."""
        return self._seed

    def _restart(self, seed: int) -> None:
        self._seed = seed
        # RandomState seeds the twister in the standard way (Knuth's multiplier 1812433253),
        # which looks at 32 bits of the seed only.
        twister: Any = np.random.RandomState(seed & 0xFFFFFFFF).get_state(legacy=True)
        self._set_words(twister[1], _WORDS)
        self._cached_normal: float | None = None

    def _set_words(self, key: np.ndarray, position: int) -> None:
        inner = {"key": key.astype(np.uint32), "pos": position}
        state: Any = {"bit_generator": "MT19937", "state": inner}
        self._bits.state = state

    def words32(self, count: int) -> np.ndarray:
        """The next `count` 32-bit words, in uint64."""
        return self._bits.random_raw(count)

    def words64(self, count: int) -> np.ndarray:
        """The next `count` 64-bit words: two draws each, the first is the high half."""
        words = self._bits.random_raw(2 * count)
        return (words[0::2] << np.uint64(32)) | words[1::2]

    def get_state(self) -> Tensor:
        """The whole state as a uint8 tensor, in PyTorch's layout: either library reads it.

        >>> import tensorlab as tl
        >>> g = tl.Generator()
        >>> state = g.get_state()
        >>> a = tl.rand(2, generator=g)
        >>> g.set_state(state)
        >>> bool((tl.rand(2, generator=g) == a).all())
        True
        """
        return wrap(self._state_bytes())

    def set_state(self, new_state: Tensor) -> None:
        """Go back to a state that :meth:`get_state` returned.

        Raises:
            TypeError: if it is no uint8 tensor on the CPU.
            RuntimeError: if its size or content is not a generator's state.
        """
        array = getattr(new_state, "_data", None)
        if not isinstance(array, np.ndarray) or array.dtype != np.uint8:
            raise TypeError("RNG state must be a uint8 tensor on the CPU, as get_state() returns")
        self._load_bytes(np.ascontiguousarray(array))

    def clone_state(self) -> Generator:
        """A new generator in the same state; the two then go separate ways."""
        other = Generator(self.device)
        other._load_bytes(self._state_bytes())
        return other

    def _state_bytes(self) -> np.ndarray:
        inner: Any = self._bits.state["state"]
        position = int(inner["pos"])
        record = np.zeros((), _STATE)
        record["seed"] = self._seed
        record["seeded"] = 1
        # PyTorch counts what is left of the block, NumPy what is used; a fresh block is
        # one whose words have all been used.
        record["left"] = _WORDS + 1 - position
        record["next"] = 0 if position == _WORDS else position
        record["words"] = inner["key"]
        if self._cached_normal is not None:
            record["cached"], record["is_cached"] = self._cached_normal, 1
        return np.frombuffer(record.tobytes(), np.uint8).copy()

    def _load_bytes(self, state: np.ndarray) -> None:
        if state.shape != (_STATE.itemsize,):
            raise RuntimeError(
                f"RNG state has {state.size} bytes, expected {_STATE.itemsize}: "
                "pass what get_state() returned"
            )
        record = state.view(_STATE)[0]
        left = int(record["left"])
        if not 1 <= left <= _WORDS or not record["seeded"]:
            raise RuntimeError("RNG state is not valid: pass what get_state() returned")
        self._seed = int(record["seed"])
        self._set_words(record["words"], _WORDS + 1 - left)
        self._cached_normal = float(record["cached"]) if record["is_cached"] else None

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (str(self.device), self._state_bytes())

    def __repr__(self) -> str:
        return f"Generator(device={str(self.device)!r}, seed={self._seed})"


def _restored(device: str, state: np.ndarray) -> Generator:
    generator = Generator(device)
    generator._load_bytes(state)
    return generator


default_generator = Generator()
default_generator.seed()


def manual_seed(seed: int) -> Generator:
    """Seed the default generator, which all random functions use unless told otherwise.

    Anything that `int()` takes is a seed. Returns the default generator.

    >>> import tensorlab as tl
    >>> _ = tl.manual_seed(0)
    >>> tl.randn(3)
    tensor([ 1.5410, -0.2934, -2.1788])
    """
    return default_generator.manual_seed(int(seed))


def seed() -> int:
    """Seed the default generator from the operating system's entropy; return the seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed that the default generator started from.

    >>> import tensorlab as tl
    >>> _ = tl.manual_seed(3)
    >>> tl.initial_seed()
    3
    """
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The default generator's state, see :meth:`Generator.get_state`."""
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Restore the default generator's state, see :meth:`Generator.set_state`."""
    default_generator.set_state(new_state)


# ---------------------------------------------------------------------- the streams


def _fractions64(g: Generator, count: int) -> np.ndarray:
    """Uniform float64 in [0, 1): 53 random bits each."""
    return (g.words64(count) & np.uint64(2**53 - 1)) * 2.0**-53


def _fractions32(g: Generator, count: int) -> np.ndarray:
    """Uniform float32 in [0, 1): 24 random bits each, all that a float32 can hold."""
    return (g.words32(count) & np.uint64(2**24 - 1)).astype(np.float32) * np.float32(2.0**-24)


def _require_floating(name: str, dtype: np.dtype) -> None:
    if dtype.kind in "biu":
        raise NotImplementedError(
            f"{name} is not implemented for {dtype}: it draws from a continuous distribution "
            "and needs a floating-point dtype"
        )


def uniform(
    g: Generator, count: int, dtype: np.dtype, low: float = 0.0, high: float = 1.0
) -> np.ndarray:
    """`count` samples, uniform in [low, high)."""
    _require_floating("uniform", dtype)
    if not low <= high:
        raise RuntimeError(
            f"uniform_ expects to return a [from, to) range, but found from={low} > to={high}"
        )
    if dtype == np.float64:
        samples = _fractions64(g, count) * (high - low) + low
    else:
        # In float64 these products are exact, so that the result is rounded once only, as
        # a fused multiply-add rounds it.
        low32, high32 = float(np.float32(low)), float(np.float32(high))
        width = float(np.float32(high32 - low32))
        exact = _fractions32(g, count).astype(np.float64) * width + low32
        samples = exact.astype(np.float32).astype(dtype)
    # Rounding may reach the excluded end.
    samples[samples == dtype.type(high)] = low
    return samples


def normal(
    g: Generator,
    count: int,
    dtype: np.dtype,
    mean: float = 0.0,
    std: float = 1.0,
    contiguous: bool = True,
) -> np.ndarray:
    """`count` samples of the normal distribution with this mean and standard deviation.

    Box and Muller's transform ("A note on the generation of random normal deviates", Ann.
    Math. Statist. 29(2), 1958) makes two normals of two uniforms. PyTorch has two layouts:
    fewer than 16 values, and memory with gaps, are drawn one after the other in float64,
    the second of an odd pair waiting in the generator; longer runs are made in place in
    blocks of 16, eight radii and eight angles each.
    """
    _require_floating("normal", dtype)
    if not std >= 0.0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    if count < 16 or not contiguous:
        return (_standard_normals(g, count) * std + mean).astype(dtype)
    draw = _fractions64 if dtype == np.float64 else _fractions32
    whole = count - count % 16
    samples = np.empty(count, np.float64 if dtype == np.float64 else np.float32)
    samples[:whole] = _box_muller_blocks(draw(g, whole), mean, std)
    if whole < count:
        if dtype.itemsize > 2:
            draw(g, count - whole)  # PyTorch draws for the rest too before it does this:
        # The last 16 overlap the whole blocks and are all drawn again.
        samples[-16:] = _box_muller_blocks(draw(g, 16), mean, std)
    return samples.astype(dtype)


def _box_muller_blocks(uniforms: np.ndarray, mean: float, std: float) -> np.ndarray:
    real = uniforms.dtype.type
    blocks = uniforms.reshape(-1, 2, 8)
    # 1 - u lies in (0, 1], where the logarithm is finite.
    radius = np.sqrt(real(-2) * np.log(real(1) - blocks[:, 0]))
    angle = real(2 * np.pi) * blocks[:, 1]
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return (pairs * real(std) + real(mean)).reshape(-1)


def _standard_normals(g: Generator, count: int) -> np.ndarray:
    """One after the other, in float64, keeping the spare one of the last pair."""
    if count == 0:
        return np.empty(0)
    waiting = [] if g._cached_normal is None else [g._cached_normal]
    uniforms = _fractions64(g, 2 * ((count - len(waiting) + 1) // 2))
    radius = np.sqrt(-2.0 * np.log1p(-uniforms[1::2]))
    angle = 2.0 * np.pi * uniforms[0::2]
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    samples = np.concatenate([waiting, pairs.reshape(-1)])
    g._cached_normal = float(samples[count]) if samples.size > count else None
    return samples[:count]


# Half-open ranges of whole numbers that `random_()` without bounds fills: all that are not
# negative, and for floats those up to which every whole number has a float of its own.
_WHOLE_NUMBERS = {"float16": 2**11 + 1, "bfloat16": 2**8 + 1, "float32": 2**24 + 1}
_WHOLE_NUMBERS["float64"] = 2**53 + 1


def whole_numbers(dtype: np.dtype) -> int:
    """The end of the range 0, 1, 2, … that a tensor of this dtype can hold exactly."""
    if dtype.kind == "b":
        return 2
    return int(np.iinfo(dtype).max) + 1 if dtype.kind in "iu" else _WHOLE_NUMBERS[dtype.name]


def integers(g: Generator, count: int, dtype: np.dtype, low: int, high: int) -> np.ndarray:
    """`count` whole numbers, low <= n < high, all equally likely (to 1 in 2**36 at worst)."""
    if low >= high:
        raise RuntimeError(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
        )
    _require_in_range("from", low, dtype)
    _require_in_range("to - 1", high - 1, dtype)
    width = high - low
    # One word would be visibly uneven over a wide range.
    words = g.words32(count) if width < 2**28 else g.words64(count)
    offsets = words if width >= 2**64 else words % np.uint64(width)
    # Two's complement: the sum wraps to the right signed value.
    numbers = (offsets + np.uint64(low % 2**64)).view(np.int64)
    return numbers.astype(dtype)


def full_range_integers(g: Generator, count: int, dtype: np.dtype) -> np.ndarray:
    """`count` whole numbers from 0 to the largest that the dtype holds exactly."""
    end = whole_numbers(dtype)
    wide = dtype in (np.int64, np.float64)
    words = g.words64(count) if wide else g.words32(count)
    return (words % np.uint64(end)).astype(dtype)


def _require_in_range(name: str, value: int, dtype: np.dtype) -> None:
    if dtype.kind == "b":
        fits = value in (0, 1)
    elif dtype.kind in "iu":
        fits = np.iinfo(dtype).min <= value <= np.iinfo(dtype).max
    else:
        fits = abs(value) <= _dtypes.finfo(dtype).max
    if not fits:
        raise RuntimeError(f"{name} is out of bounds for {dtype}: got {value}")


def permutation(g: Generator, count: int) -> np.ndarray:
    """The numbers 0 … count-1 in random order, int64."""
    words = g.words32 if count < 2**32 // 20 else g.words64
    swaps = max(count - 1, 0)
    steps = words(swaps) % np.arange(count, 1, -1, dtype=np.uint64)
    order = list(range(count))
    for i, step in enumerate(steps.tolist()):
        order[i], order[i + step] = order[i + step], order[i]
    return np.array(order, dtype=np.int64)


def bernoulli(g: Generator, count: int, probability: float) -> np.ndarray:
    """`count` booleans, each true with this probability."""
    if not 0.0 <= probability <= 1.0:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={probability}")
    return _fractions64(g, count) < probability


def bernoulli_each(g: Generator, probabilities: np.ndarray) -> np.ndarray:
    """One boolean for every element of a flat array of probabilities."""
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise RuntimeError("bernoulli expects all probabilities to be in [0, 1]")
    draw = _fractions64 if probabilities.dtype == np.float64 else _fractions32
    return draw(g, probabilities.size) < probabilities


def exponential(g: Generator, count: int, dtype: np.dtype, rate: float = 1.0) -> np.ndarray:
    """`count` samples of the density ``rate * exp(-rate * x)``, x > 0."""
    if dtype.kind in "biu":
        raise RuntimeError(
            "Exponential distribution is a continuous probability distribution. "
            f"dtype must be a floating point but you specified {dtype}"
        )
    if not rate > 0.0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={rate}")
    return (-1.0 / rate * np.log1p(-_fractions64(g, count))).astype(dtype)


def cauchy(
    g: Generator, count: int, dtype: np.dtype, median: float = 0.0, sigma: float = 1.0
) -> np.ndarray:
    """`count` samples of the Cauchy distribution, by inverting its distribution function."""
    _require_floating("cauchy_", dtype)
    if not sigma > 0.0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma}")
    samples = median + sigma * np.tan(np.pi * (_fractions64(g, count) - 0.5))
    return samples.astype(dtype)


def log_normal(
    g: Generator, count: int, dtype: np.dtype, mean: float = 1.0, std: float = 2.0
) -> np.ndarray:
    """`count` samples whose logarithm is normal with this mean and standard deviation."""
    _require_floating("log_normal_", dtype)
    if not std > 0.0:
        raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std}")
    return np.exp(_standard_normals(g, count) * std + mean).astype(dtype)


def geometric(g: Generator, count: int, dtype: np.dtype, p: float) -> np.ndarray:
    """`count` numbers of trials up to the first success, each trial succeeding with `p`."""
    if not 0.0 < p < 1.0:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p}")
    with np.errstate(divide="ignore"):
        return np.ceil(np.log(_fractions64(g, count)) / np.log1p(-p)).astype(dtype)
